#include "remotes/mem.h"

#include "core/base/own.h"
#include "core/base/str.h"

#include <unistd.h>

#define WINDOW 8u

static struct mem *mem_of(struct remote *r)
{
	return (struct mem *)r;
}

void mem_set(struct mem *m, const char *key, const void *p, size_t n)
{
	struct mem_object *o = xmalloc(sizeof(*o) + n);

	o->len = n;
	if (n)
		memcpy(o->bytes, p, n);
	free(map_put(&m->objects, key, o));
}

static bool hits(unsigned every, unsigned count)
{
	return every && count % every == 0;
}

static enum rclass answer(struct rop *op, enum rclass c, int status, const char *code)
{
	op->http_status = status;
	snprintf(op->code, sizeof(op->code), "%s", code);
	err_set(&op->err, c == RC_RETRY ? ERR_TEMP : c == RC_AUTH ? ERR_AUTH : ERR_FAIL, "HTTP %d: %s", status, code);
	return c;
}

static enum rclass mem_get(struct mem *m, struct rop *op)
{
	const struct mem_object *o = map_get(&m->objects, op->key);
	autofree unsigned char *copy = NULL;
	size_t n;

	m->gets++;
	if (!o)
		return RC_ABSENT;
	if (op->off > o->len)
		return answer(op, RC_RETRY, 416, "InvalidRange");
	n = o->len - (size_t)op->off;
	op->size = o->len;
	copy = xmemdup(o->bytes + op->off, n ? n : 1);
	if (n && hits(m->faults.flip_every, m->gets))
		copy[n / 2] ^= 1;
	if (hits(m->faults.cut_every, m->gets) && n > 1) {
		if (op->sink(op, copy, n / 2))
			return RC_FATAL;
		return answer(op, RC_RETRY, 200, "cut");
	}
	return n && op->sink(op, copy, n) ? rclass_of_err(&op->err) : RC_OK;
}

static enum rclass mem_put(struct mem *m, struct rop *op)
{
	autofree unsigned char *copy = NULL;
	const void *p = op->mem;

	m->puts++;
	if (m->faults.deny && strstr(op->key, m->faults.deny))
		return answer(op, RC_FATAL, 413, "EntityTooLarge");
	if ((op->flags & ROP_IF_ABSENT) && map_has(&m->objects, op->key))
		return RC_EXISTS;
	if (op->fd >= 0) {
		copy = xmalloc(op->size ? op->size : 1);
		if (pread(op->fd, copy, op->size, 0) != (ssize_t)op->size)
			return err_set(&op->err, ERR_CHANGED, "the object became shorter while it was sent"), RC_FATAL;
		p = copy;
	}
	mem_set(m, op->key, p, op->size);
	return RC_OK;
}

static enum rclass perform(struct mem *m, struct rop *op)
{
	const struct mem_object *o;

	m->ops++;
	if (m->faults.auth_after && m->ops > m->faults.auth_after)
		return answer(op, RC_AUTH, 403, "AccessDenied");
	if (hits(m->faults.fail_every, m->ops))
		return answer(op, RC_RETRY, 503, "SlowDown");
	switch (op->kind) {
	case ROP_GET:
		return mem_get(m, op);
	case ROP_PUT:
		return mem_put(m, op);
	case ROP_STAT:
		m->stats++;
		o = map_get(&m->objects, op->key);
		op->size = o ? o->len : 0;
		return o ? RC_OK : RC_ABSENT;
	default:
		o = map_del(&m->objects, op->key);
		free((void *)(uintptr_t)o);
		return o ? RC_OK : RC_ABSENT;
	}
}

static int mem_submit(struct remote *r, struct rop *op, struct err *e)
{
	struct mem *m = mem_of(r);

	(void)e;
	if (m->queued >= m->width)
		return 1;
	op->impl = NULL;
	*m->tail = op;
	m->tail = (struct rop **)&op->impl;
	m->queued++;
	return 0;
}

static struct rop *pop(struct mem *m)
{
	struct rop *op = m->head;

	m->head = op->impl;
	if (!m->head)
		m->tail = &m->head;
	m->queued--;
	op->impl = NULL;
	return op;
}

static int mem_run(struct remote *r, int timeout_ms, struct err *e)
{
	struct mem *m = mem_of(r);
	unsigned n = m->queued;

	(void)timeout_ms;
	(void)e;
	while (n--) {
		struct rop *op = pop(m);
		enum rclass c = RC_OK;

		err_release(&op->err);
		op->http_status = 0;
		if (op->begin && op->begin(op))
			c = rclass_of_err(&op->err);
		if (c == RC_OK)
			c = perform(m, op);
		if (c == RC_OK && op->commit && op->commit(op))
			c = rclass_of_err(&op->err);
		op->done(op, c);
	}
	return 0;
}

static int mem_list(struct remote *r, const char *prefix, remote_list_fn *fn, void *data, struct err *e)
{
	struct mem *m = mem_of(r);
	struct map_entry *it;

	m->lists++;
	for (size_t i = 0; (it = map_next(&m->objects, &i));) {
		if (!str_starts(it->key, prefix) || (m->faults.hide && strstr(it->key, m->faults.hide)))
			continue;
		if (fn(it->key, ((struct mem_object *)it->value)->len, NULL, data, e))
			return -1;
	}
	return 0;
}

static unsigned mem_window(struct remote *r, unsigned set)
{
	if (set)
		mem_of(r)->width = set;
	return mem_of(r)->width;
}

static void mem_cancel(struct remote *r)
{
	struct mem *m = mem_of(r);

	while (m->head) {
		struct rop *op = pop(m);

		err_set(&op->err, ERR_INTR, "interrupted");
		op->done(op, RC_FATAL);
	}
}

static void mem_close(struct remote *r)
{
	struct mem *m = mem_of(r);

	mem_cancel(r);
	map_release(&m->objects, free);
	free(r->name);
	free(r->url);
	free(m);
}

struct mem *mem_open(unsigned caps_without)
{
	static const struct remote_ops ops = {
		.scheme = "mem", .close = mem_close, .submit = mem_submit, .run = mem_run, .list = mem_list,
		.window = mem_window, .cancel = mem_cancel,
	};
	struct mem *m = xcalloc(1, sizeof(*m));

	m->remote.ops = &ops;
	m->remote.caps = (REMOTE_LIST | REMOTE_RANGE | REMOTE_COND_PUT | REMOTE_DELETE) & ~caps_without;
	m->remote.url = xstrdup("mem://test");
	m->width = WINDOW;
	m->tail = &m->head;
	return m;
}

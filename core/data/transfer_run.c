/* The bounded queue: wants in, operations out, their ends back into the set. */
#include "core/data/transfer_own.h"

#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/progress.h"
#include "core/base/trail.h"
#include "core/cache/store.h"
#include "core/data/incoming.h"
#include "core/data/project.h"
#include "core/stage/stage.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define CORRUPT_TRIES 3

struct task {
	struct rop op;
	struct run *x;
	struct want *w;
	size_t index;
	enum run_kind kind;
	struct store *s;
	struct incoming in;     /* of a get */
	int fd;                 /* of a put */
	uint64_t told;          /* of a put: to the progress */
	unsigned corrupt;
	char key[OID_KEY_MAX];
};

/* ---- callbacks of a download; they may run in a remote's own thread ---- */

static int get_begin(struct rop *op)
{
	struct task *t = op->user;

	return incoming_open(&t->in, &op->off, &op->map, &op->err);
}

static int get_sink(struct rop *op, const void *p, size_t n)
{
	struct task *t = op->user;

	if (incoming_add(&t->in, op->size, p, n, &op->err))
		return -1;
	progress_add(t->x->progress, 0, n);
	return 0;
}

static int get_spread(struct rop *op)
{
	struct task *t = op->user;

	return incoming_spread(&t->in, op->size, op->off, &op->map, &op->err);
}

static int get_piece(struct rop *op, uint64_t off, const void *p, size_t n)
{
	struct task *t = op->user;

	if (incoming_piece(&t->in, off, p, n, &op->err))
		return -1;
	progress_add(t->x->progress, 0, n);
	return 0;
}

static int get_restart(struct rop *op)
{
	struct task *t = op->user;

	op->off = 0;
	op->map = NULL;
	return incoming_restart(&t->in, &op->err);
}

/* T3: by the bytes that arrived. */
static int get_commit(struct rop *op)
{
	struct task *t = op->user;
	unsigned char md5[16];
	bool equal = false;
	int rc = incoming_check(&t->in, &equal, md5, &op->err);

	if (rc)
		return rc;
	if (!equal) {
		char hex[33];

		hex_encode(hex, md5, 16);
		if (get_restart(op))
			return -1;
		return err_set(&op->err, ++t->corrupt < CORRUPT_TRIES ? ERR_TEMP : ERR_CORRUPT,
			       "what the remote sent does not match its name (its md5 is %s)", hex);
	}
	proc_fault("fetch.verified");
	if (op->map)
		op->size = op->map->size;
	if (t->w->id.is_dir)
		return 0;       /* named last, after its children */
	return store_publish(t->s, &t->w->id, t->in.fd, t->in.tmp, &op->err);
}

static int put_begin(struct rop *op)
{
	struct task *t = op->user;

	if (t->fd >= 0)
		return 0;
	if (store_read_sized(t->s, &t->w->id, &t->fd, &op->size, &op->err))
		return -1;
	op->fd = t->fd;
	return 0;
}

/* A part that is sent twice counts once. */
static void put_sent(struct rop *op, size_t n)
{
	struct task *t = op->user;

	if (t->told + n > op->size)
		n = (size_t)(op->size - t->told);
	t->told += n;
	progress_add(t->x->progress, 0, n);
}

/* ---- the end of one ---- */

static void event(struct task *t, const char *status)
{
	autostr struct str s = STR_INIT;
	autofree char *path = NULL;
	char hex[OID_HEX_MAX];

	if (!progress_wants_events() || t->kind == RUN_STAT)
		return;
	path = want_path(t->x->w, t->w);
	oid_hex(hex, &t->w->id);
	str_addf(&s, "{\"event\": \"object\", \"direction\": \"%s\", \"path\": ", t->kind == RUN_PUT ? "push" : "fetch");
	json_add_quotedz(&s, path);
	str_addf(&s, ", \"md5\": \"%s\", \"size\": %llu, \"status\": \"%s\"}", hex, (unsigned long long)t->op.size, status);
	progress_event(str_cstr(&s));
}

void run_fail(struct run *x, struct want *w, const struct rop *op, const struct err *why)
{
	struct transfer_result *r = x->res;

	w->state = WANT_FAILED;
	GROW(r->fail, r->nfail, r->fail_cap);
	r->fail[r->nfail++] = (struct failure){
		.path = want_path(x->w, w), .id = w->id, .legacy = w->legacy, .http_status = op ? op->http_status : 0,
		.code = op && op->code[0] ? xstrdup(op->code) : NULL, .msg = xstrdup(why->msg ? why->msg : "unknown reason"),
	};
}

static void stop_all(struct run *x, const struct err *why)
{
	if (x->stop)
		return;
	x->stop = true;
	err_copy(&x->fatal, why);
}

static void keep_manifest(struct task *t)
{
	struct run *x = t->x;

	if (!x->temp) {
		x->ntemp = x->w->n;
		x->temp = xcalloc(x->ntemp, sizeof(*x->temp));
	}
	x->temp[t->index] = take(t->in.tmp);
	t->w->state = WANT_READ;
}

static void moved(struct task *t)
{
	struct run *x = t->x;

	x->res->bytes += t->op.size;
	if (t->kind == RUN_GET && t->w->id.is_dir) {
		keep_manifest(t);
		return;
	}
	t->w->state = WANT_MOVED;
	x->res->objects++;
	x->res->counted++;
	progress_add(x->progress, 1, t->kind == RUN_PUT ? t->op.size - t->told : 0);
	event(t, "ok");
}

static void failed(struct task *t, enum rclass c)
{
	const struct err *why = &t->op.err;

	if (c == RC_AUTH || why->code == ERR_INTR || why->code == ERR_NOSPACE)
		stop_all(t->x, why);
	else if (why->code == ERR_TEMP && !t->op.http_status && !t->x->answered && !t->corrupt)
		stop_all(t->x, why);    /* nobody is there: no use in asking for the others */
	/* The cache has lost it, or set it aside as corrupt: DVC calls both missing. */
	if (t->kind == RUN_PUT && t->fd < 0 && (why->code == ERR_NOTFOUND || why->code == ERR_CORRUPT)) {
		t->w->state = WANT_MISSING;
		return;
	}
	if (t->kind == RUN_PUT && c == RC_CORRUPT) {
		autoerr struct err v = ERR_INIT;

		if (store_verify(t->s, &t->w->id, &v))
			err_copy(&t->op.err, &v);
	}
	run_fail(t->x, t->w, &t->op, why);
	event(t, "failed");
}

static void on_stat(struct task *t, enum rclass c)
{
	uint64_t size = 0;

	switch (c) {
	case RC_OK: case RC_EXISTS:
		/* A copy of another length is none; the right length is known from the pointer or from the cache. A directory may
		 * have lost the end of what DVC wrote there, unflushed, and a look into the cache costs as little as the question. */
		if ((t->x->o->check || (t->x->r->caps & REMOTE_LOCAL)) && store_has_quick(t->s, &t->w->id, &size) > 0 && size != t->op.size)
			break;
		if (t->w->size && t->op.size && t->w->size != t->op.size)
			break;
		t->w->state = WANT_HAVE;
		break;
	case RC_ABSENT: case RC_CORRUPT:
		break;
	default:
		failed(t, c);
	}
}

static void on_done(struct rop *op, enum rclass c)
{
	struct task *t = op->user;
	struct run *x = t->x;

	x->active--;
	if (c == RC_OK || c == RC_EXISTS || c == RC_ABSENT || op->http_status)
		x->answered = true;
	if (t->kind == RUN_STAT)
		on_stat(t, c);
	else if (c == RC_OK)
		moved(t);
	else if (c == RC_EXISTS)
		t->w->state = WANT_HAVE;
	else if (c == RC_ABSENT && t->kind == RUN_GET)
		t->w->state = WANT_MISSING;
	else
		failed(t, c);
	incoming_close(&t->in, t->w->state == WANT_MOVED);
	if (t->fd >= 0)
		close(t->fd);
	err_release(&op->err);
	free(t);
}

/* ---- the loop ---- */

/* Who may be told that a digest is not ready yet. */
static struct trail *trail_of(struct run *x)
{
	if (!x->trail && (x->r->caps & REMOTE_PIECES))
		x->trail = trail_new();
	return x->trail;
}

/* What pointers tell of an object's length; of a directory's members the mean. */
static uint64_t expected(const struct run *x, const struct want *w)
{
	const struct item *out = x->w->g[w->group].out;

	if (w->size || w->id.is_dir || !out || out->meta.size <= 0 || out->meta.nfiles <= 0)
		return w->id.is_dir ? 0 : w->size;
	return (uint64_t)out->meta.size / (uint64_t)out->meta.nfiles;
}

static struct task *task_new(struct run *x, enum run_kind kind, size_t i)
{
	struct task *t = xcalloc(1, sizeof(*t));
	struct want *w = &x->w->v[i];
	struct trail *trail = kind == RUN_GET ? trail_of(x) : NULL;

	t->x = x;
	t->w = w;
	t->index = i;
	t->kind = kind;
	t->s = x->store[w->legacy];
	t->fd = -1;
	incoming_init(&t->in, t->s, &w->id, w->legacy, trail, trail ? &x->bunch : NULL);
	oid_key(t->key, &w->id, w->legacy);
	t->op = (struct rop){ .kind = kind == RUN_PUT ? ROP_PUT : kind == RUN_GET ? ROP_GET : ROP_STAT, .key = t->key, .fd = -1,
			      .done = on_done, .user = t };
	t->op.flags = ROP_OBJECT | (w->legacy && !w->id.is_dir ? 0 : ROP_HAS_MD5);
	memcpy(t->op.md5, w->id.md5, 16);
	t->op.expect = kind == RUN_STAT ? 0 : expected(x, w);
	if (kind == RUN_PUT) {
		t->op.begin = put_begin;
		t->op.sent = put_sent;
		t->op.flags |= ROP_RESUME | (x->overwrite ? 0 : ROP_IF_ABSENT);
	} else if (kind == RUN_GET) {
		t->op.begin = get_begin;
		t->op.commit = get_commit;
		t->op.sink = get_sink;
		t->op.sink_restart = get_restart;
		t->op.spread = get_spread;
		t->op.piece = get_piece;
		t->op.flags |= ROP_RESUME;
	}
	return t;
}

static int submit(struct run *x, struct task *t, struct err *e)
{
	int rc;

	while ((rc = remote_submit(x->r, &t->op, e)) > 0 && !x->stop)
		if (proc_check(e) || remote_run(x->r, 1000, e)) {
			rc = -1;
			break;
		}
	if (!rc) {
		x->active++;
		return 0;
	}
	free(t);
	return rc < 0 ? -1 : 0;
}

static int finish(struct run *x, int rc, struct err *e)
{
	if (rc || x->stop)
		x->r->ops->cancel(x->r);
	while (x->active) {
		if (!rc && !x->stop && (proc_check(e) || remote_run(x->r, 1000, e)))
			rc = -1;
		if (x->active && (rc || x->stop)) {
			autoerr struct err none = ERR_INIT;

			x->r->ops->cancel(x->r);
			if (x->active)
				remote_run(x->r, 100, &none);
		}
	}
	if (!rc && x->stop) {
		err_move(e, &x->fatal);
		rc = -1;
	}
	return rc;
}

int run_all(struct run *x, enum run_kind kind, size_t from, run_pick *pick, struct err *e)
{
	int rc = 0;

	for (size_t i = from; i < x->w->n && !rc && !x->stop; i++) {
		struct want *w = &x->w->v[i];

		if (w->state != WANT_OPEN || (pick && !pick(x, w)))
			continue;
		rc = proc_check(e) ? -1 : submit(x, task_new(x, kind, i), e);
	}
	return finish(x, rc, e);
}

/* A remote that is a file here: what DVC finds unexpected is no remote that lacks everything. */
static int check_root(const struct remote *r, const struct want_set *w, struct err *e)
{
	static const char *const parts[] = { "", "files", "files/md5" };
	char key[OID_KEY_MAX];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(parts) && !path_is_url(r->url); i++) {
		autofree char *dir = *parts[i] ? path_join(r->url, parts[i]) : xstrdup(r->url), *path = NULL;
		struct stat st;
		int sys = stat(dir, &st) ? errno : 0;

		if (sys && sys != ENOTDIR)
			return 0;
		if (!sys && S_ISDIR(st.st_mode))
			continue;
		while (n + 1 < w->n && w->v[n].id.is_dir)       /* the one DVC stumbles over first, mostly */
			n++;
		oid_key(key, &w->v[n].id, w->v[n].legacy);
		path = path_join(r->url, key);
		err_set(e, ERR_FAIL, "unexpected error - [Errno 20] Not a directory: '%s'", path);
		e->exit_status = 255;
		return -1;
	}
	return 0;
}

int run_open(struct run *x, struct project *p, struct remote *r, struct want_set *w, const struct transfer_opts *o,
	     struct transfer_result *res, struct err *e)
{
	*x = (struct run){ .p = p, .r = r, .w = w, .o = o, .res = res };
	if (project_cache(p, false, &x->store[0], e) || project_cache(p, true, &x->store[1], e))
		return -1;
	return r && w->n && !o->check ? check_root(r, w, e) : 0;
}

void run_close(struct run *x)
{
	for (size_t i = 0; i < x->ntemp; i++) {
		if (x->temp[i])
			store_drop(x->store[x->w->v[i].legacy], x->temp[i]);
		free(x->temp[i]);
	}
	free(x->temp);
	trail_free(x->trail);
	x->trail = NULL;
	x->temp = NULL;
	x->ntemp = 0;
	err_release(&x->fatal);
}

void transfer_result_release(struct transfer_result *r)
{
	for (size_t i = 0; i < r->nfail; i++) {
		free(r->fail[i].path);
		free(r->fail[i].code);
		free(r->fail[i].msg);
	}
	free(r->fail);
	for (size_t i = 0; i < r->nplan; i++)
		free(r->plan[i].path);
	free(r->plan);
	free(r->no_runs);
	memset(r, 0, sizeof(*r));
}

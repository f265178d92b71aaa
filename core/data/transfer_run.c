/* The bounded queue: wants in, operations out, their ends back into the set. */
#include "core/data/transfer_own.h"

#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/progress.h"
#include "core/cache/store.h"
#include "core/data/project.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#define PART_MIN (4u << 20)     /* downloads that are worth going on with after a crash */
#define CORRUPT_TRIES 3
#define REHASH_BUF (1u << 20)

struct task {
	struct rop op;
	struct run *x;
	struct want *w;
	size_t index;
	enum run_kind kind;
	struct store *s;
	int fd;
	char *tmp;              /* as store_temp() names it */
	struct md5 md5;
	uint64_t got;           /* received; or, of a put, told to the progress */
	unsigned corrupt;
	bool is_part;           /* tmp has the name that the next process finds */
	char key[OID_KEY_MAX];
};

/* ---- partial downloads: ".<id in base64url>.tmp" among the store's temporaries ---- */

static void part_name(char out[32], const struct oid *id)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t acc = 0;
	int bits = 0, n = 0;

	out[n++] = '.';
	for (int i = 0; i < 16; i++) {
		acc = acc << 8 | id->md5[i];
		for (bits += 8; bits >= 6; bits -= 6)
			out[n++] = digits[acc >> (bits - 6) & 63];
	}
	out[n++] = digits[acc << (6 - bits) & 63];
	memcpy(out + n, ".tmp", 5);
}

static char *part_path(const struct task *t, char name[32])
{
	part_name(name, &t->w->id);
	return store_temp_path(t->s, name);
}

static int rehash(struct task *t, struct err *e)
{
	autofree unsigned char *buf = xmalloc(REHASH_BUF);
	ssize_t n;

	while ((n = pread(t->fd, buf, REHASH_BUF, (off_t)t->got)) > 0) {
		md5_update(&t->md5, buf, (size_t)n);
		t->got += (uint64_t)n;
		if (proc_check(e))
			return -1;
	}
	return n < 0 ? err_sys(e, "cannot read the part of an earlier download") : 0;
}

/* Takes over what an earlier process left. 1 taken, 0 there is none, or somebody else is at it. */
static int part_take(struct task *t, struct err *e)
{
	char name[32];
	autofree char *path = part_path(t, name);
	autoclose int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW), spare = -1;
	struct stat mine, named;

	if (fd < 0)
		return 0;
	/* The name may have become an object between open and lock: never write to that. */
	if (flock(fd, LOCK_EX | LOCK_NB) || fstat(fd, &mine) || lstat(path, &named) || mine.st_ino != named.st_ino ||
	    !S_ISREG(mine.st_mode) || mine.st_nlink != 1)
		return 0;
	/* The store makes itself ready for writing when it is asked for a temporary. */
	if (store_temp(t->s, &t->w->id, &spare, &t->tmp, e))
		return -1;
	store_drop(t->s, t->tmp);
	free(t->tmp);
	t->fd = take_fd(fd);
	t->tmp = xstrdup(name);
	t->is_part = true;
	if (rehash(t, e))
		return -1;
	if (lseek(t->fd, (off_t)t->got, SEEK_SET) < 0)
		return err_sys(e, "cannot go on with an earlier download");
	t->op.off = t->got;
	return 1;
}

/* A large download gets the name that another process can find. */
static void part_keep(struct task *t)
{
	char name[32];
	autofree char *path = part_path(t, name), *now = store_temp_path(t->s, t->tmp);

	if (t->is_part || t->op.size < PART_MIN || fs_exists(path) || flock(t->fd, LOCK_EX | LOCK_NB) || rename(now, path))
		return;
	free(t->tmp);
	t->tmp = xstrdup(name);
	t->is_part = true;
}

/* ---- callbacks of a download; they may run in a remote's own thread ---- */

static int get_begin(struct rop *op)
{
	struct task *t = op->user;
	int rc;

	if (t->fd >= 0)
		return 0;
	rc = t->w->id.is_dir ? 0 : part_take(t, &op->err);
	if (rc)
		return rc < 0 ? -1 : 0;
	return store_temp(t->s, &t->w->id, &t->fd, &t->tmp, &op->err);
}

static int get_sink(struct rop *op, const void *p, size_t n)
{
	struct task *t = op->user;

	if (!t->got && op->size >= PART_MIN && !t->w->id.is_dir)
		part_keep(t);
	if (fs_write_all(t->fd, p, n))
		return err_sys(&op->err, "cannot write to the cache");
	md5_update(&t->md5, p, n);
	t->got += n;
	progress_add(t->x->progress, 0, n);
	return 0;
}

static int get_restart(struct rop *op)
{
	struct task *t = op->user;

	op->off = 0;
	t->got = 0;
	md5_init(&t->md5);
	if (t->fd >= 0 && (ftruncate(t->fd, 0) || lseek(t->fd, 0, SEEK_SET)))
		return err_sys(&op->err, "cannot start the download again");
	return 0;
}

/* T3: by the bytes that arrived, or, for old ids, by what DVC 2.x would have computed of them. */
static int get_commit(struct rop *op)
{
	struct task *t = op->user;
	unsigned char md5[16];
	struct md5 m = t->md5;

	md5_final(&m, md5);
	if (memcmp(md5, t->w->id.md5, 16) && t->w->legacy && !t->w->id.is_dir && lseek(t->fd, 0, SEEK_SET) == 0 &&
	    legacy_md5(t->fd, md5, &op->err))
		return -1;
	if (memcmp(md5, t->w->id.md5, 16)) {
		char hex[33];

		hex_encode(hex, md5, 16);
		if (get_restart(op))
			return -1;
		return err_set(&op->err, ++t->corrupt < CORRUPT_TRIES ? ERR_TEMP : ERR_CORRUPT,
			       "what the remote sent does not match its name (its md5 is %s)", hex);
	}
	proc_fault("fetch.verified");
	if (t->w->id.is_dir)
		return 0;       /* named last, after its children */
	return store_publish(t->s, &t->w->id, t->fd, t->tmp, &op->err);
}

static int put_begin(struct rop *op)
{
	struct task *t = op->user;
	struct stat st;

	if (t->fd >= 0)
		return 0;
	if (store_read(t->s, &t->w->id, &t->fd, &op->err))
		return -1;
	if (fstat(t->fd, &st))
		return err_sys(&op->err, "cannot look at the cached object");
	op->fd = t->fd;
	op->size = (uint64_t)st.st_size;
	return 0;
}

/* A part that is sent twice counts once. */
static void put_sent(struct rop *op, size_t n)
{
	struct task *t = op->user;

	if (t->got + n > op->size)
		n = (size_t)(op->size - t->got);
	t->got += n;
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
	x->temp[t->index] = take(t->tmp);
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
	progress_add(x->progress, 1, t->kind == RUN_PUT ? t->op.size - t->got : 0);
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
		/* A copy of another length is none; the right length is known from the pointer or from the cache. */
		if (t->x->o->check && store_has_quick(t->s, &t->w->id, &size) > 0 && size != t->op.size)
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
	if (t->kind == RUN_GET && t->tmp && t->w->state != WANT_MOVED && !(t->is_part && t->got))
		store_drop(t->s, t->tmp);
	if (t->fd >= 0)
		close(t->fd);
	free(t->tmp);
	err_release(&op->err);
	free(t);
}

/* ---- the loop ---- */

static struct task *task_new(struct run *x, enum run_kind kind, size_t i)
{
	struct task *t = xcalloc(1, sizeof(*t));
	struct want *w = &x->w->v[i];

	t->x = x;
	t->w = w;
	t->index = i;
	t->kind = kind;
	t->s = x->store[w->legacy];
	t->fd = -1;
	md5_init(&t->md5);
	oid_key(t->key, &w->id, w->legacy);
	t->op = (struct rop){ .kind = kind == RUN_PUT ? ROP_PUT : kind == RUN_GET ? ROP_GET : ROP_STAT, .key = t->key, .fd = -1,
			      .done = on_done, .user = t };
	t->op.flags = ROP_OBJECT | (w->legacy && !w->id.is_dir ? 0 : ROP_HAS_MD5);
	memcpy(t->op.md5, w->id.md5, 16);
	if (kind == RUN_PUT) {
		t->op.begin = put_begin;
		t->op.sent = put_sent;
		t->op.flags |= ROP_RESUME | (x->overwrite ? 0 : ROP_IF_ABSENT);
	} else if (kind == RUN_GET) {
		t->op.begin = get_begin;
		t->op.commit = get_commit;
		t->op.sink = get_sink;
		t->op.sink_restart = get_restart;
		t->op.flags |= ROP_RESUME;
	}
	return t;
}

static int submit(struct run *x, struct task *t, struct err *e)
{
	int rc;

	while ((rc = remote_submit(x->r, &t->op, e)) > 0 && !x->stop)
		if (proc_check(e) || remote_run(x->r, 1000, e))
			rc = -1;
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
			x->r->ops->cancel(x->r);
			if (x->active)
				remote_run(x->r, 100, NULL);
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

int run_open(struct run *x, struct project *p, struct remote *r, struct want_set *w, const struct transfer_opts *o,
	     struct transfer_result *res, struct err *e)
{
	*x = (struct run){ .p = p, .r = r, .w = w, .o = o, .res = res };
	if (project_cache(p, false, &x->store[0], e) || project_cache(p, true, &x->store[1], e))
		return -1;
	return 0;
}

void run_close(struct run *x)
{
	for (size_t i = 0; i < x->ntemp; i++) {
		if (x->temp[i])
			store_drop(x->store[x->w->v[i].legacy], x->temp[i]);
		free(x->temp[i]);
	}
	free(x->temp);
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
	memset(r, 0, sizeof(*r));
}

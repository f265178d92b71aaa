/*
 * local - a directory as a remote. Its own threads move the bytes: what a small file costs is the kernel's work for
 * open, write and rename, which cores share well.
 */
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/base/proc.h"
#include "core/base/str.h"
#include "remotes/registry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MOST 32u
#define PER_THREAD 64u
#define BUF_SIZE (256u * 1024)
#define LIST_DEPTH 64

struct job { struct rop *op; enum rclass c; struct job *next; };
struct local {
	struct remote remote;
	char *dir;
	mode_t umask;
	_Atomic int no_reflink;
	pthread_mutex_t mu;
	pthread_cond_t work, finished;
	struct job *todo, **todo_tail, *done, **done_tail;
	unsigned inflight, nthreads, want, ready;
	pthread_t *threads;
	bool stop;
};

static struct local *local_of(struct remote *r)
{
	return (struct local *)r;
}

/* ---- in the workers ---- */

static enum rclass fail(struct rop *op, const char *what, const char *path)
{
	err_sys(&op->err, "cannot %s '%s'", what, path);
	return RC_FATAL;
}

/* Also from what err already says. */
static enum rclass failed(const struct rop *op)
{
	enum rclass c = rclass_of_err(&op->err);

	return c == RC_ABSENT ? RC_FATAL : c;
}

static ssize_t read_at(int fd, void *p, size_t n, uint64_t off)
{
	ssize_t got;

	do
		got = pread(fd, p, n, (off_t)off);
	while (got < 0 && errno == EINTR);
	return got;
}

static bool clone_whole(struct local *l, const struct rop *op, int to)
{
	if (op->fd < 0 || l->no_reflink || op->size < 4096)
		return false;
	if (!ioctl(to, FICLONE, op->fd))
		return true;
	if (errno == EOPNOTSUPP || errno == EXDEV || errno == EINVAL || errno == ENOTTY)
		l->no_reflink = 1;
	return false;
}

/* The source's bytes into 'to', digested on the way when their md5 is known. */
static int copy_bytes(struct rop *op, int to, unsigned char *buf, unsigned char md5[16], struct err *e)
{
	uint64_t off = 0;
	struct md5 m;

	md5_init(&m);
	while (off < op->size) {
		size_t want = op->size - off < BUF_SIZE ? (size_t)(op->size - off) : BUF_SIZE;
		const unsigned char *p = op->fd < 0 ? (const unsigned char *)op->mem + off : buf;
		ssize_t got = op->fd < 0 ? (ssize_t)want : read_at(op->fd, buf, want, off);

		if (got < 0)
			return err_sys(e, "cannot read the object");
		if (!got)
			return err_set(e, ERR_CHANGED, "the object became shorter while it was sent");
		if (op->flags & ROP_HAS_MD5)
			md5_update(&m, p, (size_t)got);
		if (fs_write_all(to, p, (size_t)got))
			return err_sys(e, "cannot write");
		off += (uint64_t)got;
		if (op->sent)
			op->sent(op, (size_t)got);
	}
	md5_final(&m, md5);
	return 0;
}

static int open_temp(struct local *l, const char *path, mode_t mode, struct str *tmp, struct err *e)
{
	autofree char *dir = path_dir(path);
	char name[32];
	int fd;

	for (int tries = 0;; tries++) {
		fs_temp_name(name);
		str_reset(tmp);
		str_addf(tmp, "%s/%s", dir, name);
		fd = open(str_cstr(tmp), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
		if (fd >= 0 || tries)
			break;
		if (errno != ENOENT || fs_mkdirs(dir, 0777 & ~l->umask, e))
			break;
	}
	if (fd < 0 && !e->code)
		err_sys(e, "cannot create '%s'", str_cstr(tmp));
	return fd;
}

static enum rclass do_put(struct local *l, struct rop *op, const char *path, unsigned char *buf)
{
	/* Objects are read-only from their first moment; the descriptor may still write. */
	mode_t mode = op->flags & ROP_OBJECT ? 0444 : 0666;
	autostr struct str tmp = STR_INIT;
	unsigned char md5[16];
	autoclose int fd = open_temp(l, path, mode, &tmp, &op->err);

	if (fd < 0)
		return failed(op);
	if (mode == 0444 && (l->umask & 0444) && fchmod(fd, 0444)) {
		err_sys(&op->err, "cannot set the mode of '%s'", str_cstr(&tmp));
		goto undo;
	}
	if (!clone_whole(l, op, fd)) {
		if (copy_bytes(op, fd, buf, md5, &op->err)) {
			err_in(&op->err, "cannot write '%s'", path);
			goto undo;
		}
		if ((op->flags & ROP_HAS_MD5) && memcmp(md5, op->md5, 16)) {
			err_set(&op->err, ERR_CORRUPT, "the cached object does not match its name");
			goto undo;
		}
	}
	proc_fault("remote-put");
	if (rename(str_cstr(&tmp), path)) {
		err_sys(&op->err, "cannot publish '%s'", path);
		goto undo;
	}
	return RC_OK;
undo:
	unlink(str_cstr(&tmp));
	return failed(op);
}

static enum rclass do_get(struct rop *op, const char *path, unsigned char *buf)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? RC_ABSENT : fail(op, "open", path);
	if (fstat(fd, &st))
		return fail(op, "look at", path);
	if (!S_ISREG(st.st_mode)) {
		err_set(&op->err, ERR_FAIL, "'%s' is no regular file", path);
		return RC_FATAL;
	}
	op->size = (uint64_t)st.st_size;
	if (op->begin && op->begin(op))         /* only now: nothing is made for an object that is not there */
		return failed(op);
	for (uint64_t off = op->off;;) {
		ssize_t got = read_at(fd, buf, BUF_SIZE, off);

		if (got < 0)
			return fail(op, "read", path);
		if (!got)
			break;
		if (op->sink(op, buf, (size_t)got))
			return failed(op);
		off += (uint64_t)got;
		if (proc_cancelled()) {
			proc_check(&op->err);
			return RC_FATAL;
		}
		if (off == op->size && got < (ssize_t)BUF_SIZE)
			break;
	}
	return RC_OK;
}

/* DVC's own trust rule for a directory: an object of another mode than 0444 must prove itself. */
static enum rclass check_doubtful(struct rop *op, const char *path, unsigned char *buf)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	unsigned char md5[16];
	uint64_t off = 0;
	struct md5 m;
	ssize_t got;

	if (fd < 0)
		return fail(op, "open", path);
	md5_init(&m);
	while ((got = read_at(fd, buf, BUF_SIZE, off)) > 0) {
		md5_update(&m, buf, (size_t)got);
		off += (uint64_t)got;
	}
	if (got < 0)
		return fail(op, "read", path);
	md5_final(&m, md5);
	if (memcmp(md5, op->md5, 16)) {
		err_set(&op->err, ERR_CORRUPT, "'%s' does not match its name", path);
		return RC_CORRUPT;
	}
	if (fchmod(fd, 0444))
		errno = 0;      /* somebody else's file: it stays doubtful */
	return RC_OK;
}

static enum rclass do_stat(struct rop *op, const char *path, unsigned char *buf)
{
	struct stat st;

	if (stat(path, &st))
		return errno == ENOENT || errno == ENOTDIR ? RC_ABSENT : fail(op, "look at", path);
	if (!S_ISREG(st.st_mode))
		return RC_ABSENT;
	op->size = (uint64_t)st.st_size;
	if ((op->flags & ROP_HAS_MD5) && (st.st_mode & 07777) != 0444)
		return check_doubtful(op, path, buf);
	return RC_OK;
}

static enum rclass do_delete(struct rop *op, const char *path)
{
	if (!unlink(path))
		return RC_OK;
	return errno == ENOENT || errno == ENOTDIR ? RC_ABSENT : fail(op, "remove", path);
}

static enum rclass do_op(struct local *l, struct rop *op, unsigned char *buf)
{
	autofree char *path = path_join(l->dir, op->key);
	enum rclass c;

	err_release(&op->err);
	if (op->kind != ROP_GET && op->begin && op->begin(op))
		return failed(op);
	switch (op->kind) {
	case ROP_PUT:
		c = do_put(l, op, path, buf);
		break;
	case ROP_GET:
		c = do_get(op, path, buf);
		break;
	case ROP_STAT:
		c = do_stat(op, path, buf);
		break;
	default:
		c = do_delete(op, path);
	}
	if (c == RC_OK && op->commit && op->commit(op))
		c = failed(op);
	return c;
}

static void *worker(void *data)
{
	struct local *l = data;
	unsigned char *buf = xmalloc(BUF_SIZE);

	pthread_mutex_lock(&l->mu);
	for (;;) {
		struct job *j;

		while (!l->todo && !l->stop)
			pthread_cond_wait(&l->work, &l->mu);
		if (l->stop)
			break;
		j = l->todo;
		l->todo = j->next;
		if (!l->todo)
			l->todo_tail = &l->todo;
		pthread_mutex_unlock(&l->mu);
		j->c = do_op(l, j->op, buf);
		pthread_mutex_lock(&l->mu);
		j->next = NULL;
		*l->done_tail = j;
		l->done_tail = &j->next;
		/* Waking the caller for every file would cost more than the file. */
		if (++l->ready >= PER_THREAD / 4 || !l->todo)
			pthread_cond_signal(&l->finished);
	}
	pthread_mutex_unlock(&l->mu);
	free(buf);
	return NULL;
}

/* ---- in the caller's thread ---- */

static int start_threads(struct local *l, struct err *e)
{
	if (l->nthreads)
		return 0;
	l->threads = xcalloc(l->want, sizeof(*l->threads));
	for (; l->nthreads < l->want; l->nthreads++) {
		int rc = pthread_create(&l->threads[l->nthreads], NULL, worker, l);

		if (rc && !l->nthreads) {
			errno = rc;
			return err_sys(e, "cannot start a thread");
		}
		if (rc)
			break;
	}
	return 0;
}

static bool key_is_sane(const char *key)
{
	autofree char *norm = path_norm(key);

	return *key && *key != '/' && !strcmp(norm, key) && strncmp(key, "../", 3) && strcmp(key, "..") && strcmp(key, ".");
}

static int local_submit(struct remote *r, struct rop *op, struct err *e)
{
	struct local *l = local_of(r);
	struct job *j;

	if (!key_is_sane(op->key))
		return err_set(e, ERR_UNSAFE, "'%s' leads out of the remote", op->key);
	if (l->inflight >= l->want * PER_THREAD)
		return 1;
	if (start_threads(l, e))
		return -1;
	j = xcalloc(1, sizeof(*j));
	j->op = op;
	l->inflight++;
	pthread_mutex_lock(&l->mu);
	*l->todo_tail = j;
	l->todo_tail = &j->next;
	pthread_cond_signal(&l->work);
	pthread_mutex_unlock(&l->mu);
	return 0;
}

static void give_back(struct local *l, struct job *j)
{
	while (j) {
		struct job *next = j->next;
		struct rop *op = j->op;
		enum rclass c = j->c;

		free(j);
		l->inflight--;
		op->done(op, c);
		j = next;
	}
}

static struct job *take_done(struct local *l)
{
	struct job *j = l->done;

	l->done = NULL;
	l->done_tail = &l->done;
	l->ready = 0;
	return j;
}

static int local_run(struct remote *r, int timeout_ms, struct err *e)
{
	struct local *l = local_of(r);
	struct timespec until;
	struct job *j;

	(void)e;
	if (!l->inflight)
		return 0;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&l->mu);
	while (!l->done)
		if (pthread_cond_timedwait(&l->finished, &l->mu, &until))
			break;
	j = take_done(l);
	pthread_mutex_unlock(&l->mu);
	give_back(l, j);
	return 0;
}

static void local_cancel(struct remote *r)
{
	struct local *l = local_of(r);
	struct job *j;

	pthread_mutex_lock(&l->mu);
	j = l->todo;
	l->todo = NULL;
	l->todo_tail = &l->todo;
	pthread_mutex_unlock(&l->mu);
	for (struct job *k = j; k; k = k->next) {
		k->c = RC_FATAL;
		err_set(&k->op->err, ERR_INTR, "interrupted");
	}
	give_back(l, j);
	while (l->inflight)
		local_run(r, 1000, NULL);
}

static unsigned local_window(struct remote *r, unsigned set)
{
	(void)set;      /* threads, not requests: fixed */
	return local_of(r)->want * PER_THREAD;
}

/* ---- listing ---- */

struct lister { struct local *l; const char *prefix; remote_list_fn *fn; void *data; bool sizes; };

static int list_dir(struct lister *s, int fd, const char *rel, int depth, struct err *e);

static bool below_prefix(const char *key, const char *prefix, bool is_dir)
{
	size_t k = strlen(key), p = strlen(prefix);

	if (k >= p)
		return !strncmp(key, prefix, p);
	return is_dir && !strncmp(key, prefix, k) && (!k || prefix[k] == '/');
}

static int list_entry(struct lister *s, int fd, const char *key, const char *name, int type, int depth, struct err *e)
{
	struct stat st = { .st_size = -1 };

	if (type == DT_DIR) {
		int sub;

		if (!below_prefix(key, s->prefix, true))
			return 0;
		sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (sub < 0)
			return errno == ENOENT ? 0 : err_sys(e, "cannot open '%s/%s'", s->l->dir, key);
		return list_dir(s, sub, key, depth + 1, e);
	}
	if (!below_prefix(key, s->prefix, false) || fs_is_temp_name(name))
		return 0;
	if ((s->sizes || type != DT_REG) && (fstatat(fd, name, &st, 0) || !S_ISREG(st.st_mode)))
		return 0;
	return s->fn(key, st.st_size < 0 ? UINT64_MAX : (uint64_t)st.st_size, NULL, s->data, e);
}

/* Takes fd over. */
static int list_dir(struct lister *s, int fd, const char *rel, int depth, struct err *e)
{
	autostr struct str key = STR_INIT;
	DIR *d = fdopendir(fd);
	struct dirent *ent;
	int rc = 0;

	if (!d) {
		close(fd);
		return err_sys(e, "cannot read '%s/%s'", s->l->dir, rel);
	}
	while (!rc && depth < LIST_DEPTH && (errno = 0, ent = readdir(d))) {
		int type = ent->d_type;

		if (!strcmp(ent->d_name, ".") || !strcmp(ent->d_name, ".."))
			continue;
		if (type == DT_UNKNOWN) {
			struct stat st;

			type = fstatat(fd, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) ? DT_UNKNOWN :
			       S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_LNK;
		}
		str_reset(&key);
		str_addf(&key, "%s%s%s", rel, *rel ? "/" : "", ent->d_name);
		rc = list_entry(s, fd, str_cstr(&key), ent->d_name, type, depth, e);
	}
	if (!rc && depth < LIST_DEPTH && errno)
		rc = err_sys(e, "cannot read '%s/%s'", s->l->dir, rel);
	closedir(d);
	return rc;
}

static int local_list(struct remote *r, const char *prefix, remote_list_fn *fn, void *data, struct err *e)
{
	struct local *l = local_of(r);
	struct lister s = { l, prefix, fn, data, !r->names_only };
	const char *slash = strrchr(prefix, '/');
	autofree char *rel = xstrndup(prefix, slash ? (size_t)(slash - prefix) : 0);
	autofree char *top = *rel ? path_join(l->dir, rel) : xstrdup(l->dir);
	int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(e, "cannot open '%s'", top);
	return list_dir(&s, fd, rel, 0, e);
}

static void local_close(struct remote *r)
{
	struct local *l = local_of(r);

	local_cancel(r);
	pthread_mutex_lock(&l->mu);
	l->stop = true;
	pthread_cond_broadcast(&l->work);
	pthread_mutex_unlock(&l->mu);
	for (unsigned i = 0; i < l->nthreads; i++)
		pthread_join(l->threads[i], NULL);
	pthread_mutex_destroy(&l->mu);
	pthread_cond_destroy(&l->work);
	pthread_cond_destroy(&l->finished);
	free(l->threads);
	free(l->dir);
	free(r->name);
	free(r->url);
	free(l);
}

static int local_open(struct remote **out, const struct remote_conf *c, struct err *e)
{
	static const struct remote_ops ops = {
		.scheme = "local", .close = local_close, .submit = local_submit, .run = local_run, .list = local_list,
		.window = local_window, .cancel = local_cancel,
	};
	struct local *l = xcalloc(1, sizeof(*l));
	unsigned cores = pool_cores();

	(void)e;
	l->remote.ops = &ops;
	l->remote.caps = REMOTE_LIST | REMOTE_RANGE | REMOTE_ATOMIC_PUT | REMOTE_DELETE | REMOTE_LOCAL;
	l->dir = xstrdup(c->url);
	l->remote.local_dir = l->dir;
	l->umask = fs_umask();
	l->want = c->jobs ? c->jobs : cores < 2 ? 2 : cores;
	if (l->want > THREADS_MOST)
		l->want = THREADS_MOST;
	pthread_mutex_init(&l->mu, NULL);
	pthread_cond_init(&l->work, NULL);
	pthread_cond_init(&l->finished, NULL);
	l->todo_tail = &l->todo;
	l->done_tail = &l->done;
	*out = &l->remote;
	return 0;
}

const struct remote_driver local_driver = { "", local_open };

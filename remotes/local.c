/*
 * local - a directory as a remote. Its own threads move the bytes: what a small file costs is the kernel's work for
 * open, write and rename, which cores share well.
 *
 *  P1  A large put with ROP_RESUME writes a temporary that this machine, source file and key alone name, under an flock.
 *      A later process takes over what is there: it is digested again, and the digest of the whole decides.
 *  P2  One flush whenever nothing is on its way any more: all files of a directory are on disk before its
 *      manifest is written, and everything before success is told. Not where core.fsync is set to deferred. A few files
 *      are flushed by name, so that a small push does not wait for what other programs wrote.
 *  P3  Every temporary stands in a directory that the journal of remains.h had listed before: a later push takes away what a
 *      killed one left.
 *  P4  The bytes that get an object's name were digested in the file that gets it, or on their way into it. A reflink is read
 *      after it was made: whoever changes the source later changes another file.
 */
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/base/proc.h"
#include "core/base/str.h"
#include "core/repo/config.h"
#include "remotes/registry.h"
#include "remotes/remains.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MOST 32u
#define PER_THREAD 64u
#define FILES_SHARE 4u          /* of the descriptors this process may have */
#define BUF_SIZE (256u * 1024)
#define LIST_DEPTH 64
#define RESUME_MIN (32u << 20)           /* smaller puts are made anew */
#define FEW 16                          /* files that are flushed by name */

struct job { struct rop *op; enum rclass c; struct job *next; };
struct local {
	struct remote remote;
	char *dir;
	mode_t umask;
	bool shared;                    /* 'shared = group' */
	_Atomic int no_reflink;
	bool flush;                     /* core.fsync: P2 */
	size_t wrote;                   /* files since the last flush; the first FEW of them: */
	struct strvec written;
	struct remains *remains;        /* P3; NULL until something is written or deleted */
	pthread_mutex_t mu;
	pthread_cond_t work, finished;
	struct job *queued, **queued_tail, *done, **done_tail;
	unsigned inflight, most, nthreads, want, ready;
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

/* One put on its way. from > 0: an earlier process's part, which begins with so many bytes (P1). */
struct putting {
	struct local *l;
	struct rop *op;
	const char *path;
	struct str tmp;
	int fd;
	mode_t mode;
	bool part;
	uint64_t from;
	struct md5 md5;
	unsigned char *buf;
};

/* What is there already, into the digest: the final comparison vouches for it. */
static int digest_part(struct putting *p, struct err *e)
{
	uint64_t off = 0;

	while (off < p->from) {
		size_t want = p->from - off < BUF_SIZE ? (size_t)(p->from - off) : BUF_SIZE;
		ssize_t got = read_at(p->fd, p->buf, want, off);

		if (got < 0)
			return err_sys(e, "cannot read what was uploaded");
		if (!got)
			return err_set(e, ERR_CHANGED, "the object became shorter while it was sent");
		md5_update(&p->md5, p->buf, (size_t)got);
		off += (uint64_t)got;
		if (p->op->sent)
			p->op->sent(p->op, (size_t)got);
		if (proc_check(e))
			return -1;
	}
	return lseek(p->fd, (off_t)off, SEEK_SET) < 0 ? err_sys(e, "cannot go on with an earlier upload") : 0;
}

/* The source's bytes from 'from' on, digested on the way when their md5 is known. */
static int copy_bytes(struct putting *p, struct err *e)
{
	struct rop *op = p->op;
	uint64_t off = p->from;
	int hole = 0;

	while (off < op->size) {
		size_t want = op->size - off < BUF_SIZE ? (size_t)(op->size - off) : BUF_SIZE;
		const unsigned char *from = op->fd < 0 ? (const unsigned char *)op->mem + off : p->buf;
		ssize_t got = op->fd < 0 ? (ssize_t)want : read_at(op->fd, p->buf, want, off);

		if (got < 0)
			return err_sys(e, "cannot read the object");
		if (!got)
			return err_set(e, ERR_CHANGED, "the object became shorter while it was sent");
		if (op->flags & ROP_HAS_MD5)
			md5_update(&p->md5, from, (size_t)got);
		hole = fs_write_sparse(p->fd, from, (size_t)got);
		if (hole < 0)
			return err_sys(e, "cannot write");
		off += (uint64_t)got;
		if (op->sent)
			op->sent(op, (size_t)got);
		if (proc_check(e))
			return -1;
	}
	return hole && ftruncate(p->fd, (off_t)off) ? err_sys(e, "cannot write") : 0;
}

static int make_dirs(const struct local *l, const char *dir, struct err *e)
{
	return l->shared ? fs_mkdirs_shared(dir, e) : fs_mkdirs(dir, 0777 & ~l->umask, e);
}

static int open_made(struct putting *p, const char *dir, int flags, mode_t mode)
{
	int fd = open(str_cstr(&p->tmp), flags | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);

	if (fd >= 0 || errno != ENOENT || make_dirs(p->l, dir, &p->op->err))
		return fd;
	return open(str_cstr(&p->tmp), flags | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
}

/* P3. The journal lies in the remote's own directory, which the first push of all has to make. */
static int note_dir(struct local *l, const struct rop *op, struct err *e)
{
	autofree char *dir = path_dir(op->key);
	const char *rel = *dir ? dir : ".";

	if (remains_note(l->remains, rel))
		return 0;
	if (make_dirs(l, l->dir, e))
		return -1;
	remains_note(l->remains, rel);
	return 0;
}

static void note_part(struct local *l, const struct rop *op, const char *name)
{
	autofree char *dir = path_dir(op->key), *rel = path_join(dir, name);

	remains_note_part(l->remains, rel);
}

/* P1. False: there is none to go on with, or somebody else is at it. */
static bool open_part(struct putting *p, const char *dir)
{
	const struct rop *op = p->op;
	struct stat src, mine, named;
	struct utsname u;
	autostr struct str id = STR_INIT;
	unsigned char digest[16];
	char name[32];

	if (op->fd < 0 || op->size < RESUME_MIN || (op->flags & (ROP_RESUME | ROP_HAS_MD5)) != (ROP_RESUME | ROP_HAS_MD5) ||
	    fstat(op->fd, &src) || uname(&u))
		return false;
	str_addf(&id, "%s %llu %llu %s", u.nodename, (unsigned long long)src.st_dev, (unsigned long long)src.st_ino, op->key);
	md5_once(id.buf, id.len, digest);
	fs_temp_known(name, digest);
	str_addf(&p->tmp, "%s/%s", dir, name);
	note_part(p->l, op, name);
	p->fd = open_made(p, dir, O_RDWR, 0600);
	if (p->fd < 0)
		return false;
	/* The name may have become an object between open and lock: never write to that. */
	if (flock(p->fd, LOCK_EX | LOCK_NB) || fstat(p->fd, &mine) || lstat(str_cstr(&p->tmp), &named) ||
	    mine.st_ino != named.st_ino || !S_ISREG(mine.st_mode) || mine.st_nlink != 1 || (mine.st_mode & 0222) == 0) {
		close(p->fd);
		p->fd = -1;
		return false;
	}
	p->part = true;
	p->from = (uint64_t)mine.st_size;
	return true;
}

static int open_temp(struct putting *p, struct err *e)
{
	autofree char *dir = path_dir(p->path);
	char name[32];

	if (note_dir(p->l, p->op, e))
		return -1;
	if (open_part(p, dir))
		return 0;
	fs_temp_scratch(name);
	str_reset(&p->tmp);
	str_addf(&p->tmp, "%s/%s", dir, name);
	/* Objects are read-only from their first moment; the descriptor may still write, and read a clone. */
	p->fd = e->code ? -1 : open_made(p, dir, O_RDWR | O_EXCL, p->mode);
	if (p->fd < 0)
		return e->code ? -1 : err_sys(e, "cannot create '%s'", str_cstr(&p->tmp));
	return 0;
}

static int start_over(struct putting *p)
{
	p->from = 0;
	return ftruncate(p->fd, 0) || lseek(p->fd, 0, SEEK_SET) < 0 ? -1 : 0;
}

static int fill(struct putting *p, struct err *e)
{
	unsigned char digest[16];
	bool had;

	if (p->from > p->op->size && start_over(p))
		return err_sys(e, "cannot write");
	if (!p->from && clone_whole(p->l, p->op, p->fd)) {
		if (!(p->op->flags & ROP_HAS_MD5))
			return 0;
		p->from = p->op->size;  /* P4: digested as a part would be */
	}
	do {
		had = p->from > 0;
		md5_init(&p->md5);
		if ((had && digest_part(p, e)) || copy_bytes(p, e))
			return -1;
		md5_final(&p->md5, digest);
		if (!(p->op->flags & ROP_HAS_MD5) || !memcmp(digest, p->op->md5, 16))
			return 0;
	} while (had && !start_over(p));        /* the clone or part was of other bytes, or a power cut took some */
	return err_set(e, ERR_CORRUPT, "the cached object does not match its name");
}

static void note_written(struct local *l, const char *path)
{
	pthread_mutex_lock(&l->mu);
	if (l->wrote++ < FEW)
		strvec_push(&l->written, path);
	pthread_mutex_unlock(&l->mu);
}

static int put_file(struct putting *p, struct err *e)
{
	if (fill(p, e))
		return err_in(e, "cannot write '%s'", p->path);
	if ((p->part || (p->mode == 0444 && (p->l->umask & 0444))) &&
	    fchmod(p->fd, p->mode == 0444 ? 0444 : 0666 & ~p->l->umask))
		return err_sys(e, "cannot set the mode of '%s'", str_cstr(&p->tmp));
	if (fs_settle(p->fd))
		return err_sys(e, "cannot write '%s'", p->path);
	proc_fault("remote-put");
	if (rename(str_cstr(&p->tmp), p->path))
		return err_sys(e, "cannot publish '%s'", p->path);
	note_written(p->l, p->path);
	return 0;
}

static enum rclass do_put(struct local *l, struct rop *op, const char *path, unsigned char *buf)
{
	struct putting p = { .l = l, .op = op, .path = path, .tmp = STR_INIT, .fd = -1, .buf = buf,
			     .mode = op->flags & ROP_OBJECT ? 0444 : 0666 };
	int rc = open_temp(&p, &op->err);

	if (!rc)
		rc = put_file(&p, &op->err);
	if (rc && p.fd >= 0 && ((p.part && op->err.code == ERR_INTR) || (unlink(str_cstr(&p.tmp)) && errno != ENOENT)))
		remains_keep(l->remains);
	if (p.fd >= 0)
		close(p.fd);
	str_release(&p.tmp);
	return rc ? failed(op) : RC_OK;
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

		while (!l->queued && !l->stop)
			pthread_cond_wait(&l->work, &l->mu);
		if (l->stop)
			break;
		j = l->queued;
		l->queued = j->next;
		if (!l->queued)
			l->queued_tail = &l->queued;
		pthread_mutex_unlock(&l->mu);
		j->c = do_op(l, j->op, buf);
		pthread_mutex_lock(&l->mu);
		j->next = NULL;
		*l->done_tail = j;
		l->done_tail = &j->next;
		/* Waking the caller for every file would cost more than the file. */
		if (++l->ready >= PER_THREAD / 4 || !l->queued)
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
	if (l->inflight >= l->most)
		return 1;
	if (start_threads(l, e))
		return -1;
	if (!l->remains && (op->kind == ROP_PUT || op->kind == ROP_DELETE))
		l->remains = remains_open(l->dir);
	j = xcalloc(1, sizeof(*j));
	j->op = op;
	l->inflight++;
	pthread_mutex_lock(&l->mu);
	*l->queued_tail = j;
	l->queued_tail = &j->next;
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

/* The file, its name, and the names of the directories above it, which may be new as far up as the remote's own. */
static int flush_file(const struct local *l, const char *path, struct err *e)
{
	autofree char *dir = path_dir(path), *above = path_dir(l->dir);

	if (fs_sync(path, e))
		return -1;
	while (strcmp(dir, above) && path_is_inside(dir, above)) {
		char *up = path_dir(dir);
		autoclose int fd = open(up, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		free(dir);
		dir = up;
		if (fd >= 0 && fsync(fd) && errno != EINVAL && errno != EROFS)
			return err_sys(e, "fsync");
	}
	return 0;
}

/* P2 */
static int flush(struct local *l, struct err *e)
{
	size_t n = l->wrote;
	int rc = 0;

	if (l->inflight || !l->flush || !n)
		return 0;
	l->wrote = 0;
	for (size_t i = 0; !rc && n <= FEW && i < n; i++)
		rc = flush_file(l, l->written.v[i], e);
	strvec_reset(&l->written);
	if (n > FEW) {
		autoclose int fd = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0 || syncfs(fd))
			rc = err_sys(e, "syncfs");
	}
	return rc ? err_in(e, "cannot flush '%s'", l->dir) : 0;
}

static int local_run(struct remote *r, int timeout_ms, struct err *e)
{
	struct local *l = local_of(r);
	struct timespec until;
	struct job *j;

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
	return flush(l, e);
}

static void local_cancel(struct remote *r)
{
	struct local *l = local_of(r);
	struct job *j;

	pthread_mutex_lock(&l->mu);
	j = l->queued;
	l->queued = NULL;
	l->queued_tail = &l->queued;
	pthread_mutex_unlock(&l->mu);
	for (struct job *k = j; k; k = k->next) {
		k->c = RC_FATAL;
		err_set(&k->op->err, ERR_INTR, "interrupted");
	}
	give_back(l, j);
	l->flush = false;
	while (l->inflight)
		local_run(r, 1000, NULL);
}

static unsigned local_window(struct remote *r, unsigned set)
{
	(void)set;      /* threads, not requests: fixed */
	return local_of(r)->most;
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
	strvec_release(&l->written);
	remains_close(l->remains);
	free(l->dir);
	free(r->name);
	free(r->url);
	free(l);
}

/* What is done holds its file until the caller has seen it; what a worker does holds three. */
static void limit(struct local *l)
{
	struct rlimit files;

	l->most = l->want * PER_THREAD;
	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur / FILES_SHARE < l->most)
		l->most = files.rlim_cur < FILES_SHARE ? 1 : (unsigned)(files.rlim_cur / FILES_SHARE);
}

static int local_open(struct remote **out, const struct remote_conf *c, struct err *e)
{
	static const struct remote_ops ops = {
		.scheme = "local", .close = local_close, .submit = local_submit, .run = local_run, .list = local_list,
		.window = local_window, .cancel = local_cancel,
	};
	struct local *l = xcalloc(1, sizeof(*l));
	unsigned cores = pool_cores();
	const char *how;

	(void)e;
	l->remote.ops = &ops;
	l->remote.caps = REMOTE_LIST | REMOTE_RANGE | REMOTE_DELETE | REMOTE_LOCAL;
	l->dir = xstrdup(c->url);
	l->remote.local_dir = l->dir;
	l->umask = fs_umask();
	l->shared = rconf_get(c, "shared") && !strcmp(rconf_get(c, "shared"), "group");
	l->want = c->jobs ? c->jobs : cores < 2 ? 2 : cores;
	if (l->want > THREADS_MOST)
		l->want = THREADS_MOST;
	how = c->config ? config_own(c->config, "core.fsync") : NULL;
	l->flush = !how || strcmp(how, "deferred") != 0;
	limit(l);
	pthread_mutex_init(&l->mu, NULL);
	pthread_cond_init(&l->work, NULL);
	pthread_cond_init(&l->finished, NULL);
	l->queued_tail = &l->queued;
	l->done_tail = &l->done;
	*out = &l->remote;
	return 0;
}

const struct remote_driver local_driver = { "", local_open };

/* The materialising half of ingest.h: objects out of the store into the work tree, as copies or links. */
#include "core/cache/ingest_own.h"

#include "core/base/err.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/base/proc.h"
#include "core/base/temps.h"
#include "core/base/progress.h"
#include "core/base/str.h"
#include "core/cache/state.h"
#include "core/cache/store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define BUFFER (256u << 10)
#define FLUSH_FROM 64                   /* as in ingest.c */
#define INSIDE_FROM (1u << 20)            /* smaller ones cost more calls than they save */
#define INSIDE_MOST (64u << 20)
#define REMEMBER_AT (256u << 10)        /* records put before they are committed */

/* What one worker keeps from file to file. */
struct desk {
	char *dir;                      /* directory whose descriptor is open */
	int dirfd;
	unsigned char *buf;
	uint64_t size;                  /* of the object that is put out now */
	bool changed;                   /* the file to replace turned out to be another one */
};
struct placing {
	struct ingest *in;
	const char *root;
	bool is_file;                   /* the root is the file itself */
	int rootfd;
	struct place *p;
	struct state_stat *st;          /* of each file made; size UINT64_MAX: not to be remembered */
	struct desk *desk;              /* per worker */
	atomic_bool unusable[LINK_COPY + 1];
	atomic_bool no_anon;            /* the file system has no O_TMPFILE */
	_Atomic size_t missing;
};

static bool is_unsupported(int errnum)
{
	return errnum == EOPNOTSUPP || errnum == ENOTTY || errnum == EXDEV || errnum == EINVAL || errnum == ENOSYS ||
	       errnum == EPERM || errnum == EMLINK;
}

/*
 * A1 for files that we make: their mtime is set just below the clock, so that whatever is written to them from the
 * moment they have a name gives them another one.
 */
static int stamp(int fd)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT } };

	clock_gettime(CLOCK_REALTIME_COARSE, &t[1]);
	if (t[1].tv_nsec-- == 0) {
		t[1].tv_nsec = 999999999;
		t[1].tv_sec--;
	}
	return futimens(fd, t);
}

/* Inside the kernel a large file is copied once, through a buffer twice. What cannot be done so is left to do. */
static uint64_t copy_inside(int from, int to, uint64_t left)
{
	while (left >= INSIDE_FROM) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, left < INSIDE_MOST ? (size_t)left : INSIDE_MOST, 0);

		if (n <= 0 && (!n || errno != EINTR))
			break;
		left -= n > 0 ? (uint64_t)n : 0;
	}
	return left;
}

/* All of the object: a file system may give less than was asked for, and then more. */
static int copy_bytes(int from, int to, unsigned char *buf, uint64_t left)
{
	left = copy_inside(from, to, left);
	while (left) {
		ssize_t n = read(from, buf, left < BUFFER ? (size_t)left : BUFFER);

		if (n < 0 && errno == EINTR)
			continue;
		if (!n)
			errno = ESTALE; /* shorter than it was a moment ago */
		if (n <= 0 || fs_write_all(to, buf, (size_t)n))
			return -1;
		left -= (uint64_t)n;
	}
	return 0;
}

static bool is_what_was(const struct place_was *w, const struct stat *st)
{
	if (!w->known)
		return true;
	if (w->is_link && S_ISLNK(st->st_mode))
		return true;
	return S_ISREG(st->st_mode) && st->st_ino == w->ino && (uint64_t)st->st_size == w->size &&
		st->st_mtim.tv_sec * 1000000000ll + st->st_mtim.tv_nsec == w->mtime_ns;
}

/* Something else than what was judged stood there: it gets its name back. Whoever writes in between only makes us look
 * again; what cannot have its name is left beside it. */
static int put_back(struct desk *d, char *tmp, const char *base, ino_t ours)
{
	struct stat st;
	char aside[300];

	d->changed = true;
	for (int tries = 0; tries < 8; tries++) {
		if (renameat2(d->dirfd, tmp, d->dirfd, base, RENAME_EXCHANGE)) {
			if (errno != ENOENT || renameat2(d->dirfd, tmp, d->dirfd, base, RENAME_NOREPLACE))
				break;
			errno = ESTALE;
			return -1;
		}
		if (!fstatat(d->dirfd, tmp, &st, AT_SYMLINK_NOFOLLOW) && st.st_ino == ours) {
			unlinkat(d->dirfd, tmp, 0);
			errno = ESTALE;
			return -1;
		}
		ours = st.st_ino;       /* the newest of all: it is given the name in turn */
	}
	/* A scratch name is swept up by a later run, and these are the user's bytes: they get a name that stays. */
	for (int n = 0; n < 1000; n++) {
		snprintf(aside, sizeof(aside), "%.200s.changed-%ld-%d", base, (long)getpid(), n);
		if (!renameat2(d->dirfd, tmp, d->dirfd, aside, RENAME_NOREPLACE) || errno != EEXIST)
			break;
	}
	tmp[0] = '\0';                  /* not ours to remove */
	errno = ESTALE;
	return -1;
}

/*
 * The new file and the old one change places in one step, then the old one is looked at: a change that came in at the
 * last moment is found and taken back. Where the file system cannot, the old one is looked at just before.
 */
static int swap_in(struct desk *d, char *tmp, const struct place *p, const char *base)
{
	struct stat mine, st;

	if (p->was.known && fstatat(d->dirfd, tmp, &mine, AT_SYMLINK_NOFOLLOW))
		return -1;
	proc_fault("place.swap");
	if (p->was.known && !renameat2(d->dirfd, tmp, d->dirfd, base, RENAME_EXCHANGE)) {
		if (fstatat(d->dirfd, tmp, &st, AT_SYMLINK_NOFOLLOW))
			return errno == ENOENT ? 0 : -1;
		if (!is_what_was(&p->was, &st))
			return put_back(d, tmp, base, mine.st_ino);
		return unlinkat(d->dirfd, tmp, 0);
	}
	if (p->was.known && errno == ENOENT) {
		if (!renameat2(d->dirfd, tmp, d->dirfd, base, RENAME_NOREPLACE))
			return 0;
		d->changed = errno == EEXIST;
		return -1;
	}
	if (p->was.known && errno != EINVAL && errno != ENOSYS)
		return -1;
	if (!fstatat(d->dirfd, base, &st, AT_SYMLINK_NOFOLLOW) && !is_what_was(&p->was, &st)) {
		d->changed = true;
		errno = ESTALE;
		return -1;
	}
	if (renameat(d->dirfd, tmp, d->dirfd, base))
		return -1;
	unlinkat(d->dirfd, tmp, 0);     /* rename() does nothing when both names are one inode */
	return 0;
}

/* Gives the complete file its name; only a file that may be replaced is. tmp "": the file has no name yet. */
static int name_it(struct desk *d, int fd, char *tmp, const struct place *p, const char *base)
{
	char proc[32];

	if (!*tmp) {
		if (!linkat(fd, "", d->dirfd, base, AT_EMPTY_PATH))
			return 0;
		if (errno != ENOENT)
			return -1;
		snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);   /* no privilege for the direct way */
		return linkat(AT_FDCWD, proc, d->dirfd, base, AT_SYMLINK_FOLLOW);
	}
	if (p->replace)
		return swap_in(d, tmp, p, base);
	if (!renameat2(d->dirfd, tmp, d->dirfd, base, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(d->dirfd, tmp, d->dirfd, base, 0))  /* file systems that do not know the flag */
		return -1;
	return unlinkat(d->dirfd, tmp, 0);
}

/* A new file is made without a name where that can be: whatever ends the process leaves nothing in the work tree. */
static int open_new(struct placing *g, struct desk *d, const struct place *p, char tmp[32])
{
	mode_t mode = p->isexec ? 0766 : 0666;
	int fd;

	if (!p->replace && !atomic_load_explicit(&g->no_anon, memory_order_relaxed)) {
		tmp[0] = 0;
		fd = openat(d->dirfd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
		if (fd >= 0 || errno == ENOSPC || errno == EDQUOT || errno == EACCES || errno == EROFS ||
		    errno == EMFILE || errno == ENFILE)
			return fd;
		atomic_store(&g->no_anon, true);
	}
	fs_temp_scratch(tmp);
	return openat(d->dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
}

/* Copy or reflink. */
static int by_content(struct placing *g, size_t i, struct desk *d, const char *base, int from, bool clone)
{
	struct place *p = &g->p[i];
	char tmp[32];
	struct stat st;
	autoclose int fd = open_new(g, d, p, tmp);

	if (fd < 0)
		return -1;
	proc_fault("place.created");
	if (clone ? ioctl(fd, FICLONE, from) : copy_bytes(from, fd, d->buf, d->size))
		goto undo;
	if (stamp(fd) || (*tmp && fs_settle(fd)))
		goto undo;
	proc_fault("place.complete");
	if (name_it(d, fd, tmp, p, base))
		goto undo;
	proc_fault("place.named");
	/* Where stamps are whole seconds ours is not below the clock, and the rest of the second would go unseen. */
	if (!fstat(fd, &st) && st.st_mtim.tv_nsec)
		state_stat_of(&g->st[i], &st);
	return 0;
undo:
	if (*tmp)
		temps_remove(d->dirfd, tmp);
	return -1;
}

static int link_once(struct placing *g, const struct place *p, int dirfd, const char *name, bool symbolic)
{
	autofree char *object = store_path(g->in->store, &p->id);

	return symbolic ? symlinkat(object, dirfd, name) : linkat(AT_FDCWD, object, dirfd, name, 0);
}

static int by_link(struct placing *g, size_t i, struct desk *d, const char *base, bool symbolic)
{
	struct place *p = &g->p[i];
	char tmp[32];
	struct stat st;

	if (!p->replace && link_once(g, p, d->dirfd, base, symbolic))
		return -1;
	if (p->replace) {
		fs_temp_scratch(tmp);
		if (link_once(g, p, d->dirfd, tmp, symbolic))
			return -1;
		if (swap_in(d, tmp, p, base)) {
			temps_remove(d->dirfd, tmp);
			return -1;
		}
	}
	proc_fault("place.linked");
	/* As DVC: the bit is set on the inode that the object shares. */
	if (p->isexec && !fstatat(d->dirfd, base, &st, 0))
		(void)!fchmodat(d->dirfd, base, (st.st_mode & 07777) | S_IXUSR, 0);
	return 0;
}

/* -1 and errno; 'from' is opened for the kinds that read. */
static int try_kind(struct placing *g, size_t i, struct desk *d, const char *base, enum link_kind k, int from)
{
	switch (k) {
	case LINK_REFLINK:
		return by_content(g, i, d, base, from, true);
	case LINK_HARDLINK:
		return by_link(g, i, d, base, false);
	case LINK_SYMLINK:
		return by_link(g, i, d, base, true);
	case LINK_COPY:
		break;
	}
	if (lseek(from, 0, SEEK_SET) < 0)
		return -1;
	return by_content(g, i, d, base, from, false);
}

static int nothing_works(struct placing *g, const struct place *p, struct err *e)
{
	autostr struct str kinds = STR_INIT;

	for (size_t i = 0; i < g->in->ntypes; i++)
		str_addf(&kinds, "%s%s", i ? ", " : "", link_kind_name(g->in->types[i]));
	return err_set(e, ERR_UNSUPPORTED, "cannot link '%s%s%s' from the cache: no cache type of '%s' works there",
		       g->root, *p->rel ? "/" : "", p->rel, str_cstr(&kinds));
}

static int make(struct placing *g, size_t i, struct desk *d, const char *base, int from, struct err *e)
{
	struct place *p = &g->p[i];
	struct stat st;

	if (fstat(from, &st))
		return err_sys(e, "cannot stat the object of '%s/%s'", g->root, p->rel);
	d->size = (uint64_t)st.st_size;
	for (size_t t = 0; t < g->in->ntypes; t++) {
		enum link_kind k = g->in->types[t];

		if (k == LINK_HARDLINK && !st.st_size)
			k = LINK_COPY;  /* as DVC: empty files are made, not linked */
		if (atomic_load_explicit(&g->unusable[k], memory_order_relaxed))
			continue;
		if (!try_kind(g, i, d, base, k, from)) {
			p->kind = k;
			p->done = true;
			return 0;
		}
		if (d->changed)
			return err_set(e, ERR_CHANGED, "'%s%s%s' was changed by somebody else meanwhile, it is left as it is",
				       g->root, *p->rel ? "/" : "", p->rel);
		if (k == LINK_COPY || !is_unsupported(errno))
			return err_sys(e, "cannot create '%s%s%s'", g->root, *p->rel ? "/" : "", p->rel);
		if (errno != EMLINK)    /* that is one object's trouble, the others are the file system's */
			atomic_store(&g->unusable[k], true);
	}
	return nothing_works(g, p, e);
}

/* Opens the directory of a place unless it is the one of the last place. */
static int go_to(struct placing *g, struct desk *d, const char *rel, const char **base, struct err *e)
{
	autofree char *dir = NULL;
	int fd;

	if (g->is_file) {
		*base = path_base(g->root);
		d->dirfd = g->rootfd;
		temps_note_fd(g->rootfd);
		return 0;
	}
	dir = path_dir(rel);
	*base = path_base(rel);
	if (d->dir && !strcmp(d->dir, dir))
		return 0;
	fd = fs_parent_beneath(g->rootfd, rel, true, base, e);
	if (fd < 0)
		return err_in(e, "cannot create '%s/%s'", g->root, rel);
	if (d->dir)
		close(d->dirfd);
	free(d->dir);
	d->dir = take(dir);
	d->dirfd = fd;
	temps_note_fd(fd);
	return 0;
}

static int place_one(struct placing *g, size_t i, struct desk *d, struct err *e)
{
	struct place *p = &g->p[i];
	struct err mine = ERR_INIT;
	autoclose int from = -1;
	const char *base;

	p->done = false;
	g->st[i].size = UINT64_MAX;
	if (!g->is_file && !path_is_safe(p->rel))
		return err_set(e, ERR_UNSAFE, "refused to create '%s' in '%s': the path is not safe", p->rel, g->root);
	if (store_read(g->in->store, &p->id, &from, &mine)) {
		if (mine.code != ERR_NOTFOUND && mine.code != ERR_CORRUPT) {
			err_move(e, &mine);
			return -1;
		}
		err_release(&mine);
		atomic_fetch_add(&g->missing, 1);
		return 0;
	}
	if (go_to(g, d, p->rel, &base, &mine) || make(g, i, d, base, from, &mine)) {
		if (!g->in->goes_on || mine.code != ERR_PERM) {
			err_move(e, &mine);
			return -1;
		}
		notice(NOTICE_WARN, "%s", mine.msg);
		err_release(&mine);
		atomic_fetch_add(&g->missing, 1);
		return 0;
	}
	progress_add(g->in->progress, 1, 0);
	return 0;
}

static int place_some(void *data, size_t from, size_t to, unsigned worker, struct err *e)
{
	struct placing *g = data;
	struct desk *d = &g->desk[worker];

	if (!d->buf)
		d->buf = xmalloc(BUFFER);
	for (size_t i = from; i < to; i++)
		if (place_one(g, i, d, e))
			return -1;
	return 0;
}

/* Links share an inode whose ctime moves with every further link: they are looked at when all are made. */
static int stat_links(void *data, size_t from, size_t to, unsigned worker, struct err *e)
{
	struct placing *g = data;

	(void)worker, (void)e;
	for (size_t i = from; i < to; i++) {
		const struct place *p = &g->p[i];
		struct stat st;

		if (!p->done || (p->kind != LINK_HARDLINK && p->kind != LINK_SYMLINK))
			continue;
		if (fstatat(g->rootfd, g->is_file ? path_base(g->root) : p->rel, &st, 0))
			continue;
		state_stat_of(&g->st[i], &st);
		/* The inode is the object's: protected since long, so its mtime alone must be older than now. */
		if (g->st[i].mtime_ns >= state_now() - 2000000000)
			g->st[i].size = UINT64_MAX;
	}
	return 0;
}

static void remember(struct placing *g, size_t n)
{
	autofree char *abs = path_abs(g->root);
	autoerr struct err ignored = ERR_INIT;
	autostr struct str path = STR_INIT;
	size_t waiting = 0;

	for (size_t i = 0; i < n; i++) {
		if (!g->p[i].done || g->st[i].size == UINT64_MAX)
			continue;
		str_reset(&path);
		str_adds(&path, abs);
		if (!g->is_file)
			str_addf(&path, "/%s", g->p[i].rel);
		state_put_stat(g->in->state, path.buf, &g->st[i], &g->p[i].id);
		if (++waiting % REMEMBER_AT == 0 && state_flush(g->in->state, &ignored))
			return;
	}
	if (n >= FLUSH_FROM)
		state_flush(g->in->state, &ignored);
}

static int open_place(struct placing *g, size_t n, struct err *e)
{
	autofree char *parent = NULL;

	g->is_file = n == 1 && !*g->p[0].rel;
	parent = g->is_file ? path_dir(g->root) : xstrdup(g->root);
	if (!*parent) {
		free(parent);
		parent = xstrdup(".");
	}
	if (fs_mkdirs(parent, 0777, e))
		return -1;
	g->rootfd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return g->rootfd < 0 ? err_sys(e, "cannot open '%s'", parent) : 0;
}

int ingest_place(struct ingest *in, const char *root, struct place *p, size_t n, size_t *missing, struct err *e)
{
	struct placing g = { .in = in, .root = root, .p = p, .rootfd = -1 };
	unsigned workers = pool_size(in->pool);
	int rc;

	*missing = 0;
	if (!n)
		return 0;
	if (open_place(&g, n, e))
		return -1;
	g.st = xreallocarray(NULL, n, sizeof(*g.st));
	for (size_t i = 0; i < n; i++)
		g.p[i].done = false;
	g.desk = xcalloc(workers, sizeof(*g.desk));
	rc = pool_for(in->pool, n, BATCH, place_some, &g, e);
	if (in->state && !rc)
		rc = pool_for(in->pool, n, 512, stat_links, &g, e);
	if (in->state)
		remember(&g, n);
	for (unsigned i = 0; i < workers; i++) {
		if (g.desk[i].dir)
			close(g.desk[i].dirfd);
		free(g.desk[i].dir);
		free(g.desk[i].buf);
	}
	close(g.rootfd);
	free(g.desk);
	free(g.st);
	*missing = g.missing;
	return rc;
}

static int probe_kind(int storefd, const char *from, int fd, const char *object, int dirfd, const char *to,
		      enum link_kind k)
{
	autoclose int out = -1;

	switch (k) {
	case LINK_HARDLINK:
		return linkat(storefd, from, dirfd, to, 0);
	case LINK_SYMLINK:
		return symlinkat(object, dirfd, to);
	case LINK_REFLINK:
		out = openat(dirfd, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		return out < 0 ? -1 : ioctl(out, FICLONE, fd);
	case LINK_COPY:
		break;
	}
	return 0;
}

int ingest_probe(struct ingest *in, const char *dir, enum link_kind *out, struct err *e)
{
	autofree char *tmp = NULL;
	autoclose int fd = -1, dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int storefd, rc = -1;
	char to[32];

	if (dirfd < 0)
		return err_sys(e, "cannot open '%s'", dir);
	if (store_temp_named(in->store, &fd, &tmp, e))
		return -1;
	storefd = store_temp_at(in->store);
	temps_note_fd(dirfd);
	fs_temp_scratch(to);
	for (size_t i = 0; i < in->ntypes && rc; i++) {
		rc = probe_kind(storefd, tmp, fd, tmp, dirfd, to, in->types[i]);
		temps_remove(dirfd, to);
		if (!rc)
			*out = in->types[i];
	}
	store_drop(in->store, tmp);
	return rc ? err_set(e, ERR_UNSUPPORTED, "no cache type works between '%s' and '%s'", store_dir(in->store), dir)
		  : 0;
}

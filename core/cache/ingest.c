/*
 * The hashing and importing half of ingest.h.
 *
 *  1. The state is asked for every file, in parallel; for an import the store is asked too.
 *  2. What is left is read once: small files in batches whose digests are computed in SIMD lanes together, large files
 *     as streams (stream.c). For an import the bytes that were hashed are the bytes that are written.
 *  3. The records of the directories in which anything was new are replaced in the state.
 */
#include "core/cache/ingest_own.h"

#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/base/proc.h"
#include "core/base/progress.h"
#include "core/base/str.h"
#include "core/cache/state.h"
#include "core/cache/store.h"
#include "core/cache/store_own.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define ASK_BATCH 512
#define SMALL_BATCH 64                  /* files a worker takes at once */
#define FLUSH_FROM 64                   /* files whose records are committed at once; fewer wait for state_close() */
#define SMALL_MAX INGEST_SMALL_MAX
#define REFLINK_FROM 16384              /* sharing the blocks of smaller files is not worth two more calls each */
#define ARENA (SMALL_MAX + (1u << 20))  /* per worker: at least one small file always fits */

/* The path as the state knows it. */
static const char *path_of(struct run *r, struct str *buf, const char *rel)
{
	str_reset(buf);
	str_adds(buf, r->state_root);
	if (*rel) {
		str_addc(buf, '/');
		str_adds(buf, rel);
	}
	return buf->buf;
}

static void stat_of_walk(struct state_stat *out, const struct walk_file *f)
{
	*out = (struct state_stat){ f->size, f->ino, f->dev, f->mtime_ns, f->ctime_ns };
}

/* 1 the file needs no reading. */
static int is_done(struct run *r, const struct walk_file *f, struct err *e)
{
	return r->import ? store_has(r->in->store, &f->id, NULL, e) : 1;
}

static int ask(void *data, size_t from, size_t to, unsigned worker, struct err *e)
{
	struct run *r = data;
	struct state_reader *reader = state_reader_open(r->in->state);
	autostr struct str path = STR_INIT;
	int done = 0;

	(void)worker;
	for (size_t i = from; i < to && done >= 0; i++) {
		struct walk_file *f = &r->w->f[i];
		struct state_stat st;

		stat_of_walk(&st, f);
		f->known = WALK_UNKNOWN;
		r->must_read[i] = 1;
		if (!state_reader_get(reader, path_of(r, &path, f->path), &st, &f->id))
			continue;
		f->known = WALK_REMEMBERED;
		done = is_done(r, f, e);
		r->must_read[i] = done != 1;
	}
	state_reader_close(reader);
	return done < 0 ? -1 : 0;
}

static bool is_small(const struct run *r, const struct walk_file *f)
{
	return f->size <= (r->reflink ? REFLINK_FROM : SMALL_MAX) && !r->in->legacy;
}

/* The list of what must be read: small files first, in order of the walk, then large ones. */
static void make_list(struct run *r)
{
	size_t n = 0, large = 0;

	for (size_t i = 0; i < r->w->n; i++)
		n += r->must_read[i];
	r->list = xreallocarray(NULL, n, sizeof(*r->list));
	for (size_t i = 0; i < r->w->n; i++)
		if (r->must_read[i] && is_small(r, &r->w->f[i]))
			r->list[r->nsmall++] = (uint32_t)i;
	r->large = r->list + r->nsmall;
	for (size_t i = 0; i < r->w->n; i++)
		if (r->must_read[i] && !is_small(r, &r->w->f[i]))
			r->large[large++] = (uint32_t)i;
	r->nlarge = large;
}

int ingest_changed(struct run *r, const char *rel, struct err *e)
{
	return err_set(e, ERR_CHANGED, "'%s%s%s' changed while it was read", r->root, *rel ? "/" : "", rel);
}

/* O_NOATIME spares a write of the inode; only the owner may ask for it. */
int ingest_open(struct run *r, const struct walk_file *f, struct err *e)
{
	int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (f->is_link ? 0 : O_NOFOLLOW);
	bool quiet = !atomic_load_explicit(&r->atime, memory_order_relaxed);
	int fd;

	if (!*f->path)
		flags &= ~O_NOFOLLOW;
	fd = openat(r->rootfd, *f->path ? f->path : r->root, flags | (quiet ? O_NOATIME : 0));
	if (fd < 0 && errno == EPERM && quiet) {
		atomic_store(&r->atime, true);
		fd = openat(r->rootfd, *f->path ? f->path : r->root, flags);
	}
	return fd < 0 ? err_sys(e, "cannot open '%s%s%s'", r->root, *f->path ? "/" : "", f->path) : fd;
}

bool ingest_same(const struct walk_file *f, const struct stat *st)
{
	struct walk_file now;

	walk_file_stat(&now, st);
	return now.size == f->size && now.ino == f->ino && now.dev == f->dev && now.mtime_ns == f->mtime_ns &&
	       now.ctime_ns == f->ctime_ns;
}

/* Takes the stat of the open file for the truth; for a second try when the walk's is out of date. */
int ingest_restat(struct run *r, struct walk_file *f, int fd, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_sys(e, "cannot stat '%s%s%s'", SHOWN(r->root, f->path));
	if (!S_ISREG(st.st_mode))
		return ingest_changed(r, f->path, e);
	walk_file_stat(f, &st);
	return 0;
}

/* I2, once all was read: 1 the file is as it was, 0 it changed. Notes whether the state may remember it (A1). */
int ingest_settled(struct run *r, struct walk_file *f, int fd, struct err *e)
{
	struct state_stat ss;
	struct stat st;
	int64_t now = state_now();

	if (fstat(fd, &st))
		return err_sys(e, "cannot stat '%s%s%s'", SHOWN(r->root, f->path));
	if (!ingest_same(f, &st))
		return 0;
	stat_of_walk(&ss, f);
	f->known = state_is_racy(&ss, now) ? WALK_HASHED_RACY : WALK_HASHED;
	return 1;
}

static ssize_t read_full(int fd, unsigned char *p, size_t n)
{
	size_t have = 0;

	while (have < n) {
		ssize_t got = read(fd, p + have, n - have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		have += (size_t)got;
		if (!got || have < n)   /* a regular file reads short only at its end */
			break;
	}
	return (ssize_t)have;
}

/* Reads a small file whole, at most SMALL_MAX: 1 read, 0 changed. */
static int read_small(struct run *r, struct walk_file *f, int fd, unsigned char *p, size_t *len, struct err *e)
{
	ssize_t n = read_full(fd, p, (size_t)f->size + 1);

	if (n < 0)
		return err_sys(e, "cannot read '%s%s%s'", SHOWN(r->root, f->path));
	*len = (size_t)n;
	return *len == f->size ? ingest_settled(r, f, fd, e) : 0;
}

/* The file stays open in *out_fd when it may become the object itself. */
static int take_small(struct run *r, struct walk_file *f, unsigned char *p, size_t *len, int *out_fd, struct err *e)
{
	autoclose int fd = ingest_open(r, f, e);

	*out_fd = -1;
	if (fd < 0)
		return -1;
	for (int tries = 0; tries < 3; tries++) {
		int rc = read_small(r, f, fd, p, len, e);

		if (rc < 0)
			return -1;
		if (rc) {
			if (ingest_may_link(r, f))
				*out_fd = take_fd(fd);
			return 0;
		}
		if (lseek(fd, 0, SEEK_SET) < 0 || ingest_restat(r, f, fd, e))
			return -1;
		if (f->size > SMALL_MAX)
			break;
	}
	return ingest_changed(r, f->path, e);
}

void ingest_count(struct run *r, const struct walk_file *f, bool imported)
{
	atomic_fetch_add_explicit(&r->hashed, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&r->bytes_hashed, f->size, memory_order_relaxed);
	if (imported) {
		atomic_fetch_add_explicit(&r->imported, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&r->bytes_imported, f->size, memory_order_relaxed);
	}
}

bool ingest_may_link(const struct run *r, const struct walk_file *f)
{
	return r->hardlink && f->size && !f->is_link;
}

/* As DVC with cache.type hardlink: the file of the work tree becomes the object. 1 done, 0 it must be copied. */
int ingest_link(struct run *r, struct walk_file *f, int fd, struct err *e)
{
	struct walk_file was = *f;
	struct stat st;
	int rc = store_link_fd(r->in->store, fd, &f->id, e);

	if (!rc)
		r->hardlink = false;
	if (rc <= 0)
		return rc;
	if (fstat(fd, &st))
		return err_sys(e, "cannot stat '%s%s%s'", SHOWN(r->root, f->path));
	walk_file_stat(f, &st);
	f->mode = was.mode;             /* what is recorded of the file, not the object's that it shares now */
	if (f->size != was.size || f->mtime_ns != was.mtime_ns) {
		store_verify(r->in->store, &f->id, e);  /* written to between reading and linking: set aside */
		err_release(e);
		return ingest_changed(r, f->path, e);
	}
	return 1;
}

/*
 * Most objects of an import are new, or most are there already; after a run of new ones the question costs more than
 * the work it could spare, so it is left to the naming, which finds out in any case.
 */
#define STREAK 8

static int store_small(struct run *r, struct walk_file *f, const struct md5_buf *b, int fd, unsigned *streak,
		       struct err *e)
{
	bool was_there = false;
	int rc = 0;

	if (fd >= 0)
		rc = ingest_link(r, f, fd, e);
	if (rc)
		return rc < 0 ? -1 : 0;
	if (*streak < STREAK) {
		rc = store_has(r->in->store, &f->id, NULL, e);
		if (rc) {
			*streak = 0;
			return rc < 0 ? -1 : 0;
		}
	}
	if (store_put_new(r->in->store, b->p, b->len, &f->id, &was_there, e))
		return err_in(e, "cannot store '%s%s%s'", SHOWN(r->root, f->path));
	*streak = was_there ? 0 : *streak + 1;
	return 0;
}

struct small {
	struct md5_buf b[SMALL_BATCH];
	int fd[SMALL_BATCH];
	size_t n;
	const uint32_t *list;           /* of the n files */
};

static int finish_small(struct run *r, struct small *x, unsigned *streak, struct err *e)
{
	int rc = 0;

	md5_many(x->b, x->n);
	for (size_t i = 0; i < x->n; i++) {
		struct walk_file *f = &r->w->f[x->list[i]];

		memcpy(f->id.md5, x->b[i].digest, 16);
		f->id.is_dir = 0;
		if (!rc && r->import)
			rc = store_small(r, f, &x->b[i], x->fd[i], streak, e);
		if (x->fd[i] >= 0)
			close(x->fd[i]);
		if (rc)
			f->known = WALK_UNKNOWN;
		else
			ingest_count(r, f, r->import);
		progress_add(r->in->progress, 1, f->size);
	}
	x->list += x->n;
	x->n = 0;
	return rc ? err_in(e, "cannot add to '%s'", store_dir(r->in->store)) : 0;
}

static int small(void *data, size_t from, size_t to, unsigned worker, struct err *e)
{
	struct run *r = data;
	struct small x = { .n = 0, .list = r->list + from };
	unsigned char *arena = r->desk[worker].arena;
	size_t used = 0;

	if (!arena)
		arena = r->desk[worker].arena = xmalloc(ARENA);
	for (size_t i = from; i < to; i++) {
		struct walk_file *f = &r->w->f[r->list[i]];

		if (used + SMALL_MAX + 1 > ARENA) {
			if (finish_small(r, &x, &r->desk[worker].streak, e))
				return -1;
			used = 0;
		}
		if (take_small(r, f, arena + used, &x.b[x.n].len, &x.fd[x.n], e)) {
			for (size_t j = 0; j < x.n; j++)
				if (x.fd[j] >= 0)
					close(x.fd[j]);
			return -1;
		}
		x.b[x.n].p = arena + used;
		used += (x.b[x.n++].len + 63) & ~(size_t)63;
	}
	return finish_small(r, &x, &r->desk[worker].streak, e);
}

static int run_small(struct run *r, struct err *e)
{
	int rc;

	r->desk = xcalloc(pool_size(r->in->pool), sizeof(*r->desk));
	rc = pool_for(r->in->pool, r->nsmall, SMALL_BATCH, small, r, e);
	for (unsigned i = 0; i < pool_size(r->in->pool); i++)
		free(r->desk[i].arena);
	free(r->desk);
	return rc;
}

/* Directories on the way down to the file at hand; each with the items of its record so far. */
struct open_dir { size_t len; struct state_item *v; size_t n, cap; bool fresh; };

static void close_dir(struct run *r, struct open_dir *d, const char *path)
{
	autofree char *rel = xstrndup(path, d->len);
	autostr struct str full = STR_INIT;

	if (d->fresh)
		state_put_dir(r->in->state, path_of(r, &full, rel), d->v, d->n, 0);
	d->n = 0;
	d->fresh = false;
}

static void add_item(struct open_dir *d, const struct walk_file *f, const char *name)
{
	struct state_item *x;

	d->fresh |= f->known != WALK_REMEMBERED;
	if (f->known == WALK_HASHED_RACY || f->known == WALK_UNKNOWN)
		return;
	GROW(d->v, d->n, d->cap);
	x = &d->v[d->n++];
	memset(x, 0, sizeof(*x));
	x->name = name;
	stat_of_walk(&x->st, f);
	x->id = f->id;
}

/* True when 'dir' (of path p) is the directory of the open one or holds it. */
static bool still_open(const char *p, const char *q, size_t len)
{
	return !len || (!strncmp(p, q, len) && q[len] == '/');
}

static void remember(struct run *r)
{
	struct open_dir *stack = NULL;
	size_t depth = 0, cap = 0, made = 0;
	const char *last = "";

	for (size_t i = 0; i < r->w->n; i++) {
		const struct walk_file *f = &r->w->f[i];
		size_t len = (size_t)(path_base(f->path) - f->path);

		len -= len != 0;
		while (depth && !still_open(last, f->path, stack[depth - 1].len))
			close_dir(r, &stack[--depth], last);
		while (!depth || stack[depth - 1].len < len) {
			size_t at = depth ? stack[depth - 1].len : 0;
			const char *slash = depth ? strchr(f->path + at + (at != 0), '/') : NULL;

			if (depth == cap) {
				cap = cap ? cap * 2 : 8;
				stack = xreallocarray(stack, cap, sizeof(*stack));
			}
			if (depth == made)
				stack[made++] = (struct open_dir){ 0 };
			stack[depth++].len = slash ? (size_t)(slash - f->path) : 0;
		}
		add_item(&stack[depth - 1], f, f->path + len + (len != 0));
		last = f->path;
	}
	while (depth)
		close_dir(r, &stack[--depth], last);
	for (size_t i = 0; i < made; i++)
		free(stack[i].v);
	free(stack);
}

/* A file as a root has its record in its parent's. */
static void remember_one(struct run *r)
{
	const struct walk_file *f = r->w->f;
	struct state_stat st;
	autostr struct str path = STR_INIT;

	if (f->known != WALK_HASHED)
		return;
	stat_of_walk(&st, f);
	state_put_stat(r->in->state, path_of(r, &path, ""), &st, &f->id);
}

/* How content enters the store (format notes 2.5): reflink, else the file itself for hardlink, else a copy. */
static void choose_way(struct run *r)
{
	r->reflink = store_can_clone(r->in->store, r->rootfd, r->rootfd == AT_FDCWD ? r->root : ".");
	r->hardlink = !r->reflink && r->in->ntypes && r->in->types[0] == LINK_HARDLINK;
}

static int read_all(struct run *r, struct err *e)
{
	if (pool_for(r->in->pool, r->w->n, ASK_BATCH, ask, r, e))
		return -1;
	if (r->import)
		choose_way(r);
	make_list(r);
	return run_small(r, e) || ingest_streams(r, e) ? -1 : 0;
}

static int open_root(struct run *r, const char *root, struct err *e)
{
	bool file = r->w->n == 1 && !*r->w->f[0].path;

	r->rootfd = file ? AT_FDCWD : open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return r->rootfd == -1 ? err_sys(e, "cannot open '%s'", root) : 0;
}

/* 2.x digests are remembered apart from the others: the same stat has two answers. */
static char *state_root(const struct ingest *in, const char *root)
{
	autofree char *abs = path_abs(root);

	return in->legacy ? xasprintf("legacy:%s", abs) : take(abs);
}

static int run(struct ingest *in, const char *root, struct walk *w, bool import, struct err *e)
{
	struct run r = { .in = in, .root = root, .w = w, .import = import };
	struct err ignored = ERR_INIT;
	int rc;

	if (!w->n)
		return 0;
	if (open_root(&r, root, e))
		return -1;
	r.state_root = state_root(in, root);
	r.must_read = xcalloc(w->n, 1);
	rc = read_all(&r, e);
	if (in->state && *w->f[0].path)
		remember(&r);
	else if (in->state)
		remember_one(&r);
	if (in->state && w->n >= FLUSH_FROM && state_flush(in->state, &ignored))
		err_release(&ignored);
	in->count.files += w->n;
	in->count.hashed += r.hashed;
	in->count.bytes_hashed += r.bytes_hashed;
	in->count.imported += r.imported;
	in->count.bytes_imported += r.bytes_imported;
	if (r.rootfd >= 0)
		close(r.rootfd);
	free(r.list);
	free(r.must_read);
	free(r.state_root);
	return rc;
}

int ingest_hash(struct ingest *in, const char *root, struct walk *w, struct err *e)
{
	return run(in, root, w, false, e);
}

int ingest_import(struct ingest *in, const char *root, struct walk *w, struct err *e)
{
	return run(in, root, w, true, e);
}

int ingest_hash_file(struct ingest *in, const char *path, const struct stat *st, struct oid *out, struct err *e)
{
	struct walk_file f = { .path = "" };
	struct walk w = { .f = &f, .n = 1, .cap = 1 };
	struct stat mine;

	if (!st && stat(path, &mine))
		return err_sys(e, "cannot read '%s'", path);
	st = st ? st : &mine;
	if (!S_ISREG(st->st_mode))
		return err_set(e, ERR_UNSAFE, "cannot hash '%s': not a regular file", path);
	walk_file_stat(&f, st);
	if (ingest_hash(in, path, &w, e))
		return -1;
	*out = f.id;
	return 0;
}

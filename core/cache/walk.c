/*
 * The walk of ingest.h. A directory is a node with its entries sorted; nodes are listed by any worker; the result is
 * the nodes read out in order. A directory sorts as its name with a '/', which makes the order of the whole walk the
 * byte order of the whole paths, with no sort over all files.
 */
#include "core/cache/ingest_own.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/base/proc.h"
#include "core/base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define CHUNK_TEXT (256u << 10)
#define STAT_CHUNK 4096                 /* entries of one large directory that one worker stats at a time */
#define PARALLEL_FROM 4                 /* waiting tasks that make it worth to wake other threads */

struct walk_arena {
	struct walk_arena *older;
	size_t used, size;
	char text[];
};

struct node;
struct entry {
	const char *path;               /* relative to the root */
	uint32_t name;                  /* offset of the last component in path */
	uint8_t type;                   /* DT_* ; DT_UNKNOWN: leave out */
	struct node *dir;
	struct walk_file f;
};
struct node {
	const char *path;               /* "" for the root */
	struct entry *e;
	size_t n, cap;
	int fd;
	size_t chunks;                  /* parts still to be stat'ed; guarded by the walk's lock */
};
struct task {
	struct node *node;
	size_t from, to;                /* from == to: list the node; else stat these entries */
};
struct walker {
	const char *root;
	int rootfd;
	walk_skip_fn *skip;
	void *data;
	pthread_mutex_t mu, skip_mu;
	pthread_cond_t more;
	struct task *t;
	size_t nt, tcap, active;
	bool failed;
	size_t files, skipped_dirs;
	uint64_t bytes;
	struct walk_arena *arena;       /* all chunks, linked when a worker is done */
	struct node *top;
};
/* What one thread has of its own. */
struct hand {
	struct walker *w;
	struct walk_arena *arena;
	size_t files, skipped_dirs;
	uint64_t bytes;
};

static char *room(struct walk_arena **a, size_t n)
{
	size_t size = n > CHUNK_TEXT ? n : CHUNK_TEXT;
	char *p;

	if (!*a || (*a)->size - (*a)->used < n) {
		struct walk_arena *fresh = xmalloc(sizeof(*fresh) + size);

		fresh->older = *a;
		fresh->used = 0;
		fresh->size = size;
		*a = fresh;
	}
	p = (*a)->text + (*a)->used;
	(*a)->used += n;
	return p;
}

static const char *add_path(struct hand *h, const char *dir, const char *name, uint32_t *at)
{
	size_t nd = strlen(dir), nn = strlen(name), slash = nd != 0;
	char *p = room(&h->arena, nd + slash + nn + 1);

	memcpy(p, dir, nd);
	if (slash)
		p[nd] = '/';
	memcpy(p + nd + slash, name, nn + 1);
	*at = (uint32_t)(nd + slash);
	return p;
}

static struct node *node_new(const char *path)
{
	struct node *n = xcalloc(1, sizeof(*n));

	n->path = path;
	n->fd = -1;
	return n;
}

static void node_drop(struct node *n)
{
	for (size_t i = 0; i < n->n; i++)
		if (n->e[i].dir)
			node_drop(n->e[i].dir);
	if (n->fd >= 0)
		close(n->fd);
	free(n->e);
	free(n);
}

static int by_name(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	const unsigned char *p = (const unsigned char *)x->path + x->name;
	const unsigned char *q = (const unsigned char *)y->path + y->name;

	while (*p && *p == *q)
		p++, q++;
	return (*p ? *p : x->type == DT_DIR ? '/' : 0) - (*q ? *q : y->type == DT_DIR ? '/' : 0);
}

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void walk_file_stat(struct walk_file *f, const struct stat *st)
{
	f->size = (uint64_t)st->st_size;
	f->ino = st->st_ino;
	f->dev = st->st_dev;
	f->mtime_ns = ns_of(st->st_mtim);
	f->ctime_ns = ns_of(st->st_ctim);
	f->mode = st->st_mode;
	f->nlink = (unsigned)st->st_nlink;
}

static const char *kind_of(mode_t m)
{
	return S_ISFIFO(m) ? "a named pipe" : S_ISSOCK(m) ? "a socket" : S_ISDIR(m) ? "a directory" : "a device";
}

static int refuse_name(const char *root, const char *path, struct err *e)
{
	autostr struct str shown = STR_INIT;

	str_add_safe(&shown, path);
	return err_set(e, ERR_UNSAFE, "cannot track '%s' in '%s': the name is not UTF-8", str_cstr(&shown), root);
}

/* Fills the stat of one entry that is not a directory, or marks it as left out. */
static int stat_entry(struct hand *h, int dirfd, struct entry *x, struct err *e)
{
	const char *name = x->path + x->name;
	struct stat st;

	if (fstatat(dirfd, name, &st, x->type == DT_LNK ? 0 : AT_SYMLINK_NOFOLLOW)) {
		if (errno == ENOENT && x->type != DT_LNK) {     /* removed since it was listed */
			x->type = DT_UNKNOWN;
			return 0;
		}
		return err_sys(e, "cannot read '%s%s%s'", SHOWN(h->w->root, x->path));
	}
	if (S_ISDIR(st.st_mode) && x->type == DT_LNK) {
		h->skipped_dirs++;
		x->type = DT_UNKNOWN;
		return 0;
	}
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_UNSAFE, "cannot track '%s%s%s': it is %s", SHOWN(h->w->root, x->path),
			       S_ISLNK(st.st_mode) ? "a link that was a file" : kind_of(st.st_mode));
	walk_file_stat(&x->f, &st);
	x->f.path = x->path;
	x->f.is_link = x->type == DT_LNK;
	h->files++;
	h->bytes += x->f.size;
	return 0;
}

static int stat_range(struct hand *h, struct node *n, size_t from, size_t to, struct err *e)
{
	for (size_t i = from; i < to; i++)
		if (n->e[i].type != DT_DIR && stat_entry(h, n->fd, &n->e[i], e))
			return -1;
	return 0;
}

/* Called with the lock held. */
static void push(struct walker *w, struct task t)
{
	GROW(w->t, w->nt, w->tcap);
	w->t[w->nt++] = t;
}

static int add_entry(struct hand *h, struct node *n, const struct dirent *de, int fd, struct err *e)
{
	struct stat st;
	struct entry *x;
	uint8_t type = de->d_type;

	if (de->d_name[0] == '.' && (!de->d_name[1] || (de->d_name[1] == '.' && !de->d_name[2])))
		return 0;
	if (type == DT_UNKNOWN) {
		if (fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW))
			return errno == ENOENT ? 0 : err_sys(e, "cannot read '%s/%s'", n->path, de->d_name);
		type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISLNK(st.st_mode) ? DT_LNK : DT_REG;
	}
	GROW(n->e, n->n, n->cap);
	x = &n->e[n->n++];
	memset(x, 0, sizeof(*x));
	x->type = type;
	x->path = add_path(h, n->path, de->d_name, &x->name);
	return 0;
}

static int read_names(struct hand *h, struct node *n, struct err *e)
{
	autodir DIR *d = NULL;
	struct dirent *de;
	int fd = openat(h->w->rootfd, *n->path ? n->path : ".",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | (*n->path ? O_NOFOLLOW : 0));

	if (fd < 0 && errno == ENOENT && *n->path)      /* removed since it was listed */
		return 0;
	if (fd >= 0)
		n->fd = dup(fd);
	if (fd >= 0 && !(d = fdopendir(fd)))
		close(fd);
	if (!d || n->fd < 0)
		return err_sys(e, "cannot list '%s%s%s'", SHOWN(h->w->root, n->path));
	while ((errno = 0, de = readdir(d)))
		if (add_entry(h, n, de, n->fd, e))
			return -1;
	return errno ? err_sys(e, "cannot list '%s%s%s'", SHOWN(h->w->root, n->path)) : 0;
}

/* Drops what the caller's rule leaves out; the rule is asked by one thread at a time. */
static int filter(struct hand *h, struct node *n, struct err *e)
{
	struct walker *w = h->w;
	size_t kept = 0;

	if (w->skip)
		pthread_mutex_lock(&w->skip_mu);
	for (size_t i = 0; i < n->n; i++)
		if (!w->skip || !w->skip(n->e[i].path, n->e[i].type == DT_DIR, w->data))
			n->e[kept++] = n->e[i];
	if (w->skip)
		pthread_mutex_unlock(&w->skip_mu);
	n->n = kept;
	for (size_t i = 0; i < n->n; i++) {
		const char *name = n->e[i].path + n->e[i].name;

		if (!str_is_utf8(name, strlen(name)))
			return refuse_name(w->root, n->e[i].path, e);
	}
	return 0;
}

static int list_node(struct hand *h, struct node *n, struct err *e)
{
	struct walker *w = h->w;
	size_t dirs = 0;
	bool split;

	if (read_names(h, n, e) || filter(h, n, e))
		return -1;
	if (n->n)
		qsort(n->e, n->n, sizeof(*n->e), by_name);
	for (size_t i = 0; i < n->n; i++) {
		if (n->e[i].type != DT_DIR)
			continue;
		n->e[i].dir = node_new(n->e[i].path);
		dirs++;
	}
	split = n->n - dirs > 2 * STAT_CHUNK;
	pthread_mutex_lock(&w->mu);
	for (size_t i = n->n; dirs && i-- > 0;)         /* the stack hands them out in order */
		if (n->e[i].dir)
			push(w, (struct task){ n->e[i].dir, 0, 0 });
	for (size_t i = 0; split && i < n->n; i += STAT_CHUNK) {
		push(w, (struct task){ n, i, i + STAT_CHUNK < n->n ? i + STAT_CHUNK : n->n });
		n->chunks++;
	}
	if (dirs || split)
		pthread_cond_broadcast(&w->more);
	pthread_mutex_unlock(&w->mu);
	if (split)
		return 0;
	if (stat_range(h, n, 0, n->n, e))
		return -1;
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
	return 0;
}

static int run_task(struct hand *h, struct task t, struct err *e)
{
	int fd = -1;

	if (proc_check(e))
		return -1;
	if (t.from == t.to)
		return list_node(h, t.node, e);
	if (stat_range(h, t.node, t.from, t.to, e))
		return -1;
	pthread_mutex_lock(&h->w->mu);
	if (!--t.node->chunks) {
		fd = t.node->fd;
		t.node->fd = -1;
	}
	pthread_mutex_unlock(&h->w->mu);
	if (fd >= 0)
		close(fd);
	return 0;
}

/* Takes tasks until all are done, or, when 'alone', until there is enough for others to help with. */
static int work(struct hand *h, bool alone, struct err *e)
{
	struct walker *w = h->w;
	int rc = 0;

	pthread_mutex_lock(&w->mu);
	for (;;) {
		while (!w->nt && w->active && !w->failed)
			pthread_cond_wait(&w->more, &w->mu);
		if (w->failed || !w->nt || (alone && w->nt >= PARALLEL_FROM))
			break;
		struct task t = w->t[--w->nt];

		w->active++;
		pthread_mutex_unlock(&w->mu);
		rc = run_task(h, t, e);
		pthread_mutex_lock(&w->mu);
		w->active--;
		if (rc)
			w->failed = true;
		if (rc || (!w->nt && !w->active))
			pthread_cond_broadcast(&w->more);
		if (rc)
			break;
	}
	pthread_mutex_unlock(&w->mu);
	return rc;
}

static void hand_done(struct hand *h)
{
	struct walker *w = h->w;
	struct walk_arena *a = h->arena;

	pthread_mutex_lock(&w->mu);
	w->files += h->files;
	w->bytes += h->bytes;
	w->skipped_dirs += h->skipped_dirs;
	while (a) {
		struct walk_arena *older = a->older;

		a->older = w->arena;
		w->arena = a;
		a = older;
	}
	pthread_mutex_unlock(&w->mu);
}

static int helper(void *data, size_t from, size_t to, unsigned worker, struct err *e)
{
	struct hand h = { .w = data };
	int rc = work(&h, false, e);

	(void)from, (void)to, (void)worker;
	hand_done(&h);
	return rc;
}

static int walk_all(struct walker *w, struct pool *p, struct err *e)
{
	struct hand h = { .w = w };
	int rc;

	push(w, (struct task){ w->top, 0, 0 });
	rc = work(&h, p != NULL, e);
	hand_done(&h);
	if (!rc && w->nt)
		rc = pool_for(p, pool_size(p), 1, helper, w, e);
	return rc;
}

/* Reads the nodes out in order, giving their memory back as it goes. */
static void flatten(struct walk *out, struct node *n)
{
	for (size_t i = 0; i < n->n; i++) {
		struct entry *x = &n->e[i];

		if (x->dir) {
			flatten(out, x->dir);
			x->dir = NULL;
		} else if (x->type != DT_UNKNOWN) {
			out->f[out->n++] = x->f;
		}
	}
	n->n = 0;
	node_drop(n);
}

static int walk_one(struct walk *out, const char *root, const struct stat *st, bool link)
{
	char *p = room(&out->arena, 1);

	*p = 0;
	out->f = xcalloc(1, sizeof(*out->f));
	out->n = out->cap = 1;
	walk_file_stat(out->f, st);
	out->f->path = p;
	out->f->is_link = link;
	out->bytes = out->f->size;
	(void)root;
	return 0;
}

static int walk_dir(struct walk *out, struct walker *w, struct pool *p, struct err *e)
{
	int rc;

	pthread_mutex_init(&w->mu, NULL);
	pthread_mutex_init(&w->skip_mu, NULL);
	pthread_cond_init(&w->more, NULL);
	w->top = node_new("");
	rc = walk_all(w, p, e);
	out->arena = w->arena;
	if (rc) {
		node_drop(w->top);
		walk_release(out);
	} else {
		out->f = xcalloc(w->files, sizeof(*out->f));
		out->cap = w->files;
		out->bytes = w->bytes;
		out->skipped_dirs = w->skipped_dirs;
		flatten(out, w->top);
	}
	free(w->t);
	pthread_mutex_destroy(&w->mu);
	pthread_mutex_destroy(&w->skip_mu);
	pthread_cond_destroy(&w->more);
	return rc;
}

int walk_tree(struct walk *out, const char *root, walk_skip_fn *skip, void *data, struct pool *p, struct err *e)
{
	struct walker w = { .root = root, .skip = skip, .data = data };
	autoclose int rootfd = -1;
	struct stat st;

	*out = (struct walk){ 0 };
	if (stat(root, &st))
		return err_sys(e, "cannot read '%s'", root);
	if (S_ISREG(st.st_mode))
		return walk_one(out, root, &st, fs_is_link(root));
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_UNSAFE, "cannot track '%s': it is %s", root, kind_of(st.st_mode));
	rootfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rootfd < 0)
		return err_sys(e, "cannot open '%s'", root);
	w.rootfd = rootfd;
	return walk_dir(out, &w, p, e);
}

void walk_release(struct walk *w)
{
	struct walk_arena *older;

	for (struct walk_arena *a = w->arena; a; a = older) {
		older = a->older;
		free(a);
	}
	free(w->f);
	*w = (struct walk){ 0 };
}

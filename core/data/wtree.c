#include "core/data/wtree.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/cache/state.h"
#include "core/cache/tree.h"
#include "core/data/project.h"
#include "core/repo/ignore.h"
#include "core/repo/repo.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#define FACT_KIND "wtree"
/* File systems stamp with the kernel's tick: a change this long before the reading has another stamp for certain. */
#define RACY_NS 20000000

/* What a later reading must find again to take the id as it is. */
struct fact {
	unsigned char print[16];
	struct oid id;
	uint64_t size;
};

struct skipper {
	struct ignore *ignore;
	const char *rel;
	const char *abs;                /* set on the second try: links that lead nowhere are listed and left out */
	struct strvec *dirs, *broken;
	char *ignore_file;
	pthread_mutex_t mu;
};

static bool is_broken_link(const char *root, const char *rel)
{
	autofree char *path = path_join(root, rel);
	struct stat st;

	return !lstat(path, &st) && S_ISLNK(st.st_mode) && stat(path, &st);
}

/* Also the only place that sees directories: the walk itself lists files. */
static bool skip_entry(const char *rel, bool is_dir, void *data)
{
	struct skipper *s = data;
	autofree char *full = NULL;
	bool skip;

	full = *s->rel ? path_join(s->rel, rel) : xstrdup(rel);
	pthread_mutex_lock(&s->mu);
	skip = s->ignore && *full != '/' && ignore_is(s->ignore, full, is_dir);
	if (!skip && is_dir)
		strvec_push(s->dirs, rel);
	if (!skip && !is_dir && !strcmp(path_base(rel), ".dvcignore") &&
	    (!s->ignore_file || strlen(rel) < strlen(s->ignore_file))) {
		free(s->ignore_file);
		s->ignore_file = xstrdup(rel);
	}
	if (!skip && !is_dir && s->abs && is_broken_link(s->abs, rel)) {
		strvec_push(s->broken, rel);
		skip = true;
	}
	pthread_mutex_unlock(&s->mu);
	return skip;
}

static int walk_members(struct wtree *w, const char *rel, struct err *e)
{
	struct skipper s = { .rel = rel, .dirs = &w->dirs, .broken = &w->broken,
			     .mu = PTHREAD_MUTEX_INITIALIZER };
	autoerr struct err first = ERR_INIT;
	int rc = 0;

	if (repo_ignore(w->p->repo, &s.ignore, e))
		return -1;
	if (walk_tree(&w->walk, w->abs, skip_entry, &s, project_pool(w->p), &first)) {
		walk_release(&w->walk);
		memset(&w->walk, 0, sizeof(w->walk));
		strvec_reset(&w->dirs);
		s.abs = w->abs;
		rc = walk_tree(&w->walk, w->abs, skip_entry, &s, project_pool(w->p), e);
	}
	w->ignore_file = s.ignore_file;
	if (rc || ignore_unread(s.ignore, e))
		return -1;
	strvec_sort(&w->broken);
	strvec_sort(&w->dirs);
	strvec_uniq(&w->dirs);
	for (size_t i = 0; i < w->walk.n; i++) {
		w->size += w->walk.f[i].size;
		w->has_exec |= (w->walk.f[i].mode & 0111) != 0;
	}
	return 0;
}

/* One digest over every member's name and stat. True: none of them can change unseen (A1). */
static bool fingerprint(const struct wtree *w, unsigned char out[16], int64_t started)
{
	bool settled = true;
	struct md5 m;

	md5_init(&m);
	for (size_t i = 0; i < w->walk.n; i++) {
		const struct walk_file *f = &w->walk.f[i];
		uint64_t n[5] = { f->size, f->ino, f->dev, (uint64_t)f->mtime_ns, (uint64_t)f->ctime_ns };

		md5_update(&m, f->path, strlen(f->path) + 1);
		md5_update(&m, n, sizeof(n));
		settled = settled && !state_is_racy(&(struct state_stat){ .mtime_ns = f->mtime_ns, .ctime_ns = f->ctime_ns },
						    started - RACY_NS);
	}
	md5_final(&m, out);
	return settled;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static char *fact_key(const struct wtree *w, const char *rel)
{
	return xasprintf("%s%s", w->legacy ? "dos2unix:" : "md5:", rel);
}

int wtree_ids(struct wtree *w, struct err *e)
{
	struct ingest in;

	if (w->has_ids || !w->present || !w->is_dir)
		return 0;
	if (project_ingest(w->p, w->legacy, &in, e))
		return -1;
	in.store = NULL;
	if (ingest_hash(&in, w->abs, &w->walk, e))
		return -1;
	w->has_ids = true;
	return 0;
}

struct tree *wtree_tree(const struct wtree *w)
{
	struct tree *t = tree_new();

	for (size_t i = 0; i < w->walk.n; i++)
		tree_add(t, w->walk.f[i].path, &w->walk.f[i].id, (int64_t)w->walk.f[i].size);
	tree_sort(t);
	return t;
}

/* V2 */
static int directory_id(struct wtree *w, const char *rel, unsigned want, int64_t started, struct err *e)
{
	struct state *state = project_state(w->p);
	autofree char *key = fact_key(w, rel);
	struct fact f, old;
	bool known, settled;

	memset(&f, 0, sizeof(f));
	memset(&old, 0, sizeof(old));
	settled = fingerprint(w, f.print, started);
	known = state && state_get_fact(state, FACT_KIND, key, &old, sizeof(old)) &&
		!memcmp(old.print, f.print, sizeof(f.print));
	if (known) {
		w->id = old.id;
		w->has_id = true;
	}
	if ((want & WTREE_IDS) || !known)
		if (wtree_ids(w, e))
			return -1;
	if (!known) {
		autotree struct tree *t = wtree_tree(w);

		tree_id(t, &w->id);
		w->has_id = true;
		f.id = w->id;
		f.size = w->size;
		if (state && settled)
			state_put_fact(state, FACT_KIND, key, &f, sizeof(f));
	}
	return 0;
}

static int file_id(struct wtree *w, struct err *e)
{
	struct state *state = project_state(w->p);
	struct ingest in;

	/* Both ways of hashing share the path: the state may answer only for the present one. */
	if (!w->legacy && state && state_get(state, w->abs, &w->st, &w->id) && !w->id.is_dir) {
		w->has_id = true;
		return 0;
	}
	if (project_ingest(w->p, w->legacy, &in, e))
		return -1;
	in.store = NULL;
	if (ingest_hash_file(&in, w->abs, &w->st, &w->id, e))
		return -1;
	w->has_id = true;
	return 0;
}

/* Only what the system says is not there is absent. */
static int look(const char *abs, const char *rel, struct stat *st, bool *there, struct err *e)
{
	*there = !stat(abs, st);
	if (*there || errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
		return 0;
	return err_sys(e, "cannot look at '%s'", rel);
}

int wtree_exists(struct project *p, const char *rel, bool *out, struct err *e)
{
	autofree char *abs = repo_abs(p->repo, rel);
	struct ignore *ignore;
	struct stat st;

	if (look(abs, rel, &st, out, e))
		return -1;
	if (!*out)
		return 0;
	if (repo_ignore(p->repo, &ignore, e))
		return -1;
	*out = *rel == '/' || !ignore || !ignore_hides_out(ignore, rel, S_ISDIR(st.st_mode));
	return 0;
}

int wtree_read(struct project *p, const char *rel, bool legacy, unsigned want, struct wtree *out, struct err *e)
{
	struct wtree w = WTREE_INIT;
	struct stat l;
	int64_t started = now_ns();

	w.p = p;
	w.legacy = legacy;
	w.abs = repo_abs(p->repo, rel);
	w.present = true;
	if (!(want & WTREE_DEPENDENCY) && wtree_exists(p, rel, &w.present, e))
		goto undo;
	want &= ~(unsigned)WTREE_DEPENDENCY;
	if (w.present && look(w.abs, rel, &w.st, &w.present, e))
		goto undo;
	if (!w.present) {
		*out = w;
		return 0;
	}
	w.is_link = !lstat(w.abs, &l) && S_ISLNK(l.st_mode);
	w.is_dir = S_ISDIR(w.st.st_mode);
	if (!w.is_dir && !S_ISREG(w.st.st_mode)) {
		err_set(e, ERR_UNSUPPORTED, "'%s' is not a file or directory", rel);
		goto undo;
	}
	if (!w.is_dir) {
		w.size = (uint64_t)w.st.st_size;
		w.self = (struct walk_file){
			.path = "", .size = w.size, .ino = w.st.st_ino, .dev = w.st.st_dev,
			.mtime_ns = w.st.st_mtim.tv_sec * 1000000000ll + w.st.st_mtim.tv_nsec,
			.ctime_ns = w.st.st_ctim.tv_sec * 1000000000ll + w.st.st_ctim.tv_nsec,
			.mode = w.st.st_mode, .is_link = w.is_link, .nlink = (unsigned)w.st.st_nlink,
		};
		w.has_exec = (w.st.st_mode & 0111) != 0;
		w.has_ids = true;
		if (want && file_id(&w, e))
			goto undo;
	} else {
		if (walk_members(&w, rel, e))
			goto undo;
		if (want && directory_id(&w, rel, want, started, e))
			goto undo;
	}
	*out = w;
	return 0;
undo:
	wtree_release(&w);
	return -1;
}

void wtree_release(struct wtree *w)
{
	walk_release(&w->walk);
	strvec_release(&w->dirs);
	strvec_release(&w->broken);
	free(w->ignore_file);
	free(w->abs);
	memset(w, 0, sizeof(*w));
}

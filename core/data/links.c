#include "core/data/links.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/cache/state.h"
#include "core/cache/store.h"
#include "core/data/beneath.h"
#include "core/data/project.h"
#include "core/data/wtree.h"
#include "core/repo/repo.h"

#define FACT_KIND "link"

void links_note(struct links_note *out, const struct stat *st, const struct walk *members)
{
	size_t n = S_ISDIR(st->st_mode) ? members->n : 0;
	struct md5 m;

	memset(out, 0, sizeof(*out));
	out->ino = st->st_ino;
	md5_init(&m);
	if (!S_ISDIR(st->st_mode)) {
		int64_t is[3] = { st->st_size, st->st_mtim.tv_sec, st->st_mtim.tv_nsec };

		md5_update(&m, is, sizeof(is));
	}
	for (size_t i = 0; i < n; i++) {
		const struct walk_file *g = &members->f[i];

		md5_update(&m, g->path, strlen(g->path) + 1);
		md5_update(&m, &g->size, sizeof(g->size));
		md5_update(&m, &g->mtime_ns, sizeof(g->mtime_ns));
	}
	md5_final(&m, out->print);
}

void links_save_note(struct project *p, const char *rel, const struct links_note *n)
{
	struct state *s = project_state(p);

	if (s)
		state_put_fact(s, FACT_KIND, rel, n, sizeof(*n));
}

bool links_look(struct project *p, const char *rel, struct links_note *out)
{
	autoerr struct err none = ERR_INIT;
	autowtree w = WTREE_INIT;

	if (wtree_read(p, rel, false, 0, &w, &none) || !w.present)
		return false;
	links_note(out, &w.st, &w.walk);
	return true;
}

void links_save(struct project *p, const char *rel)
{
	struct links_note n;

	if (project_state(p) && links_look(p, rel, &n))
		links_save_note(p, rel, &n);
}

struct candidate { struct strvec *names; const struct strvec *used; };

static int collect(const char *key, const void *value UNUSED, size_t size, void *data)
{
	struct candidate *c = data;

	if (size == sizeof(struct links_note) && !strvec_has_sorted(c->used, key))
		strvec_push(c->names, key);
	return 0;
}

/* L1: nothing goes that could not be brought back. */
static int all_cached(struct project *p, struct wtree *w, bool *yes, struct err *e)
{
	struct store *store;
	int has;

	*yes = false;
	if (project_cache(p, w->legacy, &store, e) || wtree_ids(w, e))
		return -1;
	if (!w->is_dir) {
		has = store_has(store, &w->id, NULL, e);
		*yes = has > 0;
		return has < 0 ? -1 : 0;
	}
	for (size_t i = 0; i < w->walk.n; i++) {
		has = store_has(store, &w->walk.f[i].id, NULL, e);
		if (has <= 0)
			return has;
	}
	*yes = true;
	return 0;
}

static int remove_reading(struct project *p, const char *rel, struct wtree *w, struct err *e)
{
	struct beneath b;
	int rc = -1;

	if (beneath_open(&b, p->repo->root, e))
		return -1;
	if (!w->is_dir) {
		struct seen s = { w->self.ino, w->self.size, w->self.mtime_ns, w->self.is_link };

		rc = beneath_unlink(&b, rel, &s, e);
		goto undo;
	}
	for (size_t i = 0; i < w->walk.n; i++) {
		const struct walk_file *f = &w->walk.f[i];
		struct seen s = { f->ino, f->size, f->mtime_ns, f->is_link };
		autofree char *key = path_join(rel, f->path);

		if (beneath_unlink(&b, key, &s, e))
			goto undo;
	}
	for (size_t i = w->dirs.n; i-- > 0;) {
		autofree char *key = path_join(rel, w->dirs.v[i]);

		beneath_rmdir(&b, key);
	}
	beneath_rmdir(&b, rel);
	rc = 0;
undo:
	beneath_close(&b);
	return rc;
}

static bool is_as_recorded(struct project *p, const char *rel, const struct wtree *w)
{
	struct links_note then, now;

	if (!w->present || !state_get_fact(project_state(p), FACT_KIND, rel, &then, sizeof(then)))
		return false;
	links_note(&now, &w->st, &w->walk);
	return !memcmp(&then, &now, sizeof(now));
}

/* 'gone' gets the path when it may go, 'removed' how it is told. */
static int consider(struct project *p, const char *rel, struct strvec *gone, struct strvec *removed, struct err *e)
{
	autowtree w = WTREE_INIT, old = WTREE_INIT;
	bool cached;

	if (!path_is_safe(rel))
		return 0;
	if (wtree_read(p, rel, false, WTREE_ID, &w, e))
		return -1;
	if (!is_as_recorded(p, rel, &w))
		return 0;
	if (all_cached(p, &w, &cached, e))
		return -1;
	if (!cached && (wtree_read(p, rel, true, WTREE_ID, &old, e) || all_cached(p, &old, &cached, e)))
		return -1;
	if (!cached) {
		notice(NOTICE_WARN, "'%s' is no longer tracked, but its content is not in the cache: it is kept.", rel);
		state_put_fact(project_state(p), FACT_KIND, rel, NULL, 0);      /* the user's from now on */
		return 0;
	}
	strvec_push(gone, rel);
	strvec_pushf(removed, "%s%s", rel, w.is_dir ? "/" : "");
	return 0;
}

/* What lay in another of them went with it. */
static int drop(struct project *p, const char *rel, struct err *e)
{
	autowtree w = WTREE_INIT;

	if (wtree_read(p, rel, false, 0, &w, e) || (is_as_recorded(p, rel, &w) && remove_reading(p, rel, &w, e)))
		return err_in(e, "cannot remove '%s', which nothing tracks any more", rel);
	state_put_fact(project_state(p), FACT_KIND, rel, NULL, 0);
	return 0;
}

int links_remove_unused(struct project *p, const struct strvec *used, struct strvec *removed, struct err *e)
{
	autostrvec struct strvec names = STRVEC_INIT, gone = STRVEC_INIT;
	struct candidate c = { &names, used };
	struct state *s = project_state(p);

	if (!s)
		return 0;
	state_each_fact(s, FACT_KIND, collect, &c);
	strvec_sort(&names);
	for (size_t i = 0; i < names.n; i++)
		if (consider(p, names.v[i], &gone, removed, e))
			return -1;
	for (size_t i = 0; i < gone.n; i++)
		if (drop(p, gone.v[i], e))
			return -1;
	return 0;
}

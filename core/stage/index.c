#include "core/stage/index.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/repo/gitrepo.h"
#include "core/repo/ignore.h"
#include "core/repo/repo.h"
#include "core/repo/srctree.h"
#include "core/stage/dvcyaml.h"
#include "core/stage/pointer.h"

#include <sys/stat.h>

struct index *index_new(struct repo *r, struct srctree *t)
{
	struct index *x = xcalloc(1, sizeof(*x));

	x->repo = r;
	x->tree = t;
	return x;
}

static void unmap(struct index *x)
{
	map_release(&x->outs_, NULL);
	map_release(&x->files_, NULL);
	x->outs_ = x->files_ = (struct map)MAP_INIT;
	x->mapped_ = 0;
}

void index_git_ignore_changed(struct index *x)
{
	if (x->git_)
		ignore_close(x->git_);
	x->git_ = NULL;
}

bool index_git_ignored(struct index *x, const char *rel, bool is_dir)
{
	struct repo *r = x->repo;
	autofree char *dir = NULL, *abs = NULL, *scm_rel = NULL;

	if (r->no_scm || !r->scm_root)
		return false;
	if (!x->git_) {
		dir = git_find_dir(r->scm_root);
		if (!dir)
			return false;
		x->git_ = ignore_open_git(r->scm_root, dir);
	}
	abs = repo_abs(r, rel);
	scm_rel = path_rel(abs, r->scm_root);
	return ignore_is(x->git_, scm_rel, is_dir);
}

void index_free(struct index *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->n; i++)
		stage_free(x->v[i]);
	free(x->v);
	dvcyaml_file_free(x->open_);
	unmap(x);
	index_git_ignore_changed(x);
	free(x);
}

void index_add(struct index *x, struct stage *s)
{
	if (!s->root && x->repo)
		s->root = xstrdup(x->repo->root);
	GROW(x->v, x->n, x->cap);
	x->v[x->n++] = s;
}

struct stage *index_take(struct index *x, struct stage *s)
{
	for (size_t i = 0; i < x->n; i++) {
		if (x->v[i] != s)
			continue;
		memmove(x->v + i, x->v + i + 1, (x->n - i - 1) * sizeof(*x->v));
		x->n--;
		unmap(x);
		return s;
	}
	return NULL;
}

/* A repository inside this one is no reason to refuse it (DVC then sees an empty directory). */
static bool is_nested_repo(const struct ignore_hit *h)
{
	static const char *const builtin[] = { ".hg/", ".git/", ".git", ".dvc/" };

	for (size_t i = 0; i < ARRAY_LEN(builtin); i++)
		if (!strcmp(h->pattern, builtin[i]))
			return false;
	return !h->file || !*h->file || !h->line;
}

int index_check_ignored(struct index *x, const char *rel, struct err *e)
{
	autofree char *abs = repo_abs(x->repo, rel);
	struct ignore_hit hit;
	struct ignore *g;
	struct stat st;
	bool there = !lstat(abs, &st), dir = there && S_ISDIR(st.st_mode);

	if (repo_ignore(x->repo, &g, e))
		return -1;
	if (!ignore_is(g, rel, dir) && (there || !ignore_is(g, rel, true)))
		return 0;
	if ((!ignore_hits(g, rel, dir, &hit) || hit.negated) && (there || !ignore_hits(g, rel, true, &hit) || hit.negated))
		return 0;
	if (is_nested_repo(&hit))
		return 0;
	if (!hit.file || !*hit.file)
		return err_set(e, ERR_FAIL, "Path '%s' is ignored by :%s", abs, hit.pattern);
	return err_set(e, ERR_FAIL, "Path '%s' is ignored by %s:%d:%s", abs, hit.file, hit.line, hit.pattern);
}

/* Paths come from files that anybody may have written: nothing may claim the repository's own parts (path_is_safe). */
static int check_out(struct index *x, const struct item *i, struct err *e)
{
	if (target_is_stage_file(i->def))
		return err_set(e, ERR_UNSAFE, "DVC file '%s' cannot be an output.", i->def);
	if (!i->path)
		return 0;
	if (*i->path && srctree_is_workspace(x->tree) && index_check_ignored(x, i->path, e))
		return -1;
	if (path_is_safe(i->path))
		return 0;
	err_set(e, ERR_UNSAFE, "unexpected error - '%s': the output '%s' is refused", i->stage->file, i->def);
	e->exit_status = 255;
	return -1;
}

int index_check_items(struct index *x, const struct stage *s, struct err *e)
{
	for (size_t i = 0; i < s->ndeps; i++)
		if (s->deps[i]->def && target_is_stage_file(s->deps[i]->def))
			return err_set(e, ERR_UNSAFE, "DVC file '%s' cannot be a dependency.", s->deps[i]->def);
	for (size_t i = 0; i < s->nouts; i++)
		if (check_out(x, s->outs[i], e))
			return -1;
	return 0;
}

static int load_pointer(struct index *x, const char *rel, struct err *e)
{
	struct stage *s;

	if (pointer_load(&s, x->repo, x->tree, rel, e))
		return -1;
	index_add(x, s);
	return index_check_items(x, s, e);
}

static int check_from(struct index *x, size_t from, struct err *e)
{
	for (size_t i = from; i < x->n; i++)
		if (index_check_items(x, x->v[i], e))
			return -1;
	return 0;
}

struct stage *index_reclaim(struct index *x, const char *rel, const char *name)
{
	for (size_t k = 0; k < x->nspare_; k++) {
		size_t i = (x->spare_at_ + k) % x->nspare_;
		struct stage *s = x->spare_[i];

		if (!s || strcmp(s->file, rel) || strcmp(s->name, name))
			continue;
		x->spare_[i] = NULL;
		x->spare_at_ = i + 1;
		return s;
	}
	return NULL;
}

/* Walk */

struct loading {
	struct index *x;
	unsigned flags;
	struct map outs;                /* directories not to be entered */
	struct map old;                 /* file -> first stage loaded before */
	struct stage **old_v;
	size_t old_n;
};

/* What a file gave before keeps its address, since targets point to it: it stays, also when the rest of the file is wrong. */
static void keep_spares(struct index *x)
{
	for (size_t i = 0; i < x->nspare_; i++)
		if (x->spare_[i])
			index_add(x, x->spare_[i]);
	free(x->spare_);
	x->spare_ = NULL;
	x->nspare_ = x->spare_at_ = 0;
}

static void take_old(struct loading *l, const char *rel)
{
	struct index *x = l->x;
	size_t cap = 0;

	for (size_t i = 0; map_has(&l->old, rel) && i < l->old_n; i++) {
		if (!l->old_v[i] || strcmp(l->old_v[i]->file, rel))
			continue;
		GROW(x->spare_, x->nspare_, cap);
		x->spare_[x->nspare_++] = l->old_v[i];
		l->old_v[i] = NULL;
	}
}

static void remember_outs(struct loading *l, size_t from)
{
	for (size_t i = from; i < l->x->n; i++)
		for (size_t k = 0; k < l->x->v[i]->nouts; k++)
			if (l->x->v[i]->outs[k]->path)
				map_put(&l->outs, l->x->v[i]->outs[k]->path, l->x->v[i]->outs[k]);
}

static int load_whole(struct loading *l, const char *rel, size_t from, struct err *e)
{
	struct index *x = l->x;

	take_old(l, rel);
	if (!str_ends(rel, ".dvc"))
		return dvcyaml_load(x, rel, e) ? -1 : check_from(x, from, e);
	return x->nspare_ ? 0 : load_pointer(x, rel, e);
}

static int on_file(const char *rel, void *data, struct err *e)
{
	struct loading *l = data;
	autoerr struct err why = ERR_INIT;
	size_t from = l->x->n;
	int rc = load_whole(l, rel, from, &why);

	if (rc) {
		struct index *x = l->x;
		size_t n = x->n;

		x->n = from;
		for (size_t i = from; i < n; i++) {
			if (x->v[i]->named)
				index_add(x, x->v[i]);
			else
				stage_free(x->v[i]);
		}
	}
	keep_spares(l->x);
	remember_outs(l, from);
	l->x->holes |= rc != 0;
	if (!rc || ((l->flags & INDEX_SKIP_BROKEN) && why.exit_status != 255))
		return 0;
	err_move(e, &why);
	return -1;
}

static bool is_out_dir(const char *rel_dir, void *data)
{
	struct loading *l = data;

	return map_has(&l->outs, rel_dir);
}

int index_load_rest(struct index *x, unsigned flags, struct err *e)
{
	struct loading l = { x, flags, MAP_INIT, MAP_INIT, x->v, x->n };
	int rc;

	if (x->whole)
		return 0;
	for (size_t i = 0; i < l.old_n; i++)
		map_put(&l.old, l.old_v[i]->file, l.old_v[i]);
	x->v = NULL;
	x->n = x->cap = 0;
	rc = srctree_find_stages(x->tree, "", on_file, is_out_dir, &l, e);
	/* named, but not met by the walk (git-ignored, below an output): they stay, last */
	for (size_t i = 0; i < l.old_n; i++)
		if (l.old_v[i])
			index_add(x, l.old_v[i]);
	free(l.old_v);
	map_release(&l.outs, NULL);
	map_release(&l.old, NULL);
	unmap(x);
	x->whole = !rc;
	return rc;
}

int index_load(struct index **out, struct repo *r, struct srctree *t, unsigned flags, struct err *e)
{
	struct index *x = index_new(r, t);

	if (index_load_rest(x, flags, e)) {
		index_free(x);
		return -1;
	}
	*out = x;
	return 0;
}

/* Lookup */

static void map_all(const struct index *cx)
{
	struct index *x = (struct index *)cx;   /* only the lookup tables change */

	if (x->mapped_ == x->n + 1)
		return;
	unmap(x);
	for (size_t i = 0; i < x->n; i++) {
		struct stage *s = x->v[i];

		if (!map_has(&x->files_, s->file))
			map_put(&x->files_, s->file, (void *)(uintptr_t)(i + 1));
		for (size_t k = 0; k < s->nouts; k++)
			if (s->outs[k]->path && !map_has(&x->outs_, s->outs[k]->path))
				map_put(&x->outs_, s->outs[k]->path, s->outs[k]);
	}
	x->mapped_ = x->n + 1;
}

struct item *index_out_at(const struct index *x, const char *rel)
{
	map_all(x);
	return map_get(&x->outs_, rel);
}

struct item *index_out_of(const struct index *x, const char *rel)
{
	autofree char *path = xstrdup(rel);
	struct item *i;

	map_all(x);
	for (;;) {
		char *slash;

		i = map_get(&x->outs_, path);
		if (i || !*path)
			return i;
		slash = strrchr(path, '/');
		*(slash ? slash : path) = 0;
	}
}

struct stage *index_stage(const struct index *x, const char *file, const char *name)
{
	size_t i;

	map_all(x);
	i = (size_t)(uintptr_t)map_get(&x->files_, file);
	if (!i)
		return NULL;
	for (i--; i < x->n; i++) {
		struct stage *s = x->v[i];

		if (!strcmp(s->file, file) && (!name || !s->name || !strcmp(s->name, name)))
			return s;
	}
	return NULL;
}

int index_load_file(struct index *x, const char *rel, const struct tmpl_want *w, struct err *e)
{
	size_t from, n;
	struct loading l = { x, 0, MAP_INIT, MAP_INIT, NULL, 0 };
	int rc;

	if ((x->whole && (!x->holes || index_stage(x, rel, NULL))) || (str_ends(rel, ".dvc") && index_stage(x, rel, NULL)))
		return 0;
	if (str_ends(rel, ".dvc")) {
		from = x->n;
		rc = load_pointer(x, rel, e);
	} else {
		l.old_v = x->v;
		l.old_n = x->n;
		map_put(&l.old, rel, x);
		x->v = NULL;
		x->n = x->cap = 0;
		take_old(&l, rel);
		for (size_t i = 0; i < l.old_n; i++)
			if (l.old_v[i])
				index_add(x, l.old_v[i]);
		from = x->n;
		rc = dvcyaml_load_some(x, rel, w, e);
		keep_spares(x);
		free(l.old_v);
		map_release(&l.old, NULL);
		if (!rc)
			rc = check_from(x, from, e);
	}
	for (n = from; n < x->n; n++)
		x->v[n]->named = true;
	unmap(x);
	return rc;
}

#include "core/data/datadiff.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/cache/store.h"
#include "core/data/dindex.h"
#include "core/data/project.h"
#include "core/repo/gitrepo.h"
#include "core/repo/repo.h"
#include "core/repo/srctree.h"
#include "core/stage/index.h"
#include "core/stage/stage.h"

static int by_item_path(const void *a, const void *b)
{
	const struct diff_item *x = a, *y = b;

	return strcmp(x->path, y->path);
}

void data_diff_release(struct data_diff *d)
{
	for (size_t k = 0; k < DIFF_KINDS; k++) {
		for (size_t i = 0; i < d->kind[k].n; i++) {
			struct diff_item *t = &d->kind[k].v[i];

			free(t->path);
			free(t->new_path);
			free(t->hash);
			free(t->new_hash);
		}
		free(d->kind[k].v);
	}
	memset(d, 0, sizeof(*d));
}

/* ---- one side ---- */

struct side {
	struct srctree *tree;           /* NULL: the project's own work tree */
	struct index *own, *x;
	struct dselection sel;
	struct dindex *d;
	struct strvec missing;          /* targets it does not know */
	char sha[41];                   /* "" for the work tree */
};

static void side_release(struct side *s)
{
	dindex_free(s->d);
	dselection_release(&s->sel);
	index_free(s->own);
	srctree_close(s->tree);
	strvec_release(&s->missing);
}

static int select_targets(struct side *s, const struct strvec *names, struct err *e)
{
	if (!names || !names->n) {
		dselect_targets(&s->sel, s->x, NULL);
		return 0;
	}
	for (size_t i = 0; i < names->n; i++) {
		autostrvec struct strvec one = STRVEC_INIT;
		autoerr struct err why = ERR_INIT;
		struct targets t = { 0 };

		strvec_push(&one, names->v[i]);
		if (!index_targets(s->x, &one, 0, &t, &why)) {
			dselect_targets(&s->sel, s->x, &t);
		} else if (why.code == ERR_INTR) {
			err_move(e, &why);
			return -1;
		} else {
			strvec_push(&s->missing, names->v[i]);
		}
		targets_release(&t);
	}
	return 0;
}

static int side_open(struct project *p, struct side *s, const char *rev, const struct strvec *names, struct err *e)
{
	s->d = dindex_new(p);
	if (!rev) {
		if (project_index(p, &s->x, e) || project_remotes_known(p, s->x, NULL, REMOTES_ALL, e))
			return -1;
	} else {
		if (srctree_rev(&s->tree, p->repo, rev, e) || index_load(&s->own, p->repo, s->tree, 0, e)
		    || project_remotes_known(p, s->own, s->tree, REMOTES_ALL, e))
			return -1;
		s->x = s->own;
	}
	return select_targets(s, names, e);
}

static int side_fill(struct side *s, bool present, struct err *e)
{
	for (size_t i = 0; i < s->sel.n; i++) {
		if (proc_check(e))
			return -1;
		if (present ? dindex_add_present(s->d, &s->sel.v[i], 0, e) :
		    dindex_add_declared(s->d, &s->sel.v[i], 0, e))
			return -1;
	}
	dindex_sort(s->d);
	return 0;
}

/* ---- comparing ---- */

/* The key or a directory above it is in the list. */
static bool covers(const struct strvec *sorted, const char *key)
{
	autofree char *up = xstrdup(key);

	for (;;) {
		char *slash;

		if (strvec_has_sorted(sorted, up))
			return true;
		slash = strrchr(up, '/');
		if (!slash)
			return false;
		*slash = '\0';
	}
}

static char *shown(const struct dentry *d)
{
	return xasprintf("%s%s", d->key, d->is_dir ? "/" : "");
}

static char *hash_text(const struct dentry *d)
{
	char hex[OID_HEX_MAX];

	if (!d || !d->has_id)
		return NULL;
	oid_hex(hex, &d->id);
	return xstrdup(hex);
}

static void add_item(struct data_diff *out, int kind, const struct dentry *a, const struct dentry *b)
{
	struct diff_items *l = &out->kind[kind];

	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = (struct diff_item){ shown(a), b ? shown(b) : NULL, hash_text(a), b ? hash_text(b) : NULL };
	out->any = true;
}

static int is_missing(struct project *p, const struct dentry *d, struct err *e)
{
	struct store *s;
	int has;

	/* An import not yet downloaded has the hash of its source, and no object. */
	if (d->is_out && d->out && !d->out->hash.value && !d->out->files)
		return 1;
	if (project_cache(p, d->legacy, &s, e))
		return -1;
	has = store_has_quick(s, &d->id, NULL);
	return has < 0 ? err_sys(e, "cannot look at the cache file of '%s'", d->key) : !has;
}

static int tell_change(struct project *p, const struct dchange *c, bool with_missing, struct data_diff *out,
		       struct err *e)
{
	const struct dentry *old = c->old, *now = c->now;
	int missing;

	if ((old && old->is_dir && !old->has_id) || (now && now->is_dir && !now->has_id))
		return 0;
	if (c->type == DCHANGE_ADD)
		add_item(out, DIFF_ADDED, now, NULL);
	else if (c->type == DCHANGE_DELETE)
		add_item(out, DIFF_DELETED, old, NULL);
	else if (c->type == DCHANGE_MODIFY)
		add_item(out, DIFF_MODIFIED, old, now);
	else if (c->type == DCHANGE_RENAME)
		add_item(out, DIFF_RENAMED, old, now);
	if (!with_missing || !old || !old->has_id)
		return 0;
	missing = is_missing(p, old, e);
	if (missing > 0)
		add_item(out, DIFF_NOT_IN_CACHE, old, NULL);
	return missing < 0 ? -1 : 0;
}

static int compare_sides(struct project *p, const struct side *a, const struct side *b, bool with_missing,
			 struct data_diff *out, struct err *e)
{
	autostrvec struct strvec roots = STRVEC_INIT;
	struct dchanges c = { 0 };
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; i < a->sel.n; i++)
		strvec_push(&roots, a->sel.v[i].key);
	for (size_t i = 0; i < b->sel.n; i++)
		strvec_push(&roots, b->sel.v[i].key);
	strvec_sort(&roots);
	strvec_uniq(&roots);
	dindex_diff(a->d, b->d, DDIFF_UNKNOWN | (with_missing ? DDIFF_SAME : 0), &c);
	for (size_t i = 0; i < c.n; i++)
		if (covers(&roots, dchange_key(&c.v[i])))
			c.v[n++] = c.v[i];
	c.n = n;
	dchanges_renames(&c);
	for (size_t i = 0; !rc && i < c.n; i++)
		rc = tell_change(p, &c.v[i], with_missing, out, e);
	dchanges_release(&c);
	for (size_t k = 0; k < DIFF_KINDS; k++)
		if (out->kind[k].n)
			qsort(out->kind[k].v, out->kind[k].n, sizeof(*out->kind[k].v), by_item_path);
	return rc;
}

static int resolve(struct project *p, const char *rev, char out[41], struct err *e)
{
	struct gitrepo *g;

	if (repo_git(p->repo, &g, e))
		return -1;
	return gitrepo_resolve(g, rev, out, e);
}

/* Outputs both sides declare alike are alike: no manifest of theirs is needed. Only between two revisions. */
static void drop_equal(struct dselection *a, struct dselection *b)
{
	struct map there = MAP_INIT;

	for (size_t k = 0; k < b->n; k++)
		map_put(&there, b->v[k].key, &b->v[k]);
	for (size_t i = 0; i < a->n; i++) {
		struct dselect *one = &a->v[i], *other = map_get(&there, one->key);
		struct oid x, y;
		bool lx, ly, dx, dy;

		if (!other || !other->key || one->whole != other->whole || !declared_id(one->out, &x, &lx, &dx) ||
		    !declared_id(other->out, &y, &ly, &dy) || !oid_eq(&x, &y) || lx != ly || dx != dy)
			continue;
		free(one->key);
		free(other->key);
		one->key = other->key = NULL;
	}
	map_release(&there, NULL);
	for (int side = 0; side < 2; side++) {
		struct dselection *s = side ? b : a;
		size_t n = 0;

		for (size_t i = 0; i < s->n; i++)
			if (s->v[i].key)
				s->v[n++] = s->v[i];
		s->n = n;
	}
}

static int refuse_missing(const struct side *a, const struct side *b, struct err *e)
{
	for (size_t i = 0; i < a->missing.n; i++)
		if (strvec_has(&b->missing, a->missing.v[i])) {
			err_set(e, ERR_NOTFOUND, "unexpected error - [Errno 2] No such file or directory: '%s'",
				a->missing.v[i]);
			e->exit_status = 255;
			return -1;
		}
	return 0;
}

/* A commit from before `init --subdir` is left out by DVC, and one side alone is no difference. */
static bool lacks_root(const struct side *s)
{
	return s->tree && !srctree_is_dir(s->tree, "");
}

int data_diff(struct project *p, const char *a, const char *b, const struct strvec *targets, struct data_diff *out,
	      struct err *e)
{
	struct side from = { 0 }, to = { 0 };
	struct gitrepo *g = NULL;
	bool with_missing = !b;
	int rc = -1;

	if (repo_git(p->repo, &g, e))
		return -1;
	if (!g)
		return err_set(e, ERR_FAIL, "Only supported for Git repositories. If you're seeing this error in a Git "
			       "repo, try updating the DVC configuration with `dvc config core.no_scm false`.");
	if (!gitrepo_has_commits(g))
		return 0;
	if (b && !strcmp(b, "workspace"))
		b = NULL;
	if (!strcmp(a, "workspace") && b)       /* DVC has the work tree on the new side only */
		return resolve(p, b, to.sha, e);
	if (resolve(p, a, from.sha, e) || (b && resolve(p, b, to.sha, e)))
		return -1;
	if (!strcmp(from.sha, to.sha)) {
		/* Nothing to compare; under one name a target that is missing is told all the same. */
		rc = targets && targets->n && b && !strcmp(a, b) &&
			(side_open(p, &from, a, targets, e) || refuse_missing(&from, &from, e)) ? -1 : 0;
		goto undo;
	}
	if (side_open(p, &from, a, targets, e) || side_open(p, &to, b, targets, e))
		goto undo;
	if (targets && targets->n && refuse_missing(&from, &to, e))
		goto undo;
	if (lacks_root(&from) || lacks_root(&to)) {
		rc = 0;
		goto undo;
	}
	if (b && from.sel.n + to.sel.n < 2000)
		drop_equal(&from.sel, &to.sel);
	if (side_fill(&from, false, e) || side_fill(&to, !b, e))
		goto undo;
	rc = compare_sides(p, &from, &to, with_missing, out, e);
undo:
	side_release(&from);
	side_release(&to);
	return rc;
}

/* ---- data status ---- */

static void changes_release(struct data_changes *c)
{
	strvec_release(&c->modified);
	strvec_release(&c->added);
	strvec_release(&c->deleted);
	strvec_release(&c->unknown);
	strvec_release(&c->unchanged);
	for (size_t i = 0; i < c->renamed.n; i++) {
		free(c->renamed.v[i].old);
		free(c->renamed.v[i].now);
	}
	free(c->renamed.v);
}

void data_status_release(struct data_status *s)
{
	strvec_release(&s->not_in_cache);
	strvec_release(&s->not_in_remote);
	strvec_release(&s->untracked);
	strvec_release(&s->unchanged);
	changes_release(&s->committed);
	changes_release(&s->uncommitted);
	memset(s, 0, sizeof(*s));
}

struct status {
	struct project *p;
	const struct data_status_opts *o;
	struct strvec keys;             /* targets, as keys; empty: all */
	struct data_status *out;
};

static bool wanted(const struct status *s, const char *key)
{
	if (!s->keys.n)
		return true;
	for (size_t i = 0; i < s->keys.n; i++)
		if (path_is_inside(key, s->keys.v[i]))
			return true;
	return false;
}

/* Outputs that are, hold, or lie below a target. */
static void select_wanted(const struct status *s, const struct index *x, struct dselection *sel)
{
	struct dselection all = { 0 };

	dselect_targets(&all, x, NULL);
	for (size_t i = 0; i < all.n; i++) {
		bool touch = !s->keys.n || wanted(s, all.v[i].key);

		for (size_t k = 0; !touch && k < s->keys.n; k++)
			touch = path_is_inside(s->keys.v[k], all.v[i].key);
		if (touch)
			dselect_push(sel, all.v[i].out);
	}
	dselection_release(&all);
}

static char *entry_shown(const struct dchange *c)
{
	const struct dentry *d = c->now && !c->now->broken ? c->now : c->old ? c->old : c->now;

	return xasprintf("%s%s", dchange_key(c), d->is_dir ? "/" : "");
}

static void file_change(struct data_changes *out, const struct dchange *c)
{
	struct strvec *list = NULL;

	switch (c->type) {
	case DCHANGE_SAME:
		list = &out->unchanged;
		break;
	case DCHANGE_ADD:
		list = &out->added;
		break;
	case DCHANGE_DELETE:
		list = &out->deleted;
		break;
	case DCHANGE_MODIFY:
		list = &out->modified;
		break;
	case DCHANGE_UNKNOWN:
		list = &out->unknown;
		break;
	case DCHANGE_RENAME:
		if (!out->renamed.n)
			out->renamed_first = !out->added.n;
		GROW(out->renamed.v, out->renamed.n, out->renamed.cap);
		out->renamed.v[out->renamed.n].old = shown(c->old);
		out->renamed.v[out->renamed.n++].now = shown(c->now);
		return;
	}
	strvec_take(list, entry_shown(c));
}

static int sort_changes(struct status *s, const struct dindex *a, const struct dindex *b, struct data_changes *out,
			struct strvec *missing, struct err *e)
{
	struct dchanges c = { 0 };
	int rc = 0;

	dindex_diff(a, b, DDIFF_HASH_ONLY | DDIFF_SAME | DDIFF_UNKNOWN, &c);
	dchanges_renames(&c);
	for (size_t i = 0; !rc && i < c.n; i++) {
		const struct dchange *g = &c.v[i];
		const char *key = g->type == DCHANGE_RENAME ? g->now->key : dchange_key(g);

		if (!wanted(s, key))
			continue;
		if (g->type == DCHANGE_SAME && !(g->old && g->old->has_id) && !(g->now && g->now->has_id))
			continue;
		if (g->type == DCHANGE_UNKNOWN && !g->now)
			continue;
		if (missing && g->old && g->old->has_id) {
			int m = is_missing(s->p, g->old, e);

			if (m > 0)
				strvec_take(missing, shown(g->old));
			rc = m < 0 ? -1 : 0;
		}
		file_change(out, g);
	}
	dchanges_release(&c);
	return rc;
}

static int uncommitted(struct status *s, struct index *x, struct err *e)
{
	autodindex struct dindex *old = dindex_new(s->p), *now = dindex_new(s->p);
	unsigned flags = s->o->granular ? 0 : DINDEX_SHALLOW;
	struct dselection sel = { 0 };
	int rc = -1;

	select_wanted(s, x, &sel);
	for (size_t i = 0; i < sel.n; i++)
		if (proc_check(e) || dindex_add_declared(old, &sel.v[i], flags, e) ||
		    dindex_add_present(now, &sel.v[i], flags, e))
			goto undo;
	dindex_sort(old);
	dindex_sort(now);
	rc = sort_changes(s, old, now, &s->out->uncommitted, &s->out->not_in_cache, e);
undo:
	dselection_release(&sel);
	return rc;
}

static int committed(struct status *s, struct index *x, struct index *head, struct err *e)
{
	autodindex struct dindex *old = dindex_new(s->p), *now = dindex_new(s->p);
	unsigned flags = s->o->granular ? 0 : DINDEX_SHALLOW;
	struct dselection a = { 0 }, b = { 0 };
	int rc = -1;

	if (head)
		select_wanted(s, head, &a);
	select_wanted(s, x, &b);
	/* The list of what is unchanged needs every member on both sides. */
	if (!s->o->unchanged && a.n + b.n < 2000)
		drop_equal(&a, &b);
	for (size_t i = 0; i < a.n; i++)
		if (dindex_add_declared(old, &a.v[i], flags, e))
			goto undo;
	for (size_t i = 0; i < b.n; i++)
		if (dindex_add_declared(now, &b.v[i], flags, e))
			goto undo;
	dindex_sort(old);
	dindex_sort(now);
	rc = sort_changes(s, old, now, &s->out->committed, NULL, e);
undo:
	dselection_release(&a);
	dselection_release(&b);
	return rc;
}

static void both_unchanged(struct data_status *out, bool have_head)
{
	strvec_sort(&out->committed.unchanged);
	for (size_t i = 0; i < out->uncommitted.unchanged.n; i++)
		if (!have_head || strvec_has_sorted(&out->committed.unchanged, out->uncommitted.unchanged.v[i]))
			strvec_push(&out->unchanged, out->uncommitted.unchanged.v[i]);
	strvec_sort(&out->unchanged);
}

/* Untracked files as git lists them, cut down to the repository and made relative to the user's directory. */
static int untracked(struct status *s, struct gitrepo *g, struct err *e)
{
	struct repo *r = s->p->repo;
	autostrvec struct strvec v = STRVEC_INIT;

	if (gitrepo_untracked(g, false, &v, e))
		return -1;
	s->out->is_dirty |= v.n > 0;
	for (size_t i = 0; i < v.n; i++) {
		autofree char *abs = path_join(r->scm_root, v.v[i]);
		bool in = !s->o->targets.n;

		for (size_t k = 0; !in && k < s->o->targets.n; k++) {
			autofree char *t = path_abs(s->o->targets.v[k]);

			in = path_is_inside(abs, t) && strcmp(t, r->scm_root);
		}
		if (in && path_is_inside(abs, r->root))
			strvec_take(&s->out->untracked, path_rel(abs, r->cwd));
	}
	return 0;
}

static int ask_git(struct status *s, struct index *x, struct err *e)
{
	struct repo *r = s->p->repo;
	struct srctree *t = NULL;
	struct index *head = NULL;
	struct gitrepo *g;
	int rc = -1;

	if (repo_git(r, &g, e))
		return -1;
	if (!g) {
		both_unchanged(s->out, false);
		return 0;
	}
	s->out->has_git = true;
	s->out->is_empty = !gitrepo_has_commits(g);
	if (!s->out->is_empty && (srctree_rev(&t, r, "HEAD", e) || index_load(&head, r, t, 0, e) ||
				  project_remotes_known(s->p, head, t, REMOTES_ALL, e)))
		goto undo;
	if (committed(s, x, head, e))
		goto undo;
	both_unchanged(s->out, true);
	s->out->is_dirty = gitrepo_is_dirty(g);
	rc = s->o->untracked ? untracked(s, g, e) : 0;
undo:
	index_free(head);
	srctree_close(t);
	return rc;
}

int data_status(struct project *p, const struct data_status_opts *o, struct data_status *out, struct err *e)
{
	struct status s = { .p = p, .o = o, .out = out };
	struct index *x;
	int rc = -1;

	for (size_t i = 0; i < o->targets.n; i++) {
		autofree char *abs = path_abs(o->targets.v[i]), *rel = path_rel(abs, p->repo->cwd);

		/* As for DVC the user's own directory is no tracked path: nothing lies in it. */
		strvec_take(&s.keys, strcmp(rel, ".") ? take(rel) : xstrdup("./"));
	}
	if (project_index(p, &x, e) || project_remotes_known(p, x, NULL, REMOTES_ALL, e) || uncommitted(&s, x, e))
		goto undo;
	if (o->not_in_remote && data_not_in_remote(p, x, &s.keys, o, &out->not_in_remote, e))
		goto undo;
	if (ask_git(&s, x, e))
		goto undo;
	rc = 0;
undo:
	strvec_release(&s.keys);
	return rc;
}

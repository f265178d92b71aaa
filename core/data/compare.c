#include "core/data/compare.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/base/proc.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"
#include "core/data/compare_own.h"
#include "core/data/dindex.h"
#include "core/data/partial.h"
#include "core/data/project.h"
#include "core/data/source.h"
#include "core/data/wtree.h"
#include "core/repo/repo.h"
#include "core/stage/datasets.h"
#include "core/stage/pointer.h"

#include <stdatomic.h>

void stage_status_release(struct stage_status *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct reason *r = &s->v[i];

		free(r->what);
		free(r->param);
		hashinfo_set(&r->was, NULL, NULL);
		hashinfo_set(&r->now, NULL, NULL);
		node_free(r->old_value);
		node_free(r->new_value);
	}
	free(s->v);
	memset(s, 0, sizeof(*s));
}

struct reason *reason_add(struct stage_status *s, enum reason_kind kind, const struct item *i, const char *state)
{
	struct reason *r;

	GROW(s->v, s->n, s->cap);
	r = &s->v[s->n++];
	memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->item = i;
	r->state = state;
	return r;
}

char *reason_what(struct project *p, const struct item *i)
{
	if (i->kind == DEP_REPO)
		return xasprintf("%s (%s)", i->def, i->repo ? node_get_str(i->repo, "url") : "");
	return item_show(i, p->repo->cwd_rel);
}

/* ---- in the cache? ---- */

struct members { struct store *store; const struct tree *t; _Atomic bool missing; };

static int check_members(void *data, size_t from, size_t to, unsigned worker UNUSED, struct err *e)
{
	struct members *m = data;

	for (size_t i = from; i < to && !atomic_load(&m->missing); i++) {
		int has = store_has(m->store, &m->t->e[i].id, NULL, e);

		if (has < 0)
			return -1;
		if (!has)
			atomic_store(&m->missing, true);
	}
	return 0;
}

int compare_cached(struct project *p, const struct item *out, bool *cached, struct err *e)
{
	autotree struct tree *t = NULL;
	autoerr struct err why = ERR_INIT;
	struct members m = { 0 };
	struct oid id;
	bool legacy, is_dir;
	int has;

	*cached = false;
	if (!declared_id(out, &id, &legacy, &is_dir))
		return 0;
	if (project_cache(p, legacy, &m.store, e))
		return -1;
	if (!id.is_dir || !out->files) {
		has = store_has(m.store, &id, NULL, e);
		if (has <= 0 || !id.is_dir) {
			*cached = has > 0;
			return has < 0 ? -1 : 0;
		}
	}
	if (declared_tree(p, out, &t, &why)) {
		if (why.code == ERR_NOTFOUND || why.code == ERR_CORRUPT)
			return 0;
		err_move(e, &why);
		return -1;
	}
	m.t = t;
	if (t->n < 256 ? check_members(&m, 0, t->n, 0, e) :
	    pool_for(project_pool(p), t->n, 512, check_members, &m, e))
		return -1;
	*cached = !atomic_load(&m.missing);
	return 0;
}

/* ---- one item ---- */

/* What lies at the item's path now, against what was recorded. */
static int compare_path(struct project *p, struct item *i, struct stage_status *out, struct err *e)
{
	autowtree w = WTREE_INIT;
	autofree char *rel = i->path ? xstrdup(i->path) : item_abs(i, p->repo->root);
	struct reason *r;
	struct oid was;
	bool legacy, is_dir;
	bool recorded = declared_id(i, &was, &legacy, &is_dir) && !(i->is_out && partial_is(i));

	if (wtree_read(p, rel, hashinfo_is_legacy(&i->hash), WTREE_ID | (i->is_out ? 0 : WTREE_DEPENDENCY), &w, e))
		return -1;
	if (w.present && w.ignore_file) {
		autofree char *file = path_join(w.abs, w.ignore_file), *dir = path_dir(file);

		err_set(e, ERR_FAIL, ".dvcignore file should not be in collected dir path: '%s'", dir);
		e->exit_status = 255;
		return -1;
	}
	if (w.present && recorded && oid_eq(&was, &w.id))
		return 0;
	r = reason_add(out, i->is_out ? REASON_OUT : REASON_DEP, i, w.present ? "modified" : "deleted");
	r->what = reason_what(p, i);
	hashinfo_set(&r->was, i->hash.name, i->hash.value);
	if (w.present)
		hashinfo_set_oid(&r->now, &w.id);
	return 0;
}

static int compare_dataset(struct project *p, struct item *i, struct stage_status *out, struct err *e)
{
	autonode struct node *is = NULL;
	autonode struct node *was = datasets_recorded(i->dataset);
	const struct node *all;
	const char *state = NULL;
	bool stale;

	if (project_datasets(p, &all, e) || datasets_lock(all, i->def, &is, &stale, e))
		return -1;
	if (!is)
		state = "not in sync";
	else if (!was)
		state = "new";
	else if (!node_equal(is, was))
		state = "modified";
	if (state)
		reason_add(out, REASON_DEP, i, state)->what = reason_what(p, i);
	return 0;
}

static int compare_url(struct project *p, struct item *i, struct stage_status *out, struct err *e)
{
	autocall(meta_release) struct meta m = META_INIT;
	struct hashinfo now = { NULL, NULL };
	struct source *src;
	struct reason *r;
	bool newer;
	int rc;

	if (source_open_item(p, i, 0, &src, e))
		return -1;
	rc = source_look(src, e);
	if (!rc && src->present)
		rc = source_hash(p, src, &now, &m, e);
	newer = !rc && source_is_newer(src, i);
	if (!rc && (newer || !now.value || !hashinfo_eq(&now, &i->hash))) {
		r = reason_add(out, REASON_DEP, i, !src->present ? "deleted" : newer ? "update available" : "modified");
		r->what = reason_what(p, i);
		hashinfo_set(&r->was, i->hash.name, i->hash.value);
		hashinfo_set(&r->now, now.name, now.value);
	}
	source_close(src);
	hashinfo_set(&now, NULL, NULL);
	return rc;
}

int compare_item(struct project *p, struct item *i, bool workspace_only, struct stage_status *out, struct err *e)
{
	struct reason *r;
	struct oid id;
	bool legacy, is_dir, cached;

	if (i->kind == DEP_PARAMS)
		return compare_params(p, i, out, e);
	if (i->kind == DEP_REPO)
		return compare_source(p, i, out, e);
	if (i->kind == DEP_DATASET)
		return compare_dataset(p, i, out, e);
	if (i->kind == DEP_DB)          /* it has no state to ask */
		return 0;
	if (i->kind == DEP_URL)
		return i->is_out ? 0 : compare_url(p, i, out, e);
	if (i->is_out && i->cache && !workspace_only && (i->hash.value || i->files) &&
	    declared_id(i, &id, &legacy, &is_dir)) {
		if (compare_cached(p, i, &cached, e))
			return -1;
		if (!cached) {
			r = reason_add(out, REASON_OUT, i, "not in cache");
			r->what = reason_what(p, i);
			hashinfo_set(&r->was, i->hash.name, i->hash.value);
			return 0;
		}
	}
	return compare_path(p, i, out, e);
}

/* ---- one stage ---- */

bool compare_command_changed(const struct stage *s)
{
	if (s->kind != STAGE_PIPELINE || !s->in_lock)
		return false;
	if (!s->locked_cmd || !s->cmd)
		return s->locked_cmd != s->cmd;
	return !node_equal(s->locked_cmd, s->cmd);
}

static bool checksum_changed(const struct stage *s)
{
	autofree char *md5 = NULL;

	if (s->kind != STAGE_SINGLE)
		return false;
	md5 = pointer_md5_for(s);
	return !((s->md5 && md5) ? !strcmp(s->md5, md5) : !s->md5 && !md5);
}

static int compare_deps(struct project *p, struct stage *s, struct stage_status *out, struct err *e)
{
	for (size_t i = 0; i < s->ndeps; i++)
		if (proc_check(e) || compare_item(p, s->deps[i], false, out, e))
			return -1;
	return 0;
}

static int compare_outs(struct project *p, struct stage *s, const char *inside, struct stage_status *out, struct err *e)
{
	for (size_t i = 0; i < s->nouts; i++) {
		if (inside && (!s->outs[i]->path || !path_is_inside(inside, s->outs[i]->path)))
			continue;
		if (proc_check(e) || compare_item(p, s->outs[i], false, out, e))
			return -1;
	}
	return 0;
}

int compare_stage_with(struct project *p, struct stage *s, const struct compare_opts *o,
		       struct stage_status *out, struct err *e)
{
	bool updates = o->updates && (stage_is_repo_import(s) || stage_is_versioned_import(s));

	if (!o->outs_only && (!s->frozen || updates || o->frozen_deps))
		if (compare_deps(p, s, out, e))
			return -1;
	if (!o->deps_only && compare_outs(p, s, o->inside, out, e))
		return -1;
	if (o->deps_only || o->outs_only)
		return 0;
	if (stage_is_callback(s) || s->always_changed)
		reason_add(out, REASON_ALWAYS, NULL, NULL);
	if (compare_command_changed(s)) {
		struct reason *r = reason_add(out, REASON_COMMAND, NULL, NULL);

		r->old_value = s->locked_cmd ? node_copy(s->locked_cmd) : NULL;
		r->new_value = s->cmd ? node_copy(s->cmd) : NULL;
	}
	if (checksum_changed(s))
		reason_add(out, REASON_CHECKSUM, NULL, NULL);
	return 0;
}

int compare_stage(struct project *p, struct stage *s, struct stage_status *out, struct err *e)
{
	struct compare_opts o = { 0 };

	return compare_stage_with(p, s, &o, out, e);
}

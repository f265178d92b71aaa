#include "core/data/transfer_own.h"

#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"
#include "core/data/inuse.h"
#include "core/data/partial.h"
#include "core/data/project.h"
#include "core/repo/gitrepo.h"
#include "core/repo/repo.h"
#include "core/repo/srctree.h"
#include "core/stage/index.h"

/* ---- the set ---- */

void want_release(struct want_set *w)
{
	for (size_t i = 0; i < w->ng; i++) {
		free(w->g[i].path);
		free(w->g[i].inside);
		free(w->g[i].remote);
		tree_free(w->g[i].tree);
	}
	free(w->g);
	free(w->v);
	free(w->slot);
	memset(w, 0, sizeof(*w));
}

static uint64_t slot_of(const struct oid *id, bool legacy)
{
	uint64_t h;

	memcpy(&h, id->md5, sizeof(h)); /* uniform already */
	return h + id->is_dir * 0x9e3779b97f4a7c15u + legacy;
}

struct want *want_find(const struct want_set *w, const struct oid *id, bool legacy)
{
	if (!w->nslots)
		return NULL;
	for (size_t s = slot_of(id, legacy) & (w->nslots - 1); w->slot[s]; s = (s + 1) & (w->nslots - 1)) {
		struct want *x = &w->v[w->slot[s] - 1];

		if (x->legacy == legacy && oid_eq(&x->id, id))
			return x;
	}
	return NULL;
}

static void slot_put(struct want_set *w, uint32_t i)
{
	size_t s = slot_of(&w->v[i].id, w->v[i].legacy) & (w->nslots - 1);

	while (w->slot[s])
		s = (s + 1) & (w->nslots - 1);
	w->slot[s] = i + 1;
}

static void slots_grow(struct want_set *w)
{
	free(w->slot);
	w->nslots = w->nslots ? w->nslots * 2 : 64;
	w->slot = xcalloc(w->nslots, sizeof(*w->slot));
	for (size_t i = 0; i < w->n; i++)
		slot_put(w, (uint32_t)i);
}

struct want *want_add(struct want_set *w, const struct oid *id, bool legacy, uint32_t group, const char *rel, uint64_t size)
{
	struct want *x = want_find(w, id, legacy);

	if (x)
		return x;
	if (w->n >= UINT32_MAX - 1)
		BUG("more than 2^32 objects");
	GROW(w->v, w->n, w->cap);
	x = &w->v[w->n++];
	*x = (struct want){ .id = *id, .legacy = legacy, .group = group, .rel = rel, .size = size };
	if (w->n * 3 > w->nslots * 2)
		slots_grow(w);
	else
		slot_put(w, (uint32_t)(w->n - 1));
	return x;
}

char *want_path(const struct want_set *w, const struct want *x)
{
	const char *top = w->g[x->group].path;

	return x->rel ? path_join(top, x->rel) : xstrdup(top);
}

void want_key(unsigned char out[WANT_KEY], const struct want *w)
{
	memcpy(out, w->id.md5, 16);
	out[16] = w->id.is_dir;
	out[17] = w->legacy;
}

void want_expand(struct want_set *w, size_t group)
{
	struct want_group *g = &w->g[group];
	bool legacy = w->v[g->manifest - 1].legacy;
	size_t from = 0, to = g->tree->n;

	if (g->inside && !tree_range(g->tree, g->inside, &from, &to))
		return;
	for (size_t i = from; i < to; i++) {
		const struct tree_entry *t = &g->tree->e[i];

		want_add(w, &t->id, legacy, (uint32_t)group, t->path, t->size > 0 ? (uint64_t)t->size : 0);
	}
}

static struct want_group *group_add(struct want_set *w, const char *path, const char *inside)
{
	GROW(w->g, w->ng, w->gcap);
	w->g[w->ng] = (struct want_group){ .path = xstrdup(path), .inside = xstrdup(inside) };
	return &w->g[w->ng++];
}

void want_add_object(struct want_set *w, const char *path, const struct oid *id, bool legacy, uint64_t size)
{
	struct want_group *g = group_add(w, path, NULL);
	struct want *x = want_add(w, id, legacy, (uint32_t)(w->ng - 1), NULL, size);

	if (id->is_dir)
		g->manifest = (uint32_t)(x - w->v) + 1;
}

/* ---- from outputs ---- */

struct collector {
	struct project *p;
	const struct collect_opts *c;
	struct want_parts *parts;
	bool split;                     /* a set for every remote */
	bool workspace;                 /* items stay alive in any case */
	struct binset seen;             /* groups: (oid, legacy) of whole outputs that were added already */
};

/* collect_opts.keep */
struct kept_index { struct index *x; struct srctree *t; };

void want_parts_release(struct want_parts *p)
{
	for (size_t i = 0; i < p->nkept; i++) {
		index_free(p->kept[i].x);
		srctree_close(p->kept[i].t);
	}
	free(p->kept);
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].remote);
		want_release(&p->v[i].set);
	}
	free(p->v);
	free(p->partial);
	memset(p, 0, sizeof(*p));
}

static struct want_set *part_for(struct collector *k, const char *remote)
{
	struct want_parts *p = k->parts;

	if (!k->split)
		remote = NULL;
	for (size_t i = 0; i < p->n; i++)
		if (remote ? p->v[i].remote && !strcmp(p->v[i].remote, remote) : !p->v[i].remote)
			return &p->v[i].set;
	GROW(p->v, p->n, p->cap);
	p->v[p->n] = (struct want_part){ .remote = xstrdup(remote) };
	return &p->v[p->n++].set;
}

static bool type_wanted(const struct strvec *types, const struct item *o)
{
	if (!types || !types->n)
		return true;
	return (o->is_metric && strvec_has(types, "metrics")) || (o->is_plot && strvec_has(types, "plots"));
}

static bool out_wanted(const struct collect_opts *c, const struct item *o)
{
	if (!o->cache || !o->path || !type_wanted(c->types, o))
		return false;
	if (c->push && (!o->push || stage_is_repo_import(o->stage)))
		return false;
	if (c->remote && o->remote && strcmp(c->remote, o->remote))
		return false;
	return !c->max_size || o->meta.size <= 0 || o->meta.size < c->max_size;
}

/* A whole output that another revision has named already needs no second look at its manifest. */
static bool seen_before(struct collector *k, const struct oid *id, bool legacy, const char *remote)
{
	unsigned char key[WANT_KEY + 8];
	uint64_t r = remote ? map_hash(remote, strlen(remote)) : 0;

	memcpy(key, id->md5, 16);
	key[16] = id->is_dir;
	key[17] = legacy;
	memcpy(key + WANT_KEY, &r, 8);
	return !binset_add(&k->seen, key);
}

static int read_manifest(struct project *p, struct want_set *w, size_t group, bool legacy, struct err *e)
{
	struct want_group *g = &w->g[group];
	struct store *s;

	if (project_cache(p, legacy, &s, e))
		return -1;
	if (tree_load(&g->tree, s, &w->v[g->manifest - 1].id, e)) {
		if (e->code != ERR_NOTFOUND && e->code != ERR_CORRUPT)
			return -1;
		err_release(e);
		return 0;
	}
	want_expand(w, group);
	return 0;
}

int want_add_whole(struct project *p, struct want_set *w, const char *path, const struct oid *id, bool legacy, struct err *e)
{
	want_add_object(w, path, id, legacy, 0);
	return id->is_dir ? read_manifest(p, w, w->ng - 1, legacy, e) : 0;
}

/* Imported without its content (--no-download): the source is all there is of it. */
static void add_partial(struct collector *k, struct item *o)
{
	struct want_parts *p = k->parts;

	if (!k->workspace || k->c->push || !partial_is(o))
		return;
	for (size_t i = 0; i < p->npartial; i++)
		if (p->partial[i] == o)
			return;
	GROW(p->partial, p->npartial, p->cappartial);
	p->partial[p->npartial++] = o;
}

static int add_out(struct collector *k, struct item *o, const char *inside, struct err *e)
{
	bool legacy = hashinfo_is_legacy(&o->hash);
	struct want_set *w;
	struct want_group *g;
	struct want *x;
	struct oid id;
	size_t group;

	if (k->c->strict && o->cache && !stage_is_import(o->stage) && (!k->c->push || o->can_push) && !o->hash.value &&
	    !o->files)
		inuse_warn_unrecorded(k->p, o, k->workspace);
	if (!out_wanted(k->c, o))
		return 0;
	if (!hashinfo_oid(&o->hash, &id)) {
		add_partial(k, o);
		return 0;
	}
	/* Of the work tree every output is kept: remotes that go by names need each. */
	if (!inside && seen_before(k, &id, legacy, o->remote) && !k->workspace)
		return 0;
	w = part_for(k, o->remote);
	group = w->ng;
	g = group_add(w, o->path, id.is_dir ? inside : NULL);
	g->remote = xstrdup(o->remote);
	g->out = k->workspace || k->c->keep ? o : NULL;
	g->kept = !k->workspace;
	x = want_add(w, &id, legacy, (uint32_t)group, NULL, !id.is_dir && o->meta.size > 0 ? (uint64_t)o->meta.size : 0);
	if (!id.is_dir)
		return 0;
	g->manifest = (uint32_t)(x - w->v) + 1;
	return read_manifest(k->p, w, group, legacy, e);
}

static int add_target(struct collector *k, const struct target *t, struct err *e)
{
	if (t->out)
		return add_out(k, t->out, t->inside, e);
	for (size_t i = 0; i < t->stage->nouts; i++)
		if (add_out(k, t->stage->outs[i], NULL, e))
			return -1;
	return 0;
}

static unsigned target_flags(const struct collect_opts *c)
{
	return (c->recursive ? TARGET_RECURSIVE : 0) | (c->with_deps ? TARGET_WITH_DEPS : 0) | (c->glob ? TARGET_GLOB : 0);
}

static int add_index(struct collector *k, struct index *x, struct err *e)
{
	struct targets t = { NULL, 0, 0 };
	static const struct strvec none;
	int rc;

	rc = index_targets(x, k->c->targets ? k->c->targets : &none, target_flags(k->c), &t, e);
	for (size_t i = 0; !rc && i < t.n; i++)
		rc = add_target(k, &t.v[i], e);
	targets_release(&t);
	return rc;
}

static int add_workspace(struct collector *k, struct err *e)
{
	bool some = k->c->targets && k->c->targets->n;
	struct index *x;

	k->workspace = true;
	if (some ? project_index_some(k->p, &x, e) : project_index(k->p, &x, e))
		return -1;
	return add_index(k, x, e) || (!k->c->strict && project_remotes_known(k->p, x, NULL, REMOTES_ALL, e)) ? -1 : 0;
}

static int add_revision(struct collector *k, const char *sha, struct err *e)
{
	struct srctree *t = NULL;
	struct index *x = NULL;
	int rc = -1;

	k->workspace = false;
	if (srctree_rev(&t, k->p->repo, sha, e))
		return -1;
	if (k->c->targets && k->c->targets->n) {
		x = index_new(k->p->repo, t);
		rc = add_index(k, x, e);
	} else if (!index_load(&x, k->p->repo, t, 0, e)) {
		rc = (!k->c->strict && project_remotes_known(k->p, x, t, REMOTES_ALL, e)) || add_index(k, x, e) ? -1 : 0;
	}
	if (k->c->keep) {
		GROW(k->parts->kept, k->parts->nkept, k->parts->kept_cap);
		k->parts->kept[k->parts->nkept++] = (struct kept_index){ x, t };
		return rc;
	}
	index_free(x);
	srctree_close(t);
	return rc;
}

/* The ones of the same commit go by all their names, as DVC shows them. */
static char *names_of(const struct git_refs *refs, size_t i)
{
	autostr struct str s = STR_INIT;

	for (size_t k = i; k < refs->n; k++)
		if (refs->v[k].name && !strcmp(refs->v[k].sha, refs->v[i].sha))
			str_addf(&s, "%s%s", s.len ? "," : "", refs->v[k].name);
	return s.len ? str_take(&s) : xstrdup(refs->v[i].sha);
}

static int refs_of(const struct collect_opts *c, struct gitrepo *g, struct git_refs *refs, struct err *e)
{
	if (c->all_commits)
		return gitrepo_all_commits(g, refs, e);
	if (c->all_branches && gitrepo_branches(g, refs, e))
		return -1;
	return c->all_tags ? gitrepo_tags(g, refs, e) : 0;
}

/* Where one revision is too many: it is named. */
static int refuse(const char *name, struct err *why, struct err *e)
{
	err_move(e, why);
	return e->code == ERR_INTR ? -1 : err_wrap(e, "Failed to collect '%s'", name);
}

/* Commits whose trees are equal need one look. */
static int add_revisions(struct collector *k, size_t *good, struct err *e)
{
	struct git_refs refs = { NULL, 0, 0 };
	struct map trees = MAP_INIT;
	struct gitrepo *g;
	int rc = -1;

	if (repo_git(k->p->repo, &g, e))
		return -1;
	if (!g)
		return 0;
	if (refs_of(k->c, g, &refs, e))
		goto undo;
	for (size_t i = 0; i < refs.n; i++) {
		autoerr struct err why = ERR_INIT;
		autofree char *name = NULL, *tree = NULL;
		struct gittree *t = NULL;
		bool known = true;

		if (map_has(&trees, refs.v[i].sha))
			continue;
		map_put(&trees, refs.v[i].sha, k);

		if (!gittree_open(&t, g, refs.v[i].sha, &why)) {
			known = map_has(&trees, gittree_id(t)) || !repo_in_tree(k->p->repo, t);
			tree = xstrdup(gittree_id(t));
			gittree_close(t);
		}
		if (!why.code && known)
			continue;
		if (!why.code && !add_revision(k, refs.v[i].sha, &why)) {
			++*good;
			map_put(&trees, tree, k);       /* one that fails is told of each time */
			continue;
		}
		name = names_of(&refs, i);
		if (why.code == ERR_INTR || k->c->strict) {
			refuse(name, &why, e);
			goto undo;
		}
		notice(NOTICE_WARN, "failed to collect '%s', skipping", name);
		err_release(e);
		err_move(e, &why);      /* the last one is reported, as by DVC */
	}
	rc = 0;
undo:
	git_refs_release(&refs);
	map_release(&trees, NULL);
	return rc;
}

static int collect(struct project *p, const struct collect_opts *c, bool split, struct want_parts *out, struct err *e)
{
	struct collector k = { .p = p, .c = c, .parts = out, .split = split, .seen = BINSET_INIT(WANT_KEY + 8) };
	autoerr struct err first = ERR_INIT, later = ERR_INIT;
	size_t good = 0;
	int rc = 0;

	if (c->glob && (!c->targets || !c->targets->n))
		return err_set(e, ERR_FAIL, "Glob [] has no matches.");
	if (!add_workspace(&k, &first)) {
		good++;
	} else if (c->strict || (c->glob && first.msg && str_starts(first.msg, "Glob ["))) {
		binset_release(&k.seen);
		if (c->strict)
			return refuse("workspace", &first, e);
		err_move(e, &first);    /* names are made of patterns before anything is collected */
		return -1;
	} else if (first.code != ERR_INTR) {
		notice(NOTICE_WARN, "failed to collect 'workspace', skipping");
	}
	if (first.code != ERR_INTR && (c->all_branches || c->all_tags || c->all_commits))
		rc = add_revisions(&k, &good, &later);
	if (later.code) {
		err_release(&first);
		err_move(&first, &later);
	}
	binset_release(&k.seen);
	if (rc || first.code == ERR_INTR || !good) {
		if (!first.code)
			err_set(&first, ERR_FAIL, "no revision could be collected");
		err_move(e, &first);
		return -1;
	}
	return 0;
}

int transfer_collect_parts(struct project *p, const struct collect_opts *c, struct want_parts *out, struct err *e)
{
	return collect(p, c, true, out, e);
}

int transfer_collect(struct project *p, const struct collect_opts *c, struct want_set *out, struct err *e)
{
	struct want_parts parts = WANT_PARTS_INIT;
	int rc = collect(p, c, false, &parts, e);

	if (!rc && parts.n) {
		*out = parts.v[0].set;
		memset(&parts.v[0].set, 0, sizeof(parts.v[0].set));
	}
	want_parts_release(&parts);
	return rc;
}

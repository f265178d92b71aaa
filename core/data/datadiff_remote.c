/* datadiff_remote - 'data status --not-in-remote'. */
#include "core/data/datadiff.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/own.h"
#include "core/cache/state.h"
#include "core/data/dindex.h"
#include "core/data/project.h"
#include "core/data/remote.h"
#include "core/data/transfer.h"
#include "core/repo/config.h"
#include "core/repo/repo.h"
#include "core/stage/index.h"
#include "core/stage/stage.h"

#define FACT_KIND "remote-has"

struct asked { const struct dentry *d; struct remote *r; };

static bool wanted(const struct strvec *keys, const char *key)
{
	bool yes = !keys->n;

	for (size_t i = 0; !yes && i < keys->n; i++)
		yes = path_is_inside(key, keys->v[i]);
	return yes;
}

static char *fact_key(const struct remote *r, const struct dentry *d)
{
	char hex[OID_HEX_MAX];

	oid_hex(hex, &d->id);
	return xasprintf("%s %s%s", r->url ? r->url : "", hex, d->legacy ? " 2" : "");
}

/* What the last question told. */
static void recall(struct project *p, struct remote *r, const struct dindex *x, const struct strvec *keys,
		   struct strvec *out)
{
	struct state *s = project_state(p);

	for (size_t i = 0; i < x->n; i++) {
		const struct dentry *d = &x->v[i];
		autofree char *key = NULL;
		char yes;

		if (!d->has_id || !wanted(keys, d->key))
			continue;
		key = r ? fact_key(r, d) : NULL;
		if (!r || !s || !state_get_fact(s, FACT_KIND, key, &yes, 1))
			strvec_pushf(out, "%s%s", d->key, d->is_dir ? "/" : "");
	}
}

static int ask(struct project *p, struct remote *r, const struct dindex *x, const struct strvec *keys,
	       struct strvec *out, struct err *e)
{
	struct state *s = project_state(p);
	struct want_set w = { 0 };
	struct binset have = BINSET_INIT(WANT_KEY);
	int rc;

	for (size_t i = 0; i < x->n; i++) {
		const struct dentry *d = &x->v[i];

		if (d->has_id && wanted(keys, d->key))
			want_add_object(&w, d->key, &d->id, d->legacy, 0);
	}
	rc = transfer_have(p, r, &w, false, &have, e);
	for (size_t i = 0; !rc && i < x->n; i++) {
		const struct dentry *d = &x->v[i];
		struct want at = { .id = d->id, .legacy = d->legacy };
		unsigned char id[WANT_KEY];
		autofree char *key = NULL;
		bool has;

		if (!d->has_id || !wanted(keys, d->key))
			continue;
		want_key(id, &at);
		has = binset_has(&have, id);
		key = fact_key(r, d);
		if (s)
			state_put_fact(s, FACT_KIND, key, has ? "y" : NULL, has ? 1 : 0);
		if (!has)
			strvec_pushf(out, "%s%s", d->key, d->is_dir ? "/" : "");
	}
	binset_release(&have);
	want_release(&w);
	return rc;
}

/* The outputs of one remote (an output may name its own). */
static int one_remote(struct project *p, const struct dselection *sel, const char *name, const struct strvec *keys,
		      const struct data_status_opts *o, struct strvec *out, struct err *e)
{
	autodindex struct dindex *x = dindex_new(p);
	struct remote *r = NULL;
	int rc = 0;

	for (size_t i = 0; i < sel->n; i++) {
		const char *own = sel->v[i].out->remote;

		if (strcmp(own ? own : "", name ? name : ""))
			continue;
		if (dindex_add_declared(x, &sel->v[i], o->granular ? 0 : DINDEX_SHALLOW, e))
			return -1;
	}
	dindex_sort(x);
	if (!x->n)
		return 0;
	if (!name)
		name = o->remote ? o->remote : config_get(p->repo->config, "core", "remote");
	if (name && remote_open_named(&r, p->repo, name, 0, e))
		return -1;
	if (!r || o->no_refresh)
		recall(p, r, x, keys, out);
	else
		rc = ask(p, r, x, keys, out, e);
	remote_close(r);
	return rc;
}

/* Where names of one level stand: as they first occur among the outputs, in the order of their stages. */
struct places { struct map of; size_t deepest; };

static size_t depth(const char *key)
{
	size_t n = 0;

	for (; *key; key++)
		n += *key == '/' && key[1];
	return n;
}

static void note_places(struct places *pl, const char *path)
{
	for (size_t n = strcspn(path, "/");; n += 1 + strcspn(path + n + 1, "/")) {
		autofree char *name = xstrndup(path, n);

		if (!map_has(&pl->of, name))
			map_put(&pl->of, name, (void *)(uintptr_t)(pl->of.n + 1));
		if (!path[n])
			break;
	}
	if (depth(path) > pl->deepest)
		pl->deepest = depth(path);
}

static uintptr_t place_of(const struct places *pl, const char *key, size_t upto)
{
	autofree char *name = xstrndup(key, upto + strcspn(key + upto, "/"));

	return (uintptr_t)map_get(&pl->of, name);
}

/* Level by level, each in the order of the level above, as DVC walks its tree of names. */
static int breadth_first(const void *a, const void *b, void *places)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	const struct places *pl = places;
	size_t dx = depth(x), dy = depth(y), at = 0, level = 0;
	uintptr_t px, py;

	if (dx != dy)
		return dx < dy ? -1 : 1;
	for (size_t i = 0; x[i] && x[i] == y[i]; i++)
		if (x[i] == '/') {
			at = i + 1;
			level++;
		}
	if (level > pl->deepest)
		return strcmp(x, y);
	px = place_of(pl, x, at);
	py = place_of(pl, y, at);
	return px && py && px != py ? px < py ? -1 : 1 : strcmp(x, y);
}

int data_not_in_remote(struct project *p, const struct index *x, const struct strvec *keys,
		       const struct data_status_opts *o, struct strvec *out, struct err *e)
{
	autostrvec struct strvec names = STRVEC_INIT;
	struct dselection all = { 0 }, sel = { 0 };
	struct places pl = { .of = MAP_INIT };
	int rc;

	dselect_targets(&all, x, NULL);
	for (size_t i = 0; i < all.n; i++) {
		struct item *out_item = all.v[i].out;
		const struct stage *st = out_item->stage;

		/* What has another place to come from than the remote. */
		if (!out_item->push || stage_is_repo_import(st) || stage_is_versioned_import(st) || stage_is_partial_import(st))
			continue;
		dselect_push(&sel, out_item);
		note_places(&pl, out_item->path);
		if (out_item->remote)
			strvec_push(&names, out_item->remote);
	}
	strvec_sort(&names);
	strvec_uniq(&names);
	rc = one_remote(p, &sel, NULL, keys, o, out, e);
	for (size_t i = 0; !rc && i < names.n; i++)
		rc = one_remote(p, &sel, names.v[i], keys, o, out, e);
	if (out->n)
		qsort_r(out->v, out->n, sizeof(*out->v), breadth_first, &pl);
	map_release(&pl.of, NULL);
	dselection_release(&all);
	dselection_release(&sel);
	return rc;
}

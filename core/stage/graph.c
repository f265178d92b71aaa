/*
 * Edges between stages by overlap of paths, and the checks DVC runs on them (format notes 5.5).
 */
#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/repo/repo.h"
#include "core/stage/index.h"

static bool holds_root(struct item *const *v, size_t n, const char *root)
{
	for (size_t i = 0; i < n; i++) {
		autofree char *abs = v[i]->path ? NULL : item_abs(v[i], root);

		if (v[i]->path ? !*v[i]->path : abs && path_is_inside(root, abs))
			return true;
	}
	return false;
}

/* What items are compared by: root-relative inside, absolute or a URL outside; absolute all, if one is the root or above. */
struct keys { const char *root; bool wide; };

static struct keys keys_init(const struct index *x)
{
	struct keys k = { x->repo->root, false };

	for (size_t i = 0; i < x->n && !k.wide; i++)
		k.wide = holds_root(x->v[i]->outs, x->v[i]->nouts, k.root) ||
			holds_root(x->v[i]->deps, x->v[i]->ndeps, k.root);
	return k;
}

static char *key_of(const struct item *i, const struct keys *keys)
{
	char *abs;

	if (i->path && !keys->wide)
		return xstrdup(i->path);
	abs = item_abs(i, keys->root);
	return abs ? abs : xstrdup(i->def);
}

/* '/' before every other byte: what lies below a directory follows it at once. */
static int by_key(const void *a, const void *b)
{
	const struct index_out *x = a, *y = b;
	const unsigned char *p = (const unsigned char *)x->key, *q = (const unsigned char *)y->key;

	for (; *p && *p == *q; p++, q++)
		;
	return (*p == '/' ? 1 : *p) - (*q == '/' ? 1 : *q);
}

void index_outs_build(struct index_outs *o, const struct index *x)
{
	const struct keys keys = keys_init(x);
	size_t cap = 0;

	*o = (struct index_outs){ .wide = keys.wide, .root = x->repo->root };
	for (size_t i = 0; i < x->n; i++) {
		for (size_t k = 0; k < x->v[i]->nouts; k++) {
			GROW(o->v, o->n, cap);
			o->v[o->n] = (struct index_out){ key_of(x->v[i]->outs[k], &keys), x->v[i]->outs[k], i, o->n, 0 };
			o->n++;
		}
	}
	if (o->n)
		qsort(o->v, o->n, sizeof(*o->v), by_key);
}

void index_outs_release(struct index_outs *o)
{
	for (size_t i = 0; i < o->n; i++)
		free(o->v[i].key);
	free(o->v);
	*o = (struct index_outs){ .v = NULL };
}

struct group { size_t at, n, first; };

static int by_first(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* Rows that have the part of their key from 'at' on in common, by who came first. */
static struct group *group_rows(const struct index_out *v, size_t n, size_t at, size_t *ngroups)
{
	struct group *g = NULL;
	size_t cap = 0;

	*ngroups = 0;
	for (size_t i = 0; i < n; i++) {
		const char *part = v[i].key + at;
		size_t len = strcspn(part, "/");
		struct group *last = *ngroups ? &g[*ngroups - 1] : NULL;
		const char *had = last ? v[last->at].key + at : NULL;

		if (had && !strncmp(had, part, len) && (!had[len] || had[len] == '/')) {
			last->n++;
			last->first = v[i].seq < last->first ? v[i].seq : last->first;
			continue;
		}
		GROW(g, *ngroups, cap);
		g[(*ngroups)++] = (struct group){ i, 1, v[i].seq };
	}
	if (*ngroups > 1)
		qsort(g, *ngroups, sizeof(*g), by_first);
	return g;
}

/* The order of DVC's trie: an output, then what lies below it, each directory where its first output came. The rows are
 * sorted and have the first 'at' bytes in common. */
static void rank_rows(struct index_out *v, size_t n, size_t at, size_t *next)
{
	autofree struct group *g = NULL;
	size_t ngroups = 0;

	for (;;) {
		while (n && strlen(v->key) < at) {      /* the directory that the others lie in */
			v++->rank = (*next)++;
			n--;
		}
		if (n <= 1)
			break;
		free(g);
		g = group_rows(v, n, at, &ngroups);
		if (ngroups > 1)
			break;
		at += strcspn(v->key + at, "/") + 1;
	}
	if (n == 1)
		v->rank = (*next)++;
	for (size_t i = 0; n > 1 && i < ngroups; i++)
		rank_rows(v + g[i].at, g[i].n, at + strcspn(v[g[i].at].key + at, "/") + 1, next);
}

void index_outs_rank(struct index_outs *o)
{
	size_t next = 0;

	if (!o->ranked)
		rank_rows(o->v, o->n, 0, &next);
	o->ranked = true;
}

static size_t lower_bound(const struct index_outs *o, const char *key)
{
	const struct index_out k = { .key = (char *)key };
	size_t lo = 0, hi = o->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (by_key(&o->v[mid], &k) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int by_rank(const void *a, const void *b)
{
	const struct index_out *const *x = a, *const *y = b;

	return (*x)->rank < (*y)->rank ? -1 : (*x)->rank > (*y)->rank;
}

size_t index_outs_of(struct index_outs *o, const struct item *dep, const struct index_out ***buf)
{
	const struct keys keys = { o->root, o->wide };
	autofree char *key = NULL;
	size_t n = 0, cap = 0, len, above;

	free(*buf);
	*buf = NULL;
	if (dep->kind == DEP_REPO || dep->kind == DEP_DB || dep->kind == DEP_DATASET)
		return 0;
	key = key_of(dep, &keys);
	len = strlen(key);
	for (char *p = strchr(key, '/'); p; p = strchr(p + 1, '/')) {
		size_t at;

		*p = 0;
		at = *key ? lower_bound(o, key) : o->n;
		if (at < o->n && !strcmp(o->v[at].key, key)) {
			GROW(*buf, n, cap);
			(*buf)[n++] = &o->v[at];
		}
		*p = '/';
	}
	above = n;
	for (size_t at = lower_bound(o, key); at < o->n && !strncmp(o->v[at].key, key, len) &&
	     (!o->v[at].key[len] || o->v[at].key[len] == '/'); at++) {
		GROW(*buf, n, cap);
		(*buf)[n++] = &o->v[at];
	}
	if (n > above + 1) {
		index_outs_rank(o);
		qsort(*buf + above, n - above, sizeof(**buf), by_rank);
	}
	return n;
}

/* mark[to] is the number + 1 of the last stage that got an edge to it. */
struct edges { size_t *v, n, cap, *mark; };

static void edge_add(struct edges *g, size_t from, size_t to)
{
	if (g->mark[to] == from + 1)
		return;
	g->mark[to] = from + 1;
	GROW(g->v, g->n, g->cap);
	g->v[g->n++] = to;
}

void index_graph_build(struct index_graph *g, const struct index *x)
{
	struct edges all = { NULL, 0, 0, xcalloc(x->n + 1, sizeof(size_t)) };
	const struct index_out **found = NULL;
	struct index_outs outs;

	index_outs_build(&outs, x);
	g->n = x->n;
	g->from = xcalloc(x->n + 1, sizeof(*g->from));
	for (size_t i = 0; i < x->n; i++) {
		const struct stage *s = x->v[i];

		g->from[i] = all.n;
		for (size_t k = 0; k < s->ndeps; k++)
			for (size_t j = 0, n = index_outs_of(&outs, s->deps[k], &found); j < n; j++)
				edge_add(&all, i, found[j]->stage);
	}
	g->from[x->n] = all.n;
	g->to = all.v ? all.v : xcalloc(1, sizeof(*g->to));      /* never NULL: users add offsets */
	free(all.mark);
	free(found);
	index_outs_release(&outs);
}

void index_graph_release(struct index_graph *g)
{
	free(g->from);
	free(g->to);
	*g = (struct index_graph){ NULL, NULL, 0 };
}

/* Depth first without recursion: a chain of stages may be long. */
struct visit { const struct index_graph *g; uint8_t *colour; size_t *stack, *next, depth; };

static void visit_init(struct visit *v, const struct index_graph *g)
{
	v->g = g;
	v->colour = xcalloc(g->n + 1, 1);
	v->stack = xcalloc(g->n + 1, sizeof(*v->stack));
	v->next = xcalloc(g->n + 1, sizeof(*v->next));
	v->depth = 0;
}

static void visit_release(struct visit *v)
{
	free(v->colour);
	free(v->stack);
	free(v->next);
}

/* Leaves everything reachable from 'start' in order. Returns the place in the stack where a cycle begins, or SIZE_MAX. */
static size_t visit_from(struct visit *v, size_t start, size_t *order, size_t *n)
{
	if (v->colour[start])
		return SIZE_MAX;
	v->depth = 0;
	v->stack[v->depth] = start;
	v->next[v->depth++] = v->g->from[start];
	v->colour[start] = 1;
	while (v->depth) {
		size_t at = v->stack[v->depth - 1], to;

		if (v->next[v->depth - 1] == v->g->from[at + 1]) {
			v->colour[at] = 2;
			order[(*n)++] = at;
			v->depth--;
			continue;
		}
		to = v->g->to[v->next[v->depth - 1]++];
		if (v->colour[to] == 1) {
			for (size_t i = 0; i < v->depth; i++)
				if (v->stack[i] == to)
					return i;
		} else if (!v->colour[to]) {
			v->colour[to] = 1;
			v->stack[v->depth] = to;
			v->next[v->depth++] = v->g->from[to];
		}
	}
	return SIZE_MAX;
}

size_t index_graph_postorder(const struct index_graph *g, size_t start, size_t *order)
{
	struct visit v;
	size_t n = 0;

	visit_init(&v, g);
	if (start != SIZE_MAX)
		visit_from(&v, start, order, &n);
	else
		for (size_t i = 0; i < g->n; i++)
			visit_from(&v, i, order, &n);
	visit_release(&v);
	return n;
}

/* Checks */

static int fail_duplicate(const struct index *x, const struct item *a, const struct item *b, struct err *e)
{
	autofree char *out = item_show(a, x->repo->cwd_rel);
	autofree char *one = stage_addressing(a->stage, x->repo->cwd_rel);
	autofree char *two = stage_addressing(b->stage, x->repo->cwd_rel);

	if (a->stage == b->stage)
		return err_set(e, ERR_FAIL, "output '%s' is already specified in stage: '%s'.\n"
			       "Use `dvc remove %s` to stop tracking the overlapping output.", out, one, one);
	return err_set(e, ERR_FAIL, "output '%s' is specified in:\n\t- %s\n\t- %s\n"
		       "Use `dvc remove` with any of the above targets to stop tracking the overlapping output.",
		       out, one, two);
}

static int fail_overlap(const struct index *x, const struct item *parent, const struct item *child, struct err *e)
{
	autofree char *p = item_show(parent, x->repo->cwd_rel), *c = item_show(child, x->repo->cwd_rel);
	autofree char *ps = stage_addressing(parent->stage, x->repo->cwd_rel);
	autofree char *cs = stage_addressing(child->stage, x->repo->cwd_rel);

	return err_set(e, ERR_FAIL, "The output paths:\n'%s'('%s')\n'%s'('%s')\n"
		       "overlap and are thus in the same tracked directory.\n"
		       "To keep reproducibility, outputs should be in separate tracked directories or tracked individually.",
		       p, ps, c, cs);
}

/* seen: key -> item. dirs: directory above some output -> the first output below it. */
struct overlap { struct map seen, dirs; };

/* The first clash of 'i' with what was added before; 0 none, 1 duplicate, 2 'i' lies above *other, 3 below it. */
static int clash(struct overlap *o, const char *key, struct item *i, struct item **other)
{
	autofree char *up = xstrdup(key);
	char *slash;

	*other = map_get(&o->seen, key);
	if (*other)
		return 1;
	*other = map_get(&o->dirs, key);
	if (*other)
		return 2;
	while ((slash = strrchr(up, '/'))) {
		*slash = 0;
		*other = map_get(&o->seen, up);
		if (*other)
			return 3;
		if (!map_has(&o->dirs, up))
			map_put(&o->dirs, up, i);
	}
	map_put(&o->seen, key, i);
	return 0;
}

int index_find_clash(const struct index *x, struct item **parent, struct item **child)
{
	const struct keys keys = keys_init(x);
	struct overlap o = { MAP_INIT, MAP_INIT };
	int kind = 0;

	for (size_t i = 0; i < x->n && !kind; i++) {
		for (size_t k = 0; k < x->v[i]->nouts && !kind; k++) {
			struct item *it = x->v[i]->outs[k], *other;
			autofree char *key = key_of(it, &keys);

			kind = clash(&o, key, it, &other);
			*parent = kind == 3 ? other : it;
			*child = kind == 3 ? it : other;
		}
	}
	map_release(&o.seen, NULL);
	map_release(&o.dirs, NULL);
	return kind;
}

static int check_stage_places(const struct index *x, struct err *e)
{
	for (size_t i = 0; i < x->n; i++) {
		autofree char *up = xstrdup(x->v[i]->file), *out = NULL, *stage = NULL;
		struct item *found = NULL;
		char *slash;

		while ((slash = strrchr(up, '/'))) {
			struct item *at;

			*slash = 0;
			at = index_out_at(x, up);
			if (at)
				found = at;     /* the outermost speaks */
		}
		if (!found)
			continue;
		out = item_show(found, x->repo->cwd_rel);
		stage = stage_addressing(x->v[i], x->repo->cwd_rel);
		return err_set(e, ERR_FAIL, "stage: '%s' is within an output '%s' of another stage", stage, out);
	}
	return 0;
}

static int fail_cycle(const struct index *x, const struct visit *v, size_t from, struct err *e)
{
	autostr struct str names = STR_INIT;

	for (size_t i = from; i < v->depth; i++) {
		autofree char *name = stage_addressing(x->v[v->stack[i]], x->repo->cwd_rel);

		str_addf(&names, "%s%s", i > from ? ", " : "", name);
	}
	return err_set(e, ERR_FAIL, "Same item(s) are defined as both a dependency and an output in %s: %s.",
		       v->depth - from == 1 ? "stage" : "stages", str_cstr(&names));
}

static int check_cycles(const struct index *x, struct err *e)
{
	struct index_graph g;
	struct visit v;
	autofree size_t *order = xcalloc(x->n + 1, sizeof(*order));
	size_t n = 0;
	int rc = 0;

	index_graph_build(&g, x);
	visit_init(&v, &g);
	for (size_t i = 0; i < g.n && !rc; i++) {
		size_t at = visit_from(&v, i, order, &n);

		if (at != SIZE_MAX)
			rc = fail_cycle(x, &v, at, e);
	}
	visit_release(&v);
	index_graph_release(&g);
	return rc;
}

int index_check_graph(const struct index *x, struct err *e)
{
	struct item *parent, *child;
	int kind = index_find_clash(x, &parent, &child);

	if (kind == 1)
		return fail_duplicate(x, parent, child, e);
	if (kind)
		return fail_overlap(x, parent, child, e);
	if (check_stage_places(x, e))
		return -1;
	return check_cycles(x, e);
}

/*
 * Edges between stages by overlap of paths, and the checks DVC runs on them (format notes 5.5).
 */
#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/repo/repo.h"
#include "core/stage/index.h"

/* What an item is compared by: root-relative inside, absolute or a URL outside. */
static char *key_of(const struct item *i, const char *root)
{
	char *abs;

	if (i->path)
		return xstrdup(i->path);
	abs = item_abs(i, root);
	return abs ? abs : xstrdup(i->def);
}

/* All outputs, sorted by key. */
struct row { char *key; struct item *item; size_t stage; };

static int by_key(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return strcmp(x->key, y->key);
}

static struct row *sorted_outs(const struct index *x, size_t *n)
{
	struct row *v = NULL;
	size_t cap = 0;

	*n = 0;
	for (size_t i = 0; i < x->n; i++) {
		for (size_t k = 0; k < x->v[i]->nouts; k++) {
			GROW(v, *n, cap);
			v[(*n)++] = (struct row){ key_of(x->v[i]->outs[k], x->repo->root), x->v[i]->outs[k], i };
		}
	}
	if (*n)
		qsort(v, *n, sizeof(*v), by_key);
	return v;
}

static size_t lower_bound(const struct row *v, size_t n, const char *key)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (strcmp(v[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
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

/* Outputs that are 'dep', hold it, or lie below it. */
static void edges_of(const struct row *v, size_t n, const char *dep, size_t from, struct edges *g)
{
	autofree char *up = xstrdup(dep), *below = xasprintf("%s/", dep);
	size_t at;
	char *slash;

	while ((slash = strrchr(up, '/'))) {
		*slash = 0;
		at = lower_bound(v, n, up);
		if (*up && at < n && !strcmp(v[at].key, up))
			edge_add(g, from, v[at].stage);
	}
	at = lower_bound(v, n, dep);
	if (at < n && !strcmp(v[at].key, dep))
		edge_add(g, from, v[at].stage);
	for (at = lower_bound(v, n, below); at < n && str_starts(v[at].key, below); at++)
		edge_add(g, from, v[at].stage);
}

void index_graph_build(struct index_graph *g, const struct index *x)
{
	size_t n;
	struct row *v = sorted_outs(x, &n);
	struct edges all = { NULL, 0, 0, xcalloc(x->n + 1, sizeof(size_t)) };

	g->n = x->n;
	g->from = xcalloc(x->n + 1, sizeof(*g->from));
	for (size_t i = 0; i < x->n; i++) {
		const struct stage *s = x->v[i];

		g->from[i] = all.n;
		for (size_t k = 0; k < s->ndeps; k++) {
			autofree char *key = NULL;
			enum dep_kind kind = s->deps[k]->kind;

			if (kind == DEP_REPO || kind == DEP_DB || kind == DEP_DATASET)
				continue;
			key = key_of(s->deps[k], x->repo->root);
			edges_of(v, n, key, i, &all);
		}
	}
	g->from[x->n] = all.n;
	g->to = all.v ? all.v : xcalloc(1, sizeof(*g->to));      /* never NULL: users add offsets */
	free(all.mark);
	for (size_t i = 0; i < n; i++)
		free(v[i].key);
	free(v);
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
	struct overlap o = { MAP_INIT, MAP_INIT };
	int kind = 0;

	for (size_t i = 0; i < x->n && !kind; i++) {
		for (size_t k = 0; k < x->v[i]->nouts && !kind; k++) {
			struct item *it = x->v[i]->outs[k], *other;
			autofree char *key = key_of(it, x->repo->root);

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

#include "core/pipeline/dag.h"

#include "core/base/map.h"
#include "core/base/own.h"
#include "core/pipeline/plan.h"
#include "core/stage/index.h"
#include "core/stage/stage.h"

void dag_release(struct dag *d)
{
	strvec_release(&d->names);
	free(d->e);
	*d = (struct dag){ STRVEC_INIT, NULL, 0, 0 };
}

static void add_edge(struct dag *d, size_t from, size_t to)
{
	GROW(d->e, d->n, d->cap);
	d->e[d->n++] = (struct dag_edge){ from, to };
}

void dag_of_stages(struct dag *out, const struct index *x, const char *cwd_rel)
{
	struct index_graph g = { NULL, NULL, 0 };

	*out = (struct dag){ STRVEC_INIT, NULL, 0, 0 };
	index_graph_build(&g, x);
	for (size_t i = 0; i < x->n; i++)
		strvec_take(&out->names, stage_addressing(x->v[i], cwd_rel));
	for (size_t i = 0; i < x->n; i++)
		for (size_t k = g.from[i]; k < g.from[i + 1]; k++)
			add_edge(out, i, g.to[k]);
	index_graph_release(&g);
}

void dag_of_outs(struct dag *out, const struct index *x, const char *cwd_rel)
{
	const struct index_out **found = NULL;
	struct index_outs outs;
	autofree size_t *rank = NULL;
	autofree struct item **item = NULL;
	size_t first = 0;

	*out = (struct dag){ STRVEC_INIT, NULL, 0, 0 };
	index_outs_build(&outs, x);
	index_outs_rank(&outs);
	rank = xcalloc(outs.n + 1, sizeof(*rank));
	item = xcalloc(outs.n + 1, sizeof(struct item *));
	for (size_t i = 0; i < outs.n; i++) {
		rank[outs.v[i].seq] = outs.v[i].rank;
		item[outs.v[i].rank] = outs.v[i].item;
	}
	for (size_t i = 0; i < outs.n; i++)
		strvec_take(&out->names, item_show(item[i], cwd_rel));
	for (size_t i = 0; i < x->n; first += x->v[i++]->nouts)
		for (size_t k = 0; k < x->v[i]->ndeps; k++) {
			size_t n = index_outs_of(&outs, x->v[i]->deps[k], &found);

			for (size_t o = 0; o < x->v[i]->nouts; o++)
				for (size_t j = 0; j < n; j++)
					add_edge(out, rank[first + o], found[j]->rank);
		}
	free(found);
	index_outs_release(&outs);
}

/* --- arithmetic over the names --- */

/* Edges in the form plan.h takes. */
static struct plan_graph as_graph(const struct dag *d, size_t **from, size_t **to)
{
	size_t n = d->names.n, *f = xcalloc(n + 2, sizeof(*f)), *t = xcalloc(d->n + 1, sizeof(*t)), *fill;

	for (size_t i = 0; i < d->n; i++)
		f[d->e[i].from + 1]++;
	for (size_t i = 0; i < n; i++)
		f[i + 1] += f[i];
	fill = xmemdup(f, (n + 1) * sizeof(*f));
	for (size_t i = 0; i < d->n; i++)
		t[fill[d->e[i].from]++] = d->e[i].to;
	free(fill);
	*from = f;
	*to = t;
	return (struct plan_graph){ n, f, t, NULL };
}

static void keep_only(struct dag *d, const bool *keep)
{
	autofree size_t *now = xcalloc(d->names.n + 1, sizeof(*now));
	struct strvec names = STRVEC_INIT;
	size_t n = 0;

	for (size_t i = 0; i < d->names.n; i++) {
		now[i] = names.n;
		if (keep[i])
			strvec_push(&names, d->names.v[i]);
	}
	for (size_t i = 0; i < d->n; i++)
		if (keep[d->e[i].from] && keep[d->e[i].to])
			d->e[n++] = (struct dag_edge){ now[d->e[i].from], now[d->e[i].to] };
	d->n = n;
	strvec_release(&d->names);
	d->names = names;
}

void dag_filter(struct dag *d, const struct strvec *targets, bool full)
{
	autofree bool *keep = xcalloc(d->names.n + 1, sizeof(*keep));
	autofree size_t *from = NULL;
	autofree size_t *to = NULL;
	struct map wanted = MAP_INIT;
	struct plan_graph g;

	for (size_t i = 0; i < targets->n; i++)
		map_put(&wanted, targets->v[i], d);
	for (size_t i = 0; i < d->names.n; i++)
		keep[i] = map_has(&wanted, d->names.v[i]);
	map_release(&wanted, NULL);
	g = as_graph(d, &from, &to);
	if (full)
		plan_connect(&g, keep);
	else
		plan_reach(&g, keep, false);
	keep_only(d, keep);
}

void dag_collapse(struct dag *d)
{
	struct map seen = MAP_INIT;
	struct strvec names = STRVEC_INIT;
	autofree size_t *now = xcalloc(d->names.n + 1, sizeof(*now));
	struct dag_edge *e = d->e;
	size_t n = d->n;

	for (size_t i = 0; i < d->names.n; i++) {
		const char *at = str_ends(d->names.v[i], ".dvc") ? NULL : strchr(d->names.v[i], '@');
		autofree char *name = at ? xstrndup(d->names.v[i], (size_t)(at - d->names.v[i])) : xstrdup(d->names.v[i]);

		if (!map_has(&seen, name)) {
			strvec_push(&names, name);
			map_put(&seen, name, (void *)(uintptr_t)names.n);
		}
		now[i] = (uintptr_t)map_get(&seen, name) - 1;
	}
	map_release(&seen, NULL);
	d->e = NULL;
	d->n = d->cap = 0;
	for (size_t i = 0; i < n; i++) {
		autofree char *key = xasprintf("%zu %zu", now[e[i].from], now[e[i].to]);

		if (map_has(&seen, key))
			continue;
		map_put(&seen, key, d);
		add_edge(d, now[e[i].from], now[e[i].to]);
	}
	map_release(&seen, NULL);
	free(e);
	strvec_release(&d->names);
	d->names = names;
}

/* --- components --- */

/* Calls fn for each connected part, its nodes in order, until one fails. */
typedef int part_fn(const struct dag *d, const size_t *nodes, size_t n, const struct dag_edge *e, size_t ne, void *data,
		    struct err *err);

static size_t root_of(size_t *parent, size_t i)
{
	while (parent[i] != i)
		i = parent[i] = parent[parent[i]];
	return i;
}

static int each_part(const struct dag *d, part_fn *fn, void *data, struct err *err)
{
	size_t total = d->names.n;
	autofree size_t *parent = xcalloc(total + 1, sizeof(*parent));
	autofree size_t *first = xcalloc(total + 2, sizeof(*first));     /* nodes of a part, by its number */
	autofree size_t *number = xcalloc(total + 1, sizeof(*number));
	autofree size_t *nodes = xcalloc(total + 1, sizeof(*nodes));
	autofree size_t *efirst = xcalloc(total + 2, sizeof(*efirst));
	autofree size_t *fill = NULL;
	autofree size_t *efill = NULL;
	autofree struct dag_edge *e = xcalloc(d->n + 1, sizeof(*e));
	size_t parts = 0;

	for (size_t i = 0; i < total; i++)
		parent[i] = i;
	for (size_t i = 0; i < d->n; i++) {
		size_t a = root_of(parent, d->e[i].from), b = root_of(parent, d->e[i].to);

		parent[a > b ? a : b] = a > b ? b : a;
	}
	for (size_t i = 0; i < total; i++)
		number[i] = root_of(parent, i) == i ? parts++ : number[root_of(parent, i)];
	for (size_t i = 0; i < total; i++)
		first[number[i] + 1]++;
	for (size_t i = 0; i < d->n; i++)
		efirst[number[d->e[i].from] + 1]++;
	for (size_t i = 0; i < parts; i++) {
		first[i + 1] += first[i];
		efirst[i + 1] += efirst[i];
	}
	fill = xmemdup(first, (parts + 1) * sizeof(*first));
	efill = xmemdup(efirst, (parts + 1) * sizeof(*efirst));
	for (size_t i = 0; i < total; i++)
		nodes[fill[number[i]]++] = i;
	for (size_t i = 0; i < d->n; i++)
		e[efill[number[d->e[i].from]]++] = d->e[i];
	for (size_t i = 0; i < parts; i++)
		if (fn(d, nodes + first[i], first[i + 1] - first[i], e + efirst[i], efirst[i + 1] - efirst[i], data, err))
			return -1;
	return 0;
}

static int draw_part(const struct dag *d, const size_t *nodes, size_t n, const struct dag_edge *e, size_t ne, void *data,
		     struct err *err)
{
	autofree size_t *local = xcalloc(d->names.n + 1, sizeof(*local));
	autofree const char **names = xcalloc(n + 1, sizeof(*names));
	autofree struct dag_edge *down = xcalloc(ne + 1, sizeof(*down));
	struct str *out = data;

	for (size_t i = 0; i < n; i++) {
		local[nodes[i]] = i;
		names[i] = d->names.v[nodes[i]];
	}
	for (size_t i = 0; i < ne; i++)
		down[i] = (struct dag_edge){ local[e[i].to], local[e[i].from] };
	if (out->len)
		str_addc(out, '\n');
	return dag_draw(out, names, n, down, ne, err);
}

int dag_ascii(struct str *out, const struct dag *d, struct err *e)
{
	return each_part(d, draw_part, out, e);
}

static void add_label(struct str *out, const char *name)
{
	size_t n = strlen(name);
	bool quoted = n && name[0] == '"' && name[n - 1] == '"';

	str_addf(out, quoted ? "%s" : "\"%s\"", name);
}

static int by_ends(const void *a, const void *b)
{
	const struct dag_edge *x = a, *y = b;

	if (x->to != y->to)
		return x->to < y->to ? -1 : 1;
	return x->from < y->from ? -1 : x->from > y->from;
}

void dag_dot(struct str *out, const struct dag *d)
{
	autofree struct dag_edge *e = xmemdup(d->e ? d->e : &(struct dag_edge){ 0, 0 }, (d->n ? d->n : 1) * sizeof(*e));

	qsort(e, d->n, sizeof(*e), by_ends);
	str_adds(out, "strict digraph {\n");
	for (size_t i = 0; i < d->names.n; i++) {
		add_label(out, d->names.v[i]);
		str_adds(out, ";\n");
	}
	for (size_t i = 0; i < d->n; i++) {
		add_label(out, d->names.v[e[i].to]);
		str_adds(out, " -> ");
		add_label(out, d->names.v[e[i].from]);
		str_adds(out, ";\n");
	}
	str_adds(out, "}\n");
}

struct mermaid { struct str *out; size_t count; };
struct named { const char *name, *other; size_t id, other_id; };

static int by_names(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c || !x->other ? c : strcmp(x->other, y->other);
}

static int mermaid_part(const struct dag *d, const size_t *nodes, size_t n, const struct dag_edge *e, size_t ne,
			void *data, struct err *err)
{
	struct mermaid *m = data;
	autofree struct named *v = xcalloc(n + 1, sizeof(*v));
	autofree struct named *w = xcalloc(ne + 1, sizeof(*w));
	autofree size_t *id = xcalloc(d->names.n + 1, sizeof(*id));

	(void)err;
	for (size_t i = 0; i < n; i++)
		v[i] = (struct named){ d->names.v[nodes[i]], NULL, nodes[i], 0 };
	qsort(v, n, sizeof(*v), by_names);
	for (size_t i = 0; i < n; i++) {
		id[v[i].id] = ++m->count;
		str_addf(m->out, "\n\tnode%zu[\"%s\"]", m->count, v[i].name);
	}
	for (size_t i = 0; i < ne; i++)
		w[i] = (struct named){ d->names.v[e[i].to], d->names.v[e[i].from], id[e[i].to], id[e[i].from] };
	qsort(w, ne, sizeof(*w), by_names);
	for (size_t i = 0; i < ne; i++)
		str_addf(m->out, "\n\tnode%zu-->node%zu", w[i].id, w[i].other_id);
	return 0;
}

void dag_mermaid(struct str *out, const struct dag *d, bool md)
{
	struct mermaid m = { out, 0 };

	str_adds(out, md ? "```mermaid\nflowchart TD" : "flowchart TD");
	each_part(d, mermaid_part, &m, NULL);
	if (md)
		str_adds(out, "\n```");
}

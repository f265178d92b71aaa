#include "core/pipeline/plan.h"

#include "core/base/err.h"
#include "core/base/own.h"
#include "core/stage/index.h"

static size_t edges_of(const struct plan_graph *g, size_t i, const size_t **to)
{
	if (g->cut && g->cut[i])
		return 0;
	*to = g->to + g->from[i];
	return g->from[i + 1] - g->from[i];
}

/* The same graph with every edge turned round; the caller frees both arrays. */
static void reverse(const struct plan_graph *g, size_t **from, size_t **to)
{
	size_t *f = xcalloc(g->n + 2, sizeof(*f)), *t, *fill;
	const size_t *v = NULL;

	for (size_t i = 0; i < g->n; i++)
		for (size_t k = 0, n = edges_of(g, i, &v); k < n; k++)
			f[v[k] + 1]++;
	for (size_t i = 0; i < g->n; i++)
		f[i + 1] += f[i];
	t = xcalloc(f[g->n] + 1, sizeof(*t));
	fill = xmemdup(f, (g->n + 1) * sizeof(*f));
	for (size_t i = 0; i < g->n; i++)
		for (size_t k = 0, n = edges_of(g, i, &v); k < n; k++)
			t[fill[v[k]]++] = i;
	free(fill);
	*from = f;
	*to = t;
}

void plan_reach(const struct plan_graph *g, bool *marked, bool back)
{
	autofree size_t *rfrom = NULL;
	autofree size_t *rto = NULL;
	autofree size_t *stack = xcalloc(g->n + 1, sizeof(*stack));
	struct plan_graph r = *g;
	size_t n = 0;

	if (back) {
		reverse(g, &rfrom, &rto);
		r = (struct plan_graph){ g->n, rfrom, rto, NULL };
	}
	for (size_t i = 0; i < g->n; i++)
		if (marked[i])
			stack[n++] = i;
	while (n) {
		size_t i = stack[--n], count;
		const size_t *v = NULL;

		count = edges_of(&r, i, &v);
		for (size_t k = 0; k < count; k++) {
			if (marked[v[k]])
				continue;
			marked[v[k]] = true;
			stack[n++] = v[k];
		}
	}
}

static size_t root_of(size_t *parent, size_t i)
{
	while (parent[i] != i)
		i = parent[i] = parent[parent[i]];
	return i;
}

void plan_connect(const struct plan_graph *g, bool *marked)
{
	autofree size_t *parent = xcalloc(g->n + 1, sizeof(*parent));
	autofree bool *hit = xcalloc(g->n + 1, sizeof(*hit));
	const size_t *v = NULL;

	for (size_t i = 0; i < g->n; i++)
		parent[i] = i;
	for (size_t i = 0; i < g->n; i++)
		for (size_t k = 0, n = edges_of(g, i, &v); k < n; k++)
			parent[root_of(parent, i)] = root_of(parent, v[k]);
	for (size_t i = 0; i < g->n; i++)
		if (marked[i])
			hit[root_of(parent, i)] = true;
	for (size_t i = 0; i < g->n; i++)
		marked[i] = hit[root_of(parent, i)];
}

size_t plan_postorder(const struct plan_graph *g, const bool *only, size_t *order)
{
	struct frame { size_t node, next; };
	autofree struct frame *stack = xcalloc(g->n + 1, sizeof(*stack));
	autofree bool *seen = xcalloc(g->n + 1, sizeof(*seen));
	size_t count = 0;

	for (size_t root = 0; root < g->n; root++) {
		size_t depth = 0;

		if (seen[root] || (only && !only[root]))
			continue;
		seen[root] = true;
		stack[depth++] = (struct frame){ root, 0 };
		while (depth) {
			struct frame *f = &stack[depth - 1];
			const size_t *v = NULL;
			size_t n = edges_of(g, f->node, &v), next;

			if (f->next == n) {
				order[count++] = f->node;
				depth--;
				continue;
			}
			next = v[f->next++];
			if (seen[next] || (only && !only[next]))
				continue;
			seen[next] = true;
			stack[depth++] = (struct frame){ next, 0 };
		}
	}
	return count;
}

/* --- from stages to numbers --- */

struct number { const struct stage *s; size_t i; };

static int by_address(const void *a, const void *b)
{
	const struct number *x = a, *y = b;

	return x->s < y->s ? -1 : x->s > y->s;
}

static struct number *number_stages(const struct index *x)
{
	struct number *v = xcalloc(x->n + 1, sizeof(*v));

	for (size_t i = 0; i < x->n; i++)
		v[i] = (struct number){ x->v[i], i };
	qsort(v, x->n, sizeof(*v), by_address);
	return v;
}

static size_t number_of(const struct number *v, size_t n, const struct stage *s)
{
	struct number key = { s, 0 };
	const struct number *hit = bsearch(&key, v, n, sizeof(*v), by_address);

	if (!hit)
		BUG("stage '%s' is not in the index", s->name ? s->name : s->file);
	return hit->i;
}

static int resolve_targets(struct index *x, const struct plan_opts *o, struct targets *out, struct err *e)
{
	autostrvec struct strvec names = STRVEC_INIT;
	unsigned flags = TARGET_STAGES_ONLY | (o->recursive ? TARGET_RECURSIVE : 0) | (o->glob ? TARGET_GLOB : 0);

	for (size_t i = 0; o->targets && i < o->targets->n; i++)
		strvec_push(&names, o->targets->v[i]);
	if (!names.n)
		strvec_push(&names, "dvc.yaml");
	return index_targets(x, &names, flags, out, e);
}

static struct plan_graph graph_of(const struct plan *p)
{
	return (struct plan_graph){ p->graph.n, p->graph.from, p->graph.to, p->frozen };
}

static void link_steps(struct plan *p, const struct index *x, const struct plan_graph *g, const size_t *order,
		       bool linked)
{
	autofree size_t *step_of = xcalloc(x->n + 1, sizeof(*step_of));
	const size_t *v = NULL;

	for (size_t i = 0; i < p->n; i++)
		step_of[order[i]] = i + 1;
	for (size_t i = 0; linked && i < p->n; i++) {
		size_t n = edges_of(g, order[i], &v);
		struct step *s = &p->v[i];

		s->up = xcalloc(n + 1, sizeof(*s->up));
		s->sources = xcalloc(n + 1, sizeof(*s->sources));
		for (size_t k = 0; k < n; k++) {
			s->sources[s->nsources++] = x->v[v[k]];
			if (!step_of[v[k]])
				continue;
			s->up[s->nup++] = step_of[v[k]] - 1;
			p->v[step_of[v[k]] - 1].ndown++;
		}
	}
	for (size_t i = 0; i < p->n; i++) {
		p->v[i].down = xcalloc(p->v[i].ndown + 1, sizeof(*p->v[i].down));
		p->v[i].ndown = 0;
	}
	for (size_t i = 0; i < p->n; i++)
		for (size_t k = 0; k < p->v[i].nup; k++) {
			struct step *u = &p->v[p->v[i].up[k]];

			u->down[u->ndown++] = i;
		}
}

static void order_steps(struct plan *p, struct index *x, const struct plan_opts *o, const struct targets *t)
{
	autofree struct number *numbers = number_stages(x);
	autofree bool *marked = xcalloc(x->n + 1, sizeof(*marked));
	autofree size_t *order = xcalloc(x->n + 1, sizeof(*order));
	struct plan_graph g;
	size_t n = 0;

	p->index = x;
	p->frozen = xcalloc(x->n + 1, sizeof(*p->frozen));
	index_graph_build(&p->graph, x);
	for (size_t i = 0; i < x->n; i++)
		p->frozen[i] = x->v[i]->frozen;
	g = graph_of(p);
	for (size_t i = 0; i < t->n; i++) {
		size_t k = number_of(numbers, x->n, t->v[i].stage);

		if (o->single_item && !marked[k])
			order[n++] = k;
		marked[k] = true;
	}
	if (!o->single_item) {
		if (!t->n)
			memset(marked, true, x->n);
		else if (o->pipeline)
			plan_connect(&g, marked);
		else
			plan_reach(&g, marked, o->downstream);
		n = plan_postorder(&g, marked, order);
	}
	p->v = xcalloc(n + 1, sizeof(*p->v));
	p->n = n;
	for (size_t i = 0; i < n; i++) {
		p->v[i].stage = x->v[order[i]];
		p->v[i].number = order[i];
	}
	link_steps(p, x, &g, order, !o->single_item);
	if (o->single_item)
		index_graph_release(&p->graph);
}

bool *plan_dependents(const struct plan *p, size_t step)
{
	struct plan_graph g = graph_of(p);
	bool *hit;

	if (!g.from)
		return NULL;
	hit = xcalloc(g.n + 1, sizeof(*hit));
	hit[p->v[step].number] = true;
	plan_reach(&g, hit, true);
	hit[p->v[step].number] = false;
	return hit;
}

int plan_make(struct plan *out, struct index *x, const struct plan_opts *given, struct err *e)
{
	struct targets t = { NULL, 0, 0 };
	struct plan_opts o = *given;

	if (o.pipeline || o.all_pipelines)
		o.single_item = o.downstream = false;
	if (!o.all_pipelines && resolve_targets(x, &o, &t, e))
		return -1;
	if (o.named && o.named(o.data, e)) {
		targets_release(&t);
		return -1;
	}
	if (!o.single_item && (index_load_rest(x, 0, e) || index_check_graph(x, e))) {
		targets_release(&t);
		return -1;
	}
	*out = (struct plan){ .n = 0 };
	order_steps(out, x, &o, &t);
	targets_release(&t);
	return 0;
}

void plan_release(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].up);
		free(p->v[i].down);
		free(p->v[i].sources);
	}
	free(p->v);
	free(p->frozen);
	index_graph_release(&p->graph);
	*p = (struct plan){ .n = 0 };
}

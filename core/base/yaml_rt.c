#include "core/base/yaml_rt.h"

#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml.h"

struct ycomment *ycomment_new(const char *text, size_t n, int line, int col)
{
	struct ycomment *c = xcalloc(1, sizeof(*c));

	c->text = xstrndup(text, n);
	c->line = line;
	c->col = col;
	c->refs = 1;
	return c;
}

struct ycomment *ycomment_ref(struct ycomment *c)
{
	if (c)
		c->refs++;
	return c;
}

void ycomment_drop(struct ycomment *c)
{
	if (!c || --c->refs)
		return;
	free(c->text);
	free(c);
}

struct ylist *ylist_new(void)
{
	return xcalloc(1, sizeof(struct ylist));
}

void ylist_add(struct ylist *l, struct ycomment *c)
{
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = c;
}

void ylist_drop(struct ylist *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++)
		ycomment_drop(l->v[i]);
	free(l->v);
	free(l);
}

struct ylist *ylist_copy(const struct ylist *l)
{
	struct ylist *c;

	if (!l)
		return NULL;
	c = ylist_new();
	for (size_t i = 0; i < l->n; i++)
		ylist_add(c, ycomment_ref(l->v[i]));
	return c;
}

void ycarry_release(struct ycarry *c)
{
	ycomment_drop(c->post);
	ycomment_drop(c->fifth);
	ylist_drop(c->pre);
	ylist_drop(c->end);
	*c = (struct ycarry){ 0 };
}

void ynote_release(struct ynote *n)
{
	ycomment_drop(n->post);
	ycomment_drop(n->vpost);
	ylist_drop(n->pre);
	ylist_drop(n->vpre);
	*n = (struct ynote){ 0 };
}

struct yaml_rt *yaml_rt_of(struct node *n)
{
	if (!n->rt) {
		n->rt = xcalloc(1, sizeof(*n->rt));
		n->rt->flow = -1;
	}
	return n->rt;
}

void yaml_rt_free(struct yaml_rt *rt)
{
	free(rt->anchor);
	free(rt->alias);
	free(rt->tag);
	free(rt->shown);
	free(rt->head);
	ycomment_drop(rt->post);
	ylist_drop(rt->pre);
	ylist_drop(rt->end);
	ynote_release(&rt->note);
	for (size_t i = 0; i < rt->nitem; i++)
		ynote_release(&rt->item[i]);
	free(rt->item);
	node_free(rt->merge);
	free(rt);
}

void yaml_rt_item_gone(struct yaml_rt *rt, size_t i)
{
	if (i >= rt->nitem)
		return;
	ynote_release(&rt->item[i]);
	memmove(rt->item + i, rt->item + i + 1, (rt->nitem - i - 1) * sizeof(*rt->item));
	rt->nitem--;
}

/* The second of an object gives it its name, in the order of reading; what is below an alias is not written. */
static void mark(struct node *n, struct map *seen, unsigned *count)
{
	autofree char *where = NULL;
	struct node *first;

	if (n->kind < NODE_SEQ)
		return;
	where = xasprintf("%d:%d:%d", n->line, n->col, (int)n->kind);
	first = n->line > 0 ? map_get(seen, where) : NULL;
	if (first && node_equal(first, n)) {
		struct yaml_rt *rt = yaml_rt_of(first);

		if (!rt->anchor)
			rt->anchor = xasprintf("id%03u", ++*count);
		yaml_rt_of(n)->alias = xstrdup(rt->anchor);
		return;
	}
	map_put(seen, where, n);
	for (size_t i = 0; i < n->n; i++)
		mark(n->v[i], seen, count);
}

void yaml_mark_shared(struct node *n, unsigned *count)
{
	struct map seen = MAP_INIT;

	mark(n, &seen, count);
	map_release(&seen, NULL);
}

/* "id001" as a number; 0: a name somebody thought of. */
static unsigned anchor_number(const char *name)
{
	uint64_t v;

	if (!name || !str_starts(name, "id") || strlen(name) < 5 || !str_to_u64(name + 2, &v) || v > 100000000)
		return 0;
	return (unsigned)v;
}

static void collect_numbers(const struct node *n, struct binset *seen, unsigned **v, size_t *count, size_t *cap)
{
	unsigned id = n->rt ? anchor_number(n->rt->anchor) : 0;

	if (id && binset_add(seen, &id)) {
		GROW(*v, *count, *cap);
		(*v)[(*count)++] = id;
	}
	for (size_t i = 0; i < n->n; i++)
		collect_numbers(n->v[i], seen, v, count, cap);
}

static int by_number(const void *a, const void *b)
{
	const unsigned *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void rename_anchor(char **name, const unsigned *v, size_t count, unsigned first)
{
	unsigned id = anchor_number(*name);
	const unsigned *at = id ? bsearch(&id, v, count, sizeof(*v), by_number) : NULL;

	if (!at)
		return;
	free(*name);
	*name = xasprintf("id%03u", first + (unsigned)(at - v));
}

static void rename_all(struct node *n, const unsigned *v, size_t count, unsigned first)
{
	if (n->rt) {
		rename_anchor(&n->rt->anchor, v, count, first);
		rename_anchor(&n->rt->alias, v, count, first);
	}
	for (size_t i = 0; i < n->n; i++)
		rename_all(n->v[i], v, count, first);
}

unsigned yaml_number_anchors(struct node *n, unsigned first)
{
	struct binset seen = BINSET_INIT(sizeof(unsigned));
	autofree unsigned *v = NULL;
	size_t count = 0, cap = 0;

	collect_numbers(n, &seen, &v, &count, &cap);
	binset_release(&seen);
	if (count)
		qsort(v, count, sizeof(*v), by_number);
	rename_all(n, v, count, first);
	return (unsigned)count;
}

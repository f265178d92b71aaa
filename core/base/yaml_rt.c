#include "core/base/yaml_rt.h"

#include "core/base/node.h"
#include "core/base/own.h"

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

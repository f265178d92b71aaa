/* yaml_apply - lays a value over a document that was read for a round trip, touching only what differs. */
#include "core/base/yaml.h"

#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/yaml_rt.h"

static bool both(const struct node *a, const struct node *b, enum node_kind kind)
{
	return node_is(a, kind) && node_is(b, kind);
}

/* A text laid over a text in block style stays in that style; where it was folded is forgotten. */
static struct node *fresh(const struct node *value, const struct node *old)
{
	struct node *n = node_copy(value);

	if (both(value, old, NODE_STR) && old->rt && old->rt->style) {
		yaml_rt_of(n)->style = old->rt->style;
		n->rt->head = xstrdup(old->rt->head);
	}
	return n;
}

static void delete_key(struct node *map, size_t i)
{
	if (map->rt && map->rt->merge && map->rt->merge_pos > i)
		map->rt->merge_pos--;
	node_del_at(map, i);
}

static void apply_map(struct node *dest, const struct node *src)
{
	for (size_t i = 0; i < src->n; i++) {
		const struct node *value = src->v[i];
		struct node *old = node_get_node(dest, src->k[i]);

		if (both(value, old, NODE_MAP) || both(value, old, NODE_SEQ))
			yaml_apply(old, value);
		else if (!old || !node_equal(value, old))
			node_set_node(dest, node_copy(src->k[i]), fresh(value, old));
	}
	for (size_t i = dest->n; i-- > 0; )
		if (!node_get_node(src, dest->k[i]))
			delete_key(dest, i);
}

static void replace_item(struct node *seq, size_t i, const struct node *value)
{
	struct node *n = fresh(value, seq->v[i]);

	node_free(seq->v[i]);
	seq->v[i] = n;
}

static void apply_seq(struct node *dest, const struct node *src)
{
	if (src->n != dest->n) {
		while (dest->n)
			node_del_at(dest, dest->n - 1);
		if (dest->rt)
			dest->rt->item_lost = false;
		for (size_t i = 0; i < src->n; i++)
			node_push(dest, node_copy(src->v[i]));
		return;
	}
	for (size_t i = 0; i < src->n; i++) {
		if (both(src->v[i], dest->v[i], NODE_MAP) || both(src->v[i], dest->v[i], NODE_SEQ))
			yaml_apply(dest->v[i], src->v[i]);
		else if (!node_equal(src->v[i], dest->v[i]))
			replace_item(dest, i, src->v[i]);
	}
}

void yaml_apply(struct node *dest, const struct node *src)
{
	if (both(dest, src, NODE_MAP))
		apply_map(dest, src);
	else if (both(dest, src, NODE_SEQ))
		apply_seq(dest, src);
	else
		BUG("yaml_apply of a %s to a %s", node_py_type(src), node_py_type(dest));
}

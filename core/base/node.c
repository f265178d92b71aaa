#include "core/base/node.h"

#include "core/base/map.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml_rt.h"

#include <errno.h>
#include <math.h>

/* Up to this many keys a scan is as quick as the index and saves its memory. */
#define SCAN_MAX 12

static struct node *node_new(enum node_kind kind)
{
	struct node *n = xcalloc(1, sizeof(*n));

	n->kind = kind;
	return n;
}

struct node *node_null(void)
{
	return node_new(NODE_NULL);
}

struct node *node_bool(bool b)
{
	struct node *n = node_new(NODE_BOOL);

	n->b = b;
	return n;
}

static struct node *node_text(enum node_kind kind, const char *s, size_t len)
{
	struct node *n = node_new(kind);

	n->text = xmalloc(len + 1);
	if (len)
		memcpy(n->text, s, len);
	n->text[len] = '\0';
	n->len = len;
	return n;
}

struct node *node_int(int64_t i)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%lld", (long long)i);
	struct node *n = node_text(NODE_INT, digits, (size_t)len);

	n->i = i;
	n->fits = true;
	return n;
}

struct node *node_int_text(const char *decimal)
{
	bool neg = *decimal == '-';
	struct node *n;
	long long v;
	size_t len;

	if (*decimal == '-' || *decimal == '+')
		decimal++;
	while (*decimal == '0' && decimal[1])
		decimal++;
	if (!strcmp(decimal, "0"))
		neg = false;
	len = strlen(decimal);
	n = node_new(NODE_INT);
	n->text = xmalloc(len + 2);
	n->text[0] = '-';
	memcpy(n->text + neg, decimal, len + 1);
	n->len = len + neg;
	errno = 0;
	v = strtoll(n->text, NULL, 10);
	n->fits = errno != ERANGE;
	n->i = n->fits ? v : 0;
	return n;
}

struct node *node_float(double f)
{
	struct node *n = node_new(NODE_FLOAT);

	n->f = f;
	return n;
}

struct node *node_str(const char *s)
{
	return node_text(NODE_STR, s, strlen(s));
}

struct node *node_strn(const char *s, size_t n)
{
	return node_text(NODE_STR, s, n);
}

struct node *node_date(const char *iso)
{
	return node_text(NODE_DATE, iso, strlen(iso));
}

struct node *node_seq(void)
{
	return node_new(NODE_SEQ);
}

struct node *node_map(void)
{
	return node_new(NODE_MAP);
}

void node_free(struct node *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n; i++) {
		node_free(n->v[i]);
		if (n->k)
			node_free(n->k[i]);
	}
	if (n->rt)
		yaml_rt_free(n->rt);
	free(n->text);
	free(n->v);
	free(n->k);
	free(n->slot);
	free(n);
}

struct node *node_copy(const struct node *n)
{
	struct node *c;

	if (!n)
		return NULL;
	c = node_new(n->kind);
	c->line = n->line;
	c->col = n->col;
	c->b = n->b;
	c->fits = n->fits;
	c->is_tuple = n->is_tuple;
	c->is_set = n->is_set;
	c->i = n->i;
	c->f = n->f;
	c->len = n->len;
	if (n->text)
		c->text = xmemdup(n->text, n->len + 1);
	for (size_t i = 0; i < n->n; i++) {
		if (n->kind == NODE_MAP)
			node_set_node(c, node_copy(n->k[i]), node_copy(n->v[i]));
		else
			node_push(c, node_copy(n->v[i]));
	}
	return c;
}

/* The number a node stands for among numbers: booleans count as 0 and 1. */
static bool is_number(const struct node *n)
{
	return n->kind == NODE_BOOL || n->kind == NODE_INT || n->kind == NODE_FLOAT;
}

static bool int_equals_float(const struct node *n, double f)
{
	char whole[400];

	if (n->kind == NODE_BOOL)
		return f == (double)n->b;
	if (!isfinite(f) || f != floor(f))
		return false;
	if (n->fits && fabs(f) < 9e18)
		return (int64_t)f == n->i;
	snprintf(whole, sizeof(whole), "%.0f", f);
	return !strcmp(whole, n->text);
}

static bool number_equal(const struct node *a, const struct node *b)
{
	int64_t x, y;

	if (a->kind == NODE_FLOAT)
		return b->kind == NODE_FLOAT ? a->f == b->f : int_equals_float(b, a->f);
	if (b->kind == NODE_FLOAT)
		return int_equals_float(a, b->f);
	if (a->kind == NODE_INT && b->kind == NODE_INT && (!a->fits || !b->fits))
		return !strcmp(a->text, b->text);
	if ((a->kind == NODE_INT && !a->fits) || (b->kind == NODE_INT && !b->fits))
		return false;
	x = a->kind == NODE_BOOL ? a->b : a->i;
	y = b->kind == NODE_BOOL ? b->b : b->i;
	return x == y;
}

/* Members of a collection: Python asks first whether they are one object, and there is only one not-a-number. */
static bool same_member(const struct node *a, const struct node *b)
{
	if (a->kind == NODE_FLOAT && b->kind == NODE_FLOAT && a->f != a->f && b->f != b->f)
		return true;
	return node_equal(a, b);
}

static bool seq_equal(const struct node *a, const struct node *b)
{
	if (a->n != b->n || a->is_set != b->is_set)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		bool found = !a->is_set && same_member(a->v[i], b->v[i]);

		for (size_t j = 0; a->is_set && !found && j < b->n; j++)
			found = node_equal(a->v[i], b->v[j]);
		if (!found)
			return false;
	}
	return true;
}

bool node_equal(const struct node *a, const struct node *b)
{
	if (!a || !b)
		return a == b;
	if (is_number(a) && is_number(b))
		return number_equal(a, b);
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case NODE_STR:
	case NODE_DATE:
		return a->len == b->len && !memcmp(a->text, b->text, a->len);
	case NODE_SEQ:
		return seq_equal(a, b);
	case NODE_MAP:
		if (a->n != b->n)
			return false;
		for (size_t i = 0; i < a->n; i++) {
			struct node *other = node_get_node(b, a->k[i]);

			if (!other || !same_member(a->v[i], other))
				return false;
		}
		return true;
	default:
		return true;
	}
}

/* Equal nodes have equal hashes, whatever their kind: 1, 1.0 and true meet through their value as a double. */
static uint64_t hash_of(const struct node *n)
{
	uint64_t sum = n->n;
	double f;

	switch (n->kind) {
	case NODE_STR:
		return map_hash(n->text, n->len);
	case NODE_DATE:
		return map_hash(n->text, n->len) + 1;
	case NODE_BOOL:
	case NODE_INT:
	case NODE_FLOAT:
		f = n->kind == NODE_BOOL ? n->b : n->kind == NODE_FLOAT ? n->f : strtod(n->text, NULL);
		if (f == 0 || f != f)   /* -0.0 and 0.0, and any two that are no number, may be equal members */
			f = 0;
		return map_hash(&f, sizeof(f));
	case NODE_SEQ:
		for (size_t i = 0; !n->is_set && i < n->n; i++)
			sum = sum * 31 + hash_of(n->v[i]);
		return sum;
	default:
		return (uint64_t)n->kind + n->n;
	}
}

static void index_add(struct node *map, size_t at)
{
	size_t s = hash_of(map->k[at]) & (map->nslots - 1);

	while (map->slot[s])
		s = (s + 1) & (map->nslots - 1);
	map->slot[s] = (uint32_t)at + 1;
}

static void index_drop(struct node *map)
{
	free(map->slot);
	map->slot = NULL;
	map->nslots = 0;
}

static void index_build(struct node *map)
{
	index_drop(map);
	if (map->n <= SCAN_MAX)
		return;
	if (map->n >= UINT32_MAX / 4)
		BUG("a map of %zu keys", map->n);
	for (map->nslots = 64; map->nslots < map->n * 3; )
		map->nslots *= 2;
	map->slot = xcalloc(map->nslots, sizeof(*map->slot));
	for (size_t i = 0; i < map->n; i++)
		index_add(map, i);
}

static void index_append(struct node *map)
{
	if (map->n <= SCAN_MAX)
		return;
	if (!map->slot || map->n * 2 > map->nslots)
		index_build(map);
	else
		index_add(map, map->n - 1);
}

/* Position of the key, or n. A deletion drops the index: the next lookup in a large map builds it again. */
static size_t position(const struct node *map, const struct node *key)
{
	if (map->n > SCAN_MAX && !map->slot)
		index_build((struct node *)map);
	if (!map->slot) {
		for (size_t i = 0; i < map->n; i++)
			if (node_equal(map->k[i], key))
				return i;
		return map->n;
	}
	for (size_t s = hash_of(key) & (map->nslots - 1); map->slot[s]; s = (s + 1) & (map->nslots - 1)) {
		size_t i = map->slot[s] - 1;

		if (node_equal(map->k[i], key))
			return i;
	}
	return map->n;
}

static struct node key_of(const char *key)
{
	return (struct node){ .kind = NODE_STR, .text = (char *)key, .len = strlen(key) };
}

struct node *node_get_node(const struct node *map, const struct node *key)
{
	size_t i;

	if (!node_is(map, NODE_MAP))
		return NULL;
	i = position(map, key);
	return i < map->n ? map->v[i] : NULL;
}

struct node *node_get(const struct node *map, const char *key)
{
	struct node k = key_of(key);

	return node_get_node(map, &k);
}

const char *node_get_str(const struct node *map, const char *key)
{
	const struct node *v = node_get(map, key);

	return node_is(v, NODE_STR) ? v->text : NULL;
}

char *node_dup_str(const struct node *map, const char *key)
{
	const char *s = node_get_str(map, key);

	return s && *s ? xstrdup(s) : NULL;
}

struct node *node_copy_truthy(const struct node *map, const char *key)
{
	const struct node *n = node_get(map, key);

	return n && node_truthy(n) ? node_copy(n) : NULL;
}

bool node_get_bool(const struct node *map, const char *key, bool otherwise)
{
	const struct node *v = node_get(map, key);

	return node_is(v, NODE_BOOL) ? v->b : otherwise;
}

static void room(struct node *n)
{
	size_t cap = n->cap;

	if (n->n < cap)
		return;
	n->cap = cap ? cap * 2 : 4;
	n->v = xreallocarray(n->v, n->cap, sizeof(*n->v));
	if (n->kind == NODE_MAP)
		n->k = xreallocarray(n->k, n->cap, sizeof(*n->k));
}

void node_set_node(struct node *map, struct node *key, struct node *value)
{
	size_t i;

	if (!node_is(map, NODE_MAP))
		BUG("node_set on something that is no map");
	i = position(map, key);
	if (i < map->n) {
		if (map->v[i] != value)
			node_free(map->v[i]);
		map->v[i] = value;
		node_free(key);
		return;
	}
	room(map);
	map->k[map->n] = key;
	map->v[map->n++] = value;
	index_append(map);
}

void node_set(struct node *map, const char *key, struct node *value)
{
	struct node k = key_of(key);
	size_t i;

	if (!node_is(map, NODE_MAP))
		BUG("node_set('%s') on something that is no map", key);
	i = position(map, &k);
	if (i == map->n) {
		node_set_node(map, node_str(key), value);
	} else if (map->v[i] != value) {
		node_free(map->v[i]);
		map->v[i] = value;
	}
}

void node_del_at(struct node *n, size_t i)
{
	if (i >= n->n)
		BUG("node_del_at(%zu) of %zu", i, n->n);
	node_free(n->v[i]);
	memmove(n->v + i, n->v + i + 1, (n->n - i - 1) * sizeof(*n->v));
	if (n->rt && n->kind == NODE_SEQ)
		yaml_rt_item_gone(n->rt, i);
	if (n->k) {
		node_free(n->k[i]);
		memmove(n->k + i, n->k + i + 1, (n->n - i - 1) * sizeof(*n->k));
	}
	n->n--;
	index_drop(n);
}

bool node_del(struct node *map, const char *key)
{
	struct node k = key_of(key);
	size_t i;

	if (!node_is(map, NODE_MAP))
		return false;
	i = position(map, &k);
	if (i == map->n)
		return false;
	node_del_at(map, i);
	return true;
}

void node_insert(struct node *seq, size_t i, struct node *item)
{
	if (!node_is(seq, NODE_SEQ) || i > seq->n)
		BUG("node_insert(%zu) into something that is no such sequence", i);
	room(seq);
	memmove(seq->v + i + 1, seq->v + i, (seq->n - i) * sizeof(*seq->v));
	seq->v[i] = item;
	seq->n++;
}

void node_push(struct node *seq, struct node *item)
{
	node_insert(seq, seq->n, item);
}

bool node_truthy(const struct node *n)
{
	if (!n)
		return false;
	switch (n->kind) {
	case NODE_NULL:
		return false;
	case NODE_BOOL:
		return n->b;
	case NODE_INT:
		return strcmp(n->text, "0") != 0;
	case NODE_FLOAT:
		return n->f != 0;
	case NODE_STR:
		return n->len > 0;
	case NODE_DATE:
		return true;
	default:
		return n->n > 0;
	}
}

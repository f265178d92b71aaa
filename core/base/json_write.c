/* json_write - JSON as Python's json.dumps writes it. */
#include "core/base/json.h"

#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/unicode.h"

#include <math.h>

/* Bytes that stand for themselves inside quotes. */
static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void add_unit(struct str *out, uint32_t unit)
{
	static const char hex[] = "0123456789abcdef";
	char b[6] = { '\\', 'u', hex[unit >> 12 & 15], hex[unit >> 8 & 15], hex[unit >> 4 & 15], hex[unit & 15] };

	str_add(out, b, sizeof(b));
}

static void add_escaped(struct str *out, const char **p, const char *end)
{
	static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
	const char *start = *p, *hit;
	uint32_t c = uc_next(p, end);

	if (c && c < 0x80 && (hit = strchr(from, (int)c))) {
		str_addc(out, '\\');
		str_addc(out, to[hit - from]);
	} else if (c == 0xfffd && *p == start + 1) {
		add_unit(out, 0xdc00 + (unsigned char)*start);  /* a byte that is no UTF-8: Python's surrogateescape */
	} else if (c >= 0x10000) {
		add_unit(out, 0xd800 + ((c - 0x10000) >> 10));
		add_unit(out, 0xdc00 + ((c - 0x10000) & 0x3ff));
	} else {
		add_unit(out, c);
	}
}

void json_add_quoted(struct str *out, const char *s, size_t len)
{
	const char *end = s + len;

	str_reserve(out, len + 2);
	str_addc(out, '"');
	while (s < end) {
		const char *run = s;

		while (s < end && is_plain((unsigned char)*s))
			s++;
		if (s > run)
			str_add(out, run, (size_t)(s - run));
		if (s < end)
			add_escaped(out, &s, end);
	}
	str_addc(out, '"');
}

void json_add_quotedz(struct str *out, const char *s)
{
	json_add_quoted(out, s, strlen(s));
}

static void add_float(struct str *out, double f)
{
	if (isnan(f))
		str_adds(out, "NaN");
	else if (isinf(f))
		str_adds(out, f < 0 ? "-Infinity" : "Infinity");
	else
		node_add_float(out, f);
}

static double number_of(const struct node *n)
{
	return n->kind == NODE_FLOAT ? n->f : n->kind == NODE_BOOL ? n->b : strtod(n->text, NULL);
}

static bool is_number(const struct node *n)
{
	return n->kind == NODE_BOOL || n->kind == NODE_INT || n->kind == NODE_FLOAT;
}

static int by_key(const void *a, const void *b, void *data)
{
	const struct node *map = data, *x = map->k[*(const size_t *)a], *y = map->k[*(const size_t *)b];
	int c;

	if (is_number(x) && is_number(y)) {
		double f = number_of(x), g = number_of(y);

		return (f > g) - (f < g);
	}
	if (x->kind != y->kind || !x->text || !y->text)
		return (x->kind > y->kind) - (x->kind < y->kind);
	c = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);
	return c ? c : (x->len > y->len) - (x->len < y->len);
}

struct style {
	unsigned flags;
	size_t depth;
};

static void dump(struct str *out, const struct node *n, struct style *s);

static void add_break(struct str *out, const struct style *s)
{
	if (!(s->flags & JSON_INDENT2))
		return;
	str_addc(out, '\n');
	str_addn(out, ' ', s->depth * 2);
}

static void add_between(struct str *out, const struct style *s)
{
	str_addc(out, ',');
	if (!(s->flags & (JSON_COMPACT | JSON_INDENT2)))
		str_addc(out, ' ');
	add_break(out, s);
}

/* Python makes a string of a key that is a number, a bool or None. */
static void add_key(struct str *out, const struct node *k, struct style *s)
{
	autostr struct str text = STR_INIT;

	if (k->kind == NODE_STR || k->kind == NODE_DATE) {
		json_add_quoted(out, k->text, k->len);
		return;
	}
	dump(&text, k, s);
	json_add_quoted(out, str_cstr(&text), text.len);
}

static void dump_map(struct str *out, const struct node *n, struct style *s)
{
	autofree size_t *order = NULL;

	if (s->flags & JSON_SORT) {
		order = xreallocarray(NULL, n->n + 1, sizeof(*order));
		for (size_t i = 0; i < n->n; i++)
			order[i] = i;
		qsort_r(order, n->n, sizeof(*order), by_key, (void *)n);
	}
	str_addc(out, '{');
	s->depth++;
	for (size_t i = 0; i < n->n; i++) {
		size_t at = order ? order[i] : i;

		if (i)
			add_between(out, s);
		else
			add_break(out, s);
		add_key(out, n->k[at], s);
		str_adds(out, s->flags & JSON_COMPACT ? ":" : ": ");
		dump(out, n->v[at], s);
	}
	s->depth--;
	if (n->n)
		add_break(out, s);
	str_addc(out, '}');
}

static void dump_seq(struct str *out, const struct node *n, struct style *s)
{
	str_addc(out, '[');
	s->depth++;
	for (size_t i = 0; i < n->n; i++) {
		if (i)
			add_between(out, s);
		else
			add_break(out, s);
		dump(out, n->v[i], s);
	}
	s->depth--;
	if (n->n)
		add_break(out, s);
	str_addc(out, ']');
}

static void dump(struct str *out, const struct node *n, struct style *s)
{
	switch (n ? n->kind : NODE_NULL) {
	case NODE_NULL:
		str_adds(out, "null");
		return;
	case NODE_BOOL:
		str_adds(out, n->b ? "true" : "false");
		return;
	case NODE_INT:
		str_add(out, n->text, n->len);
		return;
	case NODE_FLOAT:
		add_float(out, n->f);
		return;
	case NODE_STR:
	case NODE_DATE:
		json_add_quoted(out, n->text, n->len);
		return;
	case NODE_SEQ:
		dump_seq(out, n, s);
		return;
	case NODE_MAP:
		dump_map(out, n, s);
		return;
	}
}

void json_dump(struct str *out, const struct node *n, unsigned flags)
{
	struct style s = { flags, 0 };

	dump(out, n, &s);
}

/*
 * toml - the document: tables, keys and their rules. Values are in toml_value.c.
 *
 * While parsing, a map's field 'i', which means nothing for a map, says how it came to be; a sequence's likewise.
 */
#include "core/stage/toml.h"

#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/stage/toml_priv.h"

#include <stdarg.h>

enum { OPEN = 0, DEFINED = 1, CLOSED = 2, TABLES = 4 };

int toml_fail(struct toml *t, const char *fmt, ...)
{
	char why[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return err_set(t->e, ERR_PARSE, "%s:%d:%d: not valid TOML: %s", t->name, t->line,
		       (int)(t->p - t->line_start) + 1, why);
}

int toml_peek(const struct toml *t)
{
	return t->p < t->end ? (unsigned char)*t->p : -1;
}

bool toml_accept(struct toml *t, char c)
{
	if (toml_peek(t) != (unsigned char)c)
		return false;
	t->p++;
	return true;
}

void toml_blanks(struct toml *t)
{
	while (toml_peek(t) == ' ' || toml_peek(t) == '\t')
		t->p++;
}

bool toml_newline(struct toml *t)
{
	if (toml_peek(t) == '\r' && t->p + 1 < t->end && t->p[1] == '\n')
		t->p++;
	else if (toml_peek(t) != '\n')
		return false;
	t->p++;
	t->line++;
	t->line_start = t->p;
	return true;
}

int toml_comment(struct toml *t)
{
	if (!toml_accept(t, '#'))
		return 0;
	for (int c; (c = toml_peek(t)) >= 0 && c != '\n'; t->p++) {
		if (c == '\r' && t->p + 1 < t->end && t->p[1] == '\n')
			break;
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return toml_fail(t, "a control character in a comment");
	}
	return 0;
}

static int end_of_line(struct toml *t)
{
	toml_blanks(t);
	if (toml_comment(t))
		return -1;
	if (toml_peek(t) < 0 || toml_newline(t))
		return 0;
	return toml_fail(t, "expected the end of the line");
}

static bool is_bare(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static int key_part(struct toml *t, struct strn *out)
{
	autostr struct str s = STR_INIT;

	if (toml_peek(t) == '"' || toml_peek(t) == '\'') {
		if (t->p + 2 < t->end && t->p[1] == *t->p && t->p[2] == *t->p)
			return toml_fail(t, "a key cannot span lines");
		if (toml_string(t, &s))
			return -1;
	} else {
		while (is_bare(toml_peek(t)))
			str_addc(&s, *t->p++);
		if (!s.len)
			return toml_fail(t, "expected a key");
	}
	out->len = s.len;
	out->s = str_take(&s);
	return 0;
}

void toml_key_release(struct toml_key *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->v[i].s);
	free(k->v);
}

int toml_key(struct toml *t, struct toml_key *k)
{
	do {
		toml_blanks(t);
		if (k->n >= TOML_DEPTH_MAX)
			return toml_fail(t, "a key of more than %d parts", TOML_DEPTH_MAX);
		GROW(k->v, k->n, k->cap);
		if (key_part(t, &k->v[k->n]))
			return -1;
		k->n++;
		toml_blanks(t);
	} while (toml_accept(t, '.'));
	return 0;
}

static struct node *get(const struct node *map, const struct strn *key)
{
	struct node k = { .kind = NODE_STR, .text = key->s, .len = key->len };

	return node_get_node(map, &k);
}

static struct node *put(struct node *map, const struct strn *key, struct node *value)
{
	node_set_node(map, node_strn(key->s, key->len), value);
	return value;
}

static int taken(struct toml *t, const struct strn *key)
{
	return toml_fail(t, "'%.80s' is defined already", key->s);
}

/* The table that a header's parents lead to. */
static struct node *header_parent(struct toml *t, const struct toml_key *k)
{
	struct node *at = t->root;

	for (size_t i = 0; i + 1 < k->n; i++) {
		struct node *next = get(at, &k->v[i]);

		if (!next)
			next = put(at, &k->v[i], node_map());
		else if (next->kind == NODE_SEQ && next->i == TABLES)
			next = next->v[next->n - 1];
		if (next->kind != NODE_MAP || next->i == CLOSED) {
			taken(t, &k->v[i]);
			return NULL;
		}
		at = next;
	}
	return at;
}

static int table_header(struct toml *t, const struct toml_key *k)
{
	struct node *at = header_parent(t, k), *have;

	if (!at)
		return -1;
	have = get(at, &k->v[k->n - 1]);
	if (have && (have->kind != NODE_MAP || have->i != OPEN))
		return taken(t, &k->v[k->n - 1]);
	t->table = have ? have : put(at, &k->v[k->n - 1], node_map());
	t->table->i = DEFINED;
	return 0;
}

static int tables_header(struct toml *t, const struct toml_key *k)
{
	struct node *at = header_parent(t, k), *have;

	if (!at)
		return -1;
	have = get(at, &k->v[k->n - 1]);
	if (have && (have->kind != NODE_SEQ || have->i != TABLES))
		return taken(t, &k->v[k->n - 1]);
	if (!have) {
		have = put(at, &k->v[k->n - 1], node_seq());
		have->i = TABLES;
	}
	t->table = node_map();
	t->table->i = DEFINED;
	node_push(have, t->table);
	return 0;
}

static int parse_header(struct toml *t)
{
	autocall(toml_key_release) struct toml_key k = { NULL, 0, 0 };
	bool many;

	t->p++;
	many = toml_accept(t, '[');
	if (toml_key(t, &k))
		return -1;
	if (!toml_accept(t, ']') || (many && !toml_accept(t, ']')))
		return toml_fail(t, "expected ']'");
	return many ? tables_header(t, &k) : table_header(t, &k);
}

int toml_put(struct toml *t, struct node *table, const struct toml_key *k, struct node *value)
{
	for (size_t i = 0; i + 1 < k->n; i++) {
		struct node *next = get(table, &k->v[i]);

		if (!next) {
			next = put(table, &k->v[i], node_map());
			next->b = true;         /* by a dotted key */
			next->i = DEFINED;
		} else if (next->kind != NODE_MAP || next->i == CLOSED || (next->i == DEFINED && !next->b)) {
			node_free(value);
			return taken(t, &k->v[i]);
		}
		table = next;
	}
	if (get(table, &k->v[k->n - 1])) {
		node_free(value);
		return taken(t, &k->v[k->n - 1]);
	}
	put(table, &k->v[k->n - 1], value);
	return 0;
}

/* Inline tables and arrays take nothing more once they are closed, at any depth. */
void toml_close(struct node *n)
{
	n->i = n->kind >= NODE_SEQ ? CLOSED : n->i;
	for (size_t i = 0; n->kind >= NODE_SEQ && i < n->n; i++)
		if (n->v[i]->kind >= NODE_SEQ && n->v[i]->i != CLOSED)
			toml_close(n->v[i]);
}

int toml_pair(struct toml *t, struct node *table, int depth)
{
	autocall(toml_key_release) struct toml_key k = { NULL, 0, 0 };
	struct node *value;

	if (toml_key(t, &k))
		return -1;
	if (!toml_accept(t, '='))
		return toml_fail(t, "expected '=' after the key");
	toml_blanks(t);
	if (toml_value(t, &value, depth))
		return -1;
	return toml_put(t, table, &k, value);
}

/* Gives the borrowed fields back their meaning. */
static void clean(struct node *n)
{
	if (n->kind < NODE_SEQ)
		return;
	n->i = 0;
	n->b = false;
	for (size_t i = 0; i < n->n; i++)
		clean(n->v[i]);
}

static int parse_lines(struct toml *t)
{
	while (toml_peek(t) >= 0) {
		int c;

		toml_blanks(t);
		c = toml_peek(t);
		if (c == '[' ? parse_header(t) : c >= 0 && c != '#' && c != '\n' && c != '\r' ? toml_pair(t, t->table, TOML_DEPTH_MAX) : 0)
			return -1;
		if (end_of_line(t))
			return -1;
	}
	return 0;
}

int toml_parse(struct node **out, const char *text, size_t len, const char *name, struct err *e)
{
	autonode struct node *root = node_map();
	struct toml t = { text, text + len, text, 1, name, root, root, e };

	if (!str_is_utf8(text, len))
		return err_set(e, ERR_PARSE, "%s: not valid TOML: the text is not UTF-8", name);
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		t.p += 3;
	root->i = DEFINED;
	if (parse_lines(&t))
		return -1;
	clean(root);
	*out = take(root);
	return 0;
}

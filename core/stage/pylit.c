#include "core/stage/pylit.h"

#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/stage/pylit_priv.h"

#include <ctype.h>
#include <math.h>

struct py {
	struct py_lexer lex;
	struct py_token t;      /* the token at hand */
};

/* Outcome of looking for a literal. */
enum { LITERAL = 0, OTHER = 1 };

static int step(struct py *y)
{
	return py_next(&y->lex, &y->t);
}

static int literal(struct py *y, struct node **out, int depth);

static char *digits_of(const struct py_token *t)
{
	char *d = xmalloc(t->len + 1);
	size_t n = 0;

	for (size_t i = 0; i < t->len; i++)
		if (t->p[i] != '_')
			d[n++] = t->p[i];
	d[n] = '\0';
	return d;
}

static bool underscores_fit(const struct py_token *t)
{
	for (size_t i = 0; i < t->len; i++) {
		if (t->p[i] != '_')
			continue;
		if (!i || i + 1 == t->len || t->p[i + 1] == '_' || t->p[i + 1] == '.' || t->p[i - 1] == '.')
			return false;
	}
	return true;
}

/* 0x1f, 0o17, 0b1 in decimal, by repeated multiplication of a decimal text's limbs. */
static struct node *based(const char *d, int base)
{
	uint32_t limb[512] = { 0 };
	size_t used = 1;
	autostr struct str text = STR_INIT;

	if (!*d)
		return NULL;
	for (; *d; d++) {
		int v = *d >= '0' && *d <= '9' ? *d - '0' : (*d | 0x20) >= 'a' ? (*d | 0x20) - 'a' + 10 : 99;
		uint64_t carry = (uint64_t)v;

		if (v >= base)
			return NULL;
		for (size_t j = 0; j < used; j++) {
			carry += (uint64_t)limb[j] * (uint64_t)base;
			limb[j] = (uint32_t)(carry % 1000000000);
			carry /= 1000000000;
		}
		if (carry && used == ARRAY_LEN(limb))
			return NULL;
		if (carry)
			limb[used++] = (uint32_t)carry;
	}
	str_addf(&text, "%u", limb[used - 1]);
	for (size_t j = used - 1; j-- > 0; )
		str_addf(&text, "%09u", limb[j]);
	return node_int_text(text.buf);
}

static struct node *number_value(const struct py_token *t, bool *imaginary)
{
	autofree char *d = digits_of(t);
	size_t n = strlen(d);
	char *end;
	double f;

	*imaginary = (d[n - 1] == 'j' || d[n - 1] == 'J') && (d[1] | 0x20) != 'x';
	if (*imaginary)
		d[--n] = '\0';
	if (!underscores_fit(t))
		return NULL;
	if (d[0] == '0' && d[1] && strchr("xXoObB", d[1]))
		return based(d + 2, (d[1] | 0x20) == 'x' ? 16 : (d[1] | 0x20) == 'o' ? 8 : 2);
	if (strspn(d, "0123456789") == n) {
		bool zeros = strspn(d, "0") == n;

		if ((d[0] == '0' && !zeros && !*imaginary) || n > 4300)
			return NULL;
		return node_int_text(d);
	}
	if (strspn(d, "0123456789.eE+-") != n)
		return NULL;
	f = strtod(d, &end);
	return *end ? NULL : node_float(f);
}

static int number(struct py *y, struct node **out, bool neg)
{
	bool imaginary;
	autonode struct node *n = number_value(&y->t, &imaginary);

	if (!n) {
		y->lex.p = y->t.p;
		return py_fail(&y->lex, y->t.len > 1 && *y->t.p == '0' && isdigit((unsigned char)y->t.p[1]) ?
			       "leading zeros in decimal integer literals are not permitted; use an 0o prefix for octal "
			       "integers" : "invalid number");
	}
	if (step(y))
		return -1;
	if (imaginary)
		return OTHER;
	if (neg && n->kind == NODE_FLOAT) {
		n->f = -n->f;
	} else if (neg) {
		autofree char *text = xasprintf("-%s", n->text);

		*out = node_int_text(text);
		return LITERAL;
	}
	*out = take(n);
	return LITERAL;
}

static int strings(struct py *y, struct node **out)
{
	autostr struct str s = STR_INIT;
	int all = LITERAL;

	while (y->t.kind == PY_STRING) {
		int rc = py_string_value(&y->lex, &y->t, &s);

		if (rc < 0)
			return -1;
		all |= rc;
		if (step(y))
			return -1;
	}
	if (all == LITERAL)
		*out = node_strn(str_cstr(&s), s.len);
	return all;
}

/* Items up to the closing bracket; 'comma' says whether one was seen. */
static int items(struct py *y, struct node *seq, const char *close, bool *comma, int depth)
{
	*comma = false;
	while (!py_is(&y->t, close)) {
		struct node *item;
		int rc = literal(y, &item, depth - 1);

		if (rc)
			return rc;
		node_push(seq, item);
		if (py_is(&y->t, ",")) {
			*comma = true;
			if (step(y))
				return -1;
		} else if (!py_is(&y->t, close)) {
			return OTHER;
		}
	}
	return step(y);
}

static int parens(struct py *y, struct node **out, int depth)
{
	autonode struct node *seq = node_seq();
	bool comma;
	int rc = step(y);

	if (!rc)
		rc = items(y, seq, ")", &comma, depth);
	if (rc)
		return rc;
	if (seq->n == 1 && !comma) {
		*out = seq->v[0];
		seq->n = 0;
		return LITERAL;
	}
	seq->is_tuple = true;
	*out = take(seq);
	return LITERAL;
}

static int list(struct py *y, struct node **out, int depth)
{
	autonode struct node *seq = node_seq();
	bool comma;
	int rc = step(y);

	if (!rc)
		rc = items(y, seq, "]", &comma, depth);
	if (!rc)
		*out = take(seq);
	return rc;
}

static bool is_hashable(const struct node *n)
{
	if (n->kind < NODE_SEQ)
		return true;
	for (size_t i = 0; n->is_tuple && i < n->n; i++)
		if (!is_hashable(n->v[i]))
			return false;
	return n->is_tuple;
}

static int dict_rest(struct py *y, struct node *map, struct node *key, int depth)
{
	for (;;) {
		struct node *value = NULL;
		int rc = step(y);               /* over the colon */

		if (!rc)
			rc = literal(y, &value, depth - 1);
		if (!rc && !is_hashable(key)) {
			node_free(value);
			rc = OTHER;
		}
		if (rc) {
			node_free(key);
			return rc;
		}
		node_set_node(map, key, value);
		if (py_is(&y->t, ",") && step(y))
			return -1;
		if (py_is(&y->t, "}"))
			return step(y);
		rc = literal(y, &key, depth - 1);
		if (rc)
			return rc;
		if (!py_is(&y->t, ":")) {
			node_free(key);
			return OTHER;
		}
	}
}

static int by_value(const void *a, const void *b)
{
	const struct node *x = *(struct node *const *)a, *y = *(struct node *const *)b;

	return (x->i > y->i) - (x->i < y->i);
}

/* A set has no order; small integers come out sorted, as from Python. */
static struct node *as_set(struct node *seq)
{
	struct node *set = node_seq();
	autonode struct node *seen = node_map();
	bool ints = true;

	set->is_set = true;
	for (size_t i = 0; i < seq->n; i++) {
		if (!node_get_node(seen, seq->v[i])) {
			node_push(set, node_copy(seq->v[i]));
			node_set_node(seen, node_copy(seq->v[i]), node_null());
		}
		ints &= seq->v[i]->kind == NODE_INT && seq->v[i]->fits && seq->v[i]->i >= 0;
	}
	if (ints && set->n)
		qsort(set->v, set->n, sizeof(*set->v), by_value);
	return set;
}

static int braces(struct py *y, struct node **out, int depth)
{
	autonode struct node *map = node_map(), *seq = node_seq();
	struct node *first;
	bool comma;
	int rc = step(y);

	if (!rc && py_is(&y->t, "}")) {
		*out = take(map);
		return step(y);
	}
	if (!rc)
		rc = literal(y, &first, depth - 1);
	if (rc)
		return rc;
	if (py_is(&y->t, ":")) {
		rc = dict_rest(y, map, first, depth);
		if (!rc)
			*out = take(map);
		return rc;
	}
	node_push(seq, first);
	if (py_is(&y->t, ","))
		rc = step(y);
	else if (!py_is(&y->t, "}"))
		rc = OTHER;
	if (!rc)
		rc = items(y, seq, "}", &comma, depth);
	for (size_t i = 0; !rc && i < seq->n; i++)
		if (!is_hashable(seq->v[i]))
			rc = OTHER;
	if (!rc)
		*out = as_set(seq);
	return rc;
}

/* True, False, None, and set() */
static int word(struct py *y, struct node **out)
{
	struct node *n = NULL;

	if (py_is(&y->t, "True") || py_is(&y->t, "False"))
		n = node_bool(py_is(&y->t, "True"));
	else if (py_is(&y->t, "None"))
		n = node_null();
	else if (!py_is(&y->t, "set"))
		return OTHER;
	if (step(y)) {
		node_free(n);
		return -1;
	}
	if (n) {
		*out = n;
		return LITERAL;
	}
	if (!py_is(&y->t, "("))
		return OTHER;
	if (step(y))
		return -1;
	if (!py_is(&y->t, ")"))
		return OTHER;
	if (step(y))
		return -1;
	*out = node_seq();
	(*out)->is_set = true;
	return LITERAL;
}

static int atom(struct py *y, struct node **out, int depth)
{
	if (y->t.kind == PY_NUMBER)
		return number(y, out, false);
	if (y->t.kind == PY_STRING)
		return strings(y, out);
	if (y->t.kind == PY_NAME)
		return word(y, out);
	if (py_is(&y->t, "("))
		return parens(y, out, depth);
	if (py_is(&y->t, "["))
		return list(y, out, depth);
	if (py_is(&y->t, "{"))
		return braces(y, out, depth);
	if (py_is(&y->t, "-") || py_is(&y->t, "+")) {
		bool neg = py_is(&y->t, "-");

		if (step(y))
			return -1;
		return y->t.kind == PY_NUMBER ? number(y, out, neg) : OTHER;
	}
	return OTHER;
}

/* A literal and nothing joined to it. */
static int literal(struct py *y, struct node **out, int depth)
{
	struct node *n = NULL;
	int rc;

	if (depth <= 0)
		return py_fail(&y->lex, "nested too deep");
	rc = atom(y, &n, depth);
	if (rc) {
		node_free(n);
		return rc;
	}
	if (y->t.kind == PY_NEWLINE || py_is(&y->t, ",") || py_is(&y->t, ")") || py_is(&y->t, "]") ||
	    py_is(&y->t, "}") || py_is(&y->t, ":") || py_is(&y->t, ";") || y->t.kind == PY_END) {
		*out = n;
		return LITERAL;
	}
	node_free(n);
	return OTHER;
}

/* The value of an assignment; several with commas are a tuple. */
static int assigned(struct py *y, struct node **out)
{
	autonode struct node *seq = node_seq();
	struct node *one;
	int rc = literal(y, &one, PYLIT_DEPTH_MAX);

	if (rc)
		return rc;
	if (!py_is(&y->t, ",")) {
		*out = one;
		return LITERAL;
	}
	seq->is_tuple = true;
	node_push(seq, one);
	while (py_is(&y->t, ",")) {
		if (step(y))
			return -1;
		if (y->t.kind == PY_NEWLINE || py_is(&y->t, ";"))
			break;
		rc = literal(y, &one, PYLIT_DEPTH_MAX);
		if (rc)
			return rc;
		node_push(seq, one);
	}
	*out = take(seq);
	return LITERAL;
}

/* To the end of the simple statement. */
static int skip_simple(struct py *y)
{
	int base = 0;

	while (y->t.kind != PY_NEWLINE && y->t.kind != PY_END && !(py_is(&y->t, ";") && y->lex.nbracket == base))
		if (step(y))
			return -1;
	return 0;
}

static int skip_line(struct py *y)
{
	while (y->t.kind != PY_NEWLINE && y->t.kind != PY_END)
		if (step(y))
			return -1;
	return 0;
}

static int skip_block(struct py *y)
{
	int depth = 0;

	do {
		if (y->t.kind == PY_INDENT)
			depth++;
		else if (y->t.kind == PY_DEDENT)
			depth--;
		else if (y->t.kind == PY_END)
			return 0;
		if (step(y))
			return -1;
	} while (depth);
	return 0;
}

/* From the name of a target to its '='. 1: this is an assignment to *name. */
static int target(struct py *y, struct py_token *name, bool only_self)
{
	bool is_self = py_is(&y->t, "self");

	*name = y->t;
	if (step(y))
		return -1;
	if (py_is(&y->t, ".")) {
		if (!is_self)
			return 0;
		if (step(y))
			return -1;
		*name = y->t;
		if (y->t.kind != PY_NAME)
			return 0;
		if (step(y))
			return -1;
	} else if (only_self) {
		return 0;
	}
	if (py_is(&y->t, ":")) {
		while (y->t.kind != PY_NEWLINE && y->t.kind != PY_END && !(!y->lex.nbracket && py_is(&y->t, "=")))
			if (step(y))
				return -1;
	}
	return py_is(&y->t, "=");
}

static int simple(struct py *y, struct node *into, bool only_self)
{
	struct py_token name;
	struct node *value;
	int rc;

	if (y->t.kind != PY_NAME || py_is_keyword(&y->t))
		return skip_simple(y);
	rc = target(y, &name, only_self);
	if (rc < 0)
		return -1;
	if (!rc)
		return skip_simple(y);
	if (step(y))
		return -1;
	rc = assigned(y, &value);
	if (rc == LITERAL) {
		if (y->t.kind == PY_NEWLINE || y->t.kind == PY_END || py_is(&y->t, ";"))
			node_set_node(into, node_strn(name.p, name.len), value);
		else
			node_free(value);
	}
	return rc < 0 ? -1 : skip_simple(y);
}

static int simple_line(struct py *y, struct node *into, bool only_self)
{
	while (y->t.kind != PY_NEWLINE && y->t.kind != PY_END) {
		if (simple(y, into, only_self))
			return -1;
		if (py_is(&y->t, ";") && step(y))
			return -1;
	}
	return 0;
}

static int block(struct py *y, struct node *into, bool only_self, int depth);

/* After 'class X' or 'def __init__': the header's rest, then the body, on the line or indented below. */
static int body(struct py *y, struct node *into, bool only_self, int depth)
{
	while (y->t.kind != PY_NEWLINE && !(py_is(&y->t, ":") && !y->lex.nbracket))
		if (step(y))
			return -1;
	if (y->t.kind == PY_NEWLINE)
		return py_fail(&y->lex, "expected ':'");
	if (step(y))
		return -1;
	if (y->t.kind != PY_NEWLINE)
		return simple_line(y, into, only_self);
	if (step(y))
		return -1;
	if (y->t.kind != PY_INDENT)
		return 0;
	if (step(y) || block(y, into, only_self, depth - 1))
		return -1;
	return y->t.kind == PY_DEDENT ? step(y) : 0;
}

static void update(struct node *into, struct node *from)
{
	for (size_t i = 0; i < from->n; i++)
		node_set_node(into, from->k[i], from->v[i]);
	from->n = 0;
}

/* 'class X' gives a map of its own; __init__ adds to the map around it. */
static int definition(struct py *y, struct node *into, bool is_class, int depth)
{
	autonode struct node *own = node_map();
	struct py_token name;
	int rc;

	if (step(y))
		return -1;
	name = y->t;
	if (!is_class && !py_is(&name, "__init__"))
		return skip_line(y);
	rc = body(y, own, !is_class, depth);
	if (rc)
		return rc;
	if (is_class)
		node_set_node(into, node_strn(name.p, name.len), take(own));
	else
		update(into, own);
	return 0;
}

static int block(struct py *y, struct node *into, bool only_self, int depth)
{
	if (depth <= 0)
		return py_fail(&y->lex, "nested too deep");
	while (y->t.kind != PY_END && y->t.kind != PY_DEDENT) {
		int rc;

		if (y->t.kind == PY_NEWLINE)
			rc = step(y);
		else if (y->t.kind == PY_INDENT)
			rc = skip_block(y);
		else if (py_is(&y->t, "class") || py_is(&y->t, "def"))
			rc = definition(y, into, py_is(&y->t, "class"), depth);
		else if (py_is_keyword(&y->t) || py_is(&y->t, "@"))
			rc = skip_line(y);
		else
			rc = simple_line(y, into, only_self);
		if (rc)
			return -1;
	}
	return 0;
}

int pylit_parse(struct node **out, const char *text, size_t len, const char *name, struct err *e)
{
	autonode struct node *map = node_map();
	struct py y;

	py_lexer_init(&y.lex, text, len, name, e);
	if (!str_is_utf8(text, len) || memchr(text, '\0', len))
		return py_fail(&y.lex, "the text is not UTF-8 or holds a NUL");
	if (step(&y) || block(&y, map, false, PYLIT_DEPTH_MAX))
		return -1;
	if (y.t.kind != PY_END)
		return py_fail(&y.lex, "unexpected indentation");
	*out = take(map);
	return 0;
}

/* pylit_token - Python's tokens: logical lines, indentation, brackets, strings. */
#include "core/stage/pylit_priv.h"

#include "core/base/err.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/unicode.h"

int py_fail(struct py_lexer *x, const char *why)
{
	return err_set(x->e, ERR_PARSE, "%s:%d:%d: not valid Python: %s", x->name, x->line,
		       (int)(x->p - x->line_start) + 1, why);
}

void py_lexer_init(struct py_lexer *x, const char *text, size_t len, const char *name, struct err *e)
{
	*x = (struct py_lexer){ .p = text, .end = text + len, .line_start = text, .name = name, .line = 1,
				.depth = 1, .at_line_start = true, .e = e };
	x->last.kind = PY_NEWLINE;
}

bool py_is(const struct py_token *t, const char *text)
{
	return (t->kind == PY_OP || t->kind == PY_NAME) && t->len == strlen(text) && !memcmp(t->p, text, t->len);
}

bool py_is_keyword(const struct py_token *t)
{
	static const char *const word[] = { "and", "as", "assert", "async", "await", "break", "class", "continue",
		"def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
		"lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield", NULL };

	for (size_t i = 0; t->kind == PY_NAME && word[i]; i++)
		if (py_is(t, word[i]))
			return true;
	return false;
}

static int peek(const struct py_lexer *x, size_t ahead)
{
	return (size_t)(x->end - x->p) > ahead ? (unsigned char)x->p[ahead] : -1;
}

static bool line_end(struct py_lexer *x)
{
	if (peek(x, 0) == '\r')
		x->p += 1 + (peek(x, 1) == '\n');
	else if (peek(x, 0) == '\n')
		x->p++;
	else
		return false;
	x->line++;
	x->line_start = x->p;
	return true;
}

static void skip_comment(struct py_lexer *x)
{
	while (peek(x, 0) >= 0 && peek(x, 0) != '\n' && peek(x, 0) != '\r')
		x->p++;
}

/* The indentation of the next line that holds something; -1 at the end of the text. */
static int next_indent(struct py_lexer *x)
{
	for (;;) {
		int col = 0;

		for (;; x->p++) {
			if (peek(x, 0) == ' ')
				col++;
			else if (peek(x, 0) == '\t')
				col = (col / 8 + 1) * 8;
			else if (peek(x, 0) == '\f')
				col = 0;
			else
				break;
		}
		if (peek(x, 0) == '#')
			skip_comment(x);
		if (peek(x, 0) < 0)
			return -1;
		if (!line_end(x))
			return col;
	}
}

/* Between two logical lines. Returns 1 when it gave a token. */
static int indentation(struct py_lexer *x, struct py_token *out)
{
	int col = next_indent(x);

	x->at_line_start = false;
	if (col < 0)
		col = 0;
	if (col > x->indent[x->depth - 1]) {
		if (!x->wants_block)
			return py_fail(x, "unexpected indent");
		if (x->depth >= PYLIT_DEPTH_MAX)
			return py_fail(x, "too many levels of indentation");
		x->indent[x->depth++] = col;
		x->wants_block = false;
		out->kind = PY_INDENT;
		return 1;
	}
	if (x->wants_block)
		return py_fail(x, "expected an indented block");
	while (col < x->indent[x->depth - 1]) {
		x->depth--;
		x->dedents++;
	}
	if (col != x->indent[x->depth - 1])
		return py_fail(x, "the indentation matches no level outside");
	return 0;
}

static int skip_blanks(struct py_lexer *x)
{
	for (;;) {
		int c = peek(x, 0);

		if (c == ' ' || c == '\t' || c == '\f') {
			x->p++;
		} else if (c == '#') {
			skip_comment(x);
		} else if (c == '\\') {
			x->p++;
			if (!line_end(x))
				return py_fail(x, "unexpected character after a backslash");
			if (peek(x, 0) < 0)
				return py_fail(x, "unexpected end of the file after a backslash");
		} else if (x->nbracket && (c == '\n' || c == '\r')) {
			line_end(x);
		} else {
			return 0;
		}
	}
}

static size_t prefix_len(const char *p, const char *end)
{
	size_t n = 0;

	while (n < 2 && p + n < end && p[n] && strchr("rRbBuUfF", p[n]))
		n++;
	return p + n < end && (p[n] == '"' || p[n] == '\'') ? n : SIZE_MAX;
}

static int unterminated(struct py_lexer *x, bool triple, int first)
{
	autofree char *why = xasprintf("unterminated %sstring literal (detected at line %d)", triple ? "triple-quoted " : "",
				       x->line - (triple && x->line > first && x->p == x->end && x->p[-1] == '\n'));

	x->line = first;
	return py_fail(x, why);
}

static int lex_string(struct py_lexer *x, size_t prefix)
{
	char quote = x->p[prefix];
	int first = x->line;
	bool triple;

	x->p += prefix;
	triple = peek(x, 1) == quote && peek(x, 2) == quote;
	x->p += triple ? 3 : 1;
	for (;;) {
		int c = peek(x, 0);

		if (c < 0 || (!triple && (c == '\n' || c == '\r')))
			return unterminated(x, triple, first);
		if (c == '\\') {
			x->p++;
			if (!line_end(x) && peek(x, 0) >= 0)
				x->p++;
		} else if (c == quote && (!triple || (peek(x, 1) == quote && peek(x, 2) == quote))) {
			x->p += triple ? 3 : 1;
			return 0;
		} else if (!line_end(x)) {
			x->p++;
		}
	}
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

/* Any run of letters, digits and dots that starts as a number; its form is checked where its value is taken. */
static void lex_number(struct py_lexer *x)
{
	bool hex = peek(x, 0) == '0' && (peek(x, 1) | 0x20) == 'x';

	for (;;) {
		int c = peek(x, 0);

		if (!hex && (c == 'e' || c == 'E') && (peek(x, 1) == '+' || peek(x, 1) == '-') && is_digit(peek(x, 2)))
			x->p += 2;
		else if (!(uc_id_more((uint32_t)c) && c < 0x80 && c >= 0) && c != '.')
			return;
		else
			x->p++;
	}
}

static int lex_name(struct py_lexer *x)
{
	const char *p = x->p, *start = p;

	while (p < x->end) {
		const char *next = p;
		uint32_t c = uc_next(&next, x->end);

		if (!(p == start ? uc_id_start(c) : uc_id_more(c)))
			break;
		p = next;
	}
	if (p == start)
		return py_fail(x, "unexpected character");
	x->p = p;
	return 0;
}

static int lex_bracket(struct py_lexer *x, char c)
{
	static const char open[] = "([{", close[] = ")]}";

	if (strchr(open, c)) {
		if (x->nbracket >= (int)sizeof(x->bracket))
			return py_fail(x, "too many nested brackets");
		x->bracket_line[x->nbracket] = x->line;
		x->bracket[x->nbracket++] = c;
		return 0;
	}
	if (!x->nbracket || x->bracket[x->nbracket - 1] != open[strchr(close, c) - close])
		return py_fail(x, "a bracket that closes nothing");
	x->nbracket--;
	return 0;
}

static int lex_op(struct py_lexer *x)
{
	static const char *const ops[] = { "**=", "//=", ">>=", "<<=", "...", "**", "//", ">>", "<<", "<=", ">=", "==",
		"!=", "->", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "@=", ":=", NULL };
	int c = peek(x, 0);

	for (size_t i = 0; ops[i]; i++) {
		size_t n = strlen(ops[i]);

		if ((size_t)(x->end - x->p) >= n && !memcmp(x->p, ops[i], n)) {
			x->p += n;
			return 0;
		}
	}
	if (c <= 0 || !strchr("+-*/%@&|^~<>()[]{},:.;=", c))
		return py_fail(x, "unexpected character");
	x->p++;
	return strchr("()[]{}", c) ? lex_bracket(x, (char)c) : 0;
}

static bool ends_operand(const struct py_token *t)
{
	return t->kind == PY_NUMBER || t->kind == PY_STRING || (t->kind == PY_NAME && !py_is_keyword(t)) ||
	       py_is(t, ")") || py_is(t, "]") || py_is(t, "}");
}

/* Two operands side by side: "print x", "1 2". A 'match' or 'case' at the start of a line is a word of its own. */
static int check_neighbours(struct py_lexer *x, const struct py_token *t)
{
	bool starts = t->kind == PY_NUMBER || t->kind == PY_STRING || (t->kind == PY_NAME && !py_is_keyword(t));

	if (!starts || !ends_operand(&x->last) || (t->kind == PY_STRING && x->last.kind == PY_STRING))
		return 0;
	if (x->last.p == x->first.p && (py_is(&x->last, "match") || py_is(&x->last, "case")))
		return 0;
	x->p = t->p;
	return py_fail(x, "invalid syntax");
}

/* What stands last in a line and wants something behind it. */
static int check_line_end(struct py_lexer *x)
{
	static const char *const wants[] = { "=", "+", "-", "/", "%", "@", "&", "|", "^", "~", "<", ">", "**", "//", ">>",
		"<<", "<=", ">=", "==", "!=", "->", "+=", "-=", "*=", "/=", ":=", ".", "and", "or", "not", "in", "is",
		"as", "import", "class", "def", "del", NULL };

	for (size_t i = 0; wants[i]; i++)
		if (py_is(&x->last, wants[i]))
			return py_fail(x, "invalid syntax");
	if (py_is(&x->last, "*") && !py_is(&x->before, "import"))
		return py_fail(x, "invalid syntax");
	return 0;
}

static int end_line(struct py_lexer *x, struct py_token *out)
{
	if (check_line_end(x))
		return -1;
	x->wants_block = py_is(&x->last, ":");
	line_end(x);
	x->at_line_start = true;
	out->kind = PY_NEWLINE;
	return 0;
}

static int end_text(struct py_lexer *x, struct py_token *out)
{
	if (x->nbracket) {
		char why[] = "'x' was never closed";

		why[1] = x->bracket[x->nbracket - 1];
		x->line = x->bracket_line[x->nbracket - 1];
		return py_fail(x, why);
	}
	if (x->last.kind >= PY_NAME)
		return end_line(x, out);
	if (x->wants_block)
		return py_fail(x, "expected an indented block");
	out->kind = PY_END;
	return 0;
}

static int lex(struct py_lexer *x, struct py_token *out)
{
	size_t prefix;
	int c;

	if (x->at_line_start) {
		int rc = indentation(x, out);

		if (rc)
			return rc < 0 ? -1 : 0;
	}
	if (x->dedents) {
		x->dedents--;
		out->kind = PY_DEDENT;
		return 0;
	}
	if (skip_blanks(x))
		return -1;
	c = peek(x, 0);
	*out = (struct py_token){ PY_OP, x->p, 0, x->line, (int)(x->p - x->line_start) + 1 };
	if (c < 0)
		return end_text(x, out);
	if (c == '\n' || c == '\r')
		return end_line(x, out);
	prefix = prefix_len(x->p, x->end);
	if (prefix != SIZE_MAX) {
		out->kind = PY_STRING;
		return lex_string(x, prefix);
	}
	if (is_digit(c) || (c == '.' && is_digit(peek(x, 1)))) {
		out->kind = PY_NUMBER;
		lex_number(x);
		return 0;
	}
	if (c >= 0x80 || uc_id_start((uint32_t)c)) {
		out->kind = PY_NAME;
		return lex_name(x);
	}
	return lex_op(x);
}

int py_next(struct py_lexer *x, struct py_token *out)
{
	*out = (struct py_token){ PY_END, x->p, 0, x->line, (int)(x->p - x->line_start) + 1 };
	if (lex(x, out))
		return -1;
	if (out->kind >= PY_NAME) {
		out->len = (size_t)(x->p - out->p);
		if (check_neighbours(x, out))
			return -1;
		if (x->last.kind < PY_NAME)
			x->first = *out;
	}
	x->before = x->last;
	x->last = *out;
	return 0;
}

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int hex_escape(struct py_lexer *x, const char **p, const char *end, int n, struct str *out)
{
	uint32_t cp = 0;

	for (int i = 0; i < n; i++) {
		int h = *p < end ? hex_of(**p) : -1;

		if (h < 0)
			return py_fail(x, "a truncated escape in a string");
		cp = cp << 4 | (uint32_t)h;
		(*p)++;
	}
	if (cp > 0x10ffff)
		return py_fail(x, "an escape that names no character");
	if (cp >= 0xd800 && cp < 0xe000)
		return 1;
	uc_add(out, cp);
	return 0;
}

static int escape(struct py_lexer *x, const char **p, const char *end, struct str *out)
{
	static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
	char c = *(*p)++;
	const char *hit = c ? strchr(from, c) : NULL;

	if (hit) {
		str_addc(out, to[hit - from]);
	} else if (c == '\n') {
		return 0;
	} else if (c == '\r') {
		*p += *p < end && **p == '\n';
	} else if (c >= '0' && c <= '7') {
		uint32_t v = (uint32_t)(c - '0');

		for (int i = 0; i < 2 && *p < end && **p >= '0' && **p <= '7'; i++)
			v = v * 8 + (uint32_t)(*(*p)++ - '0');
		uc_add(out, v);
	} else if (c == 'x' || c == 'u' || c == 'U') {
		return hex_escape(x, p, end, c == 'x' ? 2 : c == 'u' ? 4 : 8, out);
	} else if (c == 'N') {
		return 1;
	} else {
		str_addc(out, '\\');
		str_addc(out, c);
	}
	return 0;
}

int py_string_value(struct py_lexer *x, const struct py_token *t, struct str *out)
{
	const char *p = t->p, *end = t->p + t->len;
	bool raw = false;
	size_t quotes;

	for (; *p != '"' && *p != '\''; p++) {
		raw |= *p == 'r' || *p == 'R';
		if (strchr("bBfF", *p))
			return 1;
	}
	quotes = end - p >= 6 && p[1] == *p && p[2] == *p ? 3 : 1;
	p += quotes;
	end -= quotes;
	while (p < end) {
		if (*p == '\\' && !raw) {
			int rc;

			p++;
			rc = escape(x, &p, end, out);
			if (rc)
				return rc;
		} else if (*p == '\r') {
			str_addc(out, '\n');
			p += 1 + (p + 1 < end && p[1] == '\n');
		} else {
			str_addc(out, *p++);
		}
	}
	return 0;
}

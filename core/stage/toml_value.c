/* toml_value - the values of TOML: strings, numbers, dates, arrays, inline tables. */
#include "core/stage/toml_priv.h"

#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/unicode.h"

#include <math.h>

static int hex_of(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int add_code_point(struct toml *t, struct str *out, int digits)
{
	uint32_t cp = 0;

	for (int i = 0; i < digits; i++) {
		int h = hex_of(toml_peek(t));

		if (h < 0)
			return toml_fail(t, "a \\u escape wants %d hexadecimal digits", digits);
		cp = cp << 4 | (uint32_t)h;
		t->p++;
	}
	if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
		return toml_fail(t, "the escape names no character");
	uc_add(out, cp);
	return 0;
}

/* A backslash at the end of a line swallows the white space up to the next character. */
static int skip_line_end(struct toml *t)
{
	toml_blanks(t);
	if (!toml_newline(t))
		return toml_fail(t, "unknown escape");
	for (;;) {
		toml_blanks(t);
		if (!toml_newline(t))
			return 0;
	}
}

static int add_escape(struct toml *t, struct str *out, bool multi)
{
	static const char from[] = "btnfre\"\\", to[] = "\b\t\n\f\r\x1b\"\\";
	int c = toml_peek(t);
	const char *hit = c > 0 ? strchr(from, c) : NULL;

	if (hit) {
		str_addc(out, to[hit - from]);
		t->p++;
		return 0;
	}
	if (c == 'u' || c == 'U' || c == 'x') {
		t->p++;
		return add_code_point(t, out, c == 'u' ? 4 : c == 'U' ? 8 : 2);
	}
	if (multi && (c == ' ' || c == '\t' || c == '\n' || c == '\r'))
		return skip_line_end(t);
	return toml_fail(t, "unknown escape");
}

/* Up to two quotes more than the closing three belong to the text. */
static bool multi_ends(struct toml *t, struct str *out, char quote)
{
	size_t n = 0;

	while (n < 5 && t->p + n < t->end && t->p[n] == quote)
		n++;
	if (n < 3) {
		str_addn(out, quote, n);
		t->p += n;
		return false;
	}
	str_addn(out, quote, n - 3);
	t->p += n;
	return true;
}

static int multi_string(struct toml *t, struct str *out, char quote)
{
	toml_newline(t);
	for (;;) {
		int c = toml_peek(t);

		if (c < 0)
			return toml_fail(t, "a string without an end");
		if (c == quote) {
			if (multi_ends(t, out, quote))
				return 0;
		} else if (c == '\\' && quote == '"') {
			t->p++;
			if (add_escape(t, out, true))
				return -1;
		} else if (c == '\n' || c == '\r') {
			if (!toml_newline(t))
				return toml_fail(t, "a carriage return alone");
			str_addc(out, '\n');
		} else if ((c < 0x20 && c != '\t') || c == 0x7f) {
			return toml_fail(t, "a control character in a string");
		} else {
			str_addc(out, *t->p++);
		}
	}
}

int toml_string(struct toml *t, struct str *out)
{
	char quote = *t->p++;

	str_reserve(out, 1);
	if (t->end - t->p >= 2 && t->p[0] == quote && t->p[1] == quote) {
		t->p += 2;
		return multi_string(t, out, quote);
	}
	for (;;) {
		int c = toml_peek(t);

		if (c < 0 || c == '\n' || c == '\r')
			return toml_fail(t, "a string without an end");
		t->p++;
		if (c == quote)
			return 0;
		if (c == '\\' && quote == '"') {
			if (add_escape(t, out, false))
				return -1;
		} else if ((c < 0x20 && c != '\t') || c == 0x7f) {
			return toml_fail(t, "a control character in a string");
		} else {
			str_addc(out, (char)c);
		}
	}
}

static bool digits(const char **p, const char *end, int n, int *out)
{
	*out = 0;
	if (end - *p < n)
		return false;
	for (int i = 0; i < n; i++, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		*out = *out * 10 + (**p - '0');
	}
	return true;
}

static bool lit(const char **p, const char *end, char c)
{
	if (*p >= end || **p != c)
		return false;
	(*p)++;
	return true;
}

static bool day_exists(int y, int m, int d)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	if (y < 1 || m < 1 || m > 12 || d < 1)
		return false;
	return d <= days[m - 1] + (m == 2 && ((y % 4 == 0 && y % 100) || y % 400 == 0));
}

/* hh:mm[:ss[.fraction]], in Python's text: six digits or none. */
static bool read_time(const char **p, const char *end, struct str *out)
{
	int h, m, s = 0, us = 0, n = 0;
	bool seconds;

	if (!digits(p, end, 2, &h) || !lit(p, end, ':') || !digits(p, end, 2, &m) || h > 23 || m > 59)
		return false;
	seconds = lit(p, end, ':');
	if (seconds && (!digits(p, end, 2, &s) || s > 59))
		return false;
	str_addf(out, "%02d:%02d:%02d", h, m, s);
	if (!seconds || !lit(p, end, '.'))
		return true;
	for (; *p < end && **p >= '0' && **p <= '9'; (*p)++, n++)
		if (n < 6)
			us = us * 10 + (**p - '0');
	if (!n)
		return false;
	for (; n < 6; n++)
		us *= 10;
	if (us)
		str_addf(out, ".%06d", us);
	return true;
}

static bool read_offset(const char **p, const char *end, struct str *out)
{
	int h, m;
	char sign = **p;

	if (lit(p, end, 'Z') || lit(p, end, 'z')) {
		str_adds(out, "+00:00");
		return true;
	}
	if (!lit(p, end, '+') && !lit(p, end, '-'))
		return true;
	if (!digits(p, end, 2, &h) || !lit(p, end, ':') || !digits(p, end, 2, &m) || h > 23 || m > 59)
		return false;
	str_addf(out, "%c%02d:%02d", h || m ? sign : '+', h, m);
	return true;
}

/* A date has its first '-' at the fifth place, a time its ':' at the third. */
static int parse_date(struct toml *t, struct node **out)
{
	autostr struct str iso = STR_INIT;
	const char *p = t->p;
	bool dated = t->end - p > 4 && p[4] == '-', ok = true;
	int y, m, d;

	if (dated) {
		ok = digits(&p, t->end, 4, &y) && lit(&p, t->end, '-') && digits(&p, t->end, 2, &m) &&
		     lit(&p, t->end, '-') && digits(&p, t->end, 2, &d) && day_exists(y, m, d);
		if (ok)
			str_addf(&iso, "%04d-%02d-%02d", y, m, d);
	}
	if (ok && dated && t->end - p > 2 && (*p == 'T' || *p == 't' || *p == ' ') && p[1] >= '0' && p[1] <= '9') {
		p++;
		str_addc(&iso, ' ');
		ok = read_time(&p, t->end, &iso) && (p == t->end || read_offset(&p, t->end, &iso));
	} else if (ok && !dated) {
		ok = read_time(&p, t->end, &iso);
	}
	if (!ok)
		return toml_fail(t, "not a date or time");
	t->p = p;
	*out = dated ? node_date(str_cstr(&iso)) : node_str(str_cstr(&iso));    /* YAML has no times of day */
	return 0;
}

/* Digits of a base with single underscores between them, appended without those. */
static bool run(const char **p, const char *end, struct str *out, int base)
{
	bool last = false, any = false;

	for (; *p < end; (*p)++) {
		int h = hex_of((unsigned char)**p);

		if (**p == '_') {
			if (!last)
				return false;
			last = false;
			continue;
		}
		if (h < 0 || h >= base)
			break;
		str_addc(out, **p);
		last = any = true;
	}
	return any && last;
}

static int based_int(struct toml *t, struct node **out, int base)
{
	autostr struct str s = STR_INIT;
	unsigned long long v = 0;

	t->p += 2;
	if (!run(&t->p, t->end, &s, base))
		return toml_fail(t, "not a number");
	for (size_t i = 0; i < s.len; i++)
		if (__builtin_mul_overflow(v, (unsigned)base, &v) ||
		    __builtin_add_overflow(v, (unsigned)hex_of((unsigned char)s.buf[i]), &v) || v > INT64_MAX)
			return toml_fail(t, "a number beyond 64 bits");
	*out = node_int((int64_t)v);
	return 0;
}

static bool word(struct toml *t, const char *w)
{
	if ((size_t)(t->end - t->p) < strlen(w) || memcmp(t->p, w, strlen(w)))
		return false;
	t->p += strlen(w);
	return true;
}

static bool float_tail(struct toml *t, struct str *s, bool *is_float)
{
	if (toml_accept(t, '.')) {
		*is_float = true;
		str_addc(s, '.');
		if (!run(&t->p, t->end, s, 10))
			return false;
	}
	if (toml_accept(t, 'e') || toml_accept(t, 'E')) {
		*is_float = true;
		str_addc(s, 'e');
		if (toml_peek(t) == '+' || toml_peek(t) == '-')
			str_addc(s, *t->p++);
		if (!run(&t->p, t->end, s, 10))
			return false;
	}
	return true;
}

static int parse_number(struct toml *t, struct node **out)
{
	autostr struct str s = STR_INIT;
	bool sign = toml_peek(t) == '+' || toml_peek(t) == '-', neg = toml_peek(t) == '-', is_float = false;
	size_t first = sign;

	if (sign)
		str_addc(&s, *t->p++);
	if (word(t, "inf") || word(t, "nan")) {
		*out = node_float(t->p[-1] == 'f' ? (neg ? -(double)INFINITY : (double)INFINITY) : (double)NAN);
		return 0;
	}
	if (!sign && t->end - t->p > 1 && *t->p == '0' && strchr("xob", t->p[1]) && t->p[1])
		return based_int(t, out, t->p[1] == 'x' ? 16 : t->p[1] == 'o' ? 8 : 2);
	if (!run(&t->p, t->end, &s, 10) || (s.buf[first] == '0' && s.len > first + 1) ||
	    !float_tail(t, &s, &is_float))
		return toml_fail(t, "not a number");
	if (s.len > 4300)
		return toml_fail(t, "a number of more than 4300 digits");
	*out = is_float ? node_float(strtod(s.buf, NULL)) : node_int_text(s.buf);
	return 0;
}

/* White space, line ends and comments inside an array. */
static int any_space(struct toml *t)
{
	for (;;) {
		toml_blanks(t);
		if (toml_comment(t))
			return -1;
		if (!toml_newline(t))
			return 0;
	}
}

static int parse_array(struct toml *t, struct node **out, int depth)
{
	autonode struct node *seq = node_seq();

	t->p++;
	for (;;) {
		struct node *item;

		if (any_space(t))
			return -1;
		if (toml_accept(t, ']'))
			break;
		if (toml_value(t, &item, depth - 1))
			return -1;
		node_push(seq, item);
		if (any_space(t))
			return -1;
		if (toml_accept(t, ','))
			continue;
		if (!toml_accept(t, ']'))
			return toml_fail(t, "expected ',' or ']'");
		break;
	}
	*out = take(seq);
	return 0;
}

/* As in TOML 1.1, which the reference tool's parser reads: over many lines, with a comma behind the last. */
static int parse_inline(struct toml *t, struct node **out, int depth)
{
	autonode struct node *map = node_map();

	t->p++;
	for (;;) {
		if (any_space(t))
			return -1;
		if (toml_accept(t, '}'))
			break;
		if (toml_pair(t, map, depth - 1) || any_space(t))
			return -1;
		if (toml_accept(t, ','))
			continue;
		if (!toml_accept(t, '}'))
			return toml_fail(t, "expected ',' or '}'");
		break;
	}
	*out = take(map);
	return 0;
}

static bool looks_dated(const struct toml *t)
{
	const char *p = t->p;

	if (t->end - p > 4 && p[4] == '-')
		return p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9' && p[2] >= '0' && p[2] <= '9' &&
		       p[3] >= '0' && p[3] <= '9';
	return t->end - p > 2 && p[2] == ':' && p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9';
}

static int parse_plain(struct toml *t, struct node **out)
{
	int c = toml_peek(t);

	if (word(t, "true") || word(t, "false")) {
		*out = node_bool(t->p[-2] == 'u');
		return 0;
	}
	if (looks_dated(t))
		return parse_date(t, out);
	if (c == '+' || c == '-' || (c >= '0' && c <= '9') || c == 'i' || c == 'n')
		return parse_number(t, out);
	return toml_fail(t, "expected a value");
}

int toml_value(struct toml *t, struct node **out, int depth)
{
	int c = toml_peek(t), line = t->line, col = (int)(t->p - t->line_start) + 1, rc;

	if (!depth)
		return toml_fail(t, "nested deeper than %d", TOML_DEPTH_MAX);
	if (c == '"' || c == '\'') {
		autostr struct str s = STR_INIT;

		if (toml_string(t, &s))
			return -1;
		*out = node_strn(s.buf, s.len);
		rc = 0;
	} else if (c == '[') {
		rc = parse_array(t, out, depth);
	} else if (c == '{') {
		rc = parse_inline(t, out, depth);
	} else {
		rc = parse_plain(t, out);
	}
	if (rc)
		return -1;
	if ((*out)->kind >= NODE_SEQ)
		toml_close(*out);
	(*out)->line = line;
	(*out)->col = col;
	return 0;
}

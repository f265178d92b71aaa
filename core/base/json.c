#include "core/base/json.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"

#include <jansson.h>
#include <math.h>

#define DEPTH_MAX 256

/*
 * Python reads NaN, Infinity, integers of any size and reals beyond a double's range; jansson refuses them. Such
 * tokens are handed to jansson as strings that begin with NUL and '#'. A real string that begins with NUL gets a
 * second NUL, so the two cannot be confused.
 * A byte that is no UTF-8 stands in Python's JSON as a lone surrogate ("\\udcff" for 0xff), which jansson refuses too: it
 * becomes U+0001 and two hex digits, and then every U+0001 of the text is spelled in the same way.
 * Texts without such tokens go to jansson as they are.
 */
struct prepass {
	const char *p, *end;
	struct str *out;        /* NULL: only look whether there is anything to do */
	bool found;
};

static const char *string_end(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\' && p + 1 < end)
			p++;
	return p < end ? p + 1 : end;
}

static const char *digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

/* The end of a JSON number at p, or NULL. */
static const char *number_end(const char *p, const char *end)
{
	const char *start = p += p < end && *p == '-';
	const char *q = digits(p, end);

	if (q == start || (*start == '0' && q > start + 1))
		return NULL;
	if (q < end && *q == '.') {
		p = digits(q + 1, end);
		if (p == q + 1)
			return NULL;
		q = p;
	}
	if (q < end && (*q == 'e' || *q == 'E')) {
		p = q + 1;
		p += p < end && (*p == '+' || *p == '-');
		q = digits(p, end);
		if (q == p)
			return NULL;
	}
	return q;
}

static const char *constant_end(const char *p, const char *end)
{
	static const char *const word[] = { "NaN", "Infinity", "-Infinity" };

	for (size_t i = 0; i < ARRAY_LEN(word); i++)
		if ((size_t)(end - p) >= strlen(word[i]) && !memcmp(p, word[i], strlen(word[i])))
			return p + strlen(word[i]);
	return NULL;
}

/* Whether jansson can hold the number: at most 18 digits, or a real whose exponent has at most two. */
static bool number_small(const char *p, const char *end)
{
	size_t n = 0, exp = 0;
	bool in_exp = false;

	for (; p < end; p++) {
		if (*p == 'e' || *p == 'E')
			in_exp = true;
		else if (*p >= '0' && *p <= '9')
			*(in_exp ? &exp : &n) += 1;
	}
	return n <= 18 && exp <= 2;
}

static void prepass_copy(struct prepass *s, const char *to)
{
	if (s->out)
		str_add(s->out, s->p, (size_t)(to - s->p));
	s->p = to;
}

static void prepass_wrap(struct prepass *s, const char *to)
{
	s->found = true;
	if (s->out)
		str_adds(s->out, "\"\\u0000#");
	prepass_copy(s, to);
	if (s->out)
		str_addc(s->out, '"');
}

/* The unit of the escape \uXXXX at p, or -1. */
static long unit_at(const char *p, const char *end)
{
	char hex[5] = "";

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	memcpy(hex, p + 2, 4);
	return strspn(hex, "0123456789abcdefABCDEF") == 4 ? strtol(hex, NULL, 16) : -1;
}

/* Copies up to 'to' (the end of the string), and spells lone surrogates and U+0001 anew. */
static void prepass_units(struct prepass *s, const char *to)
{
	const char *q = s->p;

	while ((q = memchr(q, '\\', (size_t)(to - q)))) {
		long unit = unit_at(q, to), next = unit < 0 ? -1 : unit_at(q + 6, to);
		bool byte = unit >= 0xdc80 && unit <= 0xdcff;

		if (unit < 0) {
			q += to - q > 1 ? 2 : 1;
			continue;
		}
		if (unit >= 0xd800 && unit < 0xdc00 && next >= 0xdc00 && next < 0xe000) {
			q += 12;
			continue;
		}
		if (byte || unit == 1) {
			s->found |= byte;
			prepass_copy(s, q);
			if (s->out)
				str_addf(s->out, "\\u0001%02x", (unsigned)(unit & 0xff));
			s->p = q + 6;
		}
		q += 6;
	}
	prepass_copy(s, to);
}

static void prepass_string(struct prepass *s)
{
	const char *to = string_end(s->p, s->end);

	if (to - s->p >= 8 && !memcmp(s->p + 1, "\\u0000", 6)) {
		s->found = true;
		prepass_copy(s, s->p + 1);
		if (s->out)
			str_adds(s->out, "\\u0000");
	}
	prepass_units(s, to);
}

static bool prepass_run(struct prepass *s)
{
	while (s->p < s->end && (s->out || !s->found)) {
		char c = *s->p;
		const char *to;

		if (c == '"') {
			prepass_string(s);
		} else if ((c == 'N' || c == 'I' || c == '-') && (to = constant_end(s->p, s->end))) {
			prepass_wrap(s, to);
		} else if ((c == '-' || (c >= '0' && c <= '9')) && (to = number_end(s->p, s->end))) {
			if (number_small(s->p, to))
				prepass_copy(s, to);
			else
				prepass_wrap(s, to);
		} else {
			prepass_copy(s, s->p + 1);
		}
	}
	return s->found;
}

static struct node *marked(const char *token)
{
	if (!strcmp(token, "NaN"))
		return node_float((double)NAN);
	if (strpbrk(token, ".eEI"))
		return node_float(strtod(token, NULL));
	return node_int_text(token);
}

/* Takes back what prepass_units() did. */
static struct node *unmarked(const char *s, size_t n)
{
	autostr struct str out = STR_INIT;
	const char *end = s + n, *q;

	if (!memchr(s, 1, n))
		return node_strn(s, n);
	for (; (q = memchr(s, 1, (size_t)(end - s))) && end - q > 2; s = q + 3) {
		char hex[3] = { q[1], q[2], 0 };

		str_add(&out, s, (size_t)(q - s));
		str_addc(&out, (char)strtol(hex, NULL, 16));
	}
	str_add(&out, s, (size_t)(end - s));
	return node_strn(str_cstr(&out), out.len);
}

static struct node *text_of(const char *s, size_t n, bool wrapped)
{
	if (!wrapped || !n)
		return node_strn(s, n);
	if (s[0])
		return unmarked(s, n);
	if (n > 1 && s[1] == '#')
		return marked(s + 2);
	return unmarked(s + 1, n - 1);
}

static struct node *convert(const json_t *j, bool wrapped, int depth);

static struct node *convert_object(json_t *j, bool wrapped, int depth)
{
	autonode struct node *map = node_map();

	for (void *it = json_object_iter(j); it; it = json_object_iter_next(j, it)) {
		struct node *key = text_of(json_object_iter_key(it), json_object_iter_key_len(it), wrapped);
		struct node *value = convert(json_object_iter_value(it), wrapped, depth - 1);

		if (!value || key->kind != NODE_STR) {
			node_free(key);
			node_free(value);
			return NULL;
		}
		node_set_node(map, key, value);
	}
	return take(map);
}

static struct node *convert_array(const json_t *j, bool wrapped, int depth)
{
	autonode struct node *seq = node_seq();

	for (size_t i = 0; i < json_array_size(j); i++) {
		struct node *item = convert(json_array_get(j, i), wrapped, depth - 1);

		if (!item)
			return NULL;
		node_push(seq, item);
	}
	return take(seq);
}

/* NULL: nested too deep, or a number where a key belongs. */
static struct node *convert(const json_t *j, bool wrapped, int depth)
{
	if (!depth)
		return NULL;
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		return convert_object((json_t *)j, wrapped, depth);
	case JSON_ARRAY:
		return convert_array(j, wrapped, depth);
	case JSON_STRING:
		return text_of(json_string_value(j), json_string_length(j), wrapped);
	case JSON_INTEGER:
		return node_int(json_integer_value(j));
	case JSON_REAL:
		return node_float(json_real_value(j));
	case JSON_TRUE:
	case JSON_FALSE:
		return node_bool(json_is_true(j));
	default:
		return node_null();
	}
}

int json_parse(struct node **out, const char *text, size_t len, const char *name, struct err *e)
{
	struct prepass look = { text, text + len, NULL, false };
	autostr struct str wrapped = STR_INIT;
	json_error_t why;
	struct node *n;
	json_t *j;

	if (prepass_run(&look)) {
		struct prepass run = { text, text + len, &wrapped, false };

		prepass_run(&run);
		text = wrapped.buf;
		len = wrapped.len;
	}
	j = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
	if (!j)
		return err_set(e, ERR_PARSE, "%s:%d:%d: not valid JSON: %s", name, why.line, why.column, why.text);
	n = convert(j, look.found, DEPTH_MAX);
	json_decref(j);
	if (!n)
		return err_set(e, ERR_PARSE, "%s: not valid JSON: nested deeper than %d, or a key that is no string",
			       name, DEPTH_MAX);
	*out = n;
	return 0;
}

int json_load(struct node **out, const char *path, uint64_t max, struct err *e)
{
	autostr struct str text = STR_INIT;

	if (fs_read(&text, path, max, e))
		return -1;
	return json_parse(out, str_cstr(&text), text.len, path, e);
}

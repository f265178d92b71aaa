/* params_why - why a parameters file cannot be read, in the words of the libraries that DVC reads it with. */
#include "core/stage/params.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml.h"
#include "core/stage/pylit.h"
#include "core/stage/toml.h"

/* --- JSON, as Python's decoder reads it --- */

#define DEPTH_MAX 900

struct scan {
	const char *text, *p, *end;
	const char *wrong, *at;         /* the first fault */
	int depth;
};

static int fault(struct scan *s, const char *what, const char *at)
{
	s->wrong = what;
	s->at = at;
	return -1;
}

static void skip_space(struct scan *s)
{
	while (s->p < s->end && strchr(" \t\n\r", *s->p) && *s->p)
		s->p++;
}

static bool at_char(const struct scan *s, char c)
{
	return s->p < s->end && *s->p == c;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* At the character behind the backslash. */
static int scan_escape(struct scan *s, const char *open)
{
	const char *u = s->p;

	if (u == s->end)
		return fault(s, "Unterminated string starting at", open);
	s->p++;
	if (*u != 'u')
		return *u && strchr("\"\\/bfnrt", *u) ? 0 : fault(s, "Invalid \\escape", u - 1);
	for (int i = 0; i < 4; i++, s->p++)
		if (s->end - u <= 5 || !is_hex(*s->p))
			return fault(s, "Invalid \\uXXXX escape", u);
	return 0;
}

/* Behind the opening quote. */
static int scan_string(struct scan *s)
{
	const char *open = s->p - 1;

	while (s->p < s->end) {
		unsigned char c = (unsigned char)*s->p;

		if (c <= 0x1f)
			return fault(s, "Invalid control character at", s->p);
		s->p++;
		if (c == '"')
			return 0;
		if (c == '\\' && scan_escape(s, open))
			return -1;
	}
	return fault(s, "Unterminated string starting at", open);
}

static int scan_value(struct scan *s);

/* Behind the value of a member or an element. 1: closed, 0: another follows. */
static int scan_more(struct scan *s, char close)
{
	skip_space(s);
	if (at_char(s, close)) {
		s->p++;
		return 1;
	}
	if (!at_char(s, ','))
		return fault(s, "Expecting ',' delimiter", s->p);
	s->p++;
	skip_space(s);
	return 0;
}

static int scan_object(struct scan *s)
{
	int rc = 0;

	skip_space(s);
	if (at_char(s, '}')) {
		s->p++;
		return 0;
	}
	while (!rc) {
		if (!at_char(s, '"'))
			return fault(s, "Expecting property name enclosed in double quotes", s->p);
		s->p++;
		if (scan_string(s))
			return -1;
		skip_space(s);
		if (!at_char(s, ':'))
			return fault(s, "Expecting ':' delimiter", s->p);
		s->p++;
		skip_space(s);
		if (scan_value(s))
			return -1;
		rc = scan_more(s, '}');
	}
	return rc < 0 ? -1 : 0;
}

static int scan_array(struct scan *s)
{
	int rc = 0;

	skip_space(s);
	if (at_char(s, ']')) {
		s->p++;
		return 0;
	}
	while (!rc) {
		if (scan_value(s))
			return -1;
		rc = scan_more(s, ']');
	}
	return rc < 0 ? -1 : 0;
}

static const char *digits(const struct scan *s, const char *p)
{
	while (p < s->end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

static int scan_number(struct scan *s)
{
	const char *p = s->p + at_char(s, '-'), *q;

	q = p < s->end && *p == '0' ? p + 1 : digits(s, p);
	if (q == p)
		return fault(s, "Expecting value", s->p);
	s->p = q;
	if (at_char(s, '.') && digits(s, q + 1) > q + 1)
		s->p = q = digits(s, q + 1);
	if (at_char(s, 'e') || at_char(s, 'E')) {
		p = q + 1;
		p += p < s->end && (*p == '+' || *p == '-');
		if (digits(s, p) > p)
			s->p = digits(s, p);
	}
	return 0;
}

static int scan_value(struct scan *s)
{
	static const char *const word[] = { "null", "true", "false", "NaN", "Infinity", "-Infinity" };
	int rc;

	for (size_t i = 0; i < ARRAY_LEN(word); i++) {
		size_t n = strlen(word[i]);

		if ((size_t)(s->end - s->p) >= n && !memcmp(s->p, word[i], n)) {
			s->p += n;
			return 0;
		}
	}
	if (at_char(s, '"')) {
		s->p++;
		return scan_string(s);
	}
	if (!at_char(s, '{') && !at_char(s, '['))
		return scan_number(s);
	if (++s->depth > DEPTH_MAX)
		return -1;
	rc = *s->p++ == '{' ? scan_object(s) : scan_array(s);
	s->depth--;
	return rc;
}

/* Python counts characters, not bytes. */
static size_t characters(const char *from, const char *to)
{
	size_t n = 0;

	for (; from < to; from++)
		n += ((unsigned char)*from & 0xc0) != 0x80;
	return n;
}

static char *explain_json(const char *text, size_t len)
{
	struct scan s = { .text = text, .p = text, .end = text + len };
	const char *line;
	size_t lines = 1;

	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		fault(&s, "Unexpected UTF-8 BOM (decode using utf-8-sig)", text);
	} else {
		skip_space(&s);
		if (!scan_value(&s)) {
			skip_space(&s);
			if (s.p < s.end)
				fault(&s, "Extra data", s.p);
		}
	}
	if (!s.wrong)
		return NULL;
	line = text;
	for (const char *p = text; p < s.at; p++) {
		if (*p == '\n') {
			lines++;
			line = p + 1;
		}
	}
	return xasprintf("%s: line %zu column %zu (char %zu)", s.wrong, lines, characters(line, s.at) + 1,
			 characters(text, s.at));
}

/* --- Python --- */

/* "x.py:3:7: not valid Python: invalid syntax" as "invalid syntax (x.py, line 3)". */
static char *explain_python(const char *name, const char *text, size_t len)
{
	static const char mark[] = "not valid Python: ";
	autoerr struct err why = ERR_INIT;
	autonode struct node *none = NULL;
	const char *said;
	int line;

	if (!pylit_parse(&none, text, len, "", &why) || !why.msg || sscanf(why.msg, ":%d:", &line) != 1)
		return NULL;
	said = strstr(why.msg, mark);
	return said ? xasprintf("%s (%s, line %d)", said + strlen(mark), path_base(name), line) : NULL;
}

/* --- TOML --- */

static const char *place(const char *text, size_t len, int line, int col)
{
	const char *p = text, *end = text + len;

	for (int i = 1; i < line && p; i++) {
		p = memchr(p, '\n', (size_t)(end - p));
		p = p ? p + 1 : NULL;
	}
	return p && end - p > col ? p + col : NULL;
}

/* What stands where something else was expected, and keys that come twice; of the rest the library has other ideas. */
static char *explain_toml(const char *text, size_t len)
{
	static const char mark[] = "not valid TOML: ";
	autoerr struct err why = ERR_INIT;
	autonode struct node *none = NULL;
	autostr struct str shown = STR_INIT;
	autonode struct node *c = NULL;
	const char *said, *at;
	int line, col;

	if (!toml_parse(&none, text, len, "", &why) || !why.msg || sscanf(why.msg, ":%d:%d:", &line, &col) != 2)
		return NULL;
	said = strstr(why.msg, mark);
	if (!said)
		return NULL;
	said += strlen(mark);
	if (*said == '\'' && str_ends(said, "' is defined already")) {
		int n = (int)(strlen(said) - 1 - strlen("' is defined already"));

		return xasprintf("Key \"%.*s\" already exists. at line %d col 0: Key \"%.*s\" already exists.", n, said + 1,
				 line, n, said + 1);
	}
	at = place(text, len, line, col - 1);
	if (!at || (unsigned char)*at >= 0x80 || (*at != '\n' && strcmp(said, "expected '=' after the key")) ||
	    !str_starts(said, "expected ") || !strcmp(said, "expected a key"))
		return NULL;
	c = node_strn(at, 1);
	node_py_repr(&shown, c);
	return xasprintf("Unexpected character: %s at line %d col %d", str_cstr(&shown), line, col - 1);
}

static char *explain_yaml(const char *text, size_t len)
{
	autocall(yaml_fault_release) struct yaml_fault f = { 0 };
	autostr struct str out = STR_INIT;

	if (!yaml_explain(text, len, &f))
		return NULL;
	yaml_fault_text(&out, &f, text, len);
	return str_take(&out);
}

static char *explain_text(const char *name, const char *text, size_t len)
{
	switch (*params_corrupted(name)) {
	case 'Y': return explain_yaml(text, len);
	case 'J': return explain_json(text, len);
	case 'P': return explain_python(name, text, len);
	default: return explain_toml(text, len);
	}
}

char *params_explain(const char *name, const char *text, size_t len, const char *otherwise)
{
	autofree char *cause = str_utf8_fault(text, len);

	if (cause)
		return xasprintf("is not valid utf-8: %s", cause);
	cause = explain_text(name, text, len);
	return xasprintf("%s: %s", params_corrupted(name), cause ? cause : otherwise);
}

int params_load(struct node **out, const char *path, struct err *e)
{
	autostr struct str text = STR_INIT;
	autofree char *why = NULL;

	if (fs_read(&text, path, PARAMS_MAX, e))
		return -1;
	if (!params_parse(out, path, str_cstr(&text), text.len, e))
		return 0;
	why = params_explain(path, str_cstr(&text), text.len, e->msg);
	return err_set(e, ERR_PARSE, "%s", why);
}

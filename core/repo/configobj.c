/* configobj - reading ConfigObj's dialect. See configobj.h; edits are configedit.c. */
#include "core/repo/configobj.h"

#include <ctype.h>

#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/own.h"

#define INTERPOLATION_DEPTH 32
#define INTERPOLATED_MAX (1u << 20)

struct parse {
	struct cobj *c;
	size_t cur;             /* open section */
	size_t errors, first_line;
	char *first;            /* message of the first error */
};

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

static const char *skip_space(const char *p)
{
	while (is_space(*p))
		p++;
	return p;
}

void cobj_release(struct cobj *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct cobj_sec *s = &c->sec[i];

		for (size_t k = 0; k < s->n; k++) {
			free(s->v[k].name);
			free(s->v[k].comment);
			strvec_release(&s->v[k].v);
		}
		free(s->v);
		free(s->name);
		free(s->raw);
	}
	free(c->sec);
	strvec_release(&c->lines);
	free(c->renamed);
	*c = (struct cobj){ 0 };
}

/* --- errors -------------------------------------------------------------------------------------------------------- */

static void parse_error(struct parse *p, size_t line, const char *msg)
{
	if (!p->errors++) {
		p->first_line = line + 1;
		p->first = xstrdup(msg);
	}
}

/* A line that is no setting may still hold a secret: then it is not repeated. */
static void bad_line(struct parse *p, size_t i, const char *line)
{
	static const char *const secret[] = { "pass", "secret", "token", "key", "sas", "connection" };
	autostr struct str s = STR_INIT;
	autonode struct node *n = node_str(line);
	bool hide = false;

	for (size_t k = 0; k < ARRAY_LEN(secret); k++)
		hide |= strcasestr(line, secret[k]) != NULL;
	str_adds(&s, "Invalid line (");
	if (hide)
		str_adds(&s, "withheld: it may hold a secret");
	else
		node_py_repr(&s, n);
	str_adds(&s, ") (matched as neither section nor keyword)");
	parse_error(p, i, str_cstr(&s));
}

static int parse_verdict(struct parse *p, struct err *e)
{
	autofree char *first = p->first, *msg = NULL;

	if (!p->errors)
		return 0;
	msg = p->errors > 1 ?
		xasprintf("Parsing failed with several errors.\nFirst error at line %zu.", p->first_line) :
		xasprintf("%s at line %zu.", first, p->first_line);
	return err_set(e, ERR_CONFIG, "configuration error - config file error: %s: %s", msg, msg);
}

/* --- lines --------------------------------------------------------------------------------------------------------- */

/* Length of the line end at p as Python's splitlines() sees it, 0: none. */
static size_t line_end(const char *p, size_t left)
{
	const unsigned char *u = (const unsigned char *)p;

	if (*p == '\r')
		return left > 1 && p[1] == '\n' ? 2 : 1;
	if (*p == '\n' || *p == '\v' || *p == '\f' || (u[0] >= 0x1c && u[0] <= 0x1e))
		return 1;
	if (left > 1 && u[0] == 0xc2 && u[1] == 0x85)
		return 2;
	if (left > 2 && u[0] == 0xe2 && u[1] == 0x80 && (u[2] == 0xa8 || u[2] == 0xa9))
		return 3;
	return 0;
}

static void split_lines(struct strvec *out, const char *text, size_t len)
{
	size_t from = 0;

	for (size_t i = 0; i < len;) {
		size_t n = line_end(text + i, len - i);

		i += n ? n : 1;
		if (n || i == len) {
			strvec_take(out, xstrndup(text + from, i - from));
			from = i;
		}
	}
}

/* The line without its end. */
static char *line_body(const char *line)
{
	size_t n = 0, len = strlen(line);

	while (n < len && !line_end(line + n, len - n))
		n++;
	return xstrndup(line, n);
}

static int check_utf8(const char *text, size_t len, struct err *e)
{
	autofree char *why = str_utf8_fault(text, len);

	if (why)
		return err_set(e, ERR_CONFIG, "configuration error - config file error: %s: %s", why, why);
	if (memchr(text, 0, len))
		return err_set(e, ERR_CONFIG, "configuration error - config file error: it holds a zero byte");
	return 0;
}

/* --- values -------------------------------------------------------------------------------------------------------- */

/* What may follow a value: blanks and a comment. */
static bool is_tail(const char *p, const char **comment)
{
	p = skip_space(p);
	*comment = *p == '#' ? p : NULL;
	return !*p || *p == '#';
}

static void take_item(struct strvec *v, const char *from, const char *to)
{
	if (to - from >= 2 && *from == to[-1] && (*from == '"' || *from == '\'')) {
		from++;
		to--;
	}
	strvec_take(v, xstrndup(from, (size_t)(to - from)));
}

struct value_scan {
	const char *start, *comment;
	bool *failed;           /* per offset: nothing fits from here */
	bool is_list;
	struct strvec v;
};

static bool scan_items(struct value_scan *s, const char *p, bool after_comma);

/* An item from p to 'to', then a comma, then the rest. */
static bool scan_comma(struct value_scan *s, const char *p, const char *to)
{
	const char *q = skip_space(to);
	size_t n = s->v.n;

	if (*q != ',')
		return false;
	take_item(&s->v, p, to);
	if (scan_items(s, skip_space(q + 1), true)) {
		s->is_list = true;
		return true;
	}
	while (s->v.n > n)
		strvec_remove(&s->v, s->v.n - 1);
	return false;
}

static bool scan_last(struct value_scan *s, const char *p, const char *to)
{
	if (!is_tail(to, &s->comment))
		return false;
	take_item(&s->v, p, to);
	return true;
}

/* A quoted item may end at any later quote of its kind; the nearest that lets the rest fit is taken. */
static bool scan_quoted(struct value_scan *s, const char *p)
{
	for (const char *q = strchr(p + 1, *p); q; q = strchr(q + 1, *p))
		if (scan_comma(s, p, q + 1))
			return true;
	for (const char *q = strchr(p + 1, *p); q; q = strchr(q + 1, *p))
		if (scan_last(s, p, q + 1))
			return true;
	return false;
}

static bool scan_plain(struct value_scan *s, const char *p)
{
	const char *to = p + strcspn(p, ",#"), *end = to;

	if (*to == ',') {
		while (end > p && is_space(end[-1]))
			end--;
		return scan_comma(s, p, end);
	}
	while (end > p && is_space(end[-1]))
		end--;
	return scan_last(s, p, end);
}

static bool scan_items(struct value_scan *s, const char *p, bool after_comma)
{
	bool *failed = &s->failed[p - s->start], ok;

	if (*failed)
		return false;
	if (*p == '"' || *p == '\'') {
		ok = scan_quoted(s, p);
	} else if (!*p || *p == '#') {
		ok = is_tail(p, &s->comment);
		if (!after_comma)
			strvec_push(&s->v, "");
	} else if (*p == ',') {
		ok = !after_comma && is_tail(p + 1, &s->comment);       /* alone: an empty list */
		s->is_list |= ok;
	} else {
		ok = scan_plain(s, p);
	}
	*failed = !ok;
	return ok;
}

#define VALUE_LINE_MAX 65536    /* bounds the recursion: one level a list item */

static int read_value(struct cobj_opt *o, const char *text)
{
	struct value_scan s = { .start = text };
	autofree bool *failed = NULL;
	size_t commas = 0;

	for (const char *p = text; *p; p++)
		commas += *p == ',';
	if (strlen(text) > VALUE_LINE_MAX || commas > 4096)
		return -1;
	failed = xcalloc(strlen(text) + 1, sizeof(*failed));
	s.failed = failed;
	if (!scan_items(&s, text, false)) {
		strvec_release(&s.v);
		return -1;
	}
	o->v = s.v;
	o->is_list = s.is_list;
	o->comment = xstrdup(s.comment);
	return 0;
}

/* A value in triple quotes, perhaps over several lines; *i is moved to its last line. */
static int read_multiline(struct cobj *c, struct cobj_opt *o, const char *text, size_t *i)
{
	char quote[4] = { text[0], text[0], text[0], 0 };
	autostr struct str s = STR_INIT;
	const char *end = strstr(text + 3, quote), *comment;

	if (end) {
		while (end && !is_tail(end + 3, &comment))
			end = strstr(end + 1, quote);
		if (!end)
			return -1;
		strvec_take(&o->v, xstrndup(text + 3, (size_t)(end - text - 3)));
		o->comment = xstrdup(comment);
		return 0;
	}
	str_adds(&s, text + 3);
	for (size_t k = *i + 1; k < c->lines.n; k++) {
		autofree char *line = line_body(c->lines.v[k]);

		str_addc(&s, '\n');
		end = strstr(line, quote);
		if (!end) {
			str_adds(&s, line);
			continue;
		}
		while (end && !is_tail(end + 3, &comment))
			end = strstr(end + 1, quote);
		if (!end)
			return -1;
		str_add(&s, line, (size_t)(end - line));
		o->comment = xstrdup(comment);
		strvec_take(&o->v, str_take(&s));
		*i = k;
		return 0;
	}
	return -1;
}

/* --- sections and options ------------------------------------------------------------------------------------------ */

/* I2: '  remote  "X" ' gives 'remote "x"'. */
static char *section_name(const char *raw)
{
	static const char *const kinds[] = { "remote", "machine", "db" };
	autofree char *low = xstrdup(raw);
	const char *p, *end;

	str_lower(&low);
	p = skip_space(low);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t n = strlen(kinds[i]);
		const char *q;

		if (strncmp(p, kinds[i], n))
			continue;
		q = skip_space(p + n);
		end = strrchr(q, '"');
		if (*q != '"' || !end || end == q || *skip_space(end + 1))
			continue;
		return xasprintf("%s \"%.*s\"", kinds[i], (int)(end - q - 1), q + 1);
	}
	return take(low);
}

/* "[ name ]  # comment"; gives the quoted or bare name. */
static char *read_header(const char *line, int *open, int *close)
{
	const char *p = skip_space(line), *from, *comment;

	if (*p != '[')
		return NULL;
	for (*open = 0; *p == '['; p = skip_space(p + 1))
		++*open;
	from = p;
	if (!*p)
		return NULL;
	for (p++; *p; p++) {
		const char *q = p, *after;
		bool quoted = *from == '"' || *from == '\'';

		if (quoted && (p[-1] != *from || p - 1 == from))
			continue;
		q = skip_space(q);
		for (*close = 0, after = q; *q == ']'; after = q) {
			++*close;
			q = skip_space(q + 1);
		}
		if (*close && is_tail(after, &comment)) {
			const char *to = p;

			if (!quoted)
				return xstrndup(from, (size_t)(to - from));
			if (to - from < 3)
				return NULL;
			return xstrndup(from + 1, (size_t)(to - from - 2));
		}
		if (after > p)          /* what these blanks and brackets lead to was just looked at */
			p = after - 1;
	}
	return NULL;
}

static size_t parent_of(const struct cobj *c, size_t sec, int depth)
{
	while (c->sec[sec].depth >= depth)
		sec = c->sec[sec].parent;
	return sec;
}

static bool has_child(const struct cobj *c, size_t parent, const char *raw)
{
	for (size_t i = 1; i < c->n; i++)
		if (c->sec[i].parent == parent && !strcmp(c->sec[i].raw, raw))
			return true;
	return false;
}

static struct cobj_opt *add_option(struct cobj_sec *s, char *name, size_t line)
{
	GROW(s->v, s->n, s->cap);
	s->v[s->n] = (struct cobj_opt){ .name = name, .line = line, .nlines = 1 };
	return &s->v[s->n++];
}

static void open_section(struct parse *p, size_t i, char *raw, int open, int close)
{
	struct cobj *c = p->c;
	autofree char *owned = raw;
	struct cobj_sec *s;
	size_t parent;

	if (open != close) {
		parse_error(p, i, "Cannot compute the section depth");
		return;
	}
	if (open > c->sec[p->cur].depth + 1) {
		parse_error(p, i, "Section too nested");
		return;
	}
	parent = parent_of(c, p->cur, open);
	if (has_child(c, parent, raw)) {
		parse_error(p, i, "Duplicate section name");
		return;
	}
	if (parent) {           /* a map where an option is expected; but [remote] [[x]] is a remote to DVC */
		char *name = xstrdup(raw);

		str_lower(&name);
		add_option(&c->sec[parent], name, i)->is_section = true;
	}
	GROW(c->sec, c->n, c->cap);
	s = &c->sec[c->n];
	*s = (struct cobj_sec){ .depth = open, .parent = parent, .line = i };
	s->raw = take(owned);
	if (parent && (!strcmp(c->sec[parent].name, "remote") || !strcmp(c->sec[parent].name, "db"))) {
		s->name = xasprintf("%s \"%s\"", c->sec[parent].name, s->raw);
		str_lower(&s->name);
	} else {
		s->name = section_name(s->raw);
	}
	p->cur = c->n++;
}

/* The key of "key = value"; *value points behind the blanks that follow '='. NULL: not such a line. */
static char *read_key(const char *line, const char **value)
{
	const char *p = skip_space(line), *eq, *end;

	if (*p == '"' || *p == '\'') {
		for (end = strchr(p + 1, *p); end; end = strchr(end + 1, *p)) {
			eq = skip_space(end + 1);
			if (*eq == '=')
				break;
		}
		if (!end)
			return NULL;
		*value = skip_space(eq + 1);
		return xstrndup(p + 1, (size_t)(end - p - 1));
	}
	eq = strchr(p, '=');
	if (!eq || eq == line)
		return NULL;
	if (eq == p) {          /* only blanks before it: the last one is the key */
		*value = skip_space(eq + 1);
		return xstrndup(p - 1, 1);
	}
	for (end = eq; is_space(end[-1]);)
		end--;
	*value = skip_space(eq + 1);
	return xstrndup(p, (size_t)(end - p));
}

static bool has_option(const struct parse *p, const char *key)
{
	const struct cobj_sec *s = &p->c->sec[p->cur];

	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->v[i].name, key))
			return true;
	return false;
}

static void read_option(struct parse *p, size_t *i, const char *line)
{
	struct cobj_opt o = { .line = *i };
	const char *value;
	char *key = read_key(line, &value);
	bool multi;

	if (!key) {
		bad_line(p, *i, line);
		return;
	}
	multi = !strncmp(value, "'''", 3) || !strncmp(value, "\"\"\"", 3);
	o.value_at = (size_t)(value - line);
	if (multi ? read_multiline(p->c, &o, value, i) : read_value(&o, value)) {
		parse_error(p, *i, multi ? "Parse error in multiline value" : "Parse error in value");
	} else if (has_option(p, key)) {
		parse_error(p, *i, "Duplicate keyword name");
	} else {
		o.nlines = *i - o.line + 1;
		o.name = take(key);
		*add_option(&p->c->sec[p->cur], NULL, 0) = o;
		return;
	}
	free(key);
	strvec_release(&o.v);
	free(o.comment);
}

/* --- interpolation ------------------------------------------------------------------------------------------------- */

static const struct cobj_opt *raw_option(const struct cobj_sec *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->v[i].name, name) && !s->v[i].is_section)
			return &s->v[i];
	return NULL;
}

static const char *find_value(const struct cobj *c, size_t *sec, const char *key)
{
	const struct cobj_opt *o;

	for (;; *sec = c->sec[*sec].parent) {
		o = raw_option(&c->sec[*sec], key);
		for (size_t i = 1; !o && i < c->n; i++)
			if (c->sec[i].parent == *sec && !strcmp(c->sec[i].raw, "DEFAULT"))
				o = raw_option(&c->sec[i], key);
		if (o && o->v.n)
			return o->v.v[0];
		if (!*sec)
			return NULL;
	}
}

static int expand(const struct cobj *c, size_t sec, const char *text, struct str *out, int depth, struct err *e)
{
	const char *p = text, *open, *close;

	for (; (open = strstr(p, "%(")); p = close + 2) {
		autofree char *key = NULL;
		size_t where = sec;
		const char *v;

		close = strchr(open, ')');
		if (!close || close[1] != 's')
			break;
		str_add(out, p, (size_t)(open - p));
		key = xstrndup(open + 2, (size_t)(close - open - 2));
		v = find_value(c, &where, key);
		if (!v)
			return err_set(e, ERR_FAIL, "unexpected error - missing option \"%s\" in interpolation.", key);
		if (depth > INTERPOLATION_DEPTH || out->len > INTERPOLATED_MAX)
			return err_set(e, ERR_FAIL, "unexpected error - interpolation loop detected in value \"%s\".", key);
		if (expand(c, where, v, out, depth + 1, e))
			return -1;
	}
	str_adds(out, p);
	return 0;
}

static int interpolate(struct cobj *c, struct err *e)
{
	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < c->sec[i].n; k++) {
			struct cobj_opt *o = &c->sec[i].v[k];

			for (size_t j = 0; j < o->v.n; j++) {
				autostr struct str s = STR_INIT;

				if (!strstr(o->v.v[j], "%("))
					continue;
				if (expand(c, i, o->v.v[j], &s, 0, e))
					return -1;
				free(o->v.v[j]);
				o->v.v[j] = str_take(&s);
			}
		}
	return 0;
}

/* --- whole --------------------------------------------------------------------------------------------------------- */

int cobj_parse(struct cobj *c, const char *text, size_t len, struct err *e)
{
	struct parse p = { .c = c };

	*c = (struct cobj){ 0 };
	if (check_utf8(text, len, e))
		return -1;
	split_lines(&c->lines, text, len);
	GROW(c->sec, c->n, c->cap);
	c->sec[c->n++] = (struct cobj_sec){ .name = xstrdup(""), .raw = xstrdup("") };
	for (size_t i = 0; i < c->lines.n; i++) {
		autofree char *line = line_body(c->lines.v[i]);
		const char *s = skip_space(line);
		int open, close;
		char *raw;

		if (!*s || *s == '#')
			continue;
		raw = read_header(line, &open, &close);
		if (raw)
			open_section(&p, i, raw, open, close);
		else
			read_option(&p, &i, line);
	}
	if (parse_verdict(&p, e) || interpolate(c, e)) {
		cobj_release(c);
		return -1;
	}
	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < c->sec[i].n; k++)
			str_lower(&c->sec[i].v[k].name);
	return 0;
}

const struct cobj_sec *cobj_section(const struct cobj *c, const char *name)
{
	for (size_t i = c->n; i-- > 0;)
		if (!strcmp(c->sec[i].name, name))
			return &c->sec[i];
	return NULL;
}

const struct cobj_opt *cobj_option(const struct cobj_sec *s, const char *name)
{
	for (size_t i = s ? s->n : 0; i-- > 0;)
		if (!strcmp(s->v[i].name, name))
			return &s->v[i];
	return NULL;
}

void cobj_text(const struct cobj *c, struct str *out)
{
	for (size_t i = 0; i < c->lines.n; i++)
		str_adds(out, c->lines.v[i]);
}

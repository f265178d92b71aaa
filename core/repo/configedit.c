/* configedit - line edits on a ConfigObj file. See configobj.h. */
#include "core/repo/configobj.h"

#include <strings.h>

#include "core/base/err.h"
#include "core/base/own.h"

#define INDENT "    "

/* --- quoting ------------------------------------------------------------------------------------------------------- */

static int cannot_quote(const char *s, struct err *e)
{
	return err_set(e, ERR_FAIL, "unexpected error - Value \"%s\" cannot be safely quoted.", s);
}

/* ConfigObj's choice of quotes; 'whole' allows the triple ones. */
static int add_quoted(struct str *out, const char *s, bool whole, struct err *e)
{
	static const char edge[] = " \r\n\v\t'\"";
	bool one = strchr(s, '\'') != NULL, two = strchr(s, '"') != NULL, lines = strchr(s, '\n') != NULL;
	size_t n = strlen(s);
	const char *q = "";

	if (strpbrk(s, "\r\v\f\x1c\x1d\x1e") || (!whole && ((one && two) || lines)))
		return cannot_quote(s, e);
	if (!n)
		q = "\"";
	else if ((one && two) || lines)
		q = !strstr(s, "'''") ? "'''" : !strstr(s, "\"\"\"") ? "\"\"\"" : NULL;
	else if (strchr(edge, s[0]) || strchr(edge, s[n - 1]) || strpbrk(s, ",#"))
		q = two ? "'" : "\"";
	if (!q || (n && strlen(q) == 3 && s[n - 1] == q[0]))
		return cannot_quote(s, e);
	str_adds(out, q);
	str_adds(out, s);
	str_adds(out, q);
	return 0;
}

static int add_key(struct str *out, const char *indent, size_t indent_len, const char *key, struct err *e)
{
	str_add(out, indent, indent_len);
	if (add_quoted(out, key, false, e))
		return -1;
	str_adds(out, " = ");
	return 0;
}

static int option_line(struct str *out, const char *indent, size_t indent_len, const char *key, const char *value,
		       const char *comment, struct err *e)
{
	if (add_key(out, indent, indent_len, key, e) || add_quoted(out, value, true, e))
		return -1;
	if (comment)
		str_addf(out, " %s", comment);
	str_addc(out, '\n');
	return 0;
}

static int header_line(struct str *out, const char *section, struct err *e)
{
	str_addc(out, '[');
	if (add_quoted(out, section, false, e))
		return -1;
	str_adds(out, "]\n");
	return 0;
}

/* --- places -------------------------------------------------------------------------------------------------------- */

static bool line_is_blank(const char *line)
{
	return line[strspn(line, " \t\r\n\v\f")] == 0;
}

static bool line_is_comment(const char *line)
{
	return line[strspn(line, " \t")] == '#';
}

/* Where the comment block right above section i begins. */
static size_t block_start(const struct cobj *c, size_t i)
{
	size_t at = c->sec[i].line;

	while (at > 0 && line_is_comment(c->lines.v[at - 1]))
		at--;
	return at;
}

/* Behind section i and the sections inside it. */
static size_t block_end(const struct cobj *c, size_t i)
{
	size_t next = i + 1;

	while (next < c->n && c->sec[next].depth > c->sec[i].depth)
		next++;
	return next < c->n ? block_start(c, next) : c->lines.n;
}

/* Order of kinds in a file DVC wrote: plain sections, remotes, machines, databases. */
static int section_rank(const char *name)
{
	static const char *const kinds[] = { "remote \"", "machine \"", "db \"" };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_starts(name, kinds[i]))
			return (int)i + 1;
	return 0;
}

static size_t place_for(const struct cobj *c, const char *section)
{
	int rank = section_rank(section);

	for (size_t i = 1; i < c->n; i++)
		if (c->sec[i].depth == 1 && section_rank(c->sec[i].name) > rank)
			return block_start(c, i);
	return c->lines.n;
}

static size_t section_index(const struct cobj *c, const struct cobj_sec *s)
{
	return (size_t)(s - c->sec);
}

/* --- the edit itself ----------------------------------------------------------------------------------------------- */

/* Replaces n lines at 'at' by text and reads the result again. */
static int splice(struct cobj *c, size_t at, size_t n, const char *text, struct err *e)
{
	autostr struct str s = STR_INIT;
	struct cobj fresh;
	bool only_blank = true;

	for (size_t i = 0; i < c->lines.n; i++)
		only_blank &= (i >= at && i < at + n) || line_is_blank(c->lines.v[i]);
	for (size_t i = 0; !only_blank && i < at; i++)
		str_adds(&s, c->lines.v[i]);
	if (s.len && s.buf[s.len - 1] != '\n' && *text)
		str_addc(&s, '\n');
	str_adds(&s, text);
	for (size_t i = at + n; !only_blank && i < c->lines.n; i++)
		str_adds(&s, c->lines.v[i]);
	if (!s.len)
		str_addc(&s, '\n');
	if (cobj_parse(&fresh, s.buf, s.len, e))
		return -1;
	fresh.renamed = take(c->renamed);
	cobj_release(c);
	*c = fresh;
	return 0;
}

static int replace_option(struct cobj *c, const struct cobj_opt *o, const char *value, struct err *e)
{
	const char *old = c->lines.v[o->line];
	autostr struct str s = STR_INIT;

	if (!o->is_list && o->v.n == 1 && !strcmp(o->v.v[0], value))
		return 0;
	if (option_line(&s, old, strspn(old, " \t"), o->name, value, o->comment, e))
		return -1;
	return splice(c, o->line, o->nlines, s.buf, e);
}

int cobj_set(struct cobj *c, const char *section, const char *option, const char *value, struct err *e)
{
	const struct cobj_sec *sec = cobj_section(c, section);
	const struct cobj_opt *o = cobj_option(sec, option);
	autostr struct str s = STR_INIT;
	size_t at;

	if (o && !o->is_section)
		return replace_option(c, o, value, e);
	if (!sec && header_line(&s, section, e))
		return -1;
	if (option_line(&s, INDENT, strlen(INDENT), option, value, NULL, e))
		return -1;
	if (!sec)
		return splice(c, place_for(c, section), 0, s.buf, e);
	at = sec->line + 1;
	for (size_t i = 0; i < sec->n; i++)
		if (!sec->v[i].is_section)
			at = sec->v[i].line + sec->v[i].nlines;
	return splice(c, at, 0, s.buf, e);
}

/* An empty section goes, unless comments live in it; DVC keeps the header of a named one. */
static int drop_if_empty(struct cobj *c, const char *section, struct err *e)
{
	const struct cobj_sec *sec = cobj_section(c, section);
	size_t from, to;

	if (!sec || sec->n || section_rank(section))
		return 0;
	from = sec->line;
	to = block_end(c, section_index(c, sec));
	for (size_t i = from + 1; i < to; i++)
		if (!line_is_blank(c->lines.v[i]))
			return 0;
	return splice(c, from, to - from, "", e);
}

int cobj_unset(struct cobj *c, const char *section, const char *option, struct err *e)
{
	const struct cobj_sec *sec;
	const struct cobj_opt *o;

	/* of names that differ in case only, all go */
	while ((sec = cobj_section(c, section)) && (o = cobj_option(sec, option)) && !o->is_section) {
		if (splice(c, o->line, o->nlines, "", e))
			return -1;
	}
	return drop_if_empty(c, section, e);
}

int cobj_drop(struct cobj *c, const char *section, struct err *e)
{
	const struct cobj_sec *sec;

	while ((sec = cobj_section(c, section))) {
		size_t from = sec->line, to = block_end(c, section_index(c, sec));
		autostr struct str keep = STR_INIT;

		for (size_t i = from + 1; i < to; i++)
			if (line_is_comment(c->lines.v[i]))
				str_adds(&keep, c->lines.v[i]);
		if (splice(c, from, to - from, str_cstr(&keep), e))
			return -1;
	}
	return 0;
}

/* As in DVC the renamed section becomes the last of its kind; what stands in it moves along. */
int cobj_rename(struct cobj *c, const char *section, const char *to, struct err *e)
{
	const struct cobj_sec *sec = cobj_section(c, section);
	autostr struct str s = STR_INIT;
	size_t from, end;

	if (!sec)
		return 0;
	from = block_start(c, section_index(c, sec));
	end = block_end(c, section_index(c, sec));
	for (size_t i = from; i < sec->line; i++)
		str_adds(&s, c->lines.v[i]);
	if (header_line(&s, to, e))
		return -1;
	for (size_t i = sec->line + 1; i < end; i++)
		str_adds(&s, c->lines.v[i]);
	if (s.buf[s.len - 1] != '\n')
		str_addc(&s, '\n');
	if (splice(c, from, end - from, "", e) || cobj_drop(c, section, e))
		return -1;
	free(c->renamed);
	c->renamed = xstrdup(to);
	return splice(c, place_for(c, to), 0, s.buf, e);
}

/* --- the whole file ------------------------------------------------------------------------------------------------ */

bool cobj_is_plain(const struct cobj *c)
{
	for (size_t i = 0; i < c->lines.n; i++)
		if (line_is_comment(c->lines.v[i]) || strstr(c->lines.v[i], "%("))
			return false;
	for (size_t i = 0; i < c->n; i++) {
		if (i ? c->sec[i].depth > 1 || strchr(c->lines.v[c->sec[i].line], '#') : c->sec[0].n > 0)
			return false;
		for (size_t k = 0; k < c->sec[i].n; k++)
			if (c->sec[i].v[k].comment)
				return false;
	}
	return true;
}

static int list_line(struct str *out, const struct cobj_opt *o, struct err *e)
{
	if (add_key(out, INDENT, strlen(INDENT), o->name, e))
		return -1;
	for (size_t i = 0; i < o->v.n; i++) {
		str_adds(out, i ? ", " : "");
		if (add_quoted(out, o->v.v[i], false, e))
			return -1;
	}
	str_adds(out, o->v.n < 2 ? ",\n" : "\n");
	return 0;
}

static int write_section(const struct cobj_sec *s, const char *name, cobj_value_fn *stored, const void *ctx,
			 struct str *out, struct err *e)
{
	if (header_line(out, name, e))
		return -1;
	for (size_t i = 0; i < s->n; i++) {
		const struct cobj_opt *o = cobj_option(s, s->v[i].name);
		autofree char *value = NULL;
		bool again = false;

		for (size_t k = 0; k < i; k++)
			again |= !strcmp(s->v[k].name, o->name);
		if (again)
			continue;
		value = o->is_list ? NULL : stored(ctx, s->name, o->name, o->v.v[0]);
		if (o->is_list ? list_line(out, o, e) : option_line(out, INDENT, strlen(INDENT), o->name, value, NULL, e))
			return -1;
	}
	return 0;
}

int cobj_write(const struct cobj *c, cobj_value_fn *stored, const void *ctx, struct str *out, struct err *e)
{
	for (int rank = 0; rank < 4; rank++)
		for (size_t i = 1; i < c->n; i++) {
			const struct cobj_sec *s = cobj_section(c, c->sec[i].name);
			bool again = false;

			for (size_t k = 1; k < i; k++)
				again |= !strcmp(c->sec[k].name, s->name);
			if (section_rank(s->name) != rank || again || !(s->n || rank))
				continue;
			again = c->renamed && !strcasecmp(c->renamed, s->name);
			if (write_section(s, again ? c->renamed : s->name, stored, ctx, out, e))
				return -1;
		}
	return 0;
}

/*
 * opts_help - usage and help as argparse lays them out: the same lines break at the same places.
 */
#include "cmd/opts.h"

#include "cmd/cmd.h"

#include <ctype.h>

enum { HELP_COLUMN = 24, SECTION_INDENT = 2 };

struct page {
	struct str *out;
	size_t width, column;           /* of a line; where explanations begin */
};

/* --- words of the usage line --------------------------------------------------------------------------------------- */

static const char *metavar_of(const struct opt *o, struct str *buf)
{
	if (o->metavar)
		return o->metavar;
	if (o->choices)
		str_addf(buf, "{%s}", o->choices);
	else
		str_adds(buf, o->name);
	for (char *c = o->choices ? NULL : buf->buf; c && *c; c++)
		if (*c == '-')
			*c = '_';
	return buf->buf;
}

/* " <number>", " [<path>]", " [<paths> ...]", or nothing. */
static void add_value(struct str *s, const struct opt *o)
{
	autostr struct str buf = STR_INIT;

	if (!opts_takes_value(o))
		return;
	if (o->kind == OPT_K_OPTSTR)
		str_addf(s, " [%s]", metavar_of(o, &buf));
	else if (o->kind == OPT_K_STRS || o->kind == OPT_K_PAIRS)
		str_addf(s, " [%s ...]", metavar_of(o, &buf));
	else
		str_addf(s, " %s", metavar_of(o, &buf));
}

static void add_usage(struct str *s, const struct opt *o)
{
	char names[3][64];

	opts_names(o, names);
	str_adds(s, names[0]);
	if (o->kind == OPT_K_ONOFF)
		str_addf(s, " | %s", names[1]);
	add_value(s, o);
}

/* The options' words; members of an exclusive group make one word. */
static void option_words(const struct opt_rows *rows, struct strvec *w)
{
	for (size_t i = 0; i < rows->n; i++) {
		const struct opt *o = rows->v[i];
		struct str s = STR_INIT;

		if (!o->help)
			continue;
		str_adds(&s, o->required ? "" : "[");
		add_usage(&s, o);
		while (o->group && i + 1 < rows->n && rows->v[i + 1]->group && !strcmp(rows->v[i + 1]->group, o->group)) {
			str_adds(&s, " | ");
			add_usage(&s, rows->v[++i]);
		}
		str_adds(&s, o->required ? "" : "]");
		if (o->required && strchr(s.buf, ' ')) {        /* an unbracketed pair may be broken */
			strvec_split(w, s.buf, ' ');
			str_release(&s);
		} else {
			strvec_take(w, str_take(&s));
		}
	}
}

static void add_subs(struct str *s, const struct cmd *c)
{
	const char *sep = "{";

	for (size_t i = 0; c->subs[i]; i++) {
		if (c->subs[i]->hidden)
			continue;
		str_addf(s, "%s%s", sep, c->subs[i]->name);
		if (c->subs[i]->alias)
			str_addf(s, ",%s", c->subs[i]->alias);
		sep = ",";
	}
	str_addc(s, '}');
}

static void positional_words(const struct cmd *c, struct strvec *w)
{
	for (const struct pos *q = c->pos; q && q->name; q++) {
		if (q->nargs == '1' || q->nargs == '+')
			strvec_push(w, q->name);
		if (q->nargs == '?')
			strvec_pushf(w, "[%s]", q->name);
		if (q->nargs == '*' || q->nargs == '+')
			strvec_pushf(w, "[%s ...]", q->name);
		if (q->nargs == 'R')
			strvec_push(w, "...");
	}
	if (c->subs) {
		autostr struct str s = STR_INIT;

		if (c->name)
			add_subs(&s, c);
		strvec_push(w, c->name ? s.buf : "command");
		strvec_push(w, "...");
	}
}

/* --- lines --------------------------------------------------------------------------------------------------------- */

/* argparse's get_lines: words from 'col' on, further lines at 'indent'. */
static void lay_words(struct str *out, const struct strvec *w, size_t from, size_t indent, size_t col, size_t width)
{
	bool first = true;

	for (size_t i = from; i < w->n; i++) {
		size_t n = strlen(w->v[i]);

		if (!first && col + 1 + n > width) {
			str_addc(out, '\n');
			str_addn(out, ' ', indent);
			col = indent - 1;
			first = true;
		}
		if (!first)
			str_addc(out, ' ');
		str_adds(out, w->v[i]);
		col += n + 1;
		first = false;
	}
}

static void next_line(struct str *out, size_t indent)
{
	str_addc(out, '\n');
	str_addn(out, ' ', indent);
}

static void usage_in(struct str *out, const char *prog, const struct strvec *opts, const struct strvec *pos, size_t width)
{
	static const char prefix[] = "usage: ";
	autofree char *all_opts = strvec_join(opts, " "), *all_pos = strvec_join(pos, " ");
	size_t head = strlen(prefix) + strlen(prog), indent = head + 1;
	size_t len = strlen(all_opts), poslen = strlen(all_pos), total = head + (len ? len + 1 : 0) + (poslen ? poslen + 1 : 0);

	str_addf(out, "%s%s", prefix, prog);
	if (total <= width) {
		str_addf(out, "%s%s%s%s\n", len ? " " : "", all_opts, poslen ? " " : "", all_pos);
		return;
	}
	if (head * 4 <= width * 3) {
		autostrvec struct strvec line = STRVEC_INIT;

		strvec_push(&line, prog);       /* argparse breaks even behind the name */
		for (size_t i = 0; i < (opts->n ? opts : pos)->n; i++)
			strvec_push(&line, (opts->n ? opts : pos)->v[i]);
		str_setlen(out, out->len - strlen(prog));
		lay_words(out, &line, 0, indent, strlen(prefix) - 1, width);
		if (opts->n && pos->n) {
			next_line(out, indent);
			lay_words(out, pos, 0, indent, indent - 1, width);
		}
	} else {
		indent = strlen(prefix);
		next_line(out, indent);
		if (indent + len + (poslen ? poslen + (len ? 1 : 0) : 0) <= width) {
			str_addf(out, "%s%s%s", all_opts, len && poslen ? " " : "", all_pos);
		} else {
			lay_words(out, opts, 0, indent, indent - 1, width);
			if (opts->n && pos->n)
				next_line(out, indent);
			lay_words(out, pos, 0, indent, indent - 1, width);
		}
	}
	str_addc(out, '\n');
}

static size_t text_width(size_t columns)
{
	return columns > 2 ? columns - 2 : 0;
}

void opts_usage(struct str *out, const struct parsed *p, size_t columns)
{
	autostrvec struct strvec opts = STRVEC_INIT, pos = STRVEC_INIT;
	autostr struct str prog = STR_INIT;
	struct opt_rows rows;

	str_adds(&prog, p->prog ? p->prog : "git data");
	for (size_t i = 0; i < p->path.n; i++)
		str_addf(&prog, " %s", p->path.v[i]);
	opts_rows(&rows, p->cmd);
	option_words(&rows, &opts);
	positional_words(p->cmd, &pos);
	usage_in(out, prog.buf, &opts, &pos, text_width(columns));
}

/* --- text, wrapped as Python's textwrap does ----------------------------------------------------------------------- */

static bool is_letter(unsigned char c)
{
	return isalpha(c) || c >= 0x80;
}

static bool is_word(unsigned char c)
{
	return is_letter(c) || isdigit(c) || c == '_';
}

static bool is_word_or_mark(unsigned char c)
{
	return is_word(c) || (c && strchr("!\"'&.,?", c));
}

/* A line may end between t[i-1] and t[i]: behind the hyphen of a compound word, around a dash between words. */
static bool may_break(const char *t, size_t i)
{
	const unsigned char *u = (const unsigned char *)t;
	size_t d = i;

	if (i < 2)
		return false;
	if (u[i - 1] == '-' && is_letter(u[i]) && (is_letter(u[i + 1]) || (u[i + 1] == '-' && is_letter(u[i + 2]))) &&
	    is_letter(u[i - 2]) && i >= 3 && (is_letter(u[i - 3]) || (u[i - 3] == '-' && i >= 4 && is_letter(u[i - 4]))))
		return true;
	while (u[d] == '-')
		d++;
	if (u[i] == '-' && u[i - 1] != '-')
		return d - i >= 2 && is_word(u[d]) && is_word_or_mark(u[i - 1]);
	for (d = i; d && u[d - 1] == '-'; d--)
		;
	return u[i] != '-' && i - d >= 2 && is_word(u[i]) && d && is_word_or_mark(u[d - 1]);
}

/* The piece of text that begins at t and cannot be broken; blanks are no part of it. */
static size_t piece(const char *text, size_t at)
{
	size_t i = at + 1;

	while (text[i] && text[i] != ' ' && !may_break(text, i))
		i++;
	return i - at;
}

/* One paragraph in lines of 'width', the second and later ones at 'indent'. */
static void add_wrapped(struct str *out, const char *text, size_t width, size_t indent)
{
	size_t col = 0, blank = 0, i = 0;

	if (width < 11)
		width = 11;
	while (text[i]) {
		size_t n;

		if (text[i] == ' ') {
			blank = col ? 1 : 0;
			i++;
			continue;
		}
		n = piece(text, i);
		if (col && col + blank + n > width) {
			next_line(out, indent);
			col = blank = 0;
		}
		for (; n > width; n -= width, i += width) {
			str_add(out, text + i, width);
			next_line(out, indent);
		}
		str_addn(out, ' ', blank);
		str_add(out, text + i, n);
		col += blank + n;
		blank = 0;
		i += n;
	}
	str_addc(out, '\n');
}

/* --- sections ------------------------------------------------------------------------------------------------------ */

static void invocation(struct str *s, const struct opt *o)
{
	char names[3][64];

	for (size_t i = 0, n = opts_names(o, names); i < n; i++) {
		str_addf(s, "%s%s", i ? ", " : "", names[i]);
		add_value(s, o);
	}
}

static void sub_invocation(struct str *s, const struct cmd *c)
{
	str_adds(s, c->name);
	if (c->alias)
		str_addf(s, " (%s)", c->alias);
}

static void widen(struct page *g, const struct str *s)
{
	if (s->len + SECTION_INDENT + 2 > g->column)
		g->column = s->len + SECTION_INDENT + 2;
}

static void heading(struct page *g, const char *title)
{
	str_addf(g->out, "\n%s:\n", title);
}

static void row(struct page *g, size_t indent, const char *left, const char *text)
{
	size_t n = strlen(left);

	str_addn(g->out, ' ', indent);
	str_adds(g->out, left);
	if (!text || !*text) {
		str_addc(g->out, '\n');
		return;
	}
	if (indent + n + 2 > g->column)
		next_line(g->out, g->column);
	else
		str_addn(g->out, ' ', g->column - indent - n);
	add_wrapped(g->out, text, g->width > g->column ? g->width - g->column : 0, g->column);
}

/* Where explanations begin: behind the longest row, but not far to the right. */
static void measure(struct page *g, const struct cmd *c, const struct opt_rows *rows)
{
	size_t cap = g->width > 24 ? g->width - 20 : 4;

	for (size_t i = 0; i < rows->n; i++) {
		autostr struct str s = STR_INIT;

		if (rows->v[i]->help)
			invocation(&s, rows->v[i]);
		widen(g, &s);
	}
	for (const struct pos *q = c->pos; q && q->name; q++) {
		autostr struct str s = STR_INIT;

		str_adds(&s, q->name);
		widen(g, &s);
	}
	for (size_t i = 0; c->subs && c->subs[i]; i++) {
		autostr struct str s = STR_INIT;

		if (!c->subs[i]->hidden)
			sub_invocation(&s, c->subs[i]);
		widen(g, &s);
	}
	if (c->subs && c->name) {
		autostr struct str s = STR_INIT;

		add_subs(&s, c);
		widen(g, &s);
	}
	if (cap > HELP_COLUMN)
		cap = HELP_COLUMN;
	if (g->column > cap)
		g->column = cap;
}

static void sub_section(struct page *g, const struct cmd *c, const char *prog)
{
	autostr struct str s = STR_INIT;
	autofree char *text = c->name ? xasprintf("Use `%s %s CMD --help` for command-specific help.", prog, c->name)
				      : xasprintf("Use `%s command --help` for command-specific help.", prog);

	if (c->name)
		add_subs(&s, c);
	row(g, SECTION_INDENT, c->name ? s.buf : "command", text);
	for (size_t i = 0; c->subs[i]; i++) {
		str_reset(&s);
		sub_invocation(&s, c->subs[i]);
		if (!c->subs[i]->hidden)
			row(g, SECTION_INDENT * 2, s.buf, c->subs[i]->summary);
	}
}

static void add_description(struct page *g, const struct parsed *p)
{
	const struct cmd *c = p->cmd;
	const char *text = c->help ? c->help : c->summary;
	autofree char *names = strvec_join(&p->path, "-");
	autofree char *lines = xstrdup(text ? text : "");

	if (!text)
		return;
	str_addc(g->out, '\n');
	for (char *t = lines, *end; t; t = end) {
		end = strchr(t, '\n');
		if (end)
			*end++ = 0;
		add_wrapped(g->out, t, g->width, 0);
	}
	if (c->name && !c->hidden)
		str_addf(g->out, "Documentation: man git-data-%s\n", names);
}

void opts_help(struct str *out, const struct parsed *p, size_t columns)
{
	const struct cmd *c = p->cmd;
	const char *prog = p->prog ? p->prog : "git data";
	struct page g = { .out = out, .width = text_width(columns) };
	struct opt_rows rows;

	opts_rows(&rows, c);
	measure(&g, c, &rows);
	opts_usage(out, p, columns);
	add_description(&g, p);
	if ((c->pos && c->pos->name) || (c->subs && c->name))
		heading(&g, "positional arguments");
	for (const struct pos *q = c->pos; q && q->name; q++)
		row(&g, SECTION_INDENT, q->name, q->help);
	if (c->subs && c->name)
		sub_section(&g, c, prog);
	heading(&g, "options");
	for (size_t i = 0; i < rows.n; i++) {
		autostr struct str s = STR_INIT;

		if (!rows.v[i]->help)
			continue;
		invocation(&s, rows.v[i]);
		row(&g, SECTION_INDENT, s.buf, rows.v[i]->help);
	}
	if (c->subs && !c->name) {
		heading(&g, "Available Commands");
		sub_section(&g, c, prog);
	}
}

#include "cmd/opts.h"

#include "cmd/cmd.h"

#include <ctype.h>

static const struct opt end_row = OPT_END;

static const struct opt *rows(const struct cmd *c)
{
	return c->opts ? c->opts : &end_row;
}

#define FOR_OPTS(o, c) for (const struct opt *o = rows(c); o->kind != OPT_K_END; o++)

static bool takes_value(const struct opt *o)
{
	return o->kind != OPT_K_FLAG && o->kind != OPT_K_UNFLAG && o->kind != OPT_K_COUNT;
}

/* "-j/--jobs", as argparse names an option in its messages. */
static char *opt_title(const struct opt *o)
{
	struct str s = STR_INIT;

	if (o->c)
		str_addf(&s, "-%c", o->c);
	if (o->name)
		str_addf(&s, "%s--%s", o->c ? "/" : "", o->name);
	if (o->name2)
		str_addf(&s, "/--%s", o->name2);
	return str_take(&s);
}

struct parse {
	struct parsed *out;
	const struct cmd *cmd;
	int argc;
	char **argv;
	int i;
	char **pos;                     /* positionals met so far; the strings are argv's */
	size_t npos, pos_cap;
	struct strvec extra;            /* unrecognized */
	const struct opt *seen[64];
	size_t nseen;
	bool stop;                      /* after "--" or a verbatim rest */
};

/* argparse: "-1" and "-.5" are values, not options; so is a lone "-" and anything with a blank that is no option. */
static bool looks_negative(const char *a)
{
	const char *p = a + 1;

	while (isdigit((unsigned char)*p))
		p++;
	if (*p == '.') {
		p++;
		while (isdigit((unsigned char)*p))
			p++;
	}
	return p > a + 1 && !*p;
}

static bool looks_option(const char *a)
{
	return a[0] == '-' && a[1] && !looks_negative(a) && !(strchr(a, ' ') && a[1] != '-' && !strchr(a, '='));
}

static int usage(struct parse *p, struct err *e, const struct opt *o, const char *what)
{
	autofree char *title = opt_title(o);

	p->out->cmd = p->cmd;
	return err_set(e, ERR_USAGE, "argument %s: %s", title, what);
}

static bool parse_int(const char *s, int64_t *v)
{
	autofree char *t = str_trim_dup(s);

	return str_to_i64(t, v);
}

static bool in_choices(const char *choices, const char *v)
{
	struct strvec all = STRVEC_INIT;
	bool ok;

	strvec_split(&all, choices, ',');
	ok = strvec_has(&all, v);
	strvec_release(&all);
	return ok;
}

static int bad_choice(struct parse *p, struct err *e, const struct opt *o, const char *v)
{
	autostr struct str s = STR_INIT;
	struct strvec all = STRVEC_INIT;

	strvec_split(&all, o->choices, ',');
	str_addf(&s, "invalid choice: '%s' (choose from ", v);
	for (size_t i = 0; i < all.n; i++)
		str_addf(&s, "%s'%s'", i ? ", " : "", all.v[i]);
	str_addc(&s, ')');
	strvec_release(&all);
	return usage(p, e, o, s.buf);
}

static int set_value(struct parse *p, const struct opt *o, const char *v, struct err *e)
{
	char *at = (char *)p->out->args + o->offset;

	if (v && o->choices && !in_choices(o->choices, v))
		return bad_choice(p, e, o, v);
	switch (o->kind) {
	case OPT_K_FLAG:
		*(bool *)at = true;
		break;
	case OPT_K_UNFLAG:
		*(bool *)at = false;
		break;
	case OPT_K_COUNT:
		++*(int *)at;
		break;
	case OPT_K_INT:
		if (!parse_int(v, (int64_t *)at)) {
			autofree char *m = xasprintf("invalid int value: '%s'", v);

			return usage(p, e, o, m);
		}
		break;
	case OPT_K_LIST:
	case OPT_K_STRS:
		strvec_push((struct strvec *)at, v);
		break;
	default:
		*(const char **)at = v;
	}
	return 0;
}

static int check_group(struct parse *p, const struct opt *o, struct err *e)
{
	for (size_t i = 0; o->group && i < p->nseen; i++) {
		const struct opt *s = p->seen[i];

		if (s != o && s->group && !strcmp(s->group, o->group)) {
			autofree char *title = opt_title(s);
			autofree char *m = xasprintf("not allowed with argument %s", title);

			return usage(p, e, o, m);
		}
	}
	if (p->nseen < ARRAY_LEN(p->seen))
		p->seen[p->nseen++] = o;
	return 0;
}

static bool is_value(struct parse *p, int i)
{
	return i < p->argc && strcmp(p->argv[i], "--") && !looks_option(p->argv[i]);
}

/* One option with its values; 'glued' is what came behind '=' or the letter. */
static int eat_option(struct parse *p, const struct opt *o, const char *glued, struct err *e)
{
	if (check_group(p, o, e))
		return -1;
	if (!takes_value(o)) {
		if (glued) {
			autofree char *m = xasprintf("ignored explicit argument '%s'", glued);

			return usage(p, e, o, m);
		}
		return set_value(p, o, NULL, e);
	}
	if (glued)
		return set_value(p, o, glued, e);
	if (o->kind == OPT_K_STRS) {
		strvec_reset((struct strvec *)((char *)p->out->args + o->offset));
		while (is_value(p, p->i))
			if (set_value(p, o, p->argv[p->i++], e))
				return -1;
		return 0;
	}
	if (is_value(p, p->i))
		return set_value(p, o, p->argv[p->i++], e);
	if (o->kind == OPT_K_OPTSTR)
		return set_value(p, o, o->fallback, e);
	return usage(p, e, o, "expected one argument");
}

enum { COMMON_NONE, COMMON_HELP, COMMON_QUIET, COMMON_VERBOSE };

static int common_long(const char *name, size_t n)
{
	static const struct { const char *name; int is; } all[] = {
		{ "help", COMMON_HELP }, { "quiet", COMMON_QUIET }, { "verbose", COMMON_VERBOSE },
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (n && !strncmp(all[i].name, name, n))
			return all[i].is;
	return COMMON_NONE;
}

static int apply_common(struct parse *p, int which, struct err *e)
{
	if (which == COMMON_HELP) {
		p->out->help = true;
		return 0;
	}
	if (which == COMMON_QUIET)
		p->out->quiet = true;
	else
		p->out->verbose++;
	if (!p->out->quiet || !p->out->verbose || p->out->help || (p->cmd->needs & QUIET_AND_VERBOSE))
		return 0;
	p->out->cmd = p->cmd;
	return err_set(e, ERR_USAGE, "argument %s: not allowed with argument %s",
		       which == COMMON_QUIET ? "-q/--quiet" : "-v/--verbose",
		       which == COMMON_QUIET ? "-v/--verbose" : "-q/--quiet");
}

/* All long spellings that begin with the n bytes at 'name'; an exact one wins. */
static int find_long(struct parse *p, const char *name, size_t n, const struct opt **out, int *common, struct err *e)
{
	autostr struct str many = STR_INIT;
	size_t hits = 0;
	const char *const commons[] = { "help", "quiet", "verbose" };

	*out = NULL;
	*common = COMMON_NONE;
	FOR_OPTS(o, p->cmd) {
		const char *names[] = { o->name, o->name2 };

		for (size_t k = 0; k < 2; k++) {
			if (!names[k] || strncmp(names[k], name, n))
				continue;
			if (strlen(names[k]) == n) {
				*out = o;
				return 0;
			}
			str_addf(&many, "%s--%s", hits++ ? ", " : "", names[k]);
			*out = o;
		}
	}
	for (size_t k = 0; k < ARRAY_LEN(commons); k++) {
		if (strncmp(commons[k], name, n))
			continue;
		*common = common_long(commons[k], strlen(commons[k]));
		if (strlen(commons[k]) == n) {
			*out = NULL;
			return 0;
		}
		str_addf(&many, "%s--%s", hits++ ? ", " : "", commons[k]);
	}
	if (hits > 1) {
		p->out->cmd = p->cmd;
		return err_set(e, ERR_USAGE, "ambiguous option: --%.*s could match %s", (int)n, name, many.buf);
	}
	if (*out)
		*common = COMMON_NONE;
	return 0;
}

static int eat_long(struct parse *p, char *arg, struct err *e)
{
	const char *name = arg + 2, *eq = strchr(name, '=');
	size_t n = eq ? (size_t)(eq - name) : strlen(name);
	const struct opt *o;
	int common;

	if (find_long(p, name, n, &o, &common, e))
		return -1;
	if (o)
		return eat_option(p, o, eq ? eq + 1 : NULL, e);
	if (common)
		return apply_common(p, common, e);
	strvec_push(&p->extra, arg);
	return 0;
}

static const struct opt *find_short(const struct cmd *c, char letter)
{
	FOR_OPTS(o, c)
		if (o->c == letter)
			return o;
	return NULL;
}

static int eat_short(struct parse *p, char *arg, struct err *e)
{
	for (char *c = arg + 1; *c; c++) {
		const struct opt *o = find_short(p->cmd, *c);
		const char *glued = c[1] ? c + 1 + (c[1] == '=') : NULL;

		if (!o && (*c == 'h' || *c == 'q' || *c == 'v')) {
			int which = *c == 'h' ? COMMON_HELP : *c == 'q' ? COMMON_QUIET : COMMON_VERBOSE;

			if (apply_common(p, which, e))
				return -1;
			continue;
		}
		if (!o) {
			strvec_push(&p->extra, arg);
			return 0;
		}
		if (takes_value(o))
			return eat_option(p, o, glued, e);
		if (eat_option(p, o, NULL, e))
			return -1;
	}
	return 0;
}

static const struct cmd *find_sub(const struct cmd *c, const char *name)
{
	for (size_t i = 0; c->subs && c->subs[i]; i++)
		if (!strcmp(c->subs[i]->name, name) || (c->subs[i]->alias && !strcmp(c->subs[i]->alias, name)))
			return c->subs[i];
	return NULL;
}

static int bad_command(struct parse *p, const char *name, struct err *e)
{
	autostr struct str s = STR_INIT;
	const struct cmd *c = p->cmd;
	bool top = c->name == NULL;

	for (size_t i = 0; c->subs[i]; i++) {
		if (c->subs[i]->hidden)
			continue;
		str_addf(&s, "%s'%s'", s.len ? ", " : "", c->subs[i]->name);
		if (c->subs[i]->alias)
			str_addf(&s, ", '%s'", c->subs[i]->alias);
	}
	p->out->cmd = c;
	return err_set(e, ERR_USAGE, "argument %s: invalid choice: '%s' (choose from %s)",
		       top ? "command" : "cmd", name, str_cstr(&s));
}

static const struct pos *rest_pos(const struct cmd *c)
{
	for (const struct pos *q = c->pos; q && q->name; q++)
		if (q->nargs == 'R')
			return q;
	return NULL;
}

static size_t before_rest(const struct cmd *c)
{
	size_t n = 0;

	for (const struct pos *q = c->pos; q && q->name && q->nargs != 'R'; q++)
		n++;
	return n;
}

static void enter(struct parse *p, const struct cmd *sub)
{
	p->cmd = sub;
	/* argparse: the parser of a sub-command starts from its own defaults. */
	p->out->quiet = false;
	p->out->verbose = 0;
	p->out->cmd = sub;
	p->nseen = 0;
	strvec_push(&p->out->path, sub->name);
	if (p->out->args)
		p->out->globals = take(p->out->args);
	if (sub->args_size)
		p->out->args = xcalloc(1, sub->args_size);
}

static void push_pos(struct parse *p, char *a)
{
	GROW(p->pos, p->npos, p->pos_cap);
	p->pos[p->npos++] = a;
}

static int eat_one(struct parse *p, struct err *e)
{
	char *a = p->argv[p->i++];

	if (!p->stop && !strcmp(a, "--")) {
		p->stop = true;
		return 0;
	}
	if (!p->stop && looks_option(a))
		return a[1] == '-' ? eat_long(p, a, e) : eat_short(p, a, e);
	if (p->cmd->subs) {
		const struct cmd *sub = find_sub(p->cmd, a);

		if (!sub)
			return bad_command(p, a, e);
		enter(p, sub);
		return 0;
	}
	push_pos(p, a);
	if (rest_pos(p->cmd) && p->npos > before_rest(p->cmd))
		while (p->i < p->argc)
			push_pos(p, p->argv[p->i++]);
	return 0;
}

static size_t least(const struct pos *q)
{
	size_t n = 0;

	for (; q && q->name; q++)
		n += q->nargs == '1' || q->nargs == '+';
	return n;
}

/* Hands the collected positionals to their rows. */
static void assign_positionals(struct parse *p)
{
	size_t at = 0;

	for (const struct pos *q = p->cmd->pos; q && q->name; q++) {
		char *field = (char *)p->out->args + q->offset;
		size_t later = least(q + 1), left = p->npos - at;
		size_t spare = left > later ? left - later : 0;

		if (q->nargs == '1' || q->nargs == '?') {
			if (spare)
				*(char **)field = p->pos[at++];
			continue;
		}
		while (spare--)
			strvec_push((struct strvec *)field, p->pos[at++]);
	}
	while (at < p->npos)
		strvec_push(&p->extra, p->pos[at++]);
}

static int check_required(struct parse *p, struct err *e)
{
	autostr struct str s = STR_INIT;
	size_t need = 0;

	if (p->cmd->subs)
		str_adds(&s, p->cmd->name ? "cmd" : "command");
	FOR_OPTS(o, p->cmd) {
		bool seen = false;

		for (size_t i = 0; i < p->nseen; i++)
			seen |= p->seen[i] == o;
		if (o->required && !seen) {
			autofree char *title = opt_title(o);

			str_addf(&s, "%s%s", s.len ? ", " : "", title);
		}
	}
	for (const struct pos *q = p->cmd->pos; q && q->name; q++)
		if ((q->nargs == '1' || q->nargs == '+') && ++need > p->npos)
			str_addf(&s, "%s%s", s.len ? ", " : "", q->name);
	if (!s.len)
		return 0;
	p->out->cmd = p->cmd;
	return err_set(e, ERR_USAGE, "the following arguments are required: %s", s.buf);
}

int opts_parse(struct parsed *out, const struct cmd *root, int argc, char **argv, struct err *e)
{
	struct parse p = { .out = out, .cmd = root, .argc = argc, .argv = argv };
	int rc = 0;

	*out = (struct parsed){ .cmd = root };
	if (root->args_size)
		out->args = xcalloc(1, root->args_size);
	while (!rc && p.i < argc && !out->help)
		rc = eat_one(&p, e);
	if (!rc && !out->help)
		rc = check_required(&p, e);
	if (!rc && !out->help) {
		assign_positionals(&p);
		if (p.extra.n) {
			autofree char *all = strvec_join(&p.extra, " ");

			rc = err_set(e, ERR_USAGE, "unrecognized arguments: %s", all);
		}
	}
	free(p.pos);
	strvec_release(&p.extra);
	return rc;
}

void opts_release(struct parsed *p)
{
	if (p->args && p->cmd) {
		FOR_OPTS(o, p->cmd)
			if (o->kind == OPT_K_LIST || o->kind == OPT_K_STRS)
				strvec_release((struct strvec *)((char *)p->args + o->offset));
		for (const struct pos *q = p->cmd->pos; q && q->name; q++)
			if (q->nargs != '1' && q->nargs != '?')
				strvec_release((struct strvec *)((char *)p->args + q->offset));
	}
	free(p->args);
	free(p->globals);
	strvec_release(&p->path);
	*p = (struct parsed){ 0 };
}

/* One usage word of an option, with brackets: "[-j <number>]". */
static char *usage_word(const struct opt *o)
{
	struct str s = STR_INIT;
	const char *mv = o->metavar;
	autofree char *choices = o->choices ? xasprintf("{%s}", o->choices) : NULL;

	if (!mv)
		mv = choices ? choices : o->name;
	if (!o->required)
		str_addc(&s, '[');
	if (o->c)
		str_addf(&s, "-%c", o->c);
	else
		str_addf(&s, "--%s", o->name);
	if (o->kind == OPT_K_STRS)
		str_addf(&s, " [%s ...]", mv);
	else if (o->kind == OPT_K_OPTSTR)
		str_addf(&s, " [%s]", mv);
	else if (takes_value(o))
		str_addf(&s, " %s", mv);
	if (!o->required)
		str_addc(&s, ']');
	return str_take(&s);
}

static void pos_words(const struct pos *q, struct strvec *w)
{
	if (q->nargs == '1')
		strvec_push(w, q->name);
	else if (q->nargs == '?')
		strvec_pushf(w, "[%s]", q->name);
	else if (q->nargs == '*')
		strvec_pushf(w, "[%s ...]", q->name);
	else if (q->nargs == 'R')
		strvec_push(w, "...");
	else {
		strvec_push(w, q->name);
		strvec_pushf(w, "[%s ...]", q->name);
	}
}

static void sub_word(const struct cmd *c, struct strvec *w)
{
	struct str s = STR_INIT;

	for (size_t i = 0; c->subs[i]; i++)
		if (!c->subs[i]->hidden)
			str_addf(&s, "%s%s", s.len ? "," : "{", c->subs[i]->name);
	str_adds(&s, "} ...");
	strvec_take(w, str_take(&s));
}

static void prog_name(struct str *out, const struct parsed *p)
{
	str_adds(out, p->prog ? p->prog : "git data");
	for (size_t i = 0; i < p->path.n; i++)
		str_addf(out, " %s", p->path.v[i]);
}

/* Lays words out after 'head' in lines of at most 79 columns, as argparse does. */
static void lay_out(struct str *out, const char *head, const struct strvec *w)
{
	size_t indent = strlen(head) + 1, col = strlen(head);

	str_adds(out, head);
	for (size_t i = 0; i < w->n; i++) {
		size_t n = strlen(w->v[i]);

		if (col + 1 + n > 78 && col > indent) {
			str_addc(out, '\n');
			str_addn(out, ' ', indent);
			col = indent;
		} else {
			str_addc(out, ' ');
			col++;
		}
		str_adds(out, w->v[i]);
		col += n;
	}
	str_addc(out, '\n');
}

void opts_usage(struct str *out, const struct parsed *p)
{
	autostrvec struct strvec w = STRVEC_INIT;
	autostr struct str head = STR_INIT;
	const struct cmd *c = p->cmd;

	str_adds(&head, "usage: ");
	prog_name(&head, p);
	strvec_push(&w, "[-h]");
	strvec_push(&w, "[-q | -v]");
	FOR_OPTS(o, c)
		if (o->help)
			strvec_take(&w, usage_word(o));
	for (const struct pos *q = c->pos; q && q->name; q++)
		pos_words(q, &w);
	if (c->subs && c->name)
		sub_word(c, &w);
	else if (c->subs)
		strvec_push(&w, "command ...");
	lay_out(out, head.buf, &w);
}

/* "  left      text", wrapped, the text in column 'at'. */
static void help_row(struct str *out, const char *left, const char *text, size_t at)
{
	size_t col = strlen(left) + 2;
	autostrvec struct strvec words = STRVEC_INIT;

	str_addf(out, "  %s", left);
	if (!text || !*text) {
		str_addc(out, '\n');
		return;
	}
	if (col + 2 > at) {
		str_addc(out, '\n');
		col = 0;
	}
	strvec_split(&words, text, ' ');
	for (size_t i = 0; i < words.n; i++) {
		size_t n = strlen(words.v[i]);

		if (col > at && col + 1 + n > 79) {
			str_addc(out, '\n');
			col = 0;
		}
		if (col < at) {
			str_addn(out, ' ', at - col);
			col = at;
		} else {
			str_addc(out, ' ');
			col++;
		}
		str_adds(out, words.v[i]);
		col += n;
	}
	str_addc(out, '\n');
}

static void help_option(struct str *out, const struct opt *o)
{
	autofree char *choices = o->choices ? xasprintf("{%s}", o->choices) : NULL;
	const char *mv = o->metavar ? o->metavar : choices ? choices : o->name;
	autostr struct str left = STR_INIT;

	if (o->c) {
		str_addf(&left, "-%c", o->c);
		if (takes_value(o))
			str_addf(&left, " %s", mv);
		if (o->name)
			str_adds(&left, ", ");
	}
	if (o->name) {
		str_addf(&left, "--%s", o->name);
		if (o->kind == OPT_K_OPTSTR || o->kind == OPT_K_STRS)
			str_addf(&left, " [%s%s]", mv, o->kind == OPT_K_STRS ? " ..." : "");
		else if (takes_value(o))
			str_addf(&left, " %s", mv);
	}
	help_row(out, left.buf, o->help, 24);
}

static void help_subs(struct str *out, const struct cmd *c)
{
	str_adds(out, c->name ? "\npositional arguments:\n" : "\nAvailable Commands:\n");
	for (size_t i = 0; c->subs[i]; i++) {
		const struct cmd *s = c->subs[i];
		autofree char *left = s->alias ? xasprintf("  %s (%s)", s->name, s->alias)
					       : xasprintf("  %s", s->name);

		if (!s->hidden)
			help_row(out, left, s->summary, 24);
	}
}

void opts_help(struct str *out, const struct parsed *p)
{
	const struct cmd *c = p->cmd;

	opts_usage(out, p);
	if (c->help || c->summary)
		str_addf(out, "\n%s\n", c->help ? c->help : c->summary);
	if (c->pos && c->pos->name)
		str_adds(out, "\npositional arguments:\n");
	for (const struct pos *q = c->pos; q && q->name; q++)
		help_row(out, q->name, q->help, 24);
	if (c->subs && c->name)
		help_subs(out, c);
	str_adds(out, "\noptions:\n");
	help_row(out, "-h, --help", "show this help message and exit", 24);
	help_row(out, "-q, --quiet", "Be quiet.", 24);
	help_row(out, "-v, --verbose", "Be verbose.", 24);
	FOR_OPTS(o, c)
		if (o->help)
			help_option(out, o);
	if (c->subs && !c->name)
		help_subs(out, c);
}

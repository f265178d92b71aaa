#include "cmd/opts.h"

#include "cmd/cmd.h"
#include "core/base/node.h"

#include <ctype.h>

/* --- rows ---------------------------------------------------------------------------------------------------------- */

static const struct opt help_row = OPT_PLAIN('h', "help", OPT_K_HELP, "show this help message and exit");
static const struct opt common_rows[] = {
	{ 'q', "quiet", OPT_K_QUIET, NULL, 0, "Be quiet.", NULL, NULL, "verbosity", NULL, false, false },
	{ 'v', "verbose", OPT_K_VERBOSE, NULL, 0, "Be verbose.", NULL, NULL, "verbosity", NULL, false, false },
};
static const struct opt debug_rows[] = {        /* O5 */
	OPT_PLAIN(0, "cprofile", OPT_K_IGNORED, NULL), OPT_PLAIN(0, "cprofile-dump", OPT_K_IGNORED_VALUE, NULL),
	OPT_PLAIN(0, "yappi", OPT_K_IGNORED, NULL), OPT_PLAIN(0, "yappi-separate-threads", OPT_K_IGNORED, NULL),
	OPT_PLAIN(0, "viztracer", OPT_K_IGNORED, NULL), OPT_PLAIN(0, "viztracer-depth", OPT_K_IGNORED_INT, NULL),
	OPT_PLAIN(0, "viztracer-async", OPT_K_IGNORED, NULL), OPT_PLAIN(0, "pdb", OPT_K_IGNORED, NULL),
	OPT_PLAIN(0, "instrument", OPT_K_IGNORED, NULL), OPT_PLAIN(0, "instrument-open", OPT_K_IGNORED, NULL),
	{ 0, "show-stack", OPT_K_IGNORED, NULL, 0, NULL, NULL, NULL, NULL, "ss", false, false },
};

static void add_row(struct opt_rows *r, const struct opt *o)
{
	if (r->n == ARRAY_LEN(r->v))
		BUG("a command with too many options");
	r->v[r->n++] = o;
}

static void add_debug(struct opt_rows *r)
{
	for (size_t i = 0; i < ARRAY_LEN(debug_rows); i++)
		add_row(r, &debug_rows[i]);
}

static void add_common(struct opt_rows *r)
{
	for (size_t i = 0; i < ARRAY_LEN(common_rows); i++)
		add_row(r, &common_rows[i]);
	add_debug(r);
}

static bool has_kind(const struct opt *o, enum opt_kind kind)
{
	for (; o && o->kind != OPT_K_END; o++)
		if (o->kind == kind)
			return true;
	return false;
}

void opts_rows(struct opt_rows *out, const struct cmd *c)
{
	out->n = 0;
	if (!has_kind(c->opts, OPT_K_HELP))
		add_row(out, &help_row);
	if (!has_kind(c->opts, OPT_K_COMMON) && !has_kind(c->opts, OPT_K_VERBOSE))
		add_common(out);
	for (const struct opt *o = c->opts; o && o->kind != OPT_K_END; o++) {
		if (o->kind == OPT_K_COMMON) {
			add_common(out);
			continue;
		}
		add_row(out, o);
		if (o->kind == OPT_K_VERBOSE)
			add_debug(out);
	}
}

size_t opts_names(const struct opt *o, char names[3][64])
{
	size_t n = 0;

	if (o->c)
		snprintf(names[n++], 64, "-%c", o->c);
	if (o->name)
		snprintf(names[n++], 64, "--%s", o->name);
	if (o->name2)
		snprintf(names[n++], 64, "--%s", o->name2);
	return n;
}

/* argparse's nargs of an option: 0, '1', '?' or '*'. */
static char nargs_of(const struct opt *o)
{
	switch (o->kind) {
	case OPT_K_STR:
	case OPT_K_TEXT:
	case OPT_K_INT:
	case OPT_K_LIST:
	case OPT_K_CHOICE:
	case OPT_K_NUMBER:
	case OPT_K_IGNORED_VALUE:
	case OPT_K_IGNORED_INT: return '1';
	case OPT_K_OPTSTR: return '?';
	case OPT_K_STRS:
	case OPT_K_PAIRS: return '*';
	default: return 0;
	}
}

bool opts_takes_value(const struct opt *o)
{
	return nargs_of(o) != 0;
}

/* --- one level: a command's own words ------------------------------------------------------------------------------ */

enum { STOP = 1 };      /* -h or -V: nothing more is looked at */

struct level {
	struct parsed *out;
	const struct cmd *cmd;
	struct opt_rows rows;
	int argc;
	char **argv;
	char *kinds;                    /* a letter each: A word, O option, - the first "--" */
	const struct pos *next;         /* positionals not yet assigned */
	bool sub_seen, seen[96];
	struct strvec *extra;           /* unrecognized, of all levels */
};
struct hit { const struct opt *o; const char *glued; char name[64]; };

/* "-j/--jobs", as argparse names an option in its messages. */
static char *opt_title(const struct opt *o)
{
	char names[3][64];
	struct str s = STR_INIT;

	for (size_t i = 0, n = opts_names(o, names); i < n; i++)
		str_addf(&s, "%s%s", i ? "/" : "", names[i]);
	return str_take(&s);
}

static void add_repr(struct str *s, const char *text)
{
	struct node *n = node_str(text);

	node_py_repr(s, n);
	node_free(n);
}

static int usage(struct level *l, struct err *e, const char *title, const char *what)
{
	l->out->cmd = l->cmd;
	return err_set(e, ERR_USAGE, "argument %s: %s", title, what);
}

static int opt_usage(struct level *l, struct err *e, const struct opt *o, const char *fmt, const char *value)
{
	autofree char *title = opt_title(o);
	autostr struct str s = STR_INIT;

	str_adds(&s, fmt);
	if (value)
		add_repr(&s, value);
	return usage(l, e, title, s.buf);
}

/* argparse: -1 and -.5 are words. */
static bool looks_negative(const char *a)
{
	const char *p = a + 1;

	while (isdigit((unsigned char)*p))
		p++;
	if (!*p)
		return p > a + 1;
	if (*p++ != '.' || !isdigit((unsigned char)*p))
		return false;
	while (isdigit((unsigned char)*p))
		p++;
	return !*p;
}

static bool find_exact(const struct level *l, const char *a, size_t n, struct hit *out)
{
	for (size_t i = 0; i < l->rows.n; i++) {
		char names[3][64];

		for (size_t k = 0, m = opts_names(l->rows.v[i], names); k < m; k++) {
			if (strlen(names[k]) != n || memcmp(names[k], a, n))
				continue;
			out->o = l->rows.v[i];
			memcpy(out->name, names[k], sizeof(out->name));
			return true;
		}
	}
	return false;
}

/* Every spelling that the word may stand for: the letter with a value glued to it, or an abbreviation. */
static size_t find_short_forms(const struct level *l, const char *a, struct hit *out, struct str *many)
{
	bool is_long = a[1] == '-';
	const char *eq = strchr(a, '=');
	size_t hits = 0, n = !is_long ? 2 : eq ? (size_t)(eq - a) : strlen(a);

	for (size_t i = 0; i < l->rows.n; i++) {
		const struct opt *o = l->rows.v[i];
		char names[3][64];

		for (size_t k = 0, m = opts_names(o, names); k < m; k++) {
			if (strncmp(names[k], a, n) || (is_long ? o->own : names[k][1] == '-'))
				continue;
			str_addf(many, "%s%s", hits++ ? ", " : "", names[k]);
			out->o = o;
			out->glued = !is_long ? a + 2 : eq ? eq + 1 : NULL;
			memcpy(out->name, names[k], sizeof(out->name));
		}
	}
	return hits;
}

/* 'A' or 'O' with *out filled (o NULL: no such option here), 0 on error. */
static char classify(struct level *l, const char *a, struct hit *out, struct err *e)
{
	autostr struct str many = STR_INIT;
	const char *eq;
	size_t hits;

	out->o = NULL;
	out->glued = NULL;
	if (a[0] != '-')
		return 'A';
	if (find_exact(l, a, strlen(a), out))
		return 'O';
	if (!a[1])
		return 'A';
	eq = strchr(a, '=');
	if (eq && find_exact(l, a, (size_t)(eq - a), out)) {
		out->glued = eq + 1;
		return 'O';
	}
	hits = find_short_forms(l, a, out, &many);
	if (hits > 1) {
		l->out->cmd = l->cmd;
		err_set(e, ERR_USAGE, "ambiguous option: %s could match %s", a, many.buf);
		return 0;
	}
	return hits || !(looks_negative(a) || strchr(a, ' ')) ? 'O' : 'A';
}

/* --- values -------------------------------------------------------------------------------------------------------- */

bool opts_int(const char *s, int64_t *v)
{
	autofree char *t = str_trim_dup(s);
	bool minus = *t == '-', digit = false;
	int64_t n = 0;

	for (const char *p = t + (*t == '-' || *t == '+'); *p; p++) {
		if (*p == '_' && digit && isdigit((unsigned char)p[1])) {
			digit = false;
			continue;
		}
		if (!isdigit((unsigned char)*p))
			return false;
		digit = true;
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
			n = INT64_MAX;
	}
	if (digit)
		*v = minus ? -n : n;
	return digit;
}

static bool in_choices(const char *choices, const char *v)
{
	autostrvec struct strvec all = STRVEC_INIT;

	strvec_split(&all, choices, ',');
	return strvec_has(&all, v);
}

static int bad_choice(struct level *l, struct err *e, const struct opt *o, const char *v)
{
	autostr struct str s = STR_INIT;
	autostrvec struct strvec all = STRVEC_INIT;
	autofree char *title = opt_title(o);

	strvec_split(&all, o->choices, ',');
	str_adds(&s, "invalid choice: ");
	add_repr(&s, v);
	for (size_t i = 0; i < all.n; i++)
		str_addf(&s, "%s'%s'", i ? ", " : " (choose from ", all.v[i]);
	str_addc(&s, ')');
	return usage(l, e, title, s.buf);
}

static int check_value(struct level *l, const struct opt *o, const char *v, struct err *e)
{
	int64_t n;

	if ((o->kind == OPT_K_INT || o->kind == OPT_K_NUMBER || o->kind == OPT_K_IGNORED_INT) && !opts_int(v, &n))
		return opt_usage(l, e, o, "invalid int value: ", v);
	return o->choices && !in_choices(o->choices, v) ? bad_choice(l, e, o, v) : 0;
}

static int check_group(struct level *l, const struct opt *o, struct err *e)
{
	for (size_t i = 0; o->group && i < l->rows.n; i++) {
		const struct opt *s = l->rows.v[i];

		if (s != o && l->seen[i] && s->group && !strcmp(s->group, o->group)) {
			autofree char *title = opt_title(s), *mine = opt_title(o);
			autofree char *m = xasprintf("not allowed with argument %s", title);

			return usage(l, e, mine, m);
		}
	}
	return 0;
}

/* "name=value" words, with DVC's answers to others. */
static int check_pairs(struct level *l, const struct opt *o, char **v, int n, struct err *e)
{
	autostr struct str all = STR_INIT;

	for (int i = 0; i < n; i++) {
		const char *eq = strchr(v[i], '=');

		if (!eq) {
			l->out->cmd = l->cmd;
			return err_set(e, ERR_FAIL, "unexpected error - not enough values to unpack (expected 2, got 1)");
		}
		if (eq[1])
			continue;
		for (int k = 0; k < n; k++) {
			str_adds(&all, k ? ", " : "[");
			add_repr(&all, v[k]);
		}
		{
			autofree char *title = opt_title(o);
			autofree char *m = xasprintf("Could not parse argument \"%s]\" as k1=v1 k2=v2 ... format", all.buf);

			return usage(l, e, title, m);
		}
	}
	return 0;
}

/* DVC's commands ask Python whether a text is true: an empty one, of a variable that a script left unset, is none. */
static const char *text_or_none(const char *v)
{
	return v && *v ? v : NULL;
}

static void store(struct level *l, const struct opt *o, const char *name, char **v, int n)
{
	char *at = (char *)l->out->args + o->offset;

	switch (o->kind) {
	case OPT_K_FLAG: *(bool *)at = true; break;
	case OPT_K_UNFLAG: *(bool *)at = false; break;
	case OPT_K_ONOFF: *(bool *)at = strcmp(name + 2, o->name2) != 0; break;
	case OPT_K_INT: opts_int(v[0], (int64_t *)at); break;
	case OPT_K_STRS: strvec_reset((struct strvec *)at); /* fall through */
	case OPT_K_PAIRS:
	case OPT_K_LIST:
		for (int i = 0; i < n; i++)
			strvec_push((struct strvec *)at, v[i]);
		break;
	case OPT_K_OPTSTR: *(const char **)at = n ? text_or_none(v[0]) : o->fallback; break;
	case OPT_K_STR: *(const char **)at = text_or_none(v[0]); break;
	case OPT_K_TEXT:
	case OPT_K_NUMBER:
	case OPT_K_CHOICE: *(const char **)at = v[0]; break;
	case OPT_K_QUIET: l->out->quiet = true; break;
	case OPT_K_VERBOSE: l->out->verbose++; break;
	default: break;
	}
}

static int take_option(struct level *l, const struct opt *o, const char *name, char **v, int n, struct err *e)
{
	for (int i = 0; i < n; i++)
		if (check_value(l, o, v[i], e))
			return -1;
	for (size_t i = 0; i < l->rows.n; i++)
		if (l->rows.v[i] == o)
			l->seen[i] = true;
	if (check_group(l, o, e) || (o->kind == OPT_K_PAIRS && check_pairs(l, o, v, n, e)))
		return -1;
	if (o->kind == OPT_K_HELP || o->kind == OPT_K_VERSION) {
		l->out->cmd = l->cmd;
		*(o->kind == OPT_K_HELP ? &l->out->help : &l->out->version) = true;
		return STOP;
	}
	store(l, o, name, v, n);
	return 0;
}

/* How many of the words from 'at' on the option takes. */
static int count_values(struct level *l, const struct opt *o, int at, struct err *e)
{
	char nargs = nargs_of(o);
	int n = 0;

	while (at + n < l->argc && l->kinds[at + n] == 'A' && n < (nargs == '*' ? l->argc : nargs ? 1 : 0))
		n++;
	return nargs == '1' && !n ? opt_usage(l, e, o, "expected one argument", NULL) : n;
}

/* Is every letter behind the first an option, and none but the last one with a value? Checked before any is taken. */
static int check_cluster(struct level *l, const struct hit *h, struct err *e)
{
	struct hit at = *h;

	while (at.glued && !opts_takes_value(at.o)) {
		char name[3] = { '-', at.glued[0], 0 };
		struct hit next = { 0 };

		if (at.name[1] == '-' || !at.glued[0] || !find_exact(l, name, strlen(name), &next))
			return opt_usage(l, e, at.o, "ignored explicit argument ", at.glued);
		next.glued = at.glued[1] ? at.glued + 1 : NULL;
		at = next;
	}
	return 0;
}

/* The option at *i with its values; *i is moved behind them. */
static int eat_option(struct level *l, int *i, struct err *e)
{
	char *word = l->argv[(*i)++];
	struct hit h;
	int n, rc = 0;

	if (!classify(l, word, &h, e))
		return -1;
	if (!h.o) {
		strvec_push(l->extra, word);
		return 0;
	}
	if (check_cluster(l, &h, e))
		return -1;
	while (!rc && h.glued && !opts_takes_value(h.o)) {
		char name[3] = { '-', h.glued[0], 0 };
		const char *rest = h.glued[1] ? h.glued + 1 : NULL;

		rc = take_option(l, h.o, h.name, NULL, 0, e);
		find_exact(l, name, 2, &h);
		h.glued = rest;
	}
	if (rc)
		return rc;
	if (h.glued)
		return take_option(l, h.o, h.name, (char **)&h.glued, 1, e);
	n = count_values(l, h.o, *i, e);
	if (n < 0)
		return -1;
	*i += n;
	return take_option(l, h.o, h.name, l->argv + *i - n, n, e);
}

/* --- positionals --------------------------------------------------------------------------------------------------- */

/* The least and the most of the words from s on that a positional of this nargs can take; false: none will do. */
static bool span(char nargs, const char *s, size_t *least, size_t *most)
{
	size_t lead = strspn(s, "-"), run = strspn(s, "A-"), all = strlen(s);
	bool word = s[lead] == 'A';

	switch (nargs) {
	case '*': *least = 0, *most = run; return true;
	case 'R': *least = 0, *most = all; return true;
	case '?': *least = 0, *most = word ? lead + 1 + strspn(s + lead + 1, "-") : lead; return true;
	case '+': *least = lead + 1, *most = run; return word;
	case 'P': *least = lead + 1, *most = all; return word;
	default: *least = lead + 1, *most = word ? lead + 1 + strspn(s + lead + 1, "-") : 0; return word;
	}
}

/* Regular expression matching as in argparse: greedy from the left, giving back where the rest would not match. */
static bool match(const char *nargs, const char *s, size_t *len)
{
	size_t least, most;

	if (!*nargs)
		return true;
	if (!span(*nargs, s, &least, &most))
		return false;
	for (*len = most;; --*len) {
		if (match(nargs + 1, s + *len, len + 1))
			return true;
		if (*len == least)
			return false;
	}
}

static const struct cmd *find_sub(const struct cmd *c, const char *name)
{
	for (size_t i = 0; c->subs && c->subs[i]; i++)
		if (!strcmp(c->subs[i]->name, name) || (c->subs[i]->alias && !strcmp(c->subs[i]->alias, name)))
			return c->subs[i];
	return NULL;
}

static int bad_command(struct level *l, const char *name, struct err *e)
{
	autostr struct str s = STR_INIT;
	const struct cmd *c = l->cmd;

	str_adds(&s, "invalid choice: ");
	add_repr(&s, name);
	for (size_t i = 0; c->subs[i]; i++) {
		str_addf(&s, "%s'%s'", i ? ", " : " (choose from ", c->subs[i]->name);
		if (c->subs[i]->alias)
			str_addf(&s, ", '%s'", c->subs[i]->alias);
	}
	str_addc(&s, ')');
	usage(l, e, c->name ? "cmd" : "command", s.buf);
	if (!c->name && in_choices("experiments,exp,queue,plots,studio,artifacts,dataset,ds,import-db", name))
		err_hint(e, "'%s' is a command of DVC that is not here; DVC itself does it, in the same repository", name);
	return -1;
}

static int parse_level(struct level *l, struct err *e);

static int enter(struct level *l, int at, int n, struct err *e)
{
	const struct cmd *sub = find_sub(l->cmd, l->argv[at]);
	struct level below = { .out = l->out, .cmd = sub, .argc = n - 1, .argv = l->argv + at + 1, .extra = l->extra };

	l->sub_seen = true;
	if (!sub)
		return bad_command(l, l->argv[at], e);
	/* argparse: the parser of a sub-command starts from its own defaults. */
	l->out->quiet = false;
	l->out->verbose = 0;
	l->out->cmd = sub;
	strvec_push(&l->out->path, sub->name);
	if (l->out->args)
		l->out->globals = take(l->out->args);
	if (sub->args_size)
		l->out->args = xcalloc(1, sub->args_size);
	return parse_level(&below, e);
}

static int take_positional(struct level *l, const struct pos *q, int at, size_t n, struct err *e)
{
	char *field = (char *)l->out->args + q->offset;
	bool dropped = q->nargs == 'R';

	for (size_t i = 0; i < n; i++) {
		char *word = l->argv[(size_t)at + i];
		bool is_end = !dropped && !strcmp(word, "--");
		const char *wrong = l->cmd->check && q == l->cmd->pos && !is_end ? l->cmd->check(word) : NULL;

		if (wrong)
			return usage(l, e, q->name, wrong);
		if (is_end)
			dropped = true;
		else if (q->nargs == '1' || q->nargs == '?')
			*(char **)field = word;
		else
			strvec_push((struct strvec *)field, word);
	}
	return 0;
}

/* Gives the words at *i to as many positionals as they satisfy together. */
static int eat_positionals(struct level *l, int *i, struct err *e)
{
	char nargs[16];
	size_t len[16], n = 0, all;

	for (const struct pos *q = l->next; q && q->name && n < ARRAY_LEN(nargs) - 2; q++)
		nargs[n++] = q->nargs;
	if (l->cmd->subs && !l->sub_seen)
		nargs[n++] = 'P';
	for (all = n, nargs[n] = 0; n; nargs[--n] = 0)
		if (match(nargs, l->kinds + *i, len))
			break;
	for (size_t k = 0; k < n; k++) {
		int at = *i;

		*i += (int)len[k];
		if (k + 1 == all && l->cmd->subs)
			return enter(l, at, (int)len[k], e);
		if (take_positional(l, l->next++, at, len[k], e))
			return -1;
	}
	return 0;
}

/* --- the whole ----------------------------------------------------------------------------------------------------- */

static int check_required(struct level *l, struct err *e)
{
	autostr struct str s = STR_INIT;

	for (size_t i = 0; i < l->rows.n; i++) {
		autofree char *title = opt_title(l->rows.v[i]);

		if (l->rows.v[i]->required && !l->seen[i])
			str_addf(&s, "%s%s", s.len ? ", " : "", title);
	}
	for (const struct pos *q = l->next; q && q->name; q++)
		if (q->nargs != '?')
			str_addf(&s, "%s%s", s.len ? ", " : "", q->name);
	if (l->cmd->subs && !l->sub_seen)
		str_addf(&s, "%s%s", s.len ? ", " : "", l->cmd->name ? "cmd" : "command");
	if (!s.len)
		return 0;
	l->out->cmd = l->cmd;
	return err_set(e, ERR_USAGE, "the following arguments are required: %s", s.buf);
}

static int classify_all(struct level *l, int *last_option, struct err *e)
{
	bool ended = false;
	struct hit h;

	*last_option = -1;
	l->kinds = xcalloc(1, (size_t)l->argc + 1);
	for (int i = 0; i < l->argc; i++) {
		if (ended || strcmp(l->argv[i], "--")) {
			l->kinds[i] = ended ? 'A' : classify(l, l->argv[i], &h, e);
			if (!l->kinds[i])
				return -1;
			if (l->kinds[i] == 'O')
				*last_option = i;
			continue;
		}
		ended = true;
		l->kinds[i] = '-';
	}
	return 0;
}

/* argparse's loop: words before an option go to positionals, as many as fit; what is left over is unrecognized. */
static int parse_words(struct level *l, int last_option, struct err *e)
{
	int i = 0, rc;

	while (i <= last_option) {
		int before = i;

		if (l->kinds[i] != 'O') {
			rc = eat_positionals(l, &i, e);
			if (rc)
				return rc;
			if (i > before)
				continue;
		}
		while (l->kinds[i] != 'O')
			strvec_push(l->extra, l->argv[i++]);
		rc = eat_option(l, &i, e);
		if (rc)
			return rc;
	}
	rc = eat_positionals(l, &i, e);
	while (!rc && i < l->argc)
		strvec_push(l->extra, l->argv[i++]);
	return rc ? rc : check_required(l, e);
}

static int parse_level(struct level *l, struct err *e)
{
	int last_option, rc;

	opts_rows(&l->rows, l->cmd);
	l->next = l->cmd->pos;
	rc = classify_all(l, &last_option, e);
	if (!rc)
		rc = parse_words(l, last_option, e);
	free(take(l->kinds));
	return rc;
}

int opts_parse(struct parsed *out, const struct cmd *root, int argc, char **argv, struct err *e)
{
	autostrvec struct strvec extra = STRVEC_INIT;
	struct level top = { .out = out, .cmd = root, .argc = argc, .argv = argv, .extra = &extra };
	int rc;

	*out = (struct parsed){ .cmd = root };
	if (root->args_size)
		out->args = xcalloc(1, root->args_size);
	rc = parse_level(&top, e);
	if (!rc && extra.n) {
		autofree char *all = strvec_join(&extra, " ");

		rc = err_set(e, ERR_USAGE, "unrecognized arguments: %s", all);
	}
	return rc < 0 ? -1 : 0;
}

void opts_release(struct parsed *p)
{
	if (p->args && p->cmd) {
		for (const struct opt *o = p->cmd->opts; o && o->kind != OPT_K_END; o++)
			if (o->kind == OPT_K_LIST || o->kind == OPT_K_STRS || o->kind == OPT_K_PAIRS)
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

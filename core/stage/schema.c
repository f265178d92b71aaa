#include "core/stage/schema.h"

#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml.h"
#include "core/repo/repo.h"

#include <ctype.h>

#define WIDTH 80                /* rich's, when the output is no terminal */

const struct schema schema_anything = { .kind = SCHEMA_ANYTHING };
const struct schema schema_null = { .kind = SCHEMA_NULL };
const struct schema schema_str = { .kind = SCHEMA_STR };
const struct schema schema_int = { .kind = SCHEMA_INT };
const struct schema schema_bool = { .kind = SCHEMA_BOOL };
const struct schema schema_dict = { .kind = SCHEMA_DICT };
const struct schema schema_list = { .kind = SCHEMA_LIST };

/* One step of a path into the document: a key (from the document or the table) or an index. */
struct step {
	const struct node *key;
	const char *name;               /* of a required key that is absent */
	size_t i;
};
struct path { struct step v[64]; size_t n; };
struct fault {
	const char *msg;
	struct path at;
};
struct faults { struct fault *v; size_t n, cap; };

static void faults_release(struct faults *f)
{
	free(f->v);
	*f = (struct faults){ NULL, 0, 0 };
}

static void fault_add(struct faults *f, const char *msg, const struct path *at)
{
	GROW(f->v, f->n, f->cap);
	f->v[f->n++] = (struct fault){ msg, *at };
}

static void faults_append(struct faults *to, const struct faults *from)
{
	for (size_t i = 0; i < from->n; i++)
		fault_add(to, from->v[i].msg, &from->v[i].at);
}

static bool path_push(struct path *p, struct step s)
{
	if (p->n == ARRAY_LEN(p->v))
		return false;
	p->v[p->n++] = s;
	return true;
}

static void check(const struct schema *s, const struct node *n, struct path *at, struct faults *out);

static const struct schema_key *row_of(const struct schema *s, const struct node *key)
{
	const struct schema_key *any = NULL;

	for (const struct schema_key *k = s->keys; k->name; k++) {
		if (!strcmp(k->name, "*"))
			any = k;
		else if (node_is_str(key, k->name))
			return k;
	}
	return any;
}

/* "*" is there with any string for a key. */
static bool has_key(const struct node *map, const char *name)
{
	for (size_t i = 0; *name == '*' && i < map->n; i++)
		if (node_is(map->k[i], NODE_STR))
			return true;
	return node_get(map, name);
}

static void check_map(const struct schema *s, const struct node *n, struct path *at, struct faults *out)
{
	if (!node_is(n, NODE_MAP)) {
		fault_add(out, "expected a dictionary", at);
		return;
	}
	for (size_t i = 0; i < n->n; i++) {
		const struct schema_key *k = row_of(s, n->k[i]);

		if (!path_push(at, (struct step){ n->k[i], NULL, 0 }))
			return;
		if (k && !strcmp(k->name, "*") && !node_is(n->k[i], NODE_STR))
			fault_add(out, "expected str", at);
		else if (k)
			check(k->value, n->v[i], at, out);
		else if (!s->extra)
			fault_add(out, "extra keys not allowed", at);
		at->n--;
	}
	for (const struct schema_key *k = s->keys; k->name; k++) {
		const char *shown = *k->name == '*' ? "<class 'str'>" : k->name;

		if (!k->required || has_key(n, k->name) || !path_push(at, (struct step){ NULL, shown, 0 }))
			continue;
		fault_add(out, "required key not provided", at);
		at->n--;
	}
	if (!out->n && s->max && n->n > s->max)
		fault_add(out, "length of value must be at most 1", at);
}

/* V2: what is wrong below an element ends the look at this list. */
static bool check_element(const struct schema *s, const struct node *item, struct path *at, struct faults *out)
{
	struct faults last = { NULL, 0, 0 };
	bool deeper = false, good = false;

	for (size_t k = 0; s->of[k] && !good && !deeper; k++) {
		faults_release(&last);
		check(s->of[k], item, at, &last);
		good = !last.n;
		deeper = !good && last.v[0].at.n > at->n;
	}
	if (deeper)
		faults_release(out);
	if (!good)
		faults_append(out, &last);
	faults_release(&last);
	return !deeper;
}

static void check_seq(const struct schema *s, const struct node *n, struct path *at, struct faults *out)
{
	struct faults mine = { NULL, 0, 0 };

	if (!node_is(n, NODE_SEQ)) {
		fault_add(out, "expected a list", at);
		return;
	}
	for (size_t i = 0; i < n->n; i++) {
		bool go_on;

		if (!path_push(at, (struct step){ NULL, NULL, i }))
			break;
		go_on = check_element(s, n->v[i], at, &mine);
		at->n--;
		if (!go_on)
			break;
	}
	faults_append(out, &mine);
	faults_release(&mine);
}

/* The alternative whose first complaint lies deepest speaks for all. */
static void check_either(const struct schema *s, const struct node *n, struct path *at, struct faults *out)
{
	struct faults best = { NULL, 0, 0 }, now = { NULL, 0, 0 };

	for (size_t k = 0; s->of[k]; k++) {
		check(s->of[k], n, at, &now);
		if (!now.n) {
			faults_release(&best);
			break;
		}
		if (!best.n || now.v[0].at.n > best.v[0].at.n) {
			faults_release(&best);
			best = now;
			now = (struct faults){ NULL, 0, 0 };
		}
		faults_release(&now);
	}
	faults_append(out, &best);
	faults_release(&best);
}

static void check(const struct schema *s, const struct node *n, struct path *at, struct faults *out)
{
	const char *wrong = NULL;

	switch (s->kind) {
	case SCHEMA_ANYTHING:
		return;
	case SCHEMA_NULL:
		wrong = node_is(n, NODE_NULL) ? NULL : "not a valid value";
		break;
	case SCHEMA_STR:
		wrong = node_is(n, NODE_STR) ? NULL : "expected str";
		break;
	case SCHEMA_INT:
		wrong = node_is(n, NODE_INT) || node_is(n, NODE_BOOL) ? NULL : "expected int";
		break;
	case SCHEMA_BOOL:
		wrong = node_is(n, NODE_BOOL) ? NULL : "expected bool";
		break;
	case SCHEMA_DICT:
		wrong = node_is(n, NODE_MAP) ? NULL : "expected dict";
		break;
	case SCHEMA_LIST:
		wrong = node_is(n, NODE_SEQ) ? NULL : "expected list";
		break;
	case SCHEMA_CHECK:
		wrong = s->check(n);
		break;
	case SCHEMA_PICK:
		check(s->pick(n), n, at, out);
		return;
	case SCHEMA_MAP:
		check_map(s, n, at, out);
		return;
	case SCHEMA_SEQ:
		check_seq(s, n, at, out);
		return;
	case SCHEMA_EITHER:
		check_either(s, n, at, out);
		return;
	}
	if (wrong)
		fault_add(out, wrong, at);
}

/* The report. Everything below draws what rich draws. */

static size_t cells(const char *s, size_t n)
{
	size_t c = 0;

	for (size_t i = 0; i < n; i++)
		c += ((unsigned char)s[i] & 0xc0) != 0x80;
	return c;
}

/* Whether s takes more than 'width' columns; stops looking there, so that a line of megabytes costs no more than its length. */
static bool wider(const char *s, size_t n, size_t width)
{
	for (size_t i = 0, c = 0; i < n; i++)
		if (((unsigned char)s[i] & 0xc0) != 0x80 && ++c > width)
			return true;
	return false;
}

static size_t cells_to_bytes(const char *s, size_t n, size_t want)
{
	size_t i = 0;

	for (size_t c = 0; i < n; i++)
		if (((unsigned char)s[i] & 0xc0) != 0x80 && c++ == want)
			break;
	return i;
}

struct lines { size_t *start; size_t n, cap; };

static void line_break(struct lines *l, size_t at)
{
	if (!at)
		return;
	GROW(l->start, l->n, l->cap);
	l->start[l->n++] = at;
}

/* Where a line breaks to fit: at words, inside a word only when it alone is too long. */
static void wrap(struct lines *l, const char *s, size_t n, size_t width)
{
	size_t pos = 0, used = 0;

	while (pos < n) {
		size_t end = pos, word;

		while (end < n && s[end] == ' ')
			end++;
		while (end < n && s[end] != ' ')
			end++;
		word = end;
		while (end < n && s[end] == ' ')
			end++;
		if (!wider(s + pos, word - pos, width - used)) {
			used += cells(s + pos, end - pos);
		} else if (wider(s + pos, word - pos, width)) {
			while (wider(s + pos, end - pos, width)) {
				line_break(l, pos);
				pos += cells_to_bytes(s + pos, end - pos, width);
			}
			line_break(l, pos);
			used = cells(s + pos, end - pos);
		} else {
			if (used)
				line_break(l, pos);
			used = cells(s + pos, end - pos);
		}
		if (used > width)
			used = width;
		pos = end;
	}
}

/* s in lines of 'width', each after the first behind 'indent' blanks; padded to the width when asked. */
static void add_wrapped(struct str *out, const char *s, size_t n, size_t width, size_t indent, bool pad)
{
	struct lines l = { NULL, 0, 0 };

	wrap(&l, s, n, width);
	for (size_t i = 0, from = 0; i <= l.n; i++) {
		size_t to = i < l.n ? l.start[i] : n, c;

		while (to > from && s[to - 1] == ' ' && wider(s + from, to - from, width))
			to--;
		if (i)
			str_addn(out, ' ', indent);
		str_add(out, s + from, to - from);
		c = cells(s + from, to - from);
		if (pad && c < width)
			str_addn(out, ' ', width - c);
		str_addc(out, '\n');
		from = i < l.n ? l.start[i] : n;
	}
	free(l.start);
}

static void add_message(struct str *out, const char *s)
{
	add_wrapped(out, s, strlen(s), WIDTH, 0, false);
}

static void expand_tabs(struct str *out, const char *s, size_t n)
{
	size_t col = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\t') {
			str_addn(out, ' ', 4 - col % 4);
			col += 4 - col % 4;
		} else if (s[i] != '\r') {
			str_addc(out, s[i]);
			col += ((unsigned char)s[i] & 0xc0) != 0x80;
		}
	}
}

/* Indentation of four blanks and more is drawn with guides. */
static void add_guides(struct str *out, const char *s, size_t n)
{
	size_t blank = 0;

	while (blank < n && s[blank] == ' ')
		blank++;
	if (blank == n) {
		str_add(out, s, n);
		return;
	}
	for (size_t i = 0; i < blank / 4; i++)
		str_adds(out, "│   ");
	str_addn(out, ' ', blank % 4);
	str_add(out, s + blank, n - blank);
}

static size_t digits(size_t v)
{
	size_t d = 1;

	for (; v >= 10; v /= 10)
		d++;
	return d;
}

static void add_code_line(struct str *out, size_t number, size_t columns, const char *s, size_t n)
{
	autostr struct str plain = STR_INIT, drawn = STR_INIT;
	size_t width = WIDTH - columns - 1;

	expand_tabs(&plain, s, n);
	add_guides(&drawn, str_cstr(&plain), plain.len);
	str_addf(out, "  %*zu ", (int)(columns - 2), number);
	add_wrapped(out, str_cstr(&drawn), drawn.len, width, columns + 1, true);
}

/* A text by lines: a report may show thousands of places of it. The first line begins at 0, the rest where l says. */
struct excerpts { const char *text; size_t len; struct lines l; };

static void excerpts_open(struct excerpts *x, const char *text, size_t len)
{
	const char *end = text + len;

	*x = (struct excerpts){ .text = text, .len = len };
	/* the empty line after a final line end counts, as it does for rich */
	for (const char *p = text; (p = memchr(p, '\n', (size_t)(end - p)));)
		line_break(&x->l, (size_t)(++p - text));
}

/* Lines 'from' to 'to' (1-based) of the text, numbered. */
static void add_excerpt(struct str *out, const struct excerpts *x, size_t from, size_t to)
{
	size_t columns = digits(x->l.n + 1) + 2;

	for (size_t i = from < 1 ? 1 : from; i <= to && i <= x->l.n + 1; i++) {
		size_t begin = i > 1 ? x->l.start[i - 2] : 0, end = i <= x->l.n ? x->l.start[i - 1] - 1 : x->len;

		add_code_line(out, i, columns, x->text + begin, end - begin);
	}
}

/* The innermost collection on the way to the fault that has a place in the file; *up counts the steps taken up. */
static const struct node *place_of(const struct node *doc, const struct path *at, size_t *up)
{
	*up = 1;
	for (size_t n = at->n; n && *up < 5; n--, (*up)++) {
		const struct node *v = doc;

		for (size_t i = 0; v && i < n; i++) {
			const struct step *s = &at->v[i];

			if (s->key)
				v = node_get_node(v, s->key);
			else if (s->name)
				v = node_get(v, s->name);
			else
				v = node_is(v, NODE_SEQ) && s->i < v->n ? v->v[s->i] : NULL;
		}
		if (v && (v->kind == NODE_MAP || v->kind == NODE_SEQ))
			return v;
	}
	return NULL;
}

static void add_fault(struct str *out, const struct fault *f, const struct node *doc, const struct excerpts *x)
{
	autostr struct str line = STR_INIT;
	const struct node *where;
	size_t up;

	str_adds(&line, f->msg);
	for (size_t i = 0; i < f->at.n; i++) {
		const struct step *s = &f->at.v[i];

		str_adds(&line, i ? " -> " : ", in ");
		if (s->key)
			node_py_str(&line, s->key);
		else if (s->name)
			str_adds(&line, s->name);
		else
			str_addf(&line, "%zu", s->i);
	}
	where = place_of(doc, &f->at, &up);
	if (where)
		str_addf(&line, ", line %d, column %d", where->line, where->col);
	add_message(out, str_cstr(&line));
	if (where)
		add_excerpt(out, x, (size_t)where->line - 1, (size_t)where->line + up - 1);
}

/* The first fault in one line, as the schema library words it. */
static void add_first(struct str *out, const struct fault *f)
{
	const struct step *last = f->at.n ? &f->at.v[f->at.n - 1] : NULL;

	str_adds(out, f->msg);
	if (last && last->key && strcmp(f->msg, "extra keys not allowed"))
		str_adds(out, " for dictionary value");
	for (size_t i = 0; i < f->at.n; i++) {
		const struct step *s = &f->at.v[i];
		autonode struct node *name = s->name ? node_str(s->name) : NULL;

		str_adds(out, i ? "][" : " @ data[");
		if (s->key || name)
			node_py_repr(out, s->key ? s->key : name);
		else
			str_addf(out, "%zu", s->i);
	}
	if (f->at.n)
		str_addc(out, ']');
}

static int report(const struct faults *f, const struct node *doc, const char *shown, const char *rev,
		  const char *text, size_t len, struct err *e)
{
	autostr struct str head = STR_INIT, out = STR_INIT, plain = STR_INIT;

	str_addf(&head, "'%s' validation failed", shown);
	if (rev)
		str_addf(&head, " in revision '%.7s'", rev);
	if (f->n > 1)
		str_addf(&head, ": %zu errors", f->n);
	str_addf(&plain, "%s: ", str_cstr(&head));
	add_first(&plain, &f->v[0]);
	if (!node_is(doc, NODE_MAP)) {
		str_addf(&head, ": %s.", f->v[0].msg);
		add_message(&out, str_cstr(&head));
	} else {
		struct excerpts x;

		str_addc(&head, '.');
		add_message(&out, str_cstr(&head));
		excerpts_open(&x, text, len);
		for (size_t i = 0; i < f->n; i++) {
			str_addc(&out, '\n');
			add_fault(&out, &f->v[i], doc, &x);
		}
		free(x.l.start);
	}
	while (out.len && out.buf[out.len - 1] == '\n')
		str_setlen(&out, out.len - 1);
	return err_report(e, str_cstr(&out), str_cstr(&plain));
}

int schema_check(const struct schema *s, const struct node *doc, const char *shown, const char *rev,
		 const char *text, size_t len, struct err *e)
{
	struct faults f = { NULL, 0, 0 };
	struct path at = { .n = 0 };
	int rc = 0;

	check(s, doc, &at, &f);
	if (f.n)
		rc = report(&f, doc, shown, rev, text, len, e);
	faults_release(&f);
	return rc;
}

static bool has_conflict(const char *text, size_t len)
{
	const char *p = text, *end = text + len;

	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((eol ? eol : end) - p);

		if (n >= 8 && p[7] == ' ' && (*p == '<' || *p == '=' || *p == '>')
		    && !strncmp(p, *p == '<' ? "<<<<<<<" : *p == '=' ? "=======" : ">>>>>>>", 7))
			return true;
		p += n + 1;
	}
	return false;
}

/* "While parsing ..., in line 1, column 2": Python's capitalize() lowers the rest. */
static void add_fault_line(struct str *out, const char *text, int line, int col)
{
	autofree char *s = xasprintf("%s, in line %d, column %d", text, line, col);
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		s[i] = (char)(i ? tolower((unsigned char)s[i]) : toupper((unsigned char)s[i]));
	add_message(out, s);
}

static void add_source_line(struct str *out, const char *text, size_t len, int line)
{
	const char *p = text, *end = text + len;
	size_t n;

	for (int i = 1; i < line && p < end; i++) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));

		p = eol ? eol + 1 : end;
	}
	n = (size_t)(end - p);
	if (memchr(p, '\n', n))
		n = (size_t)((const char *)memchr(p, '\n', n) - p);
	add_code_line(out, (size_t)line, digits((size_t)line) + 2, p, n);
}

/* The report of a text that is no YAML, as DVC draws it; 'why' when there is nothing to draw. */
static void add_syntax(struct str *out, const char *text, size_t len, const char *why)
{
	autocall(yaml_fault_release) struct yaml_fault f;

	if (!yaml_explain(text, len, &f)) {
		str_adds(out, why);
		return;
	}
	if (f.context && f.context_line) {
		add_fault_line(out, f.context, f.context_line, f.context_col);
		if (f.context_line != f.line || f.context_col != f.col) {
			add_source_line(out, text, len, f.context_line);
			str_addc(out, '\n');
		}
	}
	add_fault_line(out, f.problem, f.line, f.col);
	add_source_line(out, text, len, f.line);
	if (out->len && out->buf[out->len - 1] == '\n')
		str_setlen(out, out->len - 1);
}

static int report_syntax(const char *shown, const char *rev, const char *text, size_t len, const char *why, struct err *e)
{
	autofree char *in = rev ? xasprintf(" in revision '%.7s'", rev) : xstrdup(""), *broken = NULL;
	autostr struct str drawn = STR_INIT, plain = STR_INIT;
	autocall(yaml_fault_release) struct yaml_fault f;

	str_addf(&plain, "unable to read: '%s', YAML file structure is corrupted: ", shown + (str_starts(shown, "./") ? 2 : 0));
	if (yaml_explain(text, len, &f))
		yaml_fault_text(&plain, &f, text, len);
	else
		str_adds(&plain, why);
	if (f.problem && !f.line)
		return err_set(e, ERR_PARSE, "%s", str_cstr(&plain));
	add_syntax(&drawn, text, len, why);
	broken = xasprintf("'%s' is invalid%s%s.\n\n%s", shown, has_conflict(text, len) ? " (possible merge conflicts)" : "",
			   in, str_cstr(&drawn));
	return err_report(e, broken, str_cstr(&plain));
}

int schema_parse(struct node **out, const struct schema *s, const char *shown, const char *rev,
		 const char *text, size_t len, unsigned flags, struct err *e)
{
	autoerr struct err why = ERR_INIT;
	autonode struct node *doc = NULL;

	autofree char *bytes = str_utf8_fault(text, len);

	if (bytes)
		return err_set(e, ERR_PARSE, "unable to read: '%s', is not valid utf-8: %s",
			       shown + (str_starts(shown, "./") ? 2 : 0), bytes);
	if (yaml_parse(&doc, text, len, shown, flags, &why))
		return report_syntax(shown, rev, text, len, why.msg, e);
	if (!node_truthy(doc)) {                /* an empty file, "[]" or "false" reads as an empty map */
		node_free(doc);
		doc = node_map();
	}
	if (schema_check(s, doc, shown, rev, text, len, e))
		return -1;
	*out = take(doc);
	return 0;
}

char *schema_shown(const struct repo *r, const char *rel)
{
	autofree char *shown = r ? repo_show(r, rel) : xstrdup(rel);

	return str_starts(shown, "..") || *shown == '/' ? take(shown) : xasprintf("./%s", shown);
}

/* yaml_token - tokens from libyaml, and the comments between them as ruamel.yaml hands them out. */
#include "core/base/yaml_token.h"

#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"

#include <stdarg.h>
#include <yaml.h>

struct ytok_lib {
	yaml_parser_t p;
};

int ytok_fail(struct reader *r, struct ymark at, const char *fmt, ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return err_set(r->e, ERR_PARSE, "%s:%d:%d: not valid YAML: %s", r->name, at.line + 1, at.col + 1, why);
}

static struct ymark mark_of(yaml_mark_t m)
{
	return (struct ymark){ m.index, (int)m.line, (int)m.column };
}

static int fail_lib(struct reader *r)
{
	const yaml_parser_t *p = &r->lib->p;
	const char *why = p->problem ? p->problem : "unreadable text";

	if (p->error == YAML_READER_ERROR)
		return err_set(r->e, ERR_PARSE, "%s: not valid YAML: %s at byte %zu", r->name, why, p->problem_offset);
	if (p->context)
		return ytok_fail(r, mark_of(p->problem_mark), "%s, %s", p->context, why);
	return ytok_fail(r, mark_of(p->problem_mark), "%s", why);
}

static struct ytok *append(struct reader *r)
{
	if (r->from == r->n) {
		r->from = r->n = 0;
	} else if (r->from > 64) {
		r->n -= r->from;
		memmove(r->q, r->q + r->from, r->n * sizeof(*r->q));
		r->from = 0;
	}
	GROW(r->q, r->n, r->cap);
	memset(&r->q[r->n], 0, sizeof(*r->q));
	return &r->q[r->n++];
}

void ytok_release(struct ytok *k)
{
	free(k->text);
	free(k->handle);
	ycomment_drop(k->comment);
	ycarry_release(&k->c);
	free(k->head);
	free(k->folds);
	memset(k, 0, sizeof(*k));
}

/* Which block collection are we in? A block scalar's text is indented more than that. */
static void track_indent(struct reader *r, const struct ytok *t)
{
	if (t->type == YTOK_SEQ_START || t->type == YTOK_MAP_START) {
		GROW(r->indent, r->nindent, r->cap_indent);
		r->indent[r->nindent++] = t->start.col;
	} else if (t->type == YTOK_BLOCK_END && r->nindent) {
		r->nindent--;
	}
}

static void read_block_scalar(struct reader *r, struct ytok *k)
{
	struct yblock b = { NULL, NULL, NULL, 0 };

	ycursor_block(&r->cur, r->nindent ? r->indent[r->nindent - 1] : -1, &b);
	k->head = b.head;
	k->folds = b.folds;
	k->end_line = b.end_line;
	if (b.trail) {
		k->c.set = true;
		k->c.post = b.trail;
	}
}

/* Queues the comments before the token, then the token. */
static void enqueue_kept(struct reader *r, struct ytok *t)
{
	struct ycomment *c;
	struct ytok *k;

	while ((c = ycursor_comment(&r->cur, t->start.index))) {
		size_t len = strlen(c->text);

		while (len && c->text[len - 1] == ' ')
			c->text[--len] = '\0';
		append(r)->comment = c;
	}
	track_indent(r, t);
	k = append(r);
	*k = *t;
	k->end_line = t->end.line;
	ycursor_to(&r->cur, t->start.index);
	if (t->style == '|' || t->style == '>')
		read_block_scalar(r, k);
	else
		ycursor_to(&r->cur, t->end.index);
}

static int fail_tab(struct reader *r, const struct ycursor *at)
{
	struct ymark m = { at->index, at->line, at->col };

	return ytok_fail(r, m, "a tab where only blanks may stand");
}

/* libyaml takes a tab for white space nearly everywhere; ruamel.yaml only inside brackets, quotes and comments. */
static int check_tabs(struct reader *r, const struct ytok *t)
{
	bool plain = t->type == YTOK_SCALAR && !t->style, comment = false;

	for (; r->tab.index < t->start.index && r->tab.p < r->tab.end; ycursor_step(&r->tab)) {
		char c = *r->tab.p;

		if (c == '\t' && !comment && !r->flow_level)
			return fail_tab(r, &r->tab);
		comment = (comment || c == '#') && c != '\n' && c != '\r';
	}
	for (; r->tab.index < t->end.index && r->tab.p < r->tab.end; ycursor_step(&r->tab))
		if (plain && *r->tab.p == '\t')
			return fail_tab(r, &r->tab);
	if (t->type == YTOK_FLOW_SEQ_START || t->type == YTOK_FLOW_MAP_START)
		r->flow_level++;
	if (t->type == YTOK_FLOW_SEQ_END || t->type == YTOK_FLOW_MAP_END)
		r->flow_level--;
	return 0;
}

static char style_of(yaml_scalar_style_t style)
{
	switch (style) {
	case YAML_SINGLE_QUOTED_SCALAR_STYLE:
		return '\'';
	case YAML_DOUBLE_QUOTED_SCALAR_STYLE:
		return '"';
	case YAML_LITERAL_SCALAR_STYLE:
		return '|';
	case YAML_FOLDED_SCALAR_STYLE:
		return '>';
	default:
		return 0;
	}
}

/* libyaml's allocator is malloc: its texts are taken over, not copied. */
static void translate(struct ytok *k, yaml_token_t *t)
{
	memset(k, 0, sizeof(*k));
	k->type = (enum ytok_type)t->type;
	k->start = mark_of(t->start_mark);
	k->end = mark_of(t->end_mark);
	switch (t->type) {
	case YAML_SCALAR_TOKEN:
		k->text = (char *)take(t->data.scalar.value);
		k->len = t->data.scalar.length;
		k->style = style_of(t->data.scalar.style);
		break;
	case YAML_ALIAS_TOKEN:
		k->text = (char *)take(t->data.alias.value);
		break;
	case YAML_ANCHOR_TOKEN:
		k->text = (char *)take(t->data.anchor.value);
		break;
	case YAML_TAG_TOKEN:
		k->handle = (char *)take(t->data.tag.handle);
		k->text = (char *)take(t->data.tag.suffix);
		break;
	case YAML_VERSION_DIRECTIVE_TOKEN:
		k->major = t->data.version_directive.major;
		k->minor = t->data.version_directive.minor;
		break;
	default:
		break;
	}
	yaml_token_delete(t);
}

static int fetch(struct reader *r)
{
	yaml_token_t t;
	struct ytok k;

	if (!yaml_parser_scan(&r->lib->p, &t))
		return fail_lib(r);
	translate(&k, &t);
	if (r->tabs && check_tabs(r, &k)) {
		ytok_release(&k);
		return -1;
	}
	if (r->keep)
		enqueue_kept(r, &k);
	else
		*append(r) = k;
	return 0;
}

static int fill(struct reader *r, size_t want)
{
	while (r->n - r->from < want) {
		if (r->n > r->from && r->q[r->n - 1].type == YTOK_STREAM_END)
			return 0;
		if (fetch(r))
			return -1;
	}
	return 0;
}

/* Comments that nothing has claimed belong before the token that follows them. */
static int gather(struct reader *r)
{
	struct ylist *pre = NULL;

	while (r->n > r->from && ytok_front(r)->comment) {
		if (!pre)
			pre = ylist_new();
		ylist_add(pre, ycomment_ref(ytok_front(r)->comment));
		ytok_release(ytok_front(r));
		r->from++;
		if (fill(r, 1)) {
			ylist_drop(pre);
			return -1;
		}
	}
	if (pre) {
		ytok_front(r)->c.set = true;
		ylist_drop(ytok_front(r)->c.pre);
		ytok_front(r)->c.pre = pre;
	}
	return 0;
}

int ytok_ahead(struct reader *r)
{
	return fill(r, 1) || (r->keep && gather(r)) ? -1 : 0;
}

static bool claims_comment(const struct ytok *k, const struct ytok *next)
{
	bool same = k->end_line == next->comment->line;

	switch (k->type) {
	case YTOK_SCALAR:
		return true;
	case YTOK_VALUE:
	case YTOK_FLOW_SEQ_END:
	case YTOK_FLOW_MAP_END:
		return same;
	default:
		return false;
	}
}

/* A comment behind a scalar, a colon or a closing bracket belongs to it, and so do those that follow it. */
static int claim_comments(struct reader *r)
{
	struct ytok *k = ytok_front(r);
	autostr struct str text = STR_INIT;
	const struct ycomment *c;
	int lines, line, col;

	if (fill(r, 2))
		return -1;
	k = ytok_front(r);
	if (r->n - r->from < 2 || !k[1].comment || !claims_comment(k, k + 1))
		return 0;
	c = k[1].comment;
	line = c->line;
	col = c->col;
	lines = line - k->end_line;
	if (lines > 0) {
		str_addn(&text, '\n', (size_t)lines);
		str_addn(&text, ' ', (size_t)col);
	}
	str_adds(&text, c->text);
	for (;;) {
		struct ytok kept = *k;

		ytok_release(k + 1);
		r->q[++r->from] = kept;
		if (fill(r, 2))
			return -1;
		k = ytok_front(r);
		if (r->n - r->from < 2 || !k[1].comment)
			break;
		str_addn(&text, ' ', (size_t)k[1].comment->col);
		str_adds(&text, k[1].comment->text);
	}
	ycomment_drop(k->c.post);
	k->c.set = true;
	k->c.post = ycomment_new(text.buf, text.len, line, col);
	return 0;
}

/* Takes the next token, with what it claims of the comments behind it. */
int ytok_get(struct reader *r, struct ytok *out)
{
	if (ytok_ahead(r) || (r->keep && claim_comments(r)))
		return -1;
	*out = *ytok_front(r);
	memset(ytok_front(r), 0, sizeof(*out));
	r->from++;
	return 0;
}

/* Takes the next token and its comments away. */
int ytok_drop(struct reader *r)
{
	struct ytok k;

	if (ytok_get(r, &k))
		return -1;
	ytok_release(&k);
	return 0;
}

/* Hands a token's comments to the token that follows it. */
int ytok_pass_on(struct reader *r, struct ycarry *c, bool empty)
{
	struct ycarry *to;

	if (!r->keep || !c->set)
		return 0;
	if (ytok_ahead(r))
		return -1;
	if (ytok_type(r) == YTOK_STREAM_END || ytok_type(r) == YTOK_DOC_START)
		return 0;
	to = &ytok_front(r)->c;
	if (!to->set) {
		*to = *c;
		if (empty) {
			to->five = true;
			ycomment_drop(to->fifth);
			to->fifth = ycomment_ref(to->post);
		}
	} else {
		if (c->post) {
			ycomment_drop(to->post);
			to->post = ycomment_ref(c->post);
		}
		for (size_t i = 0; to->pre && c->pre && i < to->pre->n; i++)
			ylist_add(c->pre, ycomment_ref(to->pre->v[i]));
		if (c->pre) {
			ylist_drop(to->pre);
			to->pre = take(c->pre);
		}
		ycarry_release(c);
	}
	*c = (struct ycarry){ 0 };
	return 0;
}

/* Takes the next token and hands its comments to the one behind it. */
int ytok_drop_passing(struct reader *r)
{
	struct ytok k;
	int rc;

	if (ytok_get(r, &k))
		return -1;
	rc = ytok_pass_on(r, &k.c, false);
	ytok_release(&k);
	return rc;
}

int ytok_open(struct reader *r, const char *text, size_t len, const char *name, bool keep, struct err *e)
{
	struct ycursor start = { text, text + len, 0, 0, 0 };

	*r = (struct reader){ .name = name, .keep = keep, .e = e, .cur = start, .tab = start,
			      .tabs = len && memchr(text, '\t', len) };
	r->lib = xmalloc(sizeof(*r->lib));
	if (!yaml_parser_initialize(&r->lib->p)) {
		free(take(r->lib));
		return err_set(e, ERR_FAIL, "cannot start the YAML parser");
	}
	yaml_parser_set_encoding(&r->lib->p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r->lib->p, (const unsigned char *)text, len);
	return 0;
}

static void free_node(void *n)
{
	node_free(n);
}

void ytok_close(struct reader *r)
{
	if (!r->lib)
		return;
	for (; r->from < r->n; r->from++)
		ytok_release(&r->q[r->from]);
	free(r->q);
	free(r->indent);
	map_release(&r->anchors, free_node);
	yaml_parser_delete(&r->lib->p);
	free(take(r->lib));
}

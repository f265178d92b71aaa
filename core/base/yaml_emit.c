/*
 * yaml_emit - values to text, in the bytes ruamel.yaml gives as DVC sets it up: block style, width 80, two spaces,
 * dashes not indented. The state that decides about blanks and breaks is described in yaml_out.h.
 */
#include "core/base/yaml.h"

#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml_out.h"
#include "core/base/yaml_rt.h"

#include <math.h>

#define SIMPLE_KEY_MAX 128

struct level {
	int indent;
	bool seq;
};

struct emitter {
	struct yaml_out out;
	struct level *level;    /* the indents to return to */
	size_t depth, cap;
	struct map anchors;     /* names that aliases ask for -> the node, once written */
};

/* The comments of one thing that is being written. */
struct around {
	bool any;               /* a list exists, even if it is empty */
	struct ycomment *post;
	struct ylist *pre, *end;
};

static void emit(struct emitter *m, const struct node *n, struct around *c);

static void deeper(struct emitter *m, bool flow, bool seq, bool indentless)
{
	struct yaml_out *o = &m->out;

	GROW(m->level, m->depth, m->cap);
	m->level[m->depth++] = (struct level){ o->indent, seq };
	if (o->indent < 0)
		o->indent = flow ? YAML_NO_INDENT : 0;
	else if (!indentless)
		o->indent += 2;
}

static void shallower(struct emitter *m)
{
	m->out.indent = m->level[--m->depth].indent;
}

static bool is_blank(const char *s)
{
	return !s[strspn(s, " \t\r\n\v\f")];
}

static void write_comment(struct emitter *m, const struct ycomment *c, bool pre)
{
	struct yaml_out *o = &m->out;
	size_t len = strlen(c->text);
	int col = c->text[0] == '\n' ? o->column : c->col, blanks = col - o->column;

	if (!pre && len && c->text[len - 1] == '\n')
		len--;
	if (o->column && blanks < 1 && len && c->text[0] != '\n' && !is_blank(c->text))
		blanks = 1;
	if (blanks > 0)
		str_addn(o->to, ' ', (size_t)blanks);
	str_add(o->to, c->text, len);
	if (!pre)
		yaml_out_break(o);
}

static bool write_post(struct emitter *m, const struct around *c)
{
	if (!c->post)
		return false;
	write_comment(m, c->post, false);
	return true;
}

static bool write_pre(struct emitter *m, struct ylist *pre, bool start)
{
	if (!pre)
		return false;
	for (size_t i = 0; i < pre->n; i++) {
		if (start && pre->v[i]->done)
			continue;
		if (m->out.column)
			yaml_out_break(&m->out);
		write_comment(m, pre->v[i], true);
		if (start)
			pre->v[i]->done = true;
	}
	return true;
}

static const char *tag_shown(const struct node *n)
{
	return n->rt ? n->rt->tag : NULL;
}

/* The text of a value that is no string. */
static void scalar_text(struct str *out, const struct node *n, bool root)
{
	if (n->rt && n->rt->shown) {
		str_adds(out, n->rt->shown);
		return;
	}
	switch (n->kind) {
	case NODE_NULL:
		if (root)
			str_adds(out, "null");
		return;
	case NODE_BOOL:
		str_adds(out, n->b ? "true" : "false");
		return;
	case NODE_FLOAT:
		if (isnan(n->f))
			str_adds(out, ".nan");
		else if (isinf(n->f))
			str_adds(out, n->f < 0 ? "-.inf" : ".inf");
		else
			node_add_float(out, n->f);
		return;
	default:
		str_add(out, n->text, n->len);
	}
}

static char block_style(const struct node *n)
{
	return n->rt ? n->rt->style : 0;
}

/* The text is in m->out: how is it to be written? */
static char choose_style(const struct emitter *m, const struct node *n, const struct yaml_shape *s, const char *text,
			 size_t len)
{
	char style = block_style(n);
	bool is_str = n->kind == NODE_STR;
	bool own_kind = !is_str || yaml_resolve(text, len, false) == YTAG_STR;

	if (!style && own_kind && !(m->out.simple_key && (s->empty || s->multiline)) &&
	    (m->out.flow_level ? s->flow_plain : s->block_plain))
		return 0;
	if (style && !m->out.flow_level && !m->out.simple_key)
		return style;
	if (!style && (memchr(text, '\'', len) || memchr(text, '\n', len)))
		return '"';
	if (!style && s->single && !(m->out.simple_key && s->multiline))
		return '\'';
	return '"';
}

static void write_anchor(struct emitter *m, const char *sign, const char *name)
{
	char *text = xasprintf("%s%s", sign, name);

	yaml_out_indicator(&m->out, text, true, false, false);
	m->out.no_newline = false;
	free(text);
}

static bool emit_word(struct emitter *m, const struct node *n, const struct around *c)
{
	if (n->kind != NODE_STR || n->rt || !yaml_out_is_word(n->text, n->len) ||
	    yaml_resolve(n->text, n->len, false) != YTAG_STR)
		return false;
	deeper(m, true, false, false);
	yaml_out_word(&m->out, n->text, n->len);
	write_post(m, c);
	shallower(m);
	return true;
}

static void emit_scalar(struct emitter *m, const struct node *n, const struct around *c)
{
	struct yaml_out *o = &m->out;
	autostr struct str other = STR_INIT;
	const char *text = n->text, *head = n->rt && !o->sequence ? n->rt->head : NULL;
	size_t len = n->len;
	struct yaml_shape shape;
	struct ycomment moved;
	struct around behind = *c;
	char style;

	if (n->kind != NODE_STR) {
		scalar_text(&other, n, o->root);
		text = str_cstr(&other);
		len = other.len;
	}
	if (block_style(n) == '>' && n->rt->shown) {
		text = n->rt->shown;
		len = strlen(text);
	}
	yaml_out_load(o, text, len);
	yaml_out_shape(o, &shape);
	style = tag_shown(n) ? (n->rt->style ? n->rt->style : shape.block_plain ? 0 : '\'') :
		choose_style(m, n, &shape, text, len);
	if (n->kind == NODE_NULL && !len && style == '\'') {
		yaml_out_load(o, "null", 4);
		style = 0;
	}
	if (tag_shown(n)) {
		yaml_out_indicator(o, n->rt->tag, true, false, false);
		if (o->sequence && !o->flow_level)
			o->no_newline = true;
	}
	deeper(m, true, false, false);
	yaml_out_scalar(o, style, head);
	if ((style == '|' || style == '>') && behind.post && behind.post->col >= o->indent) {
		moved = *behind.post;
		moved.col = o->indent - 1;
		behind.post = &moved;
	}
	write_post(m, &behind);
	shallower(m);
}

static bool in_seq_of_seq(const struct emitter *m)
{
	return m->depth >= 2 && m->level[m->depth - 1].seq && m->level[m->depth - 2].seq;
}

/* Blanks that bring a flow collection under its siblings' text. */
static int flow_shift(const struct emitter *m, bool forced)
{
	const struct level *top = m->depth ? &m->level[m->depth - 1] : NULL;
	int base;

	if ((m->depth < 2 || !top->seq) && (!m->depth || !forced))
		return 0;
	base = top->indent > 0 ? top->indent : 0;
	return forced ? base + 2 : base + 2 - m->out.column - 1;
}

static void flow_open(struct emitter *m, const char *sign, bool seq, bool forced)
{
	struct yaml_out *o = &m->out;
	autostr struct str text = STR_INIT;
	int shift;

	if (forced)
		deeper(m, true, seq, false);
	shift = flow_shift(m, forced);
	if (shift > 0)
		str_addn(&text, ' ', (size_t)shift);
	str_adds(&text, sign);
	yaml_out_indicator(o, str_cstr(&text), true, true, false);
	if (!forced)
		deeper(m, true, seq, false);
	o->flow_level++;
}

static void flow_close(struct emitter *m, const char *sign, bool empty, const struct around *c)
{
	struct yaml_out *o = &m->out;

	shallower(m);
	o->flow_level--;
	if (*sign)
		yaml_out_indicator(o, sign, false, false, false);
	if (!empty || c->any)
		o->no_newline = false;
	if (c->post)
		write_comment(m, c->post, false);
	else if (empty && !o->flow_level)
		yaml_out_break(o);
}

static void flow_next(struct emitter *m, bool first)
{
	if (!first)
		yaml_out_indicator(&m->out, ",", false, false, false);
	if (m->out.column > YAML_WIDTH)
		yaml_out_indent(&m->out);
}

/* Says what is written next; the emitter asks these when it chooses blanks, breaks and styles. */
static void context(struct emitter *m, bool seq, bool map, bool simple_key)
{
	m->out.root = false;
	m->out.sequence = seq;
	m->out.mapping = map;
	m->out.simple_key = simple_key;
}

static const char *alias_name(const struct emitter *m, const struct node *n)
{
	const struct node *known;

	if (!n->rt || !n->rt->alias)
		return NULL;
	known = map_get(&m->anchors, n->rt->alias);
	return known && known != n && node_equal(known, n) ? n->rt->alias : NULL;
}

static size_t code_points(const char *s, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += ((unsigned char)s[i] & 0xc0) != 0x80;
	return count;
}

static bool has_break(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\n' || (s[i] == '\xc2' && i + 1 < n && s[i + 1] == '\x85') ||
		    (s[i] == '\xe2' && i + 2 < n && s[i + 1] == '\x80' && (s[i + 2] == '\xa8' || s[i + 2] == '\xa9')))
			return true;
	}
	return false;
}

/* Whether a key can stand before its colon without a '?'. */
static bool is_simple_key_slow(const struct emitter *m, const struct node *k)
{
	static const size_t tag_len[] = { 6, 6, 5, 7, 5, 11, 5, 5 };
	size_t len = k->rt && k->rt->anchor ? strlen(k->rt->anchor) : 0;
	autostr struct str text = STR_INIT;

	if (alias_name(m, k))
		return strlen(k->rt->alias) < SIMPLE_KEY_MAX;
	len += tag_shown(k) ? strlen(k->rt->tag) : tag_len[k->kind];
	if (k->kind >= NODE_SEQ)
		return len < SIMPLE_KEY_MAX;    /* a key is always written in flow style */
	if (k->kind == NODE_STR)
		return len + code_points(k->text, k->len) < SIMPLE_KEY_MAX && !has_break(k->text, k->len);
	scalar_text(&text, k, false);
	return len + text.len < SIMPLE_KEY_MAX;
}

static bool is_simple_key(const struct emitter *m, const struct node *k)
{
	if (k->kind == NODE_STR && !k->rt && k->len < 100 && yaml_out_is_word(k->text, k->len))
		return true;
	return is_simple_key_slow(m, k);
}

static const struct ynote no_note;

static const struct ynote *note_of_key(const struct node *k)
{
	return k->rt && k->rt->note.set ? &k->rt->note : &no_note;
}

static struct around around_key(const struct node *k)
{
	const struct ynote *t = note_of_key(k);

	return (struct around){ t->set, t->post, t->pre, NULL };
}

/* A collection's own comments; what the parent noted beside it takes their place. */
static struct around around_value(const struct node *v, const struct ynote *t, bool in_seq)
{
	struct around c = { false, NULL, NULL, NULL };

	if (v->rt && v->rt->own_set)
		c = (struct around){ true, v->rt->post, v->rt->pre, v->rt->end };
	if (!t->set)
		return c;
	if (!in_seq)
		return (struct around){ true, t->vpost, t->vpre, c.any ? c.end : NULL };
	return (struct around){ true, c.post ? c.post : t->post, c.pre ? c.pre : t->pre, NULL };
}

static const struct ynote *note_of_item(const struct node *seq, size_t i)
{
	return seq->rt && i < seq->rt->nitem && !seq->rt->item_lost ? &seq->rt->item[i] : &no_note;
}

static void flow_seq(struct emitter *m, const struct node *n, const struct around *c)
{
	for (size_t i = 0; i < n->n; i++) {
		struct around ic = around_value(n->v[i], note_of_item(n, i), true);

		flow_next(m, !i);
		context(m, true, false, false);
		emit(m, n->v[i], &ic);
	}
	flow_close(m, "]", !n->n, c);
}

static bool is_hidden(const struct node *n, size_t i);

static void flow_pair(struct emitter *m, const struct node *k, const struct node *v, bool first)
{
	struct around kc = around_key(k), vc = around_value(v, note_of_key(k), false);

	flow_next(m, first);
	if (is_simple_key(m, k)) {
		context(m, false, true, true);
		emit(m, k, &kc);
	} else {
		yaml_out_indicator(&m->out, "?", true, false, false);
		context(m, false, true, false);
		emit(m, k, &kc);
		if (m->out.column > YAML_WIDTH)
			yaml_out_indent(&m->out);
	}
	yaml_out_indicator(&m->out, ":", !is_simple_key(m, k), false, false);
	context(m, false, true, false);
	emit(m, v, &vc);
}

static void merge_pair(struct emitter *m, const struct node *n, bool first, bool flow);
static void block_pair(struct emitter *m, const struct node *k, const struct node *v);

/* The pairs of a mapping with '<<' at its place and without what it brought in. */
static size_t each_pair(struct emitter *m, const struct node *n, bool flow)
{
	const struct node *merge = n->rt ? n->rt->merge : NULL;
	size_t written = 0;
	bool merged = !merge;

	for (size_t i = 0; i < n->n; i++) {
		if (merge && is_hidden(n, i))
			continue;
		if (!merged && written == n->rt->merge_pos) {
			merge_pair(m, n, !written, flow);
			merged = true;
			written++;
		}
		if (flow)
			flow_pair(m, n->k[i], n->v[i], !written);
		else
			block_pair(m, n->k[i], n->v[i]);
		written++;
	}
	if (!merged)
		merge_pair(m, n, !written, flow);
	return written + !merged;
}

static void flow_map(struct emitter *m, const struct node *n, const struct around *c, const char *close)
{
	each_pair(m, n, true);
	flow_close(m, close, !n->n, c);
}

static void block_seq(struct emitter *m, const struct node *n, const struct around *c)
{
	struct yaml_out *o = &m->out;

	for (size_t i = 0; i < n->n; i++) {
		struct around ic = around_value(n->v[i], note_of_item(n, i), true);
		bool stay;

		if (!alias_name(m, n->v[i]))
			write_pre(m, ic.pre, n->v[i]->kind >= NODE_SEQ);
		stay = !o->column && o->no_newline;
		yaml_out_indent(o);
		yaml_out_indicator(o, "-", true, false, true);
		if (stay)
			o->no_newline = true;
		context(m, true, false, false);
		emit(m, n->v[i], &ic);
	}
	if (!n->rt || !n->rt->item_lost)
		write_pre(m, c->end, false);
	shallower(m);
	o->no_newline = false;
}

static void block_value(struct emitter *m, const struct node *k, const struct node *v)
{
	struct around vc = around_value(v, note_of_key(k), false);

	context(m, false, true, false);
	emit(m, v, &vc);
}

static void block_pair(struct emitter *m, const struct node *k, const struct node *v)
{
	struct yaml_out *o = &m->out;
	struct around kc = around_key(k);

	if (!alias_name(m, k))
		write_pre(m, kc.pre, k->kind >= NODE_SEQ);
	yaml_out_indent(o);
	if (is_simple_key(m, k)) {
		context(m, false, true, true);
		emit(m, k, &kc);
		if (alias_name(m, k))
			str_addc(o->to, ' ');
		yaml_out_indicator(o, ":", false, false, false);
	} else {
		yaml_out_indicator(o, "?", true, false, true);
		context(m, false, true, false);
		emit(m, k, &kc);
		yaml_out_indent(o);
		yaml_out_indicator(o, ":", true, false, true);
	}
	block_value(m, k, v);
}

static void merge_pair(struct emitter *m, const struct node *n, bool first, bool flow)
{
	struct node key = { .kind = NODE_STR, .text = (char *)"<<", .len = 2 };
	struct yaml_rt rt = { .shown = (char *)"<<", .flow = -1 };

	key.kind = NODE_DATE;           /* any kind whose text is written as it is */
	key.rt = &rt;
	if (flow)
		flow_pair(m, &key, n->rt->merge, first);
	else
		block_pair(m, &key, n->rt->merge);
}

static const struct node *merge_source(const struct node *merge, const struct node *key)
{
	if (merge->kind == NODE_MAP)
		return node_get_node(merge, key);
	for (size_t i = 0; i < merge->n; i++) {
		const struct node *v = node_get_node(merge->v[i], key);

		if (v)
			return v;
	}
	return NULL;
}

/* A pair that '<<' brought in and that still is what it brought in. */
static bool is_hidden(const struct node *n, size_t i)
{
	const struct node *source;

	if (!n->v[i]->rt || !n->v[i]->rt->merged)
		return false;
	source = merge_source(n->rt->merge, n->k[i]);
	return source && node_equal(source, n->v[i]);
}

static bool is_flow(const struct emitter *m, const struct node *n)
{
	return m->out.flow_level || !n->n || (n->rt && n->rt->flow == 1) || m->out.simple_key;
}

static void emit_seq(struct emitter *m, const struct node *n, struct around *c)
{
	struct yaml_out *o = &m->out;
	bool indention = o->indention, marked = !n->n || (n->rt && n->rt->flow == 1), forced = false;
	bool flow = is_flow(m, n);
	int column = o->column;

	if (c->any) {
		if (!marked && write_post(m, c)) {
			o->indention = false;
			o->no_newline = true;
		}
		column = o->column;
		if (write_pre(m, c->pre, true)) {
			forced = marked && m->depth && !m->level[m->depth - 1].seq;
			o->indention = indention;
			o->no_newline = !indention;
		}
		if (marked)
			o->column = column;
	}
	if (flow)
		flow_open(m, "[", true, forced);
	else
		deeper(m, false, true, o->mapping && !o->indention);
	if (in_seq_of_seq(m)) {
		o->indention = true;
		o->no_newline = false;
	}
	if (flow) {
		struct around end = { c->any, marked ? c->post : NULL, NULL, NULL };

		flow_seq(m, n, &end);
	} else {
		block_seq(m, n, c);
	}
}

static void emit_map(struct emitter *m, const struct node *n, struct around *c)
{
	struct yaml_out *o = &m->out;
	bool marked = !n->n || (n->rt && n->rt->flow == 1), forced = false;

	if (!marked && c->any)
		write_post(m, c);
	if (write_pre(m, c->pre, true))
		forced = marked && m->depth && !m->level[m->depth - 1].seq;
	if (is_flow(m, n)) {
		struct around end = { c->any, marked ? c->post : NULL, NULL, NULL };
		bool bare = n->n == 1 && o->flow_level && o->sequence;

		flow_open(m, bare ? "" : "{", false, forced);
		flow_map(m, n, &end, bare ? "" : "}");
		return;
	}
	deeper(m, false, false, false);
	each_pair(m, n, false);
	write_pre(m, c->end, false);
	shallower(m);
}

/* A set is a mapping of keys without values, each behind a '?'. */
static void emit_set(struct emitter *m, const struct node *n)
{
	struct yaml_out *o = &m->out;
	struct around none = { false, NULL, NULL, NULL };

	yaml_out_indicator(o, "!!set", true, false, false);
	if (!n->n) {
		flow_open(m, "{", false, false);
		flow_close(m, "}", true, &none);
		return;
	}
	deeper(m, false, false, false);
	for (size_t i = 0; i < n->n; i++) {
		yaml_out_indent(o);
		yaml_out_indicator(o, "?", true, false, true);
		context(m, false, true, true);
		emit(m, n->v[i], &none);
	}
	shallower(m);
}

static void emit(struct emitter *m, const struct node *n, struct around *c)
{
	const char *alias = alias_name(m, n), *anchor = n->rt ? n->rt->anchor : NULL;

	if (alias) {
		write_anchor(m, "*", alias);
		return;
	}
	if (anchor && (n->kind < NODE_SEQ || map_has(&m->anchors, anchor))) {
		write_anchor(m, "&", anchor);
		if (n->kind < NODE_SEQ)
			m->out.sequence = false;
		map_put(&m->anchors, anchor, (void *)n);
	}
	if (n->kind < NODE_SEQ) {
		if (!emit_word(m, n, c))
			emit_scalar(m, n, c);
		return;
	}
	if (tag_shown(n))
		yaml_out_indicator(&m->out, n->rt->tag, true, false, false);
	if (n->is_set)
		emit_set(m, n);
	else if (n->kind == NODE_SEQ)
		emit_seq(m, n, c);
	else
		emit_map(m, n, c);
}

static void reset_list(struct ylist *l)
{
	for (size_t i = 0; l && i < l->n; i++)
		l->v[i]->done = false;
}

/* Which anchors do aliases ask for? Forgets also what an earlier writing has marked. */
static void survey(struct emitter *m, const struct node *n)
{
	if (n->rt) {
		if (n->rt->alias)
			map_put(&m->anchors, n->rt->alias, NULL);
		reset_list(n->rt->pre);
		reset_list(n->rt->note.pre);
		reset_list(n->rt->note.vpre);
		for (size_t i = 0; i < n->rt->nitem; i++)
			reset_list(n->rt->item[i].pre);
		if (n->rt->merge)
			survey(m, n->rt->merge);
	}
	for (size_t i = 0; i < n->n; i++) {
		if (n->k)
			survey(m, n->k[i]);
		survey(m, n->v[i]);
	}
}

void yaml_dump(struct str *out, const struct node *n)
{
	struct emitter m = { .out = { .to = out, .indent = YAML_NO_INDENT, .whitespace = true, .indention = true,
				      .root = true } };
	struct around c = around_value(n, &no_note, false);

	survey(&m, n);
	emit(&m, n, &c);
	yaml_out_indent(&m.out);
	if (m.out.open_ended) {
		yaml_out_indicator(&m.out, "...", true, false, false);
		yaml_out_indent(&m.out);
	}
	map_release(&m.anchors, NULL);
	free(m.out.cp);
	free(m.level);
}

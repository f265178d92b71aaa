/*
 * yaml_read - text to values. libyaml cuts the text into tokens; the grammar over them is ours, because comments, which
 * libyaml drops, have to find their place between the tokens as ruamel.yaml finds it.
 */
#include "core/base/yaml.h"

#include "core/base/err.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml_rt.h"

#include <stdarg.h>
#include <yaml.h>

#define DEPTH_MAX 256
/* Values that aliases and merges may add to what the text itself holds. */
#define EXPAND_MAX 2000000

/* A token, or a comment between tokens, in the order of the text. */
struct token {
	yaml_token_t t;
	struct ycomment *comment;       /* set: this is a comment and 't' is empty */
	struct ycarry c;                /* the comments that hang on the token */
	char *head, *folds;             /* of a block scalar */
	size_t end_line;
};

struct reader {
	yaml_parser_t lib;
	struct token *q;                /* q[from .. n) were read and not yet taken */
	size_t from, n, cap;
	bool keep, v11, tabs;           /* tabs: there are some, each has to be looked at */
	struct ycursor cur;             /* keep: behind the last token */
	struct ycursor tab;             /* tabs: likewise */
	int flow_level;
	int *indent;                    /* keep: columns of the open block collections */
	size_t nindent, cap_indent;
	const char *name;
	struct map anchors;             /* name -> struct node, a copy of our own */
	size_t expanded;
	struct err *e;
};

static int fail_at(struct reader *r, yaml_mark_t at, const char *fmt, ...) PRINTF(3, 4);
static int fail_at(struct reader *r, yaml_mark_t at, const char *fmt, ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return err_set(r->e, ERR_PARSE, "%s:%zu:%zu: not valid YAML: %s", r->name, at.line + 1, at.column + 1, why);
}

static int fail_lib(struct reader *r)
{
	const char *why = r->lib.problem ? r->lib.problem : "unreadable text";

	if (r->lib.error == YAML_READER_ERROR)
		return err_set(r->e, ERR_PARSE, "%s: not valid YAML: %s at byte %zu", r->name, why, r->lib.problem_offset);
	if (r->lib.context)
		return fail_at(r, r->lib.problem_mark, "%s, %s", r->lib.context, why);
	return fail_at(r, r->lib.problem_mark, "%s", why);
}

static struct token *front(const struct reader *r)
{
	return &r->q[r->from];
}

static struct token *append(struct reader *r)
{
	if (r->from == r->n)
		r->from = r->n = 0;
	GROW(r->q, r->n, r->cap);
	memset(&r->q[r->n], 0, sizeof(*r->q));
	return &r->q[r->n++];
}

static void token_release(struct token *k)
{
	if (!k->comment)
		yaml_token_delete(&k->t);
	ycomment_drop(k->comment);
	ycarry_release(&k->c);
	free(k->head);
	free(k->folds);
	memset(k, 0, sizeof(*k));
}

/* Which block collection are we in? A block scalar's text is indented more than that. */
static void track_indent(struct reader *r, const yaml_token_t *t)
{
	if (t->type == YAML_BLOCK_SEQUENCE_START_TOKEN || t->type == YAML_BLOCK_MAPPING_START_TOKEN) {
		GROW(r->indent, r->nindent, r->cap_indent);
		r->indent[r->nindent++] = (int)t->start_mark.column;
	} else if (t->type == YAML_BLOCK_END_TOKEN && r->nindent) {
		r->nindent--;
	}
}

static void read_block_scalar(struct reader *r, struct token *k)
{
	struct yblock b = { NULL, NULL, NULL, 0 };

	ycursor_block(&r->cur, r->nindent ? r->indent[r->nindent - 1] : -1, &b);
	k->head = b.head;
	k->folds = b.folds;
	k->end_line = (size_t)b.end_line;
	if (b.trail) {
		k->c.set = true;
		k->c.post = b.trail;
	}
}

/* Queues the comments before the token, then the token. */
static void enqueue_kept(struct reader *r, yaml_token_t *t)
{
	struct ycomment *c;
	struct token *k;

	while ((c = ycursor_comment(&r->cur, t->start_mark.index))) {
		size_t len = strlen(c->text);

		while (len && c->text[len - 1] == ' ')
			c->text[--len] = '\0';
		append(r)->comment = c;
	}
	track_indent(r, t);
	k = append(r);
	k->t = *t;
	k->end_line = t->end_mark.line;
	ycursor_to(&r->cur, t->start_mark.index);
	if (t->type == YAML_SCALAR_TOKEN && (t->data.scalar.style == YAML_LITERAL_SCALAR_STYLE ||
					     t->data.scalar.style == YAML_FOLDED_SCALAR_STYLE))
		read_block_scalar(r, k);
	else
		ycursor_to(&r->cur, t->end_mark.index);
}

static int fail_tab(struct reader *r, const struct ycursor *at)
{
	yaml_mark_t m = { at->index, (size_t)at->line, (size_t)at->col };

	return fail_at(r, m, "a tab where only blanks may stand");
}

/* libyaml takes a tab for white space nearly everywhere; ruamel.yaml only inside brackets, quotes and comments. */
static int check_tabs(struct reader *r, const yaml_token_t *t)
{
	bool plain = t->type == YAML_SCALAR_TOKEN && t->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	bool comment = false;

	for (; r->tab.index < t->start_mark.index && r->tab.p < r->tab.end; ycursor_step(&r->tab)) {
		char c = *r->tab.p;

		if (c == '\t' && !comment && !r->flow_level)
			return fail_tab(r, &r->tab);
		comment = (comment || c == '#') && c != '\n' && c != '\r';
	}
	for (; r->tab.index < t->end_mark.index && r->tab.p < r->tab.end; ycursor_step(&r->tab))
		if (plain && *r->tab.p == '\t')
			return fail_tab(r, &r->tab);
	if (t->type == YAML_FLOW_SEQUENCE_START_TOKEN || t->type == YAML_FLOW_MAPPING_START_TOKEN)
		r->flow_level++;
	if (t->type == YAML_FLOW_SEQUENCE_END_TOKEN || t->type == YAML_FLOW_MAPPING_END_TOKEN)
		r->flow_level--;
	return 0;
}

static int fetch(struct reader *r)
{
	yaml_token_t t;

	if (!yaml_parser_scan(&r->lib, &t))
		return fail_lib(r);
	if (r->tabs && check_tabs(r, &t)) {
		yaml_token_delete(&t);
		return -1;
	}
	if (r->keep)
		enqueue_kept(r, &t);
	else
		append(r)->t = t;
	return 0;
}

static int fill(struct reader *r, size_t want)
{
	while (r->n - r->from < want) {
		if (r->n > r->from && r->q[r->n - 1].t.type == YAML_STREAM_END_TOKEN)
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

	while (r->n > r->from && front(r)->comment) {
		if (!pre)
			pre = ylist_new();
		ylist_add(pre, ycomment_ref(front(r)->comment));
		token_release(front(r));
		r->from++;
		if (fill(r, 1)) {
			ylist_drop(pre);
			return -1;
		}
	}
	if (pre) {
		front(r)->c.set = true;
		ylist_drop(front(r)->c.pre);
		front(r)->c.pre = pre;
	}
	return 0;
}

/* Makes front(r) the next token. */
static int ahead(struct reader *r)
{
	return fill(r, 1) || (r->keep && gather(r)) ? -1 : 0;
}

static yaml_token_type_t type(const struct reader *r)
{
	return front(r)->t.type;
}

static yaml_mark_t mark(const struct reader *r)
{
	return front(r)->t.start_mark;
}

static bool claims_comment(const struct token *k, const struct token *next)
{
	bool same = k->end_line == (size_t)next->comment->line;

	switch (k->t.type) {
	case YAML_SCALAR_TOKEN:
		return true;
	case YAML_VALUE_TOKEN:
	case YAML_FLOW_SEQUENCE_END_TOKEN:
	case YAML_FLOW_MAPPING_END_TOKEN:
		return same;
	default:
		return false;
	}
}

/* A comment behind a scalar, a colon or a closing bracket belongs to it, and so do those that follow it. */
static int claim_comments(struct reader *r)
{
	struct token *k = front(r);
	autostr struct str text = STR_INIT;
	const struct ycomment *c;
	int lines, line, col;

	if (fill(r, 2))
		return -1;
	k = front(r);
	if (r->n - r->from < 2 || !k[1].comment || !claims_comment(k, k + 1))
		return 0;
	c = k[1].comment;
	line = c->line;
	col = c->col;
	lines = line - (int)k->end_line;
	if (lines > 0) {
		str_addn(&text, '\n', (size_t)lines);
		str_addn(&text, ' ', (size_t)col);
	}
	str_adds(&text, c->text);
	for (;;) {
		struct token kept = *k;

		token_release(k + 1);
		r->q[++r->from] = kept;
		if (fill(r, 2))
			return -1;
		k = front(r);
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
static int get(struct reader *r, struct token *out)
{
	if (ahead(r) || (r->keep && claim_comments(r)))
		return -1;
	*out = *front(r);
	memset(front(r), 0, sizeof(*out));
	r->from++;
	return 0;
}

/* Takes the next token and its comments away. */
static int drop(struct reader *r)
{
	struct token k;

	if (get(r, &k))
		return -1;
	token_release(&k);
	return 0;
}

/* Hands a token's comments to the token that follows it. */
static int pass_on(struct reader *r, struct ycarry *c, bool empty)
{
	struct ycarry *to;

	if (!r->keep || !c->set)
		return 0;
	if (ahead(r))
		return -1;
	if (type(r) == YAML_STREAM_END_TOKEN || type(r) == YAML_DOCUMENT_START_TOKEN)
		return 0;
	to = &front(r)->c;
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
static int drop_passing(struct reader *r)
{
	struct token k;
	int rc;

	if (get(r, &k))
		return -1;
	rc = pass_on(r, &k.c, false);
	token_release(&k);
	return rc;
}

/* Looks ahead; -1 on error. */
static int next_is(struct reader *r, yaml_token_type_t what)
{
	return ahead(r) ? -1 : type(r) == what;
}

static int unexpected(struct reader *r, const char *where)
{
	static const char *const name[] = {
		"nothing", "start of stream", "end of stream", "directive", "directive", "'---'", "'...'", "start of a sequence",
		"start of a mapping", "end of a block", "'['", "']'", "'{'", "'}'", "'-'", "','", "a key", "':'",
		"an alias", "an anchor", "a tag", "a scalar"
	};

	return fail_at(r, mark(r), "unexpected %s %s", (size_t)type(r) < ARRAY_LEN(name) ? name[type(r)] : "token",
		       where);
}

static int parse_node(struct reader *r, struct node **out, struct ycarry *c, bool block, bool indentless, int depth);

static struct node *at_mark(struct node *n, yaml_mark_t m)
{
	n->line = (int)m.line + 1;
	n->col = (int)m.column + 1;
	return n;
}

static size_t weight(const struct node *n)
{
	size_t sum = 1;

	for (size_t i = 0; i < n->n; i++)
		sum += weight(n->v[i]) + (n->k ? weight(n->k[i]) : 0);
	return sum;
}

static int expand(struct reader *r, const struct node *n, yaml_mark_t at)
{
	r->expanded += weight(n);
	if (r->expanded > EXPAND_MAX)
		return fail_at(r, at, "aliases expand to more than %d values", EXPAND_MAX);
	return 0;
}

static int parse_alias(struct reader *r, struct node **out)
{
	const char *name = (const char *)front(r)->t.data.alias.value;
	struct node *known = map_get(&r->anchors, name);

	if (!known)
		return fail_at(r, mark(r), "unknown alias '%s'", name);
	if (expand(r, known, mark(r)))
		return -1;
	*out = at_mark(node_copy(known), mark(r));
	if (r->keep && known->rt && known->rt->anchor)
		yaml_rt_of(*out)->alias = xstrdup(name);
	return drop(r);
}

static int remember(struct reader *r, const char *anchor, struct node *n, yaml_mark_t at)
{
	struct node *copy;

	if (!anchor)
		return 0;
	if (expand(r, n, at))
		return -1;
	copy = node_copy(n);
	if (r->keep && n->kind != NODE_NULL && n->kind != NODE_DATE) {
		free(yaml_rt_of(n)->anchor);
		n->rt->anchor = xstrdup(anchor);
		yaml_rt_of(copy)->anchor = xstrdup(anchor);
	}
	node_free(map_put(&r->anchors, anchor, copy));
	return 0;
}

/* '<<': in a plain read the merged pairs come first, in a kept document last; what the mapping says itself wins. */
struct pairs {
	struct node *map;       /* the own pairs */
	struct node *merged;    /* NULL until '<<' was seen */
	struct node *merge;     /* keep: the value of '<<' */
	size_t merge_pos;
	char *again;            /* the first key that was there already */
	yaml_mark_t again_at;
	bool last_null;
};

static void pairs_release(struct pairs *p)
{
	node_free(p->map);
	node_free(p->merged);
	node_free(p->merge);
	free(p->again);
}

static int merge_one(struct reader *r, struct node *into, const struct node *from, yaml_mark_t at)
{
	if (from->kind != NODE_MAP)
		return fail_at(r, at, "expected a mapping for merging");
	if (expand(r, from, at))
		return -1;
	for (size_t i = 0; i < from->n; i++)
		node_set_node(into, node_copy(from->k[i]), node_copy(from->v[i]));
	return 0;
}

static int merge_add(struct reader *r, struct pairs *p, struct node *value, yaml_mark_t at)
{
	if (p->merged)
		return fail_at(r, at, "duplicate merge key \"<<\"");
	p->merged = node_map();
	p->merge_pos = p->map->n;
	if (value->kind != NODE_SEQ)
		return merge_one(r, p->merged, value, at);
	for (size_t i = value->n; i-- > 0; )
		if (merge_one(r, p->merged, value->v[i], at))
			return -1;
	return 0;
}

static int pair_merge(struct reader *r, struct pairs *p, struct node *value, yaml_mark_t at)
{
	int rc = merge_add(r, p, value, at);

	if (rc || !r->keep)
		node_free(value);
	else
		p->merge = value;
	return rc;
}

static void note_take(struct ycomment **post, struct ylist **pre, struct ycarry *c)
{
	ycomment_drop(*post);
	*post = take(c->post);
	if (c->pre && !*pre)
		*pre = take(c->pre);
}

/* Where ruamel.yaml keeps the comments of a pair: with the key. */
static void note_pair(struct pairs *p, const struct node *key, struct ycarry *kc, struct ycarry *vc)
{
	struct ynote *t;

	if (kc->set && kc->fifth && p->last_null && p->map->n > 1) {
		t = &yaml_rt_of(p->map->k[p->map->n - 2])->note;
		ycomment_drop(kc->post);
		kc->post = take(kc->fifth);
		t->set = true;
		note_take(&t->vpost, &t->vpre, kc);
		kc->set = false;
	}
	if (!kc->set && !vc->set)
		return;
	t = &yaml_rt_of((struct node *)key)->note;
	t->set = true;
	if (kc->set)
		note_take(&t->post, &t->pre, kc);
	if (vc->set)
		note_take(&t->vpost, &t->vpre, vc);
}

/* A collection remembers what was noted at its start and its end. */
static void note_own(struct node *n, const struct ycarry *c)
{
	struct yaml_rt *rt;

	if (!c->set || n->kind < NODE_SEQ)
		return;
	rt = yaml_rt_of(n);
	rt->own_set = true;
	rt->post = ycomment_ref(c->post);
	rt->pre = ylist_copy(c->pre);
	rt->end = ylist_copy(c->end);
}

static int pair_add(struct reader *r, struct pairs *p, struct node *key, struct node *value, yaml_mark_t at)
{
	if (key->kind == NODE_SEQ)
		key->is_tuple = true;
	if (key->kind == NODE_MAP) {
		node_free(key);
		node_free(value);
		return fail_at(r, at, "a mapping cannot be a key");
	}
	if (!p->again && node_get_node(p->map, key)) {
		autostr struct str text = STR_INIT;

		node_py_str(&text, key);
		p->again = str_take(&text);
		p->again_at = at;
	}
	node_set_node(p->map, key, value);
	return 0;
}

static void move_pairs(struct node *to, struct node *from)
{
	for (size_t i = 0; i < from->n; i++)
		node_set_node(to, from->k[i], from->v[i]);
	from->n = 0;
}

/* Puts the own and the merged pairs together. */
static int pairs_end(struct reader *r, struct pairs *p, struct node **out)
{
	struct node *own = p->map;

	if (p->again && (r->keep || !p->merged))
		return fail_at(r, p->again_at, "duplicate key \"%s\"", p->again);
	if (!p->merged) {
		*out = take(p->map);
		return 0;
	}
	if (!r->keep) {
		p->merged->line = own->line;
		p->merged->col = own->col;
		move_pairs(p->merged, own);
		*out = take(p->merged);
		return 0;
	}
	for (size_t i = 0; i < p->merged->n; i++) {
		if (node_get_node(own, p->merged->k[i]))
			continue;
		yaml_rt_of(p->merged->v[i])->merged = true;
		node_set_node(own, node_copy(p->merged->k[i]), p->merged->v[i]);
		p->merged->v[i] = node_null();
	}
	yaml_rt_of(own)->merge = take(p->merge);
	own->rt->merge_pos = p->merge_pos;
	*out = take(p->map);
	return 0;
}

/* An empty value where the text has none. */
static struct node *nothing(const struct reader *r)
{
	return at_mark(node_null(), mark(r));
}

static bool closes(yaml_token_type_t t, const yaml_token_type_t *list)
{
	for (; *list; list++)
		if (t == *list)
			return true;
	return false;
}

static int node_or_nothing(struct reader *r, struct node **out, struct ycarry *c, const yaml_token_type_t *enders,
			   bool block, bool indentless, int depth)
{
	if (ahead(r))
		return -1;
	if (!closes(type(r), enders))
		return parse_node(r, out, c, block, indentless, depth);
	*out = nothing(r);
	return 0;
}

static bool is_plain_text(const struct reader *r, const char *text)
{
	return type(r) == YAML_SCALAR_TOKEN && front(r)->t.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       !strcmp((const char *)front(r)->t.data.scalar.value, text);
}

/* What stands for the value after "key:": a comment there goes on, or stays with the empty value. */
static int block_value(struct reader *r, struct node **out, struct ycarry *c, const yaml_token_type_t *enders, int depth)
{
	autocall(token_release) struct token colon = { 0 };

	if (get(r, &colon) || ahead(r))
		return -1;
	if (type(r) != YAML_KEY_TOKEN && pass_on(r, &colon.c, type(r) != YAML_VALUE_TOKEN))
		return -1;
	if (!closes(type(r), enders))
		return parse_node(r, out, c, true, true, depth);
	*out = nothing(r);
	if (colon.c.set) {
		*c = colon.c;
		colon.c = (struct ycarry){ 0 };
	} else if (front(r)->c.set) {
		struct ycarry *next = &front(r)->c;

		c->set = true;
		c->post = take(next->post);
		ycomment_drop(take(next->fifth));
		next->five = false;
	}
	return 0;
}

static int pair_value(struct reader *r, struct node **out, struct ycarry *c, const yaml_token_type_t *enders, bool block,
		      int depth)
{
	switch (next_is(r, YAML_VALUE_TOKEN)) {
	case -1:
		return -1;
	case 0:
		*out = nothing(r);
		return 0;
	}
	if (block)
		return block_value(r, out, c, enders, depth);
	return drop(r) || node_or_nothing(r, out, c, enders, false, false, depth) ? -1 : 0;
}

static int pair_key(struct reader *r, struct node **out, struct ycarry *c, const yaml_token_type_t *enders, bool block,
		    bool *merge, int depth)
{
	if (type(r) == YAML_VALUE_TOKEN) {
		*out = nothing(r);
		return 0;
	}
	if (type(r) == YAML_KEY_TOKEN && ((block ? drop_passing(r) : drop(r)) || ahead(r)))
		return -1;
	*merge = is_plain_text(r, "<<");
	if (*merge || is_plain_text(r, "=")) {
		struct token k;

		if (get(r, &k))
			return -1;
		*out = at_mark(node_str((const char *)k.t.data.scalar.value), k.t.start_mark);
		*c = k.c;
		k.c = (struct ycarry){ 0 };
		token_release(&k);
		return 0;
	}
	return node_or_nothing(r, out, c, enders, block, block, depth);
}

/* One 'key: value' or '? key' of a mapping, from the token KEY or VALUE on. */
static int parse_pair(struct reader *r, struct pairs *p, const yaml_token_type_t *enders, bool block, int depth)
{
	autonode struct node *key = NULL, *value = NULL;
	autocall(ycarry_release) struct ycarry kc = { 0 }, vc = { 0 };
	yaml_mark_t at = mark(r);
	struct node *k;
	bool merge = false, was_null;

	if (pair_key(r, &key, &kc, enders, block, &merge, depth) ||
	    pair_value(r, &value, &vc, enders, block, depth))
		return -1;
	if (merge)
		return pair_merge(r, p, take(value), at);
	if (r->keep)
		note_own(value, &vc);
	was_null = value->kind == NODE_NULL;
	k = take(key);
	if (pair_add(r, p, k, take(value), at))
		return -1;
	if (r->keep && !p->again)
		note_pair(p, k, &kc, &vc);
	p->last_null = was_null;
	return 0;
}

/* Comments before the end of a block collection belong to it as its last. */
static void note_end(struct ycarry *c, struct ycarry *end)
{
	if (!end->set || !end->pre)
		return;
	c->set = true;
	if (!c->five && !c->end)
		c->end = take(end->pre);
	ylist_drop(take(end->pre));
}

static int parse_block_map(struct reader *r, struct node **out, struct ycarry *c, int depth)
{
	static const yaml_token_type_t enders[] = { YAML_KEY_TOKEN, YAML_VALUE_TOKEN, YAML_BLOCK_END_TOKEN, 0 };
	autocall(pairs_release) struct pairs p = { .map = at_mark(node_map(), mark(r)) };
	autocall(token_release) struct token start = { 0 }, end = { 0 };

	if (get(r, &start))
		return -1;
	*c = start.c;
	start.c = (struct ycarry){ 0 };
	for (;;) {
		if (ahead(r))
			return -1;
		if (type(r) == YAML_BLOCK_END_TOKEN)
			break;
		if (type(r) != YAML_KEY_TOKEN && type(r) != YAML_VALUE_TOKEN)
			return unexpected(r, "in a block mapping");
		if (parse_pair(r, &p, enders, true, depth))
			return -1;
	}
	if (get(r, &end) || pass_on(r, &end.c, false))
		return -1;
	note_end(c, &end.c);
	return pairs_end(r, &p, out);
}

static void note_item(struct node *seq, struct ycarry *c)
{
	struct yaml_rt *rt;

	if (seq->v[seq->n - 1]->rt && seq->v[seq->n - 1]->rt->head)
		yaml_rt_of(seq)->item_lost = true;
	if (!c->set)
		return;
	rt = yaml_rt_of(seq);
	rt->item = xreallocarray(rt->item, seq->n, sizeof(*rt->item));
	memset(rt->item + rt->nitem, 0, (seq->n - rt->nitem) * sizeof(*rt->item));
	rt->nitem = seq->n;
	rt->item[seq->n - 1].set = true;
	note_take(&rt->item[seq->n - 1].post, &rt->item[seq->n - 1].pre, c);
}

static int seq_items(struct reader *r, struct node *seq, bool indentless, int depth)
{
	static const yaml_token_type_t enders[] = { YAML_BLOCK_ENTRY_TOKEN, YAML_BLOCK_END_TOKEN, 0 },
		open_enders[] = { YAML_BLOCK_ENTRY_TOKEN, YAML_KEY_TOKEN, YAML_VALUE_TOKEN, YAML_BLOCK_END_TOKEN, 0 };

	for (;;) {
		autocall(ycarry_release) struct ycarry c = { 0 };
		struct node *item;

		if (ahead(r))
			return -1;
		if (type(r) != YAML_BLOCK_ENTRY_TOKEN)
			return 0;
		if (drop_passing(r) ||
		    node_or_nothing(r, &item, &c, indentless ? open_enders : enders, true, false, depth))
			return -1;
		node_push(seq, item);
		if (r->keep)
			note_item(seq, &c);
	}
}

/* What the first dash's token carries belongs to the sequence. */
static void open_seq(struct reader *r, struct ycarry *c, bool indentless)
{
	struct ycarry *from = &front(r)->c;

	if (!from->set)
		return;
	if (indentless) {
		c->set = from->post || from->pre;
		c->post = take(from->post);
		if (!c->post)
			c->pre = take(from->pre);
		return;
	}
	c->set = from->post || from->pre;
	c->post = take(from->post);
	c->pre = take(from->pre);
	c->five = from->five && c->pre;
}

static int parse_block_seq(struct reader *r, struct node **out, struct ycarry *c, bool indentless, int depth)
{
	autonode struct node *seq = at_mark(node_seq(), mark(r));

	open_seq(r, c, indentless);
	if ((!indentless && drop(r)) || seq_items(r, seq, indentless, depth))
		return -1;
	if (!indentless && type(r) != YAML_BLOCK_END_TOKEN)
		return unexpected(r, "in a block sequence");
	if (!indentless) {
		autocall(token_release) struct token end = { 0 };

		if (get(r, &end))
			return -1;
		note_end(c, &end.c);
	} else {
		note_end(c, &front(r)->c);
	}
	*out = take(seq);
	return 0;
}

/* A mapping of one pair that stands in a flow sequence without braces. */
static int parse_flow_pair(struct reader *r, struct node **out, int depth)
{
	static const yaml_token_type_t enders[] = { YAML_VALUE_TOKEN, YAML_FLOW_ENTRY_TOKEN,
		YAML_FLOW_SEQUENCE_END_TOKEN, 0 };
	autocall(pairs_release) struct pairs p = { .map = at_mark(node_map(), mark(r)) };

	if (parse_pair(r, &p, enders, false, depth) || pairs_end(r, &p, out))
		return -1;
	if (r->keep && (*out)->n)
		yaml_rt_of(*out)->flow = 1;
	return 0;
}

/* Before an item that is not the first: the comma. */
static int flow_comma(struct reader *r, bool first, yaml_token_type_t end, const char *where)
{
	if (ahead(r))
		return -1;
	if (first || type(r) == end)
		return 0;
	if (type(r) != YAML_FLOW_ENTRY_TOKEN)
		return unexpected(r, where);
	return drop(r) || ahead(r) ? -1 : 0;
}

/* The comments of a flow collection: those of its end, if there are any, else those of its start. */
static int flow_end(struct reader *r, struct ycarry *c)
{
	autocall(token_release) struct token end = { 0 };

	if (get(r, &end))
		return -1;
	if (!end.c.set)
		return 0;
	ycarry_release(c);
	*c = end.c;
	end.c = (struct ycarry){ 0 };
	c->five = false;
	c->end = take(c->pre);
	return 0;
}

static int flow_start(struct reader *r, struct ycarry *c)
{
	autocall(token_release) struct token start = { 0 };

	if (get(r, &start))
		return -1;
	*c = start.c;
	start.c = (struct ycarry){ 0 };
	return 0;
}

static int parse_flow_seq(struct reader *r, struct node **out, struct ycarry *c, int depth)
{
	autonode struct node *seq = at_mark(node_seq(), mark(r));

	if (flow_start(r, c))
		return -1;
	for (;;) {
		autocall(ycarry_release) struct ycarry ic = { 0 };
		struct node *item;

		if (flow_comma(r, !seq->n, YAML_FLOW_SEQUENCE_END_TOKEN, "in a flow sequence"))
			return -1;
		if (type(r) == YAML_FLOW_SEQUENCE_END_TOKEN)
			break;
		if (type(r) == YAML_KEY_TOKEN ? parse_flow_pair(r, &item, depth) :
		    parse_node(r, &item, &ic, false, false, depth))
			return -1;
		node_push(seq, item);
		if (r->keep)
			note_item(seq, &ic);
	}
	*out = take(seq);
	return flow_end(r, c);
}

static int parse_flow_map(struct reader *r, struct node **out, struct ycarry *c, int depth)
{
	static const yaml_token_type_t enders[] = { YAML_VALUE_TOKEN, YAML_FLOW_ENTRY_TOKEN,
		YAML_FLOW_MAPPING_END_TOKEN, 0 };
	autocall(pairs_release) struct pairs p = { .map = at_mark(node_map(), mark(r)) };
	bool first = true;

	if (flow_start(r, c))
		return -1;
	for (;; first = false) {
		if (flow_comma(r, first, YAML_FLOW_MAPPING_END_TOKEN, "in a flow mapping"))
			return -1;
		if (type(r) == YAML_FLOW_MAPPING_END_TOKEN)
			break;
		if (parse_pair(r, &p, enders, false, depth))
			return -1;
	}
	return flow_end(r, c) || pairs_end(r, &p, out) ? -1 : 0;
}

static const struct { const char *name; enum yaml_tag tag; } core_tags[] = {
	{ "str", YTAG_STR }, { "null", YTAG_NULL }, { "bool", YTAG_BOOL }, { "int", YTAG_INT },
	{ "float", YTAG_FLOAT }, { "timestamp", YTAG_DATE },
};

/* The text of a !!tag's scalar must be one of the tag's kind. */
static bool fits_tag(enum yaml_tag tag, const char *s, size_t n, bool v11)
{
	enum yaml_tag is = yaml_resolve(s, n, v11);

	return tag == YTAG_STR || tag == YTAG_NULL || is == tag || (tag == YTAG_FLOAT && is == YTAG_INT);
}

static int tag_scalar(struct reader *r, struct node **out, const char *tag, const char *s, size_t n, yaml_mark_t at)
{
	for (size_t i = 0; i < ARRAY_LEN(core_tags); i++) {
		if (strcmp(core_tags[i].name, tag))
			continue;
		if (!fits_tag(core_tags[i].tag, s, n, r->v11) ||
		    !(*out = yaml_value(core_tags[i].tag, s, n, r->v11)))
			return fail_at(r, at, "'%.80s' is no !!%s", s, tag);
		return 0;
	}
	return fail_at(r, at, "the tag '!!%s' does not fit a scalar", tag);
}

static int plain_scalar(struct reader *r, struct node **out, const char *s, size_t n, yaml_mark_t at)
{
	enum yaml_tag tag = yaml_resolve(s, n, r->v11);

	if (tag == YTAG_VALUE || tag == YTAG_MERGE)
		return fail_at(r, at, "a bare '%s' has no meaning here", s);
	*out = yaml_value(tag, s, n, r->v11);
	if (!*out)
		return fail_at(r, at, "'%.80s' looks like a %s but is none", s,
			       tag == YTAG_DATE ? "date" : "number");
	if (r->keep && (tag == YTAG_INT || tag == YTAG_FLOAT || tag == YTAG_DATE)) {
		char *shown = yaml_number_shown(s, n, *out, r->v11);

		if (shown)
			yaml_rt_of(*out)->shown = shown;
	}
	return 0;
}

struct props {
	char *anchor, *tag;     /* tag: NULL, "!" or the name after "!!" */
	yaml_mark_t at;
	bool any;
};

static void props_release(struct props *p)
{
	free(p->anchor);
	free(p->tag);
}

static int props_tag(struct reader *r, struct props *p)
{
	static const char core[] = "tag:yaml.org,2002:";
	const yaml_token_t *t = &front(r)->t;
	const char *handle = (const char *)t->data.tag.handle, *suffix = (const char *)t->data.tag.suffix;

	if (!strcmp(handle, "!!"))
		p->tag = xstrdup(suffix);
	else if (!*handle && !strncmp(suffix, core, strlen(core)))
		p->tag = xstrdup(suffix + strlen(core));
	else if ((!strcmp(handle, "!") && !*suffix) || (!*handle && !strcmp(suffix, "!")))
		p->tag = xstrdup("!");
	else
		return fail_at(r, mark(r), "unknown tag '%s%s'", handle, suffix);
	return 0;
}

static int parse_props(struct reader *r, struct props *p)
{
	for (;;) {
		if (ahead(r))
			return -1;
		if (!p->any)
			p->at = mark(r);
		if (type(r) == YAML_ANCHOR_TOKEN && !p->anchor)
			p->anchor = xstrdup((const char *)front(r)->t.data.anchor.value);
		else if (type(r) != YAML_TAG_TOKEN || p->tag)
			return 0;
		else if (props_tag(r, p))
			return -1;
		if (p->any ? drop(r) : drop_passing(r))
			return -1;
		p->any = true;
	}
}

static void keep_style(struct node *n, struct token *k)
{
	yaml_scalar_style_t style = k->t.data.scalar.style;

	if (style != YAML_LITERAL_SCALAR_STYLE && style != YAML_FOLDED_SCALAR_STYLE)
		return;
	yaml_rt_of(n)->style = style == YAML_LITERAL_SCALAR_STYLE ? '|' : '>';
	n->rt->head = take(k->head);
	n->rt->shown = take(k->folds);
}

/* A '!!str' is written back as it stood. */
static void keep_tag(struct node *n, const struct token *k)
{
	struct yaml_rt *rt = yaml_rt_of(n);

	rt->tag = xstrdup("!!str");
	rt->style = k->t.data.scalar.style == YAML_SINGLE_QUOTED_SCALAR_STYLE ? '\'' :
		k->t.data.scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE ? '"' : 0;
}

static int parse_scalar(struct reader *r, struct node **out, struct ycarry *c, const struct props *p)
{
	autocall(token_release) struct token k = { 0 };
	const char *s;
	size_t n;
	yaml_mark_t at;

	if (get(r, &k))
		return -1;
	s = (const char *)k.t.data.scalar.value;
	n = k.t.data.scalar.length;
	at = k.t.start_mark;
	*c = k.c;
	k.c = (struct ycarry){ 0 };
	if (p->tag && strcmp(p->tag, "!")) {
		if (tag_scalar(r, out, p->tag, s, n, at))
			return -1;
		if (r->keep && !strcmp(p->tag, "str"))
			keep_tag(*out, &k);
		return 0;
	}
	if (p->tag || k.t.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return plain_scalar(r, out, s, n, at);
	*out = node_strn(s, n);
	if (r->keep)
		keep_style(*out, &k);
	return 0;
}

/* !!set, !!omap and !!pairs change what a collection is. */
static int retag(struct reader *r, struct node **n, const struct props *p)
{
	bool is_map = (*n)->kind == NODE_MAP;
	struct node *other;

	if (!p->tag || !strcmp(p->tag, "!") || !strcmp(p->tag, is_map ? "map" : "seq"))
		return 0;
	if (is_map && !strcmp(p->tag, "set")) {
		other = node_seq();
		other->is_set = true;
		for (size_t i = 0; i < (*n)->n; i++)
			node_push(other, node_copy((*n)->k[i]));
	} else if (!is_map && !strcmp(p->tag, "omap")) {
		other = node_map();
		for (size_t i = 0; i < (*n)->n; i++) {
			const struct node *one = (*n)->v[i];

			if (one->kind == NODE_MAP && one->n == 1)
				node_set_node(other, node_copy(one->k[0]), node_copy(one->v[0]));
		}
		if (other->n != (*n)->n) {
			node_free(other);
			return fail_at(r, p->at, "an ordered map wants a list of single pairs");
		}
	} else {
		return fail_at(r, p->at, "the tag '!!%s' does not fit", p->tag);
	}
	node_free(*n);
	*n = other;
	return 0;
}

static int parse_content(struct reader *r, struct node **out, struct ycarry *c, const struct props *p, bool block,
			 bool indentless, int depth)
{
	int rc;

	switch (type(r)) {
	case YAML_SCALAR_TOKEN:
		return parse_scalar(r, out, c, p);
	case YAML_FLOW_SEQUENCE_START_TOKEN:
	case YAML_FLOW_MAPPING_START_TOKEN:
		rc = type(r) == YAML_FLOW_SEQUENCE_START_TOKEN ? parse_flow_seq(r, out, c, depth - 1) :
			parse_flow_map(r, out, c, depth - 1);
		if (!rc && r->keep && (*out)->n)
			yaml_rt_of(*out)->flow = 1;
		return rc;
	case YAML_BLOCK_ENTRY_TOKEN:
		if (indentless)
			return parse_block_seq(r, out, c, true, depth - 1);
		break;
	case YAML_BLOCK_SEQUENCE_START_TOKEN:
		if (block)
			return parse_block_seq(r, out, c, false, depth - 1);
		break;
	case YAML_BLOCK_MAPPING_START_TOKEN:
		if (block)
			return parse_block_map(r, out, c, depth - 1);
		break;
	default:
		break;
	}
	if (!p->any)
		return unexpected(r, "where a value belongs");
	if (p->tag && strcmp(p->tag, "!"))
		return tag_scalar(r, out, p->tag, "", 0, p->at);
	*out = node_null();
	return 0;
}

static int parse_node(struct reader *r, struct node **out, struct ycarry *c, bool block, bool indentless, int depth)
{
	autocall(props_release) struct props p = { NULL, NULL, { 0, 0, 0 }, false };

	if (depth <= 0)
		return fail_at(r, mark(r), "nested deeper than %d", DEPTH_MAX);
	switch (next_is(r, YAML_ALIAS_TOKEN)) {
	case -1:
		return -1;
	case 1:
		return parse_alias(r, out);
	}
	*out = NULL;
	if (parse_props(r, &p) || parse_content(r, out, c, &p, block, indentless, depth)) {
		node_free(take(*out));
		return -1;
	}
	at_mark(*out, p.at);
	if (((*out)->kind >= NODE_SEQ && retag(r, out, &p)) || remember(r, p.anchor, *out, p.at)) {
		node_free(take(*out));
		return -1;
	}
	return 0;
}

/* Directives and '---'. Gives whether a document starts here at all. */
static int parse_prologue(struct reader *r, bool *empty)
{
	bool directives = false;

	for (;;) {
		const yaml_token_t *t;

		if (ahead(r))
			return -1;
		t = &front(r)->t;
		if (t->type == YAML_VERSION_DIRECTIVE_TOKEN) {
			if (t->data.version_directive.major != 1)
				return fail_at(r, mark(r), "found incompatible YAML document");
			r->v11 = t->data.version_directive.minor <= 1;
			directives = true;
		} else if (t->type == YAML_TAG_DIRECTIVE_TOKEN) {
			directives = true;
		} else if (t->type != YAML_DOCUMENT_END_TOKEN && t->type != YAML_STREAM_START_TOKEN) {
			break;
		}
		if (drop(r))
			return -1;
	}
	*empty = type(r) == YAML_STREAM_END_TOKEN;
	if (type(r) == YAML_DOCUMENT_START_TOKEN)
		return drop(r);
	return directives ? unexpected(r, "after a directive") : 0;
}

static int parse_end(struct reader *r)
{
	for (;;) {
		if (ahead(r))
			return -1;
		if (type(r) != YAML_DOCUMENT_END_TOKEN)
			break;
		if (drop(r))
			return -1;
	}
	if (type(r) == YAML_STREAM_END_TOKEN)
		return 0;
	if (type(r) == YAML_DOCUMENT_START_TOKEN)
		return fail_at(r, mark(r), "expected a single document but found another");
	return unexpected(r, "after the document");
}

static int parse_document(struct reader *r, struct node **out)
{
	static const yaml_token_type_t enders[] = { YAML_DOCUMENT_START_TOKEN, YAML_DOCUMENT_END_TOKEN,
		YAML_STREAM_END_TOKEN, 0 };
	autonode struct node *root = NULL;
	autocall(ycarry_release) struct ycarry c = { 0 };
	bool empty = true;

	if (parse_prologue(r, &empty))
		return -1;
	if (empty) {
		*out = node_null();
		return 0;
	}
	if (node_or_nothing(r, &root, &c, enders, true, false, DEPTH_MAX) || parse_end(r))
		return -1;
	if (r->keep)
		note_own(root, &c);
	*out = take(root);
	return 0;
}

static void free_node(void *n)
{
	node_free(n);
}

int yaml_parse(struct node **out, const char *text, size_t len, const char *name, unsigned flags, struct err *e)
{
	struct reader r = { .name = name, .keep = flags & YAML_KEEP, .e = e, .cur = { text, text + len, 0, 0, 0 },
			    .tab = { text, text + len, 0, 0, 0 }, .tabs = len && memchr(text, '\t', len) };
	int rc;

	if (!yaml_parser_initialize(&r.lib))
		return err_set(e, ERR_FAIL, "cannot start the YAML parser");
	yaml_parser_set_encoding(&r.lib, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.lib, (const unsigned char *)text, len);
	rc = parse_document(&r, out);
	for (; r.from < r.n; r.from++)
		token_release(&r.q[r.from]);
	free(r.q);
	free(r.indent);
	yaml_parser_delete(&r.lib);
	map_release(&r.anchors, free_node);
	return rc;
}

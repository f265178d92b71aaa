/*
 * yaml_read - text to values: the grammar over the tokens. It is ours and not libyaml's parser, because comments
 * have to find their place between the tokens as ruamel.yaml finds it.
 */
#include "core/base/yaml.h"

#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml_token.h"

#define DEPTH_MAX 256
/* Values that aliases and merges may add to what the text itself holds. */
#define EXPAND_MAX 1000000

static int unexpected(struct reader *r, const char *where)
{
	static const char *const name[] = {
		"nothing", "start of stream", "end of stream", "directive", "directive", "'---'", "'...'",
		"start of a sequence", "start of a mapping", "end of a block", "'['", "']'", "'{'", "'}'", "'-'",
		"','", "a key", "':'", "an alias", "an anchor", "a tag", "a scalar"
	};
	bool known = (size_t)ytok_type(r) < ARRAY_LEN(name);

	return ytok_fail(r, ytok_mark(r), "unexpected %s %s", known ? name[ytok_type(r)] : "token", where);
}
/* Looks ahead; -1 on error. */
static int next_is(struct reader *r, enum ytok_type what)
{
	return ytok_ahead(r) ? -1 : ytok_type(r) == what;
}

static int parse_node(struct reader *r, struct node **out, struct ycarry *c, bool block, bool indentless, int depth);

static struct node *at_mark(struct node *n, struct ymark m)
{
	n->line = m.line + 1;
	n->col = m.col + 1;
	return n;
}

static size_t weight(const struct node *n)
{
	size_t sum = 1;

	for (size_t i = 0; i < n->n; i++)
		sum += weight(n->v[i]) + (n->k ? weight(n->k[i]) : 0);
	return sum;
}

static int expand(struct reader *r, const struct node *n, struct ymark at)
{
	r->expanded += weight(n);
	if (r->expanded > EXPAND_MAX)
		return ytok_fail(r, at, "aliases expand to more than %d values", EXPAND_MAX);
	return 0;
}

static int parse_alias(struct reader *r, struct node **out)
{
	const char *name = ytok_front(r)->text;
	struct node *known = map_get(&r->anchors, name);

	if (!known)
		return ytok_fail(r, ytok_mark(r), "unknown alias '%s'", name);
	if (expand(r, known, ytok_mark(r)))
		return -1;
	*out = node_copy(known);
	if (r->keep || known->kind < NODE_SEQ)  /* else it stands where the one object stands: yaml_mark_shared() */
		at_mark(*out, ytok_mark(r));
	if (r->keep && known->rt && known->rt->anchor)
		yaml_rt_of(*out)->alias = xstrdup(name);
	return ytok_drop(r);
}

static int remember(struct reader *r, const char *anchor, struct node *n, struct ymark at)
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
	struct ymark again_at;
	bool last_null;
};

static void pairs_release(struct pairs *p)
{
	node_free(p->map);
	node_free(p->merged);
	node_free(p->merge);
	free(p->again);
}

static int merge_one(struct reader *r, struct node *into, const struct node *from, struct ymark at)
{
	if (from->kind != NODE_MAP)
		return ytok_fail(r, at, "expected a mapping for merging");
	if (expand(r, from, at))
		return -1;
	for (size_t i = 0; i < from->n; i++)
		node_set_node(into, node_copy(from->k[i]), node_copy(from->v[i]));
	return 0;
}

static int merge_add(struct reader *r, struct pairs *p, struct node *value, struct ymark at)
{
	if (p->merged)
		return ytok_fail(r, at, "duplicate merge key \"<<\"");
	p->merged = node_map();
	p->merge_pos = p->map->n;
	if (value->kind != NODE_SEQ)
		return merge_one(r, p->merged, value, at);
	for (size_t i = value->n; i-- > 0; )
		if (merge_one(r, p->merged, value->v[i], at))
			return -1;
	return 0;
}

static int pair_merge(struct reader *r, struct pairs *p, struct node *value, struct ymark at)
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

static int pair_add(struct reader *r, struct pairs *p, struct node *key, struct node *value, struct ymark at)
{
	if (key->kind == NODE_SEQ)
		key->is_tuple = true;
	if (key->kind == NODE_MAP) {
		node_free(key);
		node_free(value);
		return ytok_fail(r, at, "a mapping cannot be a key");
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
		return ytok_fail(r, p->again_at, "duplicate key \"%s\"", p->again);
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
	return at_mark(node_null(), ytok_mark(r));
}

static bool closes(enum ytok_type t, const enum ytok_type *list)
{
	for (; *list; list++)
		if (t == *list)
			return true;
	return false;
}

static int node_or_nothing(struct reader *r, struct node **out, struct ycarry *c, const enum ytok_type *enders,
			   bool block, bool indentless, int depth)
{
	if (ytok_ahead(r))
		return -1;
	if (!closes(ytok_type(r), enders))
		return parse_node(r, out, c, block, indentless, depth);
	*out = nothing(r);
	return 0;
}

static bool is_plain_text(const struct reader *r, const char *text)
{
	return ytok_type(r) == YTOK_SCALAR && !ytok_front(r)->style &&
	       !strcmp(ytok_front(r)->text, text);
}

/* What stands for the value after "key:": a comment there goes on, or stays with the empty value. */
static int block_value(struct reader *r, struct node **out, struct ycarry *c, const enum ytok_type *enders, int depth)
{
	autocall(ytok_release) struct ytok colon = { 0 };

	if (ytok_get(r, &colon) || ytok_ahead(r))
		return -1;
	if (ytok_type(r) != YTOK_KEY && ytok_pass_on(r, &colon.c, ytok_type(r) != YTOK_VALUE))
		return -1;
	if (!closes(ytok_type(r), enders))
		return parse_node(r, out, c, true, true, depth);
	*out = nothing(r);
	if (colon.c.set) {
		*c = colon.c;
		colon.c = (struct ycarry){ 0 };
	} else if (ytok_front(r)->c.set) {
		struct ycarry *next = &ytok_front(r)->c;

		c->set = true;
		c->post = take(next->post);
		ycomment_drop(take(next->fifth));
		next->five = false;
	}
	return 0;
}

static int pair_value(struct reader *r, struct node **out, struct ycarry *c, const enum ytok_type *enders, bool block,
		      int depth)
{
	switch (next_is(r, YTOK_VALUE)) {
	case -1:
		return -1;
	case 0:
		*out = nothing(r);
		return 0;
	}
	if (block)
		return block_value(r, out, c, enders, depth);
	return ytok_drop(r) || node_or_nothing(r, out, c, enders, false, false, depth) ? -1 : 0;
}

static int pair_key(struct reader *r, struct node **out, struct ycarry *c, const enum ytok_type *enders, bool block,
		    bool *merge, int depth)
{
	if (ytok_type(r) == YTOK_VALUE) {
		*out = nothing(r);
		return 0;
	}
	if (ytok_type(r) == YTOK_KEY && ((block ? ytok_drop_passing(r) : ytok_drop(r)) || ytok_ahead(r)))
		return -1;
	*merge = is_plain_text(r, "<<");
	if (*merge || is_plain_text(r, "=")) {
		struct ytok k;

		if (ytok_get(r, &k))
			return -1;
		*out = at_mark(node_str(k.text), k.start);
		*c = k.c;
		k.c = (struct ycarry){ 0 };
		ytok_release(&k);
		return 0;
	}
	return node_or_nothing(r, out, c, enders, block, block, depth);
}

/* One 'key: value' or '? key' of a mapping, from the token KEY or VALUE on. */
static int parse_pair(struct reader *r, struct pairs *p, const enum ytok_type *enders, bool block, int depth)
{
	autonode struct node *key = NULL, *value = NULL;
	autocall(ycarry_release) struct ycarry kc = { 0 }, vc = { 0 };
	struct ymark at = ytok_mark(r);
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
	static const enum ytok_type enders[] = { YTOK_KEY, YTOK_VALUE, YTOK_BLOCK_END, 0 };
	autocall(pairs_release) struct pairs p = { .map = at_mark(node_map(), ytok_mark(r)) };
	autocall(ytok_release) struct ytok start = { 0 }, end = { 0 };

	if (ytok_get(r, &start))
		return -1;
	*c = start.c;
	start.c = (struct ycarry){ 0 };
	for (;;) {
		if (ytok_ahead(r))
			return -1;
		if (ytok_type(r) == YTOK_BLOCK_END)
			break;
		if (ytok_type(r) != YTOK_KEY && ytok_type(r) != YTOK_VALUE)
			return unexpected(r, "in a block mapping");
		if (parse_pair(r, &p, enders, true, depth))
			return -1;
	}
	if (ytok_get(r, &end) || ytok_pass_on(r, &end.c, false))
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
	static const enum ytok_type enders[] = { YTOK_ENTRY, YTOK_BLOCK_END, 0 },
		open_enders[] = { YTOK_ENTRY, YTOK_KEY, YTOK_VALUE, YTOK_BLOCK_END, 0 };

	for (;;) {
		autocall(ycarry_release) struct ycarry c = { 0 };
		struct node *item;

		if (ytok_ahead(r))
			return -1;
		if (ytok_type(r) != YTOK_ENTRY)
			return 0;
		if (ytok_drop_passing(r) ||
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
	struct ycarry *from = &ytok_front(r)->c;

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
	autonode struct node *seq = at_mark(node_seq(), ytok_mark(r));

	open_seq(r, c, indentless);
	if ((!indentless && ytok_drop(r)) || seq_items(r, seq, indentless, depth))
		return -1;
	if (!indentless && ytok_type(r) != YTOK_BLOCK_END)
		return unexpected(r, "in a block sequence");
	if (!indentless) {
		autocall(ytok_release) struct ytok end = { 0 };

		if (ytok_get(r, &end))
			return -1;
		note_end(c, &end.c);
	} else {
		note_end(c, &ytok_front(r)->c);
	}
	*out = take(seq);
	return 0;
}

/* A mapping of one pair that stands in a flow sequence without braces. */
static int parse_flow_pair(struct reader *r, struct node **out, int depth)
{
	static const enum ytok_type enders[] = { YTOK_VALUE, YTOK_COMMA,
		YTOK_FLOW_SEQ_END, 0 };
	autocall(pairs_release) struct pairs p = { .map = at_mark(node_map(), ytok_mark(r)) };

	if (parse_pair(r, &p, enders, false, depth) || pairs_end(r, &p, out))
		return -1;
	if (r->keep && (*out)->n)
		yaml_rt_of(*out)->flow = 1;
	return 0;
}

/* Before an item that is not the first: the comma. */
static int flow_comma(struct reader *r, bool first, enum ytok_type end, const char *where)
{
	if (ytok_ahead(r))
		return -1;
	if (first || ytok_type(r) == end)
		return 0;
	if (ytok_type(r) != YTOK_COMMA)
		return unexpected(r, where);
	return ytok_drop(r) || ytok_ahead(r) ? -1 : 0;
}

/* The comments of a flow collection: those of its end, if there are any, else those of its start. */
static int flow_end(struct reader *r, struct ycarry *c)
{
	autocall(ytok_release) struct ytok end = { 0 };

	if (ytok_get(r, &end))
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
	autocall(ytok_release) struct ytok start = { 0 };

	if (ytok_get(r, &start))
		return -1;
	*c = start.c;
	start.c = (struct ycarry){ 0 };
	return 0;
}

static int parse_flow_seq(struct reader *r, struct node **out, struct ycarry *c, int depth)
{
	autonode struct node *seq = at_mark(node_seq(), ytok_mark(r));

	if (flow_start(r, c))
		return -1;
	for (;;) {
		autocall(ycarry_release) struct ycarry ic = { 0 };
		struct node *item;

		if (flow_comma(r, !seq->n, YTOK_FLOW_SEQ_END, "in a flow sequence"))
			return -1;
		if (ytok_type(r) == YTOK_FLOW_SEQ_END)
			break;
		if (ytok_type(r) == YTOK_KEY ? parse_flow_pair(r, &item, depth) :
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
	static const enum ytok_type enders[] = { YTOK_VALUE, YTOK_COMMA,
		YTOK_FLOW_MAP_END, 0 };
	autocall(pairs_release) struct pairs p = { .map = at_mark(node_map(), ytok_mark(r)) };
	bool first = true;

	if (flow_start(r, c))
		return -1;
	for (;; first = false) {
		if (flow_comma(r, first, YTOK_FLOW_MAP_END, "in a flow mapping"))
			return -1;
		if (ytok_type(r) == YTOK_FLOW_MAP_END)
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

static int tag_scalar(struct reader *r, struct node **out, const char *tag, const char *s, size_t n, struct ymark at)
{
	for (size_t i = 0; i < ARRAY_LEN(core_tags); i++) {
		if (strcmp(core_tags[i].name, tag))
			continue;
		if (!fits_tag(core_tags[i].tag, s, n, r->v11) ||
		    !(*out = yaml_value(core_tags[i].tag, s, n, r->v11)))
			return ytok_fail(r, at, "'%.80s' is no !!%s", s, tag);
		return 0;
	}
	return ytok_fail(r, at, "the tag '!!%s' does not fit a scalar", tag);
}

static int plain_scalar(struct reader *r, struct node **out, const char *s, size_t n, struct ymark at)
{
	enum yaml_tag tag = yaml_resolve(s, n, r->v11);

	if (tag == YTAG_VALUE || tag == YTAG_MERGE)
		return ytok_fail(r, at, "a bare '%s' has no meaning here", s);
	*out = yaml_value(tag, s, n, r->v11);
	if (!*out)
		return ytok_fail(r, at, "'%.80s' looks like a %s but is none", s,
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
	struct ymark at;
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
	const char *handle = ytok_front(r)->handle, *suffix = ytok_front(r)->text;

	if (!strcmp(handle, "!!"))
		p->tag = xstrdup(suffix);
	else if (!*handle && !strncmp(suffix, core, strlen(core)))
		p->tag = xstrdup(suffix + strlen(core));
	else if ((!strcmp(handle, "!") && !*suffix) || (!*handle && !strcmp(suffix, "!")))
		p->tag = xstrdup("!");
	else
		return ytok_fail(r, ytok_mark(r), "unknown tag '%s%s'", handle, suffix);
	return 0;
}

static int parse_props(struct reader *r, struct props *p)
{
	for (;;) {
		if (ytok_ahead(r))
			return -1;
		if (!p->any)
			p->at = ytok_mark(r);
		if (ytok_type(r) == YTOK_ANCHOR && !p->anchor)
			p->anchor = xstrdup(ytok_front(r)->text);
		else if (ytok_type(r) != YTOK_TAG || p->tag)
			return 0;
		else if (props_tag(r, p))
			return -1;
		if (p->any ? ytok_drop(r) : ytok_drop_passing(r))
			return -1;
		p->any = true;
	}
}

static void keep_style(struct node *n, struct ytok *k)
{
	if (k->style != '|' && k->style != '>')
		return;
	yaml_rt_of(n)->style = k->style;
	n->rt->head = take(k->head);
	n->rt->shown = take(k->folds);
}

/* A '!!str' is written back as it stood. */
static void keep_tag(struct node *n, const struct ytok *k)
{
	struct yaml_rt *rt = yaml_rt_of(n);

	rt->tag = xstrdup("!!str");
	rt->style = k->style == '\'' || k->style == '"' ? k->style : 0;
}

static int parse_scalar(struct reader *r, struct node **out, struct ycarry *c, const struct props *p)
{
	autocall(ytok_release) struct ytok k = { 0 };
	const char *s;
	size_t n;
	struct ymark at;

	if (ytok_get(r, &k))
		return -1;
	s = k.text;
	n = k.len;
	at = k.start;
	*c = k.c;
	k.c = (struct ycarry){ 0 };
	if (p->tag && strcmp(p->tag, "!")) {
		if (tag_scalar(r, out, p->tag, s, n, at))
			return -1;
		if (r->keep && !strcmp(p->tag, "str"))
			keep_tag(*out, &k);
		return 0;
	}
	if (p->tag || !k.style)
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
			return ytok_fail(r, p->at, "an ordered map wants a list of single pairs");
		}
	} else {
		return ytok_fail(r, p->at, "the tag '!!%s' does not fit", p->tag);
	}
	node_free(*n);
	*n = other;
	return 0;
}

static int parse_content(struct reader *r, struct node **out, struct ycarry *c, const struct props *p, bool block,
			 bool indentless, int depth)
{
	int rc;

	switch (ytok_type(r)) {
	case YTOK_SCALAR:
		return parse_scalar(r, out, c, p);
	case YTOK_FLOW_SEQ_START:
	case YTOK_FLOW_MAP_START:
		rc = ytok_type(r) == YTOK_FLOW_SEQ_START ? parse_flow_seq(r, out, c, depth - 1) :
			parse_flow_map(r, out, c, depth - 1);
		if (!rc && r->keep && (*out)->n)
			yaml_rt_of(*out)->flow = 1;
		return rc;
	case YTOK_ENTRY:
		if (indentless)
			return parse_block_seq(r, out, c, true, depth - 1);
		break;
	case YTOK_SEQ_START:
		if (block)
			return parse_block_seq(r, out, c, false, depth - 1);
		break;
	case YTOK_MAP_START:
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
		return ytok_fail(r, ytok_mark(r), "nested deeper than %d", DEPTH_MAX);
	switch (next_is(r, YTOK_ALIAS)) {
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
		const struct ytok *t;

		if (ytok_ahead(r))
			return -1;
		t = ytok_front(r);
		if (t->type == YTOK_VERSION) {
			if (t->major != 1)
				return ytok_fail(r, ytok_mark(r), "found incompatible YAML document");
			r->v11 = t->minor <= 1;
			directives = true;
		} else if (t->type == YTOK_TAG_DIRECTIVE) {
			directives = true;
		} else if (t->type != YTOK_DOC_END && t->type != YTOK_STREAM_START) {
			break;
		}
		if (ytok_drop(r))
			return -1;
	}
	*empty = ytok_type(r) == YTOK_STREAM_END;
	if (ytok_type(r) == YTOK_DOC_START)
		return ytok_drop(r);
	return directives ? unexpected(r, "after a directive") : 0;
}

static int parse_end(struct reader *r)
{
	for (;;) {
		if (ytok_ahead(r))
			return -1;
		if (ytok_type(r) != YTOK_DOC_END)
			break;
		if (ytok_drop(r))
			return -1;
	}
	if (ytok_type(r) == YTOK_STREAM_END)
		return 0;
	if (ytok_type(r) == YTOK_DOC_START)
		return ytok_fail(r, ytok_mark(r), "expected a single document but found another");
	return unexpected(r, "after the document");
}

static int parse_document(struct reader *r, struct node **out)
{
	static const enum ytok_type enders[] = { YTOK_DOC_START, YTOK_DOC_END,
		YTOK_STREAM_END, 0 };
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

int yaml_parse(struct node **out, const char *text, size_t len, const char *name, unsigned flags, struct err *e)
{
	struct ymark at = { 0 };
	struct reader r;
	int rc;

	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {      /* takes up no column */
		text += 3;
		len -= 3;
	}
	if (ytok_open(&r, text, len, name, flags & YAML_KEEP, e))
		return -1;
	if (yaml_expands_beyond(text, len, EXPAND_MAX, &at))
		rc = ytok_fail(&r, at, "aliases expand to more than %d values", EXPAND_MAX);
	else
		rc = parse_document(&r, out);
	ytok_close(&r);
	return rc;
}

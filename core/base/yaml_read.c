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

struct reader {
	yaml_parser_t lib;
	yaml_token_t tok;       /* the next token, when 'have' */
	bool have, v11;
	const char *name;
	struct map anchors;     /* name -> struct node, a copy of our own */
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

static int ahead(struct reader *r)
{
	if (r->have)
		return 0;
	if (!yaml_parser_scan(&r->lib, &r->tok))
		return fail_lib(r);
	r->have = true;
	return 0;
}

static void drop(struct reader *r)
{
	if (r->have)
		yaml_token_delete(&r->tok);
	r->have = false;
}

/* Looks ahead; -1 on error. */
static int next_is(struct reader *r, yaml_token_type_t type)
{
	return ahead(r) ? -1 : r->tok.type == type;
}

static int unexpected(struct reader *r, const char *where)
{
	static const char *const name[] = {
		"nothing", "start of stream", "end of stream", "directive", "directive", "'---'", "'...'", "start of a sequence",
		"start of a mapping", "end of a block", "'['", "']'", "'{'", "'}'", "'-'", "','", "a key", "':'",
		"an alias", "an anchor", "a tag", "a scalar"
	};

	return fail_at(r, r->tok.start_mark, "unexpected %s %s",
		       (size_t)r->tok.type < ARRAY_LEN(name) ? name[r->tok.type] : "token", where);
}

static int parse_node(struct reader *r, struct node **out, bool block, bool indentless, int depth);

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
	const char *name = (const char *)r->tok.data.alias.value;
	struct node *known = map_get(&r->anchors, name);

	if (!known)
		return fail_at(r, r->tok.start_mark, "unknown alias '%s'", name);
	if (expand(r, known, r->tok.start_mark))
		return -1;
	*out = at_mark(node_copy(known), r->tok.start_mark);
	drop(r);
	return 0;
}

static int remember(struct reader *r, const char *anchor, const struct node *n, yaml_mark_t at)
{
	if (!anchor)
		return 0;
	if (expand(r, n, at))
		return -1;
	node_free(map_put(&r->anchors, anchor, node_copy(n)));
	return 0;
}

/* '<<': the merged mappings' pairs come first; what the mapping says itself wins. */
struct pairs {
	struct node *map;       /* the own pairs */
	struct node *merged;    /* NULL until '<<' was seen */
	bool seen_merge;
};

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

static int merge_add(struct reader *r, struct pairs *p, const struct node *value, yaml_mark_t at)
{
	if (p->seen_merge)
		return fail_at(r, at, "duplicate merge key \"<<\"");
	p->seen_merge = true;
	p->merged = node_map();
	if (value->kind != NODE_SEQ)
		return merge_one(r, p->merged, value, at);
	for (size_t i = value->n; i-- > 0; )
		if (merge_one(r, p->merged, value->v[i], at))
			return -1;
	return 0;
}

static int pair_add(struct reader *r, struct pairs *p, struct node *key, struct node *value, yaml_mark_t at, bool merge)
{
	if (merge) {
		int rc = merge_add(r, p, value, at);

		node_free(key);
		node_free(value);
		return rc;
	}
	if (key->kind == NODE_SEQ)
		key->is_tuple = true;
	if (key->kind == NODE_MAP || node_get_node(p->map, key)) {
		autostr struct str text = STR_INIT;

		node_py_str(&text, key);
		if (key->kind == NODE_MAP)
			fail_at(r, at, "a mapping cannot be a key");
		else
			fail_at(r, at, "duplicate key \"%s\"", text.buf);
		node_free(key);
		node_free(value);
		return -1;
	}
	node_set_node(p->map, key, value);
	return 0;
}

/* Takes the pairs apart into the final mapping. */
static struct node *pairs_end(struct pairs *p)
{
	struct node *own = p->map;

	if (!p->merged)
		return take(p->map);
	for (size_t i = 0; i < own->n; i++)
		node_set_node(p->merged, own->k[i], own->v[i]);
	own->n = 0;
	p->merged->line = own->line;
	p->merged->col = own->col;
	node_free(take(p->map));
	return take(p->merged);
}

static void pairs_release(struct pairs *p)
{
	node_free(p->map);
	node_free(p->merged);
}

/* An empty value where the text has none. */
static struct node *nothing(const struct reader *r)
{
	return at_mark(node_null(), r->tok.start_mark);
}

static bool closes(yaml_token_type_t t, const yaml_token_type_t *list)
{
	for (; *list; list++)
		if (t == *list)
			return true;
	return false;
}

static int node_or_nothing(struct reader *r, struct node **out, const yaml_token_type_t *enders, bool block,
			   bool indentless, int depth)
{
	if (ahead(r))
		return -1;
	if (!closes(r->tok.type, enders))
		return parse_node(r, out, block, indentless, depth);
	*out = nothing(r);
	return 0;
}

static bool is_merge(const struct reader *r)
{
	return r->tok.type == YAML_SCALAR_TOKEN && r->tok.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       r->tok.data.scalar.length == 2 && !memcmp(r->tok.data.scalar.value, "<<", 2);
}

/* One 'key: value' or '? key' of a mapping, from the token KEY or VALUE on. */
static int parse_pair(struct reader *r, struct pairs *p, const yaml_token_type_t *enders, bool block, int depth)
{
	autonode struct node *key = NULL, *value = NULL;
	yaml_mark_t at = r->tok.start_mark;
	bool merge = false;

	if (r->tok.type == YAML_KEY_TOKEN) {
		drop(r);
		if (ahead(r))
			return -1;
		merge = is_merge(r);
		at = r->tok.start_mark;
		if (node_or_nothing(r, &key, enders, block, block, depth))
			return -1;
	} else if (r->tok.type != YAML_VALUE_TOKEN) {
		if (parse_node(r, &key, false, false, depth))
			return -1;
	} else {
		key = nothing(r);
	}
	switch (next_is(r, YAML_VALUE_TOKEN)) {
	case -1:
		return -1;
	case 1:
		drop(r);
		if (node_or_nothing(r, &value, enders, block, block, depth))
			return -1;
		break;
	default:
		value = nothing(r);
	}
	return pair_add(r, p, take(key), take(value), at, merge);
}

static int parse_block_map(struct reader *r, struct node **out, int depth)
{
	static const yaml_token_type_t enders[] = { YAML_KEY_TOKEN, YAML_VALUE_TOKEN, YAML_BLOCK_END_TOKEN, 0 };
	autocall(pairs_release) struct pairs p = { at_mark(node_map(), r->tok.start_mark), NULL, false };

	drop(r);
	for (;;) {
		if (ahead(r))
			return -1;
		if (r->tok.type == YAML_BLOCK_END_TOKEN)
			break;
		if (r->tok.type != YAML_KEY_TOKEN && r->tok.type != YAML_VALUE_TOKEN)
			return unexpected(r, "in a block mapping");
		if (parse_pair(r, &p, enders, true, depth))
			return -1;
	}
	drop(r);
	*out = pairs_end(&p);
	return 0;
}

static int parse_block_seq(struct reader *r, struct node **out, bool indentless, int depth)
{
	static const yaml_token_type_t enders[] = { YAML_BLOCK_ENTRY_TOKEN, YAML_BLOCK_END_TOKEN, 0 },
		open_enders[] = { YAML_BLOCK_ENTRY_TOKEN, YAML_KEY_TOKEN, YAML_VALUE_TOKEN, YAML_BLOCK_END_TOKEN, 0 };
	autonode struct node *seq = at_mark(node_seq(), r->tok.start_mark);

	if (!indentless)
		drop(r);
	for (;;) {
		struct node *item;

		if (ahead(r))
			return -1;
		if (r->tok.type != YAML_BLOCK_ENTRY_TOKEN)
			break;
		drop(r);
		if (node_or_nothing(r, &item, indentless ? open_enders : enders, true, false, depth))
			return -1;
		node_push(seq, item);
	}
	if (!indentless) {
		if (r->tok.type != YAML_BLOCK_END_TOKEN)
			return unexpected(r, "in a block sequence");
		drop(r);
	}
	*out = take(seq);
	return 0;
}

/* A mapping of one pair that stands in a flow sequence without braces. */
static int parse_flow_pair(struct reader *r, struct node **out, int depth)
{
	static const yaml_token_type_t enders[] = { YAML_VALUE_TOKEN, YAML_FLOW_ENTRY_TOKEN,
		YAML_FLOW_SEQUENCE_END_TOKEN, 0 };
	autocall(pairs_release) struct pairs p = { at_mark(node_map(), r->tok.start_mark), NULL, false };

	if (parse_pair(r, &p, enders, false, depth))
		return -1;
	*out = pairs_end(&p);
	return 0;
}

/* Before an item that is not the first: the comma. */
static int flow_comma(struct reader *r, bool first, yaml_token_type_t end, const char *where)
{
	if (ahead(r))
		return -1;
	if (first || r->tok.type == end)
		return 0;
	if (r->tok.type != YAML_FLOW_ENTRY_TOKEN)
		return unexpected(r, where);
	drop(r);
	return ahead(r);
}

static int parse_flow_seq(struct reader *r, struct node **out, int depth)
{
	autonode struct node *seq = at_mark(node_seq(), r->tok.start_mark);

	drop(r);
	for (;;) {
		struct node *item;

		if (flow_comma(r, !seq->n, YAML_FLOW_SEQUENCE_END_TOKEN, "in a flow sequence"))
			return -1;
		if (r->tok.type == YAML_FLOW_SEQUENCE_END_TOKEN)
			break;
		if (r->tok.type == YAML_KEY_TOKEN ? parse_flow_pair(r, &item, depth) :
		    parse_node(r, &item, false, false, depth))
			return -1;
		node_push(seq, item);
	}
	drop(r);
	*out = take(seq);
	return 0;
}

static int parse_flow_map(struct reader *r, struct node **out, int depth)
{
	static const yaml_token_type_t enders[] = { YAML_VALUE_TOKEN, YAML_FLOW_ENTRY_TOKEN,
		YAML_FLOW_MAPPING_END_TOKEN, 0 };
	autocall(pairs_release) struct pairs p = { at_mark(node_map(), r->tok.start_mark), NULL, false };
	bool first = true;

	drop(r);
	for (;; first = false) {
		if (flow_comma(r, first, YAML_FLOW_MAPPING_END_TOKEN, "in a flow mapping"))
			return -1;
		if (r->tok.type == YAML_FLOW_MAPPING_END_TOKEN)
			break;
		if (parse_pair(r, &p, enders, false, depth))
			return -1;
	}
	drop(r);
	*out = pairs_end(&p);
	return 0;
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

	if (tag == YTAG_VALUE)
		return fail_at(r, at, "a bare '=' has no meaning");
	*out = yaml_value(tag == YTAG_MERGE ? YTAG_STR : tag, s, n, r->v11);
	if (!*out)
		return fail_at(r, at, "'%.80s' looks like a %s but is none", s,
			       tag == YTAG_DATE ? "date" : "number");
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
	const char *handle = (const char *)r->tok.data.tag.handle, *suffix = (const char *)r->tok.data.tag.suffix;

	if (!strcmp(handle, "!!"))
		p->tag = xstrdup(suffix);
	else if (!*handle && !strncmp(suffix, core, strlen(core)))
		p->tag = xstrdup(suffix + strlen(core));
	else if (!strcmp(handle, "!") && !*suffix)
		p->tag = xstrdup("!");
	else if (!*handle && !strcmp(suffix, "!"))
		p->tag = xstrdup("!");
	else
		return fail_at(r, r->tok.start_mark, "unknown tag '%s%s'", handle, suffix);
	return 0;
}

static int parse_props(struct reader *r, struct props *p)
{
	for (;;) {
		if (ahead(r))
			return -1;
		if (!p->any)
			p->at = r->tok.start_mark;
		if (r->tok.type == YAML_ANCHOR_TOKEN && !p->anchor)
			p->anchor = xstrdup((const char *)r->tok.data.anchor.value);
		else if (r->tok.type != YAML_TAG_TOKEN || p->tag)
			return 0;
		else if (props_tag(r, p))
			return -1;
		p->any = true;
		drop(r);
	}
}

static int parse_scalar(struct reader *r, struct node **out, const struct props *p)
{
	const char *s = (const char *)r->tok.data.scalar.value;
	size_t n = r->tok.data.scalar.length;
	bool plain = r->tok.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	yaml_mark_t at = r->tok.start_mark;
	int rc = 0;

	if (p->tag && strcmp(p->tag, "!"))
		rc = tag_scalar(r, out, p->tag, s, n, at);
	else if (plain || p->tag)
		rc = plain_scalar(r, out, s, n, at);
	else
		*out = node_strn(s, n);
	drop(r);
	return rc;
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

static int parse_content(struct reader *r, struct node **out, const struct props *p, bool block, bool indentless,
			 int depth)
{
	switch (r->tok.type) {
	case YAML_SCALAR_TOKEN:
		return parse_scalar(r, out, p);
	case YAML_FLOW_SEQUENCE_START_TOKEN:
		return parse_flow_seq(r, out, depth - 1);
	case YAML_FLOW_MAPPING_START_TOKEN:
		return parse_flow_map(r, out, depth - 1);
	case YAML_BLOCK_ENTRY_TOKEN:
		if (indentless)
			return parse_block_seq(r, out, true, depth - 1);
		break;
	case YAML_BLOCK_SEQUENCE_START_TOKEN:
		if (block)
			return parse_block_seq(r, out, false, depth - 1);
		break;
	case YAML_BLOCK_MAPPING_START_TOKEN:
		if (block)
			return parse_block_map(r, out, depth - 1);
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

static int parse_node(struct reader *r, struct node **out, bool block, bool indentless, int depth)
{
	autocall(props_release) struct props p = { NULL, NULL, { 0, 0, 0 }, false };

	if (!depth)
		return fail_at(r, r->tok.start_mark, "nested deeper than %d", DEPTH_MAX);
	switch (next_is(r, YAML_ALIAS_TOKEN)) {
	case -1:
		return -1;
	case 1:
		return parse_alias(r, out);
	}
	if (parse_props(r, &p) || parse_content(r, out, &p, block, indentless, depth))
		return -1;
	at_mark(*out, p.at);
	if (((*out)->kind >= NODE_SEQ && retag(r, out, &p)) || remember(r, p.anchor, *out, p.at)) {
		node_free(*out);
		return -1;
	}
	return 0;
}

/* Directives and '---'. Gives whether a document starts here at all. */
static int parse_prologue(struct reader *r, bool *empty)
{
	bool directives = false;

	for (;;) {
		if (ahead(r))
			return -1;
		if (r->tok.type == YAML_VERSION_DIRECTIVE_TOKEN) {
			if (r->tok.data.version_directive.major != 1)
				return fail_at(r, r->tok.start_mark, "found incompatible YAML document");
			r->v11 = r->tok.data.version_directive.minor <= 1;
			directives = true;
		} else if (r->tok.type == YAML_TAG_DIRECTIVE_TOKEN) {
			directives = true;
		} else if (r->tok.type != YAML_DOCUMENT_END_TOKEN && r->tok.type != YAML_STREAM_START_TOKEN) {
			break;
		}
		drop(r);
	}
	*empty = r->tok.type == YAML_STREAM_END_TOKEN;
	if (r->tok.type == YAML_DOCUMENT_START_TOKEN)
		drop(r);
	else if (directives)
		return unexpected(r, "after a directive");
	return 0;
}

static int parse_end(struct reader *r)
{
	for (;;) {
		if (ahead(r))
			return -1;
		if (r->tok.type != YAML_DOCUMENT_END_TOKEN)
			break;
		drop(r);
	}
	if (r->tok.type == YAML_STREAM_END_TOKEN)
		return 0;
	if (r->tok.type == YAML_DOCUMENT_START_TOKEN)
		return fail_at(r, r->tok.start_mark, "expected a single document but found another");
	return unexpected(r, "after the document");
}

static int parse_document(struct reader *r, struct node **out)
{
	static const yaml_token_type_t enders[] = { YAML_DOCUMENT_START_TOKEN, YAML_DOCUMENT_END_TOKEN,
		YAML_STREAM_END_TOKEN, 0 };
	autonode struct node *root = NULL;
	bool empty = true;

	if (parse_prologue(r, &empty))
		return -1;
	if (empty) {
		*out = node_null();
		return 0;
	}
	if (node_or_nothing(r, &root, enders, true, false, DEPTH_MAX) || parse_end(r))
		return -1;
	*out = take(root);
	return 0;
}

static void free_node(void *n)
{
	node_free(n);
}

int yaml_parse(struct node **out, const char *text, size_t len, const char *name, unsigned flags, struct err *e)
{
	struct reader r = { .name = name, .e = e };
	int rc;

	(void)flags;
	if (!yaml_parser_initialize(&r.lib))
		return err_set(e, ERR_FAIL, "cannot start the YAML parser");
	yaml_parser_set_encoding(&r.lib, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.lib, (const unsigned char *)text, len);
	rc = parse_document(&r, out);
	drop(&r);
	yaml_parser_delete(&r.lib);
	map_release(&r.anchors, free_node);
	return rc;
}

/* yaml_explain - why a text is no YAML, in the words ruamel.yaml has for it. Runs only after yaml_parse() has refused. */
#include "core/base/yaml.h"

#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/unicode.h"

#include <yaml.h>

static const char *token_id(const yaml_token_t *t)
{
	static const char *const id[] = {
		"", "<stream start>", "<stream end>", "<directive>", "<directive>", "<document start>", "<document end>",
		"<block sequence start>", "<block mapping start>", "<block end>", "[", "]", "{", "}", "-", ",", "?", ":", "<alias>",
		"<anchor>", "<tag>", "<scalar>",
	};

	return t && (size_t)t->type < ARRAY_LEN(id) ? id[t->type] : "<stream end>";
}

static void set_mark(int *line, int *col, yaml_mark_t m)
{
	*line = (int)m.line + 1;
	*col = (int)m.column + 1;
}

static char *bad_character(const char *text, size_t len, size_t at)
{
	autonode struct node *c = NULL;
	autostr struct str s = STR_INIT;
	size_t n = 1;

	if (at >= len)
		return xstrdup("found character that cannot start any token");
	while (at + n < len && ((unsigned char)text[at + n] & 0xc0) == 0x80)
		n++;
	c = node_strn(text + at, n);
	node_py_repr(&s, c);
	return xasprintf("found character %s that cannot start any token", str_cstr(&s));
}

/* libyaml's problem as ruamel puts it; t: the token that was in the way. */
static char *in_ruamels_words(const char *p, const yaml_token_t *t, const char *text, size_t len, size_t at)
{
	static const struct { const char *theirs, *ours; } same[] = {
		{ "mapping values are not allowed in this context", "mapping values are not allowed here" },
		{ "block sequence entries are not allowed in this context", "sequence entries are not allowed here" },
		{ "mapping keys are not allowed in this context", "mapping keys are not allowed here" },
		{ "found unexpected document indicator", "found unexpected document separator" },
	}, found[] = {
		{ "did not find expected node content", "expected the node content, but found '%s'" },
		{ "did not find expected key", "expected <block end>, but found '%s'" },
		{ "did not find expected '-' indicator", "expected <block end>, but found '%s'" },
		{ "did not find expected ',' or ']'", "expected ',' or ']', but got '%s'" },
		{ "did not find expected ',' or '}'", "expected ',' or '}', but got '%s'" },
		{ "did not find expected <document start>", "expected '<document start>', but found ('%s',)" },
	};

	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		if (!strcmp(p, same[i].theirs))
			return xstrdup(same[i].ours);
	for (size_t i = 0; i < ARRAY_LEN(found); i++)
		if (!strcmp(p, found[i].theirs))
			return xasprintf(found[i].ours, token_id(t));
	if (!strcmp(p, "found character that cannot start any token"))
		return bad_character(text, len, at);
	return xstrdup(p);
}

/* ruamel looks at the whole text first. */
static bool explain_character(const char *text, size_t len, struct yaml_fault *out)
{
	const char *p = text, *end = text + len;

	for (size_t i = 0; p < end; i++) {
		uint32_t c = uc_next(&p, end);

		if (c == '\t' || c == '\n' || c == '\r' || c == 0x85 || (c >= 0x20 && c < 0x7f) ||
		    (c >= 0xa0 && c < 0xfffe) || c >= 0x10000)
			continue;
		out->problem = xasprintf("unacceptable character #x%04x: special characters are not allowed\n"
					 "  in \"<unicode string>\", position %zu", c, i);
		return true;
	}
	return false;
}

static bool explain_error(yaml_parser_t *y, const char *text, size_t len, struct yaml_fault *out)
{
	const yaml_token_t *t = y->token_available && y->tokens.head != y->tokens.tail ? y->tokens.head : NULL;
	bool next_token = y->context && !strcmp(y->context, "while scanning for the next token");

	if (!y->problem || (y->error != YAML_SCANNER_ERROR && y->error != YAML_PARSER_ERROR))
		return false;
	if (!strcmp(y->problem, "found a tab character that violates indentation")) {
		out->problem = xstrdup("found character '\\t' that cannot start any token");
		next_token = true;
	} else {
		out->problem = in_ruamels_words(y->problem, t, text, len, y->problem_mark.index);
	}
	set_mark(&out->line, &out->col, y->problem_mark);
	if (next_token) {
		out->context = xstrdup("while scanning for the next token");
	} else if (y->context) {
		out->context = xstrdup(y->context);
		set_mark(&out->context_line, &out->context_col, y->context_mark);
	}
	return true;
}

static bool known_tag(const char *tag)
{
	static const char *const known[] = {
		"null", "bool", "int", "float", "binary", "timestamp", "omap", "pairs", "set", "str", "seq", "map", "merge",
	};

	if (!str_starts(tag, "tag:yaml.org,2002:"))
		return !strcmp(tag, "!");
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!strcmp(tag + strlen("tag:yaml.org,2002:"), known[i]))
			return true;
	return false;
}

/* The first tag that nothing can be made of; it counts when the rest of the text has no other fault. */
static void explain_tag(const yaml_event_t *ev, struct yaml_fault *out)
{
	const yaml_char_t *tag = ev->type == YAML_SCALAR_EVENT ? ev->data.scalar.tag
		: ev->type == YAML_SEQUENCE_START_EVENT ? ev->data.sequence_start.tag
		: ev->type == YAML_MAPPING_START_EVENT ? ev->data.mapping_start.tag : NULL;

	/* a plain "=" is a tag of its own for ruamel, and one that it cannot make anything of */
	if (!tag && ev->type == YAML_SCALAR_EVENT && ev->data.scalar.plain_implicit && ev->data.scalar.length == 1 &&
	    *ev->data.scalar.value == '=')
		tag = (const yaml_char_t *)"tag:yaml.org,2002:value";
	if (out->problem || !tag || known_tag((const char *)tag))
		return;
	out->problem = xasprintf("could not determine a constructor for the tag '%s'", (const char *)tag);
	set_mark(&out->line, &out->col, ev->start_mark);
}

/* What only composing finds: aliases to nothing, a second document. 1: found. */
static int explain_event(const yaml_event_t *ev, struct map *anchors, yaml_mark_t *first, int *documents,
			 struct yaml_fault *out)
{
	const yaml_char_t *anchor = ev->type == YAML_SCALAR_EVENT ? ev->data.scalar.anchor
		: ev->type == YAML_SEQUENCE_START_EVENT ? ev->data.sequence_start.anchor
		: ev->type == YAML_MAPPING_START_EVENT ? ev->data.mapping_start.anchor : NULL;

	if (anchor)
		map_put(anchors, (const char *)anchor, out);
	if (ev->type == YAML_ALIAS_EVENT && !map_has(anchors, (const char *)ev->data.alias.anchor)) {
		out->problem = xasprintf("found undefined alias '%s'", (const char *)ev->data.alias.anchor);
		set_mark(&out->line, &out->col, ev->start_mark);
		return 1;
	}
	if (*documents == 1 && (ev->type == YAML_SCALAR_EVENT || ev->type == YAML_SEQUENCE_START_EVENT
				|| ev->type == YAML_MAPPING_START_EVENT) && first->line == SIZE_MAX)
		*first = ev->start_mark;
	if (ev->type != YAML_DOCUMENT_START_EVENT || ++*documents < 2)
		return 0;
	out->context = xstrdup("expected a single document in the stream");
	set_mark(&out->context_line, &out->context_col, *first);
	out->problem = xstrdup("but found another document");
	set_mark(&out->line, &out->col, ev->start_mark);
	return 1;
}

/* Open collections, for keys that come twice. */
#define FRAMES 256
struct frame { bool is_map, have_key; char *key; yaml_mark_t start, key_at; struct map values; };
struct frames { struct frame v[FRAMES]; size_t n; };

static void frame_close(struct frames *f)
{
	struct frame *top = &f->v[--f->n];

	free(top->key);
	map_release(&top->values, free);
}

/* A scalar, or a whole collection (text NULL), takes its place in the mapping around it. 1: its key was there before. */
static int place_value(struct frames *f, const char *text, yaml_mark_t at, struct yaml_fault *out)
{
	struct frame *top = f->n ? &f->v[f->n - 1] : NULL;
	const char *before;

	if (!top || !top->is_map)
		return 0;
	if (!top->have_key) {
		free(top->key);
		top->key = xstrdup(text ? text : "");
		top->key_at = at;
		top->have_key = true;
		return 0;
	}
	top->have_key = false;
	before = map_get(&top->values, top->key);
	if (!before) {
		map_put(&top->values, top->key, xstrdup(text ? text : ""));
		return 0;
	}
	out->context = xstrdup("while constructing a mapping");
	set_mark(&out->context_line, &out->context_col, top->start);
	out->problem = xasprintf("found duplicate key \"%s\" with value \"%s\" (original value: \"%s\")", top->key,
				 text ? text : "", before);
	set_mark(&out->line, &out->col, top->key_at);
	return 1;
}

static int track_keys(struct frames *f, const yaml_event_t *ev, struct yaml_fault *out)
{
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		return place_value(f, (const char *)ev->data.scalar.value, ev->start_mark, out);
	case YAML_ALIAS_EVENT:
		return place_value(f, NULL, ev->start_mark, out);
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		/* as Python shows it before it is filled */
		if (place_value(f, ev->type == YAML_MAPPING_START_EVENT ? "{}" : "[]", ev->start_mark, out))
			return 1;
		if (f->n == FRAMES)
			return -1;
		f->v[f->n++] = (struct frame){ .is_map = ev->type == YAML_MAPPING_START_EVENT, .start = ev->start_mark };
		return 0;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		frame_close(f);
		return 0;
	default:
		return 0;
	}
}

bool yaml_explain(const char *text, size_t len, struct yaml_fault *out)
{
	struct map anchors = MAP_INIT;
	struct yaml_fault tag = { 0 };
	yaml_mark_t first = { 0, SIZE_MAX, 0 };
	yaml_parser_t y;
	struct frames *f = xcalloc(1, sizeof(*f));
	int documents = 0, found = 0;
	bool over = false;

	*out = (struct yaml_fault){ 0 };
	if (explain_character(text, len, out) || !yaml_parser_initialize(&y)) {
		free(f);
		return out->problem;
	}
	yaml_parser_set_input_string(&y, (const unsigned char *)text, len);
	while (!found && !over) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&y, &ev)) {
			found = explain_error(&y, text, len, out);
			break;
		}
		found = explain_event(&ev, &anchors, &first, &documents, out);
		if (!found)
			found = track_keys(f, &ev, out);
		explain_tag(&ev, &tag);
		over = ev.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&y);
	map_release(&anchors, NULL);
	while (f->n)
		frame_close(f);
	free(f);
	if (!found && tag.problem) {
		*out = tag;
		return true;
	}
	yaml_fault_release(&tag);
	return found > 0;
}

static size_t char_bytes(const char *p, const char *end)
{
	size_t n = 1;

	while (p + n < end && ((unsigned char)p[n] & 0xc0) == 0x80)
		n++;
	return n;
}

/* The place, its line cut to what is near, and a caret below. */
static void add_mark(struct str *out, int line, int col, const char *text, size_t len)
{
	const char *p = text, *end = text + len, *at, *from, *to;
	int shown = col, before = col - 1, after = 0, caret = 4;
	bool cut = before > 36;

	for (int i = 1; i < line && p < end; i++) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));

		p = eol ? eol + 1 : end;
	}
	to = memchr(p, '\n', (size_t)(end - p));
	end = to ? to : end;
	for (from = p; cut && before > 32 && from < end; before--)
		from += char_bytes(from, end);
	for (at = p; at < end && --col > 0;)
		at += char_bytes(at, end);
	for (to = at; to < end && after < 32; after++)
		to += char_bytes(to, end);
	if ((size_t)(end - to) <= 4)
		to = end;
	str_addf(out, "\n  in \"<unicode string>\", line %d, column %d:\n    %s", line, shown,
		 cut ? " ... " : "");
	str_add(out, from, (size_t)(to - from));
	str_adds(out, to < end ? " ... \n" : "\n");
	caret += before + (cut ? 5 : 0);
	str_addf(out, "%*s^ (line: %d)", caret, "", line);
}

void yaml_fault_text(struct str *out, const struct yaml_fault *f, const char *text, size_t len)
{
	if (f->context) {
		str_adds(out, f->context);
		if (f->context_line && (f->context_line != f->line || f->context_col != f->col))
			add_mark(out, f->context_line, f->context_col, text, len);
		str_addc(out, '\n');
	}
	str_adds(out, f->problem);
	if (!f->line)
		return;
	add_mark(out, f->line, f->col, text, len);
	if (str_starts(f->problem, "found duplicate key"))
		str_adds(out, "\n\nTo suppress this check see:\n    "
			 "https://yaml.dev/doc/ruamel.yaml/api/#Duplicate_keys\n");
}

void yaml_fault_release(struct yaml_fault *f)
{
	free(f->context);
	free(f->problem);
	*f = (struct yaml_fault){ 0 };
}

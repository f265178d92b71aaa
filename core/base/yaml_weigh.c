/*
 * yaml_weigh - how many values a text with aliases stands for, counted without expanding any: a few lines can name more
 * values than any memory holds.
 */
#include "core/base/yaml_token.h"

#include "core/base/map.h"
#include "core/base/own.h"

#include <yaml.h>

#define FEW 4           /* aliases: so few cannot multiply much */

struct open_node { size_t weight; char *anchor; };
struct scale {
	struct map anchors;             /* name -> weight */
	struct open_node *v;
	size_t n, cap;
	size_t added;                   /* by aliases and by keeping what is anchored */
};

static size_t count_aliases(const char *text, size_t len)
{
	size_t found = 0;

	for (const char *p = text; (p = memchr(p, '*', len - (size_t)(p - text))); p++)
		if (p + 1 < text + len && !strchr(" \t\r\n*", p[1]) && (p == text || strchr(" \t\n[{,:", p[-1])) &&
		    ++found == FEW)
			break;
	return found;
}

static size_t plus(size_t a, size_t b)
{
	size_t sum;

	return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

/* A node is complete: it counts for what it lies in, and once more when a name was given to it. */
static void put(struct scale *s, const char *anchor, size_t weight)
{
	if (s->n)
		s->v[s->n - 1].weight = plus(s->v[s->n - 1].weight, weight);
	if (!anchor)
		return;
	s->added = plus(s->added, weight);
	map_put(&s->anchors, anchor, (void *)weight);
}

static void begin(struct scale *s, const yaml_char_t *anchor)
{
	GROW(s->v, s->n, s->cap);
	s->v[s->n++] = (struct open_node){ 1, anchor ? xstrdup((const char *)anchor) : NULL };
}

static void end(struct scale *s)
{
	struct open_node o;

	if (!s->n)
		return;
	o = s->v[--s->n];
	put(s, o.anchor, o.weight);
	free(o.anchor);
}

static void weigh(struct scale *s, const yaml_event_t *ev)
{
	size_t w;

	switch (ev->type) {
	case YAML_ALIAS_EVENT:
		w = (size_t)map_get(&s->anchors, (const char *)ev->data.alias.anchor);
		s->added = plus(s->added, w);
		put(s, NULL, w);
		break;
	case YAML_SCALAR_EVENT: put(s, (const char *)ev->data.scalar.anchor, 1); break;
	case YAML_SEQUENCE_START_EVENT: begin(s, ev->data.sequence_start.anchor); break;
	case YAML_MAPPING_START_EVENT: begin(s, ev->data.mapping_start.anchor); break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT: end(s); break;
	default: break;
	}
}

bool yaml_expands_beyond(const char *text, size_t len, size_t most, struct ymark *at)
{
	struct scale s = { .anchors = MAP_INIT };
	yaml_parser_t y;
	bool over = false, beyond = false;

	if (count_aliases(text, len) < FEW || !yaml_parser_initialize(&y))
		return false;
	yaml_parser_set_input_string(&y, (const unsigned char *)text, len);
	while (!over && !beyond) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&y, &ev))
			break;          /* a mistake: the reading itself says which */
		weigh(&s, &ev);
		beyond = s.added > most;
		at->line = (int)ev.start_mark.line;
		at->col = (int)ev.start_mark.column;
		over = ev.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&y);
	while (s.n)
		free(s.v[--s.n].anchor);
	free(s.v);
	map_release(&s.anchors, NULL);
	return beyond;
}

#include "core/pipeline/settings.h"

#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/stage/stage.h"

#include <math.h>

static int wrong(const struct stage *s, const char *key, const char *want, struct err *e)
{
	return err_set(e, ERR_PARSE, "stage '%s' in '%s': 'meta.git-data.%s' must be %s", s->name ? s->name : "", s->file,
		       key, want);
}

static bool to_seconds(const struct node *n, double *out)
{
	char *end;

	if (n->kind == NODE_INT && n->fits)
		*out = (double)n->i;
	else if (n->kind == NODE_FLOAT)
		*out = n->f;
	else if (n->kind == NODE_STR && n->len) {
		*out = strtod(n->text, &end);
		if (*end == 'm' && !end[1])
			*out *= 60;
		else if (*end == 'h' && !end[1])
			*out *= 3600;
		else if (*end && !(*end == 's' && !end[1]))
			return false;
	} else {
		return false;
	}
	return isfinite(*out) && *out > 0 && *out < 1e9;
}

static void add_limit(struct stage_settings *st, const char *name, unsigned max)
{
	GROW(st->limits, st->nlimits, st->limits_cap);
	st->limits[st->nlimits++] = (struct stage_limit){ xstrdup(name), max };
}

static int read_mutex(struct stage_settings *st, const struct stage *s, const struct node *n, struct err *e)
{
	if (node_is(n, NODE_STR)) {
		add_limit(st, n->text, 1);
		return 0;
	}
	if (!node_is(n, NODE_SEQ))
		return wrong(s, "mutex", "a name or a list of names", e);
	for (size_t i = 0; i < n->n; i++) {
		if (n->v[i]->kind != NODE_STR)
			return wrong(s, "mutex", "a name or a list of names", e);
		add_limit(st, n->v[i]->text, 1);
	}
	return 0;
}

static int read_limits(struct stage_settings *st, const struct stage *s, const struct node *n, struct err *e)
{
	if (!node_is(n, NODE_MAP))
		return wrong(s, "limit", "a map of names and numbers", e);
	for (size_t i = 0; i < n->n; i++) {
		const struct node *v = n->v[i];

		if (n->k[i]->kind != NODE_STR || v->kind != NODE_INT || !v->fits || v->i < 1 || v->i > 1000000)
			return wrong(s, "limit", "a map of names and numbers", e);
		add_limit(st, n->k[i]->text, (unsigned)v->i);
	}
	return 0;
}

int settings_read(struct stage_settings *out, const struct stage *s, struct err *e)
{
	const struct node *m = node_get(s->meta, "git-data"), *v;

	*out = (struct stage_settings){ .timeout = 0 };
	if (!node_is(m, NODE_MAP))
		return 0;
	v = node_get(m, "timeout");
	if (v && !to_seconds(v, &out->timeout))
		return wrong(s, "timeout", "a time such as 90, \"30s\", \"5m\" or \"2h\"", e);
	v = node_get(m, "retries");
	if (v && (v->kind != NODE_INT || !v->fits || v->i < 0 || v->i > 1000))
		return wrong(s, "retries", "a number from 0 to 1000", e);
	if (v)
		out->retries = (unsigned)v->i;
	v = node_get(m, "script");
	if (v && v->kind != NODE_BOOL)
		return wrong(s, "script", "true or false", e);
	out->script = v && v->b;
	v = node_get(m, "mutex");
	if (v && read_mutex(out, s, v, e))
		goto undo;
	v = node_get(m, "limit");
	if (v && read_limits(out, s, v, e))
		goto undo;
	return 0;
undo:
	settings_release(out);
	return -1;
}

void settings_release(struct stage_settings *s)
{
	for (size_t i = 0; i < s->nlimits; i++)
		free(s->limits[i].name);
	free(s->limits);
	*s = (struct stage_settings){ .timeout = 0 };
}

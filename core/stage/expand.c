#include "core/stage/template.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/stage/template_priv.h"

#include <fnmatch.h>

#define GROUP_MAX 1000000

/* Puts DVC's preamble in front of the failure just met; the class of failure decides between a blank and a newline. */
static int fail_in(struct tmpl *t, struct err *e, const char *what)
{
	autofree char *msg = take(e->msg);
	bool line = t->fail == TMPL_FAIL_PARSE || t->fail == TMPL_FAIL_MERGE || t->fail == TMPL_FAIL_LOADED;

	if (t->fail == TMPL_FAIL_RAW) {
		e->msg = take(msg);
		return -1;
	}
	return err_set(e, ERR_PARSE, "failed to parse %s in '%s':%c%s", what, t->show, line ? '\n' : ' ', msg);
}

static int fail_at(struct tmpl *t, struct err *e, const char *name, const char *key)
{
	autofree char *what = xasprintf("'stages.%s.%s'", name, key);

	return fail_in(t, e, what);
}

static int refuse_interpolation(struct tmpl *t, const struct node *vars, const char *where, struct err *e)
{
	autofree char *what = xasprintf("'%s'", where);

	if (!vars || !tmpl_has_expression(vars))
		return 0;
	t->fail = TMPL_FAIL_OTHER;
	err_set(e, ERR_PARSE, "interpolating is not allowed");
	return fail_in(t, e, what);
}

int tmpl_new(struct tmpl **out, const struct tmpl_env *env, const struct node *doc, struct err *e)
{
	struct tmpl *t = xcalloc(1, sizeof(*t));
	autofree char *file = path_join(env->dir, "dvc.yaml");
	autofree char *abs = xasprintf("/%s", file);
	autofree char *cwd = xasprintf("/%s", env->cwd);
	const struct node *vars = node_get(doc, "vars");

	t->env = *env;
	t->doc = doc;
	t->show = path_rel(abs, cwd);
	t->ctx = tctx_new();
	if (refuse_interpolation(t, vars, "vars", e))
		goto undo;
	if (tctx_load(t, t->ctx, vars, env->dir, NULL, true, e)) {
		fail_in(t, e, "'vars'");
		goto undo;
	}
	*out = t;
	return 0;
undo:
	tmpl_free(t);
	return -1;
}

void tmpl_free(struct tmpl *t)
{
	if (!t)
		return;
	tctx_free(t->ctx);
	for (size_t i = 0; i < t->ndocs; i++)
		node_free(t->docs[i]);
	free(t->docs);
	strvec_release(&t->sources);
	str_release(&t->item_at.path);
	free(t->show);
	free(t);
}

int tmpl_resolve_top(struct tmpl *t, const struct node *src, const char *where, struct node **out, struct err *e)
{
	if (tmpl_check_syntax(t, src, e) || tmpl_resolve(t, t->ctx, src, NULL, false, out, e)) {
		autofree char *what = xasprintf("'%s'", where);

		return fail_in(t, e, what);
	}
	return 0;
}

int tmpl_resolve_name(struct tmpl *t, const struct node *src, const char *where, struct node **out, struct err *e)
{
	if (tmpl_resolve_top(t, src, where, out, e))
		return -1;
	if (node_is(*out, NODE_STR))
		return 0;
	err_set(e, ERR_PARSE, "failed to resolve '%s' in '%s': expected str, got %s", where, t->show, node_py_type(*out));
	node_free(*out);
	return -1;
}

static int check_syntax(struct tmpl *t, const char *name, const struct node *def, struct err *e)
{
	for (size_t i = 0; i < def->n; i++) {
		autostr struct str key = STR_INIT;

		node_py_str(&key, def->k[i]);
		if (tmpl_check_syntax(t, def->v[i], e))
			return fail_at(t, e, name, str_cstr(&key));
	}
	return 0;
}

/* The directory a stage's own vars files are relative to. */
static int stage_dir(struct tmpl *t, const struct tctx *c, const char *name, const struct node *def, char **out,
		     struct err *e)
{
	const struct node *wdir = node_get(def, "wdir");
	autonode struct node *v = NULL;
	autostr struct str s = STR_INIT;

	if (!node_is(wdir, NODE_STR) || !wdir->len) {
		*out = xstrdup(t->env.dir);
		return 0;
	}
	if (tmpl_resolve_str(t, c, wdir, NULL, false, &v, e) || tmpl_add_text(t, &s, v, e))
		return fail_at(t, e, name, "wdir");
	*out = path_join(t->env.dir, str_cstr(&s));
	return 0;
}

static int stage_context(struct tmpl *t, const char *name, const struct node *def, struct tctx **own, struct err *e)
{
	const struct node *vars = node_get(def, "vars");
	autofree char *where = xasprintf("stages.%s.vars", name);
	autofree char *dir = NULL;

	if (stage_dir(t, t->ctx, name, def, &dir, e) || refuse_interpolation(t, vars, where, e))
		return -1;
	if (!vars || !vars->n)
		return 0;
	*own = tctx_clone(t->ctx);
	if (!tctx_load(t, *own, vars, dir, name, false, e))
		return 0;
	if (t->fail == TMPL_FAIL_LOADED) {
		fail_at(t, e, name, "vars");
	} else {
		autofree char *what = xasprintf("stage '%s'", name);

		fail_in(t, e, what);
	}
	return -1;
}

/* One stage: def with every ${} resolved. 'checked': its syntax was judged before. */
static int resolve_stage(struct tmpl *t, const char *name, const struct node *def, bool checked, struct node **out,
			 struct err *e)
{
	struct tctx *own = NULL;
	autonode struct node *n = node_map();
	int rc = -1;

	if ((!checked && check_syntax(t, name, def, e)) || stage_context(t, name, def, &own, e))
		goto undo;
	n->line = def->line;
	n->col = def->col;
	for (size_t i = 0; i < def->n; i++) {
		const char *key = def->k[i]->text;
		struct node *v;

		if (!strcmp(key, "vars"))
			continue;
		if (tmpl_resolve(t, own ? own : t->ctx, def->v[i], key, checked, &v, e)) {
			fail_at(t, e, name, key);
			goto undo;
		}
		node_set(n, key, v);
	}
	*out = take(n);
	rc = 0;
undo:
	tctx_free(own);
	return rc;
}

/* --- groups --- */

/* What foreach or matrix makes of its data: suffix to value, in order. */
struct group {
	const char *name;
	const struct node *raw, *body;  /* body: the definition each stage starts from */
	struct node *own_body;
	struct node *data;              /* owned; foreach: the iterable. matrix: map suffix -> map of values borrowed from axes */
	struct node *axes;              /* matrix: name -> list */
	struct tmpl_origin from;        /* foreach: where the iterable stands, when somebody asked */
	bool is_matrix;
	struct map items;               /* suffix -> struct node * (borrowed from data), foreach and matrix alike */
};

/* A combination's values are those of the axes: a copy for each would be as large as the product of the axes. */
static void give_back(struct node *combination)
{
	for (size_t i = 0; i < combination->n; i++)
		combination->v[i] = NULL;
}

static void group_release(struct group *g)
{
	map_release(&g->items, NULL);
	str_release(&g->from.path);
	for (size_t i = 0; g->is_matrix && g->data && i < g->data->n; i++)
		give_back(g->data->v[i]);
	node_free(g->data);
	node_free(g->axes);
	node_free(g->own_body);
}

static bool is_collection(const struct node *n)
{
	return n->kind == NODE_SEQ || n->kind == NODE_MAP;
}

static void warn_overwritten(struct tmpl *t, const char *name, const char *a, const char *b)
{
	bool ha = a && tctx_has(t->ctx, a), hb = b && tctx_has(t->ctx, b);

	if (ha && hb)
		notice(NOTICE_WARN, "%s and %s are already specified, will be overwritten for stages generated from '%s'",
		       a, b, name);
	else if (ha || hb)
		notice(NOTICE_WARN, "%s is already specified, will be overwritten for stages generated from '%s'",
		       ha ? a : b, name);
}

static int too_many(const struct tmpl *t, const char *name, struct err *e)
{
	return err_set(e, ERR_PARSE, "'%s' in '%s' makes more than %d stages", name, t->show, GROUP_MAX);
}

/* The i-th value of a list in a stage's name; what an expression gave is named as Python does it: True, not true. */
static int add_suffix(struct tmpl *t, struct str *out, const struct node *raw, const struct node *list, size_t i,
		      struct err *e)
{
	const struct node *v = list->v[i];

	if (node_is(v, NODE_BOOL) && (!node_is(raw, NODE_SEQ) || tmpl_is_expression(raw->v[i]))) {
		node_py_str(out, v);
		return 0;
	}
	return tmpl_add_text(t, out, v, e);
}

static int fill_foreach(struct tmpl *t, struct group *g, struct err *e)
{
	const struct node *raw = node_get(g->raw, "foreach");
	bool composite = false;

	for (size_t i = 0; i < g->data->n; i++)
		composite |= is_collection(g->data->v[i]);
	if (g->data->n > GROUP_MAX)
		return too_many(t, g->name, e);
	for (size_t i = 0; i < g->data->n; i++) {
		autostr struct str suffix = STR_INIT;

		if (g->data->kind == NODE_MAP) {
			if (tmpl_add_text(t, &suffix, g->data->k[i], e))
				return -1;
		} else if (composite) {
			str_addf(&suffix, "%zu", i);
		} else if (add_suffix(t, &suffix, raw, g->data, i, e)) {
			return -1;
		}
		map_put(&g->items, str_cstr(&suffix), g->data->v[i]);
	}
	return 0;
}

/* Python cannot hash what an expression gives before it is unwrapped, and here nothing unwraps it. */
static bool has_templated_key(const struct node *n)
{
	bool found = false;

	for (size_t i = 0; is_collection(n) && i < n->n && !found; i++)
		found = (n->kind == NODE_MAP && tmpl_is_expression(n->k[i])) || has_templated_key(n->v[i]);
	return found;
}

static int resolve_iterable(struct tmpl *t, const struct node *raw, struct node **out, struct err *e)
{
	if (tmpl_resolve(t, t->ctx, raw, NULL, false, out, e))
		return -1;
	return has_templated_key(raw) ? tmpl_unexpected(t, e, "unhashable type: 'Value'") : 0;
}

static int load_foreach(struct tmpl *t, struct group *g, struct err *e)
{
	struct node *used = t->used;
	int rc;

	t->used = NULL;                 /* only what the stages use counts */
	rc = resolve_iterable(t, node_get(g->raw, "foreach"), &g->data, e);
	t->used = used;
	if (rc)
		return fail_at(t, e, g->name, "foreach");
	if (t->used)
		tmpl_origin_of(t, node_get(g->raw, "foreach"), &g->from);
	if (!is_collection(g->data))
		return err_set(e, ERR_PARSE, "failed to resolve 'stages.%s.foreach' in '%s': "
			       "expected list/dictionary, got %s", g->name, t->show, node_py_type(g->data));
	warn_overwritten(t, g->name, "item", g->data->kind == NODE_MAP ? "key" : NULL);
	g->body = node_get(g->raw, "do");
	return fill_foreach(t, g, e);
}

/* An axis as a list: a map gives its keys, a text its characters. */
static struct node *axis_list(const struct node *v)
{
	struct node *l = node_seq();

	if (v->kind == NODE_STR) {
		for (size_t i = 0; i < v->len;) {
			size_t j = i + 1;

			while (j < v->len && ((unsigned char)v->text[j] & 0xC0) == 0x80)
				j++;
			node_push(l, node_strn(v->text + i, j - i));
			i = j;
		}
		return l;
	}
	for (size_t i = 0; i < v->n; i++)
		node_push(l, node_copy(v->kind == NODE_MAP ? v->k[i] : v->v[i]));
	return l;
}

static void lend(struct node *map, const char *key, struct node *value)
{
	for (size_t i = 0; i < map->n; i++)
		if (node_is_str(map->k[i], key)) {
			map->v[i] = value;
			return;
		}
	node_set(map, key, value);
}

static int add_combination(struct tmpl *t, const struct node *raw, struct group *g, const size_t *at, struct err *e)
{
	autostr struct str suffix = STR_INIT;
	struct node *d, *same;

	for (size_t a = 0; a < g->axes->n; a++) {
		const struct node *v = g->axes->v[a]->v[at[a]];

		if (a)
			str_addc(&suffix, '-');
		if (is_collection(v)) {
			node_py_str(&suffix, g->axes->k[a]);
			str_addf(&suffix, "%zu", at[a]);
		} else if (add_suffix(t, &suffix, raw->v[a], g->axes->v[a], at[a], e)) {
			return -1;
		}
	}
	same = node_get(g->data, str_cstr(&suffix));
	if (same)
		give_back(same);
	d = node_map();
	for (size_t a = 0; a < g->axes->n; a++) {
		autostr struct str name = STR_INIT;

		node_py_str(&name, g->axes->k[a]);
		lend(d, str_cstr(&name), g->axes->v[a]->v[at[a]]);
	}
	node_set(g->data, str_cstr(&suffix), d);
	return 0;
}

static int load_matrix(struct tmpl *t, struct group *g, struct err *e)
{
	const struct node *raw = node_get(g->raw, "matrix");
	autonode struct node *src = NULL;
	struct node *axes = g->axes = node_map();
	autofree size_t *at = NULL;
	size_t total = 1;

	if (resolve_iterable(t, raw, &src, e))
		return fail_at(t, e, g->name, "matrix");
	warn_overwritten(t, g->name, "key", "item");
	for (size_t i = 0; i < src->n; i++) {
		if (!is_collection(src->v[i]) && (src->v[i]->kind != NODE_STR || tmpl_is_expression(raw->v[i])))
			return tmpl_unexpected(t, e, "'Value' object is not iterable");
		node_set_node(axes, node_copy(src->k[i]), axis_list(src->v[i]));
		if (__builtin_mul_overflow(total, axes->v[i]->n, &total) || total > GROUP_MAX)
			return too_many(t, g->name, e);
	}
	g->is_matrix = true;
	g->data = node_map();
	at = xcalloc(axes->n + 1, sizeof(*at));
	for (size_t c = 0; c < total; c++) {
		if (add_combination(t, raw, g, at, e))
			return -1;
		for (size_t a = axes->n; a-- && ++at[a] == axes->v[a]->n;)
			at[a] = 0;
	}
	for (size_t i = 0; i < g->data->n; i++)
		map_put(&g->items, g->data->k[i]->text, g->data->v[i]);
	g->own_body = node_copy(g->raw);
	node_del(g->own_body, "matrix");
	g->body = g->own_body;
	return 0;
}

/* Where the item stands; *at remembers its place among the others, so that a whole group costs one walk. */
static void place_item(struct tmpl *t, const struct group *g, const struct map_entry *it, size_t *at)
{
	str_reset(&t->item_at.path);
	t->item_at.file = g->from.file;
	if (!t->used || !g->from.file)
		return;
	if (g->data->kind == NODE_MAP) {
		str_addf(&t->item_at.path, "%s.%s", str_cstr(&g->from.path), it->key);
		return;
	}
	for (size_t tries = 0; tries < g->data->n && g->data->v[*at] != it->value; tries++)
		*at = (*at + 1) % g->data->n;
	str_addf(&t->item_at.path, "%s.%zu", str_cstr(&g->from.path), *at);
}

/* The suffix of a stage's name behind its group, or NULL. */
static const char *suffix_of(const char *name)
{
	const char *at = strrchr(name, '@');

	return at ? at + 1 : NULL;
}

static bool wanted(const struct tmpl_want *w, const char *name)
{
	return !w || (w->glob ? !fnmatch(w->name, name, 0) : !strcmp(w->name, name));
}

/* Names that DVC does not find again, or trips over. */
static int bad_suffix(struct tmpl *t, const char *name, const char *suffix, struct err *e)
{
	if (strchr(suffix, '@'))
		return err_set(e, ERR_FAIL, "Stage '%s' not found inside '%s' file", name, t->show);
	if (*suffix)
		return 0;
	return tmpl_unexpected(t, e, "");
}

static int expand_group(struct tmpl *t, struct group *g, const struct tmpl_want *w, tmpl_stage_fn *fn, void *data,
			struct err *e)
{
	struct map_entry *it;
	bool checked = false;
	size_t at = 0;
	int rc = 0;

	for (size_t i = 0; !rc && (it = map_next(&g->items, &i));) {
		autofree char *name = xasprintf("%s@%s", g->name, it->key);
		autonode struct node *key = node_str(it->key);
		bool keyed = g->is_matrix || g->data->kind == NODE_MAP;
		struct node *resolved = NULL;

		if (!wanted(w, name))
			continue;
		if (bad_suffix(t, name, it->key, e))
			return -1;
		if (!checked && check_syntax(t, g->name, g->body, e))
			return -1;
		checked = true;
		place_item(t, g, it, &at);
		t->item = it->value;
		t->key = keyed ? key : NULL;
		t->reserved[0] = g->is_matrix ? "key" : "item";
		t->reserved[1] = g->is_matrix ? "item" : keyed ? "key" : NULL;
		rc = resolve_stage(t, name, g->body, true, &resolved, e);
		t->item = t->key = NULL;
		t->reserved[0] = t->reserved[1] = NULL;
		if (!rc)
			rc = fn(name, g->name, resolved, g->raw, data, e);
	}
	return rc;
}

static int expand_plain(struct tmpl *t, const char *name, const struct node *def, tmpl_stage_fn *fn, void *data,
			struct err *e)
{
	struct node *resolved = NULL;

	if (!*name)
		return err_set(e, ERR_FAIL, "Stage name not provided.Please specify the name as: `%s:stage_name`", t->show);
	if (strchr(name, '@'))
		return err_set(e, ERR_FAIL, "Stage '%s' not found inside '%s' file", name, t->show);
	if (resolve_stage(t, name, def, false, &resolved, e))
		return -1;
	return fn(name, NULL, resolved, def, data, e);
}

static bool is_group(const struct node *def)
{
	return node_get(def, "matrix") || node_get(def, "foreach");
}

static int load_group(struct tmpl *t, struct group *g, const char *name, const struct node *def, struct err *e)
{
	g->name = name;
	g->raw = def;
	if (node_get(def, "matrix"))
		return load_matrix(t, g, e);
	return node_get(def, "foreach") ? load_foreach(t, g, e) : 0;
}

/* One stage by its name; none of that name is no failure here. */
static int expand_one(struct tmpl *t, const struct tmpl_want *w, tmpl_stage_fn *fn, void *data, struct err *e)
{
	const struct node *stages = node_get(t->doc, "stages"), *def;
	const char *suffix = suffix_of(w->name);
	autofree char *name = xstrndup(w->name, suffix ? (size_t)(suffix - w->name - 1) : strlen(w->name));
	struct group g = { .name = name };
	int rc;

	def = node_is(stages, NODE_MAP) ? node_get(stages, name) : NULL;
	if (!def || !is_group(def) != !suffix)
		return 0;
	if (!suffix)
		return expand_plain(t, name, def, fn, data, e);
	rc = load_group(t, &g, name, def, e);
	if (!rc)
		rc = expand_group(t, &g, w, fn, data, e);
	group_release(&g);
	return rc;
}

int tmpl_each_stage(struct tmpl *t, tmpl_stage_fn *fn, void *data, struct err *e)
{
	return tmpl_some_stages(t, NULL, fn, data, e);
}

int tmpl_some_stages(struct tmpl *t, const struct tmpl_want *w, tmpl_stage_fn *fn, void *data, struct err *e)
{
	const struct node *stages = node_get(t->doc, "stages"), *def;
	size_t n = node_is(stages, NODE_MAP) ? stages->n : 0;
	const char *only = NULL;        /* a group, whole */
	struct group *g;
	int rc = 0;

	def = w && w->group && n ? node_get(stages, w->name) : NULL;
	if (def && is_group(def)) {
		only = w->name;
		w = NULL;
	} else if (w && !w->glob) {
		return expand_one(t, w, fn, data, e);
	}
	g = xcalloc(n + 1, sizeof(*g));
	for (size_t i = 0; !rc && i < n; i++)
		rc = load_group(t, &g[i], stages->k[i]->text, stages->v[i], e);
	for (size_t i = 0; !rc && i < n; i++) {
		if (only && strcmp(only, g[i].name))
			continue;
		if (g[i].data)
			rc = expand_group(t, &g[i], w, fn, data, e);
		else if (wanted(w, g[i].name))
			rc = expand_plain(t, g[i].name, g[i].raw, fn, data, e);
	}
	for (size_t i = 0; i < n; i++)
		group_release(&g[i]);
	free(g);
	return rc;
}

static int drop_stage(const char *name, const char *group, struct node *resolved, const struct node *raw, void *data,
		      struct err *e)
{
	(void)name, (void)group, (void)raw, (void)data, (void)e;
	node_free(resolved);
	return 0;
}

int tmpl_used_values(struct tmpl *t, struct node *into, struct err *e)
{
	int rc;

	t->used = into;
	rc = tmpl_each_stage(t, drop_stage, NULL, e);
	t->used = NULL;
	return rc;
}

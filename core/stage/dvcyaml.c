#include "core/stage/dvcyaml.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/repo/config.h"
#include "core/repo/repo.h"
#include "core/repo/srctree.h"
#include "core/stage/dvcyaml_priv.h"
#include "core/stage/index.h"
#include "core/stage/lock.h"
#include "core/stage/params.h"
#include "core/stage/schema_table.h"
#include "core/stage/template.h"

/* Schema (format notes 5.1) */

LIST_OF(strings, schema_str);
ONE_OF(str_or_list, &schema_str, &schema_list);
ONE_OF(str_or_dict, &schema_str, &schema_dict);
static const struct schema *const vars_of[] = { &schema_str, &schema_dict, NULL };
static const struct schema vars_list = { .kind = SCHEMA_SEQ, .of = vars_of };

#define ANNOTATION_ROWS ROW("desc", schema_str), ROW("type", schema_str), ROW("labels", strings), \
	ROW("meta", schema_anything)
#define OUT_ROWS ANNOTATION_ROWS, ROW("cache", schema_bool), ROW("persist", schema_bool), \
	ROW("checkpoint", schema_bool), ROW("remote", schema_str), ROW("push", schema_bool)
#define PLOT_ROWS ROW("template", schema_str), ROW("x", schema_str), ROW("y", schema_str), \
	ROW("x_label", schema_str), ROW("y_label", schema_str), ROW("title", schema_str), ROW("header", schema_bool)

MAP_WITH(out_flags, OUT_ROWS);
MAP_WITH(out_map, ROW("*", out_flags));
ONE_OF(out_item, &schema_str, &out_map);
LIST_OF(out_list, out_item);
MAP_WITH(plot_flags, OUT_ROWS, PLOT_ROWS);
LIST_OF(plot_flags_list, plot_flags);
ONE_OF(plot_flags_any, &plot_flags, &plot_flags_list);
MAP_WITH(plot_map, ROW("*", plot_flags_any));
ONE_OF(plot_item, &schema_str, &plot_map);
LIST_OF(plot_list, plot_item);
LIST_OF(param_list, str_or_dict);
MAP_WITH(matrix, ROW("*", str_or_list));

MAP_WITH(stage_def,
	ROW("matrix", matrix), { "cmd", &str_or_list, true }, ROW("wdir", schema_str), ROW("deps", strings),
	ROW("params", param_list), ROW("vars", vars_list), ROW("frozen", schema_bool), ROW("meta", schema_anything),
	ROW("desc", schema_str), ROW("always_changed", schema_bool), ROW("outs", out_list), ROW("metrics", out_list),
	ROW("plots", plot_list));
ONE_OF(iterable, &schema_dict, &schema_list, &schema_str);
MAP_WITH(foreach_def, { "foreach", &iterable, true }, { "do", &stage_def, true });

static const struct schema *pick_definition(const struct node *n)
{
	return node_get(n, "foreach") || node_get(n, "do") ? &foreach_def : &stage_def;
}
static const struct schema any_def = { .kind = SCHEMA_PICK, .pick = pick_definition };
MAP_WITH(stages_map, ROW("*", any_def));

MAP_WITH(str_map, ROW("*", schema_str));
ONE_OF(plot_x, &schema_str, &str_map);
ONE_OF(str_or_strings, &schema_str, &strings);
MAP_WITH(plot_y_map, ROW("*", str_or_strings));
ONE_OF(plot_y, &schema_str, &strings, &plot_y_map);
MAP_WITH(plot_props, ROW("x", plot_x), ROW("y", plot_y), ROW("x_label", schema_str), ROW("y_label", schema_str),
	 ROW("title", schema_str), ROW("template", schema_str));
ONE_OF(plot_props_or_null, &plot_props, &schema_null);
MAP_WITH(top_plot, { "*", &plot_props_or_null, true });
ONE_OF(top_plot_item, &schema_str, &top_plot);
LIST_OF(top_plots, top_plot_item);
MAP_WITH(artifact, { "path", &schema_str, true }, ANNOTATION_ROWS);
MAP_WITH(artifacts, ROW("*", artifact));

MAP_WITH(document,
	ROW("datasets", schema_anything), ROW("plots", top_plots), ROW("stages", stages_map), ROW("vars", vars_list),
	ROW("params", strings), ROW("metrics", strings), ROW("artifacts", artifacts));

const struct schema *dvcyaml_schema(void)
{
	return &document;
}

/* Reading */

static int unexpected(struct err *e, const char *fmt, const char *a, const char *b)
{
	autofree char *what = a ? b ? xasprintf(fmt, a, b) : xasprintf(fmt, a) : xstrdup(fmt);

	err_set(e, ERR_FAIL, "unexpected error%s%s", *what ? " - " : "", what);
	e->exit_status = 255;
	return -1;
}

static bool is_plot_prop(const char *key)
{
	static const char *const props[] = { "template", "x", "y", "x_label", "y_label", "title", "header" };

	for (size_t i = 0; i < ARRAY_LEN(props); i++)
		if (!strcmp(key, props[i]))
			return true;
	return false;
}

static void add_out(struct stage *s, const char *def, const struct node *flags, const char *section)
{
	struct item *i = stage_add_out(s, def);

	i->is_metric = !strcmp(section, "metrics");
	i->is_plot = !strcmp(section, "plots");
	i->cache = node_get_bool(flags, "cache", true);
	i->persist = node_get_bool(flags, "persist", false);
	i->push = i->can_push = node_get_bool(flags, "push", true);
	i->remote = node_dup_str(flags, "remote");
	i->desc = node_dup_str(flags, "desc");
	i->type = node_dup_str(flags, "type");
	i->labels = node_copy_truthy(flags, "labels");
	i->annot_meta = node_copy_truthy(flags, "meta");
	for (size_t k = 0; i->is_plot && k < flags->n; k++) {
		if (!is_plot_prop(flags->k[k]->text))
			continue;
		if (!i->plot_props)
			i->plot_props = node_map();
		node_set(i->plot_props, flags->k[k]->text, node_copy(flags->v[k]));
	}
}

/* Entries of one path are merged, as DVC merges them. */
static int add_outs(struct stage *s, const struct node *list, const char *section, struct err *e)
{
	autonode struct node *all = node_map();

	for (size_t i = 0; node_is(list, NODE_SEQ) && i < list->n; i++) {
		const struct node *n = list->v[i];

		if (n->kind == NODE_STR) {
			if (!node_get(all, n->text))
				node_set(all, n->text, node_map());
			continue;
		}
		if (n->kind != NODE_MAP)
			return unexpected(e, "'%s' not supported.", node_py_type(n), NULL);
		for (size_t k = 0; k < n->n; k++) {
			struct node *flags;

			if (n->k[k]->kind != NODE_STR)
				return unexpected(e, "'%s' not supported.", node_py_type(n->k[k]), NULL);
			if (n->v[k]->kind != NODE_MAP)
				return unexpected(e, "Expected dict for '%s', got: '%s'", n->k[k]->text,
						  node_py_type(n->v[k]));
			if (!node_get(all, n->k[k]->text))
				node_set(all, n->k[k]->text, node_map());
			flags = node_get(all, n->k[k]->text);
			for (size_t j = 0; j < n->v[k]->n; j++)
				if (n->v[k]->k[j]->kind == NODE_STR)
					node_set(flags, n->v[k]->k[j]->text, node_copy(n->v[k]->v[j]));
		}
	}
	for (size_t i = 0; i < all->n; i++)
		add_out(s, all->k[i]->text, all->v[i], section);
	return 0;
}

static int add_deps(struct stage *s, const struct node *list, struct err *e)
{
	for (size_t i = 0; node_is(list, NODE_SEQ) && i < list->n; i++) {
		const struct node *n = list->v[i];

		if (!node_truthy(n))
			return unexpected(e, "", NULL, NULL);
		if (n->kind != NODE_STR)
			return unexpected(e, "'%s' object has no attribute 'decode'", node_py_type(n), NULL);
		stage_add_dep(s, n->text, str_starts(n->text, "ds://") ? DEP_DATASET : DEP_PATH);
	}
	return 0;
}

/* file -> list of keys; a file tracked whole has none. */
static int merge_params(struct node *out, const struct node *list, struct err *e)
{
	autonode struct node *whole = node_map();

	for (size_t i = 0; i < list->n; i++)
		for (size_t k = 0; list->v[i]->kind == NODE_MAP && k < list->v[i]->n; k++)
			if (!node_truthy(list->v[i]->v[k]) && list->v[i]->k[k]->kind == NODE_STR)
				node_set(whole, list->v[i]->k[k]->text, node_bool(true));
	for (size_t i = 0; i < list->n; i++) {
		const struct node *n = list->v[i];

		if (n->kind == NODE_STR) {
			if (node_get(whole, "params.yaml"))
				continue;
			if (!node_get(out, "params.yaml"))
				node_set(out, "params.yaml", node_seq());
			node_push(node_get(out, "params.yaml"), node_str(n->text));
			continue;
		}
		if (n->kind != NODE_MAP)
			return unexpected(e, "Only list of str/dict is supported. Got: '%s'.", node_py_type(n), NULL);
		for (size_t k = 0; k < n->n; k++) {
			const char *file = n->k[k]->kind == NODE_STR ? n->k[k]->text : "";

			if (node_get(whole, file)) {
				node_set(out, file, node_seq());
				continue;
			}
			if (n->v[k]->kind != NODE_SEQ)
				return unexpected(e, "Expected list of params for custom params file '%s', got '%s'.",
						  file, node_py_type(n->v[k]));
			if (!node_get(out, file))
				node_set(out, file, node_seq());
			for (size_t j = 0; j < n->v[k]->n; j++)
				node_push(node_get(out, file), node_copy(n->v[k]->v[j]));
		}
	}
	return 0;
}

int dvcyaml_add_params(struct stage *s, const struct node *list, struct err *e)
{
	autonode struct node *files = node_map();

	if (!node_is(list, NODE_SEQ))
		return 0;
	if (merge_params(files, list, e))
		return -1;
	for (size_t i = 0; i < files->n; i++) {
		struct item *it = stage_add_dep(s, files->k[i]->text, DEP_PARAMS);

		for (size_t k = 0; k < files->v[i]->n; k++) {
			autostr struct str name = STR_INIT;

			node_py_str(&name, files->v[i]->v[k]);
			strvec_push(&it->params, str_cstr(&name));
		}
	}
	return 0;
}

static int fill_stage(struct stage *s, struct node *def, struct err *e)
{
	const struct node *wdir = node_get(def, "wdir"), *cmd = node_get(def, "cmd");

	if (node_is(wdir, NODE_STR) && wdir->len)
		stage_set_wdir(s, wdir->text);
	else if (wdir && wdir->kind != NODE_NULL && node_truthy(wdir))
		return unexpected(e, "join() argument must be str, bytes, or os.PathLike object, not '%s'",
				  node_py_type(wdir), NULL);
	if (cmd && cmd->kind != NODE_NULL)
		s->cmd = node_copy(cmd);
	s->frozen = node_get_bool(def, "frozen", false);
	s->always_changed = node_get_bool(def, "always_changed", false);
	s->desc = node_dup_str(def, "desc");
	s->meta = node_copy_truthy(def, "meta");
	if (add_deps(s, node_get(def, "deps"), e) || dvcyaml_add_params(s, node_get(def, "params"), e) ||
	    add_outs(s, node_get(def, "outs"), "outs", e) || add_outs(s, node_get(def, "metrics"), "metrics", e) ||
	    add_outs(s, node_get(def, "plots"), "plots", e))
		return -1;
	return 0;
}

struct load {
	struct index *x;
	const char *rel;
	char *lock_rel;
	const struct node *lock;        /* 'stages' of dvc.lock, or NULL */
};

static int load_stage(const char *name, const char *group, struct node *resolved, const struct node *raw, void *data,
		      struct err *e)
{
	struct load *l = data;
	autonode struct node *def = resolved;
	struct stage *s = index_reclaim(l->x, l->rel, name);
	const struct node *entry = node_get(l->lock, name);

	if (s) {
		index_add(l->x, s);
		return 0;
	}
	s = stage_new(STAGE_PIPELINE, l->rel, name);
	s->group = xstrdup(group);
	s->line = raw->line;
	s->is_parametrized = group || !node_equal(raw, def);
	if (fill_stage(s, def, e)) {
		stage_free(s);
		return -1;
	}
	if (l->x->repo)
		stage_localise(s, l->x->repo->root);
	if (lock_fill(s, entry, l->lock_rel, e)) {
		stage_free(s);
		return -1;
	}
	index_add(l->x, s);
	return 0;
}

struct loader { struct srctree *tree; const char *cwd; };

static int read_vars(struct node **out, struct loader *l, const char *rel, struct err *e)
{
	autofree char *abs = path_join("/", rel), *cwd = xasprintf("/%s", l->cwd ? l->cwd : ""), *shown = NULL;
	autostr struct str text = STR_INIT;
	autoerr struct err why = ERR_INIT;
	autofree char *cause = NULL;

	if (srctree_read(l->tree, rel, PARAMS_MAX, &text, e))
		return -1;
	if (!params_parse(out, rel, str_cstr(&text), text.len, &why))
		return 0;
	shown = path_rel(abs, *rel == '/' ? "." : cwd);
	cause = params_explain(rel, str_cstr(&text), text.len, why.msg);
	return err_set(e, ERR_PARSE, "unable to read: '%s', %s", shown, cause);
}

static int load_vars(struct node **out, const char *rel, void *data, struct err *e)
{
	struct loader *l = data;

	if (!srctree_is_file(l->tree, rel)) {
		if (srctree_is_dir(l->tree, rel))
			return err_set(e, ERR_UNSUPPORTED, "'%s' is a directory", rel);
		return err_set(e, ERR_NOTFOUND, "'%s' does not exist", rel);
	}
	return read_vars(out, l, rel, e);
}

int dvcyaml_read(struct node **out, struct repo *r, struct srctree *t, const char *rel, unsigned flags, struct err *e)
{
	autofree char *shown = schema_shown(r, rel);
	autostr struct str text = STR_INIT;

	if (srctree_read(t, rel, DVCYAML_MAX, &text, e))
		return -1;
	return schema_parse(out, &document, shown, srctree_rev_name(t), str_cstr(&text), text.len, flags, e);
}

static int open_template(struct tmpl **out, struct repo *r, struct loader *l, const char *dir,
			 const struct node *doc, struct err *e)
{
	const char *how = r ? config_get(r->config, "parsing", "bool") : NULL;
	const char *lists = r ? config_get(r->config, "parsing", "list") : NULL;
	const struct node *list = node_get(doc, "datasets");
	struct tmpl_env env = {
		.dir = dir, .cwd = r ? r->cwd_rel : "", .load = load_vars, .data = l,
		.bool_optional = how && !strcmp(how, "boolean_optional"),
		.list_append = lists && !strcmp(lists, "append"),
	};

	if (list && list->kind != NODE_SEQ && list->kind != NODE_MAP && list->kind != NODE_STR)
		return unexpected(e, "'%s' object is not iterable", node_py_type(list), NULL);
	return tmpl_new(out, &env, doc, e);
}

void dvcyaml_top_release(struct dvcyaml_top *t)
{
	node_free(t->params);
	node_free(t->metrics);
	node_free(t->plots);
	node_free(t->artifacts);
	node_free(t->datasets);
	*t = (struct dvcyaml_top){ NULL, NULL, NULL, NULL, NULL };
}

static int resolve_section(struct tmpl *t, const struct node *doc, const char *name, struct node **out, struct err *e)
{
	const struct node *n = node_get(doc, name);

	if (!n || (n->kind != NODE_SEQ && n->kind != NODE_MAP))
		return 0;
	*out = n->kind == NODE_SEQ ? node_seq() : node_map();
	for (size_t i = 0; i < n->n; i++) {
		autofree char *where = NULL;
		struct node *v = NULL, *k = NULL;

		where = n->kind == NODE_SEQ ? xasprintf("%s.%zu", name, i) : xasprintf("%s.%s", name, n->k[i]->text);
		if (n->kind == NODE_MAP && tmpl_resolve_name(t, n->k[i], where, &k, e))
			return -1;
		if (tmpl_resolve_top(t, n->v[i], where, &v, e)) {
			node_free(k);
			return -1;
		}
		if (k)
			node_set_node(*out, k, v);
		else
			node_push(*out, v);
	}
	return 0;
}

/* What stands beside the stages must resolve too, whoever reads the file. */
static int check_sections(struct tmpl *t, const struct node *doc, struct err *e)
{
	static const char *const names[] = { "metrics", "plots", "params", "artifacts", "datasets" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		autonode struct node *n = NULL;
		const struct node *section = node_get(doc, names[i]);

		if (section && tmpl_has_expression(section) && resolve_section(t, doc, names[i], &n, e))
			return -1;
	}
	return 0;
}

/* A dvc.yaml with what it takes to resolve its stages. */
struct dvcyaml_file {
	char *rel, *dir;
	struct node *doc, *lock;
	struct loader from;
	struct tmpl *t;
};

void dvcyaml_file_free(struct dvcyaml_file *f)
{
	if (!f)
		return;
	tmpl_free(f->t);
	node_free(f->doc);
	node_free(f->lock);
	free(f->rel);
	free(f->dir);
	free(f);
}

/* What git ignores would not be there after a clone; so DVC refuses it, there or not. */
static int open_lock(struct node **out, struct index *x, const char *rel, struct err *e)
{
	autofree char *shown = NULL;

	if (x->repo && srctree_is_workspace(x->tree) && index_git_ignored(x, rel, false)) {
		shown = repo_abs(x->repo, rel);
		return err_set(e, ERR_FAIL, "'%s' is git-ignored.", shown);
	}
	return lock_read(out, x->repo, x->tree, rel, e);
}

static int open_file(struct dvcyaml_file **out, struct index *x, const char *rel, struct err *e)
{
	struct dvcyaml_file *f = xcalloc(1, sizeof(*f));
	autofree char *lock_rel = lock_path_of(rel);

	f->rel = xstrdup(rel);
	f->dir = path_dir(rel);
	f->from = (struct loader){ x->tree, x->repo ? x->repo->cwd_rel : "" };
	if (dvcyaml_read(&f->doc, x->repo, x->tree, rel, 0, e) || open_lock(&f->lock, x, lock_rel, e) ||
	    open_template(&f->t, x->repo, &f->from, f->dir, f->doc, e)) {
		dvcyaml_file_free(f);
		return -1;
	}
	*out = f;
	return 0;
}

static int load_from(struct index *x, const char *rel, const struct tmpl_want *w, bool all, struct err *e)
{
	autofree char *lock_rel = lock_path_of(rel);
	struct load l = { x, rel, lock_rel, NULL };
	struct dvcyaml_file *f = NULL;
	int rc;

	if (x->open_ && !strcmp(x->open_->rel, rel)) {
		f = x->open_;
		x->open_ = NULL;
	} else if (open_file(&f, x, rel, e)) {
		return -1;
	}
	l.lock = node_get(f->lock, "stages");
	rc = tmpl_some_stages(f->t, w, load_stage, &l, e);
	if (!rc && all)
		rc = check_sections(f->t, f->doc, e);
	if (all) {
		dvcyaml_file_free(f);
	} else {
		dvcyaml_file_free(x->open_);
		x->open_ = f;
	}
	return rc;
}

bool dvcyaml_declares(const struct index *x, const char *rel, const char *name)
{
	const struct node *def = NULL;

	if (x->open_ && !strcmp(x->open_->rel, rel))
		def = node_get(node_get(x->open_->doc, "stages"), name);
	return def && !node_get(def, "foreach") && !node_get(def, "matrix");
}

int dvcyaml_load(struct index *x, const char *rel, struct err *e)
{
	return load_from(x, rel, NULL, true, e);
}

int dvcyaml_load_some(struct index *x, const char *rel, const struct tmpl_want *w, struct err *e)
{
	return load_from(x, rel, w, false, e);
}

int dvcyaml_load_top(struct repo *r, struct srctree *tree, const char *rel, struct dvcyaml_top *out, struct err *e)
{
	autonode struct node *doc = NULL;
	autofree char *dir = path_dir(rel);
	struct loader from = { tree, r ? r->cwd_rel : "" };
	struct dvcyaml_top top = { NULL, NULL, NULL, NULL, NULL };
	struct tmpl *t = NULL;
	int rc;

	if (dvcyaml_read(&doc, r, tree, rel, 0, e) || open_template(&t, r, &from, dir, doc, e))
		return -1;
	rc = resolve_section(t, doc, "params", &top.params, e) || resolve_section(t, doc, "metrics", &top.metrics, e) ||
		resolve_section(t, doc, "plots", &top.plots, e) ||
		resolve_section(t, doc, "artifacts", &top.artifacts, e) ||
		resolve_section(t, doc, "datasets", &top.datasets, e) ? -1 : 0;
	tmpl_free(t);
	if (rc)
		dvcyaml_top_release(&top);
	else
		*out = top;
	return rc;
}

int dvcyaml_add_used_values(struct repo *r, struct srctree *tree, const char *rel, struct node *into, struct err *e)
{
	autonode struct node *doc = NULL;
	autofree char *dir = path_dir(rel);
	struct loader from = { tree, r ? r->cwd_rel : "" };
	struct tmpl *t = NULL;
	int rc;

	if (dvcyaml_read(&doc, r, tree, rel, 0, e) || open_template(&t, r, &from, dir, doc, e))
		return -1;
	rc = tmpl_used_values(t, into, e);
	tmpl_free(t);
	return rc;
}

bool dvcyaml_has_group(struct repo *r, struct srctree *tree, const char *rel, const char *name)
{
	autoerr struct err none = ERR_INIT;
	autonode struct node *doc = NULL;
	const struct node *def;

	if (dvcyaml_read(&doc, r, tree, rel, 0, &none))
		return false;
	def = node_get(node_get(doc, "stages"), name);
	return node_get(def, "foreach") || node_get(def, "matrix");
}

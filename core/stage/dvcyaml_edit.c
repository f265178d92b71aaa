#include "core/stage/dvcyaml.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml.h"
#include "core/repo/repo.h"
#include "core/stage/dvcyaml_priv.h"
#include "core/stage/lock.h"
#include "core/stage/schema.h"

#include <errno.h>
#include <unistd.h>

static int by_def(const void *a, const void *b)
{
	const struct item *const *x = a, *const *y = b;

	return strcmp((*x)->def, (*y)->def);
}

/* Items sorted by the path as written; equal ones keep their order. */
static struct item **sorted(struct item **v, size_t n)
{
	struct item **s = xcalloc(n + 1, sizeof(*s));

	for (size_t i = 0; i < n; i++) {
		size_t k = i;

		s[i] = v[i];
		if (n > 64)
			continue;
		for (; k && by_def(&s[k - 1], &s[k]) > 0; k--) {
			struct item *t = s[k];

			s[k] = s[k - 1];
			s[k - 1] = t;
		}
	}
	if (n > 64)
		qsort(s, n, sizeof(*s), by_def);
	return s;
}

static struct node *deps_node(const struct stage *s)
{
	autofree struct item **v = sorted(s->deps, s->ndeps);
	struct node *seq = node_seq();

	for (size_t i = 0; i < s->ndeps; i++)
		if (v[i]->kind != DEP_PARAMS)
			node_push(seq, node_str(v[i]->def));
	return seq;
}

static struct node *params_node(const struct stage *s)
{
	autofree struct item **v = sorted(s->deps, s->ndeps);
	struct node *seq = node_seq();

	for (size_t i = 0; i < s->ndeps; i++) {
		autostrvec struct strvec keys = STRVEC_INIT;
		struct node *list, *map;

		if (v[i]->kind != DEP_PARAMS)
			continue;
		for (size_t k = 0; k < v[i]->params.n; k++)
			strvec_push(&keys, v[i]->params.v[k]);
		strvec_sort(&keys);
		if (keys.n && !strcmp(v[i]->def, "params.yaml")) {
			for (size_t k = keys.n; k--;)
				node_insert(seq, 0, node_str(keys.v[k]));
			continue;
		}
		list = keys.n ? node_seq() : node_null();
		for (size_t k = 0; k < keys.n; k++)
			node_push(list, node_str(keys.v[k]));
		map = node_map();
		node_set(map, v[i]->def, list);
		node_push(seq, map);
	}
	return seq;
}

static struct node *flags_node(const struct item *i)
{
	struct node *m = node_map();

	if (i->desc)
		node_set(m, "desc", node_str(i->desc));
	if (i->type)
		node_set(m, "type", node_str(i->type));
	if (i->labels)
		node_set(m, "labels", node_copy(i->labels));
	if (i->annot_meta)
		node_set(m, "meta", node_copy(i->annot_meta));
	if (!i->cache)
		node_set(m, "cache", node_bool(false));
	if (i->persist)
		node_set(m, "persist", node_bool(true));
	for (size_t k = 0; i->plot_props && k < i->plot_props->n; k++)
		node_set(m, i->plot_props->k[k]->text, node_copy(i->plot_props->v[k]));
	if (i->remote)
		node_set(m, "remote", node_str(i->remote));
	if (!i->can_push)
		node_set(m, "push", node_bool(false));
	return m;
}

static struct node *outs_node(const struct stage *s, bool metric, bool plot)
{
	autofree struct item **v = sorted(s->outs, s->nouts);
	struct node *seq = node_seq();

	for (size_t i = 0; i < s->nouts; i++) {
		struct node *flags, *map;

		if (v[i]->is_plot != plot || (!plot && v[i]->is_metric != metric))
			continue;
		flags = flags_node(v[i]);
		if (!flags->n) {
			node_free(flags);
			node_push(seq, node_str(v[i]->def));
			continue;
		}
		map = node_map();
		node_set(map, v[i]->def, flags);
		node_push(seq, map);
	}
	return seq;
}

static void set_truthy(struct node *map, const char *key, struct node *v)
{
	if (v && node_truthy(v))
		node_set(map, key, v);
	else
		node_free(v);
}

struct node *dvcyaml_stage_node(const struct stage *s)
{
	struct node *m = node_map();
	autofree char *dir = path_dir(s->file);
	autofree char *from = path_join("/", dir);
	autofree char *to = path_join("/", s->wdir);
	autofree char *wdir = path_rel(to, from);

	if (s->desc)
		set_truthy(m, "desc", node_str(s->desc));
	if (s->cmd)
		set_truthy(m, "cmd", node_copy(s->cmd));
	if (strcmp(wdir, "."))
		node_set(m, "wdir", node_str(wdir));
	set_truthy(m, "deps", deps_node(s));
	set_truthy(m, "params", params_node(s));
	set_truthy(m, "outs", outs_node(s, false, false));
	set_truthy(m, "metrics", outs_node(s, true, false));
	set_truthy(m, "plots", outs_node(s, false, true));
	if (s->frozen)
		node_set(m, "frozen", node_bool(true));
	if (s->always_changed)
		node_set(m, "always_changed", node_bool(true));
	if (s->meta)
		set_truthy(m, "meta", node_copy(s->meta));
	return m;
}

static int refuse_parametrized(struct repo *r, const struct stage *s, const char *verb, struct err *e)
{
	autofree char *name = stage_addressing(s, r->cwd_rel);

	return err_set(e, ERR_FAIL, "cannot %s a parametrized stage: '%s'", verb, name);
}

/* The document as text that keeps its comments; an absent file gives an empty map. */
static int read_keep(struct node **out, const char *path, bool *exists, struct err *e)
{
	autostr struct str text = STR_INIT;

	*exists = fs_exists(path);
	*out = NULL;
	if (*exists && (fs_read(&text, path, DVCYAML_MAX, e) ||
			yaml_parse(out, str_cstr(&text), text.len, path, YAML_KEEP, e)))
		return -1;
	if (!node_is(*out, NODE_MAP)) {
		node_free(*out);
		*out = node_map();
	}
	return 0;
}

static int write_doc(struct repo *r, const char *path, const struct node *doc, struct err *e)
{
	autofree char *real = repo_real(r, path);
	autostr struct str text = STR_INIT;

	yaml_dump(&text, doc);
	if (fs_replace(real, str_cstr(&text), text.len, 0, e))
		return err_in(e, "cannot write '%s'", path);
	repo_wrote(r, path);
	return 0;
}

int dvcyaml_put_stage(struct repo *r, const struct stage *s, bool quiet, struct err *e)
{
	autofree char *path = repo_abs(r, s->file);
	autofree char *show = repo_show(r, s->file);
	autonode struct node *doc = NULL;
	autonode struct node *entry = NULL;
	struct node *stages, *old;
	bool exists;

	if (s->is_parametrized)
		return refuse_parametrized(r, s, "dump", e);
	if (read_keep(&doc, path, &exists, e))
		return -1;
	if (!doc->n && !quiet)
		notice(NOTICE_INFO, "Creating '%s'", show);
	stages = node_get(doc, "stages");
	if (!node_is(stages, NODE_MAP)) {
		node_set(doc, "stages", node_map());
		stages = node_get(doc, "stages");
	}
	entry = dvcyaml_stage_node(s);
	old = node_get(stages, s->name);
	if (!quiet)
		notice(NOTICE_INFO, "%s stage '%s' in '%s'", old ? "Modifying" : "Adding", s->name, show);
	if (node_is(old, NODE_MAP))
		yaml_apply(old, entry);
	else
		node_set(stages, s->name, take(entry));
	return write_doc(r, path, doc, e);
}

int dvcyaml_remove_stage(struct repo *r, const struct stage *s, struct err *e)
{
	autofree char *path = repo_abs(r, s->file);
	autonode struct node *doc = NULL;
	struct node *stages;
	bool exists;

	if (s->is_parametrized)
		return refuse_parametrized(r, s, "remove", e);
	if (lock_remove_stage(r, s, e) || read_keep(&doc, path, &exists, e))
		return -1;
	stages = node_get(doc, "stages");
	if (!exists || !stages || !node_get(stages, s->name))
		return 0;
	node_del(stages, s->name);
	if (!stages->n)
		node_del(doc, "stages");
	if (doc->n)
		return write_doc(r, path, doc, e);
	if (unlink(path) && errno != ENOENT)
		return err_sys(e, "cannot remove '%s'", path);
	repo_wrote(r, path);
	return 0;
}

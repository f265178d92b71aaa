#include "core/stage/datasets.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/repo/srctree.h"
#include "core/stage/dvcyaml.h"
#include "core/stage/lock.h"

static const char *const meta_keys[] = {
	"isdir", "size", "nfiles", "isexec", "version_id", "etag", "checksum", "md5", "inode", "mtime", "remote", NULL
};
static const char *const file_keys[] = { "relpath", "meta", NULL };
static const struct { const char *type, *keys[7]; } kinds[] = {
	{ "dvc", { "name", "url", "type", "path", "rev", "rev_lock" } },
	{ "dc", { "name", "url", "type", "version", "created_at" } },
	{ "url", { "name", "url", "type", "meta", "files" } },
};

struct collect {
	struct repo *repo;
	struct srctree *tree;
	struct node *all;
};

static const struct node *by_name(const struct node *list, const char *name)
{
	for (size_t i = 0; node_is(list, NODE_SEQ) && i < list->n; i++)
		if (node_is_str(node_get(list->v[i], "name"), name))
			return list->v[i];
	return NULL;
}

static int add_file(const char *rel, void *data, struct err *e)
{
	struct collect *c = data;
	struct dvcyaml_top top = { NULL, NULL, NULL, NULL, NULL };
	autonode struct node *doc = NULL;
	autofree char *lock_rel = lock_path_of(rel);

	if (strcmp(path_base(rel), "dvc.yaml"))
		return 0;
	if (dvcyaml_load_top(c->repo, c->tree, rel, &top, e))
		return -1;
	if (top.datasets && lock_read(&doc, c->repo, c->tree, lock_rel, e)) {
		dvcyaml_top_release(&top);
		return -1;
	}
	for (size_t i = 0; node_is(top.datasets, NODE_SEQ) && i < top.datasets->n; i++) {
		const char *name = node_get_str(top.datasets->v[i], "name");
		const struct node *lock = name ? by_name(node_get(doc, "datasets"), name) : NULL;
		struct node *both;

		if (!name)
			continue;
		both = node_map();
		node_set(both, "spec", node_copy(top.datasets->v[i]));
		if (lock)
			node_set(both, "lock", node_copy(lock));
		node_set(c->all, name, both);
	}
	dvcyaml_top_release(&top);
	return 0;
}

int datasets_collect(struct repo *r, struct srctree *t, struct node **out, struct err *e)
{
	autonode struct node *all = node_map();
	struct collect c = { r, t, all };

	if (srctree_find_stages(t, "", add_file, NULL, &c, e))
		return -1;
	*out = take(all);
	return 0;
}

static int by_relpath(const void *a, const void *b)
{
	const struct node *const *x = a, *const *y = b;
	const char *p = node_get_str(*x, "relpath"), *q = node_get_str(*y, "relpath");

	return strcmp(p ? p : "", q ? q : "");
}

/* The keys of a list, in its order; what is empty, false or null is as good as absent. */
static struct node *ordered(const struct node *n, const char *const *keys)
{
	struct node *out = node_map();

	for (size_t i = 0; keys[i]; i++) {
		const struct node *v = node_get(n, keys[i]);
		struct node *w;

		if (!v || v->kind == NODE_NULL || (v->kind != NODE_INT && !node_truthy(v) && strcmp(keys[i], "meta")))
			continue;
		if (!strcmp(keys[i], "meta") && v->kind == NODE_MAP) {
			w = ordered(v, meta_keys);
		} else if (!strcmp(keys[i], "files") && v->kind == NODE_SEQ) {
			w = node_seq();
			for (size_t k = 0; k < v->n; k++)
				node_push(w, ordered(v->v[k], file_keys));
			qsort(w->v, w->n, sizeof(*w->v), by_relpath);
		} else {
			w = node_copy(v);
		}
		node_set(out, keys[i], w);
	}
	return out;
}

struct node *datasets_recorded(const struct node *was)
{
	const char *type = node_get_str(was, "type");

	for (size_t i = 0; type && i < ARRAY_LEN(kinds); i++)
		if (!strcmp(kinds[i].type, type))
			return ordered(was, kinds[i].keys);
	return NULL;
}

static bool same_text(const struct node *a, const struct node *b, const char *key)
{
	const char *x = node_get_str(a, key), *y = node_get_str(b, key);

	return !strcmp(x ? x : "", y ? y : "");
}

int datasets_lock(const struct node *all, const char *url, struct node **lock, bool *stale, struct err *e)
{
	const char *from = url + strlen("ds://"), *type;
	autofree char *name = xstrndup(from, strcspn(from, "/?#"));
	const struct node *both = node_get(all, name), *spec = node_get(both, "spec"), *is = node_get(both, "lock");
	autonode struct node *known = datasets_recorded(spec);

	*lock = NULL;
	*stale = false;
	type = node_get_str(spec, "type");
	if (!both)
		return err_set(e, ERR_NOTFOUND, "dataset not found: '%s'", name);
	if (!known) {
		err_set(e, ERR_PARSE, type ? "unknown dataset type: %s" : "type should be present in spec", type);
		e->exit_status = 255;
		return -1;
	}
	*lock = is ? datasets_recorded(is) : NULL;
	if (!*lock)
		return 0;
	*stale = !same_text(spec, is, "name") || !same_text(spec, is, "url") || !same_text(spec, is, "type");
	if (!strcmp(type, "dvc"))
		*stale |= !same_text(spec, is, "path") || !same_text(spec, is, "rev");
	if (*stale) {
		node_free(*lock);
		*lock = NULL;
	}
	return 0;
}

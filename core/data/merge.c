#include "core/data/merge.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml.h"
#include "core/cache/oid.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"
#include "core/data/project.h"

#define MERGE_DEPTH 64

struct merge { struct project *p; };

/* One key's three values; NULL is absent. *out NULL: the key goes. */
static int merge_value(struct merge *m, const char *at, const struct node *anc, const struct node *our,
		       const struct node *their, struct node **out, int depth, struct err *e);

static bool same(const struct node *a, const struct node *b)
{
	return a && b ? node_equal(a, b) : a == b;
}

static int conflict(struct err *e, const char *what)
{
	err_set(e, ERR_CHANGED, "unable to auto-merge %s", what);
	e->exit_status = 1;
	return -1;
}

/* 1: decided, *out is the value; 0: both sides changed it. */
static int trivial(const struct node *anc, const struct node *our, const struct node *their, struct node **out)
{
	const struct node *pick;

	if (same(our, their) || same(their, anc))
		pick = our;
	else if (same(our, anc))
		pick = their;
	else
		return 0;
	*out = pick ? node_copy(pick) : NULL;
	return 1;
}

/* --- directories --------------------------------------------------------------------------------------------------- */

static const struct oid *entry_id(const struct tree *t, const char *path)
{
	const struct tree_entry *en = tree_find(t, path);

	return en ? &en->id : NULL;
}

static bool same_id(const struct oid *a, const struct oid *b)
{
	return a && b ? oid_eq(a, b) : a == b;
}

/* Adds what the three sides make of one path; what both changed is named in *bad. */
static void merge_entry(struct tree *out, const char *path, const struct tree *anc, const struct tree *our,
			const struct tree *their, struct str *bad)
{
	const struct oid *a = entry_id(anc, path), *o = entry_id(our, path), *t = entry_id(their, path), *pick;

	if (same_id(o, t) || same_id(t, a)) {
		pick = o;
	} else if (same_id(o, a)) {
		pick = t;
	} else {
		str_addf(bad, "\n%s", path);
		return;
	}
	if (pick)
		tree_add(out, path, pick, -1);
}

static int merge_trees(struct tree **out, const struct tree *anc, const struct tree *our, const struct tree *their,
		       struct err *e)
{
	autotree struct tree *t = tree_new();
	autostr struct str bad = STR_INIT;
	autofree char *what = NULL;

	for (size_t i = 0; i < our->n; i++)
		merge_entry(t, our->e[i].path, anc, our, their, &bad);
	for (size_t i = 0; i < their->n; i++)
		if (!tree_find(our, their->e[i].path))
			merge_entry(t, their->e[i].path, anc, our, their, &bad);
	if (bad.len) {
		what = xasprintf("the following paths:%s", bad.buf);
		return conflict(e, what);
	}
	tree_sort(t);
	*out = take(t);
	return 0;
}

static bool dir_id(const struct node *group, struct oid *id)
{
	const char *md5 = group ? node_get_str(group, "md5") : NULL;

	return md5 && oid_parse(id, md5) && id->is_dir;
}

static int load_side(struct tree **out, struct store *s, const struct node *group, struct err *e)
{
	struct oid id;

	if (!group) {
		*out = tree_new();
		return 0;
	}
	if (!dir_id(group, &id))
		return conflict(e, "outputs that are not directories");
	return tree_load(out, s, &id, e) ? err_in(e, "cannot merge directories") : 0;
}

/* Bytes of all members; -1 when one is not in the cache. */
static int64_t tree_bytes(struct store *s, const struct tree *t)
{
	int64_t sum = 0;
	uint64_t size;

	for (size_t i = 0; i < t->n; i++) {
		if (store_has_quick(s, &t->e[i].id, &size) != 1)
			return -1;
		sum += (int64_t)size;
	}
	return sum;
}

/* J3 */
static int merge_dirs(struct merge *m, const struct node *anc, const struct node *our, const struct node *their,
		      struct node **out, struct err *e)
{
	autotree struct tree *a = NULL, *o = NULL, *t = NULL, *made = NULL;
	char hex[OID_HEX_MAX];
	struct store *s;
	struct oid id;
	int64_t bytes;

	if (!same(node_get(our, "hash"), node_get(their, "hash")))
		return conflict(e, "outputs with different options");
	if (project_cache(m->p, !node_get(our, "hash"), &s, e) || load_side(&o, s, our, e) || load_side(&t, s, their, e) ||
	    load_side(&a, s, anc, e) || merge_trees(&made, a, o, t, e) || tree_save(made, s, &id, e))
		return -1;
	*out = node_copy(our);
	oid_hex(hex, &id);
	node_set(*out, "md5", node_str(hex));
	bytes = tree_bytes(s, made);
	if (bytes >= 0)
		node_set(*out, "size", node_int(bytes));
	else
		node_del(*out, "size");
	node_set(*out, "nfiles", node_int((int64_t)made->n));
	return 0;
}

/* --- outputs and dependencies -------------------------------------------------------------------------------------- */

static const char *const content_keys[] = {
	"md5", "etag", "checksum", "size", "nfiles", "isexec", "version_id", "hash", "files", "cloud"
};

/* The part of an item that says what its content is: one value to the merge. NULL: nothing recorded. */
static struct node *content_of(const struct node *item)
{
	autonode struct node *g = node_map();

	for (size_t i = 0; item && i < ARRAY_LEN(content_keys); i++)
		if (node_get(item, content_keys[i]))
			node_set(g, content_keys[i], node_copy(node_get(item, content_keys[i])));
	return g->n ? take(g) : NULL;
}

static struct node *without_content(const struct node *item)
{
	struct node *n = item ? node_copy(item) : NULL;

	for (size_t i = 0; n && i < ARRAY_LEN(content_keys); i++)
		node_del(n, content_keys[i]);
	return n;
}

static int merge_content(struct merge *m, const struct node *anc, const struct node *our, const struct node *their,
			 struct node **out, struct err *e)
{
	autonode struct node *a = content_of(anc), *o = content_of(our), *t = content_of(their);

	if (trivial(a, o, t, out))
		return 0;
	if (!o || !t)
		return conflict(e, "DVC files with deleted outputs");
	return merge_dirs(m, a, o, t, out, e);
}

/* Rest and content apart, then together: content keys keep their places in ours. */
static int merge_item(struct merge *m, const char *at, const struct node *anc, const struct node *our,
		      const struct node *their, struct node **out, int depth, struct err *e)
{
	autonode struct node *ra = without_content(anc), *ro = without_content(our), *rt = without_content(their);
	autonode struct node *rest = NULL, *content = NULL, *made = NULL;

	if (merge_value(m, at, ra, ro, rt, &rest, depth + 1, e) || merge_content(m, anc, our, their, &content, e))
		return -1;
	made = node_copy(our);
	for (size_t i = made->n; i-- > 0;) {
		const char *k = made->k[i]->text;

		if ((!rest || !node_get(rest, k)) && (!content || !node_get(content, k)))
			node_del_at(made, i);
	}
	for (size_t i = 0; content && i < content->n; i++)
		node_set(made, content->k[i]->text, node_copy(content->v[i]));
	for (size_t i = 0; rest && i < rest->n; i++)
		node_set(made, rest->k[i]->text, node_copy(rest->v[i]));
	*out = take(made);
	return 0;
}

/* --- documents ----------------------------------------------------------------------------------------------------- */

static bool is_keyed(const struct node *list, const char *key)
{
	if (list && list->kind != NODE_SEQ)
		return false;
	for (size_t i = 0; list && i < list->n; i++)
		if (!node_get_str(list->v[i], key))
			return false;
	return true;
}

static const struct node *find_keyed(const struct node *list, const char *key, const char *value)
{
	for (size_t i = 0; list && i < list->n; i++)
		if (!strcmp(node_get_str(list->v[i], key), value))
			return list->v[i];
	return NULL;
}

static int merge_one_of(struct merge *m, const char *key, const char *value, const struct node *anc,
			const struct node *our, const struct node *their, struct node *made, int depth, struct err *e)
{
	const struct node *a = find_keyed(anc, key, value), *o = find_keyed(our, key, value);
	const struct node *t = find_keyed(their, key, value);
	struct node *out = NULL;

	if (!trivial(a, o, t, &out)) {
		if (!o || !t)
			return conflict(e, "DVC files with deleted outputs");
		if (!strcmp(key, "path") ? merge_item(m, value, a, o, t, &out, depth, e) :
		    merge_value(m, value, a, o, t, &out, depth + 1, e))
			return -1;
	}
	if (out)
		node_push(made, out);
	return 0;
}

/* Lists of outputs, dependencies ("path") and datasets ("name") are maps in disguise. */
static int merge_list(struct merge *m, const char *key, const struct node *anc, const struct node *our,
		      const struct node *their, struct node **out, int depth, struct err *e)
{
	autonode struct node *made = node_seq();

	for (size_t i = 0; i < our->n; i++)
		if (merge_one_of(m, key, node_get_str(our->v[i], key), anc, our, their, made, depth, e))
			return -1;
	for (size_t i = 0; i < their->n; i++) {
		const char *v = node_get_str(their->v[i], key);

		if (!find_keyed(our, key, v) && merge_one_of(m, key, v, anc, our, their, made, depth, e))
			return -1;
	}
	*out = take(made);
	return 0;
}

static int merge_map(struct merge *m, const struct node *anc, const struct node *our, const struct node *their,
		     struct node **out, int depth, struct err *e)
{
	autonode struct node *made = node_copy(our);

	for (size_t i = 0; i < our->n + their->n; i++) {
		const struct node *k = i < our->n ? our->k[i] : their->k[i - our->n];
		struct node *v = NULL;

		if (k->kind != NODE_STR || (i >= our->n && node_get(our, k->text)))
			continue;
		if (merge_value(m, k->text, anc ? node_get(anc, k->text) : NULL, node_get(our, k->text),
				node_get(their, k->text), &v, depth + 1, e))
			return -1;
		if (v)
			node_set(made, k->text, v);
		else
			node_del(made, k->text);
	}
	*out = take(made);
	return 0;
}

/* A stage's record is one run's: it is not mixed from two. */
static int merge_stages(const struct node *anc, const struct node *our, const struct node *their, struct node **out,
			struct err *e)
{
	autonode struct node *made = node_copy(our);

	for (size_t i = 0; i < our->n + their->n; i++) {
		const char *name = i < our->n ? our->k[i]->text : their->k[i - our->n]->text;
		struct node *v = NULL;
		autofree char *what = NULL;

		if (!trivial(anc ? node_get(anc, name) : NULL, node_get(our, name), node_get(their, name), &v)) {
			what = xasprintf("stage '%s': both sides ran it", name);
			return conflict(e, what);
		}
		if (v)
			node_set(made, name, v);
		else
			node_del(made, name);
	}
	*out = take(made);
	return 0;
}

static int merge_value(struct merge *m, const char *at, const struct node *anc, const struct node *our,
		       const struct node *their, struct node **out, int depth, struct err *e)
{
	autofree char *what = NULL;

	if (trivial(anc, our, their, out))
		return 0;
	if (depth < MERGE_DEPTH && our && their && our->kind == their->kind && (!anc || anc->kind == our->kind)) {
		if (our->kind == NODE_MAP && !strcmp(at, "stages"))
			return merge_stages(anc, our, their, out, e);
		if (our->kind == NODE_MAP)
			return merge_map(m, anc, our, their, out, depth, e);
		for (int i = 0; our->kind == NODE_SEQ && i < 2; i++) {
			const char *key = i ? "name" : "path";

			if (is_keyed(anc, key) && is_keyed(our, key) && is_keyed(their, key))
				return merge_list(m, key, anc, our, their, out, depth, e);
		}
	}
	what = xasprintf("'%s': both sides changed it", at);
	return conflict(e, what);
}

static int load_document(struct node **out, const char *path, unsigned flags, struct err *e)
{
	if (yaml_load(out, path, YAML_MAX_DEFAULT, flags, e))
		return -1;
	if ((*out)->kind == NODE_NULL) {
		node_free(*out);
		*out = node_map();
	}
	return (*out)->kind == NODE_MAP ? 0 : err_set(e, ERR_PARSE, "'%s' is not a map", path);
}

int merge_driver(struct project *p, const char *ancestor, const char *our, const char *their, struct err *e)
{
	struct merge m = { p };
	autonode struct node *a = NULL, *o = NULL, *t = NULL, *made = NULL;
	autostr struct str text = STR_INIT;

	if (load_document(&a, ancestor, 0, e) || load_document(&o, our, YAML_KEEP, e) || load_document(&t, their, 0, e))
		return -1;
	if (merge_value(&m, our, a, o, t, &made, 0, e))
		return -1;
	if (!made)
		made = node_map();
	if (node_equal(made, o))
		return 0;
	yaml_apply(o, made);
	yaml_dump(&text, o);
	return fs_replace(our, text.buf, text.len, 0, e);
}

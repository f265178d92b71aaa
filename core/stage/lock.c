#include "core/stage/lock.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml.h"
#include "core/repo/repo.h"
#include "core/repo/srctree.h"
#include "core/stage/lock_priv.h"
#include "core/stage/pointer.h"
#include "core/stage/schema_table.h"

/* Schema (format notes 6.2) */

static const char *check_checksum(const struct node *n)
{
	bool good = node_is(n, NODE_NULL) || node_is(n, NODE_BOOL)
		|| (node_is(n, NODE_STR) && (!n->len || n->len >= 3)) || (node_is(n, NODE_INT) && strlen(n->text) >= 3);

	return good ? NULL : "not a valid value";
}

static const char *check_version(const struct node *n)
{
	return node_is_str(n, "2.0") ? NULL : "invalid schema version";
}

static const struct schema checksum = { .kind = SCHEMA_CHECK, .check = check_checksum };
static const struct schema version = { .kind = SCHEMA_CHECK, .check = check_version };
#define HASH_ROWS ROW("md5", checksum), ROW("checksum", checksum), ROW("etag", checksum), ROW("size", schema_int), \
	ROW("nfiles", schema_int), ROW("isexec", schema_bool), ROW("version_id", schema_str)
MAP_WITH(cloud_details, HASH_ROWS);
static const struct schema_key cloud_row[] = { ROW("*", cloud_details), SCHEMA_KEYS_END };
static const struct schema cloud = { .kind = SCHEMA_MAP, .keys = cloud_row, .max = 1 };
MAP_WITH(file_map, HASH_ROWS, { "relpath", &schema_str, true }, ROW("cloud", cloud));
LIST_OF(files, file_map);
MAP_WITH(data_map, HASH_ROWS, { "path", &schema_str, true }, ROW("cloud", cloud), ROW("files", files),
	 ROW("hash", schema_str), ROW("dataset", schema_dict));
LIST_OF(data_list, data_map);
ONE_OF(str_or_list, &schema_str, &schema_list);
MAP_WITH(param_values, ROW("*", schema_anything));
MAP_WITH(param_files, ROW("*", param_values));
MAP_WITH(stage_entry, { "cmd", &str_or_list, true }, ROW("deps", data_list), ROW("params", param_files),
	 ROW("outs", data_list));
MAP_WITH(stages, ROW("*", stage_entry));
MAP_WITH(document, { "schema", &version, true }, ROW("datasets", schema_anything), ROW("stages", stages));

const struct schema *lock_schema(void)
{
	return &document;
}

const struct schema *lock_entry_schema(void)
{
	return &stage_entry;
}

char *lock_path_of(const char *dvcyaml_rel)
{
	size_t n = strlen(dvcyaml_rel);
	const char *base = path_base(dvcyaml_rel), *dot = strrchr(base, '.');

	return xasprintf("%.*s.lock", (int)(dot ? (size_t)(dot - dvcyaml_rel) : n), dvcyaml_rel);
}

int lock_read(struct node **out, struct repo *r, struct srctree *t, const char *rel, struct err *e)
{
	autofree char *shown = NULL;
	autostr struct str text = STR_INIT;
	autonode struct node *doc = NULL;

	*out = NULL;
	if (!srctree_is_file(t, rel))
		return 0;
	if (srctree_is_ignored(t, rel, false))
		return 0;
	if (srctree_read(t, rel, LOCK_MAX, &text, e))
		return -1;
	shown = schema_shown(r, rel);
	if (schema_parse(&doc, &document, shown, srctree_rev_name(t), str_cstr(&text), text.len, 0, e))
		return -1;
	*out = take(doc);
	return 0;
}

/* Filling */

static const struct node *entry_of(const struct map *by_path, const struct node *list, const char *path)
{
	if (by_path->n)
		return map_get(by_path, path);
	for (size_t i = list ? list->n : 0; i--;)
		if (node_is_str(node_get(list->v[i], "path"), path))
			return list->v[i];
	return NULL;
}

static int fill_items(struct item **v, size_t n, const struct node *list, const char *rel, struct err *e)
{
	struct map by_path = MAP_INIT;
	autonode struct node *none = node_map();
	int rc = 0;

	if (list && list->n > 16)
		for (size_t i = 0; i < list->n; i++)
			map_put(&by_path, node_get_str(list->v[i], "path"), list->v[i]);
	for (size_t i = 0; !rc && i < n; i++) {
		const struct node *found;

		if (v[i]->kind == DEP_PARAMS)
			continue;
		found = entry_of(&by_path, list, v[i]->def);
		if (v[i]->kind == DEP_DATASET) {
			const struct node *d = node_get(found, "dataset");

			if (d)
				v[i]->dataset = node_copy(d);
			continue;
		}
		rc = item_from_node(v[i], found ? found : none, rel, e);
	}
	map_release(&by_path, NULL);
	return rc;
}

static void fill_params(struct item *i, const struct node *values)
{
	if (!values)
		return;
	if (!i->params.n) {
		i->param_values = node_copy(values);
		return;
	}
	i->param_values = node_map();
	for (size_t k = 0; k < i->params.n; k++) {
		const struct node *v = node_get(values, i->params.v[k]);

		if (v)
			node_set(i->param_values, i->params.v[k], node_copy(v));
	}
}

int lock_fill(struct stage *s, const struct node *entry, const char *rel, struct err *e)
{
	const struct node *params = node_get(entry, "params");

	if (!entry)
		return 0;
	s->in_lock = true;
	s->locked_cmd = node_get(entry, "cmd") ? node_copy(node_get(entry, "cmd")) : NULL;
	for (size_t i = 0; i < s->ndeps; i++)
		if (s->deps[i]->kind == DEP_PARAMS)
			fill_params(s->deps[i], node_get(params, s->deps[i]->def));
	if (fill_items(s->deps, s->ndeps, node_get(entry, "deps"), rel, e))
		return -1;
	return fill_items(s->outs, s->nouts, node_get(entry, "outs"), rel, e);
}

/* Writing */

static int by_def(const void *a, const void *b)
{
	const struct item *const *x = a, *const *y = b;
	int c = strcmp((*x)->def, (*y)->def);

	return c ? c : *x < *y ? -1 : 1;
}

static struct item **sorted(struct item **v, size_t n)
{
	struct item **s = xcalloc(n + 1, sizeof(*s));

	for (size_t i = 0; i < n; i++)
		s[i] = v[i];
	qsort(s, n, sizeof(*s), by_def);
	return s;
}

static struct node *item_entry(const struct item *i)
{
	struct node *m = node_map();

	node_set(m, "path", node_str(i->def));
	if (i->kind == DEP_DATASET) {
		if (i->dataset)
			node_set(m, "dataset", node_copy(i->dataset));
		return m;
	}
	if (!item_is_legacy(i))
		node_set(m, "hash", node_str("md5"));
	if (i->files && hashinfo_is_dir(&i->hash))
		node_set(m, "files", item_files_to_node(i));
	else
		item_add_hash(i, m);
	return m;
}

static struct node *items_entry(struct item **items, size_t n)
{
	autofree struct item **v = sorted(items, n);
	struct node *seq = node_seq();

	for (size_t i = 0; i < n; i++)
		if (v[i]->kind != DEP_PARAMS)
			node_push(seq, item_entry(v[i]));
	return seq;
}

static int by_key(const void *a, const void *b)
{
	const struct node *const *x = a, *const *y = b;

	return strcmp((*x)->text, (*y)->text);
}

/* Keys sorted at the first level; below, the order of the source stays. */
static struct node *sorted_values(const struct node *map)
{
	struct node *out = node_map();
	autofree const struct node **keys = xcalloc(map->n + 1, sizeof(*keys));
	size_t n = 0;

	for (size_t i = 0; i < map->n; i++)
		if (map->k[i]->kind == NODE_STR)
			keys[n++] = map->k[i];
	qsort(keys, n, sizeof(*keys), by_key);
	for (size_t i = 0; i < n; i++)
		node_set(out, keys[i]->text, node_copy(node_get(map, keys[i]->text)));
	return out;
}

static struct node *params_entry(const struct stage *s)
{
	autofree struct item **v = sorted(s->deps, s->ndeps);
	struct node *m = node_map();

	for (int first = 1; first >= 0; first--)
		for (size_t i = 0; i < s->ndeps; i++)
			if (v[i]->kind == DEP_PARAMS && v[i]->param_values &&
			    (!strcmp(v[i]->def, "params.yaml")) == first)
				node_set(m, v[i]->def, sorted_values(v[i]->param_values));
	return m;
}

static void set_full(struct node *m, const char *key, struct node *v)
{
	if (v->n)
		node_set(m, key, v);
	else
		node_free(v);
}

struct node *lock_entry(const struct stage *s)
{
	struct node *m = node_map();

	node_set(m, "cmd", s->cmd ? node_copy(s->cmd) : node_null());
	set_full(m, "deps", items_entry(s->deps, s->ndeps));
	set_full(m, "params", params_entry(s));
	set_full(m, "outs", items_entry(s->outs, s->nouts));
	return m;
}

struct node *lock_entry_to_write(const struct node *entry)
{
	struct node *m = node_copy(entry), *params = node_get(m, "params");
	unsigned count = 0;

	for (size_t i = 0; params && i < params->n; i++) {
		const char *file = params->k[i]->text;

		if (file && (str_ends(file, ".yaml") || str_ends(file, ".yml")))
			yaml_mark_shared(params->v[i], &count);
	}
	return m;
}

#include "core/stage/pointer.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/yaml.h"
#include "core/repo/repo.h"
#include "core/repo/srctree.h"
#include "core/stage/schema.h"

#define POINTER_MAX (64ull << 20)

/* Schema (format notes 1.3) */

/* null, "", three characters or more, or an integer of three digits or more. */
static const char *check_checksum(const struct node *n)
{
	bool good = node_is(n, NODE_NULL) || node_is(n, NODE_BOOL)
		|| (node_is(n, NODE_STR) && (!n->len || n->len >= 3)) || (node_is(n, NODE_INT) && strlen(n->text) >= 3);

	return good ? NULL : "not a valid value";
}
static const struct schema checksum = { .kind = SCHEMA_CHECK, .check = check_checksum };

#define CHECKSUM_ROWS { "md5", &checksum, false }, { "checksum", &checksum, false }, { "etag", &checksum, false }
#define META_ROWS { "size", &schema_int, false }, { "nfiles", &schema_int, false }, \
	{ "isexec", &schema_bool, false }, { "version_id", &schema_str, false }

static const struct schema_key cloud_keys[] = { CHECKSUM_ROWS, META_ROWS, SCHEMA_KEYS_END };
static const struct schema cloud_details = { .kind = SCHEMA_MAP, .keys = cloud_keys };
static const struct schema_key cloud_row[] = { { "*", &cloud_details, false }, SCHEMA_KEYS_END };
static const struct schema cloud = { .kind = SCHEMA_MAP, .keys = cloud_row, .max = 1 };

static const struct schema_key file_keys[] = {
	CHECKSUM_ROWS, META_ROWS, { "relpath", &schema_str, true }, { "cloud", &cloud, false }, SCHEMA_KEYS_END
};
static const struct schema file_map = { .kind = SCHEMA_MAP, .keys = file_keys };
static const struct schema *const file_alternatives[] = { &file_map, NULL };
static const struct schema files = { .kind = SCHEMA_SEQ, .of = file_alternatives };

static const struct schema *const str_alternatives[] = { &schema_str, NULL };
static const struct schema strings = { .kind = SCHEMA_SEQ, .of = str_alternatives };

#define ARTIFACT_ROWS CHECKSUM_ROWS, META_ROWS, { "path", &schema_str, false }, { "persist", &schema_bool, false }, \
	{ "cloud", &cloud, false }, { "hash", &schema_str, false }

static const struct schema_key out_keys[] = {
	ARTIFACT_ROWS,
	{ "desc", &schema_str, false }, { "type", &schema_str, false }, { "labels", &strings, false },
	{ "meta", &schema_anything, false }, { "cache", &schema_bool, false }, { "remote", &schema_str, false },
	{ "push", &schema_bool, false }, { "files", &files, false }, { "fs_config", &schema_dict, false },
	SCHEMA_KEYS_END
};
static const struct schema out_map = { .kind = SCHEMA_MAP, .keys = out_keys };

static const struct schema *const str_or_dict_alternatives[] = { &schema_str, &schema_dict, NULL };
static const struct schema str_or_dict = { .kind = SCHEMA_EITHER, .of = str_or_dict_alternatives };
static const struct schema_key repo_keys[] = {
	{ "url", &schema_str, true }, { "rev", &schema_str, false }, { "rev_lock", &schema_str, false },
	{ "config", &str_or_dict, false }, { "remote", &str_or_dict, false }, SCHEMA_KEYS_END
};
static const struct schema repo_map = { .kind = SCHEMA_MAP, .keys = repo_keys };
static const struct schema_key db_keys[] = {
	{ "query", &schema_str, false }, { "connection", &schema_str, false }, { "file_format", &schema_str, false },
	{ "table", &schema_str, false }, SCHEMA_KEYS_END
};
static const struct schema db_map = { .kind = SCHEMA_MAP, .keys = db_keys };
static const struct schema_key dep_keys[] = {
	ARTIFACT_ROWS, { "repo", &repo_map, false }, { "db", &db_map, false }, { "files", &files, false },
	{ "fs_config", &schema_dict, false }, SCHEMA_KEYS_END
};
static const struct schema dep_map = { .kind = SCHEMA_MAP, .keys = dep_keys };

static const struct schema *const out_alternatives[] = { &out_map, NULL };
static const struct schema *const dep_alternatives[] = { &dep_map, NULL };
static const struct schema out_list = { .kind = SCHEMA_SEQ, .of = out_alternatives };
static const struct schema dep_list = { .kind = SCHEMA_SEQ, .of = dep_alternatives };
static const struct schema *const outs_alternatives[] = { &out_list, &schema_null, NULL };
static const struct schema *const deps_alternatives[] = { &dep_list, &schema_null, NULL };
static const struct schema outs_or_null = { .kind = SCHEMA_EITHER, .of = outs_alternatives };
static const struct schema deps_or_null = { .kind = SCHEMA_EITHER, .of = deps_alternatives };
static const struct schema *const wdir_alternatives[] = { &schema_str, &schema_null, NULL };
static const struct schema wdir = { .kind = SCHEMA_EITHER, .of = wdir_alternatives };

static const struct schema_key document_keys[] = {
	{ "md5", &checksum, false }, { "wdir", &wdir, false }, { "deps", &deps_or_null, false },
	{ "outs", &outs_or_null, false }, { "locked", &schema_bool, false }, { "frozen", &schema_bool, false },
	{ "meta", &schema_anything, false }, { "always_changed", &schema_bool, false }, { "desc", &schema_str, false },
	SCHEMA_KEYS_END
};
static const struct schema document = { .kind = SCHEMA_MAP, .keys = document_keys };

/* Reading */

/* DVC accepts a number where a digest stands and stumbles over it: digits only must be quoted in YAML (trap 1). */
static int fail_number(const struct node *n, const char *where, struct err *e)
{
	err_set(e, ERR_PARSE, "unexpected error - '%s' object has no attribute 'endswith'", node_py_type(n));
	err_hint(e, "'%s' line %d: 'md5' must be a quoted string, not a number", where, n->line);
	e->exit_status = 255;
	return -1;
}

/* Non-empty text of a checksum field; NULL when absent or empty. */
static char *checksum_of(const struct node *map, const char *key)
{
	const struct node *n = node_get(map, key);
	autostr struct str text = STR_INIT;

	if (!n || !node_truthy(n))
		return NULL;
	node_py_str(&text, n);
	return str_take(&text);
}

static int64_t int_of(const struct node *map, const char *key)
{
	const struct node *n = node_get(map, key);

	if (node_is(n, NODE_BOOL))
		return n->b;
	return node_is(n, NODE_INT) && n->fits ? n->i : -1;
}

static int take_details(struct item *i, const struct node *map, const char *where, struct err *e)
{
	const struct node *md5 = node_get(map, "md5");
	static const char *const names[] = { "etag", "checksum", "md5" };
	char **to[] = { &i->meta.etag, &i->meta.checksum, &i->meta.md5 };

	if (md5 && md5->kind != NODE_STR && node_truthy(md5))
		return fail_number(md5, where, e);
	if (node_get(map, "size"))
		i->meta.size = int_of(map, "size");
	if (node_get(map, "nfiles"))
		i->meta.nfiles = int_of(map, "nfiles");
	if (node_get(map, "isexec"))
		i->meta.isexec = node_get_bool(map, "isexec", false);
	if (node_get_str(map, "version_id")) {
		free(i->meta.version_id);
		i->meta.version_id = xstrdup(node_get_str(map, "version_id"));
	}
	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		char *text = checksum_of(map, names[k]);

		if (text) {
			free(*to[k]);
			*to[k] = text;
		}
	}
	return 0;
}

static const char *meta_hash(const struct meta *m, const char *name)
{
	if (!strcmp(name, "md5") || !strcmp(name, "md5-dos2unix"))
		return m->md5;
	if (!strcmp(name, "etag"))
		return m->etag;
	return strcmp(name, "checksum") ? NULL : m->checksum;
}

int item_from_node(struct item *i, const struct node *map, const char *where, struct err *e)
{
	const struct node *c = node_get(map, "cloud"), *f = node_get(map, "files"), *fs = node_get(map, "fs_config");
	const char *name = node_get_str(map, "hash");

	if (take_details(i, map, where, e))
		return -1;
	if (node_is(c, NODE_MAP) && c->n && node_is(c->k[0], NODE_STR)) {
		node_free(i->cloud);
		i->cloud = node_copy(c);
		if (take_details(i, c->v[0], where, e))
			return -1;
		free(i->meta.remote);
		i->meta.remote = xstrdup(c->k[0]->text);
	}
	if (!i->path)                   /* outside the repository its file system decides */
		name = i->kind != DEP_URL ? "md5" : !str_starts(i->def, "remote://") ? hash_name_of_url(i->def) :
			i->meta.etag ? "etag" : i->meta.checksum ? "checksum" : "md5";   /* the remote's kind is not known here */
	else if (!name)
		name = "md5-dos2unix";
	hashinfo_set(&i->hash, name, meta_hash(&i->meta, name));
	if (fs) {
		node_free(i->fs_config);
		i->fs_config = node_copy(fs);
	}
	if (node_is(f, NODE_SEQ)) {
		node_free(i->files);
		i->files = node_copy(f);
		item_hash_from_files(i);
	} else if (i->meta.nfiles > 0 && !i->hash.value && strcmp(name, "md5") && !item_is_legacy(i) && i->meta.md5) {
		hashinfo_set(&i->hash, "md5", i->meta.md5);
	}
	return 0;
}

static int missing_path(const char *where, struct err *e)
{
	err_set(e, ERR_PARSE, "unexpected error - 'path'");
	err_hint(e, "'%s': an entry has no 'path'", where);
	e->exit_status = 255;
	return -1;
}

static int out_load(struct stage *s, const struct node *map, const char *where, struct err *e)
{
	const char *path = node_get_str(map, "path");
	struct item *i;

	if (!path)
		return missing_path(where, e);
	i = stage_add_out(s, path);
	i->cache = node_get_bool(map, "cache", true);
	i->persist = node_get_bool(map, "persist", false);
	i->push = i->can_push = node_get_bool(map, "push", true);
	i->remote = node_dup_str(map, "remote");
	i->desc = node_dup_str(map, "desc");
	i->type = node_dup_str(map, "type");
	i->labels = node_copy_truthy(map, "labels");
	i->annot_meta = node_copy_truthy(map, "meta");
	return item_from_node(i, map, where, e);
}

static int dep_load(struct stage *s, const struct node *map, const char *where, struct err *e)
{
	const char *path = node_get_str(map, "path");
	const struct node *repo = node_get(map, "repo"), *db = node_get(map, "db");
	struct item *i;

	if (db) {
		i = stage_add_dep(s, "", DEP_DB);
		i->db = node_copy(db);
		return 0;
	}
	if (!path || !*path)
		return missing_path(where, e);
	if (node_is(repo, NODE_MAP) && repo->n) {
		i = stage_add_dep(s, path, DEP_REPO);
		i->repo = node_copy(repo);
		return 0;
	}
	i = stage_add_dep(s, path, DEP_PATH);
	i->persist = node_get_bool(map, "persist", false);
	return item_from_node(i, map, where, e);
}

static int stage_fill(struct stage *s, const struct node *doc, const char *where, struct err *e)
{
	const struct node *outs = node_get(doc, "outs"), *deps = node_get(doc, "deps"), *meta = node_get(doc, "meta");
	const char *dir = node_get_str(doc, "wdir");

	if (dir && *dir)
		stage_set_wdir(s, dir);
	s->frozen = node_get_bool(doc, "frozen", false) || node_get_bool(doc, "locked", false);
	s->always_changed = node_get_bool(doc, "always_changed", false);
	s->desc = node_dup_str(doc, "desc");
	s->md5 = checksum_of(doc, "md5");
	if (meta && node_truthy(meta))
		s->meta = node_copy(meta);
	for (size_t i = 0; node_is(deps, NODE_SEQ) && i < deps->n; i++)
		if (dep_load(s, deps->v[i], where, e))
			return -1;
	for (size_t i = 0; node_is(outs, NODE_SEQ) && i < outs->n; i++)
		if (out_load(s, outs->v[i], where, e))
			return -1;
	s->is_import_like = stage_is_import(s);
	return 0;
}

int pointer_parse(struct stage **out, const char *rel, const char *shown, const char *rev, const char *text, size_t len,
		  struct err *e)
{
	autonode struct node *doc = NULL;
	struct stage *s;

	if (schema_parse(&doc, &document, shown, rev, text, len, 0, e))
		return -1;
	s = stage_new(STAGE_SINGLE, rel, NULL);
	if (stage_fill(s, doc, shown, e)) {
		stage_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

int pointer_load(struct stage **out, struct repo *r, struct srctree *t, const char *rel, struct err *e)
{
	autofree char *shown = schema_shown(r, rel);
	autostr struct str text = STR_INIT;

	if (srctree_read(t, rel, POINTER_MAX, &text, e))
		return -1;
	if (pointer_parse(out, rel, shown, srctree_rev_name(t), str_cstr(&text), text.len, e))
		return -1;
	if (r)
		stage_localise(*out, r->root);
	return 0;
}

/* Writing */

static void set_str(struct node *map, const char *key, const char *value)
{
	if (value && *value)
		node_set(map, key, node_str(value));
}

static void set_copy(struct node *map, const char *key, const struct node *value)
{
	if (value && node_truthy(value))
		node_set(map, key, node_copy(value));
}

void item_add_hash(const struct item *i, struct node *map)
{
	const struct meta *m = &i->meta;
	const char *name = i->hash.name;

	if (item_is_legacy(i))          /* 2.x wrote the key even without a value */
		node_set(map, "md5", i->hash.value ? node_str(i->hash.value) : node_null());
	else if (i->hash.value && name)
		node_set(map, name, node_str(i->hash.value));
	if (m->size >= 0)
		node_set(map, "size", node_int(m->size));
	if (m->nfiles >= 0)
		node_set(map, "nfiles", node_int(m->nfiles));
	if (m->isexec)
		node_set(map, "isexec", node_bool(true));
	if (!m->remote) {
		set_str(map, "version_id", m->version_id);
		set_str(map, "etag", m->etag);
		set_str(map, "checksum", m->checksum);
	}
	if (m->md5)
		set_str(map, "md5", m->md5);
	if (m->remote) {
		struct node *details = node_map(), *c = node_map();

		set_str(details, "etag", m->etag);
		set_str(details, "checksum", m->checksum);
		set_str(details, "version_id", m->version_id);
		if (details->n) {
			node_set(c, m->remote, details);
			node_set(map, "cloud", c);
		} else {
			node_free(details);
			node_free(c);
		}
	}
}

static const char *plain_hash_name(const struct item *i)
{
	return !i->hash.name || item_is_legacy(i) ? "md5" : i->hash.name;
}

/* The members of a directory outside go by their service's tags, though the whole has an md5. */
static const char *row_hash_name(const struct node *f, const char *name)
{
	return node_get(f, name) ? name : node_get(f, "etag") ? "etag" : node_get(f, "checksum") ? "checksum" : name;
}

static struct node *file_to_node(const struct node *f, const char *name)
{
	static const char *const rest[] = { "size", "nfiles", "isexec", "version_id", "etag", "checksum", "md5", "cloud" };
	struct node *map = node_map();

	set_copy(map, "relpath", node_get(f, "relpath"));
	set_copy(map, name, node_get(f, name));
	for (size_t k = 0; k < ARRAY_LEN(rest); k++) {
		const struct node *v = node_get(f, rest[k]);

		if (v && !node_get(map, rest[k]) && (k < 2 || node_truthy(v)))
			node_set(map, rest[k], node_copy(v));
	}
	return map;
}

static int by_relpath(const void *a, const void *b)
{
	const struct node *const *x = a, *const *y = b;

	return strcmp(node_get_str(*x, "relpath"), node_get_str(*y, "relpath"));
}

struct node *item_files_to_node(const struct item *i)
{
	struct node *seq = node_seq();

	for (size_t k = 0; i->files && k < i->files->n; k++)
		node_push(seq, file_to_node(i->files->v[k], row_hash_name(i->files->v[k], plain_hash_name(i))));
	if (seq->n)
		qsort(seq->v, seq->n, sizeof(*seq->v), by_relpath);
	return seq;
}

static const char *file_field(const struct node *f, const char *key)
{
	const struct node *c = node_get(f, "cloud");
	const char *s = node_get_str(f, key);

	return s || !node_is(c, NODE_MAP) || !c->n ? s : node_get_str(c->v[0], key);
}

void item_hash_from_files(struct item *i)
{
	autonode struct node *canon = item_files_to_node(i), *list = node_seq();
	autostr struct str text = STR_INIT;
	unsigned char md5[16];
	char hex[33 + 4];
	int64_t size = 0;

	if (!canon->n)          /* an empty list says nothing (trap 37) */
		return;
	for (size_t k = 0; k < canon->n; k++) {
		const char *name = i->is_out ? plain_hash_name(i) : row_hash_name(canon->v[k], plain_hash_name(i));
		struct node *entry = node_map();
		int64_t n = int_of(canon->v[k], "size");

		set_str(entry, name, file_field(canon->v[k], name));
		set_str(entry, "relpath", node_get_str(canon->v[k], "relpath"));
		node_push(list, entry);
		size += n > 0 ? n : 0;
	}
	json_dump(&text, list, JSON_SORT);
	md5_once(str_cstr(&text), text.len, md5);
	hex_encode(hex, md5, 16);
	memcpy(hex + 32, ".dir", 5);
	hashinfo_set(&i->hash, "md5", hex);
	i->meta.nfiles = (int64_t)canon->n;
	i->meta.size = size;
}

/* In the repository the path is written normalised and relative to wdir; elsewhere as it was. */
static char *path_for_file(const struct item *i)
{
	autofree char *from = NULL, *to = NULL;

	if (!i->path)
		return xstrdup(i->def);
	from = path_join("/", i->stage->wdir);
	to = path_join("/", i->path);
	return path_rel(to, from);
}

static struct node *repo_to_node(const struct item *i)
{
	static const char *const keys[] = { "url", "rev", "rev_lock", "config", "remote" };
	struct node *map = node_map(), *repo = node_map();

	for (size_t k = 0; k < ARRAY_LEN(keys); k++)
		set_copy(repo, keys[k], node_get(i->repo, keys[k]));
	node_set(map, "path", node_str(i->def));
	node_set(map, "repo", repo);
	return map;
}

static struct node *db_to_node(const struct item *i)
{
	struct node *map = node_map(), *db = node_map();

	for (size_t k = 0; k < i->db->n; k++)
		if (node_truthy(i->db->v[k]))
			node_set_node(db, node_copy(i->db->k[k]), node_copy(i->db->v[k]));
	node_set(map, "db", db);
	return map;
}

static void add_annotations(const struct item *i, struct node *map)
{
	set_str(map, "desc", i->desc);
	set_str(map, "type", i->type);
	set_copy(map, "labels", i->labels);
	set_copy(map, "meta", i->annot_meta);
	if (!i->cache)
		node_set(map, "cache", node_bool(false));
	if (i->persist)
		node_set(map, "persist", node_bool(true));
	set_str(map, "remote", i->remote);
	if (!i->can_push)
		node_set(map, "push", node_bool(false));
}

static struct node *item_to_node(const struct item *i)
{
	bool with_files = i->files && (i->is_out || stage_is_import(i->stage)) && hashinfo_is_dir(&i->hash);
	autofree char *path = NULL;
	struct node *map;

	if (i->kind == DEP_REPO)
		return repo_to_node(i);
	if (i->kind == DEP_DB)
		return db_to_node(i);
	map = node_map();
	if (!with_files)
		item_add_hash(i, map);
	if (!item_is_legacy(i))
		node_set(map, "hash", node_str("md5"));
	path = path_for_file(i);
	node_set(map, "path", node_str(path));
	set_copy(map, "fs_config", i->fs_config);
	if (i->is_out)
		add_annotations(i, map);
	if (with_files)
		node_set(map, "files", item_files_to_node(i));
	return map;
}

static void set_items(struct node *doc, const char *key, struct item *const *v, size_t n)
{
	struct node *seq;

	if (!n)
		return;
	seq = node_seq();
	for (size_t i = 0; i < n; i++)
		node_push(seq, item_to_node(v[i]));
	node_set(doc, key, seq);
}

struct node *pointer_to_node(const struct stage *s)
{
	autofree char *dir = path_dir(s->file), *from = path_join("/", dir), *to = path_join("/", s->wdir);
	autofree char *rel = path_rel(to, from);
	struct node *doc = node_map();

	set_str(doc, "desc", s->desc);
	set_str(doc, "md5", s->md5);
	if (str_starts(s->wdir, ".."))          /* outside the root: only the text knows where */
		set_str(doc, "wdir", s->wdir_def);
	else if (strcmp(rel, "."))
		node_set(doc, "wdir", node_str(rel));
	if (s->frozen)
		node_set(doc, "frozen", node_bool(true));
	set_items(doc, "deps", s->deps, s->ndeps);
	set_items(doc, "outs", s->outs, s->nouts);
	if (s->always_changed)
		node_set(doc, "always_changed", node_bool(true));
	set_copy(doc, "meta", s->meta);
	return doc;
}

/* Removes at every depth what does not change the meaning. */
static void drop_details(struct node *n)
{
	static const char *const keys[] = {
		"desc", "type", "labels", "meta", "locked", "frozen", "metric", "persist", "isexec", "size", "nfiles",
	};

	if (n->kind == NODE_MAP)
		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			node_del(n, keys[k]);
	for (size_t i = 0; (n->kind == NODE_MAP || n->kind == NODE_SEQ) && i < n->n; i++)
		drop_details(n->v[i]);
}

void pointer_document_md5(const struct stage *s, char out[33])
{
	autonode struct node *doc = pointer_to_node(s);
	autostr struct str text = STR_INIT;
	unsigned char md5[16];

	node_del(doc, "md5");
	drop_details(doc);
	json_dump(&text, doc, JSON_SORT);
	md5_once(str_cstr(&text), text.len, md5);
	hex_encode(out, md5, 16);
	out[32] = 0;
}

char *pointer_md5_for(const struct stage *s)
{
	char md5[33];

	if (!stage_is_import(s))
		return NULL;
	pointer_document_md5(s, md5);
	return xstrdup(md5);
}

/* ruamel folds double-quoted text in a way that can lose a blank, and so do we, to be byte-equal. A pointer that would
 * name something else is not written. */
static int check_reads_back(const struct node *doc, const struct str *text, const char *file, struct err *e)
{
	autonode struct node *again = NULL;
	autoerr struct err why = ERR_INIT;

	if (!yaml_parse(&again, str_cstr(text), text->len, file, 0, &why) && node_equal(doc, again))
		return 0;
	return err_set(e, ERR_UNSUPPORTED, "cannot write '%s': YAML as DVC writes it would not read back the same (a name "
		       "with quotes and backslashes, or a very long one)", file);
}

void pointer_renew_md5(struct stage *s)
{
	char *md5 = pointer_md5_for(s);

	free(s->md5);
	s->md5 = md5;
}

int pointer_text(struct repo *r, const struct stage *s, struct str *out, bool *same, struct err *e)
{
	autofree char *path = repo_abs(r, s->file);
	autonode struct node *doc = pointer_to_node(s), *old = NULL;
	autostr struct str text = STR_INIT;

	if (fs_exists(path)) {
		autofree char *shown = schema_shown(r, s->file);

		if (fs_read(&text, path, POINTER_MAX, e)
		    || yaml_parse(&old, str_cstr(&text), text.len, shown, YAML_KEEP, e))
			return err_in(e, "cannot update '%s'", s->file);
	}
	if (node_is(old, NODE_MAP)) {
		yaml_apply(old, doc);
		yaml_dump(out, old);
	} else {
		yaml_dump(out, doc);
	}
	*same = old && text.len == out->len && !memcmp(str_cstr(&text), str_cstr(out), text.len);
	return doc->n && !*same ? check_reads_back(doc, out, s->file, e) : 0;
}

int pointer_save(struct repo *r, const struct stage *s, struct err *e)
{
	autofree char *path = repo_abs(r, s->file), *real = repo_real(r, path);
	autostr struct str text = STR_INIT;
	bool same;

	if (pointer_text(r, s, &text, &same, e))
		return -1;
	if (!same && fs_replace(real, str_cstr(&text), text.len, 0, e))
		return err_in(e, "cannot write '%s'", s->file);
	repo_wrote(r, path);
	return 0;
}

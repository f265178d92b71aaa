#include "core/stage/stage.h"

#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/cache/tree.h"

/* Hashes */

bool hashinfo_is_legacy(const struct hashinfo *h)
{
	return h->name && !strcmp(h->name, "md5-dos2unix");
}

bool hashinfo_is_dir(const struct hashinfo *h)
{
	return h->value && str_ends(h->value, ".dir");
}

bool hashinfo_oid(const struct hashinfo *h, struct oid *out)
{
	if (!h->name || !h->value)
		return false;
	if (strcmp(h->name, "md5") && !hashinfo_is_legacy(h))
		return false;
	if (oid_parse(out, h->value))
		return true;
	/* DVC takes any text for a digest: of an object that nobody has. Inverted, so that no content can be named so. */
	md5_once(h->value, strlen(h->value), out->md5);
	for (size_t i = 0; i < sizeof(out->md5); i++)
		out->md5[i] ^= 0xff;
	out->is_dir = hashinfo_is_dir(h);
	return true;
}

static bool empty(const char *s)
{
	return !s || !*s;
}

bool hashinfo_eq(const struct hashinfo *a, const struct hashinfo *b)
{
	if (empty(a->value) || empty(b->value))
		return empty(a->value) && empty(b->value);
	return !strcmp(a->value, b->value) && a->name && b->name && !strcmp(a->name, b->name);
}

void hashinfo_set(struct hashinfo *h, const char *name, const char *value)
{
	char *n = xstrdup(name), *v = empty(value) ? NULL : xstrdup(value);

	free(h->name);
	free(h->value);
	h->name = n;
	h->value = v;
}

void hashinfo_set_oid(struct hashinfo *h, const struct oid *id)
{
	char hex[OID_HEX_MAX];

	oid_hex(hex, id);
	hashinfo_set(h, "md5", hex);
}

/* Metadata */

void meta_release(struct meta *m)
{
	free(m->version_id);
	free(m->etag);
	free(m->checksum);
	free(m->md5);
	free(m->remote);
	*m = (struct meta)META_INIT;
}

void meta_copy(struct meta *to, const struct meta *from)
{
	if (to == from)
		return;
	meta_release(to);
	to->size = from->size;
	to->nfiles = from->nfiles;
	to->isexec = from->isexec;
	to->version_id = xstrdup(from->version_id);
	to->etag = xstrdup(from->etag);
	to->checksum = xstrdup(from->checksum);
	to->md5 = xstrdup(from->md5);
	to->remote = xstrdup(from->remote);
}

/* Paths */

bool path_is_url(const char *s)
{
	const char *p = s;

	while ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (p > s && strchr("+-.0123456789", *p) && *p))
		p++;
	return p > s && !strncmp(p, "://", 3);
}

const char *hash_name_of_url(const char *url)
{
	static const struct { const char *scheme, *name; } names[] = {
		{ "s3://", "etag" }, { "gs://", "etag" }, { "azure://", "etag" }, { "oss://", "etag" },
		{ "webdav://", "etag" }, { "webdavs://", "etag" }, { "http://", "checksum" }, { "https://", "checksum" },
		{ "hdfs://", "checksum" }, { "webhdfs://", "checksum" }, { "gdrive://", "checksum" },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_starts(url, names[i].scheme))
			return names[i].name;
	return "md5";
}

/* Root-relative form of 'def' under wdir, or NULL when it leaves the root. "" is the root itself. */
static char *resolve(const char *wdir, const char *def)
{
	autofree char *joined = NULL;
	char *n;

	if (*def == '/')
		return NULL;
	joined = *wdir ? path_join(wdir, def) : xstrdup(def);
	n = path_norm(joined);
	if (!strcmp(n, ".."  ) || str_starts(n, "../")) {
		free(n);
		return NULL;
	}
	if (!strcmp(n, "."))
		n[0] = 0;
	return n;
}

/* As resolve(), also for a path that leaves the root and comes back by the root's own name. */
static char *resolve_within(const struct stage *s, const char *def)
{
	autofree char *dir = NULL, *joined = NULL, *abs = NULL;
	char *rel = resolve(s->wdir, def);

	if (rel || !s->root || *def == '/')
		return rel;
	dir = path_join(s->root, s->wdir);
	joined = path_join(dir, def);
	abs = path_norm(joined);
	if (!path_is_inside(abs, s->root))
		return NULL;
	rel = path_rel(abs, s->root);
	if (!strcmp(rel, "."))
		rel[0] = 0;
	return rel;
}

static void item_resolve(struct item *i)
{
	size_t n = strlen(i->def);

	free(i->path);
	i->path = NULL;
	i->trailing_slash = n > 1 && i->def[n - 1] == '/';
	if (i->kind == DEP_REPO || i->kind == DEP_DB || i->kind == DEP_DATASET)
		return;
	if (path_is_url(i->def)) {
		if (i->kind == DEP_PATH)
			i->kind = DEP_URL;
		return;
	}
	i->path = resolve_within(i->stage, i->def);
}

char *item_abs(const struct item *i, const char *root)
{
	autofree char *rel = NULL, *joined = NULL;

	if (i->kind == DEP_URL || i->kind == DEP_REPO || i->kind == DEP_DB || i->kind == DEP_DATASET)
		return NULL;
	if (i->path)
		return *i->path ? path_join(root, i->path) : xstrdup(root);
	if (*i->def == '/')
		return path_norm(i->def);
	rel = path_join(root, i->stage->wdir);
	joined = path_join(rel, i->def);
	return path_norm(joined);
}

char *item_show(const struct item *i, const char *cwd_rel)
{
	autofree char *from = NULL, *to = NULL;

	if (!i->path) {
		char *abs = i->stage && i->stage->root && i->kind <= DEP_PARAMS ? item_abs(i, i->stage->root) : NULL;

		return abs ? abs : xstrdup(i->def);
	}
	if (!*cwd_rel)
		return xstrdup(*i->path ? i->path : ".");
	from = path_join("/", cwd_rel);
	to = path_join("/", i->path);
	return path_rel(to, from);
}

bool item_is_legacy(const struct item *i)
{
	return hashinfo_is_legacy(&i->hash);
}

bool item_covers(const struct item *a, const char *path)
{
	return a->path && path_is_inside(path, a->path);
}

/* Stages */

struct stage *stage_new(enum stage_kind kind, const char *file, const char *name)
{
	struct stage *s = xcalloc(1, sizeof(*s));

	s->kind = kind;
	s->file = xstrdup(file);
	s->name = xstrdup(name);
	s->wdir = path_dir(file);
	return s;
}

void stage_set_wdir(struct stage *s, const char *def)
{
	autofree char *dir = path_dir(s->file), *joined = NULL;

	free(s->wdir_def);
	s->wdir_def = xstrdup(def);
	free(s->wdir);
	joined = def && *def ? path_join(dir, def) : xstrdup(dir);
	s->wdir = path_norm(joined);
	if (!strcmp(s->wdir, "."))
		s->wdir[0] = 0;
}

void item_free(struct item *i)
{
	if (!i)
		return;
	free(i->def);
	free(i->path);
	hashinfo_set(&i->hash, NULL, NULL);
	meta_release(&i->meta);
	node_free(i->files);
	node_free(i->cloud);
	node_free(i->fs_config);
	tree_free(i->tree);
	free(i->remote);
	free(i->desc);
	free(i->type);
	node_free(i->labels);
	node_free(i->annot_meta);
	node_free(i->plot_props);
	node_free(i->repo);
	node_free(i->db);
	node_free(i->dataset);
	strvec_release(&i->params);
	node_free(i->param_values);
	free(i);
}

void stage_free(struct stage *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->ndeps; i++)
		item_free(s->deps[i]);
	for (size_t i = 0; i < s->nouts; i++)
		item_free(s->outs[i]);
	free(s->deps);
	free(s->outs);
	free(s->file);
	free(s->name);
	free(s->wdir);
	free(s->wdir_def);
	free(s->desc);
	free(s->md5);
	free(s->group);
	free(s->root);
	node_free(s->meta);
	node_free(s->cmd);
	node_free(s->locked_cmd);
	free(s);
}

static struct item *item_new(struct stage *s, const char *def, enum dep_kind kind)
{
	struct item *i = xcalloc(1, sizeof(*i));

	i->stage = s;
	i->kind = kind;
	i->def = xstrdup(def);
	i->meta = (struct meta)META_INIT;
	i->cache = i->push = i->can_push = true;
	item_resolve(i);
	return i;
}

struct item *stage_add_out(struct stage *s, const char *def)
{
	struct item *i = item_new(s, def, DEP_PATH);

	i->is_out = true;
	hashinfo_set(&i->hash, "md5", NULL);
	s->outs = xreallocarray(s->outs, s->nouts + 1, sizeof(*s->outs));
	s->outs[s->nouts++] = i;
	return i;
}

struct item *stage_add_dep(struct stage *s, const char *def, enum dep_kind kind)
{
	struct item *i = item_new(s, def, kind);

	i->cache = false;
	hashinfo_set(&i->hash, i->kind == DEP_URL ? hash_name_of_url(def) : "md5", NULL);
	s->deps = xreallocarray(s->deps, s->ndeps + 1, sizeof(*s->deps));
	s->deps[s->ndeps++] = i;
	return i;
}

static void item_localise(struct item *i, const char *root)
{
	autofree char *abs = NULL, *wdir = NULL;

	if (*i->def != '/' || i->kind != DEP_PATH) {
		if (!i->path)
			item_resolve(i);
		return;
	}
	abs = path_norm(i->def);
	if (!path_is_inside(abs, root))
		return;
	wdir = path_join(root, i->stage->wdir);
	free(i->def);
	i->def = path_rel(abs, wdir);
	item_resolve(i);
}

void stage_localise(struct stage *s, const char *root)
{
	if (!s->root)
		s->root = xstrdup(root);
	if (*s->wdir == '/') {          /* relative to the root, like those of all other stages */
		autofree char *abs = take(s->wdir);

		s->wdir = path_rel(abs, root);
		if (!strcmp(s->wdir, "."))
			s->wdir[0] = 0;
		for (size_t i = 0; i < s->ndeps; i++)
			item_resolve(s->deps[i]);
		for (size_t i = 0; i < s->nouts; i++)
			item_resolve(s->outs[i]);
	}
	for (size_t i = 0; i < s->ndeps; i++)
		item_localise(s->deps[i], root);
	for (size_t i = 0; i < s->nouts; i++)
		item_localise(s->outs[i], root);
}

char *stage_addressing(const struct stage *s, const char *cwd_rel)
{
	autofree char *from = path_join("/", cwd_rel), *to = path_join("/", s->file), *rel = path_rel(to, from);

	if (s->kind == STAGE_SINGLE)
		return take(rel);
	if (!strcmp(rel, "dvc.yaml"))
		return xstrdup(s->name);
	return xasprintf("%s:%s", rel, s->name);
}

bool stage_is_data_source(const struct stage *s)
{
	return !s->cmd;
}

bool stage_is_import(const struct stage *s)
{
	return stage_is_data_source(s) && s->ndeps == 1 && s->nouts == 1;
}

bool stage_is_repo_import(const struct stage *s)
{
	return stage_is_import(s) && s->deps[0]->kind == DEP_REPO;
}

bool stage_is_versioned_import(const struct stage *s)
{
	const struct item *d = stage_is_import(s) ? s->deps[0] : NULL;

	return d && d->kind != DEP_DB && d->kind != DEP_REPO &&
		(d->meta.version_id || d->files || (path_is_url(d->def) && node_get_bool(d->fs_config, "version_aware", false)));
}

bool stage_is_partial_import(const struct stage *s)
{
	return stage_is_import(s) && !s->outs[0]->hash.value;
}

bool stage_is_callback(const struct stage *s)
{
	return s->cmd && node_truthy(s->cmd) && !s->ndeps && !s->nouts;
}

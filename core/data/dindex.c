#include "core/data/dindex.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"
#include "core/data/import_own.h"
#include "core/data/partial.h"
#include "core/data/project.h"
#include "core/data/remote.h"
#include "core/data/wtree.h"
#include "core/repo/config.h"
#include "core/repo/repo.h"
#include "core/stage/index.h"
#include "core/stage/stage.h"

#include <limits.h>

#define ARENA_BLOCK (256u << 10)
#define MANIFEST_MAX (1ull << 30)

struct darena { struct darena *next; size_t used, size; char mem[]; };

struct dindex *dindex_new(struct project *p)
{
	struct dindex *x = xcalloc(1, sizeof(*x));

	x->p = p;
	return x;
}

void dindex_free(struct dindex *x)
{
	if (!x)
		return;
	for (struct darena *a = x->arena, *next; a; a = next) {
		next = a->next;
		free(a);
	}
	for (size_t i = 0; i < x->nseen; i++) {
		wtree_release(x->seen[i]);
		free(x->seen[i]);
	}
	free(x->seen);
	free(x->v);
	free(x);
}

/* "dir" + "/" + "rel", or just dir when rel is empty. */
static const char *arena_join(struct dindex *x, const char *dir, const char *rel)
{
	size_t d = strlen(dir), r = strlen(rel), need = d + r + 2;
	struct darena *a = x->arena;
	char *at;

	if (!a || a->size - a->used < need) {
		size_t size = need > ARENA_BLOCK ? need : ARENA_BLOCK;

		a = xmalloc(sizeof(*a) + size);
		a->next = x->arena;
		a->used = 0;
		a->size = size;
		x->arena = a;
	}
	at = a->mem + a->used;
	memcpy(at, dir, d);
	if (r) {
		at[d] = '/';
		memcpy(at + d + 1, rel, r);
		d += r + 1;
	}
	at[d] = '\0';
	a->used += d + 1;
	return at;
}

static struct dentry *add_entry(struct dindex *x, const char *key, const struct item *out)
{
	struct dentry *d;

	GROW(x->v, x->n, x->cap);
	d = &x->v[x->n++];
	memset(d, 0, sizeof(*d));
	d->key = key;
	d->out = out;
	return d;
}

/* Directories above 'key', below 'stop' characters of it, each once a run of calls with neighbouring keys. */
static void add_parents(struct dindex *x, const char *key, size_t stop, const struct item *out, struct map *once)
{
	for (size_t n = strlen(key); n-- > stop + 1;) {
		autofree char *dir = NULL;

		if (key[n] != '/')
			continue;
		dir = xstrndup(key, n);
		if (map_has(once, dir))
			return;
		map_put(once, dir, (void *)1);
		add_entry(x, arena_join(x, dir, ""), out)->is_dir = true;
	}
}

const struct meta *declared_meta(const struct item *out)
{
	const struct stage *s = out->stage;

	if (s && stage_is_import(s) && !stage_is_repo_import(s) && s->deps[0]->kind != DEP_DB)
		return &s->deps[0]->meta;
	return &out->meta;
}

bool declared_id(const struct item *out, struct oid *id, bool *legacy, bool *is_dir)
{
	const struct stage *s = out->stage;
	const struct hashinfo *h = &out->hash;

	*is_dir = hashinfo_is_dir(h) || out->meta.nfiles > 0 || out->files;
	*legacy = hashinfo_is_legacy(h);
	if (hashinfo_oid(h, id))
		return true;
	if (out->files && out->tree) {
		tree_id(out->tree, id);
		return true;
	}
	if (s && stage_is_import(s) && !stage_is_repo_import(s) && s->deps[0]->kind != DEP_DB) {
		const struct item *dep = s->deps[0];

		*is_dir = hashinfo_is_dir(&dep->hash) || dep->meta.nfiles > 0 || dep->files;
		*legacy = hashinfo_is_legacy(&dep->hash);
		return hashinfo_oid(&dep->hash, id);
	}
	return false;
}

/* Version-aware outputs list their members in the pointer itself. */
static struct tree *tree_of_files(const struct node *files)
{
	struct tree *t = tree_new();

	for (size_t i = 0; node_is(files, NODE_SEQ) && i < files->n; i++) {
		const char *rel = node_get_str(files->v[i], "relpath");
		const char *md5 = node_get_str(files->v[i], "md5");
		const struct node *size = node_get(files->v[i], "size");
		struct oid id;

		if (rel && md5 && path_is_safe(rel) && oid_parse(&id, md5))
			tree_add(t, rel, &id, node_is(size, NODE_INT) && size->fits ? size->i : -1);
	}
	tree_sort(t);
	return t;
}

/* Not in the cache: the remote may have it. Only looked at, not kept. */
static bool tree_from_remote(struct project *p, const struct item *out, const struct oid *id, bool legacy,
			     struct tree **t)
{
	autoerr struct err none = ERR_INIT;
	autostr struct str text = STR_INIT;
	struct remote *r = NULL;
	unsigned char md5[16];
	char key[OID_KEY_MAX];
	bool ok;

	if (!out->remote && !config_get(p->repo->config, "core", "remote"))
		return false;
	if (remote_open_named(&r, p->repo, out->remote, 1, &none))
		return false;
	oid_key(key, id, legacy);
	ok = !remote_read_all(r, key, MANIFEST_MAX, &text, &none);
	remote_close(r);
	if (!ok)
		return false;
	md5_once(str_cstr(&text), text.len, md5);
	return !memcmp(md5, id->md5, 16) && !tree_parse(t, str_cstr(&text), text.len, out->def, &none);
}

int declared_tree(struct project *p, const struct item *out, struct tree **t, struct err *e)
{
	autoerr struct err why = ERR_INIT;
	struct store *store;
	struct oid id;
	bool legacy, is_dir;

	if (out->files) {
		*t = tree_of_files(out->files);
		return 0;
	}
	if (!declared_id(out, &id, &legacy, &is_dir) || !id.is_dir)
		return err_set(e, ERR_NOTFOUND, "'%s' has no manifest", out->def);
	if (project_cache(p, legacy, &store, e))
		return -1;
	if (!tree_load(t, store, &id, &why))
		return 0;
	if ((why.code == ERR_NOTFOUND || why.code == ERR_CORRUPT) && tree_from_remote(p, out, &id, legacy, t))
		return 0;
	err_move(e, &why);
	return -1;
}

/* Of a part that the manifest does not have the directories above it are known all the same. */
static void add_known_parents(struct dindex *x, const struct item *out, const struct tree *t, const char *part)
{
	autofree char *up = xstrdup(part);
	size_t from, to;

	for (char *slash; (slash = strrchr(up, '/'));) {
		*slash = 0;
		if (tree_range(t, up, &from, &to) && !tree_find(t, up))
			add_entry(x, arena_join(x, out->path, up), out)->is_dir = true;
	}
}

static int add_members(struct dindex *x, const struct item *out, const struct tree *t, const char *prefix, bool legacy,
		       struct err *e)
{
	struct map once = MAP_INIT;
	size_t from, to, base = strlen(out->path);

	if (!tree_range(t, prefix, &from, &to)) {
		add_known_parents(x, out, t, prefix);
		return 0;
	}
	for (size_t i = from; i < to; i++)
		if (strlen(t->e[i].path) >= PATH_MAX)
			return err_set(e, ERR_UNSAFE, "the manifest of '%s' holds a name of %zu bytes", out->path,
				       strlen(t->e[i].path));
	for (size_t i = from; i < to; i++) {
		const char *key = arena_join(x, out->path, t->e[i].path);
		struct dentry *d = add_entry(x, key, out);

		d->id = t->e[i].id;
		d->has_id = true;
		d->legacy = legacy;
		add_parents(x, key, base, out, &once);
	}
	map_release(&once, NULL);
	return 0;
}

int dindex_add_declared(struct dindex *x, const struct dselect *s, unsigned flags, struct err *e)
{
	const struct item *out = s->out;
	autoerr struct err why = ERR_INIT;
	struct map once = MAP_INIT;
	autotree struct tree *t = NULL;
	struct dentry *d;
	const char *key = arena_join(x, out->path, "");
	bool is_dir, legacy;
	struct oid id = { 0 };
	bool has = declared_id(out, &id, &legacy, &is_dir), hashless = false;
	size_t first;
	int rc;

	add_parents(x, key, 0, NULL, &once);
	map_release(&once, NULL);
	d = add_entry(x, key, out);
	d->is_out = true;
	d->id = id;
	d->has_id = has;
	d->legacy = legacy;
	d->is_dir = is_dir;
	d->is_exec = declared_meta(out)->isexec;
	if (!is_dir || ((flags & DINDEX_SHALLOW) && has))
		return 0;
	if (declared_tree(x->p, out, &t, &why) &&
	    !(flags & DINDEX_SOURCES && stage_is_repo_import(out->stage) && import_manifest(x->p, out, &t)) &&
	    !(hashless = flags & DINDEX_SOURCES && partial_is(out) && import_names(x->p, out, &t))) {
		if (why.code != ERR_NOTFOUND && why.code != ERR_CORRUPT) {
			err_move(e, &why);
			return err_in(e, "cannot use the manifest of '%s'", out->path);
		}
		d->unknown = true;
		return 0;
	}
	if (!has && out->files) {
		d = &x->v[x->n - 1];
		tree_id(t, &d->id);
		d->has_id = true;
	}
	first = x->n;
	rc = add_members(x, out, t, s->whole ? "" : s->key + strlen(out->path) + 1, legacy, e);
	for (; hashless && first < x->n; first++)
		x->v[first].has_id = false;
	return rc;
}

static void add_present_dir(struct dindex *x, const struct dselect *s, struct wtree *w)
{
	for (size_t i = 0; i < w->walk.n; i++) {
		const struct walk_file *f = &w->walk.f[i];
		struct dentry *d = add_entry(x, arena_join(x, s->key, f->path), s->out);

		d->id = f->id;
		d->has_id = true;
		d->legacy = w->legacy;
		d->is_exec = (f->mode & 0111) != 0;
		d->file = f;
	}
	for (size_t i = 0; i < w->dirs.n; i++)
		add_entry(x, arena_join(x, s->key, w->dirs.v[i]), s->out)->is_dir = true;
	for (size_t i = 0; i < w->broken.n; i++)
		add_entry(x, arena_join(x, s->key, w->broken.v[i]), s->out)->broken = true;
}

/* Parents are listed when they exist as anything at all, as DVC does. */
static void add_present_parents(struct dindex *x, const char *key)
{
	for (size_t n = strlen(key); n-- > 1;) {
		autofree char *dir = NULL, *abs = NULL;

		if (key[n] != '/')
			continue;
		dir = xstrndup(key, n);
		abs = repo_abs(x->p->repo, dir);
		if (fs_exists(abs))
			add_entry(x, arena_join(x, dir, ""), NULL)->is_dir = true;
	}
}

int dindex_add_reading(struct dindex *x, const struct dselect *s, struct wtree *from, unsigned flags, struct err *e)
{
	struct wtree *w = xmalloc(sizeof(*w));
	struct dentry *d;

	*w = *from;
	memset(from, 0, sizeof(*from));
	GROW(x->seen, x->nseen, x->capseen);
	x->seen[x->nseen++] = w;
	add_present_parents(x, s->key);
	if (!w->present)
		return 0;
	d = add_entry(x, arena_join(x, s->key, ""), s->out);
	d->is_out = s->whole;
	d->is_dir = w->is_dir;
	d->legacy = w->legacy;
	d->id = w->id;
	/* A part of a directory has no recorded hash of its own: it is compared by its members. */
	d->has_id = w->has_id && (s->whole || !w->is_dir);
	d->is_exec = !w->is_dir && w->has_exec;
	d->file = w->is_dir ? NULL : &w->self;
	if (!w->is_dir || ((flags & DINDEX_SHALLOW) && d->has_id))
		return 0;
	if (wtree_ids(w, e))
		return -1;
	add_present_dir(x, s, w);
	return 0;
}

int dindex_add_present(struct dindex *x, const struct dselect *s, unsigned flags, struct err *e)
{
	autowtree w = WTREE_INIT;
	struct oid id;
	bool legacy, is_dir;
	unsigned want = WTREE_ID | (flags & DINDEX_SHALLOW ? 0 : WTREE_IDS);

	declared_id(s->out, &id, &legacy, &is_dir);
	if (wtree_read(x->p, s->key, legacy, want, &w, e))
		return -1;
	return dindex_add_reading(x, s, &w, flags, e);
}

static int rank(const struct dentry *d)
{
	return d->has_id ? 0 : d->out ? 1 : 2;
}

static int by_key(const void *a, const void *b)
{
	const struct dentry *x = a, *y = b;
	int c = strcmp(x->key, y->key);

	return c ? c : rank(x) - rank(y);
}

void dindex_sort(struct dindex *x)
{
	size_t n = 0;
	bool sorted = true;

	for (size_t i = 1; i < x->n && sorted; i++)
		sorted = strcmp(x->v[i - 1].key, x->v[i].key) < 0;
	if (sorted)
		return;
	qsort(x->v, x->n, sizeof(*x->v), by_key);
	for (size_t i = 0; i < x->n; i++)
		if (!n || strcmp(x->v[n - 1].key, x->v[i].key))
			x->v[n++] = x->v[i];
	x->n = n;
}

const struct dentry *dindex_find(const struct dindex *x, const char *key)
{
	size_t i = SORTED_FROM(x->v, 0, x->n, key, key);

	return i < x->n && !strcmp(x->v[i].key, key) ? &x->v[i] : NULL;
}

void dselection_release(struct dselection *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].key);
	free(s->v);
	map_release(&s->keys, NULL);
	memset(s, 0, sizeof(*s));
}

void dselect_push(struct dselection *s, struct item *out)
{
	if (!out->cache || !out->path || !*out->path)
		return;
	GROW(s->v, s->n, s->cap);
	s->v[s->n].out = out;
	s->v[s->n].whole = true;
	s->v[s->n++].key = xstrdup(out->path);
}

void dselect_out(struct dselection *s, struct item *out, const char *inside)
{
	autofree char *key = NULL;

	if (!out->cache || !out->path || !*out->path)
		return;
	key = inside && *inside ? path_join(out->path, inside) : xstrdup(out->path);
	if (map_has(&s->keys, out->path) || map_put(&s->keys, key, out))        /* the whole of it, or this part */
		return;
	GROW(s->v, s->n, s->cap);
	s->v[s->n].out = out;
	s->v[s->n].whole = !inside || !*inside;
	s->v[s->n++].key = take(key);
}

void dselect_targets(struct dselection *s, const struct index *x, const struct targets *t)
{
	if (!t) {
		for (size_t i = 0; i < x->n; i++)
			for (size_t k = 0; k < x->v[i]->nouts; k++)
				dselect_push(s, x->v[i]->outs[k]);
		return;
	}
	for (size_t i = 0; i < t->n; i++) {
		struct target *g = &t->v[i];

		if (g->out)
			dselect_out(s, g->out, g->inside);
		else
			for (size_t k = 0; k < g->stage->nouts; k++)
				dselect_out(s, g->stage->outs[k], NULL);
	}
}

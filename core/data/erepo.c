#include "core/data/erepo.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/temps.h"
#include "core/cache/ingest.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"
#include "core/data/clone.h"
#include "core/data/copytree.h"
#include "core/data/dindex.h"
#include "core/data/import_own.h"
#include "core/data/partial.h"
#include "core/data/project.h"
#include "core/data/remote.h"
#include "core/data/transfer.h"
#include "core/repo/config.h"
#include "core/repo/configobj.h"
#include "core/repo/gitrepo.h"
#include "core/repo/ignore.h"
#include "core/repo/repo.h"
#include "core/stage/index.h"
#include "core/stage/stage.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_MAX (1u << 20)

struct erepo {
	char *url, *root, sha[41];
	char *top;                      /* where names begin; root may be a repository nested in it */
	bool direct;                    /* the user's own directory, as it is */
	struct repo *repo;              /* of root; NULL: no DVC repository there */
	struct repo *origin;            /* the directory a clone was made of, for its settings and cache; or NULL */
	struct project *p, *origin_p;
	struct project *tmp;            /* temporary cache */
	char *tmp_dir;
	struct clone clone;
	struct erepo_opts o;
	char *remote;
	struct node *config, *remote_config;
};

static struct repo *settings(const struct erepo *r)
{
	return r->origin ? r->origin : r->repo;
}

void erepo_close(struct erepo *r)
{
	autoerr struct err none = ERR_INIT;

	if (!r)
		return;
	project_free(r->tmp);
	project_free(r->p);
	project_free(r->origin_p);
	repo_close(r->repo);
	repo_close(r->origin);
	if (r->tmp_dir)
		fs_rm_tree(r->tmp_dir, &none);
	free(r->tmp_dir);
	clone_release(&r->clone);
	free(r->url);
	free(r->root);
	free(r->top);
	free(r->remote);
	node_free(r->config);
	node_free(r->remote_config);
	free(r);
}

const char *erepo_rev(const struct erepo *r)
{
	return r->sha;
}

/* Opening */

static int try_repo(struct repo **out, const char *dir, struct err *e)
{
	autoerr struct err why = ERR_INIT;

	if (!repo_open(out, dir, &why))
		return 0;
	*out = NULL;
	if (why.code == ERR_NOREPO)
		return 0;
	err_move(e, &why);
	return -1;
}

/* The repository that begins at the directory itself. */
static int try_repo_at(struct repo **out, const char *dir, struct err *e)
{
	autofree char *dvc = path_join(dir, ".dvc");

	return fs_is_dir(dvc) ? try_repo(out, dir, e) : 0;
}

static int read_head(struct erepo *r, struct err *e)
{
	autofree char *scm = git_find_root(r->top);     /* a nested one may be a submodule: its commits are not those of the URL */
	struct gitrepo *g = NULL;
	int rc;

	if (!scm)
		return 0;
	if (gitrepo_open(&g, scm, e))
		return -1;
	rc = r->direct && !gitrepo_has_commits(g) ? 0 : gitrepo_resolve(g, "HEAD", r->sha, e);
	gitrepo_close(g);
	return rc;
}

/* A name as typed in the user's directory, when that lies in the repository. */
static char *from_root(const struct erepo *r, const char *path)
{
	autofree char *cwd = NULL, *joined = NULL, *norm = path_norm(path), *rel = NULL;

	if (*norm == '/')
		return path_is_inside(norm, r->top) ? path_rel(norm, r->top) : take(norm);
	cwd = path_abs(".");
	if (r->direct && strcmp(cwd, r->top) && path_is_inside(cwd, r->top)) {
		rel = path_rel(cwd, r->top);
		joined = path_join(rel, path);
		free(take(norm));
		norm = path_norm(joined);
	}
	return strcmp(norm, ".") ? take(norm) : xstrdup("");
}

static bool leaves(const char *rel)
{
	return *rel == '/' || !strcmp(rel, "..") || str_starts(rel, "../");
}

/* From the repository that was found to the innermost one that holds the path. 'base': the directory a clone was made of. */
static int descend(struct erepo *r, const char *base, struct err *e)
{
	autofree char *rel = from_root(r, r->o.path), *root = leaves(rel) ? xstrdup(r->top) : repo_innermost(r->top, rel);
	autofree char *below = NULL, *there = NULL;

	if (!strcmp(root, r->top))
		return 0;
	below = path_rel(root, r->top);
	free(r->root);
	r->root = take(root);
	repo_close(take(r->repo));
	repo_close(take(r->origin));
	if (try_repo_at(&r->repo, r->root, e))
		return -1;
	there = base ? path_join(base, below) : NULL;
	return there && fs_is_dir(there) ? try_repo_at(&r->origin, there, e) : 0;
}

static int open_clone(struct erepo *r, const char *url, struct err *e)
{
	if (clone_get(&r->clone, url, r->o.rev, e))
		return -1;
	r->root = xstrdup(r->clone.root);
	return 0;
}

/* A directory here: as it is, or of a revision a clone of its git repository. */
static int open_here(struct erepo *r, const char *dir, char **base, struct err *e)
{
	autofree char *git = NULL;

	if (!r->o.rev) {
		r->direct = true;
		if (try_repo(&r->repo, dir, e))
			return -1;
		r->root = xstrdup(r->repo ? r->repo->root : dir);
		return 0;
	}
	git = git_find_root(dir);
	if (!git)
		return err_set(e, ERR_FAIL, "%s is not a git repository", dir);
	if (open_clone(r, git, e) || try_repo_at(&r->origin, git, e) || try_repo_at(&r->repo, r->root, e))
		return -1;
	*base = take(git);
	return 0;
}

/* What was named on the command line or in an import must be there, and its options must be a remote's. */
static int check_remotes(struct erepo *r, struct err *e)
{
	struct config *c = settings(r) ? settings(r)->config : NULL;
	const struct node *inl = node_get(r->config, "remote");
	autofree char *section = NULL;
	const char *name = r->remote;

	if (!c)
		return 0;
	if (!name && !node_get(node_get(r->config, "core"), "remote") && config_need_default(c, e))
		return -1;
	if (name && !config_has_remote(c, name) && !node_get(inl, name) && !r->remote_config)
		return err_set(e, ERR_CONFIG, "config file error: remote '%s' doesn't exist", name);
	if (!name)
		name = config_get(c, "core", "remote");
	section = xasprintf("remote \"%s\"", name ? name : "auto-generated-upstream");
	if (!r->remote_config || !(node_get(r->remote_config, "url") || (name && config_has_remote(c, name))))
		return 0;
	for (size_t i = 0; i < r->remote_config->n; i++)
		if (node_is(r->remote_config->v[i], NODE_STR)
		    && config_set(c, CONFIG_LOCAL, section, r->remote_config->k[i]->text, r->remote_config->v[i]->text, e))
			return -1;
	return config_check_remote(c, section, e);
}

static int open_any(struct erepo *r, const char *url, struct err *e)
{
	autofree char *dir = fs_is_dir(url) ? path_abs(url) : NULL, *base = NULL;
	autofree char *where = fs_exists(url) ? path_abs(url) : xstrdup(url);

	if (dir && !git_is_bare(dir)) {
		if (open_here(r, dir, &base, e))
			return -1;
	} else if (open_clone(r, where, e) || try_repo_at(&r->repo, r->root, e)) {
		return -1;
	}
	r->top = xstrdup(r->root);
	if (r->o.path && descend(r, base, e))
		return -1;
	if (r->repo)
		r->p = project_new(r->repo);
	if (r->origin)
		r->origin_p = project_new(r->origin);
	return check_remotes(r, e) ? -1 : read_head(r, e);
}

/* The file of --config as the map that an import may hold instead. */
static int load_config(const char *path, struct node **out, struct err *e)
{
	autocall(cobj_release) struct cobj c = { 0 };
	autostr struct str text = STR_INIT;
	struct node *top = node_map(), *remotes = node_map();

	node_set(top, "remote", remotes);
	if (fs_read(&text, path, CONFIG_MAX, e) || cobj_parse(&c, str_cstr(&text), text.len, e)) {
		node_free(top);
		if (e->code != ERR_NOTFOUND)
			return err_in(e, "cannot read the settings in '%s'", path);
		err_release(e);
		err_set(e, ERR_NOTFOUND, "unexpected error - [Errno 2] No such file or directory: '%s'", path);
		e->exit_status = 255;
		return -1;
	}
	for (size_t i = 0; i < c.n; i++) {
		const struct cobj_sec *sec = &c.sec[i];
		const char *quote = str_starts(sec->name, "remote \"") ? sec->name + 8 : NULL;
		autofree char *name = quote ? xstrndup(quote, strcspn(quote, "\"")) : xstrdup(sec->name);
		struct node *map = *sec->name ? node_map() : NULL;

		for (size_t k = 0; map && k < sec->n; k++)
			if (!sec->v[k].is_section && sec->v[k].v.n == 1)
				node_set(map, sec->v[k].name, node_str(sec->v[k].v.v[0]));
		if (map)
			node_set(quote ? remotes : top, name, map);
	}
	*out = top;
	return 0;
}

int erepo_open(struct erepo **out, const char *url, const struct erepo_opts *o, struct err *e)
{
	struct erepo *r = xcalloc(1, sizeof(*r));

	r->url = xstrdup(url);
	r->clone = (struct clone)CLONE_INIT;
	r->o = *o;
	r->remote = xstrdup(o->remote);
	if (node_is(o->config, NODE_STR)) {
		if (load_config(o->config->text, &r->config, e)) {
			erepo_close(r);
			return -1;
		}
	} else if (o->config) {
		r->config = node_copy(o->config);
	}
	r->remote_config = o->remote_config ? node_copy(o->remote_config) : NULL;
	if (open_any(r, url, e)) {
		erepo_close(r);
		return -1;
	}
	*out = r;
	return 0;
}

struct project *erepo_project(struct erepo *r)
{
	struct store_conf c = { 0 };
	autoerr struct err none = ERR_INIT;

	if (r->tmp)
		return r->tmp;
	if (!settings(r))
		return NULL;
	r->tmp_dir = temps_tree(&none);
	if (!r->tmp_dir)
		return NULL;
	r->tmp = project_new(settings(r));
	c.dir = r->tmp_dir;
	if (store_open(&r->tmp->cache_, &c, &none))
		return NULL;
	c.legacy = true;
	return store_open(&r->tmp->legacy_, &c, &none) ? NULL : r->tmp;
}

/* Where its objects are: its own cache, then its remote. */

static struct project *cache_owner(struct erepo *r)
{
	return r->direct ? r->p : r->origin_p;
}

/* Options of one remote out of an import's settings; the url among them. */
static const char *inline_remote(const struct node *config, const char *name, struct map *over)
{
	const struct node *core = node_get(config, "core"), *all = node_get(config, "remote"), *one;

	if (!name)
		name = node_get_str(core, "remote");
	one = name ? node_get(all, name) : NULL;
	for (size_t i = 0; node_is(one, NODE_MAP) && i < one->n; i++)
		if (node_is(one->k[i], NODE_STR) && node_is(one->v[i], NODE_STR))
			map_put(over, one->k[i]->text, one->v[i]->text);
	return node_get_str(one, "url");
}

static int open_remote(struct erepo *r, struct remote **out, struct err *e)
{
	const struct repo *s = settings(r);
	const char *name = r->remote ? r->remote : s ? config_get(s->config, "core", "remote") : NULL;
	autofree char *ref = NULL;
	struct map over = MAP_INIT;
	const char *url;
	int rc;

	url = node_is(r->config, NODE_MAP) ? inline_remote(r->config, r->remote, &over) : NULL;
	for (size_t i = 0; node_is(r->remote_config, NODE_MAP) && i < r->remote_config->n; i++)
		if (node_is(r->remote_config->v[i], NODE_STR))
			map_put(&over, r->remote_config->k[i]->text, r->remote_config->v[i]->text);
	if (!url)
		url = map_get(&over, "url");
	if (!url && name)
		url = ref = xasprintf("remote://%s", name);
	if (!url || !s)
		rc = err_set(e, ERR_CONFIG, "no DVC remote is specified in '%s'", r->url);
	else
		rc = remote_open_url(out, s->config, url, &over, r->o.jobs, e);
	map_release(&over, NULL);
	return rc;
}

static int unexpected(struct err *e)
{
	e->exit_status = 255;
	return -1;
}

/* Neither cache nor remote has it: DVC's words. */
static int fail_storage(const struct erepo *r, struct project *into, const struct want_set *w, enum err_code code, struct err *e)
{
	autofree char *in = NULL, *asked = r->o.path ? path_norm(r->o.path) : NULL, *path = NULL;
	autoerr struct err none = ERR_INIT;
	struct store *s;

	for (size_t i = 0; i < w->n && !in; i++)
		if (project_cache(into, w->v[i].legacy, &s, &none) || store_has_quick(s, &w->v[i].id, NULL) <= 0)
			in = want_path(w, &w->v[i]);
	if (!in)
		in = want_path(w, w->v);
	if (asked && strcmp(asked, ".") && strcmp(in, ".") && strcmp(in, asked))
		path = path_join(asked, in);
	err_release(e);
	err_set(e, code, "unexpected error - [Errno 2] No storage files available: '%s'",
		path ? path : asked && strcmp(asked, ".") ? asked : in);
	return unexpected(e);
}

static int fetch_set(struct erepo *r, struct project *into, struct remote *from, struct want_set *w, uint64_t *objects,
		     struct err *e)
{
	struct transfer_opts o = { .jobs = r->o.jobs, .tells_missing = true };
	struct transfer_result res = { 0 };
	int rc = transfer_fetch_set(into, from, w, &o, &res, e);

	for (size_t i = 0; !rc && i < res.nfail; i++) {
		char hex[OID_HEX_MAX];

		oid_hex(hex, &res.fail[i].id);
		if (!res.fail[i].implied)
			notice(NOTICE_ERROR, "failed to transfer '%s' - %s", hex, res.fail[i].msg);
	}
	if (!rc && res.nfail)
		rc = err_set(e, ERR_FAIL, "%zu files failed to download", res.nfail + res.nmissing);
	else if (!rc && res.nmissing)
		rc = fail_storage(r, into, w, ERR_NOTFOUND, e);
	if (objects)
		*objects += res.objects;
	transfer_result_release(&res);
	return rc;
}

static bool remote_named(const struct erepo *r)
{
	return r->remote || r->remote_config || (settings(r) && config_get(settings(r)->config, "core", "remote"));
}

/* What was itself imported from a repository is kept on no remote: it comes from there. */
static int fetch_imported(struct erepo *r, struct project *into, struct item *out, uint64_t *objects, struct err *e)
{
	const char *base = getenv("TMPDIR");
	uint64_t n = 0;
	int rc = import_from_source(r->p, out, NULL, into, base && *base ? base : "/tmp", r->o.jobs, &n, e);

	if (objects)
		*objects += n;
	return rc;
}

/* An import without a recorded commit could lead back here. */
static bool is_chained(const struct epart *v)
{
	const struct stage *s = v->item ? v->item->stage : NULL;

	return s && stage_is_repo_import(s) && node_get_str(s->deps[0]->repo, "rev_lock");
}

/* Of the wanted objects those that 'into' lacks: from the owner's cache when it has them, else from its remote. */
static int fetch_objects(struct erepo *r, struct project *into, const struct epart *v, size_t n, uint64_t *objects,
			 struct err *e)
{
	struct project *owner = cache_owner(r);
	struct want_set here = { 0 }, far = { 0 }, *w;
	struct remote *cache = NULL, *remote = NULL;
	struct item *chained = NULL;
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++) {
		struct store *mine, *theirs;

		if (v[i].file)
			continue;
		rc = project_cache(into, v[i].legacy, &mine, e) || (owner && project_cache(owner, v[i].legacy, &theirs, e));
		if (rc || store_has_quick(mine, &v[i].id, NULL) > 0)
			continue;
		w = owner && store_has_quick(theirs, &v[i].id, NULL) > 0 ? &here : &far;
		if (w == &far && is_chained(&v[i]) && v[i].item != chained) {
			chained = v[i].item;
			rc = fetch_imported(r, into, chained, objects, e);
			if (rc || store_has_quick(mine, &v[i].id, NULL) > 0)
				continue;
		}
		want_add_object(w, *v[i].rel ? v[i].rel : ".", &v[i].id, v[i].legacy, v[i].size);
		if (v[i].id.is_dir)     /* the manifest alone: what of its files is wanted is asked for by itself */
			w->g[w->ng - 1].inside = xstrdup("/");
	}
	if (!rc && here.n) {
		autofree char *dir = project_cache_dir(owner);

		rc = remote_open_url(&cache, settings(r)->config, dir, NULL, r->o.jobs, e)
			|| fetch_set(r, into, cache, &here, objects, e);
	}
	if (!rc && far.n && open_remote(r, &remote, e))
		rc = e->code == ERR_CONFIG && !remote_named(r) ? fail_storage(r, into, &far, ERR_CONFIG, e) : -1;
	else if (!rc && far.n)
		rc = fetch_set(r, into, remote, &far, objects, e);
	remote_close(cache);
	remote_close(remote);
	want_release(&here);
	want_release(&far);
	return rc ? -1 : 0;
}

/* Finding */

void eparts_release(struct eparts *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].rel);
		free(p->v[i].file);
	}
	free(p->v);
	tree_free(p->tree);
	strvec_release(&p->dirs);
	memset(p, 0, sizeof(*p));
}

static struct epart *add_part(struct eparts *out, const char *rel)
{
	GROW(out->v, out->n, out->cap);
	out->v[out->n] = (struct epart){ .rel = xstrdup(rel) };
	return &out->v[out->n++];
}

/* DVC's words: it names the last place that was asked. */
static int fail_manifest(struct erepo *r, struct project *cache, const struct epart *one, struct err *e)
{
	autostrvec struct strvec parts = STRVEC_INIT;
	autofree char *names = NULL, *path = NULL;
	autoerr struct err none = ERR_INIT;
	struct remote *remote = NULL;
	char key[OID_KEY_MAX];
	struct store *s;

	oid_key(key, &one->id, one->legacy);
	if (remote_named(r) && !open_remote(r, &remote, &none))
		path = path_join(remote->url, key);
	else if (!project_cache(cache, one->legacy, &s, &none))
		path = store_path(s, &one->id);
	remote_close(remote);
	strvec_split(&parts, one->rel, '/');
	names = strvec_join(&parts, "', '");
	err_release(e);
	err_set(e, ERR_CORRUPT, "unexpected error - failed to load directory ('%s'%s): [Errno 2] No such file or directory: "
		"'%s'", names, parts.n == 1 ? "," : "", path ? path : one->rel);
	return unexpected(e);
}

static int load_manifest(struct erepo *r, struct project *into, struct item *out, struct tree **t, struct err *e)
{
	struct epart one = { .rel = out->path, .legacy = item_is_legacy(out), .item = out };
	struct project *owner = cache_owner(r);
	struct store *s;

	if (out->files)
		return declared_tree(r->p, out, t, e);
	if (!hashinfo_oid(&out->hash, &one.id))
		return err_set(e, ERR_NOTFOUND, "nothing is recorded for '%s'", out->path);
	if (owner && !project_cache(owner, one.legacy, &s, e) && store_has_quick(s, &one.id, NULL) > 0)
		return tree_load(t, s, &one.id, e);
	if (fetch_objects(r, into, &one, 1, NULL, e))
		return e->exit_status == 255 ? fail_manifest(r, owner ? owner : into, &one, e) : -1;
	return project_cache(into, one.legacy, &s, e) ? -1 : tree_load(t, s, &one.id, e);
}

static void add_file(struct eparts *out, const char *rel, struct item *i, const struct oid *id, int64_t size)
{
	struct epart *p = add_part(out, rel);

	p->id = *id;
	p->legacy = item_is_legacy(i);
	p->item = i;
	p->size = size > 0 ? (uint64_t)size : 0;
}

/* A tracked output, or what lies at 'inside' in it, under the name 'as'. */
static int add_out(struct erepo *r, struct project *into, struct item *i, const char *inside, const char *as,
		   struct eparts *out, struct err *e)
{
	autotree struct tree *t = NULL;
	size_t from, to, skip = inside ? strlen(inside) : 0;
	struct oid id;

	if (partial_is(i) && fetch_imported(r, into, i, NULL, e))
		return -1;
	if (!hashinfo_is_dir(&i->hash) && !i->files) {
		if (inside || !hashinfo_oid(&i->hash, &id))
			return err_set(e, ERR_NOTFOUND, "nothing is recorded for '%s'", i->path);
		add_file(out, as, i, &id, i->meta.size);
		return 0;
	}
	if (load_manifest(r, into, i, &t, e))
		return -1;
	if (inside && tree_find(t, inside)) {
		const struct tree_entry *one = tree_find(t, inside);

		add_file(out, as, i, &one->id, one->size);
		return 0;
	}
	out->is_dir = true;
	if (!tree_range(t, inside ? inside : "", &from, &to)) {
		if (inside)
			return err_set(e, ERR_NOTFOUND, "'%s' holds no '%s'", i->path, inside);
		from = to = 0;
	}
	for (; from < to; from++) {
		const char *rel = t->e[from].path + skip + (skip ? 1 : 0);
		autofree char *name = *as ? path_join(as, rel) : xstrdup(rel);

		add_file(out, name, i, &t->e[from].id, t->e[from].size);
	}
	if (!inside && !*as)
		out->tree = take(t);
	return 0;
}

struct plain { struct erepo *r; const char *rel; struct index *x; struct ignore *rules; struct strvec *dirs; };

static bool skip_plain(const char *rel, bool is_dir, void *data)
{
	struct plain *p = data;
	autofree char *path = *p->rel ? path_join(p->rel, rel) : xstrdup(rel);
	const char *base = path_base(path);

	if (!*rel)
		return false;
	if (!strcmp(base, ".git") || (is_dir && !strcmp(base, ".dvc")))
		return true;
	if (!is_dir && (target_is_stage_file(base) || !strcmp(base, ".dvcignore")))    /* DVC's own are not content */
		return true;
	if (p->x && index_out_at(p->x, path))
		return true;
	if (p->rules && ignore_is(p->rules, path, is_dir))
		return true;
	if (is_dir && p->dirs)
		strvec_push(p->dirs, rel);
	return false;
}

/* Files git (or the directory) has; outputs are left out where x is given. */
static int add_plain(struct erepo *r, struct index *x, const char *rel, struct eparts *out, struct err *e)
{
	autofree char *abs = *rel ? path_join(r->root, rel) : xstrdup(r->root);
	struct plain pl = { r, rel, x, NULL, r->direct ? &out->dirs : NULL };
	struct walk w = { 0 };
	int rc;

	if (!fs_exists(abs))
		return 0;
	if (r->repo && repo_ignore(r->repo, &pl.rules, e))
		return -1;
	rc = walk_tree(&w, abs, skip_plain, &pl, NULL, e);
	for (size_t i = 0; !rc && i < w.n; i++)
		add_part(out, w.f[i].path)->file = *w.f[i].path ? path_join(abs, w.f[i].path) : xstrdup(abs);
	out->is_dir = out->is_dir || fs_is_dir(abs);
	walk_release(&w);
	return rc;
}

/* Of what an output records, only that which the user's directory does not have: its files are taken as they are. */
static int add_absent(struct erepo *r, const char *rel, size_t from, const struct map *seen, struct eparts *out, struct err *e)
{
	size_t n = from;

	for (size_t i = from; i < out->n; i++) {
		autofree char *name = *out->v[i].rel ? path_join(rel, out->v[i].rel) : xstrdup(rel);
		autofree char *abs = path_join(r->root, *rel ? name : out->v[i].rel);
		struct stat st;
		bool gone = lstat(abs, &st) && errno == ENOENT;

		if (map_has(seen, out->v[i].rel) || !(gone || (!stat(abs, &st) && S_ISREG(st.st_mode)))) {
			free(out->v[i].rel);
			free(out->v[i].file);
			continue;
		}
		out->v[n++] = out->v[i];
	}
	out->n = n;
	return proc_check(e);
}

static int add_tree(struct erepo *r, struct project *into, struct index *x, const char *rel, struct eparts *out,
		    struct err *e)
{
	size_t skip = strlen(rel) + (*rel ? 1 : 0), from;
	struct map seen = MAP_INIT;
	int rc = add_plain(r, r->direct ? NULL : x, rel, out, e);

	for (size_t i = 0; r->direct && i < out->n; i++)
		map_put(&seen, out->v[i].rel, out);
	from = out->n;
	for (size_t i = 0; x && !rc && i < x->n; i++) {
		for (size_t k = 0; k < x->v[i]->nouts && !rc; k++) {
			struct item *it = x->v[i]->outs[k];

			if (!it->path || !it->cache || !path_is_inside(it->path, rel) || !strcmp(it->path, rel))
				continue;
			out->is_dir = true;
			out->holds_outs = *rel != 0;
			rc = add_out(r, into, it, NULL, it->path + skip, out, e);
		}
	}
	if (!rc && r->direct)
		rc = add_absent(r, rel, from, &seen, out, e);
	map_release(&seen, NULL);
	return rc;
}

/* A tracked path in the user's own directory: what lies there counts, changed or not, as for DVC. */
static int add_live(struct erepo *r, struct project *into, struct item *i, const char *inside, const char *rel,
		    struct eparts *out, struct err *e)
{
	struct map seen = MAP_INIT;
	size_t from;
	int rc = add_plain(r, NULL, rel, out, e);

	from = out->n;
	for (size_t k = 0; k < from; k++)
		map_put(&seen, out->v[k].rel, out);
	if (!rc && (out->is_dir ? hashinfo_is_dir(&i->hash) || i->files : !from)) {
		rc = add_out(r, into, i, inside, "", out, e);
		if (rc && e->code == ERR_NOTFOUND && from) {    /* only the directory has it */
			err_release(e);
			rc = 0;
		}
	}
	if (!rc && from)
		rc = add_absent(r, rel, from, &seen, out, e);
	map_release(&seen, NULL);
	return rc;
}

static bool is_live(struct erepo *r, const char *rel)
{
	autofree char *abs = path_join(r->root, rel);
	struct ignore *rules = NULL;
	autoerr struct err none = ERR_INIT;

	return fs_exists(abs) && (!r->repo || repo_ignore(r->repo, &rules, &none) || !ignore_is(rules, rel, fs_is_dir(abs)));
}

int erepo_find(struct erepo *r, const char *path, struct project *into, struct eparts *out, struct err *e)
{
	autofree char *norm = from_root(r, path), *abs = NULL;
	const char *rel = norm;
	struct index *x = NULL;
	struct item *i;
	size_t nested = strlen(r->root) - strlen(r->top);

	if (nested && strlen(rel) + 1 >= nested)
		rel += nested - (strlen(rel) + 1 == nested);
	if (leaves(rel))
		return err_set(e, ERR_NOTFOUND, "'%s' is outside of '%s'", path, r->url);
	if (r->p && (project_index(r->p, &x, e) || project_remotes_known(r->p, x, NULL, REMOTES_OWN, e)))
		return -1;
	i = x ? index_out_of(x, rel) : NULL;
	if (i && i->cache) {
		size_t n = strlen(i->path);
		const char *inside = !strcmp(rel, i->path) ? NULL : rel + n + (n ? 1 : 0);

		if (r->direct && !r->o.recorded && is_live(r, rel))
			return add_live(r, into, i, inside, rel, out, e);
		out->out = inside ? NULL : i;
		out->is_part = inside != NULL;
		return add_out(r, into, i, inside, "", out, e);
	}
	abs = *rel ? path_join(r->root, rel) : xstrdup(r->root);
	if (fs_exists(abs) && !fs_is_dir(abs)) {
		add_part(out, "")->file = take(abs);
		return 0;
	}
	if (add_tree(r, into, x, rel, out, e))
		return -1;
	if (!out->n && !out->is_dir)
		return err_set(e, ERR_NOTFOUND, "unexpected error - ['%s']", path);
	return 0;
}

int erepo_fetch(struct erepo *r, const struct eparts *p, struct project *into, uint64_t *objects, struct err *e)
{
	return fetch_objects(r, into, p->v, p->n, objects, e);
}

/* Writing */

static bool all_in(struct project *owner, const struct eparts *p)
{
	autoerr struct err none = ERR_INIT;
	struct store *s;

	for (size_t i = 0; i < p->n; i++)
		if (!p->v[i].file && (project_cache(owner, p->v[i].legacy, &s, &none)
				      || store_has_quick(s, &p->v[i].id, NULL) <= 0))
			return false;
	return true;
}

static int place_objects(struct project *from, const struct eparts *p, bool legacy, const char *to, struct err *e)
{
	static const enum link_kind copies[] = { LINK_REFLINK, LINK_COPY };
	autofree struct place *v = NULL;
	size_t n = 0, cap = 0, missing = 0;
	struct ingest in;

	for (size_t i = 0; i < p->n; i++) {
		if (p->v[i].file || p->v[i].legacy != legacy)
			continue;
		if (*p->v[i].rel && !path_is_safe(p->v[i].rel))
			return err_set(e, ERR_UNSAFE, "refusing to write '%s'", p->v[i].rel);
		GROW(v, n, cap);
		v[n++] = (struct place){ .rel = p->v[i].rel, .id = p->v[i].id };
	}
	if (!n)
		return 0;
	if (project_ingest(from, legacy, &in, e))
		return -1;
	in.types = copies;
	in.ntypes = ARRAY_LEN(copies);
	in.state = NULL;
	if (ingest_place(&in, to, v, n, &missing, e))
		return -1;
	return missing ? err_set(e, ERR_CORRUPT, "%zu objects are missing or damaged", missing) : 0;
}

int erepo_write(struct erepo *r, const struct eparts *p, struct project *into, const char *to, struct err *e)
{
	struct project *owner = cache_owner(r), *from = into;

	if (owner && all_in(owner, p))
		from = owner;
	else if (fetch_objects(r, into, p->v, p->n, NULL, e))
		return -1;
	if (p->is_dir && fs_mkdirs(to, 0777, e))
		return -1;
	for (size_t i = 0; i < p->dirs.n; i++) {
		autofree char *dir = path_join(to, p->dirs.v[i]);

		if (fs_mkdirs(dir, 0777, e))
			return -1;
	}
	if (from && (place_objects(from, p, false, to, e) || place_objects(from, p, true, to, e)))
		return -1;
	for (size_t i = 0; i < p->n; i++) {
		autofree char *path = NULL, *dir = NULL;

		if (!p->v[i].file)
			continue;
		path = *p->v[i].rel ? path_join(to, p->v[i].rel) : xstrdup(to);
		dir = path_dir(path);
		if (fs_mkdirs(dir, 0777, e) || copy_tree(p->v[i].file, path, e))
			return -1;
	}
	return 0;
}

int erepo_object_url(struct erepo *r, const struct eparts *p, char **out, struct err *e)
{
	struct remote *remote = NULL;
	autoerr struct err none = ERR_INIT;
	char key[OID_KEY_MAX];
	struct oid id;

	if (p->out && hashinfo_oid(&p->out->hash, &id))
		oid_key(key, &id, item_is_legacy(p->out));
	else if (p->n == 1 && !p->v[0].file && !*p->v[0].rel)
		oid_key(key, &p->v[0].id, p->v[0].legacy);
	else if (p->holds_outs || p->is_part)   /* it has entries, so DVC finds it, but no object of its own */
		return err_set(e, ERR_CONFIG, "config file error: no remote specified in %s",
			       r->direct ? r->root : r->origin ? "/" : r->url);
	else
		return err_set(e, ERR_NOTFOUND, "the path is not tracked by DVC");
	if (!open_remote(r, &remote, &none)) {
		*out = path_join(remote->url, key);
	} else if (cache_owner(r)) {
		autofree char *dir = project_cache_dir(cache_owner(r));

		*out = path_join(dir, key);
	} else {
		err_move(e, &none);
		return -1;
	}
	remote_close(remote);
	return 0;
}

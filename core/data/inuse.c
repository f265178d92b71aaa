#include "core/data/inuse.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"
#include "core/data/collect.h"
#include "core/data/dindex.h"
#include "core/data/project.h"
#include "core/data/transfer.h"
#include "core/data/wtree.h"
#include "core/repo/gitrepo.h"
#include "core/repo/repo.h"
#include "core/repo/srctree.h"
#include "core/stage/index.h"
#include "core/stage/stage.h"

#include <limits.h>
#include <time.h>

static void set_free(void *v)
{
	binset_release(v);
	free(v);
}

void inuse_release(struct inuse *u)
{
	map_release(&u->remotes, set_free);
	map_release(&u->fetched, NULL);
	if (u->paths)
		map_release(u->paths, free);
	free(u->paths);
	u->paths = NULL;
}

void inuse_key(unsigned char out[INUSE_KEY], const struct oid *id, bool legacy)
{
	memcpy(out, id->md5, 16);
	out[16] = id->is_dir;
	out[17] = legacy;
}

struct binset *inuse_of(struct inuse *u, const char *remote)
{
	struct binset *s = map_get(&u->remotes, remote ? remote : "");

	if (!s) {
		s = xcalloc(1, sizeof(*s));
		*s = (struct binset)BINSET_INIT(INUSE_KEY);
		map_put(&u->remotes, remote ? remote : "", s);
	}
	return s;
}

bool inuse_has(const struct inuse *u, const struct oid *id, bool legacy)
{
	unsigned char key[INUSE_KEY];
	struct map_entry *it;

	inuse_key(key, id, legacy);
	for (size_t i = 0; (it = map_next(&u->remotes, &i));)
		if (binset_has(it->value, key))
			return true;
	return false;
}

struct scope {
	struct project *p;
	const struct gc_opts *o;        /* NULL: only paths are wanted, failures are passed over */
	struct inuse *u;
	struct map trees;               /* ids of root trees seen */
	struct map manifests;           /* hex names of manifests read */
};

static void note_path(struct scope *s, const struct oid *id, const char *path)
{
	char hex[OID_HEX_MAX];

	if (!s->u->paths)
		return;
	oid_hex(hex, id);
	if (!map_has(s->u->paths, hex))
		map_put(s->u->paths, hex, xstrdup(path));
}

static void use(struct scope *s, const struct item *out, const struct oid *id, bool legacy, const char *path)
{
	unsigned char key[INUSE_KEY];

	inuse_key(key, id, legacy);
	binset_add(inuse_of(s->u, out->remote), key);
	note_path(s, id, path);
}

/* A manifest the cache lost may still be on the remote: without it its members would count as unused. 1: it is to be had. */
static int have_manifest(struct scope *s, const struct item *out, const struct oid *id, bool legacy, struct err *e)
{
	struct store *store;
	char hex[OID_HEX_MAX];
	int has;

	if (!s->o || out->files)
		return 1;
	if (project_cache(s->p, legacy, &store, e) || (has = store_has(store, id, NULL, e)) < 0)
		return -1;
	if (has || !transfer_manifest(s->p, out->remote ? out->remote : s->o->remote, id, legacy))
		return has;
	oid_hex(hex, id);
	map_put(&s->u->fetched, hex, (void *)1);
	return 1;
}

static int ask_about(struct scope *s, const struct item *out, struct err *e)
{
	autofree char *abs = repo_abs(s->p->repo, out->path ? out->path : out->def), *shown = NULL, *question = NULL;

	if (!s->o || s->o->force)
		return 0;
	question = xasprintf("Missing cache for directory '%s'. Cache for files inside will be lost. "
			     "Would you like to continue? Use '-f' to force.", abs);
	if (s->o->confirm && s->o->confirm(question, s->o->data))
		return 0;
	shown = item_show(out, s->p->repo->cwd_rel);
	return err_set(e, ERR_FAIL, "unable to fully collect used cache without cache for directory '%s'", shown);
}

/* An error of the disk is not the absence of a manifest: its members would be removed for it. */
static bool is_lost(const struct err *why)
{
	return why->code == ERR_NOTFOUND || why->code == ERR_CORRUPT;
}

static int use_manifest(struct scope *s, const struct item *out, const struct oid *id, bool legacy, struct err *e)
{
	autotree struct tree *t = NULL;
	autoerr struct err why = ERR_INIT;
	autofree char *seen = NULL;
	char hex[OID_HEX_MAX];
	int has;

	oid_hex(hex, id);
	seen = xasprintf("%s %d %s", hex, legacy, out->remote ? out->remote : "");
	if (map_has(&s->manifests, seen))
		return 0;
	has = have_manifest(s, out, id, legacy, e);
	if (has <= 0)
		return has ? has : ask_about(s, out, e);
	if (declared_tree(s->p, out, &t, &why)) {
		if (is_lost(&why))
			return ask_about(s, out, e);
		err_move(e, &why);
		return -1;
	}
	map_put(&s->manifests, seen, (void *)1);
	use(s, out, id, legacy, out->path ? out->path : out->def);
	for (size_t i = 0; i < t->n; i++) {
		autofree char *path = s->u->paths ? path_join(out->path ? out->path : out->def, t->e[i].path) : NULL;

		use(s, out, &t->e[i].id, legacy, path);
	}
	return 0;
}

/* DVC takes git's root for the root of the file system when it reads a commit. */
static char *name_in_commit(const struct repo *r, const struct stage *s)
{
	autofree char *abs = repo_abs(r, s->file), *below = path_rel(abs, r->scm_root), *to = path_join("/", below);
	autofree char *rel = path_rel(to, r->cwd);

	return s->kind == STAGE_SINGLE ? take(rel) : xasprintf("%s:%s", rel, s->name);
}

void inuse_warn_unrecorded(struct project *p, const struct item *out, bool workspace)
{
	autofree char *shown = item_show(out, p->repo->cwd_rel);
	autofree char *name = !workspace && p->repo->scm_root ? name_in_commit(p->repo, out->stage) :
		stage_addressing(out->stage, p->repo->cwd_rel);
	autofree char *more = NULL;
	autoerr struct err none = ERR_INIT;
	bool there = false;

	if (workspace && out->path)
		wtree_exists(p, out->path, &there, &none);
	if (there)
		more = xasprintf("\nYou can also use `dvc commit %s` to associate existing '%s' with stage: '%s'.",
				 name, shown, name);
	notice(NOTICE_WARN, "Output '%s'(stage: '%s') is missing version info. Cache for it will not be collected. "
	       "Use `dvc repro` to get your pipeline up to date.%s", shown, name, more ? more : "");
}

static int use_out(struct scope *s, const struct item *out, bool workspace, struct err *e)
{
	struct oid id;
	bool legacy, is_dir;

	if (!out->cache || stage_is_repo_import(out->stage))
		return 0;
	if (!out->hash.value && !out->files) {
		if (s->o && !stage_is_import(out->stage))
			inuse_warn_unrecorded(s->p, out, workspace);
		return 0;
	}
	if (!declared_id(out, &id, &legacy, &is_dir))
		return 0;
	if (id.is_dir || out->files)
		return use_manifest(s, out, &id, legacy, e);
	use(s, out, &id, legacy, out->path ? out->path : out->def);
	return 0;
}

static int use_index(struct scope *s, const struct index *x, struct srctree *t, bool workspace, struct err *e)
{
	if (s->o && project_remotes_known(s->p, x, t, REMOTES_OWN_RECORDED, e))
		return -1;
	for (size_t i = 0; i < x->n; i++)
		for (size_t k = 0; k < x->v[i]->nouts; k++)
			if (proc_check(e) || use_out(s, x->v[i]->outs[k], workspace, e))
				return -1;
	return 0;
}

/* A revision that cannot be read ends everything (O1), or is named and passed over. */
static int failed(struct scope *s, const char *name, struct err *why, struct err *e)
{
	if (why->code == ERR_INTR || (s->o && !s->o->skip_failed)) {
		err_move(e, why);
		if (e->code == ERR_CONFIG)      /* no longer what DVC calls a configuration error */
			e->code = ERR_FAIL;
		return e->code == ERR_INTR ? -1 : err_wrap(e, "Failed to collect '%s'", name);
	}
	if (s->o)
		notice(NOTICE_WARN, "Failed to collect '%s', skipping", name);
	err_release(why);
	return 0;
}

static int use_commit(struct scope *s, const char *sha, const char *name, struct err *e)
{
	struct repo *r = s->p->repo;
	autoerr struct err why = ERR_INIT;
	struct srctree *t = NULL;
	struct gittree *gt = NULL;
	struct index *x = NULL;
	struct gitrepo *g;
	int rc;

	if (repo_git(r, &g, e))
		return -1;
	/* Commits that share their whole tree need one look. */
	if (!gittree_open(&gt, g, sha, &why)) {
		bool seen = map_has(&s->trees, gittree_id(gt)) || !repo_in_tree(r, gt);

		if (!seen)
			map_put(&s->trees, gittree_id(gt), (void *)1);
		gittree_close(gt);
		if (seen)
			return 0;
	}
	err_release(&why);
	rc = srctree_rev(&t, r, sha, &why) || index_load(&x, r, t, 0, &why) || use_index(s, x, t, false, &why) ? -1 : 0;
	index_free(x);
	srctree_close(t);
	return rc ? failed(s, name, &why, e) : 0;
}

static void take_refs(struct git_refs *to, struct git_refs *from)
{
	for (size_t i = 0; i < from->n; i++) {
		GROW(to->v, to->n, to->cap);
		to->v[to->n++] = from->v[i];
	}
	free(from->v);
	memset(from, 0, sizeof(*from));
}

static void add_ref(struct git_refs *to, const char *name, const char *sha)
{
	GROW(to->v, to->n, to->cap);
	to->v[to->n].name = xstrdup(name);
	snprintf(to->v[to->n++].sha, 41, "%s", sha);
}

static int history(struct gitrepo *g, const char *rev, int num, struct git_refs *out, struct err *e)
{
	struct git_refs got = { 0 };

	if (gitrepo_history(g, rev, num > 0 ? num : INT_MAX, 0, &got, e))
		return -1;
	take_refs(out, &got);
	return 0;
}

static int since_date(struct gitrepo *g, const char *date, struct git_refs *out, struct err *e)
{
	struct git_refs all = { 0 };
	struct tm tm = { .tm_isdst = -1 };
	const char *end = strptime(date, "%Y-%m-%d", &tm);
	int64_t since;

	if (!end || *end) {
		err_set(e, ERR_FAIL, end ? "unexpected error - unconverted data remains: %s" :
			"unexpected error - time data '%s' does not match format '%%Y-%%m-%%d'", end ? end : date);
		e->exit_status = 255;
		return -1;
	}
	since = (int64_t)mktime(&tm);
	if (gitrepo_all_commits(g, &all, e))
		return -1;
	for (size_t i = 0; i < all.n; i++) {
		int64_t when = gitrepo_commit_time(g, all.v[i].sha);

		if (when < 0 || when >= since)          /* unknown: kept, as DVC does */
			add_ref(out, all.v[i].name, all.v[i].sha);
	}
	git_refs_release(&all);
	return 0;
}

/* Commits of one experiment: from its ref down to the baseline that its name holds ("refs/exps/aa/rest/name"). */
static int experiment(const char *root, const char *ref, struct git_refs *out, struct err *e)
{
	autostr struct str lines = STR_INIT, errs = STR_INIT;
	autostrvec struct strvec v = STRVEC_INIT, parts = STRVEC_INIT;
	autofree char *not_base = NULL;
	const char *argv[] = { "git", "rev-list", ref, NULL, NULL };
	int status;

	strvec_split(&parts, ref, '/');
	if (parts.n < 5 || strlen(parts.v[2]) != 2 || strlen(parts.v[3]) != 38)
		return 0;
	not_base = xasprintf("^%s%s", parts.v[2], parts.v[3]);
	argv[3] = not_base;
	if (proc_run(argv, root, NULL, 0, &lines, &errs, &status, e))
		return -1;
	if (status)
		return err_set(e, ERR_FAIL, "cannot list the commits of '%s': %s", ref, str_cstr(&errs));
	strvec_split(&v, str_cstr(&lines), '\n');
	for (size_t i = 0; i < v.n; i++)
		if (strlen(v.v[i]) == 40)
			add_ref(out, v.v[i], v.v[i]);
	return 0;
}

static int experiments(const char *root, struct git_refs *out, struct err *e)
{
	autostr struct str lines = STR_INIT, errs = STR_INIT;
	autostrvec struct strvec v = STRVEC_INIT;
	const char *argv[] = { "git", "for-each-ref", "--format=%(refname)", "refs/exps", NULL };
	int status;

	if (proc_run(argv, root, NULL, 0, &lines, &errs, &status, e))
		return -1;
	if (status)
		return err_set(e, ERR_FAIL, "cannot list experiments: %s", str_cstr(&errs));
	strvec_split(&v, str_cstr(&lines), '\n');
	for (size_t i = 0; i < v.n; i++)
		if (experiment(root, v.v[i], out, e))
			return -1;
	return 0;
}

static int revisions(struct project *p, const struct gc_opts *o, struct git_refs *out, struct err *e)
{
	struct git_refs got = { 0 };
	struct gitrepo *g = NULL;
	int num = o->num ? o->num : 1, rc = 0;

	if (!o->rev && !o->all_branches && !o->all_tags && !o->all_commits && !o->all_experiments && !o->date)
		return 0;
	if (repo_git(p->repo, &g, e))
		return -1;
	/* Without git there are no branches, tags or commits to look at. */
	if (!g && (o->rev || o->all_experiments))
		return err_set(e, ERR_FAIL, "Only supported for Git repositories. If you're seeing this error in a Git "
			       "repo, try updating the DVC configuration with `dvc config core.no_scm false`.");
	if (!g)
		return 0;
	if (o->rev && history(g, o->rev, num, out, e))
		return -1;
	if (o->all_commits) {
		if (gitrepo_all_commits(g, &got, e))
			return -1;
		take_refs(out, &got);
	} else {
		if (o->all_branches) {
			if (gitrepo_branches(g, &got, e))
				return -1;
			for (size_t i = 0; !rc && i < got.n; i++) {
				add_ref(out, got.v[i].name, got.v[i].sha);
				if (num != 1)
					rc = history(g, got.v[i].sha, num, out, e);
			}
			git_refs_release(&got);
		}
		if (!rc && o->all_tags) {
			rc = gitrepo_tags(g, &got, e);
			take_refs(out, &got);
		}
		if (!rc && o->date)
			rc = since_date(g, o->date, out, e);
	}
	if (!rc && o->all_experiments)
		rc = experiments(p->repo->scm_root, out, e);
	return rc;
}

int inuse_collect(struct project *p, const struct gc_opts *o, struct inuse *u, struct err *e)
{
	struct scope s = { .p = p, .o = o, .u = u };
	autoerr struct err why = ERR_INIT;
	struct git_refs revs = { 0 };
	struct index *x;
	int rc = -1;

	if (project_index(p, &x, &why) || use_index(&s, x, NULL, true, &why))
		if (failed(&s, "workspace", &why, e))
			goto undo;
	if (revisions(p, o, &revs, e))
		goto undo;
	rc = 0;
	for (size_t i = 0; !rc && i < revs.n; i++)
		rc = use_commit(&s, revs.v[i].sha, revs.v[i].name, e);
undo:
	git_refs_release(&revs);
	map_release(&s.trees, NULL);
	map_release(&s.manifests, NULL);
	return rc;
}

int inuse_paths(struct project *p, struct map *paths, struct err *e)
{
	struct inuse u = { .paths = paths };
	struct scope s = { .p = p, .u = &u };
	struct git_refs revs = { 0 };
	struct gitrepo *g = NULL;
	int rc = 0;

	if (repo_git(p->repo, &g, e))
		return -1;
	if (g && gitrepo_has_commits(g))
		rc = gitrepo_all_commits(g, &revs, e);
	for (size_t i = 0; !rc && i < revs.n; i++)
		rc = use_commit(&s, revs.v[i].sha, revs.v[i].name, e);
	git_refs_release(&revs);
	map_release(&s.trees, NULL);
	map_release(&s.manifests, NULL);
	u.paths = NULL;
	inuse_release(&u);
	return rc;
}

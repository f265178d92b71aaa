#include "core/data/collect.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/progress.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"
#include "core/data/inuse.h"
#include "core/data/project.h"
#include "core/data/remote.h"
#include "core/data/transfer.h"
#include "core/repo/config.h"
#include "core/repo/repo.h"
#include "core/repo/repolock.h"

#include <time.h>

struct run {
	struct project *p;
	const struct gc_opts *o;
	struct inuse used;
	struct map targets;             /* names of remotes to what is in use there; one name for a place */
	struct binset spare;            /* --not-in-remote: in use, but safe on the remote */
	struct binset elsewhere;        /* in use by the other projects, on whatever remote */
	struct gc_result *r;
	struct timespec start;
	struct project **other;         /* their locks are held until all is done */
	struct repolock **locks;
	size_t nother;
};

void gc_result_release(struct gc_result *r)
{
	for (size_t i = 0; i < r->n; i++) {
		for (size_t k = 0; k < r->v[i].n; k++) {
			free(r->v[i].v[k].where);
			free(r->v[i].v[k].last);
		}
		free(r->v[i].v);
		free(r->v[i].scheme);
	}
	free(r->v);
	memset(r, 0, sizeof(*r));
}

static struct gc_place *new_place(struct gc_result *r, const char *scheme, bool is_remote)
{
	GROW(r->v, r->n, r->cap);
	r->v[r->n] = (struct gc_place){ .scheme = xstrdup(scheme), .is_remote = is_remote };
	return &r->v[r->n++];
}

static void push_object(struct gc_place *at, const struct oid *id, bool legacy, uint64_t size)
{
	GROW(at->v, at->n, at->cap);
	at->v[at->n++] = (struct gc_object){ .id = *id, .legacy = legacy, .size = size };
}

/* O2: manifests first. */
static int manifests_first(const void *a, const void *b)
{
	const struct gc_object *x = a, *y = b;

	if (x->id.is_dir != y->id.is_dir)
		return y->id.is_dir - x->id.is_dir;
	return oid_cmp(&x->id, &y->id);
}

/* ---- the cache ---- */

struct sweep { struct run *run; struct gc_place *at; struct binset *keep; struct store *store; bool legacy; };

static bool is_kept(struct sweep *s, const struct oid *id)
{
	unsigned char key[INUSE_KEY];

	inuse_key(key, id, s->legacy);
	if (binset_has(s->keep, key) || binset_has(&s->run->elsewhere, key))
		return true;
	return inuse_has(&s->run->used, id, s->legacy) && !binset_has(&s->run->spare, key);
}

static int consider(const struct oid *id, uint64_t size, int64_t mtime UNUSED, void *data, struct err *e)
{
	struct sweep *s = data;

	if (!is_kept(s, id))
		push_object(s->at, id, s->legacy, size);
	return proc_check(e);
}

/* O3: later than our start by either stamp, and not our own doing; the file system's clock may lag, never lead. */
static bool is_new(struct sweep *s, const struct oid *id)
{
	autofree char *path = store_path(s->store, id);
	const struct timespec *t = &s->run->start;
	char hex[OID_HEX_MAX];
	struct stat st;

	oid_hex(hex, id);
	if (map_has(&s->run->used.fetched, hex) || lstat(path, &st))
		return false;
	return st.st_ctim.tv_sec > t->tv_sec ||
		(st.st_ctim.tv_sec == t->tv_sec && st.st_ctim.tv_nsec >= t->tv_nsec);
}

static void keep_members(struct sweep *s, const struct oid *id)
{
	autotree struct tree *t = NULL;
	autoerr struct err none = ERR_INIT;
	unsigned char key[INUSE_KEY];

	if (tree_load(&t, s->store, id, &none))
		return;
	for (size_t i = 0; i < t->n; i++) {
		inuse_key(key, &t->e[i].id, s->legacy);
		binset_add(s->keep, key);
	}
}

static void drop_new(struct sweep *s)
{
	struct gc_place *at = s->at;
	size_t n = 0;

	for (size_t i = 0; i < at->n; i++) {
		struct gc_object *g = &at->v[i];

		if (is_new(s, &g->id)) {
			if (g->id.is_dir)
				keep_members(s, &g->id);
			continue;
		}
		at->v[n++] = *g;
	}
	at->n = n;
	/* Manifests stand first: what they need is known only now. */
	for (size_t i = n = 0; i < at->n; i++)
		if (!is_kept(s, &at->v[i].id))
			at->v[n++] = at->v[i];
	at->n = n;
}

/* What DVC 2.x kept beside a manifest. */
static void drop_unpacked(const char *manifest)
{
	autofree char *path = xasprintf("%s.unpacked", manifest);
	autoerr struct err none = ERR_INIT;

	if (fs_exists(path))
		fs_rm_tree(path, &none);
}

static int find_unused(struct sweep *s, const char *scheme, struct err *e)
{
	s->at = new_place(s->run->r, scheme, false);
	if (project_cache(s->run->p, s->legacy, &s->store, e) || store_each(s->store, consider, s, e))
		return -1;
	if (s->at->n)
		qsort(s->at->v, s->at->n, sizeof(*s->at->v), manifests_first);
	drop_new(s);
	return 0;
}

static int remove_unused(struct sweep *s, struct err *e)
{
	const struct gc_opts *o = s->run->o;
	struct progress pg = { 0 };
	int rc = 0;

	progress_begin(&pg, "removing", s->at->n, 0);
	for (size_t i = 0; !rc && i < s->at->n; i++) {
		struct gc_object *g = &s->at->v[i];

		g->where = o->dry || o->explain || g->id.is_dir ? store_path(s->store, &g->id) : NULL;
		if (o->dry)
			continue;
		if (proc_check(e) || store_remove(s->store, &g->id, e)) {
			rc = -1;
			break;
		}
		if (g->id.is_dir)
			drop_unpacked(g->where);
		proc_fault("gc");
		progress_add(&pg, 1, g->size);
	}
	progress_end(&pg);
	return rc;
}

/* Both layouts are looked at before anything goes: 'cache migrate' links them, and the end of one name stamps the other (O3). */
static int sweep_caches(struct run *run, struct err *e)
{
	struct binset keep[2] = { BINSET_INIT(INUSE_KEY), BINSET_INIT(INUSE_KEY) };
	struct sweep s[2] = { { .run = run, .keep = &keep[0] }, { .run = run, .keep = &keep[1], .legacy = true } };
	size_t first = run->r->n;
	int rc = find_unused(&s[0], "repo", e) || find_unused(&s[1], "legacy", e) ? -1 : 0;

	for (int i = 0; !rc && i < 2; i++) {
		s[i].at = &run->r->v[first + (size_t)i];
		rc = remove_unused(&s[i], e);
	}
	binset_release(&keep[0]);
	binset_release(&keep[1]);
	return rc;
}

/* ---- remotes ---- */

struct listing { struct gc_place *at; const struct binset *used, *elsewhere; bool legacy; };

static int consider_key(const char *key, uint64_t size, const char *etag UNUSED, void *data, struct err *e)
{
	struct listing *l = data;
	unsigned char name[INUSE_KEY];
	autofree char *aa = NULL;
	const char *slash;
	struct oid id;

	if (!l->legacy && !str_starts(key, "files/md5/"))
		return 0;
	key += l->legacy ? 0 : 10;
	slash = strchr(key, '/');
	if (!slash)
		return 0;
	aa = xstrndup(key, (size_t)(slash - key));
	if (!oid_from_key(&id, aa, slash + 1))
		return 0;
	inuse_key(name, &id, l->legacy);
	if (!binset_has(l->used, name) && !binset_has(l->elsewhere, name))
		push_object(l->at, &id, l->legacy, size);
	return proc_check(e);
}

struct removal { size_t left; struct err *e; bool failed; };

static void removal_free(struct rop *op)
{
	for (size_t i = 0; i < op->nkeys; i++)
		free((char *)op->keys[i]);
	free((void *)op->keys);
	err_release(&op->err);
	free(op);
}

static void removed(struct rop *op, enum rclass c)
{
	struct removal *v = op->user;

	v->left--;
	if (c != RC_OK && c != RC_ABSENT && c != RC_EXISTS && !v->failed) {
		v->failed = true;
		err_move(v->e, &op->err);
		if (op->nfailed > 1)
			err_in(v->e, "cannot remove '%s' and %zu others", op->key, op->nfailed - 1);
		else
			err_in(v->e, "cannot remove '%s'", op->key);
	}
	removal_free(op);
}

/* One request for n objects; n is 1 where the remote takes no more. */
static struct rop *removal_of(struct removal *all, const struct gc_object *v, size_t n)
{
	struct rop *op = xcalloc(1, sizeof(*op));
	char **keys = xcalloc(n, sizeof(*keys));

	for (size_t i = 0; i < n; i++) {
		char key[OID_KEY_MAX];

		oid_key(key, &v[i].id, v[i].legacy);
		keys[i] = xstrdup(key);
	}
	op->kind = n > 1 ? ROP_DELETE_MANY : ROP_DELETE;
	op->key = keys[0];
	op->keys = (const char *const *)keys;
	op->nkeys = n;
	op->fd = -1;
	op->done = removed;
	op->user = all;
	return op;
}

static int remove_keys(struct remote *r, struct gc_object *v, size_t n, struct err *e)
{
	size_t most = r->caps & REMOTE_DELETE_MANY ? REMOTE_MANY : 1;
	struct removal all = { .e = e };

	for (size_t i = 0, step; i < n && !all.failed; i += step) {
		struct rop *op;
		int rc;

		step = n - i < most ? n - i : most;
		op = removal_of(&all, v + i, step);
		all.left++;
		while ((rc = remote_submit(r, op, e)) > 0)
			if (proc_check(e) || remote_run(r, 1000, e)) {
				rc = -1;
				break;
			}
		if (rc < 0) {
			all.left--;
			all.failed = true;
			removal_free(op);
		}
	}
	while (all.left) {
		autoerr struct err none = ERR_INIT;

		if (proc_cancelled() && r->ops->cancel)
			r->ops->cancel(r);
		if (remote_run(r, 1000, all.failed ? &none : e)) {
			all.failed = true;
			if (!r->ops->cancel)
				break;
			r->ops->cancel(r);
		}
	}
	return all.failed ? -1 : 0;
}

static int sweep_remote(struct run *run, struct remote *r, const struct binset *used, bool legacy, struct err *e)
{
	struct gc_place *at = new_place(run->r, "remote", true);
	struct listing l = { at, used, &run->elsewhere, legacy };
	size_t dirs = 0;

	if (r->ops->list(r, legacy ? "" : "files/md5/", consider_key, &l, e))
		return -1;
	if (at->n)
		qsort(at->v, at->n, sizeof(*at->v), manifests_first);
	while (dirs < at->n && at->v[dirs].id.is_dir)
		dirs++;
	for (size_t i = 0; i < at->n; i++) {
		char key[OID_KEY_MAX];

		oid_key(key, &at->v[i].id, legacy);
		at->v[i].where = r->local_dir ? path_join(r->local_dir, key) :
			xasprintf("%s/%s", r->url ? r->url : "", key);
	}
	if (run->o->dry || !at->n)
		return 0;
	return remove_keys(r, at->v, dirs, e) || remove_keys(r, at->v + dirs, at->n - dirs, e) ? -1 : 0;
}

static const char *default_remote(const struct run *run)
{
	return run->o->remote ? run->o->remote : config_get(run->p->repo->config, "core", "remote");
}

static int refuse_versioned(const struct run *run, const char *name, struct err *e)
{
	autofree char *section = xasprintf("remote \"%s\"", name ? name : "");
	const struct config *c = run->p->repo->config;

	if (!config_bool(c, section, "version_aware", false) && !config_bool(c, section, "worktree", false))
		return 0;
	err_set(e, ERR_CONFIG, "config file error: 'gc -c' is unsupported for cloud versioned remotes");
	return -1;
}

/* What is in use without a remote of its own belongs to the default one. */
static void merge_default(struct run *run)
{
	const char *name = default_remote(run);
	struct binset *own = inuse_of(&run->used, ""), *to;
	const void *key;

	if (!name)
		return;
	to = inuse_of(&run->used, name);
	for (size_t i = 0; (key = binset_next(own, &i));)
		binset_add(to, key);
}

/* Names fold case, sections share URLs, remote:// stands for another: what tells places apart is where they are. */
static char *location(const struct remote *r)
{
	autofree char *real = r->local_dir ? realpath(r->local_dir, NULL) : NULL;
	const char *at = real ? real : r->local_dir ? r->local_dir : r->url ? r->url : "";
	size_t n = strlen(at);

	while (n && at[n - 1] == '/')
		n--;
	return xstrndup(at, n);
}

/* O5. Asked before anything is removed anywhere. */
static int add_target(struct run *run, struct map *at, const char *name, struct err *e)
{
	struct binset *used = inuse_of(&run->used, name), *first;
	autofree char *where = NULL;
	struct remote *r = NULL;
	const void *key;
	int rc = 0;

	if (refuse_versioned(run, *name ? name : NULL, e) ||
	    remote_open_named(&r, run->p->repo, *name ? name : NULL, run->o->jobs, e))
		return -1;
	if (run->o->cloud && (!(r->caps & REMOTE_LIST) || !r->ops->list))
		rc = err_set(e, ERR_UNSUPPORTED, "'%s' cannot be listed, so nothing can be collected there", r->url);
	where = location(r);
	remote_close(r);
	first = map_get(at, where);
	for (size_t i = 0; first && (key = binset_next(used, &i));)
		binset_add(first, key);
	if (!first) {
		map_put(at, where, used);
		map_put(&run->targets, name, used);
	}
	return rc;
}

static int find_targets(struct run *run, struct err *e)
{
	autostrvec struct strvec names = STRVEC_INIT;
	const char *first = default_remote(run);
	struct map at = MAP_INIT;
	struct map_entry *it;
	int rc = 0;

	strvec_push(&names, first ? first : "");
	for (size_t i = 0; (it = map_next(&run->used.remotes, &i));)
		if (*it->key && !strvec_has(&names, it->key))
			strvec_push(&names, it->key);
	for (size_t i = 0; !rc && i < names.n; i++)
		rc = add_target(run, &at, names.v[i], e);
	map_release(&at, NULL);
	return rc;
}

static int each_remote(struct run *run, int (*fn)(struct run *, struct remote *, const struct binset *, struct err *),
		       struct err *e)
{
	struct map_entry *it;
	int rc = 0;

	for (size_t i = 0; !rc && (it = map_next(&run->targets, &i));) {
		struct remote *r = NULL;

		if (remote_open_named(&r, run->p->repo, *it->key ? it->key : NULL, run->o->jobs, e))
			return -1;
		rc = fn(run, r, it->value, e);
		remote_close(r);
	}
	return rc;
}

static int collect_remote(struct run *run, struct remote *r, const struct binset *used, struct err *e)
{
	return sweep_remote(run, r, used, false, e) || sweep_remote(run, r, used, true, e) ? -1 : 0;
}

/* --not-in-remote: what the remote confirms now may go from the cache. */
static int spare_remote(struct run *run, struct remote *r, const struct binset *used, struct err *e)
{
	struct binset have = BINSET_INIT(WANT_KEY);
	struct want_set w = { 0 };
	const unsigned char *key;
	int rc;

	for (size_t i = 0; (key = binset_next(used, &i));) {
		struct oid id;

		memcpy(id.md5, key, 16);
		id.is_dir = key[16];
		want_add_object(&w, "", &id, key[17], 0);
	}
	rc = w.n ? transfer_have(run->p, r, &w, true, &have, e) : 0;
	for (size_t i = 0; !rc && i < w.n; i++) {
		unsigned char mine[INUSE_KEY], theirs[WANT_KEY];

		want_key(theirs, &w.v[i]);
		inuse_key(mine, &w.v[i].id, w.v[i].legacy);
		if (binset_has(&have, theirs))
			binset_add(&run->spare, mine);
	}
	binset_release(&have);
	want_release(&w);
	return rc;
}

/* ---- the whole ---- */

/* The other projects that share the cache: their locks are held, what they use is used. */
static int use_project(struct run *run, const char *path, struct err *e)
{
	struct inuse used = { 0 };
	struct repo *r = NULL;
	struct map_entry *it;
	const void *key;
	size_t n = run->nother;
	int rc;

	if (repo_open(&r, path, e))
		return -1;
	run->other = xreallocarray(run->other, n + 1, sizeof(*run->other));
	run->locks = xreallocarray(run->locks, n + 1, sizeof(*run->locks));
	run->other[n] = project_new(r);
	run->locks[n] = NULL;
	run->nother++;
	/* This project itself is locked already. */
	if (strcmp(r->root, run->p->repo->root) && repolock_take(&run->locks[n], r, e))
		return -1;
	rc = inuse_collect(run->other[n], run->o, &used, e);
	for (size_t i = 0; (it = map_next(&used.remotes, &i));)
		for (size_t k = 0; (key = binset_next(it->value, &k));)
			binset_add(&run->elsewhere, key);
	inuse_release(&used);
	return rc;
}

static void release_others(struct run *run)
{
	for (size_t i = 0; i < run->nother; i++) {
		struct repo *r = run->other[i]->repo;

		project_free(run->other[i]);
		repolock_release(run->locks[i]);
		repo_close(r);
	}
	free(run->other);
	free(run->locks);
}

/* The manifests must still be there when this is asked. */
static void name_last(struct gc_result *r, const struct map *paths)
{
	for (size_t i = 0; i < r->n; i++)
		for (size_t k = 0; k < r->v[i].n; k++) {
			struct gc_object *g = &r->v[i].v[k];
			char hex[OID_HEX_MAX];

			oid_hex(hex, &g->id);
			g->last = xstrdup(map_get(paths, hex));
		}
}

int gc_run(struct project *p, const struct gc_opts *o, struct gc_result *r, struct err *e)
{
	struct run run = { .p = p, .o = o, .r = r, .targets = MAP_INIT, .spare = BINSET_INIT(INUSE_KEY),
			   .elsewhere = BINSET_INIT(INUSE_KEY) };
	struct map paths = MAP_INIT;
	int rc = -1;

	clock_gettime(CLOCK_REALTIME, &run.start);
	for (size_t i = 0; o->projects && i < o->projects->n; i++)
		if (use_project(&run, o->projects->v[i], e))
			goto undo;
	if (inuse_collect(p, o, &run.used, e))
		goto undo;
	if (o->cloud || o->not_in_remote) {
		merge_default(&run);
		if (find_targets(&run, e))
			goto undo;
	}
	if (o->not_in_remote && each_remote(&run, spare_remote, e))
		goto undo;
	if (o->explain && inuse_paths(p, &paths, e))
		goto undo;
	if (sweep_caches(&run, e))
		goto undo;
	if (o->cloud && each_remote(&run, collect_remote, e))
		goto undo;
	if (o->explain)
		name_last(r, &paths);
	rc = 0;
undo:
	inuse_release(&run.used);
	map_release(&run.targets, NULL);
	binset_release(&run.spare);
	binset_release(&run.elsewhere);
	map_release(&paths, free);
	release_others(&run);
	return rc;
}

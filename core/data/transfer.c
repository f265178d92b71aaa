#include "core/data/transfer_own.h"

#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/base/proc.h"
#include "core/base/progress.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"
#include "core/data/project.h"
#include "core/data/versioned.h"
#include "core/repo/config.h"
#include "core/repo/repo.h"
#include "core/stage/stage.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include <fcntl.h>

#define MANIFEST_MAX (1ull << 30)

static transfer_import_fn *import_fn;   /* set once by main, before any thread */

void transfer_set_import(transfer_import_fn *fn)
{
	import_fn = fn;
}

static bool is_file(const struct run *x, const struct want *w)
{
	(void)x;
	return !w->id.is_dir;
}

static bool is_manifest(const struct run *x, const struct want *w)
{
	(void)x;
	return w->id.is_dir;
}

/* The state a manifest takes from its children (T1): WANT_OPEN when all that were wanted are where they shall be. */
static uint8_t state_of_children(const struct want_set *w, const struct want_group *g, bool legacy)
{
	uint8_t worst = WANT_OPEN;

	for (size_t i = 0; g->tree && i < g->tree->n; i++) {
		const struct want *c = want_find(w, &g->tree->e[i].id, legacy);

		if (c && c->state == WANT_FAILED)
			return WANT_FAILED;
		if (c && (c->state == WANT_MISSING || c->state == WANT_OPEN))
			worst = WANT_HELD;
	}
	return worst;
}

static void hold_manifests(struct run *x, uint8_t in_state)
{
	for (size_t i = 0; i < x->w->ng; i++) {
		struct want_group *g = &x->w->g[i];
		struct want *m = g->manifest ? &x->w->v[g->manifest - 1] : NULL;
		uint8_t s;

		if (!m || m->state != in_state)
			continue;
		s = state_of_children(x->w, g, m->legacy);
		if (s == WANT_FAILED) {
			autoerr struct err why = ERR_INIT;

			err_set(&why, ERR_FAIL, "a file of the directory could not be transferred");
			run_fail(x, m, NULL, &why);
			x->res->fail[x->res->nfail - 1].implied = true;
		} else if (s == WANT_HELD) {
			m->state = WANT_HELD;
			x->res->counted++;      /* DVC counts what it meant to send */
		}
	}
}

static void plan_dry(struct run *x)
{
	struct transfer_result *r = x->res;

	for (size_t i = 0; i < x->w->n; i++) {
		struct want *w = &x->w->v[i];
		uint64_t size = w->size;

		if (w->state != WANT_OPEN)
			continue;
		GROW(r->plan, r->nplan, r->plan_cap);
		r->plan[r->nplan++] = (struct planned){ want_path(x->w, w), w->id, size };
		r->objects++;
		r->bytes += size;
	}
}

/* ---- push ---- */

/* A manifest that only the remote has tells what else should be there. */
static int read_remote_manifests(struct run *x, struct err *e)
{
	for (size_t i = 0; i < x->w->ng; i++) {
		struct want_group *g = &x->w->g[i];
		autostr struct str text = STR_INIT;
		autoerr struct err why = ERR_INIT;
		char key[OID_KEY_MAX];
		unsigned char md5[16];
		const struct want *m;

		if (!g->manifest || g->tree)
			continue;
		m = &x->w->v[g->manifest - 1];
		oid_key(key, &m->id, m->legacy);
		if (remote_read_all(x->r, key, MANIFEST_MAX, &text, &why)) {
			if (why.code == ERR_NOTFOUND)
				continue;
			err_move(e, &why);
			return -1;
		}
		md5_once(str_cstr(&text), text.len, md5);
		if (!memcmp(md5, m->id.md5, 16) && !tree_parse(&g->tree, str_cstr(&text), text.len, key, &why))
			want_expand(x->w, i);
	}
	return 0;
}

static void open_to_missing(struct run *x)
{
	for (size_t i = 0; i < x->w->n; i++) {
		struct want *w = &x->w->v[i];

		if (w->state == WANT_OPEN && store_has_quick(x->store[w->legacy], &w->id, &w->size) <= 0)
			w->state = WANT_MISSING;
	}
}

static uint64_t open_count(const struct want_set *w)
{
	uint64_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->v[i].state == WANT_OPEN;
	return n;
}

/* What we saw complete on a remote that cannot list. */
static void confirm(struct run *x)
{
	if (x->r->caps & REMOTE_LIST)
		return;
	for (size_t i = 0; i < x->w->ng; i++) {
		const struct want_group *g = &x->w->g[i];
		const struct want *m = g->manifest ? &x->w->v[g->manifest - 1] : NULL;

		if (!m || g->inside || !g->tree)
			continue;
		plan_confirm(x, m, (m->state == WANT_HAVE || m->state == WANT_MOVED) &&
			     state_of_children(x->w, g, m->legacy) == WANT_OPEN);
	}
}

static int push_open(struct run *x, struct err *e)
{
	struct progress pr = { 0 };
	int rc;

	progress_begin(&pr, "pushing", open_count(x->w), 0);
	x->progress = &pr;
	rc = run_all(x, RUN_PUT, 0, is_file, e);
	if (!rc) {
		hold_manifests(x, WANT_OPEN);
		proc_fault("push.children");
		rc = run_all(x, RUN_PUT, 0, is_manifest, e);
	}
	x->progress = NULL;
	progress_end(&pr);
	return rc;
}

/* A directory that cannot be made ends DVC before it tries one object. It is only tried: the remote makes it its way. */
static int try_root(const struct remote *r, struct err *e)
{
	autofree char *dir = path_is_url(r->url) ? NULL : path_join(r->url, "files"), *up = NULL;
	int sys = 0;

	if (!dir || fs_exists(dir))
		return 0;
	for (up = path_dir(dir); strcmp(up, "/") && !fs_exists(up);) {
		free(take(dir));
		dir = take(up);
		up = path_dir(dir);
	}
	if (mkdir(dir, 0777))
		sys = errno;
	else
		rmdir(dir);
	if (!sys || sys == EEXIST)
		return 0;
	err_set(e, err_code_of_errno(sys), "unexpected error - [Errno %d] %s: '%s'", sys, strerror(sys), dir);
	e->exit_status = 255;
	return -1;
}

int transfer_push_set(struct project *p, struct remote *r, struct want_set *w, const struct transfer_opts *o,
		      struct transfer_result *res, struct err *e)
{
	struct run x;
	int rc = -1;

	if (!w->n)
		return 0;
	if (run_open(&x, p, r, w, o, res, e) || (!o->dry_run && try_root(r, e)))
		return -1;
	/* With --check a present but wrong object is replaced. */
	x.overwrite = o->check || !(r->caps & REMOTE_COND_PUT);
	if (read_remote_manifests(&x, e) || plan_have(&x, o->check, e)) {
		/* What DVC does not handle there ends with its status for surprises; of a remote that cannot list (plain
		 * HTTP) it takes no answer for "absent" and fails one object after the other. */
		if (e->code != ERR_INTR && e->code != ERR_CONFIG && (r->caps & REMOTE_LIST))
			e->exit_status = 255;
		goto undo;
	}
	if (o->dry_run) {
		open_to_missing(&x);
		plan_dry(&x);
		rc = 0;
	} else {
		rc = open_count(w) ? push_open(&x, e) : 0;
		confirm(&x);
	}
	warn_missing(&x);
undo:
	run_close(&x);
	return rc;
}

static int need_default(const struct want_parts *parts)
{
	for (size_t i = 0; i < parts->n; i++)
		if (!parts->v[i].remote)
			return true;
	return !parts->n;
}

static int push_runs(struct project *p, const struct transfer_opts *o, struct transfer_result *res, struct err *e)
{
	struct remote *r;
	int rc;

	if (remote_open_named(&r, p->repo, o->remote, o->jobs, e))
		return -1;
	rc = runs_push(p, r, o, res, e);
	remote_close(r);
	return rc;
}

static struct collect_opts with_remote(const struct collect_opts *c, const struct transfer_opts *o, bool push)
{
	struct collect_opts own = *c;

	own.remote = o->remote;
	own.push = push;
	return own;
}

/* No remote at all is no error here; one that is named and not there is. */
static bool is_known(struct project *p, const char *name)
{
	if (!name)
		name = config_get(p->repo->config, "core", "remote");
	return !name || config_has_remote(p->repo->config, name);
}

int transfer_push(struct project *p, const struct collect_opts *c, const struct transfer_opts *o,
		  struct transfer_result *res, struct err *e)
{
	struct collect_opts own = with_remote(c, o, true);
	struct want_parts parts = WANT_PARTS_INIT;
	struct remote *r = NULL;
	int rc = -1;

	if ((c->all_branches || c->all_tags || c->all_commits) && versioned_is(p, o->remote))
		return err_set(e, ERR_FAIL, "Multiple rev push is unsupported for cloud versioned remotes");
	/* An unknown remote is an error before anything is looked at. */
	if (((o->remote || !is_known(p, NULL)) && remote_open_named(&r, p->repo, o->remote, o->jobs, e)) ||
	    (o->run_cache && !versioned_is(p, o->remote) && push_runs(p, o, res, e)) || transfer_collect_parts(p, &own, &parts, e))
		goto undo;
	remote_close(r);
	r = NULL;
	if (need_default(&parts)) {
		if (remote_open_named(&r, p->repo, o->remote, o->jobs, e))
			goto undo;
		remote_close(r);
		r = NULL;
	}
	rc = 0;
	for (size_t i = 0; i < parts.n && !rc; i++) {
		const char *name = parts.v[i].remote ? parts.v[i].remote : o->remote;

		if (versioned_is(p, name)) {
			rc = versioned_push(p, name, &parts.v[i].set, o, res, e);
			continue;
		}
		rc = remote_open_named(&r, p->repo, name, o->jobs, e);
		if (!rc)
			rc = transfer_push_set(p, r, &parts.v[i].set, o, res, e);
		remote_close(r);
		r = NULL;
	}
undo:
	remote_close(r);
	want_parts_release(&parts);
	return rc;
}

/* ---- fetch ---- */

struct look { struct run *x; size_t from; };

static int look_some(void *data, size_t from, size_t to, unsigned worker, struct err *e)
{
	struct look *l = data;

	(void)worker;
	for (size_t i = from; i < to; i++) {
		struct want *w = &l->x->w->v[l->from + i];
		uint64_t size;
		int has;

		if (w->state != WANT_OPEN)
			continue;
		has = store_has(l->x->store[w->legacy], &w->id, &size, e);
		if (has < 0)
			return -1;
		if (has)
			w->state = WANT_HAVE;
	}
	return 0;
}

/* What the cache has already, under its own rule of trust. */
static int look_in_cache(struct run *x, size_t from, struct err *e)
{
	struct look l = { x, from };
	size_t n = x->w->n - from;

	if (n < 256)
		return look_some(&l, 0, n, 0, e);
	return pool_for(project_pool(x->p), n, 1024, look_some, &l, e);
}

static int read_fetched_manifest(struct run *x, size_t group, struct err *e)
{
	struct want_group *g = &x->w->g[group];
	const struct want *m = &x->w->v[g->manifest - 1];
	char hex[OID_HEX_MAX];

	oid_hex(hex, &m->id);
	if (m->state == WANT_READ) {
		autofree char *path = store_temp_path(x->store[m->legacy], x->temp[g->manifest - 1]);
		autostr struct str text = STR_INIT;

		if (fs_read(&text, path, MANIFEST_MAX, e) || tree_parse(&g->tree, str_cstr(&text), text.len, hex, e))
			return -1;
	} else if (m->state == WANT_HAVE && tree_load(&g->tree, x->store[m->legacy], &m->id, e)) {
		return -1;
	}
	return 0;
}

/* Adds the members of every manifest that is readable now. A manifest that is refused fails with its reason. */
static void expand_fetched(struct run *x)
{
	for (size_t i = 0; i < x->w->ng; i++) {
		struct want_group *g = &x->w->g[i];
		autoerr struct err why = ERR_INIT;

		if (!g->manifest || g->tree)
			continue;
		if (read_fetched_manifest(x, i, &why))
			run_fail(x, &x->w->v[g->manifest - 1], NULL, &why);
		else if (g->tree)
			want_expand(x->w, i);
	}
}

/* T3: children first, then the name of the manifest. */
static int name_manifests(struct run *x, struct err *e)
{
	for (size_t i = 0; i < x->ntemp; i++) {
		struct want *w = &x->w->v[i];
		autofree char *path = NULL;
		autoclose int fd = -1;

		if (w->state != WANT_READ || !x->temp[i])
			continue;
		path = store_temp_path(x->store[w->legacy], x->temp[i]);
		fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			return err_sys(e, "cannot open '%s'", path);
		if (store_publish(x->store[w->legacy], &w->id, fd, x->temp[i], e))
			return -1;
		free(x->temp[i]);
		x->temp[i] = NULL;
		w->state = WANT_MOVED;
		x->res->objects++;
		x->res->counted++;
	}
	return 0;
}

static void free_name(struct run *x, size_t i)
{
	if (i < x->ntemp && x->temp[i])
		store_drop(x->store[x->w->v[i].legacy], x->temp[i]);
}

static bool is_there(struct run *x, const struct want *m)
{
	char key[OID_KEY_MAX];
	struct rop op = { .kind = ROP_STAT, .key = key, .fd = -1 };
	autoerr struct err none = ERR_INIT;

	oid_key(key, &m->id, m->legacy);
	return remote_do(x->r, &op, &none) == RC_OK;
}

/* As in DVC a remote that has a manifest and not all it names is broken: what is not there failed, it is not just missing. */
static void fail_absent(struct run *x)
{
	for (size_t i = 0; i < x->w->ng; i++) {
		const struct want_group *g = &x->w->g[i];
		const struct want *m = g->manifest ? &x->w->v[g->manifest - 1] : NULL;
		int there = m && m->state == WANT_READ ? 1 : -1;

		for (size_t k = 0; g->tree && k < g->tree->n && there; k++) {
			struct want *w = want_find(x->w, &g->tree->e[k].id, m->legacy);
			autoerr struct err why = ERR_INIT;
			char key[OID_KEY_MAX];

			if (!w || w->state != WANT_MISSING)
				continue;
			if (there < 0 && !(there = is_there(x, m)))
				break;
			oid_key(key, &w->id, w->legacy);
			err_set(&why, ERR_NOTFOUND, "[Errno 2] No such file or directory: '%s/%s'", x->r->url, key);
			run_fail(x, w, NULL, &why);
		}
	}
}

static int fetch_open(struct run *x, struct err *e)
{
	size_t before = x->w->n;

	if (run_all(x, RUN_GET, 0, is_manifest, e))
		return -1;
	expand_fetched(x);
	if (look_in_cache(x, before, e))
		return -1;
	atomic_store(&x->progress->items_total, open_count(x->w));
	if (run_all(x, RUN_GET, 0, is_file, e))
		return -1;
	proc_fault("fetch.children");
	fail_absent(x);
	hold_manifests(x, WANT_READ);
	for (size_t i = 0; i < x->ntemp; i++)
		if (x->w->v[i].state != WANT_READ)
			free_name(x, i);
	return name_manifests(x, e);
}

static int fetch_dry(struct run *x, struct err *e)
{
	if (read_remote_manifests(x, e) || look_in_cache(x, 0, e) || run_all(x, RUN_STAT, 0, NULL, e))
		return -1;
	/* Now WANT_HAVE: here or there. What is there and not here would be fetched. */
	for (size_t i = 0; i < x->w->n; i++) {
		struct want *w = &x->w->v[i];
		uint64_t size;

		if (w->state == WANT_OPEN)
			w->state = WANT_MISSING;
		else if (w->state == WANT_HAVE && store_has_quick(x->store[w->legacy], &w->id, &size) <= 0)
			w->state = WANT_OPEN;
	}
	plan_dry(x);
	return 0;
}

int transfer_fetch_set(struct project *p, struct remote *r, struct want_set *w, const struct transfer_opts *o,
		       struct transfer_result *res, struct err *e)
{
	struct progress pr = { 0 };
	struct run x;
	int rc = -1;

	if (!w->n)
		return 0;
	if (run_open(&x, p, r, w, o, res, e))
		return -1;
	if (o->dry_run) {
		rc = fetch_dry(&x, e);
	} else {
		if (look_in_cache(&x, 0, e))
			goto undo;
		if (!open_count(w)) {
			rc = 0;
			goto undo;
		}
		progress_begin(&pr, "fetching", open_count(w), 0);
		x.progress = &pr;
		rc = fetch_open(&x, e);
		progress_end(&pr);
	}
	if (!rc)
		warn_missing(&x);
undo:
	run_close(&x);
	return rc;
}

static bool all_cached(struct project *p, const struct want_set *w, struct err *e, int *rc)
{
	struct transfer_opts o = { 0 };
	struct transfer_result res = { 0 };
	struct run x;
	bool all = true;

	*rc = run_open(&x, p, NULL, (struct want_set *)(uintptr_t)w, &o, &res, e) ? -1 : look_in_cache(&x, 0, e);
	for (size_t i = 0; i < w->n && all; i++)
		all = w->v[i].state == WANT_HAVE;
	for (size_t i = 0; i < w->ng && all; i++)
		all = !w->g[i].manifest || w->g[i].tree;
	run_close(&x);
	return all;
}

/* One import that cannot be had does not keep the others from coming: what it lacks is told, and missing later on. */
static int fetch_import(struct project *p, struct item *out, const char *inside, const struct transfer_opts *o,
			struct transfer_result *res, struct err *e)
{
	autoerr struct err why = ERR_INIT;
	uint64_t n = 0;

	if (proc_check(e))
		return -1;
	if (import_fn(p, out, inside, o->jobs, &n, &why)) {
		if (why.code == ERR_INTR || why.code == ERR_UNSAFE) {
			err_move(e, &why);
			return -1;
		}
		if (why.code == ERR_NOTFOUND)
			res->nmissing++;
		else
			res->nunreached++;
		notice(NOTICE_WARN, "failed to fetch '%s' - %s", out->path, why.code == ERR_NOTFOUND ? "its source lacks it" :
		       why.msg ? why.msg : "");
	}
	res->objects += n;
	res->counted += n;
	return 0;
}

static int fetch_imports(struct project *p, struct want_set *w, const struct transfer_opts *o, struct transfer_result *res,
			 bool *any, struct err *e)
{
	for (size_t i = 0; import_fn && !o->dry_run && i < w->ng; i++) {
		struct item *out = w->g[i].out;

		if (!out || w->g[i].kept || !(stage_is_repo_import(out->stage) || stage_is_versioned_import(out->stage)))
			continue;
		if (fetch_import(p, out, w->g[i].inside, o, res, e))
			return -1;
		*any = true;
	}
	return 0;
}

/* A manifest that an import brought is read as any other that the cache has. */
static void reread(struct project *p, struct want_set *w)
{
	for (size_t i = 0; i < w->ng; i++) {
		struct want_group *g = &w->g[i];
		const struct want *m = g->manifest ? &w->v[g->manifest - 1] : NULL;
		autoerr struct err e = ERR_INIT;
		struct store *s;

		if (m && !g->tree && !project_cache(p, m->legacy, &s, &e) && !tree_load(&g->tree, s, &m->id, &e))
			want_expand(w, i);
	}
}

static int fetch_part(struct project *p, struct want_part *part, const struct transfer_opts *o, struct transfer_result *res,
		      struct err *e)
{
	const char *name = part->remote ? part->remote : o->remote;
	autoerr struct err why = ERR_INIT;
	struct remote *r = NULL;
	bool imported = false;
	int rc;

	/* DVC wants the remote to exist even when nothing is asked of it. */
	if (!name && !is_known(p, name))
		return 0;       /* only revisions with other settings were collected: nowhere to ask */
	if (part->set.ng && !is_known(p, name) && remote_open_named(&r, p->repo, name, o->jobs, &why)) {
		notice(NOTICE_WARN, "failed to collect 'workspace', skipping");
		err_move(e, &why);
		return -1;
	}
	if (all_cached(p, &part->set, e, &rc) || rc)
		return rc;
	if (fetch_imports(p, &part->set, o, res, &imported, e))
		return -1;
	if (imported) {
		reread(p, &part->set);
		if (all_cached(p, &part->set, e, &rc) || rc)
			return rc;
	}
	if (!name && !config_get(p->repo->config, "core", "remote"))
		return 0;       /* nowhere to ask; the command says so */
	if (versioned_is(p, name))
		return versioned_fetch(p, name, &part->set, o, res, e);
	if (remote_open_named(&r, p->repo, name, o->jobs, e))
		return -1;
	rc = transfer_fetch_set(p, r, &part->set, o, res, e);
	remote_close(r);
	return rc;
}

static int fetch_runs(struct project *p, const struct transfer_opts *o, struct transfer_result *res, struct err *e)
{
	struct remote *r;
	int rc;

	if (remote_open_named(&r, p->repo, o->remote, o->jobs, e))
		return -1;
	rc = runs_fetch(p, r, o, res, e);
	remote_close(r);
	return rc;
}

static int fetch_partial(struct project *p, const struct want_parts *parts, const struct transfer_opts *o,
			 struct transfer_result *res, struct err *e)
{
	for (size_t i = 0; import_fn && !o->dry_run && i < parts->npartial; i++)
		if (fetch_import(p, parts->partial[i], NULL, o, res, e))
			return -1;
	return 0;
}

int transfer_fetch_runs(struct project *p, const struct transfer_opts *o, struct transfer_result *res, struct err *e)
{
	return versioned_is(p, o->remote) ? 0 : fetch_runs(p, o, res, e);
}

/* A remote that cannot be asked keeps nothing that others have from coming; its failure is the error in the end (T4). */
static int fetch_parts(struct project *p, struct want_parts *parts, const struct transfer_opts *o, struct transfer_result *res,
		       struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < parts->n; i++) {
		autoerr struct err why = ERR_INIT;
		bool mild;

		if (!fetch_part(p, &parts->v[i], o, res, &why))
			continue;
		mild = why.code == ERR_AUTH || why.code == ERR_TEMP;
		if (mild && rc)
			notice(NOTICE_WARN, "%s", why.msg);
		else
			err_move(e, &why);
		rc = -1;
		if (!mild)
			break;
	}
	return rc;
}

int transfer_fetch(struct project *p, const struct collect_opts *c, const struct transfer_opts *o,
		   struct transfer_result *res, struct err *e)
{
	struct collect_opts own = with_remote(c, o, false);
	struct want_parts parts = WANT_PARTS_INIT;
	int rc;

	/* without a remote there is no history to bring, and what follows says so */
	if (o->run_cache && (o->remote || config_get(p->repo->config, "core", "remote")) && is_known(p, o->remote) &&
	    transfer_fetch_runs(p, o, res, e))
		return -1;
	own.keep = versioned_is(p, o->remote);
	rc = transfer_collect_parts(p, &own, &parts, e);
	if (!rc)
		rc = fetch_parts(p, &parts, o, res, e);
	if (!rc)
		rc = fetch_partial(p, &parts, o, res, e);
	want_parts_release(&parts);
	return rc;
}

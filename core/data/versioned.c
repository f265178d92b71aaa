#include "core/data/versioned.h"

#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/progress.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"
#include "core/data/project.h"
#include "core/data/remote.h"
#include "core/repo/config.h"
#include "core/repo/repo.h"
#include "core/stage/lock.h"
#include "core/stage/pointer.h"
#include "core/stage/stage.h"

#include <ctype.h>
#include <unistd.h>

enum { V_OPEN, V_UP, V_MOVED, V_MISSING, V_FAILED, V_TWICE };

/* One file of one output. */
struct vfile {
	struct flow *flow;
	struct item *out;
	char *rel;                      /* in a directory, or NULL */
	char *path;                     /* the key */
	struct oid id;
	bool has_id, recorded;
	uint64_t size;
	char *etag, *version;           /* recorded, or what the remote said */
	int state;
	/* on its way */
	struct rop op;
	int fd;
	char *tmp;
	struct md5 md5;
};
struct flow {
	struct project *p;
	struct remote *r;
	struct store *s;
	const char *name;               /* of the remote */
	struct transfer_result *res;
	struct vfile *v;
	size_t n, cap;
	struct inflight ops;
};

static char *section_of(struct project *p, const char *remote)
{
	autofree char *low = xstrdup(remote ? remote : config_get(p->repo->config, "core", "remote"));

	if (!low)
		return NULL;
	str_lower(&low);
	return xasprintf("remote \"%s\"", low);
}

bool versioned_is(struct project *p, const char *remote)
{
	autofree char *section = section_of(p, remote);

	return section && (config_bool(p->repo->config, section, "version_aware", false) ||
			   config_bool(p->repo->config, section, "worktree", false));
}

bool versioned_is_worktree(struct project *p, const char *remote)
{
	autofree char *section = section_of(p, remote);

	return section && config_bool(p->repo->config, section, "worktree", false);
}

int versioned_refuse(struct project *p, const char *remote, const char *command, struct err *e)
{
	return !versioned_is(p, remote) ? 0 :
		err_set(e, ERR_FAIL, "config file error: '%s' is unsupported for cloud versioned remotes", command);
}

/* ---- which files ---- */

static void flow_release(struct flow *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->v[i].rel);
		free(f->v[i].path);
		free(f->v[i].etag);
		free(f->v[i].version);
	}
	free(f->v);
	err_release(&f->ops.err);
	remote_close(f->r);
}

/* What a pointer records for this remote; an old pointer has it beside the hash, for whatever remote there is. */
static void take_record(struct flow *f, struct vfile *v, const struct node *map)
{
	const struct node *cloud = node_get(map, "cloud"), *mine = cloud ? node_get(cloud, f->name) : map;

	v->etag = xstrdup(node_get_str(mine, "etag"));
	v->version = xstrdup(node_get_str(mine, "version_id"));
	v->recorded = v->etag && v->version;
}

static struct vfile *add_file(struct flow *f, struct item *out, const char *rel)
{
	struct vfile *v;

	GROW(f->v, f->n, f->cap);
	v = &f->v[f->n++];
	*v = (struct vfile){ .flow = f, .out = out, .rel = xstrdup(rel), .fd = -1 };
	v->path = rel ? path_join(out->path, rel) : xstrdup(out->path);
	return v;
}

/* The rows of an output by name; of two the first. */
static void read_rows(const struct item *out, struct map *rows)
{
	for (size_t i = 0; out->files && i < out->files->n; i++) {
		const char *name = node_get_str(out->files->v[i], "relpath");

		if (name && !map_has(rows, name))
			map_put(rows, name, out->files->v[i]);
	}
}

static void add_single(struct flow *f, struct item *out)
{
	struct vfile *v = add_file(f, out, NULL);
	const struct meta *m = &out->meta;

	v->has_id = hashinfo_oid(&out->hash, &v->id);
	v->size = m->size > 0 ? (uint64_t)m->size : 0;
	if (!m->remote || !strcmp(m->remote, f->name)) {
		v->etag = xstrdup(m->etag);
		v->version = xstrdup(m->version_id);
	}
	v->recorded = v->etag && v->version;
}

static void add_from_tree(struct flow *f, struct item *out, const struct tree *t, const char *inside)
{
	struct map rows = MAP_INIT;
	size_t from = 0, to = t->n;

	if (inside && !tree_range(t, inside, &from, &to))
		return;
	read_rows(out, &rows);
	for (size_t i = from; i < to; i++) {
		const struct node *row = map_get(&rows, t->e[i].path);
		struct vfile *v = add_file(f, out, t->e[i].path);

		v->id = t->e[i].id;
		v->has_id = true;
		if (row)
			take_record(f, v, row);
	}
	map_release(&rows, NULL);
}

static int add_from_rows(struct flow *f, struct item *out, const char *inside, struct err *e)
{
	for (size_t i = 0; i < out->files->n; i++) {
		const struct node *row = out->files->v[i];
		const char *rel = node_get_str(row, "relpath"), *md5 = node_get_str(row, "md5");
		struct vfile *v;

		if (!rel || !path_is_safe(rel))
			return err_set(e, ERR_UNSAFE, "'%s' of '%s' must not be created", rel ? rel : "", out->path);
		if (inside && !path_is_inside(rel, inside))
			continue;
		v = add_file(f, out, rel);
		v->has_id = md5 && oid_parse(&v->id, md5);
		take_record(f, v, row);
	}
	return 0;
}

static int gather(struct flow *f, struct want_set *w, struct err *e)
{
	for (size_t i = 0; i < w->ng; i++) {
		struct want_group *g = &w->g[i];
		int rc = 0;

		if (!g->out)
			continue;
		if (!g->manifest)
			add_single(f, g->out);
		else if (g->tree)
			add_from_tree(f, g->out, g->tree, g->inside);
		else if (g->out->files && g->out->files->n)
			rc = add_from_rows(f, g->out, g->inside, e);
		if (rc)
			return -1;
	}
	return 0;
}

static int flow_open(struct flow *f, struct project *p, const char *remote, struct want_set *w,
		     const struct transfer_opts *o, struct transfer_result *res, struct err *e)
{
	*f = (struct flow){ .p = p, .res = res };
	if (remote_open_named(&f->r, p->repo, remote, o->jobs, e))
		return -1;
	f->name = f->r->name ? f->r->name : "";
	if (!(f->r->caps & REMOTE_VERSIONS) && versioned_is_worktree(p, remote))
		return err_set(e, ERR_CONFIG, "config file error: worktree remotes require version_aware cloud");
	if (!(f->r->caps & REMOTE_VERSIONS))
		return err_set(e, ERR_CONFIG, "'%s' keeps no versions: version_aware needs S3, Azure or Google storage", f->r->url);
	return project_cache(p, false, &f->s, e) || gather(f, w, e) ? -1 : 0;
}

/* ---- moving ---- */

static void fail_file(struct vfile *v, const struct rop *op)
{
	struct transfer_result *r = v->flow->res;

	v->state = V_FAILED;
	GROW(r->fail, r->nfail, r->fail_cap);
	r->fail[r->nfail++] = (struct failure){
		.path = xstrdup(v->path), .id = v->id, .http_status = op->http_status,
		.code = op->code[0] ? xstrdup(op->code) : NULL, .msg = xstrdup(op->err.msg ? op->err.msg : "unknown reason"),
	};
}

static void take_said(struct vfile *v, const struct rop *op)
{
	free(v->etag);
	free(v->version);
	v->etag = xstrdup(op->etag);
	v->version = xstrdup(op->version_id);
}

static bool is_same_object(const struct vfile *v, const struct rop *op)
{
	char hex[OID_HEX_MAX];

	oid_hex(hex, &v->id);
	return !strcmp(hex, op->etag);
}

static void stat_done(struct vfile *v, enum rclass c)
{
	struct rop *op = &v->op;

	if (c == RC_ABSENT)
		return;
	if (c != RC_OK) {
		fail_file(v, op);
	} else if (v->recorded && !strcmp(v->etag, op->etag)) {
		v->size = op->size;
		v->state = V_UP;
	} else if (!v->recorded && is_same_object(v, op) && op->version_id[0]) {
		v->size = op->size;
		take_said(v, op);
		v->state = V_UP;
	}
}

static void move_done(struct vfile *v, enum rclass c)
{
	struct rop *op = &v->op;
	bool unsent = op->kind == ROP_PUT && v->fd < 0 && op->err.code == ERR_NOTFOUND;

	if (c == RC_ABSENT || unsent) {
		v->state = V_MISSING;
		notice(NOTICE_WARN, unsent ? "'%s' is not pushed: its content is not in the cache" :
		       "'%s': the recorded version is not on the remote '%s' any more", v->path, v->flow->name);
		return;
	}
	if (c != RC_OK) {
		fail_file(v, op);
		return;
	}
	if (op->kind == ROP_PUT) {
		take_said(v, op);
		v->size = op->size;
	}
	v->state = V_MOVED;
	v->flow->res->objects++;
	v->flow->res->counted++;
	v->flow->res->bytes += op->size;
}

static void on_done(struct rop *op, enum rclass c)
{
	struct vfile *v = op->user;
	struct flow *f = v->flow;

	f->ops.n--;
	if (op->kind == ROP_STAT)
		stat_done(v, c);
	else
		move_done(v, c);
	if (c == RC_AUTH && !f->ops.err.code)
		err_copy(&f->ops.err, &op->err);
	if (op->kind == ROP_GET && v->tmp && v->state != V_MOVED)
		store_drop(f->s, v->tmp);
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
	free(v->tmp);
	v->tmp = NULL;
	err_release(&op->err);
}

static int get_begin(struct rop *op)
{
	struct vfile *v = op->user;

	return v->fd >= 0 ? 0 : store_temp(v->flow->s, &v->fd, &v->tmp, &op->err);
}

static int get_sink(struct rop *op, const void *p, size_t n)
{
	struct vfile *v = op->user;

	md5_update(&v->md5, p, n);
	return fs_write_all(v->fd, p, n) ? err_sys(&op->err, "cannot write to the cache") : 0;
}

static int get_restart(struct rop *op)
{
	struct vfile *v = op->user;

	md5_init(&v->md5);
	op->off = 0;
	if (v->fd >= 0 && (ftruncate(v->fd, 0) || lseek(v->fd, 0, SEEK_SET)))
		return err_sys(&op->err, "cannot start the download again");
	return 0;
}

static int get_commit(struct rop *op)
{
	struct vfile *v = op->user;
	unsigned char sum[16];

	md5_final(&v->md5, sum);
	if (memcmp(sum, v->id.md5, 16))
		return err_set(&op->err, ERR_CORRUPT, "this version has other bytes than the pointer records");
	return store_publish(v->flow->s, &v->id, v->fd, v->tmp, &op->err);
}

static int put_begin(struct rop *op)
{
	struct vfile *v = op->user;
	struct stat st;

	if (v->fd >= 0)
		return 0;
	if (store_read(v->flow->s, &v->id, &v->fd, &op->err))
		return -1;
	if (fstat(v->fd, &st))
		return err_sys(&op->err, "cannot look at the cached object");
	op->fd = v->fd;
	op->size = (uint64_t)st.st_size;
	return 0;
}

static void prepare(struct vfile *v, enum rop_kind kind)
{
	v->op = (struct rop){ .kind = kind, .key = v->path, .fd = -1, .done = on_done, .user = v };
	md5_init(&v->md5);
	if (kind == ROP_GET) {
		v->op.begin = get_begin;
		v->op.sink = get_sink;
		v->op.sink_restart = get_restart;
		v->op.commit = get_commit;
		v->op.want_version = v->version;
	} else if (kind == ROP_PUT) {
		v->op.begin = put_begin;
		v->op.flags = ROP_HAS_MD5;
		memcpy(v->op.md5, v->id.md5, 16);
	}
}

static int run(struct flow *f, enum rop_kind kind, struct err *e)
{
	struct remote *r = f->r;
	int rc = 0;

	for (size_t i = 0; i < f->n && !rc && !f->ops.err.code; i++) {
		struct vfile *v = &f->v[i];

		if (v->state != V_OPEN || !v->has_id)
			continue;
		prepare(v, kind);
		rc = inflight_submit(r, &f->ops, &v->op, e);
	}
	return inflight_finish(r, &f->ops, rc, e);
}

/* ---- after a push: the pointers ---- */

static struct node *cloud_node(const struct flow *f, const struct vfile *v)
{
	struct node *details = node_map(), *cloud = node_map();

	node_set(details, "etag", node_str(v->etag ? v->etag : ""));
	node_set(details, "version_id", node_str(v->version ? v->version : ""));
	node_set(cloud, f->name, details);
	return cloud;
}

static bool is_up(const struct vfile *v)
{
	return (v->state == V_UP || v->state == V_MOVED) && v->version && *v->version;
}

static void record_single(struct flow *f, const struct vfile *v)
{
	struct meta *m = &v->out->meta;

	free(m->remote);
	free(m->etag);
	free(m->version_id);
	m->remote = xstrdup(f->name);
	m->etag = xstrdup(v->etag);
	m->version_id = xstrdup(v->version);
	m->isexec = false;      /* objects have no modes: DVC forgets it too */
	node_free(v->out->cloud);
	v->out->cloud = cloud_node(f, v);
}

/* All members of one directory. */
static void record_dir(struct flow *f, size_t from, size_t to)
{
	struct item *out = f->v[from].out;
	struct node *rows = node_seq();

	for (size_t i = from; i < to; i++) {
		const struct vfile *v = &f->v[i];
		struct node *row = node_map();
		char hex[OID_HEX_MAX];

		oid_hex(hex, &v->id);
		node_set(row, "relpath", node_str(v->rel));
		node_set(row, "md5", node_str(hex));
		node_set(row, "size", node_int((int64_t)v->size));
		node_set(row, "cloud", cloud_node(f, v));
		node_push(rows, row);
	}
	node_free(out->files);
	out->files = rows;
}

/* As DVC then writes a stage's lines: its directories with their files, those it depends on too. One whose manifest is not
 * in the cache keeps its hash. */
static void list_dep(struct flow *f, struct item *dep)
{
	autoerr struct err none = ERR_INIT;
	struct store *store;
	struct tree *t = NULL;
	struct oid id;

	if (dep->files || !hashinfo_oid(&dep->hash, &id) || !id.is_dir ||
	    project_store_of(f->p, dep, &store, &none) || tree_load(&t, store, &id, &none))
		return;
	dep->files = node_seq();
	for (size_t i = 0; i < t->n; i++) {
		struct node *row = node_map();
		char hex[OID_HEX_MAX];

		oid_hex(hex, &t->e[i].id);
		node_set(row, "relpath", node_str(t->e[i].path));
		node_set(row, "md5", node_str(hex));
		node_push(dep->files, row);
	}
	tree_free(t);
}

static int save_stage(struct flow *f, struct stage *s, struct err *e)
{
	if (s->kind == STAGE_SINGLE)
		return pointer_save(f->p->repo, s, e);
	for (size_t i = 0; i < s->ndeps; i++)
		list_dep(f, s->deps[i]);
	return lock_save_stage(f->p->repo, s, e);
}

static int record(struct flow *f, const struct want_set *w, struct err *e)
{
	struct stage *last = NULL;

	for (size_t from = 0, to; from < f->n; from = to) {
		struct item *out = f->v[from].out;
		bool whole = true, granular = false;

		for (to = from; to < f->n && f->v[to].out == out; to++)
			whole = whole && is_up(&f->v[to]);
		for (size_t i = 0; i < w->ng; i++)
			granular = granular || (w->g[i].out == out && w->g[i].inside);
		if (!whole || granular)
			continue;       /* V2 */
		if (f->v[from].rel)
			record_dir(f, from, to);
		else
			record_single(f, &f->v[from]);
		if (last && last != out->stage && save_stage(f, last, e))
			return -1;
		last = out->stage;
	}
	return last ? save_stage(f, last, e) : 0;
}

static int no_versions(const struct flow *f, struct err *e)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].state == V_MOVED && (!f->v[i].version || !*f->v[i].version)) {
			err_set(e, ERR_CONFIG, "the remote '%s' gave '%s' no version: turn versioning on for its bucket", f->name,
				f->v[i].path);
			e->exit_status = 255;
			return -1;
		}
	return 0;
}

int versioned_push(struct project *p, const char *remote, struct want_set *w, const struct transfer_opts *o,
		   struct transfer_result *res, struct err *e)
{
	struct flow f;
	int rc = flow_open(&f, p, remote, w, o, res, e) || run(&f, ROP_STAT, e) ? -1 : 0;

	for (size_t i = 0; !rc && o->dry_run && i < f.n; i++) {
		if (f.v[i].state != V_OPEN || store_has_quick(f.s, &f.v[i].id, &f.v[i].size) <= 0)
			continue;
		GROW(res->plan, res->nplan, res->plan_cap);
		res->plan[res->nplan++] = (struct planned){ xstrdup(f.v[i].path), f.v[i].id, f.v[i].size };
		res->objects++;
		res->bytes += f.v[i].size;
	}
	if (!rc && !o->dry_run)
		rc = run(&f, ROP_PUT, e) || no_versions(&f, e) || record(&f, w, e) ? -1 : 0;
	flow_release(&f);
	return rc;
}

/* ---- fetch ---- */

static void look_in_cache(struct flow *f, struct str *unversioned)
{
	for (size_t i = 0; i < f->n; i++) {
		struct vfile *v = &f->v[i];
		autoerr struct err e = ERR_INIT;

		if (v->has_id && store_has(f->s, &v->id, NULL, &e) > 0) {
			v->state = V_UP;
		} else if (!v->recorded || !v->has_id) {
			v->state = V_MISSING;
			str_addf(unversioned, "\n%s", v->path);
			f->res->nmissing++;
		}
	}
}

/* What several revisions have alike under one name comes once. */
static void mark_twice(struct flow *f)
{
	struct map seen = MAP_INIT;

	for (size_t i = 0; i < f->n; i++) {
		struct vfile *v = &f->v[i];
		autofree char *key = NULL;
		char hex[OID_HEX_MAX];

		if (v->state != V_OPEN)
			continue;
		oid_hex(hex, &v->id);
		key = xasprintf("%s %s", hex, v->path);
		if (map_has(&seen, key))
			v->state = V_TWICE;
		else
			map_put(&seen, key, v);
	}
	map_release(&seen, NULL);
}

static void settle_twice(struct flow *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].state == V_TWICE && store_has_quick(f->s, &f->v[i].id, NULL) > 0)
			f->v[i].state = V_UP;
}

/* The manifest of a directory whose members are all here. */
static int name_tree(struct flow *f, size_t from, size_t to, struct err *e)
{
	autotree struct tree *t = tree_new();
	struct oid id;

	for (size_t i = from; i < to; i++) {
		if (f->v[i].state != V_UP && f->v[i].state != V_MOVED)
			return 0;
		tree_add(t, f->v[i].rel, &f->v[i].id, (int64_t)f->v[i].size);
	}
	tree_sort(t);
	return tree_save(t, f->s, &id, e);
}

static int name_trees(struct flow *f, struct err *e)
{
	for (size_t from = 0, to; from < f->n; from = to) {
		for (to = from; to < f->n && f->v[to].out == f->v[from].out; to++)
			;
		if (f->v[from].rel && name_tree(f, from, to, e))
			return -1;
	}
	return 0;
}

int versioned_fetch(struct project *p, const char *remote, struct want_set *w, const struct transfer_opts *o,
		    struct transfer_result *res, struct err *e)
{
	autostr struct str unversioned = STR_INIT;
	struct flow f;
	int rc = flow_open(&f, p, remote, w, o, res, e);

	if (!rc) {
		look_in_cache(&f, &unversioned);
		mark_twice(&f);
		if (unversioned.len)
			notice(NOTICE_WARN, "Some files are missing cloud version information and will not be fetched from the "
			       "remote:%s", str_cstr(&unversioned));
		if (o->dry_run) {
			for (size_t i = 0; i < f.n; i++)
				res->objects += f.v[i].state == V_OPEN;
		} else {
			rc = run(&f, ROP_GET, e);
			settle_twice(&f);
			rc = rc || name_trees(&f, e) ? -1 : 0;
		}
	}
	flow_release(&f);
	return rc;
}

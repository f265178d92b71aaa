/* The run cache: <cache>/runs/aa/<key>/<value>, copied as it stands. An entry is named by its content, so one that is there
 * already is not sent again; DVC's summary counts it all the same. */
#include "core/data/transfer_own.h"

#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/data/project.h"
#include "core/repo/config.h"
#include "core/repo/repo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define ENTRY_MAX (64u << 20)
#define RUNS "runs/"

static bool all_hex(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strchr("0123456789abcdef", s[i]) || !s[i])
			return false;
	return true;
}

/* "runs/aa/<64 digits>/<64 digits>": nothing else is read or written. */
static bool is_entry(const char *key)
{
	return strlen(key) == 5 + 3 + 65 + 64 && str_starts(key, RUNS) && all_hex(key + 5, 2) && key[7] == '/' &&
	       all_hex(key + 8, 64) && key[72] == '/' && all_hex(key + 73, 64);
}

static int list_local_dir(const char *root, const char *rel, int depth, struct strvec *out, struct err *e)
{
	autofree char *path = path_join(root, rel);
	DIR *d = opendir(path);
	struct dirent *ent;
	int rc = 0, more = 0;

	if (!d)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(e, "cannot read '%s'", path);
	while (!rc && (more = fs_next_entry(d, &ent, path, e)) > 0) {
		autofree char *sub = xasprintf("%s/%s", rel, ent->d_name);

		if (ent->d_name[0] == '.')
			continue;
		if (depth < 2)
			rc = list_local_dir(root, sub, depth + 1, out, e);
		else if (is_entry(sub))
			strvec_push(out, sub);
	}
	closedir(d);
	return rc ? rc : more;
}

static int note_remote(const char *key, uint64_t size, const char *etag, void *data, struct err *e)
{
	(void)size;
	(void)etag;
	(void)e;
	if (is_entry(key))
		map_put(data, key, data);
	return 0;
}

static int list_remote(struct remote *r, struct map *out, struct err *e)
{
	r->names_only = true;
	return r->ops->list(r, RUNS, note_remote, out, e);
}

static bool has_runs(const struct remote *r, struct transfer_result *res)
{
	if (r->caps & REMOTE_LIST)
		return true;
	free(res->no_runs);
	res->no_runs = xasprintf("run-cache is not supported for http filesystem: %s", r->url);
	notice(NOTICE_DEBUG, "%s", res->no_runs);
	return false;
}

/* One entry's failure keeps none of the others back: 'err' is the first. */
struct flight { struct project *project; struct inflight ops; struct transfer_result *res; struct err err; };
struct entry { struct rop op; char *key, *path; struct str text; struct flight *f; };

static void entry_free(struct entry *n)
{
	free(n->key);
	free(n->path);
	str_release(&n->text);
	err_release(&n->op.err);
	free(n);
}

static int entry_sink(struct rop *op, const void *p, size_t n)
{
	struct entry *t = op->user;

	if (t->text.len + n > ENTRY_MAX)
		return err_set(&op->err, ERR_FAIL, "a run-cache entry of more than %u MiB", ENTRY_MAX >> 20);
	str_add(&t->text, p, n);
	return 0;
}

static int entry_restart(struct rop *op)
{
	str_reset(&((struct entry *)op->user)->text);
	return 0;
}

static void entry_done(struct rop *op, enum rclass c)
{
	struct entry *t = op->user;
	struct flight *f = t->f;
	bool ok = c == RC_OK || c == RC_EXISTS;

	f->ops.n--;
	if (ok && op->kind == ROP_GET && project_write_run(f->project, t->path, str_cstr(&t->text), t->text.len, &op->err))
		ok = false;
	if (ok) {
		f->res->objects++;
		f->res->bytes += op->size;
	} else if (!f->err.code) {
		if (!op->err.code)
			err_set(&op->err, ERR_FAIL, "it is gone");
		err_in(&op->err, "cannot transfer '%s'", t->key);
		err_move(&f->err, &op->err);
	}
	entry_free(t);
}

static int flight_send(struct remote *r, struct flight *f, struct entry *t, struct err *e)
{
	t->op.user = t;
	t->op.done = entry_done;
	t->op.key = t->key;
	t->f = f;
	if (!inflight_submit(r, &f->ops, &t->op, e))
		return 0;
	entry_free(t);
	return -1;
}

static int flight_land(struct remote *r, struct flight *f, int rc, struct err *e)
{
	rc = inflight_finish(r, &f->ops, rc, e);
	if (!rc && f->err.code) {
		err_move(e, &f->err);
		rc = -1;
	}
	err_release(&f->err);
	return rc;
}

int runs_push(struct project *p, struct remote *r, const struct transfer_opts *o, struct transfer_result *res, struct err *e)
{
	autostrvec struct strvec here = STRVEC_INIT;
	autofree char *cache = project_cache_dir(p);
	struct map there = MAP_INIT;
	struct flight f = { .project = p, .res = res };
	int rc = 0;

	if (!has_runs(r, res))
		return 0;
	if (list_local_dir(cache, "runs", 0, &here, e) || (here.n && list_remote(r, &there, e)))
		rc = -1;
	for (size_t i = 0; !rc && i < here.n; i++) {
		autofree char *path = path_join(cache, here.v[i]);
		struct entry *t;

		res->counted++;
		if (map_has(&there, here.v[i]) || o->dry_run)
			continue;
		t = xcalloc(1, sizeof(*t));
		t->key = xstrdup(here.v[i]);
		t->op.kind = ROP_PUT;
		t->op.fd = -1;
		rc = fs_read(&t->text, path, ENTRY_MAX, e);
		if (rc) {
			entry_free(t);
			break;
		}
		t->op.mem = str_cstr(&t->text);
		t->op.size = t->text.len;
		rc = flight_send(r, &f, t, e);
	}
	map_release(&there, NULL);
	return flight_land(r, &f, rc, e);
}

int runs_fetch(struct project *p, struct remote *r, const struct transfer_opts *o, struct transfer_result *res, struct err *e)
{
	autofree char *cache = project_cache_dir(p);
	struct map there = MAP_INIT;
	struct flight f = { .project = p, .res = res };
	struct map_entry *it;
	int rc = 0;

	if (!has_runs(r, res) || o->dry_run)
		return 0;
	rc = list_remote(r, &there, e);
	for (size_t i = 0; !rc && (it = map_next(&there, &i));) {
		autofree char *path = path_join(cache, it->key);
		struct entry *t;

		if (fs_exists(path))
			continue;
		t = xcalloc(1, sizeof(*t));
		t->key = xstrdup(it->key);
		t->path = take(path);
		t->op.kind = ROP_GET;
		t->op.fd = -1;
		t->op.sink = entry_sink;
		t->op.sink_restart = entry_restart;
		rc = flight_send(r, &f, t, e);
	}
	map_release(&there, NULL);
	return flight_land(r, &f, rc, e);
}

#include "core/pipeline/runcache.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml.h"
#include "core/data/checkout.h"
#include "core/data/compare.h"
#include "core/data/project.h"
#include "core/data/track.h"
#include "core/repo/config.h"
#include "core/repo/repo.h"
#include "core/stage/lock.h"
#include "core/stage/pointer.h"
#include "core/stage/lock_priv.h"
#include "core/stage/schema.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRY_MAX (256ull << 20)

bool runcache_asks(const struct stage *s)
{
	if (stage_is_callback(s) || s->always_changed || !s->cmd || !node_truthy(s->cmd) || !s->ndeps || !s->nouts)
		return false;
	for (size_t i = 0; i < s->ndeps; i++)
		if (s->deps[i]->kind != DEP_PATH && s->deps[i]->kind != DEP_PARAMS)
			return false;
	return true;
}

bool runcache_can(const struct stage *s)
{
	if (!runcache_asks(s))
		return false;
	for (size_t i = 0; i < s->nouts; i++)
		if (s->outs[i]->kind != DEP_PATH || s->outs[i]->persist || !s->outs[i]->path)
			return false;
	return true;
}

static void strip_sizes(struct node *n)
{
	if (n->kind == NODE_MAP) {
		node_del(n, "size");
		node_del(n, "nfiles");
	}
	for (size_t i = 0; (n->kind == NODE_MAP || n->kind == NODE_SEQ) && i < n->n; i++)
		strip_sizes(n->v[i]);
}

static int digest(const struct node *n, char out[65], struct err *e)
{
	autostr struct str text = STR_INIT;
	unsigned char sum[32];

	json_dump(&text, n, JSON_SORT);
	if (sha256_once(str_cstr(&text), text.len, sum, e))
		return -1;
	hex_encode(out, sum, 32);
	out[64] = 0;
	return 0;
}

int runcache_ids(const struct node *entry, char key[65], char value[65], struct err *e)
{
	autonode struct node *n = node_copy(entry);
	const struct node *outs;
	struct node *paths = node_seq();

	strip_sizes(n);
	if (value && digest(n, value, e)) {
		node_free(paths);
		return -1;
	}
	outs = node_get(n, "outs");
	for (size_t i = 0; outs && i < outs->n; i++) {
		const char *path = node_get_str(outs->v[i], "path");

		node_push(paths, node_str(path ? path : ""));
	}
	node_set(n, "outs", paths);
	return digest(n, key, e);
}

static char *key_dir(struct project *p, const char *key)
{
	autofree char *base = project_cache_dir(p);

	return xasprintf("%s/runs/%.2s/%s", base, key, key);
}

/* R3 */
static int load_entry(struct node **out, const struct repo *r, const char *path, struct err *e)
{
	autofree char *shown = path_rel(path, r->cwd);
	autostr struct str text = STR_INIT;
	autoerr struct err why = ERR_INIT;
	struct stat st;

	*out = NULL;
	if (stat(path, &st))
		return 0;
	if (fs_read(&text, path, ENTRY_MAX, e))
		return -1;
	if (!schema_parse(out, lock_entry_schema(), path, NULL, str_cstr(&text), text.len, 0, &why))
		return 0;
	notice(NOTICE_WARN, "corrupted cache file '%s'.", shown);
	return unlink(path) && errno != ENOENT ? err_sys(e, "cannot remove '%s'", shown) : 0;
}

/* The newest file of the directory. */
static char *newest(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	struct timespec best = { -1, 0 };
	char *found = NULL;

	while (d && (de = readdir(d))) {
		struct stat st;

		if (de->d_name[0] == '.' || fstatat(dirfd(d), de->d_name, &st, 0) || !S_ISREG(st.st_mode))
			continue;
		if (st.st_mtim.tv_sec < best.tv_sec ||
		    (st.st_mtim.tv_sec == best.tv_sec && st.st_mtim.tv_nsec <= best.tv_nsec))
			continue;
		best = st.st_mtim;
		free(found);
		found = path_join(dir, de->d_name);
	}
	if (d)
		closedir(d);
	return found;
}

int runcache_find(struct project *p, const struct stage *s, struct node **entry, struct err *e)
{
	autonode struct node *mine = lock_entry(s);
	autofree char *dir = NULL;
	autofree char *file = NULL;
	char key[65];

	*entry = NULL;
	if (runcache_ids(mine, key, NULL, e))
		return -1;
	dir = key_dir(p, key);
	file = newest(dir);
	return file ? load_entry(entry, p->repo, file, e) : 0;
}

/* A stage that has the entry's outputs and nothing else. */
static struct stage *stage_of(const struct stage *like, const struct node *entry, struct err *e)
{
	struct stage *s = stage_new(STAGE_PIPELINE, like->file, like->name);
	const struct node *outs = node_get(entry, "outs");

	if (like->wdir_def)
		stage_set_wdir(s, like->wdir_def);
	s->cmd = node_copy(node_get(entry, "cmd"));
	for (size_t i = 0; outs && i < outs->n; i++) {
		const char *path = node_get_str(outs->v[i], "path");
		struct item *o = stage_add_out(s, path ? path : "");

		if (!o->path || item_from_node(o, outs->v[i], like->file, e)) {
			stage_free(s);
			return NULL;
		}
	}
	return s;
}

/* An honest entry names the stage's outputs, for they are part of its key. Another one would write where it likes. */
static bool same_outputs(const struct stage *s, const struct stage *c)
{
	for (size_t i = 0; i < c->nouts; i++) {
		bool found = false;

		for (size_t k = 0; k < s->nouts && !found; k++)
			found = !strcmp(s->outs[k]->def, c->outs[i]->def);
		if (!found)
			return false;
	}
	return c->nouts == s->nouts;
}

static int in_cache(struct project *p, const struct item *out, bool *yes, struct err *e)
{
	*yes = false;
	return out->hash.value ? compare_cached(p, out, yes, e) : 0;
}

int runcache_restore(struct project *p, struct stage *s, const struct node *entry, bool dry, runcache_bring_fn *bring,
		     bool *done, struct err *e)
{
	autofree char *name = stage_addressing(s, p->repo->cwd_rel);
	struct stage *c = stage_of(s, entry, e);
	struct checkout_opts o = { .force = false };
	struct checkout_result r;
	int rc = 0;

	*done = false;
	if (!c)
		return e->code ? -1 : 0;
	memset(&r, 0, sizeof(r));
	if (!same_outputs(s, c))
		goto undo;
	if (bring && !dry && (rc = bring(p, c, e)))
		goto undo;
	for (size_t i = 0; !rc && i < c->nouts; i++) {
		bool cached = false;

		rc = in_cache(p, c->outs[i], &cached, e);
		if (rc || !cached)
			goto undo;
	}
	*done = true;
	notice(NOTICE_INFO, "Stage '%s' is cached - skipping run, checking out outputs", name);
	for (size_t i = 0; !dry && !rc && i < c->nouts; i++)
		rc = checkout_out(p, c->outs[i], NULL, &o, &r, e);
undo:
	checkout_result_release(&r);
	stage_free(c);
	return rc;
}

/* Metrics and plots that git keeps: a copy of their content goes into the cache, so that a restore has it. */
static int keep_uncached(struct project *p, struct stage *s, const struct node *entry, struct err *e)
{
	struct stage *c = stage_of(s, entry, e);
	int rc = 0;

	if (!c)
		return e->code ? -1 : 0;
	for (size_t i = 0; !rc && i < c->nouts; i++) {
		bool wanted = false;

		for (size_t k = 0; k < s->nouts; k++)
			wanted |= !s->outs[k]->cache && !strcmp(s->outs[k]->def, c->outs[i]->def);
		if (wanted)
			rc = track_save(p, c->outs[i], TRACK_NO_RELINK | TRACK_NO_GIT, e);
	}
	stage_free(c);
	return rc;
}

static int write_entry(struct project *p, const char *path, const struct node *entry, struct err *e)
{
	autonode struct node *written = lock_entry_to_write(entry);
	autostr struct str text = STR_INIT;

	yaml_dump(&text, written);
	return project_write_run(p, path, str_cstr(&text), text.len, e) ? err_in(e, "cannot save the run") : 0;
}

int runcache_save(struct project *p, struct stage *s, struct err *e)
{
	autonode struct node *entry = lock_entry(s);
	autonode struct node *old = NULL;
	autofree char *dir = NULL;
	autofree char *path = NULL;
	char key[65], value[65];

	if (!runcache_can(s))
		return 0;
	if (runcache_ids(entry, key, value, e))
		return -1;
	dir = key_dir(p, key);
	path = path_join(dir, value);
	if (load_entry(&old, p->repo, path, e) || keep_uncached(p, s, old ? old : entry, e))
		return -1;
	return old ? 0 : write_entry(p, path, entry, e);
}

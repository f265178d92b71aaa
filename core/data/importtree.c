/* importtree - 'update' of an output that was pushed to a worktree remote: what its files are there now. */
#include "core/data/import_own.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/temps.h"
#include "core/cache/tree.h"
#include "core/data/beneath.h"
#include "core/data/project.h"
#include "core/data/remote.h"
#include "core/data/source.h"
#include "core/data/track_own.h"
#include "core/repo/repo.h"
#include "core/stage/lock.h"
#include "core/stage/pointer.h"

#include <unistd.h>

/* Rows by name. */
static void rows_map(struct map *m, const struct node *rows)
{
	for (size_t i = 0; rows && i < rows->n; i++)
		if (node_get_str(rows->v[i], "relpath"))
			map_put(m, node_get_str(rows->v[i], "relpath"), rows->v[i]);
}

static bool is_same(const struct node *old, const char *etag)
{
	const struct node *cloud = node_get(old, "cloud");
	const char *was = node_get_str(cloud && cloud->n ? cloud->v[0] : old, "etag");

	return was && etag && !strcmp(was, etag);
}

/* Leaves those to be fetched. */
static void drop_same(struct source *s, const struct map *old)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct source_file *f = &s->v[i];

		if (!is_same(map_get(old, f->rel), f->etag)) {
			s->v[n++] = *f;
			continue;
		}
		free(f->rel);
		free(f->etag);
		free(f->version);
	}
	s->n = n;
}

static int remove_one(struct beneath *b, const char *rel, struct err *e)
{
	autofree char *up = path_dir(rel);
	struct stat st;
	int there = beneath_lstat(b, rel, &st, e);
	struct seen seen;

	if (there <= 0)
		return there;
	seen = (struct seen){ st.st_ino, (uint64_t)st.st_size, st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec,
			       S_ISLNK(st.st_mode) };
	if (S_ISDIR(st.st_mode) || beneath_unlink(b, rel, &seen, e))
		return e->code ? -1 : 0;
	while (*up && strcmp(up, ".")) {
		char *slash = strrchr(up, '/');

		beneath_rmdir(b, up);
		*(slash ? slash : up) = 0;
	}
	return 0;
}

/* What went there goes here; it is in the cache. */
static int remove_gone(const char *abs, const struct map *old, const struct map *now, struct err *e)
{
	struct map_entry *it;
	struct beneath b;
	int rc = 0;

	if (beneath_open(&b, abs, e))
		return -1;
	for (size_t i = 0; !rc && (it = map_next(old, &i));)
		if (path_is_safe(it->key) && !map_has(now, it->key))
			rc = remove_one(&b, it->key, e);
	beneath_close(&b);
	return rc;
}

static int bring_changes(struct project *p, struct source *s, struct item *out, const struct map *old, const struct map *now,
			 struct err *e)
{
	autofree char *abs = item_abs(out, p->repo->root), *tmp = NULL;
	autocall(content_release) struct content c = CONTENT_INIT;
	autoerr struct err none = ERR_INIT;
	int rc = 0;

	if (fs_exists(abs) && (content_read(p, abs, out->path, false, true, &c, e)
			       || (c.tree && content_store_tree(p, false, c.tree, e))))
		return -1;
	tmp = import_temp(p, out, e);
	if (!tmp)
		return -1;
	if (!s->is_dir || s->n) {
		rc = source_fetch(s, tmp, p->repo->tmp_dir, e);
		if (!rc)
			rc = fs_exists(abs) ? merge_over(tmp, abs, e) : rename(tmp, abs) ? err_sys(e, "cannot put '%s' in place", abs) : 0;
		fs_rm_tree(tmp, &none);
	}
	return rc || (s->is_dir && remove_gone(abs, old, now, e)) ? -1 : track_save(p, out, 0, e);
}

/* The pointer says what is there, also of a file that was changed here and not there. */
static int record_dir(struct project *p, struct item *out, const struct map *old, const struct node *now, struct err *e)
{
	autotree struct tree *tree = tree_new();
	struct node *rows = node_seq();
	struct store *store;
	struct oid id;

	for (size_t i = 0; i < now->n; i++) {
		const char *rel = node_get_str(now->v[i], "relpath");
		const struct node *was = map_get(old, rel);
		const struct tree_entry *found = out->tree ? tree_find(out->tree, rel) : NULL;
		struct node *row = is_same(was, node_get_str(now->v[i], "etag")) ? node_copy(was) : node_copy(now->v[i]);
		char hex[OID_HEX_MAX];

		if (found && !node_get(row, "md5")) {
			oid_hex(hex, &found->id);
			node_set(row, "md5", node_str(hex));
		}
		if (node_get_str(row, "md5") && oid_parse(&id, node_get_str(row, "md5")))
			tree_add(tree, rel, &id, -1);
		node_push(rows, row);
	}
	node_free(out->files);
	out->files = rows;
	if (tree->n != rows->n)
		return err_set(e, ERR_FAIL, "'%s' holds files in the remote that are ignored here", out->path);
	item_hash_from_files(out);
	tree_sort(tree);
	return project_cache(p, false, &store, e) || tree_save(tree, store, &id, e) ? -1 : 0;
}

static void record_file(struct item *out, const char *remote, const struct item *now)
{
	struct meta *m = &out->meta;

	free(m->remote);
	free(m->etag);
	free(m->version_id);
	m->remote = xstrdup(remote);
	m->etag = xstrdup(now->hash.value);
	m->version_id = xstrdup(now->meta.version_id);
	m->isexec = false;
	node_free(out->files);
	out->files = NULL;
}

static int update_file(struct project *p, struct source *s, struct item *out, const char *remote, const struct item *now,
		       bool *changed, struct err *e)
{
	*changed = !out->meta.etag || !now->hash.value || strcmp(out->meta.etag, now->hash.value);
	if (!*changed)
		return 0;
	if (bring_changes(p, s, out, NULL, NULL, e))
		return -1;
	record_file(out, remote, now);
	return 0;
}

static int update_dir(struct project *p, struct source *s, struct item *out, const struct item *now, bool *changed, struct err *e)
{
	autonode struct node *old = out->files ? node_copy(out->files) : node_seq();
	struct map was = MAP_INIT, is = MAP_INIT;
	struct map_entry *it;
	int rc = 0;

	rows_map(&was, old);
	rows_map(&is, now->files);
	drop_same(s, &was);
	*changed = s->n > 0;
	for (size_t i = 0; !*changed && (it = map_next(&was, &i));)
		*changed = !map_has(&is, it->key);
	if (*changed)
		rc = bring_changes(p, s, out, &was, &is, e) || record_dir(p, out, &was, now->files, e) ? -1 : 0;
	map_release(&was, NULL);
	map_release(&is, NULL);
	return rc;
}

static int update_from(struct project *p, struct source *s, struct item *out, const char *remote, struct item *now, struct err *e)
{
	bool changed;

	if (source_record(p, s, now, e) || (s->is_dir ? update_dir(p, s, out, now, &changed, e) :
					    update_file(p, s, out, remote, now, &changed, e)))
		return -1;
	if (!changed)
		return 0;
	return out->stage->kind == STAGE_SINGLE ? pointer_save(p->repo, out->stage, e) : lock_save_stage(p->repo, out->stage, e);
}

int import_update_worktree(struct project *p, struct item *out, const char *remote, struct err *e)
{
	autofree char *url = xasprintf("remote://%s/%s", remote, out->path), *shown = item_show(out, p->repo->cwd_rel);
	struct item now = { .meta = META_INIT };
	struct source *s;
	int rc;

	if (source_open(&s, p->repo->config, url, NULL, NULL, 0, e))
		return -1;
	s->versioned = s->remote && (s->remote->caps & REMOTE_VERSIONS);
	rc = source_look(s, e);
	if (!rc && !s->versioned)
		rc = err_set(e, ERR_CONFIG, "config file error: worktree remotes require version_aware cloud");
	else if (!rc && !s->present)
		notice(NOTICE_WARN, "Could not update '%s', it does not exist in the remote", shown);
	else if (!rc)
		rc = update_from(p, s, out, remote, &now, e);
	source_close(s);
	hashinfo_set(&now.hash, NULL, NULL);
	meta_release(&now.meta);
	node_free(now.files);
	return rc;
}

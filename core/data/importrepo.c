/*
 * Imports from other repositories, and get.
 */
#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/temps.h"
#include "core/cache/ingest.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"
#include "core/data/add_own.h"
#include "core/data/compare.h"
#include "core/data/erepo.h"
#include "core/data/import_own.h"
#include "core/data/partial.h"
#include "core/data/project.h"
#include "core/data/source.h"
#include "core/data/track_own.h"
#include "core/data/transfer.h"
#include "core/repo/gitrepo.h"
#include "core/repo/repo.h"
#include "core/stage/index.h"
#include "core/stage/pointer.h"

#include <sys/stat.h>
#include <unistd.h>

char *import_repo_url(const struct project *p, const struct item *d)
{
	const char *url = node_get_str(d->repo, "url");
	autofree char *from_root = NULL;

	if (path_is_url(url) || *url == '/' || fs_exists(url))
		return xstrdup(url);
	from_root = path_join(p->repo->root, url);
	return fs_exists(from_root) ? take(from_root) : xstrdup(url);
}

static int open_source(const struct project *p, const struct item *d, const char *rev, unsigned jobs, struct erepo **out,
		       struct err *e)
{
	const struct node *remote = node_get(d->repo, "remote");
	autofree char *url = import_repo_url(p, d), *git = NULL;
	struct erepo_opts o = { .path = d->def, .rev = rev, .config = node_get(d->repo, "config"), .jobs = jobs };

	if (node_is(remote, NODE_STR))
		o.remote = remote->text;
	else
		o.remote_config = remote;
	if (erepo_open(out, url, &o, e))
		return -1;
	if (*erepo_rev(*out))
		return 0;
	erepo_close(*out);
	git = git_find_root(url);
	if (git)
		return err_set(e, ERR_FAIL, "Empty git repo");
	return err_set(e, ERR_FAIL, "Only supported for Git repositories. If you're seeing this error in a Git repo, try "
		       "updating the DVC configuration with `dvc config core.no_scm false`.");
}

static void set_locked(struct item *d, const char *sha)
{
	node_set(d->repo, "rev_lock", node_str(sha));
}

static int fail_absent(const char *path, struct err *e)
{
	autonode struct node *name = node_str(path);
	autostr struct str quoted = STR_INIT;

	node_py_repr(&quoted, name);
	err_set(e, ERR_NOTFOUND, "unexpected error - [%s]", str_cstr(&quoted));
	e->exit_status = 255;
	return -1;
}

/* M1: parts to a temporary, the old content away, the new one in its place; then it is hashed and stored as any output. */
static int put_parts(struct project *p, struct erepo *r, const struct eparts *parts, struct item *out, struct err *e)
{
	autofree char *tmp = import_temp(p, out, e);
	autoerr struct err none = ERR_INIT;

	if (!tmp)
		return -1;
	if (erepo_write(r, parts, p, tmp, e)) {
		fs_rm_tree(tmp, &none);
		return -1;
	}
	proc_fault("import.written");
	return import_put(p, tmp, out, false, e);
}

/* A whole tracked output: its hash is known, its objects come straight into our cache. */
static int put_output(struct project *p, struct erepo *r, struct eparts *parts, struct item *out, struct err *e)
{
	const struct item *from = parts->out;

	if (erepo_fetch(r, parts, p, NULL, e) || (parts->tree && content_store_tree(p, false, parts->tree, e)))
		return -1;
	hashinfo_set(&out->hash, "md5", from->hash.value);
	meta_release(&out->meta);
	out->meta.size = from->meta.size;
	out->meta.nfiles = from->meta.nfiles;
	if (import_check_rest(p, out, parts->tree, NULL, e) || import_clear_place(p, out, false, e))
		return -1;
	return import_place(p, out, e);
}

/* Those that the cache lacks; of files that are not tracked nobody knows. */
static uint64_t count_new(struct project *p, const struct eparts *parts)
{
	autoerr struct err none = ERR_INIT;
	uint64_t n = 0;
	struct store *s;

	for (size_t i = 0; i < parts->n; i++)
		n += parts->v[i].file || project_cache(p, false, &s, &none) || store_has_quick(s, &parts->v[i].id, NULL) <= 0;
	return n;
}

/* Files of git, or a part of an output: through a temporary into the cache. 'out', when not NULL, gets their hash. */
static int store_parts(struct project *p, struct erepo *r, const struct eparts *parts, const char *tmp_dir, struct item *out,
		       uint64_t *objects, struct err *e)
{
	autocall(content_release) struct content c = CONTENT_INIT;
	static const enum link_kind copies[] = { LINK_REFLINK, LINK_COPY };
	autofree char *tmp = temps_path(tmp_dir);
	autoerr struct err none = ERR_INIT;
	uint64_t n = count_new(p, parts);
	int rc = erepo_write(r, parts, p, tmp, e);

	if (!rc)
		rc = content_read_as(p, tmp, NULL, false, true, copies, ARRAY_LEN(copies), &c, e);
	if (!rc && c.tree)
		rc = content_store_tree(p, false, c.tree, e);
	if (!rc && objects)
		*objects += n;
	if (!rc && out)
		track_set(out, &c, false);
	fs_rm_tree(tmp, &none);
	return rc;
}

static int bring_parts(struct project *p, struct erepo *r, struct stage *s, struct err *e)
{
	struct item *out = s->outs[0], *dep = s->deps[0];
	autocall(eparts_release) struct eparts parts = { 0 };
	autoerr struct err why = ERR_INIT;

	if (erepo_find(r, dep->def, p, &parts, &why)) {
		if (why.code == ERR_NOTFOUND && !why.exit_status)
			return fail_absent(dep->def, e);
		err_move(e, &why);
		return -1;
	}
	if (parts.out && !item_is_legacy(parts.out) && parts.out->hash.name && !strcmp(parts.out->hash.name, "md5")
	    && parts.out->meta.size >= 0)
		return put_output(p, r, &parts, out, e);
	return put_parts(p, r, &parts, out, e);
}

int import_bring_repo(struct project *p, struct stage *s, bool no_download, unsigned jobs, struct err *e)
{
	struct item *dep = s->deps[0];
	const char *locked = node_get_str(dep->repo, "rev_lock");
	struct erepo *r;
	int rc = 0;

	if (open_source(p, dep, locked ? locked : node_get_str(dep->repo, "rev"), jobs, &r, e))
		return -1;
	if (!locked)
		set_locked(dep, erepo_rev(r));
	if (!no_download) {
		rc = bring_parts(p, r, s, e);
	} else {
		hashinfo_set(&s->outs[0]->hash, "md5", NULL);
		meta_release(&s->outs[0]->meta);
		rc = import_clear_place(p, s->outs[0], false, e);
	}
	erepo_close(r);
	return rc;
}

/* Updating: the revision is looked up anew (unless it is to stay); nothing is fetched when it and the output are as recorded. */
int import_update_repo(struct project *p, struct stage *s, const struct update_opts *o, struct err *e)
{
	struct item *dep = s->deps[0];
	const char *locked = o->locked ? node_get_str(dep->repo, "rev_lock") : NULL;
	struct stage_status st = { NULL, 0, 0 };
	autofree char *md5 = NULL;
	struct erepo *r;
	bool changed;
	int rc;

	if (o->to_remote)
		return err_set(e, ERR_FAIL, "Data imported from other DVC or Git repositories can't be updated with "
			       "--to-remote");
	if (o->rev)
		node_set(dep->repo, "rev", node_str(o->rev));
	if (open_source(p, dep, locked ? locked : node_get_str(dep->repo, "rev"), o->jobs, &r, e))
		return -1;
	if (!locked)
		set_locked(dep, erepo_rev(r));
	md5 = pointer_md5_for(s);
	rc = compare_item(p, s->outs[0], false, &st, e);
	changed = locked || st.n || !s->md5 || strcmp(s->md5, md5);
	stage_status_release(&st);
	if (!rc && !changed) {
		autofree char *name = stage_addressing(s, p->repo->cwd_rel);

		notice(NOTICE_INFO, "'%s' didn't change, skipping", name);
	} else if (!rc) {
		import_announce(p, s);
		if (o->no_download) {
			pointer_renew_md5(s);   /* as DVC: of what was recorded before */
			hashinfo_set(&s->outs[0]->hash, "md5", NULL);
			meta_release(&s->outs[0]->meta);
			rc = import_clear_place(p, s->outs[0], false, e);
		} else {
			rc = bring_parts(p, r, s, e);
		}
	}
	erepo_close(r);
	return rc;
}

/* Of a directory the files at 'inside' alone are wanted; its manifest names all. */
static void keep_inside(struct eparts *parts, const char *inside)
{
	size_t n = 0;

	for (size_t i = 0; i < parts->n; i++) {
		if (path_is_inside(parts->v[i].rel, inside)) {
			parts->v[n++] = parts->v[i];
			continue;
		}
		free(parts->v[i].rel);
		free(parts->v[i].file);
	}
	parts->n = n;
}

int import_from_source(struct project *p, struct item *out, const char *inside, struct project *into, const char *tmp_dir,
		       unsigned jobs, uint64_t *objects, struct err *e)
{
	struct item *dep = out->stage->deps[0];
	autocall(eparts_release) struct eparts parts = { 0 };
	bool partial = !out->hash.value;
	const char *rev;
	struct erepo *r;
	int rc;

	if (!stage_is_repo_import(out->stage))
		return import_fetch_url(p, out, into, tmp_dir, jobs, objects, e);
	rev = node_get_str(dep->repo, "rev_lock");
	if (open_source(p, dep, rev, jobs, &r, e))
		return -1;
	rc = erepo_find(r, dep->def, into, &parts, e);
	if (partial && !rev && (rc ? e->code == ERR_NOTFOUND : !parts.is_dir)) {
		/* Of what was never run, DVC fetches directories, and no file: that takes an update. */
		err_release(e);
		erepo_close(r);
		return 0;
	}
	if (!rc && inside && !partial && parts.tree)
		keep_inside(&parts, inside);
	if (!rc && (!parts.out || item_is_legacy(parts.out)))
		rc = store_parts(into, r, &parts, tmp_dir, partial ? out : NULL, objects, e);
	else if (!rc)
		rc = erepo_fetch(r, &parts, into, partial ? NULL : objects, e)
			|| (parts.tree && content_store_tree(into, false, parts.tree, e)) ? -1 : 0;
	if (!rc && partial && !out->hash.value) {
		hashinfo_set(&out->hash, "md5", parts.out->hash.value);
		*objects += parts.n;
	}
	if (!rc && partial && into == p)
		rc = partial_remember(p, out, e);
	erepo_close(r);
	return rc;
}

/* pull and fetch of repository imports: what the cache lacks comes from the source at the recorded commit. */
int import_fetch(struct project *p, struct item *out, const char *inside, unsigned jobs, uint64_t *objects, struct err *e)
{
	return repo_tmp(p->repo, e) ? -1 : import_from_source(p, out, inside, p, p->repo->tmp_dir, jobs, objects, e);
}

static bool hash_part(struct project *p, struct epart *v)
{
	autoerr struct err none = ERR_INIT;
	struct ingest in;
	struct stat st;

	if (stat(v->file, &st) || project_ingest(p, false, &in, &none))
		return false;
	in.state = NULL;
	v->size = (uint64_t)st.st_size;
	return !ingest_hash_file(&in, v->file, &st, &v->id, &none);
}

bool import_manifest(struct project *p, const struct item *out, struct tree **t)
{
	autocall(eparts_release) struct eparts parts = { 0 };
	const struct item *dep = out->stage->deps[0];
	autoerr struct err none = ERR_INIT;
	autotree struct tree *made = NULL;
	struct oid want, is;
	struct erepo *r;

	if (!hashinfo_oid(&out->hash, &want) || open_source(p, dep, node_get_str(dep->repo, "rev_lock"), 0, &r, &none))
		return false;
	if (!erepo_find(r, dep->def, erepo_project(r), &parts, &none)) {
		made = tree_new();
		for (size_t i = 0; i < parts.n; i++)
			if (!parts.v[i].file || hash_part(p, &parts.v[i]))
				tree_add(made, parts.v[i].rel, &parts.v[i].id, (int64_t)parts.v[i].size);
		tree_sort(made);
		tree_id(made, &is);
	}
	erepo_close(r);
	if (!made || oid_cmp(&is, &want))
		return false;
	*t = take(made);
	return true;
}

/* get */

static int write_over(struct erepo *r, const struct eparts *parts, struct project *into, const char *to, struct err *e)
{
	autofree char *dir = path_dir(to), *tmp = NULL;
	autoerr struct err none = ERR_INIT;
	int rc;

	if (fs_mkdirs(*dir ? dir : ".", 0777, e))
		return -1;
	tmp = temps_path(dir);
	rc = erepo_write(r, parts, into, tmp, e);
	proc_fault("import.written");
	if (!rc)
		rc = merge_over(tmp, to, e);
	if (rc)
		fs_rm_tree(tmp, &none);
	return rc;
}

/* Where a directory is already, DVC puts what it gets into it, under its own name: with -f as without. */
static char *inside_present(char *to, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char *inner;

	if (!*name || !strcmp(name, ".") || !strcmp(name, "..") || !fs_is_dir(to))
		return to;
	inner = path_join(to, name);
	free(to);
	return inner;
}

int get_from_repo(const char *url, const char *path, const char *out, bool force, const struct erepo_opts *o,
		  struct err *e)
{
	autofree char *target = place_output(path, out, force, e), *to = target ? path_abs(target) : NULL;
	autocall(eparts_release) struct eparts parts = { 0 };
	autoerr struct err why = ERR_INIT;
	struct erepo_opts own = *o;
	struct erepo *r;
	int rc;

	own.path = path;
	if (!target)
		return -1;
	if (target_is_stage_file(target))
		return err_set(e, ERR_FAIL, "the given path is a DVC file, you must specify a data file or a directory");
	if (erepo_open(&r, url, &own, e))
		return -1;
	rc = erepo_find(r, path, erepo_project(r), &parts, &why);
	if (rc && why.code == ERR_NOTFOUND && !why.exit_status)
		fail_absent(path, e);
	else if (rc)
		err_move(e, &why);
	else
		rc = write_over(r, &parts, erepo_project(r), to = inside_present(to, path), e);
	erepo_close(r);
	return rc;
}

/* The parts of a path as Python writes a tuple of them. */
static char *shown_key(const char *path)
{
	autostrvec struct strvec names = STRVEC_INIT;
	autofree char *key = NULL;

	if (strcmp(path, "."))
		strvec_split(&names, path, '/');
	key = strvec_join(&names, "', '");
	return xasprintf("(%s%s%s%s)", names.n ? "'" : "", key, names.n ? "'" : "", names.n == 1 ? "," : "");
}

int get_show_url(const char *url, const char *path, const struct erepo_opts *o, char **out, struct err *e)
{
	autocall(eparts_release) struct eparts parts = { 0 };
	struct erepo_opts own = *o;
	autofree char *clean = path_norm(path), *key = shown_key(clean);
	struct erepo *r;
	int rc;

	own.path = path = clean;
	own.recorded = true;
	if (erepo_open(&r, url, &own, e))
		return -1;
	rc = erepo_find(r, path, erepo_project(r), &parts, e) || erepo_object_url(r, &parts, out, e) ? -1 : 0;
	if (rc && e->code == ERR_NOTFOUND) {
		err_release(e);
		err_set(e, ERR_NOTFOUND, "Unable to find DVC file with output '%s': %s", path, key);
		e->exit_status = 255;
	} else if (rc && e->code == ERR_CONFIG && (parts.holds_outs || parts.is_part)) {
		autofree char *said = take(e->msg);

		e->msg = xasprintf("configuration error - %s: %s", said, parts.holds_outs ? key : "");
		e->exit_status = 251;
	}
	erepo_close(r);
	return rc;
}

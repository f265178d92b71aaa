#include "core/data/import.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/cache/tree.h"
#include "core/data/add_own.h"
#include "core/data/checkout.h"
#include "core/data/compare.h"
#include "core/data/import_own.h"
#include "core/data/links.h"
#include "core/data/project.h"
#include "core/data/source.h"
#include "core/data/track_own.h"
#include "core/data/upload.h"
#include "core/repo/repo.h"
#include "core/repo/repolock.h"
#include "core/stage/index.h"
#include "core/stage/pointer.h"

#include <errno.h>
#include <unistd.h>

/* Creating the stage */

static int check_arguments(const struct import_opts *o, struct err *e)
{
	if (o->to_remote && (o->no_exec || o->no_download || o->version_aware))
		return err_set(e, ERR_FAIL, "--no-exec/--no-download/--version-aware cannot be combined with --to-remote");
	if (!o->to_remote && o->remote)
		return err_set(e, ERR_FAIL, "--remote can't be used without --to-remote");
	return 0;
}

/* The dependency as the file will name it: below the root relative to the stage, else as typed. */
static char *dep_path(struct project *p, const char *url, const char *wdir, bool other_repo)
{
	autofree char *abs = NULL;

	if (other_repo || path_is_url(url) || !fs_exists(url))
		return xstrdup(url);
	abs = path_abs(url);
	return path_is_inside(abs, p->repo->root) ? path_rel(abs, wdir) : xstrdup(url);
}

static struct node *config_node(const struct map *m, bool version_aware)
{
	struct node *n = node_map();
	struct map_entry *it;

	for (size_t i = 0; m && (it = map_next(m, &i));)
		node_set(n, it->key, node_str(it->value));
	if (version_aware)
		node_set(n, "version_aware", node_bool(true));
	if (n->n)
		return n;
	node_free(n);
	return NULL;
}

static void add_dep(struct project *p, struct stage *s, const char *path, const struct import_opts *o)
{
	struct item *d = stage_add_dep(s, path, o->repo ? DEP_REPO : DEP_PATH);

	if (o->repo)
		d->repo = node_copy(o->repo);
	else
		d->fs_config = config_node(o->fs_config, o->version_aware);
	stage_localise(s, p->repo->root);
}

static int check_circular(struct project *p, const struct stage *s, struct err *e)
{
	autofree char *a = item_abs(s->outs[0], p->repo->root), *b = item_abs(s->deps[0], p->repo->root);

	if (a && b && !strcmp(a, b))
		return err_set(e, ERR_FAIL, "'%s' is specified as an output and as a dependency.", a);
	return 0;
}

/* With all other stages; one of the same file is being replaced. */
static int check_beside(struct project *p, struct stage *s, struct err *e)
{
	struct item *parent, *child;
	struct index *x, *all;
	int kind, rc;

	if (project_index(p, &x, e))
		return -1;
	all = index_new(x->repo, x->tree);
	for (size_t i = 0; i < x->n; i++)
		if (strcmp(x->v[i]->file, s->file))
			index_add(all, x->v[i]);
	index_add(all, s);
	kind = index_find_clash(all, &parent, &child);
	if (kind == 1) {
		const struct stage *other = parent->stage == s ? child->stage : parent->stage;
		autofree char *name = stage_addressing(other, p->repo->cwd_rel);
		autofree char *out = item_show(s->outs[0], p->repo->cwd_rel);

		rc = err_set(e, ERR_FAIL, "output '%s' is already specified in stage: '%s'.\n"
			     "Use `dvc remove %s` to stop tracking the overlapping output.", out, name, name);
	} else {
		rc = index_check_graph(all, e);
	}
	all->n = 0;
	index_free(all);
	return rc;
}

static int create(struct project *p, const char *url, const struct import_opts *o, struct stage **out, struct err *e)
{
	autocall(place_release) struct out_place w = OUT_PLACE_INIT;
	autofree char *target = place_output(url, o->out, o->force, e), *dep = NULL;
	struct stage *s;

	if (!target || place_resolve(p, target, false, &w, e) || check_arguments(o, e) || place_create(p, &w, &s, e))
		return -1;
	dep = dep_path(p, url, w.wdir, o->repo != NULL);
	add_dep(p, s, dep, o);
	if (check_circular(p, s, e) || check_beside(p, s, e)) {
		stage_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

/* Content */

char *import_show_dep(const struct project *p, const struct item *d)
{
	return d->kind == DEP_REPO ? xasprintf("%s (%s)", d->def, node_get_str(d->repo, "url"))
		: item_show(d, p->repo->cwd_rel);
}

static void announce(const struct project *p, const struct stage *s)
{
	autofree char *dep = import_show_dep(p, s->deps[0]), *out = item_show(s->outs[0], p->repo->cwd_rel);

	notice(NOTICE_INFO, "Importing '%s' -> '%s'", dep, out);
}

/* --fs-config as it stands in the file, for the opener. */
static void fs_options(const struct item *d, struct map *m)
{
	for (size_t i = 0; d->fs_config && i < d->fs_config->n; i++)
		if (node_is(d->fs_config->k[i], NODE_STR) && node_is(d->fs_config->v[i], NODE_STR))
			map_put(m, d->fs_config->k[i]->text, d->fs_config->v[i]->text);
}

static int open_dep(struct project *p, const struct item *d, unsigned jobs, struct source **out, struct err *e)
{
	autofree char *abs = item_abs(d, p->repo->root);
	struct map over = MAP_INIT;
	int rc;

	fs_options(d, &over);
	rc = source_open(out, p->repo->config, d->def, abs, &over, jobs, e);
	map_release(&over, NULL);
	return rc;
}

static void clear_record(struct item *out)
{
	hashinfo_set(&out->hash, "md5", NULL);
	meta_release(&out->meta);
	node_free(out->files);
	out->files = NULL;
}

/* M2 */
int import_clear_place(struct project *p, struct item *out, bool force, struct err *e)
{
	autocall(content_release) struct content c = CONTENT_INIT;
	autofree char *abs = item_abs(out, p->repo->root);

	if (!fs_exists(abs))
		return 0;
	if (!force && (content_read(p, abs, out->path, false, true, &c, e)
		       || (c.tree && content_store_tree(p, false, c.tree, e))))
		return -1;
	return track_remove_out(p, out, true, e);
}

static int refuse_ignore_file(const struct item *out, struct err *e)
{
	for (size_t i = 0; out->tree && i < out->tree->n; i++) {
		if (strcmp(path_base(out->tree->e[i].path), ".dvcignore"))
			continue;
		err_set(e, ERR_FAIL, ".dvcignore file should not be in collected dir path: '%s'", out->path);
		e->exit_status = 255;
		return -1;
	}
	return 0;
}

int import_place(struct project *p, struct item *out, struct err *e)
{
	struct checkout_opts co = { .force = true };
	struct checkout_result r = { 0 };
	int rc = checkout_out(p, out, NULL, &co, &r, e);

	if (!rc && r.failed.n)
		rc = checkout_error(p, &r, e);
	checkout_result_release(&r);
	if (!rc)
		links_save(p, out->path);
	return rc;
}

/* A local path is read once, into the cache; the work tree gets it from there. */
static int bring_local(struct project *p, struct source *s, struct stage *st, bool force, struct err *e)
{
	struct item *out = st->outs[0], *dep = st->deps[0];

	if (transfer_to_cache(p, s->abs, out, e) || refuse_ignore_file(out, e))
		return -1;
	hashinfo_set(&dep->hash, out->hash.name, out->hash.value);
	meta_copy(&dep->meta, &out->meta);
	out->meta.isexec = false;       /* a download has no modes */
	if (import_clear_place(p, out, force, e))
		return -1;
	return import_place(p, out, e);
}

static int bring_remote(struct project *p, struct source *s, struct stage *st, bool force, struct err *e)
{
	struct item *out = st->outs[0], *dep = st->deps[0];
	autofree char *abs = item_abs(out, p->repo->root), *tmp = NULL;
	autoerr struct err none = ERR_INIT;
	char name[32];
	int rc;

	if (source_hash(p, s, &dep->hash, &dep->meta, e) || repo_tmp(p->repo, e))
		return -1;
	fs_temp_name(name);
	tmp = path_join(p->repo->tmp_dir, name);
	if (source_fetch(s, tmp, p->repo->tmp_dir, e))
		return -1;
	rc = import_clear_place(p, out, force, e);
	if (!rc && rename(tmp, abs))
		rc = err_sys(e, "cannot put '%s' in place", out->path);
	if (rc) {
		fs_rm_tree(tmp, &none);
		return -1;
	}
	return track_save(p, out, 0, e);
}

/* Download, hash, store, place. */
static int bring(struct project *p, struct stage *s, bool no_download, bool force, unsigned jobs, struct err *e)
{
	struct item *out = s->outs[0], *dep = s->deps[0];
	struct source *src;
	int rc;

	if (dep->kind == DEP_REPO)
		return import_bring_repo(p, s, no_download, jobs, e);
	if (open_dep(p, dep, jobs, &src, e))
		return -1;
	rc = source_look(src, e);
	if (!rc && !src->present)
		rc = err_set(e, ERR_NOTFOUND, "dependency '%s' does not exist", src->abs ? src->abs : src->url);
	if (!rc && no_download) {
		rc = source_hash(p, src, &dep->hash, &dep->meta, e) || import_clear_place(p, out, force, e) ? -1 : 0;
		clear_record(out);
	} else if (!rc) {
		rc = src->abs ? bring_local(p, src, s, force, e) : bring_remote(p, src, s, force, e);
	}
	source_close(src);
	return rc;
}

static int send(struct project *p, struct stage *s, const char *remote, unsigned jobs, struct err *e)
{
	struct source *src;
	int rc;

	if (s->deps[0]->kind == DEP_REPO)
		return err_set(e, ERR_FAIL, "Data imported from other DVC or Git repositories can't be updated with --to-remote");
	if (open_dep(p, s->deps[0], jobs, &src, e))
		return -1;
	rc = source_hash(p, src, &s->deps[0]->hash, &s->deps[0]->meta, e);
	if (!rc)
		rc = upload_source(p, src, remote, jobs, s->outs[0], e);
	source_close(src);
	return rc;
}

static int finish(struct project *p, struct stage *s, struct err *e)
{
	pointer_renew_md5(s);
	return pointer_save(p->repo, s, e) || track_ignore(p, s->outs[0], e) ? -1 : 0;
}

static int import_stage(struct project *p, struct stage *s, const struct import_opts *o, struct err *e)
{
	int rc;

	if (track_check_git(p, s->outs[0], e))
		return -1;
	s->frozen = false;              /* not in the document's md5 anyway; set below */
	if (o->no_exec) {
		s->frozen = true;
		return pointer_save(p->repo, s, e) || track_ignore(p, s->outs[0], e) ? -1 : 0;
	}
	if (o->to_remote) {
		rc = send(p, s, o->remote, o->jobs, e);
	} else {
		announce(p, s);
		rc = bring(p, s, o->no_download, o->force, o->jobs, e);
	}
	s->frozen = true;
	return rc ? rc : finish(p, s, e);
}

int import_url(struct project *p, const char *url, const struct import_opts *o, struct err *e)
{
	struct pathlock *lock = NULL;
	struct stage *s;
	int rc;

	if (create(p, url, o, &s, e))
		return -1;
	rc = track_lock(p, s, false, "git-data import", &lock, e);
	if (!rc)
		rc = import_stage(p, s, o, e);
	pathlock_release(lock);
	track_warn_unlinked(p);
	stage_free(s);
	if (rc)
		track_rollback(p);
	strvec_reset(&p->ignored);
	project_index_drop(p);
	return rc;
}

/* Updating */

static int dep_changed(struct project *p, struct stage *s, unsigned jobs, bool *out, struct err *e)
{
	struct hashinfo now = { NULL, NULL };
	struct meta m = META_INIT;
	struct source *src;
	int rc;

	if (open_dep(p, s->deps[0], jobs, &src, e))
		return -1;
	rc = source_look(src, e);
	*out = true;
	if (!rc && src->present) {
		rc = source_hash(p, src, &now, &m, e);
		*out = !rc && (!hashinfo_eq(&now, &s->deps[0]->hash) || !now.value);
	}
	source_close(src);
	hashinfo_set(&now, NULL, NULL);
	meta_release(&m);
	return rc;
}

static int out_changed(struct project *p, struct stage *s, bool *changed, bool *cached, struct err *e)
{
	struct stage_status st = { NULL, 0, 0 };
	int rc = compare_item(p, s->outs[0], false, &st, e);

	*changed = st.n > 0;
	*cached = !rc && s->outs[0]->hash.value && !(st.n && st.v[0].state && !strcmp(st.v[0].state, "not in cache"));
	stage_status_release(&st);
	return rc;
}

static bool md5_changed(const struct stage *s)
{
	autofree char *md5 = pointer_md5_for(s);

	return !s->md5 || strcmp(s->md5, md5);
}

static int update_url(struct project *p, struct stage *s, const struct update_opts *o, struct err *e)
{
	bool dep, out, cached, doc = md5_changed(s);

	if (o->to_remote)
		return send(p, s, o->remote, o->jobs, e);
	if (dep_changed(p, s, o->jobs, &dep, e) || out_changed(p, s, &out, &cached, e))
		return -1;
	if (!doc && !dep && !out) {
		autofree char *name = stage_addressing(s, p->repo->cwd_rel);

		notice(NOTICE_INFO, "'%s' didn't change, skipping", name);
		return 0;
	}
	announce(p, s);
	if (!doc && !dep && cached && !o->no_download)
		return import_clear_place(p, s->outs[0], false, e) || import_place(p, s->outs[0], e) ? -1 : 0;
	return bring(p, s, o->no_download, false, o->jobs, e);
}

static int update_stage(struct project *p, struct stage *s, const struct update_opts *o, struct err *e)
{
	struct pathlock *lock = NULL;
	bool frozen = s->frozen;
	int rc = track_lock(p, s, false, "git-data update", &lock, e);

	s->frozen = false;
	if (!rc)
		rc = s->deps[0]->kind == DEP_REPO ? import_update_repo(p, s, o, e) : update_url(p, s, o, e);
	s->frozen = frozen;
	if (!rc)
		rc = finish(p, s, e);
	pathlock_release(lock);
	return rc;
}

static int check_update(const struct update_opts *o, bool others, struct err *e)
{
	if (!others)
		return 0;
	if (o->rev)
		return err_set(e, ERR_FAIL, "--rev can't be used with worktree update");
	if (o->no_download)
		return err_set(e, ERR_FAIL, "--no-download can't be used with worktree update");
	return o->to_remote ? err_set(e, ERR_FAIL, "--to-remote can't be used with worktree update") : 0;
}

int import_update(struct project *p, const struct strvec *targets, const struct update_opts *o, struct err *e)
{
	autocall(targets_release) struct targets t = { NULL, 0, 0 };
	struct index *x;
	bool others = false;

	if (o->to_remote && o->no_download)
		return err_set(e, ERR_FAIL, "--to-remote can't be used with --no-download");
	if (!o->to_remote && o->remote)
		return err_set(e, ERR_FAIL, "--remote can't be used without --to-remote");
	if (project_index_some(p, &x, e) || index_targets(x, targets, o->recursive ? TARGET_RECURSIVE : 0, &t, e))
		return -1;
	for (size_t i = 0; i < t.n; i++) {
		bool again = false;

		for (size_t k = 0; k < i && !again; k++)
			again = t.v[k].stage == t.v[i].stage;
		if (again)
			continue;
		if (!stage_is_import(t.v[i].stage))
			others = true;
		else if (update_stage(p, t.v[i].stage, o, e))
			return -1;
	}
	if (check_update(o, others, e))
		return -1;
	for (size_t i = 0; i < t.n; i++) {
		const struct stage *s = t.v[i].stage;

		for (size_t k = 0; !stage_is_import(s) && k < s->nouts; k++) {
			autofree char *shown = item_show(s->outs[k], p->repo->cwd_rel);

			notice(NOTICE_WARN, "Could not update '%s', it was never pushed to a remote", shown);
		}
	}
	return 0;
}

/* get-url */

int get_url(const struct config *c, const char *url, const char *out, const struct map *fs_config, unsigned jobs,
	    bool force, struct err *e)
{
	autofree char *target = place_output(url, out, force, e), *to = target ? path_abs(target) : NULL;
	struct source *s;
	int rc;

	if (!target || source_open(&s, c, url, NULL, fs_config, jobs, e))
		return -1;
	rc = source_look(s, e);
	if (!rc && !s->present)
		rc = err_set(e, ERR_NOTFOUND, "The path '%s' does not exist", url);
	if (!rc)
		rc = source_fetch_over(s, to, e);
	source_close(s);
	return rc;
}

#include "core/cache/store.h"
#include "core/data/import.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/temps.h"
#include "core/cache/ingest.h"
#include "core/cache/tree.h"
#include "core/data/add_own.h"
#include "core/data/checkout.h"
#include "core/data/compare.h"
#include "core/data/import_own.h"
#include "core/data/importlog.h"
#include "core/data/links.h"
#include "core/data/partial.h"
#include "core/data/project.h"
#include "core/data/source.h"
#include "core/data/track_own.h"
#include "core/data/upload.h"
#include "core/data/versioned.h"
#include "core/repo/config.h"
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

static int check_versions(const char *url, struct err *e)
{
	if (str_starts(url, "s3://") || str_starts(url, "azure://") || str_starts(url, "gs://") || str_starts(url, "remote://"))
		return 0;
	err_set(e, ERR_FAIL, "unexpected error - '%s' keeps no versions: --version-aware needs S3, Azure or Google storage", url);
	e->exit_status = 255;
	return -1;
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

/* Where an import of the same that was killed had begun (importlog.h), or NULL. */
static char *place_begun(struct project *p, const char *url, const struct import_opts *o)
{
	autoerr struct err none = ERR_INIT;
	autofree char *inside = NULL;

	if (o->out && fs_exists(o->out) && importlog_has(p->repo, o->out, url, o->repo))
		return xstrdup(o->out);
	inside = place_output(url, o->out, true, &none);
	return inside && fs_exists(inside) && importlog_has(p->repo, inside, url, o->repo) ? take(inside) : NULL;
}

static int create(struct project *p, const char *url, const struct import_opts *o, struct stage **out, struct err *e)
{
	autocall(place_release) struct out_place w = OUT_PLACE_INIT;
	autofree char *begun = place_begun(p, url, o), *dep = NULL;
	autofree char *target = begun ? xstrdup(begun) : place_output(url, o->out, o->force, e);
	struct index *x;
	struct stage *s;

	if (!target || place_resolve(p, target, false, &w, e) || check_arguments(o, e) || project_index(p, &x, e)
	    || (o->version_aware && check_versions(url, e))
	    || (o->fs_config && config_check_options(p->repo->config, url, o->fs_config, e)) || place_create(p, &w, &s, e))
		return -1;
	dep = dep_path(p, url, w.wdir, o->repo != NULL);
	add_dep(p, s, dep, o);
	if (index_check_items(x, s, e) || check_circular(p, s, e) || check_beside(p, s, e)) {
		stage_free(s);
		return -1;
	}
	s->outs[0]->maybe_rest = begun && !o->force;
	*out = s;
	return 0;
}

/* Content */

char *import_show_dep(const struct project *p, const struct item *d)
{
	return d->kind == DEP_REPO ? xasprintf("%s (%s)", d->def, node_get_str(d->repo, "url"))
		: item_show(d, p->repo->cwd_rel);
}

void import_announce(const struct project *p, const struct stage *s)
{
	autofree char *dep = import_show_dep(p, s->deps[0]), *out = item_show(s->outs[0], p->repo->cwd_rel);

	notice(NOTICE_INFO, "Importing '%s' -> '%s'", dep, out);
}

bool import_names(struct project *p, const struct item *out, struct tree **t)
{
	autotree struct tree *names = tree_new();
	autoerr struct err none = ERR_INIT;
	struct oid nothing = { 0 };
	struct source *src;
	bool ok;

	if (source_open_item(p, out->stage->deps[0], 0, &src, &none))
		return false;
	ok = !source_look(src, &none) && src->is_dir;
	if (ok && src->abs) {
		struct walk w = { 0 };

		ok = !walk_tree(&w, src->abs, NULL, NULL, NULL, &none);
		for (size_t i = 0; ok && i < w.n; i++)
			tree_add(names, w.f[i].path, &nothing, (int64_t)w.f[i].size);
		walk_release(&w);
	}
	for (size_t i = 0; ok && i < src->n; i++)
		tree_add(names, src->v[i].rel, &nothing, (int64_t)src->v[i].size);
	source_close(src);
	if (!ok)
		return false;
	tree_sort(names);
	*t = take(names);
	return true;
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
	return track_remove_out(p, out, e);
}

static bool is_part(const struct content *c, const struct tree *whole, const struct oid *id)
{
	if (!c->tree || !whole)
		return !c->tree && !whole && oid_eq(&c->id, id);
	for (size_t i = 0; i < c->tree->n; i++) {
		const struct tree_entry *t = tree_find(whole, c->tree->e[i].path);

		if (!t || !oid_eq(&t->id, &c->tree->e[i].id))
			return false;
	}
	return true;
}

int import_check_rest(struct project *p, struct item *out, const struct tree *whole, const struct oid *id, struct err *e)
{
	autocall(content_release) struct content c = CONTENT_INIT;
	autofree char *abs = item_abs(out, p->repo->root), *shown = item_show(out, p->repo->cwd_rel);

	struct oid own;

	if (!out->maybe_rest || !fs_exists(abs))
		return 0;
	if (!id)
		id = hashinfo_oid(&out->hash, &own) ? &own : NULL;
	if (content_read(p, abs, NULL, false, false, &c, e))
		return -1;
	return id && is_part(&c, whole, id) ? 0 : place_taken(shown, e);
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

static int place(struct project *p, struct item *out, bool as_download, struct err *e)
{
	struct checkout_opts co = { .force = true, .as_download = as_download };
	struct checkout_result r = { 0 };
	struct meta *source = &out->stage->deps[0]->meta;
	bool isexec = source->isexec;
	int rc;

	source->isexec = out->meta.isexec;      /* 'checkout' goes by the source's */
	rc = checkout_out(p, out, NULL, &co, &r, e);
	source->isexec = isexec;
	if (!rc && r.failed.n)
		rc = checkout_error(p, &r, e);
	checkout_result_release(&r);
	if (!rc)
		links_save(p, out->path);
	return rc;
}

int import_place(struct project *p, struct item *out, struct err *e)
{
	return place(p, out, true, e);
}

static void warn_empty(const struct project *p, const struct item *i)
{
	autofree char *abs = item_abs(i, p->repo->root);

	if (abs && fs_is_dir(abs) && !track_is_empty(abs))
		return;                 /* empty directories are something, too */
	if (hashinfo_is_dir(&i->hash) ? !i->meta.nfiles : !i->meta.size)
		track_say_empty(p, i);
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
	if (import_check_rest(p, out, out->tree, NULL, e) || import_clear_place(p, out, force, e))
		return -1;
	warn_empty(p, out);
	return import_place(p, out, e);
}

/* Beside the output, on its file system: its old content is gone when this takes its name. */
char *import_temp(struct project *p, const struct item *out, struct err *e)
{
	autofree char *abs = item_abs(out, p->repo->root), *dir = path_dir(abs);

	return repo_tmp(p->repo, e) || fs_mkdirs(dir, 0777, e) ? NULL : temps_path(dir);
}

static int check_rest_of(struct project *p, const char *tmp, struct item *out, struct err *e)
{
	autocall(content_release) struct content c = CONTENT_INIT;

	if (!out->maybe_rest)
		return 0;
	return content_read(p, tmp, NULL, false, false, &c, e) ? -1 : import_check_rest(p, out, c.tree, &c.id, e);
}

int import_put(struct project *p, const char *tmp, struct item *out, bool force, struct err *e)
{
	autofree char *abs = item_abs(out, p->repo->root);
	autoerr struct err none = ERR_INIT;
	int rc = check_rest_of(p, tmp, out, e) || import_clear_place(p, out, force, e) ? -1 : 0;

	if (!rc && rename(tmp, abs))
		rc = err_sys(e, "cannot put '%s' in place", out->path);
	if (!rc)
		return track_save(p, out, 0, e);
	fs_rm_tree(tmp, &none);
	return -1;
}

static int bring_remote(struct project *p, struct source *s, struct stage *st, bool force, struct err *e)
{
	struct item *out = st->outs[0], *dep = st->deps[0];
	bool read = source_is_read(s);
	autofree char *tmp = NULL;

	if (!read && source_record(p, s, dep, e))
		return -1;
	tmp = import_temp(p, out, e);
	if (!tmp || source_fetch(s, tmp, p->repo->tmp_dir, e) || (read && source_record(p, s, dep, e)))
		return -1;
	return import_put(p, tmp, out, force, e);
}

/* Download, hash, store, place. */
static int bring(struct project *p, struct stage *s, bool created, bool no_download, bool force, unsigned jobs, struct err *e)
{
	struct item *out = s->outs[0], *dep = s->deps[0];
	struct source *src;
	int rc;

	if (dep->kind == DEP_REPO)
		return import_bring_repo(p, s, no_download, jobs, e);
	if (source_open_item(p, dep, jobs, &src, e))
		return -1;
	src->want = src->versioned ? xstrdup(dep->meta.version_id) : NULL;      /* what 'update' chose */
	if (created && src->versioned)
		out->push = out->can_push = false;      /* its source keeps it */
	rc = source_look(src, e);
	if (!rc && !src->present)
		rc = source_missing(p, src, e);
	if (!rc && no_download) {
		rc = source_record(p, src, dep, e) || import_clear_place(p, out, force, e) ? -1 : 0;
		pointer_renew_md5(s);           /* as DVC: of what was recorded before */
		clear_record(out);
	} else if (!rc) {
		rc = src->abs ? bring_local(p, src, s, force, e) : bring_remote(p, src, s, force, e);
	}
	if (!rc)                                /* DVC looks twice */
		warn_empty(p, dep);
	if (!rc)
		warn_empty(p, dep);
	source_close(src);
	return rc;
}

static int fetch_source(struct project *p, struct source *src, const char *tmp_dir, struct item *out, struct err *e)
{
	autoerr struct err none = ERR_INIT;
	autofree char *tmp = NULL;
	int rc;

	if (src->abs)
		return transfer_to_cache(p, src->abs, out, e);
	tmp = temps_path(tmp_dir);
	rc = source_fetch(src, tmp, tmp_dir, e) || transfer_to_cache(p, tmp, out, e) ? -1 : 0;
	fs_rm_tree(tmp, &none);
	return rc;
}

/* The recorded versions; what they hold must be what the output records, when it does. */
static int fetch_versions(struct project *p, struct item *out, struct project *into, const char *tmp_dir, unsigned jobs,
			  uint64_t *files, struct err *e)
{
	autofree char *want = xstrdup(out->hash.value), *tmp = NULL;
	autoerr struct err none = ERR_INIT;
	struct source *src;
	bool cached = false;
	int rc;

	if (!want)
		partial_recall(p, out);
	if (into == p && compare_cached(p, out, &cached, e))
		return -1;
	if (cached)
		return 0;
	if (source_open_recorded(p, out->stage->deps[0], jobs, &src, e))
		return -1;
	tmp = temps_path(tmp_dir);
	rc = source_fetch(src, tmp, tmp_dir, e) || transfer_to_cache(into, tmp, out, e) ? -1 : 0;
	fs_rm_tree(tmp, &none);
	*files += rc ? 0 : src->is_dir ? src->n : 1;
	source_close(src);
	out->meta.isexec = false;       /* a download has no modes */
	if (!rc && want && strcmp(want, out->hash.value))
		rc = err_set(e, ERR_CORRUPT, "the recorded version of '%s' has other content than '%s' records",
			     out->stage->deps[0]->def, out->stage->file);
	if (!rc && into == p)
		rc = partial_remember(p, out, e);
	if (want)
		hashinfo_set(&out->hash, "md5", want);
	return rc;
}

int import_fetch_url(struct project *p, struct item *out, struct project *into, const char *tmp_dir, unsigned jobs,
		     uint64_t *files, struct err *e)
{
	const struct item *dep = out->stage->deps[0];
	struct hashinfo h = { 0 };
	autocall(meta_release) struct meta m = { 0 };
	struct source *src;
	struct oid id;
	struct store *s;
	int rc;

	if (dep->meta.version_id || dep->files)
		return fetch_versions(p, out, into, tmp_dir, jobs, files, e);
	if (hashinfo_oid(&dep->hash, &id) && !project_cache(into, false, &s, e) && into == p
	    && store_has_quick(s, &id, NULL) > 0)
		return 0;
	if (e->code || source_open_item(p, dep, jobs, &src, e))
		return -1;
	rc = source_look(src, e);
	if (!rc && src->why)
		rc = err_set(e, ERR_TEMP, "%s", src->why);
	if (!rc && src->present)
		rc = source_hash(p, src, &h, &m, e);
	/* Of what was never run, DVC fetches directories, and no file: that takes an update. */
	if (!rc && h.value && (dep->hash.value ? !strcmp(h.value, dep->hash.value) : src->is_dir)) {
		rc = fetch_source(into, src, tmp_dir, out, e);
		out->meta.isexec = false;       /* a download has no modes */
		if (!rc)
			*files += out->meta.nfiles > 0 ? (uint64_t)out->meta.nfiles : 1;
		if (!rc && into == p)
			rc = partial_remember(p, out, e);
	}
	source_close(src);
	hashinfo_set(&h, NULL, NULL);
	return rc;
}

static int send(struct project *p, struct stage *s, const char *remote, const char *command, unsigned jobs, struct err *e)
{
	struct source *src;
	int rc;

	if (s->deps[0]->kind == DEP_REPO)
		return err_set(e, ERR_FAIL, "Data imported from other DVC or Git repositories can't be updated with --to-remote");
	if (versioned_refuse(p, remote, command, e) || source_open_item(p, s->deps[0], jobs, &src, e))
		return -1;
	src->want = src->versioned ? xstrdup(s->deps[0]->meta.version_id) : NULL;
	rc = source_look(src, e);
	if (!rc && !src->present && src->abs) {
		autofree char *cwd = path_abs(src->url);        /* DVC looks from the user's directory here */

		err_set(e, ERR_NOTFOUND, "unexpected error - [Errno 2] No such file or directory: '%s'", cwd);
		e->exit_status = 255;
		rc = -1;
	}
	if (!rc)
		rc = source_record(p, src, s->deps[0], e);
	if (!rc)
		warn_empty(p, s->deps[0]);
	if (!rc)
		rc = upload_source(p, src, remote, jobs, s->outs[0], e);
	source_close(src);
	return rc;
}

static int finish(struct project *p, struct stage *s, struct err *e)
{
	return pointer_save(p->repo, s, e) || track_ignore(p, s->outs[0], e) ? -1 : 0;
}

/* Whether there is such a remote, with settings that DVC looks at as early. It connects to nothing. */
static int check_source(struct project *p, const struct stage *s, struct err *e)
{
	autoerr struct err why = ERR_INIT;
	struct source *src;

	if (s->deps[0]->kind == DEP_REPO)
		return 0;
	if (!source_open_item(p, s->deps[0], 0, &src, &why)) {
		source_close(src);
		return 0;
	}
	if (why.code == ERR_AUTH && why.exit_status == 255)
		return 0;               /* of a profile that is missing the use will tell */
	err_move(e, &why);
	return -1;
}

static int import_stage(struct project *p, struct stage *s, const char *url, const struct import_opts *o, struct err *e)
{
	int rc;

	if (track_check_git(p, s->outs[0], e) || check_source(p, s, e))
		return -1;
	s->frozen = false;              /* not in the document's md5 anyway; set below */
	if (o->no_exec) {
		s->frozen = true;
		return pointer_save(p->repo, s, e) || track_ignore(p, s->outs[0], e) ? -1 : 0;
	}
	if (o->to_remote) {
		rc = send(p, s, o->remote, "import-url", o->jobs, e);
	} else {
		import_announce(p, s);
		importlog_begin(p->repo, s->outs[0]->path, url, o->repo);
		rc = bring(p, s, true, o->no_download, o->force, o->jobs, e);
	}
	s->frozen = true;
	pointer_renew_md5(s);
	if (rc || finish(p, s, e))
		return -1;
	if (!o->to_remote)
		importlog_end(p->repo, s->outs[0]->path, url, o->repo);
	return 0;
}

int import_url(struct project *p, const char *url, const struct import_opts *o, struct err *e)
{
	struct pathlock *lock = NULL;
	struct stage *s = NULL;
	int rc;

	if (create(p, url, o, &s, e))
		return -1;
	rc = track_lock(p, s, false, "git-data import", &lock, e);
	if (!rc)
		rc = import_stage(p, s, url, o, e);
	pathlock_release(lock);
	track_warn_unlinked(p);
	stage_free(s);
	return track_finish(p, rc);
}

/* Updating */

static int dep_changed(struct project *p, struct stage *s, unsigned jobs, bool *out, struct err *e)
{
	struct hashinfo now = { NULL, NULL };
	struct meta m = META_INIT;
	struct source *src;
	int rc;

	if (source_open_item(p, s->deps[0], jobs, &src, e))
		return -1;
	rc = source_look(src, e);
	*out = true;
	if (!rc && src->present) {
		rc = source_hash(p, src, &now, &m, e);
		*out = !rc && (!hashinfo_eq(&now, &s->deps[0]->hash) || !now.value || source_is_newer(src, s->deps[0]));
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

/* Of a version-aware source: the version that shall be recorded now. */
static int choose_version(struct project *p, struct item *dep, const struct update_opts *o, struct err *e)
{
	struct source *src;
	int rc = source_open_item(p, dep, o->jobs, &src, e);

	if (rc)
		return -1;
	if (src->versioned) {
		src->want = xstrdup(o->rev);
		rc = source_look(src, e);
		if (!rc && !src->present)
			rc = source_missing(p, src, e);
		if (!rc) {
			free(dep->meta.version_id);
			dep->meta.version_id = xstrdup(src->version);
		}
	}
	source_close(src);
	return rc;
}

static int update_url(struct project *p, struct stage *s, const struct update_opts *o, struct err *e)
{
	bool dep, out, cached, doc;

	if (choose_version(p, s->deps[0], o, e))
		return -1;
	if (o->to_remote)
		return send(p, s, o->remote, "update", o->jobs, e);
	doc = md5_changed(s);
	if (dep_changed(p, s, o->jobs, &dep, e) || out_changed(p, s, &out, &cached, e))
		return -1;
	if (!doc && !dep && !out && !o->locked) {
		autofree char *name = stage_addressing(s, p->repo->cwd_rel);

		notice(NOTICE_INFO, "'%s' didn't change, skipping", name);
		return 0;
	}
	import_announce(p, s);
	if (!doc && !dep && cached && !o->no_download) {
		warn_empty(p, s->deps[0]);
		warn_empty(p, s->outs[0]);
		return import_clear_place(p, s->outs[0], false, e) || place(p, s->outs[0], false, e) ? -1 : 0;
	}
	return bring(p, s, false, o->no_download, false, o->jobs, e);
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
	if (!o->to_remote && !o->no_download)   /* else the old one stays, and 'status' tells it: as DVC */
		pointer_renew_md5(s);
	if (!rc)
		rc = finish(p, s, e);
	pathlock_release(lock);
	return rc;
}

/* The remote that an output was last pushed to by name (versioned.h), or its own. */
static const char *pushed_to(const struct item *o)
{
	const struct node *cloud = o->cloud;

	if (o->remote || o->meta.remote)
		return o->remote ? o->remote : o->meta.remote;
	if (!cloud && o->files && o->files->n)
		cloud = node_get(o->files->v[0], "cloud");
	return cloud && cloud->n ? cloud->k[0]->text : NULL;
}

static int update_worktree_out(struct project *p, struct item *o, struct err *e)
{
	autofree char *remote = xstrdup(pushed_to(o));  /* the record of it changes */
	autofree char *shown = item_show(o, p->repo->cwd_rel), *file = NULL;

	if (!remote) {
		notice(NOTICE_WARN, "Could not update '%s', it was never pushed to a remote", shown);
		return 0;
	}
	file = stage_addressing(o->stage, p->repo->cwd_rel);
	if (!versioned_is_worktree(p, remote))
		return err_set(e, ERR_FAIL, "update is not supported for '%s' that is not an import.", file);
	return import_update_worktree(p, o, remote, e);
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

static bool named_before(const struct targets *t, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (t->v[k].stage == t->v[i].stage)
			return true;
	return false;
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
		if (named_before(&t, i))
			continue;
		if (!stage_is_import(t.v[i].stage))
			others = true;
		else if (update_stage(p, t.v[i].stage, o, e))
			return -1;
	}
	if (check_update(o, others, e))
		return -1;
	for (size_t i = 0; i < t.n; i++) {
		struct stage *s = t.v[i].stage;

		if (named_before(&t, i))
			continue;
		for (size_t k = 0; !stage_is_import(s) && k < s->nouts; k++)
			if (s->outs[k]->cache && s->outs[k]->push && update_worktree_out(p, s->outs[k], e))
				return -1;
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

	if (!target || config_check_options(c, url, fs_config, e) || source_open(&s, c, url, NULL, fs_config, jobs, e))
		return -1;
	rc = source_look(s, e);
	if (!rc && !s->present) {
		rc = err_set(e, ERR_NOTFOUND, "The path '%s' does not exist", url);
		if (s->why)
			err_hint(e, "%s", s->why);
	}
	if (!rc)
		rc = source_fetch_over(s, to, e);
	source_close(s);
	return rc;
}

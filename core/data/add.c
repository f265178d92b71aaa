/*
 * add: targets become stages, stages are checked together, then each is hashed, stored, linked and written (K1).
 */
#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"
#include "core/data/add_own.h"
#include "core/data/ignorelines.h"
#include "core/data/metabatch.h"
#include "core/data/project.h"
#include "core/data/track_own.h"
#include "core/data/transfer.h"
#include "core/repo/configschema.h"
#include "core/repo/repo.h"
#include "core/repo/repolock.h"
#include "core/stage/index.h"
#include "core/stage/pointer.h"

#include <unistd.h>

#define LINK_HELP "See <https://dvc.org/doc/user-guide/troubleshooting#cache-types> for more information."

/* One target on its way. */
struct adding {
	char *given;                    /* as typed */
	struct stage *stage;            /* the index's when 'known', else ours */
	struct item *out;
	char *abs;                      /* what is hashed; inside the output when the user named a part of it */
	bool known;
	bool written;                   /* the pointer holds what was hashed, or will with the others' */
	bool linked;                    /* the path is what its object is, as cache.type says, and looks so: */
	struct links_note as;
};
struct addings { struct adding *v; size_t n, cap; };

static void addings_release(struct addings *a)
{
	for (size_t i = 0; i < a->n; i++) {
		free(a->v[i].given);
		free(a->v[i].abs);
		if (!a->v[i].known)
			stage_free(a->v[i].stage);
	}
	free(a->v);
	*a = (struct addings){ NULL, 0, 0 };
}

static int check_symlinks(const struct project *p, const char *abs, struct err *e)
{
	const char *root = p->repo->root;
	autofree char *dir = path_dir(abs);
	struct stat st;

	if (!path_is_inside(dir, root))
		return err_set(e, ERR_FAIL, "Path: %s does not overlap with base path: %s", *dir ? dir : "/", root);
	if (fs_is_dir(abs) && fs_is_link(abs))
		goto refuse;
	for (size_t n = strlen(root) + 1; n < strlen(dir) + 1; n++) {
		autofree char *part = NULL;

		if (dir[n] && dir[n] != '/')
			continue;
		part = xstrndup(dir, n);
		if (!lstat(part, &st) && S_ISLNK(st.st_mode))
			goto refuse;
	}
	return 0;
refuse:
	return err_set(e, ERR_FAIL, "Cannot add files inside symlinked directories to DVC. "
		       "See <https://dvc.org/doc/user-guide/troubleshooting#add-symlink> for more information.");
}

void place_release(struct out_place *w)
{
	free(w->file);
	free(w->wdir);
	free(w->out);
	*w = (struct out_place)OUT_PLACE_INIT;
}

int place_resolve(struct project *p, const char *out, bool always_local, struct out_place *w, struct err *e)
{
	autofree char *abs = path_abs(out), *norm = path_norm(out), *name = NULL;
	const char *base = path_base(norm);

	if (path_is_url(out) || !path_is_inside(abs, p->repo->root)) {
		w->wdir = xstrdup(p->repo->cwd);
		w->out = xstrdup(always_local ? base : out);
	} else {
		if (check_symlinks(p, abs, e))
			return -1;
		w->wdir = path_dir(abs);
		w->out = xstrdup(base);
	}
	name = xasprintf("%s.dvc", base);
	w->file = path_join(w->wdir, name);
	return 0;
}

/* A new stage and DVC's objections to it. */

static int check_directory(const struct project *p, const char *dir, struct err *e)
{
	if (!fs_exists(dir))
		return err_set(e, ERR_FAIL, "stage working dir '%s' does not exist", dir);
	if (!fs_is_dir(dir))
		return err_set(e, ERR_FAIL, "stage working dir '%s' is not directory", dir);
	if (!path_is_inside(dir, p->repo->root))
		return err_set(e, ERR_FAIL, "stage working dir '%s' is outside of DVC repo", dir);
	return 0;
}

/* What the file on disk says beside the output stays (format notes 1.4). */
static int restore_fields(struct project *p, struct stage *s, struct err *e)
{
	struct srctree *t;
	struct stage *old;
	autofree char *path = repo_abs(p->repo, s->file);

	if (!fs_exists(path))
		return 0;
	if (project_workspace(p, &t, e) || pointer_load(&old, p->repo, t, s->file, e))
		return -1;
	s->desc = take(old->desc);
	s->meta = take(old->meta);
	for (size_t i = 0; i < s->nouts; i++) {
		for (size_t k = 0; k < old->nouts; k++) {
			struct item *to = s->outs[i], *from = old->outs[k];

			if (strcmp(to->def, from->def))
				continue;
			to->desc = take(from->desc);
			to->type = take(from->type);
			to->labels = take(from->labels);
			to->annot_meta = take(from->annot_meta);
			to->remote = take(from->remote);
			to->can_push = to->push = from->can_push;
		}
	}
	stage_free(old);
	return 0;
}

int place_create(struct project *p, const struct out_place *w, struct stage **out, struct err *e)
{
	autofree char *rel = NULL, *abs = NULL;
	struct index *x;
	struct stage *s;
	struct item *i;

	if (project_index_some(p, &x, e))
		return -1;
	rel = path_is_inside(w->file, p->repo->root) ? path_rel(w->file, p->repo->root) : NULL;
	if (rel && index_git_ignored(x, rel, false)) {
		autofree char *shown = repo_show(p->repo, rel);

		return err_set(e, ERR_FAIL, "bad DVC file name '%s' is git-ignored.", shown);
	}
	if (check_directory(p, w->wdir, e))
		return -1;
	if (target_is_stage_file(w->out))
		return err_set(e, ERR_FAIL, "DVC file '%s' cannot be an output.", w->out);
	abs = path_is_url(w->out) ? NULL : path_join(w->wdir, w->out);
	if (abs) {
		autofree char *norm = path_norm(abs), *inner = path_rel(norm, p->repo->root);

		if (path_is_inside(norm, p->repo->root) && index_check_ignored(x, inner, e))
			return -1;
	}
	s = stage_new(STAGE_SINGLE, rel, NULL);
	i = stage_add_out(s, w->out);
	stage_localise(s, p->repo->root);
	if (!i->path || !*i->path) {
		autofree char *shown = abs ? path_norm(abs) : xstrdup(w->out);
		autofree char *scheme = path_is_url(w->out) ? configschema_scheme(w->out) : NULL;

		stage_free(s);
		if (scheme && !configschema_remote(scheme)) {
			err_set(e, ERR_CONFIG, "config file error: Unsupported URL type %s://", scheme);
			e->exit_status = 1;
			return -1;
		}
		return err_set(e, ERR_FAIL, "Cached output(s) outside of DVC project: %s. See <https://dvc.org/doc/"
			       "user-guide/data-management/importing-external-data> for more info.", shown);
	}
	if (restore_fields(p, s, e)) {
		stage_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

static int refuse_pipeline(const struct project *p, const struct item *out, const char *name, struct err *e)
{
	autofree char *stage = stage_addressing(out->stage, p->repo->cwd_rel);
	autofree char *file = repo_show(p->repo, out->stage->file);

	return err_set(e, ERR_FAIL, "cannot update '%s': overlaps with an output of stage: '%s' in '%s'.\n"
		       "Run the pipeline or use 'dvc commit' to force update it.", name, stage, file);
}

/* DVC's get_or_create_stage(). */
static int prepare(struct project *p, struct index *x, const char *given, const char *target, bool always_local,
		   struct adding *a, struct err *e)
{
	autocall(place_release) struct out_place w = OUT_PLACE_INIT;
	autofree char *abs = path_abs(target), *rel = NULL;

	if (place_resolve(p, target, always_local, &w, e))
		return -1;
	if (!path_is_url(target) && path_is_inside(abs, p->repo->root)) {
		rel = path_rel(abs, p->repo->root);
		a->out = index_out_of(x, rel);
	}
	if (a->out) {
		a->stage = a->out->stage;
		a->known = true;
		if (!stage_is_data_source(a->stage))
			return refuse_pipeline(p, a->out, w.out, e);
		a->abs = take(abs);
	} else {
		if (place_create(p, &w, &a->stage, e))
			return -1;
		a->out = a->stage->outs[0];
		a->abs = item_abs(a->out, p->repo->root);
	}
	a->given = xstrdup(given);
	return 0;
}

/* All stages as they would be, checked together. */

static bool is_new(const struct addings *a, const struct stage *s)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].stage == s)
			return true;
	return false;
}

static void together(const struct index *x, const struct addings *a, struct index *all)
{
	struct map fresh = MAP_INIT, seen = MAP_INIT;

	*all = (struct index){ .repo = x->repo, .tree = x->tree };
	for (size_t k = 0; k < a->n; k++)
		if (!a->v[k].known)
			map_put(&fresh, a->v[k].stage->file, a->v[k].stage);
	for (size_t i = 0; i < x->n; i++)
		if (x->v[i]->kind != STAGE_SINGLE || !map_has(&fresh, x->v[i]->file))
			index_add(all, x->v[i]);
	for (size_t k = 0; k < a->n; k++)
		if (!map_put(&seen, a->v[k].stage->file, a->v[k].stage) && !a->v[k].known)
			index_add(all, a->v[k].stage);
	map_release(&fresh, NULL);
	map_release(&seen, NULL);
}

static int explain_clash(const struct project *p, const struct addings *a, int kind, const struct item *parent,
			 const struct item *child, struct err *e)
{
	const struct item *other = is_new(a, parent->stage) ? child : parent;
	const char *here = p->repo->cwd_rel;
	autofree char *up = item_show(parent, here), *down = item_show(child, here);
	autofree char *where = stage_addressing(kind == 1 ? other->stage : is_new(a, parent->stage) ? child->stage
						: parent->stage, here);

	if (kind == 1)
		return err_set(e, ERR_FAIL, "output '%s' is already specified in stage: '%s'.\n"
			       "Use `dvc remove %s` to stop tracking the overlapping output.", up, where, where);
	if (is_new(a, parent->stage))
		return err_set(e, ERR_FAIL, "Cannot add '%s', because it is overlapping with other DVC tracked output: '%s'.\n"
			       "To include '%s' in '%s', run 'dvc remove %s' and then 'dvc add %s'",
			       up, down, down, up, where, up);
	return err_set(e, ERR_FAIL, "Cannot add '%s', because it is overlapping with other DVC tracked output: '%s'.\n"
		       "To include '%s' in '%s', run 'dvc commit %s'", down, up, down, up, where);
}

static int check_together(struct project *p, const struct index *x, const struct addings *a, struct err *e)
{
	struct index *all = index_new(x->repo, x->tree);
	struct item *parent, *child;
	int kind, rc;

	together(x, a, all);
	kind = index_find_clash(all, &parent, &child);
	rc = kind ? explain_clash(p, a, kind, parent, child, e) : index_check_graph(all, e);
	all->n = 0;             /* the stages are not its own */
	index_free(all);
	return rc;
}

/* A part of a tracked directory. */

/* Who has not pulled the directory may still add to it: its manifest then comes from the remote. */
static int open_manifest(struct project *p, const struct item *out, struct tree **t, struct err *e)
{
	autoerr struct err why = ERR_INIT;
	struct store *s;
	struct oid id;

	if (!out->hash.value) {
		*t = tree_new();
		return 0;
	}
	if (project_store_of(p, out, &s, e))
		return -1;
	if (hashinfo_oid(&out->hash, &id)) {
		if (!tree_load(t, s, &id, &why))
			return 0;
		err_release(&why);
		if (transfer_manifest(p, out->remote, &id, item_is_legacy(out)) && !tree_load(t, s, &id, &why))
			return 0;
	}
	return err_set(e, ERR_NOTFOUND, "could not read '%s'", out->hash.value);
}

/* Takes out what lies at, below, or in place of a directory above 'inside'. True: something did. */
static bool clear_inside(struct tree *t, const char *inside)
{
	autofree char *up = xstrdup(inside);
	size_t before = t->n;
	char *slash;

	tree_remove_below(t, inside);
	while ((slash = strrchr(up, '/'))) {
		*slash = 0;
		if (tree_find(t, up))
			tree_remove_below(t, up);
	}
	return t->n != before;
}

static void set_manifest(struct item *out, struct tree *t, int64_t size)
{
	bool legacy = item_is_legacy(out);
	struct oid id;

	tree_id(t, &id);
	hashinfo_set_oid(&out->hash, &id);
	if (legacy) {
		autofree char *value = xstrdup(out->hash.value);

		hashinfo_set(&out->hash, "md5-dos2unix", value);
	}
	meta_release(&out->meta);
	out->meta.nfiles = (int64_t)t->n;
	out->meta.size = size;
	node_free(out->files);
	out->files = NULL;
	tree_free(out->tree);
	out->tree = t;
}

static int save_manifest(struct project *p, struct item *out, bool commit, struct err *e)
{
	return commit ? content_store_tree(p, item_is_legacy(out), out->tree, e) : 0;
}

/* The part is gone from the work tree: it leaves the manifest too. */
static int drop_part(struct project *p, struct adding *a, const char *inside, bool commit, struct err *e)
{
	autotree struct tree *t = NULL;

	if (open_manifest(p, a->out, &t, e))
		return -1;
	if (!clear_inside(t, inside))
		return err_set(e, ERR_NOTFOUND, "[Errno 2] No such file or directory: '%s'", a->abs);
	set_manifest(a->out, take(t), -1);
	return save_manifest(p, a->out, commit, e);
}

/* Takes 't', the manifest as it was. */
static int merge_part(struct project *p, struct adding *a, const char *inside, const struct content *c, bool commit,
		      struct tree *t, struct err *e)
{
	int64_t size = a->out->meta.size;
	bool appended;
	struct oid was = { { 0 }, 0 }, now;

	appended = !clear_inside(t, inside);
	for (size_t i = 0; i < c->w.n; i++) {
		const struct walk_file *f = &c->w.f[i];
		autofree char *path = *f->path ? path_join(inside, f->path) : xstrdup(inside);

		tree_add(t, path, &f->id, (int64_t)f->size);
	}
	tree_sort(t);
	tree_id(t, &now);
	if (appended && size > 0)
		size += c->meta.size;
	else if (item_is_legacy(a->out) || !hashinfo_oid(&a->out->hash, &was) || !oid_eq(&was, &now))
		size = -1;      /* DVC compares the names of the hashes too: of a 2.x entry they differ */
	set_manifest(a->out, t, size);
	/* DVC stores the part's own manifest as well. */
	if (commit && c->tree && content_store_tree(p, item_is_legacy(a->out), c->tree, e))
		return -1;
	return save_manifest(p, a->out, commit, e);
}

/* One output */

static int add_whole(struct project *p, struct adding *a, const struct content *c, int legacy, bool commit, struct err *e)
{
	(void)p;
	if (c->tree && commit && content_store_tree(p, legacy, c->tree, e))
		return -1;
	track_set(a->out, c, legacy);
	return 0;
}

/* Where in the output the target lies; NULL: all of it. */
static const char *inside_of(const struct project *p, const struct adding *a)
{
	size_t n = strlen(p->repo->root) + 1 + strlen(a->out->path);

	return strlen(a->abs) > n ? a->abs + n + (*a->out->path ? 1 : 0) : NULL;
}

static int missing_part(struct project *p, struct adding *a, const char *inside, bool commit, struct err *e)
{
	autofree char *out = item_abs(a->out, p->repo->root);

	if (!fs_exists(out)) {
		autofree char *shown = item_show(a->out, p->repo->cwd_rel);

		return err_in(e, "output '%s' does not exist", shown);
	}
	/* A broken link in it is no reason to forget what else it holds. */
	if (!inside || !hashinfo_is_dir(&a->out->hash) || fs_exists(a->abs))
		return -1;
	err_release(e);
	return drop_part(p, a, inside, commit, e);
}

static int hash_and_store(struct project *p, struct adding *a, const struct add_opts *o, bool *unlinked, struct err *e)
{
	autocall(content_release) struct content c = CONTENT_INIT;
	autofree char *whole = item_abs(a->out, p->repo->root), *rel = path_rel(a->abs, p->repo->root);
	const char *inside = inside_of(p, a);
	bool commit = !o->no_commit && a->out->cache;
	autoerr struct err why = ERR_INIT;
	autotree struct tree *t = NULL;
	int legacy = track_keep_legacy(p, a->out, whole, &why);

	if (legacy >= 0 && inside && fs_exists(a->abs) && open_manifest(p, a->out, &t, e))
		return -1;
	if (legacy >= 0 && !content_import(p, a->abs, rel, legacy, commit, !o->no_relink, &c, &why)) {
		if (inside ? merge_part(p, a, inside, &c, commit, take(t), e) : add_whole(p, a, &c, legacy, commit, e))
			return -1;
		if (!commit || o->no_relink)
			return 0;
		c.meta.isexec &= !inside;       /* of a directory's members nothing of the kind is recorded */
		if (content_link(p, a->abs, legacy, &c, unlinked, e))
			return -1;
		a->linked = !*unlinked && content_note(p, rel, &c, &a->as);
		return 0;
	}
	err_move(e, &why);
	return e->code == ERR_NOTFOUND && legacy >= 0 ? missing_part(p, a, inside, commit, e) : -1;
}

/*
 * Pointers and ignore lines of many targets are written together, after all content is stored (K1). What is linked is
 * noted last: a file that was noted and has no pointer is one that checkout takes away.
 */
struct writing { struct metabatch pointers; struct strvec ignored; bool together; };

static int write_down(struct project *p, struct adding *a, struct writing *w, struct err *e)
{
	autofree char *path = repo_abs(p->repo, a->stage->file);
	autostr struct str text = STR_INIT;
	bool same;

	if (!w->together)
		return pointer_save(p->repo, a->stage, e) || track_ignore(p, a->out, e) ? -1 : 0;
	if (pointer_text(p->repo, a->stage, &text, &same, e)
	    || (!same && metabatch_add(&w->pointers, path, str_cstr(&text), text.len, e)))
		return -1;
	repo_wrote(p->repo, path);
	if (track_wants_ignore(p, a->out))
		strvec_take(&w->ignored, item_abs(a->out, p->repo->root));
	return 0;
}

/* The part, not the whole: a later checkout makes it anew. */
static void remember(struct project *p, const struct adding *a)
{
	autofree char *rel = path_rel(a->abs, p->repo->root);

	links_save_note(p, rel, &a->as);
}

/* A later target's failure does not undo the earlier ones, but leaves them without ignore lines, as with DVC. */
static int write_together(struct project *p, const struct addings *a, struct writing *w, bool failed, struct err *e)
{
	autoerr struct err why = ERR_INIT;
	int rc = metabatch_commit(&w->pointers, &why);

	for (size_t i = 0; !rc && i < a->n; i++)
		if (a->v[i].written && a->v[i].linked)
			remember(p, &a->v[i]);
	if (!rc && !failed)
		rc = ignorelines_add(p, &w->ignored, &why);
	metabatch_release(&w->pointers);
	strvec_release(&w->ignored);
	if (rc && !failed)
		err_move(e, &why);
	return rc || failed ? -1 : 0;
}

static int add_one(struct project *p, struct adding *a, const struct add_opts *o, struct writing *w, struct err *e)
{
	autonode struct node *old_files = NULL;
	struct hashinfo old_hash = { NULL, NULL };
	struct meta old_meta = META_INIT;
	bool unlinked = false, versions = a->out->files || a->out->meta.version_id;
	int rc;

	if (a->out->hash.value && !hashinfo_is_dir(&a->out->hash) && inside_of(p, a)) {
		autofree char *shown = item_show(a->out, p->repo->cwd_rel);

		return err_set(e, ERR_FAIL, "Cannot modify '%s' which is being tracked as a file", shown);
	}
	if (!access(a->abs, F_OK) && track_check_git(p, a->out, e))
		return -1;
	if (versions) {
		old_files = a->out->files ? node_copy(a->out->files) : NULL;
		hashinfo_set(&old_hash, a->out->hash.name, a->out->hash.value);
		meta_copy(&old_meta, &a->out->meta);
	}
	rc = hash_and_store(p, a, o, &unlinked, e);
	if (!rc && versions)
		track_keep_versions(a->out, old_files, &old_hash, &old_meta);
	hashinfo_set(&old_hash, NULL, NULL);
	meta_release(&old_meta);
	if (rc)
		return -1;
	if (write_down(p, a, w, e))
		return -1;
	a->written = true;
	if (unlinked)
		strvec_take(&p->unlinked, repo_show(p->repo, a->stage->file));
	return 0;
}

void track_warn_unlinked(struct project *p)
{
	autofree char *all = NULL;

	if (!p->unlinked.n)
		return;
	all = strvec_join(&p->unlinked, " ");
	notice(NOTICE_NOTE, "\nSome targets could not be linked from cache to workspace.\n" LINK_HELP
	       "\nTo re-link these targets, reconfigure cache types and then run:\n\n\tdvc checkout %s", all);
	strvec_reset(&p->unlinked);
}

/* Other processes see which outputs are being written. */
static int lock_outs(struct project *p, const struct addings *a, struct pathlock **out, struct err *e)
{
	autostrvec struct strvec paths = STRVEC_INIT;

	for (size_t i = 0; i < a->n; i++)
		strvec_take(&paths, item_abs(a->v[i].out, p->repo->root));
	return pathlock_take(out, p->repo, NULL, &paths, "git-data add", e);
}

static int add_all(struct project *p, struct addings *a, const struct add_opts *o, struct err *e)
{
	struct writing w = { METABATCH_INIT, STRVEC_INIT, a->n > 1 };
	struct pathlock *lock = NULL;
	int rc = 0;

	if (lock_outs(p, a, &lock, e))
		return -1;
	if (o->to_remote || o->out)
		rc = transfer_add(p, a->v[0].given, a->v[0].out, o, e);
	else
		for (size_t i = 0; i < a->n && !rc; i++)
			rc = add_one(p, &a->v[i], o, &w, e);
	rc = write_together(p, a, &w, rc != 0, e);
	pathlock_release(lock);
	return rc;
}

static int prepare_one(struct project *p, struct index *x, const char *given, const struct add_opts *o, struct addings *a,
		       struct err *e)
{
	autofree char *target = o->out ? place_output(given, o->out, o->force, e) : xstrdup(given);
	struct adding one = { 0 };

	if (!target)
		return -1;
	if (prepare(p, x, given, target, o->to_remote && !o->out, &one, e)) {
		free(one.abs);
		return -1;
	}
	GROW(a->v, a->n, a->cap);
	a->v[a->n++] = one;
	return 0;
}

/* DVC keys its work by the target as typed: the same word twice is one. */
static int prepare_all(struct project *p, struct index *x, const struct strvec *targets, const struct add_opts *o,
		       struct addings *a, struct err *e)
{
	struct map seen = MAP_INIT;
	int rc = 0;

	for (size_t i = 0; !rc && i < targets->n; i++)
		if (!map_put(&seen, targets->v[i], a))
			rc = prepare_one(p, x, targets->v[i], o, a, e);
	map_release(&seen, NULL);
	return rc;
}

int track_add(struct project *p, const struct strvec *targets, const struct add_opts *o, struct err *e)
{
	autostrvec struct strvec expanded = STRVEC_INIT;
	autocall(addings_release) struct addings a = { NULL, 0, 0 };
	struct index *x;
	int rc;

	if (o->glob) {
		if (target_glob(targets, &expanded, e))
			return -1;
		targets = &expanded;
	}
	if (project_index(p, &x, e) || index_check_graph(x, e) || prepare_all(p, x, targets, o, &a, e)
	    || check_together(p, x, &a, e))
		return -1;
	rc = add_all(p, &a, o, e);
	track_warn_unlinked(p);
	return track_finish(p, rc);
}

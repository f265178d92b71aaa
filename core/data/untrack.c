/*
 * remove, move, unprotect.
 */
#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/temps.h"
#include "core/data/add_own.h"
#include "core/data/copytree.h"
#include "core/data/movelog.h"
#include "core/data/project.h"
#include "core/data/track_own.h"
#include "core/repo/repo.h"
#include "core/repo/repolock.h"
#include "core/stage/dvcyaml.h"
#include "core/stage/index.h"
#include "core/stage/pointer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* unprotect */

static int unprotect_at(int dir, const char *name, const char *shown, bool top, struct err *e);

static int unprotect_dir(int fd, const char *shown, struct err *e)
{
	DIR *d = fdopendir(fd);
	struct dirent *de;
	int rc = 0, more = 0;

	if (!d) {
		err_sys(e, "cannot read '%s'", shown);
		close(fd);
		return -1;
	}
	while (!rc && (more = fs_next_entry(d, &de, shown, e)) > 0) {
		autofree char *path = NULL;

		if (fs_is_temp_name(de->d_name))
			continue;
		path = path_join(shown, de->d_name);
		rc = unprotect_at(dirfd(d), de->d_name, path, false, e);
	}
	closedir(d);
	return rc ? rc : more;
}

static int unprotect_at(int dir, const char *name, const char *shown, bool top, struct err *e)
{
	mode_t want = 0666 & ~fs_umask();
	struct stat st, to;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) || fstatat(dir, name, &to, 0))
		return err_sys(e, "cannot look at '%s'", shown);
	if (S_ISDIR(st.st_mode) || (top && S_ISDIR(to.st_mode))) {
		int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		return fd < 0 ? err_sys(e, "cannot open '%s'", shown) : unprotect_dir(fd, shown, e);
	}
	if (!S_ISREG(to.st_mode))
		return 0;
	if ((S_ISLNK(st.st_mode) || st.st_nlink > 1) && copy_in_place(dir, name, 0, shown, e))
		return -1;
	if ((st.st_mode & 07777) == want && !S_ISLNK(st.st_mode) && st.st_nlink == 1)
		return 0;
	return fchmodat(dir, name, want, 0) ? err_sys(e, "cannot set the mode of '%s'", shown) : 0;
}

int track_unprotect(const char *path, struct err *e)
{
	if (access(path, F_OK))
		return err_set(e, ERR_NOTFOUND, "unexpected error - can't unprotect non-existing data '%s'", path);
	return unprotect_at(AT_FDCWD, path, path, true, e);
}

/* remove */

static int drop_outs(struct project *p, struct stage *s, bool outs, struct err *e)
{
	for (size_t i = 0; i < s->nouts; i++) {
		struct item *out = s->outs[i];
		autofree char *abs = item_abs(out, p->repo->root);

		if (!abs)
			continue;
		if (outs && track_remove_out(p, out, e))
			return -1;
		if (!outs && out->cache && out->path && !access(abs, F_OK) && track_unprotect(abs, e))
			return -1;
		if (track_unignore(p, out, e))
			return -1;
	}
	return 0;
}

static int remove_stage(struct project *p, struct stage *s, bool outs, struct err *e)
{
	autofree char *path = repo_abs(p->repo, s->file);
	struct pathlock *lock = NULL;
	int rc;

	if (s->kind == STAGE_PIPELINE && s->is_parametrized)    /* refused before anything is gone */
		return dvcyaml_remove_stage(p->repo, s, e);
	if (track_lock(p, s, false, "git-data remove", &lock, e))
		return -1;
	rc = drop_outs(p, s, outs, e);
	if (!rc && s->kind == STAGE_PIPELINE)
		rc = dvcyaml_remove_stage(p->repo, s, e);
	else if (!rc && unlink(path) && errno != ENOENT)
		rc = err_sys(e, "cannot remove '%s'", s->file);
	pathlock_release(lock);
	return rc;
}

/* A tracked file was named instead of its .dvc file. */
static int suggest(const char *target, struct err *e)
{
	autofree char *name = xasprintf("%s.dvc", target);

	if (e->report || !fs_exists(name) || (e->code != ERR_NOTFOUND && !str_starts(e->msg, "Stage '")))
		return -1;
	if (fs_is_dir(name))
		return err_in(e, "'%s' is not a .dvc file", target);
	return err_in(e, "'%s' is not a .dvc file. Do you mean '%s'?", target, name);
}

int track_remove(struct project *p, const char *target, bool outs, struct err *e)
{
	autocall(targets_release) struct targets t = { NULL, 0, 0 };
	autostrvec struct strvec names = STRVEC_INIT;
	struct index *x;
	int rc = 0;

	strvec_push(&names, target);
	if (project_index_some(p, &x, e))
		return -1;
	if (index_targets(x, &names, TARGET_STAGES_ONLY | TARGET_NO_GROUP, &t, e))
		return suggest(target, e);
	for (size_t i = 0; i < t.n && !rc; i++)
		rc = remove_stage(p, t.v[i].stage, outs, e);
	targets_release(&t);
	project_index_drop(p);
	return rc;
}

/* move */

static int fail_pipeline(const struct project *p, const struct stage *s, struct err *e)
{
	autofree char *name = stage_addressing(s, p->repo->cwd_rel);

	return err_set(e, ERR_FAIL, "move is not permitted for stages that are not data sources. You need to either move "
		       "'%s' to a new location and edit it by hand, or remove '%s' and create a new one at the desired "
		       "location.", name, name);
}

static int find_source(struct project *p, const char *from, struct item **out, struct err *e)
{
	autofree char *rel = NULL, *abs = path_abs(from);
	autoerr struct err outside = ERR_INIT;
	struct index *x;

	if (target_is_stage_file(from))
		return err_set(e, ERR_FAIL, "DVC file '%s' cannot be an output.", from);
	if (project_index(p, &x, e) || index_check_graph(x, e))
		return -1;
	rel = repo_rel(p->repo, from, &outside);
	*out = rel ? index_out_at(x, rel) : NULL;
	if (!*out) {
		autofree char *shown = path_rel(abs, p->repo->cwd);

		return err_set(e, ERR_FAIL, "Unable to find DVC file with output '%s'", shown);
	}
	return stage_is_data_source((*out)->stage) ? 0 : fail_pipeline(p, (*out)->stage, e);
}

/* The stage as it will be, in a file of its own name; checked beside all others as DVC does (the old one included). */
static int create_moved(struct project *p, const struct stage *old, const char *to, struct stage **out, struct err *e)
{
	autocall(place_release) struct out_place w = OUT_PLACE_INIT;
	autofree char *abs = path_abs(to), *shown = xasprintf("%s.dvc", to);
	struct index *x, *all;
	int rc;

	w.wdir = str_ends(to, "/") ? xstrdup(abs) : path_dir(abs);      /* a directory that is not there: refused */
	w.out = xstrdup(path_base(abs));
	w.file = xasprintf("%s.dvc", abs);
	if (place_create(p, &w, out, e))
		return -1;
	if (fs_exists(w.file)) {
		stage_free(take(*out));
		return err_set(e, ERR_EXISTS, "'%s' already exists", shown);
	}
	(*out)->desc = xstrdup(old->desc);
	(*out)->frozen = old->frozen;
	(*out)->always_changed = old->always_changed;
	(*out)->meta = old->meta ? node_copy(old->meta) : NULL;
	if (project_index(p, &x, e))
		return -1;
	all = index_new(x->repo, x->tree);
	for (size_t i = 0; i < x->n; i++)
		index_add(all, x->v[i]);
	index_add(all, *out);
	rc = index_check_graph(all, e);
	all->n = 0;
	index_free(all);
	if (rc)
		stage_free(take(*out));
	return rc;
}

/* To another file system: the copy, links and modes and times with it, is whole before it takes the name. */
static int move_across(const char *from, const char *to, struct err *e)
{
	autofree char *dir = path_dir(to), *tmp = temps_path(dir);
	const char *argv[] = { "cp", "-a", "--", from, tmp, NULL };
	autostr struct str out = STR_INIT, errs = STR_INIT;
	autoerr struct err none = ERR_INIT;
	int status = 0, rc = proc_run(argv, NULL, NULL, 0, &out, &errs, &status, e);

	if (!rc && status)
		rc = err_set(e, ERR_FAIL, "cannot copy '%s' to '%s': %s", from, to, str_cstr(&errs));
	if (!rc && renameat2(AT_FDCWD, tmp, AT_FDCWD, to, RENAME_NOREPLACE) && (errno != EINVAL || rename(tmp, to)))
		rc = err_sys(e, "cannot rename '%s' to '%s'", from, to);
	if (rc)
		fs_rm_tree(tmp, &none);
	return rc ? -1 : fs_rm_tree(from, e);
}

/* Old bytes are never written over: the new name must be free. */
static int rename_data(const char *from, const char *to, struct err *e)
{
	if (!fs_exists(from)) {
		notice(NOTICE_WARN, "'%s' missing", from);
		return 0;
	}
	if (fs_exists(to))
		return err_set(e, ERR_EXISTS, "The %s '%s' already exists locally", fs_is_dir(to) ? "directory" : "file", to);
	if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) || (errno == EINVAL && !rename(from, to)))
		return 0;
	return errno == EXDEV ? move_across(from, to, e) : err_sys(e, "cannot rename '%s' to '%s'", from, to);
}

static void copy_items(const struct stage *old, struct stage *s, const struct project *p)
{
	struct item *to = s->outs[0];
	const struct item *from = old->outs[0];

	hashinfo_set(&to->hash, from->hash.name, from->hash.value);
	meta_copy(&to->meta, &from->meta);
	to->cache = from->cache;
	to->persist = from->persist;
	to->push = to->can_push = from->can_push;
	to->remote = xstrdup(from->remote);
	to->desc = xstrdup(from->desc);
	to->type = xstrdup(from->type);
	to->labels = from->labels ? node_copy(from->labels) : NULL;
	to->annot_meta = from->annot_meta ? node_copy(from->annot_meta) : NULL;
	to->files = from->files ? node_copy(from->files) : NULL;
	to->fs_config = from->fs_config ? node_copy(from->fs_config) : NULL;
	for (size_t i = 0; i < old->ndeps; i++) {
		const struct item *d = old->deps[i];
		autofree char *abs = item_abs(d, p->repo->root), *wdir = path_join(p->repo->root, s->wdir);
		autofree char *def = abs && *d->def != '/' ? path_rel(abs, wdir) : xstrdup(d->def);
		struct item *n = stage_add_dep(s, def, d->kind);

		hashinfo_set(&n->hash, d->hash.name, d->hash.value);
		meta_copy(&n->meta, &d->meta);
		n->repo = d->repo ? node_copy(d->repo) : NULL;
		n->db = d->db ? node_copy(d->db) : NULL;
		n->files = d->files ? node_copy(d->files) : NULL;
		n->fs_config = d->fs_config ? node_copy(d->fs_config) : NULL;
	}
}

/* DVC commits what was moved, yet the pointer keeps the hash it had. */
static int keep_moved(struct project *p, struct item *out, struct err *e)
{
	autofree char *abs = item_abs(out, p->repo->root), *value = xstrdup(out->hash.value);
	autofree char *name = xstrdup(out->hash.name);
	struct meta was = { 0 };
	int rc;

	if (!out->cache || !fs_exists(abs))
		return 0;
	meta_copy(&was, &out->meta);
	rc = track_save(p, out, TRACK_NO_GIT, e);
	hashinfo_set(&out->hash, name, value);
	meta_copy(&out->meta, &was);
	meta_release(&was);
	return rc;
}

/* The old pointer still stands: what it names gets its place again, and the same command can be given once more. */
static int undo_move(const char *from, const char *to, const char *new_file)
{
	autoerr struct err none = ERR_INIT;

	unlink(new_file);
	rename_data(to, from, &none);
	return -1;
}

/* Data, new pointer, new ignore line, then the old pointer and its ignore line: a crash loses neither. */
static int move_to(struct project *p, struct item *out, struct stage *s, struct err *e)
{
	autofree char *from = item_abs(out, p->repo->root), *to = item_abs(s->outs[0], p->repo->root);
	autofree char *old_file = repo_abs(p->repo, out->stage->file), *new_file = repo_abs(p->repo, s->file);
	bool other;

	if (!s->outs[0]->path)
		return err_set(e, ERR_FAIL, "Cached output(s) outside of DVC project: %s. See <https://dvc.org/doc/user-guide/"
			       "data-management/importing-external-data> for more info.", to);
	if (track_check_git(p, s->outs[0], e) || movelog_begin(p->repo, out, s, e) || rename_data(from, to, e))
		return -1;
	proc_fault("move.renamed");
	if (track_is_empty(to))
		track_say_empty(p, s->outs[0]);
	pointer_renew_md5(s);
	other = strcmp(out->stage->file, s->file);
	if (pointer_save(p->repo, s, e) || track_ignore(p, s->outs[0], e))
		return other ? undo_move(from, to, new_file) : -1;
	if (other && unlink(old_file) && errno != ENOENT) {
		err_sys(e, "cannot remove '%s'", out->stage->file);
		return undo_move(from, to, new_file);
	}
	if (other)
		repo_wrote(p->repo, old_file);
	return track_unignore(p, out, e) || keep_moved(p, s->outs[0], e) ? -1 : 0;
}

static int with_stage_locked(struct project *p, struct item *out, struct stage *s, struct err *e)
{
	autofree char *from = item_abs(out, p->repo->root);
	struct pathlock *lock = NULL;
	int rc = track_lock(p, out->stage, false, "git-data move", &lock, e);

	if (!rc) {
		rc = move_to(p, out, s, e);
		if (!rc || fs_exists(from))     /* else it could not be undone, and is for the next command */
			movelog_end(p->repo);
	}
	pathlock_release(lock);
	return rc;
}

/* The stage file has another name than its output: only the path in it changes. */
static struct stage *renamed_in_place(const struct project *p, const struct stage *old, const char *to)
{
	autofree char *abs = path_abs(to), *wdir = path_join(p->repo->root, old->wdir), *def = path_rel(abs, wdir);
	struct stage *s = stage_new(STAGE_SINGLE, old->file, NULL);

	stage_set_wdir(s, old->wdir_def);
	stage_add_out(s, def);
	s->desc = xstrdup(old->desc);
	s->frozen = old->frozen;
	s->always_changed = old->always_changed;
	s->meta = old->meta ? node_copy(old->meta) : NULL;
	return s;
}

int track_move(struct project *p, const char *from, const char *to, struct err *e)
{
	autofree char *dst = NULL, *file = NULL, *expect = NULL, *norm = path_norm(from);
	struct stage *s = NULL;
	struct item *out = NULL;
	int rc;

	if (find_source(p, from, &out, e))
		return -1;
	dst = fs_is_dir(to) ? path_join(to, path_base(norm)) : xstrdup(to);
	file = xstrdup(path_base(out->stage->file));
	expect = xasprintf("%s.dvc", path_base(out->path));
	if (strcmp(file, expect))
		s = renamed_in_place(p, out->stage, dst);
	else if (create_moved(p, out->stage, dst, &s, e))
		return -1;
	copy_items(out->stage, s, p);
	rc = with_stage_locked(p, out, s, e);
	stage_free(s);
	return track_finish(p, rc);
}

#include "core/pipeline/record.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/temps.h"
#include "core/data/project.h"
#include "core/data/source.h"
#include "core/data/compare.h"
#include "core/data/copytree.h"
#include "core/data/ignorelines.h"
#include "core/data/track.h"
#include "core/repo/repo.h"
#include "core/stage/datasets.h"
#include "core/stage/index.h"
#include "core/stage/params.h"
#include "core/stage/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int pick_params(struct project *p, struct item *d, const struct node *doc, struct err *e)
{
	autofree char *shown = item_show(d, p->repo->cwd_rel);
	autostrvec struct strvec absent = STRVEC_INIT;
	autonode struct node *values = node_map();

	for (size_t i = 0; i < d->params.n; i++) {
		const struct node *v = NULL;
		int hit = params_lookup(doc, d->params.v[i], &v, e);

		if (hit < 0)
			return -1;
		if (hit)
			node_set(values, d->params.v[i], node_copy(v));
		else if (!strvec_has(&absent, d->params.v[i]))
			strvec_push(&absent, d->params.v[i]);
	}
	if (absent.n) {
		autofree char *names = strvec_join(&absent, ", ");

		return err_set(e, ERR_FAIL, "Parameters '%s' are missing from '%s'.", names, shown);
	}
	if (!d->params.n) {
		if (params_whole(doc, e))
			return -1;
		node_free(values);
		values = node_copy(doc);
	}
	node_free(d->param_values);
	d->param_values = take(values);
	return 0;
}

static int record_params(struct project *p, struct item *d, bool hashing, struct err *e)
{
	autofree char *abs = item_abs(d, p->repo->root);
	autofree char *shown = item_show(d, p->repo->cwd_rel);
	autonode struct node *doc = NULL;

	if (!abs || !fs_exists(abs)) {
		if (!hashing)
			return err_set(e, ERR_NOTFOUND, "dependency '%s' does not exist", shown);
		doc = node_map();
	} else if (compare_load_params(p, d, abs, &doc, e)) {
		return -1;
	}
	return pick_params(p, d, doc, e);
}

static int record_remote(struct project *p, struct item *d, struct err *e)
{
	struct source *src;
	int rc;

	if (source_open_item(p, d, 0, &src, e))
		return -1;
	rc = source_hash(p, src, &d->hash, &d->meta, e);
	source_close(src);
	return rc;
}

static int record_dataset(struct project *p, struct item *d, struct err *e)
{
	const struct node *all;
	struct node *lock;
	bool stale;

	if (project_datasets(p, &all, e) || datasets_lock(all, d->def, &lock, &stale, e))
		return -1;
	if (!lock && stale)
		return err_set(e, ERR_FAIL, "Dataset information is not in sync. Run 'dvc ds update %.*s' to sync.",
			       (int)strcspn(d->def + 5, "/?#"), d->def + 5);
	if (!lock)
		return err_set(e, ERR_FAIL, "Dataset information missing from dvc.lock file");
	node_free(d->dataset);
	d->dataset = lock;
	return 0;
}

static int file_there(const char *abs, struct err *e)
{
	if (abs && access(abs, F_OK))
		return err_set(e, ERR_NOTFOUND, "[Errno 2] No such file or directory: '%s'", abs);
	return 0;
}

int record_deps_there(struct project *p, const struct stage *s, struct err *e)
{
	for (size_t i = 0; i < s->ndeps; i++) {
		autofree char *abs = s->deps[i]->kind == DEP_PATH ? item_abs(s->deps[i], p->repo->root) : NULL;

		if (file_there(abs, e))
			return -1;
	}
	return 0;
}

static int record_dep(struct project *p, struct item *d, unsigned flags, struct err *e)
{
	autofree char *abs = NULL;

	switch (d->kind) {
	case DEP_PARAMS:
		return record_params(p, d, flags & RECORD_HASHING, e);
	case DEP_PATH:
		abs = item_abs(d, p->repo->root);
		if (abs && (flags & RECORD_LENIENT) && access(abs, F_OK))
			return 0;
		if ((flags & RECORD_HASHING) && file_there(abs, e))
			return -1;
		return track_save(p, d, 0, e);
	case DEP_URL:
		return record_remote(p, d, e);
	case DEP_DATASET:
		return record_dataset(p, d, e);
	default:
		return 0;
	}
}

int record_deps(struct project *p, struct stage *s, unsigned flags, struct err *e)
{
	for (size_t i = 0; i < s->ndeps; i++)
		if (record_dep(p, s->deps[i], flags, e))
			return -1;
	return 0;
}

int record_outs(struct project *p, struct stage *s, unsigned flags, struct err *e)
{
	/* one that is missing is said before the content of the others enters the cache */
	for (size_t i = 0; !(flags & RECORD_LENIENT) && i < s->nouts; i++) {
		autofree char *abs = item_abs(s->outs[i], p->repo->root);

		if (abs && access(abs, F_OK) && track_save(p, s->outs[i], TRACK_NO_COMMIT, e))
			return -1;
	}
	for (size_t i = 0; i < s->nouts; i++) {
		autofree char *abs = item_abs(s->outs[i], p->repo->root);

		if (abs && (flags & RECORD_LENIENT) && access(abs, F_OK))
			continue;
		if (track_save(p, s->outs[i], flags & RECORD_NO_COMMIT ? TRACK_NO_COMMIT : 0, e))
			return -1;
	}
	return 0;
}

int record_check_outs(struct project *p, const struct stage *s, struct err *e)
{
	autostr struct str list = STR_INIT;
	size_t n = 0;

	for (size_t i = 0; i < s->nouts; i++) {
		autofree char *abs = item_abs(s->outs[i], p->repo->root);
		autofree char *shown = item_show(s->outs[i], p->repo->cwd_rel);

		if (!abs || !access(abs, F_OK))
			continue;
		str_addf(&list, "%s%s", n++ ? ", " : "", shown);
	}
	return n ? err_set(e, ERR_NOTFOUND, "missing data 'source%s': %s", n > 1 ? "s" : "", str_cstr(&list)) : 0;
}

static int unprotect_at(int dir, const char *name, int depth, struct err *e)
{
	struct stat st, to;
	struct dirent *de;
	DIR *d;
	int fd, rc = 0, more = 0;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : err_sys(e, "cannot look at '%s'", name);
	if (S_ISREG(st.st_mode) && st.st_nlink < 2 && (st.st_mode & 0200))
		return 0;
	if (S_ISLNK(st.st_mode) && fstatat(dir, name, &to, 0) && errno == ENOENT)
		return 0;
	if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode))
		return copy_in_place(dir, name, S_ISREG(st.st_mode) && (st.st_mode & 0100) ?
				     (0666 & ~fs_umask()) | 0100 : 0, name, e);
	if (!S_ISDIR(st.st_mode) || depth > 256)
		return 0;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		return err_sys(e, "cannot open '%s'", name);
	while (!rc && (more = fs_next_entry(d, &de, name, e)) > 0)
		rc = unprotect_at(fd, de->d_name, depth + 1, e);
	closedir(d);
	return rc ? rc : more;
}

int record_unprotect(struct project *p, const struct stage *s, struct err *e)
{
	for (size_t i = 0; i < s->nouts; i++) {
		autofree char *abs = NULL;

		if (!s->outs[i]->persist || !s->outs[i]->cache || !s->outs[i]->path)
			continue;
		abs = item_abs(s->outs[i], p->repo->root);
		if (unprotect_at(AT_FDCWD, abs, 0, e))
			return err_in(e, "cannot unprotect '%s'", s->outs[i]->def);
	}
	return 0;
}

int record_ignore(struct project *p, const struct strvec *paths, struct err *e)
{
	autostrvec struct strvec abs = STRVEC_INIT;

	if (p->repo->no_scm || !p->repo->scm_root)
		return 0;
	for (size_t i = 0; i < paths->n; i++) {
		autofree char *path = repo_abs(p->repo, paths->v[i]);
		autofree char *dir = path_dir(path);

		if (fs_is_dir(dir))     /* else the stage makes it */
			strvec_push(&abs, path);
	}
	return abs.n ? ignorelines_add(p, &abs, e) : 0;
}

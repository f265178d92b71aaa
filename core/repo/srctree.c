/* srctree - the work tree or a commit's tree under one roof. See srctree.h. */
#include "core/repo/srctree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/repo/gitrepo.h"
#include "core/repo/ignore.h"
#include "core/repo/repo.h"

#define WALK_DEPTH_MAX 2048

struct srctree {
	struct repo *repo;
	struct ignore *ignore;
	bool own_ignore;                /* not the repository's */
	struct ignore *git_ignore;      /* work tree with git */
	char *prefix;                   /* the DVC root below the git root; "" when they are one */
	/* a commit */
	struct gittree *tree;
	char sha[41];
	struct map dirs;                /* rel -> struct dirlist, filled by one walk when first needed */
	bool listed;
};

/* --- a commit's tree ----------------------------------------------------------------------------------------------- */

struct entry { char *name; int kind; };
struct dirlist { struct entry *v; size_t n, cap; };

static void dirlist_free(void *p)
{
	struct dirlist *d = p;

	for (size_t i = 0; i < d->n; i++)
		free(d->v[i].name);
	free(d->v);
	free(d);
}

/* Name in the git tree of a root-relative name. */
static char *git_name(const struct srctree *t, const char *rel)
{
	return *t->prefix && *rel ? path_join(t->prefix, rel) : xstrdup(*rel ? rel : t->prefix);
}

static bool tree_read(void *data, const char *rel, struct str *out)
{
	struct srctree *t = data;
	autofree char *name = git_name(t, rel);
	autoerr struct err e = ERR_INIT;

	return gittree_kind(t->tree, name, NULL, NULL) == 1 && !gittree_read(t->tree, name, 16u << 20, out, &e);
}

static bool tree_has_dir(void *data, const char *rel)
{
	struct srctree *t = data;
	autofree char *name = git_name(t, rel);

	return gittree_kind(t->tree, name, NULL, NULL) != 0;
}

int srctree_rev(struct srctree **out, struct repo *r, const char *rev, struct err *e)
{
	struct gitrepo *g;
	struct srctree *t;
	struct ignore_source src = { tree_read, tree_has_dir, NULL };

	if (repo_git(r, &g, e))
		return -1;
	if (!g)
		return err_set(e, ERR_FAIL, "unknown Git revision '%s'", rev);
	t = xcalloc(1, sizeof(*t));
	t->repo = r;
	t->prefix = path_rel(r->root, r->scm_root);
	if (!strcmp(t->prefix, "."))
		t->prefix[0] = 0;
	src.data = t;
	t->ignore = ignore_open_source(&src);
	t->own_ignore = true;
	if (gitrepo_resolve(g, rev, t->sha, e) || gittree_open(&t->tree, g, t->sha, e)) {
		srctree_close(t);
		return -1;
	}
	*out = t;
	return 0;
}

/* Only directories and the files a walk asks for are kept. */
static bool is_stage_file(const char *name)
{
	size_t n = strlen(name);

	return !strcmp(name, "dvc.yaml") || (n > 4 && !strcmp(name + n - 4, ".dvc")) || !strcmp(name, ".dvc");
}

static int list_entry(const char *rel, int kind, void *data, struct err *e)
{
	struct srctree *t = data;
	const char *own = *t->prefix ? rel + strlen(t->prefix) + 1 : rel;
	autofree char *up = path_dir(own);
	const char *name = path_base(own);
	struct dirlist *d;

	(void)e;
	if (kind != 2 && !is_stage_file(name))
		return 0;
	d = map_get(&t->dirs, up);
	if (!d) {
		d = xcalloc(1, sizeof(*d));
		map_put(&t->dirs, up, d);
	}
	GROW(d->v, d->n, d->cap);
	d->v[d->n++] = (struct entry){ xstrdup(name), kind };
	return kind == 2 && (!strcmp(name, ".git") || srctree_is_ignored(t, own, true));
}

static int list_tree(struct srctree *t, struct err *e)
{
	if (t->listed)
		return 0;
	t->listed = true;
	return gittree_walk(t->tree, t->prefix, list_entry, t, e);
}

/* --- both ---------------------------------------------------------------------------------------------------------- */

int srctree_workspace(struct srctree **out, struct repo *r, struct err *e)
{
	struct srctree *t = xcalloc(1, sizeof(*t));
	autofree char *git = NULL;

	t->repo = r;
	t->prefix = r->scm_root ? path_rel(r->root, r->scm_root) : xstrdup("");
	if (!strcmp(t->prefix, "."))
		t->prefix[0] = 0;
	if (repo_ignore(r, &t->ignore, e)) {
		srctree_close(t);
		return -1;
	}
	if (r->scm_root) {
		git = git_find_dir(r->scm_root);
		if (git)
			t->git_ignore = ignore_open_git(r->scm_root, git);
	}
	*out = t;
	return 0;
}

void srctree_close(struct srctree *t)
{
	if (!t)
		return;
	if (t->tree)
		gittree_close(t->tree);
	if (t->own_ignore)
		ignore_close(t->ignore);
	ignore_close(t->git_ignore);
	map_release(&t->dirs, dirlist_free);
	free(t->prefix);
	free(t);
}

bool srctree_is_workspace(const struct srctree *t)
{
	return !t->tree;
}

const char *srctree_rev_name(const struct srctree *t)
{
	return t->tree ? t->sha : NULL;
}

int srctree_read(struct srctree *t, const char *rel, uint64_t max, struct str *out, struct err *e)
{
	autofree char *path = NULL;

	if (t->tree) {
		path = git_name(t, rel);
		return gittree_read(t->tree, path, max, out, e);
	}
	path = repo_abs(t->repo, rel);
	return fs_read(out, path, max, e);
}

bool srctree_is_file(struct srctree *t, const char *rel)
{
	autofree char *path = NULL;
	struct stat st;

	if (t->tree) {
		path = git_name(t, rel);
		return gittree_kind(t->tree, path, NULL, NULL) == 1;
	}
	path = repo_abs(t->repo, rel);
	return !stat(path, &st) && S_ISREG(st.st_mode);
}

bool srctree_is_dir(struct srctree *t, const char *rel)
{
	autofree char *path = NULL;

	if (t->tree) {
		path = git_name(t, rel);
		return !*path || gittree_kind(t->tree, path, NULL, NULL) == 2;
	}
	path = repo_abs(t->repo, rel);
	return fs_is_dir(path);
}

bool srctree_is_ignored(struct srctree *t, const char *rel, bool is_dir)
{
	return ignore_is(t->ignore, rel, is_dir);
}

bool srctree_is_git_ignored(struct srctree *t, const char *rel, bool is_dir)
{
	autofree char *name = NULL;

	if (!t->git_ignore)
		return false;
	name = git_name(t, rel);
	return ignore_is(t->git_ignore, name, is_dir);
}

/* --- the walk ------------------------------------------------------------------------------------------------------ */

struct walk {
	struct srctree *t;
	srctree_fn *fn;
	srctree_prune_fn *prune;
	void *data;
};

static bool is_valid_name(const char *name)
{
	size_t n = strlen(name);

	return !strcmp(name, "dvc.yaml") || (n >= 4 && !strcmp(name + n - 4, ".dvc"));
}

static char *below(const char *dir, const char *name)
{
	return *dir ? xasprintf("%s/%s", dir, name) : xstrdup(name);
}

static int walk_visit(struct walk *w, const char *rel, struct err *e)
{
	if (srctree_is_ignored(w->t, rel, false) || srctree_is_git_ignored(w->t, rel, false))
		return 0;
	return w->fn(rel, w->data, e);
}

static bool walk_enters(struct walk *w, const char *rel)
{
	return !(w->prune && w->prune(rel, w->data)) && !srctree_is_ignored(w->t, rel, true) &&
		!srctree_is_git_ignored(w->t, rel, true);
}

/* Files in the directory's own order, as os.walk gives them to DVC; *dirs gets what may be entered. */
static int read_directory(int fd, struct strvec *files, struct strvec *dirs, const char *rel, struct err *e)
{
	int own = dup(fd);
	DIR *d = own < 0 ? NULL : fdopendir(own);
	struct dirent *de;
	int saved;

	if (!d) {
		saved = errno;
		if (own >= 0)
			close(own);
		errno = saved;
		return err_sys(e, "cannot read directory '%s'", *rel ? rel : ".");
	}
	while ((errno = 0, de = readdir(d))) {
		int type = de->d_type;
		struct stat st;

		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		if (type == DT_UNKNOWN && !fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW))
			type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISLNK(st.st_mode) ? DT_LNK : DT_REG;
		if (type == DT_DIR)
			strvec_push(dirs, de->d_name);
		else if (is_valid_name(de->d_name) &&
			 !(type == DT_LNK && !fstatat(fd, de->d_name, &st, 0) && S_ISDIR(st.st_mode)))
			strvec_push(files, de->d_name);
	}
	saved = errno;
	closedir(d);
	errno = saved;
	return saved ? err_sys(e, "cannot read directory '%s'", *rel ? rel : ".") : 0;
}

static int walk_work(struct walk *w, int fd, const char *rel, int depth, struct err *e)
{
	autostrvec struct strvec files = STRVEC_INIT, dirs = STRVEC_INIT;

	if (depth > WALK_DEPTH_MAX)
		return err_set(e, ERR_UNSAFE, "directory '%s' is nested too deeply", rel);
	if (proc_check(e) || read_directory(fd, &files, &dirs, rel, e))
		return -1;
	for (size_t i = 0; i < files.n; i++) {
		autofree char *name = below(rel, files.v[i]);

		if (walk_visit(w, name, e))
			return -1;
	}
	strvec_release(&files);
	for (size_t i = 0; i < dirs.n; i++) {
		autofree char *name = below(rel, dirs.v[i]);
		autoclose int sub = -1;

		if (!walk_enters(w, name))
			continue;
		sub = openat(fd, dirs.v[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0)            /* gone or closed to us: DVC's walk passes over it too */
			continue;
		if (walk_work(w, sub, name, depth + 1, e))
			return -1;
	}
	return 0;
}

static int walk_listed(struct walk *w, const char *rel, int depth, struct err *e)
{
	const struct dirlist *d = map_get(&w->t->dirs, rel);

	if (depth > WALK_DEPTH_MAX)
		return err_set(e, ERR_UNSAFE, "directory '%s' is nested too deeply", rel);
	for (size_t i = 0; d && i < d->n; i++) {
		autofree char *name = below(rel, d->v[i].name);

		if (d->v[i].kind != 2 && is_valid_name(d->v[i].name) && walk_visit(w, name, e))
			return -1;
	}
	for (size_t i = 0; d && i < d->n; i++) {
		autofree char *name = below(rel, d->v[i].name);

		if (d->v[i].kind == 2 && walk_enters(w, name) && walk_listed(w, name, depth + 1, e))
			return -1;
	}
	return proc_check(e);
}

struct below { size_t skip; struct strvec *out; };

static int list_file(const char *rel, int kind, void *data, struct err *e)
{
	struct below *b = data;

	(void)e;
	if (kind != 2)
		strvec_push(b->out, rel + b->skip);
	return 0;
}

int srctree_list(struct srctree *t, const char *rel, struct strvec *out, struct err *e)
{
	autofree char *path = git_name(t, rel);
	struct below b = { *path ? strlen(path) + 1 : 0, out };

	if (gittree_walk(t->tree, path, list_file, &b, e))
		return -1;
	strvec_sort(out);
	return 0;
}

int srctree_find_stages(struct srctree *t, const char *under, srctree_fn *fn, srctree_prune_fn *prune, void *data,
			struct err *e)
{
	struct walk w = { t, fn, prune, data };
	autofree char *path = NULL;
	autoclose int fd = -1;

	if (t->tree)
		return list_tree(t, e) || walk_listed(&w, under, 0, e) || ignore_unread(t->ignore, e) ? -1 : 0;
	path = repo_abs(t->repo, under);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "cannot read directory '%s'", path);
	return walk_work(&w, fd, under, 0, e) || ignore_unread(t->ignore, e) ? -1 : 0;
}

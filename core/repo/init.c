/* init - makes a repository. See init.h. */
#include "core/repo/init.h"

#include <sys/stat.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/base/temps.h"
#include "core/repo/gitrepo.h"
#include "core/repo/ignore.h"
#include "core/repo/repo.h"

static const char dvcignore_text[] =
	"# Add patterns of files dvc should ignore, which could improve\n"
	"# the performance. Learn more at\n"
	"# https://dvc.org/doc/user-guide/dvcignore\n";

/* The git work tree the repository will live in: the directory itself, or with --subdir one above it. */
static char *scm_root_for(const char *root, const struct init_opts *o, struct err *e)
{
	autofree char *found = git_find_root(root);

	if (found && (o->subdir || !strcmp(found, root)))
		return take(found);
	err_set(e, ERR_FAIL, "%s is not tracked by any supported SCM tool (e.g. Git). Use `--no-scm` if you don't want to use "
		"any SCM or `--subdir` if initializing inside a subdirectory of a parent SCM repository.", root);
	return NULL;
}

static int check_not_ignored(const char *scm_root, const char *dvc, struct err *e)
{
	autofree char *git = git_find_dir(scm_root), *rel = path_rel(dvc, scm_root);
	struct ignore *g = git ? ignore_open_git(scm_root, git) : NULL;
	bool ignored = g && ignore_is(g, rel, false);

	ignore_close(g);
	if (!ignored)
		return 0;
	return err_set(e, ERR_FAIL, "%s is ignored by your SCM tool. \nMake sure that it's tracked, for example, by adding "
		       "'!.dvc' to .gitignore.", dvc);
}

static int check_old(const char *dvc, bool force, struct err *e)
{
	autofree char *cwd = NULL, *shown = NULL;

	if (force || !fs_is_dir(dvc))
		return 0;
	cwd = path_abs(".");
	shown = path_rel(dvc, cwd);
	return err_set(e, ERR_EXISTS, "'%s' exists. Use `-f` to force.", shown);
}

static int write_in(const char *dir, const char *name, const char *text, struct err *e)
{
	autofree char *path = path_join(dir, name);

	return fs_replace(path, text, strlen(text), 0, e);
}

/* Fills a directory beside .dvc and gives it its name at the end: on a full disk the old one stays. */
static int make_dvc_dir(const char *root, const char *dvc, bool no_scm, struct err *e)
{
	autofree char *made = temps_path(root), *tmp = path_join(made, "tmp");
	autoerr struct err ignored = ERR_INIT;

	if (fs_mkdirs(tmp, 0777, e) || write_in(made, "config", no_scm ? "[core]\n    no_scm = True\n" : "", e) ||
	    (!no_scm && write_in(made, ".gitignore", "/config.local\n/tmp\n/cache\n", e)) ||
	    (fs_is_dir(dvc) && fs_rm_tree(dvc, e)))
		goto undo;
	if (rename(made, dvc)) {
		err_sys(e, "cannot make '%s'", dvc);
		goto undo;
	}
	return 0;
undo:
	fs_rm_tree(made, &ignored);
	return -1;
}

static int make_dvcignore(const char *root, struct err *e)
{
	autofree char *path = path_join(root, ".dvcignore");

	if (!access(path, F_OK))
		return 0;
	return fs_replace(path, dvcignore_text, strlen(dvcignore_text), 0, e);
}

/* What an earlier repository at this place left in the private directory is about another cache. */
static void forget_site_cache(struct repo *r)
{
	autofree char *site = repo_site_cache_dir(r);
	autoerr struct err ignored = ERR_INIT;

	fs_rm_tree(site, &ignored);
}

static int stage_files(struct repo *r, struct err *e)
{
	static const char *const names[] = { ".dvc/config", ".dvcignore", ".dvc/.gitignore" };
	autostrvec struct strvec files = STRVEC_INIT;
	struct gitrepo *g;

	if (repo_git(r, &g, e))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		strvec_take(&files, repo_abs(r, names[i]));
	return g ? gitrepo_stage(g, &files, e) : 0;
}

int repo_init(const char *dir, const struct init_opts *o, struct err *e)
{
	autofree char *root = path_abs(dir), *dvc = path_join(root, ".dvc"), *scm_root = NULL;
	struct repo *r = NULL;
	int rc;

	if (!o->no_scm) {
		scm_root = scm_root_for(root, o, e);
		if (!scm_root || check_not_ignored(scm_root, dvc, e))
			return -1;
	}
	if (check_old(dvc, o->force, e) || fs_mkdirs(root, 0777, e) || make_dvc_dir(root, dvc, o->no_scm, e) ||
	    make_dvcignore(root, e) || repo_open(&r, root, e))
		return -1;
	forget_site_cache(r);
	rc = stage_files(r, e);
	repo_close(r);
	return rc;
}

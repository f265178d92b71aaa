/* repo - finding and opening a repository. See repo.h. */
#include "core/repo/repo.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/repo/config.h"
#include "core/repo/gitrepo.h"
#include "core/repo/ignore.h"

/* As Python's os.path.ismount. */
static bool is_mount(const char *dir)
{
	autofree char *up = path_join(dir, "..");
	struct stat a, b;

	if (lstat(dir, &a) || lstat(up, &b))
		return false;
	return a.st_dev != b.st_dev || a.st_ino == b.st_ino;
}

char *repo_find_root(const char *start, struct err *e)
{
	autofree char *at = path_abs(start);

	if (!fs_is_dir(at)) {
		err_set(e, ERR_NOREPO, "directory '%s' does not exist", start);
		return NULL;
	}
	for (;;) {
		autofree char *dvc = path_join(at, ".dvc");
		char *slash;

		if (fs_is_dir(dvc))
			return take(at);
		slash = strrchr(at, '/');
		if (is_mount(at) || !at[1] || !slash) {
			err_set(e, ERR_NOREPO, "you are not inside of a DVC repository (checked up to mount point '%s')", at);
			return NULL;
		}
		slash[slash == at] = 0;
	}
}

static int open_scm(struct repo *r, struct err *e)
{
	r->no_scm = config_bool(r->config, "core", "no_scm", false);
	if (r->no_scm)
		return 0;
	r->scm_root = git_find_root(r->root);
	if (!r->scm_root)
		return err_set(e, ERR_FAIL, "%s is not a git repository", r->root);
	return 0;
}

static int open_at(struct repo **out, char *root, bool bare, struct err *e)
{
	struct repo *r = xcalloc(1, sizeof(*r));

	r->root = root;
	r->dvc_dir = path_join(r->root, ".dvc");
	r->tmp_dir = path_join(r->dvc_dir, "tmp");
	r->cwd = path_abs(".");
	r->cwd_rel = path_is_inside(r->cwd, r->root) ? path_rel(r->cwd, r->root) : xstrdup("");
	if (!strcmp(r->cwd_rel, "."))
		r->cwd_rel[0] = 0;
	if (config_open(&r->config, r->dvc_dir, e) || config_validate(r->config, e) || (!bare && open_scm(r, e))) {
		repo_close(r);
		return -1;
	}
	if (bare) {
		r->scm_root = git_find_root(r->root);
		r->no_scm = !r->scm_root;
	}
	*out = r;
	return 0;
}

int repo_open(struct repo **out, const char *start, struct err *e)
{
	autofree char *root = repo_find_root(start, e);

	return root ? open_at(out, take(root), false, e) : -1;
}

int repo_open_bare(struct repo **out, struct err *e)
{
	autofree char *cwd = path_abs(".");
	autofree char *root = git_find_root(cwd);

	return open_at(out, root ? take(root) : take(cwd), true, e);
}

void repo_close(struct repo *r)
{
	if (!r)
		return;
	ignore_close(r->ignore_);
	if (r->git_)
		gitrepo_close(r->git_);
	config_close(r->config);
	strvec_release(&r->scm_files);
	free(r->root);
	free(r->dvc_dir);
	free(r->tmp_dir);
	free(r->cwd);
	free(r->cwd_rel);
	free(r->scm_root);
	free(r);
}

char *repo_rel(const struct repo *r, const char *path, struct err *e)
{
	autofree char *full = path_join(r->cwd, path), *abs = path_norm(full);
	char *rel;

	if (!path_is_inside(abs, r->root)) {
		err_set(e, ERR_UNSAFE, "'%s' is outside of the repository", path);
		return NULL;
	}
	rel = path_rel(abs, r->root);
	if (!strcmp(rel, "."))
		rel[0] = 0;
	return rel;
}

char *repo_abs(const struct repo *r, const char *rel)
{
	return *rel ? path_join(r->root, rel) : xstrdup(r->root);
}

char *repo_show(const struct repo *r, const char *rel)
{
	autofree char *abs = repo_abs(r, rel);

	return path_rel(abs, r->cwd);
}

/* DVC keeps its private files out of git whenever it opens a repository; here it is enough before they are made. */
static int ignore_private(struct repo *r, struct err *e)
{
	static const char *const names[] = { "config.local", "tmp", "cache" };

	for (size_t i = 0; r->scm_root && i < ARRAY_LEN(names); i++) {
		autofree char *path = path_join(r->dvc_dir, names[i]);
		char *changed = NULL;

		if (gitignore_add(path, r->scm_root, &changed, e))
			return -1;
		if (changed)
			repo_wrote(r, changed);
		free(changed);
	}
	return 0;
}

int repo_tmp(struct repo *r, struct err *e)
{
	if (fs_is_dir(r->tmp_dir))
		return 0;
	if (ignore_private(r, e) || fs_mkdirs(r->tmp_dir, 0777, e))
		return err_in(e, "cannot make '%s'", r->tmp_dir);
	return 0;
}

int repo_ignore(struct repo *r, struct ignore **out, struct err *e)
{
	(void)e;
	if (!r->ignore_)
		r->ignore_ = ignore_open(r->root, true);
	*out = r->ignore_;
	return 0;
}

int repo_git(struct repo *r, struct gitrepo **out, struct err *e)
{
	*out = NULL;
	if (!r->scm_root)
		return 0;
	if (!r->git_ && gitrepo_open(&r->git_, r->scm_root, e))
		return -1;
	*out = r->git_;
	return 0;
}

void repo_wrote(struct repo *r, const char *abs)
{
	if (!strvec_has(&r->scm_files, abs))
		strvec_push(&r->scm_files, abs);
}

/* Keyed by the root's path, its file system and inode: a copied tree gets its own. */
char *repo_site_cache_dir(struct repo *r)
{
	const char *env = getenv("DVC_SITE_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	const char *set = config_get(r->config, "core", "site_cache_dir");
	autofree char *base = NULL, *key = NULL;
	unsigned char digest[16];
	struct stat st = { 0 };
	char hex[33];

	if ((env && *env) || set)
		base = path_join(env && *env ? env : set, "git-data");
	else if (xdg && *xdg == '/')
		base = path_join(xdg, "git-data");
	else if (home && *home == '/')
		base = path_join(home, ".cache/git-data");
	else
		base = xasprintf("/var/tmp/git-data-%u", (unsigned)getuid());
	stat(r->root, &st);
	key = xasprintf("%s\n%llu\n%llu", r->root, (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	md5_once(key, strlen(key), digest);
	hex_encode(hex, digest, sizeof(digest));
	return path_join(base, hex);
}

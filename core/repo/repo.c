/* repo - finding and opening a repository. See repo.h. */
#include "core/repo/repo.h"

#include <errno.h>
#include <stdlib.h>
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

/* 1 or 0; -1 when the disk fails: to go on upward would end in another repository. */
static int has_repo(const char *dir, struct err *e)
{
	autofree char *dvc = path_join(dir, ".dvc");
	struct stat st;

	if (!stat(dvc, &st))
		return S_ISDIR(st.st_mode);
	if (errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP || errno == ENAMETOOLONG)
		return 0;
	return err_sys(e, "cannot look at '%s'", dvc);
}

char *repo_find_root(const char *start, struct err *e)
{
	autofree char *at = path_abs(start);

	if (!fs_is_dir(at)) {
		err_set(e, ERR_NOREPO, "directory '%s' does not exist", start);
		return NULL;
	}
	for (;;) {
		int found = has_repo(at, e);
		char *slash;

		if (found)
			return found > 0 ? take(at) : NULL;
		slash = strrchr(at, '/');
		if (is_mount(at) || !at[1] || !slash) {
			err_set(e, ERR_NOREPO, "you are not inside of a DVC repository (checked up to mount point '%s')", at);
			return NULL;
		}
		slash[slash == at] = 0;
	}
}

bool git_is_bare(const char *dir)
{
	autofree char *head = path_join(dir, "HEAD"), *objects = path_join(dir, "objects"), *refs = path_join(dir, "refs");

	return fs_exists(head) && fs_is_dir(objects) && fs_is_dir(refs);
}

char *repo_innermost(const char *top, const char *rel)
{
	autofree char *path = *rel ? path_join(top, rel) : xstrdup(top);
	size_t stop = strlen(top);

	while (strlen(path) > stop) {
		autofree char *dvc = path_join(path, ".dvc");
		char *slash;

		if (fs_is_dir(dvc))
			return take(path);
		slash = strrchr(path, '/');
		if (!slash || slash == path)
			break;
		*slash = '\0';
	}
	return xstrdup(top);
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

int repo_open_plain(struct repo **out, const char *dir, struct err *e)
{
	return open_at(out, path_abs(dir), true, e);
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
	map_release(&r->scm_seen, NULL);
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

char *repo_real(const struct repo *r, const char *abs)
{
	return fs_follow(abs, r->root);
}

char *repo_show(const struct repo *r, const char *rel)
{
	autofree char *abs = repo_abs(r, rel);

	return path_rel(abs, r->cwd);
}

static const char *const private_names[] = { "config.local", "tmp", "cache" };

static bool has_line(const char *text, const char *line)
{
	size_t n = strlen(line);

	for (const char *p = text; (p = strstr(p, line)); p += n)
		if ((p == text || p[-1] == '\n') && (!p[n] || p[n] == '\n'))
			return true;
	return false;
}

/* Whether the usual lines stand there: one small file to read. */
static bool are_listed(const struct repo *r)
{
	autofree char *path = path_join(r->dvc_dir, ".gitignore");
	autostr struct str text = STR_INIT;
	autoerr struct err none = ERR_INIT;
	bool all = !fs_read(&text, path, 65536, &none);

	for (size_t i = 0; all && i < ARRAY_LEN(private_names); i++) {
		autofree char *line = xasprintf("/%s", private_names[i]);

		all = has_line(str_cstr(&text), line);
	}
	return all;
}

/* DVC keeps its private files out of git whenever it opens a repository: a local configuration may hold secrets. */
static int ignore_private(struct repo *r, struct err *e)
{
	if (!r->scm_root || are_listed(r))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(private_names); i++) {
		autofree char *path = path_join(r->dvc_dir, private_names[i]);
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
	if (ignore_private(r, e) || (!fs_is_dir(r->tmp_dir) && fs_mkdirs(r->tmp_dir, 0777, e)))
		return err_in(e, "cannot make '%s'", r->tmp_dir);
	return 0;
}

int repo_ignore(struct repo *r, struct ignore **out, struct err *e)
{
	if (!r->ignore_) {
		if (ignore_check(r->root, e))
			return -1;
		r->ignore_ = ignore_open(r->root, true);
	}
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

bool repo_in_tree(const struct repo *r, struct gittree *t)
{
	autofree char *below = NULL;
	int kind;

	if (!r->scm_root || !strcmp(r->root, r->scm_root))
		return true;
	below = path_rel(r->root, r->scm_root);
	kind = gittree_kind(t, below, NULL, NULL);
	return kind == 2 || kind < 0;           /* whoever reads it is told what is wrong with it */
}

void repo_wrote(struct repo *r, const char *abs)
{
	if (map_has(&r->scm_seen, abs))
		return;
	map_put(&r->scm_seen, abs, r);
	strvec_push(&r->scm_files, abs);
}

void repo_wrote_none(struct repo *r)
{
	strvec_reset(&r->scm_files);
	map_release(&r->scm_seen, NULL);
}

/* Without a home: below /var/tmp, unless somebody else was there first and could tell us what our files hold. */
static char *homeless_cache_dir(const struct repo *r)
{
	autofree char *dir = xasprintf("/var/tmp/git-data-%u", (unsigned)geteuid());
	struct stat st;

	if ((mkdir(dir, 0700) && errno != EEXIST) || lstat(dir, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 022))
		return path_join(r->tmp_dir, "git-data");
	return take(dir);
}

/* Keyed by the root's path and inode: a copied tree gets its own. Not by the device, whose number may be another one after a
 * reboot, just when S6 must find what it noted. */
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
		base = homeless_cache_dir(r);
	stat(r->root, &st);
	key = xasprintf("%s\n%llu", r->root, (unsigned long long)st.st_ino);
	md5_once(key, strlen(key), digest);
	hex_encode(hex, digest, sizeof(digest));
	return path_join(base, hex);
}

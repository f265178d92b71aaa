#include "core/data/clone.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/str.h"
#include "core/base/temps.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#define CONFIG_MAX (1u << 20)

static int git(const char *dir, const char *const *argv, const char *url, const char *act, struct err *e)
{
	autostr struct str out = STR_INIT, errs = STR_INIT;
	autofree char *why = NULL;
	int status = 0;

	if (proc_check(e) || proc_run(argv, dir, NULL, 0, &out, &errs, &status, e))
		return -1;
	if (!status)
		return 0;
	if (proc_check(e))
		return -1;
	why = str_trim_dup(str_cstr(&errs));
	return err_set(e, ERR_FAIL, "SCM error: Failed to %s '%s': %s", act, url, why);
}

/* NULL: nowhere. */
static char *cache_dir(void)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	if (xdg && *xdg == '/')
		return path_join(xdg, "git-data/clones");
	return home && *home == '/' ? path_join(home, ".cache/git-data/clones") : NULL;
}

static int clone(const char *dir, const char *url, struct err *e)
{
	/* "fd::7" is a descriptor of ours: git would wait there for ever. */
	const char *argv[] = { "git", "-c", "protocol.fd.allow=never", "clone", "-q", "--no-checkout", "-c", "core.symlinks=false",
			       "--", url, dir, NULL };

	return git(NULL, argv, url, "clone repo", e);
}

/* K4: an earlier version made work trees with links, and git does not replace those. */
static bool is_linkless(const char *dir)
{
	autofree char *path = path_join(dir, ".git/config");
	autostr struct str text = STR_INIT;
	autoerr struct err none = ERR_INIT;

	return !fs_read(&text, path, CONFIG_MAX, &none) && strstr(str_cstr(&text), "symlinks = false");
}

/* K3: takes the place of what is there only when it is complete. */
static int fresh(const char *dir, const char *url, struct err *e)
{
	autofree char *up = path_dir(dir), *tmp = temps_path(up);
	autoerr struct err none = ERR_INIT;

	if (!clone(tmp, url, e) && !fs_rm_tree(dir, e)) {
		if (!rename(tmp, dir))
			return 0;
		err_sys(e, "cannot keep the clone of '%s'", url);
	}
	fs_rm_tree(tmp, &none);
	return -1;
}

static int refresh(const char *dir, const char *url, struct err *e)
{
	const char *fetch[] = { "git", "fetch", "-q", "--prune", "--tags", "--force", "origin", NULL };
	const char *head[] = { "git", "remote", "set-head", "origin", "-a", NULL };

	return git(dir, fetch, url, "fetch from", e) || git(dir, head, url, "fetch from", e) ? -1 : 0;
}

static bool resolves(const char *dir, const char *rev)
{
	autofree char *commit = xasprintf("%s^{commit}", rev);
	const char *argv[] = { "git", "rev-parse", "-q", "--verify", commit, NULL };
	autoerr struct err none = ERR_INIT;

	return !git(dir, argv, "", "read", &none);
}

/* ERR_NOTFOUND when there is no such revision. */
static int check_out(const char *dir, const char *url, const char *rev, struct err *e)
{
	autofree char *branch = rev ? xasprintf("origin/%s", rev) : xstrdup("origin/HEAD");
	const char *a[] = { "git", "checkout", "-q", "--force", "--detach", branch, "--", NULL };
	const char *b[] = { "git", "checkout", "-q", "--force", "--detach", rev, "--", NULL };
	autoerr struct err first = ERR_INIT, second = ERR_INIT;

	if (!git(dir, a, url, "check out", &first) || (rev && !git(dir, b, url, "check out", &second)))
		return 0;
	if (rev && !resolves(dir, branch) && !resolves(dir, rev))
		return err_set(e, ERR_NOTFOUND, "unknown Git revision '%s'", rev);
	err_move(e, &first);
	return -1;
}

static int tidy(const char *dir, const char *url, struct err *e)
{
	const char *argv[] = { "git", "clean", "-ffdxq", NULL };

	return git(dir, argv, url, "clean the clone of", e);
}

/* The copy of an earlier command, brought up to date. */
static int reuse(const char *dir, const char *url, const char *rev, struct err *e)
{
	return refresh(dir, url, e) || check_out(dir, url, rev, e) || tidy(dir, url, e) ? -1 : 0;
}

static int kept(const char *dir, const char *url, const char *rev, struct err *e)
{
	autoerr struct err first = ERR_INIT;

	if (fs_is_dir(dir) && is_linkless(dir)) {
		if (!reuse(dir, url, rev, &first))
			return 0;
		if (first.code == ERR_NOTFOUND || first.code == ERR_INTR) {
			err_move(e, &first);
			return -1;
		}
	}
	return fresh(dir, url, e) || check_out(dir, url, rev, e) ? -1 : 0;
}

/* K1. The lock, or -1. */
static int lock_kept(const char *base, const char *name)
{
	autofree char *path = base ? xasprintf("%s/%s.lock", base, name) : NULL;
	autoerr struct err none = ERR_INIT;
	autoclose int fd = -1;

	if (!base || fs_mkdirs(base, 0700, &none))
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB))
		return -1;
	return take_fd(fd);
}

int clone_get(struct clone *c, const char *url, const char *rev, struct err *e)
{
	autofree char *base = cache_dir(), *key = xasprintf("%s\n%s", url, rev ? rev : "");
	unsigned char md5[16];
	char hex[33];

	if (*url == '-' || (rev && *rev == '-'))
		return err_set(e, ERR_UNSAFE, "refusing to clone '%s'", url);
	md5_once(key, strlen(key), md5);
	hex_encode(hex, md5, 16);
	c->lock = lock_kept(base, hex);
	c->temporary = c->lock < 0;
	c->root = c->temporary ? temps_tree(e) : path_join(base, hex);
	if (!c->temporary)
		return kept(c->root, url, rev, e);
	return !c->root || clone(c->root, url, e) || check_out(c->root, url, rev, e) ? -1 : 0;
}

void clone_release(struct clone *c)
{
	autoerr struct err none = ERR_INIT;

	if (c->temporary && c->root)
		fs_rm_tree(c->root, &none);
	if (c->lock >= 0)
		close(c->lock);
	free(c->root);
	*c = (struct clone)CLONE_INIT;
}

#include "core/data/clone.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/str.h"

#include <unistd.h>

static int git(const char *dir, const char *const *argv, const char *url, const char *act, struct err *e)
{
	autostr struct str out = STR_INIT, errs = STR_INIT;
	autofree char *why = NULL;
	int status = 0;

	if (proc_run(argv, dir, NULL, 0, &out, &errs, &status, e))
		return -1;
	if (!status)
		return 0;
	why = str_trim_dup(str_cstr(&errs));
	return err_set(e, ERR_FAIL, "SCM error: Failed to %s '%s': %s", act, url, why);
}

static char *cache_dir(void)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	if (xdg && *xdg == '/')
		return path_join(xdg, "git-data/clones");
	return path_join(home && *home ? home : "/var/tmp", ".cache/git-data/clones");
}

static int fresh(const char *dir, const char *url, struct err *e)
{
	char name[32];
	autofree char *up = path_dir(dir), *tmp = NULL;
	const char *argv[] = { "git", "clone", "-q", "--no-checkout", "--", url, NULL, NULL };

	fs_temp_name(name);
	tmp = path_join(up, name);
	argv[6] = tmp;
	if (fs_mkdirs(up, 0700, e))
		return -1;
	if (git(NULL, argv, url, "clone repo", e))
		goto undo;
	/* Somebody else may have been quicker: then theirs is as good. */
	if (rename(tmp, dir) && !fs_is_dir(dir)) {
		err_sys(e, "cannot keep the clone of '%s'", url);
		goto undo;
	}
	if (fs_is_dir(tmp))
		fs_rm_tree(tmp, e);
	return 0;
undo:
	if (fs_exists(tmp)) {
		autoerr struct err none = ERR_INIT;

		fs_rm_tree(tmp, &none);
	}
	return -1;
}

static int refresh(const char *dir, const char *url, struct err *e)
{
	const char *fetch[] = { "git", "fetch", "-q", "--prune", "--tags", "--force", "origin", NULL };
	const char *head[] = { "git", "remote", "set-head", "origin", "-a", NULL };

	return git(dir, fetch, url, "fetch from", e) || git(dir, head, url, "fetch from", e) ? -1 : 0;
}

static int check_out(const char *dir, const char *url, const char *rev, struct err *e)
{
	autofree char *branch = rev ? xasprintf("origin/%s", rev) : xstrdup("origin/HEAD");
	const char *a[] = { "git", "checkout", "-q", "--force", "--detach", branch, "--", NULL };
	const char *b[] = { "git", "checkout", "-q", "--force", "--detach", rev, "--", NULL };
	autoerr struct err first = ERR_INIT;

	if (!git(dir, a, url, "check out", &first))
		return 0;
	if (rev && *rev != '-' && !git(dir, b, url, "check out", &first))
		return 0;
	if (rev)
		return err_set(e, ERR_NOTFOUND, "unknown Git revision '%s'", rev);
	err_move(e, &first);
	return -1;
}

int clone_get(const char *url, const char *rev, char **out, struct err *e)
{
	autofree char *base = cache_dir(), *key = xasprintf("%s\n%s", url, rev ? rev : ""), *dir = NULL;
	unsigned char md5[16];
	char hex[33];

	if (*url == '-' || (rev && *rev == '-'))
		return err_set(e, ERR_UNSAFE, "refusing to clone '%s'", url);
	md5_once(key, strlen(key), md5);
	hex_encode(hex, md5, 16);
	dir = path_join(base, hex);
	if (fs_is_dir(dir) ? refresh(dir, url, e) : fresh(dir, url, e))
		return -1;
	if (check_out(dir, url, rev, e))
		return -1;
	*out = take(dir);
	return 0;
}

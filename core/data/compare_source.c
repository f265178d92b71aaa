/* compare_source - does the revision an import follows still point where it did? Asked with the git program. */
#include "core/data/compare_own.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/data/import_own.h"
#include "core/data/project.h"
#include "core/repo/gitrepo.h"
#include "core/repo/repo.h"

#define SHA 40

/* The commit a line of 'git ls-remote' names; a tag's own commit ("^{}") comes after the tag and wins. */
static char *commit_of(const char *lines, const char *rev)
{
	autofree char *ref = NULL;
	autostrvec struct strvec v = STRVEC_INIT;
	int best = 0;

	strvec_split(&v, lines, '\n');
	for (size_t i = 0; i < v.n; i++) {
		const char *name = strchr(v.v[i], '\t');
		int rank = 0;

		if (!name || name - v.v[i] != SHA)
			continue;
		name++;
		if (!strcmp(name, rev))
			rank = 1;
		else if (str_starts(name, "refs/heads/") && !strcmp(name + 11, rev))
			rank = 4;
		else if (str_starts(name, "refs/tags/") && !strcmp(name + 10, rev))
			rank = 2;
		else if (str_starts(name, "refs/tags/") && str_ends(name, "^{}"))
			rank = 3;
		if (rank > best) {
			best = rank;
			free(ref);
			ref = xstrndup(v.v[i], SHA);
		}
	}
	return take(ref);
}

static bool is_hex(const char *s)
{
	return strspn(s, "0123456789abcdef") == strlen(s) && strlen(s) >= 7;
}

/* A repository on this machine is looked at where it is: it knows every name for a commit. */
static int ask_here(const char *dir, const char *rev, char **now, struct err *e)
{
	struct gitrepo *g = NULL;
	char sha[SHA + 1];
	int rc;

	if (gitrepo_open(&g, dir, e))
		return -1;
	rc = gitrepo_resolve(g, rev, sha, e);
	gitrepo_close(g);
	if (!rc)
		*now = xstrdup(sha);
	return rc;
}

static int ask_there(const struct project *p, const char *url, const char *rev, const char *locked, char **now, struct err *e)
{
	autofree char *peeled = xasprintf("%s^{}", rev), *why = NULL;
	autostr struct str lines = STR_INIT, errs = STR_INIT;
	const char *argv[] = { "git", "ls-remote", "--", url, rev, peeled, NULL };
	int status = 0;

	if (*url == '-')
		return err_set(e, ERR_UNSAFE, "refusing to clone from '%s'", url);
	if (proc_run(argv, p->repo->cwd, NULL, 0, &lines, &errs, &status, e))
		return -1;
	if (status) {
		why = str_trim_dup(str_cstr(&errs));
		return err_set(e, ERR_FAIL, "SCM error: Failed to clone repo '%s' to a temporary directory: %s", url, why);
	}
	*now = commit_of(str_cstr(&lines), rev);
	if (!*now && is_hex(rev))       /* a commit's own name: it cannot move */
		*now = xstrdup(str_starts(locked, rev) ? locked : rev);
	return *now ? 0 : err_set(e, ERR_NOTFOUND, "SCM error: unknown Git revision '%s' in '%s'", rev, url);
}

int compare_source(struct project *p, struct item *dep, struct stage_status *out, struct err *e)
{
	const char *rev = node_get_str(dep->repo, "rev"), *locked = node_get_str(dep->repo, "rev_lock");
	autofree char *url = import_repo_url(p, dep), *dir = NULL, *now = NULL;

	if (!locked)
		return 0;
	if (!rev)
		rev = "HEAD";
	dir = fs_is_dir(url) && !git_is_bare(url) ? git_find_root(url) : NULL;
	if (dir ? ask_here(dir, rev, &now, e) : ask_there(p, url, rev, locked, &now, e))
		return -1;
	if (strcmp(now, locked))
		reason_add(out, REASON_DEP, dep, "update available")->what = reason_what(p, dep);
	return 0;
}

/* compare_source - does the revision an import follows still point where it did? Asked with the git program. */
#include "core/data/compare_own.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/data/project.h"
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

int compare_source(struct project *p, struct item *dep, struct stage_status *out, struct err *e)
{
	const char *url = node_get_str(dep->repo, "url"), *rev = node_get_str(dep->repo, "rev");
	const char *locked = node_get_str(dep->repo, "rev_lock");
	const char *want = rev ? rev : "HEAD";
	autofree char *peeled = xasprintf("%s^{}", want), *now = NULL;
	autostr struct str lines = STR_INIT, errs = STR_INIT;
	const char *argv[] = { "git", "ls-remote", "--", url, want, peeled, NULL };
	int status = 0;

	if (!url || !locked)
		return 0;
	if (*url == '-')
		return err_set(e, ERR_UNSAFE, "refusing to clone from '%s'", url);
	if (proc_run(argv, p->repo->cwd, NULL, 0, &lines, &errs, &status, e))
		return -1;
	if (status)
		return err_set(e, ERR_FAIL, "Failed to clone repo '%s' to a temporary directory: %s", url,
			       str_cstr(&errs));
	now = commit_of(str_cstr(&lines), want);
	if (!now && is_hex(want))       /* a commit's own name: it cannot move */
		now = str_starts(locked, want) ? xstrdup(locked) : xstrdup(want);
	if (!now)
		return err_set(e, ERR_NOTFOUND, "SCM error: unknown Git revision '%s' in '%s'", want, url);
	if (strcmp(now, locked))
		reason_add(out, REASON_DEP, dep, "update available")->what = reason_what(p, dep);
	return 0;
}

#include "cmd/cmd.h"

#include "core/base/fs.h"
#include "core/repo/ignore.h"
#include "core/repo/repo.h"

struct check_ignore_args { bool details, all, non_matching, from_stdin; struct strvec targets; };

static void show(const char *pattern, const char *target)
{
	ui_out("%s\t%s\n", pattern, target);
}

static void show_hit(const struct ignore_hit *h, const char *target)
{
	autofree char *text = h->line < 0 ? xasprintf("in sub_repo:%s", h->pattern) :
		h->file ? xasprintf("%s:%d:%s", h->file, h->line, h->pattern) : xasprintf(":%s", h->pattern);

	show(text, target);
}

/* True when a pattern decided, be it for or against. */
static bool check_one(struct ignore *g, const struct repo *r, const struct check_ignore_args *a, const char *target)
{
	autoerr struct err outside = ERR_INIT;
	autofree char *rel = repo_rel(r, target, &outside);
	struct ignore_hit hit;
	bool found = rel && *rel && ignore_hits(g, rel, fs_is_dir(target), &hit);

	if (!a->details) {
		if (!found || hit.negated)
			return false;
		ui_out("%s\n", target);
		return true;
	}
	if (found)
		show_hit(&hit, target);
	else if (a->non_matching)
		show("::", target);
	return found;
}

static bool check_stdin(struct ignore *g, const struct repo *r, const struct check_ignore_args *a)
{
	autofree char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	bool any = false;

	while ((n = getline(&line, &cap, stdin)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = 0;
		if (!*line)
			break;
		any |= check_one(g, r, a, line);
		ui_flush();             /* whoever asks line by line waits for the answer */
	}
	return any;
}

static int check_args(const struct session *s, const struct check_ignore_args *a, struct err *e)
{
	if (!a->from_stdin && !a->targets.n)
		return err_set(e, ERR_FAIL, "`targets` or `--stdin` needed");
	if (a->from_stdin && a->targets.n)
		return err_set(e, ERR_FAIL, "cannot have both `targets` and `--stdin`");
	if (a->non_matching && !a->details)
		return err_set(e, ERR_FAIL, "`--non-matching` is only valid with `--details`");
	if (a->all && !a->details)
		return err_set(e, ERR_FAIL, "`--all` is only valid with `--details`");
	if (s->quiet && a->details)
		return err_set(e, ERR_FAIL, "cannot use both `--details` and `--quiet`");
	return 0;
}

static int check_ignore_run(struct session *s, void *args, struct err *e)
{
	const struct check_ignore_args *a = args;
	struct ignore *g;
	bool any = false;

	if (check_args(s, a, e) || repo_ignore(s->repo, &g, e))
		return -1;
	if (a->from_stdin)
		any = check_stdin(g, s->repo, a);
	for (size_t i = 0; i < a->targets.n; i++)
		any |= check_one(g, s->repo, a, a->targets.v[i]);
	return any ? 0 : 1;
}

static const struct opt check_ignore_opts[] = {
	OPT_FLAG('d', "details", check_ignore_args, details, "Show the exclude patterns along with each target path."),
	OPT_FLAG('a', "all", check_ignore_args, all, NULL),
	OPT_FLAG('n', "non-matching", check_ignore_args, non_matching,
		 "Include the target paths which don't match any pattern in the `--details` list."),
	OPT_FLAG(0, "stdin", check_ignore_args, from_stdin,
		 "Read paths from standard input instead of providing `targets`."),
	OPT_END
};
static const struct pos check_ignore_pos[] = {
	{ "targets", '*', offsetof(struct check_ignore_args, targets), "File or directory paths to check" }, POS_END
};

const struct cmd cmd_check_ignore = {
	.name = "check-ignore", .run = check_ignore_run, .needs = NEED_REPO,
	.args_size = sizeof(struct check_ignore_args), .opts = check_ignore_opts, .pos = check_ignore_pos,
	.summary = "Check whether files or directories are excluded due to `.dvcignore`.",
	.help = "Check whether files or directories are excluded due to `.dvcignore`.",
};

#include "cmd/cmd.h"

#include "core/base/fs.h"
#include "core/data/merge.h"
#include "core/data/project.h"
#include "core/repo/repo.h"

#include <errno.h>
#include <unistd.h>

struct hook_args { struct strvec args; };
struct merge_args { const char *ancestor, *our, *their; };

static bool in_repository(void)
{
	autoerr struct err e = ERR_INIT;
	autofree char *root = repo_find_root(".", &e);

	return root != NULL;
}

/* The hook's work is a command of its own: this process becomes it. */
static int become(const struct session *s, const char *command, struct err *e)
{
	autofree char *name = xstrdup(s->argv0), *arg = xstrdup(command);
	char *argv[] = { name, arg, NULL };

	execv("/proc/self/exe", argv);
	execvp(s->argv0, argv);
	return err_sys(e, "cannot run '%s %s'", s->argv0, command);
}

static int pre_commit_run(struct session *s, void *args, struct err *e)
{
	(void)args;
	return in_repository() ? become(s, "status", e) : 0;
}

static int pre_push_run(struct session *s, void *args, struct err *e)
{
	(void)args;
	return in_repository() ? become(s, "push", e) : 0;
}

/* Only when a branch was checked out, not single files, and not in the middle of a rebase. */
static int post_checkout_run(struct session *s, void *args, struct err *e)
{
	const struct hook_args *a = args;
	const char *flag = getenv("PRE_COMMIT_CHECKOUT_TYPE");

	if (!in_repository())
		return 0;
	if (!flag && a->args.n >= 3)
		flag = a->args.v[2];
	if (!flag || strcmp(flag, "1") || fs_is_dir(".git/rebase-merge"))
		return 0;
	return become(s, "checkout", e);
}

static int merge_run(struct session *s, void *args, struct err *e)
{
	const struct merge_args *a = args;

	return s->repo ? merge_driver(s->project, a->ancestor, a->our, a->their, e) : 0;
}

static const struct pos hook_pos[] = {
	{ "args", '*', offsetof(struct hook_args, args), "Arguments passed by GIT or pre-commit tool." }, POS_END
};
#define REQUIRED(name, field, help) \
	{ 0, name, OPT_K_TEXT, NULL, offsetof(struct merge_args, field), help, NULL, NULL, NULL, NULL, true, false }
static const struct opt merge_opts[] = {
	REQUIRED("ancestor", ancestor, "Ancestor's version of the conflicting file."),
	REQUIRED("our", our, "Current version of the conflicting file."),
	REQUIRED("their", their, "Other branch's version of the conflicting file."),
	OPT_END
};

static const struct cmd hook_pre_commit = {
	.name = "pre-commit", .run = pre_commit_run, .args_size = sizeof(struct hook_args), .pos = hook_pos,
	.summary = "Run pre-commit GIT hook.", .help = "Run pre-commit GIT hook.",
};
static const struct cmd hook_post_checkout = {
	.name = "post-checkout", .run = post_checkout_run, .args_size = sizeof(struct hook_args), .pos = hook_pos,
	.summary = "Run post-checkout GIT hook.", .help = "Run post-checkout GIT hook.",
};
static const struct cmd hook_pre_push = {
	.name = "pre-push", .run = pre_push_run, .args_size = sizeof(struct hook_args), .pos = hook_pos,
	.summary = "Run pre-push GIT hook.", .help = "Run pre-push GIT hook.",
};
static const struct cmd hook_merge_driver = {
	.name = "merge-driver", .run = merge_run, .needs = WANT_REPO, .args_size = sizeof(struct merge_args),
	.opts = merge_opts, .summary = "Run GIT merge driver.", .help = "Run GIT merge driver.",
};
static const struct cmd *const hook_subs[] = {
	&hook_pre_commit, &hook_post_checkout, &hook_pre_push, &hook_merge_driver, NULL
};

const struct cmd cmd_git_hook = {
	.name = "git-hook", .subs = hook_subs, .summary = "Run GIT hook.", .help = "Run GIT hook.", .hidden = true,
};

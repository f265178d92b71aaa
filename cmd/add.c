#include "cmd/cmd.h"

#include "core/data/track.h"

struct add_args {
	struct strvec targets;
	bool no_commit, glob, to_remote, force, no_relink;
	const char *out, *remote;
	int64_t remote_jobs;
};

/* DVC's combinations that make no sense; a handled failure, not a usage error. */
static int check_args(const struct add_args *a, struct err *e)
{
	const char *with = a->to_remote ? "with --to-remote" : a->out ? "with --out" : "without --to-remote";
	const char *bad = NULL;

	if (a->to_remote || a->out)
		bad = a->targets.n != 1 ? "multiple targets" : a->glob ? "--glob option"
			: a->no_commit ? "--no-commit option" : NULL;
	else
		bad = a->remote ? "--remote" : a->remote_jobs ? "--remote-jobs" : NULL;
	return bad ? err_set(e, ERR_FAIL, "%s can't be used %s", bad, with) : 0;
}

static int add_run(struct session *s, void *args, struct err *e)
{
	struct add_args *a = args;
	struct add_opts o = {
		.out = a->out, .remote = a->remote, .glob = a->glob, .no_commit = a->no_commit, .no_relink = a->no_relink,
		.force = a->force, .to_remote = a->to_remote, .jobs = (unsigned)a->remote_jobs,
	};

	if (!check_args(a, e) && !track_add(s->project, &a->targets, &o, e))
		return 0;
	if (!e->exit_status && e->code != ERR_INTR)
		e->exit_status = 1;
	return -1;
}

static const struct opt add_opts_table[] = {
	OPT_FLAG(0, "no-commit", add_args, no_commit, "Don't put files/directories into cache."),
	OPT_FLAG(0, "glob", add_args, glob, "Allows targets containing shell-style wildcards."),
	OPT_STR('o', "out", "<path>", add_args, out, "Destination path to put files to."),
	OPT_FLAG(0, "to-remote", add_args, to_remote, "Send it directly to the remote."),
	OPT_STR('r', "remote", "<name>", add_args, remote, "Remote storage to send it to."),
	OPT_INT(0, "remote-jobs", "<number>", add_args, remote_jobs,
		"Number of jobs to run at once when sending data to the remote; only with '--to-remote'."),
	OPT_FLAG('f', "force", add_args, force, "Override local file or folder if exists."),
	OPT_FLAG(0, "no-relink", add_args, no_relink, "Don't recreate links from cache to workspace."),
	OPT_END
};
static const struct pos add_pos[] = {
	{ "targets", '+', offsetof(struct add_args, targets), "Input files/directories to add." },
	POS_END
};

const struct cmd cmd_add = {
	.name = "add", .run = add_run, .needs = NEED_REPO | NEED_LOCK | FAIL_IS_1,
	.args_size = sizeof(struct add_args), .opts = add_opts_table, .pos = add_pos,
	.summary = "Track data files or directories with DVC.",
	.help = "Track data files or directories with DVC.",
};

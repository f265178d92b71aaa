#include "cmd/cmd.h"
#include "cmd/pairs.h"

#include "core/data/import.h"
#include "core/repo/repo.h"

struct update_args {
	struct strvec targets;
	const char *rev, *remote;
	bool recursive, no_download, to_remote;
	int64_t jobs;
};

static int update_run(struct session *s, void *args, struct err *e)
{
	struct update_args *a = args;
	struct update_opts o = { .rev = a->rev, .remote = a->remote, .recursive = a->recursive, .to_remote = a->to_remote,
				 .no_download = a->no_download, .jobs = (unsigned)a->jobs };

	if (import_update(s->project, &a->targets, &o, e))
		return fail_with(e, "failed update data");
	repo_wrote_none(s->repo);
	return 0;
}

static const struct opt update_options[] = {
	OPT_OPTSTR(0, "rev", "<commit>", update_args, rev, "Git revision (e.g. SHA, branch, tag)."),
	OPT_FLAG('R', "recursive", update_args, recursive, "Update all stages in the specified directory."),
	OPT_FLAG(0, "no-download", update_args, no_download,
		 "Update .dvc file git revision/hash value(s) but do not download the file(s)."),
	OPT_FLAG(0, "to-remote", update_args, to_remote, "Update data directly on the remote."),
	OPT_STR('r', "remote", "<name>", update_args, remote, "Remote storage to perform updates to."),
	OPT_INT('j', "jobs", "<number>", update_args, jobs, "Number of jobs to run simultaneously."),
	OPT_END
};
static const struct pos update_pos[] = {
	{ "targets", '+', offsetof(struct update_args, targets), ".dvc files to update." },
	POS_END
};

const struct cmd cmd_update = {
	.name = "update", .run = update_run, .needs = NEED_REPO | NEED_LOCK | FAIL_IS_1 | NO_SCM_NOTE,
	.args_size = sizeof(struct update_args), .opts = update_options, .pos = update_pos,
	.summary = "Update data imported from another repository or URL.",
	.help = "Update data artifact imported (via dvc import or dvc import-url) from an external DVC repository or URL.",
};

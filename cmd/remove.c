#include "cmd/cmd.h"

#include "core/data/track.h"
#include "core/repo/repo.h"

struct remove_args {
	struct strvec targets;
	bool outs;
};

static int remove_run(struct session *s, void *args, struct err *e)
{
	struct remove_args *a = args;

	for (size_t i = 0; i < a->targets.n; i++) {
		if (!track_remove(s->project, a->targets.v[i], a->outs, e))
			continue;
		if (!e->exit_status && e->code != ERR_INTR)
			e->exit_status = 1;
		return -1;
	}
	repo_wrote_none(s->repo);
	return 0;
}

static const struct opt remove_options[] = {
	OPT_FLAG(0, "outs", remove_args, outs, "Remove outputs as well."),
	OPT_END
};
static const struct pos remove_pos[] = {
	{ "targets", '+', offsetof(struct remove_args, targets), ".dvc files or stages from dvc.yaml to remove." },
	POS_END
};

const struct cmd cmd_remove = {
	.name = "remove", .alias = "rm", .run = remove_run, .needs = NEED_REPO | NEED_LOCK | FAIL_IS_1 | NO_SCM_NOTE,
	.args_size = sizeof(struct remove_args), .opts = remove_options, .pos = remove_pos,
	.summary = "Remove stages from dvc.yaml and/or stop tracking files or directories.",
	.help = "Remove stages from dvc.yaml and/or stop tracking files or directories.",
};

/* push - sends to a remote what the cache has and the remote lacks. */
#include "cmd/sync.h"

static const struct opt push_options[] = {
	SYNC_OPTIONS("push to."),
	SYNC_OPTIONS_SCOPE,
	OPT_FLAG(0, "glob", sync_args, glob, "Allows targets containing shell-style wildcards."),
	OPT_OWN_FLAG(0, "check", sync_args, check, "Ask the remote for every object, and replace what is missing or wrong there."),
	SYNC_OPTIONS_OWN,
	OPT_END
};
static int run_push(struct session *s, void *argp, struct err *e)
{
	static const struct sync_kind kind = { transfer_push, "push", "pushed", "upload", "failed to push data to the cloud",
					      false };

	return sync_run(s, argp, &kind, e);
}

const struct cmd cmd_push = {
	.name = "push", .run = run_push, .needs = NEED_REPO | NEED_LOCK | FAIL_IS_1 | NO_SCM_NOTE,
	.args_size = sizeof(struct sync_args), .opts = push_options, .pos = sync_pos,
	.summary = "Upload tracked files or directories to remote storage.",
	.help = "Sends what the cache has and the remote lacks. A directory's manifest goes up after its last file.",
};

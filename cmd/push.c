/* push - sends to a remote what the cache has and the remote lacks. */
#include "cmd/show.h"
#include "cmd/sync.h"

static const struct opt push_options[] = {
	SYNC_OPTIONS("push to."),
	SYNC_OPTIONS_SCOPE,
	OPT_FLAG(0, "glob", sync_args, glob, "Allows targets containing shell-style wildcards."),
	OPT_FLAG(0, "check", sync_args, check, "Ask the remote for every object, and replace what is missing or wrong there."),
	SYNC_OPTIONS_OWN,
	OPT_END
};
static const struct pos push_pos[] = {
	{ "targets", '*', offsetof(struct sync_args, targets), "Tracked paths, .dvc files or stages." },
	POS_END
};

static int run_push(struct session *s, void *argp, struct err *e)
{
	struct sync_args *a = argp;
	struct collect_opts c;
	struct transfer_opts o;
	struct transfer_result r = { 0 };
	int rc;

	sync_collect_opts(&c, a);
	sync_transfer_opts(&o, a);
	sync_begin(a);
	rc = transfer_push(s->project, &c, &o, &r, e);
	sync_end(a);
	if (!rc && a->dry_run)
		sync_plan(a, "push", &r);
	if (!rc && (a->json || !r.nfail))
		sync_summary(s, a, "pushed", &r, NULL);
	if (!rc)
		rc = sync_failures(&r, "upload", e);
	if (rc)
		show_failed(e, "failed to push data to the cloud");
	if (rc && e->code != ERR_INTR && !e->exit_status)
		e->exit_status = 1;
	transfer_result_release(&r);
	return rc;
}

const struct cmd cmd_push = {
	.name = "push", .run = run_push, .needs = NEED_REPO | NEED_LOCK | FAIL_IS_1 | NO_SCM_NOTE,
	.args_size = sizeof(struct sync_args), .opts = push_options, .pos = push_pos,
	.summary = "Upload tracked files or directories to remote storage.",
	.help = "Sends what the cache has and the remote lacks. A directory's manifest goes up after its last file.",
};

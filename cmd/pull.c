/* pull - fetch, then checkout. */
#include "cmd/show.h"
#include "cmd/sync.h"
#include "core/data/checkout.h"

static const struct opt pull_options[] = {
	SYNC_OPTIONS("pull from."),
	OPT_FLAG('f', "force", sync_args, force, "Remove what is not in the cache without asking."),
	SYNC_OPTIONS_SCOPE,
	{ 0, "glob", OPT_K_FLAG, NULL, offsetof(struct sync_args, glob), NULL, NULL, NULL, NULL, NULL, false, false },
	OPT_FLAG(0, "allow-missing", sync_args, allow_missing, "Pass over what neither cache nor remote has."),
	SYNC_OPTIONS_OWN,
	OPT_END
};

static int fetch_part(struct session *s, const struct sync_args *a, struct transfer_result *r, struct err *e)
{
	int rc = sync_move(s, a, transfer_fetch, r, e);

	return rc ? rc : sync_failures(r, "download", e);
}

static int checkout_part(struct session *s, const struct sync_args *a, const struct transfer_result *r, struct err *e)
{
	struct checkout_opts o = { .force = a->force, .allow_missing = a->allow_missing, .recursive = a->recursive,
				   .with_deps = a->with_deps, .glob = a->glob };
	struct checkout_result out = { 0 };
	int rc = checkout_targets(s->project, &a->targets, &o, &out, e);

	if (rc) {
		sync_broken_off(s, a, "fetched", r, &out, e);
	} else {
		sync_summary(s, a, "fetched", r, &out);
		if (out.failed.n)
			rc = checkout_error(s->project, &out, e);
	}
	checkout_result_release(&out);
	return rc;
}

static int run_pull(struct session *s, void *argp, struct err *e)
{
	struct sync_args *a = argp;
	struct transfer_result r = { 0 };
	int rc = fetch_part(s, a, &r, e);

	if (!rc && a->dry_run)
		sync_plan(a, "fetch", &r);
	else if (!rc)
		rc = checkout_part(s, a, &r, e);
	else
		sync_broken_off(s, a, "fetched", &r, NULL, e);
	if (rc)
		show_download_failed(e, "failed to pull data from the cloud");
	if (rc && e->code != ERR_INTR && !e->exit_status)
		e->exit_status = 1;
	transfer_result_release(&r);
	return rc;
}

const struct cmd cmd_pull = {
	.name = "pull", .run = run_pull, .needs = NEED_REPO | NEED_LOCK | FAIL_IS_1,
	.args_size = sizeof(struct sync_args), .opts = pull_options, .pos = sync_pos,
	.summary = "Download tracked files or directories from remote storage.",
	.help = "Brings what the cache lacks, then makes the tracked files in the work tree what their pointers say.",
};

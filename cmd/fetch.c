/* fetch - brings from a remote what the cache lacks. */
#include "cmd/show.h"
#include "cmd/sync.h"

static const struct opt fetch_options[] = {
	SYNC_OPTIONS("fetch from."),
	SYNC_OPTIONS_SCOPE,
	OPT_INT(0, "max-size", "max_size", sync_args, max_size, "Only files and directories smaller than this many bytes."),
	{ 0, "type", OPT_K_LIST, NULL, offsetof(struct sync_args, types), "Only outputs of this type.", "metrics,plots",
	  NULL, NULL, NULL, false },
	SYNC_OPTIONS_OWN,
	OPT_END
};
static const struct pos fetch_pos[] = {
	{ "targets", '*', offsetof(struct sync_args, targets), "Tracked paths, .dvc files or stages." },
	POS_END
};

static int run_fetch(struct session *s, void *argp, struct err *e)
{
	struct sync_args *a = argp;
	struct collect_opts c;
	struct transfer_opts o;
	struct transfer_result r = { 0 };
	int rc;

	sync_collect_opts(&c, a);
	sync_transfer_opts(&o, a);
	sync_begin(a);
	rc = transfer_fetch(s->project, &c, &o, &r, e);
	sync_end(a);
	if (!rc && a->dry_run)
		sync_plan(a, "fetch", &r);
	if (!rc && (a->json || !r.nfail))
		sync_summary(s, a, "fetched", &r, NULL);
	if (!rc)
		rc = sync_failures(&r, "download", e);
	if (rc)
		show_failed(e, "failed to fetch data from the cloud");
	if (rc && e->code != ERR_INTR && !e->exit_status)
		e->exit_status = 1;
	transfer_result_release(&r);
	return rc;
}

const struct cmd cmd_fetch = {
	.name = "fetch", .run = run_fetch, .needs = NEED_REPO | NEED_LOCK | FAIL_IS_1,
	.args_size = sizeof(struct sync_args), .opts = fetch_options, .pos = fetch_pos,
	.summary = "Download files or directories from remote storage to the cache.",
	.help = "Brings what the pointers name and the cache lacks. Every byte is checked before it gets a name there.",
};

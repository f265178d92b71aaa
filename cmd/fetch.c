/* fetch - brings from a remote what the cache lacks. */
#include "cmd/sync.h"

static const struct opt fetch_options[] = {
	SYNC_OPTIONS("fetch from."),
	SYNC_OPTIONS_SCOPE,
	OPT_INT(0, "max-size", NULL, sync_args, max_size, "Only files and directories smaller than this many bytes."),
	{ 0, "type", OPT_K_LIST, NULL, offsetof(struct sync_args, types), "Only outputs of this type.", "metrics,plots",
	  NULL, NULL, NULL, false, false },
	SYNC_OPTIONS_OWN,
	OPT_END
};
static int run_fetch(struct session *s, void *argp, struct err *e)
{
	static const struct sync_kind kind = { transfer_fetch, "fetch", "fetched", "download", "failed to fetch data from the cloud",
					      true };

	return sync_run(s, argp, &kind, e);
}

const struct cmd cmd_fetch = {
	.name = "fetch", .run = run_fetch, .needs = NEED_REPO | NEED_LOCK | FAIL_IS_1,
	.args_size = sizeof(struct sync_args), .opts = fetch_options, .pos = sync_pos,
	.summary = "Download files or directories from remote storage to the cache.",
	.help = "Brings what the pointers name and the cache lacks. Every byte is checked before it gets a name there.",
};

/* checkout - makes the work tree what the pointers say. */
#include "cmd/cmd.h"
#include "cmd/show.h"
#include "core/base/node.h"
#include "core/data/checkout.h"
#include "core/data/project.h"
#include "core/repo/repo.h"

struct checkout_args {
	struct strvec targets;
	bool summary, with_deps, recursive, force, relink, allow_missing, json;
};
static const struct opt checkout_options[] = {
	OPT_FLAG(0, "summary", checkout_args, summary, "Say only how many files changed."),
	OPT_FLAG('d', "with-deps", checkout_args, with_deps, "Also what the targets depend on."),
	OPT_FLAG('R', "recursive", checkout_args, recursive, "Everything tracked below the given directories."),
	OPT_FLAG('f', "force", checkout_args, force, "Remove what is not in the cache without asking."),
	OPT_FLAG(0, "relink", checkout_args, relink, "Make links or copies anew, as cache.type says."),
	OPT_FLAG(0, "allow-missing", checkout_args, allow_missing, "Pass over what the cache does not have."),
	OPT_OWN_FLAG(0, "json", checkout_args, json, "Print the changes as JSON."),
	OPT_END
};
static const struct pos checkout_pos[] = {
	{ "targets", '*', offsetof(struct checkout_args, targets), "Tracked paths, .dvc files or stages." },
	POS_END
};

static void print_json(struct session *s, const struct checkout_result *r)
{
	autonode struct node *top = node_map(), *stats = node_map();
	const struct strvec *lists[] = { &r->modified, &r->added, &r->deleted, &r->failed };
	static const char *const names[] = { "modified", "added", "deleted", "failed" };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		node_set(top, names[i], show_paths(s, lists[i]));
	node_set(stats, "modified", node_int((int64_t)r->files_modified));
	node_set(stats, "added", node_int((int64_t)r->files_added));
	node_set(stats, "deleted", node_int((int64_t)r->files_deleted));
	node_set(top, "stats", take(stats));
	ui_json(top);
}

static int run_checkout(struct session *s, void *argp, struct err *e)
{
	struct checkout_args *a = argp;
	struct checkout_opts o = { .force = a->force, .relink = a->relink, .allow_missing = a->allow_missing,
				   .recursive = a->recursive, .with_deps = a->with_deps };
	struct checkout_result r = { 0 };
	int rc;

	rc = checkout_targets(s->project, &a->targets, &o, &r, e);
	if (!rc) {
		if (a->json)
			print_json(s, &r);
		else if (a->summary)
			show_summary(&r);
		else
			show_changes(s, &r);
		if (r.failed.n)
			rc = checkout_error(s->project, &r, e);
		else if (a->relink && !a->json)
			ui_info("Relinked successfully");
	}
	checkout_result_release(&r);
	return rc;
}

const struct cmd cmd_checkout = {
	.name = "checkout", .run = run_checkout, .needs = NEED_REPO | NEED_LOCK,
	.args_size = sizeof(struct checkout_args), .opts = checkout_options, .pos = checkout_pos,
	.summary = "Checkout data files from cache.",
	.help = "Makes tracked files and directories in the work tree what their pointers say, from the cache.",
};

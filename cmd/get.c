#include "cmd/cmd.h"
#include "cmd/pairs.h"

#include "core/base/node.h"
#include "core/data/erepo.h"
#include "core/data/import.h"

struct get_args {
	const char *url, *path, *out, *rev, *config, *remote;
	bool show_url, force;
	int64_t jobs;
	struct strvec remote_config;
};

static int fail(const struct get_args *a, struct err *e)
{
	if (e->msg && strstr(e->msg, "Failed to clone"))
		return fail_with(e, "failed to get '%s'", a->path);
	return fail_with(e, "failed to get '%s' from '%s'", a->path, a->url);
}

static int get_run(struct session *s, void *args, struct err *e)
{
	struct get_args *a = args;
	struct map checked = MAP_INIT;
	autonode struct node *options = NULL, *config = a->config ? node_str(a->config) : NULL;
	struct erepo_opts o = { .rev = a->rev, .remote = a->remote, .config = config, .jobs = (unsigned)a->jobs };
	autofree char *shown = NULL;
	int rc = pairs_map(&a->remote_config, "--remote-config", &checked, e);

	(void)s;
	map_release(&checked, NULL);
	if (rc)
		return -1;
	options = pairs_node(&a->remote_config);
	o.remote_config = options;
	if (a->show_url) {
		if (get_show_url(a->url, a->path, &o, &shown, e))
			return e->exit_status == 251 ? -1 : fail_with(e, "failed to show URL");
		ui_out("%s\n", shown);
		return 0;
	}
	return get_from_repo(a->url, a->path, a->out, a->force, &o, e) ? fail(a, e) : 0;
}

static const struct opt get_options[] = {
	OPT_OPTSTR('o', "out", "<path>", get_args, out, "Destination path to download files to."),
	OPT_OPTSTR(0, "rev", "<commit>", get_args, rev, "Git revision (e.g. SHA, branch, tag)."),
	OPT_FLAG(0, "show-url", get_args, show_url,
		 "Print the storage location (URL) the target data would be downloaded from, and exit."),
	OPT_INT('j', "jobs", "<number>", get_args, jobs, "Number of jobs to run simultaneously."),
	OPT_FLAG('f', "force", get_args, force, "Override local file or folder if exists."),
	EREPO_OPTIONS(get_args),
	OPT_END
};
static const struct pos get_pos[] = {
	EREPO_POSITIONALS(get_args)
};

const struct cmd cmd_get = {
	.name = "get", .run = get_run, .needs = FAIL_IS_1,
	.args_size = sizeof(struct get_args), .opts = get_options, .pos = get_pos,
	.summary = "Download file or directory tracked by DVC or by Git.",
	.help = "Download file or directory tracked by DVC or by Git.",
};

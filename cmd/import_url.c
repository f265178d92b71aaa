#include "cmd/cmd.h"
#include "cmd/pairs.h"

#include "core/data/import.h"

struct import_url_args {
	const char *url, *out, *remote;
	bool to_remote, no_exec, no_download, force, version_aware;
	int64_t jobs;
	struct strvec fs_config;
};

static int import_url_run(struct session *s, void *args, struct err *e)
{
	struct import_url_args *a = args;
	struct map over = MAP_INIT;
	struct import_opts o = {
		.out = a->out, .remote = a->remote, .no_exec = a->no_exec, .no_download = a->no_download,
		.to_remote = a->to_remote, .force = a->force, .version_aware = a->version_aware, .jobs = (unsigned)a->jobs,
		.fs_config = &over,
	};
	int rc = pairs_map(&a->fs_config, "--fs-config", &over, e) || import_url(s->project, a->url, &o, e) ? -1 : 0;

	map_release(&over, NULL);
	if (rc && e->code == ERR_USAGE)
		return -1;
	return rc ? fail_with(e, "failed to import %s. You could also try downloading it manually, and adding it with "
			      "`dvc add`.", a->url) : 0;
}

static const struct opt import_url_options[] = {
	OPT_FLAG(0, "to-remote", import_url_args, to_remote, "Send it directly to the remote."),
	OPT_STR('r', "remote", "<name>", import_url_args, remote, "Remote storage to send it to."),
	OPT_FLAG_X(0, "no-exec", import_url_args, no_exec, "exec",
		   "Only create .dvc file without actually importing target data."),
	OPT_FLAG_X(0, "no-download", import_url_args, no_download, "exec",
		   "Create .dvc file including target data hash value(s) but do not actually download the file(s)."),
	OPT_INT('j', "jobs", "<number>", import_url_args, jobs, "Number of jobs to run simultaneously."),
	OPT_FLAG('f', "force", import_url_args, force, "Override local file or folder if exists."),
	OPT_FLAG(0, "version-aware", import_url_args, version_aware, "Import using cloud versioning."),
	OPT_PAIRS(0, "fs-config", "<name>=<value>", import_url_args, fs_config, "Config options for the target url."),
	OPT_END
};
static const struct pos import_url_pos[] = {
	{ "url", '1', offsetof(struct import_url_args, url), "Location of the data to download: a path or a URL." },
	{ "out", '?', offsetof(struct import_url_args, out), "Destination path to put files to." },
	POS_END
};

const struct cmd cmd_import_url = {
	.name = "import-url", .run = import_url_run, .needs = NEED_REPO | NEED_LOCK | FAIL_IS_1,
	.args_size = sizeof(struct import_url_args), .opts = import_url_options, .pos = import_url_pos,
	.summary = "Download or copy file from URL and take it under DVC control.",
	.help = "Download or copy file from URL and take it under DVC control.",
};

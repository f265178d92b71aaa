#include "cmd/cmd.h"
#include "cmd/pairs.h"

#include "core/base/node.h"
#include "core/data/import.h"

struct import_args {
	const char *url, *path, *out, *rev, *config, *remote;
	bool no_exec, no_download, force;
	int64_t jobs;
	struct strvec remote_config;
};

/* DVC's 'repo:' map of an import. */
static struct node *repo_of(const struct import_args *a)
{
	struct node *repo = node_map(), *options = pairs_node(&a->remote_config), *config, *core, *remotes;

	node_set(repo, "url", node_str(a->url));
	if (a->rev)
		node_set(repo, "rev", node_str(a->rev));
	if (a->config)
		node_set(repo, "config", node_str(a->config));
	if (a->remote && options) {
		config = node_map();
		core = node_map();
		remotes = node_map();
		node_set(core, "remote", node_str(a->remote));
		node_set(remotes, a->remote, options);
		node_set(config, "core", core);
		node_set(config, "remote", remotes);
		node_set(repo, "config", config);
	} else if (a->remote) {
		node_set(repo, "remote", node_str(a->remote));
	} else if (options) {
		node_set(repo, "remote", options);
	}
	return repo;
}

static int import_run(struct session *s, void *args, struct err *e)
{
	struct import_args *a = args;
	struct map checked = MAP_INIT;
	autonode struct node *repo = NULL;
	struct import_opts o = { .out = a->out, .no_exec = a->no_exec, .no_download = a->no_download, .force = a->force,
				 .jobs = (unsigned)a->jobs };
	int rc = pairs_map(&a->remote_config, "--remote-config", &checked, e);

	map_release(&checked, NULL);
	if (rc)
		return -1;
	if (a->remote && a->remote_config.n && a->config) {
		err_set(e, ERR_FAIL, "unexpected error - Can't specify config path together with both remote and remote_config");
		e->exit_status = 255;
		return -1;
	}
	repo = repo_of(a);
	o.repo = repo;
	if (!import_url(s->project, a->path, &o, e))
		return 0;
	if (e->msg && strstr(e->msg, "Failed to clone"))
		return fail_with(e, "failed to import '%s'", a->path);
	return fail_with(e, "failed to import '%s' from '%s'.", a->path, a->url);
}

static const struct opt import_options[] = {
	OPT_OPTSTR('o', "out", "<path>", import_args, out, "Destination path to download files to."),
	OPT_FLAG('f', "force", import_args, force, "Override destination file or folder if exists."),
	OPT_OPTSTR(0, "rev", "<commit>", import_args, rev, "Git revision (e.g. SHA, branch, tag)."),
	OPT_FLAG_X(0, "no-exec", import_args, no_exec, "exec",
		   "Only create .dvc file without actually importing target data."),
	OPT_FLAG_X(0, "no-download", import_args, no_download, "exec",
		   "Create .dvc file including target data hash value(s) but do not actually download the file(s)."),
	OPT_INT('j', "jobs", "<number>", import_args, jobs, "Number of jobs to run simultaneously."),
	EREPO_OPTIONS(import_args),
	OPT_END
};
static const struct pos import_pos[] = {
	EREPO_POSITIONALS(import_args)
};

const struct cmd cmd_import = {
	.name = "import", .run = import_run, .needs = NEED_REPO | NEED_LOCK | FAIL_IS_1,
	.args_size = sizeof(struct import_args), .opts = import_options, .pos = import_pos,
	.summary = "Download file or directory tracked by DVC or by Git into the workspace, and track it.",
	.help = "Download file or directory tracked by DVC or by Git into the workspace, and track it.",
};

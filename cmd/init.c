#include "cmd/cmd.h"

#include "core/repo/init.h"

struct init_args { struct init_opts o; const char *directory; };

static int init_run(struct session *s, void *args, struct err *e)
{
	const struct init_args *a = args;

	(void)s;
	if (a->o.no_scm && a->o.subdir) {
		err_set(e, ERR_FAIL, "Cannot initialize repo with `--no-scm` and `--subdir`");
		e->exit_status = 255;
		return -1;
	}
	if (repo_init(a->directory ? a->directory : ".", &a->o, e)) {
		char *msg = xasprintf("failed to initiate DVC - %s", e->msg);

		free(e->msg);
		e->msg = msg;
		return -1;
	}
	ui_info("Initialized DVC repository.\n");
	if (!a->o.no_scm)
		ui_info("You can now commit the changes to git.\n");
	ui_out("What's next?\n"
	       "------------\n"
	       "- Check out the documentation: <https://dvc.org/doc>\n"
	       "- Get help and share ideas: <https://dvc.org/chat>\n"
	       "- Star us on GitHub: <https://github.com/treeverse/dvc>\n");
	return 0;
}

static const struct opt init_opt_table[] = {
	OPT_FLAG(0, "no-scm", init_args, o.no_scm,
		 "Initiate DVC in directory that is not tracked by any SCM tool (e.g. Git)."),
	OPT_FLAG('f', "force", init_args, o.force,
		 "Overwrite existing '.dvc/' directory. This operation removes local cache."),
	OPT_FLAG(0, "subdir", init_args, o.subdir,
		 "Necessary for running this command inside a subdirectory of a parent SCM repository."),
	OPT_END
};
static const struct pos init_pos[] = {
	{ "directory", '?', offsetof(struct init_args, directory),
	  "Directory to initialize DVC in. Defaults to the current working directory." },
	POS_END
};

const struct cmd cmd_init = {
	.name = "init", .run = init_run, .needs = FAIL_IS_1, .args_size = sizeof(struct init_args), .opts = init_opt_table,
	.pos = init_pos, .summary = "Initialize DVC repository.",
	.help = "Initialize DVC repository in the given directory (defaults to the current working directory).\n"
		"Expects directory to be a Git repository unless --no-scm option is specified.",
};

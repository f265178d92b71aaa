#include "cmd/cmd.h"

#include "core/base/fs.h"
#include "core/repo/repo.h"

static int root_run(struct session *s, void *args, struct err *e)
{
	autofree char *root = repo_find_root(".", e), *cwd = NULL, *shown = NULL;

	(void)s;
	(void)args;
	if (!root)
		return -1;
	cwd = path_abs(".");
	shown = path_rel(root, cwd);
	ui_out("%s\n", shown);
	return 0;
}

const struct cmd cmd_root = {
	.name = "root", .run = root_run, .summary = "Return the relative path to the root of the DVC project.",
	.help = "Return the relative path to the root of the DVC project.",
};

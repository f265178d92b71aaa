#include "cmd/cmd.h"

#include "core/data/track.h"

struct unprotect_args { struct strvec targets; };

static int unprotect_run(struct session *s, void *args, struct err *e)
{
	struct unprotect_args *a = args;

	(void)s;
	for (size_t i = 0; i < a->targets.n; i++)
		if (track_unprotect(a->targets.v[i], e))
			return -1;
	return 0;
}

static const struct pos unprotect_pos[] = {
	{ "targets", '+', offsetof(struct unprotect_args, targets), "Data files/directories to unprotect." },
	POS_END
};

const struct cmd cmd_unprotect = {
	.name = "unprotect", .run = unprotect_run, .needs = NEED_REPO | NEED_LOCK,
	.args_size = sizeof(struct unprotect_args), .pos = unprotect_pos,
	.summary = "Unprotect tracked files or directories.",
	.help = "Unprotect tracked files or directories (when hardlinks or symlinks have been enabled with "
		"`dvc config cache.type`).",
};

#include "cmd/cmd.h"

#include "core/data/track.h"

struct move_args { const char *src, *dst; };

static int move_run(struct session *s, void *args, struct err *e)
{
	struct move_args *a = args;
	autofree char *msg = NULL;

	if (!track_move(s->project, a->src, a->dst, e))
		return 0;
	if (!e->exit_status && e->code != ERR_INTR)
		e->exit_status = 1;
	if (e->report || e->code == ERR_INTR)
		return -1;
	msg = xasprintf("failed to move '%s' -> '%s' - %s", a->src, a->dst, e->msg);
	free(e->msg);
	e->msg = take(msg);
	return -1;
}

static const struct pos move_pos[] = {
	{ "src", '1', offsetof(struct move_args, src), "Source path to a data file or directory." },
	{ "dst", '1', offsetof(struct move_args, dst), "Destination path." },
	POS_END
};

const struct cmd cmd_move = {
	.name = "move", .alias = "mv", .run = move_run, .needs = NEED_REPO | NEED_LOCK | FAIL_IS_1,
	.args_size = sizeof(struct move_args), .pos = move_pos,
	.summary = "Rename or move a DVC controlled data file or a directory.",
	.help = "Rename or move a DVC controlled data file or a directory.\n"
		"It renames and modifies the corresponding .dvc file to reflect the changes.",
};

#include "cmd/cmd.h"

#include "core/data/track.h"
#include "core/pipeline/record.h"
#include "core/pipeline/runcache.h"
#include "core/repo/repo.h"
#include "core/stage/stage.h"


struct commit_args {
	struct strvec targets;
	bool force, with_deps, recursive, no_relink;
};

static int save_deps(struct project *p, struct stage *s, struct err *e)
{
	return record_deps(p, s, 0, e);
}

static int saved(struct project *p, struct stage *s, struct err *e)
{
	return s->kind == STAGE_PIPELINE && runcache_can(s) ? runcache_save(p, s, e) : 0;
}

static int fail(const char *target, struct err *e)
{
	autofree char *msg = NULL;

	if (e->report || e->code == ERR_INTR || e->exit_status == 255)
		return -1;
	msg = xasprintf("failed to commit%s%s - %s", target ? " " : "", target ? target : "", e->msg);
	free(e->msg);
	e->msg = take(msg);
	return -1;
}

static int commit_run(struct session *s, void *args, struct err *e)
{
	struct commit_args *a = args;
	struct commit_opts o = {
		.force = a->force, .recursive = a->recursive, .with_deps = a->with_deps, .no_relink = a->no_relink,
		.confirm = ui_confirm_tty, .save_deps = save_deps, .saved = saved,
	};
	size_t n = a->targets.n ? a->targets.n : 1;

	for (size_t i = 0; i < n; i++) {
		const char *target = a->targets.n ? a->targets.v[i] : NULL;

		if (!track_commit(s->project, target, &o, e))
			continue;
		if (!e->exit_status && e->code != ERR_INTR)
			e->exit_status = 1;
		return fail(target, e);
	}
	repo_wrote_none(s->repo);      /* commit never speaks of git, nor stages for it */
	return 0;
}

static const struct opt commit_options[] = {
	OPT_FLAG('f', "force", commit_args, force,
		 "Commit data even if hash values for dependencies or outputs did not change."),
	OPT_FLAG('d', "with-deps", commit_args, with_deps, "Commit all dependencies of the specified target."),
	OPT_FLAG('R', "recursive", commit_args, recursive,
		 "Commit cache for subdirectories of the specified directory."),
	OPT_FLAG(0, "no-relink", commit_args, no_relink, "Don't recreate links from cache to workspace."),
	OPT_END
};
static const struct pos commit_pos[] = {
	{ "targets", '*', offsetof(struct commit_args, targets),
	  "Limit command scope to these tracked files/directories, .dvc files and stage names." },
	POS_END
};

const struct cmd cmd_commit = {
	.name = "commit", .run = commit_run, .needs = NEED_REPO | NEED_LOCK | FAIL_IS_1 | NO_SCM_NOTE,
	.args_size = sizeof(struct commit_args), .opts = commit_options, .pos = commit_pos,
	.summary = "Record changes to files or directories tracked by DVC by storing the current versions in the cache.",
	.help = "Record changes to files or directories tracked by DVC by storing the current versions in the cache.",
};

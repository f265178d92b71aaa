#include "cmd/cmd.h"

#include "core/base/fs.h"
#include "core/data/project.h"
#include "core/data/track.h"
#include "core/repo/repo.h"
#include "core/stage/index.h"

#include <errno.h>
#include <unistd.h>

struct destroy_args { bool force; };

/* Links into the cache become files of their own first: the cache goes. */
static int unprotect_outs(struct repo *r, const struct stage *s, struct err *e)
{
	for (size_t i = 0; i < s->nouts; i++) {
		autofree char *abs = NULL;

		if (!s->outs[i]->path)
			continue;
		abs = repo_abs(r, s->outs[i]->path);
		if (fs_exists(abs) && track_unprotect(abs, e))
			return -1;
	}
	return 0;
}

static int remove_file(const char *path, struct err *e)
{
	return unlink(path) && errno != ENOENT ? err_sys(e, "cannot remove '%s'", path) : 0;
}

/* A pipeline file takes its lock file along. */
static int remove_stage_file(struct repo *r, const struct stage *s, struct err *e)
{
	autofree char *abs = repo_abs(r, s->file), *dir = NULL, *lock = NULL;

	if (s->kind == STAGE_PIPELINE) {
		dir = path_dir(abs);
		lock = path_join(dir, "dvc.lock");
		if (remove_file(lock, e))
			return -1;
	}
	return remove_file(abs, e);
}

static int destroy_all(struct session *s, struct err *e)
{
	struct index *x;
	autofree char *ignore = repo_abs(s->repo, ".dvcignore");

	if (project_index(s->project, &x, e))
		return -1;
	for (size_t i = 0; i < x->n; i++)
		if (unprotect_outs(s->repo, x->v[i], e))
			return -1;
	for (size_t i = 0; i < x->n; i++)
		if (remove_stage_file(s->repo, x->v[i], e))
			return -1;
	if (remove_file(ignore, e))
		return -1;
	return fs_rm_tree(s->repo->dvc_dir, e);
}

static int destroy_run(struct session *s, void *args, struct err *e)
{
	const struct destroy_args *a = args;
	char *msg;

	if (!a->force && !ui_confirm("This will destroy all information about your pipelines, all data files, as well as cache "
				     "in .dvc/cache.\nAre you sure you want to continue?"))
		err_set(e, ERR_FAIL, "cannot destroy without a confirmation from the user. Use `-f` to force.");
	else if (!destroy_all(s, e))
		return 0;
	msg = xasprintf("failed to destroy DVC - %s", e->msg);
	free(e->msg);
	e->msg = msg;
	return -1;
}

static const struct opt destroy_opts[] = {
	OPT_FLAG('f', "force", destroy_args, force, "Force destruction."), OPT_END
};

const struct cmd cmd_destroy = {
	.name = "destroy", .run = destroy_run, .needs = NEED_REPO | NEED_LOCK | FAIL_IS_1 | NO_SCM_NOTE,
	.args_size = sizeof(struct destroy_args), .opts = destroy_opts,
	.summary = "Remove DVC files, local DVC config and data cache.",
	.help = "Remove DVC files, local DVC config and data cache.",
};

/* freeze - stops a stage's dependencies from being looked at, or lets them be again. */
#include "cmd/cmd.h"

#include "core/base/fs.h"
#include "core/data/project.h"
#include "core/repo/repo.h"
#include "core/stage/dvcyaml.h"
#include "core/stage/index.h"
#include "core/stage/pointer.h"
#include "core/stage/stage.h"
#include "core/stage/template.h"

#include <unistd.h>

struct freeze_args { struct strvec targets; };

/* A dvc.yaml without the name of a stage; what is wrong with the file itself comes first. */
static int fail_nameless(struct session *s, struct index *x, const char *file, struct err *e)
{
	static const struct tmpl_want nothing = { .name = "" };
	autofree char *rel = repo_rel(s->repo, file, e);
	autofree char *shown = rel ? repo_show(s->repo, rel) : NULL;

	if (!rel)
		return -1;
	if (index_load_file(x, rel, &nothing, e))
		return -1;
	return err_set(e, ERR_FAIL, "Stage name not provided.Please specify the name as: `%s:stage_name`", shown);
}

static int set_one(struct session *s, const char *target, bool frozen, struct err *e)
{
	autostrvec struct strvec names = STRVEC_INIT;
	struct targets t = { NULL, 0, 0 };
	autofree char *file = NULL, *name = NULL;
	struct index *x;
	struct stage *st;
	int rc;

	strvec_push(&names, target);
	if (project_index_some(s->project, &x, e) || target_parse(target, &file, &name, e))
		return -1;
	if (!file && !name)
		file = xstrdup("dvc.yaml");
	if (file && !name && !strcmp(path_base(file), "dvc.yaml") && !access(file, F_OK))
		return fail_nameless(s, x, file, e);
	if (index_targets(x, &names, TARGET_STAGES_ONLY | TARGET_NO_GROUP, &t, e))
		return -1;
	st = t.n ? t.v[0].stage : NULL;
	targets_release(&t);
	if (!st)
		return err_set(e, ERR_NOTFOUND, "Stage '%s' not found", target);
	st->frozen = frozen;
	rc = st->kind == STAGE_SINGLE ? pointer_save(s->repo, st, e) : dvcyaml_put_stage(s->repo, st, false, e);
	project_index_drop(s->project);
	return rc;
}

static int set_all(struct session *s, const struct freeze_args *a, bool frozen, const char *verb)
{
	int status = 0;

	for (size_t i = 0; i < a->targets.n; i++) {
		autoerr struct err e = ERR_INIT;

		if (!set_one(s, a->targets.v[i], frozen, &e))
			continue;
		if (e.exit_status == 255) {
			ui_err(&e);
			return 255;
		}
		if (e.report)
			ui_err(&e);
		else
			ui_error("failed to %s '%s' - %s", verb, a->targets.v[i], e.msg);
		status = 1;
	}
	return status;
}

static int run_freeze(struct session *s, void *args, struct err *e)
{
	(void)e;
	return set_all(s, args, true, "freeze");
}

static int run_unfreeze(struct session *s, void *args, struct err *e)
{
	(void)e;
	return set_all(s, args, false, "unfreeze");
}

static const struct pos freeze_pos[] = {
	{ "targets", '+', offsetof(struct freeze_args, targets), "Stages or .dvc files to freeze" }, POS_END
};
static const struct pos unfreeze_pos[] = {
	{ "targets", '+', offsetof(struct freeze_args, targets), "Stages or .dvc files to unfreeze" }, POS_END
};
const struct cmd cmd_freeze = {
	.name = "freeze", .run = run_freeze, .needs = NEED_REPO | NEED_LOCK | NO_SCM_NOTE | NO_SCM_STAGE,
	.args_size = sizeof(struct freeze_args), .pos = freeze_pos,
	.summary = "Freeze stages or .dvc files.", .help = "Freeze stages or .dvc files.",
};
const struct cmd cmd_unfreeze = {
	.name = "unfreeze", .run = run_unfreeze, .needs = NEED_REPO | NEED_LOCK | NO_SCM_NOTE | NO_SCM_STAGE,
	.args_size = sizeof(struct freeze_args), .pos = unfreeze_pos,
	.summary = "Unfreeze stages or .dvc files.", .help = "Unfreeze stages or .dvc files.",
};

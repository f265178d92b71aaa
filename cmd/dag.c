/* dag - shows how stages depend on each other. */
#include "cmd/cmd.h"

#include "core/data/project.h"
#include "core/pipeline/dag.h"
#include "core/repo/repo.h"
#include "core/stage/index.h"
#include "core/stage/stage.h"

struct dag_args { const char *target; bool dot, mermaid, md, collapse, full, outs; };

static int target_names(struct session *s, struct index *x, const struct dag_args *a, struct strvec *out, struct err *e)
{
	autostrvec struct strvec names = STRVEC_INIT;
	struct targets t = { NULL, 0, 0 };

	strvec_push(&names, a->target);
	if (index_targets(x, &names, 0, &t, e))
		return -1;
	for (size_t i = 0; i < t.n; i++) {
		const struct stage *st = t.v[i].stage;

		if (!a->outs) {
			strvec_take(out, stage_addressing(st, s->repo->cwd_rel));
			continue;
		}
		for (size_t k = 0; k < st->nouts; k++)
			if (!t.v[i].out || t.v[i].out == st->outs[k])
				strvec_take(out, item_show(st->outs[k], s->repo->cwd_rel));
	}
	targets_release(&t);
	return 0;
}

static int show(const struct dag_args *a, const struct dag *d, struct err *e)
{
	autostr struct str out = STR_INIT;

	if (a->dot)
		dag_dot(&out, d);
	else if (a->mermaid || a->md)
		dag_mermaid(&out, d, a->md);
	else if (dag_ascii(&out, d, e))
		return -1;
	str_addc(&out, '\n');
	ui_out("%s", str_cstr(&out));
	return 0;
}

static int run(struct session *s, void *args, struct err *e)
{
	const struct dag_args *a = args;
	autostrvec struct strvec targets = STRVEC_INIT;
	struct dag d = { STRVEC_INIT, NULL, 0, 0 };
	struct index *x;
	int rc;

	if (a->outs && a->collapse)
		return err_set(e, ERR_FAIL, "`--outs` and `--collapse-foreach-matrix` are mutually exclusive");
	if (project_index(s->project, &x, e) || (a->target && target_names(s, x, a, &targets, e)) ||
	    index_check_graph(x, e))
		return -1;
	if (a->outs)
		dag_of_outs(&d, x, s->repo->cwd_rel);
	else
		dag_of_stages(&d, x, s->repo->cwd_rel);
	if (targets.n)
		dag_filter(&d, &targets, a->full);
	if (a->collapse)
		dag_collapse(&d);
	rc = show(a, &d, e);
	dag_release(&d);
	return rc;
}

static const struct opt opts[] = {
	OPT_FLAG(0, "dot", dag_args, dot, "Print DAG with .dot format."),
	OPT_FLAG(0, "mermaid", dag_args, mermaid, "Print DAG with mermaid format."),
	OPT_FLAG(0, "md", dag_args, md, "Print DAG with mermaid format wrapped in Markdown block."),
	OPT_FLAG(0, "collapse-foreach-matrix", dag_args, collapse,
		 "Collapse stages from each foreach/matrix definition into a single node."),
	OPT_FLAG(0, "full", dag_args, full, "Show full DAG that the target belongs too, instead of showing DAG consisting only "
		 "of ancestors."),
	OPT_FLAG('o', "outs", dag_args, outs, "Print output files instead of stages."),
	OPT_END
};
static const struct pos pos[] = {
	{ "target", '?', offsetof(struct dag_args, target), "Stage name or output to show pipeline for. Finds all stages in the "
	  "workspace by default." }, POS_END
};
const struct cmd cmd_dag = {
	.name = "dag", .run = run, .needs = NEED_REPO, .args_size = sizeof(struct dag_args), .opts = opts, .pos = pos,
	.summary = "Visualize DVC project DAG.", .help = "Visualize DVC project DAG.",
};

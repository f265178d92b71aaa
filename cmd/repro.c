/* repro - runs the stages whose inputs changed. */
#include "cmd/cmd.h"
#include "cmd/show.h"
#include "cmd/sync.h"

#include "core/base/pool.h"
#include "core/cache/oid.h"
#include "core/cache/store.h"
#include "core/data/checkout.h"
#include "core/data/import.h"
#include "core/data/project.h"
#include "core/data/remote.h"
#include "core/data/transfer.h"
#include "core/pipeline/plan.h"
#include "core/pipeline/runner.h"
#include "core/repo/config.h"
#include "core/repo/repo.h"
#include "core/repo/repolock.h"
#include "core/stage/stage.h"

struct repro_args {
	struct strvec targets;
	bool force, interactive, single_item, pipeline, all_pipelines, recursive, downstream, force_downstream, pull,
	     allow_missing, dry, keep_going, ignore_errors, glob, no_commit, no_run_cache, explain;
	const char *jobs;
};

static bool confirm(const char *question, void *data)
{
	(void)data;
	return ui_confirm_tty(question);
}

/* --pull: the objects of a stage's outputs, or the output that is 'path'. */
static int pull(struct project *p, const struct stage *s, const char *path, struct err *e)
{
	const struct checkout_opts o = { .force = false };
	autostrvec struct strvec names = STRVEC_INIT;
	autofree char *name = path ? repo_show(p->repo, path) : stage_addressing(s, p->repo->cwd_rel);
	struct collect_opts c = { .targets = &names };
	struct transfer_opts t = { .run_cache = false };
	struct checkout_result out = { 0 };
	struct transfer_result r;
	int rc;

	memset(&r, 0, sizeof(r));
	strvec_push(&names, name);
	rc = transfer_fetch(p, &c, &t, &r, e);
	if (rc && e->code == ERR_CONFIG) {
		/* No remote: what is missing then, checkout says. */
		err_release(e);
		rc = 0;
	}
	if (!rc)
		rc = sync_failures(&r, "download", e);
	if (!rc && path && !(rc = checkout_targets(p, &names, &o, &out, e)) && out.failed.n)
		rc = checkout_error(p, &out, e);
	checkout_result_release(&out);
	transfer_result_release(&r);
	return rc;
}

static bool same_remote(const struct item *a, const struct item *b)
{
	return a->remote && b->remote ? !strcmp(a->remote, b->remote) : a->remote == b->remote;
}

/* The outputs of an earlier run whose remote is that of 'like', in one go: DVC's words are about all of them. */
static int bring_like(struct project *p, const struct stage *run, const struct item *like, struct err *e)
{
	struct transfer_opts t = { .names_missing = true };
	autoerr struct err told = ERR_INIT;
	struct want_set w = { 0 };
	struct transfer_result r;
	struct remote *remote;
	struct oid id;
	int rc = 0;

	if (remote_open_named(&remote, p->repo, like->remote, 0, e))
		return -1;
	memset(&r, 0, sizeof(r));
	for (size_t i = 0; i < run->nouts && !rc; i++) {
		const struct item *out = run->outs[i];

		if (same_remote(out, like) && hashinfo_oid(&out->hash, &id))
			rc = want_add_whole(p, &w, out->path ? out->path : out->def, &id, hashinfo_is_legacy(&out->hash), e);
	}
	if (!rc)
		rc = transfer_fetch_set(p, remote, &w, &t, &r, e);
	if (!rc)
		sync_failures(&r, "download", &told);   /* the stage runs instead */
	remote_close(remote);
	transfer_result_release(&r);
	want_release(&w);
	return rc;
}

/* Without its manifest the files of a directory have no names: nothing is brought then. */
static int have_manifests(struct project *p, const struct stage *run, bool *all, struct err *e)
{
	*all = true;
	for (size_t i = 0; *all && i < run->nouts; i++) {
		const struct item *out = run->outs[i];
		bool legacy = hashinfo_is_legacy(&out->hash);
		struct store *s;
		struct oid id;

		if (!hashinfo_oid(&out->hash, &id) || !id.is_dir)
			continue;
		if (project_cache(p, legacy, &s, e))
			return -1;
		*all = store_has_quick(s, &id, NULL) == 1 || transfer_manifest(p, out->remote, &id, legacy);
	}
	return 0;
}

/* --pull: what the run-cache knows of and only the remote has. */
static int bring(struct project *p, const struct stage *run, struct err *e)
{
	bool all;

	if (have_manifests(p, run, &all, e))
		return -1;
	for (size_t i = 0; all && i < run->nouts; i++) {
		bool first = true;

		for (size_t k = 0; k < i && first; k++)
			first = !same_remote(run->outs[k], run->outs[i]);
		if (first && bring_like(p, run, run->outs[i], e))
			return -1;
	}
	return 0;
}

/* An import that is not frozen follows its source; one of a repository stays at the commit that 'update' gave it, as with DVC. */
static int import(struct project *p, struct stage *s, struct err *e)
{
	autostrvec struct strvec names = STRVEC_INIT;
	struct update_opts o = { .locked = true };

	strvec_take(&names, repo_show(p->repo, s->file));
	return import_update(p, &names, &o, e);
}

/* A remote that is not set, or has no run-cache, is none; one that does not answer ends the command, as with DVC. */
static int pull_run_cache(void *data, struct err *e)
{
	struct session *s = data;
	struct transfer_opts t = { .run_cache = true };
	struct transfer_result r;
	int rc;

	memset(&r, 0, sizeof(r));
	rc = transfer_fetch_runs(s->project, &t, &r, e);
	if (rc && e->code == ERR_CONFIG) {
		ui_warn("Failed to pull run cache: %s", e->msg);
		err_release(e);
		rc = 0;
	}
	if (r.no_runs)
		ui_warn("Failed to pull run cache: %s", r.no_runs);
	transfer_result_release(&r);
	return rc;
}

static int read_jobs(const struct repro_args *a, struct repo *r, unsigned *out, struct err *e)
{
	const char *text = a->jobs ? a->jobs : config_own(r->config, "repro.jobs");
	uint64_t n;

	*out = 1;
	if (!text || !*text)
		return 0;
	if (!strcmp(text, "auto")) {
		*out = pool_cores();
		return 0;
	}
	if (!str_to_u64(text, &n) || n < 1 || n > 10000)
		return err_set(e, a->jobs ? ERR_USAGE : ERR_CONFIG, "'%s' is not a number of jobs", text);
	*out = (unsigned)n;
	return 0;
}

static int run_plan(struct session *s, const struct repro_args *a, struct plan *plan, struct run_result *res,
		    struct err *e)
{
	const struct run_hooks hooks = { .confirm = confirm, .flush = show_run_flush, .output = show_run_output,
					 .pull = pull, .bring = bring, .import = import };
	struct run_opts o = {
		.force = a->force, .dry = a->dry, .pull = a->pull, .allow_missing = a->allow_missing,
		.no_run_cache = a->no_run_cache, .no_commit = a->no_commit, .force_downstream = a->force_downstream,
		.interactive = a->interactive || config_bool(s->repo->config, "core", "interactive", false),
		.explain = a->explain, .quiet = ui_is_quiet(), .cmdline = "git-data repro",
		.on_error = a->ignore_errors ? RUN_IGNORE : a->keep_going ? RUN_KEEP_GOING : RUN_FAIL,
	};

	if (read_jobs(a, s->repo, &o.jobs, e))
		return -1;
	if (o.dry)
		o.jobs = 1;
	return runner_run(s->project, plan, s->lock, &o, &hooks, res, e);
}

static int run(struct session *s, void *args, struct err *e)
{
	struct repro_args *a = args;
	struct plan_opts po = {
		.targets = &a->targets, .recursive = a->recursive, .pipeline = a->pipeline,
		.all_pipelines = a->all_pipelines, .downstream = a->downstream, .single_item = a->single_item,
		.glob = a->glob, .named = a->pull && !a->no_run_cache ? pull_run_cache : NULL, .data = s,
	};
	struct plan plan = { .n = 0 };
	struct run_result res = { 0 };
	struct index *x;
	int rc;

	if (repo_tmp(s->repo, e) || project_index_some(s->project, &x, e) || plan_make(&plan, x, &po, e)) {
		if (!e->exit_status && e->code != ERR_INTR && e->code != ERR_CONFIG)
			e->exit_status = 255;
		return -1;
	}
	rc = run_plan(s, a, &plan, &res, e);
	plan_release(&plan);
	if (rc || session_tell_git(s, e))
		return -1;
	ui_info(res.ran ? "Use `dvc push` to send your updates to remote storage." :
		"Data and pipelines are up to date.");
	return 0;
}

#define F(c, name, field, help) OPT_FLAG(c, name, repro_args, field, help)
static const struct opt opts[] = {
	F('f', "force", force, "Reproduce even if dependencies were not changed."),
	F('i', "interactive", interactive, "Ask for confirmation before reproducing each stage."),
	F('s', "single-item", single_item, "Reproduce only single data item without recursive dependencies check."),
	F('p', "pipeline", pipeline, "Reproduce the whole pipeline that the specified targets belong to."),
	F('P', "all-pipelines", all_pipelines, "Reproduce all pipelines in the repo."),
	F('R', "recursive", recursive, "Reproduce all stages in the specified directory."),
	F(0, "downstream", downstream, "Start from the specified stages when reproducing pipelines."),
	F(0, "force-downstream", force_downstream, "Reproduce all descendants of a changed stage even if their "
	  "direct dependencies didn't change."),
	F(0, "pull", pull, "Try automatically pulling missing data."),
	F(0, "allow-missing", allow_missing, "Skip stages with missing data but no other changes."),
	F(0, "dry", dry, "Only print the commands that would be executed without actually executing."),
	F('k', "keep-going", keep_going, "Continue executing, skipping stages having dependencies on the failed stages"),
	F(0, "ignore-errors", ignore_errors, "Ignore errors from stages."),
	F(0, "glob", glob, "Allows targets containing shell-style wildcards."),
	F(0, "no-commit", no_commit, "Don't put files/directories into cache."),
	F(0, "no-run-cache", no_run_cache, "Execute stage commands even if they have already been run with the same "
	  "command/dependencies/outputs/etc before."),
	OPT_OWN('j', "jobs", OPT_K_STR, "<number>", repro_args, jobs, "Run so many stages at a time; 'auto': one per core."),
	OPT_OWN_FLAG(0, "explain", repro_args, explain, "Say why each stage runs."),
	OPT_END
};
static const struct pos pos[] = {
	{ "targets", '*', offsetof(struct repro_args, targets), "Stages to reproduce. 'dvc.yaml' by default." },
	POS_END
};
const struct cmd cmd_repro = {
	.name = "repro", .run = run, .needs = NEED_REPO | NEED_LOCK, .args_size = sizeof(struct repro_args),
	.opts = opts, .pos = pos,
	.summary = "Reproduce complete or partial pipelines by executing their stages.",
	.help = "Reproduce complete or partial pipelines by executing their stages.",
};

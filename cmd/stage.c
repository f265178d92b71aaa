/* stage - creates stages and lists them. */
#include "cmd/cmd.h"
#include "cmd/show.h"

#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/data/project.h"
#include "core/data/track.h"
#include "core/pipeline/plan.h"
#include "core/pipeline/runner.h"
#include "core/repo/config.h"
#include "core/repo/repo.h"
#include "core/repo/srctree.h"
#include "core/stage/dvcyaml.h"
#include "core/stage/index.h"
#include "core/stage/stage.h"
#include "core/stage/template.h"

struct add_args {
	const char *name, *wdir, *desc;
	bool force, always_changed, run;
	struct strvec deps, params, outs, outs_no_cache, outs_persist, outs_persist_no_cache, metrics, metrics_no_cache,
		      plots, plots_no_cache, command;
};
struct list_args { struct strvec targets; bool all, fail, recursive, name_only; };

/* --- add --- */

static bool valid_name(const char *s)
{
	for (; *s; s++)
		if (strchr("!\"#$%&'()*+,./:;<=>?@[\\]^`{|}~", *s))
			return false;
	return true;
}

static char *join_command(const struct strvec *words)
{
	autostr struct str s = STR_INIT;

	if (words->n == 1)
		return xstrdup(words->v[0]);
	for (size_t i = 0; i < words->n; i++) {
		const char *w = words->v[i];
		bool quote = !*w || (strchr(w, ' ') && !strchr(w, '"'));

		str_addf(&s, quote ? "%s\"%s\"" : "%s%s", i ? " " : "", w);
	}
	return str_take(&s);
}

static int check_dir(struct repo *r, const char *path, const char *what, struct err *e)
{
	autofree char *abs = path_abs(path);

	if (!fs_exists(abs))
		return err_set(e, ERR_FAIL, "%s '%s' does not exist", what, abs);
	if (!fs_is_dir(abs))
		return err_set(e, ERR_FAIL, "%s '%s' is not directory", what, abs);
	if (!path_is_inside(abs, r->root))
		return err_set(e, ERR_FAIL, "%s '%s' is outside of DVC repo", what, abs);
	return 0;
}

static int refuse_stage_file(const char *path, bool out, struct err *e)
{
	const char *base = path_base(path);

	if (!strcmp(base, "dvc.yaml") || str_ends(base, ".dvc"))
		return err_set(e, ERR_FAIL, "DVC file '%s' cannot be %s.", path, out ? "an output" : "a dependency");
	return 0;
}

/* remote://name/path needs a remote of that name. */
static int check_dep(struct repo *r, const char *dep, struct err *e)
{
	const char *rest = str_starts(dep, "remote://") ? dep + strlen("remote://") : NULL;
	autofree char *name = rest ? xstrndup(rest, strcspn(rest, "/")) : NULL;

	if (!*dep) {
		err_set(e, ERR_FAIL, "unexpected error - a dependency has no name");
		return -1;
	}
	if (name && !config_has_remote(r->config, name))
		return err_set(e, ERR_CONFIG, "config file error: remote '%s' doesn't exist", name);
	return refuse_stage_file(dep, false, e);
}

static int add_outs(struct stage *s, const struct strvec *paths, bool cache, bool persist, bool metric, bool plot,
		    struct err *e)
{
	for (size_t i = 0; i < paths->n; i++) {
		struct item *o;

		if (refuse_stage_file(paths->v[i], true, e))
			return -1;
		o = stage_add_out(s, paths->v[i]);
		o->cache = cache;
		o->persist = persist;
		o->is_metric = metric;
		o->is_plot = plot;
	}
	return 0;
}

/* In DVC's order, which is the order of the lines in .gitignore. */
static int add_all_outs(struct stage *s, const struct add_args *a, struct err *e)
{
	return add_outs(s, &a->outs_persist, true, true, false, false, e) ||
		add_outs(s, &a->outs_persist_no_cache, false, true, false, false, e) ||
		add_outs(s, &a->metrics, true, false, true, false, e) ||
		add_outs(s, &a->metrics_no_cache, false, false, true, false, e) ||
		add_outs(s, &a->plots, true, false, false, true, e) ||
		add_outs(s, &a->plots_no_cache, false, false, false, true, e) ||
		add_outs(s, &a->outs_no_cache, false, false, false, false, e) ||
		add_outs(s, &a->outs, true, false, false, false, e) ? -1 : 0;
}

/* "file:a,b" and "a,b" as the list dvc.yaml would hold. */
static struct node *params_list(const struct strvec *given)
{
	struct node *files = node_map(), *list = node_seq();

	for (size_t i = 0; i < given->n; i++) {
		const char *colon = strrchr(given->v[i], ':');
		autofree char *file = colon && colon > given->v[i] ? xstrndup(given->v[i], (size_t)(colon - given->v[i]))
			: xstrdup("params.yaml");
		autostrvec struct strvec keys = STRVEC_INIT;

		if (!node_get(files, file))
			node_set(files, file, node_seq());
		strvec_split(&keys, colon ? colon + 1 : given->v[i], ',');
		for (size_t k = 0; k < keys.n; k++)
			if (*keys.v[k])
				node_push(node_get(files, file), node_str(keys.v[k]));
	}
	for (size_t i = 0; i < files->n; i++) {
		struct node *one = node_map();

		node_set(one, files->k[i]->text, node_copy(files->v[i]));
		node_push(list, one);
	}
	node_free(files);
	return list;
}

static int check_external(struct repo *r, struct stage *s, struct err *e)
{
	autostr struct str list = STR_INIT;

	stage_localise(s, r->root);

	for (size_t i = 0; i < s->nouts; i++) {
		bool is_root = s->outs[i]->path && !*s->outs[i]->path;
		autofree char *shown = is_root ? xstrdup(r->root) : item_show(s->outs[i], r->cwd_rel);

		if (s->outs[i]->cache && (is_root || !s->outs[i]->path))
			str_addf(&list, "%s%s", list.len ? ", " : "", shown);
	}
	return !list.len ? 0 : err_set(e, ERR_FAIL, "Cached output(s) outside of DVC project: %s. See "
				       "<https://dvc.org/doc/user-guide/pipelines/external-dependencies-and-outputs> "
				       "for more info.", str_cstr(&list));
}

static const struct item *item_at(const struct stage *s, size_t i)
{
	return i < s->ndeps ? s->deps[i] : s->outs[i - s->ndeps];
}

static int check_twice(struct repo *r, const struct stage *s, struct err *e)
{
	size_t n = s->ndeps + s->nouts;

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < n; i++)
			for (size_t k = i + 1; k < n; k++) {
				const struct item *a = item_at(s, i), *b = item_at(s, k);
				autofree char *x = item_abs(a, r->root);
				autofree char *y = item_abs(b, r->root);

				if (!x || !y || strcmp(x, y) || (!pass && a->is_out == b->is_out))
					continue;
				return pass ? err_set(e, ERR_FAIL, "file '%s' is specified more than once.", x) :
					err_set(e, ERR_FAIL, "'%s' is specified as an output and as a dependency.", x);
			}
	return 0;
}

static int build(struct session *s, const struct add_args *a, struct index *x, struct stage **out, struct err *e)
{
	autofree char *file = *s->repo->cwd_rel ? path_join(s->repo->cwd_rel, "dvc.yaml") : xstrdup("dvc.yaml");
	autofree char *cmd = join_command(&a->command);
	autonode struct node *params = params_list(&a->params);
	struct stage *st = stage_new(STAGE_PIPELINE, file, a->name);

	if (index_git_ignored(x, file, false)) {
		err_set(e, ERR_FAIL, "bad DVC file name 'dvc.yaml' is git-ignored.");
		goto undo;
	}
	if (a->wdir && *a->wdir) {
		if (check_dir(s->repo, a->wdir, "stage working dir", e))
			goto undo;
		stage_set_wdir(st, a->wdir);
	}
	st->cmd = node_str(cmd);
	st->desc = xstrdup(a->desc);
	st->always_changed = a->always_changed;
	if (add_all_outs(st, a, e) || check_external(s->repo, st, e))
		goto undo;
	for (size_t i = 0; i < a->deps.n; i++) {
		if (check_dep(s->repo, a->deps.v[i], e))
			goto undo;
		stage_add_dep(st, a->deps.v[i], str_starts(a->deps.v[i], "ds://") ? DEP_DATASET : DEP_PATH);
	}
	stage_localise(st, s->repo->root);
	if (check_external(s->repo, st, e) || dvcyaml_add_params(st, params, e) || check_twice(s->repo, st, e))
		goto undo;
	*out = st;
	return 0;
undo:
	stage_free(st);
	return -1;
}

/* What the user wrote into an entry of that name stays. */
static void restore_fields(struct stage *s, const struct stage *old)
{
	free(s->desc);
	s->desc = xstrdup(old->desc);
	s->meta = old->meta ? node_copy(old->meta) : NULL;
	for (size_t i = 0; i < s->nouts; i++)
		for (size_t k = 0; k < old->nouts; k++) {
			struct item *o = s->outs[i];
			const struct item *w = old->outs[k];

			if (strcmp(o->def, w->def))
				continue;
			o->desc = xstrdup(w->desc);
			o->type = xstrdup(w->type);
			o->labels = w->labels ? node_copy(w->labels) : NULL;
			o->annot_meta = w->annot_meta ? node_copy(w->annot_meta) : NULL;
			o->remote = xstrdup(w->remote);
			o->push = o->can_push = w->can_push;
		}
}

static int check_graph(struct session *s, struct index *x, const struct stage *added, struct err *e)
{
	struct item *a = NULL, *b = NULL;
	autofree char *name = NULL;
	autofree char *out = NULL;
	const struct stage *other;

	if (index_find_clash(x, &a, &b) != 1 || (a->stage != added && b->stage != added))
		return index_check_graph(x, e);
	other = a->stage == added ? b->stage : a->stage;
	name = stage_addressing(other, s->repo->cwd_rel);
	out = item_show(a, s->repo->cwd_rel);
	return err_set(e, ERR_FAIL, "output '%s' is already specified in stage: '%s'.\nUse `dvc remove %s` to stop tracking "
		       "the overlapping output.", out, name, name);
}

/* The stage is written by then, whatever git has to say about its outputs. */
static int ignore_outs(struct session *s, const struct stage *st, struct err *e)
{
	for (size_t i = 0; i < st->nouts; i++) {
		autoerr struct err why = ERR_INIT;
		autofree char *abs = NULL;
		autofree char *dir = NULL;

		if (track_check_git(s->project, st->outs[i], e))
			return -1;
		if (!track_ignore(s->project, st->outs[i], &why))
			continue;
		abs = item_abs(st->outs[i], s->repo->root);
		dir = path_dir(abs);
		ui_note("Could not create .gitignore entry in %s/.gitignore. DVC will attempt to create .gitignore entry "
			"again when the stage is run.", dir);
		break;
	}
	return 0;
}

static bool never(const char *question, void *data)
{
	(void)question;
	(void)data;
	return false;
}

static int run_now(struct session *s, struct stage *st, struct err *e)
{
	const struct run_hooks hooks = { .confirm = never, .flush = show_run_flush, .output = show_run_output };
	const struct run_opts o = { .jobs = 1, .cmdline = "git-data stage add" };
	struct step step = { .stage = st };
	struct plan plan = { .v = &step, .n = 1 };
	struct run_result res;
	autofree char *name = stage_addressing(st, s->repo->cwd_rel);
	autofree char *prefix = xasprintf("failed to reproduce '%s': ", name);

	if (repo_tmp(s->repo, e))
		return -1;
	if (!runner_run(s->project, &plan, s->lock, &o, &hooks, &res, e))
		return 0;
	if (e->msg && str_starts(e->msg, prefix)) {
		const char *rest = e->msg + strlen(prefix);
		/* What the system refuses is no exception of DVC's own. */
		char *bare = xasprintf("%s%s", str_starts(rest, "[Errno ") ? "unexpected error - " : "", rest);

		free(e->msg);
		e->msg = bare;
	}
	return -1;
}

static int check_args(const struct add_args *a, struct err *e)
{
	bool any = false;

	for (size_t i = 0; i < a->command.n; i++)
		any |= *a->command.v[i] != 0 || a->command.n > 1;
	if (!any)
		return err_set(e, ERR_FAIL, "command is not specified");
	if (!a->name || !*a->name)
		return err_set(e, ERR_FAIL, "`-n|--name` is required");
	return valid_name(a->name) ? 0 : err_set(e, ERR_FAIL, "Stage name cannot contain punctuation characters.");
}

/* Only that name matters, not what the other stages say. */
static int check_new(struct index *x, const struct stage *st, struct err *e)
{
	static const struct tmpl_want nothing = { .name = "" };

	if (!srctree_is_file(x->tree, st->file))
		return 0;
	if (index_load_file(x, st->file, &nothing, e))
		return -1;
	if (!dvcyaml_declares(x, st->file, st->name))
		return 0;
	return err_set(e, ERR_EXISTS, "Stage '%s' already exists in 'dvc.yaml'. Use '--force' to overwrite.", st->name);
}

static int run_add(struct session *s, void *args, struct err *e)
{
	struct add_args *a = args;
	struct stage *st = NULL, *old;
	struct index *x;
	int rc;

	if (check_args(a, e) || project_index_some(s->project, &x, e) || build(s, a, x, &st, e))
		return -1;
	if ((!a->force && check_new(x, st, e)) || index_load_rest(x, 0, e)) {
		stage_free(st);
		return -1;
	}
	old = index_stage(x, st->file, st->name);
	if (old) {
		restore_fields(st, old);
		stage_free(index_take(x, old));
	}
	index_add(x, st);
	if (index_check_items(x, st, e) || check_graph(s, x, st, e) || dvcyaml_put_stage(s->repo, st, true, e))
		return -1;
	rc = ignore_outs(s, st, e);
	if (!rc) {
		ui_info("Added stage '%s' in 'dvc.yaml'", a->name);
		rc = a->run ? run_now(s, st, e) : 0;
	}
	if (rc)
		track_rollback(s->project);
	return rc;
}

/* --- list --- */

static void add_paths(struct str *out, struct item **v, size_t n, int reports)
{
	bool first = true;

	for (size_t i = 0; i < n; i++) {
		if (reports >= 0 && (v[i]->is_metric || v[i]->is_plot) != reports)
			continue;
		str_addf(out, "%s%s", first ? "" : ", ", v[i]->def);
		first = false;
	}
}

static void describe(struct str *out, const struct stage *s)
{
	autostr struct str outs = STR_INIT;
	autostr struct str reports = STR_INIT;
	autostrvec struct strvec lines = STRVEC_INIT;

	if (s->desc)
		strvec_split(&lines, s->desc, '\n');
	for (size_t i = 0; i < lines.n; i++) {
		autofree char *t = str_trim_dup(lines.v[i]);

		if (!*lines.v[i])
			continue;
		str_adds(out, t);
		break;
	}
	if (out->len)
		return;
	if (!s->ndeps && !s->nouts) {
		str_adds(out, "No outputs or dependencies");
		return;
	}
	if (!s->nouts) {
		str_adds(out, "Depends on ");
		add_paths(out, s->deps, s->ndeps, -1);
		return;
	}
	add_paths(&outs, s->outs, s->nouts, 0);
	add_paths(&reports, s->outs, s->nouts, 1);
	if (outs.len)
		str_addf(out, "Outputs %s", str_cstr(&outs));
	if (reports.len)
		str_addf(out, "%sReports %s", outs.len ? "; " : "", str_cstr(&reports));
}

#define TEXT_MAX 80

static void truncate_text(struct str *s)
{
	size_t points = 0, cut = 0;

	for (size_t i = 0; i < s->len; i++) {
		if (((unsigned char)s->buf[i] & 0xC0) == 0x80)
			continue;
		if (++points == TEXT_MAX)
			cut = i;
	}
	if (points <= TEXT_MAX)
		return;
	str_setlen(s, cut);
	str_adds(s, "…");
}

static void print_stages(struct session *s, struct stage *const *v, size_t n, bool name_only)
{
	char ***rows = xcalloc(n + 1, sizeof(*rows));

	for (size_t i = 0; i < n; i++) {
		autostr struct str d = STR_INIT;

		if (!name_only)
			describe(&d, v[i]);
		truncate_text(&d);
		rows[i] = xcalloc(3, sizeof(**rows));
		rows[i][0] = stage_addressing(v[i], s->repo->cwd_rel);
		rows[i][1] = str_take(&d);
	}
	if (n)
		ui_table(NULL, 2, rows, n, false);
	for (size_t i = 0; i < n; i++) {
		free(rows[i][0]);
		free(rows[i][1]);
		free(rows[i]);
	}
	free(rows);
}

static int list_targets(struct session *s, const struct list_args *a, struct index *x, struct err *e)
{
	autostrvec struct strvec names = STRVEC_INIT;
	struct targets t = { NULL, 0, 0 };
	autofree struct stage **v = NULL;
	size_t n = 0;

	for (size_t i = 0; i < a->targets.n; i++)
		strvec_push(&names, a->targets.v[i]);
	if (!names.n)
		strvec_push(&names, "dvc.yaml");
	if (index_targets(x, &names, TARGET_STAGES_ONLY | (a->recursive ? TARGET_RECURSIVE : 0), &t, e))
		return -1;
	v = xcalloc(t.n + 1, sizeof(struct stage *));
	for (size_t i = 0; i < t.n; i++) {
		bool seen = false;

		for (size_t k = 0; k < n && !seen; k++)
			seen = v[k] == t.v[i].stage;
		if (!seen)
			v[n++] = t.v[i].stage;
	}
	targets_release(&t);
	print_stages(s, v, n, a->name_only);
	return 0;
}

static int run_list(struct session *s, void *args, struct err *e)
{
	const struct list_args *a = args;
	struct srctree *work;
	struct index *x;
	int rc;

	if (project_workspace(s->project, &work, e))
		return -1;
	if (!a->all) {
		x = index_new(s->repo, work);
		x->lenient = !a->fail;
		rc = list_targets(s, a, x, e);
	} else {
		rc = index_load(&x, s->repo, work, a->fail ? 0 : INDEX_SKIP_BROKEN, e);
		if (rc)
			return -1;
		print_stages(s, x->v, x->n, a->name_only);
	}
	index_free(x);
	return rc;
}

static const struct opt add_opts[] = {
	{ 'n', "name", OPT_K_TEXT, "name", offsetof(struct add_args, name), "Name of the stage to add", NULL, NULL, NULL, NULL,
	  true, false },
	OPT_FLAG('f', "force", add_args, force, "Overwrite existing stage"),
	OPT_LIST('d', "deps", "<path>", add_args, deps, "Declare dependencies for reproducible cmd."),
	OPT_LIST('p', "params", "[<filename>:]<params_list>", add_args, params,
		 "Declare parameter to use as additional dependency."),
	OPT_LIST('o', "outs", "<filename>", add_args, outs, "Declare output file or directory."),
	OPT_LIST('O', "outs-no-cache", "<filename>", add_args, outs_no_cache,
		 "Declare output file or directory (do not put into DVC cache)."),
	OPT_LIST(0, "outs-persist", "<filename>", add_args, outs_persist,
		 "Declare output file or directory that will not be removed upon repro."),
	OPT_LIST(0, "outs-persist-no-cache", "<filename>", add_args, outs_persist_no_cache,
		 "Declare output file or directory that will not be removed upon repro (do not put into DVC cache)."),
	OPT_LIST('m', "metrics", "<path>", add_args, metrics, "Declare output metrics file."),
	OPT_LIST('M', "metrics-no-cache", "<path>", add_args, metrics_no_cache,
		 "Declare output metrics file (do not put into DVC cache)."),
	OPT_LIST(0, "plots", "<path>", add_args, plots, "Declare output plot file."),
	OPT_LIST(0, "plots-no-cache", "<path>", add_args, plots_no_cache,
		 "Declare output plot file (do not put into DVC cache)."),
	OPT_STR('w', "wdir", "<path>", add_args, wdir, "Directory within your repo to run your command in."),
	OPT_FLAG(0, "always-changed", add_args, always_changed, "Always consider this DVC-file as changed."),
	OPT_STR(0, "desc", "<text>", add_args, desc, "User description of the stage (optional). This doesn't affect any DVC "
		"operations."),
	OPT_FLAG(0, "run", add_args, run, "Execute the stage after generating it."),
	OPT_END
};
static const struct pos add_pos[] = {
	{ "command", 'R', offsetof(struct add_args, command), "Command to execute." }, POS_END
};
static const struct opt list_opts[] = {
	OPT_FLAG(0, "all", list_args, all, "List all of the stages in the repo."),
	OPT_FLAG(0, "fail", list_args, fail, "Fail immediately, do not suppress any syntax errors."),
	OPT_FLAG('R', "recursive", list_args, recursive, "List all stages inside the specified directory."),
	{ 0, "name-only", OPT_K_FLAG, NULL, offsetof(struct list_args, name_only), "List only stage names.", NULL, NULL, NULL,
	  "names-only", false, false },
	OPT_END
};
static const struct pos list_pos[] = {
	{ "targets", '*', offsetof(struct list_args, targets), "Show stages from a dvc.yaml/.dvc file or a directory. "
	  "'dvc.yaml' by default" }, POS_END
};
static const struct cmd add_cmd = {
	.name = "add", .run = run_add, .needs = NEED_REPO | NEED_LOCK, .args_size = sizeof(struct add_args),
	.opts = add_opts, .pos = add_pos, .summary = "Create stage", .help = "Create stage",
};
static const struct cmd list_cmd = {
	.name = "list", .run = run_list, .needs = NEED_REPO, .args_size = sizeof(struct list_args), .opts = list_opts,
	.pos = list_pos, .summary = "List stages.", .help = "List stages.",
};
static const struct cmd *const subs[] = { &add_cmd, &list_cmd, NULL };
const struct cmd cmd_stage = {
	.name = "stage", .subs = subs, .summary = "Commands to list and create stages.",
	.help = "Commands to list and create stages.",
};

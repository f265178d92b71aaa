/* metrics - shows and compares metrics; params - compares parameters. */
#include "cmd/cmd.h"

#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/data/project.h"
#include "core/pipeline/values.h"
#include "core/repo/gitrepo.h"
#include "core/repo/repo.h"

struct show_args {
	struct strvec targets;
	bool all_branches, all_tags, all_commits, json, md, recursive;
	int64_t precision;
};
struct diff_args {
	const char *a_rev, *b_rev;
	struct strvec targets;
	bool recursive, all, deps, json, md, no_path;
	int64_t precision;
};

/* str() of a value, floats rounded to so many decimals first (0: as they are). */
static char *field(const struct node *v, int precision)
{
	autostr struct str s = STR_INIT;
	char digits[400];

	if (!v || v->kind == NODE_NULL)
		return xstrdup("-");
	if (v->kind == NODE_FLOAT && precision && v->f - v->f == 0) {
		autonode struct node *r = NULL;

		snprintf(digits, sizeof(digits), "%.*f", precision, v->f);
		r = node_float(strtod(digits, NULL));
		node_py_str(&s, r);
	} else {
		node_py_str(&s, v);
	}
	return str_take(&s);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A name from the root, seen from where the user stands; what leads out of the root DVC resolves below the user's directory. */
static char *shown_path(const struct repo *r, const char *rel)
{
	autofree char *from = NULL, *to = NULL, *norm = NULL;

	if (!*r->cwd_rel || !str_starts(rel, "../"))
		return repo_show(r, rel);
	from = path_join(r->cwd, r->cwd_rel);
	to = path_join(r->cwd, rel);
	norm = path_norm(to);
	return path_rel(norm, from);
}

/* Paths relative to where the user stands. */
static struct node *shown_paths(const struct session *s, const struct node *by_path)
{
	struct node *out = node_map();

	for (size_t i = 0; i < by_path->n; i++) {
		autofree char *name = shown_path(s->repo, by_path->k[i]->text);

		node_set(out, name, node_copy(by_path->v[i]));
	}
	return out;
}

struct rows { char ***v; size_t n, cap; };

static char **row_add(struct rows *r, size_t cols)
{
	GROW(r->v, r->n, r->cap);
	return r->v[r->n++] = xcalloc(cols + 1, sizeof(char *));
}

static void rows_release(struct rows *r, size_t cols)
{
	for (size_t i = 0; i < r->n; i++) {
		for (size_t c = 0; c < cols; c++)
			free(r->v[i][c]);
		free(r->v[i]);
	}
	free(r->v);
}

/* Everything that is a column of the table: keys of all files, sorted. */
static struct node *all_keys(const struct node *result)
{
	struct node *keys = node_map();

	for (size_t r = 0; r < result->n; r++) {
		const struct node *data = node_get(result->v[r], "data");

		for (size_t i = 0; data && i < data->n; i++) {
			autonode struct node *flat = values_flatten(node_get(data->v[i], "data"));

			for (size_t k = 0; k < flat->n; k++)
				if (!node_get(keys, flat->k[k]->text))
					node_set(keys, flat->k[k]->text, node_null());
		}
	}
	return keys;
}

static void fill_row(char **row, const char *rev, const char *path, const struct node *file, const char *const *names,
		     size_t n, bool with_rev, int precision)
{
	autonode struct node *flat = values_flatten(node_get(file, "data"));
	size_t c = 0;

	if (with_rev)
		row[c++] = xstrdup(rev);
	row[c++] = xstrdup(path);
	for (size_t i = 0; i < n; i++)
		row[c++] = field(node_get(flat, names[i]), precision);
}

static void show_table(const struct node *result, bool with_rev, int precision, bool md)
{
	autonode struct node *keys = all_keys(result);
	size_t lead = with_rev ? 2 : 1, cols = lead + keys->n;
	autofree const char **head = xcalloc(cols + 1, sizeof(*head));
	struct rows rows = { NULL, 0, 0 };

	head[0] = with_rev ? "Revision" : "Path";
	if (with_rev)
		head[1] = "Path";
	for (size_t i = 0; i < keys->n; i++)
		head[lead + i] = keys->k[i]->text;
	qsort(head + lead, keys->n, sizeof(*head), by_text);
	for (size_t r = 0; r < result->n; r++) {
		const struct node *data = node_get(result->v[r], "data");

		for (size_t i = 0; data && i < data->n; i++)
			fill_row(row_add(&rows, cols), result->k[r]->text, data->k[i]->text, data->v[i], head + lead,
				 keys->n, with_rev, precision);
	}
	if (rows.n || md)
		ui_table(head, cols, rows.v, rows.n, md);
	rows_release(&rows, cols);
}

/* DVC's question of 'show': "error" with something to it as key anywhere in the maps, be it of a metric. */
static bool says_error(const struct node *n)
{
	for (size_t i = 0; node_is(n, NODE_MAP) && i < n->n; i++)
		if ((node_is(n->k[i], NODE_STR) && !strcmp(n->k[i]->text, "error") && node_truthy(n->v[i])) || says_error(n->v[i]))
			return true;
	return false;
}

/* The list of revisions that could not be read whole: all of them, or these in this order. */
static void tell_errors(const struct node *result, const char *const *only, size_t n)
{
	autostr struct str revs = STR_INIT;
	size_t count = 0, all = only ? n : result->n;

	for (size_t i = 0; i < all; i++) {
		const char *rev = only ? only[i] : result->k[i]->text;

		if (i && only && !strcmp(rev, only[0]))
			continue;
		if (only ? values_failed(node_get(result, rev)) : says_error(node_get(result, rev)))
			str_addf(&revs, "%s%s", count++ ? ", " : "", rev);
	}
	if (count)
		ui_note("DVC failed to load some metrics for following revisions: '%s'.", str_cstr(&revs));
}

static int run_show(struct session *s, void *args, struct err *e)
{
	struct show_args *a = args;
	struct values_opts o = {
		.kind = VALUES_METRICS, .targets = &a->targets, .all_branches = a->all_branches,
		.all_tags = a->all_tags, .all_commits = a->all_commits, .hide_workspace = true,
	};
	autonode struct node *raw = NULL;
	autonode struct node *result = node_map();
	bool revs = a->all_branches || a->all_tags || a->all_commits;

	if (values_show(s->project, &o, &raw, e))
		return -1;
	for (size_t i = 0; i < raw->n; i++) {
		struct node *one = node_copy(raw->v[i]);

		if (node_get(one, "data"))
			node_set(one, "data", shown_paths(s, node_get(raw->v[i], "data")));
		node_set(result, raw->k[i]->text, one);
	}
	tell_errors(result, NULL, 0);
	if (a->json)
		ui_json(result);
	else
		show_table(result, revs, a->precision ? (int)a->precision : 5, a->md);
	return 0;
}

struct diff_look { const char *title; bool changes; int precision; };

static void diff_row(struct rows *rows, size_t cols, const char *path, const char *key, const struct node *d,
		     const struct diff_look *l, bool no_path)
{
	char **row = row_add(rows, cols);
	size_t c = 0;

	if (!no_path)
		row[c++] = xstrdup(path);
	row[c++] = xstrdup(key);
	row[c++] = field(node_get(d, "old"), l->precision);
	row[c++] = field(node_get(d, "new"), l->precision);
	if (l->changes)
		row[c++] = field(node_get(d, "diff"), l->precision);
}

static void diff_table(const struct node *diff, const struct diff_args *a, const struct diff_look *l)
{
	const char *head[5];
	struct rows rows = { NULL, 0, 0 };
	size_t cols = 0;

	if (!a->no_path)
		head[cols++] = "Path";
	head[cols++] = l->title;
	head[cols++] = a->a_rev;
	head[cols++] = a->b_rev;
	if (l->changes)
		head[cols++] = "Change";
	for (size_t i = 0; i < diff->n; i++) {
		const struct node *f = diff->v[i];
		autofree const char **keys = xcalloc(f->n + 1, sizeof(*keys));

		for (size_t k = 0; k < f->n; k++)
			keys[k] = f->k[k]->text;
		qsort(keys, f->n, sizeof(*keys), by_text);
		for (size_t k = 0; k < f->n; k++)
			diff_row(&rows, cols, diff->k[i]->text, keys[k], node_get(f, keys[k]), l, a->no_path);
	}
	if (rows.n || a->md)
		ui_table(head, cols, rows.v, rows.n, a->md);
	rows_release(&rows, cols);
}

static int run_diff(struct session *s, struct diff_args *a, enum values_kind kind, const struct diff_look *l,
		    struct err *e)
{
	struct values_opts o = { .kind = kind, .targets = &a->targets, .deps_only = a->deps };
	autonode struct node *raw = NULL;
	autonode struct node *diff = NULL;
	autonode struct node *shown = NULL;
	struct gitrepo *g = NULL;

	if (!a->a_rev)
		a->a_rev = "HEAD";
	if (!a->b_rev)
		a->b_rev = "workspace";
	if (repo_git(s->repo, &g, e))
		return -1;
	if (g && !gitrepo_has_commits(g)) {
		diff = node_map();
	} else {
		o.a_rev = a->a_rev;
		o.b_rev = a->b_rev;
		if (values_show(s->project, &o, &raw, e))
			return -1;
		tell_errors(raw, (const char *const[]){ a->a_rev, a->b_rev }, 2);
		diff = values_diff(raw, a->a_rev, a->b_rev, a->all);
	}
	shown = shown_paths(s, diff);
	if (a->json)
		ui_json(shown);
	else
		diff_table(shown, a, l);
	return 0;
}

static int run_metrics_diff(struct session *s, void *args, struct err *e)
{
	struct diff_args *a = args;
	struct diff_look l = { "Metric", true, a->precision ? (int)a->precision : 5 };

	return run_diff(s, a, VALUES_METRICS, &l, e);
}

static int run_params_diff(struct session *s, void *args, struct err *e)
{
	static const struct diff_look l = { "Param", false, 0 };

	return run_diff(s, args, VALUES_PARAMS, &l, e);
}

static const struct opt show_opts[] = {
	OPT_FLAG('a', "all-branches", show_args, all_branches, "Show metrics for all branches."),
	OPT_FLAG('T', "all-tags", show_args, all_tags, "Show metrics for all tags."),
	OPT_FLAG('A', "all-commits", show_args, all_commits, "Show metrics for all commits."),
	OPT_FLAG(0, "json", show_args, json, "Show output in JSON format."),
	OPT_FLAG(0, "md", show_args, md, "Show tabulated output in the Markdown format (GFM)."),
	OPT_FLAG('R', "recursive", show_args, recursive, "If any target is a directory, recursively search and "
		 "process metrics files."),
	OPT_INT(0, "precision", "<n>", show_args, precision, "Round metrics to `n` digits precision after the decimal "
		"point. Rounds to 5 digits by default."),
	OPT_END
};
static const struct pos show_pos[] = {
	{ "targets", '*', offsetof(struct show_args, targets), "Limit command scope to these metrics files. Using -R, "
	  "directories to search metrics files in can also be given." }, POS_END
};
static const struct opt metrics_diff_opts[] = {
	OPT_STRS(0, "targets", "<paths>", diff_args, targets, "Specific metrics file(s) to compare (even if not found as "
		 "`metrics` in `dvc.yaml`). Shows all tracked metrics by default."),
	OPT_FLAG('R', "recursive", diff_args, recursive, "If any target is a directory, recursively search and "
		 "process metrics files."),
	OPT_FLAG(0, "all", diff_args, all, "Show unchanged metrics as well."),
	OPT_FLAG(0, "json", diff_args, json, "Show output in JSON format."),
	OPT_FLAG(0, "md", diff_args, md, "Show tabulated output in the Markdown format (GFM)."),
	OPT_FLAG(0, "no-path", diff_args, no_path, "Don't show metric path."),
	OPT_INT(0, "precision", "<n>", diff_args, precision, "Round metrics to `n` digits precision after the decimal "
		"point. Rounds to 5 digits by default."),
	OPT_END
};
static const struct opt params_diff_opts[] = {
	OPT_STRS(0, "targets", "<paths>", diff_args, targets, "Specific params file(s) to compare (even if not found as "
		 "`params` in `dvc.yaml`). Shows all tracked params by default."),
	OPT_FLAG(0, "all", diff_args, all, "Show unchanged params as well."),
	OPT_FLAG(0, "deps", diff_args, deps, "Show only params that are stage dependencies."),
	OPT_FLAG(0, "json", diff_args, json, "Show output in JSON format."),
	OPT_FLAG(0, "md", diff_args, md, "Show tabulated output in the Markdown format (GFM)."),
	OPT_FLAG(0, "no-path", diff_args, no_path, "Don't show params path."),
	OPT_END
};
static const struct pos diff_pos[] = {
	{ "a_rev", '?', offsetof(struct diff_args, a_rev), "Old Git commit to compare (defaults to HEAD)" },
	{ "b_rev", '?', offsetof(struct diff_args, b_rev), "New Git commit to compare (defaults to the current workspace)" },
	POS_END
};

static const struct cmd show_cmd = {
	.name = "show", .run = run_show, .needs = WANT_REPO | BARE_REPO, .args_size = sizeof(struct show_args), .opts = show_opts,
	.pos = show_pos, .summary = "Print metrics, with optional formatting.",
	.help = "Print metrics, with optional formatting.",
};
static const struct cmd metrics_diff_cmd = {
	.name = "diff", .run = run_metrics_diff, .needs = WANT_REPO | BARE_REPO, .args_size = sizeof(struct diff_args),
	.opts = metrics_diff_opts, .pos = diff_pos,
	.summary = "Show changes in metrics between commits in the DVC repository, or between a commit and the workspace.",
	.help = "Show changes in metrics between commits in the DVC repository, or between a commit and the workspace.",
};
static const struct cmd params_diff_cmd = {
	.name = "diff", .run = run_params_diff, .needs = WANT_REPO | BARE_REPO, .args_size = sizeof(struct diff_args),
	.opts = params_diff_opts, .pos = diff_pos,
	.summary = "Show changes in params between commits in the DVC repository, or between a commit and the workspace.",
	.help = "Show changes in params between commits in the DVC repository, or between a commit and the workspace.",
};
static const struct cmd *const metrics_subs[] = { &show_cmd, &metrics_diff_cmd, NULL };
static const struct cmd *const params_subs[] = { &params_diff_cmd, NULL };

const struct cmd cmd_metrics = {
	.name = "metrics", .subs = metrics_subs, .summary = "Commands to display and compare metrics.",
	.help = "Commands to display and compare metrics.",
};
const struct cmd cmd_params = {
	.name = "params", .subs = params_subs, .summary = "Commands to display params.",
	.help = "Commands to display params.",
};

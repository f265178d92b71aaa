/* list, du - what a repository holds, tracked or not. */
#include "cmd/cmd.h"
#include "cmd/rows.h"
#include "cmd/pairs.h"
#include "cmd/show.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/proc.h"
#include "core/data/listing.h"

struct list_args {
	const char *url, *path, *rev, *config, *remote;
	struct strvec remote_config;
	bool recursive, tree, dvc_only, json, size, show_hash, summarize;
	const char *level;
};
static const struct opt list_options[] = {
	OPT_FLAG('R', "recursive", list_args, recursive, "List files in all directories below."),
	OPT_FLAG('T', "tree", list_args, tree, "Draw a tree."),
	OPT_ROW('L', "level", OPT_K_NUMBER, "depth", list_args, level, "How deep to go.", NULL, NULL),
	OPT_FLAG(0, "dvc-only", list_args, dvc_only, "Only what DVC tracks."),
	OPT_FLAG(0, "json", list_args, json, "Print JSON."),
	OPT_OPTSTR(0, "rev", "<commit>", list_args, rev, "Revision to list."),
	EREPO_OPTIONS(list_args),
	OPT_FLAG(0, "size", list_args, size, "Show sizes."),
	OPT_FLAG(0, "show-hash", list_args, show_hash, "Show hashes."),
	OPT_END
};
static const struct pos list_pos[] = {
	{ "url", '1', offsetof(struct list_args, url), "Location of the repository." },
	{ "path", '?', offsetof(struct list_args, path), "Path inside it." },
	POS_END
};

static void add_row(struct rows *r, const struct ls_entry *t, char *name)
{
	rows_add(r, t->size, t->is_dir, t->hash, name);
}

/* ---- flat ---- */

struct found { char *path; struct ls_entry t; };
struct founds { struct found *v; size_t n, cap; };

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct found *)a)->path, ((const struct found *)b)->path);
}

static void founds_release(struct founds *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->v[i].path);
		ls_entry_release(&f->v[i].t);
	}
	free(f->v);
}

static void keep(struct founds *f, char *path, struct ls_entry *t)
{
	GROW(f->v, f->n, f->cap);
	f->v[f->n++] = (struct found){ path, *t };
	memset(t, 0, sizeof(*t));
}

/* depth: how many levels may still be listed; 1: directories count as entries; 0: no limit. */
static int collect(struct listing *l, const struct list_args *a, const char *dir, const char *base, int64_t depth,
		   struct founds *out, struct err *e)
{
	unsigned flags = LISTING_STAGE_FILES | (a->dvc_only ? LISTING_TRACKED_ONLY : 0);
	autofree char *shown = listing_show(l, dir, base);
	struct ls_entries kids = { 0 };
	int rc = proc_check(e);

	if (!rc)
		rc = listing_dir(l, dir, flags, &kids, e);
	for (size_t i = 0; !rc && i < kids.n; i++) {
		struct ls_entry *t = &kids.v[i];

		if (t->is_dir && !t->is_link && a->recursive && depth != 1) {
			autofree char *key = *dir ? path_join(dir, t->name) : xstrdup(t->name);

			rc = collect(l, a, key, base, depth ? depth - 1 : 0, out, e);
		} else {
			keep(out, strcmp(shown, ".") ? path_join(shown, t->name) : xstrdup(t->name), t);
		}
	}
	ls_entries_release(&kids);
	return rc;
}

static struct node *entry_node(const struct found *f)
{
	struct node *n = node_map();

	node_set(n, "isout", node_bool(f->t.is_out));
	node_set(n, "isdir", node_bool(f->t.is_dir));
	node_set(n, "isexec", node_bool(f->t.is_exec));
	node_set(n, "size", f->t.size < 0 ? node_null() : node_int(f->t.size));
	node_set(n, "md5", f->t.hash ? node_str(f->t.hash) : node_null());
	node_set(n, "path", node_str(f->path));
	return n;
}

static void print_flat(const struct founds *f, const struct list_args *a)
{
	struct rows rows = { 0 };

	if (a->json) {
		autonode struct node *list = node_seq();

		for (size_t i = 0; i < f->n; i++)
			node_push(list, entry_node(&f->v[i]));
		ui_json(list);
		return;
	}
	for (size_t i = 0; i < f->n; i++)
		add_row(&rows, &f->v[i].t, xstrdup(f->v[i].path));
	rows_print(&rows, a->size, a->show_hash, false);
	rows_release(&rows);
}

static int list_flat(struct listing *l, const struct list_args *a, int64_t level, struct err *e)
{
	autofree char *rel = listing_path(l);
	bool whole = !a->path || !*a->path;
	struct founds f = { 0 };
	struct ls_entry t = { 0 };
	int rc = 0;

	if (listing_info(l, rel, &t, e))
		return -1;
	if (!t.is_dir || (a->recursive && !level)) {
		const char *name = whole ? "." : path_base(a->path);

		keep(&f, xstrdup(*name ? name : "."), &t);
	} else if (a->recursive && a->level && level < 0) {
		ls_entry_release(&t);
		rc = err_set(e, ERR_FAIL, "maxdepth must be at least 1");
		show_unexpected(e);
	} else {
		ls_entry_release(&t);
		rc = collect(l, a, rel, whole ? listing_cwd(l) : rel, a->recursive && level > 0 ? level : 0, &f, e);
	}
	if (!rc && f.n)
		qsort(f.v, f.n, sizeof(*f.v), by_path);
	if (!rc)
		print_flat(&f, a);
	founds_release(&f);
	return rc;
}

/* ---- tree ---- */

static int grow_tree(struct listing *l, const struct list_args *a, const char *rel, const char *prefix, int64_t depth,
		     struct rows *rows, struct err *e)
{
	unsigned flags = LISTING_STAGE_FILES | (a->dvc_only ? LISTING_TRACKED_ONLY : 0);
	struct ls_entries kids = { 0 };
	int rc = proc_check(e);

	if (depth <= 0 || rc)
		return rc;
	rc = listing_dir(l, rel, flags, &kids, e);
	for (size_t i = 0; !rc && i < kids.n; i++) {
		bool last = i + 1 == kids.n;
		autofree char *key = *rel ? path_join(rel, kids.v[i].name) : xstrdup(kids.v[i].name);
		autofree char *deeper = xasprintf("%s%s", prefix, last ? "    " : "\u2502   ");

		add_row(rows, &kids.v[i], xasprintf("%s%s%s", prefix, last ? "\u2514\u2500\u2500 " :
						    "\u251c\u2500\u2500 ", kids.v[i].name));
		if (kids.v[i].is_dir && !kids.v[i].is_link)
			rc = grow_tree(l, a, key, deeper, depth - 1, rows, e);
	}
	ls_entries_release(&kids);
	return rc;
}

static int list_tree(struct listing *l, const struct list_args *a, int64_t level, struct err *e)
{
	autofree char *rel = listing_path(l);
	struct rows rows = { 0 };
	struct ls_entry t = { 0 };
	int rc = 0;

	if (listing_info(l, rel, &t, e))
		return -1;
	add_row(&rows, &t, xstrdup(a->path && *a->path ? a->path : "."));
	if (t.is_dir)
		rc = grow_tree(l, a, rel, "", a->level ? level : INT64_MAX, &rows, e);
	if (!rc)
		rows_print(&rows, a->size, a->show_hash, true);
	ls_entry_release(&t);
	rows_release(&rows);
	return rc;
}

/* A path that is not there is told as it is; everything else with what was to be done. */
static bool is_own_report(const struct err *e)
{
	return e->code == ERR_INTR || e->exit_status == 255 ||
		(e->code == ERR_NOTFOUND && e->msg && str_starts(e->msg, "[Errno 2]"));
}

static int run_list(struct session *s UNUSED, void *argp, struct err *e)
{
	struct list_args *a = argp;
	struct listing_opts o = { a->rev, a->config, a->remote, &a->remote_config };
	struct listing *l = NULL;
	int64_t level = -1;
	int rc;

	if (a->level)
		opts_int(a->level, &level);
	if (a->tree && a->json) {
		err_set(e, ERR_FAIL, "Cannot use --tree and --json options together.");
		e->exit_status = 255;
		return -1;
	}
	rc = listing_open(&l, a->url, a->path, &o, e);
	if (!rc)
		rc = a->tree ? list_tree(l, a, level, e) : list_flat(l, a, level, e);
	if (rc && !is_own_report(e)) {
		autofree char *what = xasprintf("failed to list '%s'", a->url);

		show_failed(e, what);
		if (e->code == ERR_CONFIG)
			e->exit_status = 1;
	}
	listing_close(l);
	return rc;
}

const struct cmd cmd_list = {
	.name = "list", .alias = "ls", .run = run_list, .needs = FAIL_IS_1 | NO_SCM_NOTE,
	.args_size = sizeof(struct list_args), .opts = list_options, .pos = list_pos,
	.summary = "List repository contents, including files and directories tracked by DVC and by Git.",
	.help = "Lists what a repository holds: its own files, and what it tracks, downloaded or not.",
};

/* ---- du ---- */

static const struct opt du_options[] = {
	OPT_OPTSTR(0, "rev", "<commit>", list_args, rev, "Revision to look at."),
	OPT_FLAG('s', "summarize", list_args, summarize, "Show only the total."),
	EREPO_OPTIONS(list_args),
	OPT_END
};

static void print_size(int64_t n, const char *path, size_t width)
{
	autostr struct str s = STR_INIT;

	show_size(&s, (double)n);
	if (*path)
		ui_force("%-*s  %s\n", (int)width, s.buf, path);
	else
		ui_force("%s\n", s.buf);
}

static size_t size_width(int64_t n)
{
	autostr struct str s = STR_INIT;

	show_size(&s, (double)n);
	return s.len;
}

static int du_rows(struct listing *l, const struct list_args *a, const char *rel, struct err *e)
{
	struct ls_entries kids = { 0 };
	int64_t *n, total = 0;
	size_t width = 0;
	int rc = listing_dir(l, rel, 0, &kids, e);

	n = xcalloc(kids.n + 1, sizeof(*n));
	for (size_t i = 0; !rc && i < kids.n; i++) {
		autofree char *key = *rel ? path_join(rel, kids.v[i].name) : xstrdup(kids.v[i].name);

		rc = listing_size(l, key, &n[i], e);
		total += n[i];
		if (size_width(n[i]) > width)
			width = size_width(n[i]);
	}
	if (size_width(total) > width)
		width = size_width(total);
	for (size_t i = 0; !rc && i < kids.n; i++) {
		autofree char *shown = a->path && *a->path ? path_join(a->path, kids.v[i].name) :
			xstrdup(kids.v[i].name);

		print_size(n[i], shown, width);
	}
	if (!rc)
		print_size(total, a->path ? a->path : "", width);
	free(n);
	ls_entries_release(&kids);
	return rc;
}

static int run_du(struct session *s UNUSED, void *argp, struct err *e)
{
	struct list_args *a = argp;
	struct listing_opts o = { a->rev, a->config, a->remote, &a->remote_config };
	struct listing *l = NULL;
	autofree char *rel = NULL;
	struct ls_entry t = { 0 };
	int64_t n;
	int rc = -1;

	if (listing_open(&l, a->url, a->path, &o, e))
		return -1;
	rel = listing_path(l);
	if (listing_info(l, rel, &t, e)) {
		if (e->code == ERR_NOTFOUND)
			show_unexpected(e);
		goto undo;
	}
	if (!t.is_dir || a->summarize) {
		rc = listing_size(l, rel, &n, e);
		if (!rc)
			print_size(n, a->path ? a->path : "", 0);
	} else {
		rc = du_rows(l, a, rel, e);
	}
undo:
	ls_entry_release(&t);
	listing_close(l);
	return rc;
}

const struct cmd cmd_du = {
	.name = "du", .run = run_du, .needs = NO_SCM_NOTE,
	.args_size = sizeof(struct list_args), .opts = du_options, .pos = list_pos,
	.summary = "Show disk usage.",
	.help = "Shows how many bytes the files of a repository take, tracked ones included, downloaded or not.",
};

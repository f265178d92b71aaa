/* diff - tracked data of two revisions, or of one and the work tree. */
#include "cmd/cmd.h"
#include "cmd/show.h"
#include "core/base/node.h"
#include "core/data/datadiff.h"
#include "core/data/project.h"

struct diff_args {
	const char *a_rev, *b_rev;
	struct strvec targets;
	bool json, show_hash, md, hide_missing;
};
static const struct opt diff_options[] = {
	OPT_STRS(0, "targets", "<paths>", diff_args, targets, "Only these tracked paths."),
	OPT_FLAG(0, "json", diff_args, json, "Print JSON."),
	OPT_FLAG(0, "show-hash", diff_args, show_hash, "Show the hash of every entry."),
	OPT_FLAG(0, "md", diff_args, md, "Print a Markdown table."),
	OPT_FLAG(0, "hide-missing", diff_args, hide_missing, "Do not list what the cache lacks."),
	OPT_END
};
static const struct pos diff_pos[] = {
	{ "a_rev", '?', offsetof(struct diff_args, a_rev), "Old revision (HEAD)." },
	{ "b_rev", '?', offsetof(struct diff_args, b_rev), "New revision (the work tree)." },
	POS_END
};

static const char *const kinds[] = { "added", "deleted", "modified", "renamed", "not in cache" };
static const char *const headers[] = { "Added", "Deleted", "Modified", "Renamed", "Not in cache" };
static const int text_order[] = { DIFF_ADDED, DIFF_DELETED, DIFF_RENAMED, DIFF_MODIFIED, DIFF_NOT_IN_CACHE };

static struct node *text_or_null(const char *s)
{
	return s ? node_str(s) : node_null();
}

static struct node *item_node(const struct diff_item *t, int kind, bool hash)
{
	struct node *n = node_map(), *pair;

	if (kind == DIFF_RENAMED) {
		pair = node_map();
		node_set(pair, "old", node_str(t->path));
		node_set(pair, "new", node_str(t->new_path));
		node_set(n, "path", pair);
	} else {
		node_set(n, "path", node_str(t->path));
	}
	if (hash && kind == DIFF_MODIFIED) {
		pair = node_map();
		node_set(pair, "old", text_or_null(t->hash));
		node_set(pair, "new", text_or_null(t->new_hash));
		node_set(n, "hash", pair);
	} else if (hash) {
		node_set(n, "hash", text_or_null(t->hash));
	}
	return n;
}

static void print_json(const struct data_diff *d, const struct diff_args *a, bool hide)
{
	autonode struct node *top = node_map();

	for (int k = 0; d->any && k < DIFF_KINDS; k++) {
		struct node *list;

		if (k == DIFF_NOT_IN_CACHE && hide)
			continue;
		list = node_seq();
		for (size_t i = 0; i < d->kind[k].n; i++)
			node_push(list, item_node(&d->kind[k].v[i], k, a->show_hash));
		node_set(top, kinds[k], list);
	}
	ui_json(top);
}

static char *shown_path(const struct diff_item *t, int kind)
{
	return kind == DIFF_RENAMED ? xasprintf("%s -> %s", t->path, t->new_path) : xstrdup(t->path);
}

static char *digest(const struct diff_item *t, int kind)
{
	if (kind == DIFF_MODIFIED)
		return xasprintf("%.8s..%.8s", t->hash ? t->hash : "", t->new_hash ? t->new_hash : "");
	return xstrndup(t->hash ? t->hash : "", t->hash ? strnlen(t->hash, 8) : 0);
}

static void print_md(const struct data_diff *d, const struct diff_args *a, bool hide)
{
	static const char *const with_hash[] = { "Status", "Hash", "Path" }, *const bare[] = { "Status", "Path" };
	size_t n = 0, cap = 0, cols = a->show_hash ? 3 : 2;
	char ***rows = NULL;

	for (size_t o = 0; o < ARRAY_LEN(text_order); o++) {
		int k = text_order[o];

		if (k == DIFF_NOT_IN_CACHE && hide)
			continue;
		for (size_t i = 0; i < d->kind[k].n; i++) {
			char **row = xcalloc(3, sizeof(*row));

			row[0] = xstrdup(kinds[k]);
			if (a->show_hash)
				row[1] = digest(&d->kind[k].v[i], k);
			row[cols - 1] = shown_path(&d->kind[k].v[i], k);
			GROW(rows, n, cap);
			rows[n++] = row;
		}
	}
	ui_table(a->show_hash ? with_hash : bare, cols, rows, n, true);
	for (size_t i = 0; i < n; i++) {
		for (size_t c = 0; c < cols; c++)
			free(rows[i][c]);
		free(rows[i]);
	}
	free(rows);
}

static void print_text(const struct data_diff *d, const struct diff_args *a, bool hide)
{
	autostr struct str summary = STR_INIT;

	for (size_t o = 0; o < ARRAY_LEN(text_order); o++) {
		int k = text_order[o];
		uint64_t files = 0;

		if (!d->kind[k].n || (k == DIFF_NOT_IN_CACHE && hide))
			continue;
		ui_info("%s:", headers[k]);
		for (size_t i = 0; i < d->kind[k].n; i++) {
			const struct diff_item *t = &d->kind[k].v[i];
			autofree char *path = shown_path(t, k), *hash = a->show_hash ? digest(t, k) : xstrdup("");

			files += !str_ends(path, "/");
			ui_info("    %s%s%s", hash, *hash ? "  " : "", path);
		}
		ui_info("%s", "");
		if (files)
			str_addf(&summary, "%s%llu %s", summary.len ? ", " : "", (unsigned long long)files, kinds[k]);
	}
	if (summary.len)
		ui_info("files summary: %s", summary.buf);
}

static int run_diff(struct session *s, void *argp, struct err *e)
{
	struct diff_args *a = argp;
	bool hide = a->b_rev || a->hide_missing;
	struct data_diff d;
	int rc;

	memset(&d, 0, sizeof(d));
	rc = data_diff(s->project, a->a_rev ? a->a_rev : "HEAD", a->b_rev, &a->targets, &d, e);
	if (rc) {
		if (e->exit_status != 255)
			show_failed(e, "failed to get diff");
	} else if (a->json) {
		print_json(&d, a, hide);
	} else if (a->md) {
		print_md(&d, a, hide);
	} else if (d.any) {
		print_text(&d, a, hide);
	}
	data_diff_release(&d);
	return rc;
}

const struct cmd cmd_diff = {
	.name = "diff", .run = run_diff, .needs = NEED_REPO | NEED_LOCK | FAIL_IS_1 | NO_SCM_NOTE,
	.args_size = sizeof(struct diff_args), .opts = diff_options, .pos = diff_pos,
	.summary = "Show added, modified, or deleted data between commits in the DVC repository, or between a commit "
		"and the workspace.",
	.help = "Shows tracked data that was added, deleted, renamed or modified between two revisions, or between one "
		"and the work tree.",
};

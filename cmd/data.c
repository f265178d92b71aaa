/* data - the group; its only member so far is status. */
#include "cmd/cmd.h"
#include "cmd/show.h"
#include "core/base/node.h"
#include "core/data/datadiff.h"
#include "core/data/project.h"
#include "core/repo/repo.h"

struct data_args {
	struct strvec targets;
	bool json, granular, unchanged, not_in_remote, no_refresh;
	const char *untracked, *remote;
};
static const struct opt data_options[] = {
	OPT_FLAG(0, "json", data_args, json, "Print JSON."),
	OPT_FLAG(0, "granular", data_args, granular, "Show files inside tracked directories."),
	OPT_FLAG(0, "unchanged", data_args, unchanged, "Also show what is unchanged."),
	{ .name = "untracked-files", .kind = OPT_K_OPTSTR, .offset = offsetof(struct data_args, untracked),
	  .help = "Also show files that neither git nor DVC tracks.", .choices = "no,all", .fallback = "all" },
	OPT_STR('r', "remote", "<name>", data_args, remote, "The remote for --not-in-remote."),
	OPT_FLAG(0, "not-in-remote", data_args, not_in_remote, "Also show what the remote lacks."),
	OPT_FLAG(0, "no-remote-refresh", data_args, no_refresh, "Answer from what was last seen of the remote."),
	OPT_END
};
static const struct pos data_pos[] = {
	{ "targets", '*', offsetof(struct data_args, targets), "Tracked files or directories." },
	POS_END
};

static struct node *list_of(const struct strvec *v)
{
	struct node *n = node_seq();

	for (size_t i = 0; i < v->n; i++)
		node_push(n, node_str(v->v[i]));
	return n;
}

static void set_list(struct node *map, const char *key, const struct strvec *v)
{
	if (v->n)
		node_set(map, key, list_of(v));
}

static void set_renames(struct node *map, const struct renames *r)
{
	struct node *list;

	if (!r->n)
		return;
	list = node_seq();
	for (size_t i = 0; i < r->n; i++) {
		struct node *m = node_map();

		node_set(m, "old", node_str(r->v[i].old));
		node_set(m, "new", node_str(r->v[i].now));
		node_push(list, m);
	}
	node_set(map, "renamed", list);
}

/* The kinds in the order in which DVC meets them: what is new by name, what is gone last. */
static struct node *changes_of(const struct data_changes *c)
{
	struct node *n = node_map();

	set_list(n, "modified", &c->modified);
	set_list(n, "unknown", &c->unknown);
	if (c->renamed_first)
		set_renames(n, &c->renamed);
	set_list(n, "added", &c->added);
	if (!c->renamed_first)
		set_renames(n, &c->renamed);
	set_list(n, "deleted", &c->deleted);
	return n;
}

static void set_changes(struct node *map, const char *key, const struct data_changes *c)
{
	struct node *n = changes_of(c);

	if (n->n)
		node_set(map, key, n);
	else
		node_free(n);
}

/* The parts in DVC's order, empty ones left out. */
static struct node *status_node(const struct data_status *st, const struct data_args *a, bool untracked)
{
	struct node *n = node_map();

	set_list(n, "not_in_cache", &st->not_in_cache);
	set_list(n, "not_in_remote", &st->not_in_remote);
	set_changes(n, "committed", &st->committed);
	set_changes(n, "uncommitted", &st->uncommitted);
	if (untracked)
		set_list(n, "untracked", &st->untracked);
	if (a->unchanged)
		set_list(n, "unchanged", &st->unchanged);
	return n;
}

struct heading { const char *key, *label, *hint, *hint2; };
static const struct heading headings[] = {
	{ "not_in_cache", "Not in cache", "use \"dvc fetch <file>...\" to download files", NULL },
	{ "not_in_remote", "Not in remote", "use \"dvc push <file>...\" to upload files", NULL },
	{ "committed", "DVC committed changes", "git commit the corresponding dvc files to update the repo", NULL },
	{ "uncommitted", "DVC uncommitted changes", "use \"dvc commit <file>...\" to track changes",
	  "use \"dvc checkout <file>...\" to discard changes" },
	{ "untracked", "Untracked files",
	  "use \"git add <file> ...\" or \"dvc add <file>...\" to commit to git or to dvc", NULL },
	{ "unchanged", "DVC unchanged files", NULL, NULL },
};

static void print_items(const struct node *part)
{
	if (part->kind == NODE_SEQ) {
		for (size_t i = 0; i < part->n; i++)
			ui_info("        %s", part->v[i]->text);
		return;
	}
	for (size_t i = 0; i < part->n; i++)
		for (size_t k = 0; k < part->v[i]->n; k++) {
			const struct node *c = part->v[i]->v[k];

			if (c->kind == NODE_MAP)
				ui_info("        %s: %s -> %s", part->k[i]->text, node_get_str(c, "old"),
					node_get_str(c, "new"));
			else
				ui_info("        %s: %s", part->k[i]->text, c->text);
		}
}

static void print_text(const struct node *n, const struct data_status *st)
{
	bool first = true;

	if (!n->n)
		ui_info("No changes%s.", st->has_git && st->is_empty ? " in an empty git repo" : "");
	for (size_t i = 0; i < ARRAY_LEN(headings); i++) {
		const struct heading *h = &headings[i];
		const struct node *part = node_get(n, h->key);

		if (!part)
			continue;
		if (!first)
			ui_info("%s", "");
		first = false;
		ui_info("%s:", h->label);
		if (h->hint)
			ui_info("  (%s)", h->hint);
		if (h->hint2)
			ui_info("  (%s)", h->hint2);
		print_items(part);
	}
	if (st->is_dirty)
		ui_info("(there are %schanges not tracked by dvc, use \"git status\" to see)", n->n ? "other " : "");
}

static int run_data_status(struct session *s, void *argp, struct err *e)
{
	struct data_args *a = argp;
	bool untracked = a->untracked && !strcmp(a->untracked, "all");
	struct data_status_opts o = { .targets = a->targets, .granular = a->granular, .untracked = untracked,
				      .not_in_remote = a->not_in_remote, .no_refresh = a->no_refresh,
				      .unchanged = a->unchanged, .remote = a->remote };
	struct data_status st;
	int rc;

	memset(&st, 0, sizeof(st));
	rc = data_status(s->project, &o, &st, e);
	if (!rc) {
		autonode struct node *n = status_node(&st, a, untracked);

		if (a->json)
			ui_json(n);
		else
			print_text(n, &st);
	} else {
		show_config_error(e);
		show_outage(e);
	}
	data_status_release(&st);
	return rc;
}

static const struct cmd data_status_cmd = {
	.name = "status", .run = run_data_status, .needs = NEED_REPO | NO_SCM_NOTE,
	.args_size = sizeof(struct data_args), .opts = data_options, .pos = data_pos,
	.summary = "Show changes between the last git commit, the dvcfiles and the workspace.",
	.help = "Shows changes of tracked data: between HEAD and the pointers, and between the pointers and the work tree.",
};
static const struct cmd *const data_cmds[] = { &data_status_cmd, NULL };

const struct cmd cmd_data = {
	.name = "data", .subs = data_cmds,
	.summary = "Commands related to data management.",
	.help = "Commands about tracked data.",
};

/* status - stages whose inputs or outputs changed; with -c or -r, the cache against a remote. */
#include "cmd/cmd.h"
#include "cmd/show.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/fs.h"
#include "core/cache/oid.h"
#include "core/cache/store.h"
#include "core/data/compare.h"
#include "core/data/inuse.h"
#include "core/data/project.h"
#include "core/data/remote.h"
#include "core/data/transfer.h"
#include "core/repo/config.h"
#include "core/repo/repo.h"
#include "core/stage/index.h"
#include "core/stage/stage.h"

struct status_args {
	struct strvec targets;
	bool cloud, all_branches, all_tags, all_commits, with_deps, recursive, json, no_updates;
	const char *remote;
	int64_t jobs;
};
static const struct opt status_options[] = {
	OPT_PLAIN('v', "verbose", OPT_K_VERBOSE, "Be verbose."),
	OPT_INT('j', "jobs", "<number>", status_args, jobs, "How many questions to have under way at a time."),
	OPT_PLAIN('q', "quiet", OPT_K_QUIET, "Say nothing; exit with 1 when something changed."),
	OPT_FLAG('c', "cloud", status_args, cloud, "Compare the cache with the remote."),
	OPT_STR('r', "remote", "<name>", status_args, remote, "The remote to compare the cache with."),
	OPT_FLAG('a', "all-branches", status_args, all_branches, "With -c: what all branches use."),
	OPT_FLAG('T', "all-tags", status_args, all_tags, "With -c: what all tags use."),
	OPT_FLAG('A', "all-commits", status_args, all_commits, "With -c: what all commits use."),
	OPT_FLAG('d', "with-deps", status_args, with_deps, "Also what the targets depend on."),
	OPT_FLAG('R', "recursive", status_args, recursive, "Everything tracked below the given directories."),
	OPT_FLAG(0, "json", status_args, json, "Print JSON."),
	OPT_FLAG(0, "no-updates", status_args, no_updates, "Do not ask the sources of imports."),
	OPT_END
};
static const struct pos status_pos[] = {
	{ "targets", '*', offsetof(struct status_args, targets), "Tracked paths, .dvc files or stages." },
	POS_END
};

/* ---- the work tree ---- */

static int one_stage(struct session *s, struct stage *st, const char *inside, const struct status_args *a,
		     struct node *out, struct err *e)
{
	struct compare_opts o = { .updates = !a->no_updates, .inside = inside };
	autofree char *name = stage_addressing(st, s->repo->cwd_rel);
	struct stage_status found = { 0 };
	int rc;

	if (st->frozen && !stage_is_repo_import(st) && !stage_is_versioned_import(st))
		ui_warn("stage: '%s' is frozen. Its dependencies are not going to be shown in the status output.", name);
	rc = compare_stage_with(s->project, st, &o, &found, e);
	if (!rc && found.n)
		node_set(out, name, show_status(&found));
	if (rc && e->code == ERR_PARSE && e->exit_status == 255)
		show_unexpected(e);     /* other failures with this status are such that DVC expects */
	stage_status_release(&found);
	return rc;
}

static int local_status(struct session *s, const struct status_args *a, struct node *out, struct err *e)
{
	unsigned flags = (a->recursive ? TARGET_RECURSIVE : 0) | (a->with_deps ? TARGET_WITH_DEPS : 0);
	autostr struct str bad = STR_INIT;
	struct targets t = { 0 };
	struct index *x;
	int rc = 0;

	if (a->all_branches)
		str_adds(&bad, ", --all-branches");
	if (a->all_tags)
		str_adds(&bad, ", --all-tags");
	if (a->all_commits)
		str_adds(&bad, ", --all-commits");
	if (a->jobs)
		str_adds(&bad, ", --jobs");
	if (bad.len)
		return err_set(e, ERR_FAIL, "The following options are meaningless for local status: %s", bad.buf + 2);
	/* what is named does not depend on what the other files say */
	if (a->targets.n ? project_index_some(s->project, &x, e) : project_index(s->project, &x, e))
		return -1;
	if (!a->targets.n) {
		for (size_t i = 0; !rc && i < x->n; i++)
			rc = one_stage(s, x->v[i], NULL, a, out, e);
		return rc;
	}
	if (index_targets(x, &a->targets, flags, &t, e))
		return -1;
	for (size_t i = 0; !rc && i < t.n; i++) {
		const struct target *g = &t.v[i];
		autofree char *inside = !g->out || !g->out->path ? NULL :
			g->inside ? path_join(g->out->path, g->inside) : xstrdup(g->out->path);

		rc = one_stage(s, g->stage, inside, a, out, e);
	}
	targets_release(&t);
	return rc;
}

/* ---- the remote ---- */

static int cloud_one(struct session *s, struct remote *r, struct want_set *w, struct node *out, struct err *e)
{
	struct binset have = BINSET_INIT(WANT_KEY);
	int rc = transfer_have(s->project, r, w, false, &have, e);

	/* As for push: what DVC does not handle there; a remote that cannot list is not asked that way. */
	if (rc && e->code != ERR_INTR && e->code != ERR_CONFIG && (r->caps & REMOTE_LIST))
		show_unexpected(e);
	for (size_t i = 0; !rc && i < w->n; i++) {
		autofree char *path = want_path(w, &w->v[i]), *shown = repo_show(s->repo, path);
		unsigned char key[WANT_KEY];
		struct store *st;
		int here;

		want_key(key, &w->v[i]);
		if (project_cache(s->project, w->v[i].legacy, &st, e) ||
		    (here = store_has(st, &w->v[i].id, NULL, e)) < 0) {
			rc = -1;
		} else {
			bool there = binset_has(&have, key);

			if (!here && !there && w->v[i].id.is_dir)       /* what it held is not known */
				transfer_warn_nowhere(&w->v[i].id, w->v[i].legacy);
			else if (here != there || !here)
				node_set(out, shown, node_str(here ? "new" : there ? "deleted" : "missing"));
		}
	}
	binset_release(&have);
	return rc;
}

static bool is_versioned(const struct session *s, const char *remote)
{
	const char *name = remote ? remote : config_get(s->repo->config, "core", "remote");
	autofree char *section = name ? xasprintf("remote \"%s\"", name) : NULL;

	return section && (config_bool(s->repo->config, section, "version_aware", false) ||
			   config_bool(s->repo->config, section, "worktree", false));
}

/* The objects of one remote. What only the remote has of manifests is brought first: without them nothing is compared. */
static int cloud_part(struct session *s, const struct status_args *a, struct want_part *part,
		      const struct collect_opts *c, struct node *out, struct err *e)
{
	struct want_parts again = { 0 };
	struct want_set *w = &part->set;
	struct remote *r = NULL;
	size_t got = 0;
	int rc = remote_open_named(&r, s->repo, part->remote ? part->remote : a->remote, (unsigned)a->jobs, e);

	if (part->remote) {     /* what has a remote of its own is not asked for; but the remote must be one */
		remote_close(r);
		return rc ? err_wrap(e, "Failed to collect 'workspace'") : 0;
	}
	if (!rc && is_versioned(s, a->remote))
		rc = err_set(e, ERR_FAIL, "config file error: 'status' is unsupported for cloud versioned remotes");
	if (!rc)
		rc = transfer_manifests(s->project, r, w, &got, e);
	if (!rc && got) {
		rc = transfer_collect_parts(s->project, c, &again, e);
		for (size_t i = 0; i < again.n; i++)
			if (!part->remote == !again.v[i].remote &&
			    (!part->remote || !strcmp(part->remote, again.v[i].remote)))
				w = &again.v[i].set;
	}
	if (!rc)
		rc = cloud_one(s, r, w, out, e);
	want_parts_release(&again);
	remote_close(r);
	return rc;
}

static int cloud_status(struct session *s, const struct status_args *a, struct node *out, struct err *e)
{
	struct collect_opts c = { .targets = &a->targets, .all_branches = a->all_branches, .all_tags = a->all_tags,
				  .all_commits = a->all_commits, .recursive = a->recursive,
				  .with_deps = a->with_deps, .strict = true, .push = true };
	struct want_parts parts = { 0 };
	struct index *x;
	int rc;

	/* Targets are looked up when every stage file was read. */
	if (a->targets.n && project_index(s->project, &x, e))
		return err_wrap(e, "Failed to collect 'workspace'");
	rc = transfer_collect_parts(s->project, &c, &parts, e);
	for (size_t i = 0; !rc && i < parts.n; i++)
		rc = cloud_part(s, a, &parts.v[i], &c, out, e);
	want_parts_release(&parts);
	if (rc && e->code == ERR_CONFIG)
		e->exit_status = 1;     /* as DVC: here a bad remote is a handled failure */
	return rc;
}

/* ---- text ---- */

static void print(const struct node *n, int indent)
{
	if (n->kind == NODE_STR) {
		ui_info("%.*s%s", indent, "\t\t\t\t\t\t\t\t", n->text);
	} else if (n->kind == NODE_SEQ) {
		for (size_t i = 0; i < n->n; i++)
			print(n->v[i], indent);
	} else if (n->kind == NODE_MAP) {
		for (size_t i = 0; i < n->n; i++) {
			if (n->v[i]->kind == NODE_STR) {
				autofree char *state = xasprintf("%s:", n->v[i]->text);

				ui_info("%.*s%-20s%s", indent, "\t\t\t\t\t\t\t\t", state, n->k[i]->text);
			} else {
				ui_info("%.*s%s:", indent, "\t\t\t\t\t\t\t\t", n->k[i]->text);
				print(n->v[i], indent + 1);
			}
		}
	}
}

static int run_status(struct session *s, void *argp, struct err *e)
{
	struct status_args *a = argp;
	autonode struct node *found = node_map();
	struct index *x;
	const char *remote;
	int rc;

	rc = a->cloud || a->remote ? cloud_status(s, a, found, e) : local_status(s, a, found, e);
	if (rc) {
		show_outage(e);
		return rc;
	}
	if (a->json) {
		ui_json(found);
		return 0;
	}
	if (s->quiet)
		return found->n ? 1 : 0;
	if (found->n) {
		print(found, a->cloud ? 1 : 0);
		return 0;
	}
	if (project_index(s->project, &x, e)) {
		e->exit_status = 255;   /* past what DVC expects to fail */
		return -1;
	}
	remote = a->remote ? a->remote : config_get(s->repo->config, "core", "remote");
	if (!x->n)
		ui_info("There are no data or pipelines tracked in this project yet.\n"
			"See <https://dvc.org/doc/start> to get started!");
	else if (a->cloud || a->remote)
		ui_info("Cache and remote '%s' are in sync.", remote ? remote : "None");
	else
		ui_info("Data and pipelines are up to date.");
	return 0;
}

const struct cmd cmd_status = {
	.name = "status", .run = run_status, .needs = NEED_REPO | NEED_LOCK | FAIL_IS_1 | NO_SCM_NOTE,
	.args_size = sizeof(struct status_args), .opts = status_options, .pos = status_pos,
	.summary = "Show changed stages, compare local cache and a remote storage.",
	.help = "Shows stages whose dependencies or outputs changed; with -c or -r, objects that the cache or the "
		"remote lacks.",
};

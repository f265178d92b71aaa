/* gc - removes objects nothing in the given scope uses. */
#include "cmd/cmd.h"
#include "cmd/show.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/data/collect.h"
#include "core/data/project.h"
#include "core/repo/repo.h"

#include <limits.h>

struct gc_args {
	bool workspace, all_branches, all_tags, all_commits, all_experiments, not_in_remote, cloud, skip_failed, force,
		dry, json;
	const char *date, *rev, *remote;
	int64_t num, jobs;
	struct strvec projects;
};
static const struct opt gc_options[] = {
	OPT_FLAG('w', "workspace", gc_args, workspace, "Keep what the work tree uses."),
	OPT_STR(0, "rev", "<commit>", gc_args, rev, "Keep what this commit uses."),
	OPT_INT('n', "num", "<num>", gc_args, num, "Keep what that many commits back from each revision use."),
	OPT_FLAG('a', "all-branches", gc_args, all_branches, "Keep what the tips of all branches use."),
	OPT_FLAG('T', "all-tags", gc_args, all_tags, "Keep what all tags use."),
	OPT_FLAG('A', "all-commits", gc_args, all_commits, "Keep what all commits use."),
	OPT_STR(0, "date", "<yyyy-mm-dd>", gc_args, date, "Keep what commits of that day and later use."),
	OPT_FLAG(0, "all-experiments", gc_args, all_experiments, "Keep what all experiments use."),
	OPT_FLAG(0, "not-in-remote", gc_args, not_in_remote, "Keep what is used and not on the remote."),
	OPT_FLAG('c', "cloud", gc_args, cloud, "Collect on the remote too."),
	OPT_STR('r', "remote", "<name>", gc_args, remote, "The remote to collect on."),
	OPT_FLAG(0, "skip-failed", gc_args, skip_failed, "Pass over revisions that cannot be read."),
	OPT_FLAG('f', "force", gc_args, force, "Answer every question with yes."),
	OPT_INT('j', "jobs", "<number>", gc_args, jobs, "How many requests to have under way at a time."),
	OPT_STRS('p', "projects", "<paths>", gc_args, projects, "Keep what these projects use as well."),
	OPT_FLAG(0, "dry", gc_args, dry, "Only say what would go."),
	OPT_OWN_FLAG(0, "json", gc_args, json, "Print what went, with size and last path, as JSON."),
	OPT_END
};

static int check_args(const struct gc_args *a, struct err *e)
{
	if (a->not_in_remote && a->cloud)
		return err_set(e, ERR_FAIL, "`--not-in-remote` and `--cloud` are mutually exclusive");
	if (!a->workspace && !a->all_branches && !a->all_tags && !a->all_commits && !a->all_experiments && !a->date &&
	    !a->rev && !a->num)
		return err_set(e, ERR_FAIL, "Either of `-w|--workspace`, `-a|--all-branches`, `-T|--all-tags` "
			       "`--all-experiments`, `--all-commits`, `--date` or `--rev` needs to be set.");
	if (a->num && !a->rev && !a->all_branches)
		return err_set(e, ERR_FAIL, "`--num` can only be used alongside `--rev` or `--all-branches`");
	return 0;
}

static void describe_scope(struct str *s, const struct gc_args *a)
{
	long long n = (long long)a->num;

	if (a->all_commits) {
		str_adds(s, " and all git commits");
		return;
	}
	if (a->all_branches && a->num)
		str_addf(s, " and last %lld commits from all git branches%s", n, a->all_tags ? " and all git tags" : "");
	else if (a->all_branches)
		str_addf(s, " and all git branches%s", a->all_tags ? " and tags" : "");
	else if (a->all_tags)
		str_adds(s, " and all git tags");
	if (a->date)
		str_addf(s, " and all git commits before date %s", a->date);
	if (a->rev)
		str_addf(s, " and last %lld commits from %s", n, a->rev);
}

static void warn(const struct gc_args *a)
{
	autostr struct str s = STR_INIT;

	str_adds(&s, "This will remove all cache except items used in the workspace");
	describe_scope(&s, a);
	if (a->all_experiments)
		str_adds(&s, " and all experiments");
	if (a->not_in_remote)
		str_adds(&s, " that are not present in the DVC remote");
	if (!a->projects.n) {
		str_adds(&s, " of the current repo.");
	} else {
		str_adds(&s, " of the current and the following repos:");
		for (size_t i = 0; i < a->projects.n; i++) {
			autofree char *abs = path_abs(a->projects.v[i]);

			str_addf(&s, "\n  - %s", abs);
		}
	}
	ui_warn("%s", s.buf);
}

static bool confirm(const char *question, void *data UNUSED)
{
	return ui_confirm_tty(question);
}

static struct node *object_node(const struct gc_object *g)
{
	struct node *n = node_map();
	char hex[OID_HEX_MAX];

	oid_hex(hex, &g->id);
	node_set(n, "md5", node_str(hex));
	node_set(n, "size", node_int((int64_t)g->size));
	node_set(n, "object", g->where ? node_str(g->where) : node_null());
	node_set(n, "path", g->last ? node_str(g->last) : node_null());
	return n;
}

static void print_json(const struct gc_result *r, bool dry)
{
	autonode struct node *list = node_seq();

	for (size_t i = 0; i < r->n; i++) {
		struct node *place = node_map(), *objects = node_seq();
		uint64_t bytes = 0;

		for (size_t k = 0; k < r->v[i].n; k++) {
			node_push(objects, object_node(&r->v[i].v[k]));
			bytes += r->v[i].v[k].size;
		}
		node_set(place, "cache", node_str(r->v[i].scheme));
		node_set(place, "dry", node_bool(dry));
		node_set(place, "count", node_int((int64_t)r->v[i].n));
		node_set(place, "bytes", node_int((int64_t)bytes));
		node_set(place, "objects", objects);
		node_push(list, place);
	}
	ui_json(list);
}

static void print_object(const struct gc_object *g, bool verbose)
{
	autostr struct str size = STR_INIT;

	if (!verbose) {
		ui_info("Removing %s", g->where);
		return;
	}
	str_add_human(&size, g->size);
	ui_info("Removing %s (%s, %s)", g->where ? g->where : "", size.buf, g->last ? g->last : "no path known");
}

static void print_text(const struct gc_result *r, const struct session *s, bool dry)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct gc_place *at = &r->v[i];

		for (size_t k = 0; (dry || s->verbose) && k < at->n; k++)
			print_object(&at->v[k], s->verbose > 0);
		if (at->is_remote && at->n)
			ui_info("Removed %zu objects from remote.", at->n);
		else if (at->is_remote)
			ui_info("No unused cache to remove from remote.");
		else if (at->n)
			ui_info("Removed %zu objects from %s cache.", at->n, at->scheme);
		else
			ui_info("No unused '%s' cache to remove.", at->scheme);
	}
}

static int run_gc(struct session *s, void *argp, struct err *e)
{
	struct gc_args *a = argp;
	struct gc_opts o;
	struct gc_result r = { 0 };
	int rc;

	if (check_args(a, e))
		return -1;
	if (a->dry)
		a->force = true;
	if (a->rev && !a->num)
		a->num = 1;
	warn(a);
	if (!a->force && !ui_confirm("Are you sure you want to proceed?"))
		return 1;
	o = (struct gc_opts){
		.all_branches = a->all_branches, .all_tags = a->all_tags, .all_commits = a->all_commits,
		.all_experiments = a->all_experiments, .not_in_remote = a->not_in_remote, .cloud = a->cloud,
		.force = a->force, .dry = a->dry, .skip_failed = a->skip_failed,
		.explain = a->json || s->verbose > 0, .date = a->date, .rev = a->rev, .remote = a->remote,
		.num = (int)(a->num > INT_MAX ? INT_MAX : a->num < 0 ? -1 : a->num),
		.jobs = (unsigned)a->jobs, .projects = &a->projects, .confirm = confirm,
	};
	rc = gc_run(s->project, &o, &r, e);
	if (!rc && a->json)
		print_json(&r, a->dry);
	else if (!rc)
		print_text(&r, s, a->dry);
	else
		show_config_error(e);
	gc_result_release(&r);
	return rc;
}

const struct cmd cmd_gc = {
	.name = "gc", .run = run_gc, .needs = NEED_REPO | NEED_LOCK | NO_SCM_NOTE,
	.args_size = sizeof(struct gc_args), .opts = gc_options,
	.summary = "Garbage collect unused objects from cache or remote storage.",
	.help = "Removes from the cache, and with -c from a remote, every object that nothing in the given scope uses.",
};

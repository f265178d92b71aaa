#include "cmd/sync.h"

#include "cmd/show.h"
#include "core/base/node.h"
#include "core/base/proc.h"
#include "core/base/progress.h"
#include "core/data/checkout.h"
#include "core/repo/config.h"
#include "core/repo/repo.h"

static void collect_opts_of(struct collect_opts *c, const struct sync_args *a)
{
	*c = (struct collect_opts){
		.targets = &a->targets, .all_branches = a->all_branches, .all_tags = a->all_tags,
		.all_commits = a->all_commits, .recursive = a->recursive, .with_deps = a->with_deps, .glob = a->glob,
		.types = &a->types, .max_size = a->max_size,
	};
}

static void transfer_opts_of(struct transfer_opts *o, const struct sync_args *a)
{
	*o = (struct transfer_opts){
		.remote = a->remote, .jobs = a->jobs > 0 && a->jobs < 4096 ? (unsigned)a->jobs : 0,
		.dry_run = a->dry_run, .check = a->check, .run_cache = a->run_cache,
	};
}

static void on_event(const char *json, void *data)
{
	(void)data;
	ui_out("%s\n", json);
}

static void show_begin(const struct sync_args *a)
{
	if (a->json)
		progress_event_sink(on_event, NULL);
	else
		ui_progress_start();
}

static void show_end(const struct sync_args *a)
{
	if (a->json)
		progress_event_sink(NULL, NULL);
	else
		ui_progress_stop();
}

int sync_failures(const struct transfer_result *r, const char *method, struct err *e)
{
	char hex[OID_HEX_MAX];

	for (size_t i = 0; i < r->nfail; i++) {
		const struct failure *f = &r->fail[i];

		oid_hex(hex, &f->id);
		if (f->implied)
			continue;
		ui_error("failed to transfer '%s' - %s", hex, f->msg);
		if (!ui_is_quiet() && !str_starts(f->msg, "[Errno"))    /* DVC's own words stand alone */
			ui_note("It is '%s'.", f->path);
	}
	if (r->nfail)
		return err_set(e, ERR_FAIL, "%zu files failed to %s", r->nfail, method);
	return 0;
}

static struct node *hex_node(const struct oid *id)
{
	char hex[OID_HEX_MAX];

	oid_hex(hex, id);
	return node_str(hex);
}

static void plan_json(const char *direction, const struct transfer_result *r)
{
	for (size_t i = 0; i < r->nplan; i++) {
		autonode struct node *n = node_map();

		node_set(n, "event", node_str("plan"));
		node_set(n, "direction", node_str(direction));
		node_set(n, "path", node_str(r->plan[i].path));
		node_set(n, "md5", hex_node(&r->plan[i].id));
		node_set(n, "size", node_int((int64_t)r->plan[i].size));
		ui_json(n);
	}
}

void sync_plan(const struct sync_args *a, const char *direction, const struct transfer_result *r)
{
	autostr struct str size = STR_INIT;
	char hex[OID_HEX_MAX];

	if (a->json) {
		plan_json(direction, r);
		return;
	}
	for (size_t i = 0; i < r->nplan; i++) {
		oid_hex(hex, &r->plan[i].id);
		ui_out("%s\t%llu\t%s\n", hex, (unsigned long long)r->plan[i].size, r->plan[i].path);
	}
	str_add_human(&size, r->bytes);
	ui_info("would %s %llu object%s, %s", direction, (unsigned long long)r->objects, r->objects == 1 ? "" : "s",
		str_cstr(&size));
}

static struct node *failed_node(const struct failure *f)
{
	struct node *n = node_map();

	node_set(n, "path", node_str(f->path));
	node_set(n, "md5", hex_node(&f->id));
	node_set(n, "status", f->http_status ? node_int(f->http_status) : node_null());
	node_set(n, "code", f->code ? node_str(f->code) : node_null());
	node_set(n, "message", node_str(f->msg));
	return n;
}

static void summary_json(struct session *s, const char *done, const struct transfer_result *r,
			 const struct checkout_result *out, const struct err *e)
{
	autonode struct node *n = node_map();
	struct node *failed = node_seq();

	node_set(n, "event", node_str("result"));
	node_set(n, done, node_int((int64_t)r->counted));
	node_set(n, "objects", node_int((int64_t)r->objects));
	node_set(n, "bytes", node_int((int64_t)r->bytes));
	node_set(n, "missing", node_int((int64_t)r->nmissing));
	for (size_t i = 0; i < r->nfail; i++)
		node_push(failed, failed_node(&r->fail[i]));
	node_set(n, "failed", failed);
	if (out) {
		node_set(n, "modified", show_paths(s, &out->modified));
		node_set(n, "added", show_paths(s, &out->added));
		node_set(n, "deleted", show_paths(s, &out->deleted));
	}
	if (e)
		node_set(n, "error", node_str(e->msg ? e->msg : err_code_name(e->code)));
	ui_json(n);
}

void sync_broken_off(struct session *s, const struct sync_args *a, const char *done, const struct transfer_result *r,
		     const struct checkout_result *out, const struct err *e)
{
	autoerr struct err signal = ERR_INIT;

	if (a->json)
		summary_json(s, done, r, out, proc_check(&signal) ? &signal : e);
}

void sync_summary(struct session *s, const struct sync_args *a, const char *done, const struct transfer_result *r,
		  const struct checkout_result *out)
{
	autostrvec struct strvec parts = STRVEC_INIT;
	autofree char *text = NULL;

	if (a->json) {
		summary_json(s, done, r, out, NULL);
		return;
	}
	if (a->dry_run)
		return;
	if (out)
		show_changes(s, out);
	if (!a->remote && !config_get(s->repo->config, "core", "remote"))
		ui_note("No remote provided and no default remote set.");
	show_count(&parts, r->counted, done);
	if (out) {
		show_count(&parts, out->files_modified, "modified");
		show_count(&parts, out->files_added, "added");
		show_count(&parts, out->files_deleted, "deleted");
	}
	text = show_joined(&parts);
	ui_info("%s", *text ? text : "Everything is up to date.");
}

const struct pos sync_pos[] = {
	{ "targets", '*', offsetof(struct sync_args, targets), "Tracked paths, .dvc files or stages." },
	POS_END
};

int sync_move(struct session *s, const struct sync_args *a, sync_fn *fn, struct transfer_result *r, struct err *e)
{
	struct collect_opts c;
	struct transfer_opts o;
	int rc;

	collect_opts_of(&c, a);
	transfer_opts_of(&o, a);
	show_begin(a);
	rc = fn(s->project, &c, &o, r, e);
	show_end(a);
	return rc;
}

int sync_run(struct session *s, const struct sync_args *a, const struct sync_kind *k, struct err *e)
{
	struct transfer_result r = { 0 };
	int rc = sync_move(s, a, k->fn, &r, e);

	if (!rc && a->dry_run)
		sync_plan(a, k->verb, &r);
	if (!rc && (a->json || !r.nfail))
		sync_summary(s, a, k->done, &r, NULL);
	else if (rc)
		sync_broken_off(s, a, k->done, &r, NULL, e);
	if (!rc)
		rc = sync_failures(&r, k->method, e);
	if (!rc && r.nunreached)
		rc = err_set(e, ERR_FAIL, "%zu imports could not be fetched", r.nunreached);
	if (rc && k->download && e->code == ERR_AUTH)
		show_download_failed(e, k->failed);
	else if (rc && e->exit_status == 255)
		show_unexpected(e);
	else if (rc && e->code == ERR_AUTH && e->exit_status)
		show_outage(e);
	else if (rc)
		show_failed(e, k->failed);
	if (rc && e->code != ERR_INTR && !e->exit_status)
		e->exit_status = 1;
	transfer_result_release(&r);
	return rc;
}

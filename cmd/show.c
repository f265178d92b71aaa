#include "cmd/show.h"

#include "cmd/cmd.h"
#include "core/base/node.h"
#include "core/data/checkout.h"
#include "core/data/compare.h"
#include "core/repo/repo.h"

static int dirs_first(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	bool dx = str_ends(x, "/"), dy = str_ends(y, "/");

	return dx != dy ? (dx ? -1 : 1) : strcmp(x, y);
}

void show_sorted(struct session *s, const struct strvec *rel, struct strvec *out)
{
	for (size_t i = 0; i < rel->n; i++) {
		bool dir = str_ends(rel->v[i], "/");
		autofree char *bare = xstrndup(rel->v[i], strlen(rel->v[i]) - (dir ? 1 : 0));
		autofree char *text = repo_show(s->repo, bare);

		strvec_pushf(out, "%s%s", text, dir ? "/" : "");
	}
	if (out->n)
		qsort(out->v, out->n, sizeof(*out->v), dirs_first);
}

struct node *show_paths(struct session *s, const struct strvec *rel)
{
	autostrvec struct strvec v = STRVEC_INIT;
	struct node *list = node_seq();

	show_sorted(s, rel, &v);
	for (size_t i = 0; i < v.n; i++)
		node_push(list, node_str(v.v[i]));
	return list;
}

/* What is gone cannot be looked at any more from below the root: DVC names it by its root-relative path then. */
static void show_deleted(struct session *s, const struct strvec *rel)
{
	autostrvec struct strvec v = STRVEC_INIT;

	if (!*s->repo->cwd_rel) {
		show_sorted(s, rel, &v);
	} else {
		for (size_t i = 0; i < rel->n; i++)
			strvec_take(&v, xstrndup(rel->v[i], strlen(rel->v[i]) - str_ends(rel->v[i], "/")));
		strvec_sort(&v);
	}
	for (size_t i = 0; i < v.n; i++)
		ui_info("D       %s", v.v[i]);
}

void show_changes(struct session *s, const struct checkout_result *r)
{
	const struct strvec *lists[] = { &r->modified, &r->added };

	for (size_t k = 0; k < 2; k++) {
		autostrvec struct strvec v = STRVEC_INIT;

		show_sorted(s, lists[k], &v);
		for (size_t i = 0; i < v.n; i++)
			ui_info("%c       %s", "MA"[k], v.v[i]);
	}
	show_deleted(s, &r->deleted);
}

void show_count(struct strvec *parts, uint64_t n, const char *what)
{
	if (n)
		strvec_pushf(parts, "%llu file%s %s", (unsigned long long)n, n > 1 ? "s" : "", what);
}

char *show_joined(const struct strvec *parts)
{
	autostr struct str s = STR_INIT;

	for (size_t i = 0; i < parts->n; i++)
		str_addf(&s, "%s%s", !i ? "" : i + 1 == parts->n ? " and " : ", ", parts->v[i]);
	return str_take(&s);
}

void show_summary(const struct checkout_result *r)
{
	autostrvec struct strvec parts = STRVEC_INIT;
	autofree char *text = NULL;

	show_count(&parts, r->files_modified, "modified");
	show_count(&parts, r->files_added, "added");
	show_count(&parts, r->files_deleted, "deleted");
	text = show_joined(&parts);
	ui_info("%s", *text ? text : "No changes.");
}

static void add_reason(struct node *map, const struct reason *r)
{
	struct node *inner;

	if (!r->param) {
		node_set(map, r->what, node_str(r->state));
		return;
	}
	inner = node_get(map, r->what);
	if (!node_is(inner, NODE_MAP)) {
		inner = node_map();
		node_set(map, r->what, inner);
	}
	node_set(inner, r->param, node_str(r->state));
}

struct node *show_status(const struct stage_status *st)
{
	struct node *list = node_seq(), *deps = node_map(), *outs = node_map();

	for (size_t i = 0; i < st->n; i++) {
		if (st->v[i].kind == REASON_DEP)
			add_reason(deps, &st->v[i]);
		else if (st->v[i].kind == REASON_OUT)
			add_reason(outs, &st->v[i]);
	}
	for (int k = 0; k < 2; k++) {
		struct node *group = k ? outs : deps;

		if (!group->n) {
			node_free(group);
			continue;
		}
		node_push(list, node_map());
		node_set(list->v[list->n - 1], k ? "changed outs" : "changed deps", group);
	}
	for (size_t i = 0; i < st->n; i++) {
		if (st->v[i].kind == REASON_ALWAYS)
			node_push(list, node_str("always changed"));
		else if (st->v[i].kind == REASON_COMMAND)
			node_push(list, node_str("changed command"));
		else if (st->v[i].kind == REASON_CHECKSUM)
			node_push(list, node_str("changed checksum"));
	}
	return list;
}

const char *show_past_config(const char *msg)
{
	static const char head[] = "configuration error - ";

	return str_starts(msg, head) ? msg + sizeof(head) - 1 : msg;
}

void show_failed(struct err *e, const char *what)
{
	char *msg;

	if (e->report || (e->msg && str_starts(e->msg, "unexpected error")))
		return;
	msg = xasprintf("%s - %s", what, show_past_config(e->msg ? e->msg : ""));
	free(e->msg);
	e->msg = msg;
}

void show_config_error(struct err *e)
{
	if (e->code == ERR_CONFIG)
		show_failed(e, "configuration error");
}

void show_unexpected(struct err *e)
{
	char *msg;

	if (e->report)
		return;
	e->exit_status = 255;
	if (e->msg && str_starts(e->msg, "unexpected error"))
		return;
	msg = xasprintf("unexpected error - %s", e->msg ? e->msg : "");
	free(e->msg);
	e->msg = msg;
}

/* A remote's settings that lack something, which shows when it is to be used: DVC says it twice, with where to read on. */
static void show_lacking(struct err *e)
{
	char *msg = xasprintf("configuration error - %s\nERROR: %s\nLearn more about configuration settings at "
			      "<https://man.dvc.org/remote/modify>.", e->msg, e->plain ? e->plain : e->msg);

	free(e->msg);
	e->msg = msg;
}

void show_outage(struct err *e)
{
	if (e->code == ERR_AUTH && e->exit_status == 251 && !str_starts(e->msg, "configuration error"))
		show_lacking(e);
	else if ((e->code == ERR_AUTH || e->code == ERR_TEMP) && (!e->exit_status || e->exit_status == 255))
		show_unexpected(e);
}

void show_download_failed(struct err *e, const char *what)
{
	if (e->code == ERR_AUTH)
		e->exit_status = 1;
	show_failed(e, what);
}

/* tqdm's rule: at most three digits before a unit, steps of 1024. */
void show_size(struct str *out, double bytes)
{
	static const char units[] = "\0kMGTPEZ";

	if (bytes < 1024) {
		str_addf(out, "%.0f", bytes);
		return;
	}
	for (size_t i = 0; i < 8; i++) {
		char unit[2] = { units[i], '\0' };

		if (bytes < 999.5) {
			if (bytes < 99.95)
				str_addf(out, bytes < 9.995 ? "%1.2f%s" : "%2.1f%s", bytes, unit);
			else
				str_addf(out, "%3.0f%s", bytes, unit);
			return;
		}
		bytes /= 1024;
	}
	str_addf(out, "%3.1fY", bytes);
}

void show_run_flush(void *data UNUSED)
{
	ui_flush();
}

void show_run_output(const void *p, size_t n, void *data UNUSED)
{
	ui_out_bytes(p, n);
}

#include "core/pipeline/explain.h"

#include "core/base/json.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/data/compare.h"

static void add_value(struct str *out, const struct node *v)
{
	if (v)
		json_dump(out, v, 0);
	else
		str_adds(out, "nothing");
}

static void add_hashes(struct str *out, const struct reason *r)
{
	if (r->was.value && r->now.value)
		str_addf(out, " (%.8s -> %.8s)", r->was.value, r->now.value);
}

static void add_param(struct str *out, const struct reason *r)
{
	str_addf(out, "\tparameter '%s' of '%s' is %s: ", r->param ? r->param : "*", r->what, r->state);
	add_value(out, r->old_value);
	str_adds(out, " -> ");
	add_value(out, r->new_value);
	str_addc(out, '\n');
}

static void add_reason(struct str *out, const struct stage *s, const struct reason *r)
{
	switch (r->kind) {
	case REASON_DEP:
		if (r->item && r->item->kind == DEP_PARAMS && r->param) {
			add_param(out, r);
			return;
		}
		str_addf(out, "\tdependency '%s' is %s", r->what, r->state);
		break;
	case REASON_OUT:
		str_addf(out, "\toutput '%s' is %s", r->what, r->state);
		break;
	case REASON_ALWAYS:
		str_adds(out, stage_is_callback(s) ? "\tit has neither dependencies nor outputs"
			 : "\tit is marked always_changed");
		break;
	case REASON_COMMAND:
		str_adds(out, "\tthe command changed: ");
		add_value(out, r->old_value ? r->old_value : s->locked_cmd);
		str_adds(out, " -> ");
		add_value(out, r->new_value ? r->new_value : s->cmd);
		break;
	case REASON_CHECKSUM:
		str_adds(out, "\tthe declaration changed");
		break;
	}
	add_hashes(out, r);
	str_addc(out, '\n');
}

void explain_stage(struct str *out, const struct stage *s, const char *addressing, const struct stage_status *st,
		   bool forced)
{
	str_addf(out, "Stage '%s' runs because:\n", addressing);
	if (s->kind == STAGE_PIPELINE && !s->in_lock)
		str_adds(out, "\tit has not run before\n");
	if (forced)
		str_adds(out, "\tit is forced\n");
	for (size_t i = 0; i < st->n; i++)
		add_reason(out, s, &st->v[i]);
	if (out->len && out->buf[out->len - 1] == '\n')
		str_setlen(out, out->len - 1);
}

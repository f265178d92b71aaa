/* compare_params - tracked parameters against their recorded values. */
#include "core/data/compare_own.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/data/project.h"
#include "core/repo/repo.h"
#include "core/stage/params.h"

static struct reason *param_reason(struct project *p, struct item *dep, const char *key, const char *state,
				   struct stage_status *out)
{
	struct reason *r = reason_add(out, REASON_DEP, dep, state);

	r->what = reason_what(p, dep);
	r->param = xstrdup(key);
	return r;
}

/* Which keys count, in DVC's order: as the stage names them, else the file's own and then the recorded ones. */
static void keys_of(const struct item *dep, const struct node *now, struct strvec *keys)
{
	struct map once = MAP_INIT;

	for (size_t i = 0; i < dep->params.n; i++)
		strvec_push(keys, dep->params.v[i]);
	if (dep->params.n)
		return;
	for (int k = 0; k < 2; k++) {
		const struct node *m = k ? dep->param_values : now;

		for (size_t i = 0; node_is(m, NODE_MAP) && i < m->n; i++)
			if (m->k[i]->text && !map_has(&once, m->k[i]->text)) {
				map_put(&once, m->k[i]->text, (void *)1);
				strvec_push(keys, m->k[i]->text);
			}
	}
	map_release(&once, NULL);
}

static int one_key(struct project *p, struct item *dep, const struct node *now, const char *key,
		   struct stage_status *out, struct err *e)
{
	const struct node *was = node_get(dep->param_values, key), *value = NULL;
	struct reason *r;

	if (!dep->params.n)
		value = node_get(now, key);
	else if (params_lookup(now, key, &value, e) < 0)
		return -1;
	if (value && was && node_equal(value, was))
		return 0;
	r = param_reason(p, dep, key, !value ? "deleted" : !was ? "new" : "modified", out);
	r->old_value = was ? node_copy(was) : NULL;
	r->new_value = value ? node_copy(value) : NULL;
	return 0;
}

int compare_load_params(struct project *p, const struct item *i, const char *abs, struct node **out, struct err *e)
{
	autofree char *shown = item_show(i, p->repo->cwd_rel);
	autoerr struct err why = ERR_INIT;

	if (fs_is_dir(abs))
		return err_set(e, ERR_FAIL, "'%s' is a directory, expected a parameters file", shown);
	if (!params_load(out, abs, &why))
		return 0;
	err_set(e, ERR_PARSE, "Unable to read parameters from '%s': unable to read: '%s', %s", shown, shown, why.msg);
	e->plain = xasprintf("Unable to read parameters from '%s'", shown);
	return -1;
}

int compare_params(struct project *p, struct item *dep, struct stage_status *out, struct err *e)
{
	autostrvec struct strvec keys = STRVEC_INIT;
	autofree char *abs = item_abs(dep, p->repo->root), *what = reason_what(p, dep);
	autonode struct node *now = NULL;
	struct stat st;

	if (stat(abs, &st)) {
		reason_add(out, REASON_DEP, dep, "deleted")->what = take(what);
		return 0;
	}
	if (!dep->param_values) {
		reason_add(out, REASON_DEP, dep, "new")->what = take(what);
		return 0;
	}
	if (compare_load_params(p, dep, abs, &now, e))
		return -1;
	if (!dep->params.n && params_whole(now, e))
		return -1;
	keys_of(dep, now, &keys);
	for (size_t i = 0; i < keys.n; i++)
		if (one_key(p, dep, now, keys.v[i], out, e))
			return -1;
	return 0;
}

/* dvc.yaml from outside: schema, variables, groups and every stage, without files to load from. */
#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/stage/dvcyaml_priv.h"
#include "core/stage/schema.h"
#include "core/stage/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int no_file(struct node **out, const char *rel, void *data, struct err *e)
{
	(void)out;
	(void)data;
	return err_set(e, ERR_NOTFOUND, "'%s' does not exist", rel);
}

static int take_stage(const char *name, const char *group, struct node *resolved, const struct node *raw, void *data,
		      struct err *e)
{
	size_t *n = data;

	if (!name || !raw || (group && !strchr(name, '@')))
		BUG("a stage without a name");
	node_free(resolved);
	return ++*n < 1000 ? 0 : err_set(e, ERR_FAIL, "enough");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tmpl_env env = { .dir = "", .cwd = "", .load = no_file };
	autonode struct node *doc = NULL;
	autoerr struct err e = ERR_INIT;
	struct tmpl *t = NULL;
	size_t n = 0;

	notice_sink(NULL, NULL);
	if (size > 4096 || schema_parse(&doc, dvcyaml_schema(), "./dvc.yaml", NULL, (const char *)data, size, 0, &e))
		return 0;
	if (tmpl_new(&t, &env, doc, &e))
		return 0;
	tmpl_each_stage(t, take_stage, &n, &e);
	tmpl_free(t);
	return 0;
}

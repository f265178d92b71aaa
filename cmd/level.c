#include "cmd/level.h"

#include <stdarg.h>

#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/repo/configschema.h"
#include "core/repo/repo.h"

bool level_given(const struct level_args *a)
{
	return a->global || a->system || a->project || a->local;
}

enum config_level level_of(const struct level_args *a)
{
	return a->system ? CONFIG_SYSTEM : a->global ? CONFIG_GLOBAL : a->local ? CONFIG_LOCAL : CONFIG_REPO;
}

int level_open(struct config **out, char **root, struct err *e)
{
	autoerr struct err none = ERR_INIT;
	autofree char *found = repo_find_root(".", &none), *dvc = NULL;

	if (!found && none.code != ERR_NOREPO) {
		err_move(e, &none);
		return -1;
	}
	if (found)
		dvc = path_join(found, ".dvc");
	if (config_open(out, dvc, e))
		return -1;
	*root = take(found);
	return 0;
}

int level_error(struct err *e, const char *fmt, ...)
{
	autofree char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	return err_set(e, ERR_CONFIG, "configuration error - config file error: %s", text);
}

int level_need(const struct config *c, const struct level_args *a, struct err *e)
{
	return config_file(c, level_of(a)) ? 0 : level_error(e, "Not inside a DVC repo");
}

char *level_value(const struct config *c, enum config_level l, const char *section, const char *option)
{
	bool is_list;
	const struct strvec *v = config_value_at(c, l, section, option, &is_list);
	autonode struct node *seq = NULL;
	autostr struct str s = STR_INIT;

	if (!v)
		return NULL;
	if (!is_list)
		return configschema_is_path(section, option) ? config_resolve(c, l, v->v[0]) : xstrdup(v->v[0]);
	seq = node_seq();
	for (size_t i = 0; i < v->n; i++)
		node_push(seq, node_str(v->v[i]));
	node_py_str(&s, seq);
	return str_take(&s);
}

void level_warn_secret(enum config_level l, const char *section, const char *option)
{
	bool holds = str_starts(section, "remote \"") || str_starts(section, "db \"") || !strcmp(section, "studio");

	if (l == CONFIG_REPO && holds && configschema_is_secret(option))
		ui_warn("'%s' goes into .dvc/config, which is committed to git; with --local it stays on this machine.", option);
}

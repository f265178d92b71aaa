/*
 * File names by pattern, as Python's glob expands them: "**" is any number of directories, hidden names only by name.
 */
#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/stage/index.h"

#include <dirent.h>
#include <fnmatch.h>

static bool has_magic(const char *s)
{
	return strpbrk(s, "*?[") != NULL;
}

/* Names of a directory, sorted; with 'dirs' directories only. */
static void list(struct strvec *out, const char *dir, const char *pattern, bool dirs)
{
	autodir DIR *d = opendir(*dir ? dir : ".");
	struct dirent *de;

	while (d && (de = readdir(d))) {
		autofree char *path = NULL;

		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, "..") || (*de->d_name == '.' && *pattern != '.'))
			continue;
		if (fnmatch(pattern, de->d_name, 0))
			continue;
		path = *dir ? path_join(dir, de->d_name) : xstrdup(de->d_name);
		if (!dirs || (fs_is_dir(path) && !fs_is_link(path)))
			strvec_push(out, de->d_name);
	}
	strvec_sort(out);
}

static void expand(struct strvec *out, const char *dir, const struct strvec *parts, size_t at)
{
	autostrvec struct strvec names = STRVEC_INIT;
	bool last = at + 1 == parts->n, deep = at < parts->n && !strcmp(parts->v[at], "**");

	if (at == parts->n) {
		if (*dir)
			strvec_push(out, dir);
		return;
	}
	if (!has_magic(parts->v[at])) {
		autofree char *path = *dir ? path_join(dir, parts->v[at]) : xstrdup(parts->v[at]);

		if (fs_exists(path))
			expand(out, path, parts, at + 1);
		return;
	}
	if (deep && !last)
		expand(out, dir, parts, at + 1);
	if (deep && last && *dir)
		strvec_pushf(out, "%s/", dir);
	list(&names, dir, deep ? "*" : parts->v[at], deep && !last);
	for (size_t i = 0; i < names.n; i++) {
		autofree char *path = *dir ? path_join(dir, names.v[i]) : xstrdup(names.v[i]);

		if (deep && last && !(fs_is_dir(path) && !fs_is_link(path)))
			strvec_push(out, path);
		else
			expand(out, path, parts, deep ? at : at + 1);
	}
}

static void expand_pattern(struct strvec *out, const char *pattern)
{
	autostrvec struct strvec parts = STRVEC_INIT, clean = STRVEC_INIT;

	strvec_split(&parts, pattern, '/');
	for (size_t i = 0; i < parts.n; i++)
		if (*parts.v[i])
			strvec_push(&clean, parts.v[i]);
	expand(out, *pattern == '/' ? "/" : "", &clean, 0);
}

int target_glob(const struct strvec *patterns, struct strvec *out, struct err *e)
{
	autonode struct node *list_of = NULL;
	autostr struct str shown = STR_INIT;

	for (size_t i = 0; i < patterns->n; i++)
		expand_pattern(out, patterns->v[i]);
	if (out->n)
		return 0;
	list_of = node_seq();
	for (size_t i = 0; i < patterns->n; i++)
		node_push(list_of, node_str(patterns->v[i]));
	node_py_repr(&shown, list_of);
	return err_set(e, ERR_FAIL, "Glob %s has no matches.", str_cstr(&shown));
}

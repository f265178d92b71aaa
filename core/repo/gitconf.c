/* gitconf - facts about a git repository without a library. See gitconf.h. */
#include "core/repo/gitconf.h"

#include <ctype.h>
#include <sys/stat.h>

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/repo/gitrepo.h"

#define GITCONF_MAX (1u << 20)
#define INCLUDE_DEPTH 10

/* First line of a small file, without its end; NULL when it cannot be read. */
static char *read_line(const char *path)
{
	autostr struct str s = STR_INIT;
	autoerr struct err e = ERR_INIT;

	if (fs_read(&s, path, 65536, &e))
		return NULL;
	return xstrndup(str_cstr(&s), strcspn(str_cstr(&s), "\r\n"));
}

char *git_find_dir(const char *root)
{
	autofree char *dot = path_join(root, ".git");
	autofree char *line = NULL, *to = NULL;
	struct stat st;

	if (stat(dot, &st))             /* where the disk fails it is there: no outer repository takes its place */
		return fs_exists(dot) ? take(dot) : NULL;
	if (S_ISDIR(st.st_mode))
		return take(dot);
	line = read_line(dot);
	if (!line || strncmp(line, "gitdir: ", 8))
		return NULL;
	to = path_join(root, line + 8);
	return path_norm(to);
}

/* A directory named .git counts when git would take it: it has a HEAD. */
static bool is_git_dir(const char *dir)
{
	autofree char *head = dir ? path_join(dir, "HEAD") : NULL;

	return head && fs_exists(head);
}

char *git_find_root(const char *dir)
{
	autofree char *at = path_abs(dir);

	for (;;) {
		autofree char *git = git_find_dir(at);
		char *slash;

		if (is_git_dir(git))
			return take(at);
		slash = strrchr(at, '/');
		if (!slash || !at[1])
			return NULL;
		slash[slash == at] = 0;
	}
}

char *git_common_dir(const char *git_dir)
{
	autofree char *file = path_join(git_dir, "commondir");
	autofree char *line = read_line(file), *to = NULL;

	if (!line || !*line)
		return xstrdup(git_dir);
	to = path_join(git_dir, line);
	return path_norm(to);
}

static char *expand_home(const char *path, const char *file)
{
	const char *home = getenv("HOME");
	autofree char *dir = NULL, *full = NULL;

	if (!strncmp(path, "~/", 2) && home)
		return path_join(home, path + 2);
	dir = path_dir(file);
	full = path_join(dir, path);
	return path_norm(full);
}

/* "[a "b"]" gives "a.b", "[a]" gives "a"; the section part folds to lower case. */
static void read_header(struct str *sec, const char *p)
{
	str_reset(sec);
	while (*p && *p != ']' && *p != ' ' && *p != '\t' && *p != '"')
		str_addc(sec, (char)tolower((unsigned char)*p++));
	while (*p == ' ' || *p == '\t')
		p++;
	if (*p++ != '"')
		return;
	str_addc(sec, '.');
	while (*p && *p != '"') {
		if (*p == '\\' && p[1])
			p++;
		str_addc(sec, *p++);
	}
}

/* A value as git reads it: quotes, escapes, comments, blanks at the ends. */
static char *read_value(const char *p)
{
	autostr struct str v = STR_INIT;
	bool quoted = false;
	size_t keep = 0;

	while (*p == ' ' || *p == '\t')
		p++;
	for (; *p && *p != '\r'; p++) {
		if (!quoted && (*p == '#' || *p == ';'))
			break;
		if (*p == '"') {
			quoted = !quoted;
			keep = v.len;
			continue;
		}
		if (*p == '\\' && p[1]) {
			p++;
			str_addc(&v, *p == 'n' ? '\n' : *p == 't' ? '\t' : *p);
			keep = v.len;
			continue;
		}
		str_addc(&v, *p);
		if (quoted || (*p != ' ' && *p != '\t'))
			keep = v.len;
	}
	if (v.len)
		str_setlen(&v, keep);
	return str_take(&v);
}

static void conf_scan(const char *file, const char *key, char **out, int depth);

static void conf_line(const char *file, const struct str *sec, char *line, const char *key, char **out, int depth)
{
	size_t n = strcspn(line, " \t=\r");
	autofree char *name = NULL, *value = NULL, *to = NULL;
	char *p = line + n;

	name = xasprintf("%s.%.*s", str_cstr(sec), (int)n, line);
	for (char *c = name + strlen(str_cstr(sec)); *c; c++)
		*c = (char)tolower((unsigned char)*c);
	p += strspn(p, " \t");
	value = *p == '=' ? read_value(p + 1) : xstrdup("true");
	if (!strcmp(name, "include.path") && depth < INCLUDE_DEPTH) {
		to = expand_home(value, file);
		conf_scan(to, key, out, depth + 1);
	} else if (!strcmp(name, key)) {
		free(*out);
		*out = take(value);
	}
}

static void conf_scan(const char *file, const char *key, char **out, int depth)
{
	autostr struct str s = STR_INIT, sec = STR_INIT;
	autoerr struct err e = ERR_INIT;
	autostrvec struct strvec lines = STRVEC_INIT;

	if (fs_read(&s, file, GITCONF_MAX, &e))
		return;
	strvec_split(&lines, str_cstr(&s), '\n');
	for (size_t i = 0; i < lines.n; i++) {
		char *p = lines.v[i] + strspn(lines.v[i], " \t\r");

		if (*p == '[') {
			read_header(&sec, p + 1);
			p = strchr(p, ']');
			p = p ? p + 1 + strspn(p + 1, " \t\r") : NULL;
		}
		if (p && *p && *p != '#' && *p != ';' && sec.len)
			conf_line(file, &sec, p, key, out, depth);
	}
}

char *gitconf_get(const char *common_dir, const char *key)
{
	const char *home = getenv("HOME"), *xdg = getenv("XDG_CONFIG_HOME"), *env = getenv("GIT_CONFIG_GLOBAL");
	autofree char *user = NULL, *xdg_file = NULL, *repo = path_join(common_dir, "config");
	char *out = NULL;

	if (!getenv("GIT_CONFIG_NOSYSTEM"))
		conf_scan(getenv("GIT_CONFIG_SYSTEM") ? getenv("GIT_CONFIG_SYSTEM") : "/etc/gitconfig", key, &out, 0);
	if (env) {
		conf_scan(env, key, &out, 0);
	} else {
		xdg_file = xdg && *xdg ? path_join(xdg, "git/config") : home ? path_join(home, ".config/git/config") : NULL;
		user = home ? path_join(home, ".gitconfig") : NULL;
		if (xdg_file)
			conf_scan(xdg_file, key, &out, 0);
		if (user)
			conf_scan(user, key, &out, 0);
	}
	conf_scan(repo, key, &out, 0);
	return out;
}

char *gitconf_excludes_file(const char *root, const char *common_dir)
{
	const char *home = getenv("HOME"), *xdg = getenv("XDG_CONFIG_HOME");
	autofree char *set = gitconf_get(common_dir, "core.excludesfile");

	if (set && *set) {
		if (!strncmp(set, "~/", 2))
			return home ? path_join(home, set + 2) : NULL;
		return path_join(root, set);
	}
	if (xdg && *xdg)
		return path_join(xdg, "git/ignore");
	return home ? path_join(home, ".config/git/ignore") : NULL;
}

/* ownconf - git-data's own settings; the only user of iniparser. See ownconf.h. */
#include "core/repo/ownconf.h"

#include <errno.h>
#include <ctype.h>
#include <iniparser/iniparser.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/repo/config.h"

#define OWNCONF_MAX (1u << 20)
#define OWN_LEVELS (CONFIG_REPO + 1)

struct ownconf {
	char *file[CONFIG_LEVELS];
	dictionary *d[CONFIG_LEVELS];
};

static const struct own_key own_keys[] = {
	{ "core.fsync", "deferred|batch|object", "deferred",
	  "When cached objects are flushed to disk: remembered and verified after a crash, once a command, or each.", false },
	{ "repro.jobs", "<number>|auto", "1",
	  "Stages that may run at the same time.", false },
	{ "ssh.command", "<text>", "ssh",
	  "The program that ProxyCommand-like set-ups are reached through, with its options; GIT_SSH_COMMAND is git's alone.", true },
	{ NULL, NULL, NULL, NULL, false },
};

const struct own_key *config_own_keys(void)
{
	return own_keys;
}

const struct own_key *config_own_key(const char *key)
{
	for (const struct own_key *k = own_keys; k->key; k++)
		if (!strcasecmp(k->key, key))
			return k;
	return NULL;
}

static bool value_fits(const struct own_key *k, const char *value)
{
	autostrvec struct strvec words = STRVEC_INIT;
	uint64_t n;

	strvec_split(&words, k->values, '|');
	for (size_t i = 0; i < words.n; i++) {
		const char *w = words.v[i];

		if (!strcmp(w, "<text>") ? *value != 0 : *w == '<' ? str_to_u64(value, &n) : !strcmp(w, value))
			return true;
	}
	return false;
}

/* --- reading ------------------------------------------------------------------------------------------------------- */

static int be_silent(const char *fmt, ...)
{
	(void)fmt;
	return 0;
}

/* W1, W3: says what is wrong, uses the rest. */
static void check_file(const char *file, int level, dictionary *d)
{
	for (int s = 0; s < iniparser_getnsec(d); s++) {
		const char *sec = iniparser_getsecname(d, s);
		int n = iniparser_getsecnkeys(d, sec);
		autofree const char **keys = xcalloc((size_t)n + 1, sizeof(*keys));

		if (!iniparser_getseckeys(d, sec, keys))
			continue;
		for (int i = 0; i < n; i++) {
			autofree char *key = xstrdup(keys[i]);
			char *colon = strchr(key, ':');
			const struct own_key *k;

			if (colon)
				*colon = '.';
			k = config_own_key(key);
			if (!k) {
				notice(NOTICE_WARN, "unknown setting '%s' in '%s'", key, file);
			} else if (k->personal && level == CONFIG_REPO) {
				notice(NOTICE_WARN, "setting '%s' in '%s' is ignored: it runs a program, only your own file may set it",
				       key, file);
				iniparser_unset(d, keys[i]);
			} else if (!value_fits(k, iniparser_getstring(d, keys[i], ""))) {
				notice(NOTICE_WARN, "setting '%s' in '%s' must be %s", key, file, k->values);
			}
		}
	}
}

static int load(struct ownconf *o, int level, struct err *e)
{
	struct stat st;

	if (o->d[level])
		iniparser_freedict(o->d[level]);
	o->d[level] = NULL;
	if (!o->file[level])
		return 0;
	if (stat(o->file[level], &st))
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 :
			err_sys(e, "cannot read '%s'", o->file[level]);
	if (st.st_size > OWNCONF_MAX)
		return err_set(e, ERR_CONFIG, "'%s' is larger than %u bytes", o->file[level], OWNCONF_MAX);
	iniparser_set_error_callback(be_silent);
	errno = 0;
	o->d[level] = iniparser_load(o->file[level]);
	if (!o->d[level] && errno)
		return err_sys(e, "cannot read '%s'", o->file[level]);
	if (!o->d[level])
		return err_set(e, ERR_CONFIG, "cannot read '%s': a line is neither a section, a setting nor a comment",
			       o->file[level]);
	check_file(o->file[level], level, o->d[level]);
	return 0;
}

struct ownconf *ownconf_open(char *system_dir, char *user_dir, const char *dvc_dir, struct err *e)
{
	struct ownconf *o = xcalloc(1, sizeof(*o));

	o->file[CONFIG_SYSTEM] = path_join(system_dir, "config");
	o->file[CONFIG_GLOBAL] = path_join(user_dir, "config");
	o->file[CONFIG_REPO] = dvc_dir ? path_join(dvc_dir, "git-data.conf") : NULL;
	free(system_dir);
	free(user_dir);
	for (int l = 0; l < OWN_LEVELS; l++)
		if (load(o, l, e)) {
			ownconf_close(o);
			return NULL;
		}
	return o;
}

void ownconf_close(struct ownconf *o)
{
	if (!o)
		return;
	for (int l = 0; l < CONFIG_LEVELS; l++) {
		free(o->file[l]);
		if (o->d[l])
			iniparser_freedict(o->d[l]);
	}
	free(o);
}

const char *ownconf_file(const struct ownconf *o, int level)
{
	return level < CONFIG_LEVELS ? o->file[level] : NULL;
}

const char *ownconf_get_at(const struct ownconf *o, int level, const char *key)
{
	autofree char *k = xstrdup(key);
	char *dot = strchr(k, '.');

	if (level >= CONFIG_LEVELS || !o->d[level])
		return NULL;
	if (dot)
		*dot = ':';
	return iniparser_getstring(o->d[level], k, NULL);
}

/* A value that does not fit was warned of; the next weaker level counts. */
const char *ownconf_get(const struct ownconf *o, const char *key)
{
	const struct own_key *k = config_own_key(key);

	for (int l = OWN_LEVELS; l-- > 0;) {
		const char *v = ownconf_get_at(o, l, key);

		if (v && (!k || value_fits(k, v)))
			return v;
	}
	return NULL;
}

/* --- writing ------------------------------------------------------------------------------------------------------- */

static bool line_is_section(const char *line, const char *section, size_t n)
{
	line += strspn(line, " \t");
	return *line == '[' && !strncasecmp(line + 1, section, n) && line[n + 1] == ']';
}

static bool line_is_key(const char *line, const char *name)
{
	size_t n = strlen(name);

	line += strspn(line, " \t");
	return !strncasecmp(line, name, n) && line[n + strspn(line + n, " \t")] == '=';
}

/* Lines of the file with the one setting replaced, added or (value NULL) dropped. */
static void edit(struct strvec *lines, const char *key, const char *value)
{
	size_t n = strcspn(key, "."), at = 0, i;
	autofree char *line = value ? xasprintf("%s = %s", key + n + 1, value) : NULL;
	bool inside = false;

	for (i = 0; i < lines->n; i++) {
		const char *p = lines->v[i] + strspn(lines->v[i], " \t");

		if (*p == '[') {
			inside = line_is_section(p, key, n);
		} else if (inside && line_is_key(p, key + n + 1)) {
			free(lines->v[i]);
			if (!line) {
				lines->v[i] = xstrdup("");
				strvec_remove(lines, i);
				return;
			}
			lines->v[i] = take(line);
			return;
		}
		if (inside && *p)
			at = i + 1;
	}
	if (!line)
		return;
	if (!at) {
		strvec_pushf(lines, "[%.*s]", (int)n, key);
		at = lines->n;
	}
	strvec_push(lines, "");
	for (i = lines->n - 1; i > at; i--) {
		char *t = lines->v[i];

		lines->v[i] = lines->v[i - 1];
		lines->v[i - 1] = t;
	}
	free(lines->v[at]);
	lines->v[at] = take(line);
}

int ownconf_set(struct ownconf *o, int level, const char *key, const char *value, struct err *e)
{
	const struct own_key *k = config_own_key(key);
	autostr struct str s = STR_INIT;
	autostrvec struct strvec lines = STRVEC_INIT;
	autoerr struct err why = ERR_INIT;
	autofree char *dir = NULL, *text = NULL, *root = NULL, *file = NULL;

	if (!k)
		return err_set(e, ERR_CONFIG, "unknown setting '%s'", key);
	if (level >= CONFIG_LEVELS || !o->file[level])
		return err_set(e, ERR_CONFIG, "there is no file for '%s' at this level", key);
	if (value && k->personal && level == CONFIG_REPO)
		return err_set(e, ERR_CONFIG, "setting '%s' runs a program: a repository cannot set it, use --global or --system", key);
	if (value && !value_fits(k, value))
		return err_set(e, ERR_CONFIG, "setting '%s' must be %s", key, k->values);
	if (fs_read(&s, o->file[level], OWNCONF_MAX, &why) && why.code != ERR_NOTFOUND) {
		err_move(e, &why);
		return -1;
	}
	if (s.len && s.buf[s.len - 1] == '\n')
		str_setlen(&s, s.len - 1);
	if (s.len)
		strvec_split(&lines, s.buf, '\n');
	edit(&lines, k->key, value);
	text = strvec_join(&lines, "\n");
	str_reset(&s);
	str_adds(&s, text);
	str_addc(&s, '\n');
	dir = path_dir(o->file[level]);
	root = level >= CONFIG_REPO ? path_dir(dir) : NULL;
	file = fs_follow(o->file[level], root);
	if (fs_mkdirs(dir, 0777, e) || fs_replace(file, s.buf, s.len, 0, e))
		return err_in(e, "cannot write the configuration");
	return load(o, level, e);
}

#include "remotes/awsini.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/base/str.h"

#include <ctype.h>

#define FILE_MAX (1u << 20)

void awsini_release(struct awsini *a)
{
	map_release(&a->v, free);
}

static void put(struct awsini *a, const char *profile, const char *key, const char *value)
{
	autofree char *k = xasprintf("%s\n%s", profile, key);

	free(map_put(&a->v, k, xstrdup(value)));
}

const char *awsini_get(const struct awsini *a, const char *profile, const char *key)
{
	autofree char *k = xasprintf("%s\n%s", profile, key);

	return map_get(&a->v, k);
}

bool awsini_has(const struct awsini *a, const char *profile)
{
	return map_has(&a->v, profile);
}

#define SERVICES "services\n"     /* no line holds a line end, so no profile has such a name */

const char *awsini_service(const struct awsini *a, const char *profile, const char *key)
{
	const char *name = awsini_get(a, profile, "services");
	autofree char *section = name ? xasprintf(SERVICES "%s", name) : NULL;

	return section ? awsini_get(a, section, key) : NULL;
}

static void unquote(char *name)
{
	size_t n = strlen(name);

	if (n >= 2 && (name[0] == '"' || name[0] == '\'') && name[n - 1] == name[0]) {
		memmove(name, name + 1, n - 2);
		name[n - 2] = 0;
	}
}

/* "x" of "kind x"; NULL: it is of another kind. */
static char *name_after(const char *header, const char *kind)
{
	size_t n = strlen(kind);
	char *name;

	if (strncmp(header, kind, n) || !isspace((unsigned char)header[n]))
		return NULL;
	name = str_trim_dup(header + n);
	unquote(name);
	return name;
}

/* Name of the profile a section header opens; NULL: some other section. */
static char *profile_of(const char *header, bool is_config)
{
	autofree char *name = str_trim_dup(header), *services = NULL;

	if (is_config && strcmp(name, "default")) {
		services = name_after(name, "services");
		return services ? xasprintf(SERVICES "%s", services) : name_after(name, "profile");
	}
	unquote(name);
	return take(name);
}

static bool split_pair(const char *line, char **key, char **value)
{
	size_t at = strcspn(line, "=:");
	autofree char *k = xstrndup(line, at);

	if (!line[at])
		return false;
	*key = str_trim_dup(k);
	*value = str_trim_dup(line + at + 1);
	for (char *c = *key; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return true;
}

struct state { char *profile, *block; bool skip; };

static int one_line(struct awsini *a, struct state *s, const char *line, bool is_config)
{
	autofree char *key = NULL, *value = NULL;
	const char *p = line;

	while (*p == ' ' || *p == '\t')
		p++;
	if (!*p || *p == '#' || *p == ';')
		return 0;
	if (p == line && *p == '[') {
		const char *end = strrchr(p, ']');
		autofree char *header = end ? xstrndup(p + 1, (size_t)(end - p - 1)) : NULL;

		if (!end)
			return -1;
		free(s->profile);
		free(s->block);
		s->block = NULL;
		s->profile = profile_of(header, is_config);
		s->skip = !s->profile;
		if (s->profile)
			free(map_put(&a->v, s->profile, xstrdup("")));
		return 0;
	}
	if (s->skip)
		return 0;
	if (!s->profile || !split_pair(p, &key, &value))
		return p != line ? 0 : -1;      /* a continued value of another kind: not ours to judge */
	if (p == line) {
		free(s->block);
		s->block = *value ? NULL : xstrdup(key);
		put(a, s->profile, key, value);
	} else if (s->block) {
		autofree char *nested = xasprintf("%s.%s", s->block, key);

		put(a, s->profile, nested, value);
	}
	return 0;
}

int awsini_parse(struct awsini *out, const char *text, size_t len, bool is_config, const char *name, struct err *e)
{
	struct state s = { NULL, NULL, false };
	size_t at = 0;
	int line_no = 0, rc = 0;

	if (memchr(text, 0, len))
		return err_set(e, ERR_PARSE, "%s: holds a NUL byte", name);
	while (!rc && at < len) {
		const char *nl = memchr(text + at, '\n', len - at);
		size_t n = nl ? (size_t)(nl - text) - at : len - at;
		autofree char *line = xstrndup(text + at, n);

		line_no++;
		if (n && line[n - 1] == '\r')
			line[n - 1] = 0;
		if (one_line(out, &s, line, is_config))
			rc = err_set(e, ERR_PARSE, "%s, line %d: neither a section nor 'name = value'", name, line_no);
		at += n + 1;
	}
	free(s.profile);
	free(s.block);
	return rc;
}

int awsini_load(struct awsini *out, const char *path, bool is_config, struct err *e)
{
	autostr struct str text = STR_INIT;
	autoerr struct err why = ERR_INIT;

	if (fs_read(&text, path, FILE_MAX, &why)) {
		if (why.code == ERR_NOTFOUND)
			return 0;
		err_move(e, &why);
		return -1;
	}
	return awsini_parse(out, str_cstr(&text), text.len, is_config, path, e);
}

/*
 * configschema - DVC's options with their types, and the check of a merged configuration with DVC's words.
 */
#ifndef REPO_CONFIGSCHEMA_H
#define REPO_CONFIGSCHEMA_H

#include "core/base/str.h"

struct err;
struct config;
struct map;

enum conftype {
	CT_STR, CT_LOWER, CT_BOOL, CT_BOOL_OR_STR, CT_INT, CT_FLOAT, CT_CHOICE, CT_LINKS, CT_REAL_INT, CT_REAL_BOOL, CT_ANY,
};
struct confopt {
	const char *section;            /* "core"; a remote's scheme for remotes */
	const char *name;
	enum conftype type;
	int64_t min, max;               /* CT_INT, CT_FLOAT; max 0: none */
	const char *choices;            /* "basic, digest, custom" */
	bool obsolete;
};

/* Options of a plain section or of a remote of that scheme ("" is local), ends with name NULL. NULL: unknown. */
const struct confopt *configschema_section(const char *section);
const struct confopt *configschema_remote(const char *scheme);
/* The scheme as DVC sees it: "" without "//host". Caller frees. */
char *configschema_scheme(const char *url);
bool configschema_is_path(const char *section, const char *option);
bool configschema_is_secret(const char *option);
/* Sections in DVC's order, NULL-terminated. */
extern const char *const configschema_sections[];
/* Options of one remote of that scheme, by name. */
int  configschema_check_options(const char *scheme, const struct map *options, struct err *e);
/* Levels below 'upto'. warn: says which options of [feature] nobody knows. */
int  configschema_check(const struct config *c, int upto, bool warn, struct err *e);

#endif

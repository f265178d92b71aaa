/* level - the options --global, --system, --project, --local that config, remote and cache share. */
#ifndef CMD_LEVEL_H
#define CMD_LEVEL_H

#include "cmd/cmd.h"
#include "core/repo/config.h"

struct level_args { bool global, system, project, local; };

#define LEVEL_OPTS(type) \
	OPT_FLAG_X(0, "global", type, level.global, "level", "Use global config."), \
	OPT_FLAG_X(0, "system", type, level.system, "level", "Use system config."), \
	OPT_FLAG_X(0, "project", type, level.project, "level", "Use project config (.dvc/config)."), \
	OPT_FLAG_X(0, "local", type, level.local, "level", "Use local config (.dvc/config.local).")

bool level_given(const struct level_args *a);
enum config_level level_of(const struct level_args *a);         /* CONFIG_REPO when none is given */
/* Opens the configuration from where the user stands, unchecked, in a repository or not; *root may be NULL. */
int  level_open(struct config **out, char **root, struct err *e);
int  level_need(const struct config *c, const struct level_args *a, struct err *e);
/* DVC's "config file error: ..."; -1. */
int  level_error(struct err *e, const char *fmt, ...) PRINTF(2, 3);
/* The value as DVC shows it: paths resolved, lists as Python prints them. NULL when unset. */
char *level_value(const struct config *c, enum config_level l, const char *section, const char *option);
/* Says so when a secret goes into the committed file. */
void level_warn_secret(enum config_level l, const char *section, const char *option);

#endif

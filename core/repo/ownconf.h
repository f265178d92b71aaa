/*
 * ownconf - settings only git-data has: git-data.conf beside .dvc/config, and the user's and the system's file.
 *
 *  W1  Keys are "section.name" from one table; unknown keys and bad values are refused when set and warned of when read.
 *  W2  A write replaces or adds one line; the rest of the file stays.
 *  W3  A personal key is read from the user's and the system's file only: git-data.conf is committed, so it is others' word.
 */
#ifndef REPO_OWNCONF_H
#define REPO_OWNCONF_H

#include "core/base/compat.h"

struct err;
struct ownconf;

/* Takes ownership of both directories; dvc_dir may be NULL. NULL and *e on failure. */
struct ownconf *ownconf_open(char *system_dir, char *user_dir, const char *dvc_dir, struct err *e);
void ownconf_close(struct ownconf *o);
const char *ownconf_get(const struct ownconf *o, const char *key);
const char *ownconf_get_at(const struct ownconf *o, int level, const char *key);
const char *ownconf_file(const struct ownconf *o, int level);
int  ownconf_set(struct ownconf *o, int level, const char *key, const char *value, struct err *e);

#endif

/*
 * clone - private copies of git repositories, made and refreshed with the git program.
 */
#ifndef DATA_CLONE_H
#define DATA_CLONE_H

#include "core/base/compat.h"

struct err;
/* A work tree of url at rev (NULL: its default branch), absolute path. DVC's words when it cannot be had. */
int  clone_get(const char *url, const char *rev, char **out, struct err *e);

#endif

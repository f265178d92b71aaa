/*
 * gitconf - the few facts about a git repository that need no library: where it is, and single settings.
 *
 *  N1  Reads files only; never runs git, never writes.
 *  N2  Later files win: system, user, repository, work tree; include.path is followed, conditions are not met.
 */
#ifndef REPO_GITCONF_H
#define REPO_GITCONF_H

#include "core/base/compat.h"

char *git_common_dir(const char *git_dir);              /* of a linked work tree: the main one's; else itself */
/* "core.excludesfile" in lower case. NULL when unset. */
char *gitconf_get(const char *common_dir, const char *key);
char *gitconf_excludes_file(const char *root, const char *common_dir);  /* with git's default; NULL: none */

#endif

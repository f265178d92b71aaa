/*
 * glob - one ignore pattern, compiled: git's wildmatch, or pathspec's as DVC uses it.
 *
 *  B1  Matching is a set of states moved over the text: linear in path times pattern, whatever the pattern.
 *  B2  A pattern the dialect calls invalid (open class, lone backslash at the end) matches nothing.
 *
 * Source: gitignore(5) and git's wildmatch; pathspec's gitignore patterns.
 */
#ifndef REPO_GLOB_H
#define REPO_GLOB_H

#include "core/repo/ignore.h"

struct glob;

/* NULL: a comment or an empty line. 'nested': the pattern stands in a .dvcignore below the root. */
struct glob *glob_new(const char *pattern, enum ignore_kind kind, bool nested);
void glob_free(struct glob *g);
bool glob_negated(const struct glob *g);
bool glob_dir_only(const struct glob *g);
/* path is relative to the pattern's directory, without slashes at its ends. */
bool glob_match(const struct glob *g, const char *path, bool is_dir);

#endif

/*
 * srctree - where repository files are read from: the work tree, or the tree of a commit. Same questions, same answers.
 *
 *  D1  All names are root-relative (the DVC root, also when it lies below the git root).
 *  D2  The walk of the work tree leaves out what .dvcignore, .gitignore and built-in rules leave out.
 */
#ifndef REPO_SRCTREE_H
#define REPO_SRCTREE_H

#include "core/base/str.h"

struct repo;
struct err;
struct srctree;
struct strvec;

int  srctree_workspace(struct srctree **out, struct repo *r, struct err *e);
int  srctree_rev(struct srctree **out, struct repo *r, const char *rev, struct err *e);
void srctree_close(struct srctree *t);
bool srctree_is_workspace(const struct srctree *t);
const char *srctree_rev_name(const struct srctree *t);  /* full sha, or NULL for the work tree */
int  srctree_read(struct srctree *t, const char *rel, uint64_t max, struct str *out, struct err *e);
bool srctree_is_file(struct srctree *t, const char *rel);
bool srctree_is_dir(struct srctree *t, const char *rel);
bool srctree_is_ignored(struct srctree *t, const char *rel, bool is_dir);       /* .dvcignore of that tree */
bool srctree_is_git_ignored(struct srctree *t, const char *rel, bool is_dir);   /* always false in a commit */
/* Names of all files below a directory of a commit, relative to it, sorted. */
int  srctree_list(struct srctree *t, const char *rel, struct strvec *out, struct err *e);
/* Every *.dvc and dvc.yaml file; directories named in 'outs' (found while loading) are not entered. The callback gets
 * files of one directory before the walk descends, so that outs found there can prune. */
typedef int srctree_fn(const char *rel, void *data, struct err *e);
typedef bool srctree_prune_fn(const char *rel_dir, void *data);
int  srctree_find_stages(struct srctree *t, const char *under, srctree_fn *fn, srctree_prune_fn *prune, void *data,
			 struct err *e);

#endif

/*
 * gitrepo - the only user of libgit2: revisions, trees of other revisions, what git tracks. Loaded at first use.
 *
 *  Network operations run the git program. Main thread only.
 */
#ifndef REPO_GITREPO_H
#define REPO_GITREPO_H

#include "core/base/str.h"

struct err;
struct gitrepo;
struct gittree;

/* Finds the work tree that holds 'dir' without loading libgit2. NULL when there is none. */
char *git_find_root(const char *dir);
char *git_find_dir(const char *root);                   /* the .git directory (follows a gitfile) */

int  gitrepo_open(struct gitrepo **out, const char *root, struct err *e);
void gitrepo_close(struct gitrepo *g);
int  gitrepo_resolve(struct gitrepo *g, const char *rev, char out[41], struct err *e);  /* DVC: "unknown Git revision 'x'" */
bool gitrepo_has_commits(struct gitrepo *g);
int  gitrepo_is_tracked(struct gitrepo *g, const char *abs, bool *out, struct err *e);  /* a file, or any file below it */
bool gitrepo_is_ignored(struct gitrepo *g, const char *abs, bool is_dir);
int  gitrepo_stage(struct gitrepo *g, const struct strvec *abs, struct err *e);         /* git add */
int  gitrepo_untracked(struct gitrepo *g, bool whole_dirs, struct strvec *rel_out, struct err *e);
bool gitrepo_is_dirty(struct gitrepo *g);
/* Names (short) and commits. */
struct git_ref { char *name; char sha[41]; };
struct git_refs { struct git_ref *v; size_t n, cap; };
void git_refs_release(struct git_refs *r);
/* These lists are whole or an error: what cannot be read is no absence. A shallow clone's history ends where it says. */
int  gitrepo_branches(struct gitrepo *g, struct git_refs *out, struct err *e);
int  gitrepo_tags(struct gitrepo *g, struct git_refs *out, struct err *e);
int  gitrepo_all_commits(struct gitrepo *g, struct git_refs *out, struct err *e);       /* as DVC's -A; youngest first */
/* The n commits from rev backwards along first parents; since: Unix time or 0. */
int  gitrepo_history(struct gitrepo *g, const char *rev, int n, int64_t since, struct git_refs *out, struct err *e);

int64_t gitrepo_commit_time(struct gitrepo *g, const char *sha);        /* Unix time; -1 when unknown */

int  gittree_open(struct gittree **out, struct gitrepo *g, const char *sha, struct err *e);
void gittree_close(struct gittree *t);
const char *gittree_id(const struct gittree *t);        /* of the root tree: equal trees need one look */
int  gittree_read(struct gittree *t, const char *rel, uint64_t max, struct str *out, struct err *e);    /* ERR_NOTFOUND */
/* 0 absent, 1 file, 2 directory, 3 symlink, -1: a directory above it cannot be read */
int  gittree_kind(struct gittree *t, const char *rel, bool *isexec, uint64_t *size);
typedef int gittree_fn(const char *rel, int kind, void *data, struct err *e);           /* return 1: do not descend */
int  gittree_walk(struct gittree *t, const char *under, gittree_fn *fn, void *data, struct err *e);

#endif

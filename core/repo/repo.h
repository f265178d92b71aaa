/*
 * repo - one repository: where it is, how it is configured, what belongs to git.
 *
 *  P1  root is absolute, normalised, without a trailing slash; every path in the tree is kept relative to it, '/' separated.
 *  P2  Opening reads .dvc and the configuration and nothing else: no walk, no index, no git library.
 *
 * Threads: main thread only.
 */
#ifndef REPO_REPO_H
#define REPO_REPO_H

#include "core/base/map.h"
#include "core/base/str.h"

struct config;
struct ignore;
struct gitrepo;
struct err;

struct repo {
	char *root;             /* "/home/u/project" */
	char *dvc_dir;          /* root/.dvc */
	char *tmp_dir;          /* root/.dvc/tmp; made when first needed */
	char *cwd;              /* absolute */
	char *cwd_rel;          /* cwd relative to root: "" at the root */
	char *scm_root;         /* of the git work tree (may be above root for --subdir); NULL with no_scm */
	bool no_scm;
	struct config *config;
	struct ignore *ignore_;         /* through repo_ignore() */
	struct gitrepo *git_;           /* through repo_git() */
	/* Files this command wrote that git should know of, absolute; main prints the reminder or stages them (autostage). */
	struct strvec scm_files;
	struct map scm_seen;            /* the same, to be asked */
};

int  repo_open(struct repo **out, const char *start, struct err *e);    /* walks up; ERR_NOREPO with DVC's text */
/* A directory without .dvc: nothing is tracked, its ignore rules hold. */
int  repo_open_plain(struct repo **out, const char *dir, struct err *e);
/* Where there is none, for what only reads: the root is that of the git work tree, or the current directory. */
int  repo_open_bare(struct repo **out, struct err *e);
/* The innermost repository on the way to 'rel' below 'top', else 'top': an outer one does not look into it. */
char *repo_innermost(const char *top, const char *rel);
/* A git repository without a work tree: to be cloned, like one behind a URL. */
bool git_is_bare(const char *dir);
char *repo_find_root(const char *start, struct err *e);                 /* the walk alone; NULL and ERR_NOREPO */
void repo_close(struct repo *r);
char *repo_rel(const struct repo *r, const char *path, struct err *e);  /* user's path (relative to cwd) to root-relative;
                                                                           NULL and ERR_UNSAFE when outside */
char *repo_abs(const struct repo *r, const char *rel);
/* What to write for a file of the repository's own: where it leads if it is a link that stays inside, else itself. */
char *repo_real(const struct repo *r, const char *abs);
char *repo_show(const struct repo *r, const char *rel);                 /* root-relative to cwd-relative, for people */
int  repo_tmp(struct repo *r, struct err *e);                           /* makes .dvc/tmp; git does not see what is private */
int  repo_ignore(struct repo *r, struct ignore **out, struct err *e);
int  repo_git(struct repo *r, struct gitrepo **out, struct err *e);     /* *out NULL when there is no git */
struct gittree;
bool repo_in_tree(const struct repo *r, struct gittree *t);             /* false: the commit is older than the directory */
void repo_wrote(struct repo *r, const char *abs);                       /* adds to scm_files once */
void repo_wrote_none(struct repo *r);                                   /* forgets them */
char *repo_site_cache_dir(struct repo *r);                              /* our own private directory for this root */

#endif

/*
 * track - the bodies of add, commit, remove, move, unprotect, and of recording outputs after a stage ran.
 *
 *  K1  Order on disk: objects, manifest, links, pointer, ignore line. A crash leaves at worst unreferenced objects.
 *  K2  A pointer never names what is not in the cache (unless --no-commit was asked for).
 */
#ifndef DATA_TRACK_H
#define DATA_TRACK_H

#include "core/base/str.h"

struct project;
struct stage;
struct item;
struct err;

enum { TRACK_NO_COMMIT = 1, TRACK_NO_RELINK = 2, TRACK_FORCE = 4, TRACK_NO_GIT = 8 /* not git's business */ };
/* Hashes the output's content now in the work tree into item->hash, meta, tree; imports it unless NO_COMMIT or cache: false. */
int  track_save(struct project *p, struct item *out, unsigned flags, struct err *e);
/* Only computes the present hash (status): *present false when the path is absent. The tree is given for directories. */
struct hashinfo;
struct meta;
struct tree;
int  track_hash(struct project *p, const struct item *i, bool *present, struct hashinfo *h, struct meta *m,
		struct tree **t, struct err *e);
/* Removes the output's content from the work tree: regular file, link or directory. Through no symlink. */
int  track_remove_out(struct project *p, struct item *out, struct err *e);
/* ERR_FAIL with DVC's advice when git tracks the output. */
int  track_check_git(struct project *p, const struct item *out, struct err *e);
int  track_ignore(struct project *p, const struct item *out, struct err *e);    /* .gitignore entry, when DVC writes one */
int  track_unignore(struct project *p, const struct item *out, struct err *e);
/* Takes this command's ignore lines back. */
void track_rollback(struct project *p);
int  track_finish(struct project *p, int rc);       /* of a command that changed stages; after a failure rolls back; gives rc */

struct add_opts { const char *out, *remote; bool glob, no_commit, no_relink, force, to_remote; unsigned jobs; };
int  track_add(struct project *p, const struct strvec *targets, const struct add_opts *o, struct err *e);

struct commit_opts {
	bool force, recursive, with_deps, no_relink;
	bool (*confirm)(const char *question);
	/* Of the rooms above: records dependencies and parameters, and after all is stored the run. Either may be NULL. */
	int (*save_deps)(struct project *p, struct stage *s, struct err *e);
	int (*saved)(struct project *p, struct stage *s, struct err *e);
};
int  track_commit(struct project *p, const char *target, const struct commit_opts *o, struct err *e);  /* NULL: all */
int  track_remove(struct project *p, const char *target, bool outs, struct err *e);
int  track_move(struct project *p, const char *from, const char *to, struct err *e);
int  track_unprotect(const char *path, struct err *e);  /* a file, or every file below a directory */
/* Tells other processes that the stage's outputs are being written (and its dependencies read). */
struct pathlock;
int  track_lock(struct project *p, const struct stage *s, bool deps, const char *cmd, struct pathlock **out,
		struct err *e);

#endif

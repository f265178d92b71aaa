/*
 * lock - dvc.lock: strict read, exact write, one atomic replace after each finished stage.
 *
 *  L1  The file is parsed once for a run and kept as text per stage; an update costs one entry plus one write of the file.
 *  L2  Before each replace the file on disk is compared with what was last read or written; a change by somebody
 *      else is read again, never overwritten.
 *  L3  Entries of stages this run does not touch keep their bytes, comments and place; new ones go last.
 *
 * Source: format notes, section 6. Threads: one.
 */
#ifndef STAGE_LOCK_H
#define STAGE_LOCK_H

#include "core/stage/stage.h"

struct repo;
struct srctree;
struct node;
struct err;

/* "sub/dvc.yaml" to "sub/dvc.lock". */
char *lock_path_of(const char *dvcyaml_rel);

/* The validated document, or NULL in *out when there is no such file. */
int  lock_read(struct node **out, struct repo *r, struct srctree *t, const char *rel, struct err *e);
/* Fills hashes, recorded parameters and locked_cmd of a stage from its entry. NULL: nothing recorded. */
int  lock_fill(struct stage *s, const struct node *entry, const char *rel, struct err *e);
/* The entry as it is written: cmd, deps, params, outs. */
struct node *lock_entry(const struct stage *s);
/* A copy for writing: parameters that were one object in their YAML file are one here. */
struct node *lock_entry_to_write(const struct node *entry);

struct lockfile;
int  lockfile_open(struct lockfile **out, struct repo *r, const char *rel, struct err *e);
void lockfile_close(struct lockfile *l);                /* NULL is fine */
/* Entries that this run adds stand in the order of these numbers, whoever finishes first. 0: they go last. */
void lockfile_rank(struct lockfile *l, size_t rank);
/* Records the stage and replaces the file. 'changed' (may be NULL): the entry differs from the one before.
 * Says "Generating lock file 'x'" and "Updating lock file 'x'" as DVC does. */
int  lockfile_put(struct lockfile *l, const struct stage *s, bool *changed, struct err *e);
int  lockfile_remove(struct lockfile *l, const char *name, struct err *e);
/* Waits until the last replace survives a power cut. */
int  lockfile_sync(struct lockfile *l, struct err *e);

/* For several stages in a row (commit): *l is NULL at first, kept open for the file at hand, closed by the caller. Says
 * "Updating lock file" once for a file. */
int  lock_save_next(struct lockfile **l, struct repo *r, const struct stage *s, struct err *e);

/* One-shot forms, for commit, update and remove. */
int  lock_save_stage(struct repo *r, const struct stage *s, struct err *e);
int  lock_remove_stage(struct repo *r, const struct stage *s, struct err *e);

#endif

/*
 * compare - what differs between what was recorded and what is there: DVC's 'status' for one stage, as data.
 *
 *  Q1  Nothing is written but the private state: no pointer, no lock file, no object.
 *  Q2  Reasons come in DVC's order: dependencies, outputs, "always changed", changed command or checksum.
 *  Q3  A tracked directory that the state knows unchanged costs its walk and one digest, not one lookup a file.
 *
 * Ownership: a stage_status owns its reasons; 'item' points into the stage.
 */
#ifndef DATA_COMPARE_H
#define DATA_COMPARE_H

#include "core/stage/stage.h"

struct project;
struct node;
struct err;

enum reason_kind { REASON_DEP, REASON_OUT, REASON_ALWAYS, REASON_COMMAND, REASON_CHECKSUM };
struct reason {
	enum reason_kind kind;
	const struct item *item;        /* REASON_DEP, REASON_OUT; else NULL */
	char *what;                     /* as DVC shows the item: relative to the user's directory, or "path (url)" */
	char *param;                    /* DEP_PARAMS: the key; NULL: the whole file */
	/* "modified" "new" "deleted" "not in cache" "update available" "not in sync"; NULL for the last three kinds */
	const char *state;
	struct hashinfo was, now;       /* files and directories, where known */
	struct node *old_value, *new_value;     /* REASON_DEP of DEP_PARAMS and REASON_COMMAND: recorded and present, or NULL */
};
struct stage_status { struct reason *v; size_t n, cap; };
void stage_status_release(struct stage_status *s);

struct compare_opts {
	bool updates;                   /* imports: look whether the source moved on (may use the network) */
	bool deps_only, outs_only;      /* ask one half; the stage-level reasons are left out too */
	bool frozen_deps;               /* look at the dependencies of frozen stages as well */
	const char *inside;             /* root-relative path: only outputs that hold it; NULL: all */
};
/* All reasons the stage counts as changed, as 'dvc status --no-updates' lists them. n == 0: up to date. */
int  compare_stage(struct project *p, struct stage *s, struct stage_status *out, struct err *e);
int  compare_stage_with(struct project *p, struct stage *s, const struct compare_opts *o,
			struct stage_status *out, struct err *e);
/* One dependency or output; appends nothing when it is unchanged. workspace_only: "not in cache" is not asked. */
int  compare_item(struct project *p, struct item *i, bool workspace_only, struct stage_status *out, struct err *e);
/* The document that parameters are of, in the words DVC has for one that cannot be read. */
int  compare_load_params(struct project *p, const struct item *i, const char *abs, struct node **out, struct err *e);
/* cmd differs from the one in dvc.lock (or the stage was never recorded). */
bool compare_command_changed(const struct stage *s);
/* Every object of the output is in the cache and trusted (a directory: its manifest and all members). */
int  compare_cached(struct project *p, const struct item *out, bool *cached, struct err *e);

#endif

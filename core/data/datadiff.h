/*
 * datadiff - what changed in the tracked data: between HEAD, the pointers on disk and the work tree ('data status'), or
 * between two revisions ('diff').
 *
 *  Every list is sorted; directories end in '/'; paths are relative to the repository root.
 */
#ifndef DATA_DATADIFF_H
#define DATA_DATADIFF_H

#include "core/base/str.h"

struct project;
struct err;

struct renames { struct { char *old, *now; } *v; size_t n, cap; };
struct data_changes {
	struct strvec modified, added, deleted, unknown, unchanged;
	struct renames renamed;
	bool renamed_first;             /* the first of them has a name before all that were added */
};
struct data_status {
	struct strvec not_in_cache, not_in_remote, untracked, unchanged;
	struct data_changes committed, uncommitted;
	bool has_git, is_empty, is_dirty;
};
struct data_status_opts {
	struct strvec targets;
	bool granular, untracked, not_in_remote, no_refresh;
	bool unchanged;                 /* the list is wanted */
	const char *remote;
};
int  data_status(struct project *p, const struct data_status_opts *o, struct data_status *out, struct err *e);
/* Part of the above: what has a hash and is not on the remote. */
struct index;
int  data_not_in_remote(struct project *p, const struct index *x, const struct strvec *keys,
			const struct data_status_opts *o, struct strvec *out, struct err *e);
void data_status_release(struct data_status *s);

struct diff_item { char *path, *new_path; char *hash, *new_hash; };     /* new_*: renamed, modified */
struct diff_items { struct diff_item *v; size_t n, cap; };
enum { DIFF_ADDED, DIFF_DELETED, DIFF_MODIFIED, DIFF_RENAMED, DIFF_NOT_IN_CACHE, DIFF_KINDS };
struct data_diff { struct diff_items kind[DIFF_KINDS]; bool any; };
/* b NULL: the work tree; only then objects missing in the cache are listed. */
int  data_diff(struct project *p, const char *a, const char *b, const struct strvec *targets, struct data_diff *out,
	       struct err *e);
void data_diff_release(struct data_diff *d);

#endif

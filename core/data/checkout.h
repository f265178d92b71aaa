/*
 * checkout - makes the work tree what the pointers say.
 *
 *  C1  What is not in the cache is never removed or overwritten without force; what would be lost is named.
 *  C2  Names from manifests are created beneath the root only, through no symlink.
 *  C3  A file is replaced by exchanging names: the old bytes or the new ones, never a part. The old file is looked at
 *      afterwards: when it is not the one that was judged any more, it gets its name back (ERR_CHANGED).
 */
#ifndef DATA_CHECKOUT_H
#define DATA_CHECKOUT_H

#include "core/base/str.h"

struct project;
struct target;
struct item;
struct err;

struct checkout_opts {
	bool force, relink, allow_missing, recursive, with_deps, glob;
	bool one_by_one;                /* for add: the words that DVC asks about a single file with */
	bool as_download;               /* for imports: members of a directory are links only where no copy would do, as
					 * DVC relinks what it downloaded */
};
/* Root-relative paths; directories end in '/'. */
struct checkout_result {
	struct strvec added, modified, deleted, failed;
	uint64_t files_added, files_modified, files_deleted;    /* for the summary line */
};
void checkout_result_release(struct checkout_result *r);
/* No names: everything, and what we once linked and nothing claims any more goes first ('deleted').
 * 0 also when objects were missing: then 'failed' is not empty, and the command reports checkout_error(). */
int  checkout_targets(struct project *p, const struct strvec *names, const struct checkout_opts *o,
		      struct checkout_result *r, struct err *e);
/* DVC's report of r->failed; always -1, exit 255. Paths are shown relative to the user's directory. */
int  checkout_error(struct project *p, const struct checkout_result *r, struct err *e);
/* One output (or the part of it named by 'inside'), for pull, repro and run-cache restores. */
int  checkout_out(struct project *p, struct item *out, const char *inside, const struct checkout_opts *o,
		  struct checkout_result *r, struct err *e);

#endif

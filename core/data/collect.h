/*
 * collect - gc: which objects are in use, and the removal of all others, from the cache and from remotes.
 *
 *  O1  The scope always holds the work tree. A revision that cannot be read ends the run before anything is removed,
 *      unless the caller said skip_failed.
 *  O2  Manifests are removed before the files, so that no manifest ever outlives a member; where removing a manifest failed,
 *      no file is removed.
 *  O3  An object that appeared after the run began is kept, and so is every member of a manifest that is kept.
 *  O4  The run-cache is never touched.
 *  O5  A place with several names (remotes of one location) is swept with what is in use under any of them.
 */
#ifndef DATA_COLLECT_H
#define DATA_COLLECT_H

#include "core/base/str.h"
#include "core/cache/oid.h"

struct project;
struct err;

typedef bool gc_confirm_fn(const char *question, void *data);
struct gc_opts {
	bool all_branches, all_tags, all_commits, all_experiments;
	bool not_in_remote, cloud, force, dry, skip_failed;
	bool explain;                   /* find out the last path each object had */
	const char *date, *rev, *remote;
	int num;
	unsigned jobs;
	const struct strvec *projects;
	gc_confirm_fn *confirm;
	void *data;
};
struct gc_object { struct oid id; bool legacy; uint64_t size; char *where; char *last; };
struct gc_place { char *scheme; struct gc_object *v; size_t n, cap; bool is_remote; };      /* "repo", "legacy" */
struct gc_result { struct gc_place *v; size_t n, cap; };
/* Removes (or, dry, finds) and lists what went, place by place in DVC's order. */
int  gc_run(struct project *p, const struct gc_opts *o, struct gc_result *r, struct err *e);
void gc_result_release(struct gc_result *r);

#endif

/*
 * sync - what push, fetch and pull share: options, progress, reports.
 *
 *  Y1  With --json every line of stdout is one JSON object: an event for each object, and the result last, whatever ended
 *      the command.
 */
#ifndef CMD_SYNC_H
#define CMD_SYNC_H

#include "cmd/cmd.h"
#include "core/data/transfer.h"

struct checkout_result;

struct sync_args {
	struct strvec targets, types;
	const char *remote;
	int64_t jobs, max_size;
	bool all_branches, all_tags, all_commits, with_deps, recursive, run_cache, glob, force, allow_missing;
	bool dry_run, check, json;
};
#define SYNC_OPTIONS(done) \
	OPT_INT('j', "jobs", "<number>", sync_args, jobs, "Number of jobs to run simultaneously. By default it adapts."), \
	OPT_STR('r', "remote", "<name>", sync_args, remote, "Remote storage to " done), \
	OPT_FLAG('a', "all-branches", sync_args, all_branches, "What all branches need, too."), \
	OPT_FLAG('T', "all-tags", sync_args, all_tags, "What all tags need, too."), \
	OPT_FLAG('A', "all-commits", sync_args, all_commits, "What all commits need, too.")
#define SYNC_OPTIONS_SCOPE \
	OPT_FLAG('d', "with-deps", sync_args, with_deps, "Also what the targets depend on."), \
	OPT_FLAG('R', "recursive", sync_args, recursive, "Everything tracked below the given directories."), \
	{ 0, "run-cache", OPT_K_ONOFF, NULL, offsetof(struct sync_args, run_cache), \
	  "Also the history of stage runs.", NULL, NULL, NULL, "no-run-cache", false, false }
#define SYNC_OPTIONS_OWN \
	OPT_OWN_FLAG(0, "dry-run", sync_args, dry_run, "Say what would be moved; move nothing."), \
	OPT_OWN_FLAG(0, "json", sync_args, json, "Print events and the result as JSON, one object a line.")

extern const struct pos sync_pos[];

typedef int sync_fn(struct project *p, const struct collect_opts *c, const struct transfer_opts *o,
		    struct transfer_result *r, struct err *e);
struct sync_kind { sync_fn *fn; const char *verb, *done, *method, *failed; bool download; };
/* All of push and fetch. */
int  sync_run(struct session *s, const struct sync_args *a, const struct sync_kind *k, struct err *e);
/* The work alone, with progress on the terminal and events on stdout. */
int  sync_move(struct session *s, const struct sync_args *a, sync_fn *fn, struct transfer_result *r, struct err *e);
/* Failures one by one, then the error that the command ends with ("2 files failed to upload"); 0 when none failed. */
int  sync_failures(const struct transfer_result *r, const char *method, struct err *e);
/* The plan of a dry run. */
void sync_plan(const struct sync_args *a, const char *direction, const struct transfer_result *r);
/* "2 files pushed", "1 file fetched and 2 files added", "Everything is up to date."; 'out' may be NULL. */
void sync_summary(struct session *s, const struct sync_args *a, const char *done, const struct transfer_result *r,
		  const struct checkout_result *out);

/* The command ends with e: with --json its result line, "error" in it, else nothing. */
void sync_broken_off(struct session *s, const struct sync_args *a, const char *done, const struct transfer_result *r,
		     const struct checkout_result *out, const struct err *e);

#endif

/*
 * runner - carries out a plan: decides what changed, runs commands, records what they made.
 *
 *  N1  One thread, one loop. The repository lock is given back while commands run; the paths of running stages stay locked.
 *  N2  A stage is recorded in dvc.lock at once when it has finished; a run killed at any moment resumes there.
 *  N3  With one job, output is the commands' own, unbuffered, in DVC's order and words. With more, each stage's output is
 *      kept in .dvc/tmp/logs/<stage>.log and shown whole when the stage has finished.
 *  N4  A failed stage undoes nothing of stages that finished.
 *  N5  With more jobs, dvc.lock and .gitignore end up as with one: new entries stand in the order of the plan.
 */
#ifndef PIPELINE_RUNNER_H
#define PIPELINE_RUNNER_H

#include "core/base/str.h"
#include "core/pipeline/runcache.h"

struct project;
struct plan;
struct repolock;
struct stage;
struct err;

enum run_on_error { RUN_FAIL, RUN_KEEP_GOING, RUN_IGNORE };
struct run_opts {
	unsigned jobs;                  /* 1: as DVC */
	bool force, dry, interactive, pull, allow_missing, no_run_cache, no_commit, force_downstream, explain, quiet;
	enum run_on_error on_error;
	const char *cmdline;            /* for the path locks */
};
struct run_hooks {
	bool (*confirm)(const char *question, void *data);
	void (*flush)(void *data);                              /* before a command writes to our stdout */
	void (*output)(const void *p, size_t n, void *data);    /* a finished stage's output */
	/* Brings the data of an unfrozen import and records it; NULL: refused. */
	int  (*import)(struct project *p, struct stage *s, struct err *e);
	/* Fetches the objects of a stage's outputs from the remote (--pull); NULL: nothing to fetch from. */
	int  (*pull)(struct project *p, const struct stage *s, const char *path, struct err *e);
	runcache_bring_fn *bring;                               /* the same for an output of an earlier run */
	void *data;
};
struct run_result { size_t ran; };

int  runner_run(struct project *p, struct plan *plan, struct repolock *lock, const struct run_opts *o,
		const struct run_hooks *h, struct run_result *result, struct err *e);

#endif

/*
 * executor - where commands run: this machine now, a cluster later. The runner knows only this.
 *
 *  E1  start() returns at once; wait() reports one finished job at a time, with its exit status.
 *  E2  A job's signal reaches everything it started, when it has a process group of its own.
 *  E3  A child starts with default signal handling, an empty signal mask and no descriptor of ours.
 *
 * Threads: one.
 */
#ifndef PIPELINE_EXECUTOR_H
#define PIPELINE_EXECUTOR_H

#include "core/base/compat.h"

struct err;
struct executor;

struct exec_job {
	const char *const *argv;
	char *const *env;
	const char *dir;
	int out_fd;             /* stdout and stderr of the job; -1: ours */
	bool own_group;
};
struct executor_ops {
	int  (*start)(struct executor *x, const struct exec_job *j, int64_t *id, struct err *e);
	/* 1: *id finished with *status (0 .. 255, or minus the signal). 0: nothing happened within the time (-1: forever),
	 * or a signal came. */
	int  (*wait)(struct executor *x, int timeout_ms, int64_t *id, int *status, struct err *e);
	void (*signal)(struct executor *x, int64_t id, int sig);
	void (*close)(struct executor *x);
};
struct executor { const struct executor_ops *ops; };

struct executor *executor_local(void);
static inline void executor_close(struct executor *x) { if (x) x->ops->close(x); }

#endif

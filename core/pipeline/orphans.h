/*
 * orphans - commands that a killed run, or a failed stage, left running.
 *
 *  O1  Every command of a run carries ORPHANS_MARK with the numbers of the run's process and session; what it starts
 *      inherits that. The session is 0 where its leader is outside of the container (getsid(2) in a PID namespace).
 *  O2  When a run takes over the paths of a run that was killed, what still runs of that one is ended first: it would write
 *      into outputs that are about to be made anew, and nobody would record what it makes.
 *  O3  A process that left the session (a daemon) is not touched, nor are other users' processes.
 *  O4  What a failed stage started and left is ended before its former outputs are put back, its paths given to others or its
 *      commands tried again: the shell alone is waited for, what it started may still write.
 */
#ifndef PIPELINE_ORPHANS_H
#define PIPELINE_ORPHANS_H

#include "core/base/compat.h"

struct err;

#define ORPHANS_MARK "GIT_DATA_RUN"

char *orphans_mark(const char *root);           /* "GIT_DATA_RUN=<pid>:<session>:<root>" of this process */
/* pid: of the run that was killed. Returns when its commands have ended. -1: interrupted, or they would not end. */
int  orphans_end(const char *pid, const char *root, struct err *e);
/* O4, of this run. group: of processes that the stage's command leads, 0: it has none of its own. */
void orphans_end_stage(pid_t group, const char *stage, const char *root);

#endif

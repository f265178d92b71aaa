/*
 * proc - signals as a flag, children, and temporaries that must not outlive the process.
 *
 *  C1  SIGINT, SIGTERM and SIGHUP set a flag, unless the caller had them ignored; nothing else happens in the handler. A
 *      second SIGINT ends the process at once.
 *  C2  SIGPIPE and SIGXFSZ are ignored; a closed stdout and a file size limit are seen by the writer.
 *  C3  A child called "git" works where it is told to: what a hook or an alias says of the place of another repository
 *      (GIT_DIR, GIT_INDEX_FILE, ...) is not handed on, or it would check out, fetch and configure there.
 */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include "core/base/compat.h"

#include <signal.h>

struct err;
struct str;

void proc_init(void);                   /* installs C1, C2 */
bool proc_int_ignored(void);                            /* by the caller, before we began */
void proc_ignored_here(sigset_t *set);  /* adds C2's signals that the caller had not ignored: default in programs we start */
bool proc_cancelled(void);
void proc_cancel(void);                 /* as if SIGINT had come */
void proc_die_of_signal(void);          /* after all is cleaned up: SIGTERM and SIGHUP end us as they end any program */
int  proc_check(struct err *e);         /* -1, ERR_INTR when cancelled */
/* When a process began, in the kernel's ticks, so that a number given again is not taken for the one before. 0: no such
 * process, or it only waits to be reaped. */
uint64_t proc_started(pid_t pid);
/* Test hook: GIT_DATA_FAULT="name:n" kills (SIGKILL) the process at the n-th pass of that point; "any:n" counts all. */
void proc_fault(const char *point);

/* Runs argv (no shell), feeds 'in' (may be NULL), collects stdout; stderr passes through unless 'errout' is given. */
int  proc_run(const char *const *argv, const char *dir, const char *in, size_t in_len,
	      struct str *out, struct str *errout, int *status, struct err *e);

#endif

/*
 * proc - signals as a flag, children, and temporaries that must not outlive the process.
 *
 *  C1  SIGINT and SIGTERM set a flag; nothing else happens in the handler. A second SIGINT ends the process at once.
 *  C2  SIGPIPE is ignored; a closed stdout is seen by the writer.
 */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include "core/base/compat.h"

struct err;
struct str;

void proc_init(void);                   /* installs C1, C2 */
bool proc_cancelled(void);
void proc_cancel(void);                 /* as if SIGINT had come */
int  proc_check(struct err *e);         /* -1, ERR_INTR when cancelled */
/* Test hook: GIT_DATA_FAULT="name:n" kills (SIGKILL) the process at the n-th pass of that point; "any:n" counts all. */
void proc_fault(const char *point);

/* Runs argv (no shell), feeds 'in' (may be NULL), collects stdout; stderr passes through unless 'errout' is given. */
int  proc_run(const char *const *argv, const char *dir, const char *in, size_t in_len,
	      struct str *out, struct str *errout, int *status, struct err *e);

#endif

/*
 * remote_check - the body of 'remote check'.
 */
#ifndef CMD_REMOTE_CHECK_H
#define CMD_REMOTE_CHECK_H

#include "cmd/cmd.h"

/* name NULL: the default remote. -1 when anything failed; what worked was printed. */
int  remote_check_run(struct session *s, const char *name, struct err *e);

#endif

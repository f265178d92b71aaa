/*
 * sshpipe - the ssh program as a byte stream: a child that speaks SFTP on its standard input and output.
 *
 *  P1  A password or passphrase reaches the child by SSH_ASKPASS only: never in its arguments.
 *  P2  Without a terminal the child has its own process group, so that Ctrl-C is ours to handle.
 */
#ifndef REMOTES_SSHPIPE_H
#define REMOTES_SSHPIPE_H

#include "core/base/compat.h"

struct duplex;
struct ssh_conf;
struct err;

bool sshpipe_may_ask(void);            /* somebody at a terminal can answer ssh */
/* command: of the server's shell, without input; NULL: SFTP. */
int sshpipe_open(struct duplex **out, const struct ssh_conf *c, const char *command, struct err *e);

#endif

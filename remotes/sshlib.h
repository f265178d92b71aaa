/*
 * sshlib - an SSH connection by libssh2, with the SFTP subsystem on it, as a byte stream. The only user of libssh2.
 *
 *  L1  A host key that known_hosts does not have is refused before anything secret is sent.
 *  L2  What libssh2 cannot do and the ssh program can is told by *try_ssh; the caller then takes the child instead.
 *  L3  Nothing waits for ever: a server that sends no byte for quiet_secs ends the attempt with what was awaited, and
 *      a cancel is seen within a fifth of a second.
 */
#ifndef REMOTES_SSHLIB_H
#define REMOTES_SSHLIB_H

#include "core/base/compat.h"

struct duplex;
struct ssh_conf;
struct err;

int sshlib_open(struct duplex **out, const struct ssh_conf *c, bool *try_ssh, struct err *e);

#endif

/*
 * sshconf - what is needed to reach one SSH host: DVC's options and the answers of 'ssh -G'.
 *
 *  C1  The user's ssh reads ~/.ssh/config; nothing here parses it. Without an ssh program its defaults hold.
 *  C2  A home directory given by $HOME wins over the one of the password file, as it does in DVC: ssh is told so.
 *  C3  A host or user that ssh would take for an option is refused.
 *  C4  The ssh program gets the ciphers it would use anyway. Only where they stand in the order that it was built with do
 *      those come first that this processor does in hardware.
 */
#ifndef REMOTES_SSHCONF_H
#define REMOTES_SSHCONF_H

#include "core/base/str.h"

struct err;

struct ssh_conf {
	/* Set by the caller, who owns nothing of it any more. */
	char *alias;                    /* host as the URL has it */
	char *user;                     /* NULL: ssh's */
	int port;                       /* 0: ssh's */
	char *keyfile, *password, *passphrase;
	bool no_agent, gss;
	int connect_secs;
	int quiet_secs;                 /* without a byte from the server before it counts as gone */
	char *command;                  /* instead of "ssh", through the shell; then only the child serves */
	/* Filled by sshconf_load(). */
	char *host, *key_alias;         /* where to connect; the name to look up in known_hosts */
	char *login;                    /* user, resolved */
	int real_port;
	struct strvec identities;       /* existing files */
	struct strvec known_hosts;      /* user's and system's, in that order */
	char *agent;                    /* socket, or NULL: none */
	bool identities_only, needs_ssh;        /* needs_ssh: something that only the ssh program can do */
	bool no_questions;              /* of the ssh program: nobody is asked for anything */
	char *why_ssh;
	char *ciphers;                  /* for the ssh program, in another order than its own; NULL: that one */
	struct strvec opts;             /* of the ssh program, for C2 */
};
void sshconf_release(struct ssh_conf *c);
int  sshconf_load(struct ssh_conf *c, struct err *e);
void sshconf_parse(struct ssh_conf *c, const char *text);       /* the output of 'ssh -G' */
/* argv of the child that speaks SFTP on stdin and stdout, or runs that command of the server's shell;
 * batch: nobody is there to ask. */
void sshconf_child(const struct ssh_conf *c, const char *command, bool batch, struct strvec *argv);

#endif

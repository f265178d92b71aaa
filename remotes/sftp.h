/*
 * sftp - many operations in flight on one SFTP version 3 session, above any byte stream.
 *
 *  F1  A put writes a temporary beside its target and renames it only after the status of every write and of the close:
 *      a server that ran out of space publishes nothing. The digest, when the operation has one, is compared before: it is
 *      of the very bytes that went into the packets, and of those of F5 that were read back.
 *  F2  A get delivers bytes in order and ends well only when all bytes of the size that the server states came.
 *  F3  Bytes asked for or sent and not yet answered stay below SFTP_FLIGHT, whatever the number of files.
 *  F4  A directory is made when a put into it failed for its absence, once, whoever waits for it.
 *  F5  Large puts with ROP_RESUME use a temporary whose name this machine and source file alone give; an flock on the
 *      source keeps it to one process. Of what is there already the end is written again; the rest must have the source's
 *      MD5 as the server's md5sum tells it (sftp_digests), or where that does not answer, is read back and compared. A
 *      difference begins at 0 again. So each byte under the new name was sent by the process that renames, or all of it
 *      was compared by it. What the server's disk does after its answers is not seen: no fsync.
 *  F6  When the session is lost every operation in flight is told RC_RETRY, and a new stream may be attached.
 *  F7  A server that owes answers and sends no byte for sftp_quiet() seconds counts as lost; the second time in a row,
 *      without one operation done between, the operations are told RC_FATAL.
 *  F8  commit() may say 'not yet': it is asked again by sftp_run(). A get whose operation has a map (N5) fills its gaps.
 *
 * Threads: one.
 */
#ifndef REMOTES_SFTP_H
#define REMOTES_SFTP_H

#include "core/data/remote.h"

#define SFTP_FLIGHT (8u << 20)

struct duplex;
struct sftp;

struct sftp *sftp_new(const char *base, const char *who);       /* base: absolute, on the server; who: for messages */
void sftp_free(struct sftp *s);                 /* removes what temporaries it can, within two seconds */
/* The opening dialogue; takes d in any case. Blocks for at most secs. */
int  sftp_attach(struct sftp *s, struct duplex *d, int secs, struct err *e);
void sftp_quiet(struct sftp *s, int secs);      /* F7 */
/* F5: a stream on which the server's md5sum of the first n bytes of a file comes, and nothing else; NULL: no way. */
typedef struct duplex *sftp_digest_fn(void *data, const char *path, uint64_t n);
void sftp_digests(struct sftp *s, sftp_digest_fn *fn, void *data);
bool sftp_attached(const struct sftp *s);
bool sftp_idle(const struct sftp *s);           /* nothing submitted waits for its done() */
bool sftp_full(const struct sftp *s);
void sftp_window(struct sftp *s, unsigned jobs);
void sftp_submit(struct sftp *s, struct rop *op);       /* before sftp_attach() too */
/* -1: the session is lost (F6) and *e says why. */
int  sftp_run(struct sftp *s, int timeout_ms, struct err *e);
void sftp_fail_all(struct sftp *s, enum rclass c, const struct err *why);
void sftp_cancel(struct sftp *s, const struct err *why);         /* tells all; the session stays */
int  sftp_list(struct sftp *s, const char *prefix, remote_list_fn *fn, void *data, struct err *e);

#endif

/*
 * sftpint - what the files of the SFTP engine share: session, requests, transfers.
 *
 *  A request's slot stays taken until its reply function frees it; ids carry a generation, so that a reply to nothing
 *  ends the session instead of reaching a stranger. A transfer is freed when its operation was told and no request
 *  of it is unanswered.
 */
#ifndef REMOTES_SFTPINT_H
#define REMOTES_SFTPINT_H

#include "core/base/hash.h"
#include "core/base/map.h"
#include "core/base/str.h"
#include "remotes/sftp.h"
#include "remotes/sftpwire.h"

struct xfer;
struct mkd;
struct sreq;
typedef void sreq_fn(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w);

struct sreq {
	uint32_t id;
	enum sftp_type asked;
	bool waiting;                   /* sent, not answered */
	sreq_fn *reply;
	void *owner;
	uint64_t off;
	uint32_t len;
	struct sreq *next;              /* reads of one transfer, in order; or the list of free slots */
	unsigned char *data;            /* an answer that came before its turn */
	size_t got;
	bool arrived, eof;
};

struct xfer {
	struct rop *op;                 /* NULL: told */
	struct xfer *prev, *next;       /* all live ones */
	struct xfer *qnext;
	bool queued;
	char *path, *tmp;               /* tmp: PUT only, until renamed or given up */
	bool made, keep_tmp;            /* the temporary is there; keep it for the next attempt (F5) */
	struct str handle;
	bool open, closing;
	unsigned pending, weight, tries;
	uint64_t size, at, sunk;        /* at: next byte to ask for or send */
	bool sized;
	struct sreq *first, *last;      /* reads in order */
	struct md5 md5;
	uint64_t there;                 /* F5: what an earlier attempt left, to be checked first */
	unsigned checks;                /* reads for that, not answered */
	bool differs, by_digest;
	struct duplex *asked;           /* brings the server's digest of it */
	char said[48];
	unsigned nsaid;
	int64_t ask_until;
	bool settling;                  /* get: all bytes came, its commit() is not ready; put: the server's digest is not there */
};

/* A stretch of a source that was read and has yet to reach its digest: at 'at' of what goes out, or in 'own'. */
#define SUMS 16u
struct sum {
	struct xfer *x;
	size_t at, n;
	unsigned char *own;
};

struct sftp {
	struct duplex *d;
	char *base, *who;
	struct str out;
	size_t out_off;
	unsigned char *in;
	size_t in_len, in_cap;
	struct sreq **slot, *spare;
	size_t nslots, slot_cap, waiting;
	uint32_t generation;
	struct xfer *live;
	struct xfer *fresh, *fresh_last, *busy, *busy_last;
	size_t load, cap;
	uint64_t flight;
	struct sum sum[SUMS];
	unsigned nsums, settling, asking;
	uint64_t local;                 /* bytes read for nothing but their digest, in this round */
	sftp_digest_fn *digest;
	void *digest_data;
	struct map dirs;
	uint32_t max_read, max_write;
	size_t max_handles;
	bool hello, posix_rename, limits, in_order;     /* limits: settled */
	bool no_parts;                  /* F5 fails there */
	uint64_t moved;
	unsigned ndone;
	int64_t moved_at;
	int quiet_secs;
	unsigned silences;              /* F7: in a row */
	bool broken;                    /* the server's bytes make no sense; why says so */
	struct err why;
};

/* sftp.c */
struct sreq *sftp_ask(struct sftp *s, enum sftp_type type, sreq_fn *reply, void *owner, size_t *mark);
void sftp_sent(struct sftp *s, size_t mark);
void sftp_unask(struct sftp *s, struct sreq *q, size_t mark);      /* not sent after all */
void sreq_free(struct sftp *s, struct sreq *q);
void sftp_break(struct sftp *s, const char *fmt, ...) PRINTF(2, 3);     /* the session ends after this reply */
/* The status of a reply that should be one; anything else breaks the session and reads as a failure. */
uint32_t sftp_status_of(struct sftp *s, enum sftp_type type, struct wire *w);
void sftp_ask_path(struct sftp *s, enum sftp_type type, sreq_fn *reply, void *owner, const char *path);
void sftp_ask_handle(struct sftp *s, enum sftp_type type, sreq_fn *reply, void *owner, const struct str *handle);
void sftp_ignore(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w);
int64_t sftp_now(void);

/* sftpxfer.c */
struct xfer *xfer_new(struct sftp *s, struct rop *op);
void xfer_start(struct sftp *s, struct xfer *x);
void xfer_chunk(struct sftp *s, struct xfer *x);        /* from the busy queue */
void xfer_free(struct sftp *s, struct xfer *x);
void xfer_busy(struct sftp *s, struct xfer *x);
void xfer_finish(struct sftp *s, struct xfer *x, enum rclass c);
void xfer_fail(struct sftp *s, struct xfer *x, uint32_t status, const char *what);
struct xfer *xfer_answered(struct sftp *s, struct sreq *q);     /* the request's; it is counted off, q is freed */
void xfer_settle(struct sftp *s, struct xfer *x);       /* frees it when nothing refers to it any more */
void xfer_close(struct sftp *s, struct xfer *x);
void xfer_settling(struct sftp *s);                     /* asks those that settle */
bool xfer_opened(struct sftp *s, struct xfer *x, enum sftp_type type, struct wire *w, uint32_t *status);

/* sftpput.c */
void put_start(struct sftp *s, struct xfer *x);
void put_chunk(struct sftp *s, struct xfer *x);
void put_all_read(struct sftp *s, struct xfer *x);      /* its digest is complete */
void put_give_up(struct sftp *s, struct xfer *x);

void put_go(struct sftp *s, struct xfer *x, uint64_t there);
int  put_source(const struct rop *op, uint64_t off, void *p, size_t n);

/* sftpback.c: F5 */
void back_start(struct sftp *s, struct xfer *x, uint64_t there);
int  back_chunk(struct sftp *s, struct xfer *x);
void back_judge(struct sftp *s, struct xfer *x);
void back_stop(struct sftp *s, struct xfer *x);

/* sftpsum.c: digests of what is sent, side by side. Empty whenever fill_output() is not at work. */
bool sum_has(const struct sftp *s, const struct xfer *x);
void sum_room(struct sftp *s, const struct xfer *x);    /* before a packet is begun: it may add others */
void sum_add(struct sftp *s, struct sum add);
void sum_flush(struct sftp *s);
void sum_drop(struct sftp *s);

/* sftpdir.c */
void mkd_wait(struct sftp *s, struct xfer *x);          /* makes the parent of x->path, then starts x again */
void mkd_release(struct sftp *s);

#endif

/*
 * remote - what core needs of a place that holds objects; remotes/ implements it, cmd/ brings both together.
 *
 *  N1  Operations are asynchronous: submit() never blocks; run() moves bytes and calls done(). Everything of one remote
 *      happens in the thread that calls it; wrappers (retry, trace, rate limit) implement the same interface.
 *  N2  A put is visible under its key entirely or not at all. A get delivers bytes to a sink; the caller checks the digest.
 *  N3  A key is relative to the remote's base, plain bytes, not encoded: "files/md5/ab/cdef".
 *  N4  rop is the caller's until submit() succeeded, the remote's until done() was called, then the caller's again.
 *  N5  A large get may come in pieces of any order, several at once (REMOTE_PIECES): each chunk of rop->map from its first
 *      byte to its last. What is DONE there is never asked for again, whatever fails meanwhile.
 */
#ifndef DATA_REMOTE_H
#define DATA_REMOTE_H

#include "core/base/err.h"

struct node;
struct str;

enum rop_kind { ROP_STAT, ROP_GET, ROP_PUT, ROP_DELETE, ROP_DELETE_MANY };
/* RC_MORE never leaves a remote: inside, it says that the operation goes on. */
enum rclass { RC_OK, RC_EXISTS, RC_ABSENT, RC_RETRY, RC_AUTH, RC_CORRUPT, RC_FATAL, RC_MORE };
/* Capabilities */
enum {
	REMOTE_LIST = 1, REMOTE_RANGE = 2, REMOTE_COND_PUT = 4, REMOTE_DELETE = 64, REMOTE_LOCAL = 128, REMOTE_VERSIONS = 256,
	REMOTE_DELETE_MANY = 512,       /* ROP_DELETE_MANY may be asked for */
	REMOTE_PIECES = 1024,           /* N5; and commit() may say that it is not ready */
};
#define REMOTE_MANY 1000        /* keys of one ROP_DELETE_MANY at most */
/* rop flags */
enum {
	ROP_HAS_MD5 = 1, ROP_IF_ABSENT = 2, ROP_RESUME = 4,
	ROP_OBJECT = 8,         /* immutable content: read-only where a remote has modes */
};

enum { CHUNK_TODO, CHUNK_BUSY /* the remote's */, CHUNK_DONE /* the caller's */ };
struct rop_map {
	uint64_t size;                  /* of the object */
	uint32_t chunk, n, left;        /* bytes of a chunk, chunks, those that are not DONE */
	uint8_t *state;
};

struct rop {
	enum rop_kind kind;
	const char *key;
	/* DELETE_MANY: all that shall go; 'key' is the first. RC_OK: none of them is there any more. Else some may have gone, and
	 * 'key' is one that did not; 'nfailed' counts them, as far as they were asked for. */
	const char *const *keys;
	size_t nkeys, nfailed;
	/* PUT: rewindable source. Read with pread semantics on fd, or from memory when fd < 0. */
	int fd;
	const void *mem;
	uint64_t size;                  /* PUT: length. STAT, GET out: length of the object */
	/* GET: bytes from 'off' on go to sink(), in order; when sink_restart is called everything starts again at 0. */
	int (*sink)(struct rop *r, const void *p, size_t n);    /* -1 stops the transfer; err says why */
	int (*sink_restart)(struct rop *r);
	/* N5. When the length is known, before the first byte, spread() may set 'map': then bytes come to piece() and none to
	 * sink(). sink_restart() takes the map away. With REMOTE_PIECES only; may be NULL. */
	int (*spread)(struct rop *r);
	int (*piece)(struct rop *r, uint64_t off, const void *p, size_t n);
	struct rop_map *map;
	/* In the thread that moves the bytes (a remote with workers calls them and sink there): before the first byte, at
	 * every attempt; and after the last one of a success, to verify and publish. Either may be NULL; -1 with err set
	 * fails the operation by the error's class. commit() may give 1 to a remote with REMOTE_PIECES: not yet, ask again. */
	int (*begin)(struct rop *r);
	int (*commit)(struct rop *r);
	void (*sent)(struct rop *r, size_t n);  /* PUT: bytes on their way, for progress; may be NULL; may count some twice */
	uint64_t off;
	unsigned char md5[16];          /* PUT: with ROP_HAS_MD5, of the very bytes */
	unsigned flags;
	uint64_t expect;                /* the caller's guess of the length, for plans only; 0: none */
	char etag[96], version_id[1100];        /* out, when the service says */
	struct map *facts;              /* STAT, may be NULL: HTTP's headers that tell files apart, and the final "url"; malloc'd */
	const char *want_version;       /* GET/STAT of one version */
	int http_status;                /* out; 0 when not HTTP */
	char code[64];                  /* out: the server's own error code, e.g. "AccessDenied" */
	int retry_after;                /* out: seconds, or 0 */
	struct err err;                 /* out, unless RC_OK, RC_EXISTS, RC_ABSENT */
	unsigned attempt;               /* counted by the retry wrapper */
	void (*done)(struct rop *r, enum rclass c);
	void *user;                     /* caller's */
	void *impl, *wrap;              /* remote's and wrapper's */
};

struct remote;
typedef int remote_list_fn(const char *key, uint64_t size, const char *etag, void *data, struct err *e);

struct remote_ops {
	const char *scheme;
	void (*close)(struct remote *r);
	/* 0 accepted; 1 window full: run() first; -1 error. */
	int  (*submit)(struct remote *r, struct rop *op, struct err *e);
	int  (*run)(struct remote *r, int timeout_ms, struct err *e);
	/* Every key below prefix ("" = all), in no promised order; ERR_UNSUPPORTED without REMOTE_LIST. Synchronous. */
	int  (*list)(struct remote *r, const char *prefix, remote_list_fn *fn, void *data, struct err *e);
	unsigned (*window)(struct remote *r, unsigned set);     /* concurrency now; set 0 asks only */
	void (*cancel)(struct remote *r);                       /* drop everything in flight; done() with RC_FATAL/ERR_INTR */
};
struct remote {                         /* first member of every implementation */
	const struct remote_ops *ops;
	unsigned caps;
	char *name;                     /* "origin" in the config, or NULL */
	char *url;                      /* for people: without secrets */
	bool names_only;                /* caller's: list() need not know sizes and may give UINT64_MAX */
	bool version_aware;             /* by option: what is read is recorded with its version (REMOTE_VERSIONS) */
	bool verify;                    /* re-hash downloads: always done; kept for DVC's option */
	const char *identity;           /* whose credentials, once known: "the environment"; NULL otherwise */
	struct remote *inner;           /* of a wrapper; else NULL */
	/* Local directory remotes: absolute base, so that transfer may link instead of copying. NULL otherwise. */
	const char *local_dir;
};
static inline int remote_submit(struct remote *r, struct rop *op, struct err *e) { return r->ops->submit(r, op, e); }
static inline int remote_run(struct remote *r, int ms, struct err *e) { return r->ops->run(r, ms, e); }
static inline void remote_close(struct remote *r) { if (r) r->ops->close(r); }
/* A code of err as a class: ERR_TEMP retry, ERR_AUTH auth, ERR_CORRUPT corrupt, ERR_NOTFOUND absent, else fatal. */
enum rclass rclass_of_err(const struct err *e);
/*
 * Operations on their way, of which one failure ends all. done() counts its own off 'n' and keeps the first failure in 'err'.
 * After inflight_submit() failed the operation is still the caller's. inflight_finish() returns when none is left: after
 * 'rc', a failure or an interrupt it cancels, and gives the first of the three as *e.
 */
struct inflight { size_t n; struct err err; };
int  inflight_submit(struct remote *r, struct inflight *f, struct rop *op, struct err *e);
int  inflight_finish(struct remote *r, struct inflight *f, int rc, struct err *e);
/* One operation, start to end; *e is set unless RC_OK, RC_EXISTS, RC_ABSENT. */
enum rclass remote_do(struct remote *r, struct rop *op, struct err *e);
int  remote_read_all(struct remote *r, const char *key, uint64_t max, struct str *out, struct err *e);
int  remote_write_all(struct remote *r, const char *key, const void *p, size_t n, struct err *e);

/* How core gets a remote by name; cmd/ sets it to remotes/registry's opener. */
struct repo;
struct config;
struct map;
struct remote_openers {
	int (*named)(struct remote **out, const struct config *c, const char *name, unsigned jobs, struct err *e);
	/* A bare URL or path; over: options by name -> const char *, or NULL. */
	int (*url)(struct remote **out, const struct config *c, const char *url, const struct map *over, unsigned jobs,
		   struct err *e);
};
void remote_set_openers(const struct remote_openers *o);
/* name NULL: the default remote. DVC's errors when there is none. */
int  remote_open_named(struct remote **out, struct repo *r, const char *name, unsigned jobs, struct err *e);
int  remote_open_url(struct remote **out, const struct config *c, const char *url, const struct map *over, unsigned jobs,
		     struct err *e);

#endif

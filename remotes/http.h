/*
 * http - one curl_multi loop under every remote that speaks HTTP; S3, Azure, GCS, plain HTTP and WebDAV are dialects of it.
 * The only user of libcurl.
 *
 *  H1  One thread, one event loop a remote. submit() only queues; bytes move in run().
 *  H2  An operation is one or more exchanges. prepare() fills the next one, classify() judges its answer: a final class, or
 *      RC_MORE and prepare() is called again. Up to hop->parallel exchanges of one operation run at once (parts).
 *  H3  Nothing is retried here or in a dialect, except what a dialect repairs by itself (region, clock, token): it changes
 *      its state, counts hop->repairs and returns RC_MORE. The retry of RC_RETRY lives in wrap.c, as a new submit.
 *  H4  Network failures, stalls and TLS refusals never reach classify(): the engine gives them their class and message.
 *  H5  Bodies are rewindable and sent with Content-Length; "Expect:" is off; redirects are never followed by libcurl.
 *  H6  A body reaches the sink only from a 200 or a 206 that begins at the byte asked for; a 200 to a ranged question
 *      restarts the sink, and so does a 206 of another length, or another tag where the content may change (no ROP_OBJECT):
 *      never are two versions put together. Every other body is kept in the answer, at most max_body bytes of it.
 *  H7  op->begin() runs before an operation's first exchange, op->commit() after its success; dialects call neither.
 *  H8  A get that has a map (remote.h N5) is several exchanges, each for a run of chunks; the first one, whose answer told the
 *      length, is cut where another one has begun. A server that ignores ranges gets one exchange for the whole; so does
 *      one that is near (HTTP_NEAR_US), as long as what is in flight brings 200 MiB a second.
 *  H9  An operation that must wait for something but bytes (commit() or prepare() said so) is asked again every 2 ms, and
 *      others may take its place in the window meanwhile; at every turn where a window's worth of them waits, or nothing else
 *      is in flight.
 *  H10 Messages hold neither query strings nor headers of a request.
 *  H11 A server whose first answers all took HTTP_NEAR_US or more is far away, and only what is in flight makes it fast: the
 *      window opens at once as far as it goes, unless its size was asked for. Elsewhere wrap.c makes it grow.
 *  H12 Where no digest goes with an upload, the engine compares the bytes with the one that the caller gave before the first
 *      of them leaves: an object that is broken here gets no good name there. Where the dialect gives the name by an exchange
 *      of its own (WebDAV's MOVE), bytes above 1 MiB are hashed while they are sent, and compared before that one. A plain
 *      PUT cannot be taken back: to keep its last byte does not help, since some servers (rclone's, any of Go's webdav
 *      package) name what they got of a body that was cut.
 */
#ifndef REMOTES_HTTP_H
#define REMOTES_HTTP_H

#include "core/base/str.h"
#include "core/data/remote.h"

#define HTTP_NEAR_US 5000u
#define HTTP_BODY_MAX 65536u            /* kept of an answer, unless the request says more */
#define HTTP_LIST_MAX (64u << 20)       /* for pages of a listing */

/* How to connect; the strings are copied by http_remote_init(). */
struct http_conf {
	bool insecure;                  /* ssl_verify = false */
	const char *ca_file;            /* ssl_verify = path; NULL: see http_ca_from_env() */
	const char *cert_file, *key_file;
	unsigned connect_secs;          /* 0: 30 */
	unsigned stall_secs;            /* no byte, or less than 64 a second, in either direction; 0: 60 */
	bool http1;                     /* HTTP/1.1 only */
	bool netrc;                     /* ~/.netrc as a last resort for credentials */
	bool no_proxy;                  /* instance metadata: never through a proxy */
	const char *digest_user, *digest_password;      /* HTTP digest, done by libcurl */
	unsigned window, window_max;    /* exchanges in flight: at first (0: 16), at most (0: 64) */
};

/* One exchange: the request. Filled by prepare(); owned and released by the engine. */
struct hreq {
	char method[12];
	struct str url;                 /* complete and encoded */
	struct strvec headers;          /* "Name: value" */
	/* Body: has_body with either mem, own (bytes kept by the request itself) or fd, from body_off on, body_len bytes. */
	bool has_body;
	const void *mem;
	struct str own;
	int fd;                         /* -1 */
	uint64_t body_off, body_len;
	bool to_sink;                   /* H6: the answer's body is the object */
	uint64_t from;                  /* with to_sink: what Range asked for ("bytes=from-") */
	uint64_t upto;                  /* H8: set before prepare(): ask for from..upto-1; 0: as op->off says */
	size_t max_body;                /* 0: HTTP_BODY_MAX */
	bool stop_at_max;               /* enough once max_body is full: the rest is not read and that is no error */
	unsigned stall_secs;            /* 0: the remote's; e.g. more when completing an upload */
	bool decode;                    /* the answer's Content-Encoding is taken off, and none is asked for */
	bool plain;                     /* no digest or netrc credentials (redirect to another origin) */
	/* The dialect's own, untouched by the engine. */
	unsigned step, part;
	void *data;
};
struct hresp {
	int status;
	struct str head;                /* names and values, each with its NUL */
	uint64_t length;                /* Content-Length, or UINT64_MAX */
	uint64_t got;                   /* body bytes received */
	struct str body;
	bool cut;                       /* body longer than max_body */
};
void hreq_init(struct hreq *q);
void hreq_release(struct hreq *q);
void hreq_method(struct hreq *q, const char *method);
void hreq_header(struct hreq *q, const char *fmt, ...) PRINTF(2, 3);
void hreq_pair(struct hreq *q, const char *name, const char *value);     /* the same of "%s: %s", for every request */
void hreq_take(struct hreq *q, char *line);             /* takes ownership */
/* The body of a PUT operation: from op's fd or mem; 'off' and 'len' select a part. */
void hreq_body_of(struct hreq *q, const struct rop *op, uint64_t off, uint64_t len);
void hreq_body_own(struct hreq *q, const void *p, size_t n);            /* copied */
void hresp_release(struct hresp *a);
void hresp_add(struct hresp *a, const char *name, size_t nlen, const char *value, size_t vlen);
const char *hresp_header(const struct hresp *a, const char *name);      /* any case; first; NULL */
bool hresp_is_encoded(const struct hresp *a);           /* by Content-Encoding */
int  hresp_retry_after(const struct hresp *a);          /* seconds, 0 when not said; a date is understood */
int64_t hresp_date(const struct hresp *a);              /* Date header as Unix time, 0 */

struct http_remote;
/* One operation on its way. */
struct hop {
	struct rop *op;
	unsigned step;                  /* the dialect's; 0 at first */
	unsigned parallel;              /* exchanges at once; 1 unless the dialect raises it */
	unsigned inflight;              /* the engine's count */
	unsigned repairs;               /* H3 */
	void *state;                    /* the dialect's, freed in end() */
	/* engine's */
	struct hop *next;
	struct hop *soon;               /* H9: the next in that list */
	bool is_soon, settling;         /* settling: it succeeded, commit() is not ready */
	bool proved;                    /* H12 */
	struct parts *proof;
	bool begun, draining;           /* draining: one exchange is to be tried again; the others may end first */
	struct err why;
	char why_code[64];
	int why_status, why_after;
};
/* One stream of pages. The dialect owns the meaning of marker; all strings belong to the engine. */
struct listing {
	char *prefix;                   /* key prefix, as list() was given or http_list_add() */
	char *marker;                   /* where the next page begins; NULL at first; set with http_list_marker() */
	unsigned pages;                 /* already seen */
	unsigned tag;                   /* dialect's */
	remote_list_fn *fn;
	void *data;
	struct listing *next;
};
enum { LIST_DONE = 0, LIST_MORE = 1 };

struct http_dialect {
	const char *scheme;
	bool ranges;                    /* H8: prepare() honours hreq.upto */
	uint64_t prove_upto;            /* H12: with larger ones goes a digest */
	/* Fills q for the next exchange of o: URL, headers, signature; anew for every attempt. 0 send it; 1 nothing more to
	 * send now (others in flight decide); 2 not yet (H9); -1 the operation fails, class from e->code. */
	int (*prepare)(struct http_remote *h, struct hop *o, struct hreq *q, struct err *e);
	/* H12: the next exchange of this put gives the object no name; prepare() asks http_proof() before the one that does.
	 * NULL: every exchange may. */
	bool (*unnamed)(struct http_remote *h, struct hop *o);
	/* Judges one answer. Sets op->etag, size, version_id, code, err (see http_fail). RC_MORE: goes on. */
	enum rclass (*classify)(struct http_remote *h, struct hop *o, const struct hreq *q, const struct hresp *a);
	/* a == NULL: fill q for l's next page. Else: read the page, give its entries to l->fn, return LIST_MORE or LIST_DONE,
	 * or -1 with *e (ERR_TEMP: the engine asks the same page again, with back-off; after a repair too: ERR_TEMP and
	 * *again = true makes it ask at once). NULL when the dialect cannot list. */
	int (*list_next)(struct http_remote *h, struct listing *l, struct hreq *q, const struct hresp *a, bool *again,
			 struct err *e);
	void (*end)(struct http_remote *h, struct hop *o, enum rclass c);       /* frees o->state; may be NULL */
	void (*close)(struct http_remote *h);           /* frees what the dialect holds and 'h' itself */
};

struct http_engine;                     /* known to http.c */
struct http_remote {                    /* first member of a dialect's own struct */
	struct remote remote;           /* first */
	const struct http_dialect *dialect;
	struct http_engine *eng;
};
/* Sets remote.ops and the engine; the caller sets caps, name, url. libcurl is loaded here. */
int  http_remote_init(struct http_remote *h, const struct http_dialect *d, const struct http_conf *c, struct err *e);

/* One exchange, start to end, on a connection of its own: tokens, metadata. Network failure: -1, ERR_TEMP or ERR_FAIL. */
int  http_exchange(const struct http_conf *c, struct hreq *q, struct hresp *a, struct err *e);
/* In list_next(): another stream of pages, run at the same time. */
void http_list_add(struct http_remote *h, struct listing *like, const char *prefix, const char *marker, unsigned tag);
/* There is another page, from there: LIST_MORE; -1 where that is where this one began. */
int  http_list_marker(struct listing *l, const char *marker, struct err *e);
/* The least time that an answer to a request without a body took, so far, in microseconds; 0: there was none. */
unsigned http_answer_us(const struct http_remote *h);
/* H12: 0 the bytes are those of the digest, 2 not known yet (H9), -1 they are not (ERR_CORRUPT) or cannot be read. */
int  http_proof(struct http_remote *h, struct hop *o, struct err *e);
/* Fills op->err, op->code, op->http_status, op->retry_after: "HTTP 403: AccessDenied: text"; gives c back. */
enum rclass http_fail(struct hop *o, const struct hresp *a, enum rclass c, const char *code, const char *text);
/* The class of a status where the dialect knows no better: 2xx OK, 404/410 ABSENT, 401/403 AUTH, 408/425/429/5xx RETRY
 * (501, 505, 507 FATAL), 412 EXISTS for a put with ROP_IF_ABSENT, the rest FATAL. */
enum rclass http_class_of_status(const struct rop *op, int status);
/* A redirect: the Location resolved against the request's URL. False when there is none, or it goes from https to http.
 * *same_origin: scheme, host and port are equal, so credentials may follow. */
bool http_redirect(const struct hreq *q, const struct hresp *a, struct str *url, bool *same_origin);
/* ETag into op->etag: a strong one without its quotes, a weak one as it stands; STAT: Content-Length into op->size. */
void http_take_etag(struct rop *op, const struct hresp *a);

/* http_pieces.c: the next run of chunks that nobody asked for, into q->from and q->upto; false: there is none. */
bool pieces_claim(struct rop *op, struct hreq *q);
/* The first exchange of all, which began at 'from' before there was a map; also to go on behind what it had. */
bool pieces_go_on(struct rop *op, struct hreq *q, uint64_t from);
void pieces_give_back(struct rop *op, const struct hreq *q);

/* Text of URLs. */
void url_encode(struct str *out, const char *s, bool keep_slash);       /* RFC 3986 unreserved only, upper-case hex */
bool url_decode(struct str *out, const char *s, size_t n);              /* false: malformed %XX or a NUL */
struct url { char *scheme, *user, *password, *host, *port, *path, *query; };    /* decoded user, password; path as it is */
int  url_parse(struct url *out, const char *text, struct err *e);       /* at most 8 KB; host may be "[::1]" */
void url_release(struct url *u);
/* CURL_CA_BUNDLE, AWS_CA_BUNDLE (when aws), REQUESTS_CA_BUNDLE, SSL_CERT_FILE; NULL: the system's. */
const char *http_ca_from_env(bool aws);

#endif

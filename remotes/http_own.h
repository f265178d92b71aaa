/*
 * http_own - what the parts of the engine share: http.c moves bytes, http_wait.c says which sockets may, http_queue.c keeps
 * the lists of what waits.
 */
#ifndef REMOTES_HTTP_OWN_H
#define REMOTES_HTTP_OWN_H

#include "core/base/err.h"
#include "remotes/http.h"

struct curl_slist;
struct xfer {                           /* kept for other exchanges, with libcurl's handle and the memory of its texts */
	struct http_remote *h;          /* NULL in http_exchange() */
	const struct http_conf *conf;
	void *easy;                     /* CURL */
	struct hop *hop;                /* one of hop and list */
	struct listing *list;
	struct hreq req;
	struct hresp resp;
	bool is_set;                    /* the options that stay were given */
	void *place;                    /* CURLU: the URL in parts; NULL before the first */
	struct curl_slist *line;        /* the header's lines, linked: libcurl only reads them */
	size_t lines, line_cap;
	struct err err;                 /* what a callback found */
	char curl_err[256];
	uint64_t sent;
	bool is_small;
	char *small;                    /* a body that is sent with the headers; SMALL_BODY bytes */
	uint64_t at;                    /* H8: the next byte of a piece */
	int64_t spread_ms;              /* H8: when there was a map */
	bool enough;                    /* H8: the rest of the answer is somebody else's */
	size_t head_bytes;
	int64_t last_ms;                /* when a byte last moved */
	int64_t span_ms;                /* since when the bytes of 'span' moved */
	uint64_t span;
	bool sink_open, stalled;
	struct xfer *next, **slot;      /* in eng->active */
};
struct page_wait { struct listing *l; int64_t at_ms; unsigned attempt; struct page_wait *next; };

struct http_engine {
	struct http_conf conf;
	void *multi;                            /* libcurl's */
	int poll;                               /* epoll: the sockets that it waits for */
	int64_t due_ms;                         /* when it wants to be called; -1: not */
	int64_t now_ms;                         /* when sockets were last looked at */
	struct xfer *active, *idle;
	unsigned inflight, nidle, window;
	struct hop *queue, **queue_tail;        /* ops that may start an exchange */
	struct hop *soon;                       /* H9 */
	unsigned nsoon;
	int64_t soon_ms;                        /* when they were asked */
	unsigned answer_us, timed;              /* http_answer_us(), of so many */
	struct trail *trail;                    /* H12; NULL before the first */
	bool no_pieces;                         /* the server ignores ranges */
	/* listing */
	struct page_wait *pages;
	unsigned listings;
	struct err list_err;
	bool list_failed, answered;
	int64_t checked_ms;
};

/* http_wait.c */
int64_t http_now_ms(void);
int  http_watch(struct http_engine *g, int fd, bool in, bool out);
void http_watch_stalls(struct http_engine *g);
struct xfer *http_first_stalled(struct http_engine *g);

/* http_msg.c */
bool http_goes_on(struct xfer *x, uint64_t total);
void http_conf_copy(struct http_conf *to, const struct http_conf *c);
void http_conf_release(struct http_conf *c);
bool http_env_has_proxy(void);          /* any that libcurl may look at */
/* As hreq_release() and hresp_release(), but memory for the next ones of usual length is kept. */
void hreq_reuse(struct hreq *q);
void hresp_reuse(struct hresp *a);

/* http_proof.c: 0 go on; 2 not known yet; -1. */
int  http_prove(struct http_remote *h, struct hop *o, struct err *e);
void http_prove_end(struct hop *o);

/* http_queue.c */
void http_hop_requeue(struct http_engine *g, struct hop *o);
void http_hop_unqueue(struct http_engine *g, struct hop *o);
bool http_hop_is_queued(const struct http_engine *g, const struct hop *o);
void http_soon_add(struct http_engine *g, struct hop *o);
void http_soon_drop(struct http_engine *g, struct hop *o);
void http_drain_begin(struct hop *o);
void http_drain_end(struct hop *o);
void http_listing_free(struct listing *l);
void http_page_wait(struct http_engine *g, struct listing *l, unsigned attempt, int64_t at);
void http_pages_drop(struct http_engine *g);
void http_list_fail(struct http_engine *g, struct listing *l, struct err *e);

#endif

/*
 * http_own - what the parts of the engine share: http.c moves bytes, http_wait.c says which sockets may, http_queue.c keeps
 * the lists of what waits.
 */
#ifndef REMOTES_HTTP_OWN_H
#define REMOTES_HTTP_OWN_H

#include "core/base/err.h"
#include "remotes/http.h"

struct xfer;
struct page_wait { struct listing *l; int64_t at_ms; unsigned attempt; struct page_wait *next; };

struct http_engine {
	struct http_conf conf;
	void *multi;                            /* libcurl's */
	int poll;                               /* epoll: the sockets that it waits for */
	int64_t due_ms;                         /* when it wants to be called; -1: not */
	struct xfer *active, *idle;
	unsigned inflight, nidle, window;
	struct hop *queue, **queue_tail;        /* ops that may start an exchange */
	struct hop *soon;                       /* H9 */
	unsigned nsoon;
	int64_t soon_ms;                        /* when they were asked */
	unsigned answer_us, timed;              /* http_answer_us(), of so many */
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
void http_list_fail(struct http_engine *g, struct listing *l, struct err *e);

#endif

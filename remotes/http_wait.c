/* libcurl says which sockets it waits for, and until when: the kernel is asked for all, only who is ready is looked at. */
#include "remotes/http_own.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

#define TRICKLE 64u             /* bytes a second: a server that sends less is as good as silent */

int64_t http_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int http_watch(struct http_engine *g, int fd, bool in, bool out)
{
	struct epoll_event ev = { .events = (in ? EPOLLIN : 0u) | (out ? EPOLLOUT : 0u), .data.fd = fd };

	if (!ev.events)
		epoll_ctl(g->poll, EPOLL_CTL_DEL, fd, NULL);
	else if (epoll_ctl(g->poll, EPOLL_CTL_ADD, fd, &ev) && (errno != EEXIST || epoll_ctl(g->poll, EPOLL_CTL_MOD, fd, &ev)))
		return -1;
	return 0;
}

void http_watch_stalls(struct http_engine *g)
{
	int64_t now = http_now_ms(), gap = now - g->checked_ms;

	if (gap < 1000)
		return;
	/* It was us who did something else, or slept: that is not the server's silence. */
	for (struct xfer *x = gap > 3000 ? g->active : NULL; x; x = x->next) {
		x->last_ms = x->last_ms + gap < now ? x->last_ms + gap : now;
		x->span_ms = x->span_ms + gap < now ? x->span_ms + gap : now;
	}
	g->checked_ms = now;
	for (struct xfer *x = g->active; x; x = x->next) {
		unsigned secs = x->req.stall_secs ? x->req.stall_secs : g->conf.stall_secs ? g->conf.stall_secs : 60;

		if (now - x->last_ms > (int64_t)secs * 1000)
			x->stalled = true;
		if (now - x->span_ms <= (int64_t)secs * 1000)
			continue;
		if (x->span < (uint64_t)secs * TRICKLE)
			x->stalled = true;
		x->span_ms = now;
		x->span = 0;
	}
}

struct xfer *http_first_stalled(struct http_engine *g)
{
	for (struct xfer *x = g->active; x; x = x->next)
		if (x->stalled)
			return x;
	return NULL;
}

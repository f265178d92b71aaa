/* libcurl says which sockets it waits for, and until when: the kernel is asked for all, only who is ready is looked at. */
#include "remotes/http_own.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

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

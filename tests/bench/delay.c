/*
 * delay - a loopback proxy that delivers every byte a fixed time later, each way, and otherwise as fast as it came.
 *
 *	delay LISTEN_PORT TARGET_PORT MILLISECONDS_EACH_WAY
 *
 * One thread, poll(). A chunk that was read is due after the delay; at most MOST bytes of one direction wait, then it is not
 * read on (the window of a long line). Runs until it is killed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536u
#define MOST (4u << 20)
#define LINKS_MAX 1024

struct chunk { struct chunk *next; double due; size_t at, n; char bytes[]; };
struct way { int from, to; struct chunk *head, **tail; size_t waiting; bool ended, shut, blocked; };
struct link { struct way way[2]; };

static struct link *links[LINKS_MAX];
static size_t nlinks;
static double delay;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in loopback(const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port)) };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static void link_add(int client, const struct sockaddr_in *target)
{
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	struct link *l = calloc(1, sizeof(*l));

	if (nlinks == LINKS_MAX || connect(server, (const struct sockaddr *)target, sizeof(*target))) {
		close(client);
		close(server);
		free(l);
		return;
	}
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	l->way[0] = (struct way){ .from = client, .to = server };
	l->way[1] = (struct way){ .from = server, .to = client };
	for (int i = 0; i < 2; i++)
		l->way[i].tail = &l->way[i].head;
	links[nlinks++] = l;
}

static void take_in(struct way *w)
{
	struct chunk *c = malloc(sizeof(*c) + CHUNK);
	ssize_t n = recv(w->from, c->bytes, CHUNK, MSG_DONTWAIT);

	if (n <= 0) {
		w->ended = n == 0 || (errno != EAGAIN && errno != EINTR);
		free(c);
		return;
	}
	c = realloc(c, sizeof(*c) + (size_t)n);
	*c = (struct chunk){ .due = now() + delay, .n = (size_t)n };
	*w->tail = c;
	w->tail = &c->next;
	w->waiting += (size_t)n;
}

static void give_out(struct way *w, double t)
{
	struct chunk *c;

	w->blocked = false;
	while ((c = w->head) && c->due <= t) {
		ssize_t n = send(w->to, c->bytes + c->at, c->n - c->at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			w->blocked = true;
			return;
		}
		if (n < 0)
			n = (ssize_t)(c->n - c->at);    /* nobody listens: dropped */
		c->at += (size_t)n;
		w->waiting -= (size_t)n;
		if (c->at < c->n)
			continue;
		w->head = c->next;
		if (!w->head)
			w->tail = &w->head;
		free(c);
	}
	if (!w->head && w->ended && !w->shut) {
		shutdown(w->to, SHUT_WR);
		w->shut = true;
	}
}

static bool is_over(const struct link *l)
{
	return l->way[0].shut && l->way[1].shut;
}

static void sweep(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < nlinks; i++) {
		struct link *l = links[i];

		if (!is_over(l)) {
			links[kept++] = l;
			continue;
		}
		close(l->way[0].from);
		close(l->way[1].from);
		free(l);
	}
	nlinks = kept;
}

/* One turn: what came in, what is due. The wait ends when the next chunk is due. */
static void turn(int listener, const struct sockaddr_in *target)
{
	static struct pollfd p[2 * LINKS_MAX + 1];
	double next = 1e18, t = now();
	struct timespec wait;
	size_t had = nlinks;

	p[0] = (struct pollfd){ listener, POLLIN, 0 };
	for (size_t i = 0; i < had; i++)
		for (int k = 0; k < 2; k++) {
			struct way *w = &links[i]->way[k], *back = &links[i]->way[!k];

			p[1 + 2 * i + (size_t)k] = (struct pollfd){ w->from, (short)
				((w->ended || w->waiting >= MOST ? 0 : POLLIN) | (back->blocked ? POLLOUT : 0)), 0 };
			if (w->ended && !back->blocked)
				p[1 + 2 * i + (size_t)k].fd = -1;
			if (w->head && !w->blocked && w->head->due < next)
				next = w->head->due;
		}
	next = next > t + 1 ? 1 : next > t ? next - t : 0;
	wait = (struct timespec){ (time_t)next, (long)((next - (double)(time_t)next) * 1e9) };
	ppoll(p, 1 + 2 * had, &wait, NULL);
	for (size_t i = 0; i < had; i++)
		for (int k = 0; k < 2; k++)
			if (p[1 + 2 * i + (size_t)k].revents & (POLLIN | POLLHUP | POLLERR))
				take_in(&links[i]->way[k]);
	t = now();
	for (size_t i = 0; i < had; i++)
		for (int k = 0; k < 2; k++)
			give_out(&links[i]->way[k], t);
	sweep();
	if (p[0].revents)
		link_add(accept4(listener, NULL, NULL, SOCK_CLOEXEC), target);
}

int main(int argc, char **argv)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	struct sockaddr_in here, there;

	if (argc != 4) {
		fprintf(stderr, "usage: delay LISTEN_PORT TARGET_PORT MILLISECONDS\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	here = loopback(argv[1]);
	there = loopback(argv[2]);
	delay = atof(argv[3]) / 1000;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&here, sizeof(here)) || listen(listener, 512)) {
		perror("delay: listen");
		return 1;
	}
	for (;;)
		turn(listener, &there);
}

#include "remotes/sftpint.h"

#include "core/base/own.h"

/* One directory that puts need. 'asked' counts the attempts: the first may fail for a missing parent, no other may. */
struct mkd {
	char *path;
	bool waiting;
	unsigned asked;
	struct xfer *first;             /* waiting transfers, linked by qnext */
	struct mkd *children, *sibling; /* directories that wait for this one */
};

static void mkd_ask(struct sftp *s, struct mkd *m);

static void mkd_free(void *p)
{
	struct mkd *m = p;

	free(m->path);
	free(m);
}

void mkd_release(struct sftp *s)
{
	map_release(&s->dirs, mkd_free);
	s->dirs = (struct map)MAP_INIT;
}

static struct mkd *mkd_get(struct sftp *s, const char *path, size_t n)
{
	autofree char *key = xstrndup(path, n);
	struct mkd *m = map_get(&s->dirs, key);

	if (!m) {
		m = xcalloc(1, sizeof(*m));
		m->path = xstrdup(key);
		map_put(&s->dirs, key, m);
	}
	return m;
}

/* Wakes all that wait: status OK, or why there is no directory. */
static void mkd_settle(struct sftp *s, struct mkd *m, uint32_t status)
{
	struct xfer *x = m->first, *xnext;
	struct mkd *c = m->children, *cnext;

	m->waiting = false;
	m->first = NULL;
	m->children = NULL;
	if (status != SFTP_OK)
		m->asked = 0;
	for (; x; x = xnext) {
		xnext = x->qnext;
		x->pending--;
		if (!x->op)
			xfer_settle(s, x);
		else if (status == SFTP_OK)
			put_start(s, x);
		else
			xfer_fail(s, x, status, "cannot make the directory of");
	}
	for (; c; c = cnext) {
		cnext = c->sibling;
		if (status == SFTP_OK)
			mkd_ask(s, c);
		else
			mkd_settle(s, c, status);
	}
}

static void mkd_made(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct mkd *m = q->owner, *up;
	uint32_t status = sftp_status_of(s, type, w);
	const char *slash = strrchr(m->path, '/');

	sreq_free(s, q);
	if (status == SFTP_NO_SUCH_FILE && m->asked < 2 && slash && slash != m->path) {
		up = mkd_get(s, m->path, (size_t)(slash - m->path));
		m->sibling = up->children;
		up->children = m;
		if (!up->waiting)
			mkd_ask(s, up);
		return;
	}
	/* FAILURE is how version 3 says that it exists; when it does not, the open after it says so. */
	mkd_settle(s, m, status == SFTP_FAILURE ? SFTP_OK : status);
}

static void mkd_ask(struct sftp *s, struct mkd *m)
{
	m->waiting = true;
	m->asked++;
	sftp_ask_path(s, SFTP_MKDIR, mkd_made, m, m->path);
}

void mkd_wait(struct sftp *s, struct xfer *x)
{
	const char *slash = strrchr(x->path, '/');
	struct mkd *m = mkd_get(s, x->path, slash ? (size_t)(slash - x->path) : 0);

	x->pending++;
	x->qnext = m->first;
	m->first = x;
	if (m->waiting)
		return;
	m->asked = 0;
	mkd_ask(s, m);
}

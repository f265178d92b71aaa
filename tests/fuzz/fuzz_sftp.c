/* A server that answers with any bytes: a session with a listing, a get, a stat, a put and a delete on it. */
#include "core/base/err.h"
#include "core/base/own.h"
#include "remotes/duplex.h"
#include "remotes/sftp.h"

#include <errno.h>

struct tape { struct duplex d; const uint8_t *p; size_t n; bool greeted; };

static ssize_t tape_read(struct duplex *d, void *buf, size_t n)
{
	struct tape *t = (struct tape *)d;

	if (!t->greeted)                /* answers come after their questions */
		n = 9;
	t->greeted = true;
	if (n > t->n)
		n = t->n;
	memcpy(buf, t->p, n);
	t->p += n;
	t->n -= n;
	return (ssize_t)n;
}

static ssize_t tape_write(struct duplex *d UNUSED, const void *buf UNUSED, size_t n)
{
	return (ssize_t)n;
}

static void tape_wait(struct duplex *d UNUSED, bool w UNUSED, int ms UNUSED)
{
}

static void tape_why(struct duplex *d UNUSED, struct err *e)
{
	err_set(e, ERR_TEMP, "the tape ended");
}

static void tape_close(struct duplex *d)
{
	free(d);
}

static const struct duplex_ops ops = { tape_read, tape_write, tape_wait, tape_why, tape_close };

static int sink(struct rop *op UNUSED, const void *p, size_t n)
{
	static volatile unsigned char last __attribute__((unused));

	if (n)
		last = ((const unsigned char *)p)[n - 1];
	return 0;
}

static void done(struct rop *op, enum rclass c UNUSED)
{
	err_release(&op->err);
}

static int listed(const char *key, uint64_t size UNUSED, const char *etag UNUSED, void *data UNUSED, struct err *e UNUSED)
{
	if (!strncmp(key, "..", 2) || *key == '/')
		abort();
	return 0;
}

/* The greeting is always good, so that the bytes reach what comes after it. */
static struct duplex *make_tape(const uint8_t *p, size_t n, uint8_t **owned)
{
	static const uint8_t hello[] = { 0, 0, 0, 5, 2, 0, 0, 0, 3 };
	struct tape *t = xcalloc(1, sizeof(*t));

	t->d.ops = &ops;
	*owned = xmalloc(sizeof(hello) + n);
	memcpy(*owned, hello, sizeof(hello));
	memcpy(*owned + sizeof(hello), p, n);
	t->p = *owned;
	t->n = sizeof(hello) + n;
	return &t->d;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct rop get = { .kind = ROP_GET, .key = "files/md5/aa/b", .fd = -1, .sink = sink, .done = done };
	struct rop look = { .kind = ROP_STAT, .key = "x", .fd = -1, .done = done };
	struct rop put = { .kind = ROP_PUT, .key = "files/md5/aa/c", .fd = -1, .mem = "hello", .size = 5, .done = done };
	struct rop rm = { .kind = ROP_DELETE, .key = "y", .fd = -1, .done = done };
	struct rop *all[] = { &get, &look, &put, &rm };
	autoerr struct err e = ERR_INIT;
	autofree uint8_t *owned = NULL;
	struct sftp *s;

	if (!n || n > 1 << 16)
		return 0;
	s = sftp_new("/base", "fuzz");
	if (!sftp_attach(s, make_tape(p + 1, n - 1, &owned), 1, &e)) {
		for (size_t i = 0; i < 4; i++)
			if (*p & (1 << i))
				sftp_submit(s, all[i]);
		if (*p & 16)
			sftp_list(s, "files/", listed, NULL, &e);
		while (sftp_attached(s) && !sftp_run(s, 0, &e) && !sftp_idle(s))
			;
	}
	sftp_free(s);
	return 0;
}

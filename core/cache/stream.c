/*
 * Large files: read once, hashed while they are copied, several at a time per worker. MD5 cannot be split within a
 * file, so a worker advances all its files by the same stretch and hashes those stretches side by side (hash.h).
 */
#include "core/cache/ingest_own.h"

#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/base/proc.h"
#include "core/base/progress.h"
#include "core/cache/store.h"
#include "core/cache/store_own.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define STRETCH (256u << 10)
#define LANES 8                         /* their buffers together fit a core's cache */

struct stream {
	struct walk_file *f;            /* NULL: the lane is free */
	int fd, to;                     /* to: -1 when nothing is copied */
	bool clone;                     /* 'to' is a clone already: it is what is hashed (I1) */
	bool holes;                     /* the file has holes: stretches of zeros are not written */
	char tmp[32];
	struct md5 md5;
	uint64_t at;
	unsigned char *buf;
	size_t have;
};
struct streams {
	struct run *r;
	struct stream s[LANES];
	unsigned lanes;
};

static void stream_drop(struct streams *x, struct stream *s)
{
	if (s->to >= 0) {
		close(s->to);
		store_drop(x->r->in->store, s->tmp);
	}
	if (s->fd >= 0)
		close(s->fd);
	s->fd = s->to = -1;
	s->f = NULL;
}

static int open_copy(struct run *r, struct stream *s, struct err *e)
{
	if (store_anon(r->in->store, &s->to, s->tmp, e))
		return -1;
	s->clone = r->reflink && !ioctl(s->to, FICLONE, s->fd);
	return 0;
}

static int stream_open(struct streams *x, struct stream *s, struct walk_file *f, struct err *e)
{
	struct run *r = x->r;
	struct stat st;

	s->fd = ingest_open(r, f, e);
	s->to = -1;
	if (s->fd < 0)
		return -1;
	s->f = f;
	s->at = 0;
	s->clone = false;
	md5_init(&s->md5);
	if (ingest_restat(r, f, s->fd, e) || fstat(s->fd, &st))
		return -1;
	s->holes = (uint64_t)st.st_blocks * 512 < f->size;
	if (r->import && !ingest_may_link(r, f) && open_copy(r, s, e))
		return -1;
	if (!s->buf)
		s->buf = xmalloc(STRETCH);
	return 0;
}

static int write_stretch(struct run *r, struct stream *s, struct err *e)
{
	if (s->to < 0 || s->clone || !s->have)
		return 0;
	if (s->holes && !s->buf[0] && !memcmp(s->buf, s->buf + 1, s->have - 1)) {
		if (!ftruncate(s->to, (off_t)(s->at + s->have)) && lseek(s->to, (off_t)s->have, SEEK_CUR) >= 0)
			return 0;
	} else if (!fs_write_all(s->to, s->buf, s->have)) {
		return 0;
	}
	return err_sys(e, "cannot write to the cache '%s'", store_dir(r->in->store));
}

/* Fills the buffer as far as the file goes, and copies it. */
static int read_stretch(struct run *r, struct stream *s, struct err *e)
{
	int from = s->clone ? s->to : s->fd;

	s->have = 0;
	while (s->have < STRETCH) {
		ssize_t n = read(from, s->buf + s->have, STRETCH - s->have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "cannot read '%s/%s'", r->root, s->f->path);
		if (!n)
			break;
		s->have += (size_t)n;
	}
	if (write_stretch(r, s, e))
		return -1;
	s->at += s->have;
	progress_add(r->in->progress, 0, s->have);
	return 0;
}

/* The digest is of the copy, or of the file while it stood still; the file may become the object, or be copied after. */
static int store_stream(struct run *r, struct stream *s, struct err *e)
{
	int rc;

	if (s->to >= 0) {
		rc = store_name_anon(r->in->store, &s->f->id, s->to, s->tmp, e);
		if (!rc) {
			close(s->to);
			s->to = -1;
		}
		return rc;
	}
	rc = ingest_link(r, s->f, s->fd, e);
	return rc < 0 ? -1 : rc ? 0 : 1;
}

/* 1: the file cannot be linked after all and goes through again, as a copy. */
static int stream_end(struct streams *x, struct stream *s, struct err *e)
{
	struct run *r = x->r;
	struct walk_file *f = s->f;
	int rc;

	md5_final(&s->md5, f->id.md5);
	f->id.is_dir = 0;
	if (r->in->legacy && (lseek(s->to >= 0 ? s->to : s->fd, 0, SEEK_SET) < 0 ||
			      legacy_md5(s->to >= 0 ? s->to : s->fd, f->id.md5, e)))
		return e->code ? -1 : err_sys(e, "cannot read '%s/%s' again", r->root, f->path);
	rc = s->at == f->size ? ingest_settled(r, f, s->fd, e) : 0;
	if (rc != 1)
		return rc ? -1 : ingest_changed(r, f->path, e);
	rc = r->import ? store_stream(r, s, e) : 0;
	if (rc < 0) {
		f->known = WALK_UNKNOWN;
		return -1;
	}
	if (rc) {
		r->hardlink = false;
		stream_drop(x, s);
		return stream_open(x, s, f, e) ? -1 : 1;
	}
	ingest_count(r, f, r->import);
	progress_add(r->in->progress, 1, 0);
	stream_drop(x, s);
	return 0;
}

static int refill(struct streams *x, unsigned want, unsigned *busy, struct err *e)
{
	struct run *r = x->r;

	while (*busy < want) {
		size_t i = atomic_fetch_add(&r->next_large, 1);
		struct stream *s = x->s;

		if (i >= r->nlarge)
			return 0;
		while (s->f)
			s++;
		if (stream_open(x, s, &r->w->f[r->large[i]], e))
			return err_in(e, "cannot add '%s/%s'", r->root, r->w->f[r->large[i]].path);
		++*busy;
	}
	return 0;
}

/* One stretch of every file: the whole ones side by side, ends on their own. */
static int round_of(struct streams *x, unsigned *busy, struct err *e)
{
	struct md5 *m[LANES];
	const unsigned char *p[LANES];
	size_t n = 0;

	for (struct stream *s = x->s; s < x->s + LANES; s++) {
		if (!s->f)
			continue;
		if (read_stretch(x->r, s, e))
			return -1;
		if (s->have == STRETCH) {
			m[n] = &s->md5;
			p[n++] = s->buf;
		}
	}
	if (n)
		md5_blocks_many(m, p, STRETCH / 64, n);
	for (struct stream *s = x->s; s < x->s + LANES; s++) {
		int rc;

		if (!s->f || s->have == STRETCH)
			continue;
		md5_update(&s->md5, s->buf, s->have);
		rc = stream_end(x, s, e);
		if (rc < 0)
			return -1;
		*busy -= !rc;
	}
	return 0;
}

static int work(void *data, size_t from, size_t to, unsigned worker, struct err *e)
{
	struct streams x = { .r = data };
	unsigned busy = 0;
	int rc = 0;

	(void)from, (void)to, (void)worker;
	for (unsigned i = 0; i < LANES; i++)
		x.s[i].fd = x.s[i].to = -1;
	x.lanes = x.r->lanes;
	do {
		rc = proc_check(e) || refill(&x, x.lanes, &busy, e) || (busy && round_of(&x, &busy, e)) ? -1 : 0;
	} while (!rc && busy);
	for (unsigned i = 0; i < LANES; i++) {
		stream_drop(&x, &x.s[i]);
		free(x.s[i].buf);
	}
	return rc;
}

int ingest_streams(struct run *r, struct err *e)
{
	size_t workers = pool_size(r->in->pool) - 1, each = (r->nlarge + workers - 1) / workers;

	if (!r->nlarge)
		return 0;
	r->lanes = each < LANES ? (unsigned)each : LANES;
	return pool_for(r->in->pool, r->nlarge < workers ? r->nlarge : workers, 1, work, r, e);
}

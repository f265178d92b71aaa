/*
 * Large files: read once, hashed while they are copied, several at a time. MD5 cannot be split within a file, so files
 * are read by stretches, and stretches of different files are hashed side by side (hash.h).
 *
 * All workers share the open files. Each has two buffers: one is read into (and written out) while the other is hashed.
 * A worker that is free hashes, as soon as every open file has a stretch ready or nothing is left to read into; else it
 * reads. So a few files on many cores are hashed in one worker's lanes while others read, and many files in many.
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
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define STRETCH (256u << 10)
#define LANES 8                         /* stretches hashed side by side: together they fit a core's cache */
#define OPEN_MOST 64

struct stream {
	struct walk_file *f;            /* NULL: the place is free */
	int fd, to;                     /* to: -1 when nothing is copied */
	bool clone;                     /* 'to' is a clone already: it is what is hashed (I1) */
	bool holes;                     /* the file has holes: stretches of zeros are not written */
	char tmp[32];
	struct md5 md5;
	uint64_t at;                    /* read so far */
	unsigned char *buf[2];
	size_t have[2];
	/* guarded by the lock of all streams; while reading (hashing) is set, that worker alone uses what it is about */
	unsigned full, first;           /* buffers with something in them; the one to hash next */
	bool reading, hashing, at_end;
};
struct streams {
	struct run *r;
	pthread_mutex_t mu;
	pthread_cond_t changed;
	struct stream s[OPEN_MOST];
	unsigned most, live, busy;      /* places to use; open files; workers at work on one */
	bool failed;
};

static void stream_close(struct streams *x, struct stream *s)
{
	if (s->to >= 0) {
		close(s->to);
		store_drop(x->r->in->store, s->tmp);
	}
	if (s->fd >= 0)
		close(s->fd);
	s->fd = s->to = -1;
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
	s->at = 0;
	s->full = s->first = 0;
	s->clone = s->at_end = false;
	md5_init(&s->md5);
	if (ingest_restat(r, f, s->fd, e))
		return -1;
	if (fstat(s->fd, &st))
		return err_sys(e, "cannot read '%s%s%s'", SHOWN(r->root, f->path));
	s->holes = (uint64_t)st.st_blocks * 512 < f->size;
	if (r->import && !ingest_may_link(r, f) && open_copy(r, s, e))
		return -1;
	for (int i = 0; i < 2; i++)
		if (!s->buf[i])
			s->buf[i] = xmalloc(STRETCH);
	return 0;
}

static int write_stretch(struct run *r, struct stream *s, const unsigned char *p, size_t n, struct err *e)
{
	if (s->to < 0 || s->clone || !n)
		return 0;
	if (s->holes && !p[0] && !memcmp(p, p + 1, n - 1)) {
		if (!ftruncate(s->to, (off_t)(s->at + n)) && lseek(s->to, (off_t)n, SEEK_CUR) >= 0)
			return 0;
	} else if (!fs_write_all(s->to, p, n)) {
		return 0;
	}
	err_sys(e, "cannot write to the cache '%s'", store_dir(r->in->store));
	return err_in(e, "cannot store '%s%s%s'", SHOWN(r->root, s->f->path));
}

/* Fills a buffer as far as the file goes, and copies it. */
static int read_stretch(struct run *r, struct stream *s, unsigned which, struct err *e)
{
	int from = s->clone ? s->to : s->fd;
	size_t have = 0;

	while (have < STRETCH) {
		ssize_t n = read(from, s->buf[which] + have, STRETCH - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "cannot read '%s%s%s'", SHOWN(r->root, s->f->path));
		if (!n)
			break;
		have += (size_t)n;
	}
	if (write_stretch(r, s, s->buf[which], have, e))
		return -1;
	s->have[which] = have;
	s->at += have;
	progress_add(r->in->progress, 0, have);
	return 0;
}

/* The digest is of the copy, or of the file while it stood still; the file may become the object, or be copied after. */
static int store_stream(struct run *r, struct stream *s, struct err *e)
{
	int rc;

	if (s->to >= 0) {
		rc = store_publish(r->in->store, &s->f->id, s->to, s->tmp, e);
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
		return e->code ? -1 : err_sys(e, "cannot read '%s%s%s' again", SHOWN(r->root, f->path));
	rc = s->at == f->size ? ingest_settled(r, f, s->fd, e) : 0;
	if (rc != 1)
		return rc ? -1 : ingest_changed(r, f->path, e);
	rc = r->import ? store_stream(r, s, e) : 0;
	if (rc < 0) {
		f->known = WALK_UNKNOWN;
		return -1;
	}
	if (rc) {
		stream_close(x, s);
		return stream_open(x, s, f, e) ? -1 : 1;
	}
	ingest_count(r, f, r->import);
	progress_add(r->in->progress, 1, 0);
	stream_close(x, s);
	return 0;
}

/* ---- what a worker does outside the lock ---- */

/* The stretches of up to LANES files: whole ones side by side, ends on their own. */
static void hash_some(struct stream *const *s, size_t n)
{
	struct md5 *m[LANES];
	const unsigned char *p[LANES];
	size_t whole = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i]->have[s[i]->first] != STRETCH)
			continue;
		m[whole] = &s[i]->md5;
		p[whole++] = s[i]->buf[s[i]->first];
	}
	if (whole)
		md5_blocks_many(m, p, STRETCH / 64, whole);
	for (size_t i = 0; i < n; i++)
		if (s[i]->have[s[i]->first] != STRETCH)
			md5_update(&s[i]->md5, s[i]->buf[s[i]->first], s[i]->have[s[i]->first]);
}

/* ---- under the lock ---- */

static bool may_read(const struct stream *s)
{
	return s->f && !s->reading && !s->at_end && s->full < 2;
}

static bool may_hash(const struct stream *s)
{
	return s->f && !s->hashing && s->full;
}

static int do_hash(struct streams *x, struct err *e)
{
	struct stream *s[LANES], *end[LANES];
	size_t n = 0, ends = 0;
	int rc = 0;

	for (struct stream *i = x->s; i < x->s + x->most && n < LANES; i++) {
		if (!may_hash(i))
			continue;
		i->hashing = true;
		s[n++] = i;
	}
	pthread_mutex_unlock(&x->mu);
	hash_some(s, n);
	pthread_mutex_lock(&x->mu);
	for (size_t i = 0; i < n; i++) {
		s[i]->first ^= 1;
		s[i]->full--;
		s[i]->hashing = false;
		if (!s[i]->at_end || s[i]->full)
			continue;
		s[i]->hashing = s[i]->reading = true;   /* it stays ours alone, to be finished */
		end[ends++] = s[i];
	}
	pthread_cond_broadcast(&x->changed);
	for (size_t i = 0; i < ends && rc >= 0; i++) {
		pthread_mutex_unlock(&x->mu);
		rc = stream_end(x, end[i], e);
		pthread_mutex_lock(&x->mu);
		end[i]->hashing = end[i]->reading = false;
		if (!rc) {
			end[i]->f = NULL;
			x->live--;
		}
	}
	return rc < 0 ? -1 : 0;
}

static int do_read(struct streams *x, struct stream *s, struct err *e)
{
	unsigned which = s->first ^ (s->full & 1);
	int rc;

	s->reading = true;
	pthread_mutex_unlock(&x->mu);
	rc = read_stretch(x->r, s, which, e);
	pthread_mutex_lock(&x->mu);
	s->reading = false;
	if (rc)
		return -1;
	s->full++;
	s->at_end = s->have[which] < STRETCH;
	return 0;
}

static int do_open(struct streams *x, struct err *e)
{
	struct run *r = x->r;
	struct walk_file *f = &r->w->f[r->large[r->next_large++]];
	struct stream *s = x->s;
	int rc;

	while (s->f)
		s++;
	s->f = f;
	s->reading = s->hashing = true;
	x->live++;
	pthread_mutex_unlock(&x->mu);
	rc = stream_open(x, s, f, e);
	pthread_mutex_lock(&x->mu);
	s->reading = s->hashing = false;
	return rc ? err_in(e, "cannot add '%s%s%s'", SHOWN(r->root, f->path)) : 0;
}

/* One thing that can be done now: 1 done, 0 nothing can, -1 error. */
static int step(struct streams *x, struct err *e)
{
	struct stream *read = NULL;
	unsigned ready = 0;
	int rc;

	for (struct stream *s = x->s; s < x->s + x->most; s++) {
		ready += may_hash(s);
		if (may_read(s) && (!read || s->full < read->full))
			read = s;
	}
	x->busy++;
	if (ready && (ready >= LANES || ready >= x->live || !read))
		rc = do_hash(x, e);
	else if (x->live < x->most && x->r->next_large < x->r->nlarge)
		rc = do_open(x, e);
	else if (read)
		rc = do_read(x, read, e);
	else
		rc = 1;
	x->busy--;
	return rc > 0 ? 0 : rc ? -1 : 1;
}

static int work(void *data, size_t from, size_t to, unsigned worker, struct err *e)
{
	struct streams *x = data;
	int rc = 0;

	(void)from, (void)to, (void)worker;
	pthread_mutex_lock(&x->mu);
	while (!x->failed && (x->live || x->r->next_large < x->r->nlarge)) {
		rc = proc_check(e) ? -1 : step(x, e);
		if (rc < 0)
			x->failed = true;
		if (rc)
			pthread_cond_broadcast(&x->changed);
		else if (x->busy)
			pthread_cond_wait(&x->changed, &x->mu);
		else
			BUG("%u large files are open and nothing can be done", x->live);
	}
	pthread_mutex_unlock(&x->mu);
	return rc < 0 ? -1 : 0;
}

int ingest_streams(struct run *r, struct err *e)
{
	size_t workers = pool_size(r->in->pool) - 1;
	struct streams *x;
	int rc;

	if (!r->nlarge)
		return 0;
	x = xcalloc(1, sizeof(*x));
	x->r = r;
	x->most = workers * LANES < OPEN_MOST ? (unsigned)workers * LANES : OPEN_MOST;
	pthread_mutex_init(&x->mu, NULL);
	pthread_cond_init(&x->changed, NULL);
	for (unsigned i = 0; i < OPEN_MOST; i++)
		x->s[i].fd = x->s[i].to = -1;
	rc = pool_for(r->in->pool, workers, 1, work, x, e);
	for (unsigned i = 0; i < OPEN_MOST; i++) {
		stream_close(x, &x->s[i]);
		free(x->s[i].buf[0]);
		free(x->s[i].buf[1]);
	}
	pthread_mutex_destroy(&x->mu);
	pthread_cond_destroy(&x->changed);
	free(x);
	return rc;
}

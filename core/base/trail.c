#include "core/base/trail.h"

#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/own.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define BLOCK (128u << 10)      /* read at once for each track: a lane's share of the nearest caches */
#define WAKE (4 * BLOCK)         /* of each track: a round of one costs what a round of all does */
#define LAG (32u << 20)           /* of one track: others that bring nothing are not waited for */
#define LANES_MAX 16u

struct track {
	struct trail *trail;
	struct track *next;
	int fd;
	uint64_t at, avail;             /* hashed up to; there up to */
	struct md5 md5;
	unsigned char digest[16];
	bool ended, busy, over;
	int error;                      /* errno; -1: shorter than was said */
};
struct trail {
	pthread_t thread;
	bool running, stop, waits;
	pthread_mutex_t lock;
	pthread_cond_t work, idle;      /* something to hash; a round is over */
	struct track *tracks, **tail;   /* in turn: who was served goes behind the others */
	unsigned lanes;
	unsigned char *buf;             /* lanes * BLOCK */
};
struct round { struct track *k[LANES_MAX]; size_t len[LANES_MAX]; unsigned n; };

struct trail *trail_new(void)
{
	struct trail *t = xcalloc(1, sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->work, NULL);
	pthread_cond_init(&t->idle, NULL);
	t->tail = &t->tracks;
	t->lanes = md5_lanes() > LANES_MAX ? LANES_MAX : md5_lanes();
	return t;
}

void trail_free(struct trail *t)
{
	if (!t)
		return;
	if (t->tracks)
		BUG("a track is still open");
	if (t->running) {
		pthread_mutex_lock(&t->lock);
		t->stop = true;
		pthread_cond_signal(&t->work);
		pthread_mutex_unlock(&t->lock);
		pthread_join(t->thread, NULL);
	}
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->work);
	pthread_cond_destroy(&t->idle);
	free(t->buf);
	free(t);
}

/* ---- the thread ---- */

/* What can be hashed of a track now: whole blocks, or the rest of one that ended. */
static size_t ready(const struct track *k)
{
	uint64_t n = k->avail - k->at;

	if (k->over)
		return 0;
	if (n >= BLOCK)
		return BLOCK;
	return k->ended ? (size_t)n : 0;
}

static bool is_finished(const struct track *k)
{
	return k->ended && !k->over && k->at == k->avail;
}

/* Whether a round is worth its time: all lanes are used, or somebody should not wait for that. Under the lock. */
static bool is_worth(const struct trail *t, uint64_t each)
{
	unsigned n = 0, open = 0;

	for (const struct track *k = t->tracks; k; k = k->next) {
		uint64_t lag = k->avail - k->at;

		if (k->over)
			continue;
		if (k->ended || lag >= LAG)
			return true;
		open++;
		n += lag >= each;
	}
	return n && n >= (open < t->lanes ? open : t->lanes);
}

/* Takes as many tracks as there are lanes; what is left of one that ended is final. Under the lock. */
static void choose(struct trail *t, struct round *r)
{
	r->n = 0;
	if (!is_worth(t, BLOCK))
		return;
	for (struct track *k = t->tracks; k && r->n < t->lanes; k = k->next) {
		if (is_finished(k)) {
			md5_final(&k->md5, k->digest);
			k->over = true;
		}
		if (!ready(k))
			continue;
		k->busy = true;
		r->len[r->n] = ready(k);
		r->k[r->n++] = k;
	}
}

static void read_one(struct track *k, unsigned char *buf, size_t want)
{
	size_t have = 0;

	while (have < want) {
		ssize_t n = pread(k->fd, buf + have, want - have, (off_t)(k->at + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			k->error = n ? errno : -1;
			return;
		}
		have += (size_t)n;
	}
}

/* Whole blocks side by side, rests one by one. */
static void hash_round(struct trail *t, struct round *r)
{
	const unsigned char *p[LANES_MAX];
	struct md5 *m[LANES_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < r->n; i++) {
		unsigned char *buf = t->buf + (size_t)i * BLOCK;

		read_one(r->k[i], buf, r->len[i]);
		if (r->k[i]->error || r->len[i] < BLOCK)
			continue;
		m[n] = &r->k[i]->md5;
		p[n++] = buf;
	}
	if (n)
		md5_blocks_many(m, p, BLOCK / 64, n);
	for (unsigned i = 0; i < r->n; i++)
		if (!r->k[i]->error && r->len[i] < BLOCK)
			md5_update(&r->k[i]->md5, t->buf + (size_t)i * BLOCK, r->len[i]);
}

static void to_the_end(struct trail *t, struct track *k)
{
	struct track **p = &t->tracks;

	if (!k->next)
		return;
	while (*p != k)
		p = &(*p)->next;
	*p = k->next;
	k->next = NULL;
	*t->tail = k;
	t->tail = &k->next;
}

/* One round; false: nothing is worth one. Under the lock, which it leaves while it hashes. */
static bool serve(struct trail *t)
{
	struct round r;

	choose(t, &r);
	if (!r.n)
		return false;
	pthread_mutex_unlock(&t->lock);
	hash_round(t, &r);
	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < r.n; i++) {
		r.k[i]->at += r.len[i];
		r.k[i]->busy = false;
		r.k[i]->over = r.k[i]->over || r.k[i]->error;
		to_the_end(t, r.k[i]);
	}
	pthread_cond_broadcast(&t->idle);
	return true;
}

static void *work(void *data)
{
	struct trail *t = data;

	pthread_mutex_lock(&t->lock);
	while (!t->stop) {
		if (serve(t))
			continue;
		t->waits = true;
		pthread_cond_wait(&t->work, &t->lock);
		t->waits = false;
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* ---- the caller ---- */

struct track *track_open(struct trail *t, int fd, uint64_t from)
{
	struct track *k = xcalloc(1, sizeof(*k));

	k->trail = t;
	k->fd = fd;
	k->at = k->avail = from;
	md5_init(&k->md5);
	if (!t->running) {
		if (!t->buf)
			t->buf = xmalloc((size_t)t->lanes * BLOCK);
		t->running = !pthread_create(&t->thread, NULL, work, t);
	}
	pthread_mutex_lock(&t->lock);
	*t->tail = k;
	t->tail = &k->next;
	pthread_mutex_unlock(&t->lock);
	return k;
}

static void go_on(struct track *k, uint64_t upto, bool end)
{
	struct trail *t = k->trail;
	bool more;

	pthread_mutex_lock(&t->lock);
	more = end || upto / BLOCK > k->avail / BLOCK;
	if (upto > k->avail)
		k->avail = upto;
	k->ended = k->ended || end;
	if (more && t->waits && is_worth(t, WAKE)) {
		t->waits = false;
		pthread_cond_signal(&t->work);
	}
	while (!t->running && serve(t))
		;
	pthread_mutex_unlock(&t->lock);
}

void track_reach(struct track *k, uint64_t upto)
{
	go_on(k, upto, false);
}

void track_end(struct track *k, uint64_t upto)
{
	go_on(k, upto, true);
}

int track_digest(struct track *k, unsigned char md5[16], struct err *e)
{
	struct trail *t = k->trail;
	bool over;

	pthread_mutex_lock(&t->lock);
	over = k->over;
	pthread_mutex_unlock(&t->lock);
	if (!over)
		return 1;
	if (k->error > 0) {
		errno = k->error;
		return err_sys(e, "cannot read the object");
	}
	if (k->error)
		return err_set(e, ERR_CHANGED, "the object became shorter while it was read");
	memcpy(md5, k->digest, 16);
	return 0;
}

void track_close(struct track *k)
{
	struct track **p;
	struct trail *t;

	if (!k)
		return;
	t = k->trail;
	pthread_mutex_lock(&t->lock);
	while (k->busy)
		pthread_cond_wait(&t->idle, &t->lock);
	for (p = &t->tracks; *p != k; p = &(*p)->next)
		;
	*p = k->next;
	if (!k->next)
		t->tail = p;
	pthread_mutex_unlock(&t->lock);
	free(k);
}

#include "remotes/wrap.h"

#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/str.h"

#include <sys/random.h>
#include <time.h>

#define DELAY_FIRST_MS 200u
#define DELAY_MOST_MS 20000u
#define SAY_MS 5000             /* a pause that people wonder about */
#define COLD_TRIES 3u           /* nothing ever answered here: give up early */
#define MEASURE_MS 400
#define QUICK_MS 40

struct waiter {
	struct rop *op;
	void (*done)(struct rop *r, enum rclass c);
	int (*sink)(struct rop *r, const void *p, size_t n);
	int (*sink_restart)(struct rop *r);
	int (*piece)(struct rop *r, uint64_t off, const void *p, size_t n);
	void *wrap;             /* what the next wrapper outside had stored */
	struct retry *owner;
	int64_t sent, spent, due;       /* spent: on tries and the pauses between them, not in our own queue */
	uint64_t moved;
	struct waiter *next;
};
struct retry {
	struct remote remote;
	struct remote *inner;
	struct waiter *waiting;         /* ordered by due */
	unsigned inflight, nwaiting, widest;
	bool answered, full, said;
	/* the adapting window */
	int64_t since, halved, probe_at;
	uint64_t ops, bytes;
	double best;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

unsigned retry_delay_ms(unsigned attempt, int retry_after)
{
	unsigned most = DELAY_FIRST_MS, dice = 0;

	for (unsigned i = 1; i < attempt && most < DELAY_MOST_MS; i++)
		most *= 2;
	if (most > DELAY_MOST_MS)
		most = DELAY_MOST_MS;
	if (getrandom(&dice, sizeof(dice), GRND_NONBLOCK) != (ssize_t)sizeof(dice))
		dice = (unsigned)now_ms() * 2654435761u;
	if (retry_after > 0)
		return (unsigned)retry_after * 1000 + dice % 250;
	return most / 4 + dice % (most - most / 4 + 1);
}

static struct retry *retry_of(struct remote *r)
{
	return (struct retry *)r;
}

/* ---- the window ---- */

static void window_shrink(struct retry *w)
{
	int64_t now = now_ms();
	unsigned have = w->inner->ops->window(w->inner, 0);

	if (now - w->halved < 1000 || have < 2)
		return;
	w->halved = now;
	w->best = 0;
	w->probe_at = now + 5000;
	w->inner->ops->window(w->inner, have / 2);
}

/* Doubles while that pays at once, as at a distant server; then grows by a quarter while the last growth made the whole
 * faster; asks again from time to time. */
static void window_measure(struct retry *w)
{
	int64_t now = now_ms(), span = now - w->since;
	unsigned have;
	double rate;

	if (span < QUICK_MS)
		return;
	have = w->inner->ops->window(w->inner, 0);
	rate = ((double)w->ops + (double)w->bytes / 262144.0) / (double)span;
	if (span < MEASURE_MS && (!w->full || now < w->probe_at || w->ops < 3 * have || rate < w->best * 1.4))
		return;
	w->since = now;
	w->ops = w->bytes = 0;
	if (!w->full || now < w->probe_at) {
		w->full = false;
		return;
	}
	w->full = false;
	if (rate > w->best * 1.05) {
		w->inner->ops->window(w->inner, rate > w->best * 1.4 ? have * 2 : have + have / 4 + 1);
		w->best = rate;
	} else {
		w->probe_at = now + 5000;
		w->best = rate;
	}
}

/* ---- one operation ---- */

static void unwrap(struct waiter *t)
{
	t->op->done = t->done;
	t->op->sink = t->sink;
	t->op->sink_restart = t->sink_restart;
	t->op->piece = t->piece;
	t->op->wrap = t->wrap;
}

static void finish(struct waiter *t, enum rclass c)
{
	struct rop *op = t->op;

	unwrap(t);
	free(t);
	op->done(op, c);
}

static void wait_until(struct retry *w, struct waiter *t, int64_t due)
{
	struct waiter **p = &w->waiting;

	t->due = due;
	w->nwaiting++;
	while (*p && (*p)->due <= due)
		p = &(*p)->next;
	t->next = *p;
	*p = t;
}

/* Through the caller's own callback, with the caller's own fields in place. */
static int on_sink(struct rop *op, const void *p, size_t n)
{
	struct waiter *t = op->wrap;
	int rc;

	op->wrap = t->wrap;
	rc = t->sink(op, p, n);
	op->wrap = t;
	if (!rc) {
		op->off += n;
		t->moved += n;
		t->owner->bytes += n;
	}
	return rc;
}

static int on_piece(struct rop *op, uint64_t off, const void *p, size_t n)
{
	struct waiter *t = op->wrap;
	int rc;

	op->wrap = t->wrap;
	rc = t->piece(op, off, p, n);
	op->wrap = t;
	if (!rc) {
		t->moved += n;
		t->owner->bytes += n;
	}
	return rc;
}

static int on_restart(struct rop *op)
{
	struct waiter *t = op->wrap;
	int rc;

	op->off = 0;
	op->wrap = t->wrap;
	rc = t->sink_restart ? t->sink_restart(op) : err_set(&op->err, ERR_TEMP, "the transfer must start again");
	op->wrap = t;
	return rc;
}

/* W3: the digest judges in the end, or the tag of the rest tells whether it is of the same file. */
static bool may_go_on(const struct retry *w, const struct rop *op)
{
	if (!(w->inner->caps & REMOTE_RANGE) || op->http_status == 412 || op->http_status == 416)
		return false;
	return op->map || (op->flags & ROP_OBJECT) || (op->etag[0] && !str_starts(op->etag, "W/"));
}

/* W3: what of a get is kept for the next try. */
static int prepare_again(struct retry *w, struct rop *op)
{
	if (op->kind != ROP_GET || (!op->off && !op->map) || may_go_on(w, op))
		return 0;
	op->etag[0] = 0;
	return on_restart(op);
}

static bool may_retry(const struct retry *w, const struct waiter *t, int64_t pause)
{
	const struct rop *op = t->op;
	unsigned most = w->answered || op->http_status ? RETRY_TRIES : COLD_TRIES;

	/* Bytes moved: the link is bad, not the object; go on as long as there is progress. */
	if (t->moved)
		most *= 3;
	return op->attempt < most && t->spent + pause < RETRY_ALL_MS && !proc_cancelled();
}

static void say_pause(struct retry *w, int64_t pause)
{
	if (pause < SAY_MS || w->said)
		return;
	w->said = true;
	notice(NOTICE_NOTE, "'%s' wants a pause: going on in %lld s", w->inner->url, (long long)pause / 1000);
}

static void on_done(struct rop *op, enum rclass c)
{
	struct waiter *t = op->wrap;
	struct retry *w = t->owner;

	int64_t now = now_ms(), pause;

	w->inflight--;
	w->ops++;
	t->spent += now - t->sent;
	if (op->kind == ROP_PUT && c == RC_OK)
		w->bytes += op->size;
	if (op->http_status || (c != RC_RETRY && c != RC_FATAL))
		w->answered = true;
	if (c == RC_RETRY) {
		op->attempt++;
		window_shrink(w);
		pause = retry_delay_ms(op->attempt, op->retry_after);
		if (may_retry(w, t, pause) && !prepare_again(w, op)) {
			t->spent += pause;
			if (op->retry_after)
				say_pause(w, pause);
			wait_until(w, t, now + pause);
			return;
		}
	}
	finish(t, c);
}

static int inner_submit(struct retry *w, struct waiter *t, struct err *e)
{
	int rc = w->inner->ops->submit(w->inner, t->op, e);

	t->sent = now_ms();
	if (!rc)
		w->inflight++;
	else if (rc > 0)
		w->full = true;
	return rc;
}

/* W1: is it the turn of those that wait? */
static bool is_crowded(struct retry *w)
{
	unsigned window = w->inner->ops->window(w->inner, 0);

	if (w->widest < window)
		w->widest = window;
	return w->waiting && (w->inflight + 1 > window || w->inflight + w->nwaiting >= 2 * w->widest || w->waiting->due <= now_ms());
}

static int retry_submit(struct remote *r, struct rop *op, struct err *e)
{
	struct retry *w = retry_of(r);
	struct waiter *t;
	int rc;

	if (is_crowded(w))
		return 1;
	t = xcalloc(1, sizeof(*t));
	*t = (struct waiter){ .op = op, .done = op->done, .sink = op->sink, .sink_restart = op->sink_restart, .piece = op->piece,
			      .wrap = op->wrap, .owner = w };
	op->attempt = 0;
	op->done = on_done;
	if (op->sink)
		op->sink = on_sink;
	if (op->piece)
		op->piece = on_piece;
	op->sink_restart = on_restart;
	op->wrap = t;
	rc = inner_submit(w, t, e);
	if (rc) {
		unwrap(t);
		free(t);
	}
	return rc;
}

/* Sends what is due again; milliseconds to the next, or -1. */
static int wake(struct retry *w, struct err *e)
{
	while (w->waiting) {
		struct waiter *t = w->waiting;
		int64_t left = t->due - now_ms();
		int rc;

		if (left > 0)
			return left > 1000 ? 1000 : (int)left;
		w->waiting = t->next;
		err_release(&t->op->err);
		rc = inner_submit(w, t, e);
		if (rc > 0) {
			t->next = w->waiting;
			w->waiting = t;
			return 20;
		}
		w->nwaiting--;
		if (rc < 0) {
			err_copy(&t->op->err, e);
			err_release(e);
			finish(t, RC_FATAL);
		}
	}
	return -1;
}

static int retry_run(struct remote *r, int timeout_ms, struct err *e)
{
	struct retry *w = retry_of(r);
	int due = wake(w, e);

	if (due >= 0 && due < timeout_ms)
		timeout_ms = due;
	window_measure(w);
	/* Also with nothing of ours in flight: what was told may still be closing there, and count as full. */
	if (w->inflight || !w->waiting)
		return w->inner->ops->run(w->inner, timeout_ms, e);
	if (w->inner->ops->run(w->inner, 0, e))
		return -1;
	if (w->waiting && timeout_ms > 0) {
		struct timespec ts = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };

		nanosleep(&ts, NULL);
	}
	return 0;
}

static void retry_cancel(struct remote *r)
{
	struct retry *w = retry_of(r);

	while (w->waiting) {
		struct waiter *t = w->waiting;

		w->waiting = t->next;
		w->nwaiting--;
		err_set(&t->op->err, ERR_INTR, "interrupted");
		finish(t, RC_FATAL);
	}
	w->inner->ops->cancel(w->inner);
}

static int retry_list(struct remote *r, const char *prefix, remote_list_fn *fn, void *data, struct err *e)
{
	return retry_of(r)->inner->ops->list(retry_of(r)->inner, prefix, fn, data, e);
}

static unsigned retry_window(struct remote *r, unsigned set)
{
	return retry_of(r)->inner->ops->window(retry_of(r)->inner, set);
}

static void retry_close(struct remote *r)
{
	struct retry *w = retry_of(r);

	retry_cancel(r);
	remote_close(w->inner);
	free(r->name);
	free(r->url);
	free(w);
}

struct remote *wrap_retry(struct remote *inner)
{
	static const struct remote_ops ops = {
		.scheme = "retry", .close = retry_close, .submit = retry_submit, .run = retry_run, .list = retry_list,
		.window = retry_window, .cancel = retry_cancel,
	};
	struct retry *w = xcalloc(1, sizeof(*w));

	w->remote = *inner;
	w->remote.ops = &ops;
	w->remote.inner = inner;
	w->remote.name = xstrdup(inner->name);
	w->remote.url = xstrdup(inner->url);
	w->inner = inner;
	w->since = now_ms();
	return &w->remote;
}

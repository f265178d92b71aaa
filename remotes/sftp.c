#include "remotes/sftp.h"

#include "core/base/own.h"
#include "core/base/proc.h"
#include "remotes/duplex.h"
#include "remotes/sftpint.h"

#include <errno.h>
#include <stdarg.h>
#include <time.h>

#define OUT_HIGH (1u << 20)             /* bytes waiting to be written before more are made */
#define QUIET_SECS 60                   /* unless told otherwise */
#define SETTLE_MS 2                     /* between two questions whether a digest is ready */
#define LOCAL_ROUND (8u << 20)           /* bytes hashed before somebody may interrupt */
#define PLAIN_CHUNK 32768u              /* what every server takes (draft, section 3) */
#define BIG_CHUNK 261120u

int64_t sftp_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct sftp *sftp_new(const char *base, const char *who)
{
	struct sftp *s = xcalloc(1, sizeof(*s));
	size_t n = strlen(base);

	while (n && base[n - 1] == '/')
		n--;
	s->base = xstrndup(base, n);
	s->who = xstrdup(who);
	sftp_window(s, 16);
	s->quiet_secs = QUIET_SECS;
	return s;
}

void sftp_quiet(struct sftp *s, int secs)
{
	s->quiet_secs = secs;
}

void sftp_digests(struct sftp *s, sftp_digest_fn *fn, void *data)
{
	s->digest = fn;
	s->digest_data = data;
}

void sftp_window(struct sftp *s, unsigned jobs)
{
	if (jobs > 64)
		jobs = 64;
	s->cap = jobs ? jobs * 64 : 64;
}

bool sftp_attached(const struct sftp *s)
{
	return s->d != NULL;
}

bool sftp_full(const struct sftp *s)
{
	size_t handles = s->max_handles ? s->max_handles * 4 : 256;

	return s->load >= s->cap || s->load >= handles;
}

bool sftp_idle(const struct sftp *s)
{
	const struct xfer *x;

	for (x = s->live; x; x = x->next)
		if (x->op)
			return false;
	return true;
}

/* Requests. */

static struct sreq *slot_take(struct sftp *s)
{
	struct sreq *q = s->spare;

	if (q) {
		s->spare = q->next;
	} else {
		q = xcalloc(1, sizeof(*q));
		GROW(s->slot, s->nslots, s->slot_cap);
		q->id = (uint32_t)s->nslots;
		s->slot[s->nslots++] = q;
	}
	q->id = (q->id & 0xffff) | (++s->generation << 16);
	q->next = NULL;
	q->off = q->got = 0;
	q->len = 0;
	q->arrived = q->eof = false;
	return q;
}

void sreq_free(struct sftp *s, struct sreq *q)
{
	free(q->data);
	q->data = NULL;
	q->reply = NULL;
	q->next = s->spare;
	s->spare = q;
}

struct sreq *sftp_ask(struct sftp *s, enum sftp_type type, sreq_fn *reply, void *owner, size_t *mark)
{
	struct sreq *q = slot_take(s);

	q->reply = reply;
	q->asked = type;
	q->owner = owner;
	q->waiting = true;
	if (!s->waiting++)
		s->moved_at = sftp_now();
	*mark = wire_begin(&s->out, type, q->id);
	return q;
}

void sftp_unask(struct sftp *s, struct sreq *q, size_t mark)
{
	str_setlen(&s->out, mark);
	s->waiting--;
	q->waiting = false;
	sreq_free(s, q);
}

void sftp_sent(struct sftp *s, size_t mark)
{
	wire_end(&s->out, mark);
}

void sftp_ask_path(struct sftp *s, enum sftp_type type, sreq_fn *reply, void *owner, const char *path)
{
	size_t mark;

	sftp_ask(s, type, reply, owner, &mark);
	wire_text(&s->out, path);
	if (type == SFTP_MKDIR)
		wire_u32(&s->out, 0);
	sftp_sent(s, mark);
}

void sftp_ask_handle(struct sftp *s, enum sftp_type type, sreq_fn *reply, void *owner, const struct str *handle)
{
	size_t mark;

	sftp_ask(s, type, reply, owner, &mark);
	wire_bytes(&s->out, str_cstr(handle), handle->len);
	sftp_sent(s, mark);
}

void sftp_ignore(struct sftp *s, struct sreq *q, enum sftp_type type UNUSED, struct wire *w UNUSED)
{
	sreq_free(s, q);
}

void sftp_break(struct sftp *s, const char *fmt, ...)
{
	autofree char *msg = NULL;
	va_list ap;

	if (s->broken)
		return;
	va_start(ap, fmt);
	msg = xvasprintf(fmt, ap);
	va_end(ap);
	s->broken = true;
	err_set(&s->why, ERR_FAIL, "%s", msg);
}

uint32_t sftp_status_of(struct sftp *s, enum sftp_type type, struct wire *w)
{
	uint32_t code = type == SFTP_STATUS ? wire_get_u32(w) : SFTP_BAD_MESSAGE;

	if (type != SFTP_STATUS || w->bad) {
		sftp_break(s, "the server answered with packet type %d where a status belongs", (int)type);
		return SFTP_BAD_MESSAGE;
	}
	return code;
}

/* Moving bytes. */

static void answer(struct sftp *s, struct wire *w)
{
	enum sftp_type type = (enum sftp_type)*w->p++;
	uint32_t id = wire_get_u32(w);
	size_t i = id & 0xffff;
	struct sreq *q = i < s->nslots ? s->slot[i] : NULL;

	if (w->bad || !q || q->id != id || !q->waiting || !q->reply) {
		sftp_break(s, "the server answered a question that was not asked");
		return;
	}
	q->waiting = false;
	s->waiting--;
	s->flight -= q->len;
	q->reply(s, q, type, w);
}

static void digest_input(struct sftp *s)
{
	size_t at = 0, used = 0;
	struct wire w;
	int got;

	while (!s->broken && (got = wire_next(s->in + at, s->in_len - at, &w, &used)) != 0) {
		if (got < 0) {
			sftp_break(s, "the server sent something else than SFTP (does a login script print text?)");
			return;
		}
		answer(s, &w);
		at += used;
	}
	if (at) {
		memmove(s->in, s->in + at, s->in_len - at);
		s->in_len -= at;
	}
}

/* 1 something came, 0 nothing now, -1 the stream ended. */
static int take_input(struct sftp *s)
{
	ssize_t n;

	if (s->in_cap - s->in_len < 65536) {
		s->in_cap = s->in_cap ? s->in_cap * 2 : 1u << 19;
		s->in = xrealloc(s->in, s->in_cap);
	}
	n = s->d->ops->read(s->d, s->in + s->in_len, s->in_cap - s->in_len);
	if (n > 0) {
		s->in_len += (size_t)n;
		s->moved += (uint64_t)n;
		digest_input(s);
		return 1;
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static int push_output(struct sftp *s)
{
	while (s->out_off < s->out.len) {
		ssize_t n = s->d->ops->write(s->d, s->out.buf + s->out_off, s->out.len - s->out_off);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		if (!n)
			return 0;
		s->out_off += (size_t)n;
		s->moved += (uint64_t)n;
	}
	str_reset(&s->out);
	s->out_off = 0;
	return 0;
}

static void fill_output(struct sftp *s)
{
	struct xfer *x;

	if (s->out_off > OUT_HIGH) {
		memmove(s->out.buf, s->out.buf + s->out_off, s->out.len - s->out_off);
		str_setlen(&s->out, s->out.len - s->out_off);
		s->out_off = 0;
	}
	s->local = 0;
	while ((x = s->fresh) && s->out.len - s->out_off < OUT_HIGH) {
		s->fresh = x->qnext;
		x->queued = false;
		xfer_start(s, x);
	}
	while ((x = s->busy) && s->out.len - s->out_off < OUT_HIGH && s->flight < SFTP_FLIGHT && s->local < LOCAL_ROUND) {
		if (sum_has(s, x) && s->out.len - s->out_off > OUT_HIGH / 2)
			break;                  /* one stretch of each file: as many lanes */
		s->busy = x->qnext;
		x->queued = false;
		xfer_chunk(s, x);
	}
	sum_flush(s);
}

/* As many rounds as bytes go on moving without an operation coming to its end. */
static int move_bytes(struct sftp *s)
{
	uint64_t before;
	int got;

	do {
		before = s->moved;
		fill_output(s);
		if (push_output(s))
			return -1;
		while ((got = take_input(s)) > 0 && !s->broken && s->ndone < 64)
			;
		if (got < 0 || s->broken)
			return -1;
	} while (s->moved != before && !s->ndone && !s->local);
	fill_output(s);
	return push_output(s);
}

static void reset(struct sftp *s)
{
	size_t i;

	if (s->d)
		s->d->ops->close(s->d);
	s->d = NULL;
	for (i = 0; i < s->nslots; i++) {
		free(s->slot[i]->data);
		free(s->slot[i]);
	}
	s->nslots = s->waiting = 0;
	s->spare = NULL;
	s->in_len = s->out_off = 0;
	str_reset(&s->out);
	s->flight = 0;
	s->broken = false;
	err_release(&s->why);
	mkd_release(s);
}

void sftp_fail_all(struct sftp *s, enum rclass c, const struct err *why)
{
	struct xfer *all = s->live, *x, *next;

	s->live = s->fresh = s->fresh_last = s->busy = s->busy_last = NULL;
	s->load = 0;
	s->settling = s->asking = 0;
	sum_drop(s);
	reset(s);
	for (x = all; x; x = next) {
		struct rop *op = x->op;

		next = x->next;
		x->op = NULL;
		x->prev = x->next = NULL;
		x->weight = 0;
		xfer_free(NULL, x);
		if (op) {
			err_copy(&op->err, why);
			s->ndone++;
			op->done(op, c);
		}
	}
}

static int lost(struct sftp *s, struct err *e)
{
	autoerr struct err why = ERR_INIT;

	if (s->broken)
		err_move(&why, &s->why);
	else
		s->d->ops->why(s->d, &why);
	err_in(&why, "lost the connection to %s", s->who);
	why.code = ERR_TEMP;
	sftp_fail_all(s, s->silences > 1 ? RC_FATAL : RC_RETRY, &why);
	err_move(e, &why);
	return -1;
}

void sftp_cancel(struct sftp *s, const struct err *why)
{
	struct xfer **all = NULL, *x;
	size_t n = 0, cap = 0, i;

	for (x = s->live; x; x = x->next) {
		if (!x->op)
			continue;
		GROW(all, n, cap);
		all[n++] = x;
	}
	for (i = 0; i < n; i++) {
		err_copy(&all[i]->op->err, why);
		xfer_finish(s, all[i], RC_FATAL);
	}
	free(all);
}

/* What the server was asked longest ago and still owes. */
static const char *oldest(const struct sftp *s)
{
	static const struct { enum sftp_type type; const char *verb; } verbs[] = {
		{ SFTP_OPEN, "open" }, { SFTP_CLOSE, "close" }, { SFTP_READ, "read" }, { SFTP_WRITE, "write" },
		{ SFTP_STAT, "look at" }, { SFTP_FSTAT, "look at" }, { SFTP_REMOVE, "remove" }, { SFTP_MKDIR, "make a directory for" },
		{ SFTP_RENAME, "rename" }, { SFTP_EXTENDED, "rename" },
	};
	const struct sreq *first = NULL;
	uint16_t age = 0;
	size_t i;

	for (i = 0; i < s->nslots; i++) {
		const struct sreq *q = s->slot[i];
		uint16_t a = (uint16_t)(s->generation - (q->id >> 16));

		if (q->waiting && (!first || a > age)) {
			first = q;
			age = a;
		}
	}
	for (i = 0; first && i < ARRAY_LEN(verbs); i++)
		if (verbs[i].type == first->asked)
			return verbs[i].verb;
	return "list or change";
}

int sftp_run(struct sftp *s, int timeout_ms, struct err *e)
{
	uint64_t before = s->moved;

	s->ndone = 0;
	if (move_bytes(s))
		return lost(s, e);
	xfer_settling(s);
	if (!s->ndone && s->moved == before && (s->waiting || s->out.len || s->settling)) {
		if (timeout_ms)
			s->d->ops->wait(s->d, s->out.len > 0, s->settling ? SETTLE_MS : timeout_ms);
		xfer_settling(s);
		if (move_bytes(s))
			return lost(s, e);
	}
	if (s->ndone)
		s->silences = 0;
	if (s->moved != before) {
		s->moved_at = sftp_now();
	} else if (s->waiting && sftp_now() - s->moved_at > s->quiet_secs * 1000LL) {
		s->silences++;
		sftp_break(s, "no answer for %d seconds to a request to %s a file", s->quiet_secs, oldest(s));
		return lost(s, e);
	}
	return 0;
}

void sftp_submit(struct sftp *s, struct rop *op)
{
	struct xfer *x = xfer_new(s, op);

	x->queued = true;
	if (s->fresh)
		s->fresh_last->qnext = x;
	else
		s->fresh = x;
	s->fresh_last = x;
}

/* The opening dialogue. */

static void read_limits(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	uint64_t packet, rd, wr, handles;

	sreq_free(s, q);
	s->limits = true;
	if (type != SFTP_EXTENDED_REPLY)
		return;
	packet = wire_get_u64(w);
	rd = wire_get_u64(w);
	wr = wire_get_u64(w);
	handles = wire_get_u64(w);
	if (w->bad || packet < PLAIN_CHUNK)
		return;
	if (rd >= PLAIN_CHUNK)
		s->max_read = rd < BIG_CHUNK ? (uint32_t)rd : BIG_CHUNK;
	if (wr >= PLAIN_CHUNK)
		s->max_write = wr < BIG_CHUNK ? (uint32_t)wr & ~63u : BIG_CHUNK;         /* whole blocks of MD5 */
	s->max_handles = handles > 1024 ? 1024 : handles > 24 ? (size_t)handles - 16 : 8;
}

static void read_version(struct sftp *s, struct wire *w)
{
	bool limits = false;
	size_t n, mark;

	s->hello = true;
	w->p++;
	wire_get_u32(w);
	while (!w->bad && w->p < w->end) {
		const unsigned char *name = wire_get_bytes(w, &n);

		if (name && n == 24 && !memcmp(name, "posix-rename@openssh.com", n))
			s->posix_rename = true;
		if (name && n == 18 && !memcmp(name, "limits@openssh.com", n))
			limits = true;
		wire_get_bytes(w, &n);
	}
	s->limits = !limits;
	s->in_order = limits;           /* OpenSSH's own, which does one thing after the other */
	if (limits) {
		sftp_ask(s, SFTP_EXTENDED, read_limits, NULL, &mark);
		wire_text(&s->out, "limits@openssh.com");
		sftp_sent(s, mark);
	}
}

/* The first packet. 1 there, 0 not yet, -1 the stream ended or speaks something else. */
static int hear_version(struct sftp *s)
{
	struct wire w;
	size_t used;
	int got;
	ssize_t n = s->d->ops->read(s->d, s->in + s->in_len, 4096);

	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		return -1;
	s->in_len += n > 0 ? (size_t)n : 0;
	got = wire_next(s->in, s->in_len, &w, &used);
	if (got < 0 || (got && *w.p != SFTP_VERSION)) {
		sftp_break(s, "the server sent something else than SFTP (does a login script print text?)");
		return -1;
	}
	if (got) {
		read_version(s, &w);
		memmove(s->in, s->in + used, s->in_len - used);
		s->in_len -= used;
		digest_input(s);
	}
	return got || n > 0;
}

static int greet(struct sftp *s, int secs, struct err *e)
{
	int64_t until = sftp_now() + secs * 1000LL;
	int got;

	while (!s->hello || !s->limits) {
		if (push_output(s))
			return -1;
		got = s->hello ? take_input(s) : hear_version(s);
		if (got < 0 || s->broken)
			return -1;
		if (got)
			continue;
		if (sftp_now() > until)
			return err_set(e, ERR_FAIL, "no answer for %d seconds while waiting for the SFTP greeting", secs);
		if (proc_cancelled())
			return err_set(e, ERR_INTR, "interrupted");
		s->d->ops->wait(s->d, s->out.len > 0, 200);
	}
	return 0;
}

int sftp_attach(struct sftp *s, struct duplex *d, int secs, struct err *e)
{
	s->d = d;
	s->max_read = s->max_write = PLAIN_CHUNK;
	s->max_handles = 64;
	s->hello = s->posix_rename = s->limits = s->in_order = false;
	s->in_cap = 1u << 19;
	s->in = xrealloc(s->in, s->in_cap);
	str_add(&s->out, "\0\0\0\5\1\0\0\0\3", 9);
	if (!greet(s, secs, e))
		return 0;
	if (s->broken)
		err_move(e, &s->why);
	else if (!e->msg)
		s->d->ops->why(s->d, e);
	reset(s);
	return err_in(e, "cannot start SFTP on %s", s->who);
}

void sftp_free(struct sftp *s)
{
	int64_t until = sftp_now() + 2000;
	autoerr struct err e = ERR_INIT, why = ERR_INIT;

	if (!s)
		return;
	err_set(&why, ERR_INTR, "the connection is closing");
	while (s->d && s->waiting && sftp_now() < until && !sftp_run(s, 100, &e))
		;
	sftp_fail_all(s, RC_FATAL, &why);
	free(s->slot);
	free(s->in);
	str_release(&s->out);
	free(s->base);
	free(s->who);
	free(s);
}

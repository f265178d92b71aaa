#include "remotes/sftpint.h"

#include "core/base/own.h"

#include <sys/stat.h>

#define PROBE 32768u            /* first read of a file whose size is not known yet */

struct xfer *xfer_new(struct sftp *s, struct rop *op)
{
	struct xfer *x = xcalloc(1, sizeof(*x));

	x->op = op;
	x->weight = op->kind == ROP_GET || op->kind == ROP_PUT ? 4 : 1;
	x->path = *op->key ? xasprintf("%s/%s", s->base, op->key) : xstrdup(*s->base ? s->base : "/");
	x->next = s->live;
	if (s->live)
		s->live->prev = x;
	s->live = x;
	s->load += x->weight;
	return x;
}

/* s NULL: it is in no list any more. */
void xfer_free(struct sftp *s, struct xfer *x)
{
	if (s) {
		s->load -= x->weight;
		if (x->next)
			x->next->prev = x->prev;
		if (x->prev)
			x->prev->next = x->next;
		else
			s->live = x->next;
	}
	put_give_up(NULL, x);
	back_stop(s, x);
	free(x->path);
	free(x->tmp);
	str_release(&x->handle);
	free(x);
}

struct xfer *xfer_answered(struct sftp *s, struct sreq *q)
{
	struct xfer *x = q->owner;

	sreq_free(s, q);
	x->pending--;
	return x;
}

void xfer_settle(struct sftp *s, struct xfer *x)
{
	if (!x->op && !x->pending && !x->queued && !x->open)
		xfer_free(s, x);
}

void xfer_busy(struct sftp *s, struct xfer *x)
{
	if (x->queued)
		return;
	x->queued = true;
	x->qnext = NULL;
	if (s->busy)
		s->busy_last->qnext = x;
	else
		s->busy = x;
	s->busy_last = x;
}

static void closed(struct sftp *s, struct sreq *q, enum sftp_type type UNUSED, struct wire *w UNUSED)
{
	struct xfer *x = xfer_answered(s, q);

	x->open = false;
	if (!x->op)
		put_give_up(s, x);
	xfer_settle(s, x);
}

void xfer_close(struct sftp *s, struct xfer *x)
{
	x->closing = true;
	x->pending++;
	sftp_ask_handle(s, SFTP_CLOSE, closed, x, &x->handle);
}

/* Drops the answers that wait for their turn. */
static void forget_reads(struct sftp *s, struct xfer *x)
{
	struct sreq *q;

	while ((q = x->first)) {
		x->first = q->next;
		q->next = NULL;
		if (!q->waiting)
			sreq_free(s, q);
	}
	x->last = NULL;
}

void xfer_finish(struct sftp *s, struct xfer *x, enum rclass c)
{
	struct rop *op = x->op;
	int rc = c == RC_OK && op->commit ? op->commit(op) : 0;

	forget_reads(s, x);
	back_stop(s, x);
	s->settling -= x->settling;
	x->settling = rc > 0;
	s->settling += x->settling;
	if (rc > 0)
		return;
	if (rc)
		c = rclass_of_err(&op->err) == RC_ABSENT ? RC_FATAL : rclass_of_err(&op->err);
	x->op = NULL;
	if (x->open && !x->closing)
		xfer_close(s, x);
	else if (!x->open)
		put_give_up(s, x);
	s->ndone++;
	xfer_settle(s, x);
	op->done(op, c);
}

void xfer_settling(struct sftp *s)
{
	struct xfer *x, *next;

	for (x = s->live; x && s->settling; x = next) {
		next = x->next;
		if (x->settling && x->op->kind == ROP_PUT)
			back_judge(s, x);
		else if (x->settling)
			xfer_finish(s, x, RC_OK);
	}
}

static enum rclass class_of(uint32_t status)
{
	if (status == SFTP_NO_CONNECTION || status == SFTP_CONNECTION_LOST)
		return RC_RETRY;
	return RC_FATAL;
}

static enum err_code code_of(uint32_t status)
{
	switch (status) {
	case SFTP_NO_SUCH_FILE: return ERR_NOTFOUND;
	case SFTP_PERMISSION_DENIED: return ERR_PERM;
	case SFTP_OP_UNSUPPORTED: return ERR_UNSUPPORTED;
	case SFTP_NO_CONNECTION:
	case SFTP_CONNECTION_LOST: return ERR_TEMP;
	default: return ERR_FAIL;
	}
}

void xfer_fail(struct sftp *s, struct xfer *x, uint32_t status, const char *what)
{
	struct rop *op = x->op;

	snprintf(op->code, sizeof(op->code), "%s", sftp_status_name(status));
	err_set(&op->err, code_of(status), "%s '%s' on %s: %s", what, x->path, s->who, sftp_status_text(status));
	xfer_finish(s, x, class_of(status));
}

/* The answer to an open. False: there is no handle, *status says why, or the operation is over already. */
bool xfer_opened(struct sftp *s, struct xfer *x, enum sftp_type type, struct wire *w, uint32_t *status)
{
	const unsigned char *p;
	size_t n;

	*status = SFTP_OK;
	if (type != SFTP_HANDLE) {
		*status = sftp_status_of(s, type, w);
		if (*status == SFTP_OK)
			*status = SFTP_BAD_MESSAGE;
		return false;
	}
	p = wire_get_bytes(w, &n);
	if (w->bad || n > 256) {
		sftp_break(s, "the server gave a handle that is not one");
		*status = SFTP_BAD_MESSAGE;
		return false;
	}
	str_add(&x->handle, p, n);
	x->open = true;
	if (x->op)
		return true;
	xfer_close(s, x);
	return false;
}

/* GET */

static void got_data(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w);

static struct sreq *ask_read(struct sftp *s, struct xfer *x, uint64_t off, uint32_t len)
{
	size_t mark;
	struct sreq *q = sftp_ask(s, SFTP_READ, got_data, x, &mark);

	wire_bytes(&s->out, x->handle.buf, x->handle.len);
	wire_u64(&s->out, off);
	wire_u32(&s->out, len);
	sftp_sent(s, mark);
	q->off = off;
	q->len = len;
	s->flight += len;
	x->pending++;
	return q;
}

static void append_read(struct xfer *x, struct sreq *q)
{
	if (x->first)
		x->last->next = q;
	else
		x->first = q;
	x->last = q;
}

static void get_short(struct sftp *s, struct xfer *x)
{
	err_set(&x->op->err, ERR_TEMP, "cannot read '%s' on %s: it ended after %llu of %llu bytes", x->path, s->who,
		(unsigned long long)x->sunk, (unsigned long long)x->size);
	xfer_finish(s, x, RC_RETRY);
}

/* N5: where the next chunk begins that is not there; a chunk that was begun goes on. */
static uint64_t next_gap(const struct rop_map *m, uint64_t at)
{
	while (at < m->size && !(at % m->chunk) && m->state[at / m->chunk] == CHUNK_DONE)
		at += m->chunk;
	return at < m->size ? at : m->size;
}

/* How far to ask from there on. */
static uint64_t gap_end(const struct xfer *x)
{
	const struct rop_map *m = x->op->map;
	uint64_t at = x->at;

	if (!m)
		return x->size;
	do
		at += m->chunk - at % m->chunk;
	while (at < m->size && at - x->at < SFTP_FLIGHT && m->state[at / m->chunk] != CHUNK_DONE);
	return at < m->size ? at : m->size;
}

/* Gives the first answer in line to the sink. 0 go on, 1 the operation is over or waits for more. */
static int sink_first(struct sftp *s, struct xfer *x, const unsigned char *p)
{
	struct sreq *q = x->first, *more;
	uint64_t left = x->size - x->sunk;
	size_t n = q->got < left ? q->got : (size_t)left;
	bool eof = q->eof;

	if (n && (x->op->map ? x->op->piece(x->op, q->off, p, n) : x->op->sink(x->op, p, n))) {
		xfer_finish(s, x, RC_FATAL);
		return 1;
	}
	x->sunk = x->op->map ? next_gap(x->op->map, q->off + n) : x->sunk + n;
	x->first = q->next;
	if (!x->first)
		x->last = NULL;
	if (x->sunk < x->size && q->got < q->len && !eof) {     /* a short answer: the rest of it comes first */
		more = ask_read(s, x, q->off + q->got, q->len - (uint32_t)q->got);
		more->next = x->first;
		x->first = more;
		if (!x->last)
			x->last = more;
	}
	sreq_free(s, q);
	if (x->sunk == x->size) {
		xfer_finish(s, x, RC_OK);
		return 1;
	}
	if (eof) {
		get_short(s, x);
		return 1;
	}
	return 0;
}

static void sink_ready(struct sftp *s, struct xfer *x)
{
	while (x->first && x->first->arrived)
		if (sink_first(s, x, x->first->data))
			return;
	if (x->at < x->size)
		xfer_busy(s, x);
}

static void got_data(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct xfer *x = q->owner;
	const unsigned char *p = NULL;
	uint32_t status = SFTP_OK;

	x->pending--;
	if (type == SFTP_DATA) {
		p = wire_get_bytes(w, &q->got);
		if (w->bad || q->got > q->len)
			sftp_break(s, "the server sent more than it was asked for");
		q->eof = !q->got;
	} else {
		status = sftp_status_of(s, type, w);
		q->eof = true;
	}
	if (!x->op || s->broken) {
		q->arrived = true;
		if (!x->op) {
			sreq_free(s, q);
			xfer_settle(s, x);
		}
		return;
	}
	q->arrived = true;
	if (status != SFTP_OK && status != SFTP_EOF) {
		xfer_fail(s, x, status, "cannot read");
		return;
	}
	if (x->sized && q == x->first) {
		if (!sink_first(s, x, p))
			sink_ready(s, x);
	} else if (q->got) {
		q->data = xmemdup(p, q->got);
	}
}

/* Of what may change, the tag of a get is made of time and length. */
static bool is_another(const struct xfer *x, const struct wire_attrs *a)
{
	struct rop *op = x->op;
	char was[sizeof(op->etag)];

	memcpy(was, op->etag, sizeof(was));
	snprintf(op->etag, sizeof(op->etag), "%u-%llu", a->mtime, (unsigned long long)a->size);
	return x->sunk && !op->map && !(op->flags & ROP_OBJECT) && strcmp(was, op->etag) != 0;
}

/* What was read before is of another file. */
static void get_again(struct sftp *s, struct xfer *x)
{
	if (!x->op->sink_restart(x->op))
		err_set(&x->op->err, ERR_TEMP, "'%s' on %s changed while it was read", x->path, s->who);
	xfer_finish(s, x, RC_RETRY);
}

static void get_size(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct xfer *x = xfer_answered(s, q);
	struct wire_attrs a = wire_attrs_of(type, w);

	if (!x->op) {
		xfer_settle(s, x);
		return;
	}
	if (!a.has_size) {
		xfer_fail(s, x, type == SFTP_STATUS ? sftp_status_of(s, type, w) : SFTP_BAD_MESSAGE, "cannot size");
		return;
	}
	if (a.has_mode && S_ISDIR(a.mode)) {
		xfer_finish(s, x, RC_ABSENT);
		return;
	}
	x->size = x->op->size = a.size;
	x->sized = true;
	if ((x->op->map && x->op->map->size != a.size) || is_another(x, &a)) {
		get_again(s, x);
	} else if (x->sunk > x->size) {
		err_set(&x->op->err, ERR_CORRUPT, "'%s' on %s is shorter than what was read of it", x->path, s->who);
		xfer_finish(s, x, RC_CORRUPT);
	} else if (x->sunk == x->size) {
		xfer_finish(s, x, RC_OK);
	} else {
		sink_ready(s, x);
	}
}

static void get_open(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct xfer *x = xfer_answered(s, q);
	uint32_t status, n;

	if (!xfer_opened(s, x, type, w, &status)) {
		if (x->op && status == SFTP_NO_SUCH_FILE)
			xfer_finish(s, x, RC_ABSENT);
		else if (x->op)
			xfer_fail(s, x, status, "cannot open");
		else
			xfer_settle(s, x);
		return;
	}
	x->pending++;
	sftp_ask_handle(s, SFTP_FSTAT, get_size, x, &x->handle);
	if (x->op->map) {               /* its length comes first */
		x->at = x->sunk;
		return;
	}
	n = PROBE;
	if (x->op->size > x->sunk)      /* the caller's guess */
		n = x->op->size - x->sunk < s->max_read ? (uint32_t)(x->op->size - x->sunk) : s->max_read;
	append_read(x, ask_read(s, x, x->sunk, n));
	x->at = x->sunk + n;
}

static void get_chunk(struct sftp *s, struct xfer *x)
{
	uint64_t left = gap_end(x) - x->at;
	uint32_t n = left < s->max_read ? (uint32_t)left : s->max_read;

	if (x->at >= x->size)
		return;
	append_read(x, ask_read(s, x, x->at, n));
	x->at += n;
	if (x->op->map)
		x->at = next_gap(x->op->map, x->at);
	if (x->at < x->size)
		xfer_busy(s, x);
}

/* STAT and DELETE */

static void got_attrs(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct xfer *x = xfer_answered(s, q);
	struct wire_attrs a = wire_attrs_of(type, w);
	uint32_t status = SFTP_OK;

	if (type != SFTP_ATTRS)
		status = sftp_status_of(s, type, w);
	if (!x->op)
		xfer_settle(s, x);
	else if (status == SFTP_NO_SUCH_FILE || (a.has_mode && S_ISDIR(a.mode)))
		xfer_finish(s, x, RC_ABSENT);
	else if (status != SFTP_OK || !a.has_size)
		xfer_fail(s, x, status != SFTP_OK ? status : SFTP_BAD_MESSAGE, "cannot look at");
	else {
		x->op->size = a.size;
		xfer_finish(s, x, RC_OK);
	}
}

static void removed(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct xfer *x = xfer_answered(s, q);
	uint32_t status = sftp_status_of(s, type, w);

	if (!x->op)
		xfer_settle(s, x);
	else if (status == SFTP_OK || status == SFTP_NO_SUCH_FILE)
		xfer_finish(s, x, status == SFTP_OK ? RC_OK : RC_ABSENT);
	else
		xfer_fail(s, x, status, "cannot remove");
}

void xfer_start(struct sftp *s, struct xfer *x)
{
	size_t mark;

	if (!x->op) {
		xfer_settle(s, x);
		return;
	}
	err_release(&x->op->err);
	if (x->op->begin && x->op->begin(x->op)) {
		xfer_finish(s, x, rclass_of_err(&x->op->err) == RC_ABSENT ? RC_FATAL : rclass_of_err(&x->op->err));
		return;
	}
	if (x->op->kind == ROP_PUT) {
		put_start(s, x);
		return;
	}
	x->pending++;
	switch (x->op->kind) {
	case ROP_STAT:
		sftp_ask_path(s, SFTP_STAT, got_attrs, x, x->path);
		return;
	case ROP_DELETE:
		sftp_ask_path(s, SFTP_REMOVE, removed, x, x->path);
		return;
	default:
		x->sunk = x->op->map ? next_gap(x->op->map, 0) : x->op->off;
		sftp_ask(s, SFTP_OPEN, get_open, x, &mark);
		wire_text(&s->out, x->path);
		wire_u32(&s->out, SFTP_FLAG_READ);
		wire_u32(&s->out, 0);
		sftp_sent(s, mark);
	}
}

void xfer_chunk(struct sftp *s, struct xfer *x)
{
	if (!x->op)
		xfer_settle(s, x);
	else if (x->op->kind == ROP_PUT)
		put_chunk(s, x);
	else
		get_chunk(s, x);
}

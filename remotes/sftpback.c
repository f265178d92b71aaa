#include "remotes/sftpint.h"

#include "core/base/own.h"
#include "remotes/duplex.h"

#include <errno.h>

#define DIGESTS 2u                      /* asked for at once: each is a login */
#define DIGEST_MIN (32u << 20)          /* below that, reading it back is as quick */
#define STEP 261120u                    /* of the source, when only its digest is wanted: whole blocks */
#define SLOW (20u << 20)                /* bytes a second that a server hashes at least, after the login */
#define LOGIN_MS 60000

void back_start(struct sftp *s, struct xfer *x, uint64_t there)
{
	x->by_digest = s->digest && there >= DIGEST_MIN;
	put_go(s, x, there);
}

void back_stop(struct sftp *s, struct xfer *x)
{
	if (!x->asked)
		return;
	x->asked->ops->close(x->asked);
	x->asked = NULL;
	if (s)
		s->asking--;
}

static void ask_digest(struct sftp *s, struct xfer *x)
{
	if (x->asked || s->asking >= DIGESTS)
		return;
	x->nsaid = 0;
	x->ask_until = sftp_now() + LOGIN_MS + (int64_t)(x->there / (SLOW / 1000));
	x->asked = s->digest ? s->digest(s->digest_data, x->tmp, x->there) : NULL;
	if (x->asked)
		s->asking++;
	else
		x->by_digest = false;
}

static void got_back(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct xfer *x = q->owner;
	autofree unsigned char *local = NULL;
	const unsigned char *p = NULL;
	size_t n = 0;

	x->pending--;
	x->checks--;
	if (type == SFTP_DATA)
		p = wire_get_bytes(w, &n);
	if (x->op && !x->differs) {
		local = xmalloc(q->len);
		x->differs = n != q->len || put_source(x->op, q->off, local, n) || memcmp(local, p, n);
	}
	if (!x->op) {
		xfer_settle(s, x);
	} else if (!x->checks && x->differs) {
		put_go(s, x, 0);
	} else if (!x->checks && x->at == x->there) {
		x->there = 0;
		xfer_busy(s, x);
	}
	sreq_free(s, q);
}

static void ask_back(struct sftp *s, struct xfer *x, uint32_t n)
{
	size_t mark;
	struct sreq *q = sftp_ask(s, SFTP_READ, got_back, x, &mark);

	wire_bytes(&s->out, x->handle.buf, x->handle.len);
	wire_u64(&s->out, x->at);
	wire_u32(&s->out, n);
	sftp_sent(s, mark);
	q->off = x->at;
	q->len = n;
	s->flight += n;
	x->pending++;
	x->checks++;
}

int back_chunk(struct sftp *s, struct xfer *x)
{
	uint64_t left = x->there - x->at;
	uint32_t most = x->by_digest ? STEP : s->max_read & ~63u, n = left < most ? (uint32_t)left : most;
	unsigned char *local = xmalloc(n);

	if (put_source(x->op, x->at, local, n)) {
		free(local);
		return -1;
	}
	sum_add(s, (struct sum){ x, 0, n, local });
	if (x->by_digest) {
		ask_digest(s, x);
		s->local += n;
		s->moved += n;
	} else {
		ask_back(s, x, n);
	}
	x->at += n;
	x->settling = x->by_digest && x->at == x->there;
	s->settling += x->settling;
	return 0;
}

/* 32 digits and what md5sum puts behind them, nothing before. */
static bool same_digest(const struct xfer *x)
{
	struct md5 m = x->md5;
	unsigned char ours[16], theirs[16];

	md5_final(&m, ours);
	return hex_decode(theirs, x->said, 16) && !memcmp(ours, theirs, 16);
}

/* 1 the answer is there, 0 not yet, -1 there is none. */
static int hear_digest(struct xfer *x)
{
	ssize_t n = x->asked->ops->read(x->asked, x->said + x->nsaid, sizeof(x->said) - 1 - x->nsaid);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return sftp_now() > x->ask_until ? -1 : 0;
	if (n > 0) {
		x->nsaid += (unsigned)n;
		return x->nsaid == sizeof(x->said) - 1 ? -1 : 0;
	}
	x->said[x->nsaid] = '\0';
	return x->nsaid > 32 && x->said[x->nsaid - 1] == '\n' && strspn(x->said, "0123456789abcdef") == 32 ? 1 : -1;
}

void back_judge(struct sftp *s, struct xfer *x)
{
	uint64_t there = x->there;
	int rc = -1;

	ask_digest(s, x);
	if (x->by_digest && !x->asked)
		return;
	if (x->asked)
		rc = hear_digest(x);
	if (!rc)
		return;
	back_stop(s, x);
	x->settling = false;
	s->settling--;
	if (rc < 0) {           /* no shell, no md5sum: the bytes themselves */
		s->digest = NULL;
		x->by_digest = false;
		put_go(s, x, there);
	} else if (!same_digest(x)) {
		put_go(s, x, 0);
	} else {
		x->there = 0;
		xfer_busy(s, x);
	}
}

#include "remotes/parts.h"

#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/trail.h"
#include "core/data/remote.h"

#include <errno.h>
#include <unistd.h>

#define HASH_BUF (1u << 20)
#define AHEAD 8u                /* pieces whose digests are computed side by side */

void parts_init(struct parts *p, uint64_t size, uint64_t each)
{
	*p = (struct parts){ .size = size, .each = each, .n = (unsigned)((size + each - 1) / each) };
	p->state = xcalloc(p->n, 1);
	p->sum = xcalloc(p->n, sizeof(*p->sum));
}

void parts_stop(struct parts *p)
{
	for (unsigned i = 0; i < p->n; i++) {
		if (p->state[i] == PART_BUSY)
			p->state[i] = PART_TODO;
		track_close(p->sum[i].track);
		p->sum[i].track = NULL;
	}
	p->next = 0;
}

void parts_release(struct parts *p)
{
	parts_stop(p);
	free(p->state);
	free(p->sum);
}

uint64_t parts_len(const struct parts *p, unsigned i)
{
	uint64_t off = (uint64_t)i * p->each;

	return p->size - off < p->each ? p->size - off : p->each;
}

void parts_done(struct parts *p, unsigned i)
{
	p->done += p->state[i] != PART_DONE;
	p->state[i] = PART_DONE;
}

void parts_again(struct parts *p, unsigned i)
{
	p->state[i] = PART_TODO;
	p->next = p->next < i ? p->next : i;
}

int parts_md5(const struct rop *op, uint64_t off, uint64_t len, unsigned char md5[16], struct err *e)
{
	autofree unsigned char *buf = NULL;
	struct md5 m;

	md5_init(&m);
	if (op->fd < 0) {
		md5_update(&m, (const char *)op->mem + off, len);
		len = 0;
	} else {
		buf = xmalloc(HASH_BUF);
	}
	while (len) {
		ssize_t n = pread(op->fd, buf, len < HASH_BUF ? (size_t)len : HASH_BUF, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? err_sys(e, "cannot read the object") :
			       err_set(e, ERR_CHANGED, "the object became shorter while it was sent");
		md5_update(&m, buf, (size_t)n);
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	md5_final(&m, md5);
	return 0;
}

static bool is_open(const struct parts *p, unsigned i)
{
	return p->state[i] == PART_TODO || p->state[i] == PART_CLAIMED;
}

/* 0 known, 1 not yet. */
static int sum_of(struct parts *p, struct trail **trail, const struct rop *op, unsigned i, struct err *e)
{
	struct part_sum *s = &p->sum[i];
	uint64_t off = (uint64_t)i * p->each;
	int rc;

	if (s->known)
		return 0;
	if (op->fd < 0) {
		rc = parts_md5(op, off, parts_len(p, i), s->md5, e);
	} else if (!s->track) {
		if (!*trail)
			*trail = trail_new();
		s->track = track_open(*trail, op->fd, off);
		track_end(s->track, off + parts_len(p, i));
		rc = 1;
	} else {
		rc = track_digest(s->track, s->md5, e);
	}
	s->known = !rc;
	if (rc > 0)
		return 1;
	track_close(s->track);
	s->track = NULL;
	return rc;
}

static int look(struct parts *p, struct trail **trail, const struct rop *op, unsigned *part, struct err *e)
{
	unsigned seen = 0, found = p->n;

	while (p->next < p->n && !is_open(p, p->next))
		p->next++;
	for (unsigned i = p->next; i < p->n && seen < AHEAD; i++) {
		int rc = is_open(p, i) ? sum_of(p, trail, op, i, e) : 1;

		if (rc < 0)
			return -1;
		seen += is_open(p, i);
		if (!rc && p->state[i] == PART_CLAIMED)
			p->judge(p, i);
		if (!rc && p->state[i] == PART_TODO && found == p->n)
			found = i;
	}
	*part = found;
	return found < p->n ? 0 : seen ? 2 : 1;
}

int parts_next(struct parts *p, struct trail **trail, const struct rop *op, unsigned *i, struct err *e)
{
	int rc;

	do      /* claims that were judged make room for others */
		rc = look(p, trail, op, i, e);
	while (rc == 2 && p->done < p->n && p->sum[p->next].known);
	return rc;
}

#include "remotes/sftpint.h"

bool sum_has(const struct sftp *s, const struct xfer *x)
{
	unsigned i;

	for (i = 0; i < s->nsums; i++)
		if (s->sum[i].x == x)
			return true;
	return false;
}

void sum_room(struct sftp *s, const struct xfer *x)
{
	if (s->nsums == SUMS || sum_has(s, x))
		sum_flush(s);
}

void sum_add(struct sftp *s, struct sum add)
{
	s->sum[s->nsums++] = add;
}

static const unsigned char *bytes_of(const struct sftp *s, const struct sum *u)
{
	return u->own ? u->own : (const unsigned char *)s->out.buf + u->at;
}

/* Whole blocks of all of them, as many side by side as there are; the shortest leave first. */
static void hash_blocks(const struct sftp *s, size_t done[SUMS])
{
	const unsigned char *p[SUMS];
	struct md5 *m[SUMS];
	size_t step, left;
	unsigned i, n, who[SUMS];

	do {
		for (n = i = 0, step = 0; i < s->nsums; i++) {
			left = s->sum[i].x->md5.len % 64 ? 0 : (s->sum[i].n - done[i]) / 64;
			if (!left)
				continue;
			step = !n || left < step ? left : step;
			m[n] = &s->sum[i].x->md5;
			p[n] = bytes_of(s, &s->sum[i]) + done[i];
			who[n++] = i;
		}
		if (n)
			md5_blocks_many(m, p, step, n);
		for (i = 0; i < n; i++)
			done[who[i]] += step * 64;
	} while (n);
}

void sum_flush(struct sftp *s)
{
	size_t done[SUMS] = { 0 };
	struct xfer *x[SUMS];
	unsigned i, n = s->nsums;

	if (!n)
		return;
	hash_blocks(s, done);
	for (i = 0; i < n; i++) {
		x[i] = s->sum[i].x;
		md5_update(&x[i]->md5, bytes_of(s, &s->sum[i]) + done[i], s->sum[i].n - done[i]);
		free(s->sum[i].own);
	}
	s->nsums = 0;
	for (i = 0; i < n; i++)
		put_all_read(s, x[i]);
}

void sum_drop(struct sftp *s)
{
	while (s->nsums)
		free(s->sum[--s->nsums].own);
}

#include "remotes/sftpint.h"

#include "core/base/fs.h"
#include "core/base/own.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define RESUME_MIN (32u << 20)          /* smaller ones are sent again as a whole */
#define RESUME_BACK (4u << 20)          /* of what is there, the end is written again */
#define SAMPLE 4096u
#define SAMPLES 32u
#define HASHERS 2u                      /* digests computed beside the transfer, per session */
#define HASHER_MIN (4u << 20)
#define HASH_STEP (1u << 20)

/* The digest of one large source, in a thread of its own: encryption needs this one. */
struct hasher {
	pthread_t thread;
	int fd;
	uint64_t size;
	atomic_bool stop;
	bool failed;
	unsigned char digest[16];
};

static void *hasher_main(void *p)
{
	struct hasher *h = p;
	autofree char *buf = xmalloc(HASH_STEP);
	struct md5 m;
	uint64_t at = 0;

	md5_init(&m);
	while (at < h->size && !atomic_load(&h->stop)) {
		ssize_t n = pread(h->fd, buf, h->size - at < HASH_STEP ? (size_t)(h->size - at) : HASH_STEP, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			h->failed = true;
			return NULL;
		}
		md5_update(&m, buf, (size_t)n);
		at += (uint64_t)n;
	}
	md5_final(&m, h->digest);
	return NULL;
}

static void hasher_start(struct sftp *s, struct xfer *x, bool must)
{
	struct hasher *h;

	if (x->op->fd < 0 || x->size < HASHER_MIN || (s->hashers >= HASHERS && !must))
		return;
	h = xcalloc(1, sizeof(*h));
	h->fd = x->op->fd;
	h->size = x->size;
	if (pthread_create(&h->thread, NULL, hasher_main, h)) {
		free(h);
		return;
	}
	x->hasher = h;
	s->hashers++;
}

/* Must run before the operation is told: the descriptor is its caller's. s NULL: the session is gone. */
void put_end_hasher(struct sftp *s, struct xfer *x, unsigned char digest[16])
{
	struct hasher *h = x->hasher;

	if (!h)
		return;
	if (!digest)
		atomic_store(&h->stop, true);
	pthread_join(h->thread, NULL);
	if (digest)
		memcpy(digest, h->digest, 16);
	if (digest && h->failed)
		memset(digest, 0, 16);
	free(h);
	x->hasher = NULL;
	s->hashers--;
}

/* An abandoned temporary is removed; s is NULL when there is no connection to do it with. */
void put_give_up(struct sftp *s, struct xfer *x)
{
	if (s && x->tmp && x->made && !x->keep_tmp)
		sftp_ask_path(s, SFTP_REMOVE, sftp_ignore, NULL, x->tmp);
	x->made = false;
}

/* F5: a name that only this machine makes, and only from this very file. */
static char *part_name(const struct rop *op, const char *base)
{
	struct utsname u;
	struct stat st;
	unsigned char digest[16];
	char hex[33];
	autostr struct str id = STR_INIT;

	if (op->fd < 0 || op->size < RESUME_MIN || (op->flags & (ROP_RESUME | ROP_HAS_MD5)) != (ROP_RESUME | ROP_HAS_MD5))
		return NULL;
	if (fstat(op->fd, &st) || uname(&u) || flock(op->fd, LOCK_EX | LOCK_NB))
		return NULL;
	str_addf(&id, "%s %llu %llu", u.nodename, (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	md5_once(id.buf, id.len, digest);
	hex_encode(hex, digest, 16);
	return xasprintf(".%.64s.%.12s.part", base, hex);
}

static void name_temp(struct xfer *x)
{
	const char *slash = strrchr(x->path, '/');
	int dir = slash ? (int)(slash - x->path) : 0;
	autofree char *part = part_name(x->op, slash ? slash + 1 : x->path);
	char name[32];

	x->keep_tmp = part != NULL;
	if (!part)
		fs_temp_name(name);
	x->tmp = xasprintf("%.*s/%s", dir, x->path, part ? part : name);
}

static void put_error(struct sftp *s, struct xfer *x, enum rclass c, enum err_code code, const char *why)
{
	err_set(&x->op->err, code, "cannot upload '%s' to %s: %s", x->op->key, s->who, why);
	xfer_finish(s, x, c);
}

static void put_renamed(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w);

static void put_rename(struct sftp *s, struct xfer *x)
{
	size_t mark;

	x->pending++;
	sftp_ask(s, s->posix_rename ? SFTP_EXTENDED : SFTP_RENAME, put_renamed, x, &mark);
	if (s->posix_rename)
		wire_text(&s->out, "posix-rename@openssh.com");
	wire_text(&s->out, x->tmp);
	wire_text(&s->out, x->path);
	sftp_sent(s, mark);
}

/* A plain rename refuses an existing target: the target goes first, and the rename is tried once more. */
static void target_removed(struct sftp *s, struct sreq *q, enum sftp_type type UNUSED, struct wire *w UNUSED)
{
	struct xfer *x = q->owner;

	sreq_free(s, q);
	x->pending--;
	if (x->op)
		put_rename(s, x);
	else
		xfer_settle(s, x);
}

static void target_seen(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct xfer *x = q->owner;
	struct wire_attrs a = { 0 };

	sreq_free(s, q);
	x->pending--;
	if (type == SFTP_ATTRS)
		wire_get_attrs(w, &a);
	if (!x->op) {
		xfer_settle(s, x);
	} else if (a.has_size && a.size == x->size && (x->op->flags & ROP_IF_ABSENT)) {
		x->keep_tmp = false;
		xfer_finish(s, x, RC_EXISTS);
	} else if (!a.has_size) {
		xfer_fail(s, x, SFTP_FAILURE, "cannot rename a temporary to");
	} else {
		x->pending++;
		sftp_ask_path(s, SFTP_REMOVE, target_removed, x, x->path);
	}
}

static void put_renamed(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct xfer *x = q->owner;
	uint32_t status = sftp_status_of(s, type, w);

	sreq_free(s, q);
	x->pending--;
	if (status == SFTP_OK)
		x->made = false;
	if (!x->op) {
		put_give_up(s, x);
		xfer_settle(s, x);
	} else if (status == SFTP_OK) {
		xfer_finish(s, x, RC_OK);
	} else if (status == SFTP_FAILURE && !s->posix_rename && x->tries < 8) {
		x->tries = 8;
		x->pending++;
		sftp_ask_path(s, SFTP_STAT, target_seen, x, x->path);
	} else {
		xfer_fail(s, x, status, "cannot rename a temporary to");
	}
}

/* F1: after the last status of the writes and the close. */
static void put_check(struct sftp *s, struct xfer *x)
{
	if (!x->op)
		xfer_settle(s, x);
	else if (!x->pending && x->closing && !x->open)
		put_rename(s, x);
}

static void put_closed(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct xfer *x = q->owner;
	uint32_t status = sftp_status_of(s, type, w);

	sreq_free(s, q);
	x->pending--;
	x->open = false;
	if (!x->op)
		put_give_up(s, x);
	else if (status != SFTP_OK) {
		xfer_fail(s, x, status, "cannot close");
		return;
	}
	put_check(s, x);
}

static void put_written(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct xfer *x = q->owner;
	uint32_t status = sftp_status_of(s, type, w);

	sreq_free(s, q);
	x->pending--;
	if (x->op && status != SFTP_OK) {
		xfer_fail(s, x, status, "cannot write");
		return;
	}
	put_check(s, x);
}

static int read_source(const struct rop *op, uint64_t off, void *p, size_t n)
{
	char *to = p;

	if (op->fd < 0) {
		memcpy(p, (const char *)op->mem + off, n);
		return 0;
	}
	while (n) {
		ssize_t got = pread(op->fd, to, n, (off_t)off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		to += got;
		off += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

static bool has_md5(const struct xfer *x)
{
	return x->op->flags & ROP_HAS_MD5;
}

static void put_close(struct sftp *s, struct xfer *x)
{
	unsigned char digest[16];

	if (has_md5(x)) {
		if (x->hasher)
			put_end_hasher(s, x, digest);
		else
			md5_final(&x->md5, digest);
		if (memcmp(digest, x->op->md5, 16)) {
			x->keep_tmp = false;
			put_error(s, x, RC_CORRUPT, ERR_CORRUPT, "the local object does not match its name");
			return;
		}
	}
	x->closing = true;
	x->pending++;
	sftp_ask_handle(s, SFTP_CLOSE, put_closed, x, &x->handle);
}

/* The bytes are read straight into the packet. */
static int write_chunk(struct sftp *s, struct xfer *x)
{
	uint64_t left = x->size - x->at;
	uint32_t n = left < s->max_write ? (uint32_t)left : s->max_write;
	size_t mark;
	struct sreq *q = sftp_ask(s, SFTP_WRITE, put_written, x, &mark);

	wire_bytes(&s->out, x->handle.buf, x->handle.len);
	wire_u64(&s->out, x->at);
	wire_u32(&s->out, n);
	str_reserve(&s->out, n);
	if (read_source(x->op, x->at, s->out.buf + s->out.len, n)) {
		sftp_unask(s, q, mark);
		return -1;
	}
	if (has_md5(x) && !x->hasher)
		md5_update(&x->md5, s->out.buf + s->out.len, n);
	s->out.len += n;
	s->out.buf[s->out.len] = '\0';
	sftp_sent(s, mark);
	q->len = n;
	s->flight += n;
	x->pending++;
	x->at += n;
	return 0;
}

void put_chunk(struct sftp *s, struct xfer *x)
{
	if (x->at < x->size && write_chunk(s, x)) {
		put_error(s, x, RC_FATAL, ERR_CHANGED, "the local file became shorter while it was read");
		return;
	}
	if (x->at < x->size)
		xfer_busy(s, x);
	else
		put_close(s, x);
}

static void put_go(struct sftp *s, struct xfer *x, uint64_t from)
{
	x->at = from;
	if (has_md5(x)) {
		md5_init(&x->md5);
		hasher_start(s, x, from > 0);
		if (from && !x->hasher)
			x->at = 0;
	}
	xfer_busy(s, x);
}

/* F5 */

static void got_sample(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct xfer *x = q->owner;
	unsigned char local[SAMPLE];
	const unsigned char *p = NULL;
	size_t n = 0;

	x->pending--;
	x->samples--;
	if (type == SFTP_DATA)
		p = wire_get_bytes(w, &n);
	if (x->op && (n != SAMPLE || read_source(x->op, q->off, local, n) || memcmp(local, p, n)))
		x->bad_sample = true;
	if (!x->op)
		xfer_settle(s, x);
	else if (!x->samples)
		put_go(s, x, x->bad_sample ? 0 : x->at);
	sreq_free(s, q);
}

static void ask_samples(struct sftp *s, struct xfer *x)
{
	unsigned i;
	size_t mark;

	x->samples = SAMPLES;
	x->bad_sample = false;
	for (i = 1; i <= SAMPLES; i++) {
		struct sreq *q = sftp_ask(s, SFTP_READ, got_sample, x, &mark);

		q->off = x->at / SAMPLES * i - SAMPLE;
		wire_bytes(&s->out, x->handle.buf, x->handle.len);
		wire_u64(&s->out, q->off);
		wire_u32(&s->out, SAMPLE);
		sftp_sent(s, mark);
		x->pending++;
	}
}

static void part_sized(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct xfer *x = q->owner;
	struct wire_attrs a = { 0 };

	sreq_free(s, q);
	x->pending--;
	if (type == SFTP_ATTRS)
		wire_get_attrs(w, &a);
	if (!x->op) {
		xfer_settle(s, x);
	} else if (!a.has_size || a.size > x->size) {
		x->keep_tmp = false;
		put_error(s, x, RC_RETRY, ERR_TEMP, "what an earlier attempt left there is of no use");
	} else if (a.size < 2 * (uint64_t)RESUME_BACK) {
		put_go(s, x, 0);
	} else {
		x->at = (a.size - RESUME_BACK) & ~(uint64_t)0xffff;
		ask_samples(s, x);
	}
}

static void put_opened(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct xfer *x = q->owner;
	uint32_t status;

	sreq_free(s, q);
	x->pending--;
	x->made = type == SFTP_HANDLE;
	if (!xfer_opened(s, x, type, w, &status)) {
		if (x->op && status == SFTP_NO_SUCH_FILE && x->tries++ < 2)
			mkd_wait(s, x);
		else if (x->op)
			xfer_fail(s, x, status, "cannot make a temporary for");
		else
			xfer_settle(s, x);
		return;
	}
	x->size = x->op->size;
	if (!x->keep_tmp) {
		put_go(s, x, 0);
		return;
	}
	x->pending++;
	sftp_ask_handle(s, SFTP_FSTAT, part_sized, x, &x->handle);
}

void put_start(struct sftp *s, struct xfer *x)
{
	size_t mark;

	if (!x->tmp)
		name_temp(x);
	x->pending++;
	sftp_ask(s, SFTP_OPEN, put_opened, x, &mark);
	wire_text(&s->out, x->tmp);
	wire_u32(&s->out, x->keep_tmp ? SFTP_FLAG_READ | SFTP_FLAG_WRITE | SFTP_FLAG_CREAT :
		 SFTP_FLAG_WRITE | SFTP_FLAG_CREAT | SFTP_FLAG_EXCL);
	wire_u32(&s->out, 0);
	sftp_sent(s, mark);
}

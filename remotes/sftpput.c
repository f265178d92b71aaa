#include "remotes/sftpint.h"

#include "core/base/fs.h"
#include "core/base/own.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define RESUME_MIN (32u << 20)          /* smaller ones are sent again as a whole */
#define RESUME_BACK (1u << 20)          /* of what is there, the end is written again */

/* An abandoned temporary is removed; s is NULL when there is no connection to do it with. */
void put_give_up(struct sftp *s, struct xfer *x)
{
	if (s && x->tmp && x->made && !x->keep_tmp)
		sftp_ask_path(s, SFTP_REMOVE, sftp_ignore, NULL, x->tmp);
	x->made = false;
}

/* F5: a name that only this machine makes, and only from this very file. */
static char *part_name(const struct sftp *s, const struct rop *op, const char *base)
{
	struct utsname u;
	struct stat st;
	unsigned char digest[16];
	char hex[33];
	autostr struct str id = STR_INIT;

	if (s->no_parts || op->fd < 0 || op->size < RESUME_MIN || (op->flags & (ROP_RESUME | ROP_HAS_MD5)) != (ROP_RESUME | ROP_HAS_MD5))
		return NULL;
	if (fstat(op->fd, &st) || uname(&u) || flock(op->fd, LOCK_EX | LOCK_NB))
		return NULL;
	str_addf(&id, "%s %llu %llu", u.nodename, (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	md5_once(id.buf, id.len, digest);
	hex_encode(hex, digest, 16);
	return xasprintf(".%.64s.%.12s.part", base, hex);
}

static void name_temp(const struct sftp *s, struct xfer *x)
{
	const char *slash = strrchr(x->path, '/');
	int dir = slash ? (int)(slash - x->path) : 0;
	autofree char *part = part_name(s, x->op, slash ? slash + 1 : x->path);
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
	struct xfer *x = xfer_answered(s, q);

	if (x->op)
		put_rename(s, x);
	else
		xfer_settle(s, x);
}

static void target_seen(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct xfer *x = xfer_answered(s, q);
	struct wire_attrs a = wire_attrs_of(type, w);

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
	struct xfer *x = xfer_answered(s, q);
	uint32_t status = sftp_status_of(s, type, w);

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
	struct xfer *x = xfer_answered(s, q);
	uint32_t status = sftp_status_of(s, type, w);

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
	struct xfer *x = xfer_answered(s, q);
	uint32_t status = sftp_status_of(s, type, w);

	if (x->op && status != SFTP_OK && x->keep_tmp && !s->in_order) {
		s->no_parts = true;     /* rclone's, without a cache, cannot write to what is there already */
		x->keep_tmp = false;
		put_error(s, x, RC_RETRY, ERR_TEMP, sftp_status_text(status));
		return;
	}
	if (x->op && status != SFTP_OK) {
		xfer_fail(s, x, status, "cannot write");
		return;
	}
	put_check(s, x);
}

int put_source(const struct rop *op, uint64_t off, void *p, size_t n)
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

void put_all_read(struct sftp *s, struct xfer *x)
{
	if (x->op && x->at == x->size && !x->there)
		put_close(s, x);
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
	if (put_source(x->op, x->at, s->out.buf + s->out.len, n)) {
		sftp_unask(s, q, mark);
		return -1;
	}
	if (has_md5(x))
		sum_add(s, (struct sum){ x, s->out.len, n, NULL });
	s->out.len += n;
	s->out.buf[s->out.len] = '\0';
	sftp_sent(s, mark);
	q->len = n;
	s->flight += n;
	x->pending++;
	x->at += n;
	return 0;
}

void put_go(struct sftp *s, struct xfer *x, uint64_t there)
{
	x->at = 0;
	x->there = there;
	x->differs = false;
	md5_init(&x->md5);
	xfer_busy(s, x);
}

void put_chunk(struct sftp *s, struct xfer *x)
{
	bool back = x->at < x->there;

	if (x->differs)         /* the last answer starts it again */
		return;
	sum_room(s, x);
	if (x->at < x->size && (back ? back_chunk(s, x) : write_chunk(s, x))) {
		put_error(s, x, RC_FATAL, ERR_CHANGED, "the local file became shorter while it was read");
		return;
	}
	if (back ? x->at < x->there : x->at < x->size)
		xfer_busy(s, x);
	else if (!back && !sum_has(s, x))
		put_close(s, x);
}

/* A server that works on several requests at once may have left holes among those that were on their way. */
static uint64_t back_of(const struct sftp *s)
{
	return s->in_order ? RESUME_BACK : SFTP_FLIGHT;
}

static void part_sized(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct xfer *x = xfer_answered(s, q);
	struct wire_attrs a = wire_attrs_of(type, w);

	if (!x->op) {
		xfer_settle(s, x);
	} else if (!a.has_size || a.size > x->size) {
		x->keep_tmp = false;
		put_error(s, x, RC_RETRY, ERR_TEMP, "what an earlier attempt left there is of no use");
	} else {
		back_start(s, x, a.size < 2 * back_of(s) ? 0 : (a.size - back_of(s)) & ~(uint64_t)0xffff);
	}
}

static void put_opened(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct xfer *x = xfer_answered(s, q);
	uint32_t status;

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
		name_temp(s, x);
	x->pending++;
	sftp_ask(s, SFTP_OPEN, put_opened, x, &mark);
	wire_text(&s->out, x->tmp);
	wire_u32(&s->out, x->keep_tmp ? SFTP_FLAG_READ | SFTP_FLAG_WRITE | SFTP_FLAG_CREAT :
		 SFTP_FLAG_WRITE | SFTP_FLAG_CREAT | SFTP_FLAG_EXCL);
	wire_u32(&s->out, 0);
	sftp_sent(s, mark);
}

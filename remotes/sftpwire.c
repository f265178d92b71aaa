#include "remotes/sftpwire.h"

void wire_u32(struct str *out, uint32_t v)
{
	unsigned char b[4] = { v >> 24, v >> 16, v >> 8, v };

	str_add(out, b, 4);
}

void wire_u64(struct str *out, uint64_t v)
{
	wire_u32(out, v >> 32);
	wire_u32(out, (uint32_t)v);
}

void wire_bytes(struct str *out, const void *p, size_t n)
{
	wire_u32(out, (uint32_t)n);
	str_add(out, p, n);
}

void wire_text(struct str *out, const char *s)
{
	wire_bytes(out, s, strlen(s));
}

size_t wire_begin(struct str *out, enum sftp_type type, uint32_t id)
{
	size_t mark = out->len;

	wire_u32(out, 0);
	str_addc(out, (char)type);
	wire_u32(out, id);
	return mark;
}

void wire_end(struct str *out, size_t mark)
{
	uint32_t n = (uint32_t)(out->len - mark - 4);
	unsigned char *b = (unsigned char *)out->buf + mark;

	b[0] = n >> 24;
	b[1] = n >> 16;
	b[2] = n >> 8;
	b[3] = n;
}

uint32_t wire_get_u32(struct wire *w)
{
	const unsigned char *p = w->p;

	if (w->bad || w->end - p < 4) {
		w->bad = true;
		return 0;
	}
	w->p += 4;
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint64_t wire_get_u64(struct wire *w)
{
	uint64_t high = wire_get_u32(w);

	return high << 32 | wire_get_u32(w);
}

const unsigned char *wire_get_bytes(struct wire *w, size_t *n)
{
	uint32_t len = wire_get_u32(w);
	const unsigned char *p = w->p;

	*n = 0;
	if (w->bad || (size_t)(w->end - p) < len) {
		w->bad = true;
		return NULL;
	}
	w->p += len;
	*n = len;
	return p;
}

/* Attributes: flags, then size, owner, mode, times and extensions, each only when its flag is set. */
void wire_get_attrs(struct wire *w, struct wire_attrs *a)
{
	uint32_t flags = wire_get_u32(w), pairs;
	size_t n;

	memset(a, 0, sizeof(*a));
	if (flags & 1) {
		a->has_size = true;
		a->size = wire_get_u64(w);
	}
	if (flags & 2)
		wire_get_u64(w);
	if (flags & 4) {
		a->has_mode = true;
		a->mode = wire_get_u32(w);
	}
	if (flags & 8)
		a->mtime = (uint32_t)wire_get_u64(w);   /* behind the time of access */
	if (flags & 0x80000000u) {
		for (pairs = wire_get_u32(w); pairs && !w->bad; pairs--) {
			wire_get_bytes(w, &n);
			wire_get_bytes(w, &n);
		}
	}
	if (w->bad)
		memset(a, 0, sizeof(*a));
}

struct wire_attrs wire_attrs_of(enum sftp_type type, struct wire *w)
{
	struct wire_attrs a = { 0 };

	if (type == SFTP_ATTRS)
		wire_get_attrs(w, &a);
	return w->bad ? (struct wire_attrs){ 0 } : a;
}

int wire_next(const unsigned char *p, size_t n, struct wire *w, size_t *used)
{
	struct wire head = { p, p + n, false };
	uint32_t len = wire_get_u32(&head);

	if (head.bad)
		return 0;
	if (!len || len > SFTP_PACKET_MAX)
		return -1;
	if (n - 4 < len)
		return 0;
	w->p = p + 4;
	w->end = p + 4 + len;
	w->bad = false;
	*used = (size_t)len + 4;
	return 1;
}

static const struct { const char *name, *text; } statuses[] = {
	{ "SSH_FX_OK", "no error" },
	{ "SSH_FX_EOF", "end of file" },
	{ "SSH_FX_NO_SUCH_FILE", "no such file or directory" },
	{ "SSH_FX_PERMISSION_DENIED", "permission denied" },
	{ "SSH_FX_FAILURE", "the server says only 'failure' (often: disk or quota full)" },
	{ "SSH_FX_BAD_MESSAGE", "the server did not understand the request" },
	{ "SSH_FX_NO_CONNECTION", "no connection" },
	{ "SSH_FX_CONNECTION_LOST", "connection lost" },
	{ "SSH_FX_OP_UNSUPPORTED", "the server does not support this operation" },
};

const char *sftp_status_name(uint32_t status)
{
	return status < ARRAY_LEN(statuses) ? statuses[status].name : "SSH_FX_UNKNOWN";
}

const char *sftp_status_text(uint32_t status)
{
	return status < ARRAY_LEN(statuses) ? statuses[status].text : "unknown status";
}

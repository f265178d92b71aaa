/*
 * The digest of DVC 2.x (format notes 2.6): read in chunks of 1 MiB, each judged text or binary by its own first 512
 * bytes; in text, CR LF counts as LF. A pair split by a chunk's end stays as it is.
 */
#include "core/cache/store.h"

#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/proc.h"

#include <errno.h>
#include <unistd.h>

#define CHUNK (1u << 20)

static bool looks_like_text(const unsigned char *p, size_t n)
{
	size_t odd = 0;

	n = n < 512 ? n : 512;
	if (memchr(p, 0, n))
		return false;
	for (size_t i = 0; i < n; i++)
		odd += !((p[i] >= 32 && p[i] < 127) || (p[i] >= 8 && p[i] <= 13 && p[i] != 11));
	return odd * 10 <= n * 3;
}

static size_t drop_cr(unsigned char *p, size_t n)
{
	size_t o = 0;

	for (size_t i = 0; i < n; i++)
		if (p[i] != '\r' || i + 1 == n || p[i + 1] != '\n')
			p[o++] = p[i];
	return o;
}

static ssize_t fill(int fd, unsigned char *buf)
{
	size_t have = 0;

	while (have < CHUNK) {
		ssize_t n = read(fd, buf + have, CHUNK - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (!n)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

int legacy_md5(int fd, unsigned char out[16], struct err *e)
{
	autofree unsigned char *buf = xmalloc(CHUNK);
	struct md5 m;
	ssize_t n;

	md5_init(&m);
	while ((n = fill(fd, buf)) > 0) {
		size_t len = (size_t)n;

		if (looks_like_text(buf, len))
			len = drop_cr(buf, len);
		md5_update(&m, buf, len);
		if (proc_check(e))
			return -1;
	}
	if (n < 0)
		return err_sys(e, "cannot read the file to hash");
	md5_final(&m, out);
	return 0;
}

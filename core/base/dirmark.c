#include "core/base/dirmark.h"

#include "core/base/str.h"

#include <errno.h>
#include <sys/xattr.h>
#include <unistd.h>

int dirmark_read(int dirfd, const char *name, struct str *out)
{
	char text[DIRMARK_MOST];
	ssize_t n = fgetxattr(dirfd, name, text, sizeof(text));

	if (n < 0)
		return errno == ENODATA ? 1 : -1;
	str_add(out, text, (size_t)n);
	return 0;
}

int dirmark_write(int dirfd, const char *name, const char *text, size_t n, bool sync)
{
	if (n > DIRMARK_MOST) {
		errno = ENOSPC;
		return -1;
	}
	if (fsetxattr(dirfd, name, text, n, 0))
		return -1;
	return sync ? fsync(dirfd) : 0;
}

int dirmark_remove(int dirfd, const char *name)
{
	return fremovexattr(dirfd, name) && errno != ENODATA ? -1 : 0;
}

/* The F3 half of fs.h: names from outside, opened below a root and never outside it. */
#include "core/base/fs.h"

#include "core/base/err.h"
#include "core/base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Refused before any kernel call, so that both ways of opening refuse the same names. */
static bool is_relative_inside(const char *rel)
{
	if (*rel == '/')
		return false;
	for (const char *p = rel; *p; p += strcspn(p, "/"), p += *p == '/')
		if (p[0] == '.' && p[1] == '.' && (!p[2] || p[2] == '/'))
			return false;
	return true;
}

static int openat2_beneath(int rootfd, const char *rel, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)flags,
		.mode = flags & (O_CREAT | __O_TMPFILE) ? mode & 07777 : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	int fd, tries = 0;

	do      /* EAGAIN: something was renamed meanwhile and the kernel cannot be sure */
		fd = (int)syscall(SYS_openat2, rootfd, rel, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || (errno == EAGAIN && tries++ < 100)));
	return fd;
}

/* For kernels before 5.6 and for filters that do not know openat2: one component at a time. */
static int stepwise_beneath(int rootfd, const char *rel, int flags, mode_t mode)
{
	autoclose int dir = openat(rootfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	autofree char *copy = xstrdup(rel);
	char *p = copy;

	if (dir < 0)
		return -1;
	for (;;) {
		size_t n = strcspn(p, "/");
		bool last = !p[n];
		int next;

		p[n] = 0;
		next = last ? openat(dir, *p ? p : ".", flags | O_NOFOLLOW, mode)
			    : openat(dir, *p ? p : ".", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (last || next < 0)
			return next;
		close(dir);
		dir = next;
		p += n + 1;
	}
}

static int raw_beneath(int rootfd, const char *rel, int flags, mode_t mode)
{
	int fd;

	if (!is_relative_inside(rel)) {
		errno = EXDEV;
		return -1;
	}
	if (!*rel)
		rel = ".";
	fd = openat2_beneath(rootfd, rel, flags | O_CLOEXEC, mode);
	if (fd < 0 && (errno == ENOSYS || errno == EPERM || errno == E2BIG))
		fd = stepwise_beneath(rootfd, rel, flags | O_CLOEXEC, mode);
	return fd;
}

static int refused(struct err *e, const char *what, const char *rel)
{
	if (errno == EXDEV || errno == ELOOP)
		return err_set(e, ERR_UNSAFE, "cannot %s '%s': the path leads through a symbolic link or outside",
			       what, rel);
	return err_sys(e, "cannot %s '%s'", what, rel);
}

int fs_open_beneath(int rootfd, const char *rel, int flags, mode_t mode, struct err *e)
{
	int fd = raw_beneath(rootfd, rel, flags, mode);

	return fd < 0 ? refused(e, flags & O_CREAT ? "create" : "open", rel) : fd;
}

/* Opens dir below root and makes what is missing of it. */
static int make_dirs_beneath(int rootfd, const char *dir)
{
	autoclose int at = raw_beneath(rootfd, "", O_PATH | O_DIRECTORY, 0);
	autofree char *copy = xstrdup(dir);

	for (char *p = copy; at >= 0 && *p;) {
		size_t n = strcspn(p, "/");
		bool last = !p[n];
		int next;

		p[n] = 0;
		if (*p && mkdirat(at, p, 0777) && errno != EEXIST)
			return -1;
		next = raw_beneath(at, p, O_PATH | O_DIRECTORY, 0);
		if (next < 0)
			return -1;
		close(at);
		at = next;
		p += last ? n : n + 1;
	}
	return take_fd(at);
}

int fs_parent_beneath(int rootfd, const char *rel, bool make, const char **base, struct err *e)
{
	autofree char *dir = path_dir(rel);
	int fd = raw_beneath(rootfd, dir, O_PATH | O_DIRECTORY, 0);

	if (fd < 0 && make && errno == ENOENT)
		fd = make_dirs_beneath(rootfd, dir);
	if (fd < 0)
		return refused(e, make ? "make the directory of" : "open the directory of", rel);
	*base = path_base(rel);
	return fd;
}

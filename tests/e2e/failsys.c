/*
 * failsys - makes one system call of the tool fail: an LD_PRELOAD library, built by failsys.py.
 *
 *  FAILSYS=<set>:<n>:<how>   the n-th call of the set fails (n = 0: none)
 *      set     w (what changes files), r (what reads them), m (maps)
 *      how     an errno by number; with a '+' behind, all later calls of the set fail too;
 *              "short" (half of what was asked is read or written)
 *  FAILSYS_UNDER=<dir>       only calls on what lies in this directory count
 *  FAILSYS_EXE=<name>        only in the program of this name
 *  FAILSYS_NAMED=1           files without a name are refused, as network file systems do
 *  FAILSYS_CLONES=1          reflinks are made, by copying: as a file system that has them
 *  FAILSYS_CALL=<name>       only calls of this name
 *  FAILSYS_LOG=<file>        one line for each call that failed, and the number of calls at the end
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static struct {
	char set, under[PATH_MAX];
	long at;
	int err;
	bool from, halves, named, clones;
	int log;
	const char *call;
	size_t n;
} fail = { .log = -1 };
static atomic_long passed;
static __thread bool inside;            /* the library's own calls */

/* Only calls that give a count can be short, or interrupted by a signal whose handler returns. */
static bool counts(void)
{
	return fail.halves || fail.err == EINTR;
}

static void *next(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (!p)
		abort();
	return p;
}

#define NEXT(type, name, ...) ({ \
	static type (*real)(__VA_ARGS__); \
	if (!real) \
		real = (type (*)(__VA_ARGS__))next(name); \
	real; })

__attribute__((constructor)) static void start(void)
{
	const char *spec = getenv("FAILSYS"), *under = getenv("FAILSYS_UNDER");
	const char *exe = getenv("FAILSYS_EXE"), *log = getenv("FAILSYS_LOG");
	char self[PATH_MAX], *name, *how;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (!spec || !under || !exe || n <= 0)
		return;
	self[n] = 0;
	name = strrchr(self, '/');
	if (!name || strcmp(name + 1, exe))
		return;
	snprintf(fail.under, sizeof(fail.under), "%s", under);
	fail.n = strlen(fail.under);
	fail.at = strtol(spec + 2, &how, 10);
	how++;
	fail.halves = !strcmp(how, "short");
	fail.err = atoi(how);
	fail.from = how[strlen(how) - 1] == '+';
	if (log)
		fail.log = (int)syscall(SYS_openat, AT_FDCWD, log,
					O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	fail.named = getenv("FAILSYS_NAMED") != NULL;
	fail.clones = getenv("FAILSYS_CLONES") != NULL;
	fail.call = getenv("FAILSYS_CALL");
	fail.set = spec[0];
}

static void note(const char *line, size_t n)
{
	if (fail.log >= 0)
		(void)!syscall(SYS_write, fail.log, line, n);
}

__attribute__((destructor)) static void end(void)
{
	char line[64];

	if (fail.set)
		note(line, (size_t)snprintf(line, sizeof(line), "calls %ld\n", (long)passed));
}

static bool under(const char *path)
{
	return !strncmp(path, fail.under, fail.n) && (!path[fail.n] || path[fail.n] == '/');
}

static bool place_of_fd(int fd, char out[PATH_MAX])
{
	char link[40];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlinkat, AT_FDCWD, link, out, PATH_MAX - 1);
	out[n > 0 ? n : 0] = 0;
	return n > 0 && under(out);
}

static bool place_of_path(int dir, const char *path, char out[PATH_MAX])
{
	char base[PATH_MAX];

	if (!path)
		return false;
	if (path[0] == '/') {
		snprintf(out, PATH_MAX, "%s", path);
		return under(out);
	}
	if (dir != AT_FDCWD) {
		if (!place_of_fd(dir, base))
			return false;
	} else if (syscall(SYS_getcwd, base, sizeof(base)) < 0) {
		return false;
	}
	if ((size_t)snprintf(out, PATH_MAX, "%s/%s", base, path) >= PATH_MAX)
		return false;
	return under(out);
}

/* Whether this call, whose place is 'place', is the one. */
static bool hit(const char *what, const char *place)
{
	char line[PATH_MAX + 64];
	long n;
	int saved = errno;

	if (fail.call && strcmp(fail.call, what) != 0)
		return false;
	n = atomic_fetch_add(&passed, 1) + 1;

	if (n != fail.at && !(fail.from && fail.at && n > fail.at))
		return false;
	note(line, (size_t)snprintf(line, sizeof(line), "%s %s\n", what, place + fail.n));
	errno = saved;
	return true;
}

static bool by_fd(char set, const char *what, int fd)
{
	char place[PATH_MAX];
	int saved = errno;
	bool r;

	if (fail.set != set || inside || fd < 0)
		return false;
	inside = true;
	r = place_of_fd(fd, place) && hit(what, place);
	inside = false;
	errno = saved;
	return r;
}

static bool by_path(char set, const char *what, int dir, const char *path)
{
	char place[PATH_MAX];
	int saved = errno;
	bool r;

	if (fail.set != set || inside)
		return false;
	inside = true;
	r = place_of_path(dir, path, place) && hit(what, place);
	inside = false;
	errno = saved;
	return r;
}

#define FAIL_FD(set, fd) \
	do { \
		if (!counts() && by_fd(set, __func__, fd)) \
			return errno = fail.err, -1; \
	} while (0)
#define FAIL_PATH(set, dir, path) \
	do { \
		if (!counts() && by_path(set, __func__, dir, path)) \
			return errno = fail.err, -1; \
	} while (0)
/* These give a count. */
#define FAIL_COUNT(set, fd, n) \
	do { \
		if ((n) > 1 && by_fd(set, __func__, fd)) { \
			if (!fail.halves) \
				return errno = fail.err, -1; \
			(n) = (n) / 2; \
		} \
	} while (0)

EXPORT ssize_t write(int fd, const void *p, size_t n)
{
	if (fd > 2)
		FAIL_COUNT('w', fd, n);
	return NEXT(ssize_t, "write", int, const void *, size_t)(fd, p, n);
}

EXPORT ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	FAIL_COUNT('w', fd, n);
	return NEXT(ssize_t, "pwrite64", int, const void *, size_t, off64_t)(fd, p, n, at);
}

EXPORT ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	FAIL_COUNT('w', fd, n);
	return NEXT(ssize_t, "pwrite", int, const void *, size_t, off_t)(fd, p, n, at);
}

EXPORT ssize_t copy_file_range(int in, off64_t *a, int out, off64_t *b, size_t n, unsigned flags)
{
	FAIL_COUNT('w', out, n);
	return NEXT(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned)(in, a, out, b, n, flags);
}

EXPORT ssize_t read(int fd, void *p, size_t n)
{
	FAIL_COUNT('r', fd, n);
	return NEXT(ssize_t, "read", int, void *, size_t)(fd, p, n);
}

EXPORT ssize_t pread64(int fd, void *p, size_t n, off64_t at)
{
	FAIL_COUNT('r', fd, n);
	return NEXT(ssize_t, "pread64", int, void *, size_t, off64_t)(fd, p, n, at);
}

EXPORT ssize_t pread(int fd, void *p, size_t n, off_t at)
{
	FAIL_COUNT('r', fd, n);
	return NEXT(ssize_t, "pread", int, void *, size_t, off_t)(fd, p, n, at);
}

#define ONE_FD(set, name) \
EXPORT int name(int fd) \
{ \
	FAIL_FD(set, fd); \
	return NEXT(int, #name, int)(fd); \
}

ONE_FD('w', fsync)
ONE_FD('w', fdatasync)
ONE_FD('w', syncfs)

EXPORT int close(int fd)
{
	int (*real)(int) = NEXT(int, "close", int);
	char what[sizeof("close")] = "close";
	int mode = fail.set == 'w' && fd > 2 ? fcntl(fd, F_GETFL) & O_ACCMODE : O_RDONLY;

	if (mode != O_RDONLY && !counts() && by_fd('w', what, fd)) {
		real(fd);
		return errno = fail.err, -1;
	}
	return real(fd);
}

EXPORT int ftruncate64(int fd, off64_t n)
{
	FAIL_FD('w', fd);
	return NEXT(int, "ftruncate64", int, off64_t)(fd, n);
}

EXPORT int ftruncate(int fd, off_t n)
{
	FAIL_FD('w', fd);
	return NEXT(int, "ftruncate", int, off_t)(fd, n);
}

EXPORT int fchmod(int fd, mode_t mode)
{
	FAIL_FD('w', fd);
	return NEXT(int, "fchmod", int, mode_t)(fd, mode);
}

EXPORT int fchmodat(int dir, const char *path, mode_t mode, int flags)
{
	FAIL_PATH('w', dir, path);
	return NEXT(int, "fchmodat", int, const char *, mode_t, int)(dir, path, mode, flags);
}

EXPORT int chmod(const char *path, mode_t mode)
{
	FAIL_PATH('w', AT_FDCWD, path);
	return NEXT(int, "chmod", const char *, mode_t)(path, mode);
}

EXPORT int futimens(int fd, const struct timespec t[2])
{
	FAIL_FD('w', fd);
	return NEXT(int, "futimens", int, const struct timespec *)(fd, t);
}

EXPORT int utimensat(int dir, const char *path, const struct timespec t[2], int flags)
{
	FAIL_PATH('w', dir, path);
	return NEXT(int, "utimensat", int, const char *, const struct timespec *, int)(dir, path, t, flags);
}

EXPORT int rename(const char *from, const char *to)
{
	FAIL_PATH('w', AT_FDCWD, to);
	return NEXT(int, "rename", const char *, const char *)(from, to);
}

EXPORT int renameat(int a, const char *from, int b, const char *to)
{
	FAIL_PATH('w', b, to);
	return NEXT(int, "renameat", int, const char *, int, const char *)(a, from, b, to);
}

EXPORT int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
	FAIL_PATH('w', b, to);
	return NEXT(int, "renameat2", int, const char *, int, const char *, unsigned)(a, from, b, to, flags);
}

EXPORT int link(const char *from, const char *to)
{
	FAIL_PATH('w', AT_FDCWD, to);
	return NEXT(int, "link", const char *, const char *)(from, to);
}

EXPORT int linkat(int a, const char *from, int b, const char *to, int flags)
{
	FAIL_PATH('w', b, to);
	return NEXT(int, "linkat", int, const char *, int, const char *, int)(a, from, b, to, flags);
}

EXPORT int symlink(const char *to, const char *path)
{
	FAIL_PATH('w', AT_FDCWD, path);
	return NEXT(int, "symlink", const char *, const char *)(to, path);
}

EXPORT int symlinkat(const char *to, int dir, const char *path)
{
	FAIL_PATH('w', dir, path);
	return NEXT(int, "symlinkat", const char *, int, const char *)(to, dir, path);
}

EXPORT int mkdir(const char *path, mode_t mode)
{
	FAIL_PATH('w', AT_FDCWD, path);
	return NEXT(int, "mkdir", const char *, mode_t)(path, mode);
}

EXPORT int mkdirat(int dir, const char *path, mode_t mode)
{
	FAIL_PATH('w', dir, path);
	return NEXT(int, "mkdirat", int, const char *, mode_t)(dir, path, mode);
}

EXPORT int unlink(const char *path)
{
	FAIL_PATH('w', AT_FDCWD, path);
	return NEXT(int, "unlink", const char *)(path);
}

EXPORT int unlinkat(int dir, const char *path, int flags)
{
	FAIL_PATH('w', dir, path);
	return NEXT(int, "unlinkat", int, const char *, int)(dir, path, flags);
}

EXPORT int rmdir(const char *path)
{
	FAIL_PATH('w', AT_FDCWD, path);
	return NEXT(int, "rmdir", const char *)(path);
}

EXPORT int remove(const char *path)
{
	FAIL_PATH('w', AT_FDCWD, path);
	return NEXT(int, "remove", const char *)(path);
}

static bool makes(int flags)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
}

static bool open_fails(const char *what, int dir, const char *path, int flags)
{
	char line[32];

	snprintf(line, sizeof(line), "%s%s", what, makes(flags) ? "(create)" : "");
	if (!counts() && by_path(makes(flags) ? 'w' : 'r', line, dir, path))
		return errno = fail.err, true;
	if (fail.named && (flags & O_TMPFILE) == O_TMPFILE)
		return errno = EOPNOTSUPP, true;
	return false;
}

#define MODE_OF(flags) ({ \
	mode_t m_ = 0; \
	if (makes(flags)) { \
		va_list ap_; \
		va_start(ap_, flags); \
		m_ = va_arg(ap_, mode_t); \
		va_end(ap_); \
	} \
	m_; })

#define OPEN(name) \
EXPORT int name(const char *path, int flags, ...) \
{ \
	mode_t mode = MODE_OF(flags); \
	if (open_fails("open", AT_FDCWD, path, flags)) \
		return -1; \
	return NEXT(int, #name, const char *, int, ...)(path, flags, mode); \
}
#define OPENAT(name) \
EXPORT int name(int dir, const char *path, int flags, ...) \
{ \
	mode_t mode = MODE_OF(flags); \
	if (open_fails("openat", dir, path, flags)) \
		return -1; \
	return NEXT(int, #name, int, const char *, int, ...)(dir, path, flags, mode); \
}

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name) \
EXPORT FILE *name(const char *path, const char *mode) \
{ \
	if (open_fails("fopen", AT_FDCWD, path, mode[0] == 'r' ? O_RDONLY : O_CREAT)) \
		return NULL; \
	return NEXT(FILE *, #name, const char *, const char *)(path, mode); \
}

FOPEN(fopen)
FOPEN(fopen64)

EXPORT int fclose(FILE *f)
{
	int (*real)(FILE *) = NEXT(int, "fclose", FILE *);
	int fd = fileno(f), mode = fd > 2 ? fcntl(fd, F_GETFL) & O_ACCMODE : O_RDONLY;

	if (mode != O_RDONLY && !counts() && by_fd('w', "fclose", fd)) {
		real(f);
		return errno = fail.err, EOF;
	}
	return real(f);
}

EXPORT long syscall(long number, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_openat2 && !inside) {
		int flags = (int)*(uint64_t *)a[2];

		if (open_fails("openat2", (int)a[0], (const char *)a[1], flags))
			return -1;
	}
	return NEXT(long, "syscall", long, ...)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static int clone_by_copy(int to, int from)
{
	char buf[65536];
	off_t off = 0;
	ssize_t n;

	while ((n = syscall(SYS_pread64, from, buf, sizeof(buf), off)) > 0) {
		if (syscall(SYS_pwrite64, to, buf, (size_t)n, off) != n)
			return -1;
		off += n;
	}
	return n < 0 ? -1 : 0;
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (fd > 2)
		FAIL_FD('w', fd);
	if (fail.clones && request == FICLONE)
		return clone_by_copy(fd, (int)(intptr_t)arg);
	return NEXT(int, "ioctl", int, unsigned long, ...)(fd, request, arg);
}

EXPORT int fstat64(int fd, struct stat64 *st)
{
	FAIL_FD('r', fd);
	return NEXT(int, "fstat64", int, struct stat64 *)(fd, st);
}

EXPORT int stat64(const char *path, struct stat64 *st)
{
	FAIL_PATH('r', AT_FDCWD, path);
	return NEXT(int, "stat64", const char *, struct stat64 *)(path, st);
}

EXPORT int lstat64(const char *path, struct stat64 *st)
{
	FAIL_PATH('r', AT_FDCWD, path);
	return NEXT(int, "lstat64", const char *, struct stat64 *)(path, st);
}

EXPORT int fstatat64(int dir, const char *path, struct stat64 *st, int flags)
{
	FAIL_PATH('r', dir, path);
	return NEXT(int, "fstatat64", int, const char *, struct stat64 *, int)(dir, path, st, flags);
}

EXPORT int access(const char *path, int mode)
{
	FAIL_PATH('r', AT_FDCWD, path);
	return NEXT(int, "access", const char *, int)(path, mode);
}

EXPORT int faccessat(int dir, const char *path, int mode, int flags)
{
	FAIL_PATH('r', dir, path);
	return NEXT(int, "faccessat", int, const char *, int, int)(dir, path, mode, flags);
}

EXPORT ssize_t readlink(const char *path, char *buf, size_t n)
{
	FAIL_PATH('r', AT_FDCWD, path);
	return NEXT(ssize_t, "readlink", const char *, char *, size_t)(path, buf, n);
}

EXPORT ssize_t readlinkat(int dir, const char *path, char *buf, size_t n)
{
	FAIL_PATH('r', dir, path);
	return NEXT(ssize_t, "readlinkat", int, const char *, char *, size_t)(dir, path, buf, n);
}

EXPORT DIR *opendir(const char *path)
{
	if (!counts() && by_path('r', __func__, AT_FDCWD, path))
		return errno = fail.err, NULL;
	return NEXT(DIR *, "opendir", const char *)(path);
}

EXPORT struct dirent64 *readdir64(DIR *d)
{
	if (!counts() && by_fd('r', __func__, dirfd(d)))
		return errno = fail.err, NULL;
	return NEXT(struct dirent64 *, "readdir64", DIR *)(d);
}

EXPORT void *mmap64(void *at, size_t n, int prot, int flags, int fd, off64_t from)
{
	if (!counts() && fd >= 0 && by_fd('m', "mmap", fd))
		return errno = fail.err, MAP_FAILED;
	return NEXT(void *, "mmap64", void *, size_t, int, int, int, off64_t)(at, n, prot, flags, fd, from);
}

EXPORT void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t from)
{
	if (!counts() && fd >= 0 && by_fd('m', "mmap", fd))
		return errno = fail.err, MAP_FAILED;
	return NEXT(void *, "mmap", void *, size_t, int, int, int, off_t)(at, n, prot, flags, fd, from);
}

#include "core/base/fs.h"

#include "core/base/err.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/str.h"
#include "core/base/temps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#define SPARSE_MIN 4096u                /* a block of zeros this long becomes a hole */

int fs_read_fd(struct str *out, int fd, uint64_t max, const char *name, struct err *e)
{
	struct stat st;
	size_t had = out->len;

	if (fstat(fd, &st))
		return err_sys(e, "cannot stat '%s'", name);
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return err_sys(e, "cannot read '%s'", name);
	}
	if (S_ISREG(st.st_mode) && st.st_size > 0 && (uint64_t)st.st_size <= max)
		str_reserve(out, (size_t)st.st_size + 1);
	for (;;) {
		ssize_t n;

		if (out->cap - out->len < 2)
			str_reserve(out, out->cap ? out->cap : 4096);
		n = read(fd, out->buf + out->len, out->cap - out->len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "cannot read '%s'", name);
		if (!n)
			break;
		out->len += (size_t)n;
		if (out->len - had > max)
			return err_set(e, ERR_PARSE, "'%s' is larger than %llu bytes", name,
				       (unsigned long long)max);
	}
	out->buf[out->len] = 0;
	return 0;
}

int fs_read(struct str *out, const char *path, uint64_t max, struct err *e)
{
	/* O_NONBLOCK: a FIFO put in a file's place must not hang us; it has no effect on regular files. */
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return err_sys(e, "cannot open '%s'", path);
	if (!fstat(fd, &st) && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISCHR(st.st_mode))
		return err_set(e, ERR_FAIL, "cannot read '%s': not a regular file", path);
	return fs_read_fd(out, fd, max, path, e);
}

int fs_write_all(int fd, const void *p, size_t n)
{
	const char *s = p;

	while (n) {
		ssize_t w = write(fd, s, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -1;
		s += w;
		n -= (size_t)w;
	}
	return 0;
}

int fs_settle(int fd)
{
	int again = dup(fd);

	return again < 0 || (close(again) && errno != EINTR) ? -1 : 0;
}

int fs_write_sparse(int fd, const void *p, size_t n)
{
	const char *b = p;

	if (n < SPARSE_MIN || *b || memcmp(b, b + 1, n - 1) != 0)
		return fs_write_all(fd, p, n);
	return lseek(fd, (off_t)n, SEEK_CUR) < 0 ? -1 : 1;
}

/* The mode that a rewritten file gets: the asked one, that of the file it replaces, or the usual one. */
static mode_t mode_of_replacement(int dirfd, const char *base, mode_t mode)
{
	struct stat st;

	if (mode)
		return mode;
	if (!fstatat(dirfd, base, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode))
		return st.st_mode & 07777;
	return 0666 & ~fs_umask();
}

static int write_temp(int dirfd, const char *tmp, const void *p, size_t n, mode_t mode, bool sync)
{
	autoclose int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -1;
	proc_fault("replace.created");
	if (fs_write_all(fd, p, n) || fchmod(fd, mode))
		return -1;
	proc_fault("replace.written");
	return sync ? fsync(fd) : 0;
}

static int sync_dir(int dirfd, const char *path, struct err *e)
{
	if (fsync(dirfd) && errno != EINVAL)    /* EINVAL: a file system that has no such thing */
		return err_sys(e, "cannot sync the directory of '%s'", path);
	return 0;
}

static int replace_at(int dirfd, const char *base, const char *path, const void *p, size_t n, mode_t mode, bool sync,
		      struct err *e)
{
	char tmp[32];

	temps_note_fd(dirfd);
	fs_temp_scratch(tmp);
	if (write_temp(dirfd, tmp, p, n, mode_of_replacement(dirfd, base, mode), sync))
		goto undo;
	proc_fault(sync ? "replace.synced" : "replace.unsynced");
	if (renameat(dirfd, tmp, dirfd, base))
		goto undo;
	proc_fault("replace.renamed");
	return sync ? sync_dir(dirfd, path, e) : 0;
undo:
	temps_remove(dirfd, tmp);
	return err_sys(e, "cannot write '%s'", path);
}

static int replace(const char *path, const void *p, size_t n, mode_t mode, bool sync, struct err *e)
{
	autofree char *dir = path_dir(path);
	autoclose int dirfd = open(*dir ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dirfd < 0)
		return err_sys(e, "cannot write '%s': cannot open its directory", path);
	return replace_at(dirfd, path_base(path), path, p, n, mode, sync, e);
}

int fs_replace_at(int dirfd, const char *name, const void *p, size_t n, mode_t mode, struct err *e)
{
	return replace_at(dirfd, name, name, p, n, mode, true, e);
}

int fs_replace(const char *path, const void *p, size_t n, mode_t mode, struct err *e)
{
	return replace(path, p, n, mode, true, e);
}

int fs_replace_unsynced(const char *path, const void *p, size_t n, struct err *e)
{
	return replace(path, p, n, 0, false, e);
}

int fs_sync(const char *path, struct err *e)
{
	autofree char *dir = path_dir(path);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	autoclose int dirfd = open(*dir ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || dirfd < 0 || fsync(fd))
		return err_sys(e, "cannot sync '%s'", path);
	return sync_dir(dirfd, path, e);
}

int fs_create_locked(const char *path, mode_t mode)
{
	for (int tries = 0; tries < 10; tries++) {
		int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, mode);
		bool locked = fd >= 0 && !flock(fd, LOCK_EX);   /* a sweeper holds it for a moment at most */
		struct stat st;

		if (fd < 0)
			return -1;
		if (locked && !fstat(fd, &st) && st.st_nlink)
			return fd;
		if (!locked)
			unlink(path);
		close(fd);
		if (!locked)
			return -1;      /* else a sweeper found it empty and unlocked, and removed it */
	}
	return -1;
}

int fs_mkdirs_at(int dirfd, const char *path, mode_t mode, struct err *e)
{
	autofree char *copy = NULL;
	struct stat st;
	char *slash;

	if (!*path || !mkdirat(dirfd, path, mode))
		return 0;
	if (errno == ENOENT) {
		copy = xstrdup(path);
		slash = strrchr(copy, '/');
		while (slash && slash > copy && slash[1] == 0) {        /* trailing slashes */
			*slash = 0;
			slash = strrchr(copy, '/');
		}
		if (!slash || slash == copy)
			return err_sys(e, "cannot make directory '%s'", path);
		*slash = 0;
		if (fs_mkdirs_at(dirfd, copy, mode, e))
			return -1;
		if (!mkdirat(dirfd, path, mode))
			return 0;
	}
	if (errno == EEXIST) {
		if (!fstatat(dirfd, path, &st, 0)) {
			if (S_ISDIR(st.st_mode))
				return 0;
			errno = ENOTDIR;
		}
	}
	return err_sys(e, "cannot make directory '%s'", path);
}

int fs_mkdirs(const char *path, mode_t mode, struct err *e)
{
	return fs_mkdirs_at(AT_FDCWD, path, mode, e);
}

int fs_mkdirs_shared(const char *path, struct err *e)
{
	autofree char *up = NULL;
	int rc = mkdir(path, 0777);

	if (rc && errno == ENOENT && strrchr(path, '/') > path) {
		up = path_dir(path);
		if (fs_mkdirs_shared(up, e))
			return -1;
		rc = mkdir(path, 0777);
	}
	if (rc)
		return errno == EEXIST && fs_is_dir(path) ? 0 : err_sys(e, "cannot make directory '%s'", path);
	return chmod(path, 02775) && errno != EPERM ? err_sys(e, "cannot set the mode of '%s'", path) : 0;
}

void fs_closedir(DIR **d)
{
	if (*d)
		closedir(*d);
}

int fs_next_entry(DIR *d, struct dirent **out, const char *shown, struct err *e)
{
	do {
		errno = 0;
		*out = readdir(d);
	} while (*out && (!strcmp((*out)->d_name, ".") || !strcmp((*out)->d_name, "..")));
	return *out ? 1 : errno ? err_sys(e, "cannot read '%s'", shown) : 0;
}

static int rm_entries(int fd, const char *name, struct err *e)
{
	autodir DIR *d = fdopendir(fd);
	struct dirent *de;
	int more;

	if (!d) {
		close(fd);
		return err_sys(e, "cannot read '%s'", name);
	}
	while ((more = fs_next_entry(d, &de, name, e)) > 0)
		if (fs_rm_tree_at(dirfd(d), de->d_name, e))
			return err_in(e, "in '%s'", name);
	return more;
}

int fs_rm_tree_at(int dirfd, const char *name, struct err *e)
{
	int fd;

	if (!unlinkat(dirfd, name, 0) || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_sys(e, "cannot remove '%s'", name);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "cannot remove '%s'", name);
	if (rm_entries(fd, name, e))
		return -1;
	if (unlinkat(dirfd, name, AT_REMOVEDIR) && errno != ENOENT)
		return err_sys(e, "cannot remove directory '%s'", name);
	return 0;
}

int fs_rm_tree(const char *path, struct err *e)
{
	return fs_rm_tree_at(AT_FDCWD, path, e);
}

/* An error of the disk is no absence: who takes a file that cannot be read for one that is not there writes over it. A
 * directory that is closed to us counts as Python's lexists() has it. */
bool fs_exists(const char *path)
{
	struct stat st;

	return !lstat(path, &st) || errno == EIO || errno == ENOMEM || errno == ESTALE || errno == ETIMEDOUT;
}

bool fs_is_dir(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

bool fs_is_link(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && S_ISLNK(st.st_mode);
}

static mode_t the_umask;        /* constant after read_umask() */

/* umask(2) can only be read by setting it, which other threads would see: ask /proc first. */
static void read_umask(void)
{
	autofclose FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	unsigned v;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Umask: %o", &v) == 1) {
			the_umask = v;
			return;
		}
	}
	the_umask = umask(022);
	umask(the_umask);
}

char *fs_follow(const char *path, const char *root)
{
	autofree char *real = fs_is_link(path) ? realpath(path, NULL) : NULL, *top = real && root ? realpath(root, NULL) : NULL;

	return real && (!root || (top && path_is_inside(real, top))) ? take(real) : xstrdup(path);
}

mode_t fs_umask(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_umask);
	return the_umask;
}

static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#define TEMP_SCRATCH (1ull << 63)

static uint32_t random_bits(void)
{
	struct timespec t;
	uint32_t r;

	if (getrandom(&r, sizeof(r), 0) == (ssize_t)sizeof(r))
		return r;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint32_t)t.tv_nsec ^ (uint32_t)t.tv_sec << 12 ^ (uint32_t)(uintptr_t)&r;
}

uint64_t fs_temp_self(void)
{
	static _Atomic uint64_t self;
	uint64_t have = atomic_load(&self), want = (uint64_t)getpid() << 32;

	if (have >> 32 == want >> 32)
		return have;
	want |= random_bits();
	return atomic_compare_exchange_strong(&self, &have, want) ? want : have;
}

/* 22 letters of 6 bits hold two words: random bits of the thread and of the process, and the process's number with a counter. */
static void temp_name(char out[32], uint64_t mark)
{
	static __thread uint64_t seed, counter, owner;
	uint64_t w[2], self = fs_temp_self();
	size_t i;

	if (owner != self) {
		owner = self;
		seed = (uint64_t)random_bits() << 32 | (uint32_t)self;
	}
	w[0] = seed;
	w[1] = (++counter & ((1ull << 40) - 1)) | (self >> 32) << 40 | mark;
	out[0] = '.';
	for (i = 0; i < 22; i++) {
		out[1 + i] = url_safe[w[i / 11] & 63];
		w[i / 11] >>= 6;
	}
	memcpy(out + 23, ".tmp", 5);
}

void fs_temp_name(char out[32])
{
	temp_name(out, 0);
}

void fs_temp_scratch(char out[32])
{
	temp_name(out, TEMP_SCRATCH);
}

uint64_t fs_temp_maker(const char *name)
{
	uint64_t w[2] = { 0 };

	if (!fs_is_temp_name(name))
		return 0;
	for (size_t i = 22; i-- > 0; )
		w[i / 11] = w[i / 11] << 6 | (uint64_t)(strchr(url_safe, name[1 + i]) - url_safe);
	return w[1] & TEMP_SCRATCH ? (w[1] & ~TEMP_SCRATCH) >> 40 << 32 | (uint32_t)w[0] : 0;
}

void fs_temp_known(char out[32], const unsigned char id[16])
{
	uint32_t acc = 0;
	int bits = 0, n = 0;

	out[n++] = '.';
	for (int i = 0; i < 16; i++) {
		acc = acc << 8 | id[i];
		for (bits += 8; bits >= 6; bits -= 6)
			out[n++] = url_safe[acc >> (bits - 6) & 63];
	}
	out[n++] = url_safe[acc << (6 - bits) & 63];
	memcpy(out + n, ".tmp", 5);
}

bool fs_is_temp_name(const char *name)
{
	if (name[0] != '.' || strspn(name + 1, url_safe) != 22)
		return false;
	return !strcmp(name + 23, ".tmp");
}

const char *link_kind_name(enum link_kind k)
{
	static const char *const names[] = { "reflink", "hardlink", "symlink", "copy" };

	return names[k];
}

bool fs_is_remote(const char *dir)
{
	static const uint32_t magic[] = {       /* nfs smb cifs smb2 afs 9p ceph lustre gpfs fuse coda */
		0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x5346414f, 0x01021997, 0x00c36400, 0x0bd00bd0,
		0x47504653, 0x65735546, 0x73757245,
	};
	struct statfs st;

	if (statfs(dir, &st))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(magic); i++)
		if ((uint32_t)st.f_type == magic[i])
			return true;
	return false;
}

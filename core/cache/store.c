#include "core/cache/store_own.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#define OBJECT_MODE 0444
#define TEMP_DIR "git-data.tmp"
#define QUARANTINE "git-data.quarantine"        /* DVC passes over directories whose name has not two letters */

int store_open(struct store **out, const struct store_conf *c, struct err *e)
{
	struct store *s;

	if (c->dir[0] != '/')
		return err_set(e, ERR_CONFIG, "cache directory '%s' is not absolute", c->dir);
	s = xcalloc(1, sizeof(*s));
	s->root = path_norm(c->dir);
	s->base = c->legacy ? xstrdup(s->root) : path_join(s->root, "files/md5");
	s->conf = *c;
	s->conf.dir = s->root;
	s->conf.unsynced_file = NULL;
	s->basefd = s->tempfd = -1;
	s->unsynced = unsynced_open(c->unsynced_file);
	pthread_mutex_init(&s->mu, NULL);
	*out = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->basefd >= 0)
		close(s->basefd);
	if (s->tempfd >= 0) {
		autofree char *dir = path_join(s->root, TEMP_DIR);

		close(s->tempfd);
		rmdir(dir);             /* only when nobody else has something in it */
	}
	unsynced_close(s->unsynced);
	pthread_mutex_destroy(&s->mu);
	free(s->root);
	free(s->base);
	free(s);
}

const char *store_dir(const struct store *s)
{
	return s->root;
}

void store_name(char out[STORE_NAME_MAX], const struct oid *id)
{
	oid_key(out, id, true);
}

char *store_path(const struct store *s, const struct oid *id)
{
	char name[STORE_NAME_MAX];

	store_name(name, id);
	return path_join(s->base, name);
}

/* cache.shared = group: the directories are the group's whatever the umask says. */
static int make_shared_dir(int dirfd, const char *name)
{
	return fchmodat(dirfd, name, 02775, 0) && errno != EPERM ? -1 : 0;
}

static int make_base(struct store *s, struct err *e)
{
	struct stat st;

	if (!stat(s->base, &st))
		return 0;
	if (fs_mkdirs(s->base, 0777, e))
		return -1;
	if (!s->conf.shared)
		return 0;
	for (char *p = xstrdup(s->base);;) {
		size_t n = strlen(p);

		if (make_shared_dir(AT_FDCWD, p)) {
			err_sys(e, "cannot set the mode of '%s'", p);
			free(p);
			return -1;
		}
		if (n <= strlen(s->root)) {
			free(p);
			return 0;
		}
		*strrchr(p, '/') = 0;
	}
}

int store_base(struct store *s, bool make, struct err *e)
{
	int fd = atomic_load(&s->basefd);

	if (fd >= 0)
		return fd;
	pthread_mutex_lock(&s->mu);
	fd = atomic_load(&s->basefd);
	if (fd < 0 && (!make || !make_base(s, e))) {
		fd = open(s->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			err_sys(e, "cannot open the cache '%s'", s->base);
		else
			atomic_store(&s->basefd, fd);
	}
	pthread_mutex_unlock(&s->mu);
	return fd;
}

/* As store_base(), for questions: false and no error while the cache does not exist. */
static int base_or_none(struct store *s, int *fd, struct err *e)
{
	struct err mine = ERR_INIT;

	*fd = store_base(s, false, &mine);
	if (*fd >= 0 || mine.code == ERR_NOTFOUND) {
		err_release(&mine);
		return 0;
	}
	err_move(e, &mine);
	return -1;
}

bool store_trusts(struct store *s, const struct oid *id, const struct stat *st)
{
	return S_ISREG(st->st_mode) && (st->st_mode & 07777) == OBJECT_MODE &&
	       !unsynced_suspects(s->unsynced, id, st);
}

int store_writing(struct store *s, struct err *e)
{
	int fd;

	if (atomic_load_explicit(&s->wrote, memory_order_relaxed))
		return 0;
	fd = store_base(s, true, e);
	if (fd < 0 || unsynced_mark(s->unsynced, fd, e))
		return -1;
	atomic_store(&s->wrote, true);
	return 0;
}

static int digest_fd(struct store *s, int fd, unsigned char out[16], const char *name, struct err *e)
{
	autofree unsigned char *buf = NULL;
	struct md5 m;
	ssize_t n;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, "cannot read '%s'", name);
	if (s->conf.legacy)
		return legacy_md5(fd, out, e);
	buf = xmalloc(1 << 20);
	md5_init(&m);
	while ((n = read(fd, buf, 1 << 20))) {
		if (n < 0 && errno != EINTR)
			return err_sys(e, "cannot read '%s'", name);
		if (n > 0)
			md5_update(&m, buf, (size_t)n);
		if (proc_check(e))
			return -1;
	}
	md5_final(&m, out);
	return 0;
}

/* A manifest's name is the plain digest in both layouts. */
static int matches(struct store *s, int fd, const struct oid *id, const char *name, struct err *e)
{
	unsigned char got[16];
	struct store plain = { .conf = { .legacy = s->conf.legacy && !id->is_dir } };

	if (digest_fd(&plain, fd, got, name, e))
		return -1;
	return !memcmp(got, id->md5, 16);
}

/* S7: what does not match is kept for its owner to look at, under a name that is no object's. */
static int set_aside(struct store *s, int basefd, const char *name, const struct oid *id, struct err *e)
{
	autofree char *dir = path_join(s->root, QUARANTINE), *to = NULL;
	char hex[OID_HEX_MAX];
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	oid_hex(hex, id);
	to = xasprintf("%s/%s.%lld.%09ld", dir, hex, (long long)t.tv_sec, t.tv_nsec);
	if (fs_mkdirs(dir, 0777, e))
		return err_in(e, "cannot set aside the corrupted object '%s'", hex);
	if (renameat(basefd, name, AT_FDCWD, to) && errno != ENOENT)
		return err_sys(e, "cannot set aside the corrupted object '%s'", hex);
	notice(NOTICE_WARN, "corrupted cache file '%s/%s' was moved to '%s'", s->base, name, to);
	return 0;
}

/* Reads an object that is not believed: 1 it matches (and is believed from now on), 0 it was set aside. */
static int examine(struct store *s, int basefd, const char *name, const struct oid *id, int fd, const struct stat *st,
		   struct err *e)
{
	int ok = matches(s, fd, id, name, e);

	if (ok < 0)
		return -1;
	if (!ok)
		return set_aside(s, basefd, name, id, e);
	if ((st->st_mode & 07777) != OBJECT_MODE)
		(void)!fchmod(fd, OBJECT_MODE);         /* another owner's object: right, if not protected */
	unsynced_good(s->unsynced, id);
	return 1;
}

/* Opens an object: 1 believed or verified, 0 absent or set aside. */
static int open_trusted(struct store *s, const struct oid *id, struct stat *st, int *out_fd, struct err *e)
{
	char name[STORE_NAME_MAX];
	autoclose int fd = -1;
	int basefd, ok;

	if (base_or_none(s, &basefd, e))
		return -1;
	if (basefd < 0)
		return 0;
	store_name(name, id);
	fd = openat(basefd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 || fstat(fd, st))
		return err_sys(e, "cannot open the cache file '%s/%s'", s->base, name);
	if (!S_ISREG(st->st_mode))
		return err_set(e, ERR_CORRUPT, "the cache file '%s/%s' is not a regular file", s->base, name);
	ok = store_trusts(s, id, st) ? 1 : examine(s, basefd, name, id, fd, st, e);
	if (ok == 1 && out_fd) {
		if (lseek(fd, 0, SEEK_SET) < 0)
			return err_sys(e, "cannot read the cache file '%s/%s'", s->base, name);
		*out_fd = take_fd(fd);
	}
	return ok;
}

static int stat_object(struct store *s, const struct oid *id, struct stat *st, struct err *e)
{
	char name[STORE_NAME_MAX];
	int basefd;

	if (base_or_none(s, &basefd, e))
		return -1;
	if (basefd < 0)
		return 0;
	store_name(name, id);
	if (!fstatat(basefd, name, st, AT_SYMLINK_NOFOLLOW))
		return 1;
	if (errno == ENOENT || errno == ENOTDIR)
		return 0;
	return err_sys(e, "cannot stat the cache file '%s/%s'", s->base, name);
}

int store_has(struct store *s, const struct oid *id, uint64_t *size, struct err *e)
{
	struct stat st;
	int rc = stat_object(s, id, &st, e);

	if (rc == 1 && !store_trusts(s, id, &st))
		rc = open_trusted(s, id, &st, NULL, e);
	if (rc == 1 && size)
		*size = (uint64_t)st.st_size;
	return rc;
}

int store_has_quick(struct store *s, const struct oid *id, uint64_t *size)
{
	autoerr struct err ignored = ERR_INIT;
	struct stat st;

	if (stat_object(s, id, &st, &ignored) != 1 || !S_ISREG(st.st_mode))
		return 0;
	if (size)
		*size = (uint64_t)st.st_size;
	return 1;
}

int store_read(struct store *s, const struct oid *id, int *out_fd, struct err *e)
{
	struct stat st;
	char hex[OID_HEX_MAX];
	int rc = open_trusted(s, id, &st, out_fd, e);

	if (rc == 1)
		return 0;
	oid_hex(hex, id);
	return rc < 0 ? -1 : err_set(e, ERR_NOTFOUND, "object '%s' is not in the cache '%s'", hex, s->base);
}

int store_make_dir(struct store *s, const char *name, struct err *e)
{
	char aa[3] = { name[0], name[1], 0 };
	int basefd = store_base(s, true, e);

	if (basefd < 0)
		return -1;
	if (mkdirat(basefd, aa, 0777)) {
		if (errno == EEXIST)
			return 0;
		return err_sys(e, "cannot make the cache directory '%s/%s'", s->base, aa);
	}
	if (s->conf.shared && make_shared_dir(basefd, aa))
		return err_sys(e, "cannot set the mode of '%s/%s'", s->base, aa);
	return 0;
}

static int open_temp_dir(struct store *s, struct err *e)
{
	autofree char *dir = path_join(s->root, TEMP_DIR);
	int fd;

	if (!mkdir(dir, 0777) && s->conf.shared)
		(void)!make_shared_dir(AT_FDCWD, dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, "cannot make temporary files in the cache '%s'", s->root);
	return fd;
}

/* Temporaries lie in a directory of their own: their final directory is only known once they are hashed. */
static int temp_dir(struct store *s, struct err *e)
{
	int fd = atomic_load(&s->tempfd);

	if (fd >= 0)
		return fd;
	if (store_writing(s, e))
		return -1;
	pthread_mutex_lock(&s->mu);
	fd = atomic_load(&s->tempfd);
	if (fd < 0) {
		fd = open_temp_dir(s, e);
		if (fd >= 0)
			store_sweep_temps(fd);
		atomic_store(&s->tempfd, fd);
	}
	pthread_mutex_unlock(&s->mu);
	return fd;
}

/* Another process removed the directory when it was done: put a new one behind the same descriptor. */
static void renew_temp_dir(struct store *s)
{
	autoerr struct err ignored = ERR_INIT;
	autoclose int fd = -1;

	pthread_mutex_lock(&s->mu);
	fd = open_temp_dir(s, &ignored);
	if (fd >= 0)
		(void)!dup3(fd, atomic_load(&s->tempfd), O_CLOEXEC);
	pthread_mutex_unlock(&s->mu);
}

int store_temp(struct store *s, const struct oid *id, int *out_fd, char **out_tmp, struct err *e)
{
	char temp[32];
	int dir = temp_dir(s, e), fd = -1;

	(void)id;
	if (dir < 0)
		return -1;
	fs_temp_name(temp);
	for (int tries = 0; fd < 0 && tries < 3; tries++) {
		fd = openat(dir, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (fd >= 0 || errno != ENOENT)
			break;
		renew_temp_dir(s);
	}
	if (fd < 0)
		return err_sys(e, "cannot create a temporary file in the cache '%s'", s->root);
	proc_fault("store.temp");
	*out_fd = fd;
	*out_tmp = xstrdup(temp);
	return 0;
}

char *store_temp_path(const struct store *s, const char *tmp)
{
	return xasprintf("%s/%s/%s", s->root, TEMP_DIR, tmp);
}

int store_temp_at(const struct store *s)
{
	return atomic_load(&s->tempfd);
}

void store_drop(struct store *s, const char *tmp)
{
	int fd = atomic_load(&s->tempfd);

	if (fd >= 0 && tmp)
		unlinkat(fd, tmp, 0);
}

/* S2: gives a complete file its name. An object that is there already is kept if it is good. */
int store_rename_in(struct store *s, int fromfd, const char *from, const struct oid *id, struct err *e)
{
	char name[STORE_NAME_MAX];
	int basefd = store_base(s, true, e), has;

	if (basefd < 0)
		return -1;
	store_name(name, id);
	for (int tries = 0; tries < 3; tries++) {
		if (!renameat2(fromfd, from, basefd, name, RENAME_NOREPLACE))
			return 0;
		if (errno == EINVAL && !renameat(fromfd, from, basefd, name))  /* file systems without the flag */
			return 0;
		if (errno == ENOENT && !tries) {
			if (store_make_dir(s, name, e))
				return -1;
			continue;
		}
		if (errno != EEXIST)
			break;
		has = store_has(s, id, NULL, e);
		if (has < 0)
			return -1;
		if (has) {
			unlinkat(fromfd, from, 0);
			return 0;
		}
	}
	return err_sys(e, "cannot name the object '%s/%s'", s->base, name);
}

int store_publish(struct store *s, const struct oid *id, int fd, const char *tmp, struct err *e)
{
	autofree char *path = NULL, *aa = NULL;
	autoclose int dirfd = -1;

	if (fchmod(fd, OBJECT_MODE))
		return err_sys(e, "cannot protect the object '%s'", tmp);
	if (s->conf.fsync == STORE_FSYNC_OBJECT && fsync(fd))
		return err_sys(e, "cannot sync the object '%s'", tmp);
	proc_fault("store.complete");
	if (store_rename_in(s, atomic_load(&s->tempfd), tmp, id, e))
		return -1;
	proc_fault("store.named");
	if (s->conf.fsync != STORE_FSYNC_OBJECT)
		return 0;
	path = store_path(s, id);
	aa = path_dir(path);
	dirfd = open(aa, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0 || fsync(dirfd))
		return err_sys(e, "cannot sync the cache directory '%s'", aa);
	return 0;
}

int store_put_bytes(struct store *s, const void *p, size_t n, const struct oid *id, struct err *e)
{
	autofree char *tmp = NULL;
	autoclose int fd = -1;
	int has = store_has(s, id, NULL, e);

	if (has)
		return has < 0 ? -1 : 0;
	if (store_temp(s, id, &fd, &tmp, e))
		return -1;
	if (fs_write_all(fd, p, n)) {
		err_sys(e, "cannot write to the cache '%s'", s->base);
		goto undo;
	}
	if (store_publish(s, id, fd, tmp, e))
		goto undo;
	return 0;
undo:
	store_drop(s, tmp);
	return -1;
}

int store_remove(struct store *s, const struct oid *id, struct err *e)
{
	char name[STORE_NAME_MAX];
	int basefd;

	if (base_or_none(s, &basefd, e))
		return -1;
	store_name(name, id);
	if (basefd >= 0 && unlinkat(basefd, name, 0) && errno != ENOENT && errno != ENOTDIR)
		return err_sys(e, "cannot remove the cache file '%s/%s'", s->base, name);
	return 0;
}

int store_verify(struct store *s, const struct oid *id, struct err *e)
{
	char name[STORE_NAME_MAX];
	autoclose int fd = -1;
	struct stat st;
	int basefd, ok;

	if (store_read(s, id, &fd, e))
		return -1;
	basefd = atomic_load(&s->basefd);
	store_name(name, id);
	if (fstat(fd, &st))
		return err_sys(e, "cannot stat the cache file '%s/%s'", s->base, name);
	ok = examine(s, basefd, name, id, fd, &st, e);
	if (ok < 0)
		return -1;
	return ok ? 0 : err_set(e, ERR_CORRUPT, "the cache file '%s/%s' was corrupted", s->base, name);
}

int store_flush(struct store *s, struct err *e)
{
	int fd = atomic_load(&s->basefd);

	if (!atomic_load(&s->wrote) || s->conf.fsync == STORE_FSYNC_DEFERRED || fd < 0)
		return 0;
	if (syncfs(fd))
		return err_sys(e, "cannot flush the cache '%s'", s->base);
	return unsynced_flushed(s->unsynced, e);
}

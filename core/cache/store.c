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
	s->basefd = s->tempfd = s->has_temps = s->can_clone = -1;
	s->unsynced = unsynced_open(&(struct unsynced_conf){
		.root = s->root, .name = c->legacy ? UNSYNCED_MARK "-legacy" : UNSYNCED_MARK, .own = c->unsynced_file });
	pthread_mutex_init(&s->mu, NULL);
	*out = s;
	return 0;
}

void store_close(struct store *s)
{
	autoerr struct err ignored = ERR_INIT;

	if (!s)
		return;
	store_flush(s, &ignored);       /* core.fsync = batch; when it fails the mark stays and the objects are suspect */
	if (s->tempfd >= 0) {
		autofree char *dir = path_join(s->root, STORE_TEMP_DIR);

		close(s->tempfd);
		rmdir(dir);             /* only when nobody else has something in it */
	}
	unsynced_close(s->unsynced);
	if (s->basefd >= 0)
		close(s->basefd);       /* the last: it holds the lock by which others see a writer (U5) */
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
int store_share_dir(int dirfd, const char *name)
{
	return fchmodat(dirfd, name, 02775, 0) && errno != EPERM ? -1 : 0;
}

static int make_base(struct store *s, struct err *e)
{
	struct stat st;

	if (!stat(s->base, &st))
		return 0;
	return s->conf.shared ? fs_mkdirs_shared(s->base, e) : fs_mkdirs(s->base, 0777, e);
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
	return S_ISREG(st->st_mode) && (st->st_mode & 07777) == STORE_OBJECT_MODE &&
	       !unsynced_suspects(s->unsynced, id, st);
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

static bool is_inode(int dirfd, const char *name, const struct stat *st)
{
	struct stat now;

	return !fstatat(dirfd, name, &now, AT_SYMLINK_NOFOLLOW) && now.st_dev == st->st_dev && now.st_ino == st->st_ino;
}

/*
 * S7: what does not match is kept for its owner to look at, under a name that is no object's. 'st' is the file that was read:
 * another one that took its name meanwhile stays, or gets the name back.
 */
static int set_aside(struct store *s, int basefd, const char *name, const struct oid *id, const struct stat *st, struct err *e)
{
	autofree char *dir = path_join(s->root, QUARANTINE), *to = NULL;
	char hex[OID_HEX_MAX];
	struct timespec t;

	if (!is_inode(basefd, name, st))
		return 0;
	clock_gettime(CLOCK_REALTIME, &t);
	oid_hex(hex, id);
	to = xasprintf("%s/%s.%lld.%09ld", dir, hex, (long long)t.tv_sec, t.tv_nsec);
	if (fs_mkdirs(dir, 0777, e))
		return err_in(e, "cannot set aside the corrupted object '%s'", hex);
	proc_fault("store.aside");
	if (renameat(basefd, name, AT_FDCWD, to))
		return errno == ENOENT ? 0 : err_sys(e, "cannot set aside the corrupted object '%s'", hex);
	if (!is_inode(AT_FDCWD, to, st) && !linkat(AT_FDCWD, to, basefd, name, 0)) {
		unlink(to);
		return 0;
	}
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
		return set_aside(s, basefd, name, id, st, e);
	if ((st->st_mode & 07777) != STORE_OBJECT_MODE)
		(void)!fchmod(fd, STORE_OBJECT_MODE);         /* another owner's object: right, if not protected */
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
	ok = 1;
	if (!store_trusts(s, id, st)) {
		ok = examine(s, basefd, name, id, fd, st, e);
		if (ok == 1 && lseek(fd, 0, SEEK_SET) < 0)
			return err_sys(e, "cannot read the cache file '%s/%s'", s->base, name);
	}
	if (ok == 1 && out_fd)
		*out_fd = take_fd(fd);
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
	int rc = stat_object(s, id, &st, &ignored), saved = errno;

	if (rc < 0)
		err_release(&ignored);
	errno = saved;
	if (rc != 1 || !S_ISREG(st.st_mode))
		return rc < 0 ? -1 : 0;
	if (size)
		*size = (uint64_t)st.st_size;
	return 1;
}

int store_read(struct store *s, const struct oid *id, int *out_fd, struct err *e)
{
	return store_read_sized(s, id, out_fd, &(uint64_t){ 0 }, e);
}

int store_read_sized(struct store *s, const struct oid *id, int *out_fd, uint64_t *size, struct err *e)
{
	struct stat st;
	char hex[OID_HEX_MAX];
	int rc = open_trusted(s, id, &st, out_fd, e);

	if (rc == 1) {
		*size = (uint64_t)st.st_size;
		return 0;
	}
	oid_hex(hex, id);
	return rc < 0 ? -1 : err_set(e, ERR_NOTFOUND, "object '%s' is not in the cache '%s'", hex, s->base);
}

int store_remove(struct store *s, const struct oid *id, struct err *e)
{
	char name[STORE_NAME_MAX];
	int basefd;

	if (base_or_none(s, &basefd, e))
		return -1;
	store_name(name, id);
	proc_fault("store.remove");
	if (basefd >= 0 && unlinkat(basefd, name, 0) && errno != ENOENT && errno != ENOTDIR)
		return err_sys(e, "cannot remove the cache file '%s/%s'", s->base, name);
	proc_fault("store.removed");
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

/* The writing half of store.h: temporaries, names, and what durability was asked for. */
#include "core/cache/store_own.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

int store_writing(struct store *s, struct err *e)
{
	int fd;

	if (atomic_load_explicit(&s->wrote, memory_order_relaxed))
		return 0;
	fd = store_base(s, true, e);
	if (fd < 0 || (s->conf.fsync != STORE_FSYNC_OBJECT && unsynced_mark(s->unsynced, fd, e)))
		return -1;
	atomic_store(&s->wrote, true);
	return 0;
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
	if (s->conf.shared && store_share_dir(basefd, aa))
		return err_sys(e, "cannot set the mode of '%s/%s'", s->base, aa);
	if (s->conf.fsync == STORE_FSYNC_OBJECT && fsync(basefd))
		return err_sys(e, "cannot sync the cache directory '%s'", s->base);
	return 0;
}

static int open_temp_dir(struct store *s, struct err *e)
{
	autofree char *dir = path_join(s->root, STORE_TEMP_DIR);
	int fd, made = mkdir(dir, 0777) ? errno : 0;

	if (!made && s->conf.shared)
		(void)!store_share_dir(AT_FDCWD, dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT && made && made != EEXIST)
		errno = made;
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

static int named_temp(struct store *s, int *out_fd, char temp[32], struct err *e)
{
	int dir = temp_dir(s, e), fd = -1;

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
	return 0;
}

/* ENOENT of the direct way may mean that there is no privilege to link a bare descriptor: then /proc knows better. */
static int link_fd(struct store *s, int fd, int basefd, const char *name)
{
	char proc[32];

	if (!atomic_load_explicit(&s->by_proc, memory_order_relaxed)) {
		int rc = linkat(fd, "", basefd, name, AT_EMPTY_PATH);

		if (!rc || errno != ENOENT)
			return rc;
	}
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, proc, basefd, name, AT_SYMLINK_FOLLOW))
		return -1;
	atomic_store_explicit(&s->by_proc, true, memory_order_relaxed);
	return 0;
}

int store_temp_named(struct store *s, int *out_fd, char **out_tmp, struct err *e)
{
	char temp[32];

	if (named_temp(s, out_fd, temp, e))
		return -1;
	*out_tmp = xstrdup(temp);
	return 0;
}

int store_temp(struct store *s, int *out_fd, char **out_tmp, struct err *e)
{
	char temp[32];

	if (store_anon(s, out_fd, temp, e))
		return -1;
	*out_tmp = xstrdup(temp);
	return 0;
}

bool store_temp_keep(struct store *s, int fd, const char *tmp, const char *name)
{
	autoerr struct err ignored = ERR_INIT;
	int dir = temp_dir(s, &ignored);

	if (dir < 0)
		return false;
	if (*tmp && !renameat2(dir, tmp, dir, name, RENAME_NOREPLACE))
		return true;
	if (*tmp)               /* file systems without the flag */
		return errno == EINVAL && faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) && !renameat(dir, tmp, dir, name);
	/* A part has to be writable by name: the next process goes on with it. */
	if (fchmod(fd, 0644))
		return false;
	return !link_fd(s, fd, dir, name);
}

char *store_temp_path(const struct store *s, const char *tmp)
{
	return xasprintf("%s/%s/%s", s->root, STORE_TEMP_DIR, tmp);
}

int store_temp_at(const struct store *s)
{
	return atomic_load(&s->tempfd);
}

void store_drop(struct store *s, const char *tmp)
{
	int fd = atomic_load(&s->tempfd);

	if (fd >= 0 && tmp && *tmp)
		unlinkat(fd, tmp, 0);
}

/* One attempt at naming: by link of a descriptor, or by rename of a temporary. */
static int name_once(struct store *s, int fd, const char *tmp, int basefd, const char *name)
{
	if (!*tmp)
		return link_fd(s, fd, basefd, name);
	if (!renameat2(atomic_load(&s->tempfd), tmp, basefd, name, RENAME_NOREPLACE))
		return 0;
	if (errno == EINVAL)    /* file systems without the flag */
		return renameat(atomic_load(&s->tempfd), tmp, basefd, name);
	return -1;
}

/*
 * S2: gives a complete file its name. An object that is there already is kept if it is good: then the answer is 1, else
 * 0; -1 with errno set and no error told when the file cannot be named.
 */
static int name_object(struct store *s, int fd, const char *tmp, const struct oid *id, struct err *e)
{
	char name[STORE_NAME_MAX];
	int basefd = store_base(s, true, e), has, absent = 0;

	if (basefd < 0)
		return -1;
	store_name(name, id);
	for (int tries = 0; tries < 6; tries++) {
		if (!name_once(s, fd, tmp, basefd, name))
			return 0;
		if (errno == ENOENT && !absent++) {
			if (store_make_dir(s, name, e))
				return -1;
		} else if (errno == EEXIST) {
			has = store_has(s, id, NULL, e);
			if (has)
				return has;
		} else {
			return -1;
		}
	}
	errno = EBUSY;
	return -1;
}

static int sync_object_dir(struct store *s, const struct oid *id, struct err *e)
{
	autofree char *path = NULL, *aa = NULL;
	autoclose int dirfd = -1;

	if (s->conf.fsync != STORE_FSYNC_OBJECT)
		return 0;
	path = store_path(s, id);
	aa = path_dir(path);
	dirfd = open(aa, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0 || fsync(dirfd))
		return err_sys(e, "cannot sync the cache directory '%s'", aa);
	return 0;
}

/* 0 named, 1 it was there. The temporary is gone in both cases. */
static int publish(struct store *s, const struct oid *id, int fd, const char *tmp, struct err *e)
{
	char hex[OID_HEX_MAX];
	int rc;

	oid_hex(hex, id);
	if (s->conf.fsync == STORE_FSYNC_OBJECT ? fsync(fd) : *tmp && fs_settle(fd))
		return err_sys(e, "cannot write the object '%s' to the cache '%s'", hex, s->base);
	proc_fault("store.complete");
	rc = name_object(s, fd, tmp, id, e);
	if (rc < 0)
		return e->code ? -1 : err_sys(e, "cannot name the object '%s' in '%s'", hex, s->base);
	if (rc)
		store_drop(s, tmp);
	proc_fault("store.named");
	return sync_object_dir(s, id, e) ? -1 : rc;
}

/* A file without a name was made with its final mode (store_anon). */
static int protect(int fd, const char *tmp)
{
	return *tmp || (STORE_OBJECT_MODE & fs_umask()) ? fchmod(fd, STORE_OBJECT_MODE) : 0;
}

int store_publish(struct store *s, const struct oid *id, int fd, const char *tmp, struct err *e)
{
	if (protect(fd, tmp))
		return err_sys(e, "cannot protect a file in the cache '%s'", s->base);
	return publish(s, id, fd, tmp, e) < 0 ? -1 : 0;
}

int store_anon(struct store *s, int *out_fd, char tmp[32], struct err *e)
{
	int basefd, fd;

	if (store_writing(s, e))
		return -1;
	basefd = store_base(s, true, e);
	if (!atomic_load_explicit(&s->no_anon, memory_order_relaxed)) {
		/* Writable for us, read-only for whoever opens it by name: the mode it is to keep (S3). */
		fd = openat(basefd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, STORE_OBJECT_MODE);
		if (fd >= 0) {
			proc_fault("store.temp");
			tmp[0] = 0;
			*out_fd = fd;
			return 0;
		}
		if (errno == ENOSPC || errno == EDQUOT || errno == EMFILE || errno == ENFILE || errno == EACCES ||
		    errno == EROFS)
			return err_sys(e, "cannot create a file in the cache '%s'", s->base);
		atomic_store(&s->no_anon, true);
	}
	return named_temp(s, out_fd, tmp, e);
}

int store_put_new(struct store *s, const void *p, size_t n, const struct oid *id, bool *was_there, struct err *e)
{
	char tmp[32];
	autoclose int fd = -1;
	int rc = 0;

	if (store_anon(s, &fd, tmp, e))
		return -1;
	if (fs_write_all(fd, p, n)) {
		err_sys(e, "cannot write to the cache '%s'", s->base);
		goto undo;
	}
	if (protect(fd, tmp)) {
		err_sys(e, "cannot protect a file in the cache '%s'", s->base);
		goto undo;
	}
	rc = publish(s, id, fd, tmp, e);
	if (rc < 0)
		goto undo;
	*was_there = rc == 1;
	return 0;
undo:
	store_drop(s, tmp);
	return -1;
}

int store_put_bytes(struct store *s, const void *p, size_t n, const struct oid *id, struct err *e)
{
	bool was_there;
	int has = store_has(s, id, NULL, e);

	if (has)
		return has < 0 ? -1 : 0;
	return store_put_new(s, p, n, id, &was_there, e);
}

bool store_can_clone(struct store *s, int dirfd, const char *path)
{
	autoerr struct err ignored = ERR_INIT;
	autoclose int from = -1, to = -1;
	char tmp1[32] = "", tmp2[32] = "";
	struct stat a, b;
	int known;
	bool ok;

	if (fstatat(dirfd, path, &a, 0) || store_writing(s, &ignored) || fstat(atomic_load(&s->basefd), &b) ||
	    a.st_dev != b.st_dev)
		return false;
	known = atomic_load(&s->can_clone);
	if (known >= 0)
		return known;
	ok = !store_anon(s, &from, tmp1, &ignored) && !store_anon(s, &to, tmp2, &ignored);
	if (ok) {
		ok = !ioctl(to, FICLONE, from);
		atomic_store(&s->can_clone, ok);
	}
	store_drop(s, tmp1);
	store_drop(s, tmp2);
	return ok;
}

int store_link_fd(struct store *s, int fd, const struct oid *id, struct err *e)
{
	struct stat st;
	int rc;

	if (store_writing(s, e))
		return -1;
	if (fstat(fd, &st))
		return err_sys(e, "cannot stat the file to link");
	if (fchmod(fd, STORE_OBJECT_MODE))
		return 0;               /* not our file: it cannot be protected, so it is copied */
	rc = publish(s, id, fd, "", e);
	if (rc == 1)                    /* the object is another inode: this one stays what it was */
		(void)!fchmod(fd, st.st_mode & 07777);
	if (rc >= 0)
		return 1;
	(void)!fchmod(fd, st.st_mode & 07777);
	if (e->code == ERR_NOSPACE || e->code == ERR_INTR)
		return -1;
	err_release(e);                 /* other file system, too many links, not allowed: a copy will do */
	return 0;
}

int store_flush(struct store *s, struct err *e)
{
	int fd = atomic_load(&s->basefd);

	if (!atomic_load(&s->wrote) || s->conf.fsync != STORE_FSYNC_BATCH || fd < 0)
		return 0;
	/* What is written from now on has to be marked again; and the kernel tells of a failure only once: a second
	 * flush would say that all is well. */
	atomic_store(&s->wrote, false);
	return unsynced_flush(s->unsynced, fd, e) ? err_in(e, "cannot flush the cache '%s'", s->base) : 0;
}

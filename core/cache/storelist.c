/* The listing half of store.h. */
#include "core/cache/store_own.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

typedef int name_fn(struct store *s, int dirfd, const char *name, const struct oid *id, void *data, struct err *e);

static int each_in(struct store *s, int basefd, const char *aa, name_fn *fn, void *data, struct err *e)
{
	autodir DIR *d = NULL;
	struct dirent *de;
	struct oid id;
	int rc = 0, fd = openat(basefd, aa, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd >= 0 && !(d = fdopendir(fd)))
		close(fd);
	if (!d)
		return err_sys(e, "cannot list the cache directory '%s/%s'", s->base, aa);
	while (!rc && (errno = 0, de = readdir(d)))
		if (oid_from_key(&id, aa, de->d_name))
			rc = fn(s, dirfd(d), de->d_name, &id, data, e);
	if (!rc && errno)
		return err_sys(e, "cannot list the cache directory '%s/%s'", s->base, aa);
	return rc;
}

static int each_name(struct store *s, name_fn *fn, void *data, struct err *e)
{
	struct err mine = ERR_INIT;
	int basefd = store_base(s, false, &mine), rc = 0;
	char aa[3];

	if (basefd < 0 && mine.code == ERR_NOTFOUND) {
		err_release(&mine);
		return 0;
	}
	if (basefd < 0) {
		err_move(e, &mine);
		return -1;
	}
	for (unsigned i = 0; i < 256 && !rc; i++) {
		snprintf(aa, sizeof(aa), "%02x", i);
		rc = each_in(s, basefd, aa, fn, data, e);
	}
	return rc;
}

struct each { store_each_fn *fn; void *data; };

static int with_stat(struct store *s, int dirfd, const char *name, const struct oid *id, void *data, struct err *e)
{
	struct each *x = data;
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW)) {
		if (errno == ENOENT)
			return 0;       /* removed meanwhile */
		return err_sys(e, "cannot stat the cache file '%s' in '%s'", name, s->base);
	}
	if (!S_ISREG(st.st_mode))
		return 0;
	return x->fn(id, (uint64_t)st.st_size, st.st_mtime, x->data, e);
}

int store_each(struct store *s, store_each_fn *fn, void *data, struct err *e)
{
	struct each x = { fn, data };

	return each_name(s, with_stat, &x, e);
}

static int into_set(struct store *s, int dirfd, const char *name, const struct oid *id, void *data, struct err *e)
{
	(void)s, (void)dirfd, (void)name, (void)e;
	binset_add(data, id);
	return 0;
}

int store_list(struct store *s, struct binset *out, struct err *e)
{
	return each_name(s, into_set, out, e);
}

#define STALE_SECONDS (48 * 3600)

/* What a killed process left behind, once it is old enough to be nobody's: a shared cache has users on other hosts. */
void store_sweep_temps(int tempfd)
{
	int fd = openat(tempfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	struct stat st;

	if (!d && fd >= 0)
		close(fd);
	while (d && (de = readdir(d)))
		if (fs_is_temp_name(de->d_name) && !fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    st.st_ctime < time(NULL) - STALE_SECONDS)
			unlinkat(fd, de->d_name, 0);
}

bool store_has_temps(struct store *s)
{
	autofree char *path = NULL;
	autodir DIR *d = NULL;
	struct dirent *de;
	int has = atomic_load(&s->has_temps);

	if (has >= 0)
		return has;
	path = path_join(s->root, STORE_TEMP_DIR);
	d = opendir(path);
	for (has = 0; d && !has && (de = readdir(d));)
		has = fs_is_temp_name(de->d_name);
	atomic_store(&s->has_temps, has);
	return has;
}

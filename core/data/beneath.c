#include "core/data/beneath.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int beneath_open(struct beneath *b, const char *root, struct err *e)
{
	b->parent = -1;
	b->dir = NULL;
	b->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return b->root < 0 ? err_sys(e, "cannot open '%s'", root) : 0;
}

void beneath_close(struct beneath *b)
{
	own_close(&b->root);
	own_close(&b->parent);
	free(b->dir);
	b->dir = NULL;
	b->root = b->parent = -1;
}

/* Neighbours share their parent: it is opened once for a run of them. */
static const char *enter(struct beneath *b, const char *rel, bool make, int *fd, struct err *e)
{
	autofree char *dir = path_dir(rel);
	const char *base;
	int got;

	if (b->parent >= 0 && b->dir && !strcmp(b->dir, dir)) {
		*fd = b->parent;
		return path_base(rel);
	}
	if (!path_is_safe(rel)) {
		err_set(e, ERR_UNSAFE, "refusing to touch '%s'", rel);
		return NULL;
	}
	got = fs_parent_beneath(b->root, rel, make, &base, e);
	if (got < 0)
		return NULL;
	own_close(&b->parent);
	free(b->dir);
	b->parent = got;
	b->dir = take(dir);
	*fd = got;
	return base;
}

int beneath_lstat(struct beneath *b, const char *rel, struct stat *st, struct err *e)
{
	autoerr struct err why = ERR_INIT;
	const char *base;
	int fd;

	base = enter(b, rel, false, &fd, &why);
	if (!base) {
		if (why.code == ERR_NOTFOUND)
			return 0;
		err_move(e, &why);
		return -1;
	}
	if (!fstatat(fd, base, st, AT_SYMLINK_NOFOLLOW))
		return 1;
	return errno == ENOENT ? 0 : err_sys(e, "cannot look at '%s'", rel);
}

int beneath_check(struct beneath *b, const char *rel, const struct seen *s, struct err *e)
{
	struct stat st;
	int there = beneath_lstat(b, rel, &st, e);

	if (there <= 0)
		return there;
	/* A link was seen by its target: only that it still is a link can be told from here. */
	if (s->is_link && S_ISLNK(st.st_mode))
		return 1;
	if (S_ISREG(st.st_mode) && st.st_ino == s->ino && (uint64_t)st.st_size == s->size &&
	    st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec == s->mtime_ns)
		return 1;
	return err_set(e, ERR_CHANGED, "'%s' was changed by somebody else meanwhile, it is left as it is", rel);
}

int beneath_unlink(struct beneath *b, const char *rel, const struct seen *s, struct err *e)
{
	int there = beneath_check(b, rel, s, e), fd;
	const char *base;

	if (there <= 0)
		return there;
	base = enter(b, rel, false, &fd, e);
	if (!base)
		return -1;
	if (unlinkat(fd, base, 0) && errno != ENOENT)
		return err_sys(e, "cannot remove '%s'", rel);
	return 0;
}

void beneath_rmdir(struct beneath *b, const char *rel)
{
	autoerr struct err none = ERR_INIT;
	int fd;
	const char *base = enter(b, rel, false, &fd, &none);

	if (base)
		unlinkat(fd, base, AT_REMOVEDIR);
}

int beneath_mkdir(struct beneath *b, const char *rel, struct err *e)
{
	struct stat st;
	int fd;
	const char *base = enter(b, rel, true, &fd, e);

	if (!base)
		return -1;
	if (!mkdirat(fd, base, 0777))
		return 0;
	if (errno == EEXIST && !fstatat(fd, base, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode))
		return 0;
	if (errno == EEXIST)
		return err_set(e, ERR_UNSAFE, "'%s' is in the way of a directory", rel);
	return err_sys(e, "cannot make directory '%s'", rel);
}

int beneath_set_exec(struct beneath *b, const char *rel, struct err *e)
{
	struct stat st;
	int fd;
	const char *base = enter(b, rel, false, &fd, e);

	if (!base)
		return -1;
	if (fstatat(fd, base, &st, 0) || (st.st_mode & S_IXUSR))
		return 0;
	/* Like DVC, a file that cannot be changed (somebody else's cache) stays as it is. */
	if (fchmodat(fd, base, (st.st_mode & 07777) | S_IXUSR, 0) && errno != EPERM)
		return err_sys(e, "cannot make '%s' executable", rel);
	return 0;
}

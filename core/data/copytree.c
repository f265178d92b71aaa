#include "core/data/copytree.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/temps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 512

int copy_bytes(int in, int out)
{
	char buf[1 << 16];
	bool any = false;
	ssize_t n;

	if (!ioctl(out, FICLONE, in))
		return 0;
	while ((n = copy_file_range(in, NULL, out, NULL, 1u << 30, 0)) > 0) {
		any = true;
		if (proc_cancelled())
			return errno = EINTR, -1;
	}
	if (!n && any)          /* some file systems answer 0 for what they cannot do */
		return 0;
	if (lseek(in, 0, SEEK_SET) < 0 || lseek(out, 0, SEEK_SET) < 0 || ftruncate(out, 0))
		return -1;
	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (fs_write_all(out, buf, (size_t)n))
			return -1;
	return n ? -1 : 0;
}

static int copy_file(const char *from, const char *to, struct err *e)
{
	autoclose int in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK), out = -1;
	struct stat st;

	if (in < 0 || fstat(in, &st))
		return err_sys(e, "cannot open '%s'", from);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_UNSUPPORTED, "'%s' is no regular file", from);
	out = open(to, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (out < 0)
		return err_sys(e, "cannot create '%s'", to);
	if (copy_bytes(in, out) || close(take_fd(out)))
		return err_sys(e, "cannot copy '%s' to '%s'", from, to);
	return 0;
}

/* 'made' is the copy itself, which may lie inside what is copied. */
static int copy_dir(const char *from, const char *to, const struct stat *made, int depth, struct err *e)
{
	autodir DIR *d = opendir(from);
	struct dirent *de;
	int more;

	if (!d)
		return err_sys(e, "cannot read '%s'", from);
	if (depth > DEPTH_MAX)
		return err_set(e, ERR_UNSAFE, "'%s' is nested deeper than %d directories", from, DEPTH_MAX);
	while ((more = fs_next_entry(d, &de, from, e)) > 0) {
		autofree char *src = NULL, *dst = NULL;
		struct stat st;

		src = path_join(from, de->d_name);
		dst = path_join(to, de->d_name);
		if (proc_check(e))
			return -1;
		if (stat(src, &st))
			return err_sys(e, "cannot look at '%s'", src);
		if (S_ISDIR(st.st_mode)) {
			if (st.st_dev == made->st_dev && st.st_ino == made->st_ino)
				continue;
			if (!fs_is_link(src) && copy_dir(src, dst, made, depth + 1, e))
				return -1;
		} else if (fs_mkdirs(to, 0777, e) || copy_file(src, dst, e)) {
			return -1;
		}
	}
	return more;
}

int copy_in_place(int dir, const char *name, mode_t mode, const char *shown, struct err *e)
{
	autoclose int in = openat(dir, name, O_RDONLY | O_CLOEXEC), out = -1;
	char tmp[32];

	if (in < 0)
		return err_sys(e, "cannot open '%s'", shown);
	temps_note_fd(dir);
	fs_temp_scratch(tmp);
	out = openat(dir, tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (out < 0)
		return err_sys(e, "cannot copy '%s'", shown);
	if (!copy_bytes(in, out) && (!mode || !fchmod(out, mode)) && !fs_settle(out) && !renameat(dir, tmp, dir, name))
		return 0;
	err_sys(e, "cannot copy '%s'", shown);
	unlinkat(dir, tmp, 0);
	return -1;
}

int copy_tree(const char *from, const char *to, struct err *e)
{
	struct stat made;

	if (!fs_is_dir(from))
		return copy_file(from, to, e);
	if (fs_mkdirs(to, 0777, e))
		return -1;
	return stat(to, &made) ? err_sys(e, "cannot look at '%s'", to) : copy_dir(from, to, &made, 0, e);
}

/* scratch - a directory of its own for a unit test, and files in it. Include after cmocka.h. */
#ifndef UNIT_SCRATCH_H
#define UNIT_SCRATCH_H

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/base/str.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char scratch[256];

UNUSED static int scratch_setup(void **state)
{
	const char *base = getenv("TMPDIR");

	(void)state;
	snprintf(scratch, sizeof(scratch), "%s/unit.XXXXXX", base && *base ? base : "/tmp");
	return mkdtemp(scratch) ? 0 : -1;
}

UNUSED static int scratch_teardown(void **state)
{
	autoerr struct err e = ERR_INIT;

	(void)state;
	return fs_rm_tree(scratch, &e);
}

/* A path below the scratch directory; one of a few buffers. */
UNUSED static const char *in_scratch(const char *rel)
{
	static __thread char buf[8][512];
	static __thread unsigned turn;
	char *b = buf[turn++ % 8];

	snprintf(b, sizeof(buf[0]), "%s/%s", scratch, rel);
	return b;
}

/* Makes a file whose time stamps lie in the past, so that the racy rule does not apply. */
UNUSED static void put_file(const char *rel, const void *p, size_t n)
{
	autoerr struct err e = ERR_INIT;
	autofree char *path = xstrdup(in_scratch(rel)), *dir = path_dir(path);
	int fd;

	assert_int_equal(fs_mkdirs(dir, 0777, &e), 0);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, p, n), 0);
	close(fd);
}

UNUSED static void put_text(const char *rel, const char *text)
{
	put_file(rel, text, strlen(text));
}

UNUSED static void wait_for_the_clock(void)
{
	const struct timespec t = { 0, 30000000 };

	nanosleep(&t, NULL);
}

UNUSED static void assert_file(const char *rel, const char *text)
{
	autostr struct str s = STR_INIT;
	autoerr struct err e = ERR_INIT;

	assert_int_equal(fs_read(&s, in_scratch(rel), 1 << 20, &e), 0);
	assert_string_equal(str_cstr(&s), text);
}

UNUSED static mode_t mode_of(const char *rel)
{
	struct stat st;

	assert_int_equal(lstat(in_scratch(rel), &st), 0);
	return st.st_mode & 07777;
}

#endif

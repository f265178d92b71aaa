/* trail: digests of files that grow, many at once, equal to those of the whole; closing in the middle; short files. */
#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/trail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define FILES 23        /* more than there are lanes */

static unsigned char *bytes(size_t n, unsigned seed)
{
	unsigned char *p = xmalloc(n ? n : 1);

	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)((seed = seed * 1103515245u + 12345u) >> 16);
	return p;
}

static int file_of(const void *p, size_t n)
{
	FILE *f = tmpfile();
	int fd = dup(fileno(f));

	assert_int_equal(write(fd, p, n), (ssize_t)n);
	fclose(f);
	return fd;
}

static void wait_for(struct track *k, unsigned char md5[16])
{
	autoerr struct err e = ERR_INIT;
	int rc;

	while ((rc = track_digest(k, md5, &e)) > 0)
		usleep(500);
	assert_int_equal(rc, 0);
}

static void digests_are_those_of_the_whole(void **state UNUSED)
{
	struct trail *t = trail_new();
	struct track *k[FILES];
	unsigned char want[FILES][16], got[16];
	size_t len[FILES];
	int fd[FILES];

	for (unsigned i = 0; i < FILES; i++) {
		autofree unsigned char *p = NULL;

		len[i] = i < 4 ? (size_t[]){ 0, 1, 131072, 131073 }[i] : 100000 + i * 77777u;
		p = bytes(len[i], i);
		md5_once(p + (i == 5 ? 4096 : 0), len[i] - (i == 5 ? 4096 : 0), want[i]);
		fd[i] = file_of(p, len[i]);
		k[i] = track_open(t, fd[i], i == 5 ? 4096 : 0);
	}
	for (size_t at = 0; at < 2000000; at += 50000)         /* as if they were written side by side */
		for (unsigned i = 0; i < FILES; i++)
			track_reach(k[i], at < len[i] ? at : len[i]);
	for (unsigned i = 0; i < FILES; i++)
		track_end(k[i], len[i]);
	for (unsigned i = FILES; i-- > 0;) {
		wait_for(k[i], got);
		assert_memory_equal(got, want[i], 16);
		track_close(k[i]);
		close(fd[i]);
	}
	trail_free(t);
}

static void nothing_is_said_before_the_end(void **state UNUSED)
{
	struct trail *t = trail_new();
	unsigned char md5[16];
	autoerr struct err e = ERR_INIT;
	int fd = file_of("abc", 3);
	struct track *k = track_open(t, fd, 0);

	track_reach(k, 3);
	usleep(20000);
	assert_int_equal(track_digest(k, md5, &e), 1);
	track_close(k);         /* in the middle */
	track_close(NULL);
	close(fd);
	trail_free(t);
	trail_free(NULL);
}

/* Rounds wait for all tracks; who ended does not. */
static void a_track_that_brings_nothing_holds_nobody_up(void **state UNUSED)
{
	size_t len = 3000000;
	autofree unsigned char *p = bytes(len, 7);
	struct trail *t = trail_new();
	unsigned char want[16], got[16];
	int fd = file_of(p, len);
	struct track *silent = track_open(t, fd, 0), *k = track_open(t, fd, 0);

	md5_once(p, len, want);
	for (size_t at = 0; at < len; at += 16384)
		track_reach(k, at);
	track_end(k, len);
	wait_for(k, got);
	assert_memory_equal(got, want, 16);
	track_reach(silent, len);
	track_close(k);
	track_end(silent, len);
	wait_for(silent, got);
	assert_memory_equal(got, want, 16);
	track_close(silent);
	close(fd);
	trail_free(t);
}

static void a_file_that_is_shorter_is_an_error(void **state UNUSED)
{
	struct trail *t = trail_new();
	unsigned char md5[16];
	autoerr struct err e = ERR_INIT;
	int fd = file_of("abc", 3), rc;
	struct track *k = track_open(t, fd, 0);

	track_end(k, 400000);
	while ((rc = track_digest(k, md5, &e)) > 0)
		usleep(500);
	assert_int_equal(rc, -1);
	assert_int_equal(e.code, ERR_CHANGED);
	track_close(k);
	close(fd);
	trail_free(t);
}

/* Where a limit of processes lets no thread begin, the caller's does the work. */
static void without_a_thread_the_caller_hashes(void **state UNUSED)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct rlimit none = { 0, 0 };
		autofree unsigned char *p = bytes(300001, 7);
		unsigned char want[16], got[16];
		autoerr struct err e = ERR_INIT;
		struct trail *t = trail_new();
		int fd = file_of(p, 300001), rc;
		struct track *k;

		if (setrlimit(RLIMIT_NPROC, &none) || (!geteuid() && setuid(65534)))
			_exit(1);
		md5_once(p, 300001, want);
		k = track_open(t, fd, 0);
		track_reach(k, 200000);
		track_end(k, 300001);
		rc = track_digest(k, got, &e);
		track_close(k);
		trail_free(t);
		_exit(rc || memcmp(want, got, 16) ? 2 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_those_of_the_whole), cmocka_unit_test(nothing_is_said_before_the_end),
		cmocka_unit_test(a_track_that_brings_nothing_holds_nobody_up),
		cmocka_unit_test(a_file_that_is_shorter_is_an_error),
		cmocka_unit_test(without_a_thread_the_caller_hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

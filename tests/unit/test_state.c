/* state: answers only for the same stat (A1), survives damage and murder (A2), facts. */
#include "core/cache/state.h"

#include "core/base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/scratch.h"

#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static struct state *open_state(void)
{
	autoerr struct err e = ERR_INIT;
	autofree char *dir = xstrdup(in_scratch("state"));
	struct state *s = NULL;

	assert_int_equal(state_open(&s, dir, "/repo", &e), 0);
	return s;
}

static struct oid oid_of(const char *text)
{
	struct oid id = { .is_dir = 0 };

	md5_once(text, strlen(text), id.md5);
	return id;
}

static struct stat old_stat(off_t size)
{
	struct stat st;

	memset(&st, 0, sizeof(st));
	st.st_size = size;
	st.st_ino = 42;
	st.st_dev = 7;
	st.st_mtim = (struct timespec){ 1000000, 123 };
	st.st_ctim = (struct timespec){ 1000000, 456 };
	return st;
}

static void an_answer_needs_the_same_stat(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct state *s = open_state();
	struct stat st = old_stat(5), other;
	struct oid id = oid_of("x"), got;

	state_put(s, "/repo/a/f", &st, &id);
	assert_true(state_get(s, "/repo/a/f", &st, &got));      /* also before it is committed */
	assert_int_equal(state_flush(s, &e), 0);
	assert_true(state_get(s, "/repo/a/f", &st, &got));
	assert_true(oid_eq(&got, &id));
	assert_true(state_get(s, "a/f", &st, &got));            /* relative to the root: the same file */
	assert_false(state_get(s, "/repo/a/g", &st, &got));
	assert_false(state_get(s, "/repo/f", &st, &got));
	other = st, other.st_size++;
	assert_false(state_get(s, "/repo/a/f", &other, &got));
	other = st, other.st_ino++;
	assert_false(state_get(s, "/repo/a/f", &other, &got));
	other = st, other.st_dev++;
	assert_false(state_get(s, "/repo/a/f", &other, &got));
	other = st, other.st_mtim.tv_nsec++;
	assert_false(state_get(s, "/repo/a/f", &other, &got));
	other = st, other.st_ctim.tv_sec++;
	assert_false(state_get(s, "/repo/a/f", &other, &got));
	state_close(s);
	s = open_state();
	assert_true(state_get(s, "/repo/a/f", &st, &got));      /* and so in the next process */
	state_close(s);
}

static void young_files_are_not_remembered(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct state *s = open_state();
	struct oid id = oid_of("y"), got;
	struct stat st = old_stat(1);
	struct state_stat ss = { .mtime_ns = 5000000001, .ctime_ns = 5000000001 };

	clock_gettime(CLOCK_REALTIME, &st.st_mtim);
	state_put(s, "/repo/young", &st, &id);
	st = old_stat(1);
	clock_gettime(CLOCK_REALTIME, &st.st_ctim);
	state_put(s, "/repo/chmodded", &st, &id);
	assert_int_equal(state_flush(s, &e), 0);
	assert_false(state_get(s, "/repo/young", &st, &got));
	assert_false(state_get(s, "/repo/chmodded", &st, &got));
	assert_true(state_is_racy(&ss, 5000000001));
	assert_false(state_is_racy(&ss, 5000000002));
	ss.mtime_ns = ss.ctime_ns = 5000000000;                 /* whole seconds: perhaps all the file system keeps */
	assert_true(state_is_racy(&ss, 6900000000));
	assert_false(state_is_racy(&ss, 7000000001));
	state_close(s);
}

static void a_directory_is_one_record(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct state *s = open_state();
	struct state_reader *r;
	struct state_item v[300];
	char names[300][16], path[64];
	struct oid got;

	memset(v, 0, sizeof(v));
	for (int i = 0; i < 300; i++) {
		snprintf(names[i], sizeof(names[i]), "f%05d", i);
		v[i].name = names[i];
		v[i].st = (struct state_stat){ (uint64_t)i, 1, 1, 1000, 1000 };
		v[i].id = oid_of(names[i]);
	}
	state_put_dir(s, "/repo/d", v, 300, 0);
	assert_int_equal(state_flush(s, &e), 0);
	r = state_reader_open(s);
	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < 300; i++) {
			int k = turn ? 299 - i : i;             /* in order, and against it */

			snprintf(path, sizeof(path), "/repo/d/%s", names[k]);
			assert_true(state_reader_get(r, path, &v[k].st, &got));
			assert_true(oid_eq(&got, &v[k].id));
		}
	}
	assert_false(state_reader_get(r, "/repo/d/nothing", &v[0].st, &got));
	state_reader_close(r);
	struct stat st = { .st_size = 9, .st_mtim.tv_sec = 1, .st_ctim.tv_sec = 1 };

	state_put(s, "/repo/d/f00007", &st, &v[1].id);          /* one file: the others stay */
	assert_int_equal(state_flush(s, &e), 0);
	assert_true(state_get(s, "/repo/d/f00007", &st, &got));
	assert_true(oid_eq(&got, &v[1].id));
	r = state_reader_open(s);
	assert_true(state_reader_get(r, "/repo/d/f00008", &v[8].st, &got));
	state_reader_close(r);
	state_put_dir(s, "/repo/d", v, 2, 0);                   /* the whole directory: what is gone is gone */
	assert_int_equal(state_flush(s, &e), 0);
	assert_false(state_get(s, "/repo/d/f00007", &st, &got));
	state_close(s);
}

static void names_longer_than_a_key(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct state *s = open_state();
	struct stat st = old_stat(1);
	struct oid id = oid_of("l"), got;
	char path[3000];
	int v = 5, w = 0;

	memcpy(path, "/repo/", 6);
	memset(path + 6, 'x', sizeof(path) - 7);
	for (size_t i = 200; i < sizeof(path) - 10; i += 200)
		path[i] = '/';
	path[sizeof(path) - 1] = 0;
	state_put(s, path, &st, &id);
	state_put_fact(s, "long", path, &v, sizeof(v));
	assert_int_equal(state_flush(s, &e), 0);
	assert_true(state_get(s, path, &st, &got));
	assert_true(state_get_fact(s, "long", path, &w, sizeof(w)));
	assert_int_equal(w, 5);
	path[10] = 'y';
	assert_false(state_get(s, path, &st, &got));
	assert_false(state_get_fact(s, "long", path, &w, sizeof(w)));
	state_close(s);
}

static int collect(const char *key, const void *value, size_t size, void *data)
{
	struct str *out = data;

	assert_int_equal(size, sizeof(int));
	str_addf(out, "%s=%d ", key, *(const int *)value);
	return 0;
}

static void facts_are_kept_by_kind(void **state UNUSED)
{
	struct state *s = open_state();
	autostr struct str all = STR_INIT;
	int v = 1, got = 0;

	state_put_fact(s, "link", "a", &v, sizeof(v));
	assert_true(state_get_fact(s, "link", "a", &got, sizeof(got)));         /* before it is committed */
	v = 2;
	state_put_fact(s, "link", "b", &v, sizeof(v));
	state_put_fact(s, "linker", "c", &v, sizeof(v));
	state_put_fact(s, "link", "a", NULL, 0);
	assert_false(state_get_fact(s, "link", "a", &got, sizeof(got)));
	state_each_fact(s, "link", collect, &all);
	assert_string_equal(str_cstr(&all), "b=2 ");
	assert_false(state_get_fact(s, "link", "b", &got, 1));                  /* another size: another fact */
	state_close(s);
	s = open_state();
	assert_true(state_get_fact(s, "linker", "c", &got, sizeof(got)));
	assert_int_equal(got, 2);
	state_close(s);
}

static char *the_file(void)
{
	autofree char *pattern = xasprintf("%s/state/*/state.mdb", scratch);
	glob_t g;
	char *p;

	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	p = xstrdup(g.gl_pathv[0]);
	globfree(&g);
	return p;
}

static void fill(void)
{
	autoerr struct err e = ERR_INIT;
	struct state *s = open_state();
	struct stat st = old_stat(3);
	struct oid id = oid_of("z");
	char path[64];

	for (int i = 0; i < 500; i++) {
		snprintf(path, sizeof(path), "/repo/dir%d/f", i);
		state_put(s, path, &st, &id);
	}
	assert_int_equal(state_flush(s, &e), 0);
	state_close(s);
}

/* Whatever is done to the file: the state opens, gives no wrong answer, and works again. */
static void check_after_damage(bool known)
{
	struct state *s = open_state();
	struct stat st = old_stat(3);
	struct oid want = oid_of("z"), got;
	char path[64];

	for (int i = 0; i < 500; i++) {
		snprintf(path, sizeof(path), "/repo/dir%d/f", i);
		if (state_get(s, path, &st, &got))
			assert_true(oid_eq(&got, &want));
		else
			assert_false(known);
	}
	state_close(s);
}

static void damage_costs_only_time(void **state UNUSED)
{
	for (int kind = 0; kind < 5; kind++) {
		autofree char *file = NULL;
		struct stat st;
		int fd;

		fill();
		check_after_damage(true);
		file = the_file();
		fd = open(file, O_RDWR);
		assert_int_equal(fstat(fd, &st), 0);
		switch (kind) {
		case 0:
			assert_int_equal(ftruncate(fd, st.st_size / 2), 0);
			break;
		case 1:
			assert_int_equal(ftruncate(fd, 100), 0);
			break;
		case 2:
			assert_int_equal(pwrite(fd, "garbage garbage garbage", 23, 10), 23);
			break;
		case 3:
			for (off_t at = 8192; at < st.st_size; at += 512)
				assert_int_equal(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, at), 8);
			break;
		case 4:
			assert_int_equal(ftruncate(fd, 0), 0);
			break;
		}
		close(fd);
		check_after_damage(false);
		fill();
		check_after_damage(true);
	}
}

/* After a reboot the file is read through before it is believed. */
static void another_boot_is_checked(void **state UNUSED)
{
	autofree char *file = NULL, *dir = NULL, *stamp = NULL;
	autostr struct str s = STR_INIT;
	autoerr struct err e = ERR_INIT;

	fill();
	file = the_file();
	dir = path_dir(file);
	stamp = path_join(dir, "stamp");
	assert_int_equal(fs_read(&s, stamp, 4096, &e), 0);
	s.buf[0] = s.buf[0] == '0' ? '1' : '0';
	assert_int_equal(fs_replace(stamp, s.buf, s.len, 0, &e), 0);
	check_after_damage(true);       /* sound: kept */
}

static void killed_writers_leave_a_state_that_works(void **state UNUSED)
{
	for (int i = 0; i < 12; i++) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			for (;;)
				fill();
		}
		struct timespec t = { 0, 3000000 * (i + 1) };

		nanosleep(&t, NULL);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		check_after_damage(false);
	}
	fill();
	check_after_damage(true);
}

static void two_processes_share_it(void **state UNUSED)
{
	pid_t pid[4];
	int status;

	for (int i = 0; i < 4; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			for (int k = 0; k < 20; k++) {
				fill();
				check_after_damage(true);
			}
			_exit(0);
		}
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	}
}

static void *read_all(void *data)
{
	struct state *s = data;
	struct stat st = old_stat(3);
	struct oid got;
	char path[64];
	size_t hits = 0;

	for (int turn = 0; turn < 20; turn++) {
		struct state_reader *r = state_reader_open(s);
		struct state_stat ss;

		state_stat_of(&ss, &st);
		for (int i = 0; i < 500; i++) {
			snprintf(path, sizeof(path), "/repo/dir%d/f", i);
			hits += state_reader_get(r, path, &ss, &got);
			hits += state_get(s, path, &st, &got);
		}
		state_reader_close(r);
	}
	return (void *)hits;
}

static void threads_read_while_one_writes(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	pthread_t t[3];
	struct state *s;
	struct stat st = old_stat(3);
	struct oid id = oid_of("z");
	void *hits;

	fill();
	s = open_state();
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&t[i], NULL, read_all, s), 0);
	for (int i = 0; i < 50; i++) {
		state_put(s, "/repo/other/file", &st, &id);
		assert_int_equal(state_flush(s, &e), 0);
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &hits);
		assert_int_equal((size_t)hits, 20 * 500 * 2);
	}
	state_close(s);
}

static void nothing_is_a_state_too(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct stat st = old_stat(1);
	struct oid id = oid_of("n");
	int v = 0;

	state_put(NULL, "/x", &st, &id);
	assert_false(state_get(NULL, "/x", &st, &id));
	assert_int_equal(state_flush(NULL, &e), 0);
	assert_false(state_get_fact(NULL, "k", "x", &v, sizeof(v)));
	state_put_fact(NULL, "k", "x", &v, sizeof(v));
	assert_null(state_reader_open(NULL));
	assert_false(state_reader_get(NULL, "/x", NULL, &id));
	state_reader_close(NULL);
	state_close(NULL);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(an_answer_needs_the_same_stat),
		cmocka_unit_test(young_files_are_not_remembered),
		cmocka_unit_test(a_directory_is_one_record),
		cmocka_unit_test(names_longer_than_a_key),
		cmocka_unit_test(facts_are_kept_by_kind),
		cmocka_unit_test(damage_costs_only_time),
		cmocka_unit_test(another_boot_is_checked),
		cmocka_unit_test(killed_writers_leave_a_state_that_works),
		cmocka_unit_test(two_processes_share_it),
		cmocka_unit_test(threads_read_while_one_writes),
		cmocka_unit_test(nothing_is_a_state_too),
	};

	return cmocka_run_group_tests(t, scratch_setup, scratch_teardown);
}

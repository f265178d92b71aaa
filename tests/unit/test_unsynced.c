/* unsynced: what is on disk before an object (U1), after another boot (U2), in damaged files (U3), in which place (U4), and
 * with several writers at once (U5). */
#include "core/cache/unsynced.h"

#include "core/base/dirmark.h"
#include "core/cache/oid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/scratch.h"

#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

/* Each test has a cache of its own, "<n>/c", whose mark is named MARKS; repositories "a" and "b" have files of their own. */
#define MARKS "user.git-data.unit"
static unsigned cache_no;
static char root[300], objects[340];
static const char *const marks = root;           /* in place of a file: what stands on the directory */
static int objdir = -1;

static int new_cache(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	char rel[32];

	snprintf(rel, sizeof(rel), "%u/c", ++cache_no);
	snprintf(root, sizeof(root), "%s", in_scratch(rel));
	snprintf(objects, sizeof(objects), "%s/files", root);
	if (fs_mkdirs(objects, 0777, &e))
		return -1;
	objdir = open(objects, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return objdir < 0 ? -1 : 0;
}

static int close_cache(void **state UNUSED)
{
	close(objdir);
	return 0;
}

static char *own_of(const char *repo)
{
	return xasprintf("%s/../site-%s/own", root, repo);
}

static struct unsynced *open_as(const char *repo)
{
	autofree char *own = own_of(repo);

	return unsynced_open(&(struct unsynced_conf){ .root = root, .name = MARKS, .own = own });
}

static int mark(struct unsynced *u, int dir)
{
	autoerr struct err e = ERR_INIT;

	return unsynced_mark(u, dir, &e);
}

static void flush(struct unsynced *u, int dir)
{
	autoerr struct err e = ERR_INIT;

	assert_int_equal(unsynced_flush(u, dir, &e), 0);
}

static char *text_of(const char *path)
{
	autoclose int dir = path == marks ? open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	autoerr struct err e = ERR_INIT;
	autostr struct str s = STR_INIT;

	if (path == marks)
		return dirmark_read(dir, MARKS, &s) ? NULL : xstrdup(str_cstr(&s));
	if (fs_read(&s, path, 1 << 20, &e))
		return NULL;
	return xstrdup(str_cstr(&s));
}

static void write_text(const char *path, const char *text)
{
	autoclose int root_fd = path == marks ? open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	autoerr struct err e = ERR_INIT;
	autofree char *dir = path_dir(path);

	if (path == marks) {
		assert_int_equal(dirmark_write(root_fd, MARKS, text, strlen(text), false), 0);
		return;
	}
	assert_int_equal(fs_mkdirs(dir, 0777, &e), 0);
	assert_int_equal(fs_replace(path, text, strlen(text), 0, &e), 0);
}

static unsigned lines_with(const char *path, const char *word)
{
	autofree char *text = text_of(path);
	unsigned n = 0;

	for (const char *p = text; p && (p = strstr(p, word)); p++)
		n++;
	return n;
}

/* The machine stopped and runs again: the marks are another boot's. */
static void reboot(const char *path)
{
	autofree char *text = text_of(path);

	assert_non_null(text);
	assert_true(str_starts(text, "dirty "));
	text[6] = text[6] == '0' ? '1' : '0';
	write_text(path, text);
}

static struct oid some_oid(unsigned char n)
{
	struct oid id = { .is_dir = 0 };

	id.md5[0] = n;
	return id;
}

static struct stat stat_at(int64_t ns)
{
	return (struct stat){ .st_mtim = { ns / 1000000000, ns % 1000000000 }, .st_ctim = { ns / 1000000000, ns % 1000000000 } };
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool suspects(struct unsynced *u, unsigned char n, int64_t written)
{
	struct oid id = some_oid(n);
	struct stat st = stat_at(written);

	return unsynced_suspects(u, &id, &st);
}

static int64_t since_of(const char *path)
{
	autofree char *text = text_of(path);
	long long since;

	if (!text || sscanf(text, "dirty %*s %lld", &since) != 1)
		return -1;
	return since;
}

static void one_repository_knows_what_another_wrote(void **state UNUSED)
{
	struct unsynced *a = open_as("a"), *b;
	struct oid id = some_oid(1);
	int64_t written;

	assert_null(text_of(marks));                            /* opening makes nothing */
	assert_int_equal(mark(a, objdir), 0);
	assert_int_equal(lines_with(marks, "dirty "), 1);       /* U1 */
	written = now_ns();
	unsynced_close(a);
	reboot(marks);
	b = open_as("b");
	assert_true(suspects(b, 1, written));
	assert_false(suspects(b, 1, written - 3600 * 1000000000ll));
	unsynced_good(b, &id);
	assert_false(suspects(b, 1, written));
	assert_true(suspects(b, 2, written));
	unsynced_close(b);
	b = open_as("b");                                       /* verified once by each repository */
	assert_false(suspects(b, 1, written));
	assert_true(suspects(b, 2, written));
	unsynced_close(b);
	a = open_as("a");
	assert_true(suspects(a, 1, written));
	unsynced_close(a);
	assert_int_equal(lines_with(marks, "suspect "), 1);
}

static void what_was_good_is_suspect_when_written_anew(void **state UNUSED)
{
	autofree char *own = own_of("a");
	struct oid id = some_oid(1);
	struct unsynced *u = open_as("a");
	int64_t first, again;

	assert_int_equal(mark(u, objdir), 0);
	first = now_ns();
	unsynced_close(u);
	reboot(marks);
	u = open_as("a");
	unsynced_good(u, &id);
	assert_int_equal(mark(u, objdir), 0);
	again = now_ns();
	unsynced_close(u);
	reboot(marks);
	u = open_as("a");
	assert_true(suspects(u, 1, again));
	assert_true(suspects(u, 1, first));                     /* its slack reaches back */
	assert_int_equal(lines_with(own, "ok "), 1);
	unsynced_close(u);
}

static void an_earlier_versions_file_is_carried_over(void **state UNUSED)
{
	autofree char *own = own_of("a");
	struct unsynced *u;

	write_text(own, "dirty another-boot 00000005000000000000 00000006000000000000\nsuspect 1000 2000\n"
		   "ok 01000000000000000000000000000000\n");
	u = open_as("a");
	assert_false(suspects(u, 1, 1500));                     /* good for what stood above it */
	assert_true(suspects(u, 2, 1500));
	assert_true(suspects(u, 1, 5000000000000));             /* not for the mark of the last boot */
	unsynced_close(u);
	assert_int_equal(lines_with(own, "dirty "), 0);
	assert_int_equal(lines_with(own, "ok "), 1);
	u = open_as("a");
	assert_false(suspects(u, 1, 1500));
	unsynced_close(u);
	u = open_as("b");
	assert_true(suspects(u, 1, 1500));
	assert_true(suspects(u, 2, 1500));
	assert_true(suspects(u, 1, 5000000000000));
	unsynced_close(u);
}

static void the_running_boots_mark_is_carried_over(void **state UNUSED)
{
	autofree char *own = own_of("a"), *mine = NULL;
	struct unsynced *u = open_as("b");
	char boot[64];

	assert_int_equal(mark(u, objdir), 0);
	unsynced_close(u);
	mine = text_of(marks);
	assert_int_equal(sscanf(mine, "dirty %63s", boot), 1);
	free(take(mine));
	mine = xasprintf("dirty %s 00000000000000001000 00000000000000002000\n", boot);
	write_text(own, mine);
	u = open_as("a");
	unsynced_close(u);
	assert_int_equal(since_of(marks), 1000);
	assert_false(fs_exists(own));
}

/* Two handles at once, as of two processes: neither takes the other's facts away. */
static void two_writers_lose_nothing_of_each_other(void **state UNUSED)
{
	autofree char *own_a = own_of("a"), *own_b = own_of("b");
	struct oid one = some_oid(1), two = some_oid(2);
	struct unsynced *a, *b;
	int64_t t;

	write_text(marks, "suspect 1000 2000\nsuspect 3000 4000\n");
	a = open_as("a");
	b = open_as("b");
	assert_int_equal(mark(a, objdir), 0);
	t = since_of(marks);
	unsynced_good(a, &one);
	unsynced_good(b, &two);
	unsynced_close(b);                                      /* opened before a's mark stood there */
	assert_int_equal(since_of(marks), t);
	unsynced_close(a);
	assert_int_equal(since_of(marks), t);
	assert_int_equal(lines_with(marks, "suspect "), 2);
	assert_int_equal(lines_with(own_a, "ok "), 1);
	assert_int_equal(lines_with(own_b, "ok "), 1);
	b = open_as("b");
	assert_true(suspects(b, 1, 1500));
	assert_false(suspects(b, 2, 3500));
	unsynced_close(b);
}

static void a_later_start_does_not_replace_an_earlier_one(void **state UNUSED)
{
	struct unsynced *a = open_as("a"), *b = open_as("b");
	int64_t t;

	assert_int_equal(mark(a, objdir), 0);
	t = since_of(marks);
	assert_int_equal(mark(b, objdir), 0);
	assert_int_equal(since_of(marks), t);
	unsynced_close(a);
	unsynced_close(b);
	assert_int_equal(since_of(marks), t);
}

/* U5: a flush takes nothing from under another writer's feet. */
static void a_flush_leaves_the_mark_of_who_still_writes(void **state UNUSED)
{
	struct unsynced *a = open_as("a"), *b = open_as("b");
	int other = open(objects, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t t;

	assert_int_equal(mark(a, objdir), 0);
	assert_int_equal(mark(b, other), 0);
	t = since_of(marks);
	flush(b, other);
	assert_true(since_of(marks) > t);                       /* what both wrote before is flushed */
	assert_true(since_of(marks) <= now_ns());
	assert_int_equal(mark(b, other), 0);
	unsynced_close(b);
	close(other);
	flush(a, objdir);                                       /* alone now */
	assert_int_equal(since_of(marks), -1);
	assert_int_equal(mark(a, objdir), 0);                   /* what is written next is marked again */
	assert_true(since_of(marks) > t);
	unsynced_close(a);
}

static void flushes_and_writers_in_processes(void **state UNUSED)
{
	enum { N = 4, ROUNDS = 25 };
	pid_t pid[N];

	for (int i = 0; i < N; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		for (int k = 0; k < ROUNDS; k++) {
			int dir = open(objects, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			struct unsynced *u = open_as(i % 2 ? "a" : "b");
			struct oid id = some_oid((unsigned char)(i * ROUNDS + k));
			autoerr struct err e = ERR_INIT;
			int64_t written;

			if (unsynced_mark(u, dir, &e))
				_exit(1);
			written = now_ns();
			for (int look = 0; look < 3; look++) {  /* it covers what was written, whatever the others do */
				int64_t since = since_of(marks);

				if (since < 0 || since - 3000000000ll > written)
					_exit(2);
			}
			unsynced_good(u, &id);
			if (i % 2 && unsynced_flush(u, dir, &e))
				_exit(3);
			unsynced_close(u);
			close(dir);
		}
		_exit(0);
	}
	for (int i = 0; i < N; i++) {
		int status;

		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
}

struct thread_job { const char *repo; unsigned char first; };

static void *note_good(void *data)
{
	const struct thread_job *job = data;

	for (unsigned char i = 0; i < 20; i++) {
		struct unsynced *u = open_as(job->repo);
		struct oid id = some_oid((unsigned char)(job->first + i));

		unsynced_good(u, &id);
		if (mark(u, objdir))            /* who only reads does not wait long for the lock */
			return NULL;
		unsynced_close(u);
	}
	return NULL;
}

static void handles_in_threads_keep_every_fact(void **state UNUSED)
{
	struct thread_job jobs[3] = { { "a", 0 }, { "b", 50 }, { "b", 100 } };
	autofree char *own_a = own_of("a"), *own_b = own_of("b");
	pthread_t t[3];

	write_text(marks, "suspect 1000 2000\n");
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&t[i], NULL, note_good, &jobs[i]), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(lines_with(marks, "suspect 1000 2000\n"), 1);
	assert_int_equal(lines_with(own_a, "ok "), 20);
	assert_int_equal(lines_with(own_b, "ok "), 40);
}

/* A holder that is stopped forever does not stop others; their mark is then their own. */
static void a_lock_that_nobody_gives_back(void **state UNUSED)
{
	autofree char *own = own_of("a");
	struct unsynced *u = open_as("b");
	int held;

	assert_int_equal(mark(u, objdir), 0);
	unsynced_close(u);
	held = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(held, LOCK_EX), 0);
	u = open_as("a");
	assert_int_equal(mark(u, objdir), 0);
	assert_int_equal(lines_with(own, "dirty "), 1);
	unsynced_close(u);
	close(held);
	u = open_as("a");
	unsynced_close(u);
	assert_false(fs_exists(own));
	assert_int_equal(lines_with(marks, "dirty "), 1);
}

/* Who was killed between the name of the new file and the flush of its directory is not relied on. */
static void a_mark_that_may_not_be_durable_is_written_again(void **state UNUSED)
{
	autofree char *text = NULL;
	struct unsynced *u = open_as("a");
	autofree char *again = NULL;
	char boot[64];
	long long since;

	assert_int_equal(mark(u, objdir), 0);
	unsynced_close(u);
	text = text_of(marks);
	assert_int_equal(sscanf(text, "dirty %63s %lld", boot, &since), 2);
	free(take(text));
	text = xasprintf("dirty %s %020lld %020d\n", boot, since, 0);
	write_text(marks, text);
	u = open_as("b");
	assert_int_equal(mark(u, objdir), 0);
	again = text_of(marks);
	assert_string_not_equal(again, text);
	unsynced_close(u);
}

enum hostile { H_LINK, H_FIFO, H_DIR, H_HUGE, H_BINARY, H_SPANS, H_MARK, H_N };

static void plant(enum hostile h, const char *own)
{
	autofree char *dir = path_dir(own), *target = xasprintf("%s/../target", root);
	autostr struct str s = STR_INIT;
	autoerr struct err e = ERR_INIT;

	write_text(target, "suspect 1000 2000\n");
	assert_int_equal(fs_mkdirs(dir, 0777, &e), 0);
	switch (h) {
	case H_LINK:
		assert_int_equal(symlink(target, own), 0);
		break;
	case H_FIFO:
		assert_int_equal(mkfifo(own, 0666), 0);
		break;
	case H_DIR:
		assert_int_equal(mkdir(own, 0777), 0);
		break;
	case H_HUGE:
		write_text(own, "");
		assert_int_equal(truncate(own, 1ll << 40), 0);
		break;
	case H_BINARY:
		for (unsigned i = 0; i < 100000; i++)
			str_addc(&s, (char)(i * 2654435761u >> 13));
		str_adds(&s, "\nsuspect 1000 99999999999999999999999\nok zz 5\ndirty\ndirty x -5 -7\nsuspect 9 1");
		assert_int_equal(fs_replace(own, s.buf, s.len, 0, &e), 0);
		break;
	case H_MARK:
		write_text(marks, "\1\2\377\nsuspect 1000 99999999999999999999999\nok zz 5\ndirty\ndirty x -5 -7\nsuspect 9 1");
		break;
	default:
		for (unsigned i = 0; i < 20000; i++)
			str_addf(&s, "suspect %u %u\n", i * 10, i * 10 + 5);
		write_text(own, str_cstr(&s));
	}
}

/* U3: more caution, no failure, nothing else touched; the same the next time, but what is good stays good. */
static void hostile_files(void **state)
{
	struct oid id = some_oid(1);

	for (enum hostile h = 0; h < H_N; h++) {
		autofree char *own = NULL, *target = NULL, *text = NULL;
		struct unsynced *u;
		int64_t long_ago = 1000000000000000000ll;

		assert_int_equal(new_cache(state), 0);
		own = own_of("a");
		target = xasprintf("%s/../target", root);
		plant(h, own);
		u = open_as("a");
		assert_true(suspects(u, 1, long_ago));
		unsynced_good(u, &id);
		assert_int_equal(mark(u, objdir), 0);
		unsynced_close(u);
		u = open_as("a");
		assert_true(suspects(u, 1, long_ago) == (h == H_DIR));  /* a verdict has no place to stand in */
		assert_true(suspects(u, 2, long_ago));
		unsynced_close(u);
		text = text_of(target);
		assert_string_equal(text, "suspect 1000 2000\n");
		close(objdir);
	}
	assert_int_equal(new_cache(state), 0);
}

/* A directory holds no more than a block of attributes: the oldest spans become one, none is forgotten. */
static void more_spans_than_a_directory_holds(void **state UNUSED)
{
	autofree char *own = own_of("a"), *text = NULL;
	autostr struct str s = STR_INIT;
	struct oid id = some_oid(1);
	struct unsynced *u;

	for (unsigned i = 1; i <= 500; i++)
		str_addf(&s, "suspect %u000000000000 %u500000000000\n", i, i);
	write_text(own, str_cstr(&s));
	u = open_as("a");
	assert_int_equal(mark(u, objdir), 0);
	unsynced_close(u);
	text = text_of(marks);
	assert_true(strlen(text) <= DIRMARK_MOST);
	u = open_as("a");
	unsynced_good(u, &id);
	unsynced_close(u);
	assert_int_equal(lines_with(own, "ok "), 1);            /* without the spans: they would be carried over for ever */
	assert_int_equal(lines_with(own, "suspect "), 0);
	u = open_as("b");
	for (unsigned i = 1; i <= 500; i++)
		assert_true(suspects(u, 1, i * 1000000000000ll));
	unsynced_close(u);
}

/* U4: no attributes here, or not for this user: the repository's own file has it. */
static void a_cache_that_takes_no_mark(void **state UNUSED)
{
	autofree char *own = own_of("a");
	struct unsynced *u = unsynced_open(&(struct unsynced_conf){ .root = root, .name = "nosuchclass.unit", .own = own });
	int64_t written;

	assert_int_equal(mark(u, objdir), 0);
	written = now_ns();
	unsynced_close(u);
	assert_int_equal(lines_with(own, "dirty "), 1);
	reboot(own);
	u = unsynced_open(&(struct unsynced_conf){ .root = root, .name = "nosuchclass.unit", .own = own });
	assert_true(suspects(u, 1, written));
	unsynced_close(u);
}

/* U5, the 2.x layout: objects lie in the directory that is locked to change the mark. */
static void objects_in_the_root_itself(void **state UNUSED)
{
	autoclose int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofree char *own = own_of("a");
	struct unsynced *a = open_as("a"), *b = open_as("b");

	assert_int_equal(mark(a, dir), 0);
	assert_int_equal(mark(b, dir), 0);
	assert_false(fs_exists(own));
	flush(a, dir);
	assert_true(since_of(marks) > 0);
	unsynced_close(a);
	unsynced_close(b);
	assert_int_equal(lines_with(marks, "dirty "), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, new_cache, close_cache)
	const struct CMUnitTest t[] = {
		T(one_repository_knows_what_another_wrote),
		T(what_was_good_is_suspect_when_written_anew),
		T(an_earlier_versions_file_is_carried_over),
		T(the_running_boots_mark_is_carried_over),
		T(two_writers_lose_nothing_of_each_other),
		T(a_later_start_does_not_replace_an_earlier_one),
		T(a_flush_leaves_the_mark_of_who_still_writes),
		T(flushes_and_writers_in_processes),
		T(handles_in_threads_keep_every_fact),
		T(a_lock_that_nobody_gives_back),
		T(a_mark_that_may_not_be_durable_is_written_again),
		T(hostile_files),
		T(more_spans_than_a_directory_holds),
		T(a_cache_that_takes_no_mark),
		T(objects_in_the_root_itself),
	};

	return cmocka_run_group_tests(t, scratch_setup, scratch_teardown);
}

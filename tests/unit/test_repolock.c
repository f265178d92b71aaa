/* repolock: the lock file's bytes, waiting, hard links, and the path locks' file. */
#include "core/repo/repolock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/base/notice.h"
#include "core/repo/filelock.h"
#include "core/repo/repo.h"
#include "tests/unit/scratch.h"

#include <sys/file.h>
#include <sys/wait.h>

static struct repo *repo;
static char last_notice[1024];

static void keep_notice(enum notice_level level, const char *text, void *data)
{
	(void)level;
	(void)data;
	snprintf(last_notice, sizeof(last_notice), "%s", text);
}

static int open_repo(const char *config)
{
	autoerr struct err e = ERR_INIT;

	put_text("r/.dvc/config", config);
	return repo_open(&repo, in_scratch("r"), &e);
}

static int setup(void **state)
{
	int rc = scratch_setup(state);

	setenv("DVC_GLOBAL_CONFIG_DIR", in_scratch("global"), 1);
	setenv("DVC_SYSTEM_CONFIG_DIR", in_scratch("system"), 1);
	notice_sink(keep_notice, NULL);
	return rc || open_repo("[core]\nno_scm = true\n");
}

static int teardown(void **state)
{
	repo_close(repo);
	return scratch_teardown(state);
}

static void the_lock_file_holds_blank_pid_newline_and_stays(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autofree char *want = xasprintf(" %ld\n", (long)getpid());
	struct repolock *l;

	put_text("r/.dvc/tmp/lock", " 999999999999\n");
	assert_int_equal(repolock_take(&l, repo, &e), 0);
	assert_file("r/.dvc/tmp/lock", want);
	repolock_release(l);
	assert_true(fs_exists(in_scratch("r/.dvc/tmp/lock")));
}

/* A child holds the lock for a while; the parent waits and says for whom. */
static void a_held_lock_is_waited_for(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct repolock *l;
	int ready[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		const struct timespec hold = { 1, 200000000 };

		if (repolock_take(&l, repo, &e) || write(ready[1], "x", 1) != 1)
			_exit(1);
		nanosleep(&hold, NULL);
		_exit(0);               /* the kernel gives the lock back */
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	last_notice[0] = 0;
	assert_int_equal(repolock_take(&l, repo, &e), 0);
	repolock_release(l);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	{
		autofree char *named = xasprintf("process %ld, which holds the lock: ", (long)pid);

		assert_non_null(strstr(last_notice, named));
	}
	close(ready[0]);
	close(ready[1]);
}

static void pause_lets_others_in(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autoclose int fd = -1;
	struct repolock *l;

	assert_int_equal(repolock_take(&l, repo, &e), 0);
	fd = open(in_scratch("r/.dvc/tmp/lock"), O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
	repolock_pause(l);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(flock(fd, LOCK_UN), 0);
	assert_int_equal(repolock_resume(l, &e), 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
	repolock_release(l);
}

static void a_hard_link_is_a_lock_too(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autostr struct str s = STR_INIT;
	struct filelock *l;
	struct stat st, claim;

	put_text("hl/lock", " 1\n");    /* left behind by flock mode, held by nobody */
	assert_int_equal(filelock_take(&l, in_scratch("hl/lock"), true, &e), 0);
	assert_int_equal(stat(in_scratch("hl/lock"), &st), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_true(st.st_mtime > time(NULL) + 300 * 24 * 3600);
	assert_int_equal(fs_read(&s, in_scratch("hl/lock"), 4096, &e), 0);
	assert_int_equal(stat(s.buf, &claim), 0);
	assert_int_equal(claim.st_ino, st.st_ino);
	filelock_release(l);
	assert_false(fs_exists(in_scratch("hl/lock")));
	assert_false(fs_exists(s.buf));
}

/* A holder that was killed leaves its link behind; it must not keep others out for a year. */
static void the_link_of_a_dead_process_is_broken(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct filelock *l;
	struct stat st;
	pid_t pid;

	put_text("dead/other", "");
	pid = fork();
	if (!pid)
		_exit(filelock_take(&l, in_scratch("dead/lock"), true, &e) ? 1 : 0);
	waitpid(pid, NULL, 0);
	if (stat(in_scratch("dead/lock"), &st))
		fail_msg("the child made no lock");
	assert_int_equal(filelock_take(&l, in_scratch("dead/lock"), true, &e), 0);
	filelock_release(l);
	assert_false(fs_exists(in_scratch("dead/lock")));
}

/* In the file's order, and the path that was compared last is named, as DVC does. */
static void blockers_are_named_in_their_order(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autostrvec struct strvec r = STRVEC_INIT, w = STRVEC_INIT;
	autofree char *text = NULL, *shown = NULL;
	struct pathlock *l;

	strvec_push(&r, "/x/a");
	strvec_push(&w, "/x/z");
	text = xasprintf("{\"write\": {\"/x/a\": {\"pid\": %ld, \"cmd\": \"one\"}, \"/x/z\": {\"pid\": 1, \"cmd\": \"two\"}, "
			 "\"/y\": {\"pid\": 1, \"cmd\": \"no\"}}}", (long)getppid());
	put_text("r/.dvc/tmp/rwlock", text);
	assert_int_equal(pathlock_take(&l, repo, &r, &w, "c", &e), -1);
	shown = xasprintf("'/x/z' is busy, it is being blocked by:\n  (PID %ld): one\n  (PID 1): two\n\n", (long)getppid());
	assert_memory_equal(e.msg, shown, strlen(shown));
}

/* A power cut may leave a file that was just replaced empty. */
static void an_empty_file_holds_nothing(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autostrvec struct strvec w = STRVEC_INIT;
	struct pathlock *l;

	strvec_push(&w, "/x/out");
	put_text("r/.dvc/tmp/rwlock", "");
	assert_int_equal(pathlock_take(&l, repo, NULL, &w, "add", &e), 0);
	pathlock_release(l);
	assert_file("r/.dvc/tmp/rwlock", "{}");
}

static void path_locks_are_written_as_dvc_writes_them(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autostrvec struct strvec r = STRVEC_INIT, w = STRVEC_INIT;
	autofree char *want = NULL;
	struct pathlock *l, *again;

	unlink(in_scratch("r/.dvc/tmp/rwlock"));
	strvec_push(&r, "/x/in");
	strvec_push(&w, "/x/out");
	assert_int_equal(pathlock_take(&l, repo, &r, &w, "add", &e), 0);
	want = xasprintf("{\"write\": {\"/x/out\": {\"pid\": %ld, \"cmd\": \"add\"}}, \"read\": {\"/x/in\": [{\"pid\": %ld, "
			 "\"cmd\": \"add\"}]}}", (long)getpid(), (long)getpid());
	assert_file("r/.dvc/tmp/rwlock", want);
	assert_int_equal(pathlock_take(&again, repo, &r, NULL, "status", &e), 0);
	pathlock_release(again);
	assert_file("r/.dvc/tmp/rwlock", want);
	pathlock_release(l);
	assert_file("r/.dvc/tmp/rwlock", "{}");
}

static void a_living_holder_blocks_and_a_dead_one_is_removed(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autostrvec struct strvec w = STRVEC_INIT, other = STRVEC_INIT;
	autofree char *text = NULL, *shown = NULL;
	struct pathlock *l;
	pid_t dead = fork();

	if (!dead)
		_exit(0);
	waitpid(dead, NULL, 0);
	strvec_push(&w, "/x/d/file");
	strvec_push(&other, "/y");
	text = xasprintf("{\"write\": {\"/x/d\": {\"pid\": %ld, \"cmd\": \"dvc repro\"}}, \"read\": {}}", (long)getppid());
	put_text("r/.dvc/tmp/rwlock", text);
	assert_int_equal(pathlock_take(&l, repo, &other, NULL, "c", &e), 0);
	pathlock_release(l);
	assert_int_equal(pathlock_take(&l, repo, &w, NULL, "c", &e), -1);
	assert_int_equal(e.code, ERR_LOCKED);
	shown = xasprintf("'/x/d/file' is busy, it is being blocked by:\n  (PID %ld): dvc repro\n\nIf there are no processes "
			  "with such PIDs, you can manually remove '%s/rwlock' and try again.", (long)getppid(), repo->tmp_dir);
	assert_string_equal(e.msg, shown);
	err_release(&e);
	free(text);
	text = xasprintf("{\"write\": {\"/x/d\": {\"pid\": %ld, \"cmd\": \"dvc repro\"}}}", (long)dead);
	put_text("r/.dvc/tmp/rwlock", text);
	last_notice[0] = 0;
	assert_int_equal(pathlock_take(&l, repo, NULL, &w, "c", &e), 0);
	assert_non_null(strstr(last_notice, "Process 'dvc repro' with (Pid "));
	pathlock_release(l);
	assert_file("r/.dvc/tmp/rwlock", "{}");
}

static void a_damaged_file_is_refused(void **state UNUSED)
{
	static const char *const texts[] = { "{", "[]", "{\"x\": {}}", "{\"write\": {\"/a\": 1}}", "{\"read\": {\"/a\": {}}}" };
	autostrvec struct strvec w = STRVEC_INIT;
	struct pathlock *l;

	strvec_push(&w, "/a");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		autoerr struct err e = ERR_INIT;

		put_text("r/.dvc/tmp/rwlock", texts[i]);
		assert_int_equal(pathlock_take(&l, repo, &w, NULL, "c", &e), -1);
		assert_int_equal(e.code, ERR_PARSE);
		assert_file("r/.dvc/tmp/rwlock", texts[i]);
	}
	unlink(in_scratch("r/.dvc/tmp/rwlock"));
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(the_lock_file_holds_blank_pid_newline_and_stays),
		cmocka_unit_test(a_held_lock_is_waited_for),
		cmocka_unit_test(pause_lets_others_in),
		cmocka_unit_test(a_hard_link_is_a_lock_too),
		cmocka_unit_test(the_link_of_a_dead_process_is_broken),
		cmocka_unit_test(path_locks_are_written_as_dvc_writes_them),
		cmocka_unit_test(blockers_are_named_in_their_order),
		cmocka_unit_test(an_empty_file_holds_nothing),
		cmocka_unit_test(a_living_holder_blocks_and_a_dead_one_is_removed),
		cmocka_unit_test(a_damaged_file_is_refused),
	};

	return cmocka_run_group_tests(t, setup, teardown);
}

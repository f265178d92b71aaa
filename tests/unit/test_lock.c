/* core/stage/lock.h: L1 L2 L3 on a file in a temporary directory. */
#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/repo/repo.h"
#include "core/stage/lock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static struct repo *open_repo(void)
{
	autofree char *dvc = NULL;
	autofree char *config = NULL;
	autoerr struct err e = ERR_INIT;
	struct repo *r = NULL;

	snprintf(dir, sizeof(dir), "/tmp/test_lock.XXXXXX");
	assert_non_null(mkdtemp(dir));
	dvc = path_join(dir, ".dvc");
	config = path_join(dvc, "config");
	assert_int_equal(fs_mkdirs(dvc, 0777, &e), 0);
	assert_int_equal(fs_replace(config, "[core]\n    no_scm = True\n", 25, 0, &e), 0);
	if (repo_open(&r, dir, &e))
		fail_msg("%s", e.msg);
	return r;
}

static void close_repo(struct repo *r)
{
	autoerr struct err e = ERR_INIT;

	repo_close(r);
	fs_rm_tree(dir, &e);
}

static struct stage *stage_named(const char *name, const char *cmd)
{
	struct stage *s = stage_new(STAGE_PIPELINE, "dvc.yaml", name);
	struct item *o = stage_add_out(s, "out");

	s->cmd = node_str(cmd);
	hashinfo_set(&o->hash, "md5", "60b725f10c9c85c70d97880dfe8191b3");
	o->meta.size = 2;
	return s;
}

static void put(struct lockfile *l, const char *name, const char *cmd)
{
	struct stage *s = stage_named(name, cmd);
	autoerr struct err e = ERR_INIT;

	if (lockfile_put(l, s, NULL, &e))
		fail_msg("%s", e.msg);
	stage_free(s);
}

static void holds(const char *want)
{
	autofree char *path = path_join(dir, "dvc.lock");
	autostr struct str s = STR_INIT;
	autoerr struct err e = ERR_INIT;

	assert_int_equal(fs_read(&s, path, 1 << 20, &e), 0);
	assert_string_equal(str_cstr(&s), want);
}

static void write_lock(const char *text)
{
	autofree char *path = path_join(dir, "dvc.lock");
	autoerr struct err e = ERR_INIT;

	assert_int_equal(fs_replace(path, text, strlen(text), 0, &e), 0);
}

#define OUT "    outs:\n    - path: out\n      hash: md5\n      md5: 60b725f10c9c85c70d97880dfe8191b3\n      size: 2\n"

static void entries_are_written_in_order_of_first_record(void **state)
{
	struct repo *r = open_repo();
	struct lockfile *l = NULL;
	autoerr struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(lockfile_open(&l, r, "dvc.lock", &e), 0);
	put(l, "b", "one");
	put(l, "a", "two");
	put(l, "b", "three");
	holds("schema: '2.0'\nstages:\n  b:\n    cmd: three\n" OUT "  a:\n    cmd: two\n" OUT);
	assert_int_equal(lockfile_remove(l, "b", &e), 0);
	holds("schema: '2.0'\nstages:\n  a:\n    cmd: two\n" OUT);
	lockfile_close(l);
	close_repo(r);
}

static void what_others_wrote_meanwhile_stays(void **state)
{
	struct repo *r = open_repo();
	struct lockfile *l = NULL;
	autoerr struct err e = ERR_INIT;

	(void)state;
	write_lock("schema: '2.0'\nstages:\n  x: # mine\n    cmd: old\n");
	assert_int_equal(lockfile_open(&l, r, "dvc.lock", &e), 0);
	put(l, "a", "one");
	holds("schema: '2.0'\nstages:\n  x: # mine\n    cmd: old\n  a:\n    cmd: one\n" OUT);
	write_lock("schema: '2.0'\nstages:\n  other:\n    cmd: theirs\n");
	put(l, "a", "two");
	holds("schema: '2.0'\nstages:\n  other:\n    cmd: theirs\n  a:\n    cmd: two\n" OUT);
	lockfile_close(l);
	close_repo(r);
}

static void flow_style_is_handled_whole(void **state)
{
	struct repo *r = open_repo();
	struct lockfile *l = NULL;
	autoerr struct err e = ERR_INIT;

	(void)state;
	write_lock("schema: '2.0'\nstages: {x: {cmd: old}}\n");
	assert_int_equal(lockfile_open(&l, r, "dvc.lock", &e), 0);
	put(l, "x", "new");
	lockfile_close(l);
	assert_int_equal(lockfile_open(&l, r, "dvc.lock", &e), 0);
	lockfile_close(l);
	close_repo(r);
}

static void drop(struct lockfile *l, const char *name)
{
	autoerr struct err e = ERR_INIT;

	if (lockfile_remove(l, name, &e))
		fail_msg("%s", e.msg);
}

static void what_is_removed_is_looked_for_in_the_file_as_it_is(void **state)
{
	struct repo *r = open_repo();
	struct lockfile *l = NULL;
	autoerr struct err e = ERR_INIT;

	(void)state;
	write_lock("schema: '2.0'\nstages: {x: {cmd: old}, y: {cmd: old}}\n");
	assert_int_equal(lockfile_open(&l, r, "dvc.lock", &e), 0);
	write_lock("schema: '2.0'\nstages: {x: {cmd: old}, y: {cmd: longer}, z: {cmd: old}}\n");
	drop(l, "z");
	holds("schema: '2.0'\nstages: {x: {cmd: old}, y: {cmd: longer}}\n");
	write_lock("schema: '2.0'\nstages:\n  a:\n    cmd: one\n  b:\n    cmd: two\n");
	drop(l, "b");
	holds("schema: '2.0'\nstages:\n  a:\n    cmd: one\n");
	lockfile_close(l);
	close_repo(r);
}

static void other_sections_outlive_the_last_stage(void **state)
{
	static const char *const text[] = {
		"schema: '2.0'\nstages:\n  x:\n    cmd: old\ndatasets:\n- name: d\n",
		"schema: '2.0'\ndatasets:\n- name: d\nstages: {x: {cmd: old}}\n",
	};
	struct repo *r = open_repo();
	autoerr struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct lockfile *l = NULL;

		write_lock(text[i]);
		assert_int_equal(lockfile_open(&l, r, "dvc.lock", &e), 0);
		drop(l, "x");
		holds("schema: '2.0'\ndatasets:\n- name: d\n");
		put(l, "a", "one");
		holds("schema: '2.0'\ndatasets:\n- name: d\nstages:\n  a:\n    cmd: one\n" OUT);
		lockfile_close(l);
	}
	close_repo(r);
}

static void each_replacement_keeps_the_mode(void **state)
{
	struct repo *r = open_repo();
	struct lockfile *l = NULL;
	autoerr struct err e = ERR_INIT;
	autofree char *path = path_join(dir, "dvc.lock");
	char cmd[] = "0";
	struct stat st;

	(void)state;
	write_lock("schema: '2.0'\nstages:\n  x:\n    cmd: old\n");
	assert_int_equal(chmod(path, 0660), 0);
	assert_int_equal(lockfile_open(&l, r, "dvc.lock", &e), 0);
	for (; *cmd < '9'; ++*cmd) {
		put(l, "a", cmd);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0660);
	}
	assert_int_equal(lockfile_sync(l, &e), 0);
	lockfile_close(l);
	close_repo(r);
}

static void a_wrong_schema_is_refused(void **state)
{
	struct repo *r = open_repo();
	struct lockfile *l = NULL;
	autoerr struct err e = ERR_INIT;

	(void)state;
	write_lock("schema: 2.0\nstages: {}\n");
	assert_int_equal(lockfile_open(&l, r, "dvc.lock", &e), -1);
	assert_int_equal(e.code, ERR_PARSE);
	assert_non_null(strstr(e.msg, "invalid schema version"));
	close_repo(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_are_written_in_order_of_first_record),
		cmocka_unit_test(what_others_wrote_meanwhile_stays),
		cmocka_unit_test(flow_style_is_handled_whole),
		cmocka_unit_test(what_is_removed_is_looked_for_in_the_file_as_it_is),
		cmocka_unit_test(other_sections_outlive_the_last_stage),
		cmocka_unit_test(each_replacement_keeps_the_mode),
		cmocka_unit_test(a_wrong_schema_is_refused),
	};

	notice_sink(NULL, NULL);
	return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}

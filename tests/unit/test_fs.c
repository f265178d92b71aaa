/* fs: posixpath's rules (F5), replacement (F1 F2 F4), and paths that must not leave their root (F3). */
#include "core/base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/base/temps.h"
#include "tests/unit/scratch.h"

#include <errno.h>
#include <pthread.h>
#include <sys/file.h>

static void takes(char *got, const char *want)
{
	assert_string_equal(got, want);
	free(got);
}

/* Expected texts are those of Python 3.11's posixpath. */
static void norm_as_python(void **state UNUSED)
{
	static const char *const v[][2] = {
		{ "", "." }, { ".", "." }, { "..", ".." }, { "/", "/" }, { "//", "//" }, { "///", "/" },
		{ "//a", "//a" }, { "///a", "/a" }, { "/..", "/" }, { "/../a", "/a" }, { "a/..", "." },
		{ "a/../..", ".." }, { "a/../../b", "../b" }, { "../a/../..", "../.." }, { "a//b/", "a/b" },
		{ "./a/./b/.", "a/b" }, { "/a/b/../c", "/a/c" }, { "a/b/../../..", ".." }, { "...", "..." },
		{ "//../a", "//a" }, { "a/..b", "a/..b" }, { "/a/..", "/" }, { "//a/..", "//" },
	};

	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		takes(path_norm(v[i][0]), v[i][1]);
}

static void join_dir_and_base_as_python(void **state UNUSED)
{
	takes(path_join("a", "b"), "a/b");
	takes(path_join("a/", "b"), "a/b");
	takes(path_join("", "b"), "b");
	takes(path_join("a", ""), "a/");
	takes(path_join("a", "/b"), "/b");
	takes(path_dir("a/b"), "a");
	takes(path_dir("a"), "");
	takes(path_dir("/a"), "/");
	takes(path_dir("//a"), "//");
	takes(path_dir("a//b"), "a");
	takes(path_dir("a/"), "a");
	takes(path_dir("/"), "/");
	assert_string_equal(path_base("a/b"), "b");
	assert_string_equal(path_base("a/"), "");
	assert_string_equal(path_base("a"), "a");
}

static void rel_as_python(void **state UNUSED)
{
	takes(path_rel("/a/b", "/a"), "b");
	takes(path_rel("/a", "/a"), ".");
	takes(path_rel("/a", "/a/b/c"), "../..");
	takes(path_rel("/x/y", "/a/b"), "../../x/y");
	takes(path_rel("/ab", "/a"), "../ab");
	takes(path_rel("/a/b", "/"), "a/b");
	takes(path_rel("/", "/a"), "..");
	takes(path_rel("/a/../b", "/b/./c"), "..");
}

static void inside_is_by_component(void **state UNUSED)
{
	assert_true(path_is_inside("/a/b", "/a"));
	assert_true(path_is_inside("/a", "/a"));
	assert_false(path_is_inside("/ab", "/a"));
	assert_true(path_is_inside("/a", "/"));
	assert_true(path_is_inside("a/b", "a"));
	assert_true(path_is_inside("a", "."));
	assert_false(path_is_inside("../a", "."));
	assert_true(path_is_inside("..a", "."));
	assert_false(path_is_inside("/a", "."));
}

static void unsafe_names_are_known(void **state UNUSED)
{
	static const char *const bad[] = {
		"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/../b", "./a", "a/.", ".git", "a/.GIT/x",
		".dvc", "x/.Dvc", ".git/hooks/pre-commit",
	};
	static const char *const good[] = { "a", "a/b", "...", "..a", ".gitignore", "a b", ".dvcignore", "x.dvc", "-" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(path_is_safe(bad[i]));
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(path_is_safe(good[i]));
}

static void replace_gives_all_or_nothing(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;

	assert_int_equal(fs_replace(in_scratch("r"), "one", 3, 0, &e), 0);
	assert_file("r", "one");
	assert_int_equal(mode_of("r"), 0666 & ~fs_umask());
	assert_int_equal(chmod(in_scratch("r"), 0600), 0);
	assert_int_equal(fs_replace(in_scratch("r"), "two", 3, 0, &e), 0);
	assert_file("r", "two");
	assert_int_equal(mode_of("r"), 0600);           /* F4: a private file stays private */
	assert_int_equal(fs_replace(in_scratch("none/r"), "x", 1, 0, &e), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);
}

static void replace_does_not_write_through_a_link(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;

	put_text("victim", "keep");
	assert_int_equal(symlink("victim", in_scratch("l")), 0);
	assert_int_equal(fs_replace(in_scratch("l"), "new", 3, 0, &e), 0);
	assert_file("victim", "keep");
	assert_false(fs_is_link(in_scratch("l")));
}

static void failed_replace_leaves_no_temporary(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;

	assert_int_equal(fs_mkdirs(in_scratch("d/target/full"), 0777, &e), 0);
	assert_int_equal(fs_replace(in_scratch("d/target"), "x", 1, 0, &e), -1);
	assert_int_equal(unlink(in_scratch("d/target/full")), -1);
	assert_int_equal(rmdir(in_scratch("d/target/full")), 0);
	assert_int_equal(rmdir(in_scratch("d/target")), 0);
	assert_int_equal(rmdir(in_scratch("d")), 0);    /* nothing else was in it */
}

static void read_has_a_limit_and_refuses_what_is_no_file(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autostr struct str s = STR_INIT;

	put_text("big", "0123456789");
	assert_int_equal(fs_read(&s, in_scratch("big"), 9, &e), -1);
	assert_int_equal(e.code, ERR_PARSE);
	str_reset(&s);
	assert_int_equal(fs_read(&s, in_scratch("big"), 10, &e), 0);
	assert_int_equal(s.len, 10);
	assert_int_equal(mkfifo(in_scratch("fifo"), 0600), 0);
	err_release(&e);
	assert_int_equal(fs_read(&s, in_scratch("fifo"), 10, &e), -1);  /* and does not hang */
	assert_int_equal(fs_read(&s, scratch, 10, &e), -1);
}

static void names_stay_beneath(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autoclose int root = -1;
	const char *base;
	int fd;

	put_text("outside", "secret");
	put_text("root/in/file", "ok");
	assert_int_equal(symlink("../outside", in_scratch("root/l")), 0);
	assert_int_equal(symlink("..", in_scratch("root/up")), 0);
	assert_int_equal(symlink("in", in_scratch("root/same")), 0);
	root = open(in_scratch("root"), O_RDONLY | O_DIRECTORY);
	fd = fs_open_beneath(root, "in/file", O_RDONLY, 0, &e);
	assert_true(fd >= 0);
	close(fd);
	static const char *const bad[] = { "l", "up/outside", "same/file", "../outside", "/etc/passwd", "in/../../outside" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(fs_open_beneath(root, bad[i], O_RDONLY, 0, &e), -1);
		assert_int_equal(e.code, ERR_UNSAFE);
		err_release(&e);
	}
	assert_int_equal(fs_parent_beneath(root, "up/new/x", true, &base, &e), -1);
	assert_false(fs_exists(in_scratch("new")));
	fd = fs_parent_beneath(root, "a/b/c", true, &base, &e);
	assert_true(fd >= 0);
	assert_string_equal(base, "c");
	assert_true(fs_is_dir(in_scratch("root/a/b")));
	close(fd);
}

static void *swap_links(void *stop)
{
	while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED)) {
		(void)!rename(in_scratch("race/dir"), in_scratch("race/away"));
		(void)!symlink("../prey", in_scratch("race/dir"));
		unlink(in_scratch("race/dir"));
		(void)!rename(in_scratch("race/away"), in_scratch("race/dir"));
	}
	return NULL;
}

/* F3: a directory that turns into a link and back while files are made in it never leads them out. */
static void a_raced_symlink_leads_nowhere(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autoclose int root = -1;
	pthread_t thread;
	int stop = 0, made = 0;

	assert_int_equal(fs_mkdirs(in_scratch("race/dir"), 0777, &e), 0);
	assert_int_equal(fs_mkdirs(in_scratch("prey"), 0777, &e), 0);
	root = open(in_scratch("race"), O_RDONLY | O_DIRECTORY);
	assert_int_equal(pthread_create(&thread, NULL, swap_links, &stop), 0);
	for (int i = 0; i < 3000 || (!made && i < 1000000); i++) {
		const char *base;
		int fd = fs_parent_beneath(root, "dir/file", false, &base, &e);

		err_release(&e);
		if (fd < 0)
			continue;
		made += !mknodat(fd, base, S_IFREG | 0600, 0);
		unlinkat(fd, base, 0);
		close(fd);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_true(made > 0);
	assert_int_equal(rmdir(in_scratch("prey")), 0); /* nothing was ever made in it: it would not be empty */
}

static void remove_does_not_follow_links(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;

	put_text("keep/x", "x");
	put_text("gone/a/b", "b");
	assert_int_equal(symlink("../keep", in_scratch("gone/l")), 0);
	assert_int_equal(fs_rm_tree(in_scratch("gone"), &e), 0);
	assert_false(fs_exists(in_scratch("gone")));
	assert_file("keep/x", "x");
	assert_int_equal(fs_rm_tree(in_scratch("gone"), &e), 0);
}

static void temp_names_are_dvcs_and_differ(void **state UNUSED)
{
	char a[32], b[32];

	fs_temp_name(a);
	fs_temp_name(b);
	assert_string_not_equal(a, b);
	assert_int_equal(strlen(a), 27);
	assert_true(fs_is_temp_name(a));
	assert_false(fs_is_temp_name("a.tmp"));
	assert_false(fs_is_temp_name(".short.tmp"));
	assert_false(fs_is_temp_name(".0123456789012345678901.tmpx"));
}

static void mkdirs_makes_parents(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;

	assert_int_equal(fs_mkdirs(in_scratch("m/a/b/c/"), 0777, &e), 0);
	assert_true(fs_is_dir(in_scratch("m/a/b/c")));
	assert_int_equal(fs_mkdirs(in_scratch("m/a/b/c"), 0777, &e), 0);
	put_text("m/f", "");
	assert_int_equal(fs_mkdirs(in_scratch("m/f"), 0777, &e), -1);
	assert_int_equal(fs_mkdirs(in_scratch("m/f/g"), 0777, &e), -1);
}

/* The name that fs_temp_scratch() would make in a process of that number and mark. */
static const char *temp_of(char out[32], uint64_t pid, uint32_t mark)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint64_t w[2] = { 7ull << 32 | mark, 1ull << 63 | pid << 40 | 1 };

	out[0] = '.';
	for (size_t i = 0; i < 22; i++, w[(i - 1) / 11] >>= 6)
		out[1 + i] = letters[w[i / 11] & 63];
	memcpy(out + 23, ".tmp", 5);
	assert_true(fs_temp_maker(out) == (pid << 32 | mark));
	return out;
}

/* In containers every process has the same number, often ours: a lock, not the number, says that a maker lives. */
static void a_dead_makers_temporaries_go_whatever_its_number(void **state UNUSED)
{
	autofree char *dead = xasprintf("j/git-data.temps.%d.0000002a", (int)getpid());
	autofree char *live = xasprintf("j/git-data.temps.%d.0000002b", (int)getpid());
	autofree char *where = xasprintf("%s\n", in_scratch("j/work"));
	char a[32], b[32], own[32];
	autofree char *gone = xasprintf("j/work/%s", temp_of(a, (uint64_t)getpid(), 0x2a));
	autofree char *kept = xasprintf("j/work/%s", temp_of(b, (uint64_t)getpid(), 0x2b)), *ours = NULL;
	int fd;

	fs_temp_scratch(own);
	assert_true(fs_temp_maker(own) == fs_temp_self());
	ours = xasprintf("j/work/%s", own);
	put_text(dead, where);
	put_text(live, where);
	put_text(gone, "x");
	put_text(kept, "x");
	put_text(ours, "x");
	fd = open(in_scratch(live), O_RDONLY);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	temps_close();          /* that of the tests before */
	temps_open(in_scratch("j"));
	assert_false(fs_exists(in_scratch(dead)) || fs_exists(in_scratch(gone)));
	assert_true(fs_exists(in_scratch(live)) && fs_exists(in_scratch(kept)) && fs_exists(in_scratch(ours)));
	temps_close();
	close(fd);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(norm_as_python),
		cmocka_unit_test(join_dir_and_base_as_python),
		cmocka_unit_test(rel_as_python),
		cmocka_unit_test(inside_is_by_component),
		cmocka_unit_test(unsafe_names_are_known),
		cmocka_unit_test(replace_gives_all_or_nothing),
		cmocka_unit_test(replace_does_not_write_through_a_link),
		cmocka_unit_test(failed_replace_leaves_no_temporary),
		cmocka_unit_test(read_has_a_limit_and_refuses_what_is_no_file),
		cmocka_unit_test(names_stay_beneath),
		cmocka_unit_test(a_raced_symlink_leads_nowhere),
		cmocka_unit_test(remove_does_not_follow_links),
		cmocka_unit_test(temp_names_are_dvcs_and_differ),
		cmocka_unit_test(mkdirs_makes_parents),
		cmocka_unit_test(a_dead_makers_temporaries_go_whatever_its_number),
	};

	return cmocka_run_group_tests(t, scratch_setup, scratch_teardown);
}

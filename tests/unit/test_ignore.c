/* ignore: git's rules and pathspec's, directory by directory; entries in .gitignore. */
#include "core/repo/ignore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/scratch.h"

static int match(enum ignore_kind kind, const char *patterns, const char *path, bool is_dir)
{
	struct ignore_list *l = ignore_list_new(kind);
	autostrvec struct strvec v = STRVEC_INIT;
	int r;

	strvec_split(&v, patterns, '|');
	for (size_t i = 0; i < v.n; i++)
		ignore_list_add(l, v.v[i], NULL, 0);
	r = ignore_list_match(l, path, is_dir);
	ignore_list_free(l);
	return r;
}

/* A line of a megabyte is as good as any: no recursion by its length. */
static void a_line_may_be_as_long_as_its_file(void **state UNUSED)
{
	autostr struct str s = STR_INIT;
	struct ignore_list *l = ignore_list_new(IGNORE_GIT);

	while (s.len < (1u << 20))
		str_adds(&s, "**/");
	str_addc(&s, 'f');
	ignore_list_add(l, s.buf, NULL, 0);
	assert_int_equal(ignore_list_match(l, "d/f", false), 1);
	assert_int_equal(ignore_list_match(l, "d/g", false), -1);
	ignore_list_free(l);
}

static int git(const char *patterns, const char *path, bool is_dir)
{
	return match(IGNORE_GIT, patterns, path, is_dir);
}

static int dvc(const char *patterns, const char *path, bool is_dir)
{
	return match(IGNORE_DVC, patterns, path, is_dir);
}

static void git_matches_what_git_matches(void **state UNUSED)
{
	assert_int_equal(git("foo", "a/foo", false), 1);
	assert_int_equal(git("/foo", "a/foo", false), -1);
	assert_int_equal(git("foo/", "foo", false), -1);
	assert_int_equal(git("foo/", "foo", true), 1);
	assert_int_equal(git("*.log|!keep.log", "x/keep.log", false), 0);
	assert_int_equal(git("a/**/b", "a/b", false), 1);
	assert_int_equal(git("a/**/b", "a/x/y/b", false), 1);
	assert_int_equal(git("**/b", "b", false), 1);
	assert_int_equal(git("a/**", "a/x/y", false), 1);
	assert_int_equal(git("a/**", "a", true), -1);
	assert_int_equal(git("a*b", "a/b", false), -1);
	assert_int_equal(git("[a-c]x", "bx", false), 1);
	assert_int_equal(git("[!a-c]x", "bx", false), -1);
	assert_int_equal(git("[[:digit:]]", "7", false), 1);
	assert_int_equal(git("[]-]", "-", false), 1);
	assert_int_equal(git("\\#x", "#x", false), 1);
	assert_int_equal(git("[x", "[x", false), -1);
	assert_int_equal(git("x\\", "x\\", false), -1);
}

static void pathspec_also_looks_at_what_lies_above(void **state UNUSED)
{
	assert_int_equal(dvc("foo", "foo/bar", false), 1);
	assert_int_equal(dvc("*|!foo", "foo/bar", false), 0);
	assert_int_equal(git("*|!foo", "foo/bar", false), 1);
	assert_int_equal(dvc("foo/**", "foo", true), 1);
	assert_int_equal(dvc("**/", "x", true), -1);
	assert_int_equal(dvc("a[^b]c", "a/c", false), 1);
	assert_int_equal(dvc("?", "\xc3\xa9", false), 1);
	assert_int_equal(git("?", "\xc3\xa9", false), -1);
	assert_int_equal(dvc("/a/b", "a/b/c", false), 1);
	assert_int_equal(dvc("*.ext", "x.ext/y", false), 1);
}

static void a_hostile_pattern_costs_little(void **state UNUSED)
{
	autostr struct str p = STR_INIT, text = STR_INIT;

	for (int i = 0; i < 200; i++)
		str_adds(&p, "*a");
	str_adds(&p, "b");
	str_addn(&text, 'a', 2000);
	assert_int_equal(git(p.buf, text.buf, false), -1);
	assert_int_equal(dvc(p.buf, text.buf, false), -1);
	str_reset(&p);
	for (int i = 0; i < 200; i++)
		str_adds(&p, "**/a/");
	str_adds(&p, "b");
	assert_int_equal(git(p.buf, text.buf, false), -1);
}

static void directories_rule_what_is_below(void **state UNUSED)
{
	struct ignore *g;

	put_text("w/.dvcignore", "  *.tmp  \n# no\n/only\nsub/*\n!sub/in\n");
	put_text("w/sub/in/.dvcignore", "!back.tmp\n");
	put_text("w/nested/.dvc/config", "");
	g = ignore_open(in_scratch("w"), true);
	assert_true(ignore_is(g, "a.tmp", false));
	assert_true(ignore_is(g, "x/a.tmp", false));
	assert_false(ignore_is(g, "x/only", false));
	assert_true(ignore_is(g, "only/deep/file", false));
	assert_true(ignore_is(g, "sub/x", false));
	assert_false(ignore_is(g, "sub/in/y", false));
	assert_false(ignore_is(g, "sub/in/back.tmp", false));
	assert_true(ignore_is(g, "nested", true));
	assert_true(ignore_is(g, "nested/x", false));
	assert_true(ignore_is(g, ".dvc", true));
	assert_true(ignore_is(g, ".git", false));
	assert_false(ignore_is(g, "", true));
	ignore_close(g);
}

static void hits_name_file_and_line(void **state UNUSED)
{
	struct ignore_hit h;
	struct ignore *g;

	put_text("h/.dvcignore", "# c\n*.a\n!x.a\n");
	put_text("h/repo/.dvc/config", "");
	g = ignore_open(in_scratch("h"), true);
	assert_int_equal(ignore_hits(g, "y.a", false, &h), 1);
	assert_string_equal(h.file, ".dvcignore");
	assert_int_equal(h.line, 2);
	assert_false(h.negated);
	assert_int_equal(ignore_hits(g, "x.a", false, &h), 1);
	assert_true(h.negated);
	assert_int_equal(ignore_hits(g, ".dvc", true, &h), 1);
	assert_null(h.file);
	assert_int_equal(ignore_hits(g, "repo/z", false, &h), 1);
	assert_int_equal(h.line, -1);
	assert_int_equal(ignore_hits(g, "z", false, &h), 0);
	ignore_close(g);
}

static void gitignore_entries_come_and_go(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	char *file = NULL;

	put_text("g/.git/HEAD", "ref: refs/heads/main\n");
	put_text("g/d/.gitignore", "/other");
	assert_int_equal(gitignore_add(in_scratch("g/d/[x]*"), in_scratch("g"), &file, &e), 0);
	assert_string_equal(file, in_scratch("g/d/.gitignore"));
	free(file);
	assert_file("g/d/.gitignore", "/other\n/\\[x\\]\\*\n");
	assert_int_equal(gitignore_add(in_scratch("g/d/[x]*"), in_scratch("g"), &file, &e), 0);
	assert_null(file);              /* git ignores it already */
	assert_int_equal(gitignore_remove(in_scratch("g/d/other"), in_scratch("g"), &file, &e), 0);
	assert_file("g/d/.gitignore", "/\\[x\\]\\*\n");
	free(file);
	put_text("g/e/.gitignore", "/last\n");
	assert_int_equal(gitignore_remove(in_scratch("g/e/last"), in_scratch("g"), &file, &e), 0);
	assert_null(file);
	assert_false(fs_exists(in_scratch("g/e/.gitignore")));
	assert_int_equal(gitignore_add("/elsewhere/x", in_scratch("g"), &file, &e), -1);
	assert_int_equal(e.code, ERR_UNSAFE);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(a_line_may_be_as_long_as_its_file),
		cmocka_unit_test(git_matches_what_git_matches),
		cmocka_unit_test(pathspec_also_looks_at_what_lies_above),
		cmocka_unit_test(a_hostile_pattern_costs_little),
		cmocka_unit_test(directories_rule_what_is_below),
		cmocka_unit_test(hits_name_file_and_line),
		cmocka_unit_test(gitignore_entries_come_and_go),
	};

	return cmocka_run_group_tests(t, scratch_setup, scratch_teardown);
}

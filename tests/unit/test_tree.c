/* tree: DVC's bytes and ids (format notes 13.2), both ways of reading, and what a hostile manifest may not say (R1). */
#include "core/cache/tree.h"

#include "core/base/hash.h"
#include "core/base/node.h"
#include "core/cache/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/scratch.h"

static void add(struct tree *t, const char *path, const char *content)
{
	struct oid id = { .is_dir = 0 };

	md5_once(content, strlen(content), id.md5);
	tree_add(t, path, &id, (int64_t)strlen(content));
}

static void has_id(struct tree *t, const char *want)
{
	char hex[OID_HEX_MAX];
	struct oid id;

	tree_sort(t);
	tree_id(t, &id);
	oid_hex(hex, &id);
	assert_string_equal(hex, want);
}

static void ids_of_the_notes(void **state UNUSED)
{
	autotree struct tree *empty = tree_new(), *two = tree_new(), *mixed = tree_new(), *sorted = tree_new();
	autotree struct tree *wide = tree_new();
	autostr struct str s = STR_INIT;
	static const char *const names[] = { "A", "Z", "_", "a b", "a-b", "a.b", "b", "~", "é", "\xef\xbf\xbd",
					     "\xf0\x9f\x98\x80" };

	has_id(empty, "d751713988987e9331980363e24189ce.dir");
	tree_dump(&s, empty);
	assert_string_equal(s.buf, "[]");
	add(two, "s/2", "2\n");
	add(two, "1", "1\n");
	has_id(two, "7493f99274667841745dc19021d73d46.dir");
	add(mixed, "z\"q", "q");
	add(mixed, "a", "a");
	add(mixed, "sub/deep/with space", "x");
	add(mixed, "script.sh", "s");
	add(mixed, "sub/é.txt", "c");
	add(mixed, "sub/b.txt", "b\r\n");
	has_id(mixed, "f8b33b0ebafc918f90dd08061a8fca2c.dir");
	add(wide, "é😀", "2\n");
	has_id(wide, "6beaa7cdb726b9a1d229f3344193e538.dir");
	for (size_t i = ARRAY_LEN(names); i-- > 0;)
		add(sorted, names[i], names[i]);
	add(sorted, "a/b", "x");
	has_id(sorted, "dd001e6f4dced59e673dc7ba5fd5aa63.dir");
}

static void control_characters(void **state UNUSED)
{
	autotree struct tree *t = tree_new();
	autostr struct str s = STR_INIT;

	add(t, "t\tab\x01", "y");
	add(t, "d\x7f" "el", "x");
	add(t, "q\"\\/\b\f\n\r", "");
	tree_sort(t);
	tree_dump(&s, t);
	assert_non_null(strstr(s.buf, "\"relpath\": \"d\\u007fel\""));
	assert_non_null(strstr(s.buf, "\"relpath\": \"t\\tab\\u0001\""));
	assert_non_null(strstr(s.buf, "\"relpath\": \"q\\\"\\\\/\\b\\f\\n\\r\""));
}

static void round_trip(const char *const *paths, size_t n)
{
	autotree struct tree *t = tree_new(), *back = NULL;
	autoerr struct err e = ERR_INIT;
	autostr struct str s = STR_INIT, again = STR_INIT;

	for (size_t i = 0; i < n; i++)
		add(t, paths[i], paths[i]);
	tree_sort(t);
	tree_dump(&s, t);
	assert_int_equal(tree_parse(&back, s.buf, s.len, "m", &e), 0);
	assert_int_equal(back->n, t->n);
	for (size_t i = 0; i < t->n; i++) {
		assert_string_equal(back->e[i].path, t->e[i].path);
		assert_true(oid_eq(&back->e[i].id, &t->e[i].id));
	}
	tree_dump(&again, back);
	assert_string_equal(again.buf, s.buf);
}

static void what_is_written_is_read(void **state UNUSED)
{
	static const char *const paths[] = { "a", "b/c", "é", "😀/x", "q\"uote", "back\\slash", "back\\", "\\\"", "tab\t",
					     "nl\nx", "\x01\x1f\x7f", "a b", "ü/\"", "end\\\\" };

	round_trip(paths, ARRAY_LEN(paths));
	round_trip(paths, 0);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		round_trip(paths + i, 1);
}

#define M "0cc175b9c0f1b6a831c399e269772661"

static void lenient_shapes_are_read(void **state UNUSED)
{
	static const char *const v[] = {
		"[{\"md5\":\"" M "\",\"relpath\":\"a\"}]",
		"[{\"relpath\": \"a\", \"md5\": \"" M "\"}]",
		" [ {\"md5\": \"" M "\", \"relpath\": \"a\"} ]\n",
		"[{\"md5\": \"" M "\", \"relpath\": \"\\u0061\"}]",
		"[{\"md5\": \"" M "\", \"relpath\": \"a\", \"size\": 7}]",
	};

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		autotree struct tree *t = NULL;
		autoerr struct err e = ERR_INIT;

		assert_int_equal(tree_parse(&t, v[i], strlen(v[i]), "m", &e), 0);
		assert_int_equal(t->n, 1);
		assert_string_equal(t->e[0].path, "a");
		assert_int_equal(t->e[0].size, i == 4 ? 7 : -1);
		assert_true((t->e[0].extra != NULL) == (i == 4));
	}
}

static void refused(const char *text, enum err_code code)
{
	struct tree *t = NULL;
	autoerr struct err e = ERR_INIT;

	assert_int_equal(tree_parse(&t, text, strlen(text), "m", &e), -1);
	assert_int_equal(e.code, code);
	assert_null(t);
	assert_non_null(strstr(e.msg, "'m'"));
}

static void hostile_names_are_refused(void **state UNUSED)
{
	static const char *const bad[] = {
		"../x", "/etc/passwd", "a/../../x", ".git/config", "sub/.GIT/hooks/x", ".dvc/config", "a//b", "a/", "",
		".", "a/./b", "..", "\\u0000", "a\\u0000b", "\\u002e\\u002e/x", ".\\u0067it/config",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		autofree char *text = xasprintf("[{\"md5\": \"" M "\", \"relpath\": \"%s\"}]", bad[i]);

		refused(text, ERR_UNSAFE);
	}
	refused("[{\"md5\": \"" M "\", \"relpath\": \"a\"}, {\"md5\": \"" M "\", \"relpath\": \"a\"}]", ERR_UNSAFE);
}

static void damaged_text_is_refused(void **state UNUSED)
{
	static const char *const bad[] = {
		"", "[", "{}", "null", "[1]", "[{}]", "[{\"md5\": \"" M "\"}]", "[{\"relpath\": \"a\"}]",
		"[{\"md5\": \"xyz\", \"relpath\": \"a\"}]", "[{\"md5\": \"" M "\", \"relpath\": 1}]",
		"[{\"md5\": \"" M "\", \"relpath\": \"a\"}", "[{\"md5\": \"" M "\", \"relpath\": \"a\"},]",
		"[{\"md5\": \"" M "\", \"relpath\": \"a\"}]x", "[{\"md5\": \"" M "\", \"relpath\": \"a",
		"[{\"md5\": \"" M "\", \"relpath\": \"a\\", "[{\"md5\": \"" M "\", \"relpath\": \"\\uZZZZ\"}]",
		"[{\"md5\": \"0CC175B9C0F1B6A831C399E269772661\", \"relpath\": \"a\"}]",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		refused(bad[i], ERR_CORRUPT);
}

/* Every prefix of a good text is refused, and no byte behind it is read (the sanitizer watches). */
static void every_prefix_is_refused(void **state UNUSED)
{
	static const char text[] = "[{\"md5\": \"" M "\", \"relpath\": \"a\\u00e9\\\"\"}, {\"md5\": \"" M
				   "\", \"relpath\": \"b\"}]";

	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		autofree char *copy = xmemdup(text, n);
		struct tree *t = NULL;
		autoerr struct err e = ERR_INIT;

		assert_int_equal(tree_parse(&t, copy, n, "m", &e), -1);
	}
}

static void ranges_follow_directories(void **state UNUSED)
{
	static const char *const names[] = { "a", "a-b", "d/1", "d/2", "d/s/3", "d.x", "d0", "e" };
	autotree struct tree *t = tree_new(), *copy = NULL;
	size_t from, to;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		add(t, names[i], "");
	tree_sort(t);
	assert_true(tree_range(t, "d", &from, &to));
	assert_int_equal(to - from, 3);
	assert_string_equal(t->e[from].path, "d/1");
	assert_true(tree_range(t, "d/s", &from, &to));
	assert_int_equal(to - from, 1);
	assert_true(tree_range(t, "a", &from, &to));
	assert_int_equal(to - from, 1);
	assert_true(tree_range(t, "", &from, &to));
	assert_int_equal(to - from, 8);
	assert_false(tree_range(t, "d/", &from, &to));
	assert_false(tree_range(t, "nothing", &from, &to));
	assert_non_null(tree_find(t, "d.x"));
	assert_null(tree_find(t, "d"));
	copy = tree_copy(t);
	tree_remove_below(copy, "d");
	assert_int_equal(copy->n, 5);
	tree_remove_below(copy, "e");
	assert_int_equal(copy->n, 4);
	assert_int_equal(t->n, 8);
}

static void the_last_of_two_stays(void **state UNUSED)
{
	autotree struct tree *t = tree_new();

	add(t, "x", "old");
	add(t, "a", "");
	add(t, "x", "new");
	tree_sort(t);
	assert_int_equal(t->n, 2);
	assert_int_equal(tree_find(t, "x")->size, 3);
	add(t, "0", "");
	add(t, "x", "newer");
	tree_sort(t);
	assert_int_equal(tree_find(t, "x")->size, 5);
}

static void saved_and_loaded(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autofree char *dir = xstrdup(in_scratch("cache"));
	const struct store_conf conf = { .dir = dir };
	autotree struct tree *t = tree_new(), *back = NULL;
	struct store *s;
	struct oid id, other;

	assert_int_equal(store_open(&s, &conf, &e), 0);
	add(t, "1", "1\n");
	add(t, "s/2", "2\n");
	assert_int_equal(tree_save(t, s, &id, &e), 0);
	assert_file("cache/files/md5/74/93f99274667841745dc19021d73d46.dir",
		    "[{\"md5\": \"b026324c6904b2a9cb4b88d6d61c81d1\", \"relpath\": \"1\"}, "
		    "{\"md5\": \"26ab0db90d72e28ad0ba1e22ee510510\", \"relpath\": \"s/2\"}]");
	assert_int_equal(tree_load(&back, s, &id, &e), 0);
	assert_int_equal(back->n, 2);
	other = id;
	other.md5[0] ^= 1;
	tree_free(take(back));
	assert_int_equal(tree_load(&back, s, &other, &e), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(ids_of_the_notes),
		cmocka_unit_test(control_characters),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(lenient_shapes_are_read),
		cmocka_unit_test(hostile_names_are_refused),
		cmocka_unit_test(damaged_text_is_refused),
		cmocka_unit_test(every_prefix_is_refused),
		cmocka_unit_test(ranges_follow_directories),
		cmocka_unit_test(the_last_of_two_stays),
		cmocka_unit_test(saved_and_loaded),
	};

	return cmocka_run_group_tests(t, scratch_setup, scratch_teardown);
}

#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/node.h"
#include "core/base/str.h"
#include "core/base/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct node *must_read(const char *text, unsigned flags)
{
	struct node *n = NULL;
	autoerr struct err e = ERR_INIT;

	if (yaml_parse(&n, text, strlen(text), "t.yaml", flags, &e))
		fail_msg("%s: %s", text, e.msg);
	return n;
}

static void reads_as(const char *text, const char *json)
{
	autonode struct node *n = must_read(text, 0);
	autostr struct str out = STR_INIT;

	json_dump(&out, n, 0);
	assert_string_equal(str_cstr(&out), json);
}

static void refused(const char *text, const char *where)
{
	struct node *n = NULL;
	autoerr struct err e = ERR_INIT;

	if (!yaml_parse(&n, text, strlen(text), "t.yaml", 0, &e)) {
		node_free(n);
		fail_msg("accepted: %s", text);
	}
	assert_int_equal(e.code, ERR_PARSE);
	if (!str_starts(e.msg, where))
		fail_msg("%s does not start with %s", e.msg, where);
}

static void kept(const char *text, const char *want)
{
	autonode struct node *n = must_read(text, YAML_KEEP);
	autostr struct str out = STR_INIT;

	yaml_dump(&out, n);
	assert_string_equal(str_cstr(&out), want);
}

static void scalars_resolve_as_1_2_with_leftovers(void **state)
{
	(void)state;
	reads_as("[yes, no, true, ~, null, 0o17, 017, 0x1f, 0b11, 1_000, 1e5, .5, 1., -.inf, 12:30]",
		 "[\"yes\", \"no\", true, null, null, 15, 17, 31, 3, 1000, 100000.0, 0.5, 1.0, -Infinity, \"12:30\"]");
	reads_as("%YAML 1.1\n---\n[yes, off, 017, 1:30]\n", "[true, false, 15, 90]");
	reads_as("[2020-01-02, 2001-12-14t21:59:43.10-05:00, 2001-12-14 1:02:03]",
		 "[\"2020-01-02\", \"2001-12-14 21:59:43.100000-05:00\", \"2001-12-14 01:02:03\"]");
	reads_as("0xffffffffffffffffffff", "1208925819614629174706175");
	reads_as("", "null");
	reads_as("# nothing\n", "null");
	reads_as("a: !!str 1\nb: !!int '2'\n", "{\"a\": \"1\", \"b\": 2}");
}

/* Counted, not expanded: this returns at once, or never. */
static void a_bomb_is_refused_by_counting(void **state)
{
	autostr struct str s = STR_INIT;
	autonode struct node *n = NULL;
	autoerr struct err e = ERR_INIT;

	(void)state;
	str_adds(&s, "a0: &a0 [x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 60; i++)
		str_addf(&s, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1, i - 1, i - 1);
	assert_int_equal(yaml_parse(&n, s.buf, s.len, "t.yaml", 0, &e), -1);
	assert_non_null(strstr(e.msg, "t.yaml:9:"));
	assert_non_null(strstr(e.msg, "aliases expand to more than"));
	str_setlen(&s, (size_t)(strstr(s.buf, "a5:") - s.buf));
	assert_int_equal(yaml_parse(&n, s.buf, s.len, "t.yaml", 0, &e), 0);
}

static void merges_and_aliases_expand(void **state)
{
	(void)state;
	reads_as("a: &a {x: 1, y: 2}\nb: {z: 3, <<: *a, x: 5}\n",
		 "{\"a\": {\"x\": 1, \"y\": 2}, \"b\": {\"x\": 5, \"y\": 2, \"z\": 3}}");
	reads_as("a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}\n",
		 "{\"a\": {\"x\": 1}, \"b\": {\"x\": 2, \"y\": 2}, \"c\": {\"x\": 1, \"y\": 2}}");
	refused("a: {<<: 1}\n", "t.yaml:1:");
	refused("a: *b\n", "t.yaml:1:4:");
}

static void bad_texts_name_line_and_column(void **state)
{
	char deep[1200];

	(void)state;
	refused("a: 1\nb: 2\na: 3\n", "t.yaml:3:1: not valid YAML: duplicate key \"a\"");
	refused("a:\n\t b: 1\n", "t.yaml:2:1:");
	refused("a: 1\t# x\n", "t.yaml:1:5:");
	refused("a: =\n", "t.yaml:1:4:");
	refused("a: [1\n", "t.yaml:2:1:");
	refused("---\na: 1\n---\nb: 1\n", "t.yaml:3:1:");
	refused("a: 2020-13-01\n", "t.yaml:1:4:");
	refused("a: !x 1\n", "t.yaml:1:4:");
	refused("a: b: c\n", "t.yaml:1:5:");
	refused("\xff\n", "t.yaml: ");
	memset(deep, '[', 500);
	memset(deep + 500, ']', 500);
	deep[1000] = '\0';
	refused(deep, "t.yaml:1:257:");
}

static void laughs_are_bounded(void **state)
{
	autostr struct str s = STR_INIT;

	(void)state;
	str_adds(&s, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 12; i++)
		str_addf(&s, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1,
			 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	refused(s.buf, "t.yaml:");
}

static void marks_are_kept(void **state)
{
	autonode struct node *n = must_read("a: 1\nb:\n  - x\n  - {y: 2}\n", 0);

	(void)state;
	assert_int_equal(node_get(n, "b")->v[1]->line, 4);
	assert_int_equal(node_get(n, "b")->v[1]->col, 5);
	assert_int_equal(node_get(node_get(n, "b")->v[1], "y")->col, 9);
}

static void fresh_documents_fold_and_quote(void **state)
{
	autonode struct node *n = NULL;
	autoerr struct err e = ERR_INIT;
	autostr struct str out = STR_INIT;
	static const char json[] = "{\"cmd\": \"aaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbb cccccccccccccccccccccccc "
		"dddddddd\", \"s\": [\"true\", \"1e5\", \"it's: x\", \"a\\nb\", \"\", null, \"a: b\"], \"e\": {}, \"l\": [], "
		"\"n\": [[1, [2]]], \"f\": [1e-05, 1e16, NaN, 1.0]}";

	(void)state;
	assert_int_equal(json_parse(&n, json, strlen(json), "j", &e), 0);
	yaml_dump(&out, n);
	assert_string_equal(out.buf,
		"cmd: aaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbb cccccccccccccccccccccccc \n  dddddddd\n"
		"s:\n- 'true'\n- '1e5'\n- \"it's: x\"\n- \"a\\nb\"\n- ''\n- \n- 'a: b'\ne: {}\nl: []\n"
		"n:\n- - 1\n  - - 2\nf:\n- 1e-05\n- 1e+16\n- .nan\n- 1.0\n");
}

static void a_fold_never_changes_the_value(void **state)
{
	autonode struct node *n = node_map(), *back = NULL;
	autoerr struct err e = ERR_INIT;
	autostr struct str out = STR_INIT;
	char text[200];

	(void)state;
	memset(text, 'o', 80);
	memcpy(text + 76, "  twelve", 9);
	node_set(n, "k", node_str(text));
	memset(text, 'k', 90);
	memcpy(text + 40, " ", 1);
	text[90] = '\0';
	node_set(n, text, node_int(1));
	yaml_dump(&out, n);
	assert_int_equal(yaml_parse(&back, out.buf, out.len, "b", 0, &e), 0);
	assert_true(node_equal(n, back));
}

static void round_trips_keep_comments_and_styles(void **state)
{
	(void)state;
	kept("# head\n\nouts:\n  - path: foo.txt   # the path\n    md5: abc\n\n  # second\n  - path: 'b'\nmeta: {a: 1, b: [x, y]} # m\n",
	     "# head\n\nouts:\n- path: foo.txt     # the path\n  md5: abc\n\n  # second\n- path: b\nmeta: {a: 1, b: [x, y]} # m\n");
	kept("a: 017\nb: 1_000\nc: 1.50\nd: 0x1F\ne: 1e05\n", "a: 017\nb: 1_000\nc: 1.50\nd: 0x1F\ne: 1e05\n");
	kept("a: &x\n  k: 1\nb: *x\nc:\n  <<: *x\n  l: 2\n", "a: &x\n  k: 1\nb: *x\nc:\n  <<: *x\n  l: 2\n");
	kept("a: |\n  one\n  two\nb: >-\n  folded\n  text\nc: 1\n", "a: |\n  one\n  two\nb: >-\n  folded\n  text\nc: 1\n");
}

static void apply_touches_only_what_differs(void **state)
{
	autonode struct node *dest = must_read("outs:\n- md5: old # keep\n  path: x\n# tail\ndesc: d\n", YAML_KEEP);
	autonode struct node *src = must_read("{outs: [{md5: new, path: x, hash: md5}], frozen: true}", 0);
	autostr struct str out = STR_INIT;

	(void)state;
	yaml_apply(dest, src);
	yaml_dump(&out, dest);
	assert_string_equal(out.buf, "outs:\n- md5: new # keep\n  path: x\n# tail\n  hash: md5\nfrozen: true\n");
	assert_true(node_equal(dest, src));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars_resolve_as_1_2_with_leftovers),
		cmocka_unit_test(merges_and_aliases_expand), cmocka_unit_test(a_bomb_is_refused_by_counting),
		cmocka_unit_test(bad_texts_name_line_and_column),
		cmocka_unit_test(laughs_are_bounded),
		cmocka_unit_test(marks_are_kept),
		cmocka_unit_test(fresh_documents_fold_and_quote),
		cmocka_unit_test(a_fold_never_changes_the_value),
		cmocka_unit_test(round_trips_keep_comments_and_styles),
		cmocka_unit_test(apply_touches_only_what_differs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "core/base/json.h"
#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void same(const char *text, const char *want, unsigned flags)
{
	autostr struct str out = STR_INIT;
	autonode struct node *n = NULL;
	autoerr struct err e = ERR_INIT;

	if (json_parse(&n, text, strlen(text), "t.json", &e))
		fail_msg("%s: %s", text, e.msg);
	json_dump(&out, n, flags);
	assert_string_equal(str_cstr(&out), want);
}

static void refused(const char *text)
{
	autonode struct node *n = NULL;
	autoerr struct err e = ERR_INIT;

	assert_int_equal(json_parse(&n, text, strlen(text), "t.json", &e), -1);
	assert_int_equal(e.code, ERR_PARSE);
	assert_true(str_starts(e.msg, "t.json:"));
	assert_null(n);
}

static void separators_and_order_are_pythons(void **state)
{
	(void)state;
	same("{\"b\":1,\"a\":[1,2,{}],\"c\":null,\"d\":[]}", "{\"b\": 1, \"a\": [1, 2, {}], \"c\": null, \"d\": []}", 0);
	same("{\"b\":1,\"a\":true}", "{\"a\": true, \"b\": 1}", JSON_SORT);
	same("{\"b\":1,\"a\":[true,false]}", "{\"b\":1,\"a\":[true,false]}", JSON_COMPACT);
	same("{\"b\":1,\"a\":[],\"c\":[1,2]}", "{\n  \"b\": 1,\n  \"a\": [],\n  \"c\": [\n    1,\n    2\n  ]\n}",
	     JSON_INDENT2);
	same("{\"a\":1,\"b\":2,\"a\":3}", "{\"a\": 3, \"b\": 2}", 0);
}

static void numbers_read_as_python_reads_them(void **state)
{
	(void)state;
	same("[NaN,Infinity,-Infinity]", "[NaN, Infinity, -Infinity]", 0);
	same("123456789012345678901234567890", "123456789012345678901234567890", 0);
	same("[-9223372036854775808,9223372036854775807,9223372036854775808]",
	     "[-9223372036854775808, 9223372036854775807, 9223372036854775808]", 0);
	same("[1e5,1.0,1E400,-0.0,-0,1e-7,1e16,0.1,123456789012345678.5]",
	     "[100000.0, 1.0, Infinity, -0.0, 0, 1e-07, 1e+16, 0.1, 1.2345678901234568e+17]", 0);
}

static void strings_escape_as_python_escapes_them(void **state)
{
	autostr struct str s = STR_INIT;

	(void)state;
	same("\"\\u00e9\\ud83d\\ude00\\\"\\\\\\/\\n\\t\\r\\b\\f\\u0001\x7f\"",
	     "\"\\u00e9\\ud83d\\ude00\\\"\\\\/\\n\\t\\r\\b\\f\\u0001\\u007f\"", 0);
	same("[\"\\u0000#1\", \"\\u0000\", NaN, \"a\\\"NaN\"]", "[\"\\u0000#1\", \"\\u0000\", NaN, \"a\\\"NaN\"]", 0);
	json_add_quoted(&s, "a\xff" "b", 3);
	assert_string_equal(s.buf, "\"a\\udcffb\"");
}

/* A file name that is no UTF-8, as Python's json writes and reads it. */
static void bytes_that_are_no_text_come_back(void **state)
{
	static const char text[] = "{\"a\\udcff\\udc80b\": [\"\\u0001\\udcfe\\u000101\", \"\\u0000\\u0001\", \"\\ud83d\\ude00\\\\udcff\"]}";
	autonode struct node *n = NULL;
	autoerr struct err e = ERR_INIT;

	(void)state;
	same(text, text, 0);
	assert_int_equal(json_parse(&n, text, sizeof(text) - 1, "x", &e), 0);
	assert_string_equal(n->k[0]->text, "a\xff\x80" "b");
	refused("\"\\ud800\"");
	refused("\"\\udc7f\"");
	refused("\"\\udcff\\\"");
	refused("\"\\ud800\\udcff\\udcff");
}

static void bad_texts_are_refused_with_their_place(void **state)
{
	autonode struct node *n = NULL;
	autoerr struct err e = ERR_INIT;
	char deep[2000];

	(void)state;
	refused("");
	refused("{");
	refused("[1,]");
	refused("{NaN: 1}");
	refused("{\"a\": 1} x");
	refused("[01]");
	refused("[1234567890123456789012345678901234567890.]");
	refused("\"\xff\"");
	refused("'a'");
	memset(deep, '[', 999);
	memset(deep + 999, ']', 999);
	deep[1998] = '\0';
	refused(deep);
	assert_int_equal(json_parse(&n, "{\n \"a\": x}", 10, "m.json", &e), -1);
	assert_true(str_starts(e.msg, "m.json:2:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(separators_and_order_are_pythons),
		cmocka_unit_test(numbers_read_as_python_reads_them),
		cmocka_unit_test(strings_escape_as_python_escapes_them),
		cmocka_unit_test(bytes_that_are_no_text_come_back),
		cmocka_unit_test(bad_texts_are_refused_with_their_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

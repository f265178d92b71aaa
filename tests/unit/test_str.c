/* str and strvec: growth, splitting, numbers, UTF-8, shell quoting. */
#include "core/base/own.h"
#include "core/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void grows_and_stays_terminated(void **state UNUSED)
{
	autostr struct str s = STR_INIT;

	assert_string_equal(str_cstr(&s), "");
	for (int i = 0; i < 1000; i++)
		str_addf(&s, "%d,", i);
	assert_int_equal(s.len, 3890);
	assert_int_equal(s.buf[s.len], 0);
	str_setlen(&s, 2);
	assert_string_equal(s.buf, "0,");
}

static void numbers_are_whole_strings_in_range(void **state UNUSED)
{
	uint64_t u;
	int64_t i;

	assert_true(str_to_u64("18446744073709551615", &u));
	assert_true(u == UINT64_MAX);
	assert_false(str_to_u64("18446744073709551616", &u));
	assert_false(str_to_u64("", &u));
	assert_false(str_to_u64("1x", &u));
	assert_false(str_to_u64("-1", &u));
	assert_true(str_to_i64("-9223372036854775808", &i));
	assert_true(i == INT64_MIN);
	assert_false(str_to_i64("9223372036854775808", &i));
}

static void utf8_refuses_what_is_not(void **state UNUSED)
{
	assert_true(str_is_utf8("h\xc3\xa9\xf0\x9f\x98\x80", 7));
	assert_false(str_is_utf8("\xc0\x80", 2));               /* overlong */
	assert_false(str_is_utf8("\xed\xa0\x80", 3));           /* surrogate */
	assert_false(str_is_utf8("\xf4\x90\x80\x80", 4));       /* above U+10FFFF */
	assert_false(str_is_utf8("\xe2\x82", 2));               /* cut short */
	assert_false(str_is_utf8("\xff", 1));
}

static void shell_quoting_is_shlex(void **state UNUSED)
{
	static const struct { const char *in, *out; } t[] = {
		{ "a.dvc", "a.dvc" }, { "", "''" }, { "a b", "'a b'" }, { "it's", "'it'\"'\"'s'" }, { "$x", "'$x'" },
		{ "a@b%c+d=e:f,g./h-i_j", "a@b%c+d=e:f,g./h-i_j" },
	};

	for (size_t k = 0; k < ARRAY_LEN(t); k++) {
		autostr struct str s = STR_INIT;

		str_add_shell(&s, t[k].in);
		assert_string_equal(s.buf, t[k].out);
	}
}

static void lists_sort_and_lose_doubles(void **state UNUSED)
{
	autostrvec struct strvec v = STRVEC_INIT;
	autofree char *joined = NULL;

	strvec_split(&v, "b,a,c,a,", ',');
	assert_int_equal(v.n, 5);
	strvec_sort(&v);
	strvec_uniq(&v);
	joined = strvec_join(&v, "|");
	assert_string_equal(joined, "|a|b|c");
	assert_null(v.v[v.n]);
	strvec_remove(&v, 0);
	assert_true(strvec_has(&v, "a"));
	assert_int_equal(v.n, 3);
}

static void terminal_text_has_no_control_bytes(void **state UNUSED)
{
	autostr struct str s = STR_INIT;

	str_add_safe(&s, "a\033[31mb\x7f\n\xc2\x9b" "1m\xc2\xa0\xc2");
	assert_string_equal(s.buf, "a\\x1b[31mb\\x7f\n\\x9b1m\xc2\xa0\xc2");
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(grows_and_stays_terminated),
		cmocka_unit_test(numbers_are_whole_strings_in_range),
		cmocka_unit_test(utf8_refuses_what_is_not),
		cmocka_unit_test(shell_quoting_is_shlex),
		cmocka_unit_test(lists_sort_and_lose_doubles),
		cmocka_unit_test(terminal_text_has_no_control_bytes),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}

/* str and strvec: growth, splitting, numbers, UTF-8, shell quoting; unicode: classes of code points. */
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/unicode.h"

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

static void words_are_split_as_shlex_does(void **state UNUSED)
{
	static const struct { const char *in, *out; } t[] = {
		{ "a  b\tc\n", "a|b|c" }, { "", "" }, { "'' \"\"", "|" }, { "'a b'c\" d\"", "a bc d" }, { "a\\ b\\'", "a b'" },
		{ "\"\\a\\\\\\\"\"", "\\a\\\"" }, { "'\\'", "\\" },
	};
	autostrvec struct strvec bad = STRVEC_INIT;

	for (size_t k = 0; k < ARRAY_LEN(t); k++) {
		autostrvec struct strvec v = STRVEC_INIT;
		autofree char *joined = NULL;

		assert_int_equal(strvec_add_words(&v, t[k].in), 0);
		joined = strvec_join(&v, "|");
		assert_string_equal(joined, t[k].out);
	}
	assert_int_equal(strvec_add_words(&bad, "a 'b"), -1);
	assert_int_equal(strvec_add_words(&bad, "\\"), -1);
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
	assert_true(strvec_has_sorted(&v, "") && strvec_has_sorted(&v, "c") && !strvec_has_sorted(&v, "bb"));
	assert_int_equal(sorted_from(v.v, 0, v.n, sizeof(*v.v), 0, "bb"), 3);
	assert_int_equal(sorted_from(v.v, 2, v.n, sizeof(*v.v), 0, "d"), 4);
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

/* Sums over all code points of a class: Python 3.11 gives the same, by str.isprintable() and str.isidentifier(). */
static uint32_t class_sum(bool (*in)(uint32_t))
{
	uint32_t sum = 0;

	for (uint32_t c = 0; c < 0x110000; c++)
		if (in(c))
			sum = sum * 31 + c;
	return sum;
}

static void code_points_are_in_pythons_classes(void **state UNUSED)
{
	assert_int_equal(class_sum(uc_printable), 0x1b58ac64);
	assert_int_equal(class_sum(uc_id_start), 0xfd82e99d);
	assert_int_equal(class_sum(uc_id_more), 0x309ac409);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(grows_and_stays_terminated),
		cmocka_unit_test(numbers_are_whole_strings_in_range),
		cmocka_unit_test(utf8_refuses_what_is_not),
		cmocka_unit_test(shell_quoting_is_shlex),
		cmocka_unit_test(words_are_split_as_shlex_does),
		cmocka_unit_test(lists_sort_and_lose_doubles),
		cmocka_unit_test(terminal_text_has_no_control_bytes),
		cmocka_unit_test(code_points_are_in_pythons_classes),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}

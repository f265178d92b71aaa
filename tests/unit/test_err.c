/* err: context goes in front, the code survives, one table of statuses. */
#include "core/base/err.h"
#include "core/base/own.h"
#include "core/base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void context_goes_in_front_and_code_survives(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;

	errno = ENOENT;
	assert_int_equal(err_sys(&e, "cannot open '%s'", "a.bin"), -1);
	assert_int_equal(err_in(&e, "cannot add '%s'", "data"), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);
	assert_string_equal(e.msg, "cannot add 'data': cannot open 'a.bin': No such file or directory");
}

static void status_comes_from_the_table_unless_set(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;

	err_set(&e, ERR_CONFIG, "x");
	assert_int_equal(err_exit_status(&e), 251);
	e.exit_status = 7;
	assert_int_equal(err_exit_status(&e), 7);
	err_set(&e, ERR_NOREPO, "y");
	assert_int_equal(err_exit_status(&e), 253);
}

static void move_empties_the_source(void **state UNUSED)
{
	autoerr struct err a = ERR_INIT, b = ERR_INIT;

	err_set(&a, ERR_AUTH, "no");
	err_hint(&a, "type this");
	err_move(&b, &a);
	assert_null(a.msg);
	assert_int_equal(a.code, ERR_NONE);
	assert_string_equal(b.hint, "type this");
	err_copy(&a, &b);
	assert_string_equal(a.msg, "no");
	assert_ptr_not_equal(a.msg, b.msg);
}

static void disk_full_has_a_code_of_its_own(void **state UNUSED)
{
	assert_int_equal(err_code_of_errno(ENOSPC), ERR_NOSPACE);
	assert_int_equal(err_code_of_errno(EDQUOT), ERR_NOSPACE);
	assert_int_equal(err_code_of_errno(ELOOP), ERR_UNSAFE);
}

static void a_long_line_loses_its_middle(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autofree char *big = xmalloc(1 << 20);

	memset(big, 'x', (1 << 20) - 1);
	big[(1 << 20) - 1] = '\0';
	memcpy(big + (1 << 20) - 5, "\xc3\xa4""de", 4);
	err_set(&e, ERR_FAIL, "short\nbad '%s'\nend", big);
	assert_true(strlen(e.msg) < 9000);
	assert_true(str_starts(e.msg, "short\nbad 'xxx"));
	assert_true(str_ends(e.msg, "x\xc3\xa4""de'\nend"));
	assert_non_null(strstr(e.msg, "x...x"));
	err_in(&e, "cannot read");
	assert_true(str_starts(e.msg, "cannot read: short\n"));
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(context_goes_in_front_and_code_survives),
		cmocka_unit_test(status_comes_from_the_table_unless_set),
		cmocka_unit_test(move_empties_the_source),
		cmocka_unit_test(disk_full_has_a_code_of_its_own),
		cmocka_unit_test(a_long_line_loses_its_middle),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}

/* dirmark: texts on directories, which no listing shows. */
#include "core/base/dirmark.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/scratch.h"

#include <errno.h>

#define NAME "user.git-data.test"

static int open_scratch(void)
{
	int fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void holds(int fd, const char *want)
{
	autostr struct str s = STR_INIT;

	assert_int_equal(dirmark_read(fd, NAME, &s), 0);
	assert_string_equal(str_cstr(&s), want);
}

static void a_text_is_kept_replaced_and_removed(void **state UNUSED)
{
	autoclose int fd = open_scratch(), again = open_scratch();
	autostr struct str s = STR_INIT;

	assert_int_equal(dirmark_read(fd, NAME, &s), 1);
	if (dirmark_write(fd, NAME, "one\n", 4, true)) {        /* K3: here is no such thing, and it says so */
		assert_int_equal(errno, ENOTSUP);
		return;
	}
	holds(again, "one\n");
	assert_int_equal(dirmark_write(again, NAME, "a longer one\n", 13, false), 0);
	holds(fd, "a longer one\n");
	assert_int_equal(dirmark_remove(fd, NAME), 0);
	assert_int_equal(dirmark_remove(fd, NAME), 0);
	assert_int_equal(dirmark_read(again, NAME, &s), 1);
	assert_int_equal(s.len, 0);
}

static void a_text_too_long_changes_nothing(void **state UNUSED)
{
	autoclose int fd = open_scratch();
	char text[DIRMARK_MOST + 1];

	memset(text, 'x', sizeof(text));
	if (dirmark_write(fd, NAME, "short", 5, false))
		return;
	assert_int_equal(dirmark_write(fd, NAME, text, sizeof(text), false), -1);
	assert_int_equal(errno, ENOSPC);
	holds(fd, "short");
	assert_int_equal(dirmark_write(fd, NAME, text, DIRMARK_MOST, true), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_text_is_kept_replaced_and_removed, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(a_text_too_long_changes_nothing, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* bunch: digests that waited for others are those of their bytes; nobody waits for whom does not come; leaving. */
#include "core/base/bunch.h"
#include "core/base/own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ITEMS 37        /* more than there are lanes, twice */
#define LONGEST 300

static unsigned char bytes[ITEMS][LONGEST];
static struct bunched item[ITEMS];

static void make_items(void)
{
	unsigned seed = 7;

	memset(item, 0, sizeof(item));
	for (unsigned i = 0; i < ITEMS; i++) {
		for (unsigned k = 0; k < LONGEST; k++)
			bytes[i][k] = (unsigned char)((seed = seed * 1103515245u + 12345u) >> 16);
		item[i].sum.p = bytes[i];
		item[i].sum.len = i * 83 % LONGEST;
	}
}

static void assert_digest_is_right(unsigned i, const unsigned char got[16])
{
	unsigned char want[16];

	md5_once(bytes[i], item[i].sum.len, want);
	assert_memory_equal(got, want, 16);
}

static void every_digest_is_that_of_its_bytes(void **state UNUSED)
{
	struct bunch b = { .n = 0 };
	unsigned char got[16];
	unsigned waited = 0;

	make_items();
	for (unsigned i = 0; i < ITEMS; i++) {
		if (bunch_digest(&b, &item[i], got))
			waited++;
		else
			assert_digest_is_right(i, got);
	}
	assert_int_equal(waited, ITEMS - ITEMS / md5_lanes());
	for (unsigned i = 0; i < ITEMS; i++) {
		assert_int_equal(bunch_digest(&b, &item[i], got), 0);
		assert_digest_is_right(i, got);
	}
	assert_int_equal(b.n, 0);
}

static void the_second_question_is_answered_without_others(void **state UNUSED)
{
	struct bunch b = { .n = 0 };
	unsigned char got[16];

	make_items();
	assert_int_equal(bunch_digest(&b, &item[5], got), 1);
	assert_int_equal(bunch_digest(&b, &item[5], got), 0);
	assert_digest_is_right(5, got);
}

static void who_leaves_is_not_looked_at_again(void **state UNUSED)
{
	struct bunch b = { .n = 0 };
	unsigned char got[16];

	make_items();
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(bunch_digest(&b, &item[i], got), 1);
	bunch_leave(&b, &item[0]);
	bunch_leave(&b, &item[9]);
	item[0].sum.p = NULL;
	for (unsigned i = 1; i < 3; i++) {
		assert_int_equal(bunch_digest(&b, &item[i], got), 0);
		assert_digest_is_right(i, got);
	}
	/* Other bytes than before: the digest is computed anew. */
	bunch_leave(&b, &item[1]);
	bytes[1][0] ^= 1;
	assert_int_equal(bunch_digest(&b, &item[1], got), 1);
	assert_int_equal(bunch_digest(&b, &item[1], got), 0);
	assert_digest_is_right(1, got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_digest_is_that_of_its_bytes),
		cmocka_unit_test(the_second_question_is_answered_without_others),
		cmocka_unit_test(who_leaves_is_not_looked_at_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

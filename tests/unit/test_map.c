/* map keeps order through growth and removal; binset holds what was put in and nothing else. */
#include "core/base/map.h"
#include "core/base/own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void order_survives_growth_and_removal(void **state UNUSED)
{
	struct map m = MAP_INIT;
	struct map_entry *it;
	char key[32];
	long want = 1;

	for (long i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "k%ld", i);
		assert_null(map_put(&m, key, (void *)(i + 1)));
	}
	for (long i = 0; i < 5000; i += 2) {
		snprintf(key, sizeof(key), "k%ld", i);
		assert_ptr_equal(map_del(&m, key), (void *)(i + 1));
	}
	assert_int_equal(m.n, 2500);
	assert_null(map_get(&m, "k0"));
	assert_ptr_equal(map_get(&m, "k4999"), (void *)5000);
	for (size_t i = 0; (it = map_next(&m, &i)); want += 2)
		assert_int_equal((long)it->value, want + 1);
	assert_int_equal(want, 5001);
	map_release(&m, NULL);
}

static void many_rounds_of_put_and_del_stay_small(void **state UNUSED)
{
	struct map m = MAP_INIT;

	for (int i = 0; i < 100000; i++) {
		map_put(&m, "x", &m);
		map_del(&m, "x");
	}
	assert_int_equal(m.n, 0);
	assert_true(m.cap <= 16);
	map_release(&m, NULL);
}

static void put_replaces_and_tells(void **state UNUSED)
{
	struct map m = MAP_INIT;
	int a, b;

	map_put(&m, "x", &a);
	assert_ptr_equal(map_put(&m, "x", &b), &a);
	assert_int_equal(m.n, 1);
	assert_ptr_equal(map_get(&m, "x"), &b);
	map_release(&m, NULL);
}

static void binset_holds_what_was_put_in(void **state UNUSED)
{
	struct binset s = BINSET_INIT(17);
	unsigned char k[17] = { 0 };
	size_t seen = 0;

	for (unsigned i = 0; i < 20000; i++) {
		memcpy(k, &i, sizeof(i));
		assert_true(binset_add(&s, k));
		assert_false(binset_add(&s, k));
	}
	for (unsigned i = 0; i < 40000; i++) {
		memcpy(k, &i, sizeof(i));
		assert_int_equal(binset_has(&s, k), i < 20000);
	}
	for (size_t i = 0; binset_next(&s, &i); )
		seen++;
	assert_int_equal(seen, 20000);
	binset_release(&s);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(order_survives_growth_and_removal),
		cmocka_unit_test(many_rounds_of_put_and_del_stay_small),
		cmocka_unit_test(put_replaces_and_tells),
		cmocka_unit_test(binset_holds_what_was_put_in),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}

/* pool: every job runs once, the first error wins (W3), loops may be nested (W5), idle pools cost nothing. */
#include "core/base/pool.h"

#include "core/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdatomic.h>

static int count(void *job, unsigned worker UNUSED, struct err *e UNUSED)
{
	atomic_fetch_add((atomic_int *)job, 1);
	return 0;
}

static int fail_at_ten(void *job, unsigned worker UNUSED, struct err *e)
{
	if (atomic_fetch_add((atomic_int *)job, 1) == 10)
		return err_set(e, ERR_CORRUPT, "the tenth");
	return 0;
}

static void every_job_runs_once(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct pool *p = pool_new(4);
	atomic_int n = 0;

	for (int round = 1; round <= 3; round++) {
		for (int i = 0; i < 5000; i++)
			pool_submit(p, count, &n);
		assert_int_equal(pool_wait(p, &e), 0);
		assert_int_equal(n, 5000 * round);
	}
	pool_free(p);
}

static void first_error_wins_and_the_pool_lives_on(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct pool *p = pool_new(2);
	atomic_int n = 0;

	for (int i = 0; i < 3000; i++)
		pool_submit(p, fail_at_ten, &n);
	assert_int_equal(pool_wait(p, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_string_equal(e.msg, "the tenth");
	assert_true(n < 3000);          /* the rest was dropped */
	n = 0;
	err_release(&e);
	pool_submit(p, count, &n);
	assert_int_equal(pool_wait(p, &e), 0);
	assert_int_equal(n, 1);
	pool_free(p);
}

struct sum { atomic_size_t total; struct pool *p; unsigned most; };

static int add_range(void *data, size_t from, size_t to, unsigned worker, struct err *e UNUSED)
{
	struct sum *s = data;

	assert_true(worker < s->most);
	for (size_t i = from; i < to; i++)
		atomic_fetch_add(&s->total, i);
	return 0;
}

static void loop_covers_the_range(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct pool *p = pool_new(3);
	static const size_t sizes[] = { 0, 1, 2, 7, 64, 1000, 12345 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (size_t batch = 1; batch < 100; batch += 33) {
			struct sum s = { 0, p, pool_size(p) };
			size_t n = sizes[i];

			assert_int_equal(pool_for(p, n, batch, add_range, &s, &e), 0);
			assert_int_equal(s.total, n ? n * (n - 1) / 2 : 0);
		}
	}
	pool_free(p);
}

static int nested(void *data, size_t from, size_t to, unsigned worker UNUSED, struct err *e)
{
	struct sum *s = data;

	for (size_t i = from; i < to; i++)
		if (pool_for(s->p, 50, 1, add_range, s, e))
			return -1;
	return 0;
}

static int nested_job(void *job, unsigned worker UNUSED, struct err *e)
{
	struct sum *s = job;

	return pool_for(s->p, 50, 1, add_range, s, e);
}

static void loops_may_be_nested(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct pool *p = pool_new(2);
	struct sum s = { 0, p, pool_size(p) };

	assert_int_equal(pool_for(p, 100, 1, nested, &s, &e), 0);
	assert_int_equal(s.total, 100 * 1225);
	for (int i = 0; i < 500; i++)
		pool_submit(p, nested_job, &s);
	assert_int_equal(pool_wait(p, &e), 0);
	assert_int_equal(s.total, 600 * 1225);
	pool_free(p);
}

static int fail_in_range(void *data UNUSED, size_t from, size_t to UNUSED, unsigned worker UNUSED, struct err *e)
{
	return from >= 40 ? err_set(e, ERR_TEMP, "here") : 0;
}

static void loop_reports_its_error_alone(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct pool *p = pool_new(2);

	assert_int_equal(pool_for(p, 1000, 1, fail_in_range, NULL, &e), -1);
	assert_string_equal(e.msg, "here");
	err_release(&e);
	assert_int_equal(pool_wait(p, &e), 0);
	pool_free(p);
}

static void unused_pools_are_free(void **state UNUSED)
{
	for (int i = 0; i < 10000; i++)
		pool_free(pool_new(64));
	pool_free(NULL);
	assert_true(pool_cores() >= 1);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(every_job_runs_once),
		cmocka_unit_test(first_error_wins_and_the_pool_lives_on),
		cmocka_unit_test(loop_covers_the_range),
		cmocka_unit_test(loops_may_be_nested),
		cmocka_unit_test(loop_reports_its_error_alone),
		cmocka_unit_test(unused_pools_are_free),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}

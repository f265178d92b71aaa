/* core/pipeline/plan.h: the arithmetic of plans, P1 P2; core/pipeline/dagascii.h B1 on the example of its source. */
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/pipeline/dagascii.h"
#include "core/pipeline/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* 0 <- 1 <- 3, 0 <- 2 <- 3, 4 alone */
static const size_t from[] = { 0, 0, 1, 2, 4, 4 };
static const size_t to[] = { 0, 0, 1, 2 };
static const struct plan_graph g = { 5, from, to, NULL };

static void dependencies_come_first_in_written_order(void **state)
{
	size_t order[5];

	(void)state;
	assert_int_equal(plan_postorder(&g, NULL, order), 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(order[i], i);
}

static void reach_goes_along_or_against_the_edges(void **state)
{
	bool up[5] = { false, true, false, false, false }, down[5] = { false, true, false, false, false };
	bool all[5] = { true, false, false, false, false };

	(void)state;
	plan_reach(&g, up, false);
	assert_true(up[0] && up[1] && !up[2] && !up[3] && !up[4]);
	plan_reach(&g, down, true);
	assert_true(!down[0] && down[1] && !down[2] && down[3] && !down[4]);
	plan_connect(&g, all);
	assert_true(all[0] && all[1] && all[2] && all[3] && !all[4]);
}

static void a_frozen_stage_depends_on_nothing(void **state)
{
	const bool cut[5] = { false, false, false, true, false };
	const struct plan_graph frozen = { 5, from, to, cut };
	bool marked[5] = { false, false, false, true, false };

	(void)state;
	plan_reach(&frozen, marked, false);
	assert_true(!marked[0] && !marked[1] && !marked[2] && marked[3]);
}

static void a_long_chain_needs_no_deep_stack(void **state)
{
	enum { N = 200000 };
	size_t *f = test_malloc((N + 1) * sizeof(*f)), *t = test_malloc(N * sizeof(*t)), *order = test_malloc(N * sizeof(*order));
	struct plan_graph chain = { N, f, t, NULL };

	(void)state;
	for (size_t i = 0; i < N; i++) {
		f[i] = i;
		t[i] = i + 1 < N ? i + 1 : i;
	}
	f[N - 1] = f[N] = N - 1;
	assert_int_equal(plan_postorder(&chain, NULL, order), N);
	assert_int_equal(order[0], N - 1);
	test_free(f);
	test_free(t);
	test_free(order);
}

static void a_chain_is_drawn_as_dvc_draws_it(void **state)
{
	static const char *const names[] = { "prep", "train" };
	static const struct dag_edge edges[] = { { 0, 1 } };
	struct str out = STR_INIT;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(dag_draw(&out, names, 2, edges, 1, &e), 0);
	assert_string_equal(str_cstr(&out), "+------+   \n| prep |   \n+------+   \n    *      \n    *      \n    *      \n"
			    "+-------+  \n| train |  \n+-------+  ");
	str_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dependencies_come_first_in_written_order),
		cmocka_unit_test(reach_goes_along_or_against_the_edges),
		cmocka_unit_test(a_frozen_stage_depends_on_nothing),
		cmocka_unit_test(a_long_chain_needs_no_deep_stack),
		cmocka_unit_test(a_chain_is_drawn_as_dvc_draws_it),
	};

	return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}

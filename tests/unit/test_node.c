#include "core/base/node.h"
#include "core/base/str.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void floats_are_shortest(void **state)
{
	static const struct { double f; const char *want; } t[] = {
		{ 0.1, "0.1" }, { 1, "1.0" }, { -0.0, "-0.0" }, { 1e-5, "1e-05" }, { 0.0001, "0.0001" },
		{ 1e16, "1e+16" }, { 1e15, "1000000000000000.0" }, { 123456789012345680.0, "1.2345678901234568e+17" },
		{ 5e-324, "5e-324" }, { 1.7976931348623157e308, "1.7976931348623157e+308" }, { 1.5e300, "1.5e+300" },
		{ 2.2250738585072014e-308, "2.2250738585072014e-308" }, { 5.684341886080802e-14, "5.684341886080802e-14" },
		{ 9007199254740993.0, "9007199254740992.0" }, { 3.14, "3.14" }, { 1234.5678, "1234.5678" },
		{ 9.5367431640625e-07, "9.5367431640625e-07" }, { 0x1p-44, "5.684341886080802e-14" },
		{ 9.5e-5, "9.5e-05" }, { 100, "100.0" }, { INFINITY, "inf" }, { -INFINITY, "-inf" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		autostr struct str s = STR_INIT;

		node_add_float(&s, t[i].f);
		assert_string_equal(s.buf, t[i].want);
	}
	for (int x = -1074; x < 1024; x++) {
		autostr struct str s = STR_INIT;

		node_add_float(&s, ldexp(1, x));
		assert_true(strtod(s.buf, NULL) == ldexp(1, x));
	}
}

static void equality_is_pythons(void **state)
{
	autonode struct node *one = node_int(1), *onef = node_float(1), *yes = node_bool(true), *nan = node_float(NAN);
	autonode struct node *big = node_int_text("1000000000000000000000"), *bigf = node_float(1e21);
	autonode struct node *near = node_int_text("9007199254740993"), *nearf = node_float(9007199254740992.0);
	autonode struct node *a = node_map(), *b = node_map(), *text = node_str("1");

	(void)state;
	assert_true(node_equal(one, onef));
	assert_true(node_equal(yes, onef));
	assert_true(node_equal(one, yes));
	assert_false(node_equal(nan, nan));
	assert_true(node_equal(big, bigf));
	assert_false(node_equal(near, nearf));
	assert_false(node_equal(one, text));
	node_set(a, "x", node_int(1));
	node_set(a, "y", node_null());
	node_set(b, "y", node_null());
	node_set(b, "x", node_float(1.0));
	assert_true(node_equal(a, b));
	node_set_node(a, node_int(1), node_str("int"));
	node_set_node(a, node_float(1.0), node_str("float"));
	assert_int_equal(a->n, 3);
	assert_string_equal(node_get_node(a, yes)->text, "float");
}

static void large_maps_keep_order_and_find(void **state)
{
	autonode struct node *m = node_map();

	(void)state;
	for (int i = 0; i < 5000; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%d", i);
		node_set(m, key, node_int(i));
	}
	node_set(m, "k77", node_int(-1));
	assert_true(node_del(m, "k3"));
	assert_false(node_del(m, "k3"));
	assert_int_equal(m->n, 4999);
	assert_int_equal(node_get(m, "k77")->i, -1);
	assert_int_equal(node_get(m, "k4999")->i, 4999);
	assert_string_equal(m->k[3]->text, "k4");
	assert_null(node_get(m, "k3"));
}

static struct node *pair(int64_t a, struct node *b)
{
	struct node *n = node_seq();

	n->is_tuple = true;
	node_push(n, node_int(a));
	node_push(n, b);
	return n;
}

static void large_maps_find_tuples(void **state)
{
	struct node *m = node_map();

	(void)state;
	for (int64_t i = 0; i < 200; i++)
		node_set_node(m, pair(i, node_int(i % 3)), node_int(i));
	assert_int_equal(m->n, 200);
	for (int64_t i = 0; i < 200; i++) {
		autonode struct node *same = pair(i, node_float((double)(i % 3))), *other = pair(i, node_int(7));

		assert_int_equal(node_get_node(m, same)->i, i);
		assert_null(node_get_node(m, other));
	}
	node_free(m);
}

static void texts_are_pythons(void **state)
{
	autonode struct node *m = node_map(), *l = node_seq(), *t = node_seq();
	autostr struct str s = STR_INIT;

	(void)state;
	t->is_tuple = true;
	node_push(t, node_str("it's"));
	node_push(l, node_int(1));
	node_push(l, node_str("a\n\"'\xc2\xa0\xc3\xa9"));
	node_push(l, node_null());
	node_push(l, node_date("2020-01-02"));
	node_push(l, node_date("2020-01-02 03:04:05.500000+02:00"));
	node_set(m, "k", l);
	l = NULL;
	node_set(m, "t", t);
	t = NULL;
	node_set_node(m, node_bool(true), node_float(1e-5));
	node_py_str(&s, m);
	assert_string_equal(s.buf, "{'k': [1, 'a\\n\"\\'\\xa0\xc3\xa9', None, datetime.date(2020, 1, 2), "
		"datetime.datetime(2020, 1, 2, 3, 4, 5, 500000, tzinfo=datetime.timezone("
		"datetime.timedelta(seconds=7200)))], 't': (\"it's\",), True: 1e-05}");
}

static void ints_have_no_bound(void **state)
{
	autonode struct node *a = node_int_text("-00000"), *b = node_int_text("+0012"),
		*c = node_int_text("-9223372036854775809"), *d = node_int_text("-9223372036854775808");

	(void)state;
	assert_string_equal(a->text, "0");
	assert_true(b->fits && b->i == 12);
	assert_string_equal(b->text, "12");
	assert_false(c->fits);
	assert_true(d->fits && d->i == INT64_MIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(floats_are_shortest),
		cmocka_unit_test(equality_is_pythons),
		cmocka_unit_test(large_maps_keep_order_and_find),
		cmocka_unit_test(large_maps_find_tuples),
		cmocka_unit_test(texts_are_pythons),
		cmocka_unit_test(ints_have_no_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

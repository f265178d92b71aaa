/* oid: names in and out; what is no name is refused. */
#include "core/cache/oid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void text_and_back(void **state UNUSED)
{
	static const char *const v[] = { "d41d8cd98f00b204e9800998ecf8427e", "d751713988987e9331980363e24189ce.dir" };
	char hex[OID_HEX_MAX], key[OID_KEY_MAX];
	struct oid id;

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		assert_true(oid_parse(&id, v[i]));
		assert_int_equal(id.is_dir, i);
		oid_hex(hex, &id);
		assert_string_equal(hex, v[i]);
	}
	oid_key(key, &id, false);
	assert_string_equal(key, "files/md5/d7/51713988987e9331980363e24189ce.dir");
	oid_key(key, &id, true);
	assert_string_equal(key, "d7/51713988987e9331980363e24189ce.dir");
	assert_true(oid_from_key(&id, "d7", "51713988987e9331980363e24189ce.dir"));
	assert_int_equal(id.is_dir, 1);
}

static void what_is_no_name(void **state UNUSED)
{
	static const char *const bad[] = {
		"", "d4", "D41D8CD98F00B204E9800998ECF8427E", "d41d8cd98f00b204e9800998ecf8427",
		"d41d8cd98f00b204e9800998ecf8427e.", "d41d8cd98f00b204e9800998ecf8427e.dirx",
		"d41d8cd98f00b204e9800998ecf8427g", "d41d8cd98f00b204e9800998ecf8427e.unpacked",
		"../../../../../../../etc/passwd0",
	};
	struct oid id;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(oid_parse(&id, bad[i]));
	assert_false(oid_from_key(&id, "d", "41d8cd98f00b204e9800998ecf8427e"));
	assert_false(oid_from_key(&id, "d4", ".0123456789012345678901.tmp"));
	assert_false(oid_from_key(&id, "d4", "1d8cd98f00b204e9800998ecf8427e.unpacked"));
}

static void order_puts_files_before_their_manifest(void **state UNUSED)
{
	struct oid a, b;

	oid_parse(&a, "d41d8cd98f00b204e9800998ecf8427e");
	oid_parse(&b, "d41d8cd98f00b204e9800998ecf8427e.dir");
	assert_true(oid_cmp(&a, &b) < 0);
	assert_int_equal(oid_cmp(&a, &a), 0);
	assert_false(oid_eq(&a, &b));
	assert_int_equal(sizeof(struct oid), 17);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(text_and_back),
		cmocka_unit_test(what_is_no_name),
		cmocka_unit_test(order_puts_files_before_their_manifest),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}

/* sigv4: botocore's signatures, the cache of the day's key, the order of queries. */
#include "core/base/err.h"
#include "remotes/sigv4.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "sigv4_vectors.h"

static void sign(const struct vector *v, struct sigv4_key *key, struct str *out)
{
	autoerr struct err e = ERR_INIT;
	struct sigv4 s = { .access_key = v->access, .secret_key = v->secret, .region = v->region, .service = v->service,
			   .now = v->when, .method = v->method, .path = v->path, .query = v->query,
			   .payload_hash = v->payload };

	for (size_t i = 0; i < v->nh; i++)
		sigv4_add(&s, v->h[i].name, v->h[i].value);
	assert_int_equal(sigv4_sign(&s, key, out, &e), 0);
}

static void signatures_equal_botocores(void **state UNUSED)
{
	assert_true(ARRAY_LEN(vectors) >= 50);
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		autostr struct str got = STR_INIT;

		sign(&vectors[i], NULL, &got);
		assert_string_equal(str_cstr(&got), vectors[i].expect);
	}
}

static void a_kept_key_serves_its_own_scope_only(void **state UNUSED)
{
	struct sigv4_key key = { .set = false };

	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		autostr struct str once = STR_INIT, twice = STR_INIT;

		sign(&vectors[i], &key, &once);
		sign(&vectors[i], &key, &twice);
		assert_string_equal(str_cstr(&once), vectors[i].expect);
		assert_string_equal(str_cstr(&twice), vectors[i].expect);
	}
}

static void queries_are_sorted_by_name_then_value(void **state UNUSED)
{
	struct sigv4_query q = { STRVEC_INIT };
	char *text;

	sigv4_query_add(&q, "prefix", "a/b c");
	sigv4_query_add(&q, "list-type", "2");
	sigv4_query_add(&q, "a-b", "2");
	sigv4_query_add(&q, "a", "1");
	sigv4_query_add(&q, "uploads", NULL);
	text = sigv4_query_take(&q);
	assert_string_equal(text, "a=1&a-b=2&list-type=2&prefix=a%2Fb%20c&uploads=");
	free(text);
	text = sigv4_query_take(&q);
	assert_string_equal(text, "");
	free(text);
}

static void dates_are_utc(void **state UNUSED)
{
	char out[17];

	sigv4_date(1369353600, out);
	assert_string_equal(out, "20130524T000000Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signatures_equal_botocores), cmocka_unit_test(a_kept_key_serves_its_own_scope_only),
		cmocka_unit_test(queries_are_sorted_by_name_then_value), cmocka_unit_test(dates_are_utc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

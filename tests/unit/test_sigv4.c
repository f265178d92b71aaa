/* sigv4: botocore's signatures, the cache of the day's key, the order of queries. */
#include "core/base/err.h"
#include "core/base/own.h"
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

static void a_header_may_be_given_as_its_line(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		const struct vector *v = &vectors[i];
		autostr struct str got = STR_INIT;
		autoerr struct err e = ERR_INIT;
		char *line[ARRAY_LEN(v->h)];
		struct sigv4 s = { .access_key = v->access, .secret_key = v->secret, .region = v->region, .service = v->service,
				   .now = v->when, .method = v->method, .path = v->path, .query = v->query,
				   .payload_hash = v->payload };

		for (size_t k = 0; k < v->nh; k++) {
			line[k] = xasprintf("%s: %s", v->h[k].name, v->h[k].value);
			sigv4_add_line(&s, line[k]);
		}
		assert_int_equal(sigv4_sign(&s, NULL, &got, &e), 0);
		assert_string_equal(str_cstr(&got), v->expect);
		for (size_t k = 0; k < v->nh; k++)
			free(line[k]);
	}
}

/* The next day, and other keys of the same scope. */
static void a_key_too_long_to_be_kept_signs_all_the_same(void **state UNUSED)
{
	struct sigv4_key key = { .set = false };
	struct vector v = vectors[0];
	char secret[300];

	for (unsigned i = 0; i < 3; i++) {
		autostr struct str kept = STR_INIT, fresh = STR_INIT;

		memset(secret, 'a' + (int)i, sizeof(secret) - 1);
		secret[i == 1 ? 20 : sizeof(secret) - 1] = 0;
		v.secret = secret;
		sign(&v, &key, &kept);
		sign(&v, NULL, &fresh);
		assert_string_equal(str_cstr(&kept), str_cstr(&fresh));
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
	sigv4_date(951782399, out);
	assert_string_equal(out, "20000228T235959Z");
	sigv4_date(1735689599, out);
	assert_string_equal(out, "20241231T235959Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signatures_equal_botocores), cmocka_unit_test(a_kept_key_serves_its_own_scope_only),
		cmocka_unit_test(a_header_may_be_given_as_its_line),
		cmocka_unit_test(a_key_too_long_to_be_kept_signs_all_the_same),
		cmocka_unit_test(queries_are_sorted_by_name_then_value), cmocka_unit_test(dates_are_utc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* http: URLs, redirects, classes, headers; awsini. The engine itself is tested through a proxy that misbehaves. */
#include "core/base/own.h"
#include "remotes/awsini.h"
#include "remotes/http.h"
#include "remotes/registry.h"
#include "remotes/wrap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void urls_are_taken_apart(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct url u = { 0 };

	assert_int_equal(url_parse(&u, "https://us%40er:p%3Aw@Host.example:8443/a%20b/c?x=1#f", &e), 0);
	assert_string_equal(u.scheme, "https");
	assert_string_equal(u.user, "us@er");
	assert_string_equal(u.password, "p:w");
	assert_string_equal(u.host, "Host.example");
	assert_string_equal(u.port, "8443");
	assert_string_equal(u.path, "/a%20b/c");
	assert_string_equal(u.query, "x=1");
	assert_int_equal(url_parse(&u, "http://[::1]:80", &e), 0);
	assert_string_equal(u.host, "[::1]");
	assert_string_equal(u.path, "");
	url_release(&u);
	static const char *const bad[] = { "", "nothing", "://x", "http://a b/", "http://h:99999999/", "http://h:x/",
					   "http://[::1/", "ht tp://x", "http://a%zz@h/" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(url_parse(&u, bad[i], &e), -1);
}

static void encoding_goes_there_and_back(void **state UNUSED)
{
	autostr struct str enc = STR_INIT, dec = STR_INIT;

	url_encode(&enc, "a b/\xc3\xa9+~%", true);
	assert_string_equal(str_cstr(&enc), "a%20b/%C3%A9%2B~%25");
	assert_true(url_decode(&dec, enc.buf, enc.len));
	assert_string_equal(str_cstr(&dec), "a b/\xc3\xa9+~%");
	assert_false(url_decode(&dec, "%4", 2));
	assert_false(url_decode(&dec, "%00", 3));
	assert_false(url_decode(&dec, "%gg", 3));
}

static struct hresp answer(const char *name, const char *value)
{
	struct hresp a = { .status = 200, .length = UINT64_MAX };

	hresp_add(&a, name, strlen(name), value, strlen(value));
	return a;
}

static void headers_are_found_whatever_their_case(void **state UNUSED)
{
	struct hresp a = answer("Server", "x: y");

	assert_null(hresp_header(&a, "etag"));
	hresp_add(&a, "ETag:", 4, "", 0);
	hresp_add(&a, "Content-Length", 14, "12 ", 2);
	hresp_add(&a, "etag", 4, "second", 6);
	hresp_add(&a, "x\0y", 3, "cut\0off", 7);
	hresp_add(&a, "Last", 4, "z", 1);
	assert_string_equal(hresp_header(&a, "SERVER"), "x: y");
	assert_string_equal(hresp_header(&a, "etag"), "");
	assert_string_equal(hresp_header(&a, "x"), "cut");
	assert_string_equal(hresp_header(&a, "last"), "z");
	assert_null(hresp_header(&a, "second"));
	assert_int_equal(a.length, 12);
	hresp_release(&a);
	assert_null(hresp_header(&a, "server"));
}

static void redirect(const char *from, const char *to, const char *expect, bool same)
{
	autostr struct str url = STR_INIT;
	struct hresp a = answer("Location", to);
	struct hreq q;
	bool origin = false, ok;

	hreq_init(&q);
	str_adds(&q.url, from);
	ok = http_redirect(&q, &a, &url, &origin);
	assert_int_equal(ok, expect != NULL);
	if (expect) {
		assert_string_equal(str_cstr(&url), expect);
		assert_int_equal(origin, same);
	}
	hreq_release(&q);
	hresp_release(&a);
}

static void redirects_stay_honest(void **state UNUSED)
{
	redirect("http://h/a/b", "/c", "http://h/c", true);
	redirect("http://h:80/a/b", "c?d", "http://h:80/a/c?d", true);
	redirect("http://h/a", "http://h:80/x#f", "http://h:80/x", true);
	redirect("http://h/a", "http://h:81/x", "http://h:81/x", false);
	redirect("http://h/a", "https://h/x", "https://h/x", false);
	redirect("http://h/a", "//other/x", "http://other/x", false);
	redirect("https://h/a", "http://h/x", NULL, false);
	redirect("http://h/a", "file:///etc/passwd", NULL, false);
	redirect("http://h/a", "", NULL, false);
}

static void statuses_have_classes(void **state UNUSED)
{
	struct rop get = { .kind = ROP_GET }, put = { .kind = ROP_PUT, .flags = ROP_IF_ABSENT }, more = { .kind = ROP_GET, .off = 1 };

	assert_int_equal(http_class_of_status(&get, 200), RC_OK);
	assert_int_equal(http_class_of_status(&get, 404), RC_ABSENT);
	assert_int_equal(http_class_of_status(&put, 404), RC_FATAL);
	assert_int_equal(http_class_of_status(&put, 412), RC_EXISTS);
	assert_int_equal(http_class_of_status(&more, 412), RC_RETRY);
	assert_int_equal(http_class_of_status(&more, 416), RC_RETRY);
	assert_int_equal(http_class_of_status(&get, 401), RC_AUTH);
	assert_int_equal(http_class_of_status(&get, 429), RC_RETRY);
	assert_int_equal(http_class_of_status(&get, 503), RC_RETRY);
	assert_int_equal(http_class_of_status(&get, 501), RC_FATAL);
}

static void headers_are_read(void **state UNUSED)
{
	struct hresp a = answer("Retry-After", "7");
	struct rop op = { .kind = ROP_STAT };
	struct hreq q;

	assert_int_equal(hresp_retry_after(&a), 7);
	hresp_release(&a);
	a = answer("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT");
	assert_int_equal(hresp_retry_after(&a), 0);
	hresp_release(&a);
	a = answer("Date", "Fri, 24 May 2013 00:00:00 GMT");
	assert_int_equal(hresp_date(&a), 1369353600);
	hresp_release(&a);
	a = answer("eTaG", "W/\"abc\"");
	http_take_etag(&op, &a);
	assert_string_equal(op.etag, "W/\"abc\"");
	hresp_release(&a);
	a = answer("ETag", "\"abc\"");
	a.length = 12;
	http_take_etag(&op, &a);
	assert_string_equal(op.etag, "abc");
	assert_int_equal(op.size, 12);
	hresp_release(&a);
	hreq_init(&q);
	hreq_header(&q, "X: %s", "a\r\nEvil: b");
	assert_string_equal(q.headers.v[0], "X: a  Evil: b");
	hreq_release(&q);
}

static void waiting_grows_and_is_bounded(void **state UNUSED)
{
	for (unsigned n = 1; n < 40; n++)
		for (int i = 0; i < 50; i++) {
			unsigned most = n > 7 ? 20000 : 200u << (n - 1);
			unsigned ms = retry_delay_ms(n, 0);

			assert_true(ms >= most / 4 && ms <= most);
		}
	assert_in_range(retry_delay_ms(1, 9), 9000, 9250);
}

static void urls_for_people_hold_no_secret(void **state UNUSED)
{
	static const char *const rows[][2] = {
		{ "https://user:pw@host/p?sig=secret#x", "https://user:***@host/p" }, { "ssh://me@host/p", "ssh://me@host/p" },
		{ "https://TOKEN@host/p", "https://***@host/p" }, { "/plain/path@x:y", "/plain/path@x:y" }, { "s3://bucket/a?b", "s3://bucket/a" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		autofree char *got = registry_redact(rows[i][0]);

		assert_string_equal(got, rows[i][1]);
	}
}

static void aws_files_are_read_as_botocore_does(void **state UNUSED)
{
	static const char config[] = "# c\n[default]\nregion = eu-west-1\ns3 =\n  addressing_style = path\n"
		"  multipart_threshold = 8MB\noutput=json\n[profile My Dev]\nrole_arn=arn:aws:iam::1:role/x;y#z\n"
		"[sso-session q]\nregion = nope\n[profile 'q2']\nregion: r2\nservices = here\n"
		"[services here]\nsts =\n  endpoint_url = http://h:1\n[profile services]\nhere = x\n";
	static const char creds[] = "[My Dev]\r\naws_access_key_id = A\r\naws_secret_access_key = b/c+d=\r\n";
	autoerr struct err e = ERR_INIT;
	struct awsini a = AWSINI_INIT;

	assert_int_equal(awsini_parse(&a, config, strlen(config), true, "config", &e), 0);
	assert_int_equal(awsini_parse(&a, creds, strlen(creds), false, "creds", &e), 0);
	assert_string_equal(awsini_get(&a, "default", "region"), "eu-west-1");
	assert_string_equal(awsini_get(&a, "default", "s3.addressing_style"), "path");
	assert_string_equal(awsini_get(&a, "default", "s3.multipart_threshold"), "8MB");
	assert_string_equal(awsini_get(&a, "default", "output"), "json");
	assert_string_equal(awsini_get(&a, "My Dev", "role_arn"), "arn:aws:iam::1:role/x;y#z");
	assert_string_equal(awsini_get(&a, "My Dev", "aws_secret_access_key"), "b/c+d=");
	assert_string_equal(awsini_get(&a, "q2", "region"), "r2");
	assert_null(awsini_get(&a, "my dev", "role_arn"));
	assert_string_equal(awsini_service(&a, "q2", "sts.endpoint_url"), "http://h:1");
	assert_null(awsini_service(&a, "q2", "s3.endpoint_url"));
	assert_null(awsini_service(&a, "services", "sts.endpoint_url"));
	assert_false(awsini_has(&a, "q"));
	assert_int_equal(awsini_parse(&a, "[x]\nrubbish\n", 12, false, "f", &e), -1);
	assert_non_null(strstr(e.msg, "f, line 2"));
	assert_int_equal(awsini_parse(&a, "a=1\n", 4, false, "f", &e), -1);
	awsini_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_found_whatever_their_case),
		cmocka_unit_test(urls_are_taken_apart), cmocka_unit_test(encoding_goes_there_and_back),
		cmocka_unit_test(redirects_stay_honest), cmocka_unit_test(statuses_have_classes),
		cmocka_unit_test(headers_are_read), cmocka_unit_test(waiting_grows_and_is_bounded),
		cmocka_unit_test(urls_for_people_hold_no_secret), cmocka_unit_test(aws_files_are_read_as_botocore_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

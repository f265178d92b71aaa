/* xml: paths and texts, caps, what is refused. */
#include "core/base/err.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "remotes/xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static int note(const char *path, const char *text, void *data, struct err *e UNUSED)
{
	str_addf(data, "%s=%s;", path, text);
	return 0;
}
static const struct xml_reader reader = { NULL, note };

static int read_text(const char *text, struct str *out, struct err *e)
{
	str_reset(out);
	return xml_read(text, strlen(text), "doc", &reader, out, e);
}

static void gives_every_element_with_its_path(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autostr struct str s = STR_INIT;

	assert_int_equal(read_text("\xef\xbb\xbf<?xml version=\"1.0\"?><a xmlns:x='u'><x:b>1&amp;&#34;&#x41;</x:b><b/></a>", &s, &e), 0);
	assert_string_equal(str_cstr(&s), "a/b=1&\"A;a/b=;a=;");
}

static void finds_the_first(void **state UNUSED)
{
	static const char doc[] = "<Error><Code>SlowDown</Code><Message>wait</Message><Code>x</Code></Error>";
	char *code = xml_find(doc, strlen(doc), "Code");

	assert_string_equal(code, "SlowDown");
	free(code);
	assert_null(xml_find(doc, strlen(doc), "Region"));
	assert_null(xml_find("<html>", 6, "Code"));
	assert_null(xml_find("", 0, "Code"));
}

static void refuses_doctypes_depth_and_rubbish(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autostr struct str s = STR_INIT, deep = STR_INIT;

	assert_int_equal(read_text("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", &s, &e), -1);
	assert_int_equal(e.code, ERR_PARSE);
	for (int i = 0; i < 40; i++)
		str_adds(&deep, "<a>");
	assert_int_equal(read_text(str_cstr(&deep), &s, &e), -1);
	assert_non_null(strstr(e.msg, "too deep"));
	assert_int_equal(read_text("<a><b></a>", &s, &e), -1);
	assert_non_null(strstr(e.msg, "doc, line 1"));
	assert_int_equal(read_text("<a>", &s, &e), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_every_element_with_its_path), cmocka_unit_test(finds_the_first),
		cmocka_unit_test(refuses_doctypes_depth_and_rubbish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

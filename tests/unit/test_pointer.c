/* pointer: .dvc files in DVC's canonical form, their digest, and what is refused with which words. */
#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml.h"
#include "core/stage/pointer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static int parse(struct stage **s, const char *text, struct err *e)
{
	return pointer_parse(s, "x.dvc", "./x.dvc", NULL, text, strlen(text), e);
}

static void comes_back_as(const char *text, const char *want)
{
	struct stage *s = NULL;
	autoerr struct err e = ERR_INIT;
	autostr struct str out = STR_INIT;
	autonode struct node *doc = NULL;

	if (parse(&s, text, &e))
		fail_msg("%s", e.msg);
	doc = pointer_to_node(s);
	yaml_dump(&out, doc);
	assert_string_equal(str_cstr(&out), want);
	stage_free(s);
}

static void canonical_files_come_back_byte_for_byte(void **state UNUSED)
{
	static const char *const files[] = {
		"outs:\n- md5: b1946ac92492d2347c6235b4d2611184\n  size: 6\n  hash: md5\n  path: foo.txt\n",
		"outs:\n- md5: f8b33b0ebafc918f90dd08061a8fca2c.dir\n  size: 8\n  nfiles: 6\n  hash: md5\n  path: data\n",
		"outs:\n- md5: 03c7c0ace395d80182db07ae2c30f034\n  size: 1\n  isexec: true\n  hash: md5\n  path: run.sh\n",
		"md5: 5f356a62b73a7aae8709fe907be879eb\nfrozen: true\ndeps:\n- path: d\n  repo:\n    url: ../vsrc\n"
		"    rev: main\n    rev_lock: 9aa284e8d582ff51983727ce0f9606b99a143b8c\nouts:\n"
		"- md5: 7493f99274667841745dc19021d73d46.dir\n  size: 4\n  nfiles: 2\n  hash: md5\n  path: sub\n",
		"desc: whole\nwdir: w\nouts:\n- md5: '12345678901234567890123456789012'\n  size: 2\n  hash: md5\n"
		"  path: a\n  desc: d\n  type: model\n  labels:\n  - x\n  meta:\n    k: 1\n  cache: false\n"
		"  persist: true\n  remote: r\n  push: false\nalways_changed: true\nmeta:\n  o: me\n",
		"wdir: ../w\nouts:\n- hash: md5\n  path: ../b\n",
		"outs:\n- md5: dd8c6a395b5dd36c56d23275028f526c\n  size: 6\n  path: c.txt\n",
		"deps:\n- checksum: '\"abc\"'\n  size: 3\n  hash: md5\n  path: https://h/x\nouts:\n- hash: md5\n  path: x\n",
		"deps:\n- db:\n    query: q\n    connection: c\n    file_format: csv\nouts:\n- hash: md5\n  path: x\n",
		"outs:\n- hash: md5\n  path: d\n  files:\n  - relpath: '1'\n    md5: 166d77ac1b46a1ec38aa35ab7e628ab5\n"
		"    size: 3\n    cloud:\n      va:\n        etag: abc\n        version_id: v\n",
		"outs:\n- md5: 166d77ac1b46a1ec38aa35ab7e628ab5\n  size: 3\n  cloud:\n    va:\n      etag: abc\n"
		"      version_id: v\n  hash: md5\n  path: f\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		comes_back_as(files[i], files[i]);
}

static void what_is_default_or_empty_is_dropped(void **state UNUSED)
{
	comes_back_as("", "{}\n");
	comes_back_as("outs: null\n", "{}\n");
	comes_back_as("outs:\n- path: ./a/../b/\n  hash: sha1\n  cache: true\n  push: true\n  persist: false\n  desc: ''\n"
		      "  labels: []\nfrozen: false\nwdir: .\n", "outs:\n- hash: md5\n  path: b\n");
	comes_back_as("locked: true\n", "frozen: true\n");
	comes_back_as("outs:\n- path: x\n", "outs:\n- md5:\n  path: x\n");
}

static void md5_is(const char *text, const char *want)
{
	struct stage *s = NULL;
	autoerr struct err e = ERR_INIT;
	char md5[33];

	assert_int_equal(parse(&s, text, &e), 0);
	pointer_document_md5(s, md5);
	assert_string_equal(md5, want);
	stage_free(s);
}

static void the_digest_of_a_document_is_dvcs(void **state UNUSED)
{
	md5_is("frozen: true\ndeps:\n- path: f.txt\n  repo: {url: ../vsrc, rev_lock: 9aa284e8d582ff51983727ce0f9606b99a143b8c}\n"
	       "outs:\n- {md5: 9a8ad92c50cae39aa2c5604fd0ab6d8c, size: 2, hash: md5, path: f.txt}\n",
	       "a584e7615490b9776747fd85b6d09379");
	md5_is("md5: old\ndesc: x\nmeta: {a: 1}\nfrozen: true\ndeps:\n- path: d\n  repo: {url: ../vsrc, rev: main, rev_lock: "
	       "9aa284e8d582ff51983727ce0f9606b99a143b8c}\nouts:\n- {md5: 7493f99274667841745dc19021d73d46.dir, size: 4, "
	       "nfiles: 2, hash: md5, path: sub, desc: y}\n", "5f356a62b73a7aae8709fe907be879eb");
	md5_is("deps:\n- {md5: 3e7d4585a1d42237fbbe16c6be1e1952, hash: md5, path: ../vsrc/ext1}\n"
	       "outs:\n- {md5: 3e7d4585a1d42237fbbe16c6be1e1952, hash: md5, path: e1}\n",
	       "e04550e523eb6ec346196e58bed1b8bf");
	md5_is("deps:\n- {md5: 3e7d4585a1d42237fbbe16c6be1e1952, hash: md5, path: ../../vsrc/ext1}\n"
	       "outs:\n- {hash: md5, path: e3}\n", "98f81c3d242271d26d14f0f0773f1625");
}

static void refused(const char *text, const char *words)
{
	struct stage *s = NULL;
	autoerr struct err e = ERR_INIT;

	assert_int_equal(parse(&s, text, &e), -1);
	assert_int_equal(e.code, ERR_PARSE);
	if (!strstr(e.msg, words))
		fail_msg("for '%s'\n got: %s\nwant: %s", text, e.msg, words);
}

static void the_report_is_dvcs(void **state UNUSED)
{
	refused("outs:\n- path: x\n  foo: 1\n", "'./x.dvc' validation failed.\n\nextra keys not allowed, in outs -> 0 -> foo, "
		"line 2, column 3\n  1 outs:");
	refused("foo: 1\nouts: 3\n", "'./x.dvc' validation failed: 2 errors.\n\nextra keys not allowed, in foo\n\n"
		"expected a list, in outs");
	refused("outs:\n- path: 3\n  md5: ab\n  size: x\n", "3 errors.\n\nexpected str, in outs -> 0 -> path");
	refused("- a\n", "'./x.dvc' validation failed: expected a dictionary.");
	refused("outs:\n- 3\n- path: x\n- 4\n", "2 errors");
	refused("outs:\n- path: x\n  foo: 1\n- path: y\n  bar: 2\n", "failed.\n\nextra keys not allowed, in outs -> 0 -> foo");
	refused("outs:\n- path: x\n  cloud: {a: {}, b: {}}\n", "length of value must be at most 1");
	refused("deps:\n- path: y\n  repo: {rev: x}\n", "required key not provided, in deps -> 0 -> repo -> url");
	refused("cmd: x\n", "extra keys not allowed, in cmd");
	refused("outs: [\n", "'./x.dvc' is invalid.");
	refused("<<<<<<< a\nouts:\n=======\n>>>>>>> b\n", "is invalid (possible merge conflicts).");
	refused("\xff\xfe", "unable to read");
}

static void a_digest_that_reads_as_a_number_is_named(void **state UNUSED)
{
	struct stage *s = NULL;
	autoerr struct err e = ERR_INIT;

	assert_int_equal(parse(&s, "outs:\n- path: x\n  md5: 12345678901234567890123456789012\n", &e), -1);
	assert_int_equal(e.exit_status, 255);
	assert_non_null(strstr(e.hint, "line 3"));
}

static void a_list_of_files_gives_the_manifests_id(void **state UNUSED)
{
	struct stage *s = NULL;
	autoerr struct err e = ERR_INIT;

	assert_int_equal(parse(&s, "outs:\n- path: d\n  hash: md5\n  files:\n"
			       "  - {relpath: s/2, md5: 26ab0db90d72e28ad0ba1e22ee510510, size: 2}\n"
			       "  - {relpath: '1', md5: b026324c6904b2a9cb4b88d6d61c81d1, size: 2}\n", &e), 0);
	assert_string_equal(s->outs[0]->hash.value, "7493f99274667841745dc19021d73d46.dir");
	assert_int_equal(s->outs[0]->meta.size, 4);
	assert_int_equal(s->outs[0]->meta.nfiles, 2);
	stage_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_files_come_back_byte_for_byte),
		cmocka_unit_test(what_is_default_or_empty_is_dropped),
		cmocka_unit_test(the_digest_of_a_document_is_dvcs),
		cmocka_unit_test(the_report_is_dvcs),
		cmocka_unit_test(a_digest_that_reads_as_a_number_is_named),
		cmocka_unit_test(a_list_of_files_gives_the_manifests_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

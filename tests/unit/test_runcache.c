/* core/pipeline/runcache.h: R1, with the vectors of the format notes, 13.5. */
#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/yaml.h"
#include "core/pipeline/runcache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void check(const char *entry, const char *key, const char *value)
{
	autonode struct node *n = NULL;
	autoerr struct err e = ERR_INIT;
	char k[65], v[65];

	if (yaml_parse(&n, entry, strlen(entry), "x", 0, &e) || runcache_ids(n, k, v, &e))
		fail_msg("%s", e.msg);
	assert_string_equal(k, key);
	if (value)
		assert_string_equal(v, value);
}

static void ids_are_dvcs(void **state)
{
	(void)state;
	check("cmd: mkdir -p od && cp in.txt od/x && echo \"0.1\" > o.txt && echo '{\"m\":1}' > m.json\n"
	      "deps:\n- path: in.txt\n  hash: md5\n  md5: ba8d2b9408ed255ee92a112fe7ba59be\n  size: 3\n"
	      "params:\n  params.yaml:\n    lr: 0.1\n    n:\n      a: 1\n      b: [x, y]\n"
	      "outs:\n- path: m.json\n  hash: md5\n  md5: 8980c88a936c6d95e82302c1eb3fbd48\n  size: 8\n"
	      "- path: o.txt\n  hash: md5\n  md5: 1e85d27c4639f6730bb7624094413c74\n  size: 4\n"
	      "- path: od\n  hash: md5\n  md5: 3a9e4a71584f7576956826dfa372e0c1.dir\n  size: 3\n  nfiles: 1\n",
	      "d4a95e6fe6936405e814b8e3778a128f9c56d9382df0108aae3e4269ac546bf8",
	      "f7a4bf15650b416ee16183c203df308c0ca41eaef4c586470cbd70bc54c46c3c");
	check("cmd: [cp o.txt p.txt, echo é >> p.txt]\n"
	      "deps:\n- path: o.txt\n  hash: md5\n  md5: 1e85d27c4639f6730bb7624094413c74\n  size: 4\n"
	      "outs:\n- path: p.txt\n  hash: md5\n  md5: 449097a2f3740aacd325aec5f882e3e1\n  size: 7\n",
	      "e76ab909a5fed9016cffa3ebecacd0179db7ee5df66a5b3efa349299fc9a2ae2",
	      "0f7f54b66bca1993cf4c47164deb62d417622111baf42420dfc1a8532c0eb6f2");
	check("cmd: cp ../in.txt o.txt\ndeps:\n- {path: ../in.txt, hash: md5, md5: 6137cde4893c59f76f005a8123d8e8e6, size: 5}\n"
	      "params: {params.yaml: {p: 2}}\nouts:\n- {path: o.txt}\n",
	      "a10a0218997e66090a2d37af7483906d5ebc2acef7a5811e226620282d093dd9", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(ids_are_dvcs) };

	return cmocka_run_group_tests_name("runcache", tests, NULL, NULL);
}

#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/node.h"
#include "core/base/str.h"
#include "core/stage/params.h"
#include "core/stage/pylit.h"
#include "core/stage/toml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void is(const char *name, const char *text, const char *want)
{
	autonode struct node *n = NULL;
	autoerr struct err e = ERR_INIT;
	autostr struct str out = STR_INIT;

	if (params_parse(&n, name, text, strlen(text), &e))
		fail_msg("%s", e.msg);
	node_py_str(&out, n);
	assert_string_equal(out.buf, want);
}

static void fails(const char *name, const char *text, const char *where, const char *says)
{
	autonode struct node *n = NULL;
	autoerr struct err e = ERR_INIT;

	assert_int_equal(params_parse(&n, name, text, strlen(text), &e), -1);
	assert_int_equal(e.code, ERR_PARSE);
	if (!str_starts(e.msg, where))
		fail_msg("%s", e.msg);
	assert_string_equal(params_corrupted(name), says);
}

static void the_first_dot_decides_the_format(void **state)
{
	(void)state;
	is("params.yaml", "a: 1\n", "{'a': 1}");
	is("p.json", "{\"a\": 1}", "{'a': 1}");
	is("p.TOML", "a = 1\n", "{'a': 1}");
	is("d.toml/p.py", "a = 1\n", "{'a': 1}");
	is("metrics.train.json", "{a: yes}", "{'a': 'yes'}");
	is("params", "", "{}");
	is("p.json", "[]", "{}");
	fails("a/p.json", "", "a/p.json:", "JSON file structure is corrupted");
	fails("p.toml", "a = \n", "p.toml:1:5:", "TOML file structure is corrupted");
	fails("p.py", "x = 1\n  y = 2\n", "p.py:2:", "Python file structure is corrupted");
	fails("x.yml", "a: [\n", "x.yml:2:", "YAML file structure is corrupted");
}

static void python_gives_its_literals(void **state)
{
	(void)state;
	is("p.py", "A = {'x': (1,), 2: [-1.5, None]}\nclass C:\n  n: int = 3\n  def __init__(self):\n    self.m = 'a' 'b'\n"
	   "    k = 1\nif A:\n  z = 1\nb = c = 2\nd = f(1)\ne = 1, 2; g = 0x10\n",
	   "{'A': {'x': (1,), 2: [-1.5, None]}, 'C': {'n': 3, 'm': 'ab'}, 'e': (1, 2), 'g': 16}");
}

static const char *find(const struct node *root, const char *key, struct str *out)
{
	const struct node *found = NULL;
	autoerr struct err e = ERR_INIT;
	int rc = params_lookup(root, key, &found, &e);

	str_reset(out);
	if (rc < 0)
		str_adds(out, e.msg);
	else if (!rc)
		str_adds(out, "none");
	else
		json_dump(out, found, 0);
	return str_cstr(out);
}

static void keys_walk_maps_and_sequences(void **state)
{
	static const char text[] = "{a: {b: [1, {c: 2}]}, 'd.e': 3, x1: 4, x2: 5, 7: s}";
	autonode struct node *n = NULL;
	autoerr struct err e = ERR_INIT;
	autostr struct str s = STR_INIT;
	char *const keys[] = { (char *)"a.b.0", (char *)"x*" };
	autonode struct node *some = NULL;

	(void)state;
	assert_int_equal(params_parse(&n, "p.yaml", text, strlen(text), &e), 0);
	assert_string_equal(find(n, "a.b.1.c", &s), "2");
	assert_string_equal(find(n, "a.b.-1.c", &s), "2");
	assert_string_equal(find(n, "a.b", &s), "[1, {\"c\": 2}]");
	assert_string_equal(find(n, "d.e", &s), "none");
	assert_string_equal(find(n, "7", &s), "\"s\"");
	assert_string_equal(find(n, "a.*.0", &s), "1");
	assert_string_equal(find(n, "**.c", &s), "2");
	assert_string_equal(find(n, "x?", &s), "dpath.get() globs must match only one leaf: x?");
	some = params_select(n, keys, 2);
	str_reset(&s);
	json_dump(&s, some, 0);
	assert_string_equal(s.buf, "{\"a\": {\"b\": [1]}, \"x1\": 4, \"x2\": 5}");
}

static void toml_forbids_redefinition(void **state)
{
	(void)state;
	is("p.toml", "a.b = 1\na.c = 2\n[[t]]\nx = 1\n[[t]]\nx = 2\n[t.s]\ny = [1, {z = 2}]\n",
	   "{'a': {'b': 1, 'c': 2}, 't': [{'x': 1}, {'x': 2, 's': {'y': [1, {'z': 2}]}}]}");
	fails("p.toml", "a = 1\na = 2\n", "p.toml:2:", "TOML file structure is corrupted");
	fails("p.toml", "[a]\n[a]\n", "p.toml:2:", "TOML file structure is corrupted");
	fails("p.toml", "a = {b = 1}\na.c = 2\n", "p.toml:2:", "TOML file structure is corrupted");
	fails("p.toml", "a = [1]\n[[a]]\n", "p.toml:2:", "TOML file structure is corrupted");
	fails("p.toml", "a = 01\n", "p.toml:1:", "TOML file structure is corrupted");
	fails("p.toml", "a = \"\\q\"\n", "p.toml:1:", "TOML file structure is corrupted");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_dot_decides_the_format),
		cmocka_unit_test(python_gives_its_literals),
		cmocka_unit_test(keys_walk_maps_and_sequences),
		cmocka_unit_test(toml_forbids_redefinition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

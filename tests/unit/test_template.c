/* core/stage/template.h: T1 T2 T3, with the vectors of the format notes, 13.7. */
#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml.h"
#include "core/stage/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char vars_text[] =
	"lr: 0.001\nflag: true\nnul: null\nlst: [1, two, 3.5]\n"
	"d: {a: 1, s: \"it's x\", t: true, f: false, l: [1, \"b c\"], n: {deep: 2}, nul: null}\n"
	"int_like: \"010\"\nbig: 1e-05\n";

static struct node *parse(const char *text)
{
	struct node *n = NULL;
	autoerr struct err e = ERR_INIT;

	if (yaml_parse(&n, text, strlen(text), "x", 0, &e))
		fail_msg("%s", e.msg);
	return n;
}

static void check(const char *key, const char *source, const char *want)
{
	autonode struct node *v = parse(vars_text);
	autonode struct node *got = NULL;
	autostr struct str s = STR_INIT;
	autoerr struct err e = ERR_INIT;

	if (tmpl_resolve_text(v, source, key, &got, &e))
		fail_msg("%s: %s", source, e.msg);
	node_py_str(&s, got);
	assert_string_equal(str_cstr(&s), want);
}

static void refuses(const char *key, const char *source, const char *want)
{
	autonode struct node *v = parse(vars_text);
	autonode struct node *got = NULL;
	autoerr struct err e = ERR_INIT;

	assert_int_equal(tmpl_resolve_text(v, source, key, &got, &e), -1);
	assert_string_equal(e.msg, want);
}

static void text_gets_values_as_dvc_writes_them(void **state)
{
	(void)state;
	check("cmd", "echo ${lr} ${flag} ${lst[0]} ${lst.1} ${d.a} ${ d.a } \\${esc} ${int_like} ${big}",
	      "echo 0.001 true 1 two 1 1 ${esc} 010 1e-05");
	check("cmd", "python t.py ${d}", "python t.py --a 1 --s 'it'\"'\"'s x' --t --l 1 'b c' --n.deep 2 --nul None");
	check("cmd", "echo [${nul}] x", "echo [None] x");
	check("cmd", "echo ${lst[-1]}", "echo 3.5");
	check("cmd", "echo ${d[a]} ${d.n[deep]}", "echo 1 2");
	check("cmd", "echo $${lr} $lr {lr}", "echo $0.001 $lr {lr}");
	check("cmd", "an open ${x", "an open ${x");
	check("cmd", "\\\\${x}", "\\${x}");
}

static void a_whole_string_keeps_its_type(void **state)
{
	autonode struct node *v = parse(vars_text);
	autonode struct node *got = NULL;
	autoerr struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(tmpl_resolve_text(v, "${flag}", "frozen", &got, &e), 0);
	assert_int_equal(got->kind, NODE_BOOL);
}

static void errors_show_the_expression(void **state)
{
	(void)state;
	refuses("cmd", "${nope}", "Could not find 'nope'");
	refuses("cmd", "${ x }", "Could not find ' x '");
	refuses("cmd", "${lst.7}", "Could not find 'lst.7'");
	refuses("cmd", "${lst}", "Cannot interpolate data of type 'list'");
	refuses("deps", "${d}", "Cannot interpolate data of type 'dict'");
	refuses("cmd", "${a[}", "${a[}\n   ^\nParseException: Expected end of text, found '['  (at char 3), (line:1, col:4)");
	refuses("cmd", "${}", "${}\n  ^\nParseException: Expected !W:(.[]), found '}'  (at char 2), (line:1, col:3)");
}

/* --- groups --- */

static int no_file(struct node **out, const char *rel, void *data, struct err *e)
{
	(void)out;
	(void)data;
	return err_set(e, ERR_NOTFOUND, "'%s' does not exist", rel);
}

static int add_name(const char *name, const char *group, struct node *resolved, const struct node *raw, void *data,
		    struct err *e)
{
	const struct node *cmd = node_get(resolved, "cmd");
	struct str *out = data;

	(void)group;
	(void)raw;
	(void)e;
	str_addf(out, "%s=", name);
	node_py_str(out, cmd);
	str_addc(out, ';');
	node_free(resolved);
	return 0;
}

static void expands(const char *text, const char *want)
{
	struct tmpl_env env = { .dir = "", .cwd = "", .load = no_file };
	autonode struct node *doc = parse(text);
	autostr struct str got = STR_INIT;
	autoerr struct err e = ERR_INIT;
	struct tmpl *t = NULL;

	if (tmpl_new(&t, &env, doc, &e) || tmpl_each_stage(t, add_name, &got, &e))
		str_adds(&got, e.msg);
	tmpl_free(t);
	assert_string_equal(str_cstr(&got), want);
}

static void groups_are_named_and_ordered_like_dvcs(void **state)
{
	(void)state;
	expands("stages: {g: {foreach: [a, 1, 2.5, true], do: {cmd: \"${item}\"}}}", "g@a=a;g@1=1;g@2.5=2.5;g@true=True;");
	expands("stages: {g: {foreach: [a, {k: v}], do: {cmd: \"x ${item}\"}}}", "g@0=x a;g@1=x --k v;");
	expands("stages: {g: {foreach: {x: {v: 1}, y: {v: 2}}, do: {cmd: \"${key} ${item.v}\"}}}", "g@x=x 1;g@y=y 2;");
	expands("stages: {m: {matrix: {a: [p, q], b: [1, [5]]}, cmd: \"${key} ${item.a}\"}}",
		"m@p-1=p-1 p;m@p-b1=p-b1 p;m@q-1=q-1 q;m@q-b1=q-b1 q;");
	/* a combination whose name comes twice, an axis whose name comes twice */
	expands("stages: {m: {matrix: {a: [[p], [q]], b: [x, x]}, cmd: \"${item.a[0]} ${item.b}\"}}", "m@a0-x=p x;m@a1-x=q x;");
	expands("stages: {m: {matrix: {1: [[p]], \"1\": [[q]]}, cmd: \"x\"}}", "m@10-10=x;");
	expands("vars: [{l: [z]}]\nstages: {g: {foreach: \"${l}\", do: {cmd: \"${item}\"}}}", "g@z=z;");
	expands("stages: {g: {foreach: [1], do: {cmd: \"${key}\"}}}",
		"failed to parse 'stages.g@1.cmd' in 'dvc.yaml': Could not find 'key'");
	/* the caret stands behind a NUL, where the text that is shown has long ended */
	expands("stages: {a: {cmd: \"${a\\0bbbbbbbbbbbbbbbbbbbbbbbb[}\"}}",
		"failed to parse 'stages.a.cmd' in 'dvc.yaml':\n${a\n                            ^\n"
		"ParseException: Expected end of text, found '['  (at char 28), (line:1, col:29)");
	expands("vars: [{l: 1}, {l: 2}]\nstages: {}",
		"failed to parse 'vars' in 'dvc.yaml':\ncannot redefine 'l' from 'vars[1]' as it already exists in 'vars[0]'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_gets_values_as_dvc_writes_them),
		cmocka_unit_test(a_whole_string_keeps_its_type),
		cmocka_unit_test(errors_show_the_expression),
		cmocka_unit_test(groups_are_named_and_ordered_like_dvcs),
	};

	return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}

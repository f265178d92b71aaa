/* opts behaves like argparse: abbreviations, clusters, glued values, groups, rests, and its words. */
#include "cmd/cmd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct a {
	bool all, dry, one, two;
	const char *remote, *mode;
	int64_t jobs;
	struct strvec deps, targets, paths;
	const char *name;
	bool own, both;
};
static const struct opt opts[] = {
	OPT_FLAG('a', "all", a, all, "x"),
	OPT_FLAG('n', "dry-run", a, dry, "x"),
	OPT_STR('r', "remote", "<name>", a, remote, "x"),
	OPT_INT('j', "jobs", "<number>", a, jobs, "x"),
	OPT_LIST('d', "deps", "<path>", a, deps, "x"),
	OPT_STRS('p', "paths", "<path>", a, paths, "x"),
	OPT_CHOICE('m', "mode", "no,all", a, mode, "x"),
	OPT_FLAG_X(0, "one", a, one, "g", "x"),
	OPT_FLAG_X(0, "two", a, two, "g", "x"),
	OPT_OWN_FLAG(0, "own-thing", a, own, "x"),
	{ 0, "both", OPT_K_ONOFF, NULL, offsetof(struct a, both), "x", NULL, NULL, NULL, "no-both", false, false },
	OPT_END
};
static const struct pos any[] = { { "targets", '*', offsetof(struct a, targets), "x" }, POS_END };
static const struct pos rest[] = { { "name", '1', offsetof(struct a, name), "x" },
				   { "command", 'R', offsetof(struct a, targets), "x" }, POS_END };
static const struct cmd push = { .name = "push", .args_size = sizeof(struct a), .opts = opts, .pos = any };
static const struct cmd stage = { .name = "stage", .args_size = sizeof(struct a), .opts = opts, .pos = rest };
static const struct cmd *const subs[] = { &push, &stage, NULL };
static const struct cmd root = { .subs = subs };

static int run(struct parsed *p, struct err *e, ...)
{
	char *argv[32];
	va_list ap;
	int n = 0;

	va_start(ap, e);
	while ((argv[n] = va_arg(ap, char *)))
		n++;
	va_end(ap);
	return opts_parse(p, &root, n, argv, e);
}

#define PARSE(...) \
	struct parsed p; autoerr struct err e = ERR_INIT; int rc = run(&p, &e, __VA_ARGS__, NULL); \
	struct a *a UNUSED = p.args

static void spellings_of_a_value(void **state UNUSED)
{
	PARSE("push", "-j4", "--remote=up", "-d", "a", "-d", "b", "x", "--", "-y");
	assert_int_equal(rc, 0);
	assert_int_equal(a->jobs, 4);
	assert_string_equal(a->remote, "up");
	assert_int_equal(a->deps.n, 2);
	assert_int_equal(a->targets.n, 2);
	assert_string_equal(a->targets.v[1], "-y");
	opts_release(&p);
}

static void clusters_and_abbreviations(void **state UNUSED)
{
	PARSE("push", "-anj", "8", "--rem", "r", "-q", "t");
	assert_int_equal(rc, 0);
	assert_true(a->all && a->dry && p.quiet);
	assert_int_equal(a->jobs, 8);
	assert_string_equal(a->remote, "r");
	opts_release(&p);
}

static void list_option_stops_at_the_next_option(void **state UNUSED)
{
	PARSE("push", "-p", "a", "b", "-a");
	assert_int_equal(rc, 0);
	assert_int_equal(a->paths.n, 2);
	assert_true(a->all);
	opts_release(&p);
}

static void negative_number_is_a_value(void **state UNUSED)
{
	PARSE("push", "-j", "-1", "-");
	assert_int_equal(rc, 0);
	assert_int_equal(a->jobs, -1);
	assert_string_equal(a->targets.v[0], "-");
	opts_release(&p);
}

static void rest_is_verbatim(void **state UNUSED)
{
	PARSE("stage", "-a", "n", "python", "t.py", "-a", "--x=1");
	assert_int_equal(rc, 0);
	assert_string_equal(a->name, "n");
	assert_int_equal(a->targets.n, 4);
	assert_string_equal(a->targets.v[3], "--x=1");
	opts_release(&p);
}

static void says(const char *want, struct err *e, struct parsed *p, int rc)
{
	assert_int_equal(rc, -1);
	assert_int_equal(e->code, ERR_USAGE);
	assert_string_equal(e->msg, want);
	opts_release(p);
}

static void words_for_mistakes(void **state UNUSED)
{
	{ PARSE("push", "--foo", "-z"); says("unrecognized arguments: --foo -z", &e, &p, rc); }
	{ PARSE("push", "-j", "x"); says("argument -j/--jobs: invalid int value: 'x'", &e, &p, rc); }
	{ PARSE("push", "-r"); says("argument -r/--remote: expected one argument", &e, &p, rc); }
	{ PARSE("push", "-m", "q"); says("argument -m/--mode: invalid choice: 'q' (choose from 'no', 'all')", &e, &p, rc); }
	{ PARSE("push", "--one", "--two"); says("argument --two: not allowed with argument --one", &e, &p, rc); }
	{ PARSE("push", "--all=1"); says("argument -a/--all: ignored explicit argument '1'", &e, &p, rc); }
	{ PARSE("nope"); says("argument command: invalid choice: 'nope' (choose from 'push', 'stage')", &e, &p, rc); }
	{ PARSE("stage"); says("the following arguments are required: name, command", &e, &p, rc); }
}

static void positionals_stand_together(void **state UNUSED)
{
	{ PARSE("push", "a", "-a", "b"); says("unrecognized arguments: b", &e, &p, rc); }
	{ PARSE("push", "--bad", "a"); says("unrecognized arguments: --bad", &e, &p, rc); }
	PARSE("push", "-a", "a", "--", "-a", "--");
	assert_int_equal(rc, 0);
	assert_int_equal(a->targets.n, 3);
	assert_string_equal(a->targets.v[1], "-a");
	assert_string_equal(a->targets.v[2], "--");
	opts_release(&p);
}

static void own_options_are_not_abbreviated(void **state UNUSED)
{
	{ PARSE("push", "--own-thi"); says("unrecognized arguments: --own-thi", &e, &p, rc); }
	PARSE("push", "--own-thing", "--no-both", "--pa=k=v");
	assert_int_equal(rc, 0);
	assert_true(a->own);
	assert_false(a->both);
	assert_int_equal(a->paths.n, 1);
	opts_release(&p);
}

static void numbers_are_python_s(void **state UNUSED)
{
	int64_t n = 0;

	assert_true(opts_int(" 1_000 ", &n));
	assert_int_equal(n, 1000);
	assert_true(opts_int("+7", &n));
	assert_true(opts_int("99999999999999999999999", &n));
	assert_int_equal(n, INT64_MAX);
	assert_false(opts_int("1__0", &n) || opts_int("_1", &n) || opts_int("1_", &n) || opts_int("", &n) || opts_int("-", &n));
}

/* A line ends where argparse ends it: between bracketed words, options and positionals apart. */
static void usage_breaks_between_words(void **state UNUSED)
{
	autostr struct str s = STR_INIT;

	PARSE("push");
	assert_int_equal(rc, 0);
	p.prog = "dvc";
	opts_usage(&s, &p, 60);
	assert_string_equal(s.buf,
			    "usage: dvc push [-h] [-q | -v] [-a] [-n] [-r <name>]\n"
			    "                [-j <number>] [-d <path>]\n"
			    "                [-p [<path> ...]] [-m {no,all}]\n"
			    "                [--one | --two] [--own-thing]\n"
			    "                [--both | --no-both]\n"
			    "                [targets ...]\n");
	opts_release(&p);
}

static void nothing_at_all_asks_for_a_command(void **state UNUSED)
{
	struct parsed p;
	autoerr struct err e = ERR_INIT;
	int rc = opts_parse(&p, &root, 0, NULL, &e);

	says("the following arguments are required: command", &e, &p, rc);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(spellings_of_a_value), cmocka_unit_test(clusters_and_abbreviations),
		cmocka_unit_test(list_option_stops_at_the_next_option), cmocka_unit_test(negative_number_is_a_value),
		cmocka_unit_test(rest_is_verbatim), cmocka_unit_test(words_for_mistakes),
		cmocka_unit_test(nothing_at_all_asks_for_a_command), cmocka_unit_test(positionals_stand_together),
		cmocka_unit_test(own_options_are_not_abbreviated), cmocka_unit_test(numbers_are_python_s),
		cmocka_unit_test(usage_breaks_between_words),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}

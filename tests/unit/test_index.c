/* index: what is loaded when, which outputs collide, what depends on what, and what a target names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base/err.h"
#include "core/base/own.h"
#include "core/repo/repo.h"
#include "core/repo/srctree.h"
#include "core/stage/index.h"
#include "tests/unit/scratch.h"

static struct repo *repo;
static struct srctree *tree;

static void put(const char *name, const char *text)
{
	autofree char *path = path_join(scratch, name), *dir = path_dir(path);
	autoerr struct err e = ERR_INIT;

	assert_int_equal(fs_mkdirs(dir, 0777, &e), 0);
	assert_int_equal(fs_replace(path, text, strlen(text), 0, &e), 0);
}

static void put_stage(const char *name, const char *dep, const char *out)
{
	autostr struct str s = STR_INIT;

	if (dep)
		str_addf(&s, "deps:\n- path: %s\n", dep);
	str_addf(&s, "outs:\n- path: %s\n  hash: md5\n", out);
	put(name, str_cstr(&s));
}

static int setup(void **state)
{
	autoerr struct err e = ERR_INIT;

	if (scratch_setup(state))
		return -1;
	put(".dvc/config", "[core]\n    no_scm = True\n");
	if (chdir(scratch) || repo_open(&repo, ".", &e))
		return -1;
	return srctree_workspace(&tree, repo, &e);
}

static int teardown(void **state)
{
	srctree_close(tree);
	repo_close(repo);
	tree = NULL;
	repo = NULL;
	return chdir("/") || scratch_teardown(state);
}

static struct index *load(void)
{
	autoerr struct err e = ERR_INIT;
	struct index *x = NULL;

	if (index_load(&x, repo, tree, 0, &e))
		fail_msg("%s", e.msg);
	return x;
}

static void outputs_are_found_by_path_and_by_what_lies_below(void **state UNUSED)
{
	struct index *x;

	put_stage("a.dvc", NULL, "a");
	put_stage("s/b.dvc", NULL, "b");
	x = load();
	assert_int_equal(x->n, 2);
	assert_string_equal(index_out_of(x, "s/b/c/d")->path, "s/b");
	assert_null(index_out_of(x, "s/bc"));
	assert_null(index_out_at(x, "s/b/c"));
	assert_string_equal(index_stage(x, "s/b.dvc", NULL)->file, "s/b.dvc");
	assert_null(index_stage(x, "b.dvc", NULL));
	index_free(x);
}

static void a_broken_file_fails_the_load_unless_it_may_be_passed_over(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct index *x = NULL;

	put_stage("a.dvc", NULL, "a");
	put("b.dvc", "outs: [\n");
	assert_int_equal(index_load(&x, repo, tree, 0, &e), -1);
	assert_true(e.report);
	err_release(&e);
	assert_int_equal(index_load(&x, repo, tree, INDEX_SKIP_BROKEN, &e), 0);
	assert_int_equal(x->n, 1);
	index_free(x);
}

static void graph_says(const char *want)
{
	autoerr struct err e = ERR_INIT;
	struct index *x = load();

	if (!want)
		assert_int_equal(index_check_graph(x, &e), 0);
	else if (!index_check_graph(x, &e) || !strstr(e.msg, want))
		fail_msg("got: %s\nwant: %s", e.msg ? e.msg : "nothing", want);
	index_free(x);
}

static void the_same_output_twice_is_refused(void **state UNUSED)
{
	put_stage("a.dvc", NULL, "x");
	graph_says(NULL);
	put_stage("b.dvc", NULL, "x");
	graph_says("output 'x' is specified in:\n\t- ");
}

static void an_output_inside_another_is_refused(void **state UNUSED)
{
	put_stage("a.dvc", NULL, "d");
	put_stage("b.dvc", NULL, "d/e/f");
	graph_says("The output paths:\n'd'('a.dvc')\n'd/e/f'('b.dvc')\noverlap");
	put_stage("a.dvc", NULL, "d/e/f/g");
	graph_says("'d/e/f'('b.dvc')\n'd/e/f/g'('a.dvc')");
}

static void a_cycle_is_refused(void **state UNUSED)
{
	put_stage("a.dvc", "c", "a");
	put_stage("b.dvc", "a", "b");
	graph_says(NULL);
	put_stage("c.dvc", "b", "c");
	graph_says("Same item(s) are defined as both a dependency and an output in stages: ");
}

static size_t number_of(const struct index *x, const char *file)
{
	for (size_t i = 0; i < x->n; i++)
		if (!strcmp(x->v[i]->file, file))
			return i;
	fail_msg("%s is not there", file);
	return 0;
}

static void dependencies_come_first(void **state UNUSED)
{
	struct index_graph g;
	struct index *x;
	size_t order[3];

	put_stage("a.dvc", "b/in", "a");
	put_stage("b.dvc", "c", "b");
	put_stage("c.dvc", NULL, "c/deep");
	x = load();
	index_graph_build(&g, x);
	assert_int_equal(index_graph_postorder(&g, number_of(x, "a.dvc"), order), 3);
	assert_string_equal(x->v[order[0]]->file, "c.dvc");
	assert_string_equal(x->v[order[1]]->file, "b.dvc");
	assert_string_equal(x->v[order[2]]->file, "a.dvc");
	assert_int_equal(index_graph_postorder(&g, number_of(x, "b.dvc"), order), 2);
	index_graph_release(&g);
	index_free(x);
}

static int resolve(struct index *x, const char *name, unsigned flags, struct targets *t, struct err *e)
{
	autostrvec struct strvec names = STRVEC_INIT;

	strvec_push(&names, name);
	return index_targets(x, &names, flags, t, e);
}

static void targets_are_stage_files_outputs_or_parts_of_them(void **state UNUSED)
{
	struct index *x = index_new(repo, tree);
	struct targets t = { NULL, 0, 0 };
	autoerr struct err e = ERR_INIT;

	put_stage("a.dvc", NULL, "a");
	put_stage("s/b.dvc", NULL, "b");
	put("broken.dvc", "outs: [\n");
	assert_int_equal(resolve(x, "a.dvc", 0, &t, &e), 0);
	assert_int_equal(x->n, 1);              /* X3 */
	assert_null(t.v[0].out);
	put("broken.dvc", "");
	assert_int_equal(resolve(x, "s/b/in/side", 0, &t, &e), 0);
	assert_string_equal(t.v[1].inside, "in/side");
	assert_string_equal(t.v[1].out->path, "s/b");
	assert_ptr_equal(t.v[0].stage, index_stage(x, "a.dvc", NULL));
	assert_int_equal(resolve(x, "s", TARGET_RECURSIVE, &t, &e), 0);
	assert_int_equal(t.n, 3);
	assert_int_equal(resolve(x, "nope", 0, &t, &e), -1);
	assert_string_equal(e.msg, "'nope' does not exist as an output or a stage name in 'dvc.yaml': 'dvc.yaml' does not exist");
	err_release(&e);
	assert_int_equal(resolve(x, "nope", TARGET_SKIP_MISSING, &t, &e), 0);
	assert_int_equal(t.n, 3);
	targets_release(&t);
	index_free(x);
}

static void with_deps_brings_what_a_target_needs(void **state UNUSED)
{
	struct index *x = index_new(repo, tree);
	struct targets t = { NULL, 0, 0 };
	autoerr struct err e = ERR_INIT;

	put_stage("a.dvc", "b", "a");
	put_stage("b.dvc", NULL, "b");
	put_stage("c.dvc", NULL, "c");
	assert_int_equal(resolve(x, "a.dvc", TARGET_WITH_DEPS, &t, &e), 0);
	assert_int_equal(t.n, 2);
	assert_string_equal(t.v[0].stage->file, "b.dvc");
	assert_string_equal(t.v[1].stage->file, "a.dvc");
	targets_release(&t);
	index_free(x);
}

static void parts(const char *target, const char *file, const char *name)
{
	autoerr struct err e = ERR_INIT;
	autofree char *f = NULL, *n = NULL;

	assert_int_equal(target_parse(target, &f, &n, &e), 0);
	if (file)
		assert_string_equal(f, file);
	else
		assert_null(f);
	if (name)
		assert_string_equal(n, name);
	else
		assert_null(n);
}

static void a_target_is_cut_as_dvc_cuts_it(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autofree char *f = NULL, *n = NULL;

	parts("train", NULL, "train");
	parts("train@a:b", NULL, "train@a:b");
	parts("x.dvc", "x.dvc", NULL);
	parts("a@b.dvc", "a@b.dvc", NULL);
	parts("sub/dvc.yaml", "sub/dvc.yaml", NULL);
	parts("sub/dvc.yaml:train@a", "sub/dvc.yaml", "train@a");
	parts(":train", "dvc.yaml", "train");
	parts("a:b/c", NULL, "a:b/c");
	parts("a:b", "a", "b");
	assert_int_equal(target_parse("s/dvc.lock", &f, &n, &e), -1);
	assert_string_equal(e.msg, "Did you mean: `s/dvc.yaml`?");
}

static void pointers_cannot_claim_the_repositorys_own_parts(void **state UNUSED)
{
	static const char *const bad[] = { ".git/hooks/x", ".dvc/config", ".GIT/x", "s/.Dvc/x", ".", "y.dvc", "s/dvc.yaml" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		autoerr struct err e = ERR_INIT;
		struct index *x = NULL;

		put_stage("a.dvc", NULL, bad[i]);
		assert_int_equal(index_load(&x, repo, tree, 0, &e), -1);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(outputs_are_found_by_path_and_by_what_lies_below),
		T(a_broken_file_fails_the_load_unless_it_may_be_passed_over),
		T(the_same_output_twice_is_refused),
		T(an_output_inside_another_is_refused),
		T(a_cycle_is_refused),
		T(dependencies_come_first),
		T(targets_are_stage_files_outputs_or_parts_of_them),
		T(with_deps_brings_what_a_target_needs),
		cmocka_unit_test(a_target_is_cut_as_dvc_cuts_it),
		T(pointers_cannot_claim_the_repositorys_own_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

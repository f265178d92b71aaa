/* srctree: the work tree and a commit answer alike, and leave out what is ignored. */
#include "core/repo/srctree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/repo/repo.h"
#include "tests/unit/scratch.h"
#include "tests/unit/gitfixture.h"

static struct repo *repo;

static int setup(void **state)
{
	autoerr struct err e = ERR_INIT;
	int rc = scratch_setup(state);

	setenv("HOME", scratch, 1);
	setenv("DVC_GLOBAL_CONFIG_DIR", in_scratch("global"), 1);
	setenv("DVC_SYSTEM_CONFIG_DIR", in_scratch("system"), 1);
	put_text("g/sub/.dvc/config", "");
	put_text("g/sub/.dvcignore", "skipped\n");
	put_text("g/sub/.gitignore", "gone/\nhidden.dvc\n");
	put_text("g/sub/a.dvc", "outs:\n- path: a\n");
	put_text("g/sub/dvc.yaml", "stages: {}\n");
	put_text("g/sub/data/inner.dvc", "");
	put_text("g/sub/deep/er/b.dvc", "");
	put_text("g/sub/skipped/c.dvc", "");
	put_text("g/sub/gone/d.dvc", "");
	put_text("g/sub/hidden.dvc", "");
	put_text("g/sub/nested/.dvc/config", "");
	put_text("g/sub/nested/e.dvc", "");
	put_text("g/outside.dvc", "");
	git_here("g", "git init -q -b main && git add -f . && git commit -qm 1");
	put_text("g/sub/new.dvc", "later");
	return rc || repo_open(&repo, in_scratch("g/sub/deep"), &e);
}

static int teardown(void **state)
{
	repo_close(repo);
	return scratch_teardown(state);
}

static int note(const char *rel, void *data, struct err *e UNUSED)
{
	strvec_push(data, rel);
	return 0;
}

static bool prune(const char *rel, void *data UNUSED)
{
	return !strcmp(rel, "data");
}

static void found(struct srctree *t, const char *under, const char *want)
{
	autoerr struct err e = ERR_INIT;
	autostrvec struct strvec v = STRVEC_INIT;
	autofree char *all = NULL;

	if (srctree_find_stages(t, under, note, prune, &v, &e))
		fail_msg("%s", e.msg);
	strvec_sort(&v);
	all = strvec_join(&v, " ");
	assert_string_equal(all, want);
}

static void the_repository_is_found_from_below(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autofree char *rel = NULL, *shown = NULL;

	assert_string_equal(repo->root, in_scratch("g/sub"));
	assert_string_equal(repo->scm_root, in_scratch("g"));
	rel = repo_rel(repo, in_scratch("g/sub/x/../y"), &e);
	assert_string_equal(rel, "y");
	assert_null(repo_rel(repo, in_scratch("g/z"), &e));
	assert_int_equal(e.code, ERR_UNSAFE);
}

static void the_work_tree_leaves_out_what_is_ignored(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autostr struct str s = STR_INIT;
	struct srctree *t;

	assert_int_equal(srctree_workspace(&t, repo, &e), 0);
	found(t, "", "a.dvc deep/er/b.dvc dvc.yaml new.dvc");
	found(t, "deep", "deep/er/b.dvc");
	assert_int_equal(srctree_read(t, "new.dvc", 100, &s, &e), 0);
	assert_string_equal(s.buf, "later");
	assert_true(srctree_is_dir(t, "deep"));
	assert_true(srctree_is_file(t, "deep/er/b.dvc"));
	assert_true(srctree_is_workspace(t));
	srctree_close(t);
}

static void a_commit_answers_alike(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autostr struct str s = STR_INIT;
	struct srctree *t;

	assert_int_equal(srctree_rev(&t, repo, "HEAD", &e), 0);
	found(t, "", "a.dvc deep/er/b.dvc dvc.yaml gone/d.dvc hidden.dvc");     /* git's rules are not asked in a commit */
	assert_int_equal(srctree_read(t, "a.dvc", 100, &s, &e), 0);
	assert_string_equal(s.buf, "outs:\n- path: a\n");
	assert_false(srctree_is_file(t, "new.dvc"));
	assert_true(srctree_is_dir(t, ""));
	assert_true(srctree_is_ignored(t, "skipped", true));
	assert_int_equal(strlen(srctree_rev_name(t)), 40);
	srctree_close(t);
	assert_int_equal(srctree_rev(&t, repo, "nope", &e), -1);
	assert_string_equal(e.msg, "unknown Git revision 'nope'");
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(the_repository_is_found_from_below),
		cmocka_unit_test(the_work_tree_leaves_out_what_is_ignored),
		cmocka_unit_test(a_commit_answers_alike),
	};

	return cmocka_run_group_tests(t, setup, teardown);
}

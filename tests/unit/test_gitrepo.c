/* gitrepo: revisions as DVC resolves them, trees, the index. */
#include "core/repo/gitrepo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/scratch.h"
#include "tests/unit/gitfixture.h"

static struct gitrepo *git;

static int setup(void **state)
{
	autoerr struct err e = ERR_INIT;
	int rc = scratch_setup(state);

	setenv("HOME", scratch, 1);
	put_text("g/a", "one\n");
	put_text("g/d/x", "x\n");
	git_here("g", "git init -q -b main && chmod +x a && git add . && git commit -qm 1 && git tag v1 && git tag -a -m t ann && "
		 "echo two > a && ln -s a link && git add . && git commit -qm 2 && git checkout -q -b side HEAD~1 && "
		 "echo 3 > c && git add c && git commit -qm 3 && git checkout -q main && "
		 "git update-ref refs/exps/aa/bb/brave-name side && git update-ref refs/remotes/origin/far side && "
		 "git remote add origin /nowhere");
	return rc || gitrepo_open(&git, in_scratch("g"), &e);
}

static int teardown(void **state)
{
	gitrepo_close(git);
	return scratch_teardown(state);
}

static void same_commit(const char *a, const char *b)
{
	autoerr struct err e = ERR_INIT;
	char x[41], y[41];

	if (gitrepo_resolve(git, a, x, &e) || gitrepo_resolve(git, b, y, &e))
		fail_msg("%s", e.msg);
	assert_string_equal(x, y);
}

static void revisions_resolve_as_dvc_does(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	char sha[41];
	autofree char *brief = NULL;

	same_commit("HEAD", "main");
	same_commit("HEAD~1", "v1");
	same_commit("ann", "v1");
	same_commit("far", "side");
	same_commit("brave-name", "side");
	assert_int_equal(gitrepo_resolve(git, "main", sha, &e), 0);
	brief = xstrndup(sha, 8);
	same_commit(brief, "main");
	assert_int_equal(gitrepo_resolve(git, "no/such", sha, &e), -1);
	assert_string_equal(e.msg, "unknown Git revision 'no/such'");
	err_release(&e);
	assert_int_equal(gitrepo_resolve(git, "main~7", sha, &e), -1);
}

static void branches_tags_and_commits_are_listed(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct git_refs r = { 0 };

	assert_int_equal(gitrepo_branches(git, &r, &e), 0);
	assert_int_equal(r.n, 2);
	assert_string_equal(r.v[0].name, "main");
	assert_string_equal(r.v[1].name, "side");
	git_refs_release(&r);
	assert_int_equal(gitrepo_tags(git, &r, &e), 0);
	assert_int_equal(r.n, 2);
	assert_string_equal(r.v[0].name, "ann");
	git_refs_release(&r);
	assert_int_equal(gitrepo_all_commits(git, &r, &e), 0);
	assert_int_equal(r.n, 3);
	git_refs_release(&r);
	assert_int_equal(gitrepo_history(git, "main", -1, 0, &r, &e), 0);
	assert_int_equal(r.n, 2);
	assert_string_equal(r.v[0].name, "main");
	git_refs_release(&r);
	assert_int_equal(gitrepo_history(git, "main", 1, 0, &r, &e), 0);
	assert_int_equal(r.n, 1);
	git_refs_release(&r);
	assert_true(gitrepo_has_commits(git));
}

struct seen { struct strvec names; };

static int note(const char *rel, int kind, void *data, struct err *e UNUSED)
{
	struct seen *s = data;

	strvec_pushf(&s->names, "%d %s", kind, rel);
	return 0;
}

/* What gc -a, -A or -n keep would be less by what cannot be read: it is an error, never a shorter list. */
static void a_history_that_cannot_be_read_is_no_shorter_one(void **state UNUSED)
{
	static const char *const harm[] = {
		"rm -f .git/objects/$(git rev-parse HEAD~1 | sed 's,..,&/,')", ": >.git/refs/heads/other",
		"rm -f .git/objects/$(git rev-parse other | sed 's,..,&/,')", "echo nonsense >.git/refs/tags/light",
		"echo nonsense >.git/HEAD",
	};
	struct git_refs r = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(harm); i++) {
		autofree char *name = xasprintf("harm%zu", i), *file = xasprintf("%s/f", name);
		autoerr struct err e = ERR_INIT;
		struct gitrepo *g;
		bool branch = i == 1 || i == 2, tag = !i || i == 3;

		put_text(file, "x\n");
		git_here(name, "git init -q -b main && git add . && git commit -qm 1 && git tag light && git commit -qm 2 --allow-empty && "
			 "git branch sym && git checkout -q -b other && git commit -qm 3 --allow-empty && git checkout -q main && "
			 "git tag blob $(git hash-object -w f) && git symbolic-ref refs/remotes/origin/HEAD refs/remotes/origin/gone");
		assert_int_equal(gitrepo_open(&g, in_scratch(name), &e), 0);
		assert_int_equal(gitrepo_all_commits(g, &r, &e), 0);
		assert_int_equal(r.n, 3);
		git_refs_release(&r);
		gitrepo_close(g);
		git_here(name, harm[i]);
		assert_int_equal(gitrepo_open(&g, in_scratch(name), &e), 0);
		assert_int_equal(gitrepo_all_commits(g, &r, &e), -1);
		git_refs_release(&r);
		err_release(&e);
		assert_int_equal(gitrepo_branches(g, &r, &e), branch ? -1 : 0);
		git_refs_release(&r);
		err_release(&e);
		assert_int_equal(gitrepo_tags(g, &r, &e), tag ? -1 : 0);
		git_refs_release(&r);
		err_release(&e);
		assert_int_equal(gitrepo_history(g, "main", 5, 0, &r, &e), i ? 0 : -1);
		git_refs_release(&r);
		gitrepo_close(g);
	}
}

static void a_shallow_history_ends_where_it_says(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct git_refs r = { 0 };
	struct gitrepo *g;

	git_here("", "git clone -q --depth 1 --no-single-branch file://$PWD/g shallow");
	assert_int_equal(gitrepo_open(&g, in_scratch("shallow"), &e), 0);
	if (gitrepo_all_commits(g, &r, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(r.n, 3);       /* main, side, v1 */
	git_refs_release(&r);
	assert_int_equal(gitrepo_history(g, "HEAD", 9, 0, &r, &e), 0);
	assert_int_equal(r.n, 1);
	git_refs_release(&r);
	gitrepo_close(g);
}

static void commits_come_youngest_first(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autostr struct str times = STR_INIT;
	struct git_refs r = { 0 };
	struct gitrepo *g;

	put_text("times/f", "x\n");
	git_here("times", "git init -q -b main; for t in 5 9 2 8 1 7 3 6 4; do "
		 "git checkout -q --orphan b$t; GIT_COMMITTER_DATE=\"@10000000$t +0000\" git commit -q --allow-empty -m $t; done");
	assert_int_equal(gitrepo_open(&g, in_scratch("times"), &e), 0);
	assert_int_equal(gitrepo_all_commits(g, &r, &e), 0);
	for (size_t i = 0; i < r.n; i++)
		str_addf(&times, "%d", (int)(gitrepo_commit_time(g, r.v[i].sha) % 10));
	assert_string_equal(str_cstr(&times), "987654321");
	git_refs_release(&r);
	gitrepo_close(g);
}

static void a_directory_that_is_missing_is_not_absent(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autostr struct str s = STR_INIT;
	struct seen none = { STRVEC_INIT };
	struct gitrepo *g;
	struct gittree *t;
	char sha[41];

	put_text("deep/a/b/f", "x\n");
	git_here("deep", "git init -q -b main && git add . && git commit -qm 1 && "
		 "rm -f .git/objects/$(git rev-parse HEAD:a | sed 's,..,&/,')");
	assert_int_equal(gitrepo_open(&g, in_scratch("deep"), &e), 0);
	assert_int_equal(gitrepo_resolve(g, "HEAD", sha, &e), 0);
	assert_int_equal(gittree_open(&t, g, sha, &e), 0);
	assert_int_equal(gittree_kind(t, "a/b", NULL, NULL), -1);
	assert_int_equal(gittree_kind(t, "c/b", NULL, NULL), 0);
	assert_int_equal(gittree_walk(t, "a/b", note, &none, &e), -1);
	err_release(&e);
	assert_int_equal(gittree_read(t, "a/b/f", 9, &s, &e), -1);
	assert_int_equal(e.code, ERR_FAIL);
	gittree_close(t);
	gitrepo_close(g);
}

static void trees_are_read_without_a_checkout(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autostr struct str s = STR_INIT;
	struct seen seen = { STRVEC_INIT };
	autofree char *all = NULL;
	struct gittree *t;
	bool exec = false;
	uint64_t size;
	char sha[41];

	assert_int_equal(gitrepo_resolve(git, "v1", sha, &e), 0);
	assert_int_equal(gittree_open(&t, git, sha, &e), 0);
	assert_int_equal(gittree_read(t, "a", 100, &s, &e), 0);
	assert_string_equal(s.buf, "one\n");
	assert_int_equal(gittree_read(t, "d", 100, &s, &e), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);
	err_release(&e);
	assert_int_equal(gittree_read(t, "a", 2, &s, &e), -1);
	assert_int_equal(e.code, ERR_PARSE);
	assert_int_equal(gittree_kind(t, "a", &exec, &size), 1);
	assert_true(exec);
	assert_int_equal(size, 4);
	assert_int_equal(gittree_kind(t, "d", NULL, NULL), 2);
	assert_int_equal(gittree_kind(t, "link", NULL, NULL), 0);
	gittree_close(t);
	err_release(&e);
	assert_int_equal(gitrepo_resolve(git, "main", sha, &e), 0);
	assert_int_equal(gittree_open(&t, git, sha, &e), 0);
	assert_int_equal(gittree_walk(t, "", note, &seen, &e), 0);
	all = strvec_join(&seen.names, ",");
	assert_string_equal(all, "1 a,2 d,1 d/x,3 link");
	gittree_close(t);
	strvec_release(&seen.names);
}

static void the_index_is_asked_and_written(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	autostrvec struct strvec files = STRVEC_INIT, untracked = STRVEC_INIT;
	bool is;

	assert_int_equal(gitrepo_is_tracked(git, in_scratch("g/d"), &is, &e), 0);
	assert_true(is);
	put_text("g/new/file", "n\n");
	put_text("g/.gitignore", "*.o\n");
	assert_int_equal(gitrepo_is_tracked(git, in_scratch("g/new/file"), &is, &e), 0);
	assert_false(is);
	assert_true(gitrepo_is_ignored(git, in_scratch("g/x.o"), false));
	assert_int_equal(gitrepo_untracked(git, false, &untracked, &e), 0);
	assert_true(strvec_has(&untracked, "new/file"));
	assert_false(gitrepo_is_dirty(git));
	strvec_push(&files, in_scratch("g/new/file"));
	assert_int_equal(gitrepo_stage(git, &files, &e), 0);
	assert_int_equal(gitrepo_is_tracked(git, in_scratch("g/new/file"), &is, &e), 0);
	assert_true(is);
	git_here("g", "test \"$(git diff --cached --name-only)\" = new/file");
	assert_true(gitrepo_is_dirty(git));
}

static void the_root_is_found_without_the_library(void **state UNUSED)
{
	autofree char *root = git_find_root(in_scratch("g/d")), *dir = NULL, *none = NULL, *tree = NULL, *treedir = NULL;

	assert_string_equal(root, in_scratch("g"));
	dir = git_find_dir(root);
	assert_string_equal(dir, in_scratch("g/.git"));
	none = git_find_root(in_scratch("."));
	if (none)
		assert_string_not_equal(none, in_scratch("."));
	git_here("g", "git worktree add -q ../wt side");
	tree = git_find_root(in_scratch("wt"));
	assert_string_equal(tree, in_scratch("wt"));
	treedir = git_find_dir(tree);
	assert_string_equal(treedir, in_scratch("g/.git/worktrees/wt"));
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(revisions_resolve_as_dvc_does),
		cmocka_unit_test(branches_tags_and_commits_are_listed),
		cmocka_unit_test(a_history_that_cannot_be_read_is_no_shorter_one),
		cmocka_unit_test(a_shallow_history_ends_where_it_says),
		cmocka_unit_test(commits_come_youngest_first),
		cmocka_unit_test(a_directory_that_is_missing_is_not_absent),
		cmocka_unit_test(trees_are_read_without_a_checkout),
		cmocka_unit_test(the_index_is_asked_and_written),
		cmocka_unit_test(the_root_is_found_without_the_library),
	};

	return cmocka_run_group_tests(t, setup, teardown);
}

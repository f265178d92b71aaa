/* stage: hashes, paths against wdir and root, names as people see them. */
#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/stage/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define FILE_ID "b1946ac92492d2347c6235b4d2611184"

static void a_hash_is_equal_only_with_its_name(void **state UNUSED)
{
	struct hashinfo a = { NULL, NULL }, b = { NULL, NULL };
	struct oid id, real;

	assert_true(hashinfo_eq(&a, &b));
	hashinfo_set(&a, "md5", FILE_ID);
	assert_false(hashinfo_eq(&a, &b));
	hashinfo_set(&b, "md5-dos2unix", FILE_ID);
	assert_false(hashinfo_eq(&a, &b));
	assert_true(hashinfo_is_legacy(&b));
	assert_true(hashinfo_oid(&b, &id));
	hashinfo_set(&b, "etag", FILE_ID);
	assert_false(hashinfo_oid(&b, &id));
	hashinfo_set(&a, "md5", FILE_ID ".dir");
	assert_true(hashinfo_is_dir(&a));
	assert_true(hashinfo_oid(&a, &id) && id.is_dir);
	hashinfo_set(&a, "md5", "abcd");        /* any text is a digest, of nothing that exists */
	assert_true(hashinfo_oid(&a, &id) && !id.is_dir);
	md5_once("abcd", 4, real.md5);
	assert_memory_not_equal(id.md5, real.md5, sizeof(real.md5));
	hashinfo_set(&a, "md5", "");
	assert_null(a.value);
	hashinfo_set(&a, NULL, NULL);
	hashinfo_set(&b, NULL, NULL);
}

static void paths_are_relative_to_wdir_and_stay_inside(void **state UNUSED)
{
	struct stage *s = stage_new(STAGE_SINGLE, "sub/x.dvc", NULL);

	assert_string_equal(s->wdir, "sub");
	assert_string_equal(stage_add_out(s, "x")->path, "sub/x");
	assert_string_equal(stage_add_out(s, "../y/")->path, "y");
	assert_true(s->outs[1]->trailing_slash);
	assert_null(stage_add_out(s, "../../z")->path);
	assert_null(stage_add_out(s, "/abs")->path);
	assert_string_equal(stage_add_out(s, "..")->path, "");
	assert_int_equal(stage_add_dep(s, "s3://b/k", DEP_PATH)->kind, DEP_URL);
	assert_string_equal(s->deps[0]->hash.name, "etag");
	assert_string_equal(stage_add_dep(s, "https://h/k", DEP_PATH)->hash.name, "checksum");
	stage_set_wdir(s, "../other");
	assert_string_equal(s->wdir, "other");
	assert_string_equal(stage_add_out(s, "x")->path, "other/x");
	stage_set_wdir(s, "..");
	assert_string_equal(s->wdir, "");
	stage_free(s);
}

static void an_absolute_path_below_the_root_becomes_relative(void **state UNUSED)
{
	struct stage *s = stage_new(STAGE_SINGLE, "sub/x.dvc", NULL);

	stage_add_out(s, "/r/data/x");
	stage_add_out(s, "/elsewhere");
	stage_localise(s, "/r");
	assert_string_equal(s->outs[0]->def, "../data/x");
	assert_string_equal(s->outs[0]->path, "data/x");
	assert_string_equal(s->outs[1]->def, "/elsewhere");
	stage_free(s);
}

static void show(const struct item *i, const char *cwd, const char *want)
{
	autofree char *got = item_show(i, cwd);

	assert_string_equal(got, want);
}

static void people_see_paths_from_where_they_are(void **state UNUSED)
{
	struct stage *s = stage_new(STAGE_PIPELINE, "sub/dvc.yaml", "train@a");
	autofree char *here = NULL, *there = NULL, *abs = NULL;

	stage_add_out(s, "m");
	stage_add_dep(s, "../../out", DEP_PATH);
	show(s->outs[0], "", "sub/m");
	show(s->outs[0], "sub", "m");
	show(s->outs[0], "sub/deep", "../m");
	show(s->deps[0], "", "../../out");
	stage_localise(s, "/r");
	show(s->deps[0], "", "/out");
	abs = item_abs(s->deps[0], "/r");
	assert_string_equal(abs, "/out");
	here = stage_addressing(s, "sub");
	there = stage_addressing(s, "");
	assert_string_equal(here, "train@a");
	assert_string_equal(there, "sub/dvc.yaml:train@a");
	stage_free(s);
}

static void urls_and_what_they_hash_by(void **state UNUSED)
{
	assert_true(path_is_url("s3://b"));
	assert_true(path_is_url("remote://x/y"));
	assert_false(path_is_url("a/b://c"));
	assert_false(path_is_url("://x"));
	assert_false(path_is_url("c:\\x"));
	assert_string_equal(hash_name_of_url("ssh://h/p"), "md5");
	assert_string_equal(hash_name_of_url("azure://c/p"), "etag");
	assert_string_equal(hash_name_of_url("webhdfs://h/p"), "checksum");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hash_is_equal_only_with_its_name),
		cmocka_unit_test(paths_are_relative_to_wdir_and_stay_inside),
		cmocka_unit_test(an_absolute_path_below_the_root_becomes_relative),
		cmocka_unit_test(people_see_paths_from_where_they_are),
		cmocka_unit_test(urls_and_what_they_hash_by),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

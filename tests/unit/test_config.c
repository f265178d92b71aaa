/* config: ConfigObj's dialect, four levels, edits that leave the rest alone, words of refusal. */
#include "core/repo/config.h"
#include "core/repo/configobj.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/scratch.h"

static struct config *config;

static struct config *opened(const char *repo, const char *local)
{
	autoerr struct err e = ERR_INIT;

	config_close(config);
	config = NULL;
	put_text("p/.dvc/config", repo);
	if (local)
		put_text("p/.dvc/config.local", local);
	else
		unlink(in_scratch("p/.dvc/config.local"));
	if (config_open(&config, in_scratch("p/.dvc"), &e))
		fail_msg("%s", e.msg);
	return config;
}

static int setup(void **state)
{
	int rc = scratch_setup(state);

	setenv("DVC_GLOBAL_CONFIG_DIR", in_scratch("global"), 1);
	setenv("DVC_SYSTEM_CONFIG_DIR", in_scratch("system"), 1);
	setenv("XDG_CONFIG_HOME", in_scratch("xdg"), 1);
	setenv("XDG_CONFIG_DIRS", in_scratch("xdgs"), 1);
	return rc;
}

static int teardown(void **state)
{
	config_close(config);
	return scratch_teardown(state);
}

static void refused(const char *text, const char *words)
{
	autoerr struct err e = ERR_INIT;
	struct cobj o;

	assert_int_equal(cobj_parse(&o, text, strlen(text), &e), -1);
	if (!strstr(e.msg, words))
		fail_msg("'%s' lacks '%s'", e.msg, words);
	assert_int_equal(e.code, ERR_CONFIG);
}

static void invalid(const char *text, const char *words)
{
	autoerr struct err e = ERR_INIT;

	assert_int_equal(config_validate(opened(text, NULL), &e), -1);
	assert_int_equal(e.code, ERR_CONFIG);
	if (!str_ends(e.msg, words))
		fail_msg("'%s' is not '%s'", e.msg, words);
}

static void one_value(const char *line, const char *value)
{
	autofree char *text = xasprintf("[core]\n%s\n", line);

	assert_string_equal(config_get(opened(text, NULL), "core", "remote"), value);
}

static void values_are_read_as_configobj_reads_them(void **state UNUSED)
{
	autostrvec struct strvec list = STRVEC_INIT;

	one_value("remote = x # c", "x");
	one_value("remote = a#b", "a");
	one_value("remote = \"a#b\" # c", "a#b");
	one_value("remote = 'a, b'", "a, b");
	one_value("remote = a'b", "a'b");
	one_value("remote = a \"b\"", "a \"b\"");
	one_value("remote =", "");
	one_value("\tremote=x=y", "x=y");
	one_value("'remote' = 1", "1");
	one_value("remote = '''a''' # x", "a");
	one_value("remote = '''a\nb'''", "a\nb");
	one_value("REMOTE = x", "x");
	one_value("site_cache_dir = q\nremote = %(site_cache_dir)s%z", "q%z");
	config_list(opened("[cache]\ntype = reflink, 'copy' , x\n", NULL), "cache", "type", &list);
	assert_int_equal(list.n, 3);
	assert_string_equal(list.v[1], "copy");
}

static void section_names_have_many_spellings(void **state UNUSED)
{
	static const char *const heads[] = { "['remote \"R\"']", "[remote \"r\"]", "[ remote  \"r\" ]  # c", "[remote\"r\"]" };

	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		autofree char *text = xasprintf("%s\nurl = s3://b/k\n", heads[i]);

		assert_string_equal(config_get(opened(text, NULL), "remote \"r\"", "url"), "s3://b/k");
		assert_true(config_has_remote(config, "r"));
	}
}

static void bad_text_is_refused_in_configobjs_words(void **state UNUSED)
{
	refused("[core]\nfoo\n", "Invalid line ('foo') (matched as neither section nor keyword) at line 2.");
	refused("[core\n", "at line 1.");
	refused("[core]\na=1\na=2\n", "Duplicate keyword name at line 3.");
	refused("[core]\n[core]\n", "Duplicate section name at line 2.");
	refused("[core]]\n", "Cannot compute the section depth at line 1.");
	refused("[[core]]\n", "Section too nested at line 1.");
	refused("a\nb\n", "Parsing failed with several errors.\nFirst error at line 1.");
	refused("[core]\nx = 'a\n", "Parse error in value at line 2.");
	refused("[core]\nx = '''a\n", "line 2");
	refused("[core]\nx = \xff\n", "can't decode byte 0xff in position 11: invalid start byte");
}

static void a_secret_is_not_repeated(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct cobj o;
	const char *text = "[core]\npassword: hunter2\n";

	assert_int_equal(cobj_parse(&o, text, strlen(text), &e), -1);
	assert_null(strstr(e.msg, "hunter2"));
}

static void the_schema_speaks_as_dvcs(void **state UNUSED)
{
	invalid("[core]\nx = 1\n", "config file error: extra keys not allowed @ data['core']['x']");
	invalid("[foo]\nx = 1\n", "extra keys not allowed @ data['foo']");
	invalid("[core]\nautostage = yes\n", "expected true or false for dictionary value @ data['core']['autostage']");
	invalid("[core]\nchecksum_jobs = 0\n", "value must be at least 1 for dictionary value @ data['core']['checksum_jobs']");
	invalid("[cache]\ntype = foo,bar\n", "Unsupported cache type(s): foo, bar for dictionary value @ data['cache']['type']");
	invalid("['remote \"r\"']\njobs = 3\n", "expected 'url' for dictionary value @ data['remote']['r']");
	invalid("['remote \"r\"']\nurl = ftp://x/y\n", "Unsupported URL type ftp:// for dictionary value @ data['remote']['r']");
	invalid("['remote \"r\"']\nurl = /x\nregion = 1\n", "extra keys not allowed @ data['remote']['r']['region']");
	invalid("['remote \"r\"']\nurl = http://h/x\nauth = z\n",
		"expected one of basic, digest, custom for dictionary value @ data['remote']['r']['auth']");
	invalid("[cache]\nfoo=1\n[core]\nbar=2\n", "data['core']['bar']");
}

static void stronger_levels_win(void **state UNUSED)
{
	put_text("global/config", "[core]\nremote = g\nanalytics = false\n");
	opened("[core]\nremote = r\n", "[core]\nremote = l\n");
	assert_string_equal(config_get(config, "core", "remote"), "l");
	assert_string_equal(config_get_at(config, CONFIG_REPO, "core", "remote"), "r");
	assert_false(config_bool(config, "core", "analytics", true));
	unlink(in_scratch("global/config"));
}

static void paths_are_relative_to_their_file(void **state UNUSED)
{
	autofree char *a = NULL, *b = NULL, *c = NULL;

	setenv("HOME", "/home/u", 1);
	opened("[cache]\ndir = ../c\n['remote \"r\"']\nurl = s3://b/k\nkeyfile = ~/key\n", NULL);
	a = config_path(config, "cache", "dir");
	b = config_path(config, "remote \"r\"", "url");
	c = config_path(config, "remote \"r\"", "keyfile");
	assert_string_equal(a, in_scratch("p/c"));
	assert_string_equal(b, "s3://b/k");
	assert_string_equal(c, "/home/u/key");
}

static void an_edit_leaves_comments_and_order_alone(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;

	opened("# head\n['remote \"a\"'] # main\n\turl = s3://b/k  # where\n\n# tail of a\n[core]\n    remote = a\n# end\n", NULL);
	assert_int_equal(config_set(config, CONFIG_REPO, "remote \"a\"", "url", "s3://c/k", &e), 0);
	assert_int_equal(config_set(config, CONFIG_REPO, "core", "autostage", "true", &e), 0);
	assert_int_equal(config_save(config, CONFIG_REPO, &e), 0);
	assert_file("p/.dvc/config", "# head\n['remote \"a\"'] # main\n\turl = s3://c/k # where\n\n# tail of a\n[core]\n"
		    "    remote = a\n    autostage = true\n# end\n");
}

static void a_fresh_file_is_dvcs(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;

	opened("", NULL);
	assert_int_equal(config_set(config, CONFIG_REPO, "remote \"b\"", "url", "s3://b/k", &e), 0);
	assert_int_equal(config_set(config, CONFIG_REPO, "core", "remote", "b", &e), 0);
	assert_int_equal(config_set(config, CONFIG_REPO, "remote \"b\"", "password", "p'#w \"x\" ,y", &e), 0);
	assert_int_equal(config_set(config, CONFIG_REPO, "cache", "type", "reflink,copy", &e), 0);
	assert_int_equal(config_unset(config, CONFIG_REPO, "remote \"b\"", "password", &e), 0);
	assert_int_equal(config_set(config, CONFIG_REPO, "remote \"b\"", "profile", "a b", &e), 0);
	assert_int_equal(config_save(config, CONFIG_REPO, &e), 0);
	assert_file("p/.dvc/config", "[core]\n    remote = b\n[cache]\n    type = \"reflink,copy\"\n['remote \"b\"']\n"
		    "    url = s3://b/k\n    profile = a b\n");
	assert_int_equal(config_unset(config, CONFIG_REPO, "core", "remote", &e), 0);
	assert_int_equal(config_unset(config, CONFIG_REPO, "cache", "type", &e), 0);
	assert_int_equal(config_unset(config, CONFIG_REPO, "remote \"b\"", NULL, &e), 0);
	assert_int_equal(config_save(config, CONFIG_REPO, &e), 0);
	assert_file("p/.dvc/config", "\n");
}

static void what_is_invalid_is_not_written(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;

	opened("[core]\n    remote = a\n", NULL);
	assert_int_equal(config_set(config, CONFIG_REPO, "core", "autostage", "maybe", &e), 0);
	assert_int_equal(config_save(config, CONFIG_REPO, &e), -1);
	assert_int_equal(e.code, ERR_CONFIG);
	assert_file("p/.dvc/config", "[core]\n    remote = a\n");
}

static void odd_values_survive_a_round_trip(void **state UNUSED)
{
	static const char *const values[] = {
		"", " x", "x ", "a,b", "a#b", "'", "\"", "it's", "'q'", "a\"b'c", "50%", "a=b", "\xc3\xa9", "[x]", "a\nb", "#", ",",
	};
	autoerr struct err e = ERR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		opened("", NULL);
		if (config_set(config, CONFIG_REPO, "core", "remote", values[i], &e))
			fail_msg("%s", e.msg);
		assert_string_equal(config_get(config, "core", "remote"), values[i]);
	}
}

static void our_own_settings_live_beside(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;

	opened("", NULL);
	assert_null(config_own(config, "core.fsync"));
	put_text("p/.dvc/git-data.conf", "; ours\n[core]\nfsync = deferred ; why\n");
	opened("", NULL);
	assert_string_equal(config_own(config, "core.fsync"), "deferred");
	assert_int_equal(config_own_set(config, CONFIG_REPO, "core.fsync", "never", &e), -1);
	err_release(&e);
	assert_int_equal(config_own_set(config, CONFIG_REPO, "core.fsync", "batch", &e), 0);
	assert_int_equal(config_own_set(config, CONFIG_REPO, "repro.jobs", "4", &e), 0);
	assert_string_equal(config_own(config, "core.fsync"), "batch");
	assert_string_equal(config_own(config, "repro.jobs"), "4");
	assert_file("p/.dvc/git-data.conf", "; ours\n[core]\nfsync = batch\n[repro]\njobs = 4\n");
	assert_int_equal(config_own_set(config, CONFIG_REPO, "no.such", "1", &e), -1);
}

static void what_runs_a_program_is_not_the_repositorys(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;

	opened("", NULL);
	put_text("p/.dvc/git-data.conf", "[core]\nfsync = batch\n[SSH]\nCommand = touch x;\n");
	opened("", NULL);
	assert_null(config_own(config, "ssh.command"));
	assert_null(config_own_at(config, CONFIG_REPO, "ssh.command"));
	assert_string_equal(config_own(config, "core.fsync"), "batch");
	assert_int_equal(config_own_set(config, CONFIG_REPO, "ssh.command", "x", &e), -1);
	assert_int_equal(config_own_set(config, CONFIG_REPO, "ssh.command", NULL, &e), 0);
	assert_file("p/.dvc/git-data.conf", "[core]\nfsync = batch\n[SSH]\n");
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(values_are_read_as_configobj_reads_them),
		cmocka_unit_test(section_names_have_many_spellings),
		cmocka_unit_test(bad_text_is_refused_in_configobjs_words),
		cmocka_unit_test(a_secret_is_not_repeated),
		cmocka_unit_test(the_schema_speaks_as_dvcs),
		cmocka_unit_test(stronger_levels_win),
		cmocka_unit_test(paths_are_relative_to_their_file),
		cmocka_unit_test(an_edit_leaves_comments_and_order_alone),
		cmocka_unit_test(a_fresh_file_is_dvcs),
		cmocka_unit_test(what_is_invalid_is_not_written),
		cmocka_unit_test(odd_values_survive_a_round_trip),
		cmocka_unit_test(our_own_settings_live_beside),
		cmocka_unit_test(what_runs_a_program_is_not_the_repositorys),
	};

	return cmocka_run_group_tests(t, setup, teardown);
}

/* store: names only for complete files (S2), modes (S3), trust (S7), power cuts (S6), listing, the 2.x digest. */
#include "core/cache/store.h"

#include "core/base/dirmark.h"
#include "core/base/hash.h"
#include "core/base/map.h"
#include "core/base/notice.h"
#include "core/cache/oid.h"
#include "core/cache/unsynced.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/scratch.h"

#include <dirent.h>

static int warnings;

static void on_notice(enum notice_level level, const char *text UNUSED, void *data UNUSED)
{
	warnings += level == NOTICE_WARN;
}

static struct store *open_store(const char *rel, struct store_conf conf)
{
	autoerr struct err e = ERR_INIT;
	autofree char *dir = xstrdup(in_scratch(rel)), *log = xasprintf("%s.unsynced", dir);
	struct store *s;

	conf.dir = dir;
	conf.unsynced_file = log;
	assert_int_equal(store_open(&s, &conf, &e), 0);
	return s;
}

static struct oid oid_of(const char *text)
{
	struct oid id = { .is_dir = 0 };

	md5_once(text, strlen(text), id.md5);
	return id;
}

static struct oid put(struct store *s, const char *text)
{
	autoerr struct err e = ERR_INIT;
	struct oid id = oid_of(text);

	assert_int_equal(store_put_bytes(s, text, strlen(text), &id, &e), 0);
	return id;
}

static int has(struct store *s, const struct oid *id)
{
	autoerr struct err e = ERR_INIT;
	int rc = store_has(s, id, NULL, &e);

	assert_true(rc >= 0);
	return rc;
}

static size_t entries(const char *rel)
{
	DIR *d = opendir(in_scratch(rel));
	struct dirent *de;
	size_t n = 0;

	while (d && (de = readdir(d)))
		n += de->d_name[0] != '.' || fs_is_temp_name(de->d_name);
	if (d)
		closedir(d);
	return n;
}

static void an_object_has_dvcs_place_and_mode(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct store *s = open_store("c1", (struct store_conf){ 0 });
	struct oid id = oid_of("hello\n");
	uint64_t size;

	assert_int_equal(has(s, &id), 0);
	assert_false(fs_exists(in_scratch("c1")));              /* a question makes nothing */
	put(s, "hello\n");
	assert_file("c1/files/md5/b1/946ac92492d2347c6235b4d2611184", "hello\n");
	assert_int_equal(mode_of("c1/files/md5/b1/946ac92492d2347c6235b4d2611184"), 0444);
	assert_int_equal(store_has(s, &id, &size, &e), 1);
	assert_int_equal(size, 6);
	put(s, "hello\n");                                      /* again: nothing happens */
	assert_int_equal(entries("c1/files/md5/b1"), 1);
	store_close(s);
	assert_int_equal(entries("c1"), 1);                     /* no temporary directory stays */
}

static void legacy_lies_at_the_root(void **state UNUSED)
{
	struct store *s = open_store("c2", (struct store_conf){ .legacy = true });

	put(s, "hello\n");
	store_close(s);
	assert_file("c2/b1/946ac92492d2347c6235b4d2611184", "hello\n");
}

static void shared_directories_are_the_groups(void **state UNUSED)
{
	struct store *s = open_store("c3", (struct store_conf){ .shared = true });

	put(s, "hello\n");
	store_close(s);
	assert_int_equal(mode_of("c3/files/md5/b1"), 02775);
	assert_int_equal(mode_of("c3/files/md5"), 02775);
	assert_int_equal(mode_of("c3"), 02775);
	assert_int_equal(mode_of("c3/files/md5/b1/946ac92492d2347c6235b4d2611184"), 0444);
}

static void a_strict_umask_does_not_hide_objects(void **state UNUSED)
{
	struct store *s = open_store("c4", (struct store_conf){ 0 });

	put(s, "x");
	store_close(s);
	assert_int_equal(mode_of("c4/files/md5/9d/d4e461268c8034f5c8564e155c67a6"), 0444);
}

static void downloads_are_published_or_dropped(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct store *s = open_store("c5", (struct store_conf){ .fsync = STORE_FSYNC_OBJECT });
	struct oid id = oid_of("body");
	autofree char *tmp = NULL, *tmp2 = NULL, *path = NULL;
	int fd;

	assert_int_equal(store_temp_named(s, &fd, &tmp, &e), 0);
	path = store_temp_path(s, tmp);
	assert_true(fs_exists(path));
	assert_int_equal(fs_write_all(fd, "body", 4), 0);
	assert_int_equal(has(s, &id), 0);                       /* S2: no name before it is complete */
	assert_int_equal(store_publish(s, &id, fd, tmp, &e), 0);
	close(fd);
	assert_int_equal(has(s, &id), 1);
	assert_false(fs_exists(path));
	assert_int_equal(store_temp_named(s, &fd, &tmp2, &e), 0);
	close(fd);
	store_drop(s, tmp2);
	store_close(s);
	assert_int_equal(entries("c5"), 1);
}

static void temporaries_have_a_name_only_on_demand(void **state UNUSED)
{
	static const char name[] = ".abcdefghijklmnopqrstuv.tmp";
	autoerr struct err e = ERR_INIT;
	struct store *s = open_store("c10", (struct store_conf){ 0 });
	struct oid id = oid_of("part");
	autofree char *tmp = NULL, *tmp2 = NULL, *kept = store_temp_path(s, name), *dir = path_dir(kept);
	int fd, other;

	assert_false(store_has_temps(s));
	assert_int_equal(store_temp(s, &fd, &tmp, &e), 0);
	assert_string_equal(tmp, "");
	assert_int_equal(fs_write_all(fd, "pa", 2), 0);
	assert_true(store_temp_keep(s, fd, tmp, name));
	assert_int_equal(mode_of("c10/git-data.tmp/.abcdefghijklmnopqrstuv.tmp"), 0644);
	assert_int_equal(store_temp(s, &other, &tmp2, &e), 0);
	assert_false(store_temp_keep(s, other, tmp2, name));    /* taken: the other part stays what it is */
	close(other);
	assert_int_equal(fs_write_all(fd, "rt", 2), 0);
	assert_int_equal(store_publish(s, &id, fd, name, &e), 0);
	close(fd);
	assert_false(fs_exists(kept));
	assert_int_equal(store_verify(s, &id, &e), 0);
	assert_int_equal(mode_of("c10/files/md5/f4/c9385f1902f7334b00b9b4ecd164de"), 0444);
	store_close(s);

	assert_int_equal(fs_mkdirs(dir, 0777, &e), 0);
	assert_int_equal(fs_replace(kept, "p", 1, 0644, &e), 0);
	s = open_store("c10", (struct store_conf){ 0 });
	assert_true(store_has_temps(s));
	store_close(s);
}

static void other_modes_are_read_and_mismatches_set_aside(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct store *s = open_store("c6", (struct store_conf){ 0 });
	struct oid good = put(s, "good"), bad = put(s, "bad");
	autofree char *g = store_path(s, &good), *b = store_path(s, &bad);
	int fd;

	chmod(g, 0644);
	assert_int_equal(has(s, &good), 1);
	assert_int_equal(fs_is_link(g), false);
	assert_int_equal(mode_of("c6/files/md5/75/5f85c2723bb39381c7379a604160d8"), 0444);      /* protected again */
	chmod(b, 0644);
	fd = open(b, O_WRONLY | O_TRUNC);
	assert_int_equal(fs_write_all(fd, "evil", 4), 0);
	close(fd);
	warnings = 0;
	assert_int_equal(store_has_quick(s, &bad, NULL), 1);
	assert_int_equal(store_read(s, &bad, &fd, &e), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);
	assert_int_equal(warnings, 1);
	assert_false(fs_exists(b));
	assert_int_equal(entries("c6/git-data.quarantine"), 1);         /* kept, where DVC would delete */
	put(s, "bad");                                                  /* repair: import again */
	assert_int_equal(has(s, &bad), 1);
	store_close(s);
}

static void an_object_is_read_from_its_beginning_believed_or_not(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct store *s = open_store("c11", (struct store_conf){ 0 });
	struct oid id = put(s, "sound");
	autofree char *p = store_path(s, &id);

	for (int i = 0; i < 2; i++) {
		char got[16];
		uint64_t size = 0;
		int fd;

		assert_int_equal(store_read_sized(s, &id, &fd, &size, &e), 0);
		assert_int_equal(size, 5);
		assert_int_equal(read(fd, got, sizeof(got)), 5);
		assert_memory_equal(got, "sound", 5);
		close(fd);
		chmod(p, 0644);
	}
	store_close(s);
}

static void verify_reads_even_what_is_believed(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct store *s = open_store("c7", (struct store_conf){ 0 });
	struct oid id = put(s, "sound");
	autofree char *p = store_path(s, &id);
	int fd;

	assert_int_equal(store_verify(s, &id, &e), 0);
	chmod(p, 0644);
	fd = open(p, O_WRONLY | O_TRUNC);
	assert_int_equal(fs_write_all(fd, "rotten", 6), 0);
	close(fd);
	chmod(p, 0444);
	assert_int_equal(has(s, &id), 1);                       /* DVC's trust: the mode */
	assert_int_equal(store_verify(s, &id, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_int_equal(has(s, &id), 0);
	store_close(s);
}

/* A publication that meets a corrupt object of the same name replaces it. */
static void a_corrupt_namesake_is_replaced(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct store *s = open_store("c8", (struct store_conf){ 0 });
	struct oid id = oid_of("true");
	autofree char *p = store_path(s, &id), *tmp = NULL, *dir = path_dir(p);
	int fd;

	assert_int_equal(fs_mkdirs(dir, 0777, &e), 0);
	assert_int_equal(fs_replace(p, "false", 5, 0644, &e), 0);
	assert_int_equal(store_temp_named(s, &fd, &tmp, &e), 0);
	assert_int_equal(fs_write_all(fd, "true", 4), 0);
	assert_int_equal(store_publish(s, &id, fd, tmp, &e), 0);
	close(fd);
	assert_int_equal(store_verify(s, &id, &e), 0);
	store_close(s);
}

static void what_is_no_file_is_no_object(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct store *s = open_store("c9", (struct store_conf){ 0 });
	struct oid id = oid_of("x"), l = oid_of("y");
	autofree char *p = store_path(s, &id), *q = store_path(s, &l), *dir = path_dir(q);
	int fd;

	assert_int_equal(fs_mkdirs(p, 0777, &e), 0);
	assert_int_equal(store_read(s, &id, &fd, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	err_release(&e);
	assert_int_equal(fs_mkdirs(dir, 0777, &e), 0);
	put_text("elsewhere", "y");
	assert_int_equal(symlink(in_scratch("elsewhere"), q), 0);
	assert_int_equal(store_read(s, &l, &fd, &e), -1);       /* not through a link, wherever it leads */
	store_close(s);
}

static int count_each(const struct oid *id UNUSED, uint64_t size, int64_t mtime UNUSED, void *data,
		      struct err *e UNUSED)
{
	*(uint64_t *)data += size + 1000;
	return 0;
}

static void listing_passes_over_what_is_no_object(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct store *s = open_store("ca", (struct store_conf){ 0 });
	struct binset set = BINSET_INIT(sizeof(struct oid));
	struct oid a = put(s, "a"), b = put(s, "bb");
	uint64_t sum = 0;

	put_text("ca/files/md5/0c/.0123456789012345678901.tmp", "partial");
	put_text("ca/files/md5/0c/readme", "no");
	put_text("ca/files/md5/zz/0123456789012345678901234567890", "no");
	put_text("ca/files/md5/loose", "no");
	assert_int_equal(store_list(s, &set, &e), 0);
	assert_int_equal(set.n, 2);
	assert_true(binset_has(&set, &a));
	assert_true(binset_has(&set, &b));
	assert_int_equal(store_each(s, count_each, &sum, &e), 0);
	assert_int_equal(sum, 2003);
	assert_int_equal(store_remove(s, &a, &e), 0);
	assert_int_equal(store_remove(s, &a, &e), 0);
	assert_int_equal(has(s, &a), 0);
	binset_release(&set);
	store_close(s);
	s = open_store("absent", (struct store_conf){ 0 });
	set = (struct binset)BINSET_INIT(sizeof(struct oid));
	assert_int_equal(store_list(s, &set, &e), 0);
	assert_int_equal(set.n, 0);
	binset_release(&set);
	store_close(s);
}

/* S6: the mark of another boot makes what was written since suspect; once read, it is good. */
/* The mark of S6 on a cache's directory; what it said is replaced by 'text' unless that is NULL. */
static void read_mark(struct str *out, const char *cache, const char *text)
{
	autoclose int fd = open(in_scratch(cache), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	str_reset(out);
	assert_true(dirmark_read(fd, UNSYNCED_MARK, out) >= 0);
	if (text)
		assert_int_equal(dirmark_write(fd, UNSYNCED_MARK, text, strlen(text), false), 0);
}

static void after_a_power_cut_objects_are_verified(void **state UNUSED)
{
	struct store *s = open_store("cb", (struct store_conf){ 0 });
	struct oid whole = put(s, "whole"), torn = put(s, "torn");
	autofree char *t = store_path(s, &torn);
	autostr struct str log = STR_INIT;
	autostr struct str was = STR_INIT;
	autoerr struct err e = ERR_INIT;
	char *boot;

	read_mark(&log, "cb", NULL);                            /* U1: there before the object */
	assert_true(str_starts(log.buf, "dirty "));
	store_close(s);
	/* the machine stops: the data of one object did not reach the disk, its name and mode did */
	read_mark(&log, "cb", NULL);
	boot = strchr(log.buf, ' ') + 1;
	*boot = *boot == '0' ? '1' : '0';
	read_mark(&was, "cb", log.buf);
	chmod(t, 0644);
	assert_int_equal(truncate(t, 0), 0);
	chmod(t, 0444);
	s = open_store("cb", (struct store_conf){ 0 });
	assert_int_equal(has(s, &torn), 0);
	assert_int_equal(has(s, &whole), 1);
	store_close(s);
	read_mark(&log, "cb", NULL);
	assert_non_null(strstr(log.buf, "suspect "));
	str_reset(&log);
	assert_int_equal(fs_read(&log, in_scratch("cb.unsynced"), 1 << 20, &e), 0);
	assert_non_null(strstr(log.buf, "ok "));                /* read once, not again */
}

/* Many reboots: the list stays short and no span is forgotten. */
static void old_spans_are_joined(void **state UNUSED)
{
	autostr struct str log = STR_INIT;
	struct store *s;
	struct oid id;
	size_t lines = 0;

	for (int i = 0; i < 3000; i++)
		str_addf(&log, "suspect %d %d\n", 1000 + i * 10, 1005 + i * 10);
	str_adds(&log, "dirty another-boot 500000 600000\nnonsense\n");
	put_text("cd.unsynced", log.buf);
	s = open_store("cd", (struct store_conf){ 0 });
	id = put(s, "x");       /* written after the mark of the other boot: verified, then good */
	assert_int_equal(has(s, &id), 1);
	store_close(s);
	read_mark(&log, "cd", NULL);
	for (const char *p = log.buf; (p = strstr(p, "suspect ")); p++)
		lines++;
	assert_true(lines > 50 && log.len <= DIRMARK_MOST);
	assert_non_null(strstr(log.buf, "suspect 1000 "));      /* the oldest is still covered */
	assert_false(fs_exists(in_scratch("cd.unsynced")));     /* carried over, and nothing had to be verified */
	assert_true(str_starts(log.buf, "dirty "));
}

static void a_flush_takes_the_mark_away(void **state UNUSED)
{
	autostr struct str log = STR_INIT;
	autoerr struct err e = ERR_INIT;
	struct store *s = open_store("cc", (struct store_conf){ .fsync = STORE_FSYNC_BATCH });

	put(s, "x");
	assert_int_equal(store_flush(s, &e), 0);
	store_close(s);
	read_mark(&log, "cc", NULL);
	assert_int_equal(log.len, 0);
}

static void the_digest_of_2x(void **state UNUSED)
{
	static const struct { const char *text; size_t n; const char *want; } v[] = {
		{ "a\r\nb\r\n", 6, "dd8c6a395b5dd36c56d23275028f526c" },
		{ "a\nb\n", 4, "dd8c6a395b5dd36c56d23275028f526c" },
		{ "", 0, "d41d8cd98f00b204e9800998ecf8427e" },
		{ "a\r\nb\r\n\0", 7, NULL },    /* a NUL: binary, as it is */
		{ "\x01\x02\x03\r\n", 5, NULL },        /* three of five bytes are no text */
		{ "a\rb\r", 4, NULL },          /* CR alone stays */
	};
	autoerr struct err e = ERR_INIT;
	unsigned char d[16], raw[16];
	char hex[33];

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		autoclose int fd = -1;

		put_file("legacy", v[i].text, v[i].n);
		fd = open(in_scratch("legacy"), O_RDONLY);
		assert_int_equal(legacy_md5(fd, d, &e), 0);
		hex_encode(hex, d, 16);
		md5_once(v[i].text, v[i].n, raw);
		if (v[i].want)
			assert_string_equal(hex, v[i].want);
		else
			assert_memory_equal(d, raw, 16);
	}
}

/* A pair split by the end of a chunk of 1 MiB stays as it is. */
static void a_pair_across_chunks_stays(void **state UNUSED)
{
	size_t n = (1 << 20) + 4;
	autofree char *p = xmalloc(n), *q = xmalloc(n);
	autoerr struct err e = ERR_INIT;
	autoclose int fd = -1;
	unsigned char d[16], want[16];

	memset(p, 'x', n);
	memcpy(p + (1 << 20) - 1, "\r\n", 2);
	memcpy(p + n - 2, "\r\n", 2);
	put_file("split", p, n);
	fd = open(in_scratch("split"), O_RDONLY);
	assert_int_equal(legacy_md5(fd, d, &e), 0);
	memcpy(q, p, n);
	q[n - 2] = '\n';
	md5_once(q, n - 1, want);
	assert_memory_equal(d, want, 16);
}

static int group_setup(void **state)
{
	umask(0077);            /* strict, for all tests: objects are 0444 whatever it is */
	notice_sink(on_notice, NULL);
	return scratch_setup(state);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(an_object_has_dvcs_place_and_mode),
		cmocka_unit_test(legacy_lies_at_the_root),
		cmocka_unit_test(shared_directories_are_the_groups),
		cmocka_unit_test(a_strict_umask_does_not_hide_objects),
		cmocka_unit_test(downloads_are_published_or_dropped),
		cmocka_unit_test(temporaries_have_a_name_only_on_demand),
		cmocka_unit_test(other_modes_are_read_and_mismatches_set_aside),
		cmocka_unit_test(an_object_is_read_from_its_beginning_believed_or_not),
		cmocka_unit_test(verify_reads_even_what_is_believed),
		cmocka_unit_test(a_corrupt_namesake_is_replaced),
		cmocka_unit_test(what_is_no_file_is_no_object),
		cmocka_unit_test(listing_passes_over_what_is_no_object),
		cmocka_unit_test(after_a_power_cut_objects_are_verified),
		cmocka_unit_test(old_spans_are_joined),
		cmocka_unit_test(a_flush_takes_the_mark_away),
		cmocka_unit_test(the_digest_of_2x),
		cmocka_unit_test(a_pair_across_chunks_stays),
	};

	return cmocka_run_group_tests(t, group_setup, scratch_teardown);
}

/*
 * ingest: walk order and what is refused (format notes 2.4), content read once (I4), changes noticed (I2), links and
 * modes (2.5), hostile places, and a kill at every step after which a second run converges.
 */
#include "core/cache/ingest.h"

#include "core/base/hash.h"
#include "core/base/pool.h"
#include "core/cache/state.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/scratch.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static const enum link_kind copy_only[] = { LINK_COPY };
static const enum link_kind reflink_copy[] = { LINK_REFLINK, LINK_COPY };
static const enum link_kind hardlink_copy[] = { LINK_HARDLINK, LINK_COPY };
static const enum link_kind symlink_only[] = { LINK_SYMLINK };
static const enum link_kind reflink_only[] = { LINK_REFLINK };

static void open_in(struct ingest *in, const char *name, const enum link_kind *types, size_t n)
{
	autoerr struct err e = ERR_INIT;
	autofree char *cache = xasprintf("%s/%s.cache", scratch, name), *state = xasprintf("%s/%s.state", scratch, name);
	const struct store_conf conf = { .dir = cache };

	memset(in, 0, sizeof(*in));
	in->types = types;
	in->ntypes = n;
	in->pool = pool_new(3);
	assert_int_equal(store_open(&in->store, &conf, &e), 0);
	assert_int_equal(state_open(&in->state, state, scratch, &e), 0);
}

static void close_in(struct ingest *in)
{
	state_close(in->state);
	store_close(in->store);
	pool_free(in->pool);
}

static void walked(struct walk *w, struct ingest *in, const char *rel)
{
	autoerr struct err e = ERR_INIT;

	if (walk_tree(w, in_scratch(rel), NULL, NULL, in->pool, &e))
		fail_msg("walk: %s", e.msg);
}

static void import(struct ingest *in, const char *rel, struct walk *w)
{
	autoerr struct err e = ERR_INIT;

	walked(w, in, rel);
	if (ingest_import(in, in_scratch(rel), w, &e))
		fail_msg("import: %s", e.msg);
}

static void id_of_walk(const struct walk *w, char hex[OID_HEX_MAX])
{
	autotree struct tree *t = tree_new();
	struct oid id;

	for (size_t i = 0; i < w->n; i++)
		tree_add(t, w->f[i].path, &w->f[i].id, -1);
	tree_sort(t);
	assert_int_equal(t->n, w->n);
	tree_id(t, &id);
	oid_hex(hex, &id);
}

static void order_is_that_of_whole_paths(void **state UNUSED)
{
	static const char *const names[] = { "a/b", "a-b", "a.b", "a b", "b", "Z/x/y", "Z-", "Z/x-", "_", "é", "~" };
	struct ingest in;
	struct walk w;

	open_in(&in, "order", copy_only, 1);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		autofree char *rel = xasprintf("order/%s", names[i]);

		put_text(rel, names[i]);
	}
	walked(&w, &in, "order");
	assert_int_equal(w.n, ARRAY_LEN(names));
	for (size_t i = 1; i < w.n; i++)
		assert_true(strcmp(w.f[i - 1].path, w.f[i].path) < 0);
	walk_release(&w);
	close_in(&in);
}

static void many_files(const char *root, int dirs, int files)
{
	for (int d = 0; d < dirs; d++) {
		for (int f = 0; f < files; f++) {
			autofree char *rel = xasprintf("%s/d%03d/s%d/f%05d", root, d, d % 3, f);

			put_text(rel, rel);
		}
	}
}

static void ids_of_the_notes(void **state UNUSED)
{
	char hex[OID_HEX_MAX];
	struct ingest in;
	struct walk w;

	open_in(&in, "notes", reflink_copy, 2);
	put_text("notes/a", "a");
	put_text("notes/script.sh", "s");
	put_text("notes/sub/b.txt", "b\r\n");
	put_text("notes/sub/deep/with space", "x");
	put_text("notes/sub/é.txt", "c");
	put_text("notes/z\"q", "q");
	assert_int_equal(mkdir(in_scratch("notes/void"), 0777), 0);
	import(&in, "notes", &w);
	assert_int_equal(w.n, 6);
	assert_int_equal(w.bytes, 8);
	id_of_walk(&w, hex);
	assert_string_equal(hex, "f8b33b0ebafc918f90dd08061a8fca2c.dir");
	assert_int_equal(in.count.imported, 6);
	walk_release(&w);
	close_in(&in);
}

static void nothing_unchanged_is_read(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct ingest in;
	struct walk w;
	int fd;

	open_in(&in, "again", copy_only, 1);
	many_files("again", 4, 30);
	put_file("again/top", "top", 3);
	wait_for_the_clock();
	import(&in, "again", &w);
	assert_int_equal(in.count.hashed, 121);
	walk_release(&w);
	memset(&in.count, 0, sizeof(in.count));
	import(&in, "again", &w);
	assert_int_equal(in.count.hashed, 0);
	assert_int_equal(in.count.files, 121);
	walk_release(&w);
	put_text("again/d001/s1/f00007", "another");
	wait_for_the_clock();
	walked(&w, &in, "again");
	assert_int_equal(ingest_hash(&in, in_scratch("again"), &w, &e), 0);
	assert_int_equal(in.count.hashed, 1);           /* exactly one */
	walk_release(&w);
	/* what the state knows but the cache has lost is read again by an import */
	walked(&w, &in, "again");
	assert_int_equal(ingest_import(&in, in_scratch("again"), &w, &e), 0);
	assert_int_equal(in.count.imported, 1);
	assert_int_equal(store_remove(in.store, &w.f[50].id, &e), 0);
	assert_int_equal(ingest_import(&in, in_scratch("again"), &w, &e), 0);
	assert_int_equal(in.count.imported, 2);
	assert_int_equal(store_read(in.store, &w.f[50].id, &fd, &e), 0);
	close(fd);
	walk_release(&w);
	close_in(&in);
}

static void large_and_small_sizes(void **state UNUSED)
{
	static const size_t sizes[] = { 0, 1, 63, 64, 65, 4096, 131071, 131072, 131073, 262143, 262144, 262145, 524288,
					1000003 };
	autoerr struct err e = ERR_INIT;
	autofree unsigned char *p = xmalloc(1000003);
	struct ingest in;
	struct walk w;

	for (size_t i = 0; i < 1000003; i++)
		p[i] = (unsigned char)(i * 7 + i / 251);
	open_in(&in, "sizes", copy_only, 1);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		autofree char *rel = xasprintf("sizes/%02zu", i);

		put_file(rel, p + i, sizes[i] ? sizes[i] - (sizes[i] == 1000003 ? i : 0) : 0);
	}
	import(&in, "sizes", &w);
	for (size_t i = 0; i < w.n; i++) {
		unsigned char want[16];

		md5_once(p + i, (size_t)w.f[i].size, want);
		assert_memory_equal(want, w.f[i].id.md5, 16);
		assert_int_equal(store_verify(in.store, &w.f[i].id, &e), 0);
	}
	walk_release(&w);
	close_in(&in);
}

/* More large files than lanes, of unlike sizes, several times: every stretch in its place. */
static void many_large_files_at_once(void **state UNUSED)
{
	autofree unsigned char *p = xmalloc(2 << 20);

	for (size_t i = 0; i < 2 << 20; i++)
		p[i] = (unsigned char)(i * 31 + i / 1009);
	for (size_t i = 0; i < 60; i++) {
		autofree char *rel = xasprintf("lanes/%02zu", i);

		put_file(rel, p + i, 131073 + (i * 7919 % 61) * 30011);
	}
	for (int turn = 0; turn < 6; turn++) {
		autoerr struct err e = ERR_INIT;
		struct ingest in;
		struct walk w;

		open_in(&in, "lanes", copy_only, 1);
		pool_free(in.pool);
		in.pool = pool_new((unsigned)turn + 1);
		walked(&w, &in, "lanes");
		in.state = (state_close(in.state), NULL);
		if (turn % 2)
			assert_int_equal(ingest_import(&in, in_scratch("lanes"), &w, &e), 0);
		else
			assert_int_equal(ingest_hash(&in, in_scratch("lanes"), &w, &e), 0);
		assert_int_equal(in.count.hashed, 60);
		for (size_t i = 0; i < w.n; i++) {
			unsigned char want[16];

			md5_once(p + i, (size_t)w.f[i].size, want);
			assert_memory_equal(want, w.f[i].id.md5, 16);
			if (turn % 2)
				assert_int_equal(store_verify(in.store, &w.f[i].id, &e), 0);
		}
		walk_release(&w);
		close_in(&in);
		assert_int_equal(fs_rm_tree(in_scratch("lanes.cache"), &e), 0);
	}
}

static void holes_stay_holes(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct ingest in;
	struct walk w;
	struct stat st;
	int fd;

	open_in(&in, "sparse", copy_only, 1);
	put_text("sparse/f", "head");
	fd = open(in_scratch("sparse/f"), O_WRONLY);
	assert_int_equal(pwrite(fd, "x", 1, 50 << 20), 1);
	assert_int_equal(ftruncate(fd, 64 << 20), 0);
	close(fd);
	import(&in, "sparse", &w);
	assert_int_equal(store_verify(in.store, &w.f[0].id, &e), 0);
	autofree char *p = store_path(in.store, &w.f[0].id);

	assert_int_equal(stat(p, &st), 0);
	assert_int_equal(st.st_size, 64 << 20);
	assert_true(st.st_blocks * 512 < 4 << 20);
	walk_release(&w);
	close_in(&in);
}

static void refuses(const char *rel, enum err_code code, const char *says)
{
	autoerr struct err e = ERR_INIT;
	struct pool *p = pool_new(2);
	struct walk w;

	assert_int_equal(walk_tree(&w, in_scratch(rel), NULL, NULL, p, &e), -1);
	assert_int_equal(e.code, code);
	if (!strstr(e.msg, says))
		fail_msg("'%s' does not say '%s'", e.msg, says);
	pool_free(p);
}

static void what_cannot_be_tracked_is_named(void **state UNUSED)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	put_text("bad1/ok", "");
	assert_int_equal(mkfifo(in_scratch("bad1/pipe"), 0600), 0);
	refuses("bad1", ERR_UNSAFE, "bad1/pipe': it is a named pipe");
	refuses("bad1/pipe", ERR_UNSAFE, "a named pipe");
	put_text("bad2/d/ok", "");
	assert_int_equal(symlink("nowhere", in_scratch("bad2/d/broken")), 0);
	refuses("bad2", ERR_NOTFOUND, "bad2/d/broken");
	put_text("bad3/\xff\xfe", "");
	refuses("bad3", ERR_UNSAFE, "not UTF-8");
	put_text("bad4/ok", "");
	assert_true(strlen(in_scratch("bad4/s")) < sizeof(a.sun_path));
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", in_scratch("bad4/s"));
	assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
	refuses("bad4", ERR_UNSAFE, "a socket");
	close(s);
	put_text("bad5/x", "");
	assert_int_equal(symlink("loop", in_scratch("bad5/loop")), 0);
	refuses("bad5", ERR_UNSAFE, "bad5/loop");
	refuses("absent", ERR_NOTFOUND, "absent");
}

static void links_to_files_are_followed_to_directories_not(void **state UNUSED)
{
	struct ingest in;
	struct walk w;

	open_in(&in, "links", copy_only, 1);
	put_text("links.out/x", "outside");
	put_text("links/f", "f");
	assert_int_equal(symlink("../links.out/x", in_scratch("links/l")), 0);
	assert_int_equal(symlink("../links.out", in_scratch("links/d")), 0);
	import(&in, "links", &w);
	assert_int_equal(w.n, 2);
	assert_int_equal(w.skipped_dirs, 1);
	assert_true(w.f[1].is_link);
	assert_int_equal(w.f[1].size, 7);
	walk_release(&w);
	close_in(&in);
}

static bool skip_some(const char *rel, bool is_dir, void *data)
{
	int *asked = data;

	++*asked;
	return is_dir ? !strcmp(rel, "no") : str_ends(rel, ".tmp");
}

static void skipped_entries_are_not_even_stated(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct pool *p = pool_new(2);
	struct walk w;
	int asked = 0;

	put_text("skip/a", "");
	put_text("skip/b.tmp", "");
	put_text("skip/no/x", "");
	assert_int_equal(mkfifo(in_scratch("skip/pipe.tmp"), 0600), 0);
	assert_int_equal(walk_tree(&w, in_scratch("skip"), skip_some, &asked, p, &e), 0);
	assert_int_equal(w.n, 1);
	assert_int_equal(asked, 4);
	walk_release(&w);
	pool_free(p);
}

/* I2: a file that is not what the walk saw and does not stand still. */
static void a_file_that_shrank_is_read_as_it_is(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct ingest in;
	struct walk w;
	unsigned char want[16];

	open_in(&in, "moved", copy_only, 1);
	put_text("moved/f", "before");
	walked(&w, &in, "moved");
	put_text("moved/f", "now");
	assert_int_equal(ingest_import(&in, in_scratch("moved"), &w, &e), 0);
	md5_once("now", 3, want);
	assert_memory_equal(w.f[0].id.md5, want, 16);
	assert_int_equal(w.f[0].size, 3);
	walk_release(&w);
	walked(&w, &in, "moved");
	assert_int_equal(unlink(in_scratch("moved/f")), 0);
	in.state = (state_close(in.state), NULL);
	assert_int_equal(ingest_hash(&in, in_scratch("moved"), &w, &e), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);
	walk_release(&w);
	close_in(&in);
}

static void *keep_writing(void *data)
{
	int *stop = data, fd = open(in_scratch("busy/f"), O_WRONLY);
	char block[4096];

	for (unsigned char c = 0; !__atomic_load_n(stop, __ATOMIC_RELAXED); c++) {
		memset(block, c, sizeof(block));
		for (off_t at = 0; at < 8 << 20; at += 65536)
			(void)!pwrite(fd, block, sizeof(block), at);
	}
	close(fd);
	return NULL;
}

static void a_file_in_motion_is_refused_or_whole(void **state UNUSED)
{
	autofree char *big = xcalloc(8 << 20, 1);
	struct ingest in;
	pthread_t t;
	int stop = 0, refused = 0;

	open_in(&in, "busy", copy_only, 1);
	put_file("busy/f", big, 8 << 20);
	assert_int_equal(pthread_create(&t, NULL, keep_writing, &stop), 0);
	for (int i = 0; i < 10; i++) {
		autoerr struct err e = ERR_INIT;
		struct walk w;

		walked(&w, &in, "busy");
		if (ingest_import(&in, in_scratch("busy"), &w, &e)) {
			assert_int_equal(e.code, ERR_CHANGED);
			assert_non_null(strstr(e.msg, "busy/f"));
			refused++;
		} else {
			assert_int_equal(store_verify(in.store, &w.f[0].id, &e), 0);    /* I1 in any case */
		}
		walk_release(&w);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	assert_true(refused > 0);
	close_in(&in);
}

static size_t place(struct ingest *in, const char *root, const struct walk *w, bool replace, struct place **out)
{
	autoerr struct err e = ERR_INIT;
	struct place *p = xcalloc(w->n, sizeof(*p));
	size_t missing;

	for (size_t i = 0; i < w->n; i++)
		p[i] = (struct place){ .rel = w->f[i].path, .id = w->f[i].id, .replace = replace,
				       .isexec = str_ends(w->f[i].path, ".sh") };
	if (ingest_place(in, in_scratch(root), p, w->n, &missing, &e))
		fail_msg("place: %s", e.msg);
	if (out)
		*out = p;
	else
		free(p);
	return missing;
}

static void fill_place(const char *name)
{
	static const char *const files[][2] = { { "a", "alpha" }, { "d/b", "beta" }, { "d/e/c.sh", "gamma" }, { "z", "" } };

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		autofree char *rel = xasprintf("%s/%s", name, files[i][0]);

		put_text(rel, files[i][1]);
	}
	wait_for_the_clock();
}

static void copies_are_ordinary_files(void **state UNUSED)
{
	struct ingest in;
	struct walk w, v;

	open_in(&in, "pc", reflink_copy, 2);
	fill_place("pc");
	import(&in, "pc", &w);
	assert_int_equal(place(&in, "pc.out", &w, false, NULL), 0);
	assert_file("pc.out/d/e/c.sh", "gamma");
	assert_int_equal(mode_of("pc.out/a"), 0666 & ~fs_umask());
	assert_int_equal(mode_of("pc.out/d/e/c.sh"), (0666 & ~fs_umask()) | 0100);
	memset(&in.count, 0, sizeof(in.count));
	import(&in, "pc.out", &v);
	assert_int_equal(v.n, 4);
	assert_int_equal(in.count.hashed, 0);           /* what we made is remembered */
	walk_release(&v);
	put_text("pc.out/a", "ALPHA");                  /* same size, at once: and still noticed */
	import(&in, "pc.out", &v);
	assert_int_equal(in.count.hashed, 1);
	walk_release(&v);
	walk_release(&w);
	close_in(&in);
}

/* Around the size from which the kernel copies, and beyond what one call of it is asked for. */
static void large_copies_are_whole(void **state UNUSED)
{
	static const size_t sizes[] = { (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (5 << 20) + 77, (64 << 20) + 4097 };
	autofree unsigned char *p = xmalloc((64 << 20) + 8192);
	struct ingest in;
	struct walk w, v;

	for (size_t i = 0; i < (64 << 20) + 8192; i++)
		p[i] = (unsigned char)(i * 11 + i / 253 + i / 65536);
	open_in(&in, "pl", copy_only, 1);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		autofree char *rel = xasprintf("pl/%zu", i);

		put_file(rel, p + i, sizes[i]);
	}
	import(&in, "pl", &w);
	assert_int_equal(place(&in, "pl.out", &w, false, NULL), 0);
	for (size_t i = 0; i < w.n; i++) {
		autofree char *rel = xasprintf("pl.out/%s", w.f[i].path);

		wait_for_the_clock();
		assert_int_equal(truncate(in_scratch(rel), (off_t)w.f[i].size), 0);     /* touched: it is read again */
	}
	import(&in, "pl.out", &v);
	assert_int_equal(v.n, w.n);
	for (size_t i = 0; i < w.n; i++)
		assert_memory_equal(&v.f[i].id, &w.f[i].id, sizeof(w.f[i].id));
	walk_release(&v);
	walk_release(&w);
	close_in(&in);
}

static void hard_links_share_the_object(void **state UNUSED)
{
	struct ingest in;
	struct walk w;
	struct stat a, b;

	open_in(&in, "ph", hardlink_copy, 2);
	fill_place("ph");
	import(&in, "ph", &w);
	autofree char *object = store_path(in.store, &w.f[0].id);

	assert_int_equal(stat(object, &a), 0);
	assert_int_equal(stat(in_scratch("ph/a"), &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);           /* the file itself became the object */
	assert_int_equal(b.st_mode & 07777, 0444);
	assert_int_equal(place(&in, "ph.out", &w, false, NULL), 0);
	assert_int_equal(stat(in_scratch("ph.out/a"), &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(stat(in_scratch("ph.out/z"), &b), 0);
	assert_int_equal(b.st_nlink, 1);                /* empty files are made, not linked */
	assert_int_equal(mode_of("ph.out/d/e/c.sh"), 0544);
	walk_release(&w);
	close_in(&in);
}

static void symbolic_links_name_the_object(void **state UNUSED)
{
	struct ingest in;
	struct walk w;
	char to[1024];
	ssize_t n;

	open_in(&in, "ps", symlink_only, 1);
	fill_place("ps");
	import(&in, "ps", &w);
	assert_int_equal(place(&in, "ps.out", &w, false, NULL), 0);
	autofree char *object = store_path(in.store, &w.f[0].id);

	n = readlink(in_scratch("ps.out/a"), to, sizeof(to) - 1);
	assert_true(n > 0);
	to[n] = 0;
	assert_string_equal(to, object);
	assert_int_equal(place(&in, "ps.out", &w, true, NULL), 0);      /* and again over itself */
	assert_file("ps.out/d/b", "beta");
	walk_release(&w);
	close_in(&in);
}

/* On a file system without clones nothing works; where they work, everything does. */
static void no_usable_kind_is_an_error_and_leaves_nothing(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct ingest in;
	struct walk w;
	struct place p;
	enum link_kind kind;
	size_t missing;
	bool works;

	open_in(&in, "pr", reflink_only, 1);
	fill_place("pr");
	import(&in, "pr", &w);
	works = !ingest_probe(&in, scratch, &kind, &e);
	err_release(&e);
	p = (struct place){ .rel = "a", .id = w.f[0].id };
	if (works) {
		assert_int_equal(ingest_place(&in, in_scratch("pr.out"), &p, 1, &missing, &e), 0);
	} else {
		assert_int_equal(ingest_place(&in, in_scratch("pr.out"), &p, 1, &missing, &e), -1);
		assert_int_equal(e.code, ERR_UNSUPPORTED);
		assert_int_equal(rmdir(in_scratch("pr.out")), 0);
	}
	in.types = hardlink_copy;
	in.ntypes = 2;
	assert_int_equal(ingest_probe(&in, scratch, &kind, &e), 0);
	assert_int_equal(kind, LINK_HARDLINK);
	walk_release(&w);
	close_in(&in);
}

static void places_are_not_overwritten_unless_asked(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct ingest in;
	struct walk w;
	struct place p;
	size_t missing;

	for (int kind = 0; kind < 3; kind++) {
		open_in(&in, "po", kind == 0 ? copy_only : kind == 1 ? hardlink_copy : symlink_only, 1);
		put_text("po/a", "alpha");
		import(&in, "po", &w);
		put_text("po.out/a", "mine");
		p = (struct place){ .rel = "a", .id = w.f[0].id };
		assert_int_equal(ingest_place(&in, in_scratch("po.out"), &p, 1, &missing, &e), -1);
		assert_int_equal(e.code, ERR_EXISTS);
		err_release(&e);
		assert_file("po.out/a", "mine");
		p.replace = true;
		assert_int_equal(ingest_place(&in, in_scratch("po.out"), &p, 1, &missing, &e), 0);
		assert_file("po.out/a", "alpha");
		assert_int_equal(unlink(in_scratch("po.out/a")), 0);
		assert_int_equal(rmdir(in_scratch("po.out")), 0);       /* no temporary stays */
		walk_release(&w);
		close_in(&in);
	}
}

static void missing_and_corrupt_objects_are_counted(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct place *p;
	struct ingest in;
	struct walk w;

	open_in(&in, "pm", copy_only, 1);
	fill_place("pm");
	import(&in, "pm", &w);
	assert_int_equal(store_remove(in.store, &w.f[0].id, &e), 0);
	autofree char *object = store_path(in.store, &w.f[1].id);

	chmod(object, 0644);
	assert_int_equal(truncate(object, 2), 0);
	assert_int_equal(place(&in, "pm.out", &w, false, &p), 2);
	assert_false(p[0].done);
	assert_false(p[1].done);
	assert_true(p[2].done && p[3].done);
	assert_false(fs_exists(in_scratch("pm.out/a")));
	assert_false(fs_exists(in_scratch("pm.out/d/b")));      /* never linked out */
	free(p);
	walk_release(&w);
	close_in(&in);
}

static void hostile_places_are_refused(void **state UNUSED)
{
	static const char *const bad[] = { "../out", "/tmp/x", ".git/config", "a/../../x", "link/x", ".dvc/config" };
	struct ingest in;
	struct walk w;

	open_in(&in, "px", copy_only, 1);
	fill_place("px");
	import(&in, "px", &w);
	put_text("px.prey/keep", "");
	put_text("px.out/keep", "");
	assert_int_equal(symlink("../px.prey", in_scratch("px.out/link")), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		autoerr struct err e = ERR_INIT;
		struct place p = { .rel = bad[i], .id = w.f[0].id };
		size_t missing;

		assert_int_equal(ingest_place(&in, in_scratch("px.out"), &p, 1, &missing, &e), -1);
		assert_int_equal(e.code, ERR_UNSAFE);
	}
	assert_false(fs_exists(in_scratch("px.prey/x")));
	assert_false(fs_exists(in_scratch("out")));
	walk_release(&w);
	close_in(&in);
}

static void one_file_is_a_root_too(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	struct ingest in;
	struct walk w;
	struct place p;
	struct oid id, want;
	size_t missing;

	open_in(&in, "one", copy_only, 1);
	put_text("one.txt", "single");
	wait_for_the_clock();
	import(&in, "one.txt", &w);
	assert_int_equal(w.n, 1);
	assert_string_equal(w.f[0].path, "");
	md5_once("single", 6, want.md5);
	want.is_dir = 0;
	assert_true(oid_eq(&w.f[0].id, &want));
	memset(&in.count, 0, sizeof(in.count));
	assert_int_equal(ingest_hash_file(&in, in_scratch("one.txt"), NULL, &id, &e), 0);
	assert_true(oid_eq(&id, &want));
	assert_int_equal(in.count.hashed, 0);
	p = (struct place){ .rel = "", .id = want };
	assert_int_equal(ingest_place(&in, in_scratch("new/two.txt"), &p, 1, &missing, &e), 0);
	assert_file("new/two.txt", "single");
	in.legacy = true;
	put_text("crlf.txt", "a\r\nb\r\n");
	wait_for_the_clock();
	for (int i = 0; i < 2; i++) {
		char hex[OID_HEX_MAX];

		assert_int_equal(ingest_hash_file(&in, in_scratch("crlf.txt"), NULL, &id, &e), 0);
		oid_hex(hex, &id);
		assert_string_equal(hex, "dd8c6a395b5dd36c56d23275028f526c");
	}
	assert_int_equal(in.count.hashed, 1);           /* remembered, and apart from the present digest: */
	in.legacy = false;
	assert_int_equal(ingest_hash_file(&in, in_scratch("crlf.txt"), NULL, &id, &e), 0);
	assert_int_equal(in.count.hashed, 2);
	walk_release(&w);
	close_in(&in);
}

/* The process that is killed: this program, called with a name. */
static int victim(const char *dir)
{
	autoerr struct err e = ERR_INIT;
	autofree struct place *p = NULL;
	struct ingest in;
	struct walk w;
	size_t missing;
	int rc;

	snprintf(scratch, sizeof(scratch), "%s", dir);
	open_in(&in, "kill", copy_only, 1);
	if (walk_tree(&w, in_scratch("kill"), NULL, NULL, in.pool, &e) || ingest_import(&in, in_scratch("kill"), &w, &e))
		return 1;
	p = xcalloc(w.n, sizeof(*p));
	for (size_t i = 0; i < w.n; i++)
		p[i] = (struct place){ .rel = w.f[i].path, .id = w.f[i].id, .replace = true };
	rc = ingest_place(&in, in_scratch("kill.out"), p, w.n, &missing, &e) || missing;
	walk_release(&w);
	close_in(&in);
	return rc;
}

static int run_victim(long fault)
{
	char spec[32];
	int status;
	pid_t pid = fork();

	if (!pid) {
		snprintf(spec, sizeof(spec), "any:%ld", fault);
		setenv("GIT_DATA_FAULT", spec, 1);
		execl("/proc/self/exe", "victim", scratch, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int check_object(const struct oid *id, uint64_t size UNUSED, int64_t mtime UNUSED, void *data, struct err *e)
{
	return store_verify(data, id, e);
}

static void a_kill_at_every_step_converges(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	long step;

	many_files("kill", 2, 5);
	for (step = 1; step < 400; step++) {
		autofree char *cache = xasprintf("%s/kill.cache", scratch);
		const struct store_conf conf = { .dir = cache };
		int status = run_victim(step);
		struct store *s;

		assert_true((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
			    (WIFEXITED(status) && !WEXITSTATUS(status)));
		/* whatever has a name is whole */
		assert_int_equal(store_open(&s, &conf, &e), 0);
		if (store_each(s, check_object, s, &e))
			fail_msg("after a kill at step %ld: %s", step, e.msg);
		store_close(s);
		if (WIFEXITED(status))
			break;
		if (step % 3 == 0) {    /* and a run that is left alone ends well; start over for the later steps */
			assert_int_equal(run_victim(1000000), 0);
			assert_file("kill.out/d001/s1/f00003", "kill/d001/s1/f00003");
			assert_int_equal(fs_rm_tree(cache, &e), 0);
			assert_int_equal(fs_rm_tree(in_scratch("kill.out"), &e), 0);
			assert_int_equal(fs_rm_tree(in_scratch("kill.state"), &e), 0);
		}
	}
	assert_true(step > 30 && step < 400);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(order_is_that_of_whole_paths),
		cmocka_unit_test(ids_of_the_notes),
		cmocka_unit_test(nothing_unchanged_is_read),
		cmocka_unit_test(large_and_small_sizes),
		cmocka_unit_test(many_large_files_at_once),
		cmocka_unit_test(holes_stay_holes),
		cmocka_unit_test(what_cannot_be_tracked_is_named),
		cmocka_unit_test(links_to_files_are_followed_to_directories_not),
		cmocka_unit_test(skipped_entries_are_not_even_stated),
		cmocka_unit_test(a_file_that_shrank_is_read_as_it_is),
		cmocka_unit_test(a_file_in_motion_is_refused_or_whole),
		cmocka_unit_test(copies_are_ordinary_files),
		cmocka_unit_test(large_copies_are_whole),
		cmocka_unit_test(hard_links_share_the_object),
		cmocka_unit_test(symbolic_links_name_the_object),
		cmocka_unit_test(no_usable_kind_is_an_error_and_leaves_nothing),
		cmocka_unit_test(places_are_not_overwritten_unless_asked),
		cmocka_unit_test(missing_and_corrupt_objects_are_counted),
		cmocka_unit_test(hostile_places_are_refused),
		cmocka_unit_test(one_file_is_a_root_too),
		cmocka_unit_test(a_kill_at_every_step_converges),
	};

	if (argc == 2)
		return victim(argv[1]);
	return cmocka_run_group_tests(t, scratch_setup, scratch_teardown);
}

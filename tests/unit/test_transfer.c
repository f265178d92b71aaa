/* transfer: against a remote in memory that fails on demand. */
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/map.h"
#include "core/base/own.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"
#include "core/data/project.h"
#include "core/data/transfer.h"
#include "core/repo/repo.h"
#include "remotes/mem.h"
#include "remotes/wrap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <unistd.h>

#define FILES 300

struct world {
	char dir[64];
	struct repo *repo;
	struct project *p;
	struct store *s;
	struct oid file[FILES], manifest;
};

static struct world *world_new(void)
{
	struct world *w = xcalloc(1, sizeof(*w));
	autoerr struct err e = ERR_INIT;
	autofree char *dvc = NULL, *conf = NULL;

	memcpy(w->dir, "/tmp/git-data-test.XXXXXX", 26);
	assert_non_null(mkdtemp(w->dir));
	dvc = path_join(w->dir, ".dvc");
	conf = path_join(dvc, "config");
	setenv("DVC_SITE_CACHE_DIR", w->dir, 1);
	assert_int_equal(fs_mkdirs(dvc, 0777, &e), 0);
	assert_int_equal(fs_replace(conf, "[core]\n    no_scm = True\n", 25, 0, &e), 0);
	assert_int_equal(repo_open(&w->repo, w->dir, &e), 0);
	w->p = project_new(w->repo);
	assert_int_equal(project_cache(w->p, false, &w->s, &e), 0);
	return w;
}

static void world_fill(struct world *w)
{
	autotree struct tree *t = tree_new();
	autoerr struct err e = ERR_INIT;

	for (int i = 0; i < FILES; i++) {
		autofree char *text = xasprintf("content %d", i), *name = xasprintf("d%d/f%d", i % 7, i);

		md5_once(text, strlen(text), w->file[i].md5);
		assert_int_equal(store_put_bytes(w->s, text, strlen(text), &w->file[i], &e), 0);
		tree_add(t, name, &w->file[i], (int64_t)strlen(text));
	}
	tree_sort(t);
	assert_int_equal(tree_save(t, w->s, &w->manifest, &e), 0);
}

static void world_free(struct world *w)
{
	autoerr struct err e = ERR_INIT;

	project_free(w->p);
	repo_close(w->repo);
	fs_rm_tree(w->dir, &e);
	free(w);
}

static void wants(struct world *w, struct want_set *set)
{
	autotree struct tree *t = NULL;
	autoerr struct err e = ERR_INIT;

	want_add_object(set, "data", &w->manifest, false, 0);
	if (!tree_load(&t, w->s, &w->manifest, &e)) {
		set->g[0].tree = take(t);
		for (size_t i = 0; i < set->g[0].tree->n; i++)
			want_add_object(set, set->g[0].tree->e[i].path, &set->g[0].tree->e[i].id, false, 0);
	}
}

static int push(struct world *w, struct remote *r, bool check, struct transfer_result *res, struct err *e)
{
	struct transfer_opts o = { .check = check };
	struct want_set set = { 0 };
	int rc;

	wants(w, &set);
	rc = transfer_push_set(w->p, r, &set, &o, res, e);
	want_release(&set);
	return rc;
}

static bool has_manifest(struct world *w, struct mem *m)
{
	char key[OID_KEY_MAX];

	oid_key(key, &w->manifest, false);
	return map_has(&m->objects, key);
}

static void drop_object(struct mem *m, const struct oid *id)
{
	char key[OID_KEY_MAX];

	oid_key(key, id, false);
	free(map_del(&m->objects, key));
}

static void a_push_survives_refusals_and_sends_the_manifest_last(void **state UNUSED)
{
	struct world *w = world_new();
	struct mem *m = mem_open(0);
	struct remote *r = wrap_retry(&m->remote);
	struct transfer_result res = { 0 };
	autoerr struct err e = ERR_INIT;
	struct map_entry *it, *last = NULL;

	world_fill(w);
	m->faults.fail_every = 50;
	assert_int_equal(push(w, r, false, &res, &e), 0);
	assert_int_equal(res.objects, FILES + 1);
	assert_int_equal(res.nfail, 0);
	assert_int_equal(m->objects.n, FILES + 1);
	for (size_t i = 0; (it = map_next(&m->objects, &i));)
		last = it;
	assert_true(str_ends(last->key, ".dir"));
	transfer_result_release(&res);
	remote_close(r);
	world_free(w);
}

static void a_failed_child_keeps_the_manifest_home(void **state UNUSED)
{
	struct world *w = world_new();
	struct mem *m = mem_open(0);
	struct transfer_result res = { 0 };
	autoerr struct err e = ERR_INIT;
	char key[OID_KEY_MAX];

	world_fill(w);
	oid_key(key, &w->file[5], false);
	m->faults.deny = key;
	assert_int_equal(push(w, &m->remote, false, &res, &e), 0);
	assert_int_equal(res.objects, FILES - 1);
	assert_int_equal(res.nfail, 2);
	assert_int_equal(res.fail[0].http_status, 413);
	assert_string_equal(res.fail[0].code, "EntityTooLarge");
	assert_false(has_manifest(w, m));
	transfer_result_release(&res);
	m->faults.deny = NULL;
	assert_int_equal(push(w, &m->remote, false, &res, &e), 0);
	assert_int_equal(res.objects, 2);
	assert_true(has_manifest(w, m));
	transfer_result_release(&res);
	remote_close(&m->remote);
	world_free(w);
}

static void a_manifest_there_proves_nothing_about_its_children(void **state UNUSED)
{
	struct world *w = world_new();
	struct mem *m = mem_open(0);
	struct transfer_result res = { 0 };
	autoerr struct err e = ERR_INIT;

	world_fill(w);
	assert_int_equal(push(w, &m->remote, false, &res, &e), 0);
	transfer_result_release(&res);
	drop_object(m, &w->file[9]);
	assert_int_equal(push(w, &m->remote, false, &res, &e), 0);
	assert_int_equal(res.objects, 1);
	transfer_result_release(&res);
	remote_close(&m->remote);
	world_free(w);
}

static void without_a_listing_what_we_confirmed_is_asked_once(void **state UNUSED)
{
	struct world *w = world_new();
	struct mem *m = mem_open(REMOTE_LIST);
	struct transfer_result res = { 0 };
	autoerr struct err e = ERR_INIT;

	world_fill(w);
	assert_int_equal(push(w, &m->remote, false, &res, &e), 0);
	assert_int_equal(res.objects, FILES + 1);
	transfer_result_release(&res);
	m->stats = 0;
	assert_int_equal(push(w, &m->remote, false, &res, &e), 0);
	assert_int_equal(res.objects, 0);
	assert_int_equal(m->stats, 1);
	/* Only --check sees the hole, and fills it. */
	drop_object(m, &w->file[9]);
	assert_int_equal(push(w, &m->remote, true, &res, &e), 0);
	assert_int_equal(res.objects, 1);
	transfer_result_release(&res);
	remote_close(&m->remote);
	world_free(w);
}

static void a_missing_object_is_no_failure(void **state UNUSED)
{
	struct world *w = world_new();
	struct mem *m = mem_open(0);
	struct transfer_result res = { 0 };
	autoerr struct err e = ERR_INIT;

	world_fill(w);
	assert_int_equal(store_remove(w->s, &w->file[0], &e), 0);
	assert_int_equal(push(w, &m->remote, false, &res, &e), 0);
	assert_int_equal(res.nfail, 0);
	assert_int_equal(res.nmissing, 1);
	assert_int_equal(res.objects, FILES - 1);
	assert_int_equal(res.counted, FILES);
	assert_false(has_manifest(w, m));
	transfer_result_release(&res);
	remote_close(&m->remote);
	world_free(w);
}

static void refused_credentials_stop_everything(void **state UNUSED)
{
	struct world *w = world_new();
	struct mem *m = mem_open(0);
	struct transfer_result res = { 0 };
	autoerr struct err e = ERR_INIT;

	world_fill(w);
	m->faults.auth_after = 20;
	assert_int_equal(push(w, &m->remote, false, &res, &e), -1);
	assert_int_equal(e.code, ERR_AUTH);
	assert_true(m->ops < 20 + 3 * 8);
	transfer_result_release(&res);
	remote_close(&m->remote);
	world_free(w);
}

static void fetched(struct world *from, struct mem *m, struct remote *r, int expect_fail)
{
	struct world *to = world_new();
	struct transfer_opts o = { 0 };
	struct transfer_result res = { 0 };
	struct want_set set = { 0 };
	autoerr struct err e = ERR_INIT;
	int bad = 0;

	(void)m;
	to->manifest = from->manifest;
	want_add_object(&set, "data", &to->manifest, false, 0);
	assert_int_equal(transfer_fetch_set(to->p, r, &set, &o, &res, &e), 0);
	for (int i = 0; i < FILES; i++) {
		if (store_has_quick(to->s, &from->file[i], NULL) <= 0) {
			bad++;
			continue;
		}
		assert_int_equal(store_verify(to->s, &from->file[i], &e), 0);
	}
	assert_int_equal(bad, expect_fail);
	assert_int_equal(store_has_quick(to->s, &to->manifest, NULL) > 0, expect_fail == 0);
	assert_int_equal(res.objects, expect_fail ? FILES - expect_fail : FILES + 1);
	want_release(&set);
	transfer_result_release(&res);
	world_free(to);
}

static void a_fetch_survives_cuts_and_flipped_bits(void **state UNUSED)
{
	struct world *w = world_new();
	struct mem *m = mem_open(0);
	struct remote *r = wrap_retry(&m->remote);
	struct transfer_result res = { 0 };
	autoerr struct err e = ERR_INIT;

	world_fill(w);
	assert_int_equal(push(w, r, false, &res, &e), 0);
	transfer_result_release(&res);
	m->faults.cut_every = 60;
	m->faults.flip_every = 61;
	fetched(w, m, r, 0);
	memset(&m->faults, 0, sizeof(m->faults));
	drop_object(m, &w->file[3]);
	fetched(w, m, r, 1);
	remote_close(r);
	world_free(w);
}

/* A remote that is full of what it was told about already, until it is run. */
struct shy { struct remote remote; bool ran; struct rop *op; };

static int shy_submit(struct remote *r, struct rop *op, struct err *e UNUSED)
{
	struct shy *s = (struct shy *)r;

	s->op = s->ran ? op : NULL;
	return s->ran ? 0 : 1;
}

static int shy_run(struct remote *r, int timeout_ms UNUSED, struct err *e UNUSED)
{
	struct shy *s = (struct shy *)r;
	struct rop *op = s->op;

	s->ran = true;
	s->op = NULL;
	if (op)
		op->done(op, RC_OK);
	return 0;
}

static unsigned shy_window(struct remote *r UNUSED, unsigned set UNUSED)
{
	return 1;
}

static void shy_nothing(struct remote *r UNUSED)
{
}

static void shy_done(struct rop *op, enum rclass c)
{
	*(int *)op->user = c == RC_OK;
}

static void test_a_full_remote_with_nothing_in_flight_is_run(void **state UNUSED)
{
	static const struct remote_ops ops = { .submit = shy_submit, .run = shy_run, .window = shy_window, .close = shy_nothing,
					       .cancel = shy_nothing };
	struct shy s = { .remote = { .ops = &ops } };
	struct remote *r = wrap_retry(&s.remote);
	autoerr struct err e = ERR_INIT;
	int told = 0, turns = 0;
	struct rop op = { .kind = ROP_STAT, .key = "k", .fd = -1, .done = shy_done, .user = &told };

	while (remote_submit(r, &op, &e) > 0 && ++turns < 5)
		assert_int_equal(remote_run(r, 1, &e), 0);
	assert_in_range(turns, 1, 4);
	assert_int_equal(remote_run(r, 1, &e), 0);
	assert_int_equal(told, 1);
	remote_close(r);
}

/* A server that says 503 to everything. */
struct storm { struct remote remote; struct rop *op[4]; unsigned n; int retry_after; };

static int storm_submit(struct remote *r, struct rop *op, struct err *e UNUSED)
{
	struct storm *s = (struct storm *)r;

	if (s->n == ARRAY_LEN(s->op))
		return 1;
	s->op[s->n++] = op;
	return 0;
}

static int storm_run(struct remote *r, int ms UNUSED, struct err *e UNUSED)
{
	struct storm *s = (struct storm *)r;

	while (s->n) {
		struct rop *op = s->op[--s->n];

		op->http_status = 503;
		op->retry_after = s->retry_after;
		err_set(&op->err, ERR_TEMP, "HTTP 503");
		op->done(op, RC_RETRY);
	}
	return 0;
}

static unsigned storm_window(struct remote *r UNUSED, unsigned set UNUSED)
{
	return ARRAY_LEN(((struct storm *)r)->op);
}

static void storm_done(struct rop *op, enum rclass c)
{
	*(int *)op->user += c == RC_RETRY;
	err_release(&op->err);
}

static struct remote *storm_new(struct storm *s)
{
	static const struct remote_ops ops = { .submit = storm_submit, .run = storm_run, .window = storm_window,
					       .close = shy_nothing, .cancel = shy_nothing };

	s->remote.ops = &ops;
	return wrap_retry(&s->remote);
}

static void those_that_wait_are_not_more_than_a_few(void **state UNUSED)
{
	struct storm s = { .n = 0 };
	struct remote *r = storm_new(&s);
	struct rop op[100];
	autoerr struct err e = ERR_INIT;
	int told = 0;
	unsigned held = 0;

	for (size_t i = 0; i < ARRAY_LEN(op); i++)
		op[i] = (struct rop){ .kind = ROP_STAT, .key = "k", .fd = -1, .done = storm_done, .user = &told };
	for (int turn = 0; turn < 20; turn++) {
		while (held < ARRAY_LEN(op) && !remote_submit(r, &op[held], &e))
			held++;
		assert_int_equal(remote_run(r, 0, &e), 0);
	}
	assert_in_range(held, 4, 8);
	remote_close(r);
	for (size_t i = 0; i < held; i++)
		err_release(&op[i].err);
}

static void a_pause_that_is_too_long_is_not_waited_for(void **state UNUSED)
{
	struct storm s = { .retry_after = 3600 };
	struct remote *r = storm_new(&s);
	autoerr struct err e = ERR_INIT;
	int told = 0;
	struct rop op = { .kind = ROP_STAT, .key = "k", .fd = -1, .done = storm_done, .user = &told };

	assert_int_equal(remote_submit(r, &op, &e), 0);
	assert_int_equal(remote_run(r, 0, &e), 0);
	assert_int_equal(told, 1);
	remote_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_push_survives_refusals_and_sends_the_manifest_last),
		cmocka_unit_test(a_failed_child_keeps_the_manifest_home),
		cmocka_unit_test(a_manifest_there_proves_nothing_about_its_children),
		cmocka_unit_test(without_a_listing_what_we_confirmed_is_asked_once),
		cmocka_unit_test(a_missing_object_is_no_failure), cmocka_unit_test(refused_credentials_stop_everything),
		cmocka_unit_test(a_fetch_survives_cuts_and_flipped_bits),
		cmocka_unit_test(test_a_full_remote_with_nothing_in_flight_is_run),
		cmocka_unit_test(those_that_wait_are_not_more_than_a_few),
		cmocka_unit_test(a_pause_that_is_too_long_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

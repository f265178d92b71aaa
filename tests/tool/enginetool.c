/*
 * enginetool - drives the engine alone, for timing and for tests that need a process to kill.
 *
 *	enginetool walk <dir>
 *	enginetool hash|add|status <dir> <cache> <state> [types]
 *	enginetool place <manifest id> <dir> <cache> <state> [types]
 *
 * Prints one line: what was done, in how long, and the counters.
 */
#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/base/proc.h"
#include "core/base/str.h"
#include "core/cache/ingest.h"
#include "core/cache/state.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"

#include <sys/resource.h>
#include <time.h>

struct bench {
	struct ingest in;
	enum link_kind types[4];
	double t0, last;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void lap(struct bench *b, const char *what)
{
	double t = now();

	fprintf(stderr, "  %-8s %.4f\n", what, t - b->last);
	b->last = t;
}

static void on_notice(enum notice_level level, const char *text, void *data)
{
	(void)data;
	fprintf(stderr, "notice %d: %s\n", (int)level, text);
}

static int open_all(struct bench *b, const char *cache, const char *state, const char *types, const char *root,
		    struct err *e)
{
	autofree char *cache_abs = path_abs(cache), *root_abs = path_abs(root);
	autofree char *log = xasprintf("%s/unsynced", state);
	const struct store_conf conf = { .dir = cache_abs, .unsynced_file = log };

	b->in.types = b->types;
	for (; *types && b->in.ntypes < 4; types++)
		b->types[b->in.ntypes++] = *types == 'r' ? LINK_REFLINK : *types == 'h' ? LINK_HARDLINK :
					   *types == 's' ? LINK_SYMLINK : LINK_COPY;
	if (fs_mkdirs(state, 0777, e) || store_open(&b->in.store, &conf, e))
		return -1;
	return state_open(&b->in.state, state, root_abs, e);
}

static int take_tree(struct bench *b, const char *dir, bool import, struct err *e)
{
	autotree struct tree *t = NULL;
	struct walk w;
	struct oid id;
	char hex[OID_HEX_MAX];
	int rc;

	if (walk_tree(&w, dir, NULL, NULL, b->in.pool, e))
		return -1;
	lap(b, "walk");
	rc = import ? ingest_import(&b->in, dir, &w, e) : ingest_hash(&b->in, dir, &w, e);
	lap(b, import ? "import" : "hash");
	if (!rc) {
		t = tree_new();
		for (size_t i = 0; i < w.n; i++)
			tree_add(t, w.f[i].path, &w.f[i].id, (int64_t)w.f[i].size);
		tree_sort(t);
		if (import)
			rc = tree_save(t, b->in.store, &id, e);
		else
			tree_id(t, &id);
		lap(b, "tree");
		oid_hex(hex, &id);
		printf("%s files %zu hashed %llu imported %llu", hex, w.n, (unsigned long long)b->in.count.hashed,
		       (unsigned long long)b->in.count.imported);
	}
	walk_release(&w);
	return rc;
}

static int place_tree(struct bench *b, const char *hex, const char *dir, struct err *e)
{
	autotree struct tree *t = NULL;
	autofree struct place *p = NULL;
	struct oid id;
	size_t missing;

	if (!oid_parse(&id, hex))
		return err_set(e, ERR_USAGE, "'%s' is no object", hex);
	if (tree_load(&t, b->in.store, &id, e))
		return -1;
	lap(b, "load");
	p = xcalloc(t->n, sizeof(*p));
	for (size_t i = 0; i < t->n; i++)
		p[i] = (struct place){ .rel = t->e[i].path, .id = t->e[i].id };
	if (ingest_place(&b->in, dir, p, t->n, &missing, e))
		return -1;
	lap(b, "place");
	printf("placed %zu missing %zu", t->n, missing);
	return 0;
}

static int dispatch(struct bench *b, int argc, char **argv, struct err *e)
{
	const char *verb = argc > 1 ? argv[1] : "";
	struct walk w;

	if (!strcmp(verb, "walk") && argc == 3) {
		if (walk_tree(&w, argv[2], NULL, NULL, b->in.pool, e))
			return -1;
		lap(b, "walk");
		printf("files %zu bytes %llu", w.n, (unsigned long long)w.bytes);
		walk_release(&w);
		return 0;
	}
	if (!strcmp(verb, "place") && argc >= 6) {
		if (open_all(b, argv[4], argv[5], argc > 6 ? argv[6] : "rc", argv[3], e))
			return -1;
		return place_tree(b, argv[2], argv[3], e);
	}
	if (argc >= 5 && (!strcmp(verb, "add") || !strcmp(verb, "hash") || !strcmp(verb, "status"))) {
		if (open_all(b, argv[3], argv[4], argc > 5 ? argv[5] : "rc", argv[2], e))
			return -1;
		lap(b, "open");
		return take_tree(b, argv[2], *verb == 'a', e);
	}
	return err_set(e, ERR_USAGE, "usage: enginetool walk|hash|add|status|place ...");
}

int main(int argc, char **argv)
{
	autoerr struct err e = ERR_INIT;
	struct bench b = { .t0 = now() };
	struct rusage ru;
	int rc;

	proc_init();
	notice_sink(on_notice, NULL);
	b.last = b.t0;
	b.in.pool = pool_new(0);
	rc = dispatch(&b, argc, argv, &e);
	state_close(b.in.state);
	lap(&b, "state");
	store_close(b.in.store);
	pool_free(b.in.pool);
	if (rc)
		fprintf(stderr, "enginetool: %s\n", e.msg);
	getrusage(RUSAGE_SELF, &ru);
	printf(" seconds %.4f rss %ld MB\n", now() - b.t0, ru.ru_maxrss / 1024);
	return rc ? err_exit_status(&e) : 0;
}

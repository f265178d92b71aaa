#include "core/cache/tree.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/node.h"
#include "core/base/str.h"
#include "core/cache/store.h"
#include "core/cache/treejson.h"

#include <unistd.h>

#define CHUNK (64u << 10)

/* Paths stand one after another in chunks that never move. */
struct tree_arena {
	struct tree_arena *older;
	size_t used, size;
	char text[];
};

struct tree *tree_new(void)
{
	return xcalloc(1, sizeof(struct tree));
}

void tree_free(struct tree *t)
{
	struct tree_arena *a, *older;

	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		node_free(t->e[i].extra);
	for (a = t->arena; a; a = older) {
		older = a->older;
		free(a);
	}
	free(t->e);
	free(t);
}

/* Room for a path of n bytes and its NUL. */
char *tree_path_room(struct tree *t, size_t n)
{
	struct tree_arena *a = t->arena;
	size_t size = n + 1 > CHUNK ? n + 1 : CHUNK;
	char *p;

	if (!a || a->size - a->used < n + 1) {
		a = xmalloc(sizeof(*a) + size);
		a->older = t->arena;
		a->used = 0;
		a->size = size;
		t->arena = a;
	}
	p = a->text + a->used;
	a->used += n + 1;
	return p;
}

struct tree_entry *tree_append(struct tree *t, const char *owned_path, const struct oid *id, int64_t size)
{
	GROW(t->e, t->n, t->cap);
	t->e[t->n] = (struct tree_entry){ .path = owned_path, .id = *id, .size = size };
	return &t->e[t->n++];
}

void tree_add(struct tree *t, const char *path, const struct oid *id, int64_t size)
{
	size_t n = strlen(path);
	char *room = tree_path_room(t, n);

	memcpy(room, path, n + 1);
	tree_append(t, room, id, size);
}

struct tree *tree_copy(const struct tree *t)
{
	struct tree *c = tree_new();

	for (size_t i = 0; i < t->n; i++) {
		tree_add(c, t->e[i].path, &t->e[i].id, t->e[i].size);
		if (t->e[i].extra)
			c->e[i].extra = node_copy(t->e[i].extra);
	}
	return c;
}

static int by_path_then_place(const void *a, const void *b, void *data)
{
	const struct tree_entry *e = data;
	const uint32_t *i = a, *j = b;
	int c = strcmp(e[*i].path, e[*j].path);

	return c ? c : (*i > *j) - (*i < *j);
}

bool tree_is_sorted(const struct tree *t)
{
	for (size_t i = 1; i < t->n; i++)
		if (strcmp(t->e[i - 1].path, t->e[i].path) >= 0)
			return false;
	return true;
}

/* Of several entries with one path the one added last stays. */
void tree_sort(struct tree *t)
{
	autofree uint32_t *order = NULL;
	struct tree_entry *e;
	size_t n = 0;

	if (tree_is_sorted(t))
		return;
	if (t->n >= UINT32_MAX)
		BUG("a directory of %zu entries", t->n);
	order = xreallocarray(NULL, t->n, sizeof(*order));
	for (size_t i = 0; i < t->n; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, t->n, sizeof(*order), by_path_then_place, t->e);
	e = xreallocarray(NULL, t->n, sizeof(*e));
	for (size_t i = 0; i < t->n; i++) {
		struct tree_entry *x = &t->e[order[i]];

		if (n && !strcmp(e[n - 1].path, x->path))
			node_free(e[--n].extra);
		e[n++] = *x;
	}
	free(t->e);
	t->e = e;
	t->cap = t->n;
	t->n = n;
}

/* First entry whose path is not below 'path' + 'last' in byte order; last 0: none. */
static size_t lower_bound(const struct tree *t, const char *path, char last)
{
	size_t lo = 0, hi = t->n, n = strlen(path);

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const char *p = t->e[mid].path;
		int c = strncmp(p, path, n);

		if (!c)
			c = (int)(unsigned char)p[n] - (int)(unsigned char)last;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct tree_entry *tree_find(const struct tree *t, const char *path)
{
	size_t i = lower_bound(t, path, 0);

	return i < t->n && !strcmp(t->e[i].path, path) ? &t->e[i] : NULL;
}

bool tree_range(const struct tree *t, const char *prefix, size_t *from, size_t *to)
{
	struct tree_entry *exact;

	if (!*prefix) {
		*from = 0;
		*to = t->n;
		return t->n > 0;
	}
	exact = tree_find(t, prefix);
	if (exact) {
		*from = (size_t)(exact - t->e);
		*to = *from + 1;
		return true;
	}
	*from = lower_bound(t, prefix, '/');
	*to = lower_bound(t, prefix, '/' + 1);
	return *from < *to;
}

void tree_remove_below(struct tree *t, const char *prefix)
{
	size_t from, to;

	if (!tree_range(t, prefix, &from, &to))
		return;
	for (size_t i = from; i < to; i++)
		node_free(t->e[i].extra);
	memmove(t->e + from, t->e + to, (t->n - to) * sizeof(*t->e));
	t->n -= to - from;
}

void tree_id(const struct tree *t, struct oid *out)
{
	autostr struct str s = STR_INIT;

	tree_dump(&s, t);
	md5_once(s.buf, s.len, out->md5);
	out->is_dir = 1;
}

int tree_load(struct tree **out, struct store *s, const struct oid *id, struct err *e)
{
	autostr struct str text = STR_INIT;
	autoclose int fd = -1;
	autofree char *path = store_path(s, id);

	if (store_read(s, id, &fd, e))
		return -1;
	if (fs_read_fd(&text, fd, TREE_MAX_BYTES, path, e))
		return -1;
	return tree_parse(out, text.buf, text.len, path, e);
}

int tree_save(const struct tree *t, struct store *s, struct oid *out, struct err *e)
{
	autostr struct str text = STR_INIT;

	tree_dump(&text, t);
	md5_once(text.buf, text.len, out->md5);
	out->is_dir = 1;
	return store_put_bytes(s, text.buf, text.len, out, e);
}

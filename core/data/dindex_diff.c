/* dindex_diff - the merge of two lists, and renames. */
#include "core/data/dindex.h"

#include "core/base/map.h"
#include "core/base/own.h"
#include "core/base/fs.h"

static bool same_hash(const struct dentry *a, const struct dentry *b)
{
	return a->legacy == b->legacy && oid_eq(&a->id, &b->id);
}

static enum dchange_type hash_change(const struct dentry *old, const struct dentry *now)
{
	bool a = old && old->has_id, b = now && now->has_id;

	if (!a && !b)
		return DCHANGE_SAME;
	if (!a)
		return DCHANGE_ADD;
	if (!b)
		return DCHANGE_DELETE;
	return same_hash(old, now) ? DCHANGE_SAME : DCHANGE_MODIFY;
}

static bool meta_differs(const struct dentry *old, const struct dentry *now, unsigned flags)
{
	if (old->broken != now->broken || old->is_dir != now->is_dir)
		return true;
	return (flags & DDIFF_EXEC) && old->is_exec != now->is_exec;
}

static enum dchange_type entry_change(const struct dentry *old, const struct dentry *now, unsigned flags)
{
	enum dchange_type h = hash_change(old, now);

	if (flags & DDIFF_HASH_ONLY)
		return h;
	if (!old)
		return DCHANGE_ADD;
	if (!now)
		return DCHANGE_DELETE;
	if (h == DCHANGE_SAME && !meta_differs(old, now, flags))
		return DCHANGE_SAME;
	return DCHANGE_MODIFY;
}

static void unknown_roots(const struct dindex *x, struct strvec *roots)
{
	for (size_t i = 0; i < x->n; i++)
		if (x->v[i].unknown)
			strvec_push(roots, x->v[i].key);
}

static bool below_any(const struct strvec *roots, const char *key)
{
	for (size_t i = 0; i < roots->n; i++)
		if (path_is_inside(key, roots->v[i]) && strcmp(key, roots->v[i]))
			return true;
	return false;
}

void dindex_diff(const struct dindex *old, const struct dindex *now, unsigned flags, struct dchanges *out)
{
	autostrvec struct strvec roots = STRVEC_INIT;
	size_t i = 0, k = 0;

	if (flags & DDIFF_UNKNOWN) {
		unknown_roots(old, &roots);
		unknown_roots(now, &roots);
	}
	while (i < old->n || k < now->n) {
		int c = i == old->n ? 1 : k == now->n ? -1 : strcmp(old->v[i].key, now->v[k].key);
		const struct dentry *a = c <= 0 ? &old->v[i++] : NULL;
		const struct dentry *b = c >= 0 ? &now->v[k++] : NULL;
		enum dchange_type t = entry_change(a, b, flags);

		if (roots.n && below_any(&roots, a ? a->key : b->key))
			t = DCHANGE_UNKNOWN;
		if (t == DCHANGE_SAME && !(flags & DDIFF_SAME))
			continue;
		GROW(out->v, out->n, out->cap);
		out->v[out->n++] = (struct dchange){ t, a, b };
	}
}

const char *dchange_key(const struct dchange *c)
{
	if (c->type == DCHANGE_ADD)
		return c->now->key;
	return c->old ? c->old->key : c->now->key;
}

/* Component by component: '/' is lower than any other byte. */
static int path_order(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	if (*a == *b)
		return 0;
	if (!*a || !*b)
		return *a ? 1 : -1;
	if (*a == '/' || *b == '/')
		return *a == '/' ? -1 : 1;
	return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

static int by_path(const void *a, const void *b)
{
	const struct dchange *const *x = a, *const *y = b;

	return path_order(dchange_key(*x), dchange_key(*y));
}

struct queue { struct dchange **v; size_t n, cap, next; };

static void queue_free(void *q)
{
	free(((struct queue *)q)->v);
	free(q);
}

static void hash_name(char out[OID_HEX_MAX + 2], const struct dentry *d)
{
	oid_hex(out + 1, &d->id);
	out[0] = d->legacy ? 'l' : 'm';
}

/* Deletions by hash, each list in path order. */
static void queue_deletions(struct dchanges *c, struct map *by_hash)
{
	struct dchange **del = xreallocarray(NULL, c->n + 1, sizeof(*del));
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].type == DCHANGE_DELETE && c->v[i].old->has_id)
			del[n++] = &c->v[i];
	qsort(del, n, sizeof(*del), by_path);
	for (size_t i = 0; i < n; i++) {
		char name[OID_HEX_MAX + 2];
		struct queue *q;

		hash_name(name, del[i]->old);
		q = map_get(by_hash, name);
		if (!q) {
			q = xcalloc(1, sizeof(*q));
			map_put(by_hash, name, q);
		}
		GROW(q->v, q->n, q->cap);
		q->v[q->n++] = del[i];
	}
	free(del);
}

void dchanges_renames(struct dchanges *c)
{
	struct dchange **add = xreallocarray(NULL, c->n + 1, sizeof(*add));
	struct map by_hash = MAP_INIT;
	size_t n = 0, kept = 0;

	queue_deletions(c, &by_hash);
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].type == DCHANGE_ADD && c->v[i].now->has_id)
			add[n++] = &c->v[i];
	qsort(add, n, sizeof(*add), by_path);
	for (size_t i = 0; i < n; i++) {
		char name[OID_HEX_MAX + 2];
		struct queue *q;

		hash_name(name, add[i]->now);
		q = map_get(&by_hash, name);
		if (!q || q->next == q->n)
			continue;
		add[i]->type = DCHANGE_RENAME;
		add[i]->old = q->v[q->next]->old;
		q->v[q->next++]->old = NULL;    /* consumed; dropped below */
	}
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].type != DCHANGE_DELETE || c->v[i].old)
			c->v[kept++] = c->v[i];
	c->n = kept;
	map_release(&by_hash, queue_free);
	free(add);
}

void dchanges_release(struct dchanges *c)
{
	free(c->v);
	memset(c, 0, sizeof(*c));
}

/*
 * tree - directory manifest: the sorted list of (path, object) that a .dir object holds.
 *
 *  R1  Entries are sorted by the bytes of the whole relative path; paths are unique, and safe (path_is_safe).
 *  R2  tree_dump() gives DVC's bytes; their MD5 is the id.
 *
 * Ownership: a tree owns its paths (one arena). Threads: const use is free.
 */
#ifndef CACHE_TREE_H
#define CACHE_TREE_H

#include "core/cache/oid.h"

struct str;
struct err;
struct store;
struct node;

struct tree_entry {
	const char *path;               /* relative, '/' separated */
	struct oid id;
	int64_t size;                   /* -1: unknown */
	struct node *extra;             /* version-aware entries: the map as read, or NULL; owned */
};
struct tree {
	struct tree_entry *e;
	size_t n, cap;
	struct tree_arena *arena;
};

struct tree *tree_new(void);
void tree_free(struct tree *t);                                         /* NULL is fine */
static inline void tree_autofree_(struct tree **t) { tree_free(*t); }
#define autotree __attribute__((cleanup(tree_autofree_)))
struct tree *tree_copy(const struct tree *t);
void tree_add(struct tree *t, const char *path, const struct oid *id, int64_t size);   /* any order; then tree_sort() */
void tree_sort(struct tree *t);
struct tree_entry *tree_find(const struct tree *t, const char *path);   /* NULL: absent */
/* Range of the entries at or below directory 'prefix' ("" = all): [*from, *to). False: none. */
bool tree_range(const struct tree *t, const char *prefix, size_t *from, size_t *to);
void tree_remove_below(struct tree *t, const char *prefix);             /* file or directory */
void tree_dump(struct str *out, const struct tree *t);
void tree_id(const struct tree *t, struct oid *out);
/* Refuses what R1 forbids with ERR_UNSAFE, anything else wrong with ERR_CORRUPT; 'name' for messages. */
int  tree_parse(struct tree **out, const char *text, size_t len, const char *name, struct err *e);
int  tree_load(struct tree **out, struct store *s, const struct oid *id, struct err *e);        /* ERR_NOTFOUND when absent */
int  tree_save(const struct tree *t, struct store *s, struct oid *out, struct err *e);

#endif

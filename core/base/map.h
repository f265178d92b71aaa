/*
 * map - string-keyed hash map that remembers insertion order, and a set of fixed-size binary keys.
 *
 *  M1  Iteration runs in order of first insertion; a removed slot is skipped.
 *  M2  Hashing is keyed per process: names from outside cannot be chosen to collide.
 *
 * Ownership: the map owns its keys and borrows its values; map_release() takes a destructor for the values, or NULL.
 * Pointers handed out by iteration stay valid until the next insertion.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "core/base/compat.h"

struct map_entry {
	char *key;              /* NULL: removed */
	void *value;
	uint64_t hash;
};

struct map {
	struct map_entry *e;    /* in order of insertion */
	uint32_t *slot;         /* index + 1 into e; power of two */
	size_t n, used, cap, nslots;    /* n live, used of e[] */
};
#define MAP_INIT { NULL, NULL, 0, 0, 0, 0 }

void  map_release(struct map *m, void (*free_value)(void *));
void *map_get(const struct map *m, const char *key);            /* NULL: absent */
bool  map_has(const struct map *m, const char *key);
void *map_put(struct map *m, const char *key, void *value);     /* returns the former value */
void *map_del(struct map *m, const char *key);                  /* returns the former value */
/* for (size_t i = 0; (it = map_next(&m, &i));) */
struct map_entry *map_next(const struct map *m, size_t *i);

/* Set of binary keys, all of 'width' bytes (an oid has 17). Not ordered. */
struct binset {
	unsigned char *k;
	unsigned char *full;
	size_t width, n, nslots;
};
#define BINSET_INIT(w) { NULL, NULL, (w), 0, 0 }

void binset_release(struct binset *b);
bool binset_add(struct binset *b, const void *key);             /* true: it was new */
bool binset_has(const struct binset *b, const void *key);
const void *binset_next(const struct binset *b, size_t *i);     /* *i starts at 0; NULL at the end */

uint64_t map_hash(const void *p, size_t n);

#endif

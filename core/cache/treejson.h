/*
 * treejson - the bytes of a manifest: what tree.c and treejson.c share; nobody else includes it.
 *
 *  Canonical text (format notes 2.3):  [{"md5": "<32 hex>", "relpath": "<ASCII JSON>"}, ...]
 *  Written always in this shape. Read in one pass when it has this shape exactly; else through the JSON parser.
 */
#ifndef CACHE_TREEJSON_H
#define CACHE_TREEJSON_H

#include "core/cache/tree.h"

#define TREE_MAX_BYTES (4ull << 30)     /* some 50 million entries */

char *tree_path_room(struct tree *t, size_t n);
struct tree_entry *tree_append(struct tree *t, const char *owned_path, const struct oid *id, int64_t size);
bool tree_is_sorted(const struct tree *t);

#endif

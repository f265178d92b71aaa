/*
 * state - what was hashed before: (path, size, mtime, ctime, inode, device) to object, in LMDB.
 *
 *  A1  An answer is given only if every field of the stat equals, and the file was not modified at or after the moment it
 *      was recorded (git's racy rule: an entry whose mtime is not older than the recording is not trusted).
 *  A2  Losing or deleting the database loses only time. A damaged one is set aside and rebuilt.
 *  A3  It lies outside network file systems, under the user's cache directory or core.site_cache_dir, keyed by root.
 *
 * Also remembers directory manifests: (directory's id as last built) so that an unchanged tree needs no JSON.
 * Threads: lookups from any thread; writes are batched and committed by state_flush().
 */
#ifndef CACHE_STATE_H
#define CACHE_STATE_H

#include "core/base/compat.h"

#include <sys/stat.h>

struct state;
struct oid;
struct err;

int  state_open(struct state **out, const char *dir, const char *root, struct err *e);
void state_close(struct state *s);                      /* flushes; NULL is fine */
bool state_get(struct state *s, const char *path, const struct stat *st, struct oid *out);
void state_put(struct state *s, const char *path, const struct stat *st, const struct oid *id);
int  state_flush(struct state *s, struct err *e);
/* Small private facts of other modules (links we made, manifests confirmed on a remote). value NULL deletes. */
bool state_get_fact(struct state *s, const char *kind, const char *key, void *out, size_t size);
void state_put_fact(struct state *s, const char *kind, const char *key, const void *value, size_t size);
typedef int state_fact_fn(const char *key, const void *value, size_t size, void *data);
void state_each_fact(struct state *s, const char *kind, state_fact_fn *fn, void *data);

#endif

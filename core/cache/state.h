/*
 * state - what was hashed before: (path, size, mtime, ctime, inode, device) to object, in LMDB.
 *
 *  A1  An answer is given only if every field of the stat equals, and the file's time stamps were older than the clock
 *      when that stat was taken (git's racy rule: a file changed again within the same tick of the clock keeps its
 *      stamps, so an entry that young is not recorded).
 *  A2  Losing or deleting the database loses only time. A damaged one is set aside and rebuilt. It is written without
 *      flushes; after a reboot every record's checksum is verified, in a child process, before the file is mapped here.
 *  A3  It lies outside network file systems, under the user's cache directory or core.site_cache_dir, keyed by root.
 *      On a network file system state_open() gives NULL, which every function here takes as "remembers nothing".
 *  A4  One record holds all files of one directory, sorted by name: a walk of an unchanged directory costs one lookup.
 *
 * Also remembers directory manifests: (directory's id as last built) so that an unchanged tree needs no JSON.
 * Threads: lookups from any thread; writes are batched and committed by state_flush().
 */
#ifndef CACHE_STATE_H
#define CACHE_STATE_H

#include "core/base/compat.h"
#include "core/cache/oid.h"

#include <sys/stat.h>

struct state;
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

/* What a record holds of one file, and the same for callers that come with whole directories. */
struct state_stat { uint64_t size, ino, dev; int64_t mtime_ns, ctime_ns; };
struct state_item { const char *name; struct state_stat st; struct oid id; };
void state_stat_of(struct state_stat *out, const struct stat *st);
/* As state_put(), for a caller that has judged A1 itself. */
void state_put_stat(struct state *s, const char *path, const struct state_stat *st, const struct oid *id);
/* Time to judge A1 by: taken before the stat it goes with. */
int64_t state_now(void);
bool state_is_racy(const struct state_stat *st, int64_t now);

/* One thread's view of the records at one moment. Keep it short: it holds old pages. */
struct state_reader;
struct state_reader *state_reader_open(struct state *s);        /* NULL when there is nothing to read */
void state_reader_close(struct state_reader *r);                /* NULL is fine */
/* Asks for files in any order; in order of path it costs next to nothing. path: as for state_get(). */
bool state_reader_get(struct state_reader *r, const char *path, const struct state_stat *st, struct oid *out);
/* Replaces the record of one directory; items are sorted by name; those racy at 'now' are left out (0: all are taken). */
void state_put_dir(struct state *s, const char *dir, const struct state_item *items, size_t n, int64_t now);

#endif

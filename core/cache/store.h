/*
 * store - content-addressed cache of immutable objects, one layout of one cache directory.
 *
 *  S1  An object's name is the digest of its bytes; nothing else decides it (legacy layout: md5 of the CRLF-normalised
 *      bytes, see legacy_md5()).
 *  S2  A name appears only by rename or link of a complete temporary on the same file system.
 *  S3  A named object has mode 0444 and is never rewritten; repair is remove, then import.
 *  S4  A directory manifest is named only after every object it lists.
 *  S5  Bytes from outside are named only after their digest matched the one asked for.
 *  S6  What may have been lost in a power cut is verified before it is trusted: unsynced.h remembers since when objects
 *      were written without a flush. core.fsync chooses: deferred (default, no flush), batch (one flush by
 *      store_flush()), object (each file and its directory).
 *  S7  Trust is DVC's: mode exactly 0444 is believed; any other mode is re-hashed, set to 0444 on a match, and set aside
 *      (moved to the quarantine directory, where DVC would delete) on a mismatch.
 *
 * Threads: a struct store is shared freely; descriptors it hands out are the caller's.
 */
#ifndef CACHE_STORE_H
#define CACHE_STORE_H

#include "core/base/compat.h"

struct store;
struct oid;
struct str;
struct err;
struct tree;

enum store_fsync { STORE_FSYNC_DEFERRED, STORE_FSYNC_BATCH, STORE_FSYNC_OBJECT };
struct store_conf {
	const char *dir;                /* cache root: absolute */
	bool legacy;                    /* layout aa/rest at the root instead of files/md5/aa/rest */
	bool shared;                    /* cache.shared = group */
	enum store_fsync fsync;
	const char *unsynced_file;      /* where S6 is remembered if not in the cache (U4); NULL: nowhere at all */
};

int  store_open(struct store **out, const struct store_conf *c, struct err *e);  /* makes nothing on disk yet */
void store_close(struct store *s);                                              /* NULL is fine; flushes S6 */
const char *store_dir(const struct store *s);           /* cache root */
char *store_path(const struct store *s, const struct oid *id);  /* absolute path of the object; malloc'd */
/* 1 present and trusted (S7), 0 absent, -1 error. size may be NULL. */
int  store_has(struct store *s, const struct oid *id, uint64_t *size, struct err *e);
/* As store_has, by name only: no content is read, nothing is moved (for questions about many objects). */
int  store_has_quick(struct store *s, const struct oid *id, uint64_t *size);         /* -1 and errno */
int  store_read(struct store *s, const struct oid *id, int *out_fd, struct err *e);     /* ERR_NOTFOUND, ERR_CORRUPT */
int  store_read_sized(struct store *s, const struct oid *id, int *out_fd, uint64_t *size, struct err *e);
int  store_put_bytes(struct store *s, const void *p, size_t n, const struct oid *id, struct err *e);
/*
 * An empty temporary inside the store, read-write; then it is published under an id (S5: the caller has hashed it), or
 * dropped. Where the file system can, it has no name (*out_tmp is ""): whatever ends the process leaves nothing behind, and
 * naming it takes no lock of two directories. store_temp_named() is for who needs the name; store_temp_keep() gives the
 * temporary this one, by which another process finds it (false: it keeps what it has).
 */
int  store_temp(struct store *s, int *out_fd, char **out_tmp, struct err *e);
int  store_temp_named(struct store *s, int *out_fd, char **out_tmp, struct err *e);
bool store_temp_keep(struct store *s, int fd, const char *tmp, const char *name);
bool store_has_temps(struct store *s);                  /* any named ones, of whomever; asked of the disk once */
int  store_publish(struct store *s, const struct oid *id, int fd, const char *tmp, struct err *e);
/* The inode behind fd becomes the object: 1 done (or the object is there already), 0 the two cannot be linked. */
int  store_link_fd(struct store *s, int fd, const struct oid *id, struct err *e);
void store_drop(struct store *s, const char *tmp);
char *store_temp_path(const struct store *s, const char *tmp);  /* absolute; malloc'd */
int  store_temp_at(const struct store *s);              /* directory of the temporaries, borrowed; -1 before the first */
int  store_remove(struct store *s, const struct oid *id, struct err *e);
/* Every object by name, in no order; a name that is no object's is skipped. fn returns 0 to go on. */
typedef int store_each_fn(const struct oid *id, uint64_t size, int64_t mtime, void *data, struct err *e);
int  store_each(struct store *s, store_each_fn *fn, void *data, struct err *e);
/* All names present, read with one pass over at most 256 directories. */
struct binset;
int  store_list(struct store *s, struct binset *out, struct err *e);
int  store_verify(struct store *s, const struct oid *id, struct err *e);        /* reads all; ERR_CORRUPT and S7 */
/* Something is about to be written on the cache's file system: store_flush() has work. */
int  store_writing(struct store *s, struct err *e);
int  store_flush(struct store *s, struct err *e);                               /* S6: all written so far is on disk */

/* MD5 as DVC 2.x computed it (md5-dos2unix). */
int  legacy_md5(int fd, unsigned char out[16], struct err *e);

#endif

/*
 * unsynced - which objects may have been lost in a power cut (S6), at the price of one flush per boot, none per object.
 *
 *  U1  Before the first object of a boot is written, a mark (boot id, time) is on disk. It stays until everything
 *      written since then was flushed.
 *  U2  When the mark of an earlier boot is found, the span from its time to now is suspect: an object whose mtime or
 *      ctime lies in it is verified before it is trusted, then listed as good.
 *  U3  Losing the file only loses caution about the past; it is replaced by rename, and lines that make no sense are
 *      passed over.
 *
 * The file is text, one fact a line:  dirty <boot id> <since, ns> <last write, ns> / suspect <from> <to> / ok <oid>
 *
 * Rejected: a line per object. It costs a write each, and the log's own blocks reach the disk after the journal has
 * made the object's name durable, so exactly the objects that matter are missing from it.
 *
 * Threads: free.
 */
#ifndef CACHE_UNSYNCED_H
#define CACHE_UNSYNCED_H

#include "core/cache/oid.h"

#include <sys/stat.h>

struct unsynced;
struct err;

struct unsynced *unsynced_open(const char *file);       /* NULL file: remembers nothing */
void unsynced_close(struct unsynced *u);                /* NULL is fine */
bool unsynced_suspects(struct unsynced *u, const struct oid *id, const struct stat *st);
void unsynced_good(struct unsynced *u, const struct oid *id);
/* U1; basefd: a descriptor on the file system of the objects, or -1 */
int  unsynced_mark(struct unsynced *u, int basefd, struct err *e);
int  unsynced_flushed(struct unsynced *u, struct err *e);

#endif

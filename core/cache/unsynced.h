/*
 * unsynced - which objects may have been lost in a power cut (S6), at the price of one flush per boot, none per object.
 *
 *  U1  Before a process writes its first object, a mark (boot id, time) that covers it is on disk. The mark stays until
 *      everything written since then was flushed, by whichever process.
 *  U2  When the mark of an earlier boot is found, the span from its time to now is suspect: an object whose mtime or
 *      ctime lies in it is verified before it is trusted, then listed as good, for the spans that were known by then: one
 *      that was written anew later lies in a later span.
 *  U3  Losing this only loses caution about the past; it is replaced as a whole, and lines that make no sense are passed over.
 *      What cannot be read (a link, a FIFO, too large, no permission) makes all of the past suspect, once.
 *  U4  The mark belongs to the cache, not to a repository: all that share a cache see it. It is an extended attribute of the
 *      cache's directory (dirmark.h), since the tree in it is DVC's. Where that cannot be (network file system, no
 *      permission, no such attributes, a lock that nobody gives back) it stands in the repository's own file. Both are
 *      always read; a mark in the own file is carried over when the cache's is written. Verdicts ("ok") are the
 *      repository's own: there may be millions of them.
 *  U5  Whoever changes the mark has an flock on the cache's directory, reads what is there now, and adds to it. Only a flush
 *      takes something away: it lets the mark begin at its own start, which is right whatever others write meanwhile; all
 *      of the mark goes only if no other process was writing when the flush began, and none has begun since. A writer
 *      shows itself by a shared flock on the directory of the objects (in the 2.x layout it cannot, and the mark stays);
 *      both locks end with their process. Nobody waits for more than a few seconds.
 *  U6  Reading objects never fails because something here cannot be written.
 *
 * Text, one fact a line:  dirty <boot id> <since, ns> <last write, ns> / suspect <from, ns> <to, ns> /
 * ok <oid> <the spans' latest end, ns>. The first line is the mark of the running boot, if there is one.
 *
 * Rejected: a line per object. It costs a write each, and the log's own blocks reach the disk after the journal has
 * made the object's name durable, so exactly the objects that matter are missing from it. A file in the cache: whoever
 * compares caches would find it.
 *
 * Threads: free.
 */
#ifndef CACHE_UNSYNCED_H
#define CACHE_UNSYNCED_H

#include "core/cache/oid.h"

#include <sys/stat.h>

struct unsynced;
struct err;

#define UNSYNCED_MARK "user.git-data.unsynced"

struct unsynced_conf {
	const char *root;               /* of the cache */
	const char *name;               /* of the attribute */
	const char *own;                /* the repository's own file; NULL: remembers nothing */
};
struct unsynced *unsynced_open(const struct unsynced_conf *c);          /* NULL when it remembers nothing */
void unsynced_close(struct unsynced *u);                                /* NULL is fine */
bool unsynced_suspects(struct unsynced *u, const struct oid *id, const struct stat *st);
void unsynced_good(struct unsynced *u, const struct oid *id);
/* U1; objdir: the directory of the objects, which stays open until unsynced_close() */
int  unsynced_mark(struct unsynced *u, int objdir, struct err *e);
/* All that this process wrote is flushed, and the mark with it (U5). -1 and nothing taken away when the flush fails. */
int  unsynced_flush(struct unsynced *u, int objdir, struct err *e);

#endif

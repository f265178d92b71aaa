/*
 * trail - MD5 of files while they are written, or of parts before they are sent, on a thread of its own.
 *
 *  R1  A track is a range of a file. It is read back from the page cache as far as track_reach() says that it is there,
 *      block by block; several tracks are hashed side by side in SIMD lanes, which costs no more than one. So those that
 *      lag behind are waited for, until one is 32 MiB ahead or ended.
 *  R2  No call but track_close() waits; that one waits for the block at hand at most. The descriptor stays the caller's and
 *      open until then.
 *  R3  Memory: one buffer a lane, whatever the number of tracks.
 *
 * Threads: one caller's thread for a trail and its tracks, and the trail's own. The thread begins with the first track;
 * where none can be started, the caller's hashes in track_reach() and track_end().
 */
#ifndef BASE_TRAIL_H
#define BASE_TRAIL_H

#include "core/base/compat.h"

struct err;
struct trail;
struct track;

struct trail *trail_new(void);
void trail_free(struct trail *t);               /* after every track_close() */
struct track *track_open(struct trail *t, int fd, uint64_t from);
void track_reach(struct track *k, uint64_t upto);       /* bytes from..upto are in the file; never less than before */
void track_end(struct track *k, uint64_t upto);         /* and that is all */
/* After track_end(): 0 the digest, 1 not yet, -1 the file could not be read, or is shorter (ERR_CHANGED). */
int  track_digest(struct track *k, unsigned char md5[16], struct err *e);
void track_close(struct track *k);              /* NULL: nothing */

#endif

/*
 * bunch - MD5 of small buffers side by side: whoever can wait for a digest lets others join, and all of them together cost
 * little more than one (hash.h).
 *
 *  B1  A buffer waits until the lanes are full or somebody asks again, whichever comes first: no digest waits for buffers
 *      that may never come.
 *  B2  Bytes and item are the caller's; from bunch_digest() on they stay where they are until it gives the digest, or
 *      bunch_leave().
 *
 * Threads: one caller's thread for a bunch and its items.
 */
#ifndef BASE_BUNCH_H
#define BASE_BUNCH_H

#include "core/base/hash.h"

#define BUNCH_MOST 16u
struct bunched { struct md5_buf sum; enum { BUNCH_APART, BUNCH_WAITS, BUNCH_DONE } state; };
struct bunch { struct bunched *wait[BUNCH_MOST]; unsigned n; };

/* 0 the digest; 1 not yet: the next question about it computes what waits. */
int  bunch_digest(struct bunch *b, struct bunched *i, unsigned char md5[16]);
void bunch_leave(struct bunch *b, struct bunched *i);   /* forgets the digest, too; nothing for one that is apart */

#endif

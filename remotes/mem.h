/*
 * mem - a remote in memory, with faults on demand: what the engine is tested against.
 *
 *  M1  It behaves as the best of remotes (list, range, conditional put) unless a fault is set.
 *  M2  Operations are answered in run(), at most 'window' of them a turn, so that order and window matter as on a network.
 */
#ifndef REMOTES_MEM_H
#define REMOTES_MEM_H

#include "core/base/map.h"
#include "core/data/remote.h"

struct mem_object { size_t len; unsigned char bytes[]; };
struct mem_faults {
	unsigned fail_every;            /* every n-th operation answers RC_RETRY (503); 0: never */
	unsigned cut_every;             /* every n-th get stops in the middle, then RC_RETRY */
	unsigned flip_every;            /* every n-th get has one bit wrong */
	const char *deny;               /* a put of a key that contains this answers RC_FATAL (413 TooLarge) */
	const char *hide;               /* list() leaves out keys that contain this */
	unsigned auth_after;            /* after so many operations everything answers RC_AUTH; 0: never */
};
struct mem {
	struct remote remote;
	struct map objects;             /* key -> struct mem_object * */
	struct mem_faults faults;
	unsigned ops, puts, gets, stats, lists, width;
	struct rop *head, **tail;
	unsigned queued;
};
struct mem *mem_open(unsigned caps_without);    /* REMOTE_* bits it shall not have */
void mem_set(struct mem *m, const char *key, const void *p, size_t n);

#endif

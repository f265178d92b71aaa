/*
 * incoming - an object on its way from a remote into the cache.
 *
 *  G1  Bytes go to a temporary without a name. A large one gets a name that the next process finds (".<id in base64url>.tmp",
 *      under an flock), so that a download that was killed goes on where it was.
 *  G2  In order, the file's length says how much there is. In pieces (remote.h N5), a map stands behind the object's last
 *      byte: one byte a chunk, 1 for what is there, and a trailer. It is cut off once the digest is known.
 *  G3  The digest is of the bytes in the file, from the first one on; of large objects trail's thread computes it, small ones
 *      wait for each other (bunch.h), their bytes in memory until then.
 *  G4  Whatever an earlier process left is only a saving: the digest of the whole decides.
 */
#ifndef DATA_INCOMING_H
#define DATA_INCOMING_H

#include "core/base/bunch.h"
#include "core/cache/oid.h"
#include "core/data/remote.h"

struct store;
struct trail;
struct track;

struct incoming {
	struct store *store;
	struct oid id;
	bool legacy;
	struct trail *trail;            /* NULL: hashed by whoever brings the bytes, as they come */
	struct bunch *bunch;            /* NULL when trail is */
	int fd;
	char *tmp;                      /* as store_temp() names it */
	bool is_part;                   /* tmp has the name that the next process finds */
	uint64_t got;                   /* bytes that are there */
	int hole;                       /* the last bytes were zeros, and not written */
	struct md5 md5;
	unsigned char *small;           /* the bytes so far, which md5 has not seen; NULL: it has */
	size_t room;                    /* of them */
	struct bunched sum;
	struct track *track;
	bool ended;                     /* track_end() was said */
	struct rop_map map;             /* of pieces; n is 0 without */
	uint32_t first;                 /* the first chunk that is not there */
};
/* Trail and bunch (both or none): for whoever may be told that the digest is not ready. */
void incoming_init(struct incoming *in, struct store *s, const struct oid *id, bool legacy, struct trail *trail,
		   struct bunch *bunch);
/* Opens the file; *from: where to go on, or *map (then *from is 0). */
int  incoming_open(struct incoming *in, uint64_t *from, struct rop_map **map, struct err *e);
int  incoming_add(struct incoming *in, uint64_t size, const void *p, size_t n, struct err *e);  /* in order; size 0: unknown */
/* Makes a map for an object of that length of which the bytes before 'from' are there; *map stays NULL when it is small. */
int  incoming_spread(struct incoming *in, uint64_t size, uint64_t from, struct rop_map **map, struct err *e);
int  incoming_piece(struct incoming *in, uint64_t off, const void *p, size_t n, struct err *e);
int  incoming_restart(struct incoming *in, struct err *e);
/* All is there: 1 the digest is not ready; 0 it is that of the name, or in got_md5 and *equal false. */
int  incoming_check(struct incoming *in, bool *equal, unsigned char got_md5[16], struct err *e);
/* After a success 'keep' says that the file has its name; else it stays for the next process if it can go on there. */
void incoming_close(struct incoming *in, bool keep);

#endif

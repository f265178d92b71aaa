/*
 * parts - the pieces of a large upload: which of them are where, and their digests, hashed ahead of what is sent.
 *
 *  P1  A piece is offered once its digest is known. Those of files come from a trail's thread, several side by side; what is
 *      in memory is hashed here.
 *  P2  Nothing is open behind the file after parts_stop(): it may be closed then.
 */
#ifndef REMOTES_PARTS_H
#define REMOTES_PARTS_H

#include "core/base/compat.h"

struct err;
struct rop;
struct track;
struct trail;

enum { PART_TODO, PART_CLAIMED /* the server says that it has it */, PART_BUSY, PART_DONE };
struct part_sum { struct track *track; bool known; unsigned char md5[16]; };
struct parts {
	uint64_t size, each;
	unsigned n, done, next;
	uint8_t *state;
	struct part_sum *sum;
	void (*judge)(struct parts *p, unsigned i);     /* of a claimed one, its digest is known */
};

void parts_init(struct parts *p, uint64_t size, uint64_t each);
void parts_release(struct parts *p);
void parts_stop(struct parts *p);               /* nothing is BUSY any more, P2 */
uint64_t parts_len(const struct parts *p, unsigned i);
/* 0 and the one to send; 1 all others are on their way or there; 2 their digests are not ready; -1. */
int  parts_next(struct parts *p, struct trail **trail, const struct rop *op, unsigned *i, struct err *e);
void parts_done(struct parts *p, unsigned i);
void parts_again(struct parts *p, unsigned i);

/* The digest of a piece of the source, at once. */
int  parts_md5(const struct rop *op, uint64_t off, uint64_t len, unsigned char md5[16], struct err *e);

#endif

/*
 * partial - imports whose pointers record no hash (--no-download): what was fetched for them is remembered in .dvc/tmp.
 *
 *  P1  A pointer is never changed by it: the hash is the item's in memory only, for the command that asks.
 *  P2  A memo belongs to one source at one revision; what it names may be gone from the cache, as any object may.
 */
#ifndef DATA_PARTIAL_H
#define DATA_PARTIAL_H

#include "core/base/compat.h"

struct item;
struct project;
struct err;

/* An import whose output records nothing. */
bool partial_is(const struct item *out);
int  partial_remember(struct project *p, const struct item *out, struct err *e);        /* its hash, as it is now */
/* Gives the output the remembered hash; without one nothing happens. */
void partial_recall(struct project *p, struct item *out);

#endif

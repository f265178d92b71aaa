/*
 * metabatch - many small files replaced together: as durable as fs_replace() for each, at the price of a few flushes.
 *
 *  B1  Every temporary is on disk before the first name appears; every directory is synced before commit returns.
 *  B2  Flushes run side by side: the file system puts them into one journal commit.
 *  B3  What was not committed leaves nothing behind.
 */
#ifndef DATA_METABATCH_H
#define DATA_METABATCH_H

#include "core/base/compat.h"

struct err;
struct metabatch_entry { char *path, *tmp; };
struct metabatch { struct metabatch_entry *v; size_t n, cap; };
#define METABATCH_INIT { NULL, 0, 0 }

/* An existing file keeps its mode; a link is followed. */
int  metabatch_add(struct metabatch *b, const char *path, const void *p, size_t n, struct err *e);
int  metabatch_commit(struct metabatch *b, struct err *e);
void metabatch_release(struct metabatch *b);

#endif

/*
 * importlog - a note that an import has begun, so that the same command converges after one that was killed.
 *
 *  K1  It is written before the place of the output is touched, under the repository lock, and goes when pointer and ignore
 *      line are written. After a failure it stays, as after a kill: the place may hold a part of the output.
 *  K2  It only says that what stands at the place may be the rest of this import, so that the output does not go into it as into
 *      a directory of the user's. Whether it is one its content says: anything in it that is not the output's own keeps it.
 *  K3  Losing it costs no more than the convergence: then the place is taken for the user's, as DVC takes it.
 */
#ifndef DATA_IMPORTLOG_H
#define DATA_IMPORTLOG_H

#include "core/base/compat.h"

struct node;
struct repo;

/* out: root-relative; NULL notes nothing. url as typed, other: the repository of 'import', or NULL. Failures are silent (K3). */
void importlog_begin(struct repo *r, const char *out, const char *url, const struct node *other);
void importlog_end(struct repo *r, const char *out, const char *url, const struct node *other);
/* The place as the user names it. */
bool importlog_has(struct repo *r, const char *place, const char *url, const struct node *other);

#endif

/*
 * dagascii - draws one connected graph with boxes and starred lines.
 *
 *  B1  The layout is the layered one (Sugiyama, Brandes and Koepf) that DVC's drawing comes from, step by step the same
 *      arithmetic, so that common graphs come out equal to the character.
 *
 * Pure: names and edges in, text out.
 */
#ifndef PIPELINE_DAGASCII_H
#define PIPELINE_DAGASCII_H

#include "core/base/compat.h"

struct str;
struct err;

struct dag_edge { size_t from, to; };   /* drawn downwards: from above to */
/* The graph must be connected, without cycles and without double edges. Lines are joined by '\n', none at the end. */
int  dag_draw(struct str *out, const char *const *names, size_t n, const struct dag_edge *edges, size_t nedges,
	      struct err *e);

#endif

/*
 * add_own - what add and the imports share: where an output and its stage file go, and content that comes from elsewhere.
 */
#ifndef DATA_ADD_OWN_H
#define DATA_ADD_OWN_H

#include "core/data/track.h"

struct project;
struct stage;
struct item;
struct err;

/* DVC's resolve_paths(): stage file and working directory (absolute), and the output as the file will name it. */
struct out_place { char *file, *wdir, *out; };
#define OUT_PLACE_INIT { NULL, NULL, NULL }
void place_release(struct out_place *w);
int  place_resolve(struct project *p, const char *out, bool always_local, struct out_place *w, struct err *e);
/* A stage with this one output, after DVC's checks; it is in no index. */
int  place_create(struct project *p, const struct out_place *w, struct stage **out, struct err *e);
/* DVC's resolve_output(): 'out', or the source's name in it when it is a directory. NULL: it exists and 'force' is off. */
char *place_output(const char *source, const char *out, bool force, struct err *e);
int  place_taken(const char *path, struct err *e);      /* that it exists and 'force' is off: -1 */
/* The content of 'source' (path or URL) becomes the output's: through the cache into the work tree, or, with
 * o->to_remote, straight to the remote. Writes the stage file. */
int  transfer_add(struct project *p, const char *source, struct item *out, const struct add_opts *o, struct err *e);
/* The same without the stage file: source to cache; fills out's hash and metadata. */
int  transfer_to_cache(struct project *p, const char *source, struct item *out, struct err *e);
void track_warn_unlinked(struct project *p);

#endif

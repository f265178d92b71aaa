/*
 * inuse - every object the outputs of some revisions need, and on which remote they belong.
 */
#ifndef DATA_INUSE_H
#define DATA_INUSE_H

#include "core/base/map.h"
#include "core/cache/oid.h"

struct project;
struct gc_opts;
struct item;
struct err;

#define INUSE_KEY 18            /* the oid and, last, whether it is an md5-dos2unix */
struct inuse {
	struct map remotes;             /* name ("" = the default one) to struct binset of keys */
	struct map fetched;             /* hex names of manifests that were brought from a remote for the question */
	struct map *paths;              /* hex name to a path that needs it; NULL: not wanted */
};
void inuse_release(struct inuse *u);
void inuse_key(unsigned char out[INUSE_KEY], const struct oid *id, bool legacy);
struct binset *inuse_of(struct inuse *u, const char *remote);
bool inuse_has(const struct inuse *u, const struct oid *id, bool legacy);       /* on any remote */
/* The scope of o: the work tree and the revisions asked for. */
int  inuse_collect(struct project *p, const struct gc_opts *o, struct inuse *u, struct err *e);
/* That an output has no recorded version, and what to do about it. */
void inuse_warn_unrecorded(struct project *p, const struct item *out, bool workspace);
/* All commits, only for their paths; what cannot be read is passed over. */
int  inuse_paths(struct project *p, struct map *paths, struct err *e);

#endif

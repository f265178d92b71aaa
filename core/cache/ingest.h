/*
 * ingest - the engine: walk, hash, import and materialise many files with all cores, each content read once.
 *
 *  I1  What was hashed is what is stored: hashing runs over the copy made, or over the inode that was linked.
 *  I2  A file whose stat differs before and after it was read is reported (ERR_CHANGED), never recorded.
 *  I3  Memory is bounded: file names and stats, plus a fixed number of buffers per worker.
 *  I4  Nothing unchanged is read: the state is asked first. counters->hashed says how many files were read.
 *  I5  materialise never overwrites: the caller has made the place free, or says which entries may be replaced.
 */
#ifndef CACHE_INGEST_H
#define CACHE_INGEST_H

#include "core/base/fs.h"
#include "core/cache/oid.h"

struct store;
struct state;
struct pool;
struct progress;
struct err;

/* One file of a walk. Sorted by path (bytes of the whole path). */
struct walk_file {
	const char *path;               /* relative to the walked root; "" when the root is itself a file */
	uint64_t size;
	uint64_t ino, dev;
	int64_t mtime_ns, ctime_ns;
	mode_t mode;                    /* of the target when a symlink to a file is followed */
	bool is_link;                   /* the entry itself is a symlink */
	unsigned nlink;
	struct oid id;                  /* filled by hash_files() / import_files() */
	uint8_t known;                  /* id is valid */
};
struct walk {
	struct walk_file *f;
	size_t n, cap;
	struct walk_arena *arena;
	uint64_t bytes;
	size_t skipped_dirs;            /* symlinks to directories */
};
/* Asked for every entry; true: leave it out (and do not descend). rel is relative to the walked root. */
typedef bool walk_skip_fn(const char *rel, bool is_dir, void *data);
/* Refuses FIFOs, sockets and devices, names that are not UTF-8 and broken links, naming the path. */
int  walk_tree(struct walk *out, const char *root, walk_skip_fn *skip, void *data, struct pool *p, struct err *e);
void walk_release(struct walk *w);

struct ingest_counters { uint64_t files, hashed, bytes_hashed, imported, bytes_imported; };
struct ingest {
	struct store *store;            /* NULL: hash only */
	struct state *state;            /* may be NULL */
	struct pool *pool;
	struct progress *progress;      /* may be NULL */
	const enum link_kind *types;    /* cache.type in order; decides how content enters the store (2.5) */
	size_t ntypes;
	bool legacy;                    /* hash as DVC 2.x did */
	bool goes_on;                   /* a place that may not be written is told of, and counts as a missing object */
	struct ingest_counters count;
};
/* Gives every file of the walk its id; asks the state first. Hash only: nothing is stored. */
int  ingest_hash(struct ingest *in, const char *root, struct walk *w, struct err *e);
/* The same, and every object is in the store afterwards. */
int  ingest_import(struct ingest *in, const char *root, struct walk *w, struct err *e);
/* One file. st may be NULL; id out. */
int  ingest_hash_file(struct ingest *in, const char *path, const struct stat *st, struct oid *out, struct err *e);

/* The file that is replaced, as it was when its replacement was decided; of a link only that it is one. */
struct place_was { bool known, is_link; uint64_t ino, size; int64_t mtime_ns; };
/* Materialise: make 'rel' under root the content of id. */
struct place {
	const char *rel;                /* safe path; "" when root itself is the file */
	struct oid id;
	bool replace;                   /* an existing file may be replaced; what is not 'was' any more goes back: ERR_CHANGED */
	struct place_was was;
	bool isexec;                    /* set the owner's x bit */
	bool done;                      /* out */
	enum link_kind kind;            /* out: how */
};
/* All places, in parallel; parent directories are made. A missing or corrupt object leaves done = false and is counted;
 * other failures are errors. Records every file made in the state. */
int  ingest_place(struct ingest *in, const char *root, struct place *p, size_t n, size_t *missing, struct err *e);
/* Which of the configured kinds works between the store and the directory; probed once by linking a temporary. */
int  ingest_probe(struct ingest *in, const char *dir, enum link_kind *out, struct err *e);

#endif

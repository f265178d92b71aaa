/*
 * ingest_own - what the engine's own files share. Outside core/cache nobody includes it.
 */
#ifndef CACHE_INGEST_OWN_H
#define CACHE_INGEST_OWN_H

#include "core/cache/ingest.h"

#include <stdatomic.h>
#include <sys/stat.h>

#define INGEST_SMALL_MAX (128u << 10)   /* read whole, hashed in lanes */

/* Of a message with "%s%s%s": a path below the root, or the root itself. */
#define SHOWN(root, path) (root), *(path) ? "/" : "", (path)

/* walk_file.known */
enum { WALK_UNKNOWN, WALK_REMEMBERED, WALK_HASHED, WALK_HASHED_RACY };

/* One call of ingest_hash() or ingest_import(). */
struct run {
	struct ingest *in;
	const char *root;
	char *state_root;               /* what the state knows the root as */
	int rootfd;                     /* AT_FDCWD when the root is a file */
	struct walk *w;
	bool import;
	unsigned char *must_read;       /* per file: it must be read */
	uint32_t *list, *large;         /* indices of those */
	size_t nsmall, nlarge;
	size_t next_large;
	struct desk_small { unsigned char *arena; unsigned streak; } *desk;     /* per worker */
	bool reflink;                   /* how content enters the store ... */
	atomic_bool atime;              /* the files are somebody else's: O_NOATIME is refused */
	atomic_bool hardlink;           /* ... until a link is refused */

	_Atomic uint64_t hashed, bytes_hashed, imported, bytes_imported;
};

void walk_file_stat(struct walk_file *f, const struct stat *st);
int  ingest_open(struct run *r, const struct walk_file *f, struct err *e);
bool ingest_same(const struct walk_file *f, const struct stat *st);
int  ingest_restat(struct run *r, struct walk_file *f, int fd, struct err *e);
int  ingest_settled(struct run *r, struct walk_file *f, int fd, struct err *e);
int  ingest_changed(struct run *r, const char *rel, struct err *e);
bool ingest_may_link(const struct run *r, const struct walk_file *f);
int  ingest_link(struct run *r, struct walk_file *f, int fd, struct err *e);
void ingest_count(struct run *r, const struct walk_file *f, bool imported);
/* stream.c: the large files of the list */
int  ingest_streams(struct run *r, struct err *e);

#endif

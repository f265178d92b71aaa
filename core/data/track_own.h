/*
 * track_own - what the files behind track.h share: content as it was walked, and DVC's bookkeeping around it.
 */
#ifndef DATA_TRACK_OWN_H
#define DATA_TRACK_OWN_H

#include "core/cache/ingest.h"
#include "core/data/links.h"
#include "core/data/track.h"
#include "core/stage/stage.h"

#include <sys/stat.h>

struct content {
	struct walk w;
	bool is_dir;
	struct stat st;                 /* of what the path leads to */
	struct tree *tree;              /* directories */
	struct oid id;
	struct meta meta;
	bool moved;                     /* content_link() put something in the place of what the walk saw */
};
#define CONTENT_INIT { .meta = META_INIT }
void content_release(struct content *c);
/* Walks and hashes abs; 'import': its files are in the cache afterwards (the manifest is not). rel is its root-relative
 * name for ignore rules, or NULL. ERR_NOTFOUND when there is nothing. */
int  content_read(struct project *p, const char *abs, const char *rel, bool legacy, bool import, struct content *c,
		  struct err *e);
/* An import with or without relinking: without it the file stays as it is, and is copied. */
int  content_import(struct project *p, const char *abs, const char *rel, bool legacy, bool import, bool relink,
		    struct content *c, struct err *e);
/* The same with other kinds of links than cache.type. */
int  content_read_as(struct project *p, const char *abs, const char *rel, bool legacy, bool import,
		     const enum link_kind *types, size_t ntypes, struct content *c, struct err *e);
int  content_store_tree(struct project *p, bool legacy, const struct tree *t, struct err *e);
/* Makes the files links of the configured kind. *unlinked: no kind works here, nothing was changed. */
int  content_link(struct project *p, const char *abs, bool legacy, struct content *c, bool *unlinked, struct err *e);
/* links_look(), by the walk's look where that is still true. */
bool content_note(struct project *p, const char *rel, const struct content *c, struct links_note *out);
/* As DVC: the bit is set on the inode that the object shares. A cache that is somebody else's stays as it is. */
int  track_set_exec(const char *abs, struct err *e);

/* True when DVC keeps this output out of git by a line in a .gitignore. */
bool track_wants_ignore(const struct project *p, const struct item *out);
/* Cloud versions of members that did not change stay (format notes 4.6). */
void track_keep_versions(struct item *out, const struct node *old_files, const struct hashinfo *old_hash,
			 const struct meta *old_meta);
/* Records content as the output's, with the versions of what did not change. */
void track_set(struct item *out, const struct content *c, bool legacy);
/* 1: the output is recorded the 2.x way and unchanged, so it stays so; 0: it is (now) a 3.x output. */
int  track_keep_legacy(struct project *p, struct item *out, const char *abs, struct err *e);
/* As track_save(), but only what lies at 'inside' is stored (NULL: all). */
int  track_save_part(struct project *p, struct item *out, const char *inside, unsigned flags, struct err *e);
/* DVC's warning about a file or directory without content, for who records it. */
bool track_is_empty(const char *abs);
void track_say_empty(const struct project *p, const struct item *i);
int  track_missing(struct project *p, const struct item *i, struct err *e);    /* DVC's "output 'x' does not exist" */

#endif

/*
 * listing - a repository as one tree: what git or the file system has, and what is tracked, downloaded or not.
 *
 *  I1  Names come sorted by bytes. A tracked path that is absent is shown as its pointer says.
 *  I2  A URL that is no directory here is cloned with the git program into a private cache; nothing of the user's changes.
 */
#ifndef DATA_LISTING_H
#define DATA_LISTING_H

#include "core/base/str.h"

struct err;
struct listing;
struct repo;

struct ls_entry {
	char *name;             /* last component; of a file asked for by its own path, that path's */
	bool is_out, is_dir, is_exec;
	bool is_link;           /* a link to a directory: nobody walks into it */
	bool in_tree;           /* git or the file system has it */
	int64_t size;           /* -1: unknown */
	int64_t tracked_size;   /* as the pointer says; -1: it does not */
	char *hash;             /* NULL: none */
};
struct ls_entries { struct ls_entry *v; size_t n, cap; };
void ls_entry_release(struct ls_entry *e);
void ls_entries_release(struct ls_entries *l);

struct listing_opts { const char *rev, *config, *remote; const struct strvec *remote_config; };
/* path: as typed, relative to the user's directory when that lies inside the repository; NULL: the repository. Of nested
 * repositories it is the innermost one that holds the path. */
int  listing_open(struct listing **out, const char *url, const char *path, const struct listing_opts *o, struct err *e);
void listing_close(struct listing *l);
char *listing_path(const struct listing *l);            /* root-relative */
/* Root-relative directory to the form shown: relative to 'base' (also root-relative). */
char *listing_show(const struct listing *l, const char *rel, const char *base);
/* The user's directory when it lies inside the repository of 'url', else "". */
const char *listing_cwd(const struct listing *l);
/* ERR_NOTFOUND when neither has it. */
int  listing_info(struct listing *l, const char *rel, struct ls_entry *out, struct err *e);
enum { LISTING_TRACKED_ONLY = 1, LISTING_STAGE_FILES = 2 /* .dvc files, dvc.yaml and the like too */ };
int  listing_dir(struct listing *l, const char *rel, unsigned flags, struct ls_entries *out, struct err *e);
/* Bytes below, as 'du' counts. */
int  listing_size(struct listing *l, const char *rel, int64_t *out, struct err *e);

#endif

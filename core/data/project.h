/*
 * project - a repository with its caches, state and workers: what every data command starts from.
 *
 *  J1  Nothing is opened before it is asked for.
 */
#ifndef DATA_PROJECT_H
#define DATA_PROJECT_H

#include "core/base/fs.h"
#include "core/base/str.h"

struct repo;
struct store;
struct state;
struct pool;
struct index;
struct srctree;
struct ingest;
struct item;
struct node;
struct err;

struct project {
	struct repo *repo;              /* borrowed */
	struct store *cache_, *legacy_; /* through project_cache() */
	struct state *state_;
	struct pool *pool_;
	struct srctree *workspace_;
	struct index *index_;
	struct node *datasets_;
	enum link_kind types[4];        /* cache.type */
	size_t ntypes;
	bool types_read, state_failed;
	struct strvec ignored;          /* absolute outputs this command put into a .gitignore: undone when it fails */
	struct strvec unlinked;         /* outputs that no configured kind of link could take */
};

struct project *project_new(struct repo *r);
void project_free(struct project *p);
int  project_cache(struct project *p, bool legacy, struct store **out, struct err *e);
/* core.fsync = batch: what was written is on the disk now. Objects in a cache that could not be flushed stay suspect (S6). */
int  project_flush(struct project *p, struct err *e);
int  project_store_of(struct project *p, const struct item *out_item, struct store **out, struct err *e);
struct state *project_state(struct project *p);         /* NULL when it cannot be opened: a warning was given */
struct pool *project_pool(struct project *p);
int  project_workspace(struct project *p, struct srctree **out, struct err *e);
int  project_index(struct project *p, struct index **out, struct err *e);       /* of the work tree, loaded whole, once */
int  project_index_some(struct project *p, struct index **out, struct err *e);  /* the same, with what was asked for only */
/* DVC opens the remote of every output, used or not, before it compares: names of remotes that are not there end it.
 * 'tree': of a revision, its own settings count. REMOTES_OWN: only
 * what outputs say themselves, and of them those alone whose content is known. */
enum remotes_of { REMOTES_ALL, REMOTES_OWN, REMOTES_OWN_RECORDED };
int  project_remotes_known(struct project *p, const struct index *x, struct srctree *tree, enum remotes_of of, struct err *e);
void project_index_drop(struct project *p);             /* after stage files were written */
int  project_datasets(struct project *p, const struct node **out, struct err *e);      /* of the work tree, once */
int  project_ingest(struct project *p, bool legacy, struct ingest *out, struct err *e); /* filled from all the above */
void project_types(struct project *p, const enum link_kind **types, size_t *n);  /* cache.type, in order */
/* An entry of the run-cache: a complete file by rename, on disk as core.fsync says, shared as cache.shared says. */
int  project_write_run(struct project *p, const char *path, const void *text, size_t n, struct err *e);
char *project_cache_dir(struct project *p);             /* absolute */

#endif

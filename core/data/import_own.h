/* import_own - what the files behind import.h share. */
#ifndef DATA_IMPORT_OWN_H
#define DATA_IMPORT_OWN_H

#include "core/data/import.h"

/* "path (url)" or the path as people see it. */
char *import_show_dep(const struct project *p, const struct item *d);
/* Where the repository of a dependency is: a relative URL counts from the user's directory, else from the
 * root. */
char *import_repo_url(const struct project *p, const struct item *d);
/* The recorded content from the cache into the work tree. */
int  import_place(struct project *p, struct item *out, struct err *e);
/* Imports from repositories: content at 'rev_lock' (found first when unset); no_download only locks. */
int  import_bring_repo(struct project *p, struct stage *s, bool no_download, unsigned jobs, struct err *e);
int  import_update_repo(struct project *p, struct stage *s, const struct update_opts *o, struct err *e);
/* A name for what is to become the output, or NULL. */
char *import_temp(struct project *p, const struct item *out, struct err *e);
/* M1: what lies at 'tmp' becomes the output, hashed and stored; after a failure it is gone. */
int  import_put(struct project *p, const char *tmp, struct item *out, bool force, struct err *e);
/* Makes the place of an output free; what is there goes into the cache first, unless forced (M2). */
int  import_clear_place(struct project *p, struct item *out, bool force, struct err *e);
/* Of an output that may be half there (item.maybe_rest): is what is there a part of this? ERR_EXISTS if not.
 * whole: the manifest of a directory; id NULL: as out records it. */
struct oid;
struct tree;
int  import_check_rest(struct project *p, struct item *out, const struct tree *whole, const struct oid *id, struct err *e);
/* An output that was pushed to this worktree remote becomes what it is there now. */
int  import_update_worktree(struct project *p, struct item *out, const char *remote, struct err *e);
/* What an import stands for, recorded or not (then it gets its hash, in memory), from its source into the cache of
 * 'into' (p or a project of its own). Of a tracked directory that is recorded only what lies at 'inside', unless NULL. */
int  import_from_source(struct project *p, struct item *out, const char *inside, struct project *into, const char *tmp_dir,
			unsigned jobs, uint64_t *objects, struct err *e);
/* The manifest of an imported directory, from its source. Only looked at, not kept. False: it cannot be had. */
bool import_manifest(struct project *p, const struct item *out, struct tree **t);
/* Of an import from a URL that was not downloaded the names alone: nobody knows their hashes. */
bool import_names(struct project *p, const struct item *out, struct tree **t);
/* The content of an import-url that nothing is recorded for: into the cache, unless the source is not what was imported. */
int  import_fetch_url(struct project *p, struct item *out, struct project *into, const char *tmp_dir, unsigned jobs,
		      uint64_t *files, struct err *e);

#endif

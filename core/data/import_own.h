/* import_own - what the files behind import.h share. */
#ifndef DATA_IMPORT_OWN_H
#define DATA_IMPORT_OWN_H

#include "core/data/import.h"

/* "path (url)" or the path as people see it. */
char *import_show_dep(const struct project *p, const struct item *d);
/* The recorded content from the cache into the work tree. */
int  import_place(struct project *p, struct item *out, struct err *e);
/* Imports from repositories: content at 'rev_lock' (found first when unset); no_download only locks. */
int  import_bring_repo(struct project *p, struct stage *s, bool no_download, unsigned jobs, struct err *e);
int  import_update_repo(struct project *p, struct stage *s, const struct update_opts *o, struct err *e);
/* Makes the place of an output free; what is there goes into the cache first, unless forced (M2). */
int  import_clear_place(struct project *p, struct item *out, bool force, struct err *e);
struct erepo;
struct eparts;
int  import_store_parts(struct project *p, struct erepo *r, const struct eparts *parts, uint64_t *objects, struct err *e);

#endif

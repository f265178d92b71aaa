/*
 * upload - content sent to a remote without passing through the cache: add and import-url --to-remote.
 *
 *  U1  A manifest goes after its last file.
 *  U2  A file that changed since it was hashed is refused.
 */
#ifndef DATA_UPLOAD_H
#define DATA_UPLOAD_H

struct project;
struct item;
struct source;
struct err;

/* Hash and metadata of what was sent are recorded in 'out'. remote NULL: the default one. */
int  upload_source(struct project *p, struct source *s, const char *remote, unsigned jobs, struct item *out,
		   struct err *e);

#endif

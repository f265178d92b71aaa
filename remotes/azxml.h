/* azxml - the two documents of Azure Blob that are read: a page of a listing, and the blocks of an unfinished upload. */
#ifndef REMOTES_AZXML_H
#define REMOTES_AZXML_H

#include "core/base/compat.h"

struct err;
struct str;

/* fn: -1 stops, with the error set where azxml_list() was given it. marker: of the next page, empty at the end. */
int azxml_list(const char *text, size_t len, int (*fn)(void *data, const char *name, uint64_t size, const char *etag),
	       void *data, struct str *marker, struct err *e);
int azxml_blocks(const char *text, size_t len, void (*fn)(void *data, const char *name, uint64_t size), void *data,
		 struct err *e);

#endif

/*
 * xml - documents that services answer with, read by expat (its only user).
 *
 *  X1  No document type, no entity but the five and numbers, depth at most 32; anything else is ERR_PARSE.
 *  X2  Names come without their namespace prefix; a path is all names from the root: "ListBucketResult/Contents/Key".
 */
#ifndef REMOTES_XML_H
#define REMOTES_XML_H

#include "core/base/compat.h"

struct err;
struct str;

struct xml_reader {
	int (*open)(const char *path, void *data, struct err *e);                       /* may be NULL */
	/* text: the character data directly inside the element, as it stands. -1 stops. */
	int (*close)(const char *path, const char *text, void *data, struct err *e);
};
int  xml_read(const char *text, size_t len, const char *name, const struct xml_reader *r, void *data, struct err *e);
/* Text of the first element with this (local) name, anywhere; NULL when there is none or the text is no XML. malloc'd. */
char *xml_find(const char *text, size_t len, const char *element);
void xml_escape(struct str *out, const char *s);

#endif

/*
 * oid - name of an object: the MD5 of its bytes, and whether the bytes are a directory manifest.
 */
#ifndef CACHE_OID_H
#define CACHE_OID_H

#include "core/base/compat.h"

struct oid { unsigned char md5[16]; uint8_t is_dir; };          /* 17 bytes, no padding: usable in a binset */
#define OID_HEX_MAX 37                                          /* 32 digits, ".dir", NUL */

bool oid_parse(struct oid *out, const char *text);              /* 32 lower-case digits, optional ".dir" */
void oid_hex(char out[OID_HEX_MAX], const struct oid *id);
/* "files/md5/aa/rest[.dir]" or, legacy, "aa/rest[.dir]"; out holds at least 64 bytes. */
#define OID_KEY_MAX 64
void oid_key(char out[OID_KEY_MAX], const struct oid *id, bool legacy);
bool oid_from_key(struct oid *out, const char *aa, const char *rest);
int  oid_cmp(const struct oid *a, const struct oid *b);
static inline bool oid_eq(const struct oid *a, const struct oid *b)
{
	return !memcmp(a->md5, b->md5, 16) && a->is_dir == b->is_dir;
}

#endif

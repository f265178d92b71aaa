/*
 * dirmark - a short text that belongs to a directory without being a file in it: an extended attribute.
 *
 *  K1  What lists, copies or compares the directory's content sees nothing: the layout of a cache or remote stays DVC's.
 *  K2  A text is replaced as a whole or not at all (setxattr(2)); with 'sync' it is on the disk afterwards.
 *  K3  Not every file system, directory or user may have one: the caller needs a place to fall back on.
 *
 * Source: xattr(7), the class "user".
 */
#ifndef BASE_DIRMARK_H
#define BASE_DIRMARK_H

#include "core/base/compat.h"

#define DIRMARK_MOST 3500u      /* bytes: ext4 keeps all of a directory's attributes in one block of 4 KiB */

struct str;

/* Appends the text; 1 there is none, -1 and errno when it cannot be read (ENOTSUP: there cannot be one). */
int dirmark_read(int dirfd, const char *name, struct str *out);
int dirmark_write(int dirfd, const char *name, const char *text, size_t n, bool sync);  /* -1 and errno */
int dirmark_remove(int dirfd, const char *name);                                        /* absent is fine; -1 and errno */

#endif

/*
 * copytree - a plain copy of a file or directory: contents only, no owners, modes or times, as DVC's downloads are.
 */
#ifndef DATA_COPYTREE_H
#define DATA_COPYTREE_H

#include "core/base/compat.h"

struct err;
/* Links to files are followed, links to directories passed over; directories without files are not made. 'to' must not
 * exist. A clone where the file system can, else a copy. */
int  copy_tree(const char *from, const char *to, struct err *e);
int  copy_bytes(int in, int out);       /* -1 and errno */
/* A copy takes the name of a file, or of a link, by rename: whoever opens it sees the whole file. mode 0: the usual one. */
int  copy_in_place(int dir, const char *name, mode_t mode, const char *shown, struct err *e);

#endif

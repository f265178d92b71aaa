/*
 * beneath - takes things out of the work tree, never through a symlink and never what is not the thing that was seen.
 *
 *  B1  Every name is reached from the root's descriptor, component by component (fs.h, F3).
 *  B2  A file goes only if its inode, size and modification time are the ones given.
 */
#ifndef DATA_BENEATH_H
#define DATA_BENEATH_H

#include "core/base/compat.h"

#include <sys/stat.h>

struct err;
struct beneath { int root, parent; char *dir; };

int  beneath_open(struct beneath *b, const char *root, struct err *e);
void beneath_close(struct beneath *b);
/* The stat of the thing itself: 1 there, 0 absent, -1 error. */
int  beneath_lstat(struct beneath *b, const char *rel, struct stat *st, struct err *e);
struct seen { uint64_t ino, size; int64_t mtime_ns; bool is_link; };
/* ERR_CHANGED when it is no longer what was seen. Absent is fine. */
int  beneath_check(struct beneath *b, const char *rel, const struct seen *s, struct err *e);
int  beneath_unlink(struct beneath *b, const char *rel, const struct seen *s, struct err *e);
void beneath_rmdir(struct beneath *b, const char *rel);         /* stays when it is not empty */
int  beneath_mkdir(struct beneath *b, const char *rel, struct err *e);  /* with parents; there already is fine */
int  beneath_set_exec(struct beneath *b, const char *rel, struct err *e);

#endif

/*
 * links - what we put into the work tree, so that a checkout can take it away again once nothing claims it.
 *
 *  L1  A path is removed only if it is still exactly what was recorded (inode, names, sizes, times), and only if every
 *      content in it is in the cache.
 */
#ifndef DATA_LINKS_H
#define DATA_LINKS_H

#include "core/base/str.h"

#include <sys/stat.h>

struct project;
struct walk;
struct err;

/* An output as it was when somebody looked at it. */
struct links_note { uint64_t ino; unsigned char print[16]; };

/* Remembers the output at 'rel' as it is now. For add, commit, checkout and finished stages. Never fails. */
void links_save(struct project *p, const char *rel);
/* The same in two steps. Who has walked it already need not look again. */
bool links_look(struct project *p, const char *rel, struct links_note *out);   /* false: there is nothing */
void links_note(struct links_note *out, const struct stat *st, const struct walk *members);    /* members: of a directory */
void links_save_note(struct project *p, const char *rel, const struct links_note *n);
/* Removes what no path in 'used' (sorted, root-relative) claims; removed ones are appended, directories with a slash. */
int  links_remove_unused(struct project *p, const struct strvec *used, struct strvec *removed, struct err *e);

#endif

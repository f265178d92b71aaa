/*
 * links - what we put into the work tree, so that a checkout can take it away again once nothing claims it.
 *
 *  L1  A path is removed only if it is still exactly what was recorded (inode, names, sizes, times), and only if every
 *      content in it is in the cache.
 */
#ifndef DATA_LINKS_H
#define DATA_LINKS_H

#include "core/base/str.h"

struct project;
struct err;

/* Remembers the output at 'rel' as it is now. For add, commit, checkout and finished stages. Never fails. */
void links_save(struct project *p, const char *rel);
/* Removes what no path in 'used' (sorted, root-relative) claims; removed ones are appended, directories with a slash. */
int  links_remove_unused(struct project *p, const struct strvec *used, struct strvec *removed, struct err *e);

#endif

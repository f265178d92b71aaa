/* pairs - "name=value" words of an option as a map; and DVC's way to put context in front of an error. */
#ifndef CMD_PAIRS_H
#define CMD_PAIRS_H

#include "core/base/map.h"
#include "core/base/str.h"

struct err;
struct node;

/* Values are borrowed from v. */
int  pairs_map(const struct strvec *v, const char *option, struct map *out, struct err *e);
struct node *pairs_node(const struct strvec *v);        /* NULL when there are none; after pairs_map() has checked them */
/* "context - message", unless the error stands alone; exit status 1 unless it has one of its own. -1. */
int  fail_with(struct err *e, const char *fmt, ...) PRINTF(2, 3);

#endif

/*
 * rows - the table of 'list' and 'list-url': columns are padded once all lines are known.
 *
 *  R1  Sizes stand at the right of their column, hashes and names at the left. Widths count characters, not bytes.
 *  R2  Names are taken over by rows_add(), printed as they are.
 */
#ifndef CMD_ROWS_H
#define CMD_ROWS_H

#include "core/base/compat.h"

struct row { char *size, *hash, *name; };
struct rows { struct row *v; size_t n, cap; };

void rows_release(struct rows *r);
/* size < 0: unknown. A directory without bytes of its own shows none. 'hash' may be NULL. */
void rows_add(struct rows *r, int64_t size, bool is_dir, const char *hash, char *name);
void rows_print(const struct rows *r, bool size, bool hash, bool tree);

#endif

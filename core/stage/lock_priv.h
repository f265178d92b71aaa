/* What lock.c and lockfile.c share; the entry's schema is also what a run-cache file must obey. */
#ifndef STAGE_LOCK_PRIV_H
#define STAGE_LOCK_PRIV_H

#include "core/stage/lock.h"

#define LOCK_MAX (1ull << 30)

struct schema;
const struct schema *lock_schema(void);
const struct schema *lock_entry_schema(void);

#endif

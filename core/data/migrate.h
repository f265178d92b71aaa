/*
 * migrate - from DVC 2.x's cache layout and hashes to those of 3.x.
 *
 *  V1  Nothing is removed: an object of the old layout gets a second name, its bytes are not copied where links work.
 *  V2  A stage file names a new hash only when the object of that name is in the cache.
 */
#ifndef DATA_MIGRATE_H
#define DATA_MIGRATE_H

#include "core/base/str.h"

struct project;
struct err;

struct migrate_result {
	size_t objects;                 /* named anew; dry: found */
	struct strvec files;            /* stage files with old entries, cwd-relative, "dvc.yaml (dvc.lock)" for pipelines */
};
int  migrate_cache(struct project *p, bool dry, struct migrate_result *r, struct err *e);
int  migrate_files(struct project *p, bool dry, struct migrate_result *r, struct err *e);

#endif

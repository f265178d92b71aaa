/*
 * aside - former outputs, kept while their stage runs.
 *
 *  A1  Nothing is deleted before the stage has succeeded; until then the former output lies under .dvc/tmp/aside, or,
 *      on another file system, beside its place under a hidden name.
 *  A2  A failed stage gets its former output back where it left nothing in its place.
 *  A3  What a killed run left is put back by the next run, unless something new stands there; then it is kept.
 */
#ifndef PIPELINE_ASIDE_H
#define PIPELINE_ASIDE_H

#include "core/base/str.h"

struct repo;
struct stage;
struct err;

struct aside {
	char *dir;              /* of this stage's moves; NULL: nothing was moved */
	struct strvec from, to; /* absolute */
};
int  aside_take(struct aside *a, struct repo *r, const struct stage *s, struct err *e);
void aside_drop(struct aside *a);       /* the stage succeeded */
void aside_restore(struct aside *a);    /* it failed: A2 */
void aside_recover(struct repo *r);     /* A3; under the repository lock */

#endif

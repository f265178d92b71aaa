/*
 * aside - former outputs, kept while their stage runs.
 *
 *  A1  What is in the cache as recorded is simply removed; anything else is moved to .dvc/tmp/aside (or, on another file
 *      system, beside its place under a hidden name) and deleted only after the stage has succeeded.
 *  A2  A failed stage gets its former output back where it left nothing in its place; else the former one is kept aside.
 *  A3  What a killed run left is put back by the next run, unless something new stands there; then it is kept.
 *      A run of another machine on the same disk is left alone: whether it lives cannot be seen from here.
 *  A4  What a failed command itself left is not kept: the next run of the stage removes it.
 */
#ifndef PIPELINE_ASIDE_H
#define PIPELINE_ASIDE_H

#include "core/base/str.h"

struct project;
struct stage;
struct stage_status;
struct err;

struct aside {
	char *dir;              /* of this stage's moves; NULL: nothing was moved */
	struct strvec from, to; /* absolute */
};
/* status: what compare_stage() said of the stage, or NULL when it was not asked. */
int  aside_take(struct aside *a, struct project *p, const struct stage *s, const struct stage_status *status,
		struct err *e);
void aside_drop(struct aside *a);                               /* the stage succeeded */
void aside_restore(struct aside *a, struct project *p, const struct stage *s, bool ran);      /* it failed: A2, A4 */
void aside_recover(struct project *p);                          /* A3; under the repository lock */

#endif

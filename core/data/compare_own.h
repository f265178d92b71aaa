/*
 * compare_own - between the files of compare: adding reasons, parameters, and the sources of imports.
 */
#ifndef DATA_COMPARE_OWN_H
#define DATA_COMPARE_OWN_H

#include "core/data/compare.h"

struct reason *reason_add(struct stage_status *s, enum reason_kind kind, const struct item *i, const char *state);
char *reason_what(struct project *p, const struct item *i);
/* Parameters of one file: every tracked key that was added, went away or has another value. */
int  compare_params(struct project *p, struct item *dep, struct stage_status *out, struct err *e);
/* A repository import: the revision it follows now points elsewhere. Asks the source with the git program. */
int  compare_source(struct project *p, struct item *dep, struct stage_status *out, struct err *e);

#endif

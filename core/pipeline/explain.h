/*
 * explain - why a stage runs, in words.
 */
#ifndef PIPELINE_EXPLAIN_H
#define PIPELINE_EXPLAIN_H

#include "core/base/compat.h"

struct stage;
struct stage_status;
struct str;

void explain_stage(struct str *out, const struct stage *s, const char *addressing, const struct stage_status *st,
		   bool forced);

#endif

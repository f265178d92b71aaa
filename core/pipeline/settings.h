/*
 * settings - what a stage asks of the runner under 'meta: {git-data: ...}'. Stock DVC loads and ignores it.
 *
 *	meta:
 *	  git-data:
 *	    timeout: 90        seconds, or "30s", "5m", "2h": the stage is ended when it takes longer
 *	    retries: 2         how often a failed stage is started again
 *	    mutex: gpu         (or a list) stages that share a name run one at a time
 *	    limit: {net: 4}    at most so many stages that share the name run at a time
 *	    script: true       cmd runs as one script that stops at the first error, not line by line
 */
#ifndef PIPELINE_SETTINGS_H
#define PIPELINE_SETTINGS_H

#include "core/base/str.h"

struct stage;
struct err;

struct stage_limit { char *name; unsigned max; };
struct stage_settings {
	double timeout;                 /* seconds; 0: none */
	unsigned retries;
	bool script;
	struct stage_limit *limits;
	size_t nlimits, limits_cap;
};
int  settings_read(struct stage_settings *out, const struct stage *s, struct err *e);
void settings_release(struct stage_settings *s);

#endif

/*
 * record - what is written down of a stage after it ran: hashes of its dependencies, its parameters, its outputs.
 */
#ifndef PIPELINE_RECORD_H
#define PIPELINE_RECORD_H

#include "core/base/compat.h"

struct project;
struct stage;
struct strvec;
struct err;

enum {
	RECORD_HASHING = 1,             /* the complaint about a missing dependency is that of DVC's run-cache lookup */
	RECORD_LENIENT = 2,             /* --allow-missing: what is not there keeps what was recorded of it, if anything */
	RECORD_NO_COMMIT = 4,           /* outputs are hashed, but not stored */
};
/* Reads every dependency as it is now. */
int  record_deps(struct project *p, struct stage *s, unsigned flags, struct err *e);
/* Whether all files it depends on are there, in the words of one that cannot be hashed. */
int record_deps_there(struct project *p, const struct stage *s, struct err *e);
int  record_outs(struct project *p, struct stage *s, unsigned flags, struct err *e);
/* "missing data 'sources': a, b" when outputs are absent. */
int  record_check_outs(struct project *p, const struct stage *s, struct err *e);
/* Outputs that stay in place while the stage runs must not share bytes with the cache. */
int  record_unprotect(struct project *p, const struct stage *s, struct err *e);

/* Puts names into the .gitignore of their directories in the order given, one write for each file. Directories that are not
 * there yet are passed over. */
int  record_ignore(struct project *p, const struct strvec *paths, struct err *e);

#endif

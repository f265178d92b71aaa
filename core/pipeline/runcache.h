/*
 * runcache - what a command made of the same inputs before.
 *
 *  R1  Keys, values and files are DVC's, so that either tool finds the other's runs.
 *  R2  An entry names only contents that are in the cache when it is written.
 *  R3  A file that cannot be read is removed with a warning and counts as absent.
 *
 * Source: format notes, section 8.
 */
#ifndef PIPELINE_RUNCACHE_H
#define PIPELINE_RUNCACHE_H

#include "core/base/compat.h"

struct project;
struct stage;
struct item;
struct node;
struct err;

/* May the stage use the run cache at all? Dependencies must be hashed already. */
bool runcache_can(const struct stage *s);
/* May it as far as its command and dependencies go? */
bool runcache_asks(const struct stage *s);
/* The two names, of the stage's entry as lock_entry() gives it. */
int  runcache_ids(const struct node *entry, char key[65], char value[65], struct err *e);
/* The newest run with the stage's present dependencies; NULL in *entry when there is none. */
int  runcache_find(struct project *p, const struct stage *s, struct node **entry, struct err *e);
/* Brings what the outputs of an earlier run recorded into the cache. What nobody has is no error: words say so. */
typedef int runcache_bring_fn(struct project *p, const struct stage *run, struct err *e);
/* All outputs of the entry are in the cache, or were brought there (bring may be NULL)? Then, unless dry, they are put in
 * place. */
int  runcache_restore(struct project *p, struct stage *s, const struct node *entry, bool dry, runcache_bring_fn *bring,
		      bool *done, struct err *e);
/* Records what the command made; its outputs are in the cache (R2). */
int  runcache_save(struct project *p, struct stage *s, struct err *e);

#endif

/*
 * plan - which stages a run looks at, in which order, and what waits for what. Pure: reads the index, touches no file.
 *
 *  P1  Order is depth-first post-order, dependencies in the order they are written, roots in the order of the index.
 *  P2  A frozen stage depends on nothing.
 *  P3  Cost is linear in stages and edges.
 *  P4  A single item needs nothing but the stages that are named; all else reads the whole index first.
 *
 * Ownership: a plan owns its arrays and borrows the index and its stages.
 */
#ifndef PIPELINE_PLAN_H
#define PIPELINE_PLAN_H

#include "core/base/str.h"
#include "core/stage/index.h"

struct stage;
struct err;

struct plan_opts {
	const struct strvec *targets;   /* empty: the dvc.yaml here */
	bool recursive, pipeline, all_pipelines, downstream, single_item, glob;
	/* called when the targets were found and before the rest is read; may be NULL */
	int  (*named)(void *data, struct err *e);
	void *data;
};
struct step {
	struct stage *stage;
	size_t number;                  /* of the stage in the index */
	size_t *up, nup;                /* steps that come first */
	size_t *down, ndown;            /* steps that wait for this one */
	struct stage **sources;         /* every stage it depends on, planned or not */
	size_t nsources;
};
struct plan {
	struct step *v;
	size_t n;
	const struct index *index;
	struct index_graph graph;       /* of all stages; empty for a single item */
	bool *frozen;                   /* which of them are */
};

int  plan_make(struct plan *out, struct index *x, const struct plan_opts *o, struct err *e);
void plan_release(struct plan *p);
/* By number, which stages of the index need the step's, planned or not; the caller frees it. NULL: a single item. */
bool *plan_dependents(const struct plan *p, size_t step);

/* The arithmetic, on numbers: nodes 0..n-1, edges to[from[i]] .. to[from[i + 1] - 1]. */
struct plan_graph { size_t n; const size_t *from, *to; const bool *cut; /* no edges leave these */ };
/* Marks what can be reached from the marked, along edges or, with 'back', against them. */
void plan_reach(const struct plan_graph *g, bool *marked, bool back);
/* Marks everything connected with the marked. */
void plan_connect(const struct plan_graph *g, bool *marked);
size_t plan_postorder(const struct plan_graph *g, const bool *only, size_t *order);

#endif

/*
 * values - metrics and parameters of the work tree and of commits, and how they differ.
 *
 *  Everything is plain data in the shape DVC prints as JSON:
 *	{rev: {"data": {path: {"data": ...} | {"error": {"type", "msg"}}}} | {"error": {...}}}
 *  with root-relative paths.
 *
 * Source: format notes, section 7.
 */
#ifndef PIPELINE_VALUES_H
#define PIPELINE_VALUES_H

#include "core/base/str.h"

struct project;
struct node;
struct err;

enum values_kind { VALUES_METRICS, VALUES_PARAMS };
struct values_opts {
	enum values_kind kind;
	const struct strvec *targets;   /* as typed; empty: all that are declared */
	bool deps_only;                 /* params: only those stages depend on */
	bool all_branches, all_tags, all_commits;
	const char *a_rev, *b_rev;      /* or these two; NULL: not asked */
	bool hide_workspace;            /* leave it out when the current branch has the same values */
};
int  values_show(struct project *p, const struct values_opts *o, struct node **out, struct err *e);
/* {path: {key: {"old", "new"[, "diff"]}}} of two revisions of a result. */
struct node *values_diff(const struct node *result, const char *a, const char *b, bool all);
/* Keys joined by dots; a scalar gives the key "". Lists become their Python text. */
struct node *values_flatten(const struct node *data);
/* Of one revision's result: it, or one of its files, could not be read. What a file says under "error" does not count. */
bool values_failed(const struct node *rev);

#endif

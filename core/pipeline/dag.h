/*
 * dag - the graph of a repository with names, as 'dag' shows it: filtered, collapsed, in four forms.
 */
#ifndef PIPELINE_DAG_H
#define PIPELINE_DAG_H

#include "core/base/str.h"
#include "core/pipeline/dagascii.h"

struct index;
struct targets;
struct err;

/* Edges run from what depends to what it needs, grouped by the former. */
struct dag {
	struct strvec names;
	struct dag_edge *e;
	size_t n, cap;
};
void dag_release(struct dag *d);
/* Stages, or their outputs. */
void dag_of_stages(struct dag *out, const struct index *x, const char *cwd_rel);
void dag_of_outs(struct dag *out, const struct index *x, const char *cwd_rel);
/* Only what the named nodes need (full: all they are connected with). Unknown names are left out. */
void dag_filter(struct dag *d, const struct strvec *targets, bool full);
void dag_collapse(struct dag *d);       /* "train@a" and "train@b" become "train" */
int  dag_ascii(struct str *out, const struct dag *d, struct err *e);
void dag_dot(struct str *out, const struct dag *d);
void dag_mermaid(struct str *out, const struct dag *d, bool md);

#endif

/*
 * template - ${} in dvc.yaml: variables, expressions, foreach and matrix.
 *
 *  T1  Variables come from params.yaml beside the file and from 'vars', merged deeply; nothing may be redefined.
 *  T2  An expression that is a whole string keeps the value's type; inside text it becomes text as DVC writes it.
 *  T3  Every failure names the place ('stages.train.cmd') and the file, in DVC's words.
 *  T4  A date is a value like any other (DVC refuses the whole file).
 *  T5  One group expands to at most 1,000,000 stages.
 *
 * Source: format notes, 5.2 and 5.3.
 */
#ifndef STAGE_TEMPLATE_H
#define STAGE_TEMPLATE_H

#include "core/base/compat.h"

struct node;
struct repo;
struct srctree;
struct str;
struct err;
struct tmpl;

/* How a params or vars file is read: root-relative name. Absent: ERR_NOTFOUND. */
typedef int tmpl_load_fn(struct node **out, const char *rel, void *data, struct err *e);
struct tmpl_env {
	const char *dir;                /* root-relative directory of the dvc.yaml; "" = root */
	const char *cwd;                /* root-relative current directory, for what people see */
	bool bool_optional;             /* parsing.bool = boolean_optional */
	bool list_append;               /* parsing.list = append */
	tmpl_load_fn *load;
	void *data;
};

/* doc: the whole dvc.yaml. */
int  tmpl_new(struct tmpl **out, const struct tmpl_env *env, const struct node *doc, struct err *e);
void tmpl_free(struct tmpl *t);

/* Called for each stage in order. 'resolved' is the callback's to keep; group is NULL for a plain stage. */
typedef int tmpl_stage_fn(const char *name, const char *group, struct node *resolved, const struct node *raw,
			  void *data, struct err *e);
int  tmpl_each_stage(struct tmpl *t, tmpl_stage_fn *fn, void *data, struct err *e);
/* Only the stages that a name asks for: the others are not resolved and may be wrong. group: the name of a group stands
 * for its stages. glob: the name is a pattern for names of stages. */
struct tmpl_want { const char *name; bool group, glob; };
int  tmpl_some_stages(struct tmpl *t, const struct tmpl_want *w, tmpl_stage_fn *fn, void *data, struct err *e);

/* {file: {key: value}}, root-relative files: the values of params and vars files that the stages use. */
int  tmpl_used_values(struct tmpl *t, struct node *into, struct err *e);

bool tmpl_has_expression(const struct node *n);
/* A value outside of stages; where is "metrics.0". */
int  tmpl_resolve_top(struct tmpl *t, const struct node *src, const char *where, struct node **out, struct err *e);
/* The same for what has to be a text. */
int  tmpl_resolve_name(struct tmpl *t, const struct node *src, const char *where, struct node **out, struct err *e);

/* For tests and fuzzing: one string against a map of variables; key as in validate ("cmd"), may be NULL. */
int  tmpl_resolve_text(const struct node *vars, const char *text, const char *key, struct node **out, struct err *e);

#endif

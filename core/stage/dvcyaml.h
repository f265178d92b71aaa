/*
 * dvcyaml - dvc.yaml: strict read with templates resolved, and edits in place that keep comments.
 *
 *  Y1  A file is read once: schema first, then variables, then each stage in file order.
 *  Y2  What its dvc.lock records is filled into the stages (lock.h); a missing dvc.lock records nothing.
 *  Y3  Edits change only the stage named; the rest of the document keeps its text as ruamel would keep it.
 *  Y4  Removing the last stage removes 'stages' and keeps every other section; the file goes when nothing is left.
 *
 * Source: format notes, section 5.
 */
#ifndef STAGE_DVCYAML_H
#define STAGE_DVCYAML_H

#include "core/stage/stage.h"

struct index;
struct tmpl_want;
struct dvcyaml_file;
struct repo;
struct srctree;
struct node;
struct err;

/* Appends every stage of the dvc.yaml 'rel' (root-relative) to the index; ERR_PARSE with DVC's report. The sections beside
 * the stages must resolve too. */
int  dvcyaml_load(struct index *x, const char *rel, struct err *e);
/* Only the stages asked for (NULL: all), and nothing else of the file need be right. */
int  dvcyaml_load_some(struct index *x, const char *rel, const struct tmpl_want *w, struct err *e);

/* Whether the file that the index keeps has a plain stage of that name. */
bool dvcyaml_declares(const struct index *x, const char *rel, const char *name);
/* What the index keeps of a dvc.yaml between two targets. */
void dvcyaml_file_free(struct dvcyaml_file *f);

/* Whether its entry 'name' is a foreach or a matrix, if only of nothing. */
bool dvcyaml_has_group(struct repo *r, struct srctree *t, const char *rel, const char *name);

/* The sections beside 'stages', templates resolved; each NULL when absent. */
struct dvcyaml_top { struct node *params, *metrics, *plots, *artifacts, *datasets; };
int  dvcyaml_load_top(struct repo *r, struct srctree *t, const char *rel, struct dvcyaml_top *out, struct err *e);
/* Adds to {file: {key: value}} what its stages take from params and vars files through ${}. */
int  dvcyaml_add_used_values(struct repo *r, struct srctree *t, const char *rel, struct node *into, struct err *e);
void dvcyaml_top_release(struct dvcyaml_top *t);

/* Takes the stage out of its dvc.yaml and dvc.lock; refuses a parametrised one with DVC's words. */
int  dvcyaml_remove_stage(struct repo *r, const struct stage *s, struct err *e);
/* Adds the stage, or makes the entry of that name equal to it; says so as DVC does unless quiet. Creates the file. */
int  dvcyaml_put_stage(struct repo *r, const struct stage *s, bool quiet, struct err *e);
/* Appends one dependency per params file of a 'params' list (names, and maps file -> names). */
int  dvcyaml_add_params(struct stage *s, const struct node *list, struct err *e);
/* The canonical map of a stage as 'stage add' writes it. */
struct node *dvcyaml_stage_node(const struct stage *s);

#endif

/*
 * pointer - .dvc files: strict read, canonical write, and rewrites that keep comments, order and unknown text.
 *
 *  Source: format notes, section 1.
 */
#ifndef STAGE_POINTER_H
#define STAGE_POINTER_H

#include "core/stage/stage.h"

struct srctree;
struct repo;
struct err;

/* rel: root-relative name of the file. ERR_PARSE with DVC's report ("'./x.dvc' validation failed." ...). */
int  pointer_load(struct stage **out, struct srctree *t, const char *rel, struct err *e);
int  pointer_parse(struct stage **out, const char *rel, const char *text, size_t len, struct err *e);
struct node *pointer_to_node(const struct stage *s);            /* the canonical document */
void pointer_document_md5(const struct stage *s, char out[33]); /* format notes 1.6 */
/* Writes s->file: a fresh dump, or an edit of the existing text in place (1.4). Metadata: synced, by rename. */
int  pointer_save(struct repo *r, const struct stage *s, struct err *e);
/* Item <-> map, shared with dvc.lock. */
int  item_from_node(struct item *i, const struct node *map, const char *file, struct err *e);

#endif

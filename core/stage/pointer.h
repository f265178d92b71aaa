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

/* rel: root-relative name of the file. DVC's errors: ERR_NOTFOUND ("'x.dvc' does not exist"), ERR_PARSE with the report.
 */
int  pointer_load(struct stage **out, struct repo *r, struct srctree *t, const char *rel, struct err *e);
/* shown: name for reports (schema_shown); rev: short revision or NULL. */
int  pointer_parse(struct stage **out, const char *rel, const char *shown, const char *rev, const char *text, size_t len,
		   struct err *e);
struct node *pointer_to_node(const struct stage *s);            /* the canonical document */
void pointer_document_md5(const struct stage *s, char out[33]); /* format notes 1.6 */
/* NULL for what 'add' tracks: only imports have one. malloc'd. */
char *pointer_md5_for(const struct stage *s);
void pointer_renew_md5(struct stage *s);                /* the stage's own becomes that */
/* Writes s->file: a fresh dump, or an edit of the existing text in place (1.4). Metadata: synced, by rename. */
int  pointer_save(struct repo *r, const struct stage *s, struct err *e);
/* The text pointer_save() would write; *same: the file has it already. */
struct str;
int  pointer_text(struct repo *r, const struct stage *s, struct str *out, bool *same, struct err *e);

/* One entry of outs, deps, or of dvc.lock: hash, metadata, files. 'where' names the place for errors. */
int  item_from_node(struct item *i, const struct node *map, const char *where, struct err *e);
/* Appends "md5: ..., size: ..." (or etag, checksum) and "cloud" to map, in DVC's order. */
void item_add_hash(const struct item *i, struct node *map);
struct node *item_files_to_node(const struct item *i);          /* the 'files' list, canonical */
/* What a reader makes of 'files': the id of the manifest they form, their number and size. */
void item_hash_from_files(struct item *i);

#endif

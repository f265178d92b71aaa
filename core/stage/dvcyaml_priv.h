/* What dvcyaml.c and dvcyaml_edit.c share. Not for others. */
#ifndef STAGE_DVCYAML_PRIV_H
#define STAGE_DVCYAML_PRIV_H

#include "core/stage/stage.h"

struct repo;
struct srctree;
struct node;
struct err;
struct schema;

#define DVCYAML_MAX (256ull << 20)

const struct schema *dvcyaml_schema(void);
int  dvcyaml_read(struct node **out, struct repo *r, struct srctree *t, const char *rel, unsigned flags, struct err *e);

#endif

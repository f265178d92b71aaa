/*
 * index - all stages of one tree (work tree or commit), loaded once, and the lookups everyone needs.
 *
 *  X1  Order is DVC's: the order of the walk (directories sorted as os.walk meets them, files sorted by name).
 *  X2  A file that cannot be read fails the load, with DVC's report, unless INDEX_SKIP_BROKEN.
 *  X3  Loading one named .dvc file or one stage does not load the others.
 */
#ifndef STAGE_INDEX_H
#define STAGE_INDEX_H

#include "core/stage/stage.h"

struct repo;
struct srctree;
struct err;

struct index {
	struct repo *repo;              /* borrowed */
	struct srctree *tree;           /* borrowed */
	struct stage **v;
	size_t n, cap;
};
enum { INDEX_SKIP_BROKEN = 1 };

int  index_load(struct index **out, struct repo *r, struct srctree *t, unsigned flags, struct err *e);
/* Only what stands in these files (.dvc or dvc.yaml), for commands with targets. */
int  index_load_file(struct index *x, const char *rel, struct err *e);
struct index *index_new(struct repo *r, struct srctree *t);
void index_free(struct index *x);
/* The output that is 'rel', or holds it (tracked directory), or NULL. */
struct item *index_out_of(const struct index *x, const char *rel);
struct stage *index_stage(const struct index *x, const char *file, const char *name);
/* Graph checks of 'add', 'repro', 'dag', 'stage add' (format notes 5.5). */
int  index_check_graph(const struct index *x, struct err *e);

/* A target as the user typed it, resolved (format notes 5.4): some stages whole, or one output with a path inside it. */
struct target {
	struct stage *stage;
	struct item *out;               /* NULL: every output of the stage */
	char *inside;                   /* path inside a tracked directory, relative to it; NULL: all of it */
};
struct targets { struct target *v; size_t n, cap; };
enum { TARGET_RECURSIVE = 1, TARGET_WITH_DEPS = 2, TARGET_GLOB = 4, TARGET_STAGES_ONLY = 8, TARGET_SKIP_MISSING = 16 };
/* No targets: every stage. Loads what it needs: a named .dvc file alone when it can. DVC's error texts. */
int  index_targets(struct index *x, const struct strvec *names, unsigned flags, struct targets *out, struct err *e);
void targets_release(struct targets *t);

#endif

/*
 * index - all stages of one tree (work tree or commit), loaded once, and the lookups everyone needs.
 *
 *  X1  Order is DVC's: the order of the walk (directories sorted as os.walk meets them, files sorted by name).
 *  X2  A file that cannot be read fails the load, with DVC's report, unless INDEX_SKIP_BROKEN;
 *      what DVC calls an unexpected error always does.
 *  X3  Loading one named .dvc file or one stage does not load the others, nor judge them.
 */
#ifndef STAGE_INDEX_H
#define STAGE_INDEX_H

#include "core/base/map.h"
#include "core/stage/stage.h"

struct ignore;
struct repo;
struct srctree;
struct tmpl_want;
struct err;

struct index {
	struct repo *repo;              /* borrowed */
	struct srctree *tree;           /* borrowed */
	struct stage **v;
	size_t n, cap;
	bool whole;                     /* every stage file of the tree was read */
	bool lenient;                   /* INDEX_SKIP_BROKEN whenever targets need the whole */
	bool holes;                     /* a file that could not be read was left out */
	struct map outs_, files_;       /* path -> item, file -> first stage; made when first asked */
	size_t mapped_;
	struct ignore *git_;            /* through index_git_ignored() */
	struct stage **spare_;          /* index_reclaim() */
	size_t nspare_, spare_at_;
	struct dvcyaml_file *open_;     /* the dvc.yaml read last because a target named it */
};
enum { INDEX_SKIP_BROKEN = 1 };

int  index_load(struct index **out, struct repo *r, struct srctree *t, unsigned flags, struct err *e);
/* Only what stands in this file (.dvc or dvc.yaml), for commands with targets; of a dvc.yaml only what is wanted, or all. */
int  index_load_file(struct index *x, const char *rel, const struct tmpl_want *w, struct err *e);
/* For the reader of a dvc.yaml: a stage that was loaded before by its name, to be added again in its place. */
struct stage *index_reclaim(struct index *x, const char *rel, const char *name);
/* Makes the index whole; what it holds already keeps its address. */
int  index_load_rest(struct index *x, unsigned flags, struct err *e);
bool index_git_ignored(struct index *x, const char *rel, bool is_dir);  /* by a .gitignore of the work tree */
void index_git_ignore_changed(struct index *x);         /* a .gitignore was written */
/* DVC's refusal of a path that .dvcignore or a built-in rule leaves out; a nested repository is none. */
int  index_check_ignored(struct index *x, const char *rel, struct err *e);
void index_add(struct index *x, struct stage *s);                       /* takes the stage */
struct stage *index_take(struct index *x, struct stage *s);             /* gives it back */
struct index *index_new(struct repo *r, struct srctree *t);
void index_free(struct index *x);
/* The output that is 'rel', or holds it (tracked directory), or NULL. */
struct item *index_out_of(const struct index *x, const char *rel);
struct stage *index_stage(const struct index *x, const char *file, const char *name);
struct item *index_out_at(const struct index *x, const char *rel);      /* exactly this path */
/* Every output with the path it is compared by. v: sorted by that; seq: its number by stages and their outputs; rank: its place
 * in DVC's trie of outputs, which is the order of drawings and of runs. */
struct index_out { char *key; struct item *item; size_t stage, seq, rank; };
struct index_outs { struct index_out *v; size_t n; const char *root; bool wide, ranked; };
void index_outs_build(struct index_outs *o, const struct index *x);
void index_outs_rank(struct index_outs *o);             /* fills rank */
/* Outputs that are the dependency, hold it, or lie below it, in DVC's order. *buf: freed by the caller at the end. */
size_t index_outs_of(struct index_outs *o, const struct item *dep, const struct index_out ***buf);
void index_outs_release(struct index_outs *o);
/* Which stages each stage depends on, by overlap of paths: to[from[i]] .. to[from[i + 1] - 1] are numbers of stages,
 * in the order of the dependencies. */
struct index_graph { size_t *from, *to, n; };
void index_graph_build(struct index_graph *g, const struct index *x);
void index_graph_release(struct index_graph *g);
/* Stages reachable from 'start' (SIZE_MAX: all), dependencies before dependents. order has room for n. Returns how many. */
size_t index_graph_postorder(const struct index_graph *g, size_t start, size_t *order);
/* Refuses paths that are not for stages to have, or that are ignored. Done for every stage that is read. */
int  index_check_items(struct index *x, const struct stage *s, struct err *e);
/* Graph checks of 'add', 'repro', 'dag', 'stage add' (format notes 5.5). */
int  index_check_graph(const struct index *x, struct err *e);
/* The first two outputs that collide: 0 none, 1 the same path twice, 2 and 3 *child lies below *parent (3: it came later). */
int  index_find_clash(const struct index *x, struct item **parent, struct item **child);

/* A target as the user typed it, resolved (format notes 5.4): some stages whole, or one output with a path inside it. */
struct target {
	struct stage *stage;
	struct item *out;               /* NULL: every output of the stage */
	char *inside;                   /* path inside a tracked directory, relative to it; NULL: all of it */
};
struct targets { struct target *v; size_t n, cap; };
enum { TARGET_RECURSIVE = 1, TARGET_WITH_DEPS = 2, TARGET_GLOB = 4, TARGET_STAGES_ONLY = 8, TARGET_SKIP_MISSING = 16,
       TARGET_NO_GROUP = 32 };
/* No targets: every stage. Loads what it needs: a named .dvc file alone when it can. DVC's error texts.
 * GLOB expands names of files; with STAGES_ONLY it is a pattern for stage names. STAGES_ONLY takes no output paths. */
int  index_targets(struct index *x, const struct strvec *names, unsigned flags, struct targets *out, struct err *e);
void targets_release(struct targets *t);
/* "../dvc.yaml:train@a" in its two parts, as DVC cuts it; either may be NULL. -1: names a dvc.lock. */
int  target_parse(const char *target, char **file, char **name, struct err *e);
bool target_is_stage_file(const char *path);            /* "x.dvc" or ".../dvc.yaml" */
/* Paths that match the patterns, "**" included; DVC's error when there are none. */
int  target_glob(const struct strvec *patterns, struct strvec *out, struct err *e);

#endif

/*
 * stage - the model: what a .dvc file or a stage of dvc.yaml declares, with what was recorded of it.
 *
 *  G1  A stage comes from exactly one file; (file, name) identifies it: "data.dvc", "sub/dvc.yaml:train@a".
 *  G2  Every path 'def' is as written; 'path' is the same relative to the root, normalised, or NULL for what lies outside
 *      (then 'def' is a URL or an absolute path).
 *  G3  hash.value empty means: nothing recorded.
 *  G4  Fields the file did not have stay at their "absent" value and are not written.
 *
 * Ownership: a stage owns all below it; outs and deps point back to it.
 */
#ifndef STAGE_STAGE_H
#define STAGE_STAGE_H

#include "core/base/str.h"
#include "core/cache/oid.h"

struct node;
struct tree;
struct stage;

struct hashinfo {
	char *name;             /* "md5", "md5-dos2unix", "etag", "checksum"; NULL: nothing recorded */
	char *value;            /* as recorded, ".dir" included */
};
/* false unless an md5 or md5-dos2unix; text that is no digest names what nobody has */
bool hashinfo_oid(const struct hashinfo *h, struct oid *out);
bool hashinfo_is_legacy(const struct hashinfo *h);                      /* md5-dos2unix */
bool hashinfo_is_dir(const struct hashinfo *h);
bool hashinfo_eq(const struct hashinfo *a, const struct hashinfo *b);
void hashinfo_set(struct hashinfo *h, const char *name, const char *value);
void hashinfo_set_oid(struct hashinfo *h, const struct oid *id);        /* name "md5" */

struct meta {
	int64_t size, nfiles;   /* -1: absent */
	bool isexec;
	char *version_id, *etag, *checksum, *md5, *remote;
};
#define META_INIT { -1, -1, false, NULL, NULL, NULL, NULL, NULL }

enum dep_kind { DEP_PATH, DEP_PARAMS, DEP_REPO, DEP_URL, DEP_DB, DEP_DATASET };

/* One output or one dependency: they share most fields. */
struct item {
	struct stage *stage;
	bool is_out;
	enum dep_kind kind;     /* outs: DEP_PATH, or DEP_URL when external */
	char *def;
	char *path;             /* root-relative or NULL (G2) */
	bool trailing_slash;    /* def ended in '/' */
	struct hashinfo hash;
	struct meta meta;
	struct node *files;     /* version-aware member list, or NULL */
	struct node *cloud;     /* map remote -> details, or NULL */
	struct node *fs_config;
	struct tree *tree;      /* manifest, when loaded */
	/* outs */
	bool cache, persist, push;              /* cache and push default to true */
	bool is_metric, is_plot;
	bool can_push;
	bool maybe_rest;        /* its place may hold a part of it, from an import that was killed (core/data/importlog.h) */
	char *remote, *desc, *type;
	struct node *labels, *annot_meta, *plot_props;
	/* DEP_REPO, DEP_DB, DEP_DATASET: the sub-map as written */
	struct node *repo, *db, *dataset;
	/* DEP_PARAMS: def is the params file; names tracked (empty: the whole file); recorded values, a map name -> value */
	struct strvec params;
	struct node *param_values;              /* recorded in the lock; NULL: never recorded */
};

enum stage_kind { STAGE_SINGLE /* .dvc */, STAGE_PIPELINE /* dvc.yaml */ };

struct stage {
	enum stage_kind kind;
	char *file;             /* root-relative path of the .dvc or dvc.yaml file */
	char *name;             /* pipeline stages: "train@a"; else NULL */
	char *wdir;             /* root-relative directory all paths are relative to; "" = root */
	char *wdir_def;         /* as written, or NULL */
	struct item **deps, **outs;
	size_t ndeps, nouts;
	bool frozen, always_changed, is_import_like;    /* import: exactly one dep with a hash/repo/db in a .dvc file */
	char *desc;
	struct node *meta;
	char *md5;              /* of the document, imports only */
	/* pipeline */
	struct node *cmd;       /* string or list of strings, after templates; NULL for data sources */
	struct node *locked_cmd;        /* from dvc.lock, or NULL */
	bool in_lock;           /* dvc.lock has an entry */
	bool named;             /* loaded because a target named it: it keeps its address */
	bool is_parametrized;   /* defined with ${}, foreach or matrix: cannot be rewritten */
	char *group;            /* foreach/matrix: name before '@' */
	struct node *raw;       /* definition as in dvc.yaml, borrowed details for writers; may be NULL */
	int line;               /* where it is defined */
	char *root;             /* absolute root of the repository, when known: to show what lies outside */
};

struct stage *stage_new(enum stage_kind kind, const char *file, const char *name);
void stage_free(struct stage *s);
char *stage_addressing(const struct stage *s, const char *cwd_rel);     /* "data.dvc", "../dvc.yaml:inw", "train" */
struct item *stage_add_out(struct stage *s, const char *def);           /* resolves path against wdir */
struct item *stage_add_dep(struct stage *s, const char *def, enum dep_kind kind);
bool stage_is_import(const struct stage *s);            /* .dvc with one dep and one out */
bool stage_is_repo_import(const struct stage *s);
bool stage_is_versioned_import(const struct stage *s);  /* of a URL whose versions are recorded */
bool stage_is_partial_import(const struct stage *s);    /* import with nothing recorded for its output */
bool stage_is_callback(const struct stage *s);          /* has a command and neither deps nor outs: always changed */
bool stage_is_data_source(const struct stage *s);       /* no cmd */
void meta_release(struct meta *m);
void meta_copy(struct meta *to, const struct meta *from);
void item_free(struct item *i);
char *item_show(const struct item *i, const char *cwd_rel);             /* as people see it; outside the root absolute */
char *item_abs(const struct item *i, const char *root);                 /* where it lies on this machine; NULL for a URL */
bool item_is_legacy(const struct item *i);              /* recorded as DVC 2.x did: the other cache layout */
/* Both in the same tree (or neither): the same path, or 'b' lies below 'a'. */
bool item_covers(const struct item *a, const char *path);
/* wdir as written in the file; paths of items added later are relative to it. */
void stage_set_wdir(struct stage *s, const char *def);
/* Absolute paths below 'root' become relative to wdir, as DVC reads them. */
void stage_localise(struct stage *s, const char *root);
bool path_is_url(const char *s);                        /* has a scheme: "s3://", "https://", "remote://" */
const char *hash_name_of_url(const char *url);          /* "etag", "checksum" or "md5" by its scheme */

#endif

/*
 * dindex - a flat, sorted list of every path an output or its content has: what is declared, or what is in the work tree.
 *
 *  X1  Entries are sorted by the bytes of the root-relative path; keys are unique; a directory has no trailing slash.
 *  X2  Every directory above an entry, up to the root, has an entry of its own (without a hash).
 *  X3  A directory whose manifest cannot be read has 'unknown' set and no children.
 *  X4  Two lists are compared in one merge: the cost is linear in the number of entries.
 *
 * Ownership: the dindex owns its keys and readings; entries borrow from it.
 */
#ifndef DATA_DINDEX_H
#define DATA_DINDEX_H

#include "core/base/map.h"
#include "core/base/str.h"
#include "core/cache/oid.h"

struct project;
struct item;
struct meta;
struct index;
struct targets;
struct tree;
struct walk_file;
struct wtree;
struct err;

struct dentry {
	const char *key;
	const struct item *out;         /* the output it belongs to; NULL: a directory above outputs */
	const struct walk_file *file;   /* work tree, files: its stat; else NULL */
	struct oid id;
	bool has_id;                    /* recorded, or computed */
	bool legacy;                    /* id is an md5-dos2unix */
	bool is_dir, is_exec, is_out;   /* is_out: the output itself */
	bool broken;                    /* a link that leads nowhere */
	bool unknown;                   /* X3 */
};
struct dindex {
	struct project *p;              /* borrowed */
	struct dentry *v;
	size_t n, cap;
	struct darena *arena;
	struct wtree **seen;
	size_t nseen, capseen;
};

struct dindex *dindex_new(struct project *p);
void dindex_free(struct dindex *x);
static inline void dindex_autofree_(struct dindex **x) { dindex_free(*x); }
#define autodindex __attribute__((cleanup(dindex_autofree_)))

/* One output to look at: whole, or the part at 'key'. */
struct dselect { struct item *out; char *key; bool whole; };
struct dselection { struct dselect *v; size_t n, cap; struct map keys; /* of dselect_out() */ };
void dselection_release(struct dselection *s);
/* Outputs of the targets (NULL: of all stages) that are kept in the cache and lie inside the repository. */
void dselect_targets(struct dselection *s, const struct index *x, const struct targets *t);
void dselect_push(struct dselection *s, struct item *out);               /* whole; must not be in it yet */
void dselect_out(struct dselection *s, struct item *out, const char *inside);

enum {
	DINDEX_SHALLOW = 1,             /* do not look into directories that have a hash */
	DINDEX_SOURCES = 2,             /* manifests of imports that nobody here has: ask their source */
};
int  dindex_add_declared(struct dindex *x, const struct dselect *s, unsigned flags, struct err *e);
int  dindex_add_present(struct dindex *x, const struct dselect *s, unsigned flags, struct err *e);
/* The same with a reading made before; takes it (its content moves). */
int  dindex_add_reading(struct dindex *x, const struct dselect *s, struct wtree *w, unsigned flags, struct err *e);
void dindex_sort(struct dindex *x);                             /* X1 X2; before any question */
const struct dentry *dindex_find(const struct dindex *x, const char *key);
/* What the pointer says the output's content is; *id_out false: nothing recorded. Knows imports not yet downloaded. */
bool declared_id(const struct item *out, struct oid *id, bool *legacy, bool *is_dir);
/* Size and x bit DVC goes by: of an import from a URL those of its source. */
const struct meta *declared_meta(const struct item *out);
/* Its manifest: from the cache, or from a 'files' list. */
int  declared_tree(struct project *p, const struct item *out, struct tree **t, struct err *e);

enum dchange_type { DCHANGE_SAME, DCHANGE_ADD, DCHANGE_DELETE, DCHANGE_MODIFY, DCHANGE_RENAME, DCHANGE_UNKNOWN };
struct dchange { enum dchange_type type; const struct dentry *old, *now; };
struct dchanges { struct dchange *v; size_t n, cap; };
enum {
	DDIFF_HASH_ONLY = 1,            /* 'data status': only hashes count */
	DDIFF_EXEC = 2,                 /* 'checkout': exec bits count */
	DDIFF_SAME = 4,                 /* report what is the same */
	DDIFF_UNKNOWN = 8,              /* below an unreadable manifest: DCHANGE_UNKNOWN instead of added or deleted */
};
void dindex_diff(const struct dindex *old, const struct dindex *now, unsigned flags, struct dchanges *out);
/* Pairs additions with deletions of the same hash, both in path order. */
void dchanges_renames(struct dchanges *c);
void dchanges_release(struct dchanges *c);
const char *dchange_key(const struct dchange *c);

#endif

/*
 * transfer - objects between cache and remote: what is in use, want minus have, order, verification, resume.
 *
 *  T1  A manifest goes up after its last child is confirmed; if one child failed or is nowhere it stays home. (A push of one
 *      path inside a directory confirms the children that were asked for, and sends the manifest that names them.)
 *  T2  A manifest's presence on a remote proves nothing about its children unless we confirmed them there ourselves.
 *  T3  Nothing downloaded is named in the cache before its digest matched; a manifest is named there after its children.
 *  T4  A failed object does not stop the others; auth failure and cancel do. Failures are listed one by one.
 *  T5  Memory: one manifest entry and one want an object, nothing else grows with the number of objects.
 */
#ifndef DATA_TRANSFER_H
#define DATA_TRANSFER_H

#include "core/base/err.h"
#include "core/base/str.h"
#include "core/cache/oid.h"

struct project;
struct remote;
struct item;
struct tree;

/* One output that is wanted, whole or in part. */
struct want_group {
	char *path;                     /* root-relative */
	char *inside;                   /* path inside a directory; NULL: all of it */
	char *remote;                   /* the output's own remote, or NULL */
	struct item *out;               /* in the index of the work tree; NULL: of another revision that is not kept */
	bool kept;                      /* out is another revision's */
	struct tree *tree;              /* a directory's manifest once it was read */
	uint32_t manifest;              /* want + 1 of the manifest, 0: a file */
};
struct want {
	struct oid id;
	bool legacy;
	uint8_t state;                  /* transfer's */
	uint32_t group;                 /* the first that needs it */
	const char *rel;                /* inside the group's tree (borrowed from it), or NULL: the group's own object */
	uint64_t size;                  /* 0 when unknown */
};
struct want_set {
	struct want *v;
	size_t n, cap;
	struct want_group *g;
	size_t ng, gcap;
	uint32_t *slot;                 /* id -> want + 1 */
	size_t nslots;
};
void want_release(struct want_set *w);
char *want_path(const struct want_set *w, const struct want *x);        /* root-relative; malloc'd */
struct want *want_find(const struct want_set *w, const struct oid *id, bool legacy);

/* implied: a manifest whose files failed; they tell the reason. */
struct failure { char *path; struct oid id; bool legacy, implied; int http_status; char *code, *msg; };
struct planned { char *path; struct oid id; uint64_t size; };
struct transfer_result {
	uint64_t objects, bytes;        /* moved (or, dry, would be) */
	uint64_t counted;               /* what DVC's summary would say: with manifests held back, and every run-cache file */
	struct failure *fail;
	size_t nfail, fail_cap;
	struct planned *plan;           /* dry run */
	size_t nplan, plan_cap;
	size_t nmissing;                /* objects that are neither here nor there; a warning has named them */
	char *no_runs;                  /* why the remote cannot have a run-cache, or NULL; only some commands tell */
	size_t nunreached;              /* imports whose source could not be asked; a warning has said why */
};
void transfer_result_release(struct transfer_result *r);

struct transfer_opts {
	const char *remote;             /* NULL: default, and per-output 'remote:' */
	unsigned jobs;
	bool dry_run, check;            /* check: ask for every object, trust nothing */
	bool run_cache;
	bool tells_missing;             /* the caller names what nobody has */
	bool names_missing;             /* the warning about what nobody has names outputs, not objects alone */
};
/* Which revisions, as the user asked (-a -T -A and the work tree), and which targets. */
struct collect_opts {
	const struct strvec *targets;
	bool all_branches, all_tags, all_commits, recursive, with_deps, glob;
	bool strict;                    /* a revision that cannot be read ends it, and outputs without a hash are named */
	bool keep;                      /* the outputs of other revisions stay at hand, with what their pointers record */
	bool push;                      /* leave out outputs with push: false, and what was imported from repositories */
	const char *remote;             /* leave out outputs of another remote */
	const struct strvec *types;     /* NULL or empty: all; "metrics", "plots" */
	int64_t max_size;               /* leave out outputs of this size or more; 0: none */
};
/* All in one set; manifests that the cache has are read. */
int  transfer_collect(struct project *p, const struct collect_opts *c, struct want_set *out, struct err *e);
/* The wants of one remote; remote NULL: the default one. */
struct want_part { char *remote; struct want_set set; };
struct kept_index;
struct want_parts {
	struct want_part *v;
	size_t n, cap;
	struct kept_index *kept;
	size_t nkept, kept_cap;
	struct item **partial;          /* imports of the work tree that nothing is recorded for yet; borrowed */
	size_t npartial, cappartial;
};
#define WANT_PARTS_INIT { NULL, 0, 0, NULL, 0, 0, NULL, 0, 0 }
void want_parts_release(struct want_parts *p);
int  transfer_collect_parts(struct project *p, const struct collect_opts *c, struct want_parts *out, struct err *e);
int  transfer_push(struct project *p, const struct collect_opts *c, const struct transfer_opts *o,
		   struct transfer_result *r, struct err *e);
int  transfer_fetch(struct project *p, const struct collect_opts *c, const struct transfer_opts *o,
		    struct transfer_result *r, struct err *e);
/* The run-cache of the remote alone; nothing for a remote that cannot have one. */
int  transfer_fetch_runs(struct project *p, const struct transfer_opts *o, struct transfer_result *r, struct err *e);
/* Which objects of w the remote holds (18 bytes a key: oid, legacy): 'status -c', 'data status --not-in-remote', gc -c. */
struct binset;
#define WANT_KEY 18
void want_key(unsigned char out[WANT_KEY], const struct want *w);
int  transfer_have(struct project *p, struct remote *r, struct want_set *w, bool check, struct binset *have, struct err *e);
/* Brings manifests of w that only the remote has into the cache, verified; what cannot be read stays away. *got says how
 * many: collect again when it is not 0. */
int  transfer_manifests(struct project *p, struct remote *r, const struct want_set *w, size_t *got, struct err *e);
/* One of them, from the remote of this name (NULL: the default one). False: it could not be had; that the remote answered
 * so, a warning has said. */
bool transfer_manifest(struct project *p, const char *remote, const struct oid *id, bool legacy);
void transfer_warn_nowhere(const struct oid *id, bool legacy);
/* Objects named by id, not collected from a repository: imports from another one, add --to-remote. */
void want_add_object(struct want_set *w, const char *path, const struct oid *id, bool legacy, uint64_t size);
/* The same, with the members of a directory whose manifest the cache has. */
int  want_add_whole(struct project *p, struct want_set *w, const char *path, const struct oid *id, bool legacy, struct err *e);
int  transfer_fetch_set(struct project *p, struct remote *r, struct want_set *w, const struct transfer_opts *o,
			struct transfer_result *res, struct err *e);
int  transfer_push_set(struct project *p, struct remote *r, struct want_set *w, const struct transfer_opts *o,
		       struct transfer_result *res, struct err *e);

/* Imports bring their own source: set by who knows them (core/pipeline). Fetches what the output's cache lacks; *objects is
 * increased. Asked only for outputs of the work tree whose stage is a repository import, or an import that nothing is
 * recorded for: that one gets its hash, in memory. */
typedef int transfer_import_fn(struct project *p, struct item *out, const char *inside, unsigned jobs, uint64_t *objects,
			       struct err *e);
void transfer_set_import(transfer_import_fn *fn);

#endif

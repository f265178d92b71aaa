/*
 * erepo - another repository to take content from: a directory here, or a clone; what git has and what DVC tracks in it.
 *
 *  E1  Nothing in a directory of the user's is written to; objects it lacks come into the caller's cache or a temporary one.
 *  E2  In the user's own directory (no revision asked for) what lies there counts, changed or not; what it lacks of an
 *      output comes from cache or remote. As DVC.
 *  E3  Downloaded objects are verified (transfer's T3); names are refused when they would leave the destination.
 */
#ifndef DATA_EREPO_H
#define DATA_EREPO_H

#include "core/base/str.h"
#include "core/cache/oid.h"

struct item;
struct node;
struct project;
struct tree;
struct err;

struct erepo_opts {
	const char *path;               /* what will be asked for: of nested repositories the innermost on the way is opened */
	const char *rev;                /* NULL: the directory as it is, or the default branch */
	const char *remote;             /* name of one of its remotes to use */
	const struct node *config;      /* 'config:' of an import: a file's name, or settings; NULL: none */
	const struct node *remote_config;       /* options for the remote, a map; NULL: none */
	unsigned jobs;
	bool recorded;                  /* what is tracked, not what lies in the directory */
};
struct erepo;
int  erepo_open(struct erepo **out, const char *url, const struct erepo_opts *o, struct err *e);
void erepo_close(struct erepo *r);
const char *erepo_rev(const struct erepo *r);           /* full commit id; "" of a directory without git, or without commits */

/* What lies at a path: files to copy, and objects. */
struct epart { char *rel; char *file; struct oid id; bool legacy; uint64_t size; struct item *item; };
struct eparts {
	struct epart *v;
	size_t n, cap;
	bool is_dir;
	bool is_part;                   /* lies inside a tracked directory */
	bool holds_outs;                /* a directory below the root, with tracked outputs in it */
	const struct item *out;         /* the path is exactly this tracked output, or NULL */
	struct tree *tree;              /* its manifest, when it is a directory */
	struct strvec dirs;             /* of the user's own directory: it may hold empty ones */
};
void eparts_release(struct eparts *p);
/* into: the project whose cache may receive manifests; NULL: a temporary cache. ERR_NOTFOUND: neither tracked nor in git. */
int  erepo_find(struct erepo *r, const char *path, struct project *into, struct eparts *out, struct err *e);
/* Makes sure every object is in 'into's cache. *objects (may be NULL) counts those that came. */
int  erepo_fetch(struct erepo *r, const struct eparts *p, struct project *into, uint64_t *objects, struct err *e);
/* Writes all parts to 'to', which must not exist. */
int  erepo_write(struct erepo *r, const struct eparts *p, struct project *into, const char *to, struct err *e);
/* The project of a temporary cache, for 'get' outside repositories. */
struct project *erepo_project(struct erepo *r);
/* Where the object of a tracked path is kept, for people. ERR_NOTFOUND: it is not tracked; ERR_CONFIG: no remote can be named. */
int  erepo_object_url(struct erepo *r, const struct eparts *p, char **out, struct err *e);

#endif

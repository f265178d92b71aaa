/*
 * transfer - objects between cache and remote: what is in use, want minus have, order, verification, resume.
 *
 *  T1  A manifest goes up after its last child is confirmed; if one child failed it stays home.
 *  T2  A manifest's presence on a remote proves nothing about its children unless we confirmed them there ourselves.
 *  T3  Nothing downloaded is named in the cache before its digest matched.
 *  T4  A failed object does not stop the others; auth failure and cancel do. Failures are listed one by one.
 */
#ifndef DATA_TRANSFER_H
#define DATA_TRANSFER_H

#include "core/base/str.h"
#include "core/cache/oid.h"

struct project;
struct remote;
struct targets;
struct err;

struct want {
	struct oid id;
	bool legacy;
	uint64_t size;                  /* 0 when unknown */
	char *path;                     /* one path that needs it, for messages; owned */
	uint32_t manifest;              /* index + 1 of the manifest it belongs to; 0: none */
};
struct want_set { struct want *v; size_t n, cap; void *seen; };
void want_release(struct want_set *w);

struct failure { char *path; struct oid id; bool legacy; struct err *err; };
struct transfer_result {
	uint64_t objects, bytes;        /* moved (or, dry, would be) */
	struct failure *fail;
	size_t nfail;
	struct strvec missing;          /* paths whose objects are neither here nor there */
};
void transfer_result_release(struct transfer_result *r);

struct transfer_opts {
	const char *remote;             /* NULL: default, and per-output 'remote:' */
	unsigned jobs;
	bool dry_run, check;            /* check: ask for every object, trust nothing */
	bool run_cache;
	uint64_t max_size;              /* fetch only; 0: none */
};
/* Which revisions, as the user asked (-a -T -A and the work tree), and which targets. */
struct collect_opts {
	const struct strvec *targets;
	bool all_branches, all_tags, all_commits, recursive, with_deps, glob;
	bool push;                      /* leave out outputs with push: false */
	const char *type;               /* NULL, "metrics", "plots" */
};
int  transfer_collect(struct project *p, const struct collect_opts *c, struct want_set *out, struct err *e);
int  transfer_push(struct project *p, const struct collect_opts *c, const struct transfer_opts *o,
		   struct transfer_result *r, struct err *e);
int  transfer_fetch(struct project *p, const struct collect_opts *c, const struct transfer_opts *o,
		    struct transfer_result *r, struct err *e);
/* Objects in cache / remote of everything collected: for 'status -c', 'data status --not-in-remote', gc -c. */
struct binset;
int  transfer_have(struct project *p, struct remote *r, const struct want_set *w, struct binset *have, struct err *e);

#endif

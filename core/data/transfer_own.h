/*
 * transfer_own - what the parts of transfer share: collecting, asking, moving.
 */
#ifndef DATA_TRANSFER_OWN_H
#define DATA_TRANSFER_OWN_H

#include "core/base/bunch.h"
#include "core/data/remote.h"
#include "core/data/transfer.h"

struct store;
struct trail;

/* want.state */
enum {
	WANT_OPEN,              /* not settled */
	WANT_HAVE,              /* it is where it shall go */
	WANT_MOVED, WANT_MISSING, WANT_FAILED,
	WANT_HELD,              /* a manifest that stays where it is: a child is missing */
	WANT_READ,              /* a manifest that was downloaded, checked and read, and gets its name last */
};

/* Adds the members of a group whose tree is there now. */
void want_expand(struct want_set *w, size_t group);
/* NULL: not wanted. */
struct want *want_add(struct want_set *w, const struct oid *id, bool legacy, uint32_t group, const char *rel, uint64_t size);

struct run {
	struct project *p;
	struct remote *r;
	struct store *store[2];         /* [legacy] */
	struct want_set *w;
	const struct transfer_opts *o;
	struct transfer_result *res;
	struct progress *progress;
	bool overwrite;                 /* put without ROP_IF_ABSENT */
	char **temp;                    /* by want: file of a manifest that waits for its name */
	size_t ntemp;
	/* transfer_run.c's */
	struct trail *trail;
	struct bunch bunch;
	size_t active;
	bool stop, answered;
	struct err fatal;
};
int  run_open(struct run *x, struct project *p, struct remote *r, struct want_set *w, const struct transfer_opts *o,
	      struct transfer_result *res, struct err *e);
void run_close(struct run *x);
enum run_kind { RUN_PUT, RUN_GET, RUN_STAT };
/* Does 'kind' for every want from index 'from' on that is WANT_OPEN and accepted by pick; sets its state. */
typedef bool run_pick(const struct run *x, const struct want *w);
int  run_all(struct run *x, enum run_kind kind, size_t from, run_pick *pick, struct err *e);
void run_fail(struct run *x, struct want *w, const struct rop *op, const struct err *why);
/* Settles WANT_OPEN wants that the remote holds as WANT_HAVE. */
int  plan_have(struct run *x, bool check, struct err *e);
/* The confirmed manifests of remotes that cannot list. */
bool plan_is_confirmed(struct run *x, const struct want *manifest);
void plan_confirm(struct run *x, const struct want *manifest, bool yes);
void warn_missing(struct run *x);
int  runs_push(struct project *p, struct remote *r, const struct transfer_opts *o, struct transfer_result *res, struct err *e);
int  runs_fetch(struct project *p, struct remote *r, const struct transfer_opts *o, struct transfer_result *res, struct err *e);

#endif

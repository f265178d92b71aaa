/*
 * versioned - remotes that keep files under their own names, with versions (version_aware, worktree).
 *
 *  V1  A file lies at <remote>/<path relative to the repository>; the pointer records its etag and version, by remote.
 *  V2  A pointer is rewritten only with versions of files that are up: a directory with a failed member stays as it was.
 *  V3  What comes down is checked against the recorded md5 before it has a name in the cache, like everything else.
 */
#ifndef DATA_VERSIONED_H
#define DATA_VERSIONED_H

#include "core/data/transfer.h"

bool versioned_is(struct project *p, const char *remote);        /* NULL: the default remote */
bool versioned_is_worktree(struct project *p, const char *remote);
/* An error for 'command' when the remote is one of these: it cannot take objects by their ids. */
int  versioned_refuse(struct project *p, const char *remote, const char *command, struct err *e);
int  versioned_push(struct project *p, const char *remote, struct want_set *w, const struct transfer_opts *o,
		    struct transfer_result *res, struct err *e);
int  versioned_fetch(struct project *p, const char *remote, struct want_set *w, const struct transfer_opts *o,
		     struct transfer_result *res, struct err *e);

#endif

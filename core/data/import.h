/*
 * import - outputs that follow something outside: URLs and paths (import-url), other repositories (import), their updates,
 * and plain downloads (get-url, get).
 *
 *  M1  The content is there and stored before the pointer says so; what was at the place goes only then.
 *  M2  What an update takes away is in the cache first.
 */
#ifndef DATA_IMPORT_H
#define DATA_IMPORT_H

#include "core/base/str.h"

struct config;
struct item;
struct map;
struct node;
struct project;
struct stage;
struct err;

struct import_opts {
	const char *out, *remote;       /* remote: of to_remote */
	bool no_exec, no_download, to_remote, force, version_aware;
	unsigned jobs;
	const struct map *fs_config;    /* option -> const char *, or NULL */
	const struct node *repo;        /* 'import': the url, rev, config, remote of the other repository; NULL: import-url */
};
int  import_url(struct project *p, const char *url, const struct import_opts *o, struct err *e);

/* locked: for repro, which decided that it runs: brought again, from a repository at the recorded commit. */
struct update_opts { const char *rev, *remote; bool recursive, to_remote, no_download, locked; unsigned jobs; };
int  import_update(struct project *p, const struct strvec *targets, const struct update_opts *o, struct err *e);
/* "Importing 'x' -> 'y'" */
void import_announce(const struct project *p, const struct stage *s);

/* c NULL: outside a repository. */
int  get_url(const struct config *c, const char *url, const char *out, const struct map *fs_config, unsigned jobs,
	     bool force, struct err *e);
/* One path of another repository. */
struct erepo_opts;
int  get_from_repo(const char *url, const char *path, const char *out, bool force, const struct erepo_opts *o,
		   struct err *e);
int  get_show_url(const char *url, const char *path, const struct erepo_opts *o, char **out, struct err *e);
/* For transfer_set_import(). */
int  import_fetch(struct project *p, struct item *out, const char *inside, unsigned jobs, uint64_t *objects,
		  struct err *e);

#endif

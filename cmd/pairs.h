/* pairs - "name=value" words of an option as a map; and DVC's way to put context in front of an error. */
#ifndef CMD_PAIRS_H
#define CMD_PAIRS_H

#include "cmd/opts.h"
#include "core/base/map.h"
#include "core/base/str.h"

struct err;
struct node;

/* What get, import, list and du take of another repository. */
#define EREPO_OPTIONS(type) \
	OPT_STR(0, "config", NULL, type, config, \
		"Path to a config file that will be merged with the config in the target repository."), \
	OPT_STR(0, "remote", NULL, type, remote, "Remote name to set as a default in the target repository."), \
	OPT_PAIRS(0, "remote-config", "<name>=<value>", type, remote_config, \
		  "Remote config options to merge with a remote's config in the target repository.")
#define EREPO_POSITIONALS(type) \
	{ "url", '1', offsetof(struct type, url), "Location of DVC or Git repository to download from." }, \
	{ "path", '1', offsetof(struct type, path), "Path to a file or directory within the repository." }, \
	POS_END

/* Values are borrowed from v. */
int  pairs_map(const struct strvec *v, const char *option, struct map *out, struct err *e);
struct node *pairs_node(const struct strvec *v);        /* NULL when there are none; after pairs_map() has checked them */
/* "context - message", unless the error stands alone; exit status 1 unless it has one of its own. -1. */
int  fail_with(struct err *e, const char *fmt, ...) PRINTF(2, 3);

#endif

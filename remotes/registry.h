/*
 * registry - from a remote's name or a URL to an open remote: scheme table, configuration, wrappers.
 *
 *  R1  A URL shown to people has no password, token (a name without a password, but for SSH) or query (remote.url is such a one).
 *  R2  remote:// is resolved first; options of the outer remote win over the inner one's.
 *  R3  Opening connects to nothing: the first operation does.
 */
#ifndef REMOTES_REGISTRY_H
#define REMOTES_REGISTRY_H

#include "core/base/map.h"
#include "core/base/str.h"
#include "core/data/remote.h"

struct config;

/* What a driver is given. Options come from 'over' first (import-url --fs-config), then from the sections. */
struct remote_conf {
	const struct config *config;    /* may be NULL */
	const char *name;               /* "origin" or NULL for a bare URL */
	struct strvec sections;         /* 'remote "origin"', then those reached through remote:// */
	const struct map *over;         /* option -> const char *; may be NULL */
	const char *url;                /* as configured, remote:// resolved; local paths are absolute */
	unsigned jobs;                  /* -j, else the remote's 'jobs', else 0 */
};
const char *rconf_get(const struct remote_conf *c, const char *option);         /* NULL: unset; borrowed */
bool rconf_bool(const struct remote_conf *c, const char *option, bool otherwise);
int64_t rconf_int(const struct remote_conf *c, const char *option, int64_t otherwise);
unsigned rconf_secs(const struct remote_conf *c, const char *option);   /* whole ones, rounded up; 0: not set, or out of reason */
char *rconf_path(const struct remote_conf *c, const char *option);      /* resolved against its file; malloc'd or NULL */
/* 'password', or asked on the terminal when 'ask_password' is set (ERR_AUTH without a terminal); *out malloc'd or NULL. */
int  rconf_secret(const struct remote_conf *c, const char *option, const char *ask_option, const char *prompt,
		  char **out, struct err *e);

/* One row of the scheme table. */
struct remote_driver {
	const char *schemes;            /* blank-separated: "webdav webdavs"; "" for plain paths */
	int (*open)(struct remote **out, const struct remote_conf *c, struct err *e);
};
extern const struct remote_driver local_driver, s3_driver, azure_driver, gs_driver, ssh_driver, http_driver, webdav_driver;

/* A configured remote, wrapped in retry. */
int  registry_open(struct remote **out, const struct config *cfg, const char *name, unsigned jobs, struct err *e);
/* A bare URL or path (import-url, get-url, ls-url); over: options by name, may be NULL. */
int  registry_open_url(struct remote **out, const struct config *cfg, const char *url, const struct map *over,
		       unsigned jobs, struct err *e);
char *registry_redact(const char *url);                 /* R1 */

#endif

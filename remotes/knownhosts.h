/*
 * knownhosts - what known_hosts files say about one host, read as ssh reads them.
 *
 *  K1  Names, [name]:port, comma lists, * and ? patterns, ! negation, and hashed names are understood.
 *  K2  A line that cannot be read says nothing: it is skipped, as ssh does.
 *  K3  A key that is not among the host's is CHANGED when the host has any, UNKNOWN when it has none.
 *
 * Source: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
 */
#ifndef REMOTES_KNOWNHOSTS_H
#define REMOTES_KNOWNHOSTS_H

#include "core/base/str.h"

struct err;

enum kh_answer { KH_MATCH, KH_UNKNOWN, KH_CHANGED, KH_REVOKED };
struct kh_line {
	char *type;                     /* "ssh-ed25519" */
	unsigned char *key;             /* the key's bytes */
	size_t len;
	size_t file;                    /* index into the list that was loaded */
	unsigned line;
	bool revoked;
};
struct knownhosts {
	struct kh_line *v;
	size_t n, cap;
	bool authority;                 /* the host has a @cert-authority line */
};
#define KNOWNHOSTS_INIT { NULL, 0, 0, false }

/* Absent files are fine. */
int  knownhosts_load(struct knownhosts *k, const struct strvec *files, const char *host, int port, struct err *e);
/* One file's text; 'name' is what to look for: "host" or "[host]:port". */
int  knownhosts_read(struct knownhosts *k, const char *text, size_t len, size_t file, const char *name, struct err *e);
enum kh_answer knownhosts_check(const struct knownhosts *k, const void *key, size_t len, const struct kh_line **at);
bool knownhosts_has_type(const struct knownhosts *k, const char *type);
bool knownhosts_has_marks(const struct knownhosts *k);  /* @revoked or @cert-authority lines for this host */
void knownhosts_release(struct knownhosts *k);
bool knownhosts_glob(const char *pattern, size_t n, const char *name);  /* * and ?, any case */

#endif

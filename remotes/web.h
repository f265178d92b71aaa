/*
 * web - what plain HTTP and WebDAV share: URLs, credentials, redirects by hand, existence and reading.
 *
 *  W1  Credentials and custom headers go to the origin of the remote's URL only; a redirect elsewhere loses them.
 *  W2  A redirect is followed at most five times, never from https to http; an upload keeps its method and body.
 *  W3  Existence is asked by HEAD, by a GET of one byte where the server refuses HEAD.
 *      Plain HTTP: 403 is absent, too (so says S3 of what it has not, to those who may not list; some may only write), and a
 *      get that is answered so fails alone, unless nothing could ever be read.
 *  W4  After an upload that the server did not confirm with an ETag its size is asked for.
 */
#ifndef REMOTES_WEB_H
#define REMOTES_WEB_H

#include "remotes/http.h"
#include "remotes/registry.h"

enum web_step { WEB_FIRST, WEB_HEAD, WEB_PROBE, WEB_GET, WEB_PUT, WEB_CHECK, WEB_DELETE, WEB_MKCOL, WEB_MOVE, WEB_CLEAN };

struct web {
	struct http_remote h;           /* first */
	char *origin;                   /* "https://host:port" */
	char *path;                     /* encoded, no slash at the end */
	char *query;                    /* "" or "?..." */
	struct strvec auth;             /* headers for this origin only (W1) */
	struct strvec token_argv;       /* bearer_token_command */
	char *token;
	int64_t token_at;
	char upload[8];                 /* "POST", "PUT" */
	bool head_refused, gave;        /* gave: something could be read here */
	unsigned refused;               /* 403s to gets */
	/* WebDAV */
	bool dav, no_move, moved, parents_first;       /* moved: a MOVE was seen to work */
	struct map made;                /* collections that are there */
};

struct web_op {
	enum web_step step;
	char *url;                      /* of a redirect; NULL: the remote's own */
	bool foreign;                   /* W1 */
	unsigned hops;
	bool no_range;
	/* WebDAV */
	char *tmp;                      /* key of the temporary */
	char **dirs;                    /* parents, deepest first, below the origin */
	size_t ndirs, at;
	bool asked_parents;
	bool sent, direct;              /* the body: to the temporary; to the name itself */
	bool again;                     /* after the temporary is gone, to the name itself */
	enum rclass saved;
	struct err err;
};

struct web_op *web_op(struct hop *o);
void web_url(const struct web *w, const char *key, struct str *out);
/* Method, URL of key and the headers every request has. */
int  web_begin(struct web *w, struct hop *o, struct hreq *q, const char *method, const char *key, struct err *e);
/* RC_OK: the answer is no redirect and no refused token, judge it; else the class to return. */
enum rclass web_reroute(struct web *w, struct hop *o, const struct hreq *q, const struct hresp *a);
enum rclass web_refused(struct web *w, struct hop *o, const struct hresp *a);
int  web_prepare_read(struct web *w, struct hop *o, struct hreq *q, struct err *e);
enum rclass web_classify_read(struct web *w, struct hop *o, const struct hresp *a);
void web_end(struct http_remote *h, struct hop *o, enum rclass c);
void web_close(struct http_remote *h);
int  web_token(struct web *w, bool anew, struct err *e);
/* A web remote from configuration; 'as' is the scheme that is spoken underneath. */
int  web_make(struct web **out, const struct remote_conf *c, const struct http_dialect *d, struct err *e);

#endif

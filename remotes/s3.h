/*
 * s3 - Amazon's object store and what speaks its language.
 *
 *  A1  Requests are signed by sigv4.c; a wrong region, a wrong clock and an expired token are repaired once and remembered.
 *  A2  An upload above MULTIPART_FROM goes up in parts, several at once, each with its md5. An upload that was cut is found
 *      again by its key and goes on with the parts whose md5 equals ours.
 *  A3  A listing is cut into prefixes once its first page shows that it is long.
 */
#ifndef REMOTES_S3_H
#define REMOTES_S3_H

#include "core/base/map.h"
#include "remotes/awscreds.h"
#include "remotes/http.h"
#include "remotes/sigv4.h"

#define S3_MULTIPART_FROM (64u << 20)
#define S3_PART_MIN (16u << 20)
#define S3_PARTS_MAX 10000u
#define S3_PARTS_AT_ONCE 4u

struct upload;
struct s3 {
	struct http_remote h;           /* first */
	char *ca;                       /* certificate file, for STS too */
	char *bucket, *prefix;          /* prefix: "" or "a/b/" */
	struct url endpoint;            /* scheme, host, port, path without a slash at the end */
	bool aws, path_style, anonymous;
	bool no_cond_put;               /* the server does not know If-None-Match */
	struct aws_setup setup;
	struct aws_keys keys;
	bool have_keys;
	struct sigv4_key day_key;
	struct strvec put_headers;      /* sse, acl, grants: "name: value", lower case */
	struct strvec sse_c;            /* needed for every access to the bytes */
	uint64_t multipart_from, part_size;
	struct map uploads;             /* key -> struct upload *: what a retry goes on with */
};

/* Which exchange of an operation; in hreq.step. */
enum s3_step { S3_PLAIN, S3_WHY /* a GET that learns what a HEAD's 403 meant */, S3_FIND,
	S3_PARTS, S3_INIT, S3_PART, S3_COMPLETE };

/* A request for an object (key relative to the remote) or, with key NULL, for the bucket. Query is taken over. */
struct s3_call {
	const char *method, *key;
	struct sigv4_query query;
	struct strvec headers;          /* "name: value", lower-case names, signed when x-amz-, content-md5 or range */
	const char *payload_hash;       /* NULL: SIGV4_UNSIGNED */
};
int  s3_call(struct s3 *s, struct hreq *q, struct s3_call *c, struct err *e);
void s3_add(struct s3_call *c, const char *fmt, ...) PRINTF(2, 3);
/* The class of a failed answer; RC_MORE when something was repaired. */
enum rclass s3_refused(struct s3 *s, struct hop *o, const struct hresp *a);
/* Judged without an operation (listing): *again after a repair. */
int  s3_refused_list(struct s3 *s, const struct hresp *a, unsigned attempt, bool *again, struct err *e);

/* s3put.c */
int  s3_put_prepare(struct s3 *s, struct hop *o, struct hreq *q, struct err *e);
enum rclass s3_put_classify(struct s3 *s, struct hop *o, const struct hreq *q, const struct hresp *a);
void s3_put_end(struct s3 *s, struct hop *o, enum rclass c);
void s3_upload_free(void *u);
/* s3list.c */
int  s3_list_next(struct http_remote *h, struct listing *l, struct hreq *q, const struct hresp *a, bool *again, struct err *e);

#endif

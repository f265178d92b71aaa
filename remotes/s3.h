/*
 * s3 - Amazon's object store and what speaks its language.
 *
 *  A1  Requests are signed by sigv4.c; a wrong region, a wrong clock and an expired token are repaired once and remembered.
 *  A2  An upload above MULTIPART_FROM goes up in parts, several at once, each with its md5, which another thread computes. An
 *      upload that was cut is found again by its key and goes on with the parts whose md5 equals ours.
 *      Parts are for far servers, where one connection is slow, and for what a crash would lose. A near server only has the
 *      work of putting them together: where an answer takes less than HTTP_NEAR_US, files up to S3_WHOLE_MOST go up whole
 *      while others wait, S3_WHOLE_IN_ALL bytes of them at once (a crash costs no more than that), unless the configuration
 *      says where parts begin, a cut upload is there to go on with, or it was tried and failed.
 *      Whole or in parts, the digest that goes with the bytes is of the object's name or of what the file holds; the
 *      server refuses others before a name appears.
 *  A3  Many objects are deleted by one request; a server that refuses or misunderstands it is asked for each of them.
 *  A4  A listing is cut into prefixes once its first page shows that it is long.
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
#define S3_PARTS_IN_ALL 8u      /* what is under way is lost by a crash: many files get fewer each */

#define S3_WHOLE_MOST (256u << 20)
#define S3_WHOLE_IN_ALL (512u << 20)

struct upload;
struct trail;
struct s3 {
	struct http_remote h;           /* first */
	char *ca;                       /* certificate file, for STS too */
	char *bucket, *prefix;          /* prefix: "" or "a/b/" */
	char *host;                     /* that requests go to; NULL: not known, the region has changed */
	struct url endpoint;            /* scheme, host, port, path without a slash at the end */
	bool aws, path_style, anonymous;
	bool no_cond_put;               /* the server does not know If-None-Match */
	bool no_delete_many;            /* the server does not know POST ?delete */
	struct aws_setup setup;
	struct aws_keys keys;
	bool have_keys;
	unsigned keys_no;               /* counts the keys; in hreq.data: which of them signed */
	struct sigv4_key day_key;
	struct strvec put_headers;      /* sse, acl, grants: "name: value", lower case */
	struct strvec sse_c;            /* needed for every access to the bytes */
	uint64_t multipart_from, part_size;
	uint64_t whole_most, whole_now; /* A2: 0: everything above multipart_from in parts; bytes that are on their way whole */
	struct trail *trail;            /* digests of parts; NULL before the first */
	struct map uploads;             /* key -> struct upload *: what a retry goes on with */
};

/* Which exchange of an operation; in hreq.step. */
enum s3_step { S3_PLAIN, S3_WHY /* a GET that learns what a HEAD's 403 meant */, S3_FIND,
	S3_PARTS, S3_INIT, S3_PART, S3_COMPLETE, S3_WHOLE, S3_MANY, S3_EACH };

/* A request for an object (key relative to the remote) or, with key NULL, for the bucket. Query is taken over. */
struct s3_call {
	const char *method, *key;
	struct sigv4_query query;
	struct strvec headers;          /* "name: value", lower-case names, signed when x-amz-, content-md5 or range */
	const char *payload_hash;       /* NULL: SIGV4_UNSIGNED */
};
int  s3_call(struct s3 *s, struct hreq *q, struct s3_call *c, struct err *e);
void s3_add(struct s3_call *c, const char *fmt, ...) PRINTF(2, 3);
void s3_add_lines(struct s3_call *c, const struct strvec *lines);
/* The class of a failed answer; RC_MORE when something was repaired. */
enum rclass s3_refused(struct s3 *s, struct hop *o, const struct hreq *q, const struct hresp *a);
/* Judged without an operation (listing): *again after a repair. */
int  s3_refused_list(struct s3 *s, const struct hreq *q, const struct hresp *a, bool *again, struct err *e);

/* s3put.c */
int  s3_put_prepare(struct s3 *s, struct hop *o, struct hreq *q, struct err *e);
enum rclass s3_put_classify(struct s3 *s, struct hop *o, const struct hreq *q, const struct hresp *a);
void s3_put_end(struct s3 *s, struct hop *o, enum rclass c);
void s3_upload_free(void *u);
/* s3del.c */
int  s3_delete_prepare(struct s3 *s, struct hop *o, struct hreq *q, struct err *e);
enum rclass s3_delete_classify(struct s3 *s, struct hop *o, const struct hreq *q, const struct hresp *a);
void s3_delete_end(struct hop *o);
/* The class of an error code of the service; op NULL: of a listing. */
enum rclass s3_class(const struct rop *op, int status, const char *code);
/* s3list.c */
int  s3_list_next(struct http_remote *h, struct listing *l, struct hreq *q, const struct hresp *a, bool *again, struct err *e);

#endif

/*
 * sigv4 - AWS Signature Version 4 as a pure function of a request, keys and a time.
 *
 *  V1  The caller gives path and query as they go over the wire: path encoded once, "name=value" pairs encoded, sorted by
 *      their bytes, joined with '&', always with '='.
 *  V2  Every header given is signed; the caller leaves out what a proxy may change.
 *
 * Source: AWS General Reference, "Create a signed AWS API request".
 */
#ifndef REMOTES_SIGV4_H
#define REMOTES_SIGV4_H

#include "core/base/str.h"

struct err;

#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"

struct sigv4_header { const char *name, *value; };      /* name in lower case, as far as a colon */
struct sigv4 {
	const char *access_key, *secret_key;
	const char *region, *service;
	int64_t now;                    /* Unix time, corrected */
	const char *method, *path, *query;      /* query NULL or "" when there is none */
	struct sigv4_header h[24];      /* "host" and "x-amz-date" among them; sorted */
	size_t nh;
	const char *payload_hash;       /* hex sha256 or SIGV4_UNSIGNED */
};
/* The day's key, kept by the caller: four of six HMACs are saved. What is too long for it is derived each time. */
struct sigv4_key { char scope[128], secret[128]; unsigned char key[32]; bool set; };

void sigv4_date(int64_t now, char out[17]);             /* 20130524T000000Z */
void sigv4_add(struct sigv4 *s, const char *name, const char *value);
void sigv4_add_line(struct sigv4 *s, const char *line);         /* "name: value" */
/* Appends the value of the Authorization header. */
int  sigv4_sign(struct sigv4 *s, struct sigv4_key *cache, struct str *out, struct err *e);
int  sigv4_payload(const void *p, size_t n, char out[65], struct err *e);

/* Collects a query by V1. */
struct sigv4_query { struct strvec pairs; };
void sigv4_query_add(struct sigv4_query *q, const char *name, const char *value);
char *sigv4_query_take(struct sigv4_query *q);          /* "" when there is none */

#endif

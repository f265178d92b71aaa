/*
 * awscreds - whose keys sign: the AWS command line's chain, in its order.
 *
 *  K1  remote's own keys, environment, role of the profile, web identity, keys of the profile, credential_process, the
 *      aws program for single sign-on, container, instance metadata.
 *  K2  A step that is configured and fails is an error that names it; a step that is not configured is passed over.
 *  K3  Temporary keys are renewed five minutes before they end, asked for at most once a minute; keys that still last stay
 *      in use when that fails.
 *  K4  No key, token or answer of a credential service enters a message.
 */
#ifndef REMOTES_AWSCREDS_H
#define REMOTES_AWSCREDS_H

#include "core/base/str.h"
#include "remotes/awsini.h"
#include "remotes/http.h"

struct aws_keys {
	char *access_key, *secret_key, *token;
	int64_t expires;                /* Unix time; 0: never */
	int64_t asked;                  /* when they, or newer ones, were asked for last */
	const char *source;             /* for 'remote check': "environment", "profile", ... */
};
void aws_keys_release(struct aws_keys *k);

struct aws_setup {                      /* one remote's view of the AWS configuration */
	struct awsini ini;
	char *profile;
	bool profile_explicit;          /* by the remote's option, not by AWS_PROFILE */
	char *access_key, *secret_key, *token;  /* remote's own */
	char *region;                   /* never NULL */
	bool region_known;
	struct http_conf http;          /* how to reach STS: proxies and certificates of the remote */
	int64_t clock;                  /* seconds to add to our clock */
};
/* Reads the files. profile, credentialpath, configpath, region may be NULL. */
int  aws_setup_init(struct aws_setup *a, const char *profile, const char *credentialpath, const char *configpath,
		    const char *region, struct err *e);
void aws_setup_release(struct aws_setup *a);
const char *aws_option(const struct aws_setup *a, const char *key);     /* of the profile */
/* Where a service ("s3", "sts") is: environment, the profile's services, the profile; NULL: at Amazon. */
const char *aws_endpoint(const struct aws_setup *a, const char *service);
/* ERR_AUTH with what to do when there are none. */
int  aws_keys_get(struct aws_keys *out, struct aws_setup *a, struct err *e);
/* K3: new ones in the place of old ones that end soon, or (now) at once. *k stays as it was when there are none. */
int  aws_keys_renew(struct aws_keys *k, struct aws_setup *a, bool now, struct err *e);
int64_t aws_time(const char *iso);      /* 2024-01-01T00:00:00Z or with +01:00; 0: unreadable */

/* awssts.c: keys from services */
int  aws_sts_assume(struct aws_keys *out, struct aws_setup *a, const struct aws_keys *by, const char *profile, struct err *e);
int  aws_sts_web_identity(struct aws_keys *out, struct aws_setup *a, const char *role, const char *token_file,
			  const char *session, struct err *e);
/* 1 got them, 0 not in such a place, -1 error */
int  aws_container(struct aws_keys *out, struct err *e);
int  aws_instance(struct aws_keys *out, struct err *e);
/* The JSON shape that processes, containers and instances share. */
int  aws_keys_from_json(struct aws_keys *out, const char *text, size_t len, const char *what, struct err *e);

#endif

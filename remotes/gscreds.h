/*
 * gscreds - how we may speak to Google Cloud Storage: a bearer token from the first source that has one.
 *
 *  G1  In order: credentialpath, GOOGLE_APPLICATION_CREDENTIALS, gcloud's default credentials, the metadata server,
 *      the gcloud program; else anonymous, as DVC's library does.
 *  G2  A service account's key signs locally and leaves this process only as a signature.
 *  G3  A token is fetched at its first use, again five minutes before its end, and once more when it is refused.
 */
#ifndef REMOTES_GSCREDS_H
#define REMOTES_GSCREDS_H

#include "remotes/registry.h"

struct node;

struct gs_creds {
	bool anonymous;
	struct node *file;              /* service_account or authorized_user; NULL: metadata server, then gcloud */
	char *file_name;
	char *token;
	int64_t token_ends;
	bool searched;
};
int  gs_creds_load(struct gs_creds *g, const struct remote_conf *c, bool emulator, struct err *e);
int  gs_token(struct gs_creds *g, bool anew, struct err *e);   /* G3; leaves token NULL when anonymous */
void gs_creds_release(struct gs_creds *g);
/* The claim that a service account signs. */
int  gs_assertion(const struct node *account, int64_t now, struct str *out, struct err *e);

#endif

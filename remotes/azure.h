/*
 * azure - what the files of the Azure Blob remote share: signing, credentials.
 *
 *  A1  A key, SAS or token enters a request only; never a message.
 *  A2  A token is fetched at its first use, again five minutes before its end, and once more when it is refused.
 *  A3  Credentials are looked for in DVC's order: connection string, service principal, account key, SAS, the default
 *      chain (environment, workload identity, managed identity, az), anonymous.
 *
 * Source: Microsoft's REST reference for Blob service and "Authorize with Shared Key"; notes, section 2.
 */
#ifndef REMOTES_AZURE_H
#define REMOTES_AZURE_H

#include "remotes/http.h"
#include "remotes/registry.h"

#define AZURE_VERSION "2021-12-02"

enum azure_kind { AZURE_ANON, AZURE_KEY, AZURE_SAS, AZURE_TOKEN };

struct azure_creds {
	enum azure_kind kind;
	char *account, *endpoint;       /* endpoint: without slash at the end */
	unsigned char *key;
	size_t key_len;
	char *sas;                      /* without '?' */
	/* Tokens. */
	char *tenant, *client, *secret;
	bool default_chain, no_environment, no_managed, no_cli;
	char *token;
	int64_t token_ends;
	const char *token_from;         /* for people */
};
int  azure_creds_load(struct azure_creds *a, const struct remote_conf *c, struct err *e);
void azure_creds_release(struct azure_creds *a);
/* A connection string's parts; ERR_CONFIG when it names no account. */
int  azure_creds_parse(struct azure_creds *a, const char *connection_string, struct err *e);
int  azure_token(struct azure_creds *a, bool anew, struct err *e);      /* A2 */

/* What SharedKey signs. 'url' is the complete, encoded URL; headers are "Name: value". */
int  azure_string_to_sign(struct str *out, const char *method, const char *account, const char *url,
			  const struct strvec *headers, uint64_t body_len, struct err *e);
/* Adds the Authorization header to q. */
int  azure_sign(const struct azure_creds *a, struct hreq *q, struct err *e);
void azure_http_date(struct str *out, int64_t unix_time);       /* "Sun, 06 Nov 1994 08:49:37 GMT" */

extern const struct http_conf azure_token_conf;

#endif

#include "remotes/azure.h"

#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"

#include <ctype.h>
#include <strings.h>
#include <time.h>

#define RESOURCE "https://storage.azure.com/"
#define EARLY 300                       /* seconds before its end a token is replaced (A2) */
#define DEV_ACCOUNT "devstoreaccount1"
#define DEV_KEY "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

const struct http_conf azure_token_conf = { .connect_secs = 20, .stall_secs = 30 };
static const struct http_conf metadata_conf = { .connect_secs = 1, .stall_secs = 5, .no_proxy = true };

static void wipe(char **p)
{
	if (*p)
		explicit_bzero(*p, strlen(*p));
	free(*p);
	*p = NULL;
}

void azure_creds_release(struct azure_creds *a)
{
	if (a->key)
		explicit_bzero(a->key, a->key_len);
	free(a->key);
	free(a->account);
	free(a->endpoint);
	free(a->tenant);
	free(a->client);
	wipe(&a->sas);
	wipe(&a->secret);
	wipe(&a->token);
	memset(a, 0, sizeof(*a));
}

static void set(char **slot, const char *value)
{
	if (!value || !*value)
		return;
	free(*slot);
	*slot = xstrdup(value);
}

#define LOGIN "Authentication to Azure Blob Storage "

/* Settings that nobody could log in with; DVC ends with the status of a configuration error then. */
static int cannot_log_in(struct err *e, const char *what, const char *cause)
{
	err_set(e, ERR_AUTH, LOGIN "%s%s%s", what, cause ? ": " : "", cause ? cause : "");
	e->exit_status = 251;
	e->plain = xasprintf(LOGIN "%s", what);
	return -1;
}

static int set_key(struct azure_creds *a, const char *b64, struct err *e)
{
	free(a->key);
	a->key = NULL;
	if (!base64_decode(b64, &a->key, &a->key_len) && a->key_len)
		return 0;
	err_set(e, ERR_AUTH, "the account key of the Azure remote is not base64");
	e->exit_status = 255;           /* DVC does not expect it */
	return -1;
}

static void set_sas(struct azure_creds *a, const char *sas)
{
	set(&a->sas, *sas == '?' ? sas + 1 : sas);
}

static void set_endpoint(struct azure_creds *a, const char *url)
{
	size_t n = strlen(url);
	char *copy;

	while (n && url[n - 1] == '/')
		n--;
	copy = xstrndup(url, n);
	free(a->endpoint);
	a->endpoint = copy;
}

/* An endpoint may carry the SAS of the connection string's author. */
static void split_endpoint(struct azure_creds *a)
{
	char *query = a->endpoint ? strchr(a->endpoint, '?') : NULL;

	if (!query)
		return;
	set_sas(a, query);
	*query = '\0';
	set_endpoint(a, a->endpoint);
}

static int parse_pair(struct azure_creds *a, const char *name, const char *value, char **protocol, char **suffix,
		      struct err *e)
{
	if (!strcasecmp(name, "AccountName"))
		set(&a->account, value);
	else if (!strcasecmp(name, "AccountKey"))
		return set_key(a, value, e);
	else if (!strcasecmp(name, "SharedAccessSignature"))
		set_sas(a, value);
	else if (!strcasecmp(name, "BlobEndpoint"))
		set_endpoint(a, value);
	else if (!strcasecmp(name, "DefaultEndpointsProtocol"))
		set(protocol, value);
	else if (!strcasecmp(name, "EndpointSuffix"))
		set(suffix, value);
	else if (!strcasecmp(name, "UseDevelopmentStorage") && !strcasecmp(value, "true")) {
		set(&a->account, DEV_ACCOUNT);
		set_endpoint(a, "http://127.0.0.1:10000/" DEV_ACCOUNT);
		return set_key(a, DEV_KEY, e);
	}
	return 0;
}

/* "https://account.blob..." gives the account where nothing else does. */
static void account_of_endpoint(struct azure_creds *a)
{
	const char *host = a->endpoint ? strstr(a->endpoint, "://") : NULL;

	if (host && !a->account)
		a->account = xstrndup(host + 3, strcspn(host + 3, "./:"));
}

int azure_creds_parse(struct azure_creds *a, const char *text, struct err *e)
{
	autostrvec struct strvec parts = STRVEC_INIT;
	autofree char *protocol = NULL, *suffix = NULL;
	size_t i;

	strvec_split(&parts, text, ';');
	for (i = 0; i < parts.n; i++) {
		char *eq = strchr(parts.v[i], '=');
		autofree char *name = NULL, *value = NULL;

		if (!eq)
			continue;
		name = xstrndup(parts.v[i], (size_t)(eq - parts.v[i]));
		value = str_trim_dup(eq + 1);
		if (parse_pair(a, name, value, &protocol, &suffix, e))
			return -1;
	}
	split_endpoint(a);
	account_of_endpoint(a);
	if (!a->account)
		return cannot_log_in(e, "via connection string failed.", "unable to connect to account for Connection string is "
				     "either blank or malformed.: Connection string is either blank or malformed.");
	if (!a->endpoint)
		a->endpoint = xasprintf("%s://%s.blob.%s", protocol ? protocol : "https", a->account,
					suffix ? suffix : "core.windows.net");
	a->kind = a->key ? AZURE_KEY : a->sas ? AZURE_SAS : AZURE_ANON;
	return 0;
}

/* Tokens. */

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

static void add_field(struct str *body, const char *name, const char *value)
{
	if (body->len)
		str_addc(body, '&');
	str_addf(body, "%s=", name);
	url_encode(body, value, false);
}

/* {"access_token": ..., "expires_in": 3600 or "expires_on": 1700000000, as numbers or texts} */
static int take_token(struct azure_creds *a, const char *text, size_t len, const char *from, struct err *e)
{
	autonode struct node *n = NULL;
	static const char *const names[] = { "expires_in", "expires_on", "expiresOn" };
	const char *token;
	int64_t ends = 0;
	size_t i;

	if (json_parse(&n, text, len, "token", e))
		return err_set(e, ERR_AUTH, "%s: the answer is no JSON", from);
	token = node_get_str(n, "access_token");
	if (!token)
		token = node_get_str(n, "accessToken");
	if (!token || !*token)
		return err_set(e, ERR_AUTH, "%s: the answer has no token", from);
	for (i = 0; i < ARRAY_LEN(names) && !ends; i++) {
		const struct node *v = node_get(n, names[i]);
		int64_t t = 0;

		if (node_is(v, NODE_INT) && v->fits)
			t = v->i;
		else if (node_is(v, NODE_STR))
			str_to_i64(v->text, &t);
		if (t > 0)
			ends = i ? t : time(NULL) + t;
	}
	wipe(&a->token);
	a->token = xstrdup(token);
	a->token_ends = ends ? ends : time(NULL) + 600;
	a->token_from = from;
	return 0;
}

static int ask_token(struct azure_creds *a, const struct http_conf *conf, struct hreq *q, const char *from, struct err *e)
{
	struct hresp r;
	int rc = -1;

	memset(&r, 0, sizeof(r));
	if (http_exchange(conf, q, &r, e))
		return err_in(e, "%s", from);
	if (r.status == 200)
		rc = take_token(a, str_cstr(&r.body), r.body.len, from, e);
	else
		err_set(e, r.status >= 500 || r.status == 429 ? ERR_TEMP : ERR_AUTH, "%s: HTTP %d", from, r.status);
	explicit_bzero(r.body.buf, r.body.len);
	hresp_release(&r);
	return rc;
}

/* Client secret, or an assertion signed by somebody else (workload identity). */
static int principal_token(struct azure_creds *a, const char *tenant, const char *client, const char *secret,
			   const char *assertion, const char *from, struct err *e)
{
	const char *host = env("AZURE_AUTHORITY_HOST");
	autostr struct str body = STR_INIT;
	struct hreq q;
	size_t n = strlen(host ? host : "https://login.microsoftonline.com");
	int rc;

	hreq_init(&q);
	host = host ? host : "https://login.microsoftonline.com";
	while (n && host[n - 1] == '/')
		n--;
	hreq_method(&q, "POST");
	str_addf(&q.url, "%s%.*s/", strstr(host, "://") ? "" : "https://", (int)n, host);
	url_encode(&q.url, tenant, false);
	str_adds(&q.url, "/oauth2/v2.0/token");
	add_field(&body, "grant_type", "client_credentials");
	add_field(&body, "client_id", client);
	add_field(&body, "scope", RESOURCE ".default");
	if (secret) {
		add_field(&body, "client_secret", secret);
	} else {
		add_field(&body, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
		add_field(&body, "client_assertion", assertion);
	}
	hreq_header(&q, "Content-Type: application/x-www-form-urlencoded");
	hreq_body_own(&q, body.buf, body.len);
	rc = ask_token(a, &azure_token_conf, &q, from, e);
	explicit_bzero(body.buf, body.len);
	hreq_release(&q);
	return rc;
}

static int workload_token(struct azure_creds *a, const char *file, struct err *e)
{
	const char *tenant = env("AZURE_TENANT_ID"), *client = env("AZURE_CLIENT_ID");
	autostr struct str text = STR_INIT;
	autofree char *assertion = NULL;

	if (!tenant || !client)
		return err_set(e, ERR_AUTH, "workload identity: AZURE_TENANT_ID or AZURE_CLIENT_ID is not set");
	if (fs_read(&text, file, 65536, e))
		return err_in(e, "workload identity");
	assertion = str_trim_dup(str_cstr(&text));
	return principal_token(a, tenant, client, NULL, assertion, "workload identity", e);
}

static int managed_token(struct azure_creds *a, struct err *e)
{
	const char *endpoint = env("IDENTITY_ENDPOINT"), *header = env("IDENTITY_HEADER");
	const char *host = env("AZURE_POD_IDENTITY_AUTHORITY_HOST"), *client = env("AZURE_CLIENT_ID");
	struct hreq q;
	int rc;

	hreq_init(&q);
	hreq_method(&q, "GET");
	if (endpoint && header) {
		str_addf(&q.url, "%s?api-version=2019-08-01&resource=", endpoint);
		hreq_header(&q, "X-IDENTITY-HEADER: %s", header);
	} else {
		str_addf(&q.url, "%s/metadata/identity/oauth2/token?api-version=2018-02-01&resource=",
			 host ? host : "http://169.254.169.254");
		hreq_header(&q, "Metadata: true");
	}
	url_encode(&q.url, RESOURCE, false);
	if (client) {
		str_adds(&q.url, "&client_id=");
		url_encode(&q.url, client, false);
	}
	rc = ask_token(a, &metadata_conf, &q, "managed identity", e);
	hreq_release(&q);
	return rc;
}

static int cli_token(struct azure_creds *a, struct err *e)
{
	static const char *const argv[] = {
		"az", "account", "get-access-token", "--output", "json", "--resource", RESOURCE, NULL,
	};
	autostr struct str out = STR_INIT, errout = STR_INIT;
	int status = 0, rc;

	if (proc_run(argv, NULL, NULL, 0, &out, &errout, &status, e))
		return err_set(e, ERR_AUTH, "az: not found");
	if (status)
		return err_set(e, ERR_AUTH, "az: not logged in (status %d)", status);
	rc = take_token(a, str_cstr(&out), out.len, "az", e);
	explicit_bzero(out.buf, out.len);
	return rc;
}

/* A3's default chain: the first that answers; the message names all that did not. */
static int chain_token(struct azure_creds *a, struct err *e)
{
	const char *tenant = env("AZURE_TENANT_ID"), *client = env("AZURE_CLIENT_ID"), *secret = env("AZURE_CLIENT_SECRET");
	const char *file = env("AZURE_FEDERATED_TOKEN_FILE");
	autostr struct str said = STR_INIT;
	unsigned i;

	for (i = 0; i < 4; i++) {
		autoerr struct err why = ERR_INIT;
		int rc;

		if (i == 0 && (a->no_environment || !tenant || !client || !secret))
			continue;
		if ((i == 1 && !file) || (i == 2 && a->no_managed) || (i == 3 && a->no_cli))
			continue;
		rc = i == 0 ? principal_token(a, tenant, client, secret, NULL, "environment", &why) :
		     i == 1 ? workload_token(a, file, &why) : i == 2 ? managed_token(a, &why) : cli_token(a, &why);
		if (!rc)
			return 0;
		str_addf(&said, "%s%s", said.len ? "; " : "", why.msg);
	}
	err_set(e, ERR_AUTH, "no Azure credentials: %s", said.len ? said.buf : "none is configured");
	err_hint(e, "az login, or set connection_string, account_key or sas_token of the remote (config --local)");
	return -1;
}

int azure_token(struct azure_creds *a, bool anew, struct err *e)
{
	if (a->token && !anew && time(NULL) < a->token_ends - EARLY)
		return 0;
	if (!a->default_chain)
		return principal_token(a, a->tenant, a->client, a->secret, NULL, "service principal", e);
	return chain_token(a, e);
}

/* Configuration, environment and the file of the az program. */

/* "[storage]" of ~/.azure/config, as the az program writes it. */
static char *az_config(const char *option)
{
	const char *dir = env("AZURE_CONFIG_DIR"), *home = env("HOME");
	autofree char *path = dir ? xasprintf("%s/config", dir) : xasprintf("%s/.azure/config", home ? home : "");
	autostr struct str text = STR_INIT;
	autostrvec struct strvec lines = STRVEC_INIT;
	autoerr struct err ignored = ERR_INIT;
	bool in = false;
	size_t i;

	if (fs_read(&text, path, 1 << 20, &ignored))
		return NULL;
	strvec_split(&lines, str_cstr(&text), '\n');
	for (i = 0; i < lines.n; i++) {
		autofree char *line = str_trim_dup(lines.v[i]), *name = NULL;
		char *eq = strchr(line, '=');

		if (*line == '[')
			in = !strcmp(line, "[storage]");
		if (!in || !eq || *line == '#' || *line == ';' || *line == '[')
			continue;
		*eq = '\0';
		name = str_trim_dup(line);
		if (!strcasecmp(name, option))
			return str_trim_dup(eq + 1);
	}
	return NULL;
}

/* An option: the remote's, AZURE_STORAGE_<first>, the az program's, AZURE_STORAGE_<second>. */
static char *option(const struct remote_conf *c, const char *name, const char *first, const char *az, const char *second)
{
	autofree char *one = first ? xasprintf("AZURE_STORAGE_%s", first) : NULL;
	autofree char *two = second ? xasprintf("AZURE_STORAGE_%s", second) : NULL;
	const char *v = rconf_get(c, name);
	char *file;

	if (!v && one)
		v = env(one);
	if (!v && az) {
		file = az_config(az);
		if (file)
			return file;
	}
	if (!v && two)
		v = env(two);
	return xstrdup(v);
}

static int choose(struct azure_creds *a, const struct remote_conf *c, const char *key, const char *sas, struct err *e)
{
	if (a->tenant && a->client && a->secret) {
		a->kind = AZURE_TOKEN;
	} else if (key) {
		a->kind = AZURE_KEY;
		return set_key(a, key, e);
	} else if (sas) {
		a->kind = AZURE_SAS;
		set_sas(a, sas);
	} else if (!rconf_bool(c, "allow_anonymous_login", false) && !a->tenant && !a->client && !a->secret) {
		a->kind = AZURE_TOKEN;
		a->default_chain = true;
		a->no_environment = rconf_bool(c, "exclude_environment_credential", false);
		a->no_managed = rconf_bool(c, "exclude_managed_identity_credential", false);
	}
	return 0;
}

int azure_creds_load(struct azure_creds *a, const struct remote_conf *c, struct err *e)
{
	autofree char *text = option(c, "connection_string", "CONNECTION_STRING", "connection_string", NULL);
	autofree char *key = option(c, "account_key", "KEY", "key", "ACCOUNT_KEY");
	autofree char *sas = option(c, "sas_token", "SAS_TOKEN", "sas_token", NULL);
	const char *host = env("GIT_DATA_AZURE_ENDPOINT");

	if (text && *text)
		return azure_creds_parse(a, text, e);
	a->account = option(c, "account_name", "ACCOUNT", "account", "ACCOUNT_NAME");
	a->tenant = option(c, "tenant_id", NULL, NULL, "TENANT_ID");
	a->client = option(c, "client_id", NULL, NULL, "CLIENT_ID");
	a->secret = option(c, "client_secret", NULL, NULL, "CLIENT_SECRET");
	if (!a->account || !*a->account)
		return cannot_log_in(e, "requires either account_name or connection_string.", NULL);
	a->endpoint = host ? xstrdup(host) : xasprintf("https://%s.blob.core.windows.net", a->account);
	return choose(a, c, key && *key ? key : NULL, sas && *sas ? sas : NULL, e);
}

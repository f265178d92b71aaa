#include "remotes/gscreds.h"

#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "remotes/http.h"

#include <time.h>

#define SCOPE "https://www.googleapis.com/auth/devstorage.read_write"
#define TOKEN_URI "https://oauth2.googleapis.com/token"
#define EARLY 300

static const struct http_conf token_conf = { .connect_secs = 20, .stall_secs = 30 };
static const struct http_conf metadata_conf = { .connect_secs = 1, .stall_secs = 5, .no_proxy = true };

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

static void drop_token(struct gs_creds *g)
{
	if (g->token)
		explicit_bzero(g->token, strlen(g->token));
	free(g->token);
	g->token = NULL;
}

void gs_creds_release(struct gs_creds *g)
{
	drop_token(g);
	node_free(g->file);
	free(g->file_name);
	memset(g, 0, sizeof(*g));
}

static void add_base64url(struct str *out, const void *p, size_t n)
{
	autofree char *b64 = base64_encode(p, n);
	const char *c;

	for (c = b64; *c && *c != '='; c++)
		str_addc(out, *c == '+' ? '-' : *c == '/' ? '_' : *c);
}

int gs_assertion(const struct node *account, int64_t now, struct str *out, struct err *e)
{
	const char *mail = node_get_str(account, "client_email"), *pem = node_get_str(account, "private_key");
	const char *kid = node_get_str(account, "private_key_id"), *aud = node_get_str(account, "token_uri");
	autostr struct str head = STR_INIT, claim = STR_INIT;
	autofree unsigned char *sig = NULL;
	size_t n;

	if (!mail || !pem)
		return err_set(e, ERR_CONFIG, "the service account has no client_email or private_key");
	str_adds(&head, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":");
	json_add_quotedz(&head, kid ? kid : "");
	str_addc(&head, '}');
	str_adds(&claim, "{\"iss\":");
	json_add_quotedz(&claim, mail);
	str_adds(&claim, ",\"scope\":\"" SCOPE "\",\"aud\":");
	json_add_quotedz(&claim, aud ? aud : TOKEN_URI);
	str_addf(&claim, ",\"iat\":%lld,\"exp\":%lld}", (long long)now, (long long)now + 3600);
	add_base64url(out, head.buf, head.len);
	str_addc(out, '.');
	add_base64url(out, claim.buf, claim.len);
	if (rsa_sha256_sign(pem, strlen(pem), out->buf, out->len, &sig, &n, e))
		return err_in(e, "cannot sign with the key of the service account");
	str_addc(out, '.');
	add_base64url(out, sig, n);
	return 0;
}

static int take_token(struct gs_creds *g, const struct hresp *r, const char *from, struct err *e)
{
	autonode struct node *n = NULL;
	const char *token, *why;
	const struct node *ends;

	if (json_parse(&n, str_cstr(&r->body), r->body.len, from, e)) {
		err_release(e);
		return err_set(e, r->status >= 500 ? ERR_TEMP : ERR_AUTH, "%s: HTTP %d", from, r->status);
	}
	token = node_get_str(n, "access_token");
	why = node_get_str(n, "error_description");
	if (r->status != 200 || !token)
		return err_set(e, r->status >= 500 || r->status == 429 ? ERR_TEMP : ERR_AUTH, "%s: HTTP %d%s%.200s", from,
			       r->status, why ? ": " : "", why ? why : "");
	ends = node_get(n, "expires_in");
	drop_token(g);
	g->token = xstrdup(token);
	g->token_ends = time(NULL) + (node_is(ends, NODE_INT) && ends->fits ? ends->i : 600);
	return 0;
}

static int ask(struct gs_creds *g, const struct http_conf *conf, struct hreq *q, const char *from, struct err *e)
{
	struct hresp r;
	int rc;

	memset(&r, 0, sizeof(r));
	if (http_exchange(conf, q, &r, e))
		return err_in(e, "%s", from);
	rc = take_token(g, &r, from, e);
	if (r.body.buf)
		explicit_bzero(r.body.buf, r.body.len);
	hresp_release(&r);
	return rc;
}

static void add_field(struct str *body, const char *name, const char *value)
{
	str_addf(body, "%s%s=", body->len ? "&" : "", name);
	url_encode(body, value ? value : "", false);
}

static int file_token(struct gs_creds *g, struct err *e)
{
	const char *type = node_get_str(g->file, "type"), *uri = node_get_str(g->file, "token_uri");
	bool user = type && !strcmp(type, "authorized_user");
	autostr struct str body = STR_INIT, assertion = STR_INIT;
	struct hreq q;
	int rc;

	if (user) {
		add_field(&body, "grant_type", "refresh_token");
		add_field(&body, "client_id", node_get_str(g->file, "client_id"));
		add_field(&body, "client_secret", node_get_str(g->file, "client_secret"));
		add_field(&body, "refresh_token", node_get_str(g->file, "refresh_token"));
	} else {
		if (gs_assertion(g->file, time(NULL), &assertion, e))
			return err_in(e, "'%s'", g->file_name);
		add_field(&body, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
		add_field(&body, "assertion", assertion.buf);
	}
	hreq_init(&q);
	hreq_method(&q, "POST");
	str_adds(&q.url, uri && *uri ? uri : TOKEN_URI);
	hreq_header(&q, "Content-Type: application/x-www-form-urlencoded");
	hreq_body_own(&q, body.buf, body.len);
	rc = ask(g, &token_conf, &q, user ? "gcloud credentials" : "service account", e);
	explicit_bzero(body.buf, body.len);
	hreq_release(&q);
	return rc;
}

static int metadata_token(struct gs_creds *g, struct err *e)
{
	const char *host = env("GCE_METADATA_HOST");
	struct hreq q;
	int rc;

	if (env("NO_GCE_CHECK"))
		return err_set(e, ERR_AUTH, "metadata server: not asked");
	hreq_init(&q);
	hreq_method(&q, "GET");
	str_addf(&q.url, "http://%s/computeMetadata/v1/instance/service-accounts/default/token",
		 host ? host : "metadata.google.internal");
	hreq_header(&q, "Metadata-Flavor: Google");
	rc = ask(g, &metadata_conf, &q, "metadata server", e);
	hreq_release(&q);
	return rc;
}

static int gcloud_token(struct gs_creds *g, struct err *e)
{
	static const char *const argv[] = { "gcloud", "auth", "print-access-token", "--quiet", NULL };
	autostr struct str out = STR_INIT, errout = STR_INIT;
	int status = 0;

	if (proc_run(argv, NULL, NULL, 0, &out, &errout, &status, e) || status)
		return err_set(e, ERR_AUTH, "gcloud: not installed or not logged in");
	drop_token(g);
	g->token = str_trim_dup(str_cstr(&out));
	g->token_ends = time(NULL) + 1800;
	explicit_bzero(out.buf, out.len);
	return *g->token ? 0 : err_set(e, ERR_AUTH, "gcloud: printed no token");
}

int gs_token(struct gs_creds *g, bool anew, struct err *e)
{
	autoerr struct err first = ERR_INIT, second = ERR_INIT;

	if (g->anonymous || (g->token && !anew && time(NULL) < g->token_ends - EARLY))
		return 0;
	if (g->file)
		return file_token(g, e);
	if (!metadata_token(g, &first) || !gcloud_token(g, &second))
		return 0;
	if (g->token)
		return err_set(e, ERR_AUTH, "cannot renew the token: %s; %s", first.msg, second.msg);
	g->anonymous = true;            /* G1: a public bucket needs nobody */
	return 0;
}

static int load_file(struct gs_creds *g, const char *path, struct err *e)
{
	const char *type;

	if (json_load(&g->file, path, 1 << 20, e))
		return -1;
	type = node_get_str(g->file, "type");
	if (!type || (strcmp(type, "service_account") != 0 && strcmp(type, "authorized_user") != 0)) {
		err_set(e, ERR_CONFIG, "'%s' holds credentials of type '%s', which is not understood here", path,
			type ? type : "unknown");
		err_hint(e, "unset it and log in with 'gcloud auth login', whose tokens serve too");
		node_free(g->file);
		g->file = NULL;
		return -1;
	}
	g->file_name = xstrdup(path);
	return 0;
}

int gs_creds_load(struct gs_creds *g, const struct remote_conf *c, bool emulator, struct err *e)
{
	autofree char *own = rconf_path(c, "credentialpath"), *adc = NULL;
	const char *dir = env("CLOUDSDK_CONFIG"), *home = env("HOME"), *named = env("GOOGLE_APPLICATION_CREDENTIALS");

	if (rconf_bool(c, "allow_anonymous_login", false)) {
		g->anonymous = true;
		return 0;
	}
	if (own || named)
		return load_file(g, own ? own : named, e);
	if (emulator) {
		g->anonymous = true;
		return 0;
	}
	adc = dir ? xasprintf("%s/application_default_credentials.json", dir) :
		xasprintf("%s/.config/gcloud/application_default_credentials.json", home ? home : "");
	if (fs_exists(adc)) {
		autoerr struct err ignored = ERR_INIT;

		load_file(g, adc, &ignored);
	}
	return 0;
}

/* Keys from services: STS, the container's agent, the instance's metadata. */
#include "remotes/awscreds.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "remotes/sigv4.h"
#include "remotes/xml.h"

#include <strings.h>
#include <time.h>
#include <unistd.h>

#define CONTAINER_HOST "http://169.254.170.2"
#define INSTANCE_HOST "http://169.254.169.254"
#define TOKEN_MAX 65536

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

static char *sts_url(const struct aws_setup *a)
{
	const char *url = aws_endpoint(a, "sts");
	const char *tail = str_starts(a->region, "cn-") ? "amazonaws.com.cn" : "amazonaws.com";

	return url ? xstrdup(url) : xasprintf("https://sts.%s.%s", a->region, tail);
}

static void add_form(struct str *body, const char *name, const char *value)
{
	if (!value)
		return;
	str_addf(body, "%s%s=", body->len ? "&" : "", name);
	url_encode(body, value, false);
}

static int read_answer(struct aws_keys *out, const struct hresp *a, const char *source, struct err *e)
{
	const char *text = str_cstr(&a->body);
	autofree char *access = xml_find(text, a->body.len, "AccessKeyId");
	autofree char *secret = xml_find(text, a->body.len, "SecretAccessKey");
	autofree char *token = xml_find(text, a->body.len, "SessionToken");
	autofree char *until = xml_find(text, a->body.len, "Expiration");
	autofree char *code = NULL, *message = NULL;

	if (a->status == 200 && access && secret) {
		aws_keys_release(out);
		out->access_key = take(access);
		out->secret_key = take(secret);
		out->token = take(token);
		out->expires = aws_time(until);
		out->source = source;
		return 0;
	}
	code = xml_find(text, a->body.len, "Code");
	message = xml_find(text, a->body.len, "Message");
	return err_set(e, a->status >= 500 ? ERR_TEMP : ERR_AUTH, "%s: HTTP %d%s%s%s%.200s", source, a->status,
		       code ? ": " : "", code ? code : "", message ? ": " : "", message ? message : "");
}

static int sign_post(struct hreq *q, const struct aws_setup *a, const struct aws_keys *by, const char *url, struct err *e)
{
	autostr struct str auth = STR_INIT;
	struct url u = { 0 };
	autofree char *host = NULL;
	char hash[65], date[17];
	struct sigv4 s = { .access_key = by->access_key, .secret_key = by->secret_key, .region = a->region, .service = "sts",
			   .now = (int64_t)time(NULL) + a->clock, .method = "POST", .query = "", .payload_hash = hash };
	int rc;

	if (url_parse(&u, url, e))
		return -1;
	host = u.port ? xasprintf("%s:%s", u.host, u.port) : xstrdup(u.host);
	s.path = *u.path ? u.path : "/";
	sigv4_date(s.now, date);
	sigv4_add(&s, "host", host);
	sigv4_add(&s, "x-amz-date", date);
	sigv4_add(&s, "content-type", "application/x-www-form-urlencoded");
	if (by->token)
		sigv4_add(&s, "x-amz-security-token", by->token);
	rc = sigv4_payload(q->mem, q->body_len, hash, e) || sigv4_sign(&s, NULL, &auth, e) ? -1 : 0;
	if (!rc) {
		hreq_header(q, "X-Amz-Date: %s", date);
		hreq_header(q, "Authorization: %s", str_cstr(&auth));
		if (by->token)
			hreq_header(q, "X-Amz-Security-Token: %s", by->token);
	}
	url_release(&u);
	return rc;
}

static int ask_sts(struct aws_keys *out, struct aws_setup *a, const struct aws_keys *by, const struct str *body,
		   const char *source, struct err *e)
{
	autofree char *url = sts_url(a);
	struct hreq q;
	struct hresp r = { 0 };
	int rc;

	hreq_init(&q);
	hreq_method(&q, "POST");
	str_adds(&q.url, url);
	hreq_body_own(&q, str_cstr(body), body->len);
	hreq_header(&q, "Content-Type: application/x-www-form-urlencoded");
	q.stall_secs = 30;
	rc = by ? sign_post(&q, a, by, url, e) : 0;
	if (!rc && http_exchange(&a->http, &q, &r, e))
		rc = err_in(e, "%s", source);
	if (!rc)
		rc = read_answer(out, &r, source, e);
	hreq_release(&q);
	hresp_release(&r);
	return rc;
}

static char *session_name(const char *given)
{
	return given ? xstrdup(given) : xasprintf("git-data-%lld", (long long)time(NULL));
}

int aws_sts_assume(struct aws_keys *out, struct aws_setup *a, const struct aws_keys *by, const char *profile, struct err *e)
{
	autofree char *session = session_name(awsini_get(&a->ini, profile, "role_session_name"));
	autostr struct str body = STR_INIT;

	if (awsini_get(&a->ini, profile, "mfa_serial")) {
		err_set(e, ERR_AUTH, "the role of the AWS profile '%s' asks for a second factor", profile);
		err_hint(e, "get a session with 'aws sts get-session-token' and export its keys");
		return -1;
	}
	add_form(&body, "Action", "AssumeRole");
	add_form(&body, "Version", "2011-06-15");
	add_form(&body, "RoleArn", awsini_get(&a->ini, profile, "role_arn"));
	add_form(&body, "RoleSessionName", session);
	add_form(&body, "ExternalId", awsini_get(&a->ini, profile, "external_id"));
	add_form(&body, "DurationSeconds", awsini_get(&a->ini, profile, "duration_seconds"));
	return ask_sts(out, a, by, &body, "the role of the AWS profile", e);
}

int aws_sts_web_identity(struct aws_keys *out, struct aws_setup *a, const char *role, const char *token_file,
			 const char *session, struct err *e)
{
	autofree char *name = session_name(session), *token = NULL;
	autostr struct str body = STR_INIT, text = STR_INIT;

	if (fs_read(&text, token_file, TOKEN_MAX, e))
		return err_in(e, "cannot read the web identity token");
	token = str_trim_dup(str_cstr(&text));
	add_form(&body, "Action", "AssumeRoleWithWebIdentity");
	add_form(&body, "Version", "2011-06-15");
	add_form(&body, "RoleArn", role);
	add_form(&body, "RoleSessionName", name);
	add_form(&body, "WebIdentityToken", token);
	return ask_sts(out, a, NULL, &body, "web identity", e);
}

static int get(const struct http_conf *c, const char *method, const char *url, const char *header, struct hresp *r,
	       struct err *e)
{
	struct hreq q;
	int rc;

	hreq_init(&q);
	hreq_method(&q, method);
	str_adds(&q.url, url);
	if (header)
		hreq_header(&q, "%s", header);
	if (!strcmp(method, "PUT"))
		hreq_body_own(&q, "", 0);
	q.stall_secs = c->stall_secs;
	rc = http_exchange(c, &q, r, e);
	hreq_release(&q);
	return rc;
}

/* As the SDKs: https anywhere; http only to this machine and to the two addresses of container agents. */
static bool may_ask_container(const char *url)
{
	struct url u = { 0 };
	autoerr struct err e = ERR_INIT;
	bool ok;

	if (url_parse(&u, url, &e))
		return false;
	ok = !strcmp(u.scheme, "https") || !strcmp(u.host, "localhost") || str_starts(u.host, "127.") ||
	     !strcmp(u.host, "[::1]") || !strcmp(u.host, "169.254.170.2") || !strcmp(u.host, "169.254.170.23") ||
	     !strcasecmp(u.host, "[fd00:ec2::23]");
	url_release(&u);
	return ok;
}

static int container_token(char **out, struct err *e)
{
	const char *file = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"), *token = env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	autostr struct str text = STR_INIT;
	autofree char *value = NULL;

	*out = NULL;
	if (file && fs_read(&text, file, TOKEN_MAX, e))
		return err_in(e, "cannot read the container's token");
	if (file)
		value = str_trim_dup(str_cstr(&text));
	else if (token)
		value = xstrdup(token);
	if (value)
		*out = xasprintf("Authorization: %s", value);
	return 0;
}

int aws_container(struct aws_keys *out, struct err *e)
{
	static const struct http_conf conf = { .no_proxy = true, .connect_secs = 2, .stall_secs = 5 };
	const char *rel = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), *full = env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	autofree char *url = rel ? xasprintf(CONTAINER_HOST "%s", rel) : full ? xstrdup(full) : NULL, *auth = NULL;
	struct hresp r = { 0 };
	int rc;

	if (!url)
		return 0;
	if (!may_ask_container(url))
		return err_set(e, ERR_UNSAFE, "AWS_CONTAINER_CREDENTIALS_FULL_URI names a host that must not be asked over http");
	if (container_token(&auth, e))
		return -1;
	rc = get(&conf, "GET", url, auth, &r, e);
	if (rc)
		rc = err_in(e, "container credentials");
	else if (r.status != 200)
		rc = err_set(e, ERR_AUTH, "container credentials: HTTP %d", r.status);
	else
		rc = aws_keys_from_json(out, str_cstr(&r.body), r.body.len, "container credentials", e);
	hresp_release(&r);
	return rc ? -1 : 1;
}

int aws_instance(struct aws_keys *out, struct err *e)
{
	static const struct http_conf conf = { .no_proxy = true, .connect_secs = 1, .stall_secs = 1 };
	static const char path[] = "latest/meta-data/iam/security-credentials/";
	const char *off = env("AWS_EC2_METADATA_DISABLED"), *host = env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	autofree char *base = NULL, *url = NULL, *auth = NULL, *role = NULL;
	autoerr struct err why = ERR_INIT;
	struct hresp r = { 0 };
	int rc = 0;

	if (off && !strcasecmp(off, "true"))
		return 0;
	base = xstrdup(host ? host : INSTANCE_HOST);
	base[strlen(base) - str_ends(base, "/")] = 0;
	url = xasprintf("%s/latest/api/token", base);
	/* Not on an instance: nobody answers, which is no error. */
	if (get(&conf, "PUT", url, "X-aws-ec2-metadata-token-ttl-seconds: 21600", &r, &why) || r.status != 200)
		goto undo;
	auth = xasprintf("X-aws-ec2-metadata-token: %s", str_cstr(&r.body));
	free(url);
	url = xasprintf("%s/%s", base, path);
	if (get(&conf, "GET", url, auth, &r, &why) || r.status != 200)
		goto undo;
	role = xstrndup(str_cstr(&r.body), strcspn(str_cstr(&r.body), "\r\n"));
	free(url);
	url = xasprintf("%s/%s%s", base, path, role);
	if (get(&conf, "GET", url, auth, &r, &why) || r.status != 200)
		goto undo;
	rc = aws_keys_from_json(out, str_cstr(&r.body), r.body.len, "instance metadata", e) ? -1 : 1;
undo:
	hresp_release(&r);
	return rc;
}

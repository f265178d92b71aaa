#include "remotes/s3.h"

#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/trail.h"
#include "remotes/registry.h"
#include "remotes/xml.h"

#include <ctype.h>
#include <stdarg.h>
#include <strings.h>
#include <time.h>

#define URL_ROOM 256             /* of most requests */
#define AUTH_ROOM 512

/* ---- one signed request ---- */

void s3_add(struct s3_call *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strvec_take(&c->headers, xvasprintf(fmt, ap));
	va_end(ap);
}

static int load_keys(struct s3 *s, struct err *e)
{
	int64_t asked = s->keys.asked;

	if (s->anonymous)
		return 0;
	if (aws_keys_renew(&s->keys, &s->setup, !s->have_keys, e))
		return -1;
	s->keys_no += !s->have_keys || s->keys.asked != asked;
	s->have_keys = true;
	s->h.remote.identity = s->keys.source;
	return 0;
}

static const char *host_of(struct s3 *s)
{
	autofree char *regional = NULL;
	const char *host = s->endpoint.host;

	if (s->host)
		return s->host;
	if (s->aws)
		host = regional = xasprintf("s3.%s.amazonaws.com%s", s->setup.region,
					    str_starts(s->setup.region, "cn-") ? ".cn" : "");
	s->host = xasprintf("%s%s%s%s%s", s->path_style ? "" : s->bucket, s->path_style ? "" : ".", host,
			    s->endpoint.port ? ":" : "", s->endpoint.port ? s->endpoint.port : "");
	return s->host;
}

static void add_path(struct str *out, const struct s3 *s, const char *key)
{
	str_adds(out, s->endpoint.path);
	if (s->path_style) {
		str_addc(out, '/');
		url_encode(out, s->bucket, false);
	}
	str_addc(out, '/');
	if (key) {
		url_encode(out, s->prefix, true);
		url_encode(out, key, true);
	}
}

static bool is_signed(const char *line)
{
	return str_starts(line, "x-amz-") || str_starts(line, "content-md5:") || str_starts(line, "range:");
}

/* Signs what the request holds and adds the Authorization line. */
static int sign(struct s3 *s, struct hreq *q, const struct s3_call *c, const char *path, const char *query, struct err *e)
{
	autostr struct str auth = STR_INIT;
	struct sigv4 v = { .access_key = s->keys.access_key, .secret_key = s->keys.secret_key, .region = s->setup.region,
			   .service = "s3", .now = (int64_t)time(NULL) + s->setup.clock, .method = c->method, .path = path,
			   .query = query, .payload_hash = c->payload_hash ? c->payload_hash : SIGV4_UNSIGNED };
	char date[17];

	sigv4_date(v.now, date);
	hreq_pair(q, "x-amz-date", date);
	hreq_pair(q, "x-amz-content-sha256", v.payload_hash);
	if (s->keys.token)
		hreq_pair(q, "x-amz-security-token", s->keys.token);
	sigv4_add(&v, "host", host_of(s));
	for (size_t i = 0; i < q->headers.n; i++)
		if (is_signed(q->headers.v[i]))
			sigv4_add_line(&v, q->headers.v[i]);
	str_reserve(&auth, AUTH_ROOM);
	str_adds(&auth, "Authorization: ");
	if (sigv4_sign(&v, &s->day_key, &auth, e))
		return -1;
	hreq_take(q, str_take(&auth));
	return 0;
}

static int fill(struct s3 *s, struct hreq *q, struct s3_call *c, const char *query, struct err *e)
{
	size_t path;

	if (load_keys(s, e))
		return -1;
	hreq_method(q, c->method);
	str_reset(&q->url);
	str_reserve(&q->url, URL_ROOM);
	str_adds(&q->url, s->endpoint.scheme);
	str_adds(&q->url, "://");
	str_adds(&q->url, host_of(s));
	path = q->url.len;
	add_path(&q->url, s, c->key);
	for (size_t i = 0; i < c->headers.n; i++)
		hreq_take(q, take(c->headers.v[i]));
	q->data = (void *)(uintptr_t)s->keys_no;
	if (!s->anonymous && sign(s, q, c, q->url.buf + path, query, e))
		return -1;
	if (*query)
		str_addc(&q->url, '?');
	str_adds(&q->url, query);
	return 0;
}

int s3_call(struct s3 *s, struct hreq *q, struct s3_call *c, struct err *e)
{
	autofree char *query = sigv4_query_take(&c->query);
	int rc = fill(s, q, c, query, e);

	strvec_release(&c->headers);
	return rc;
}

void s3_add_lines(struct s3_call *c, const struct strvec *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		strvec_push(&c->headers, lines->v[i]);
}

static void add_version(struct s3_call *c, const struct rop *op)
{
	if (op->want_version)
		sigv4_query_add(&c->query, "versionId", op->want_version);
}

static int prepare_get(struct s3 *s, const struct rop *op, struct hreq *q, struct err *e)
{
	struct s3_call c = { .method = "GET", .key = op->key };

	s3_add_lines(&c, &s->sse_c);
	add_version(&c, op);
	q->to_sink = true;
	if (!q->upto)
		q->from = op->off;
	if (q->upto)
		s3_add(&c, "range: bytes=%llu-%llu", (unsigned long long)q->from, (unsigned long long)q->upto - 1);
	else if (q->from)
		s3_add(&c, "range: bytes=%llu-", (unsigned long long)q->from);
	if (q->upto || q->from) {
		if (op->etag[0] && !str_starts(op->etag, "W/"))        /* a weak tag matches nothing here */
			s3_add(&c, "if-match: \"%s\"", op->etag);
	}
	return s3_call(s, q, &c, e);
}

static int prepare_stat(struct s3 *s, const struct hop *o, struct hreq *q, struct err *e)
{
	struct s3_call c = { .method = o->step == S3_WHY ? "GET" : "HEAD", .key = o->op->key };

	s3_add_lines(&c, &s->sse_c);
	add_version(&c, o->op);
	if (o->step == S3_WHY) {
		s3_add(&c, "range: bytes=0-0");
		q->stop_at_max = true;
	}
	q->step = o->step;
	return s3_call(s, q, &c, e);
}

static int s3_prepare(struct http_remote *h, struct hop *o, struct hreq *q, struct err *e)
{
	struct s3 *s = (struct s3 *)h;
	struct s3_call c = { .method = "DELETE", .key = o->op->key };

	switch (o->op->kind) {
	case ROP_GET:
		return prepare_get(s, o->op, q, e);
	case ROP_STAT:
		return prepare_stat(s, o, q, e);
	case ROP_PUT:
		return s3_put_prepare(s, o, q, e);
	case ROP_DELETE_MANY:
		return s3_delete_prepare(s, o, q, e);
	default:
		add_version(&c, o->op);
		return s3_call(s, q, &c, e);
	}
}

/* ---- answers ---- */

static bool is_one_of(const char *code, const char *const *list, size_t n)
{
	for (size_t i = 0; code && i < n; i++)
		if (!strcmp(code, list[i]))
			return true;
	return false;
}

enum rclass s3_class(const struct rop *op, int status, const char *code)
{
	static const char *const again[] = { "SlowDown", "InternalError", "RequestTimeout", "IncompleteBody",
					     "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded",
					     "ConditionalRequestConflict", "OperationAborted", "NoSuchUpload" };
	static const char *const corrupt[] = { "BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch" };
	static const char *const fatal[] = { "NoSuchBucket", "AllAccessDisabled", "InvalidBucketName", "MethodNotAllowed",
					     "EntityTooLarge", "QuotaExceeded", "XMinioStorageFull" };

	static const char *const auth[] = { "ExpiredToken", "InvalidToken", "InvalidTokenId", "TokenRefreshRequired",
					    "InvalidAccessKeyId", "XAdminUserNotFound" };

	if (is_one_of(code, again, ARRAY_LEN(again)))
		return RC_RETRY;
	if (is_one_of(code, auth, ARRAY_LEN(auth)))
		return RC_AUTH;
	if (is_one_of(code, corrupt, ARRAY_LEN(corrupt)))
		return RC_CORRUPT;
	if (is_one_of(code, fatal, ARRAY_LEN(fatal)))
		return RC_FATAL;
	if (op && op->kind == ROP_PUT && status == 412)
		return RC_EXISTS;
	return op ? http_class_of_status(op, status) : status == 401 || status == 403 ? RC_AUTH :
	       status == 429 || status >= 500 ? RC_RETRY : RC_FATAL;
}

static bool learn_region(struct s3 *s, const struct hresp *a)
{
	autofree char *found = xml_find(str_cstr(&a->body), a->body.len, "Region");
	const char *region = hresp_header(a, "x-amz-bucket-region");

	if (!region)
		region = found;
	if (!region || !*region || strlen(region) > 64 || !strcmp(region, s->setup.region))
		return false;
	for (const char *c = region; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
			return false;
	free(s->setup.region);
	s->setup.region = xstrdup(region);
	free(s->host);          /* the region is in it */
	s->host = NULL;
	return true;
}

static bool learn_clock(struct s3 *s, const struct hresp *a)
{
	int64_t date = hresp_date(a), was = s->setup.clock;

	if (!date)
		return false;
	s->setup.clock = date - (int64_t)time(NULL);
	return s->setup.clock != was;
}

/* The answers to what was signed before the renewal ask for no other one. */
static bool renew_keys(struct s3 *s, const struct hreq *q, struct err *e)
{
	autofree char *old = xstrdup(s->keys.token);

	if (!s->have_keys || s->anonymous)
		return false;
	if ((unsigned)(uintptr_t)q->data != s->keys_no)
		return true;
	if (aws_keys_renew(&s->keys, &s->setup, true, e))
		return false;
	s->keys_no++;
	return s->keys.token && (!old || strcmp(old, s->keys.token));
}

/* A1: what can be put right. */
static bool repair(struct s3 *s, const struct hreq *q, const struct hresp *a, const char *code, struct err *e)
{
	if (a->status == 301 || a->status == 307 ||
	    (code && (!strcmp(code, "AuthorizationHeaderMalformed") || !strcmp(code, "PermanentRedirect") ||
		      !strcmp(code, "IllegalLocationConstraintException"))) ||
	    (a->status == 400 && !code))
		return learn_region(s, a);
	if (code && (!strcmp(code, "RequestTimeTooSkewed") || !strcmp(code, "RequestExpired")))
		return learn_clock(s, a);
	if (code && (!strcmp(code, "ExpiredToken") || !strcmp(code, "TokenRefreshRequired") || !strcmp(code, "InvalidToken")))
		return renew_keys(s, q, e);
	return false;
}

static void hint_auth(struct s3 *s, struct err *e)
{
	err_hint(e, "the keys came from %s; try 'git data remote check%s%s'",
		 s->anonymous ? "nowhere (allow_anonymous_login)" : s->keys.source ? s->keys.source : "nowhere",
		 s->h.remote.name ? " " : "", s->h.remote.name ? s->h.remote.name : "");
}

enum rclass s3_refused(struct s3 *s, struct hop *o, const struct hreq *q, const struct hresp *a)
{
	autoerr struct err why = ERR_INIT;
	autofree char *code = xml_find(str_cstr(&a->body), a->body.len, "Code");
	autofree char *text = NULL;
	enum rclass c;

	if (o->repairs < 3 && repair(s, q, a, code, &why)) {
		o->repairs++;
		if (o->op->kind == ROP_STAT)
			o->step = S3_PLAIN;
		return RC_MORE;
	}
	c = s3_class(o->op, a->status, code);
	/* A 501 to a conditional put: the server does not know the condition. Others may be under way with it. */
	if (o->op->kind == ROP_PUT && q->step == S3_PLAIN && q->part &&
	    (a->status == 501 || (code && !strcmp(code, "NotImplemented")))) {
		s->no_cond_put = true;
		return RC_MORE;
	}
	if (c == RC_ABSENT || c == RC_EXISTS || c == RC_OK)
		return c;
	text = xml_find(str_cstr(&a->body), a->body.len, "Message");
	http_fail(o, a, c, code, text);
	if (why.code)
		err_in(&o->op->err, "%s", why.msg);
	if (c == RC_AUTH)
		hint_auth(s, &o->op->err);
	return c;
}

int s3_refused_list(struct s3 *s, const struct hreq *q, const struct hresp *a, bool *again, struct err *e)
{
	autoerr struct err why = ERR_INIT;
	autofree char *code = xml_find(str_cstr(&a->body), a->body.len, "Code");
	autofree char *text = xml_find(str_cstr(&a->body), a->body.len, "Message");
	enum rclass c = s3_class(NULL, a->status, code);

	if (q->step < 3 && repair(s, q, a, code, &why)) {
		*again = true;
		return err_set(e, ERR_TEMP, "something was put right");
	}
	err_set(e, c == RC_AUTH ? ERR_AUTH : c == RC_RETRY ? ERR_TEMP :
		code && !strcmp(code, "NoSuchBucket") ? ERR_NOTFOUND : ERR_FAIL, "HTTP %d%s%s%s%.200s", a->status,
		code ? ": " : "", code ? code : "", text ? ": " : "", text ? text : "");
	if (why.code)
		err_in(e, "%s", why.msg);
	if (c == RC_AUTH)
		hint_auth(s, e);
	return -1;
}

static void take_meta(struct rop *op, const struct hresp *a)
{
	const char *v = hresp_header(a, "x-amz-version-id");

	http_take_etag(op, a);
	if (v && strcmp(v, "null"))
		snprintf(op->version_id, sizeof(op->version_id), "%s", v);
}

/* The size of an object that was asked for one byte. */
static void take_total(struct rop *op, const struct hresp *a)
{
	const char *range = hresp_header(a, "content-range"), *slash = range ? strchr(range, '/') : NULL;
	uint64_t n;

	if (slash && str_to_u64(slash + 1, &n))
		op->size = n;
}

static enum rclass s3_classify(struct http_remote *h, struct hop *o, const struct hreq *q, const struct hresp *a)
{
	struct s3 *s = (struct s3 *)h;
	struct rop *op = o->op;

	if (op->kind == ROP_PUT)
		return s3_put_classify(s, o, q, a);
	if (op->kind == ROP_DELETE_MANY)
		return s3_delete_classify(s, o, q, a);
	if (a->status == 200 || a->status == 204 || a->status == 206) {
		take_meta(op, a);
		if (o->step == S3_WHY)
			take_total(op, a);
		return RC_OK;
	}
	/* The answer to a HEAD has no body: the code of a refusal is learned by asking for a byte. */
	if (op->kind == ROP_STAT && o->step == S3_PLAIN && (a->status == 403 || a->status == 400) &&
	    !hresp_header(a, "x-amz-bucket-region")) {
		o->step = S3_WHY;
		return RC_MORE;
	}
	return s3_refused(s, o, q, a);
}

static void s3_end(struct http_remote *h, struct hop *o, enum rclass c)
{
	if (o->op->kind == ROP_PUT)
		s3_put_end((struct s3 *)h, o, c);
	else if (o->op->kind == ROP_DELETE_MANY)
		s3_delete_end(o);
}

static void s3_close(struct http_remote *h)
{
	struct s3 *s = (struct s3 *)h;

	map_release(&s->uploads, s3_upload_free);
	trail_free(s->trail);
	aws_keys_release(&s->keys);
	aws_setup_release(&s->setup);
	url_release(&s->endpoint);
	strvec_release(&s->put_headers);
	strvec_release(&s->sse_c);
	explicit_bzero(&s->day_key, sizeof(s->day_key));
	free(s->ca);
	free(s->host);
	free(s->bucket);
	free(s->prefix);
	free(s);
}

/* ---- opening ---- */

static int read_place(struct s3 *s, const char *url, struct err *e)
{
	const char *p = url + strlen("s3://");
	size_t n = strcspn(p, "/");

	if (!n)
		return err_set(e, ERR_CONFIG, "'%s' names no bucket", url);
	s->bucket = xstrndup(p, n);
	p += n;
	while (*p == '/')
		p++;
	n = strlen(p);
	while (n && p[n - 1] == '/')
		n--;
	s->prefix = n ? xasprintf("%.*s/", (int)n, p) : xstrdup("");
	return 0;
}

static int read_endpoint(struct s3 *s, const struct remote_conf *c, struct err *e)
{
	const char *own = rconf_get(c, "endpointurl"), *url = own && *own ? own : aws_endpoint(&s->setup, "s3");
	const char *style = aws_option(&s->setup, "s3.addressing_style");
	autofree char *whole = NULL;
	size_t n;

	s->aws = !url;
	if (!url)
		url = rconf_bool(c, "use_ssl", true) ? "https://s3.amazonaws.com" : "http://s3.amazonaws.com";
	if (!strstr(url, "://"))
		url = whole = xasprintf("%s://%s", rconf_bool(c, "use_ssl", true) ? "https" : "http", url);
	if (url_parse(&s->endpoint, url, e))
		return err_in(e, "endpointurl");
	n = strlen(s->endpoint.path);
	while (n && s->endpoint.path[n - 1] == '/')
		s->endpoint.path[--n] = 0;
	s->path_style = style && !strcmp(style, "path") ? true : style && !strcmp(style, "virtual") ? false :
			!s->aws || strchr(s->bucket, '.') != NULL;
	return 0;
}

static bool has(const struct remote_conf *c, const char *option)
{
	const char *v = rconf_get(c, option);

	return v && *v;
}

static int exclusive(const char *options, struct err *e)
{
	err_set(e, ERR_CONFIG, "configuration error - %s AWS S3 config options are mutually exclusive", options);
	e->exit_status = 251;
	return -1;
}

static int read_put_options(struct s3 *s, const struct remote_conf *c, struct err *e)
{
	static const char *const rows[][2] = {
		{ "sse", "x-amz-server-side-encryption" },
		{ "sse_kms_key_id", "x-amz-server-side-encryption-aws-kms-key-id" }, { "acl", "x-amz-acl" },
		{ "grant_read", "x-amz-grant-read" }, { "grant_read_acp", "x-amz-grant-read-acp" },
		{ "grant_write_acp", "x-amz-grant-write-acp" }, { "grant_full_control", "x-amz-grant-full-control" },
	};

	if (has(c, "sse_customer_key") && has(c, "sse_kms_key_id"))
		return exclusive("`sse_kms_key_id` and `sse_customer_key`", e);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (has(c, rows[i][0]))
			strvec_pushf(&s->put_headers, "%s: %s", rows[i][1], rconf_get(c, rows[i][0]));
		if (has(c, rows[i][0]) && str_starts(rows[i][0], "grant_") && has(c, "acl"))
			return exclusive("`acl` and `grant_*`", e);
	}
	return 0;
}

static int read_customer_key(struct s3 *s, const struct remote_conf *c, struct err *e)
{
	const char *key = rconf_get(c, "sse_customer_key"), *algorithm = rconf_get(c, "sse_customer_algorithm");
	autofree unsigned char *raw = NULL;
	autofree char *sum = NULL;
	unsigned char md5[16];
	size_t n;

	if (!key)
		return 0;
	if (base64_decode(key, &raw, &n))
		return err_set(e, ERR_CONFIG, "'sse_customer_key' is no base64");
	md5_once(raw, n, md5);
	explicit_bzero(raw, n);
	sum = base64_encode(md5, 16);
	strvec_pushf(&s->sse_c, "x-amz-server-side-encryption-customer-algorithm: %s", algorithm ? algorithm : "AES256");
	strvec_pushf(&s->sse_c, "x-amz-server-side-encryption-customer-key: %s", key);
	strvec_pushf(&s->sse_c, "x-amz-server-side-encryption-customer-key-md5: %s", sum);
	return 0;
}

static void read_tls(struct http_conf *h, const struct remote_conf *c, char **ca)
{
	const char *v = rconf_get(c, "ssl_verify");

	*ca = NULL;
	if (v && (!strcasecmp(v, "false") || !strcmp(v, "0") || !strcasecmp(v, "no") || !strcasecmp(v, "off")))
		h->insecure = true;
	else if (v && strcasecmp(v, "true") && strcmp(v, "1") && strcasecmp(v, "yes") && strcasecmp(v, "on"))
		*ca = rconf_path(c, "ssl_verify");
	h->ca_file = *ca ? *ca : http_ca_from_env(true);
}

/* "8MB" and the like, as the AWS command line reads sizes. */
static uint64_t size_option(const struct aws_setup *a, const char *key, uint64_t otherwise, uint64_t least)
{
	const char *v = aws_option(a, key);
	char *end;
	unsigned long long n;

	if (!v)
		return otherwise;
	n = strtoull(v, &end, 10);
	n <<= !strncasecmp(end, "k", 1) ? 10 : !strncasecmp(end, "m", 1) ? 20 : !strncasecmp(end, "g", 1) ? 30 : 0;
	return n < least ? least : n > (5ull << 30) ? 5ull << 30 : n;
}

static int s3_setup(struct s3 *s, const struct remote_conf *c, struct err *e)
{
	autofree char *creds = rconf_path(c, "credentialpath"), *config = rconf_path(c, "configpath");

	if (aws_setup_init(&s->setup, rconf_get(c, "profile"), creds, config, rconf_get(c, "region"), e))
		return -1;
	s->setup.access_key = xstrdup(rconf_get(c, "access_key_id"));
	s->setup.secret_key = xstrdup(rconf_get(c, "secret_access_key"));
	s->setup.token = xstrdup(rconf_get(c, "session_token"));
	s->anonymous = rconf_bool(c, "allow_anonymous_login", false);
	s->multipart_from = size_option(&s->setup, "s3.multipart_threshold", S3_MULTIPART_FROM, 5u << 20);
	s->whole_most = aws_option(&s->setup, "s3.multipart_threshold") ? 0 : S3_WHOLE_MOST;
	s->part_size = size_option(&s->setup, "s3.multipart_chunksize", S3_PART_MIN, 5u << 20);
	return read_place(s, c->url, e) || read_endpoint(s, c, e) || read_customer_key(s, c, e) ? -1 : 0;
}

static int s3_open(struct remote **out, const struct remote_conf *c, struct err *e)
{
	static const struct http_dialect dialect = {
		.scheme = "s3", .ranges = true, .prepare = s3_prepare, .classify = s3_classify, .list_next = s3_list_next, .end = s3_end,
		.close = s3_close,
	};
	struct s3 *s = xcalloc(1, sizeof(*s));
	struct http_conf conf = { .http1 = true, .window = c->jobs, .window_max = c->jobs };

	conf.connect_secs = rconf_secs(c, "connect_timeout");
	conf.stall_secs = rconf_secs(c, "read_timeout");
	read_tls(&conf, c, &s->ca);
	if (s3_setup(s, c, e) || http_remote_init(&s->h, &dialect, &conf, e)) {
		s3_close(&s->h);
		return -1;
	}
	s->setup.http = (struct http_conf){ .insecure = conf.insecure, .ca_file = conf.ca_file, .connect_secs = 10, .stall_secs = 30 };
	if (read_put_options(s, c, e))
		return -1;
	s->h.remote.caps = REMOTE_LIST | REMOTE_RANGE | REMOTE_PIECES | REMOTE_COND_PUT | REMOTE_DELETE |
			   REMOTE_VERSIONS | REMOTE_DELETE_MANY;
	*out = &s->h.remote;
	return 0;
}

const struct remote_driver s3_driver = { "s3", s3_open };

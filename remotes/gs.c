#include "remotes/registry.h"

#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "remotes/gscreds.h"
#include "remotes/http.h"

#include <strings.h>

#define ONE_PUT_MAX (32ull << 20)
#define PAGE 1000

/*
 * Google Cloud Storage by its JSON interface.
 *
 *  O1  Small objects are compared with their digest here (http.h H12), go up in one request, and so is the digest in the
 *      answer; large ones go up in a session that was told the digest first: the service itself refuses other bytes.
 *  O2  A session is remembered by key while the process lives: a retry asks how far it came and goes on from there.
 */
struct gs {
	struct http_remote h;           /* first */
	struct gs_creds creds;
	char *endpoint, *bucket, *prefix;
	struct map sessions;            /* key -> URL of an unfinished session (O2) */
};

enum { GS_FIRST, GS_ONE, GS_OPEN, GS_ASK, GS_SEND };

struct upload { int step; char *url; uint64_t at; };

static struct gs *mine(struct http_remote *h)
{
	return (struct gs *)h;
}

static void add_query(struct hreq *q, const char *name, const char *value)
{
	str_addf(&q->url, "%c%s=", strchr(q->url.buf, '?') ? '&' : '?', name);
	url_encode(&q->url, value, false);
}

static int finish(struct gs *z, struct hreq *q, struct err *e)
{
	if (gs_token(&z->creds, false, e))
		return -1;
	if (z->creds.token)
		hreq_header(q, "Authorization: Bearer %s", z->creds.token);
	return 0;
}

static void object_url(const struct gs *z, const char *part, const char *key, struct str *out)
{
	autofree char *name = xasprintf("%s%s", z->prefix, key);

	str_addf(out, "%s%s/storage/v1/b/", z->endpoint, part);
	url_encode(out, z->bucket, false);
	str_adds(out, "/o/");
	url_encode(out, name, false);
}

static int prepare_simple(struct gs *z, struct hop *o, struct hreq *q, struct err *e)
{
	struct rop *op = o->op;

	hreq_method(q, op->kind == ROP_DELETE ? "DELETE" : "GET");
	object_url(z, op->kind == ROP_GET ? "/download" : "", op->key, &q->url);
	if (op->kind == ROP_STAT)
		add_query(q, "fields", "size,etag,generation");
	if (op->kind == ROP_GET) {
		add_query(q, "alt", "media");
		q->to_sink = true;
		q->from = op->off;
		hreq_header(q, "Accept-Encoding: identity");
		if (op->off)
			hreq_header(q, "Range: bytes=%llu-", (unsigned long long)op->off);
	}
	if (op->want_version && *op->want_version)
		add_query(q, "generation", op->want_version);
	return finish(z, q, e);
}

static void upload_url(const struct gs *z, const struct rop *op, const char *kind, struct hreq *q)
{
	autofree char *name = xasprintf("%s%s", z->prefix, op->key);

	str_addf(&q->url, "%s/upload/storage/v1/b/", z->endpoint);
	url_encode(&q->url, z->bucket, false);
	str_addf(&q->url, "/o?uploadType=%s", kind);
	add_query(q, "name", name);
	if (op->flags & ROP_IF_ABSENT)
		add_query(q, "ifGenerationMatch", "0");
}

static int prepare_open(struct gs *z, struct hop *o, struct hreq *q, struct err *e)
{
	autostr struct str meta = STR_INIT;
	autofree char *b64 = NULL;

	hreq_method(q, "POST");
	upload_url(z, o->op, "resumable", q);
	str_adds(&meta, "{");
	if (o->op->flags & ROP_HAS_MD5) {
		b64 = base64_encode(o->op->md5, 16);
		str_addf(&meta, "\"md5Hash\":\"%s\"", b64);
	}
	str_adds(&meta, "}");
	hreq_header(q, "Content-Type: application/json; charset=UTF-8");
	hreq_header(q, "X-Upload-Content-Length: %llu", (unsigned long long)o->op->size);
	hreq_header(q, "X-Upload-Content-Type: application/octet-stream");
	hreq_body_own(q, meta.buf, meta.len);
	return finish(z, q, e);
}

static int prepare_session(struct gs *z, struct hop *o, struct hreq *q, struct err *e)
{
	struct upload *u = o->state;
	unsigned long long size = o->op->size;

	hreq_method(q, "PUT");
	str_adds(&q->url, u->url);
	if (u->step == GS_ASK) {
		hreq_header(q, "Content-Range: bytes */%llu", size);
		hreq_body_own(q, "", 0);
	} else {
		hreq_header(q, "Content-Range: bytes %llu-%llu/%llu", (unsigned long long)u->at, size - 1, size);
		hreq_body_of(q, o->op, u->at, o->op->size - u->at);
		q->stall_secs = 120;
	}
	return finish(z, q, e);
}

static int gs_prepare(struct http_remote *h, struct hop *o, struct hreq *q, struct err *e)
{
	struct gs *z = mine(h);
	struct upload *u = o->state;

	if (o->op->kind != ROP_PUT)
		return prepare_simple(z, o, q, e);
	if (!u) {
		const char *known = map_get(&z->sessions, o->op->key);

		u = o->state = xcalloc(1, sizeof(*u));
		u->step = o->op->size <= ONE_PUT_MAX ? GS_ONE : known ? GS_ASK : GS_OPEN;
		u->url = xstrdup(known);
	}
	if (u->step == GS_OPEN)
		return prepare_open(z, o, q, e);
	if (u->step != GS_ONE)
		return prepare_session(z, o, q, e);
	hreq_method(q, "POST");
	upload_url(z, o->op, "media", q);
	hreq_header(q, "Content-Type: application/octet-stream");
	hreq_body_of(q, o->op, 0, o->op->size);
	return finish(z, q, e);
}

/* Answers. */

static void take_number(const struct node *n, const char *name, char *out, size_t cap)
{
	const struct node *v = node_get(n, name);

	if (node_is(v, NODE_STR) || node_is(v, NODE_INT))
		snprintf(out, cap, "%s", v->text);
}

static enum rclass failed(struct gs *z, struct hop *o, const struct hresp *a)
{
	autonode struct node *n = NULL;
	autoerr struct err ignored = ERR_INIT;
	const struct node *error, *list;
	const char *reason = "", *text = NULL;
	enum rclass c;

	if (a->body.len && !json_parse(&n, a->body.buf, a->body.len, "answer", &ignored)) {
		error = node_get(n, "error");
		list = node_get(error, "errors");
		text = node_get_str(error, "message");
		if (node_is(list, NODE_SEQ) && list->n && node_get_str(list->v[0], "reason"))
			reason = node_get_str(list->v[0], "reason");
	}
	c = http_class_of_status(o->op, a->status);
	/* Without a bucket no object will fare better: this stops the whole run, as a refused login does. */
	if (a->status == 404 && o->op->kind != ROP_STAT
	    && ((text && str_starts(text, "The specified bucket")) || o->op->kind == ROP_PUT))
		c = RC_AUTH;
	if (a->status == 412 || a->status == 304)
		c = o->op->flags & ROP_IF_ABSENT ? RC_EXISTS : RC_FATAL;
	if (a->status == 403 && (!strcmp(reason, "rateLimitExceeded") || !strcmp(reason, "userRateLimitExceeded")))
		c = RC_RETRY;
	if (c == RC_ABSENT || c == RC_EXISTS)
		return c;
	http_fail(o, a, c == RC_OK ? RC_FATAL : c, reason, text);
	if (c == RC_AUTH && a->status == 404)
		err_hint(&o->op->err, "gcloud storage buckets create gs://%s", z->bucket);
	else if (c == RC_AUTH)
		err_hint(&o->op->err, z->creds.anonymous ? "no credentials were found: set credentialpath of the remote, or run "
			 "'gcloud auth application-default login'" : "the credentials are refused for this bucket");
	return c == RC_OK ? RC_FATAL : c;
}

/* The service's etag is base64 of some bytes; DVC records those in hexadecimal. */
static char *etag_of(const struct node *object)
{
	const char *text = node_get_str(object, "etag");
	autofree unsigned char *bytes = NULL;
	size_t n;
	char *hex;

	if (!text || base64_decode(text, &bytes, &n))
		return xstrdup(text ? text : "");
	hex = xcalloc(1, 2 * n + 1);
	hex_encode(hex, bytes, n);
	return hex;
}

static enum rclass succeeded(struct hop *o, const struct hresp *a)
{
	autonode struct node *n = NULL;
	autoerr struct err ignored = ERR_INIT;
	struct rop *op = o->op;
	char size[32] = "";
	autofree char *b64 = NULL, *etag = NULL;
	const char *md5;

	if (op->kind == ROP_DELETE)
		return RC_OK;
	if (op->kind == ROP_GET) {
		http_take_etag(op, a);
		return RC_OK;
	}
	if (json_parse(&n, str_cstr(&a->body), a->body.len, "answer", &ignored))
		return http_fail(o, a, RC_RETRY, NULL, "the answer is no JSON");
	etag = etag_of(n);
	snprintf(op->etag, sizeof(op->etag), "%s", etag);
	take_number(n, "generation", op->version_id, sizeof(op->version_id));
	take_number(n, "size", size, sizeof(size));
	if (op->kind == ROP_STAT)
		return str_to_u64(size, &op->size) ? RC_OK : http_fail(o, a, RC_RETRY, NULL, "the answer has no size");
	md5 = node_get_str(n, "md5Hash");
	b64 = base64_encode(op->md5, 16);
	if ((op->flags & ROP_HAS_MD5) && md5 && strcmp(md5, b64) != 0)
		return http_fail(o, a, RC_CORRUPT, NULL, "the service has other bytes than what was sent");
	return RC_OK;
}

static void remember(struct gs *z, const char *key, char *url)
{
	free(url ? map_put(&z->sessions, key, url) : map_del(&z->sessions, key));
}

/* 308: "Range: bytes=0-N" says what is there; no such header: nothing is. */
static void take_position(struct upload *u, const struct hresp *a)
{
	const char *range = hresp_header(a, "range"), *dash = range ? strchr(range, '-') : NULL;
	uint64_t last;

	u->at = dash && str_to_u64(dash + 1, &last) ? last + 1 : 0;
}

static enum rclass classify_session(struct gs *z, struct hop *o, const struct hresp *a)
{
	struct upload *u = o->state;
	const char *url;

	if (a->status == 308) {
		uint64_t was = u->step == GS_SEND ? u->at + 1 : 0;

		take_position(u, a);
		u->step = GS_SEND;
		return u->at >= was && u->at < o->op->size ? RC_MORE : http_fail(o, a, RC_RETRY, NULL, "the session does not go on");
	}
	if (u->step == GS_OPEN && a->status == 200) {
		url = hresp_header(a, "location");
		if (!url || (strncmp(url, "https://", 8) != 0 && !str_starts(url, z->endpoint)))
			return http_fail(o, a, RC_FATAL, NULL, "the service opened no session");
		u->url = xstrdup(url);
		u->step = GS_SEND;
		remember(z, o->op->key, xstrdup(url));
		return RC_MORE;
	}
	if (u->step != GS_OPEN && (a->status == 404 || a->status == 410)) {     /* the session ended: a retry opens another */
		remember(z, o->op->key, NULL);
		return http_fail(o, a, RC_RETRY, NULL, "the upload session is gone");
	}
	if (a->status >= 500 || a->status == 429 || a->status == 408)
		return failed(z, o, a);
	remember(z, o->op->key, NULL);
	return a->status == 200 || a->status == 201 ? succeeded(o, a) : failed(z, o, a);
}

static enum rclass read_past_end(struct hop *o, const struct hresp *a)
{
	const char *range = hresp_header(a, "content-range"), *slash = range ? strchr(range, '/') : NULL;
	uint64_t size = 0;

	if (!slash || !str_to_u64(slash + 1, &size) || size != o->op->off)
		return http_fail(o, a, RC_RETRY, NULL, "the object is shorter than what was read of it");
	o->op->size = size;
	return RC_OK;
}

static enum rclass gs_classify(struct http_remote *h, struct hop *o, const struct hreq *q UNUSED, const struct hresp *a)
{
	struct gs *z = mine(h);
	struct upload *u = o->state;

	if (a->status == 401 && !z->creds.anonymous && !o->repairs++)
		return gs_token(&z->creds, true, &o->op->err) ? RC_AUTH : RC_MORE;
	if (u && u->step != GS_ONE)
		return classify_session(z, o, a);
	if (a->status == 416 && o->op->kind == ROP_GET && o->op->off)
		return read_past_end(o, a);
	return a->status >= 200 && a->status < 300 ? succeeded(o, a) : failed(z, o, a);
}

static void gs_end(struct http_remote *h UNUSED, struct hop *o, enum rclass c UNUSED)
{
	struct upload *u = o->state;

	if (!u)
		return;
	free(u->url);
	free(u);
	o->state = NULL;
}

/* Listing. */

static int list_page(struct gs *z, struct listing *l, const struct hresp *a, struct err *e)
{
	autonode struct node *n = NULL;
	const struct node *items;
	size_t i, skip = strlen(z->prefix);
	const char *next;

	if (json_parse(&n, str_cstr(&a->body), a->body.len, "listing", e))
		return -1;
	items = node_get(n, "items");
	for (i = 0; node_is(items, NODE_SEQ) && i < items->n; i++) {
		const char *name = node_get_str(items->v[i], "name");
		autofree char *etag = etag_of(items->v[i]);
		char size[32] = "";
		uint64_t bytes;

		take_number(items->v[i], "size", size, sizeof(size));
		if (!name || !str_to_u64(size, &bytes))
			return err_set(e, ERR_PARSE, "the listing has an object without name or size");
		if (strncmp(name, z->prefix, skip) != 0 || !name[skip] || str_ends(name, "/"))
			continue;
		if (l->fn(name + skip, bytes, etag, l->data, e))
			return -1;
	}
	next = node_get_str(n, "nextPageToken");
	if (!next || !*next)
		return LIST_DONE;
	return http_list_marker(l, next, e);
}

static int gs_list_next(struct http_remote *h, struct listing *l, struct hreq *q, const struct hresp *a, bool *again,
			struct err *e)
{
	struct gs *z = mine(h);
	autofree char *prefix = NULL;

	if (a && a->status == 401 && !z->creds.anonymous) {
		*again = true;
		return gs_token(&z->creds, true, e) ? -1 : err_set(e, ERR_TEMP, "the token was refused");
	}
	if (a && a->status != 200)
		return err_set(e, a->status == 401 || a->status == 403 ? ERR_AUTH : a->status >= 500 || a->status == 429 ?
			       ERR_TEMP : a->status == 404 ? ERR_NOTFOUND : ERR_FAIL,
			       "HTTP %d%s", a->status, a->status == 404 ? ": no such bucket" : "");
	if (a)
		return list_page(z, l, a, e);
	prefix = xasprintf("%s%s", z->prefix, l->prefix);
	hreq_method(q, "GET");
	str_addf(&q->url, "%s/storage/v1/b/", z->endpoint);
	url_encode(&q->url, z->bucket, false);
	str_addf(&q->url, "/o?maxResults=%d", PAGE);
	add_query(q, "fields", "items(name,size,etag),nextPageToken");
	if (*prefix)
		add_query(q, "prefix", prefix);
	if (l->marker)
		add_query(q, "pageToken", l->marker);
	return finish(z, q, e);
}

/* Opening. */

static void gs_close(struct http_remote *h)
{
	struct gs *z = mine(h);

	gs_creds_release(&z->creds);
	map_release(&z->sessions, free);
	free(z->endpoint);
	free(z->bucket);
	free(z->prefix);
	free(z);
}

static const struct http_dialect gs_dialect = {
	.scheme = "gs", .prove_upto = ONE_PUT_MAX,
	.prepare = gs_prepare, .classify = gs_classify, .list_next = gs_list_next, .end = gs_end,
	.close = gs_close,
};

static int set_place(struct gs *z, const struct remote_conf *c, struct err *e)
{
	const char *p = strstr(c->url, "://") + 3, *slash = strchr(p, '/'), *rest = slash ? slash : "";
	size_t n;

	z->bucket = xstrndup(p, slash ? (size_t)(slash - p) : strlen(p));
	if (!*z->bucket)
		return err_set(e, ERR_CONFIG, "the URL '%s' names no bucket", z->h.remote.url);
	while (*rest == '/')
		rest++;
	for (n = strlen(rest); n && rest[n - 1] == '/'; n--)
		;
	z->prefix = n ? xasprintf("%.*s/", (int)n, rest) : xstrdup("");
	return 0;
}

static int gs_open(struct remote **out, const struct remote_conf *c, struct err *e)
{
	struct gs *z = xcalloc(1, sizeof(*z));
	struct http_conf hc = { .window = c->jobs, .ca_file = http_ca_from_env(false) };
	const char *own = rconf_get(c, "endpointurl"), *emulator = getenv("STORAGE_EMULATOR_HOST");
	const char *from = own && *own ? own : emulator && *emulator ? emulator : "https://storage.googleapis.com";
	size_t n = strlen(from);

	while (n && from[n - 1] == '/')
		n--;
	z->endpoint = xasprintf("%s%.*s", strstr(from, "://") ? "" : "http://", (int)n, from);
	z->h.remote.url = registry_redact(c->url);
	z->h.remote.caps = REMOTE_LIST | REMOTE_RANGE | REMOTE_PIECES | REMOTE_COND_PUT | REMOTE_DELETE | REMOTE_VERSIONS;
	if (set_place(z, c, e) || gs_creds_load(&z->creds, c, !strncmp(z->endpoint, "http://", 7), e) ||
	    http_remote_init(&z->h, &gs_dialect, &hc, e)) {
		free(z->h.remote.url);
		gs_close(&z->h);
		return -1;
	}
	*out = &z->h.remote;
	return 0;
}

const struct remote_driver gs_driver = { "gs", gs_open };

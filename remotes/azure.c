#include "remotes/azure.h"

#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/trail.h"
#include "remotes/azxml.h"
#include "remotes/parts.h"

#include <strings.h>
#include <time.h>

#define ONE_PUT_MAX (64ull << 20)
#define BLOCK_MIN (8ull << 20)
#define BLOCKS_MAX 50000u
#define BLOCKS_AT_ONCE 4u
#define BLOCKS_IN_ALL 8u                /* what is under way is lost by a crash: many files get fewer each */
#define PAGE 5000
#define SKEW_SECS 300

struct azure {
	struct http_remote h;           /* first */
	struct azure_creds creds;
	char *container;
	char *prefix;                   /* "" or "a/b/" */
	unsigned uploads;               /* in blocks, now */
	int64_t skew;                   /* server's clock minus ours, once it mattered */
	struct trail *trail;            /* digests of blocks; NULL before the first */
};

enum step { AZ_FIRST, AZ_PLAIN, AZ_HAVE, AZ_BLOCKS, AZ_COMMIT };

/* A large upload: blocks with an md5 each, then the list of them. */
struct upload {
	struct parts p;
	enum step step;
	char tag[25];                   /* makes block names unique to these bytes */
};

static struct azure *mine(struct http_remote *h)
{
	return (struct azure *)h;
}

/* Requests. */

static void blob_url(const struct azure *z, const char *key, struct str *out)
{
	str_addf(out, "%s/", z->creds.endpoint);
	url_encode(out, z->container, false);
	if (!key)
		return;
	str_addc(out, '/');
	url_encode(out, z->prefix, true);
	url_encode(out, key, true);
}

static void add_query(struct hreq *q, const char *name, const char *value)
{
	str_addf(&q->url, "%c%s=", strchr(q->url.buf, '?') ? '&' : '?', name);
	url_encode(&q->url, value, false);
}

/* Headers that every request has, and the proof of who we are. Last of all: it signs what is there. */
static int finish(struct azure *z, struct hreq *q, struct err *e)
{
	autostr struct str date = STR_INIT;

	azure_http_date(&date, time(NULL) + z->skew);
	hreq_header(q, "x-ms-date: %s", date.buf);
	hreq_header(q, "x-ms-version: " AZURE_VERSION);
	if (z->creds.kind == AZURE_SAS) {
		str_addf(&q->url, "%c%s", strchr(q->url.buf, '?') ? '&' : '?', z->creds.sas);
	} else if (z->creds.kind == AZURE_TOKEN) {
		if (azure_token(&z->creds, false, e))
			return -1;
		hreq_header(q, "Authorization: Bearer %s", z->creds.token);
	}
	return z->creds.kind == AZURE_KEY ? azure_sign(&z->creds, q, e) : 0;
}

static void md5_header(struct hreq *q, const char *name, const unsigned char md5[16])
{
	autofree char *b64 = base64_encode(md5, 16);

	hreq_header(q, "%s: %s", name, b64);
}

static int prepare_simple(struct azure *z, struct hop *o, struct hreq *q, struct err *e)
{
	struct rop *op = o->op;

	hreq_method(q, op->kind == ROP_STAT ? "HEAD" : op->kind == ROP_GET ? "GET" : op->kind == ROP_PUT ? "PUT" : "DELETE");
	blob_url(z, op->key, &q->url);
	if (op->want_version && *op->want_version && op->kind != ROP_PUT)
		add_query(q, "versionid", op->want_version);
	if (op->kind == ROP_GET) {
		q->to_sink = true;
		if (!q->upto)
			q->from = op->off;
		if (q->upto)
			hreq_header(q, "Range: bytes=%llu-%llu", (unsigned long long)q->from, (unsigned long long)q->upto - 1);
		else if (q->from)
			hreq_header(q, "Range: bytes=%llu-", (unsigned long long)q->from);
	} else if (op->kind == ROP_PUT) {
		hreq_header(q, "x-ms-blob-type: BlockBlob");
		hreq_header(q, "Content-Type: application/octet-stream");
		if (op->flags & ROP_HAS_MD5)
			md5_header(q, "Content-MD5", op->md5);
		if (op->flags & ROP_IF_ABSENT)
			hreq_header(q, "If-None-Match: *");
		hreq_body_of(q, op, 0, op->size);
	}
	return finish(z, q, e);
}

/* Large uploads. */

/* Names of equal length; the tag keeps blocks of other bytes under the same name apart. */
static char *block_id(const struct upload *u, unsigned i)
{
	char raw[40];

	snprintf(raw, sizeof(raw), "%s%08x", u->tag, i);
	return base64_encode(raw, strlen(raw));
}

static struct upload *upload_new(const struct rop *op)
{
	struct upload *u = xcalloc(1, sizeof(*u));
	uint64_t block = (op->size + BLOCKS_MAX - 1) / BLOCKS_MAX;
	char hex[33];

	parts_init(&u->p, op->size, block < BLOCK_MIN ? BLOCK_MIN : block);
	hex_encode(hex, op->md5, 16);
	if (op->flags & ROP_HAS_MD5)
		snprintf(u->tag, sizeof(u->tag), "%.24s", hex);
	else
		snprintf(u->tag, sizeof(u->tag), "%012llx%012llx", (unsigned long long)time(NULL) & 0xffffffffffffull,
			 (unsigned long long)(uintptr_t)u & 0xffffffffffffull);
	u->step = (op->flags & ROP_HAS_MD5) && (op->flags & ROP_RESUME) ? AZ_HAVE : AZ_BLOCKS;
	return u;
}

static int prepare_block(struct azure *z, struct hop *o, struct hreq *q, struct err *e)
{
	struct upload *u = o->state;
	struct rop *op = o->op;
	autofree char *id = NULL;
	unsigned i;
	int rc = parts_next(&u->p, &z->trail, op, &i, e);

	if (rc)
		return rc;
	id = block_id(u, i);
	hreq_method(q, "PUT");
	blob_url(z, op->key, &q->url);
	add_query(q, "comp", "block");
	add_query(q, "blockid", id);
	md5_header(q, "Content-MD5", u->p.sum[i].md5);
	hreq_body_of(q, op, i * u->p.each, parts_len(&u->p, i));
	u->p.state[i] = PART_BUSY;
	q->step = AZ_BLOCKS;
	q->part = i;
	return finish(z, q, e);
}

static int prepare_commit(struct azure *z, struct hop *o, struct hreq *q, struct err *e)
{
	struct upload *u = o->state;
	struct rop *op = o->op;
	autostr struct str list = STR_INIT;
	unsigned i;

	str_adds(&list, "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
	for (i = 0; i < u->p.n; i++) {
		autofree char *id = block_id(u, i);

		str_addf(&list, "<Latest>%s</Latest>", id);
	}
	str_adds(&list, "</BlockList>");
	hreq_method(q, "PUT");
	blob_url(z, op->key, &q->url);
	add_query(q, "comp", "blocklist");
	hreq_header(q, "Content-Type: application/xml");
	hreq_header(q, "x-ms-blob-content-type: application/octet-stream");
	if (op->flags & ROP_HAS_MD5)
		md5_header(q, "x-ms-blob-content-md5", op->md5);
	if (op->flags & ROP_IF_ABSENT)
		hreq_header(q, "If-None-Match: *");
	hreq_body_own(q, list.buf, list.len);
	q->stall_secs = 300;
	q->step = AZ_COMMIT;
	return finish(z, q, e);
}

static int prepare_have(struct azure *z, struct hop *o, struct hreq *q, struct err *e)
{
	hreq_method(q, "GET");
	blob_url(z, o->op->key, &q->url);
	add_query(q, "comp", "blocklist");
	add_query(q, "blocklisttype", "uncommitted");
	q->max_body = 16u << 20;
	q->step = AZ_HAVE;
	return finish(z, q, e);
}

static int azure_prepare(struct http_remote *h, struct hop *o, struct hreq *q, struct err *e)
{
	struct azure *z = mine(h);
	struct upload *u;

	if (o->op->kind != ROP_PUT || o->op->size <= ONE_PUT_MAX)
		return prepare_simple(z, o, q, e);
	if (!o->state) {
		o->state = upload_new(o->op);
		z->uploads++;
	}
	u = o->state;
	if (u->step == AZ_HAVE)
		return o->inflight ? 1 : prepare_have(z, o, q, e);
	if (u->step == AZ_COMMIT)
		return o->inflight ? 1 : prepare_commit(z, o, q, e);
	o->parallel = BLOCKS_IN_ALL / z->uploads;
	if (!o->parallel || o->parallel > BLOCKS_AT_ONCE)
		o->parallel = o->parallel ? BLOCKS_AT_ONCE : 1;
	return prepare_block(z, o, q, e);
}

/* Answers. */

static const char *code_of(const struct hresp *a)
{
	const char *c = hresp_header(a, "x-ms-error-code");

	return c ? c : "";
}

static bool is(const char *code, const char *name)
{
	return !strcmp(code, name);
}

static void hint_for(struct azure *z, struct err *e, const char *code)
{
	if (is(code, "ContainerNotFound"))
		err_hint(e, "az storage container create --name %s --account-name %s", z->container, z->creds.account);
	else if (z->creds.kind == AZURE_ANON)
		err_hint(e, "the account wants credentials: set connection_string, account_key or sas_token of the remote "
			 "(config --local), or run 'az login'");
	else if (is(code, "AuthorizationPermissionMismatch"))
		err_hint(e, "the identity (%s) needs the role 'Storage Blob Data Contributor'",
			 z->creds.token_from ? z->creds.token_from : "SAS");
}

static enum rclass class_of(const struct rop *op, int status, const char *code)
{
	if (is(code, "ContainerNotFound") && op->kind == ROP_STAT)
		return RC_ABSENT;
	/* No object will fare better: this stops the whole run, with its hint, as a refused login does. */
	if (is(code, "ContainerNotFound") || is(code, "ContainerDisabled") || is(code, "InvalidResourceName"))
		return RC_AUTH;
	if (is(code, "InvalidAuthenticationInfo") || is(code, "NoAuthenticationInformation"))
		return RC_AUTH;
	if (is(code, "Md5Mismatch") || is(code, "InvalidMd5"))
		return RC_CORRUPT;
	if (is(code, "BlobAlreadyExists") || (status == 412 && op->kind == ROP_PUT))
		return op->flags & ROP_IF_ABSENT ? RC_EXISTS : RC_FATAL;
	if (is(code, "ServerBusy") || is(code, "OperationTimedOut") || is(code, "InternalError") ||
	    is(code, "ContainerBeingDeleted") || is(code, "InvalidBlockList"))
		return RC_RETRY;
	if (status == 409)
		return RC_FATAL;
	return http_class_of_status(op, status);
}

/* Repairs: a clock that differs, a token that was refused; each once. */
static bool repair(struct azure *z, struct hop *o, const struct hresp *a, struct err *e)
{
	int64_t there = hresp_date(a), diff = there ? there - (int64_t)time(NULL) : 0;

	if ((a->status != 401 && a->status != 403) || o->repairs)
		return false;
	if (z->creds.kind == AZURE_KEY && is(code_of(a), "AuthenticationFailed") && there &&
	    (diff - z->skew > SKEW_SECS || diff - z->skew < -SKEW_SECS)) {
		z->skew = diff;
		o->repairs++;
		return true;
	}
	if (z->creds.kind == AZURE_TOKEN && a->status == 401) {
		o->repairs++;
		return !azure_token(&z->creds, true, e);
	}
	return false;
}

static enum rclass failed(struct azure *z, struct hop *o, const struct hresp *a)
{
	const char *code = code_of(a);
	enum rclass c = class_of(o->op, a->status, code);

	if (c == RC_ABSENT || c == RC_EXISTS)
		return c;
	http_fail(o, a, c == RC_OK ? RC_FATAL : c, code, NULL);
	hint_for(z, &o->op->err, code);
	return c == RC_OK ? RC_FATAL : c;
}

static enum rclass read_past_end(struct hop *o, const struct hresp *a)
{
	const char *range = hresp_header(a, "content-range"), *slash = range ? strchr(range, '/') : NULL;
	uint64_t size = 0;

	if (!slash || !str_to_u64(slash + 1, &size) || size != o->op->off)
		return http_fail(o, a, RC_RETRY, code_of(a), "the object is shorter than what was read of it");
	o->op->size = size;
	return RC_OK;
}

static enum rclass succeeded(struct hop *o, const struct hresp *a)
{
	const char *version = hresp_header(a, "x-ms-version-id"), *etag = hresp_header(a, "etag");

	http_take_etag(o->op, a);
	if (etag)               /* with its quotes, as DVC records it for Azure */
		snprintf(o->op->etag, sizeof(o->op->etag), "%s", etag);
	if (version)
		snprintf(o->op->version_id, sizeof(o->op->version_id), "%s", version);
	return RC_OK;
}

static void mark_block(void *data, const char *name, uint64_t size)
{
	struct hop *o = data;
	struct upload *u = o->state;
	autofree unsigned char *raw = NULL;
	size_t n;
	unsigned long i;

	if (base64_decode(name, &raw, &n) || n != 32 || memcmp(raw, u->tag, 24) != 0)
		return;
	i = strtoul((char[9]){ (char)raw[24], (char)raw[25], (char)raw[26], (char)raw[27], (char)raw[28], (char)raw[29],
			       (char)raw[30], (char)raw[31], 0 }, NULL, 16);
	if (i < u->p.n && size == parts_len(&u->p, (unsigned)i))
		parts_done(&u->p, (unsigned)i);
}

static enum rclass classify_upload(struct azure *z, struct hop *o, const struct hreq *q, const struct hresp *a)
{
	struct upload *u = o->state;
	autoerr struct err ignored = ERR_INIT;
	bool good = a->status >= 200 && a->status < 300;

	if (q->step == AZ_HAVE) {
		if (good)
			azxml_blocks(a->body.buf, a->body.len, mark_block, o, &ignored);
		else if (a->status != 404 || !is(code_of(a), "BlobNotFound"))
			return failed(z, o, a);
		u->step = u->p.done == u->p.n ? AZ_COMMIT : AZ_BLOCKS;
		return RC_MORE;
	}
	if (!good)
		return failed(z, o, a);
	if (q->step == AZ_COMMIT)
		return succeeded(o, a);
	parts_done(&u->p, q->part);
	if (u->p.done == u->p.n)
		u->step = AZ_COMMIT;
	return RC_MORE;
}

static enum rclass azure_classify(struct http_remote *h, struct hop *o, const struct hreq *q, const struct hresp *a)
{
	struct azure *z = mine(h);

	if (repair(z, o, a, &o->op->err)) {
		if (q->step == AZ_BLOCKS)
			parts_again(&((struct upload *)o->state)->p, q->part);
		return RC_MORE;
	}
	if (o->state)
		return classify_upload(z, o, q, a);
	if (a->status == 416 && o->op->kind == ROP_GET && o->op->off)
		return read_past_end(o, a);
	return a->status >= 200 && a->status < 300 ? succeeded(o, a) : failed(z, o, a);
}

static void azure_end(struct http_remote *h, struct hop *o, enum rclass c UNUSED)
{
	struct upload *u = o->state;

	if (!u)
		return;
	mine(h)->uploads--;
	parts_release(&u->p);
	free(u);
	o->state = NULL;
}

/* Listing. */

struct page { struct azure *z; struct listing *l; struct err *e; bool failed; };

static int page_blob(void *data, const char *name, uint64_t size, const char *etag)
{
	struct page *p = data;
	size_t n = strlen(p->z->prefix);

	if (strncmp(name, p->z->prefix, n) != 0 || !name[n] || name[strlen(name) - 1] == '/')
		return 0;
	return p->l->fn(name + n, size, etag, p->l->data, p->e);
}

static int list_answer(struct azure *z, struct listing *l, const struct hresp *a, bool *again, struct err *e)
{
	autostr struct str marker = STR_INIT;
	struct page p = { z, l, e, false };
	const char *code = code_of(a);

	if (a->status == 401 && z->creds.kind == AZURE_TOKEN) {
		*again = true;
		return azure_token(&z->creds, true, e) ? -1 : err_set(e, ERR_TEMP, "the token was refused");
	}
	if (a->status != 200) {
		err_set(e, a->status == 401 || a->status == 403 ? ERR_AUTH : a->status >= 500 || a->status == 429 ? ERR_TEMP :
			is(code, "ContainerNotFound") ? ERR_NOTFOUND : ERR_FAIL, "HTTP %d%s%s", a->status, *code ? ": " : "", code);
		hint_for(z, e, code);
		return -1;
	}
	if (azxml_list(a->body.buf, a->body.len, page_blob, &p, &marker, e))
		return -1;
	if (!marker.len)
		return LIST_DONE;
	return http_list_marker(l, marker.buf, e);
}

static int azure_list_next(struct http_remote *h, struct listing *l, struct hreq *q, const struct hresp *a, bool *again,
			   struct err *e)
{
	struct azure *z = mine(h);
	autofree char *prefix = NULL;

	if (a)
		return list_answer(z, l, a, again, e);
	prefix = xasprintf("%s%s", z->prefix, l->prefix);
	hreq_method(q, "GET");
	blob_url(z, NULL, &q->url);
	add_query(q, "restype", "container");
	add_query(q, "comp", "list");
	str_addf(&q->url, "&maxresults=%d", PAGE);
	if (*prefix)
		add_query(q, "prefix", prefix);
	if (l->marker)
		add_query(q, "marker", l->marker);
	return finish(z, q, e);
}

/* Opening. */

static void azure_close(struct http_remote *h)
{
	struct azure *z = mine(h);

	trail_free(z->trail);
	azure_creds_release(&z->creds);
	free(z->container);
	free(z->prefix);
	free(z);
}

static const struct http_dialect azure_dialect = {
	.scheme = "azure", .ranges = true, .prepare = azure_prepare, .classify = azure_classify, .list_next = azure_list_next,
	.end = azure_end, .close = azure_close,
};

static int set_place(struct azure *z, const struct remote_conf *c, struct err *e)
{
	const char *p = strstr(c->url, "://") + 3, *end = p + strcspn(p, "?#");
	const char *slash = memchr(p, '/', (size_t)(end - p)), *rest;
	size_t n;

	z->container = xstrndup(p, (size_t)((slash ? slash : end) - p));
	if (!*z->container && getenv("AZURE_STORAGE_CONTAINER_NAME")) {
		free(z->container);
		z->container = xstrdup(getenv("AZURE_STORAGE_CONTAINER_NAME"));
	}
	if (!*z->container)
		return err_set(e, ERR_CONFIG, "the URL '%s' names no container", z->h.remote.url);
	for (rest = slash ? slash : end; rest < end && *rest == '/'; rest++)
		;
	for (n = (size_t)(end - rest); n && rest[n - 1] == '/'; n--)
		;
	z->prefix = n ? xasprintf("%.*s/", (int)n, rest) : xstrdup("");
	return 0;
}

static int azure_open(struct remote **out, const struct remote_conf *c, struct err *e)
{
	struct azure *z = xcalloc(1, sizeof(*z));
	struct http_conf hc = { .http1 = true, .window = c->jobs, .ca_file = http_ca_from_env(false) };

	hc.connect_secs = rconf_secs(c, "connection_timeout");
	hc.stall_secs = rconf_secs(c, "read_timeout") ? rconf_secs(c, "read_timeout") : rconf_secs(c, "timeout");
	z->h.remote.url = registry_redact(c->url);
	z->h.remote.caps = REMOTE_LIST | REMOTE_RANGE | REMOTE_PIECES | REMOTE_COND_PUT | REMOTE_DELETE | REMOTE_VERSIONS;
	if (set_place(z, c, e) || azure_creds_load(&z->creds, c, e) || http_remote_init(&z->h, &azure_dialect, &hc, e)) {
		free(z->h.remote.url);
		azure_close(&z->h);
		return -1;
	}
	*out = &z->h.remote;
	return 0;
}

const struct remote_driver azure_driver = { "azure", azure_open };

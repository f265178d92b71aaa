#include "remotes/s3.h"

#include "core/base/hash.h"
#include "core/base/own.h"
#include "remotes/parts.h"
#include "remotes/xml.h"

#define COMPLETE_SECS 600u

struct upload {
	struct parts p;                 /* first */
	char *id;                       /* NULL: not begun */
	enum s3_step phase;
	bool tried_whole;
	char (*etag)[64];               /* of each part; what is claimed has this one */
	unsigned marker;                /* of ListParts */
};

void s3_upload_free(void *p)
{
	struct upload *u = p;

	if (!u)
		return;
	parts_release(&u->p);
	free(u->id);
	free(u->etag);
	free(u);
}

/* What the server has is ours only if its tag is the digest of our bytes; else, or where tags are no md5, it is sent again. */
static void judge_claim(struct parts *p, unsigned i)
{
	struct upload *u = (struct upload *)p;
	char hex[33];

	hex_encode(hex, p->sum[i].md5, 16);
	if (strcmp(hex, u->etag[i]))
		p->state[i] = PART_TODO;
	else
		parts_done(p, i);
}

static struct upload *upload_new(const struct s3 *s, uint64_t size)
{
	struct upload *u = xcalloc(1, sizeof(*u));
	uint64_t least = (size + S3_PARTS_MAX - 1) / S3_PARTS_MAX;

	parts_init(&u->p, size, s->part_size > least ? s->part_size : (least + 0xfffff) & ~0xfffffull);
	u->p.judge = judge_claim;
	u->etag = xcalloc(u->p.n, sizeof(*u->etag));
	u->phase = S3_FIND;
	return u;
}

static void add_md5(struct s3_call *c, const unsigned char md5[16])
{
	autofree char *text = base64_encode(md5, 16);

	s3_add(c, "content-md5: %s", text);
}

/* ---- requests ---- */

static int put_whole(struct s3 *s, struct rop *op, struct hreq *q, struct err *e)
{
	struct s3_call c = { .method = "PUT", .key = op->key };
	unsigned char md5[16];

	if (op->flags & ROP_HAS_MD5)
		memcpy(md5, op->md5, 16);
	else if (parts_md5(op, 0, op->size, md5, e))
		return -1;
	add_md5(&c, md5);
	s3_add_lines(&c, &s->put_headers);
	s3_add_lines(&c, &s->sse_c);
	strvec_push(&c.headers, "content-type: application/octet-stream");
	q->part = (op->flags & ROP_IF_ABSENT) && !s->no_cond_put;
	if (q->part)
		strvec_push(&c.headers, "if-none-match: *");
	hreq_body_of(q, op, 0, op->size);
	q->step = S3_PLAIN;
	return s3_call(s, q, &c, e);
}

/* Is an upload of this key under way that we can go on with? */
static int ask_uploads(struct s3 *s, struct rop *op, struct hreq *q, struct err *e)
{
	struct s3_call c = { .method = "GET" };
	autofree char *key = xasprintf("%s%s", s->prefix, op->key);

	sigv4_query_add(&c.query, "uploads", NULL);
	sigv4_query_add(&c.query, "prefix", key);
	q->max_body = 1u << 20;
	return s3_call(s, q, &c, e);
}

static int ask_parts(struct s3 *s, struct rop *op, const struct upload *u, struct hreq *q, struct err *e)
{
	struct s3_call c = { .method = "GET", .key = op->key };
	char marker[16];

	snprintf(marker, sizeof(marker), "%u", u->marker);
	sigv4_query_add(&c.query, "uploadId", u->id);
	sigv4_query_add(&c.query, "max-parts", "1000");
	if (u->marker)
		sigv4_query_add(&c.query, "part-number-marker", marker);
	q->max_body = 4u << 20;
	return s3_call(s, q, &c, e);
}

static int begin(struct s3 *s, struct rop *op, struct hreq *q, struct err *e)
{
	struct s3_call c = { .method = "POST", .key = op->key };

	sigv4_query_add(&c.query, "uploads", NULL);
	s3_add_lines(&c, &s->put_headers);
	s3_add_lines(&c, &s->sse_c);
	strvec_push(&c.headers, "content-type: application/octet-stream");
	hreq_body_own(q, "", 0);
	return s3_call(s, q, &c, e);
}

static int send_part(struct s3 *s, struct rop *op, struct upload *u, unsigned i, struct hreq *q, struct err *e)
{
	struct s3_call c = { .method = "PUT", .key = op->key };
	char number[16];

	snprintf(number, sizeof(number), "%u", i + 1);
	sigv4_query_add(&c.query, "partNumber", number);
	sigv4_query_add(&c.query, "uploadId", u->id);
	add_md5(&c, u->p.sum[i].md5);
	s3_add_lines(&c, &s->sse_c);
	hreq_body_of(q, op, (uint64_t)i * u->p.each, parts_len(&u->p, i));
	u->p.state[i] = PART_BUSY;
	q->part = i;
	return s3_call(s, q, &c, e);
}

static int complete(struct s3 *s, struct rop *op, const struct upload *u, struct hreq *q, struct err *e)
{
	struct s3_call c = { .method = "POST", .key = op->key };
	autostr struct str body = STR_INIT;
	char hash[65];

	sigv4_query_add(&c.query, "uploadId", u->id);
	str_adds(&body, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (unsigned i = 0; i < u->p.n; i++) {
		str_addf(&body, "<Part><PartNumber>%u</PartNumber><ETag>&quot;", i + 1);
		xml_escape(&body, u->etag[i]);
		str_adds(&body, "&quot;</ETag></Part>");
	}
	str_adds(&body, "</CompleteMultipartUpload>");
	if (sigv4_payload(str_cstr(&body), body.len, hash, e))
		return -1;
	c.payload_hash = hash;
	s3_add(&c, "content-type: application/xml");
	hreq_body_own(q, str_cstr(&body), body.len);
	q->stall_secs = COMPLETE_SECS;
	return s3_call(s, q, &c, e);
}

static struct upload *upload_of(struct s3 *s, struct hop *o)
{
	struct upload *u = o->state;

	if (u)
		return u;
	u = map_get(&s->uploads, o->op->key);
	if (u && u->p.size != o->op->size) {
		s3_upload_free(map_del(&s->uploads, o->op->key));
		u = NULL;
	}
	if (!u) {
		u = upload_new(s, o->op->size);
		map_put(&s->uploads, o->op->key, u);
	}
	o->state = u;
	return u;
}

static int put_part(struct s3 *s, struct hop *o, struct upload *u, struct hreq *q, struct err *e)
{
	unsigned i;
	int rc;

	rc = parts_next(&u->p, &s->trail, o->op, &i, e);
	return rc ? rc : send_part(s, o->op, u, i, q, e);
}

/* A2: 0 it goes up whole now, 1 in parts, 2 others first. */
static int whole_turn(struct s3 *s, const struct rop *op, struct upload *u)
{
	unsigned us = http_answer_us(&s->h);

	if (u->tried_whole || u->p.size > s->whole_most || !(op->flags & ROP_HAS_MD5) || !us || us >= HTTP_NEAR_US ||
	    s->uploads.n < 2)
		return 1;
	if (s->whole_now && s->whole_now + u->p.size > S3_WHOLE_IN_ALL)
		return 2;
	s->whole_now += u->p.size;
	u->phase = S3_WHOLE;
	u->tried_whole = true;
	return 0;
}

static void whole_ended(struct s3 *s, struct upload *u)
{
	if (u->phase != S3_WHOLE)
		return;
	s->whole_now -= u->p.size;
	u->phase = S3_INIT;
}

static unsigned parts_at_once(const struct s3 *s)
{
	size_t share = S3_PARTS_IN_ALL / (s->uploads.n ? s->uploads.n : 1);

	return share > S3_PARTS_AT_ONCE ? S3_PARTS_AT_ONCE : share ? (unsigned)share : 1;
}

int s3_put_prepare(struct s3 *s, struct hop *o, struct hreq *q, struct err *e)
{
	struct rop *op = o->op;
	struct upload *u;
	int rc;

	if (op->size <= s->multipart_from)
		return o->inflight ? 1 : put_whole(s, op, q, e);
	u = upload_of(s, o);
	o->parallel = u->phase == S3_PART ? parts_at_once(s) : 1;
	q->step = u->phase;
	rc = u->phase == S3_PART ? put_part(s, o, u, q, e) : 1;
	if (u->phase == S3_PART && u->p.done < u->p.n)
		return rc;
	if (u->phase == S3_PART) {
		q->step = u->phase = S3_COMPLETE;
		o->parallel = 1;
	}
	if (o->inflight)
		return 1;
	switch (u->phase) {
	case S3_FIND:
		return ask_uploads(s, op, q, e);
	case S3_PARTS:
		return ask_parts(s, op, u, q, e);
	case S3_INIT:
		rc = whole_turn(s, op, u);
		return rc == 2 ? 2 : rc ? begin(s, op, q, e) : put_whole(s, op, q, e);
	case S3_WHOLE:
		return put_whole(s, op, q, e);
	default:
		return complete(s, op, u, q, e);
	}
}

/* ---- answers ---- */

struct found { const char *key; char *id, *upload_key; };

static int on_upload(const char *path, const char *text, void *data, struct err *e)
{
	struct found *f = data;

	(void)e;
	if (str_ends(path, "/Upload/Key")) {
		free(f->upload_key);
		f->upload_key = xstrdup(text);
	} else if (str_ends(path, "/Upload/UploadId") && f->upload_key && !strcmp(f->upload_key, f->key)) {
		free(f->id);    /* the last is the newest */
		f->id = xstrdup(text);
	}
	return 0;
}

static void read_uploads(const struct s3 *s, const struct rop *op, struct upload *u, const struct hresp *a)
{
	static const struct xml_reader reader = { NULL, on_upload };
	autofree char *key = xasprintf("%s%s", s->prefix, op->key);
	struct found f = { key, NULL, NULL };
	autoerr struct err e = ERR_INIT;

	if (a->status == 200 && !a->cut)
		xml_read(str_cstr(&a->body), a->body.len, "uploads", &reader, &f, &e);
	u->phase = f.id ? S3_PARTS : S3_INIT;
	u->id = f.id;
	free(f.upload_key);
}

struct part_list { struct upload *u; unsigned number; uint64_t size; char etag[64]; bool more; };

static int on_part(const char *path, const char *text, void *data, struct err *e)
{
	struct part_list *p = data;
	struct upload *u = p->u;
	uint64_t n;

	if (str_ends(path, "/Part/PartNumber") && str_to_u64(text, &n))
		p->number = n <= S3_PARTS_MAX ? (unsigned)n : 0;
	else if (str_ends(path, "/Part/Size") && str_to_u64(text, &n))
		p->size = n;
	else if (str_ends(path, "/Part/ETag"))
		snprintf(p->etag, sizeof(p->etag), "%.*s", (int)strcspn(text + (*text == '"'), "\""), text + (*text == '"'));
	else if (str_ends(path, "/IsTruncated"))
		p->more = !strcmp(text, "true");
	if (!str_ends(path, "/Part"))
		return 0;
	if (!p->number || p->number > u->p.n)
		return 0;
	u->marker = p->number;
	if (p->size != parts_len(&u->p, p->number - 1) || u->p.state[p->number - 1] != PART_TODO)
		return 0;
	(void)e;
	memcpy(u->etag[p->number - 1], p->etag, sizeof(p->etag));
	u->p.state[p->number - 1] = PART_CLAIMED;
	return 0;
}

static enum rclass read_parts(struct upload *u, const struct hresp *a)
{
	static const struct xml_reader reader = { NULL, on_part };
	struct part_list p = { .u = u };
	autoerr struct err e = ERR_INIT;
	unsigned was = u->marker;

	if (a->status != 200 || xml_read(str_cstr(&a->body), a->body.len, "parts", &reader, &p, &e)) {
		free(u->id);
		u->id = NULL;
		u->phase = S3_INIT;
		memset(u->p.state, 0, u->p.n);
		u->p.done = 0;
		return RC_MORE;
	}
	if (!p.more || u->marker == was)
		u->phase = S3_PART;
	return RC_MORE;
}

static enum rclass part_sent(struct s3 *s, struct hop *o, struct upload *u, const struct hreq *q, const struct hresp *a)
{
	const char *etag = hresp_header(a, "etag");

	if (a->status != 200) {
		parts_again(&u->p, q->part);
		return s3_refused(s, o, q, a);
	}
	if (!etag)
		return http_fail(o, a, RC_RETRY, "NoETag", "the server took a part and gave no tag for it");
	if (*etag == '"')
		etag++;
	snprintf(u->etag[q->part], sizeof(u->etag[0]), "%.*s", (int)strcspn(etag, "\""), etag);
	parts_done(&u->p, q->part);
	return RC_MORE;
}

static void take_result(struct rop *op, const struct hresp *a)
{
	const char *v = hresp_header(a, "x-amz-version-id");

	http_take_etag(op, a);
	if (v && strcmp(v, "null"))
		snprintf(op->version_id, sizeof(op->version_id), "%s", v);
}

static enum rclass completed(struct s3 *s, struct hop *o, const struct hreq *q, const struct hresp *a)
{
	autofree char *code = xml_find(str_cstr(&a->body), a->body.len, "Code");
	autofree char *etag = NULL;

	/* 200 is sent before the work is done: the body has the last word. */
	if (a->status != 200 || code)
		return a->status != 200 ? s3_refused(s, o, q, a) : http_fail(o, a, RC_RETRY, code, "completing the upload failed");
	take_result(o->op, a);
	etag = xml_find(str_cstr(&a->body), a->body.len, "ETag");
	if (etag && !o->op->etag[0])
		snprintf(o->op->etag, sizeof(o->op->etag), "%.*s", (int)strcspn(etag + (*etag == '"'), "\""), etag + (*etag == '"'));
	return RC_OK;
}

enum rclass s3_put_classify(struct s3 *s, struct hop *o, const struct hreq *q, const struct hresp *a)
{
	struct upload *u = o->state;

	switch (q->step) {
	case S3_FIND:
		/* Not every server lists uploads: then it begins anew. */
		read_uploads(s, o->op, u, a);
		return RC_MORE;
	case S3_PARTS:
		return read_parts(u, a);
	case S3_INIT:
		u->id = a->status == 200 ? xml_find(str_cstr(&a->body), a->body.len, "UploadId") : NULL;
		if (!u->id)
			return a->status != 200 ? s3_refused(s, o, q, a) : http_fail(o, a, RC_RETRY, NULL, "no upload id");
		u->phase = S3_PART;
		return RC_MORE;
	case S3_PART:
		return part_sent(s, o, u, q, a);
	case S3_COMPLETE:
		return completed(s, o, q, a);
	}
	if (a->status == 413 && u) {    /* something between us and the server: parts are smaller */
		s->whole_most = 0;
		whole_ended(s, u);
		return RC_MORE;
	}
	if (a->status != 200)
		return s3_refused(s, o, q, a);
	take_result(o->op, a);
	return RC_OK;
}

/* Parts that stay on the server cost money: only what a later try can go on with stays. */
static void abort_upload(struct s3 *s, const struct rop *op, const struct upload *u)
{
	struct s3_call c = { .method = "DELETE", .key = op->key };
	struct hreq q;
	struct hresp a = { 0 };
	autoerr struct err e = ERR_INIT;

	hreq_init(&q);
	sigv4_query_add(&c.query, "uploadId", u->id);
	if (!s3_call(s, &q, &c, &e))
		http_exchange(&s->setup.http, &q, &a, &e);
	hreq_release(&q);
	hresp_release(&a);
}

void s3_put_end(struct s3 *s, struct hop *o, enum rclass c)
{
	struct upload *u = o->state;

	if (!u)
		return;
	whole_ended(s, u);
	parts_stop(&u->p);
	if (c == RC_RETRY && strcmp(o->op->code, "NoSuchUpload"))
		return;
	if (u->id && (c == RC_FATAL || c == RC_CORRUPT) && o->op->err.code != ERR_INTR)
		abort_upload(s, o->op, u);
	o->state = NULL;
	s3_upload_free(map_del(&s->uploads, o->op->key));
}

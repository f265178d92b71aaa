/* Deleting many objects: one request for a thousand (A3), or one for each. */
#include "remotes/s3.h"

#include "core/base/hash.h"
#include "core/base/own.h"
#include "remotes/xml.h"

#define EACH_AT_ONCE 16u

/* Of an operation that asks for each key. */
enum { KEY_TODO, KEY_ASKED, KEY_GONE };
struct each { size_t next, gone; unsigned char state[REMOTE_MANY]; };

void s3_delete_end(struct hop *o)
{
	free(o->state);
	o->state = NULL;
}

/* XML has no way to write a control character. */
static bool can_be_written(const struct rop *op)
{
	for (size_t i = 0; i < op->nkeys; i++)
		for (const char *c = op->keys[i]; *c; c++)
			if ((unsigned char)*c < ' ')
				return false;
	return true;
}

static int ask_many(struct s3 *s, const struct rop *op, struct hreq *q, struct err *e)
{
	struct s3_call c = { .method = "POST" };
	autostr struct str body = STR_INIT;
	autofree char *sum = NULL;
	unsigned char md5[16];
	char hash[65];

	sigv4_query_add(&c.query, "delete", NULL);
	str_adds(&body, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
	for (size_t i = 0; i < op->nkeys; i++) {
		str_adds(&body, "<Object><Key>");
		xml_escape(&body, s->prefix);
		xml_escape(&body, op->keys[i]);
		str_adds(&body, "</Key></Object>");
	}
	str_adds(&body, "</Delete>");
	if (sigv4_payload(str_cstr(&body), body.len, hash, e))
		return -1;
	md5_once(str_cstr(&body), body.len, md5);
	sum = base64_encode(md5, 16);
	s3_add(&c, "content-md5: %s", sum);
	s3_add(&c, "content-type: application/xml");
	c.payload_hash = hash;
	hreq_body_own(q, str_cstr(&body), body.len);
	q->max_body = 4u << 20;
	q->step = S3_MANY;
	return s3_call(s, q, &c, e);
}

static int ask_one(struct s3 *s, const struct rop *op, struct each *all, struct hreq *q, struct err *e)
{
	struct s3_call c = { .method = "DELETE" };

	while (all->next < op->nkeys && all->state[all->next] != KEY_TODO)
		all->next++;
	if (all->next == op->nkeys)
		return 1;
	all->state[all->next] = KEY_ASKED;
	q->step = S3_EACH;
	q->part = (unsigned)all->next;
	c.key = op->keys[all->next];
	return s3_call(s, q, &c, e);
}

int s3_delete_prepare(struct s3 *s, struct hop *o, struct hreq *q, struct err *e)
{
	if (o->op->nkeys > REMOTE_MANY)
		return err_set(e, ERR_UNSUPPORTED, "more than %d keys in one request", REMOTE_MANY);
	if (!o->state && !s->no_delete_many && can_be_written(o->op))
		return o->inflight ? 1 : ask_many(s, o->op, q, e);
	if (!o->state)
		o->state = xcalloc(1, sizeof(struct each));
	o->parallel = EACH_AT_ONCE;
	return ask_one(s, o->op, o->state, q, e);
}

/* What an answer says of the keys that are still there. */
struct refused {
	struct s3 *s;
	struct rop *op;
	struct str key, code, text;
	enum rclass worst;
	bool is_ours;
};

static const char *key_of(const struct refused *r)
{
	const char *prefix = r->s->prefix, *text = str_cstr(&r->key);

	if (!str_starts(text, prefix))
		return NULL;
	for (size_t i = 0; i < r->op->nkeys; i++)
		if (!strcmp(r->op->keys[i], text + strlen(prefix)))
			return r->op->keys[i];
	return NULL;
}

static void one_refused(struct refused *r)
{
	const char *code = str_cstr(&r->code), *key = key_of(r);
	enum rclass c = s3_class(r->op, 200, code);

	if (!strcmp(code, "NoSuchKey") || !strcmp(code, "NoSuchVersion"))
		return;
	if (c != RC_RETRY)
		c = !strcmp(code, "AccessDenied") || c == RC_AUTH ? RC_AUTH : RC_FATAL;
	/* What may pass is asked again, together with all the others; a refusal stays one. */
	if (!r->op->nfailed++ || (r->worst == RC_RETRY && c != RC_RETRY)) {
		r->worst = c;
		r->op->key = key ? key : r->op->keys[0];
		snprintf(r->op->code, sizeof(r->op->code), "%s", code);
		err_release(&r->op->err);
		err_set(&r->op->err, c == RC_RETRY ? ERR_TEMP : c == RC_AUTH ? ERR_AUTH : ERR_FAIL, "%.64s%s%.200s", code,
			r->text.len ? ": " : "", str_cstr(&r->text));
	}
}

static int on_open(const char *path, void *data, struct err *e)
{
	struct refused *r = data;

	(void)e;
	if (!strcmp(path, "DeleteResult"))
		r->is_ours = true;
	if (!strcmp(path, "DeleteResult/Error")) {
		str_reset(&r->key);
		str_reset(&r->code);
		str_reset(&r->text);
	}
	return 0;
}

static int on_close(const char *path, const char *text, void *data, struct err *e)
{
	struct refused *r = data;

	(void)e;
	if (!strcmp(path, "DeleteResult/Error/Key"))
		str_adds(&r->key, text);
	else if (!strcmp(path, "DeleteResult/Error/Code"))
		str_adds(&r->code, text);
	else if (!strcmp(path, "DeleteResult/Error/Message"))
		str_adds(&r->text, text);
	else if (!strcmp(path, "DeleteResult/Error"))
		one_refused(r);
	return 0;
}

/* Asks for each of them from now on. */
static enum rclass give_up_many(struct s3 *s, struct hop *o)
{
	s->no_delete_many = true;
	o->op->nfailed = 0;
	err_release(&o->op->err);
	o->op->code[0] = 0;
	return RC_MORE;
}

static enum rclass many_answered(struct s3 *s, struct hop *o, const struct hreq *q, const struct hresp *a)
{
	static const struct xml_reader reader = { on_open, on_close };
	struct refused r = { .s = s, .op = o->op, .worst = RC_OK };
	autoerr struct err e = ERR_INIT;
	enum rclass c;
	int rc;

	o->op->nfailed = 0;
	if (a->status != 200) {
		c = s3_refused(s, o, q, a);
		return c == RC_MORE || c == RC_RETRY ? c : give_up_many(s, o);
	}
	rc = a->cut ? -1 : xml_read(str_cstr(&a->body), a->body.len, "the answer", &reader, &r, &e);
	str_release(&r.key);
	str_release(&r.code);
	str_release(&r.text);
	return rc || !r.is_ours ? give_up_many(s, o) : r.worst;
}

enum rclass s3_delete_classify(struct s3 *s, struct hop *o, const struct hreq *q, const struct hresp *a)
{
	struct each *all = o->state;
	enum rclass c = RC_OK;

	if (q->step == S3_MANY)
		return many_answered(s, o, q, a);
	if (a->status != 200 && a->status != 204)
		c = s3_refused(s, o, q, a);
	if (c == RC_MORE) {     /* something was put right */
		all->state[q->part] = KEY_TODO;
		all->next = all->next < q->part ? all->next : q->part;
		return RC_MORE;
	}
	if (c != RC_OK && c != RC_ABSENT) {
		o->op->key = o->op->keys[q->part];
		o->op->nfailed = 1;
		return c;
	}
	all->state[q->part] = KEY_GONE;
	return ++all->gone == o->op->nkeys ? RC_OK : RC_MORE;
}

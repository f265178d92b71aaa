/* Where no digest goes with an upload, its bytes are looked at before they get a name there (http.h H12). */
#include "remotes/http_own.h"

#include "core/base/own.h"
#include "remotes/parts.h"

#define AT_ONCE (1u << 20)      /* what is larger is hashed by another thread */

static int digest(struct http_engine *g, struct hop *o, unsigned char md5[16], struct err *e)
{
	struct rop *op = o->op;
	unsigned i;
	int rc;

	if (op->size <= AT_ONCE)
		return parts_md5(op, 0, op->size, md5, e);
	if (!o->proof) {
		o->proof = xcalloc(1, sizeof(*o->proof));
		parts_init(o->proof, op->size, op->size);
	}
	rc = parts_next(o->proof, &g->trail, op, &i, e);
	if (!rc)
		memcpy(md5, o->proof->sum[0].md5, 16);
	return rc;
}

/* Of a large one that is proved late an earlier attempt may have ended before it was. */
static bool is_due(const struct http_remote *h, const struct hop *o)
{
	const struct rop *op = o->op;
	bool late = h->dialect->unnamed && op->size > AT_ONCE;

	return !o->proved && op->kind == ROP_PUT && (op->flags & ROP_HAS_MD5) && (late || !op->attempt) &&
	       op->size <= h->dialect->prove_upto;
}

int http_prove(struct http_remote *h, struct hop *o, struct err *e)
{
	bool late = h->dialect->unnamed && o->op->size > AT_ONCE && h->dialect->unnamed(h, o);
	int rc = late && o->proof ? 0 : http_proof(h, o, e);

	return late && rc == 2 ? 0 : rc;
}

int http_proof(struct http_remote *h, struct hop *o, struct err *e)
{
	struct rop *op = o->op;
	unsigned char md5[16];
	int rc;

	if (!is_due(h, o))
		return 0;
	rc = digest(h->eng, o, md5, e);
	if (rc)
		return rc;
	o->proved = true;
	return memcmp(md5, op->md5, 16) ? err_set(e, ERR_CORRUPT, "the cached object does not match its name") : 0;
}

void http_prove_end(struct hop *o)
{
	if (!o->proof)
		return;
	parts_release(o->proof);
	free(o->proof);
	o->proof = NULL;
}

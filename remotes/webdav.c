#include "remotes/web.h"

#include "core/base/fs.h"
#include "core/base/own.h"
#include "remotes/xml.h"

#define DIRS_MOST 64u

/* Writing: PUT to a temporary, MOVE over the target; parents by MKCOL when the server asks for them. */

static const char *put_key(const struct web *w, const struct web_op *s, const struct rop *op)
{
	return w->no_move ? op->key : s->tmp;
}

static void name_temp(struct web_op *s, const char *key)
{
	const char *slash = strrchr(key, '/');
	char name[32];

	if (s->tmp)
		return;
	fs_temp_name(name);
	s->tmp = xasprintf("%.*s%s", slash ? (int)(slash - key) + 1 : 0, key, name);
}

/* Every collection above the key as an encoded path, deepest first, up to the host's root. */
static void list_parents(const struct web *w, struct web_op *s, const char *key)
{
	autostr struct str path = STR_INIT;
	size_t cap = 0;

	str_adds(&path, w->path);
	str_addc(&path, '/');
	url_encode(&path, key, true);
	while (s->ndirs < DIRS_MOST) {
		char *slash = strrchr(path.buf, '/');

		if (!slash || slash == path.buf)
			return;
		str_setlen(&path, (size_t)(slash - path.buf));
		GROW(s->dirs, s->ndirs, cap);
		s->dirs[s->ndirs++] = xstrdup(path.buf);
	}
}

/* Where the transfer goes on: parents that are not known to be there come first once the server was seen to ask. */
static void plan_put(struct web *w, struct web_op *s, const char *key)
{
	name_temp(s, key);
	if (!s->ndirs)
		list_parents(w, s, key);
	s->at = 0;
	s->step = w->parents_first && s->ndirs && !map_has(&w->made, s->dirs[0]) ? WEB_MKCOL : WEB_PUT;
	s->asked_parents |= s->step == WEB_MKCOL;
}

static void put_url_of(const struct web *w, const char *dir, struct str *out)
{
	str_adds(out, w->origin);
	str_adds(out, dir);
	str_addc(out, '/');
	str_adds(out, w->query);
}

static int prepare_write(struct web *w, struct hop *o, struct hreq *q, struct err *e)
{
	struct web_op *s = web_op(o);
	autostr struct str to = STR_INIT;

	switch (s->step) {
	case WEB_MKCOL:
		if (web_begin(w, o, q, "MKCOL", "", e))
			return -1;
		str_reset(&q->url);
		put_url_of(w, s->dirs[s->at], &q->url);
		return 0;
	case WEB_MOVE:
		if (web_begin(w, o, q, "MOVE", s->tmp, e))
			return -1;
		web_url(w, o->op->key, &to);
		hreq_header(q, "Destination: %s", to.buf);
		hreq_header(q, "Overwrite: T");
		return 0;
	case WEB_CLEAN:
		return web_begin(w, o, q, "DELETE", s->tmp, e);
	case WEB_DELETE:
		return web_begin(w, o, q, "DELETE", o->op->key, e);
	default:
		if (web_begin(w, o, q, "PUT", put_key(w, s, o->op), e))
			return -1;
		hreq_header(q, "Content-Type: application/octet-stream");
		hreq_body_of(q, o->op, 0, o->op->size);
		s->sent = !w->no_move;
		s->direct = w->no_move;
		return 0;
	}
}

/* H12: a temporary has no name that anybody looks for. */
static bool dav_unnamed(struct http_remote *h, struct hop *o)
{
	const struct web *w = (struct web *)h;
	unsigned step = web_op(o)->step;

	return !w->no_move || (step != WEB_FIRST && step != WEB_MKCOL && step != WEB_PUT);
}

/* 0: the name may be given, or the temporary goes, and then this is the operation's failure. */
static int prove_temp(struct http_remote *h, struct hop *o)
{
	struct web_op *s = web_op(o);
	autoerr struct err why = ERR_INIT;
	int rc = http_proof(h, o, &why);

	if (rc >= 0)
		return rc;
	s->saved = rclass_of_err(&why);
	err_move(&s->err, &why);
	s->step = WEB_CLEAN;
	return 0;
}

static int dav_prepare(struct http_remote *h, struct hop *o, struct hreq *q, struct err *e)
{
	struct web *w = (struct web *)h;
	struct web_op *s = web_op(o);

	if (s->step == WEB_FIRST) {
		s->step = o->op->kind == ROP_GET ? WEB_GET : o->op->kind == ROP_DELETE ? WEB_DELETE :
			  w->head_refused ? WEB_PROBE : WEB_HEAD;
		if (o->op->kind == ROP_PUT)
			plan_put(w, s, o->op->key);
	}
	if (s->step == WEB_GET || s->step == WEB_HEAD || s->step == WEB_PROBE || s->step == WEB_CHECK)
		return web_prepare_read(w, o, q, e);
	if (s->step == WEB_MOVE && prove_temp(h, o))
		return 2;
	return prepare_write(w, o, q, e);
}

/* The failure is kept while the temporary is removed. */
static enum rclass clean_up(struct hop *o, enum rclass c)
{
	struct web_op *s = web_op(o);

	if (!s->sent)
		return c;
	err_move(&s->err, &o->op->err);
	s->saved = c;
	s->step = WEB_CLEAN;
	return RC_MORE;
}

static void forget_redirect(struct web_op *s)
{
	free(s->url);
	s->url = NULL;
	s->foreign = false;
	s->hops = 0;
}

static enum rclass classify_mkcol(struct web *w, struct hop *o, const struct hresp *a)
{
	struct web_op *s = web_op(o);

	/* 405: it is there; 301: it is there, and nginx wants its slash. */
	if ((a->status >= 200 && a->status < 300) || a->status == 405 || a->status == 301) {
		map_put(&w->made, s->dirs[s->at], w);
		if (s->at)
			s->at--;
		else
			s->step = WEB_PUT;
		return RC_MORE;
	}
	if ((a->status == 409 || a->status == 404) && s->at + 1 < s->ndirs) {
		s->at++;
		return RC_MORE;
	}
	return web_refused(w, o, a);
}

static enum rclass classify_put(struct web *w, struct hop *o, const struct hresp *a)
{
	struct web_op *s = web_op(o);
	bool missing = a->status == 404 || a->status == 409;

	/* 500: nginx without create_full_put_path. */
	if ((missing || a->status == 500) && !s->asked_parents && s->ndirs) {
		w->parents_first = true;
		s->asked_parents = true;
		s->at = 0;
		s->step = WEB_MKCOL;
		return RC_MORE;
	}
	if (missing && s->ndirs)
		map_del(&w->made, s->dirs[0]);  /* somebody removed it: a retry makes it again */
	if (a->status < 200 || a->status > 299) {
		enum rclass c = web_refused(w, o, a);

		return clean_up(o, missing ? RC_RETRY : c);
	}
	s->step = s->direct ? WEB_CHECK : w->no_move ? WEB_CLEAN : WEB_MOVE;
	s->again = s->step == WEB_CLEAN;
	return RC_MORE;
}

static enum rclass classify_move(struct web *w, struct hop *o, const struct hresp *a)
{
	struct web_op *s = web_op(o);

	if (a->status >= 200 && a->status < 300) {
		w->moved = true;
		return RC_OK;
	}
	/* A server without MOVE, or behind something that refuses it: straight to the name, then a look at it. */
	if (a->status == 405 || a->status == 501 || (!w->moved && (a->status == 403 || a->status == 400 ||
						    (a->status == 502 && o->op->attempt)))) {
		w->no_move = true;
		s->step = WEB_CLEAN;
		s->again = true;
		return RC_MORE;
	}
	if (a->status == 404) {         /* the answer was lost and the library asked again: the first one had moved it */
		s->step = WEB_CHECK;
		return RC_MORE;
	}
	return clean_up(o, web_refused(w, o, a));
}

static enum rclass dav_classify(struct http_remote *h, struct hop *o, const struct hreq *q, const struct hresp *a)
{
	struct web *w = (struct web *)h;
	struct web_op *s = web_op(o);
	enum rclass c;

	if (s->step == WEB_CLEAN && s->again) {         /* straight to the name now */
		s->again = s->sent = false;
		s->step = WEB_PUT;
		return RC_MORE;
	}
	if (s->step == WEB_CLEAN) {
		err_move(&o->op->err, &s->err);
		return s->saved;
	}
	if (s->step == WEB_MKCOL)
		return a->status == 401 && w->token_argv.n ? web_reroute(w, o, q, a) : classify_mkcol(w, o, a);
	c = web_reroute(w, o, q, a);
	if (c != RC_OK)
		return c;
	switch (s->step) {
	case WEB_PUT:
		forget_redirect(s);
		return classify_put(w, o, a);
	case WEB_MOVE:
		forget_redirect(s);
		return classify_move(w, o, a);
	case WEB_DELETE:
		if (a->status == 404 || a->status == 410)
			return RC_ABSENT;
		return a->status >= 200 && a->status < 300 ? RC_OK : web_refused(w, o, a);
	default:
		return web_classify_read(w, o, a);
	}
}

/* Listing: PROPFIND with depth 1, one collection after the other, many at a time. */

struct entry { struct str href, length, etag; bool dir; };

struct page {
	struct web *w;
	struct http_remote *h;
	struct listing *l;
	struct str base;                /* decoded path of the collection, with its slash */
	const char *dir, *filter;       /* key prefix of the collection; what names on the first level begin with */
	struct entry e;
	struct err *err;
	int rc;
};

/* The collection of a listing: on the first level (tag 0) the prefix need not end at a slash. */
static char *dir_of(const struct listing *l)
{
	const char *slash = strrchr(l->prefix, '/');

	return xstrndup(l->prefix, slash ? (size_t)(slash - l->prefix) + 1 : 0);
}

static void page_entry(struct page *p)
{
	autostr struct str path = STR_INIT;
	autofree char *key = NULL;
	const char *href = str_cstr(&p->e.href), *name, *slash;
	uint64_t size = 0;
	bool dir = p->e.dir;

	if (strstr(href, "://")) {
		href = strchr(strstr(href, "://") + 3, '/');
		if (!href)
			return;
	}
	if (!url_decode(&path, href, strlen(href)) || !str_starts(path.buf, p->base.buf))
		return;
	if (path.len && path.buf[path.len - 1] == '/') {
		dir = true;
		str_setlen(&path, path.len - 1);
	}
	name = path.len >= p->base.len ? path.buf + p->base.len : "";
	slash = strchr(name, '/');
	if (!*name || slash || !strcmp(name, ".") || !strcmp(name, ".."))
		return;
	if (!p->l->tag && !str_starts(name, p->filter))
		return;
	key = xasprintf("%s%s%s", p->dir, name, dir ? "/" : "");
	if (dir) {
		if (p->l->tag < DIRS_MOST)
			http_list_add(p->h, p->l, key, NULL, p->l->tag + 1);
		else
			p->rc = err_set(p->err, ERR_FAIL, "collections nested too deep at '%s'", key);
		return;
	}
	if (p->e.length.len && !str_to_u64(p->e.length.buf, &size))
		return;
	if (p->l->fn(key, size, str_cstr(&p->e.etag), p->l->data, p->err))
		p->rc = -1;
}

static int entry_open(const char *path, void *data, struct err *e UNUSED)
{
	struct page *p = data;

	if (!strcmp(path, "multistatus/response")) {
		str_reset(&p->e.href);
		str_reset(&p->e.length);
		str_reset(&p->e.etag);
		p->e.dir = false;
	} else if (str_ends(path, "/resourcetype/collection")) {
		p->e.dir = true;
	}
	return 0;
}

static void keep(struct str *s, const char *text)
{
	autofree char *t = str_trim_dup(text);

	str_reset(s);
	str_adds(s, t);
}

static int entry_close(const char *path, const char *text, void *data, struct err *e UNUSED)
{
	struct page *p = data;

	if (!strcmp(path, "multistatus/response/href"))
		keep(&p->e.href, text);
	else if (str_ends(path, "/prop/getcontentlength"))
		keep(&p->e.length, text);
	else if (str_ends(path, "/prop/getetag"))
		keep(&p->e.etag, text);
	else if (!strcmp(path, "multistatus/response"))
		page_entry(p);
	return p->rc;
}

static int page_propfind(struct page *p, const struct hresp *a)
{
	static const struct xml_reader reader = { entry_open, entry_close };
	int rc = xml_read(str_cstr(&a->body), a->body.len, "PROPFIND", &reader, p, p->err);

	str_release(&p->e.href);
	str_release(&p->e.length);
	str_release(&p->e.etag);
	return rc ? -1 : LIST_DONE;
}

static int dav_list_next(struct http_remote *h, struct listing *l, struct hreq *q, const struct hresp *a, bool *again,
			 struct err *e)
{
	static const char ask[] = "<?xml version=\"1.0\" encoding=\"utf-8\"?><D:propfind xmlns:D=\"DAV:\"><D:prop>"
		"<D:resourcetype/><D:getcontentlength/><D:getetag/></D:prop></D:propfind>";
	struct web *w = (struct web *)h;
	autofree char *dir = dir_of(l);
	struct web_op s = { .step = WEB_FIRST };
	struct hop o = { .state = &s };
	struct page p = { .w = w, .h = h, .l = l, .dir = dir, .filter = l->prefix + strlen(dir), .err = e };
	int rc;

	if (!a) {
		if (web_begin(w, &o, q, "PROPFIND", dir, e))
			return -1;
		hreq_header(q, "Depth: 1");
		hreq_header(q, "Content-Type: application/xml; charset=utf-8");
		hreq_body_own(q, ask, sizeof(ask) - 1);
		return 0;
	}
	if (a->status == 404 || a->status == 410)
		return LIST_DONE;
	if (a->status == 401 && w->token_argv.n) {
		*again = true;
		return web_token(w, true, e) ? -1 : err_set(e, ERR_TEMP, "the token was refused");
	}
	if (a->status != 207)
		return err_set(e, a->status == 401 || a->status == 403 ? ERR_AUTH : a->status >= 500 || a->status == 429 ?
			       ERR_TEMP : ERR_FAIL, "HTTP %d to PROPFIND of '%s'", a->status, dir);
	url_decode(&p.base, w->path, strlen(w->path));
	str_addc(&p.base, '/');
	str_adds(&p.base, dir);
	rc = page_propfind(&p, a);
	str_release(&p.base);
	return rc;
}

static const struct http_dialect dav_dialect = {
	.scheme = "webdav", .prove_upto = UINT64_MAX, .unnamed = dav_unnamed,
	.prepare = dav_prepare, .classify = dav_classify, .list_next = dav_list_next, .end = web_end,
	.close = web_close,
};

static int dav_open(struct remote **out, const struct remote_conf *c, struct err *e)
{
	struct web *w;

	if (web_make(&w, c, &dav_dialect, e))
		return -1;
	w->h.remote.caps = REMOTE_LIST | REMOTE_RANGE | REMOTE_PIECES | REMOTE_DELETE;
	*out = &w->h.remote;
	return 0;
}

const struct remote_driver webdav_driver = { "webdav webdavs", dav_open };

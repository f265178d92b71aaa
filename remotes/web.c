#include "remotes/web.h"

#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/proc.h"

#include <ctype.h>
#include <strings.h>
#include <time.h>

#define RESENDS 2u              /* of an upload that the server has with another length */
#define HOPS 5u
#define REFUSED_MOST 20u        /* 403s until it is not the objects */
#define TOKEN_REST 10                   /* seconds in which a refused token is not fetched again */

struct web_op *web_op(struct hop *o)
{
	if (!o->state)
		o->state = xcalloc(1, sizeof(struct web_op));
	return o->state;
}

void web_end(struct http_remote *h UNUSED, struct hop *o, enum rclass c UNUSED)
{
	struct web_op *s = o->state;
	size_t i;

	if (!s)
		return;
	for (i = 0; i < s->ndirs; i++)
		free(s->dirs[i]);
	free(s->dirs);
	free(s->url);
	free(s->tmp);
	err_release(&s->err);
	free(s);
	o->state = NULL;
}

void web_close(struct http_remote *h)
{
	struct web *w = (struct web *)h;
	size_t i;

	free(w->origin);
	free(w->path);
	free(w->query);
	for (i = 0; i < w->auth.n; i++)
		explicit_bzero(w->auth.v[i], strlen(w->auth.v[i]));
	strvec_release(&w->auth);
	strvec_release(&w->token_argv);
	if (w->token)
		explicit_bzero(w->token, strlen(w->token));
	free(w->token);
	map_release(&w->made, NULL);
	free(w);
}

void web_url(const struct web *w, const char *key, struct str *out)
{
	str_adds(out, w->origin);
	str_adds(out, w->path);
	str_addc(out, '/');
	url_encode(out, key, true);
	str_adds(out, w->query);
}

/* Runs bearer_token_command; the token stays until the server refuses it. */
int web_token(struct web *w, bool anew, struct err *e)
{
	autostr struct str out = STR_INIT, errout = STR_INIT;
	int status = 0;

	if (w->token && !anew)
		return 0;
	if (proc_run((const char *const *)w->token_argv.v, NULL, NULL, 0, &out, &errout, &status, e))
		return err_in(e, "bearer_token_command");
	if (status)
		return err_set(e, ERR_AUTH, "bearer_token_command ended with status %d", status);
	free(w->token);
	w->token = str_trim_dup(str_cstr(&out));
	if (anew)               /* the first one may have been old when it was printed */
		w->token_at = time(NULL);
	if (!*w->token)
		return err_set(e, ERR_AUTH, "bearer_token_command printed no token");
	return 0;
}

int web_begin(struct web *w, struct hop *o, struct hreq *q, const char *method, const char *key, struct err *e)
{
	struct web_op *s = web_op(o);
	size_t i;

	hreq_method(q, method);
	if (s->url)
		str_adds(&q->url, s->url);
	else
		web_url(w, key, &q->url);
	q->decode = true;
	q->plain = s->foreign;
	if (s->foreign)
		return 0;
	for (i = 0; i < w->auth.n; i++)
		hreq_header(q, "%s", w->auth.v[i]);
	if (w->token_argv.n) {
		if (web_token(w, false, e))
			return -1;
		hreq_header(q, "Authorization: Bearer %s", w->token);
	}
	return 0;
}

enum rclass web_refused(struct web *w, struct hop *o, const struct hresp *a)
{
	enum rclass c = http_class_of_status(o->op, a->status);

	if (c == RC_OK || (a->status == 403 && o->op->kind == ROP_GET && !w->dav && (w->gave || w->refused++ < REFUSED_MOST)))
		c = RC_FATAL;
	if (a->status == 423)           /* locked: by another of our own requests, as a rule */
		c = RC_RETRY;
	http_fail(o, a, c, NULL, NULL);
	if (c == RC_AUTH)
		err_hint(&o->op->err, w->auth.n || w->token_argv.n ? "the server refuses these credentials: see user, password, "
			 "token and auth of the remote in 'dvc config --list'" :
			 "the server wants credentials: dvc remote modify --local %s %s", w->h.remote.name ? w->h.remote.name :
			 "<name>", w->dav ? "user <name>; ... password <password>; or token <token>" :
			 "auth basic; ... user <name>; ... password <password or token>");
	return c;
}

enum rclass web_reroute(struct web *w, struct hop *o, const struct hreq *q, const struct hresp *a)
{
	struct web_op *s = web_op(o);
	autostr struct str url = STR_INIT;
	bool same = false;

	if (a->status == 401 && w->token_argv.n && !s->foreign && !o->repairs++) {
		if (time(NULL) - w->token_at < TOKEN_REST || !web_token(w, true, &o->op->err))
			return RC_MORE;
		return RC_AUTH;
	}
	if (a->status < 300 || a->status > 399 || a->status == 304)
		return RC_OK;
	if (s->hops++ >= HOPS)
		return http_fail(o, a, RC_FATAL, NULL, "too many redirects");
	if (!http_redirect(q, a, &url, &same))
		return http_fail(o, a, RC_FATAL, NULL, "a redirect that cannot be followed");
	free(s->url);
	s->url = str_take(&url);
	s->foreign |= !same;
	return RC_MORE;
}

/* Reading and existence. */

static enum web_step first_step(const struct web *w, const struct rop *op)
{
	switch (op->kind) {
	case ROP_STAT: return w->head_refused ? WEB_PROBE : WEB_HEAD;
	case ROP_GET: return WEB_GET;
	case ROP_PUT: return WEB_PUT;
	default: return WEB_DELETE;
	}
}

int web_prepare_read(struct web *w, struct hop *o, struct hreq *q, struct err *e)
{
	struct web_op *s = web_op(o);
	const char *key = o->op->key;

	switch (s->step) {
	case WEB_GET:
		if (web_begin(w, o, q, "GET", key, e))
			return -1;
		q->to_sink = true;
		if (o->op->off && !s->no_range) {
			q->from = o->op->off;
			hreq_header(q, "Range: bytes=%llu-", (unsigned long long)o->op->off);
		}
		return 0;
	case WEB_PROBE:
		q->stop_at_max = true;
		q->max_body = 1024;
		if (web_begin(w, o, q, "GET", key, e))
			return -1;
		hreq_header(q, "Range: bytes=0-0");
		return 0;
	default:
		return web_begin(w, o, q, "HEAD", key, e);
	}
}

static uint64_t whole_size(const struct hresp *a)
{
	const char *range = hresp_header(a, "content-range"), *slash = range ? strchr(range, '/') : NULL;
	uint64_t n = UINT64_MAX;

	if (a->status == 206 || a->status == 416)
		return slash && str_to_u64(slash + 1, &n) ? n : UINT64_MAX;
	return a->length;
}

static enum rclass read_past_end(struct hop *o, const struct hresp *a)
{
	struct rop *op = o->op;

	if (whole_size(a) == op->off) {
		op->size = op->off;
		return RC_OK;
	}
	web_op(o)->no_range = true;
	if (op->sink_restart && op->sink_restart(op))
		return RC_FATAL;
	return RC_MORE;
}

static void tell_facts(const struct web *w, struct hop *o, const struct hresp *a)
{
	static const char *const names[] = { "Content-Length", "Content-Type", "Accept-Ranges", "Content-MD5", "Digest",
					     "Last-Modified" };
	struct map *facts = o->op->facts;
	struct str url = STR_INIT;

	for (size_t i = 0; facts && i < ARRAY_LEN(names); i++)
		if (hresp_header(a, names[i]))
			map_put(facts, names[i], xstrdup(hresp_header(a, names[i])));
	if (!facts)
		return;
	if (web_op(o)->url)
		str_adds(&url, web_op(o)->url);
	else
		web_url(w, o->op->key, &url);
	map_put(facts, "url", str_take(&url));
}

/* HEAD, the GET of one byte, and the look after an upload (W4). */
static enum rclass classify_head(struct web *w, struct hop *o, const struct hresp *a)
{
	struct web_op *s = web_op(o);
	struct rop *op = o->op;
	uint64_t size = whole_size(a);
	bool there = a->status == 200 || a->status == 206 || (a->status == 416 && !size) || a->status == 204;

	if (s->step == WEB_HEAD && (a->status == 403 || a->status == 405 || a->status == 501 || a->status == 400)) {
		w->head_refused |= a->status != 403 && a->status != 400;
		s->step = WEB_PROBE;
		return RC_MORE;
	}
	if (s->step == WEB_CHECK) {
		if (a->status == 404 || a->status == 410)
			return http_fail(o, a, op->attempt < RESENDS ? RC_RETRY : RC_FATAL, NULL,
					 "the server took the upload and does not have it");
		if (there && size != UINT64_MAX && size != op->size && !hresp_header(a, "content-encoding"))
			/* An upload that was cut before may still be on its way into the same name: it is sent again. */
			return http_fail(o, a, op->attempt < RESENDS ? RC_RETRY : RC_CORRUPT, NULL,
					 "the server has another length than what was sent");
		return RC_OK;
	}
	if (!there)
		return a->status == 404 || a->status == 410 || (a->status == 403 && !w->dav) ? RC_ABSENT : web_refused(w, o, a);
	op->size = size == UINT64_MAX ? 0 : size;
	http_take_etag(op, a);
	tell_facts(w, o, a);
	if (size != UINT64_MAX)
		op->size = size;        /* not the one byte of a range */
	return RC_OK;
}

enum rclass web_classify_read(struct web *w, struct hop *o, const struct hresp *a)
{
	if (web_op(o)->step != WEB_GET)
		return classify_head(w, o, a);
	if (a->status == 416 && o->op->off && !web_op(o)->no_range)
		return read_past_end(o, a);
	if (a->status == 404 || a->status == 410)
		return RC_ABSENT;
	if (a->status != 200 && a->status != 206)
		return web_refused(w, o, a);
	w->gave = true;
	return RC_OK;
}

/* Plain HTTP as DVC's: POST or PUT of the whole body, no listing, no deleting. */

static int http_prepare(struct http_remote *h, struct hop *o, struct hreq *q, struct err *e)
{
	struct web *w = (struct web *)h;
	struct web_op *s = web_op(o);

	if (s->step == WEB_FIRST)
		s->step = first_step(w, o->op);
	if (s->step == WEB_DELETE)
		return err_set(e, ERR_UNSUPPORTED, "http remotes cannot delete");
	if (s->step != WEB_PUT)
		return web_prepare_read(w, o, q, e);
	if (strcmp(w->upload, "PUT") != 0 && strcmp(w->upload, "POST") != 0)
		return err_set(e, ERR_CONFIG, "method '%s' of the remote is neither POST nor PUT", w->upload);
	if (web_begin(w, o, q, w->upload, o->op->key, e))
		return -1;
	hreq_header(q, "Content-Type: application/octet-stream");
	hreq_body_of(q, o->op, 0, o->op->size);
	return 0;
}

static enum rclass http_classify(struct http_remote *h, struct hop *o, const struct hreq *q, const struct hresp *a)
{
	struct web *w = (struct web *)h;
	struct web_op *s = web_op(o);
	enum rclass c = web_reroute(w, o, q, a);

	if (c != RC_OK)
		return c;
	if (s->step != WEB_PUT)
		return web_classify_read(w, o, a);
	if (a->status >= 300)
		return web_refused(w, o, a);
	if (hresp_header(a, "etag"))
		return RC_OK;
	s->step = WEB_CHECK;
	free(s->url);
	s->url = NULL;
	s->foreign = false;
	return RC_MORE;
}

/* From configuration. */

static int basic_header(struct web *w, const char *user, const char *password)
{
	autofree char *pair = xasprintf("%s:%s", user, password);
	autofree char *b64 = base64_encode(pair, strlen(pair));

	explicit_bzero(pair, strlen(pair));
	strvec_pushf(&w->auth, "Authorization: Basic %s", b64);
	return 0;
}

struct secrets { char *user, *password; bool digest, none; };

static void secrets_release(struct secrets *s)
{
	free(s->user);
	if (s->password)
		explicit_bzero(s->password, strlen(s->password));
	free(s->password);
}

static int dav_auth(struct web *w, const struct remote_conf *c, struct secrets *s, struct err *e)
{
	const char *token = rconf_get(c, "token"), *custom = rconf_get(c, "custom_auth_header");
	const char *command = rconf_get(c, "bearer_token_command");
	const char *who = s->user && *s->user ? s->user : custom;
	autofree char *prompt = who ? xasprintf("Enter a password for host '%s' user '%s'", w->origin, who) : NULL;

	if (command && *command) {
		if (strvec_add_words(&w->token_argv, command) || !w->token_argv.n)
			return err_set(e, ERR_CONFIG, "bearer_token_command is empty or has a quote that does not end");
		return 0;
	}
	if (token && *token) {
		strvec_pushf(&w->auth, "Authorization: Bearer %s", token);
		return 0;
	}
	if (!who) {
		s->none = true;
		return 0;
	}
	if (!s->password && rconf_secret(c, "password", "ask_password", prompt, &s->password, e))
		return -1;
	if (s->user && *s->user)
		return basic_header(w, s->user, s->password ? s->password : "");
	strvec_pushf(&w->auth, "%s: %s", custom, s->password ? s->password : "");
	return 0;
}

/* Without 'auth' only what stands in the URL counts, as with DVC. */
static int http_auth(struct web *w, const struct remote_conf *c, const struct url *u, struct secrets *s, struct err *e)
{
	const char *auth = rconf_get(c, "auth"), *custom = rconf_get(c, "custom_auth_header");
	autofree char *prompt = xasprintf("Enter a password for host '%s' user '%s'", w->h.remote.url,
					  s->user ? s->user : "custom");

	if (!auth || !*auth) {
		s->none = !u->user || !u->password;
		return s->none ? 0 : basic_header(w, u->user, u->password);
	}
	if (rconf_get(c, "user") || !s->password) {
		free(s->password);
		s->password = NULL;
		if (rconf_secret(c, "password", "ask_password", prompt, &s->password, e))
			return -1;
	}
	if (!strcasecmp(auth, "custom")) {
		if (!custom || !s->password)
			return err_set(e, ERR_CONFIG, "HTTP 'custom' authentication require both 'custom_auth_header' and "
				       "'password'");
		strvec_pushf(&w->auth, "%s: %s", custom, s->password);
		return 0;
	}
	if (!s->user || !s->password)
		return err_set(e, ERR_CONFIG, "HTTP '%s' authentication require both 'user' and 'password'", auth);
	s->digest = !strcasecmp(auth, "digest");
	return s->digest ? 0 : basic_header(w, s->user, s->password);
}

/* A blank or a letter outside ASCII in the configured path is encoded; what is encoded already stays. */
static char *clean_path(const char *path, size_t n)
{
	autostr struct str out = STR_INIT;
	size_t i;

	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)path[i];

		if (c <= ' ' || c >= 0x7f || strchr("\"<>^`{|}", c))
			str_addf(&out, "%%%02X", c);
		else
			str_addc(&out, (char)c);
	}
	return str_take(&out);
}

static int set_url(struct web *w, const struct remote_conf *c, const struct url *u, struct err *e)
{
	const char *scheme = u->scheme && str_ends(u->scheme, "s") ? "https" : "http";
	size_t n = u->path ? strlen(u->path) : 0;

	if (!u->host || !*u->host)
		return err_set(e, ERR_CONFIG, "the URL '%s' has no host", w->h.remote.url);
	while (n && u->path[n - 1] == '/')
		n--;
	w->origin = xasprintf("%s://%s%s%s", scheme, u->host, u->port && *u->port ? ":" : "", u->port ? u->port : "");
	w->path = clean_path(u->path ? u->path : "", n);
	w->query = u->query && *u->query ? xasprintf("?%s", u->query) : xstrdup("");
	snprintf(w->upload, sizeof(w->upload), "%s", rconf_get(c, "method") ? rconf_get(c, "method") : "POST");
	for (char *p = w->upload; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return 0;
}

static bool is_bool(const char *v)
{
	return !strcasecmp(v, "true") || !strcasecmp(v, "false") || !strcmp(v, "1") || !strcmp(v, "0") ||
	       !strcasecmp(v, "yes") || !strcasecmp(v, "no") || !strcasecmp(v, "on") || !strcasecmp(v, "off");
}

static int setup(struct web *w, const struct remote_conf *c, const struct http_dialect *d, const struct url *u,
		 struct err *e)
{
	struct secrets s __attribute__((cleanup(secrets_release))) = { NULL, NULL, false, false };
	autofree char *ca = NULL, *cert = rconf_path(c, "cert_path"), *key = rconf_path(c, "key_path");
	const char *verify = rconf_get(c, "ssl_verify"), *user = rconf_get(c, "user"), *password = rconf_get(c, "password");
	struct http_conf hc = { 0 };

	if (set_url(w, c, u, e))
		return -1;
	s.user = xstrdup(user ? user : u->user);
	s.password = xstrdup(password ? password : u->password);
	if (w->dav ? dav_auth(w, c, &s, e) : http_auth(w, c, u, &s, e))
		return -1;
	if (verify && !is_bool(verify))
		ca = rconf_path(c, "ssl_verify");
	else
		hc.insecure = !rconf_bool(c, "ssl_verify", true);
	hc.ca_file = ca ? ca : http_ca_from_env(false);
	hc.cert_file = cert;
	hc.key_file = key;
	hc.connect_secs = rconf_secs(c, "connect_timeout");
	hc.stall_secs = rconf_secs(c, w->dav ? "timeout" : "read_timeout");
	hc.netrc = s.none;
	hc.digest_user = s.digest ? s.user : NULL;
	hc.digest_password = s.digest ? s.password : NULL;
	hc.window = c->jobs;
	return http_remote_init(&w->h, d, &hc, e);
}

int web_make(struct web **out, const struct remote_conf *c, const struct http_dialect *d, struct err *e)
{
	struct web *w = xcalloc(1, sizeof(*w));
	struct url u __attribute__((cleanup(url_release))) = { 0 };

	w->dav = !strcmp(d->scheme, "webdav");
	w->h.remote.url = registry_redact(c->url);
	w->h.remote.name = xstrdup(c->name);
	if (url_parse(&u, c->url, e) || setup(w, c, d, &u, e)) {
		free(w->h.remote.url);
		free(w->h.remote.name);
		web_close(&w->h);
		return -1;
	}
	*out = w;
	return 0;
}

static const struct http_dialect http_dialect = {
	.scheme = "http", .prove_upto = UINT64_MAX,
	.prepare = http_prepare, .classify = http_classify, .end = web_end, .close = web_close,
};

static int http_open(struct remote **out, const struct remote_conf *c, struct err *e)
{
	struct web *w;

	if (web_make(&w, c, &http_dialect, e))
		return -1;
	w->h.remote.caps = REMOTE_RANGE | REMOTE_PIECES;
	*out = &w->h.remote;
	return 0;
}

const struct remote_driver http_driver = { "http https", http_open };

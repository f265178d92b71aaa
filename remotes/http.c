#include "remotes/http_own.h"

#include "core/base/lazylib.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/trail.h"
#include "remotes/wrap.h"
#include "sonames.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <errno.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#define FUNCS(X) X(curl_global_init) X(curl_easy_init) X(curl_easy_cleanup) X(curl_easy_reset) X(curl_easy_setopt) \
	X(curl_easy_getinfo) X(curl_easy_perform) X(curl_easy_strerror) X(curl_url) X(curl_url_set) X(curl_url_cleanup) \
	X(curl_multi_init) X(curl_multi_cleanup) X(curl_multi_setopt) X(curl_multi_add_handle) \
	X(curl_multi_remove_handle) X(curl_multi_socket_action) X(curl_multi_info_read) \
	X(curl_multi_strerror)

static struct { LAZYLIB_FIELDS(FUNCS) } curl;
#define SYM(f) { #f, (void **)&curl.f },
static const struct lazysym syms[] = { FUNCS(SYM) };
static struct lazylib lib = LAZYLIB_INIT(SONAME_CURL, "libcurl4", syms);
static pthread_once_t global_once = PTHREAD_ONCE_INIT;

#define WINDOW_FIRST 16u
#define WINDOW_MOST 64u
#define SMALL_BODY 32768u         /* goes out together with its headers */
#define SMALL_BUFFER (48L * 1024) /* for that and an answer's headers; from 64 KiB on malloc() tidies up behind each */
#define PIECES_AT_ONCE 4u
#define BRISK (200u << 10)        /* bytes a millisecond, of all exchanges: more of them would not bring more */
#define SOON_MS 2
#define TIMED 4u                  /* answers that tell how far away the server is (H11) */
#define EVENTS_MAX 64
#define PAGE_TRIES 8u
#define PAGE_TRIES_COLD 3u        /* nobody has ever answered */
#define HEAD_MAX 65536u

static void global_init(void)
{
	curl.curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int load(struct err *e)
{
	if (lazylib_open(&lib, e))
		return -1;
	pthread_once(&global_once, global_init);
	return 0;
}

/* ---- callbacks of one exchange ---- */

/* One look at the clock for all that a turn brings; http_exchange() has a limit of its own. */
static void moved(struct xfer *x, size_t n)
{
	x->last_ms = x->h ? x->h->eng->now_ms : 0;
	x->span += n;
}

static size_t on_header(char *p, size_t size, size_t n, void *data)
{
	struct xfer *x = data;
	size_t len = size * n, used = len;
	char *colon, *v;

	moved(x, len);
	while (len && (p[len - 1] == '\r' || p[len - 1] == '\n'))
		len--;
	if (len > 5 && !strncmp(p, "HTTP/", 5)) {       /* a new answer: also after 100 and 401 */
		const char *sp = memchr(p, ' ', len);

		hresp_reuse(&x->resp);
		x->head_bytes = 0;
		x->resp.status = sp ? atoi(sp + 1) : 0;
		return used;
	}
	x->head_bytes += len;
	colon = memchr(p, ':', len);
	if (!colon || x->head_bytes > HEAD_MAX)
		return used;
	for (v = colon + 1; v < p + len && (*v == ' ' || *v == '\t'); v++)
		;
	hresp_add(&x->resp, p, (size_t)(colon - p), v, (size_t)(p + len - v));
	return used;
}

/* From the request to the first byte of the answer, or 0. Not the time to connect: a proxy may be nearer than the server. */
static unsigned answer_us(const struct xfer *x)
{
	curl_off_t sent = 0, came = 0;

	if (x->req.has_body || curl.curl_easy_getinfo(x->easy, CURLINFO_PRETRANSFER_TIME_T, &sent) ||
	    curl.curl_easy_getinfo(x->easy, CURLINFO_STARTTRANSFER_TIME_T, &came) || came <= sent || came - sent > 1000000)
		return 0;
	return (unsigned)(came - sent);
}

/* The least of all answers, the one that has begun included. */
static bool is_near(const struct xfer *x)
{
	unsigned us = answer_us(x), least = x->h->eng->answer_us;

	if (!us || (least && least < us))
		us = least;
	return us && us < HTTP_NEAR_US;
}

static bool is_brisk(const struct xfer *x)
{
	return (x->at - x->req.from) * x->h->eng->inflight >= (uint64_t)(http_now_ms() - x->spread_ms) * BRISK;
}

static void part_out(struct hop *o, struct http_engine *g)
{
	o->parallel = PIECES_AT_ONCE;
	if (!http_hop_is_queued(g, o))
		http_hop_requeue(g, o);
}

/* H8: the length is known, no byte was delivered: the others may begin. */
static int spread(struct xfer *x)
{
	struct rop *op = x->hop->op;
	struct http_engine *g = x->h->eng;

	if (!op->spread || !op->piece || !x->h->dialect->ranges || g->no_pieces)
		return 0;
	http_take_etag(op, &x->resp);
	if (op->spread(op)) {
		err_move(&x->err, &op->err);
		return -1;
	}
	if (!op->map)
		return 0;
	x->at = x->req.from;
	if (!pieces_go_on(op, &x->req, x->at))
		return err_set(&x->err, ERR_TEMP, "the server sent another length than before");
	x->spread_ms = http_now_ms();
	if (!is_near(x))
		part_out(x->hop, g);
	return 0;
}

/* The answer to the question for a piece. */
static int piece_begin(struct xfer *x, bool in_place, uint64_t total)
{
	struct rop *op = x->hop->op;

	if (op->map && in_place && (!total || total == op->map->size))
		return 0;
	if (x->resp.status == 200)
		x->h->eng->no_pieces = true;
	if (op->map && (x->resp.status == 200 || total) && op->sink_restart && op->sink_restart(op)) {
		err_move(&x->err, &op->err);
		return -1;
	}
	return err_set(&x->err, ERR_TEMP, "the server sent another range than the one asked for");
}

static int piece_take(struct xfer *x, const char *p, size_t len)
{
	struct rop *op = x->hop->op;

	while (len) {
		size_t n = x->req.upto - x->at < len ? (size_t)(x->req.upto - x->at) : len;

		if (!op->map)
			return err_set(&x->err, ERR_TEMP, "the download starts again");
		if (n && op->piece(op, x->at, p, n)) {
			err_move(&x->err, &op->err);
			return x->err.code ? -1 : err_set(&x->err, ERR_FAIL, "the transfer was stopped");
		}
		x->at += n;
		p += n;
		len -= n;
		if (len && x->hop->parallel == 1 && !is_brisk(x))
			part_out(x->hop, x->h->eng);
		/* The others shall have the chunks that follow, unless they are at work already. */
		if (len && (x->hop->inflight < x->hop->parallel || !pieces_go_on(op, &x->req, x->at))) {
			x->enough = true;
			return -1;
		}
	}
	return 0;
}

static int restart(struct xfer *x)
{
	struct rop *op = x->hop->op;

	if (!op->sink_restart || !op->sink_restart(op))
		return 0;
	err_move(&x->err, &op->err);
	return -1;
}

/* H6: where the body begins, and whether the sink must start again. */
static int sink_begin(struct xfer *x)
{
	struct rop *op = x->hop->op;
	const char *range = hresp_header(&x->resp, "content-range");
	unsigned long long from = 0, to = 0, total = 0;
	int got = range ? sscanf(range, "bytes %llu-%llu/%llu", &from, &to, &total) : 0;

	x->sink_open = true;
	if (x->req.upto)
		return piece_begin(x, x->resp.status == 206 && got >= 2 && from == x->req.from, got == 3 ? total : 0);
	if (x->resp.status == 206) {
		if (got < 2 || from != x->req.from)
			return err_set(&x->err, ERR_TEMP, "the server sent another range than the one asked for");
		if (!http_goes_on(x, got == 3 ? total : 0))
			return restart(x) ? -1 : err_set(&x->err, ERR_TEMP, "the object changed while it was read");
		if (got == 3)
			op->size = total;
		return got == 3 ? spread(x) : 0;
	}
	if (x->req.from && restart(x))
		return -1;
	x->req.from = 0;
	op->etag[0] = 0;
	http_take_etag(op, &x->resp);
	op->size = hresp_is_encoded(&x->resp) || x->resp.length == UINT64_MAX ? 0 : x->resp.length;
	return op->size ? spread(x) : 0;
}

static size_t on_body(char *p, size_t size, size_t n, void *data)
{
	struct xfer *x = data;
	size_t len = size * n, max = x->req.max_body ? x->req.max_body : HTTP_BODY_MAX, room;

	moved(x, len);
	x->resp.got += len;
	if (x->req.to_sink && (x->resp.status == 200 || x->resp.status == 206)) {
		if (!x->sink_open && sink_begin(x))
			return 0;
		if (x->req.upto)
			return piece_take(x, p, len) ? 0 : len;
		if (x->hop->op->sink(x->hop->op, p, len)) {
			err_move(&x->err, &x->hop->op->err);
			if (!x->err.code)
				err_set(&x->err, ERR_FAIL, "the transfer was stopped");
			return 0;
		}
		return len;
	}
	room = max - x->resp.body.len;
	if (len > room)
		x->resp.cut = true;
	str_add(&x->resp.body, p, len > room ? room : len);
	return x->resp.cut && x->req.stop_at_max ? 0 : len;
}

static size_t on_read(char *p, size_t size, size_t n, void *data)
{
	struct xfer *x = data;
	size_t len = size * n;
	uint64_t left = x->req.body_len - x->sent;
	ssize_t got;

	if (len > left)
		len = (size_t)left;
	if (!len)
		return 0;
	if (x->req.fd < 0) {
		memcpy(p, (const char *)x->req.mem + x->req.body_off + x->sent, len);
		got = (ssize_t)len;
	} else {
		do
			got = pread(x->req.fd, p, len, (off_t)(x->req.body_off + x->sent));
		while (got < 0 && errno == EINTR);
	}
	if (got < 0)
		err_sys(&x->err, "cannot read the object");
	else if (!got)
		err_set(&x->err, ERR_CHANGED, "the object became shorter while it was sent");
	if (got <= 0)
		return CURL_READFUNC_ABORT;
	x->sent += (uint64_t)got;
	moved(x, (size_t)got);
	if (x->hop && x->hop->op->sent)
		x->hop->op->sent(x->hop->op, (size_t)got);
	return (size_t)got;
}

static int on_seek(void *data, curl_off_t off, int origin)
{
	struct xfer *x = data;

	if (origin != SEEK_SET || off < 0 || (uint64_t)off > x->req.body_len)
		return CURL_SEEKFUNC_FAIL;
	x->sent = (uint64_t)off;
	return CURL_SEEKFUNC_OK;
}

/* ---- setting one exchange up ---- */

#define SET(x, opt, value) curl.curl_easy_setopt((x)->easy, opt, value)

static void set_tls_and_ways(struct xfer *x)
{
	const struct http_conf *c = x->conf;
	const char *ca = c->ca_file;

	if (c->insecure) {
		SET(x, CURLOPT_SSL_VERIFYPEER, 0L);
		SET(x, CURLOPT_SSL_VERIFYHOST, 0L);
	} else if (ca) {
		SET(x, CURLOPT_CAINFO, ca);
	}
	if (c->cert_file)
		SET(x, CURLOPT_SSLCERT, c->cert_file);
	if (c->key_file)
		SET(x, CURLOPT_SSLKEY, c->key_file);
	if (c->no_proxy || !http_env_has_proxy())    /* libcurl would look for one before every exchange */
		SET(x, CURLOPT_NOPROXY, "*");
	if (c->digest_user && !x->req.plain) {
		SET(x, CURLOPT_HTTPAUTH, (long)CURLAUTH_DIGEST);
		SET(x, CURLOPT_USERNAME, c->digest_user);
		SET(x, CURLOPT_PASSWORD, c->digest_password ? c->digest_password : "");
	}
	if (c->netrc && !x->req.plain)
		SET(x, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
	SET(x, CURLOPT_HTTP_VERSION, (long)(c->http1 ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS));
}

/* A small body in one packet with its headers: libcurl does that for what it calls a POST. */
static bool set_small(struct xfer *x)
{
	const struct hreq *q = &x->req;
	const void *p = q->fd < 0 ? (const char *)q->mem + q->body_off : NULL;

	if (!q->has_body || !q->body_len || q->body_len > SMALL_BODY || !x->conf->http1 || x->conf->digest_user)
		return false;
	if (!p) {
		if (!x->small)
			x->small = xmalloc(SMALL_BODY);
		if (pread(q->fd, x->small, q->body_len, (off_t)q->body_off) != (ssize_t)q->body_len)
			return false;           /* on_read() says what is wrong */
		p = x->small;
	}
	SET(x, CURLOPT_POST, 1L);
	SET(x, CURLOPT_POSTFIELDS, p);
	SET(x, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_len);
	SET(x, CURLOPT_CUSTOMREQUEST, q->method);
	if (x->hop && x->hop->op->sent)
		x->hop->op->sent(x->hop->op, q->body_len);
	return true;
}

static bool says_type(const struct hreq *q)
{
	for (size_t i = 0; i < q->headers.n; i++)
		if (!strncasecmp(q->headers.v[i], "content-type:", 13))
			return true;
	return false;
}

static void set_body(struct xfer *x)
{
	const char *m = x->req.method;

	/* A GET, whatever it was before. */
	SET(x, CURLOPT_POSTFIELDS, NULL);
	SET(x, CURLOPT_HTTPGET, 1L);
	SET(x, CURLOPT_CUSTOMREQUEST, NULL);
	x->is_small = set_small(x);
	if (x->is_small)
		return;
	if (x->req.has_body) {
		SET(x, CURLOPT_UPLOAD, 1L);
		SET(x, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->req.body_len);
		SET(x, CURLOPT_READFUNCTION, on_read);
		SET(x, CURLOPT_READDATA, x);
		SET(x, CURLOPT_SEEKFUNCTION, on_seek);
		SET(x, CURLOPT_SEEKDATA, x);
		if (strcmp(m, "PUT"))
			SET(x, CURLOPT_CUSTOMREQUEST, m);
	} else if (!strcmp(m, "HEAD")) {
		SET(x, CURLOPT_NOBODY, 1L);
	} else if (strcmp(m, "GET")) {
		SET(x, CURLOPT_CUSTOMREQUEST, m);
	}
}

static void add_line(struct xfer *x, const char *text)
{
	GROW(x->line, x->lines, x->line_cap);
	x->line[x->lines++].data = (char *)text;
}

static void set_headers(struct xfer *x)
{
	x->lines = 0;
	if (x->req.has_body)
		add_line(x, "Expect:");
	for (size_t i = 0; i < x->req.headers.n; i++)
		add_line(x, x->req.headers.v[i]);
	if (x->is_small && !says_type(&x->req))        /* what libcurl says of a POST is no use here */
		add_line(x, "Content-Type:");
	for (size_t i = 0; i < x->lines; i++)
		x->line[i].next = i + 1 < x->lines ? &x->line[i + 1] : NULL;
	SET(x, CURLOPT_HTTPHEADER, x->lines ? x->line : NULL);
}

/* In parts as well: of a text alone libcurl makes the parts, and a text of them, and that is a tenth of its work. */
static void set_url(struct xfer *x)
{
	const char *url = str_cstr(&x->req.url);

	if (!x->place)
		x->place = curl.curl_url();
	SET(x, CURLOPT_URL, url);
	SET(x, CURLOPT_CURLU, x->place && !curl.curl_url_set(x->place, CURLUPART_URL, url, CURLU_PATH_AS_IS) ? x->place : NULL);
}

/* What is not known to be small. libcurl makes the buffer anew for every exchange. */
static bool is_large(const struct xfer *x)
{
	uint64_t n = x->hop ? x->hop->op->expect : 0;

	return x->req.to_sink && (!n || n > SMALL_BODY);
}

/* What is the same in every exchange. */
static void set_fixed(struct xfer *x)
{
	SET(x, CURLOPT_PATH_AS_IS, 1L);
	SET(x, CURLOPT_FOLLOWLOCATION, 0L);
	SET(x, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(x, CURLOPT_NOSIGNAL, 1L);
	SET(x, CURLOPT_ERRORBUFFER, x->curl_err);
	SET(x, CURLOPT_PRIVATE, x);
	SET(x, CURLOPT_CONNECTTIMEOUT, (long)(x->conf->connect_secs ? x->conf->connect_secs : 30));
	SET(x, CURLOPT_MAXAGE_CONN, 4L);
	SET(x, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(x, CURLOPT_HEADERFUNCTION, on_header);
	SET(x, CURLOPT_HEADERDATA, x);
	SET(x, CURLOPT_WRITEFUNCTION, on_body);
	SET(x, CURLOPT_WRITEDATA, x);
	SET(x, CURLOPT_TCP_KEEPALIVE, 1L);
	SET(x, CURLOPT_PIPEWAIT, x->conf->http1 ? 0L : 1L);
	set_tls_and_ways(x);
	x->is_set = true;
}

static void set_all(struct xfer *x)
{
	if (!x->is_set)
		set_fixed(x);
	set_url(x);
	SET(x, CURLOPT_BUFFERSIZE, is_large(x) ? 512L * 1024 : SMALL_BUFFER);
	SET(x, CURLOPT_UPLOAD_BUFFERSIZE, x->req.body_len > (1u << 20) ? 512L * 1024 : 64L * 1024);
	SET(x, CURLOPT_ACCEPT_ENCODING, x->req.decode ? "identity" : NULL);
	set_body(x);
	set_headers(x);
	x->curl_err[0] = 0;
	x->sent = 0;
	x->head_bytes = 0;
	x->last_ms = x->span_ms = http_now_ms();
	x->span = 0;
	x->sink_open = x->stalled = x->enough = false;
}

static void xfer_clear(struct xfer *x)
{
	hreq_reuse(&x->req);
	hresp_reuse(&x->resp);
	err_release(&x->err);
	x->hop = NULL;
	x->list = NULL;
}

static void xfer_release(struct xfer *x)
{
	xfer_clear(x);
	hreq_release(&x->req);
	hresp_release(&x->resp);
	curl.curl_easy_cleanup(x->easy);
	curl.curl_url_cleanup(x->place);
	free(x->line);
	free(x->small);
}

/* Options that were given stay, unless credentials are among them, which not every exchange gets. */
static void forget_options(struct xfer *x)
{
	if (!x->conf->digest_user && !x->conf->netrc)
		return;
	curl.curl_easy_reset(x->easy);
	x->is_set = false;
}

static struct xfer *xfer_take(struct http_remote *h)
{
	struct http_engine *g = h->eng;
	struct xfer *x = g->idle;

	if (x) {
		g->idle = x->next;
		g->nidle--;
		forget_options(x);
	} else {
		x = xcalloc(1, sizeof(*x));
		x->easy = curl.curl_easy_init();
		if (!x->easy)
			BUG("curl_easy_init failed");
		hreq_init(&x->req);
		x->resp.length = UINT64_MAX;
	}
	x->h = h;
	x->conf = &g->conf;
	return x;
}

static void xfer_put(struct http_engine *g, struct xfer *x)
{
	xfer_clear(x);
	x->next = g->idle;
	g->idle = x;
	g->nidle++;
}

static void xfer_start(struct http_engine *g, struct xfer *x)
{
	CURLMcode mc;

	set_all(x);
	x->next = g->active;
	x->slot = &g->active;
	if (g->active)
		g->active->slot = &x->next;
	g->active = x;
	g->inflight++;
	mc = curl.curl_multi_add_handle(g->multi, x->easy);
	if (mc)
		BUG("curl_multi_add_handle: %s", curl.curl_multi_strerror(mc));
}

static void xfer_stop(struct http_engine *g, struct xfer *x)
{
	curl.curl_multi_remove_handle(g->multi, x->easy);
	*x->slot = x->next;
	if (x->next)
		x->next->slot = x->slot;
	g->inflight--;
	if (!x->hop)
		return;
	x->hop->inflight--;
	pieces_give_back(x->hop->op, &x->req);
}

/* ---- what happened ---- */

/* H4: class and message of a failure below HTTP. */
static enum rclass class_of_curl(struct xfer *x, CURLcode cc, struct err *e)
{
	const char *say = x->curl_err[0] ? x->curl_err : curl.curl_easy_strerror(cc);

	if (x->stalled)
		return err_set(e, ERR_TEMP, "next to no bytes moved for a long time"), RC_RETRY;
	if (x->err.code) {
		enum err_code c = x->err.code;

		err_move(e, &x->err);
		return c == ERR_TEMP ? RC_RETRY : c == ERR_CORRUPT ? RC_CORRUPT : RC_FATAL;
	}
	switch (cc) {
	case CURLE_COULDNT_RESOLVE_PROXY: case CURLE_COULDNT_RESOLVE_HOST: case CURLE_COULDNT_CONNECT:
	case CURLE_HTTP2: case CURLE_PARTIAL_FILE: case CURLE_OPERATION_TIMEDOUT: case CURLE_SSL_CONNECT_ERROR:
	case CURLE_GOT_NOTHING: case CURLE_SEND_ERROR: case CURLE_RECV_ERROR: case CURLE_SEND_FAIL_REWIND:
	case CURLE_HTTP2_STREAM: case CURLE_WEIRD_SERVER_REPLY: case CURLE_BAD_CONTENT_ENCODING:
		err_set(e, ERR_TEMP, "%s", say);
		return RC_RETRY;
	case CURLE_PEER_FAILED_VERIFICATION: case CURLE_SSL_CACERT_BADFILE:
		err_set(e, ERR_CONFIG, "%s", say);
		err_hint(e, "set 'ssl_verify' of the remote to the file of your certificate authority");
		return RC_AUTH;         /* no object will fare better */
	case CURLE_SSL_CERTPROBLEM:
		err_set(e, ERR_CONFIG, "%s", say);
		err_hint(e, "see 'cert_path' and 'key_path' of the remote");
		return RC_AUTH;
	default:
		err_set(e, ERR_FAIL, "%s", say);
		return RC_FATAL;
	}
}

static enum rclass class_of_err(const struct err *e)
{
	enum rclass c = rclass_of_err(e);

	return c == RC_ABSENT ? RC_FATAL : c;
}

/* The caller has it back, unless its commit is not ready (H9). */
static void hop_settle(struct http_remote *h, struct hop *o, enum rclass c)
{
	struct rop *op = o->op;
	int rc = c == RC_OK && op->commit ? op->commit(op) : 0;

	o->settling = rc > 0;
	if (rc > 0) {
		http_soon_add(h->eng, o);
		return;
	}
	if (rc)
		c = class_of_err(&op->err);
	op->impl = NULL;
	http_prove_end(o);
	err_release(&o->why);
	free(o);
	op->done(op, c);
}

/* The operation's other exchanges are cut. */
static void hop_finish(struct http_remote *h, struct hop *o, enum rclass c)
{
	struct http_engine *g = h->eng;

	for (struct xfer *x = o->inflight ? g->active : NULL, *next; x; x = next) {
		next = x->next;
		if (x->hop == o) {
			xfer_stop(g, x);
			xfer_put(g, x);
		}
	}
	http_hop_unqueue(g, o);
	http_soon_drop(g, o);
	if (h->dialect->end && !o->settling)
		h->dialect->end(h, o, c);
	hop_settle(h, o, c);
}

/* What waits for something but bytes is asked again: not at every turn, unless nothing else can go on. */
static void soon_ask(struct http_remote *h)
{
	struct http_engine *g = h->eng;
	struct hop *o, *next = g->soon;
	int64_t now = next ? http_now_ms() : 0;

	if (!next || (now - g->soon_ms < SOON_MS && g->inflight && g->nsoon < g->window))
		return;
	g->soon_ms = now;
	g->soon = NULL;
	g->nsoon = 0;
	for (o = next; o; o = o->soon)
		o->is_soon = false;
	while ((o = next)) {
		next = o->soon;
		if (o->settling)
			hop_settle(h, o, RC_OK);
		else if (!http_hop_is_queued(g, o))
			http_hop_requeue(g, o);
	}
}

/* A new exchange: for a piece, where there is a map. 1: there is nothing to ask for now. */
static int hop_prepare(struct http_remote *h, struct hop *o, struct xfer *x)
{
	struct rop *op = o->op;
	int rc = !o->begun && op->begin ? op->begin(op) : 0;

	o->begun = true;
	if (rc)
		return -1;
	rc = http_prove(h, o, &op->err);
	if (rc)
		return rc;
	/* What an earlier process left in pieces is of no use here. */
	if (op->map && (!h->dialect->ranges || h->eng->no_pieces) && op->sink_restart(op))
		return -1;
	if (op->kind == ROP_GET && op->map) {
		o->parallel = PIECES_AT_ONCE;
		if (!pieces_claim(op, &x->req))
			return 1;
		x->at = x->req.from;
	}
	rc = h->dialect->prepare(h, o, &x->req, &op->err);
	if (rc)
		pieces_give_back(op, &x->req);
	return rc;
}

/* Starts what an operation has to send. False: it is over (and freed). */
static bool hop_feed(struct http_remote *h, struct hop *o)
{
	struct http_engine *g = h->eng;

	while (o->inflight < (o->parallel ? o->parallel : 1) && (!o->inflight || g->inflight < g->window)) {
		struct xfer *x = xfer_take(h);
		int rc;

		err_release(&o->op->err);
		rc = hop_prepare(h, o, x);
		if (rc) {
			xfer_put(g, x);
			if (rc > 1)
				http_soon_add(g, o);
			if (rc > 0 && (o->inflight || !o->op->map || o->op->map->left))
				return true;
			hop_finish(h, o, rc > 0 ? RC_OK : class_of_err(&o->op->err));
			return false;
		}
		x->hop = o;
		o->inflight++;
		xfer_start(g, x);
	}
	return true;
}

static void hop_go_on(struct http_remote *h, struct hop *o, enum rclass c)
{
	if (c == RC_RETRY && !o->draining && o->inflight) {
		http_hop_unqueue(h->eng, o);
		http_drain_begin(o);
	} else if (o->draining && (c == RC_MORE || c == RC_RETRY)) {
		if (o->inflight)
			return;
		http_drain_end(o);
		hop_finish(h, o, RC_RETRY);
	} else if (c != RC_MORE) {
		hop_finish(h, o, c);
	} else if (!http_hop_is_queued(h->eng, o)) {
		http_hop_requeue(h->eng, o);
	}
}

static void hop_answer(struct http_remote *h, struct xfer *x, CURLcode cc)
{
	struct http_engine *g = h->eng;
	struct hop *o = x->hop;
	enum rclass c;
	bool whole = cc == CURLE_OK || (cc == CURLE_WRITE_ERROR && !x->err.code &&
					(x->enough || (x->resp.cut && x->req.stop_at_max)));

	xfer_stop(g, x);
	err_release(&o->op->err);
	if (whole && x->req.to_sink && (x->resp.status == 200 || x->resp.status == 206) && !x->sink_open &&
	    sink_begin(x)) {
		whole = false;
	}
	if (whole && x->sink_open && x->req.upto && x->at < x->req.upto) {
		whole = false;
		err_set(&x->err, ERR_TEMP, "the server sent less than was asked for");
	}
	if (whole && x->sink_open && !x->req.upto && x->resp.status == 206 && x->req.from + x->resp.got < o->op->size) {
		whole = false;
		err_set(&x->err, ERR_TEMP, "the server sent less than was asked for");
	}
	if (cc == CURLE_BAD_CONTENT_ENCODING && x->resp.status == 206 && x->req.to_sink)
		restart(x);             /* from the midst of it, that could not be read */
	if (!whole) {
		o->op->http_status = x->resp.status;    /* 0: nobody answered */
		o->op->code[0] = 0;
		o->op->retry_after = 0;
		c = class_of_curl(x, cc, &o->op->err);
	} else {
		o->op->http_status = x->resp.status;
		c = h->dialect->classify(h, o, &x->req, &x->resp);
		if (c == RC_OK && o->op->kind == ROP_GET && o->op->map && o->op->map->left)
			c = RC_MORE;
	}
	xfer_put(g, x);
	hop_go_on(h, o, c);
}

/* ---- listing ---- */

/* Sends every page that is due; milliseconds until the next one is, or -1. */
static int pages_feed(struct http_remote *h)
{
	struct http_engine *g = h->eng;
	int64_t now = http_now_ms(), soon = -1;

	for (struct page_wait **p = &g->pages; *p;) {
		struct page_wait *w = *p;
		autoerr struct err e = ERR_INIT;
		struct xfer *x;

		if (w->at_ms > now || g->inflight >= g->window) {
			soon = soon < 0 || w->at_ms - now < soon ? w->at_ms - now : soon;
			p = &w->next;
			continue;
		}
		*p = w->next;
		x = xfer_take(h);
		x->req.step = w->attempt;
		if (h->dialect->list_next(h, w->l, &x->req, NULL, &(bool){ false }, &e) < 0) {
			http_list_fail(g, w->l, &e);
			xfer_put(g, x);
		} else {
			unsigned attempt = w->attempt;

			if (!x->req.max_body)
				x->req.max_body = HTTP_LIST_MAX;
			x->list = w->l;
			x->req.step = attempt;
			xfer_start(g, x);
		}
		free(w);
	}
	return soon < 0 ? -1 : soon > 1000 ? 1000 : (int)soon;
}

static void list_answer(struct http_remote *h, struct xfer *x, CURLcode cc)
{
	struct http_engine *g = h->eng;
	struct listing *l = x->list;
	unsigned attempt = x->req.step;
	autoerr struct err e = ERR_INIT;
	bool again = false;
	int rc = -1, after = 0;

	xfer_stop(g, x);
	if (cc != CURLE_OK) {
		class_of_curl(x, cc, &e);
	} else if (x->resp.cut) {
		err_set(&e, ERR_FAIL, "a page of the listing is larger than %u MiB", HTTP_LIST_MAX >> 20);
	} else {
		rc = h->dialect->list_next(h, l, &x->req, &x->resp, &again, &e);
		after = hresp_retry_after(&x->resp);
		if (rc < 0 && e.code == ERR_PARSE)
			e.code = ERR_TEMP;      /* cut short on the way: ask again */
	}
	xfer_put(g, x);
	if (rc == LIST_MORE) {
		l->pages++;
		http_page_wait(g, l, 0, 0);
	} else if (rc == LIST_DONE) {
		g->listings--;
		http_listing_free(l);
	} else if (e.code == ERR_TEMP && attempt + 1 < (g->answered ? PAGE_TRIES : PAGE_TRIES_COLD) && !g->list_failed &&
		   after < RETRY_ALL_MS / 1000) {
		http_page_wait(g, l, attempt + 1, again ? 0 : http_now_ms() + retry_delay_ms(attempt + 1, after));
	} else {
		http_list_fail(g, l, &e);
	}
}

/* ---- the loop ---- */

static unsigned window_most(const struct http_engine *g)
{
	return g->conf.window_max ? g->conf.window_max : WINDOW_MOST;
}

unsigned http_answer_us(const struct http_remote *h)
{
	return h->eng->answer_us;
}

static void time_answer(struct http_engine *g, struct xfer *x)
{
	unsigned us = answer_us(x);

	if (!us)
		return;
	if (!g->answer_us || us < g->answer_us)
		g->answer_us = us;
	if (++g->timed == TIMED && g->answer_us >= HTTP_NEAR_US && !g->conf.window)
		g->window = window_most(g);
}

static void answer(struct http_remote *h, struct xfer *x, CURLcode cc)
{
	if (x->resp.status) {
		h->eng->answered = true;
		time_answer(h->eng, x);
	}
	if (x->hop)
		hop_answer(h, x, cc);
	else
		list_answer(h, x, cc);
}

static void feed(struct http_remote *h)
{
	struct http_engine *g = h->eng;
	struct hop *o;

	while ((o = g->queue) && g->inflight < g->window) {
		g->queue = o->next;
		if (!g->queue)
			g->queue_tail = &g->queue;
		if (hop_feed(h, o) && o->parallel > 1 && o->inflight < o->parallel && g->inflight >= g->window) {
			http_hop_requeue(g, o);
			break;
		}
	}
}

static int collect(struct http_remote *h)
{
	struct http_engine *g = h->eng;
	struct xfer *x;
	CURLMsg *m;
	int left, n = 0;

	while ((m = curl.curl_multi_info_read(g->multi, &left))) {
		CURLcode cc = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl.curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&x);
		answer(h, x, cc);
		n++;
	}
	http_watch_stalls(g);
	while ((x = http_first_stalled(g))) {
		answer(h, x, CURLE_OPERATION_TIMEDOUT);
		n++;
	}
	return n;
}

static int on_socket(CURL *easy UNUSED, curl_socket_t fd, int what, void *data, void *socket_data UNUSED)
{
	return what == CURL_POLL_REMOVE ? http_watch(data, fd, false, false) :
	       http_watch(data, fd, what & CURL_POLL_IN, what & CURL_POLL_OUT);
}

static int on_timer(CURLM *multi UNUSED, long ms, void *data)
{
	struct http_engine *g = data;

	g->due_ms = ms < 0 ? -1 : http_now_ms() + ms;
	return 0;
}

/* What is due: exchanges that were just started among it. */
static CURLMcode fire(struct http_engine *g)
{
	int running;

	if (g->due_ms < 0 || g->due_ms > http_now_ms())
		return CURLM_OK;
	g->due_ms = -1;
	g->now_ms = http_now_ms();
	return curl.curl_multi_socket_action(g->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

static CURLMcode wait_and_move(struct http_engine *g, int timeout_ms)
{
	struct epoll_event ev[EVENTS_MAX];
	int64_t due = g->due_ms < 0 ? timeout_ms : g->due_ms - http_now_ms();
	CURLMcode mc = CURLM_OK;
	int n, running;

	if (due < timeout_ms)
		timeout_ms = due < 0 ? 0 : (int)due;
	n = epoll_wait(g->poll, ev, EVENTS_MAX, timeout_ms);
	g->now_ms = http_now_ms();
	for (int i = 0; i < n && !mc; i++) {
		uint32_t is = ev[i].events;
		int bits = (is & EPOLLIN ? CURL_CSELECT_IN : 0) | (is & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			   (is & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

		mc = curl.curl_multi_socket_action(g->multi, ev[i].data.fd, bits, &running);
	}
	return mc ? mc : fire(g);
}

static int engine_turn(struct http_remote *h, int timeout_ms, struct err *e)
{
	struct http_engine *g = h->eng;
	CURLMcode mc;
	int due;

	soon_ask(h);
	feed(h);
	due = pages_feed(h);
	if (due >= 0 && due < timeout_ms)
		timeout_ms = due;
	if (g->soon && timeout_ms > SOON_MS)
		timeout_ms = SOON_MS;
	if (g->inflight || due > 0 || g->soon) {
		mc = fire(g);
		if (!mc && !collect(h))
			mc = wait_and_move(g, timeout_ms > 1000 ? 1000 : timeout_ms);
		if (mc)
			return err_set(e, ERR_FAIL, "libcurl: %s", curl.curl_multi_strerror(mc));
		collect(h);
	}
	return 0;
}

static int http_run(struct remote *r, int timeout_ms, struct err *e)
{
	return engine_turn((struct http_remote *)r, timeout_ms, e);
}

static int http_submit(struct remote *r, struct rop *op, struct err *e)
{
	struct http_remote *h = (struct http_remote *)r;
	struct http_engine *g = h->eng;
	struct hop *o;
	unsigned queued = 0;

	(void)e;
	if (g->nsoon >= g->window)
		return 1;
	for (struct hop *p = g->queue; p; p = p->next)
		queued++;
	if (g->inflight + queued >= g->window)
		return 1;
	o = xcalloc(1, sizeof(*o));
	o->op = op;
	o->parallel = 1;
	op->impl = o;
	op->http_status = 0;
	op->retry_after = 0;
	op->code[0] = 0;
	http_hop_requeue(g, o);
	return 0;
}

/* Nobody wants the rest of any page. */
static void drop_listings(struct http_engine *g)
{
	for (struct xfer *x = g->active, *next; x; x = next) {
		next = x->next;
		if (!x->list)
			continue;
		http_listing_free(x->list);
		xfer_stop(g, x);
		xfer_put(g, x);
	}
	http_pages_drop(g);
	g->listings = 0;
}

static int http_list(struct remote *r, const char *prefix, remote_list_fn *fn, void *data, struct err *e)
{
	struct http_remote *h = (struct http_remote *)r;
	struct http_engine *g = h->eng;
	struct listing like = { .fn = fn, .data = data };

	if (!h->dialect->list_next)
		return err_set(e, ERR_UNSUPPORTED, "'%s' cannot list", r->url);
	g->list_failed = false;
	err_release(&g->list_err);
	http_list_add(h, &like, prefix, NULL, 0);
	while (g->listings) {
		int rc = engine_turn(h, 500, e);

		if (!rc && proc_cancelled() && !g->list_failed)
			g->list_failed = proc_check(&g->list_err);
		if (rc || g->list_failed)
			drop_listings(g);
		if (rc)
			return -1;
	}
	if (g->list_failed) {
		err_move(e, &g->list_err);
		return err_in(e, "cannot list '%s'", r->url);
	}
	return 0;
}

static unsigned http_window(struct remote *r, unsigned set)
{
	struct http_engine *g = ((struct http_remote *)r)->eng;
	unsigned most = window_most(g);

	if (set)
		g->window = set > most ? most : set;
	return g->window;
}

static void http_cancel(struct remote *r)
{
	struct http_remote *h = (struct http_remote *)r;
	struct http_engine *g = h->eng;
	struct hop *o;

	for (;;) {
		struct xfer *x = g->active;

		while (x && !x->hop)
			x = x->next;
		o = x ? x->hop : g->queue ? g->queue : g->soon;
		if (!o)
			return;
		err_set(&o->op->err, ERR_INTR, "interrupted");
		hop_finish(h, o, RC_FATAL);
	}
}

static void engine_free(struct http_engine *g)
{
	drop_listings(g);
	while (g->idle) {
		struct xfer *x = g->idle;

		g->idle = x->next;
		xfer_release(x);
		free(x);
	}
	curl.curl_multi_cleanup(g->multi);
	close(g->poll);
	trail_free(g->trail);
	http_conf_release(&g->conf);
	err_release(&g->list_err);
	free(g);
}

static void http_close(struct remote *r)
{
	struct http_remote *h = (struct http_remote *)r;

	http_cancel(r);
	if (h->eng)
		engine_free(h->eng);
	h->eng = NULL;
	free(r->name);
	free(r->url);
	r->name = r->url = NULL;
	h->dialect->close(h);
}

int http_remote_init(struct http_remote *h, const struct http_dialect *d, const struct http_conf *c, struct err *e)
{
	static const struct remote_ops ops = {
		.scheme = "http", .close = http_close, .submit = http_submit, .run = http_run, .list = http_list,
		.window = http_window, .cancel = http_cancel,
	};
	struct http_engine *g;
	autoclose int poll = -1;

	if (load(e))
		return -1;
	poll = epoll_create1(EPOLL_CLOEXEC);
	if (poll < 0)
		return err_sys(e, "cannot watch connections");
	g = xcalloc(1, sizeof(*g));
	http_conf_copy(&g->conf, c);
	g->window = c->window ? c->window : WINDOW_FIRST;
	if (c->window > window_most(g))
		g->conf.window_max = c->window;
	g->queue_tail = &g->queue;
	g->multi = curl.curl_multi_init();
	if (!g->multi)
		BUG("curl_multi_init failed");
	g->poll = take_fd(poll);
	g->due_ms = -1;
	curl.curl_multi_setopt(g->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl.curl_multi_setopt(g->multi, CURLMOPT_SOCKETDATA, g);
	curl.curl_multi_setopt(g->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl.curl_multi_setopt(g->multi, CURLMOPT_TIMERDATA, g);
	curl.curl_multi_setopt(g->multi, CURLMOPT_MAXCONNECTS, (long)window_most(g) + 8);
	curl.curl_multi_setopt(g->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
	h->dialect = d;
	h->eng = g;
	h->remote.ops = &ops;
	return 0;
}

static int on_progress(void *data UNUSED, curl_off_t a UNUSED, curl_off_t b UNUSED, curl_off_t c UNUSED, curl_off_t d UNUSED)
{
	return proc_cancelled();
}

int http_exchange(const struct http_conf *c, struct hreq *q, struct hresp *a, struct err *e)
{
	struct xfer x = { .conf = c };
	unsigned stall = q->stall_secs ? q->stall_secs : c->stall_secs ? c->stall_secs : 60;
	CURLcode cc;
	int rc = 0;

	if (load(e))
		return -1;
	x.easy = curl.curl_easy_init();
	if (!x.easy)
		BUG("curl_easy_init failed");
	x.req = *q;
	x.resp.length = UINT64_MAX;
	set_all(&x);
	SET(&x, CURLOPT_TIMEOUT, (long)stall);
	SET(&x, CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(&x, CURLOPT_NOPROGRESS, 0L);
	cc = curl.curl_easy_perform(x.easy);
	if (proc_check(e)) {
		rc = -1;
	} else if (cc == CURLE_OK) {
		hresp_release(a);
		*a = x.resp;
		memset(&x.resp, 0, sizeof(x.resp));
	} else {
		class_of_curl(&x, cc, e);
		rc = -1;
	}
	hreq_init(&x.req);      /* the caller's */
	xfer_release(&x);
	return rc;
}

#include "remotes/http_own.h"

#include "core/base/own.h"

#include <ctype.h>
#include <stdarg.h>
#include <strings.h>
#include <time.h>

#define URL_MAX 8192
#define HEAD_ROOM 1024           /* of most answers */
#define KEEP_MOST 16384u         /* of a text's memory */

void hreq_init(struct hreq *q)
{
	memset(q, 0, sizeof(*q));
	q->fd = -1;
}

void hreq_release(struct hreq *q)
{
	str_release(&q->url);
	strvec_release(&q->headers);
	str_release(&q->own);
	hreq_init(q);
}

static struct str emptied(struct str *s)
{
	if (s->cap > KEEP_MOST)
		str_release(s);
	str_reset(s);
	return *s;
}

void hreq_reuse(struct hreq *q)
{
	struct str url = emptied(&q->url);
	struct strvec headers;

	strvec_reset(&q->headers);
	headers = q->headers;
	str_release(&q->own);
	hreq_init(q);
	q->url = url;
	q->headers = headers;
}

void hresp_reuse(struct hresp *a)
{
	*a = (struct hresp){ .head = emptied(&a->head), .body = emptied(&a->body), .length = UINT64_MAX };
}

void hreq_method(struct hreq *q, const char *method)
{
	snprintf(q->method, sizeof(q->method), "%s", method);
}

void hreq_header(struct hreq *q, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	hreq_take(q, xvasprintf(fmt, ap));
	va_end(ap);
}

void hreq_pair(struct hreq *q, const char *name, const char *value)
{
	size_t n = strlen(name), v = strlen(value);
	char *line = xmalloc(n + v + 3);

	memcpy(line, name, n);
	memcpy(line + n, ": ", 2);
	memcpy(line + n + 2, value, v + 1);
	hreq_take(q, line);
}

/* A value from a configuration or a server must not open a header of its own. */
void hreq_take(struct hreq *q, char *line)
{
	for (char *c = line; (c = strchr(c, '\r'));)
		*c = ' ';
	for (char *c = line; (c = strchr(c, '\n'));)
		*c = ' ';
	strvec_take(&q->headers, line);
}

void hreq_body_of(struct hreq *q, const struct rop *op, uint64_t off, uint64_t len)
{
	q->has_body = true;
	q->fd = op->fd;
	q->mem = op->fd < 0 ? op->mem : NULL;
	q->body_off = off;
	q->body_len = len;
}

void hreq_body_own(struct hreq *q, const void *p, size_t n)
{
	str_reset(&q->own);
	str_add(&q->own, p, n);
	q->has_body = true;
	q->fd = -1;
	q->mem = str_cstr(&q->own);
	q->body_off = 0;
	q->body_len = n;
}

void hresp_release(struct hresp *a)
{
	str_release(&a->head);
	str_release(&a->body);
	memset(a, 0, sizeof(*a));
	a->length = UINT64_MAX;
}

void hresp_add(struct hresp *a, const char *name, size_t nlen, const char *value, size_t vlen)
{
	uint64_t n;

	vlen = strnlen(value, vlen);
	if (!a->head.len)
		str_reserve(&a->head, HEAD_ROOM);
	str_add(&a->head, name, strnlen(name, nlen));
	str_addc(&a->head, '\0');
	str_add(&a->head, value, vlen);
	if (nlen == 14 && !strncasecmp(name, "content-length", nlen) && str_to_u64(a->head.buf + a->head.len - vlen, &n))
		a->length = n;
	str_addc(&a->head, '\0');
}

const char *hresp_header(const struct hresp *a, const char *name)
{
	const char *end = a->head.buf + a->head.len;

	for (const char *p = a->head.buf, *value; p < end; p = value + strlen(value) + 1) {
		value = p + strlen(p) + 1;
		if ((*p | 32) == (*name | 32) && !strcasecmp(p, name))
			return value;
	}
	return NULL;
}

bool hresp_is_encoded(const struct hresp *a)
{
	const char *v = hresp_header(a, "content-encoding");

	return v && *v && strcasecmp(v, "identity") != 0;
}

static int64_t http_date(const char *text)
{
	static const char *const forms[] = {
		"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"
	};
	struct tm tm;

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		memset(&tm, 0, sizeof(tm));
		if (strptime(text, forms[i], &tm))
			return (int64_t)timegm(&tm);
	}
	return 0;
}

int64_t hresp_date(const struct hresp *a)
{
	const char *d = hresp_header(a, "date");

	return d ? http_date(d) : 0;
}

int hresp_retry_after(const struct hresp *a)
{
	const char *v = hresp_header(a, "retry-after");
	uint64_t secs;
	int64_t at;

	if (!v)
		return 0;
	if (str_to_u64(v, &secs))
		return secs > 3600 ? 3600 : (int)secs;
	at = http_date(v);
	at = at ? at - (int64_t)time(NULL) : 0;
	return at <= 0 ? 0 : at > 3600 ? 3600 : (int)at;
}

enum rclass http_fail(struct hop *o, const struct hresp *a, enum rclass c, const char *code, const char *text)
{
	enum err_code ec = c == RC_AUTH ? ERR_AUTH : c == RC_RETRY ? ERR_TEMP : c == RC_CORRUPT ? ERR_CORRUPT : ERR_FAIL;
	autostr struct str say = STR_INIT;

	o->op->http_status = a->status;
	o->op->retry_after = hresp_retry_after(a);
	snprintf(o->op->code, sizeof(o->op->code), "%s", code ? code : "");
	str_addf(&say, "HTTP %d", a->status);
	if (code && *code)
		str_addf(&say, ": %.64s", code);
	if (text && *text) {
		str_adds(&say, ": ");
		for (size_t i = 0; text[i] && i < 300; i++)
			str_addc(&say, (unsigned char)text[i] < ' ' ? ' ' : text[i]);
	}
	err_set(&o->op->err, ec, "%s", str_cstr(&say));
	return c;
}

enum rclass http_class_of_status(const struct rop *op, int status)
{
	if (status >= 200 && status < 300)
		return RC_OK;
	switch (status) {
	case 401: case 403: case 407:
		return RC_AUTH;
	case 404: case 410:
		return op->kind == ROP_PUT ? RC_FATAL : RC_ABSENT;
	case 408: case 425: case 429:
		return RC_RETRY;
	case 416:
		return op->kind == ROP_GET && op->off ? RC_RETRY : RC_FATAL;
	case 412:
		if (op->kind == ROP_GET && op->off)
			return RC_RETRY;        /* changed since: the retry begins anew */
		return op->kind == ROP_PUT && (op->flags & ROP_IF_ABSENT) ? RC_EXISTS : RC_FATAL;
	case 501: case 505: case 507:
		return RC_FATAL;
	}
	return status >= 500 ? RC_RETRY : RC_FATAL;
}

void http_take_etag(struct rop *op, const struct hresp *a)
{
	const char *v = hresp_header(a, "etag");
	size_t n;

	if (v) {
		n = strlen(v);          /* a weak one stays as it is, "W/" and quotes included */
		if (n >= 2 && v[0] == '"' && v[n - 1] == '"') {
			v++;
			n -= 2;
		}
		if (n < sizeof(op->etag)) {
			memcpy(op->etag, v, n);
			op->etag[n] = 0;
		}
	}
	if (op->kind == ROP_STAT && a->length != UINT64_MAX)
		op->size = a->length;
}

/* H6: is this the rest of what the first bytes were of? Of immutable content the digest decides. */
bool http_goes_on(struct xfer *x, uint64_t total)
{
	struct rop *op = x->hop->op;
	char was[sizeof(op->etag)];

	memcpy(was, op->etag, sizeof(was));
	op->etag[0] = 0;
	http_take_etag(op, &x->resp);
	if (!x->req.from)
		return true;
	if (hresp_is_encoded(&x->resp) || (op->size && total && total != op->size))
		return false;
	return (op->flags & ROP_OBJECT) || !strcmp(was, op->etag);
}

void http_conf_copy(struct http_conf *to, const struct http_conf *c)
{
	*to = *c;
	to->ca_file = xstrdup(c->ca_file);
	to->cert_file = xstrdup(c->cert_file);
	to->key_file = xstrdup(c->key_file);
	to->digest_user = xstrdup(c->digest_user);
	to->digest_password = xstrdup(c->digest_password);
}

void http_conf_release(struct http_conf *c)
{
	free((char *)c->ca_file);
	free((char *)c->cert_file);
	free((char *)c->key_file);
	free((char *)c->digest_user);
	free((char *)c->digest_password);
}

/* ---- URLs ---- */

static bool is_unreserved(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
	       c == '_' || c == '~';
}

void url_encode(struct str *out, const char *s, bool keep_slash)
{
	static const char hex[] = "0123456789ABCDEF";

	while (*s) {
		unsigned char c = (unsigned char)*s;
		size_t plain = 0;

		while (is_unreserved((unsigned char)s[plain]) || (keep_slash && s[plain] == '/'))
			plain++;
		if (plain) {
			str_add(out, s, plain);
			s += plain;
		} else {
			str_add(out, (char[3]){ '%', hex[c >> 4], hex[c & 15] }, 3);
			s++;
		}
	}
}

static int hex_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool url_decode(struct str *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int hi, lo;

		if (s[i] != '%') {
			str_addc(out, s[i]);
			continue;
		}
		hi = i + 2 < n ? hex_of(s[i + 1]) : -1;
		lo = i + 2 < n ? hex_of(s[i + 2]) : -1;
		if (hi < 0 || lo < 0 || !(hi | lo))
			return false;
		str_addc(out, (char)(hi << 4 | lo));
		i += 2;
	}
	return true;
}

void url_release(struct url *u)
{
	free(u->scheme);
	free(u->user);
	free(u->password);
	free(u->host);
	free(u->port);
	free(u->path);
	free(u->query);
	memset(u, 0, sizeof(*u));
}

static int decode_into(char **out, const char *s, size_t n)
{
	autostr struct str d = STR_INIT;

	if (!url_decode(&d, s, n))
		return -1;
	*out = str_take(&d);
	return 0;
}

static int parse_userinfo(struct url *u, const char *s, size_t n)
{
	const char *colon = memchr(s, ':', n);

	if (decode_into(&u->user, s, colon ? (size_t)(colon - s) : n))
		return -1;
	return colon ? decode_into(&u->password, colon + 1, n - (size_t)(colon + 1 - s)) : 0;
}

static int parse_hostport(struct url *u, const char *s, size_t n)
{
	size_t h = 0;

	if (n && s[0] == '[') {
		while (h < n && s[h] != ']')
			h++;
		if (h == n)
			return -1;
		h++;
	} else {
		while (h < n && s[h] != ':')
			h++;
	}
	for (size_t i = 0; i < h; i++)
		if ((unsigned char)s[i] <= ' ' || strchr("<>\"\\^`{|}#?@", s[i]))
			return -1;
	u->host = xstrndup(s, h);
	if (h == n)
		return 0;
	if (s[h] != ':' || n - h > 6)
		return -1;
	for (size_t i = h + 1; i < n; i++)
		if (!isdigit((unsigned char)s[i]))
			return -1;
	if (n > h + 1)
		u->port = xstrndup(s + h + 1, n - h - 1);
	return 0;
}

int url_parse(struct url *out, const char *text, struct err *e)
{
	const char *p = strstr(text, "://"), *end, *at = NULL, *query;
	struct url u = { 0 };

	if (strlen(text) > URL_MAX)
		return err_set(e, ERR_CONFIG, "a URL of more than %d bytes", URL_MAX);
	if (!p || p == text)
		return err_set(e, ERR_CONFIG, "not a URL: no scheme");
	u.scheme = xstrndup(text, (size_t)(p - text));
	for (char *c = u.scheme; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("+-.", *c))
			goto bad;
		*c = (char)tolower((unsigned char)*c);
	}
	p += 3;
	end = p + strcspn(p, "/?#");
	for (const char *c = p; c < end; c++)
		if (*c == '@')
			at = c;
	if (at && parse_userinfo(&u, p, (size_t)(at - p)))
		goto bad;
	if (at)
		p = at + 1;
	if (parse_hostport(&u, p, (size_t)(end - p)))
		goto bad;
	query = end + strcspn(end, "?#");
	u.path = xstrndup(end, (size_t)(query - end));
	if (*query == '?')
		u.query = xstrndup(query + 1, strcspn(query + 1, "#"));
	url_release(out);
	*out = u;
	return 0;
bad:
	url_release(&u);
	return err_set(e, ERR_CONFIG, "malformed URL");
}

static const char *port_of(const struct url *u)
{
	return u->port ? u->port : !strcmp(u->scheme, "https") ? "443" : "80";
}

static void add_origin(struct str *out, const struct url *u)
{
	str_addf(out, "%s://%s", u->scheme, u->host);
	if (u->port)
		str_addf(out, ":%s", u->port);
}

static bool resolve_location(struct str *out, const struct url *base, const char *loc)
{
	const char *slash;

	if (strstr(loc, "://") && strcspn(loc, "/?#") > strcspn(loc, ":")) {
		str_adds(out, loc);
	} else if (loc[0] == '/' && loc[1] == '/') {
		str_addf(out, "%s:%s", base->scheme, loc);
	} else if (loc[0] == '/') {
		add_origin(out, base);
		str_adds(out, loc);
	} else {
		add_origin(out, base);
		slash = strrchr(base->path, '/');
		str_add(out, base->path, slash ? (size_t)(slash + 1 - base->path) : 0);
		if (!slash)
			str_addc(out, '/');
		str_adds(out, loc);
	}
	return true;
}

bool http_redirect(const struct hreq *q, const struct hresp *a, struct str *url, bool *same_origin)
{
	const char *loc = hresp_header(a, "location");
	struct url from = { 0 }, to = { 0 };
	autoerr struct err e = ERR_INIT;
	autostr struct str next = STR_INIT;
	bool ok = false;

	if (!loc || !*loc || strlen(loc) > URL_MAX || url_parse(&from, str_cstr(&q->url), &e))
		goto undo;
	resolve_location(&next, &from, loc);
	str_setlen(&next, strcspn(str_cstr(&next), "#"));
	if (url_parse(&to, str_cstr(&next), &e))
		goto undo;
	if (strcmp(to.scheme, "http") && strcmp(to.scheme, "https"))
		goto undo;
	if (!strcmp(from.scheme, "https") && strcmp(to.scheme, "https"))
		goto undo;
	*same_origin = !strcmp(from.scheme, to.scheme) && !strcasecmp(from.host, to.host) &&
		       !strcmp(port_of(&from), port_of(&to));
	str_reset(url);
	str_adds(url, str_cstr(&next));
	ok = true;
undo:
	url_release(&from);
	url_release(&to);
	return ok;
}

const char *http_ca_from_env(bool aws)
{
	static const char *const names[] = { "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE" };

	for (size_t i = aws ? 0 : 1; i < ARRAY_LEN(names); i++) {
		const char *v = getenv(names[i]);

		if (v && *v)
			return v;
	}
	return NULL;
}

bool http_env_has_proxy(void)
{
	static const char *const names[] = { "http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (getenv(names[i]))
			return true;
	return false;
}

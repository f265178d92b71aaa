#include "remotes/s3.h"

#include "core/base/own.h"
#include "remotes/xml.h"

#define SPLIT_FROM 2000u         /* keys: sixteen streams of pages from there on */
#define SPLIT_MORE 256000u       /* 256 of them, each with a page or more */

struct page {
	struct s3 *s;
	struct listing *l;
	struct str key, etag, size, first_last;
	char *token;
	bool truncated, encoded;
	size_t n;
};

static int give(struct page *p, struct err *e)
{
	autostr struct str key = STR_INIT;
	const char *text = str_cstr(&p->key), *etag;
	size_t skip = strlen(p->s->prefix);
	uint64_t size;

	if (p->encoded) {
		for (char *c = p->key.buf; c && *c; c++)
			if (*c == '+')
				*c = ' ';
		if (!url_decode(&key, text, p->key.len))
			return err_set(e, ERR_PARSE, "the listing holds a malformed key");
		text = str_cstr(&key);
	}
	if (strncmp(text, p->s->prefix, skip) || !str_to_u64(str_cstr(&p->size), &size))
		return err_set(e, ERR_PARSE, "the listing holds what was not asked for");
	p->n++;
	str_reset(&p->first_last);
	str_adds(&p->first_last, text + skip);
	if (str_ends(text, "/") && !size)
		return 0;       /* what consoles show as a folder */
	if (p->etag.len >= 2 && p->etag.buf[0] == '"') {
		str_setlen(&p->etag, p->etag.len - 1);
		etag = p->etag.buf + 1;
	} else {
		etag = str_cstr(&p->etag);
	}
	return p->l->fn(text + skip, size, etag, p->l->data, e);
}

static void keep(struct str *to, const char *text)
{
	str_reset(to);
	str_adds(to, text);
}

static int on_close(const char *path, const char *text, void *data, struct err *e)
{
	struct page *p = data;
	const char *leaf = strchr(path, '/');

	if (!leaf)
		return 0;
	leaf++;
	if (!strcmp(leaf, "Contents/Key"))
		keep(&p->key, text);
	else if (!strcmp(leaf, "Contents/Size"))
		keep(&p->size, text);
	else if (!strcmp(leaf, "Contents/ETag"))
		keep(&p->etag, text);
	else if (!strcmp(leaf, "Contents"))
		return give(p, e);
	else if (!strcmp(leaf, "IsTruncated"))
		p->truncated = !strcmp(text, "true");
	else if (!strcmp(leaf, "EncodingType"))
		p->encoded = !strcmp(text, "url");
	else if (!strcmp(leaf, "NextContinuationToken") && *text) {
		free(p->token);
		p->token = xstrdup(text);
	}
	return 0;
}

/* EncodingType may stand after the keys: look before reading. */
static bool says_encoded(const struct hresp *a)
{
	return memmem(str_cstr(&a->body), a->body.len, "<EncodingType>url<", 18) != NULL;
}

static int hex2(const char *s)
{
	static const char digits[] = "0123456789abcdef";
	const char *hi = s[0] ? strchr(digits, s[0]) : NULL, *lo = hi && s[1] ? strchr(digits, s[1]) : NULL;

	return lo ? (int)((hi - digits) * 16 + (lo - digits)) : -1;
}

/* A4: ids are uniform, so the last key of the first page tells how long the whole is. True: the rest was handed out. */
static bool split(struct page *p)
{
	const char *last = str_cstr(&p->first_last), *base = p->l->prefix;
	size_t keys;
	int at, step;

	if (p->l->pages || p->l->tag || !str_ends(base, "files/md5/") || !str_starts(last, base))
		return false;
	at = hex2(last + strlen(base));
	keys = at < 0 ? 0 : p->n * 256 / (size_t)(at + 1);
	if (keys < SPLIT_FROM)
		return false;
	step = keys < SPLIT_MORE ? 16 : 1;
	for (int i = at - at % step; i < 256; i += step) {
		autofree char *prefix = step > 1 ? xasprintf("%s%x", base, (unsigned)i / 16) : xasprintf("%s%02x/", base, (unsigned)i);
		autofree char *from = i <= at ? xasprintf("after %s", last) : NULL;

		http_list_add(&p->s->h, p->l, prefix, from, 1);
	}
	return true;
}

static int fill(struct s3 *s, const struct listing *l, struct hreq *q, struct err *e)
{
	struct s3_call c = { .method = "GET" };
	autofree char *prefix = xasprintf("%s%s", s->prefix, l->prefix);

	sigv4_query_add(&c.query, "list-type", "2");
	sigv4_query_add(&c.query, "prefix", prefix);
	sigv4_query_add(&c.query, "max-keys", "1000");
	sigv4_query_add(&c.query, "encoding-type", "url");
	if (l->marker && str_starts(l->marker, "after ")) {
		autofree char *from = xasprintf("%s%s", s->prefix, l->marker + 6);

		sigv4_query_add(&c.query, "start-after", from);
	} else if (l->marker) {
		sigv4_query_add(&c.query, "continuation-token", l->marker + 6);
	}
	return s3_call(s, q, &c, e);
}

int s3_list_next(struct http_remote *h, struct listing *l, struct hreq *q, const struct hresp *a, bool *again, struct err *e)
{
	static const struct xml_reader reader = { NULL, on_close };
	struct s3 *s = (struct s3 *)h;
	struct page p = { .s = s, .l = l };
	int rc;

	if (!a)
		return fill(s, l, q, e);
	if (a->status != 200)
		return s3_refused_list(s, q, a, again, e);
	p.encoded = says_encoded(a);
	rc = xml_read(str_cstr(&a->body), a->body.len, "the listing", &reader, &p, e);
	if (rc && e->code == ERR_PARSE)
		e->code = ERR_TEMP;     /* cut short on the way: ask again */
	if (!rc && p.truncated && !p.token)
		rc = err_set(e, ERR_FAIL, "the listing is cut short and says not where it goes on");
	if (!rc && p.truncated && !split(&p)) {
		autofree char *marker = xasprintf("token %s", p.token);

		rc = http_list_marker(l, marker, e);
	}
	free(p.token);
	str_release(&p.key);
	str_release(&p.etag);
	str_release(&p.size);
	str_release(&p.first_last);
	return rc;
}

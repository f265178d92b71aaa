#include "remotes/sigv4.h"

#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "remotes/http.h"

#include <time.h>

#define REQUEST_ROOM 1024        /* of most canonical requests */

static void digits(char *out, int value, int n)
{
	for (; n--; value /= 10)
		out[n] = (char)('0' + value % 10);
}

/* strftime() would cost as much as two digests. */
void sigv4_date(int64_t now, char out[17])
{
	time_t t = (time_t)now;
	struct tm tm;

	gmtime_r(&t, &tm);
	memcpy(out, "yyyymmddThhmmssZ", 17);
	digits(out, tm.tm_year + 1900, 4);
	digits(out + 4, tm.tm_mon + 1, 2);
	digits(out + 6, tm.tm_mday, 2);
	digits(out + 9, tm.tm_hour, 2);
	digits(out + 11, tm.tm_min, 2);
	digits(out + 13, tm.tm_sec, 2);
}

static size_t name_len(const struct sigv4_header *h)
{
	return (size_t)(strchrnul(h->name, ':') - h->name);
}

static bool is_before(const struct sigv4_header *a, const struct sigv4_header *b)
{
	size_t n = name_len(a), m = name_len(b);
	int c = memcmp(a->name, b->name, n < m ? n : m);

	return c ? c < 0 : n < m;
}

void sigv4_add(struct sigv4 *s, const char *name, const char *value)
{
	struct sigv4_header h = { name, value };
	size_t at = s->nh;

	if (s->nh == ARRAY_LEN(s->h))
		BUG("too many signed headers");
	for (; at && is_before(&h, &s->h[at - 1]); at--)
		s->h[at] = s->h[at - 1];
	s->h[at] = h;
	s->nh++;
}

void sigv4_add_line(struct sigv4 *s, const char *line)
{
	sigv4_add(s, line, strchr(line, ':') + 1);
}

int sigv4_payload(const void *p, size_t n, char out[65], struct err *e)
{
	unsigned char sum[32];

	if (sha256_once(p, n, sum, e))
		return -1;
	hex_encode(out, sum, 32);
	return 0;
}

/* Blanks at the ends go, runs of blanks become one. */
static void add_value(struct str *out, const char *v)
{
	for (;;) {
		const char *blank;

		while (*v == ' ')
			v++;
		blank = strchrnul(v, ' ');
		str_add(out, v, (size_t)(blank - v));
		v = blank;
		while (*v == ' ')
			v++;
		if (!*v)
			return;
		str_addc(out, ' ');
	}
}

/* Formats would cost more than the digests do. */
static void add_all(struct str *out, const char *const *v)
{
	while (*v)
		str_adds(out, *v++);
}

static void add_names(struct str *out, const struct sigv4 *s)
{
	for (size_t i = 0; i < s->nh; i++) {
		str_add(out, ";", i ? 1 : 0);
		str_add(out, s->h[i].name, name_len(&s->h[i]));
	}
}

static void canonical(struct str *out, const struct sigv4 *s)
{
	add_all(out, (const char *[]){ s->method, "\n", *s->path ? s->path : "/", "\n", s->query ? s->query : "", "\n", NULL });
	for (size_t i = 0; i < s->nh; i++) {
		str_add(out, s->h[i].name, name_len(&s->h[i]));
		str_addc(out, ':');
		add_value(out, s->h[i].value);
		str_addc(out, '\n');
	}
	str_addc(out, '\n');
	add_names(out, s);
	add_all(out, (const char *[]){ "\n", s->payload_hash, NULL });
}

static int derive(const struct sigv4 *s, const char *day, unsigned char key[32], struct err *e)
{
	autofree char *first = xasprintf("AWS4%s", s->secret_key);
	int rc = hmac_sha256(first, strlen(first), day, strlen(day), key, e) ||
		 hmac_sha256(key, 32, s->region, strlen(s->region), key, e) ||
		 hmac_sha256(key, 32, s->service, strlen(s->service), key, e) ||
		 hmac_sha256(key, 32, "aws4_request", 12, key, e);

	explicit_bzero(first, strlen(first));
	return rc ? -1 : 0;
}

static int key_of(const struct sigv4 *s, const char *day, const char *scope, struct sigv4_key *k, struct err *e)
{
	if (k->set && !strcmp(k->scope, scope) && !strcmp(k->secret, s->secret_key))
		return 0;
	k->set = false;
	if (derive(s, day, k->key, e))
		return -1;
	if (strlen(scope) >= sizeof(k->scope) || strlen(s->secret_key) >= sizeof(k->secret))
		return 0;
	memcpy(k->scope, scope, strlen(scope) + 1);
	memcpy(k->secret, s->secret_key, strlen(s->secret_key) + 1);
	k->set = true;
	return 0;
}

int sigv4_sign(struct sigv4 *s, struct sigv4_key *cache, struct str *out, struct err *e)
{
	autostr struct str text = STR_INIT, scope = STR_INIT;
	struct sigv4_key own = { .set = false };
	char date[17], day[9], hash[65], hex[65];
	unsigned char sum[32];

	sigv4_date(s->now, date);
	memcpy(day, date, 8);
	day[8] = 0;
	add_all(&scope, (const char *[]){ day, "/", s->region, "/", s->service, "/aws4_request", NULL });
	if (!cache)
		cache = &own;
	str_reserve(&text, REQUEST_ROOM);
	canonical(&text, s);
	if (sigv4_payload(str_cstr(&text), text.len, hash, e) || key_of(s, day, str_cstr(&scope), cache, e))
		return -1;
	str_reset(&text);
	add_all(&text, (const char *[]){ "AWS4-HMAC-SHA256\n", date, "\n", str_cstr(&scope), "\n", hash, NULL });
	if (hmac_sha256(cache->key, 32, str_cstr(&text), text.len, sum, e))
		return -1;
	hex_encode(hex, sum, 32);
	add_all(out, (const char *[]){ "AWS4-HMAC-SHA256 Credential=", s->access_key, "/", str_cstr(&scope), ", SignedHeaders=",
				       NULL });
	add_names(out, s);
	add_all(out, (const char *[]){ ", Signature=", hex, NULL });
	return 0;
}

void sigv4_query_add(struct sigv4_query *q, const char *name, const char *value)
{
	autostr struct str pair = STR_INIT;

	url_encode(&pair, name, false);
	str_addc(&pair, '=');
	url_encode(&pair, value ? value : "", false);
	strvec_push(&q->pairs, str_cstr(&pair));
}

/* By name, then by value: '=' sorts after '-' and '.', so whole pairs would not do. */
static int by_pair(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	size_t nx = strcspn(x, "="), ny = strcspn(y, "=");
	int c = memcmp(x, y, nx < ny ? nx : ny);

	if (c)
		return c;
	return nx != ny ? (nx < ny ? -1 : 1) : strcmp(x, y);
}

char *sigv4_query_take(struct sigv4_query *q)
{
	char *text;

	if (q->pairs.n)
		qsort(q->pairs.v, q->pairs.n, sizeof(q->pairs.v[0]), by_pair);
	text = q->pairs.n ? strvec_join(&q->pairs, "&") : xstrdup("");
	strvec_release(&q->pairs);
	return text;
}

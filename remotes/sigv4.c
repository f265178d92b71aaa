#include "remotes/sigv4.h"

#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "remotes/http.h"

#include <time.h>

void sigv4_date(int64_t now, char out[17])
{
	time_t t = (time_t)now;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, 17, "%Y%m%dT%H%M%SZ", &tm);
}

void sigv4_add(struct sigv4 *s, const char *name, const char *value)
{
	if (s->nh == ARRAY_LEN(s->h))
		BUG("too many signed headers");
	s->h[s->nh++] = (struct sigv4_header){ name, value };
}

int sigv4_payload(const void *p, size_t n, char out[65], struct err *e)
{
	unsigned char sum[32];

	if (sha256_once(p, n, sum, e))
		return -1;
	hex_encode(out, sum, 32);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct sigv4_header *)a)->name, ((const struct sigv4_header *)b)->name);
}

/* Blanks at the ends go, runs of blanks become one. */
static void add_value(struct str *out, const char *v)
{
	while (*v == ' ')
		v++;
	for (; *v; v++) {
		if (*v == ' ' && (v[1] == ' ' || !v[1]))
			continue;
		str_addc(out, *v);
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
	for (size_t i = 0; i < s->nh; i++)
		add_all(out, (const char *[]){ i ? ";" : "", s->h[i].name, NULL });
}

static void canonical(struct str *out, const struct sigv4 *s)
{
	add_all(out, (const char *[]){ s->method, "\n", *s->path ? s->path : "/", "\n", s->query ? s->query : "", "\n", NULL });
	for (size_t i = 0; i < s->nh; i++) {
		add_all(out, (const char *[]){ s->h[i].name, ":", NULL });
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
	char tag[65];

	if (sigv4_payload(s->secret_key, strlen(s->secret_key), tag, e))
		return -1;
	if (k->set && !strcmp(k->scope, scope) && !strcmp(k->secret_tag, tag))
		return 0;
	if (strlen(scope) >= sizeof(k->scope))
		return err_set(e, ERR_CONFIG, "the name of the region is too long");
	if (derive(s, day, k->key, e))
		return -1;
	memcpy(k->scope, scope, strlen(scope) + 1);
	memcpy(k->secret_tag, tag, sizeof(tag));
	k->set = true;
	return 0;
}

int sigv4_sign(struct sigv4 *s, struct sigv4_key *cache, struct str *out, struct err *e)
{
	autostr struct str text = STR_INIT, sts = STR_INIT;
	autofree char *scope = NULL;
	struct sigv4_key own = { .set = false };
	char date[17], day[9], hash[65], hex[65];
	unsigned char sum[32];

	qsort(s->h, s->nh, sizeof(s->h[0]), by_name);
	sigv4_date(s->now, date);
	memcpy(day, date, 8);
	day[8] = 0;
	scope = xasprintf("%s/%s/%s/aws4_request", day, s->region, s->service);
	if (!cache)
		cache = &own;
	canonical(&text, s);
	if (sigv4_payload(str_cstr(&text), text.len, hash, e) || key_of(s, day, scope, cache, e))
		return -1;
	add_all(&sts, (const char *[]){ "AWS4-HMAC-SHA256\n", date, "\n", scope, "\n", hash, NULL });
	if (hmac_sha256(cache->key, 32, str_cstr(&sts), sts.len, sum, e))
		return -1;
	hex_encode(hex, sum, 32);
	add_all(out, (const char *[]){ "AWS4-HMAC-SHA256 Credential=", s->access_key, "/", scope, ", SignedHeaders=", NULL });
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

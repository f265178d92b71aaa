#include "remotes/azure.h"

#include "core/base/hash.h"
#include "core/base/own.h"

#include <ctype.h>
#include <strings.h>
#include <time.h>

void azure_http_date(struct str *out, int64_t unix_time)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const months[] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
	};
	time_t t = (time_t)unix_time;
	struct tm tm;

	gmtime_r(&t, &tm);
	str_addf(out, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
		 tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static const char *header_value(const struct strvec *headers, const char *name)
{
	size_t n = strlen(name), i;

	for (i = 0; i < headers->n; i++) {
		const char *h = headers->v[i];

		if (!strncasecmp(h, name, n) && h[n] == ':') {
			for (h += n + 1; *h == ' '; h++)
				;
			return h;
		}
	}
	return "";
}

/* x-ms-* headers: names in lower case, sorted, one a line. */
static void add_ms_headers(struct str *out, const struct strvec *headers)
{
	autostrvec struct strvec lines = STRVEC_INIT;
	size_t i;

	for (i = 0; i < headers->n; i++) {
		const char *h = headers->v[i], *colon = strchr(h, ':'), *v;
		autofree char *name = NULL;
		char *p;

		if (!colon || strncasecmp(h, "x-ms-", 5) != 0)
			continue;
		name = xstrndup(h, (size_t)(colon - h));
		for (p = name; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		for (v = colon + 1; *v == ' '; v++)
			;
		strvec_pushf(&lines, "%s:%s\n", name, v);
	}
	strvec_sort(&lines);
	for (i = 0; i < lines.n; i++)
		str_adds(out, lines.v[i]);
}

/* Query parameters: names in lower case and sorted, values decoded. */
static int add_query(struct str *out, const char *query, struct err *e)
{
	autostrvec struct strvec parts = STRVEC_INIT, lines = STRVEC_INIT;
	size_t i;

	strvec_split(&parts, query, '&');
	for (i = 0; i < parts.n; i++) {
		const char *part = parts.v[i], *eq = strchr(part, '=');
		size_t n = eq ? (size_t)(eq - part) : strlen(part);
		autostr struct str name = STR_INIT, value = STR_INIT;
		size_t k;

		if (!*part)
			continue;
		if (!url_decode(&name, part, n) || !url_decode(&value, eq ? eq + 1 : "", eq ? strlen(eq + 1) : 0))
			return err_set(e, ERR_FAIL, "a query that cannot be signed");
		for (k = 0; k < name.len; k++)
			name.buf[k] = (char)tolower((unsigned char)name.buf[k]);
		strvec_pushf(&lines, "\n%s:%s", str_cstr(&name), str_cstr(&value));
	}
	strvec_sort(&lines);
	for (i = 0; i < lines.n; i++)
		str_adds(out, lines.v[i]);
	return 0;
}

int azure_string_to_sign(struct str *out, const char *method, const char *account, const char *url,
			 const struct strvec *headers, uint64_t body_len, struct err *e)
{
	static const char *const names[] = {
		"content-encoding", "content-language", NULL, "content-md5", "content-type", "date", "if-modified-since",
		"if-match", "if-none-match", "if-unmodified-since", "range",
	};
	const char *host = strstr(url, "://"), *path, *query;
	size_t i;

	path = host ? strchr(host + 3, '/') : NULL;
	if (!path)
		return err_set(e, ERR_FAIL, "an URL that cannot be signed");
	query = strchr(path, '?');
	str_adds(out, method);
	str_addc(out, '\n');
	for (i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i])
			str_adds(out, header_value(headers, names[i]));
		else if (body_len)
			str_addf(out, "%llu", (unsigned long long)body_len);
		str_addc(out, '\n');
	}
	add_ms_headers(out, headers);
	str_addf(out, "/%s", account);
	str_add(out, path, query ? (size_t)(query - path) : strlen(path));
	return query ? add_query(out, query + 1, e) : 0;
}

int azure_sign(const struct azure_creds *a, struct hreq *q, struct err *e)
{
	autostr struct str text = STR_INIT;
	unsigned char mac[32];
	autofree char *b64 = NULL;

	if (azure_string_to_sign(&text, q->method, a->account, str_cstr(&q->url), &q->headers,
				 q->has_body ? q->body_len : 0, e))
		return -1;
	if (hmac_sha256(a->key, a->key_len, text.buf, text.len, mac, e))
		return -1;
	b64 = base64_encode(mac, sizeof(mac));
	hreq_header(q, "Authorization: SharedKey %s:%s", a->account, b64);
	return 0;
}

#include "remotes/knownhosts.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/own.h"

#include <ctype.h>

#define FILE_MAX (16u << 20)
#define LINE_KEY_MAX 16384u

void knownhosts_release(struct knownhosts *k)
{
	size_t i;

	for (i = 0; i < k->n; i++) {
		free(k->v[i].type);
		free(k->v[i].key);
	}
	free(k->v);
	*k = (struct knownhosts)KNOWNHOSTS_INIT;
}

/* One star at a time, going back to the last one only: the work is at most pattern times name. */
bool knownhosts_glob(const char *pattern, size_t n, const char *name)
{
	const char *p = pattern, *end = pattern + n, *star = NULL, *back = NULL;

	while (*name) {
		if (p < end && *p == '*') {
			star = p++;
			back = name;
		} else if (p < end && (*p == '?' || tolower((unsigned char)*p) == tolower((unsigned char)*name))) {
			p++;
			name++;
		} else if (star) {
			p = star + 1;
			name = ++back;
		} else {
			return false;
		}
	}
	while (p < end && *p == '*')
		p++;
	return p == end;
}

/* "|1|salt|digest": HMAC-SHA1 of the name with the salt as key. 1 equal, 0 not, -1 the library is missing. */
static int hashed_match(const char *p, size_t n, const char *name, struct err *e)
{
	autofree char *text = xstrndup(p, n);
	char *bar = strlen(text) > 3 ? strchr(text + 3, '|') : NULL;    /* a NUL may end it early */
	autofree unsigned char *salt = NULL, *want = NULL;
	unsigned char got[20];
	autofree char *low = xstrdup(name);
	size_t ns, nw, i;

	if (!bar || strncmp(text, "|1|", 3))
		return 0;
	*bar = '\0';
	if (base64_decode(text + 3, &salt, &ns) || base64_decode(bar + 1, &want, &nw) || nw != 20)
		return 0;
	for (i = 0; low[i]; i++)
		low[i] = (char)tolower((unsigned char)low[i]);
	if (hmac_sha1(salt, ns, low, strlen(low), got, e))
		return -1;
	return !memcmp(got, want, 20);
}

static int names_match(const char *p, size_t n, const char *name, struct err *e)
{
	const char *end = p + n;
	int match = 0;

	if (n && *p == '|')
		return hashed_match(p, n, name, e);
	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		const char *stop = comma ? comma : end;
		bool not = p < stop && *p == '!';

		if (knownhosts_glob(p + not, (size_t)(stop - p) - not, name)) {
			if (not)
				return 0;
			match = 1;
		}
		p = comma ? comma + 1 : end;
	}
	return match;
}

static const char *word(const char **p, const char *end, size_t *n)
{
	const char *from;

	while (*p < end && (**p == ' ' || **p == '\t'))
		(*p)++;
	from = *p;
	while (*p < end && **p != ' ' && **p != '\t' && **p != '\r')
		(*p)++;
	*n = (size_t)(*p - from);
	return from;
}

static int take_line(struct knownhosts *k, const char *p, const char *end, size_t file, unsigned line, const char *name,
		     struct err *e)
{
	struct kh_line l = { .file = file, .line = line };
	const char *w, *type;
	size_t n, ntype;
	bool authority = false;
	autofree char *b64 = NULL;
	int match;

	w = word(&p, end, &n);
	if (!n || *w == '#')
		return 0;
	if (*w == '@') {
		l.revoked = n == 8 && !memcmp(w, "@revoked", 8);
		authority = n == 15 && !memcmp(w, "@cert-authority", 15);
		if (!l.revoked && !authority)
			return 0;
		w = word(&p, end, &n);
	}
	match = names_match(w, n, name, e);
	if (match <= 0)
		return match;
	type = word(&p, end, &ntype);
	w = word(&p, end, &n);
	if (!ntype || ntype > 128 || !n || n > LINE_KEY_MAX)
		return 0;
	if (authority) {
		k->authority = true;
		return 0;
	}
	b64 = xstrndup(w, n);
	if (base64_decode(b64, &l.key, &l.len))
		return 0;
	l.type = xstrndup(type, ntype);
	GROW(k->v, k->n, k->cap);
	k->v[k->n++] = l;
	return 0;
}

int knownhosts_read(struct knownhosts *k, const char *text, size_t len, size_t file, const char *name, struct err *e)
{
	const char *p = text, *end = text + len;
	unsigned line = 0;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *stop = nl ? nl : end;

		if (take_line(k, p, stop, file, ++line, name, e))
			return -1;
		p = nl ? nl + 1 : end;
	}
	return 0;
}

static int load_as(struct knownhosts *k, const struct strvec *files, const char *name, struct err *e)
{
	size_t i;

	for (i = 0; i < files->n; i++) {
		autostr struct str text = STR_INIT;

		if (!fs_exists(files->v[i]))
			continue;
		if (fs_read(&text, files->v[i], FILE_MAX, e) ||
		    knownhosts_read(k, str_cstr(&text), text.len, i, name, e))
			return -1;
	}
	return 0;
}

int knownhosts_load(struct knownhosts *k, const struct strvec *files, const char *host, int port, struct err *e)
{
	autofree char *name = port == 22 ? xstrdup(host) : xasprintf("[%s]:%d", host, port);

	if (load_as(k, files, name, e))
		return -1;
	/* As ssh: a key known for the host without its port is good for the port too. */
	return port != 22 && !k->n && !k->authority ? load_as(k, files, host, e) : 0;
}

enum kh_answer knownhosts_check(const struct knownhosts *k, const void *key, size_t len, const struct kh_line **at)
{
	enum kh_answer a = KH_UNKNOWN;
	size_t i;

	*at = NULL;
	for (i = 0; i < k->n; i++) {
		bool same = k->v[i].len == len && !memcmp(k->v[i].key, key, len);

		if (same && k->v[i].revoked) {
			*at = &k->v[i];
			return KH_REVOKED;
		}
		if (k->v[i].revoked || a == KH_MATCH || (a == KH_CHANGED && !same))
			continue;
		a = same ? KH_MATCH : KH_CHANGED;
		*at = &k->v[i];
	}
	return a;
}

bool knownhosts_has_type(const struct knownhosts *k, const char *type)
{
	size_t i;

	for (i = 0; i < k->n; i++)
		if (!k->v[i].revoked && !strcmp(k->v[i].type, type))
			return true;
	return false;
}

bool knownhosts_has_marks(const struct knownhosts *k)
{
	size_t i;

	for (i = 0; i < k->n; i++)
		if (k->v[i].revoked)
			return true;
	return k->authority;
}

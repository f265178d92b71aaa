#include "core/base/str.h"

#include "core/base/own.h"
#include "core/base/unicode.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <wctype.h>

void str_release(struct str *s)
{
	free(s->buf);
	*s = (struct str)STR_INIT;
}

void str_reset(struct str *s)
{
	s->len = 0;
	if (s->buf)
		s->buf[0] = '\0';
}

void str_reserve(struct str *s, size_t more)
{
	size_t want;

	if (__builtin_add_overflow(s->len, more, &want) || want == SIZE_MAX)
		BUG("string length overflow");
	want++;
	if (want <= s->cap)
		return;
	if (want < s->cap + s->cap / 2)
		want = s->cap + s->cap / 2;
	if (want < 32)
		want = 32;
	s->buf = xrealloc(s->buf, want);
	s->cap = want;
	s->buf[s->len] = '\0';
}

void str_add(struct str *s, const void *p, size_t n)
{
	str_reserve(s, n);
	if (n)
		memcpy(s->buf + s->len, p, n);
	s->len += n;
	s->buf[s->len] = '\0';
}

void str_adds(struct str *s, const char *text)
{
	str_add(s, text, strlen(text));
}

void str_addc(struct str *s, char c)
{
	str_add(s, &c, 1);
}

void str_addn(struct str *s, char c, size_t n)
{
	str_reserve(s, n);
	memset(s->buf + s->len, c, n);
	s->len += n;
	s->buf[s->len] = '\0';
}

static void addv(struct str *s, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		BUG("bad format '%s'", fmt);
	str_reserve(s, (size_t)n);
	vsnprintf(s->buf + s->len, (size_t)n + 1, fmt, ap);
	s->len += (size_t)n;
}

void str_addf(struct str *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	addv(s, fmt, ap);
	va_end(ap);
}

void str_setlen(struct str *s, size_t len)
{
	if (len > s->len)
		BUG("str_setlen beyond the end");
	s->len = len;
	if (s->buf)
		s->buf[len] = '\0';
}

char *str_take(struct str *s)
{
	char *p = s->buf ? s->buf : xstrdup("");

	*s = (struct str)STR_INIT;
	return p;
}

void strvec_release(struct strvec *v)
{
	for (size_t i = 0; i < v->n; i++)
		free(v->v[i]);
	free(v->v);
	*v = (struct strvec)STRVEC_INIT;
}

void strvec_reset(struct strvec *v)
{
	for (size_t i = 0; i < v->n; i++)
		free(v->v[i]);
	v->n = 0;
	if (v->v)
		v->v[0] = NULL;
}

void strvec_take(struct strvec *v, char *s)
{
	if (v->n + 1 >= v->cap) {
		v->cap = v->cap ? v->cap * 2 : 8;
		v->v = xreallocarray(v->v, v->cap, sizeof(*v->v));
	}
	v->v[v->n++] = s;
	v->v[v->n] = NULL;
}

void strvec_push(struct strvec *v, const char *s)
{
	strvec_take(v, xstrdup(s));
}

void strvec_pushf(struct strvec *v, const char *fmt, ...)
{
	struct str s = STR_INIT;
	va_list ap;

	va_start(ap, fmt);
	addv(&s, fmt, ap);
	va_end(ap);
	strvec_take(v, str_take(&s));
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strvec_sort(struct strvec *v)
{
	if (v->n > 1)
		qsort(v->v, v->n, sizeof(*v->v), by_bytes);
}

void strvec_uniq(struct strvec *v)
{
	size_t to = 0;

	for (size_t i = 0; i < v->n; i++) {
		if (to && !strcmp(v->v[to - 1], v->v[i]))
			free(v->v[i]);
		else
			v->v[to++] = v->v[i];
	}
	v->n = to;
	if (v->v)
		v->v[to] = NULL;
}

bool strvec_has(const struct strvec *v, const char *s)
{
	for (size_t i = 0; i < v->n; i++)
		if (!strcmp(v->v[i], s))
			return true;
	return false;
}

bool strvec_has_sorted(const struct strvec *v, const char *s)
{
	size_t i = sorted_from(v->v, 0, v->n, sizeof(*v->v), 0, s);

	return i < v->n && !strcmp(v->v[i], s);
}

size_t sorted_from(const void *v, size_t lo, size_t n, size_t width, size_t offset, const char *key)
{
	while (lo < n) {
		size_t mid = lo + (n - lo) / 2;
		const char *const *at = (const void *)((const char *)v + mid * width + offset);

		if (strcmp(*at, key) < 0)
			lo = mid + 1;
		else
			n = mid;
	}
	return lo;
}

void strvec_remove(struct strvec *v, size_t i)
{
	free(v->v[i]);
	memmove(v->v + i, v->v + i + 1, (v->n - i) * sizeof(*v->v));
	v->n--;
}

void strvec_split(struct strvec *v, const char *s, char sep)
{
	for (;;) {
		const char *end = strchr(s, sep);

		if (!end)
			break;
		strvec_take(v, xstrndup(s, (size_t)(end - s)));
		s = end + 1;
	}
	strvec_push(v, s);
}

int strvec_add_words(struct strvec *v, const char *s)
{
	autostr struct str word = STR_INIT;
	bool any = false;
	char quote = 0;

	for (; *s; s++) {
		if (!quote && strchr(" \t\r\n", *s)) {
			if (any)
				strvec_push(v, str_cstr(&word));
			str_reset(&word);
			any = false;
			continue;
		}
		any = true;
		if (quote ? *s == quote : *s == '\'' || *s == '"') {
			quote = quote ? 0 : *s;
			continue;
		}
		if (*s == '\\' && quote != '\'') {
			if (!*++s)
				return -1;
			if (quote && *s != quote && *s != '\\')
				str_addc(&word, '\\');
		}
		str_addc(&word, *s);
	}
	if (any && !quote)
		strvec_push(v, str_cstr(&word));
	return quote ? -1 : 0;
}

char *strvec_join(const struct strvec *v, const char *sep)
{
	struct str s = STR_INIT;

	for (size_t i = 0; i < v->n; i++) {
		if (i)
			str_adds(&s, sep);
		str_adds(&s, v->v[i]);
	}
	return str_take(&s);
}

bool str_starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && !memcmp(s + n - m, suffix, m);
}

char *str_trim_dup(const char *s)
{
	size_t n;

	while (isspace((unsigned char)*s))
		s++;
	n = strlen(s);
	while (n && isspace((unsigned char)s[n - 1]))
		n--;
	return xstrndup(s, n);
}

bool str_to_u64(const char *s, uint64_t *out)
{
	uint64_t v = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return false;
	}
	*out = v;
	return true;
}

bool str_to_i64(const char *s, int64_t *out)
{
	bool neg = *s == '-';
	uint64_t v;

	if (*s == '-' || *s == '+')
		s++;
	if (!str_to_u64(s, &v) || v > (uint64_t)INT64_MAX + neg)
		return false;
	*out = neg ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

void str_lower(char **s)
{
	const char *end = *s + strlen(*s);
	autostr struct str low = STR_INIT;
	locale_t utf8;
	bool plain = true;

	for (char *p = *s; *p; p++) {
		plain = plain && !(*p & 0x80);
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	}
	if (plain || !str_is_utf8(*s, (size_t)(end - *s)) || !(utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0)))
		return;
	for (const char *p = *s; p < end;)
		uc_add(&low, (uint32_t)towlower_l((wint_t)uc_next(&p, end), utf8));
	freelocale(utf8);
	free(*s);
	*s = str_take(&low);
}

bool str_is_utf8(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + n;

	while (p < end) {
		unsigned c = *p++, more;
		uint32_t cp, min;

		if (c < 0x80)
			continue;
		if (c >= 0xc2 && c < 0xe0)
			more = 1, cp = c & 0x1f, min = 0x80;
		else if ((c & 0xf0) == 0xe0)
			more = 2, cp = c & 0x0f, min = 0x800;
		else if (c >= 0xf0 && c < 0xf5)
			more = 3, cp = c & 0x07, min = 0x10000;
		else
			return false;
		if ((size_t)(end - p) < more)
			return false;
		while (more--) {
			if ((*p & 0xc0) != 0x80)
				return false;
			cp = cp << 6 | (*p++ & 0x3f);
		}
		if (cp < min || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
			return false;
	}
	return true;
}

char *str_utf8_fault(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t i = 0, len = 1, good;

	/* step by sequences that are right */
	for (; i < n; i += len) {
		len = p[i] < 0x80 ? 1 : p[i] < 0xe0 ? 2 : p[i] < 0xf0 ? 3 : 4;
		if (len > n - i || !str_is_utf8(s + i, len))
			break;
	}
	if (i >= n)
		return NULL;
	if (p[i] < 0xc2 || p[i] > 0xf4)
		return xasprintf("'utf-8' codec can't decode byte 0x%02x in position %zu: invalid start byte", p[i], i);
	for (good = 1; good < len && i + good < n && (p[i + good] & 0xc0) == 0x80; good++)
		if (good == 1 && ((p[i] == 0xe0 && p[i + 1] < 0xa0) || (p[i] == 0xed && p[i + 1] > 0x9f) ||
				  (p[i] == 0xf0 && p[i + 1] < 0x90) || (p[i] == 0xf4 && p[i + 1] > 0x8f)))
			break;
	if (good > 1)
		return xasprintf("'utf-8' codec can't decode bytes in position %zu-%zu: %s", i, i + good - 1,
				 i + good < n ? "invalid continuation byte" : "unexpected end of data");
	return xasprintf("'utf-8' codec can't decode byte 0x%02x in position %zu: %s", p[i], i,
			 i + good < n ? "invalid continuation byte" : "unexpected end of data");
}

static bool shell_plain(const char *w)
{
	if (!*w)
		return false;
	for (; *w; w++)
		if (!isalnum((unsigned char)*w) && !strchr("@%+=:,./-_", *w))
			return false;
	return true;
}

void str_add_shell(struct str *s, const char *word)
{
	if (shell_plain(word)) {
		str_adds(s, word);
		return;
	}
	str_addc(s, '\'');
	for (; *word; word++) {
		if (*word == '\'')
			str_adds(s, "'\"'\"'");
		else
			str_addc(s, *word);
	}
	str_addc(s, '\'');
}

void str_add_human(struct str *s, uint64_t bytes)
{
	static const char *const unit[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	size_t i = 0;

	if (bytes < 1024) {
		str_addf(s, "%llu B", (unsigned long long)bytes);
		return;
	}
	for (v /= 1024; v >= 1024 && i + 1 < ARRAY_LEN(unit); i++)
		v /= 1024;
	str_addf(s, v < 10 ? "%.2f %s" : "%.1f %s", v, unit[i]);
}

void str_add_safe(struct str *s, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == 0xc2 && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] < 0xa0) {
			str_addf(s, "\\x%02x", (unsigned char)*++text);        /* U+009b starts a sequence, as ESC [ does */
		} else if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f) {
			str_addf(s, "\\x%02x", c);
		} else {
			str_addc(s, (char)c);
		}
	}
}

char *str_cut_lines(char *s)
{
	struct str out = STR_INIT;
	char *line = s;

	if (strlen(s) <= STR_LINE_MAX)
		return s;
	for (;;) {
		size_t n = strcspn(line, "\n"), head = STR_LINE_MAX / 2, tail = STR_LINE_MAX / 2;

		if (n > STR_LINE_MAX) {       /* not in the middle of a character */
			while (head && ((unsigned char)line[head] & 0xc0) == 0x80)
				head--;
			while (tail && ((unsigned char)line[n - tail] & 0xc0) == 0x80)
				tail--;
			str_add(&out, line, head);
			str_adds(&out, "...");
			str_add(&out, line + n - tail, tail);
		} else {
			str_add(&out, line, n);
		}
		if (!line[n])
			break;
		str_addc(&out, '\n');
		line += n + 1;
	}
	free(s);
	return str_take(&out);
}

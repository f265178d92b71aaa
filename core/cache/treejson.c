#include "core/cache/treejson.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"

#include <limits.h>

static const char head[] = "{\"md5\": \"";
static const char middle[] = "\", \"relpath\": \"";
#define HEAD (sizeof(head) - 1)
#define MIDDLE (sizeof(middle) - 1)

/* Length of the UTF-8 sequence at s and its code point; 0 when there is none. */
static size_t utf8_at(const unsigned char *s, uint32_t *cp)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : *s >= 0xc2 ? 2 : 0;

	if (!n || *s > 0xf4)
		return 0;
	*cp = *s & (0xff >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (s[i] & 0x3f);
	}
	return *cp < least[n] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp < 0xe000) ? 0 : n;
}

static void add_u(struct str *out, unsigned v)
{
	char buf[8];

	snprintf(buf, sizeof(buf), "\\u%04x", v & 0xffff);
	str_add(out, buf, 6);
}

/* One character that cannot stand as it is. Bytes that are not UTF-8 become what Python's surrogateescape gives. */
static size_t add_escaped(struct str *out, const unsigned char *s)
{
	static const char named[] = "\"\"\\\\\nn\rr\tt\bb\ff";
	uint32_t cp = *s;
	size_t n = 1;

	for (const char *p = named; *p; p += 2) {
		if ((unsigned char)*p == *s) {
			str_addc(out, '\\');
			str_addc(out, p[1]);
			return 1;
		}
	}
	if (*s >= 0x80) {
		n = utf8_at(s, &cp);
		if (!n) {
			add_u(out, 0xdc00 + *s);
			return 1;
		}
	}
	if (cp >= 0x10000) {
		add_u(out, 0xd800 + ((cp - 0x10000) >> 10));
		cp = 0xdc00 + ((cp - 0x10000) & 0x3ff);
	}
	add_u(out, cp);
	return n;
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void add_path(struct str *out, const char *path)
{
	const unsigned char *s = (const unsigned char *)path;

	while (*s) {
		size_t n = 0;

		while (is_plain(s[n]))
			n++;
		str_add(out, s, n);
		s += n;
		if (*s)
			s += add_escaped(out, s);
	}
}

void tree_dump(struct str *out, const struct tree *t)
{
	size_t guess = 2;

	for (size_t i = 0; i < t->n; i++)
		guess += HEAD + 32 + MIDDLE + strlen(t->e[i].path) + 4;
	str_reserve(out, guess + 1);
	str_addc(out, '[');
	for (size_t i = 0; i < t->n; i++) {
		char item[HEAD + 33 + MIDDLE];

		if (i)
			str_add(out, ", ", 2);
		memcpy(item, head, HEAD);
		hex_encode(item + HEAD, t->e[i].id.md5, 16);
		memcpy(item + HEAD + 32, middle, MIDDLE);
		str_add(out, item, HEAD + 32 + MIDDLE);
		add_path(out, t->e[i].path);
		str_add(out, "\"}", 2);
	}
	str_addc(out, ']');
}

/* What came out of a parse attempt: TRY_OTHER means "not the canonical shape", not an error. */
enum { TRY_OTHER = 1 };

static int hex4(const char *s, uint32_t *v)
{
	*v = 0;
	for (int i = 0; i < 4; i++) {
		char c = s[i];
		int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;

		if (d < 0)
			return -1;
		*v = *v << 4 | (uint32_t)d;
	}
	return 0;
}

static char *put_utf8(char *o, uint32_t cp)
{
	if (cp < 0x80) {
		*o++ = (char)cp;
	} else if (cp < 0x800) {
		*o++ = (char)(0xc0 | cp >> 6);
		*o++ = (char)(0x80 | (cp & 63));
	} else if (cp < 0x10000) {
		*o++ = (char)(0xe0 | cp >> 12);
		*o++ = (char)(0x80 | (cp >> 6 & 63));
		*o++ = (char)(0x80 | (cp & 63));
	} else {
		*o++ = (char)(0xf0 | cp >> 18);
		*o++ = (char)(0x80 | (cp >> 12 & 63));
		*o++ = (char)(0x80 | (cp >> 6 & 63));
		*o++ = (char)(0x80 | (cp & 63));
	}
	return o;
}

/* The escape behind the backslash at s. Anything unusual (NUL, lone surrogate) is left to the careful parser. */
static const char *unescape(const char *s, const char *end, char **o)
{
	static const char named[] = "\"\"\\\\//n\nr\rt\tb\bf\f";
	uint32_t cp, low;

	if (end - s < 6)
		return NULL;
	for (const char *p = named; *p; p += 2) {
		if (*p == s[1]) {
			*(*o)++ = p[1];
			return s + 2;
		}
	}
	if (s[1] != 'u' || hex4(s + 2, &cp) || !cp)
		return NULL;
	s += 6;
	if (cp >= 0xd800 && cp < 0xe000) {
		if (cp >= 0xdc00 || end - s < 6 || s[0] != '\\' || s[1] != 'u' || hex4(s + 2, &low) ||
		    low < 0xdc00 || low >= 0xe000)
			return NULL;
		cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
		s += 6;
	}
	*o = put_utf8(*o, cp);
	return s;
}

/* Reads the string whose first character is at s; returns behind its closing quote. NULL: leave it to the parser. */
static const char *fast_string(struct tree *t, const char *s, const char *end, const char **path)
{
	const char *stop = memchr(s, '"', (size_t)(end - s));
	char *room, *o;

	while (stop && stop[-1] == '\\') {      /* perhaps an escaped quote: go to a quote that surely ends it */
		size_t back = 1;

		while (stop - back > s && stop[-1 - (ptrdiff_t)back] == '\\')
			back++;
		if (back % 2 == 0)
			break;
		stop = memchr(stop + 1, '"', (size_t)(end - stop - 1));
	}
	if (!stop || stop - s > PATH_MAX * 6)
		return NULL;
	room = o = tree_path_room(t, (size_t)(stop - s));       /* an escape is never shorter than its UTF-8 */
	while (s < stop) {
		if (is_plain((unsigned char)*s))
			*o++ = *s++;
		else if (*s != '\\' || !(s = unescape(s, end, &o)))
			return NULL;
	}
	*o = 0;
	*path = room;
	return stop + 1;
}

static const char *fast_item(struct tree *t, const char *s, const char *end)
{
	struct oid id = { .is_dir = 0 };
	const char *path;

	if ((size_t)(end - s) < HEAD + 32 + MIDDLE + 2 || memcmp(s, head, HEAD) ||
	    !hex_decode(id.md5, s + HEAD, 16) || memcmp(s + HEAD + 32, middle, MIDDLE))
		return NULL;
	s = fast_string(t, s + HEAD + 32 + MIDDLE, end, &path);
	if (!s || s == end || *s != '}')
		return NULL;
	tree_append(t, path, &id, -1);
	return s + 1;
}

static int parse_fast(struct tree *t, const char *s, size_t len)
{
	const char *end = s + len;

	if (len < 2 || *s != '[')
		return TRY_OTHER;
	if (len == 2 && s[1] == ']')
		return 0;
	for (s++; s < end; s += 2) {
		s = fast_item(t, s, end);
		if (!s || s == end)
			return TRY_OTHER;
		if (*s == ']')
			return s + 1 == end ? 0 : TRY_OTHER;
		if (end - s < 2 || s[0] != ',' || s[1] != ' ')
			return TRY_OTHER;
	}
	return TRY_OTHER;
}

static int corrupt(struct err *e, const char *name, const char *why)
{
	return err_set(e, ERR_CORRUPT, "directory manifest '%s' is corrupted: %s", name, why);
}

static int slow_item(struct tree *t, const struct node *item, const char *name, struct err *e)
{
	const struct node *path = node_get(item, "relpath"), *md5 = node_get(item, "md5");
	const struct node *size = node_get(item, "size");
	struct tree_entry *x;
	struct oid id;

	if (!node_is(item, NODE_MAP))
		return corrupt(e, name, "an entry is not an object");
	if (!node_is(path, NODE_STR) || !node_is(md5, NODE_STR))
		return corrupt(e, name, "an entry lacks 'relpath' or 'md5'");
	if (!oid_parse(&id, md5->text))
		return corrupt(e, name, "an entry's 'md5' is not one");
	if (strlen(path->text) != path->len)
		return err_set(e, ERR_UNSAFE, "directory manifest '%s' holds a path with a NUL byte", name);
	tree_add(t, path->text, &id, node_is(size, NODE_INT) && size->fits && size->i >= 0 ? size->i : -1);
	x = &t->e[t->n - 1];
	if (item->n > 2)
		x->extra = node_copy(item);
	return 0;
}

static int parse_slow(struct tree *t, const char *text, size_t len, const char *name, struct err *e)
{
	autonode struct node *list = NULL;
	struct err why = ERR_INIT;

	if (json_parse(&list, text, len, name, &why)) {
		corrupt(e, name, why.msg);
		err_release(&why);
		return -1;
	}
	if (!node_is(list, NODE_SEQ))
		return corrupt(e, name, "not a list");
	for (size_t i = 0; i < list->n; i++)
		if (slow_item(t, list->v[i], name, e))
			return -1;
	return 0;
}

/* R1. The path is shown as far as a terminal may see it. */
static int check_entries(struct tree *t, const char *name, struct err *e)
{
	size_t before;

	for (size_t i = 0; i < t->n; i++) {
		const char *p = t->e[i].path;
		autostr struct str shown = STR_INIT;

		if (path_is_safe(p) && str_is_utf8(p, strlen(p)))
			continue;
		str_add_safe(&shown, p);
		return err_set(e, ERR_UNSAFE, "directory manifest '%s' holds the unsafe path '%s'", name,
			       str_cstr(&shown));
	}
	before = t->n;
	tree_sort(t);
	if (t->n != before)
		return err_set(e, ERR_UNSAFE, "directory manifest '%s' holds one path twice", name);
	return 0;
}

int tree_parse(struct tree **out, const char *text, size_t len, const char *name, struct err *e)
{
	autotree struct tree *t = tree_new();

	if (parse_fast(t, text, len)) {
		tree_free(t);
		t = tree_new();
		if (parse_slow(t, text, len, name, e))
			return -1;
	}
	if (check_entries(t, name, e))
		return -1;
	*out = take(t);
	return 0;
}

/* glob - one compiled ignore pattern. See glob.h. */
#include "core/repo/glob.h"

#include <ctype.h>

#include "core/base/own.h"
#include "core/base/str.h"

enum { T_CHAR, T_ANY /* one, not '/' */, T_ALL /* one */, T_STAR /* many, not '/' */, T_DEEP /* many */, T_CLASS, T_OPT };

struct range { uint32_t lo, hi; };
struct charset { bool neg, no_slash; struct range *v; size_t n, cap; };
struct tok {
	int kind;
	uint32_t c;             /* T_CHAR; T_OPT: how many tokens may be skipped; T_CLASS: index into sets */
};
enum shape { S_NEVER, S_ALWAYS, S_NAME, S_SUFFIX, S_PATH, S_TOKENS };
enum accept { A_END, A_END_OR_SLASH, A_SLASH };

struct glob {
	enum ignore_kind kind;
	enum shape shape;
	enum accept accept;
	bool neg, dir_only, nested, basename, prefix_dir;
	char *lit;              /* S_NAME, S_SUFFIX, S_PATH; S_TOKENS of git: the text before the first wildcard */
	size_t lit_len;
	struct tok *t;
	size_t n, cap;
	struct charset *sets;
	size_t nsets, sets_cap;
};

/* Stands for the directory of a nested .dvcignore: DVC rebases its patterns, and so the words "all" and "nothing" shift. */
#define BASE_MARK "\001"

static void glob_push(struct glob *g, int kind, uint32_t c)
{
	GROW(g->t, g->n, g->cap);
	g->t[g->n++] = (struct tok){ kind, c };
}

static void charset_add(struct charset *s, uint32_t lo, uint32_t hi)
{
	GROW(s->v, s->n, s->cap);
	s->v[s->n++] = (struct range){ lo, hi };
}

static struct charset *glob_push_set(struct glob *g)
{
	GROW(g->sets, g->nsets, g->sets_cap);
	g->sets[g->nsets] = (struct charset){ 0 };
	glob_push(g, T_CLASS, (uint32_t)g->nsets);
	return &g->sets[g->nsets++];
}

/* One character: a byte for git, a code point for pathspec. Bad UTF-8 counts byte by byte. */
static uint32_t next_char(const char **p, bool utf8)
{
	const unsigned char *s = (const unsigned char *)*p;
	unsigned len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 1;
	uint32_t c;

	if (!utf8 || len == 1) {
		(*p)++;
		return s[0];
	}
	c = s[0] & (0xff >> (len + 1));
	for (unsigned i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			(*p)++;
			return s[0];
		}
		c = c << 6 | (s[i] & 0x3f);
	}
	*p += len;
	return c;
}

static bool charset_has(const struct charset *s, uint32_t c)
{
	bool in = false;

	if (s->no_slash && c == '/')
		return false;
	for (size_t i = 0; i < s->n && !in; i++)
		in = c >= s->v[i].lo && c <= s->v[i].hi;
	return in != s->neg;
}

/* Marks what is reachable from the marked states without a character: all of it lies ahead of them. */
static void states_close(const struct glob *g, unsigned char *set)
{
	for (size_t i = 0; i < g->n; i++) {
		int kind = g->t[i].kind;

		if (!set[i] || (kind != T_OPT && kind != T_STAR && kind != T_DEEP))
			continue;
		set[i + 1] = 1;
		if (kind == T_OPT)
			set[i + 1 + g->t[i].c] = 1;
	}
}

static bool state_step(const struct glob *g, const unsigned char *cur, unsigned char *next, uint32_t c)
{
	bool alive = false;

	for (size_t i = 0; i < g->n; i++) {
		const struct tok *t = &g->t[i];
		size_t to = i + 1;
		bool go = false;

		if (!cur[i])
			continue;
		switch (t->kind) {
		case T_CHAR: go = c == t->c; break;
		case T_ANY: go = c != '/'; break;
		case T_ALL: go = true; break;
		case T_STAR: go = c != '/'; to = i; break;
		case T_DEEP: go = true; to = i; break;
		case T_CLASS: go = charset_has(&g->sets[t->c], c); break;
		default: break;
		}
		if (go) {
			next[to] = 1;
			alive = true;
		}
	}
	if (alive)
		states_close(g, next);
	return alive;
}

static bool glob_run(const struct glob *g, const char *s, bool trailing_slash)
{
	unsigned char small[2][256], *cur = small[0], *next = small[1], *swap;
	autofree unsigned char *big = NULL;
	bool utf8 = g->kind == IGNORE_DVC, hit = false, slash_done = !trailing_slash;
	size_t size = g->n + 1;

	if (size > sizeof(small[0])) {
		big = xmalloc(2 * size);
		cur = big;
		next = big + size;
	}
	memset(cur, 0, size);
	cur[0] = 1;
	states_close(g, cur);
	for (;;) {
		uint32_t c;

		if (*s) {
			c = next_char(&s, utf8);
		} else if (!slash_done) {
			c = '/';
			slash_done = true;
		} else {
			break;
		}
		if (cur[g->n] && c == '/' && g->accept != A_END)
			return true;
		memset(next, 0, size);
		if (!state_step(g, cur, next, c))
			return false;
		swap = cur;
		cur = next;
		next = swap;
	}
	hit = cur[g->n] && g->accept != A_SLASH;
	return hit;
}

/* --- git ----------------------------------------------------------------------------------------------------------- */

static const struct { const char *name; int (*is)(int); } posix_classes[] = {
	{ "alnum", isalnum }, { "alpha", isalpha }, { "blank", isblank }, { "cntrl", iscntrl }, { "digit", isdigit },
	{ "graph", isgraph }, { "lower", islower }, { "print", isprint }, { "punct", ispunct }, { "space", isspace },
	{ "upper", isupper }, { "xdigit", isxdigit },
};

/* p stands behind "[:". Gives the place behind ":]", NULL when it is no class name here, and *bad for an unknown one. */
static const char *git_posix_class(struct charset *s, const char *p, bool *bad)
{
	const char *end = strchr(p, ']');

	if (!end) {
		*bad = true;
		return NULL;
	}
	if (end == p || end[-1] != ':')
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(posix_classes); i++) {
		if (strlen(posix_classes[i].name) != (size_t)(end - 1 - p) ||
		    strncmp(posix_classes[i].name, p, (size_t)(end - 1 - p)))
			continue;
		for (int c = 1; c < 128; c++)
			if (posix_classes[i].is(c))
				charset_add(s, (uint32_t)c, (uint32_t)c);
		return end + 1;
	}
	*bad = true;
	return NULL;
}

/* p stands behind '['; gives the place behind ']' or NULL (B2). */
static const char *git_class(struct glob *g, const char *p)
{
	struct charset *s = glob_push_set(g);
	unsigned char prev = 0, c;
	bool first = true, bad = false;
	const char *after;

	s->no_slash = true;
	if (*p == '!' || *p == '^') {
		s->neg = true;
		p++;
	}
	for (; *p != ']' || first; first = false) {
		c = (unsigned char)*p;
		if (!c)
			return NULL;
		if (c == '\\') {
			c = (unsigned char)*++p;
			if (!c)
				return NULL;
			charset_add(s, c, c);
		} else if (c == '-' && prev && p[1] && p[1] != ']') {
			c = (unsigned char)*++p;
			if (c == '\\' && !(c = (unsigned char)*++p))
				return NULL;
			if (prev <= c)
				charset_add(s, prev, c);
			c = 0;
		} else if (c == '[' && p[1] == ':') {
			after = git_posix_class(s, p + 2, &bad);
			if (bad)
				return NULL;
			if (after) {
				p = after - 1;
				c = 0;
			} else {
				charset_add(s, c, c);
			}
		} else {
			charset_add(s, c, c);
		}
		prev = c;
		p++;
	}
	return p + 1;
}

/* p stands at a '*'; start is the first character wildmatch sees. */
static const char *git_star(struct glob *g, const char *start, const char *p)
{
	const char *from = p;
	bool deep;

	while (*p == '*')
		p++;
	deep = p - from > 1 && !g->basename && (from == start || from[-1] == '/') &&
		(!*p || *p == '/' || (p[0] == '\\' && p[1] == '/'));
	if (!deep) {
		glob_push(g, T_STAR, 0);
	} else if (*p == '/') {
		glob_push(g, T_OPT, 2);         /* nothing, or anything up to a slash */
		glob_push(g, T_DEEP, 0);
		glob_push(g, T_CHAR, '/');
		p++;
	} else {
		glob_push(g, T_DEEP, 0);
	}
	return p;
}

static bool git_tokens(struct glob *g, const char *p)
{
	const char *start = p;

	while (*p) {
		if (*p == '*') {
			p = git_star(g, start, p);
		} else if (*p == '?') {
			glob_push(g, T_ANY, 0);
			p++;
		} else if (*p == '[') {
			p = git_class(g, p + 1);
			if (!p)
				return false;
		} else {
			if (*p == '\\' && !*++p)
				return false;
			glob_push(g, T_CHAR, (unsigned char)*p++);
		}
	}
	return true;
}

static void git_compile(struct glob *g, char *p)
{
	size_t len = strlen(p), plain;

	if (len && p[len - 1] == '/') {
		p[--len] = 0;
		g->dir_only = true;
	}
	g->basename = !strchr(p, '/');
	if (*p == '/')
		p++;
	plain = strcspn(p, "*?[\\");
	g->lit = xstrndup(p, plain);
	g->lit_len = plain;
	if (!p[plain]) {
		g->shape = g->basename ? S_NAME : S_PATH;
		return;
	}
	if (g->basename && p[0] == '*' && !strpbrk(p + 1, "*?[\\")) {
		free(g->lit);
		g->lit = xstrdup(p + 1);
		g->lit_len = strlen(g->lit);
		g->shape = S_SUFFIX;
		return;
	}
	g->accept = A_END;
	g->shape = git_tokens(g, p + plain) ? S_TOKENS : S_NEVER;
}

static bool git_match(const struct glob *g, const char *path, bool is_dir)
{
	const char *base = strrchr(path, '/');
	const char *s = g->basename && base ? base + 1 : path;
	size_t n;

	if (g->dir_only && !is_dir)
		return false;
	switch (g->shape) {
	case S_NAME:
	case S_PATH:
		return !strcmp(s, g->lit);
	case S_SUFFIX:
		n = strlen(s);
		return n >= g->lit_len && !memcmp(s + n - g->lit_len, g->lit, g->lit_len);
	case S_TOKENS:
		return !strncmp(s, g->lit, g->lit_len) && glob_run(g, s + g->lit_len, false);
	default:
		return false;
	}
}

/* --- pathspec ------------------------------------------------------------------------------------------------------ */

/* As DVC's change_rule: a pattern of a deeper file is put below that file's directory. */
static char *dvc_rebase(const char *p)
{
	const char *neg = "", *last;
	bool anchored;

	if (*p == '!') {
		neg = "!";
		p++;
	}
	last = *p ? p + strlen(p) - 1 : p;
	anchored = memchr(p, '/', (size_t)(last - p)) && strncmp(p, "**/", 3);
	if (anchored)
		p += *p == '/';
	else if (!strncmp(p, "**/", 3))
		p += 3;
	if (*p == '\\')
		p++;
	return xasprintf("%s/" BASE_MARK "%s%s", neg, anchored ? "/" : "/**/", p);
}

/* seg[*i] stands behind '['. A class of Python's re; false: not closed (B2). */
static bool dvc_class(struct glob *g, const char **at)
{
	const char *p = *at, *end = p;
	struct charset *s;
	uint32_t lo, hi;

	if (*end == '!' || *end == '^')
		end++;
	if (*end == ']')
		end++;
	while (*end && *end != ']')
		end++;
	if (!*end)
		return false;
	s = glob_push_set(g);
	if (*p == '!' || *p == '^') {
		s->neg = true;
		p++;
	}
	while (p < end) {
		lo = hi = next_char(&p, true);
		if (p + 1 < end && *p == '-') {
			p++;
			hi = next_char(&p, true);
		}
		charset_add(s, lo, hi);
	}
	*at = end + 1;
	return true;
}

static bool dvc_segment(struct glob *g, const char *p)
{
	if (!strcmp(p, "*")) {
		glob_push(g, T_ANY, 0);
		glob_push(g, T_STAR, 0);
		return true;
	}
	while (*p) {
		if (*p == '*') {
			glob_push(g, T_STAR, 0);
			p++;
		} else if (*p == '?') {
			glob_push(g, T_ANY, 0);
			p++;
		} else if (*p == '[') {
			p++;
			if (!dvc_class(g, &p))
				return false;
		} else {
			if (*p == '\\' && !*++p)
				return false;
			glob_push(g, T_CHAR, next_char(&p, true));
		}
	}
	return true;
}

/* pathspec's normalised segments; false: the pattern has nothing to match, shape says what that means. */
static bool dvc_segments(struct glob *g, struct strvec *seg)
{
	bool starts = !*seg->v[0];

	if (starts)
		strvec_remove(seg, 0);
	else if ((seg->n == 1 || (seg->n == 2 && !*seg->v[1])) && strcmp(seg->v[0], "**")) {
		struct strvec with = STRVEC_INIT;

		strvec_push(&with, "**");
		for (size_t i = 0; i < seg->n; i++)
			strvec_push(&with, seg->v[i]);
		strvec_release(seg);
		*seg = with;
	}
	g->shape = S_NEVER;
	if (!seg->n)
		return false;
	if (!*seg->v[seg->n - 1]) {
		free(seg->v[seg->n - 1]);
		seg->v[seg->n - 1] = xstrdup("**");
	}
	for (size_t i = seg->n; i-- > 1;)
		if (!strcmp(seg->v[i], "**") && !strcmp(seg->v[i - 1], "**"))
			strvec_remove(seg, i);
	if (seg->n == 1 && !strcmp(seg->v[0], "**")) {
		g->shape = g->dir_only ? S_NEVER : S_ALWAYS;
		return false;
	}
	if (!strcmp(seg->v[0], "**") && seg->n >= 2 && !strcmp(seg->v[1], "*")) {
		if (seg->n == 2)
			g->shape = S_ALWAYS;
		if (seg->n == 2 || (seg->n == 3 && !strcmp(seg->v[2], "**")))
			return false;
	}
	if (g->nested && seg->n == 2 && !strcmp(seg->v[1], "**")) {
		g->shape = S_ALWAYS;            /* the directory of the file itself, and so all that is in it */
		g->dir_only = false;
		return false;
	}
	g->shape = S_TOKENS;
	return true;
}

static bool dvc_tokens(struct glob *g, const struct strvec *seg)
{
	bool slash = false;

	g->accept = A_END_OR_SLASH;
	for (size_t i = 0; i < seg->n; i++) {
		if (strcmp(seg->v[i], "**")) {
			if (slash)
				glob_push(g, T_CHAR, '/');
			if (!dvc_segment(g, seg->v[i]))
				return false;
			slash = true;
		} else if (i == 0) {
			glob_push(g, T_OPT, 3);         /* (.+/)? */
			glob_push(g, T_ALL, 0);
			glob_push(g, T_DEEP, 0);
			glob_push(g, T_CHAR, '/');
		} else if (i + 1 < seg->n) {
			glob_push(g, T_OPT, 3);         /* (/.+)? */
			glob_push(g, T_CHAR, '/');
			glob_push(g, T_ALL, 0);
			glob_push(g, T_DEEP, 0);
			slash = true;
		} else {
			g->accept = A_SLASH;
		}
	}
	return true;
}

/* "name", "name/", "/a/b" and "*.ext" need no state machine. */
static void dvc_shortcut(struct glob *g, const struct strvec *seg)
{
	size_t n = seg->n - (g->dir_only && !strcmp(seg->v[seg->n - 1], "**"));
	bool floats = !strcmp(seg->v[0], "**");
	autostr struct str s = STR_INIT;

	if (g->accept == A_SLASH && !g->dir_only)
		return;
	if (floats && n == 2) {
		const char *p = seg->v[1] + (*seg->v[1] == '*');

		if (!*p || strpbrk(p, "*?[\\"))
			return;
		g->shape = p == seg->v[1] ? S_NAME : S_SUFFIX;
		str_adds(&s, p);
	} else {
		for (size_t i = 0; i < n; i++) {
			if (strpbrk(seg->v[i], "*?[\\") || !*seg->v[i])
				return;
			if (i)
				str_addc(&s, '/');
			str_adds(&s, seg->v[i]);
		}
		g->shape = S_PATH;
	}
	g->lit_len = s.len;
	g->lit = str_take(&s);
}

static void dvc_compile(struct glob *g, const char *p)
{
	autostrvec struct strvec seg = STRVEC_INIT;

	strvec_split(&seg, p, '/');
	if (!seg.n || !strcmp(p, "/"))
		return;
	g->dir_only = !*seg.v[seg.n - 1];
	if (!dvc_segments(g, &seg))
		return;
	if (!dvc_tokens(g, &seg))
		g->shape = S_NEVER;
	else
		dvc_shortcut(g, &seg);
}

static bool dvc_name(const struct glob *g, const char *path)
{
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n >= g->lit_len && (g->shape == S_SUFFIX || n == g->lit_len) &&
		    !memcmp(path + n - g->lit_len, g->lit, g->lit_len))
			return true;
		path += n + (path[n] == '/');
	}
	return false;
}

static bool dvc_match(const struct glob *g, const char *path, bool is_dir)
{
	autofree char *based = NULL;

	if (g->dir_only && !is_dir)
		return false;
	if (g->nested)
		path = based = xasprintf(BASE_MARK "/%s", path);
	switch (g->shape) {
	case S_ALWAYS:
		return true;
	case S_NAME:
	case S_SUFFIX:
		return dvc_name(g, path);
	case S_PATH:
		return !strncmp(path, g->lit, g->lit_len) && (!path[g->lit_len] || path[g->lit_len] == '/');
	case S_TOKENS:
		return glob_run(g, path, is_dir);
	default:
		return false;
	}
}

/* --- both ---------------------------------------------------------------------------------------------------------- */

struct glob *glob_new(const char *pattern, enum ignore_kind kind, bool nested)
{
	autofree char *text = NULL;
	struct glob *g;
	char *p;

	if (!*pattern || *pattern == '#')
		return NULL;
	text = nested && kind == IGNORE_DVC ? dvc_rebase(pattern) : xstrdup(pattern);
	g = xcalloc(1, sizeof(*g));
	g->kind = kind;
	g->nested = nested && kind == IGNORE_DVC;
	g->shape = S_NEVER;
	p = text;
	if (*p == '!') {
		g->neg = true;
		p++;
	}
	if (kind == IGNORE_GIT)
		git_compile(g, p);
	else
		dvc_compile(g, p);
	return g;
}

void glob_free(struct glob *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->nsets; i++)
		free(g->sets[i].v);
	free(g->sets);
	free(g->t);
	free(g->lit);
	free(g);
}

bool glob_negated(const struct glob *g)
{
	return g->neg;
}

bool glob_dir_only(const struct glob *g)
{
	return g->dir_only;
}

bool glob_match(const struct glob *g, const char *path, bool is_dir)
{
	return g->kind == IGNORE_GIT ? git_match(g, path, is_dir) : dvc_match(g, path, is_dir);
}

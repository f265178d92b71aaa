/* path - the text operations of fs.h; the rules are those of Python's posixpath, which DVC's texts come from. */
#include "core/base/fs.h"

#include "core/base/own.h"
#include "core/base/str.h"

#include <strings.h>
#include <unistd.h>

char *path_join(const char *a, const char *b)
{
	size_t n = strlen(a);

	if (*b == '/' || !n)
		return xstrdup(b);
	return xasprintf("%s%s%s", a, a[n - 1] == '/' ? "" : "/", b);
}

/* Next component of *p: its length, or 0 at the end; *p is moved onto it. */
static size_t next_part(const char **p)
{
	while (**p == '/')
		(*p)++;
	return strcspn(*p, "/");
}

static bool is_dotdot(const char *s, size_t n)
{
	return n == 2 && s[0] == '.' && s[1] == '.';
}

/* Start of the last component written to out behind 'floor'. */
static size_t last_start(const struct str *out, size_t floor)
{
	size_t i = out->len;

	while (i > floor && out->buf[i - 1] != '/')
		i--;
	return i;
}

char *path_norm(const char *p)
{
	struct str out = STR_INIT;
	size_t lead = 0, n;

	if (*p == '/')
		lead = p[1] == '/' && p[2] != '/' ? 2 : 1;     /* POSIX: exactly two slashes stay */
	str_addn(&out, '/', lead);
	for (; (n = next_part(&p)); p += n) {
		size_t last = last_start(&out, lead);
		bool on_dotdot = is_dotdot(str_cstr(&out) + last, out.len - last);

		if (n == 1 && *p == '.')
			continue;
		if (is_dotdot(p, n) && (lead || out.len) && !on_dotdot) {
			if (out.len > lead)
				str_setlen(&out, last > lead ? last - 1 : lead);
			continue;
		}
		if (out.len > lead)
			str_addc(&out, '/');
		str_add(&out, p, n);
	}
	if (!out.len)
		str_addc(&out, '.');
	return str_take(&out);
}

char *path_abs(const char *p)
{
	autofree char *cwd = NULL, *joined = NULL;

	if (*p == '/')
		return path_norm(p);
	cwd = getcwd(NULL, 0);
	joined = path_join(cwd ? cwd : "/", p);
	return path_norm(joined);
}

char *path_rel(const char *p, const char *start)
{
	autofree char *a_text = path_abs(p), *b_text = path_abs(start);
	const char *a = a_text, *b = b_text;
	struct str out = STR_INIT;
	size_t na, nb;

	for (;;) {
		na = next_part(&a);
		nb = next_part(&b);
		if (!na || na != nb || memcmp(a, b, na))
			break;
		a += na;
		b += nb;
	}
	for (; nb; b += nb, nb = next_part(&b))
		str_adds(&out, out.len ? "/.." : "..");
	for (; na; a += na, na = next_part(&a)) {
		if (out.len)
			str_addc(&out, '/');
		str_add(&out, a, na);
	}
	if (!out.len)
		str_addc(&out, '.');
	return str_take(&out);
}

char *path_dir(const char *p)
{
	size_t n = (size_t)(path_base(p) - p), all = n;

	while (n && p[n - 1] == '/')
		n--;
	return xstrndup(p, n ? n : all);        /* only slashes: they stay */
}

const char *path_base(const char *p)
{
	const char *slash = strrchr(p, '/');

	return slash ? slash + 1 : p;
}

bool path_is_inside(const char *p, const char *dir)
{
	size_t n = strlen(dir);

	if (!n || !strcmp(dir, "."))
		return *p != '/' && !(str_starts(p, "..") && (!p[2] || p[2] == '/'));
	if (strncmp(p, dir, n))
		return false;
	return !p[n] || p[n] == '/' || dir[n - 1] == '/';
}

static bool part_is_safe(const char *s, size_t n)
{
	if (!n || (n == 1 && *s == '.') || is_dotdot(s, n))
		return false;
	return n != 4 || (strncasecmp(s, ".git", 4) && strncasecmp(s, ".dvc", 4));
}

bool path_is_safe(const char *rel)
{
	for (;;) {
		size_t n = strcspn(rel, "/");

		if (!part_is_safe(rel, n))
			return false;
		if (!rel[n])
			return true;
		rel += n + 1;
	}
}

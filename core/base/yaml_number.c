/*
 * yaml_number - how ruamel.yaml writes back a number or a timestamp it has read: base, leading zeros, underscores,
 * width, sign and exponent are kept as far as it keeps them, oddities included.
 */
#include "core/base/yaml_rt.h"

#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"

#include <math.h>

struct number {
	const char *s;          /* as written */
	size_t n;
	char *bare;             /* without sign and underscores */
	bool neg;
};

/* Underscores at the distance of the last one, and where the text had them at its ends. */
static void add_grouped(struct str *out, const struct number *x, const char *prefix, const char *s)
{
	const char *last = NULL;
	size_t end = x->n, len = strlen(s), group;
	bool lead, trail;

	while (end && x->s[end - 1] == '_')
		end--;
	last = end ? memrchr(x->s, '_', end) : NULL;
	str_adds(out, prefix);
	if (!last) {
		str_adds(out, s);
		return;
	}
	group = (size_t)(x->s + end - last) - 1;
	lead = *prefix && x->n > 2 && x->s[2] == '_';
	trail = x->n > (*prefix ? 3u : 1u) && x->s[x->n - 1] == '_';
	if (lead)
		str_addc(out, '_');
	for (size_t i = 0; i < len; i++) {
		if (i && group && (len - i) % group == 0)
			str_addc(out, '_');
		str_addc(out, s[i]);
	}
	if (trail)
		str_addc(out, '_');
}

/* Zero-padded to 'width', the sign counted, as Python's format() does. */
static char *padded(const char *digits, bool neg, size_t width)
{
	autostr struct str s = STR_INIT;
	size_t n;

	while (*digits == '0' && digits[1])
		digits++;
	n = strlen(digits);
	if (!strcmp(digits, "0"))
		neg = false;
	if (neg)
		str_addc(&s, '-');
	if (n + neg < width)
		str_addn(&s, '0', width - n - neg);
	str_adds(&s, digits);
	return str_take(&s);
}

static void change_case(char *s, char first, char last, int by)
{
	for (; *s; s++)
		if (*s >= first && *s <= last)
			*s = (char)(*s + by);
}

static char *int_shown(const struct number *x, bool v11)
{
	autostr struct str out = STR_INIT;
	autofree char *digits = NULL;
	bool based = x->bare[0] == '0' && x->bare[1] && strchr("bxo", x->bare[1]);

	if (based) {
		char prefix[3] = { '0', x->bare[1], '\0' };
		char *d = x->bare + 2;
		size_t hint = strcspn(d, "abcdefABCDEF");

		if (d[hint] >= 'A' && d[hint] <= 'F')
			change_case(d, 'a', 'f', 'A' - 'a');
		else
			change_case(d, 'A', 'F', 'a' - 'A');
		digits = padded(d, x->neg, *d == '0' && !v11 ? strlen(d) : 0);
		add_grouped(&out, x, prefix, digits);
		return str_take(&out);
	}
	if (v11 && (x->bare[0] == '0' || strchr(x->bare, ':')))
		return strchr(x->bare, ':') ? NULL :
			x->bare[1] ? xasprintf("0o%s", x->bare + 1) : xstrdup(x->bare);
	digits = padded(x->bare, x->neg, x->bare[0] == '0' ? strlen(x->bare) : 0);
	add_grouped(&out, x, "", digits);
	return str_take(&out);
}

static size_t leading_zeros(const char *s, size_t n)
{
	size_t zeros = 0;

	for (size_t i = 0; i < n && (s[i] == '0' || s[i] == '.'); i++)
		zeros += s[i] == '0';
	return zeros;
}

static char *fixed_shown(const struct number *x, double f)
{
	const char *dot = memchr(x->s, '.', x->n);
	bool sign = x->s[0] == '-' || x->s[0] == '+';
	autostr struct str out = STR_INIT;
	int width = (int)x->n, prec = dot ? (int)(dot - x->s) : -1;

	if (sign)
		str_addc(&out, x->s[0]);
	if (prec > 0 && prec == width - 1) {
		str_addf(&out, "%.0f.", trunc(fabs(f)));
		return str_take(&out);
	}
	if (prec < 0)
		return NULL;
	str_addf(&out, "%0*.*f", width - sign, width - prec - 1, fabs(f));
	if (!prec || (prec == 1 && sign)) {
		autostr struct str less = STR_INIT;

		for (size_t i = 0; i < out.len; i++)
			if (out.buf[i] != '0' || out.buf[i + 1] != '.')
				str_addc(&less, out.buf[i]);
		str_reset(&out);
		str_adds(&out, str_cstr(&less));
	}
	while ((int)out.len < width)
		str_addc(&out, '0');
	return str_take(&out);
}

struct sci {
	char m1[64], m2[400];   /* mantissa around its point */
	int e;
	int width, prec, lead0, e_width;
	bool sign, e_sign;
	char exp;
};

/* The digits as '%e' gives them, cut to the mantissa's width. */
static bool sci_digits(struct sci *z, double f)
{
	char text[512], *exp, *dot;
	int w;

	snprintf(text, sizeof(text), "%*.*e", z->width, z->width + z->sign, f);
	exp = strchr(text, 'e');
	if (!exp)
		return false;
	z->e = atoi(exp + 1);
	*exp = '\0';
	w = (z->prec > 0 ? z->width : z->width + 1) + (f < 0);
	if ((size_t)w < strlen(text))
		text[w] = '\0';
	dot = strchr(text, '.');
	if (!dot || dot - text >= (ptrdiff_t)sizeof(z->m1) - 2)
		return false;
	*dot = '\0';
	snprintf(z->m1, sizeof(z->m1), "%.60s", text);
	snprintf(z->m2, sizeof(z->m2), "%.390s", dot + 1);
	return true;
}

static void add_digit(char *s, size_t size, char c)
{
	size_t n = strlen(s);

	if (n + 2 < size) {
		s[n] = c;
		s[n + 1] = '\0';
	}
}

static void add_exponent(struct str *out, const struct sci *z)
{
	str_addc(out, z->exp);
	if (z->e_sign && z->e >= 0)
		str_addf(out, "+%0*d", z->e_width - 1, z->e);
	else
		str_addf(out, "%0*d", z->e_width, z->e);
}

/* The point stands inside the mantissa: moves it to where it was. */
static void place_point(struct sci *z)
{
	char all[560];

	if (z->lead0 > 0) {
		size_t keep;

		snprintf(all, sizeof(all), "%.*s%s%s", z->lead0 - 1,
			 "0000000000000000000000000000000000000000000000000000000000000000", z->m1, z->m2);
		keep = strlen(all) > (size_t)z->lead0 ? strlen(all) - (size_t)z->lead0 : 0;
		snprintf(z->m1, sizeof(z->m1), "0");
		snprintf(z->m2, sizeof(z->m2), "%.*s", (int)keep, all);
		z->e += z->lead0;
	}
	while ((int)strlen(z->m1) < z->prec && *z->m2) {
		add_digit(z->m1, sizeof(z->m1), z->m2[0]);
		memmove(z->m2, z->m2 + 1, strlen(z->m2));
		z->e--;
	}
}

static char *sci_shown(const struct number *x, double f)
{
	const char *exp = memchr(x->s, 'e', x->n), *dot;
	autostr struct str out = STR_INIT;
	struct sci z = { .sign = x->s[0] == '-' || x->s[0] == '+' };
	size_t m;

	if (!exp)
		exp = memchr(x->s, 'E', x->n);
	m = (size_t)(exp - x->s);
	dot = memchr(x->s, '.', m);
	z.lead0 = (int)leading_zeros(x->s, m);
	z.width = (int)m - z.sign;
	z.prec = dot ? (int)(dot - x->s) : -1;
	z.exp = *exp;
	z.e_width = (int)(x->n - m) - 1;
	z.e_sign = exp[1] == '+' || exp[1] == '-';
	if (m > 60 || z.e_width > 60 || !sci_digits(&z, f))
		return NULL;
	while ((int)(strlen(z.m1) + strlen(z.m2)) < z.width - (z.prec >= 0))
		add_digit(z.m2, sizeof(z.m2), '0');
	if (z.sign && f > 0) {
		memmove(z.m1 + 1, z.m1, strlen(z.m1) + 1);
		z.m1[0] = '+';
	}
	if (z.prec < 0) {
		if (strcmp(z.m2, "0"))
			z.e -= (int)strlen(z.m2);
		else
			z.m2[0] = '\0';
		while ((int)(strlen(z.m1) + strlen(z.m2)) - z.sign < z.width) {
			add_digit(z.m2, sizeof(z.m2), '0');
			z.e--;
		}
		str_addf(&out, "%s%s", z.m1, z.m2);
	} else if (!z.prec) {
		z.e -= (int)strlen(z.m2);
		str_addf(&out, "%s%s.", z.m1, z.m2);
	} else {
		place_point(&z);
		str_addf(&out, "%s.%s", z.m1, z.m2);
	}
	add_exponent(&out, &z);
	return str_take(&out);
}

/* A timestamp with a 'T' or a zone keeps both as they were written. */
static char *date_shown(const char *s, size_t n, const struct node *value)
{
	size_t t = strcspn(s, "Tt"), zone = value->len;
	bool has_t = t < n, has_zone;
	autostr struct str out = STR_INIT;
	const char *tz;

	if (value->len <= 10)
		return NULL;
	tz = s + 11 + strcspn(s + (n > 11 ? 11 : n), "Z+-");
	has_zone = tz < s + n;
	if (!has_t && (!has_zone || *tz == 'Z'))
		return NULL;
	if (has_zone)
		zone -= 6;
	str_add(&out, value->text, 10);
	str_addc(&out, has_t ? 'T' : ' ');
	str_add(&out, value->text + 11, zone - 11);
	if (has_zone)
		str_add(&out, tz, (size_t)(s + n - tz));
	return str_take(&out);
}

char *yaml_number_shown(const char *s, size_t n, const struct node *value, bool v11)
{
	struct number x = { s, n, NULL, n && *s == '-' };
	char *shown = NULL;
	size_t m = 0;

	if (value->kind == NODE_DATE)
		return date_shown(s, n, value);
	if (value->kind == NODE_FLOAT && (!isfinite(value->f) || memchr(s, ':', n)))
		return NULL;
	x.bare = xmalloc(n + 1);
	for (size_t i = *s == '-' || *s == '+'; i < n; i++)
		if (s[i] != '_')
			x.bare[m++] = s[i];
	x.bare[m] = '\0';
	if (value->kind == NODE_INT)
		shown = int_shown(&x, v11);
	else if (strpbrk(x.bare, "eE"))
		shown = sci_shown(&x, value->f);
	else
		shown = fixed_shown(&x, value->f);
	free(x.bare);
	return shown;
}

/* yaml_scalar - which plain scalars are more than text: YAML 1.2 core with the leftovers ruamel.yaml keeps. */
#include "core/base/yaml_rt.h"

#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"

#include <math.h>
#include <strings.h>

/* Longer integers than Python converts are refused rather than computed. */
#define DIGITS_MAX 4300

struct scan {
	const char *p, *end;
};

static bool at_end(const struct scan *s)
{
	return s->p == s->end;
}

static char peek(const struct scan *s)
{
	return s->p < s->end ? *s->p : '\0';
}

static bool accept(struct scan *s, const char *set)
{
	if (at_end(s) || !*s->p || !strchr(set, *s->p))
		return false;
	s->p++;
	return true;
}

static size_t accept_run(struct scan *s, const char *set)
{
	size_t n = 0;

	while (accept(s, set))
		n++;
	return n;
}

static bool is_word(const char *s, size_t n, const char *const *words)
{
	for (; *words; words++)
		if (strlen(*words) == n && !memcmp(*words, s, n))
			return true;
	return false;
}

#define DEC "0123456789"

static bool accept_exponent(struct scan *s, bool sign_needed)
{
	struct scan back = *s;

	if (!accept(s, "eE"))
		return true;
	if ((accept(s, "+-") || !sign_needed) && accept_run(s, DEC))
		return true;
	*s = back;
	return false;
}

static bool is_float(const char *text, size_t n, bool v11)
{
	static const char *const inf[] = { ".inf", ".Inf", ".INF", NULL }, *const nan[] = { ".nan", ".NaN", ".NAN", NULL };
	struct scan s = { text, text + n };
	bool sign = accept(&s, "+-");

	if (is_word(s.p, (size_t)(s.end - s.p), inf) || (!sign && is_word(s.p, n, nan)))
		return true;
	if (peek(&s) == '.') {
		s.p++;
		return !(sign && v11) && accept_run(&s, DEC "_") && accept_exponent(&s, true) && at_end(&s);
	}
	if (!accept(&s, DEC))
		return false;
	accept_run(&s, DEC "_");
	if (v11 && peek(&s) == ':') {
		while (accept(&s, ":")) {
			struct scan two = s;

			if (!accept_run(&s, DEC) || s.p - two.p > 2 || (s.p - two.p == 2 && *two.p > '5'))
				return false;
		}
		if (!accept(&s, "."))
			return false;
		accept_run(&s, DEC "_");
		return at_end(&s);
	}
	if (peek(&s) == '.') {
		s.p++;
		accept_run(&s, DEC "_");
	} else if (peek(&s) != 'e' && peek(&s) != 'E') {
		return false;
	}
	return accept_exponent(&s, false) && at_end(&s);
}

static bool all_of(struct scan s, const char *set)
{
	return accept_run(&s, set) && at_end(&s);
}

static bool is_int(const char *text, size_t n, bool v11)
{
	struct scan s = { text, text + n };
	size_t left;

	accept(&s, "+-");
	left = (size_t)(s.end - s.p);
	if (left > 2 && s.p[0] == '0' && s.p[1] == 'b')
		return all_of((struct scan){ s.p + 2, s.end }, "01_");
	if (left > 2 && s.p[0] == '0' && s.p[1] == 'x')
		return all_of((struct scan){ s.p + 2, s.end }, DEC "abcdefABCDEF_");
	if (!v11) {
		if (left > 2 && s.p[0] == '0' && s.p[1] == 'o')
			return all_of((struct scan){ s.p + 2, s.end }, "01234567_");
		return all_of(s, DEC "_");
	}
	if (all_of(s, "01234567_"))
		return true;
	if (!accept(&s, "123456789"))
		return false;
	accept_run(&s, DEC "_");
	while (peek(&s) == ':') {
		struct scan two = { ++s.p, s.end };

		if (!accept_run(&s, DEC) || s.p - two.p > 2 || (s.p - two.p == 2 && *two.p > '5'))
			return false;
	}
	return at_end(&s);
}

struct stamp {
	int part[6];            /* year, month, day, hour, minute, second */
	bool timed, t, z;
	const char *frac, *tz;
	int nfrac, tz_sign, tz_hour, tz_min;
	size_t tz_len;
};

static bool number(struct scan *s, int min, int max, int *out)
{
	int n = 0;

	*out = 0;
	while (n < max && peek(s) >= '0' && peek(s) <= '9') {
		*out = *out * 10 + (*s->p++ - '0');
		n++;
	}
	return n >= min;
}

static bool stamp_zone(struct scan *s, struct stamp *st)
{
	struct scan back = *s;

	accept_run(s, " \t");
	st->tz = s->p;
	if (accept(s, "Z")) {
		st->z = true;
	} else if (peek(s) == '+' || peek(s) == '-') {
		st->tz_sign = *s->p++ == '-' ? -1 : 1;
		if (!number(s, 1, 2, &st->tz_hour))
			return false;
		if (accept(s, ":") && !number(s, 2, 2, &st->tz_min))
			return false;
	} else {
		*s = back;
	}
	st->tz_len = (size_t)(s->p - st->tz);
	return true;
}

/* The form of a timestamp; whether such a day exists is another question. */
static bool stamp_parse(const char *text, size_t n, struct stamp *st)
{
	struct scan s = { text, text + n };

	memset(st, 0, sizeof(*st));
	if (!number(&s, 4, 4, &st->part[0]) || !accept(&s, "-") || !number(&s, 1, 2, &st->part[1]) ||
	    !accept(&s, "-") || !number(&s, 1, 2, &st->part[2]))
		return false;
	if (at_end(&s))
		return n == 10;
	st->timed = true;
	st->t = accept(&s, "Tt");
	if (!st->t && !accept_run(&s, " \t"))
		return false;
	if (!number(&s, 1, 2, &st->part[3]) || !accept(&s, ":") || !number(&s, 2, 2, &st->part[4]) ||
	    !accept(&s, ":") || !number(&s, 2, 2, &st->part[5]))
		return false;
	if (accept(&s, ".")) {
		st->frac = s.p;
		st->nfrac = (int)accept_run(&s, DEC);
	}
	return stamp_zone(&s, st) && at_end(&s);
}

enum yaml_tag yaml_resolve(const char *s, size_t n, bool v11)
{
	static const char *const bool12[] = { "true", "True", "TRUE", "false", "False", "FALSE", NULL };
	static const char *const bool11[] = { "true", "True", "TRUE", "false", "False", "FALSE", "y", "Y", "yes", "Yes",
		"YES", "n", "N", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", NULL };
	static const char *const null[] = { "~", "null", "Null", "NULL", NULL };
	struct stamp st;

	if (!n)
		return YTAG_NULL;
	switch (s[0]) {
	case 't': case 'T': case 'f': case 'F': case 'y': case 'Y': case 'n': case 'N': case 'o': case 'O': case '~':
		if (n <= 5 && is_word(s, n, v11 ? bool11 : bool12))
			return YTAG_BOOL;
		return n <= 4 && is_word(s, n, null) ? YTAG_NULL : YTAG_STR;
	case '<':
		return n == 2 && s[1] == '<' ? YTAG_MERGE : YTAG_STR;
	case '=':
		return n == 1 ? YTAG_VALUE : YTAG_STR;
	case '+': case '-': case '.':
	case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
		if (is_float(s, n, v11))
			return YTAG_FLOAT;
		if (s[0] != '.' && is_int(s, n, v11))
			return YTAG_INT;
		return stamp_parse(s, n, &st) ? YTAG_DATE : YTAG_STR;
	default:
		return YTAG_STR;
	}
}

/* Without its underscores; the sign apart. */
static char *bare(const char *s, size_t n, bool *neg)
{
	char *out = xmalloc(n + 1);
	size_t m = 0;

	*neg = n && *s == '-';
	if (n && (*s == '-' || *s == '+'))
		s++, n--;
	for (size_t i = 0; i < n; i++)
		if (s[i] != '_')
			out[m++] = s[i];
	out[m] = '\0';
	return out;
}

static int digit_of(char c)
{
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Digits of any base to decimal text, a limb of nine decimal digits at a time. */
static struct node *int_of_base(const char *digits, int base, bool neg)
{
	size_t n = strlen(digits), used = 1;
	autofree uint32_t *limb = NULL;
	autostr struct str text = STR_INIT;

	if (!n || n > DIGITS_MAX)
		return NULL;
	limb = xcalloc(n / 4 + 2, sizeof(*limb));
	for (size_t i = 0; i < n; i++) {
		uint64_t carry = (uint64_t)digit_of(digits[i]);

		for (size_t j = 0; j < used; j++) {
			carry += (uint64_t)limb[j] * (uint64_t)base;
			limb[j] = (uint32_t)(carry % 1000000000);
			carry /= 1000000000;
		}
		if (carry)
			limb[used++] = (uint32_t)carry;
	}
	if (neg)
		str_addc(&text, '-');
	str_addf(&text, "%u", limb[used - 1]);
	for (size_t j = used - 1; j-- > 0; )
		str_addf(&text, "%09u", limb[j]);
	return node_int_text(text.buf);
}

static double sexagesimal(const char *s)
{
	double v = 0;

	for (;;) {
		char *end;

		v = v * 60 + strtod(s, &end);
		if (*end != ':')
			return v;
		s = end + 1;
	}
}

static struct node *int_value(const char *s, size_t n, bool v11)
{
	bool neg;
	autofree char *d = bare(s, n, &neg);
	autostr struct str text = STR_INIT;

	if (!strncmp(d, "0b", 2))
		return int_of_base(d + 2, 2, neg);
	if (!strncmp(d, "0x", 2))
		return int_of_base(d + 2, 16, neg);
	if (!strncmp(d, "0o", 2))
		return int_of_base(d + 2, 8, neg);
	if (v11 && d[0] == '0' && d[1])
		return strpbrk(d, "89") ? NULL : int_of_base(d, 8, neg);
	if (v11 && strchr(d, ':'))
		return strlen(d) > 20 ? NULL : node_int((int64_t)sexagesimal(d) * (neg ? -1 : 1));
	if (!*d || strlen(d) > DIGITS_MAX)
		return NULL;
	if (neg)
		str_addc(&text, '-');
	str_adds(&text, d);
	return node_int_text(text.buf);
}

static struct node *float_value(const char *s, size_t n, bool v11)
{
	bool neg;
	autofree char *d = bare(s, n, &neg);
	double f;
	char *end;

	if (!strcasecmp(d, ".inf"))
		return node_float(neg ? -(double)INFINITY : (double)INFINITY);
	if (!strcasecmp(d, ".nan"))
		return node_float((double)NAN);
	if (v11 && strchr(d, ':')) {
		f = sexagesimal(d);
	} else {
		f = strtod(d, &end);
		if (end == d || *end)
			return NULL;
	}
	return node_float(neg ? -f : f);
}

static int days_in(int y, int m)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return m == 2 && ((y % 4 == 0 && y % 100) || y % 400 == 0) ? 29 : days[m - 1];
}

static bool stamp_exists(const struct stamp *st)
{
	const int *p = st->part;

	return p[0] >= 1 && p[1] >= 1 && p[1] <= 12 && p[2] >= 1 && p[2] <= days_in(p[0], p[1]) && p[3] <= 23 &&
	       p[4] <= 59 && p[5] <= 59 && st->tz_hour * 60 + st->tz_min < 24 * 60;
}

/* Microseconds, rounded by the seventh digit; a full second is carried into the date. */
static int stamp_micros(struct stamp *st)
{
	int us = 0;

	for (int i = 0; i < 6; i++)
		us = us * 10 + (i < st->nfrac ? st->frac[i] - '0' : 0);
	if (st->nfrac > 6 && st->frac[6] > '4')
		us++;
	if (us <= 999999)
		return us;
	if (++st->part[5] <= 59)
		return 0;
	st->part[5] = 0;
	if (++st->part[4] <= 59)
		return 0;
	st->part[4] = 0;
	if (++st->part[3] <= 23)
		return 0;
	st->part[3] = 0;
	if (++st->part[2] <= days_in(st->part[0], st->part[1]))
		return 0;
	st->part[2] = 1;
	if (++st->part[1] > 12) {
		st->part[1] = 1;
		st->part[0]++;
	}
	return 0;
}

static struct node *date_value(const char *s, size_t n)
{
	char iso[64];
	struct stamp st;
	int us, at;

	if (!stamp_parse(s, n, &st) || !stamp_exists(&st))
		return NULL;
	if (!st.timed) {
		snprintf(iso, sizeof(iso), "%04d-%02d-%02d", st.part[0], st.part[1], st.part[2]);
		return node_date(iso);
	}
	us = stamp_micros(&st);
	if (st.part[0] > 9999)
		return NULL;
	at = snprintf(iso, sizeof(iso), "%04d-%02d-%02d %02d:%02d:%02d", st.part[0], st.part[1], st.part[2],
		      st.part[3], st.part[4], st.part[5]);
	if (us)
		at += snprintf(iso + at, sizeof(iso) - (size_t)at, ".%06d", us);
	if (st.z || st.tz_sign) {
		bool west = st.tz_sign < 0 && (st.tz_hour || st.tz_min);

		snprintf(iso + at, sizeof(iso) - (size_t)at, "%c%02d:%02d", west ? '-' : '+',
			 st.tz_hour + st.tz_min / 60, st.tz_min % 60);
	}
	return node_date(iso);
}

struct node *yaml_value(enum yaml_tag tag, const char *s, size_t n, bool v11)
{
	switch (tag) {
	case YTAG_NULL:
		return node_null();
	case YTAG_BOOL:
		return node_bool(strchr("tTyY", s[0]) || (n == 2 && (s[0] | 0x20) == 'o'));
	case YTAG_INT:
		return int_value(s, n, v11);
	case YTAG_FLOAT:
		return float_value(s, n, v11);
	case YTAG_DATE:
		return date_value(s, n);
	default:
		return node_strn(s, n);
	}
}

/* node_py - the texts that Python gives to values: str(), repr(), and the shortest float. */
#include "core/base/node.h"

#include "core/base/str.h"
#include "core/base/unicode.h"

#include <math.h>

/* Reads "d.ddde+xx" as snprintf gives it into digits without trailing zeros and the decimal point's place. */
static void take_apart(const char *sci, char digits[24], int *point)
{
	size_t n = 0;

	for (; *sci && *sci != 'e'; sci++)
		if (*sci != '.')
			digits[n++] = *sci;
	while (n > 1 && digits[n - 1] == '0')
		n--;
	digits[n] = '\0';
	*point = atoi(sci + 1) + 1;
}

/* At a power of two the gap below is half the gap above: the nearest text of 16 digits may fail where its neighbour
 * reads back. */
static bool neighbour(char sci[40], double f)
{
	int exp = atoi(strchr(sci, 'e') + 1);
	unsigned long long whole;
	char digits[20], other[40];

	snprintf(digits, sizeof(digits), "%c%.15s", sci[0], sci + 2);
	whole = strtoull(digits, NULL, 10);
	for (int step = -1; step <= 1; step += 2) {
		snprintf(other, sizeof(other), "%llue%d", whole + (unsigned long long)step, exp - 15);
		if (strtod(other, NULL) == f) {
			snprintf(digits, sizeof(digits), "%llu", whole + (unsigned long long)step);
			snprintf(sci, 40, "%c.%se%d", digits[0], digits + 1, exp);
			return true;
		}
	}
	return false;
}

static void shortest(double f, char digits[24], int *point)
{
	char sci[40];
	int from = f < 2.3e-308 ? 0 : 14;

	for (int prec = from; prec <= 16; prec++) {
		snprintf(sci, sizeof(sci), "%.*e", prec, f);
		if (strtod(sci, NULL) == f || (prec == 15 && neighbour(sci, f)))
			break;
	}
	take_apart(sci, digits, point);
}

void node_add_float(struct str *out, double f)
{
	char digits[24];
	int point, n;

	if (isnan(f)) {
		str_adds(out, "nan");
		return;
	}
	if (signbit(f))
		str_addc(out, '-');
	if (isinf(f)) {
		str_adds(out, "inf");
		return;
	}
	if (f == 0) {
		str_adds(out, "0.0");
		return;
	}
	shortest(fabs(f), digits, &point);
	n = (int)strlen(digits);
	if (point > 16 || point < -3) {
		str_addc(out, digits[0]);
		if (n > 1)
			str_addf(out, ".%s", digits + 1);
		str_addf(out, "e%c%02d", point > 0 ? '+' : '-', abs(point - 1));
	} else if (point <= 0) {
		str_adds(out, "0.");
		str_addn(out, '0', (size_t)-point);
		str_adds(out, digits);
	} else if (n <= point) {
		str_adds(out, digits);
		str_addn(out, '0', (size_t)(point - n));
		str_adds(out, ".0");
	} else {
		str_add(out, digits, (size_t)point);
		str_addf(out, ".%s", digits + point);
	}
}

static void add_str_repr(struct str *out, const char *s, size_t len)
{
	const char *end = s + len;
	char quote = memchr(s, '\'', len) && !memchr(s, '"', len) ? '"' : '\'';

	str_addc(out, quote);
	while (s < end) {
		uint32_t c = uc_next(&s, end);

		if (c == (uint32_t)quote || c == '\\')
			str_addf(out, "\\%c", (int)c);
		else if (c == '\n')
			str_adds(out, "\\n");
		else if (c == '\r')
			str_adds(out, "\\r");
		else if (c == '\t')
			str_adds(out, "\\t");
		else if (uc_printable(c))
			uc_add(out, c);
		else if (c < 0x100)
			str_addf(out, "\\x%02x", c);
		else if (c < 0x10000)
			str_addf(out, "\\u%04x", c);
		else
			str_addf(out, "\\U%08x", c);
	}
	str_addc(out, quote);
}

/* 'YYYY-MM-DD' or 'YYYY-MM-DD hh:mm:ss[.ffffff][+hh:mm]' as the constructor's call. */
static void add_date_repr(struct str *out, const char *iso)
{
	int y, mo, d, h, mi, s, used = 0, zh, zm, zs = 0;
	unsigned long us = 0;
	const char *rest;
	char sign;

	if (sscanf(iso, "%d-%d-%d %d:%d:%d%n", &y, &mo, &d, &h, &mi, &s, &used) < 6 || !used) {
		if (sscanf(iso, "%d-%d-%d", &y, &mo, &d) == 3)
			str_addf(out, "datetime.date(%d, %d, %d)", y, mo, d);
		return;
	}
	str_addf(out, "datetime.datetime(%d, %d, %d, %d, %d", y, mo, d, h, mi);
	rest = iso + used;
	if (*rest == '.') {
		char *end;

		us = strtoul(rest + 1, &end, 10);
		rest = end;
	}
	if (s || us)
		str_addf(out, ", %d", s);
	if (us)
		str_addf(out, ", %lu", us);
	if (sscanf(rest, "%c%d:%d:%d", &sign, &zh, &zm, &zs) >= 3) {
		long secs = zh * 3600L + zm * 60L + zs;

		if (!secs)
			str_adds(out, ", tzinfo=datetime.timezone.utc");
		else if (sign == '-')
			str_addf(out, ", tzinfo=datetime.timezone(datetime.timedelta(days=-1, seconds=%ld))",
				 86400 - secs);
		else
			str_addf(out, ", tzinfo=datetime.timezone(datetime.timedelta(seconds=%ld))", secs);
	}
	str_addc(out, ')');
}

static void add_seq_repr(struct str *out, const struct node *n)
{
	char open = n->is_set ? '{' : n->is_tuple ? '(' : '[';

	if (n->is_set && !n->n) {
		str_adds(out, "set()");
		return;
	}
	str_addc(out, open);
	for (size_t i = 0; i < n->n; i++) {
		if (i)
			str_adds(out, ", ");
		node_py_repr(out, n->v[i]);
	}
	if (n->is_tuple && n->n == 1)
		str_addc(out, ',');
	str_addc(out, open == '{' ? '}' : open == '(' ? ')' : ']');
}

static void add_map_repr(struct str *out, const struct node *n)
{
	str_addc(out, '{');
	for (size_t i = 0; i < n->n; i++) {
		if (i)
			str_adds(out, ", ");
		node_py_repr(out, n->k[i]);
		str_adds(out, ": ");
		node_py_repr(out, n->v[i]);
	}
	str_addc(out, '}');
}

void node_py_repr(struct str *out, const struct node *n)
{
	if (!n) {
		str_adds(out, "None");
		return;
	}
	switch (n->kind) {
	case NODE_NULL:
		str_adds(out, "None");
		return;
	case NODE_BOOL:
		str_adds(out, n->b ? "True" : "False");
		return;
	case NODE_INT:
		str_add(out, n->text, n->len);
		return;
	case NODE_FLOAT:
		node_add_float(out, n->f);
		return;
	case NODE_STR:
		add_str_repr(out, n->text, n->len);
		return;
	case NODE_DATE:
		add_date_repr(out, n->text);
		return;
	case NODE_SEQ:
		add_seq_repr(out, n);
		return;
	case NODE_MAP:
		add_map_repr(out, n);
		return;
	}
}

void node_py_str(struct str *out, const struct node *n)
{
	if (n && (n->kind == NODE_STR || n->kind == NODE_DATE))
		str_add(out, n->text, n->len);
	else
		node_py_repr(out, n);
}

const char *node_py_type(const struct node *n)
{
	if (!n)
		return "NoneType";
	switch (n->kind) {
	case NODE_NULL:
		return "NoneType";
	case NODE_BOOL:
		return "bool";
	case NODE_INT:
		return "int";
	case NODE_FLOAT:
		return "float";
	case NODE_STR:
		return "str";
	case NODE_DATE:
		return n->len > 10 ? "datetime" : "date";
	case NODE_SEQ:
		return n->is_set ? "set" : n->is_tuple ? "tuple" : "list";
	case NODE_MAP:
		return "dict";
	}
	return "object";
}

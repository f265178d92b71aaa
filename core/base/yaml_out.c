#include "core/base/yaml_out.h"

#include "core/base/own.h"
#include "core/base/unicode.h"

#define NONE UINT32_MAX         /* what stands behind the last character */

void yaml_out_load(struct yaml_out *o, const char *text, size_t len)
{
	const char *end = text + len;

	if (o->cap < len) {
		o->cap = len + len / 2 + 64;
		o->cp = xreallocarray(o->cp, o->cap, sizeof(*o->cp));
	}
	for (o->n = 0; text < end; ) {
		if ((unsigned char)*text < 0x80)
			o->cp[o->n++] = (unsigned char)*text++;
		else
			o->cp[o->n++] = uc_next(&text, end);
	}
}

static bool is_break(uint32_t c)
{
	return c == '\n' || c == 0x85 || c == 0x2028 || c == 0x2029;
}

static bool is_white(uint32_t c)
{
	return c == 0 || c == ' ' || c == '\t' || c == '\r' || is_break(c);
}

static bool is_one_of(uint32_t c, const char *set)
{
	return c && c < 0x80 && strchr(set, (int)c);
}

static bool is_special(uint32_t c)
{
	if (c == '\n' || (c >= 0x20 && c <= 0x7e))
		return false;
	return !(c == 0x85 || (c >= 0xa0 && c <= 0xd7ff) || (c >= 0xe000 && c <= 0xfffd && c != 0xfeff) ||
		 (c >= 0x10000 && c <= 0x10ffff));
}

static bool white_after(const struct yaml_out *o, size_t i)
{
	return i + 1 >= o->n || is_white(o->cp[i + 1]);
}

/* Whether the character is an indicator where it stands, in flow and in block context. */
static void indicates(const struct yaml_out *o, size_t i, bool *flow, bool *block)
{
	uint32_t c = o->cp[i];
	bool after = white_after(o, i);

	if (!i) {
		if (is_one_of(c, "#,[]{}&*!|>'\"%@`") || (c == '-' && after))
			*flow = *block = true;
		if ((c == '?' || c == ':') && o->n == 1)
			*flow = true;
		if ((c == '?' || c == ':') && after)
			*block = true;
		return;
	}
	if (is_one_of(c, ",[]{}"))
		*flow = true;
	if ((c == ':' && after) || (c == '#' && is_white(o->cp[i - 1])))
		*flow = *block = true;
}

static bool starts_document(const struct yaml_out *o)
{
	return o->n >= 3 && o->cp[0] == o->cp[1] && o->cp[1] == o->cp[2] && (o->cp[0] == '-' || o->cp[0] == '.');
}

void yaml_out_shape(const struct yaml_out *o, struct yaml_shape *s)
{
	bool flow = starts_document(o), block = flow, special = false, edge = false, mixed = false;

	*s = (struct yaml_shape){ !o->n, false, false, true, true };
	if (!o->n)
		return;
	for (size_t i = 0; i < o->n; i++) {
		uint32_t c = o->cp[i];

		indicates(o, i, &flow, &block);
		/* ruamel.yaml would write U+0085 as a line break, which reads back as a blank. */
		special |= is_special(c) || c == 0x85;
		if (is_break(c))
			s->multiline = true;
		if ((c == ' ' || is_break(c)) && (i == 0 || i == o->n - 1))
			edge = true;
		if (i && ((c == ' ' && is_break(o->cp[i - 1])) || (is_break(c) && o->cp[i - 1] == ' ')))
			mixed = true;
	}
	s->single = !special && !mixed;
	s->flow_plain = s->single && !edge && !s->multiline && !flow;
	s->block_plain = s->single && !edge && !s->multiline && !block;
}

void yaml_out_break(struct yaml_out *o)
{
	str_addc(o->to, '\n');
	o->whitespace = o->indention = true;
	o->column = 0;
}

static void break_as(struct yaml_out *o, uint32_t c)
{
	yaml_out_break(o);
	if (c != '\n') {
		str_setlen(o->to, o->to->len - 1);
		uc_add(o->to, c);
	}
}

void yaml_out_indent(struct yaml_out *o)
{
	int indent = o->indent < 0 ? 0 : o->indent;

	if (!o->indention || o->column > indent || (o->column == indent && !o->whitespace)) {
		if (o->no_newline)
			o->no_newline = false;
		else
			yaml_out_break(o);
	}
	if (o->column < indent) {
		o->whitespace = true;
		str_addn(o->to, ' ', (size_t)(indent - o->column));
		o->column = indent;
	}
}

void yaml_out_indicator(struct yaml_out *o, const char *text, bool need_whitespace, bool whitespace, bool indention)
{
	if (need_whitespace && !o->whitespace) {
		str_addc(o->to, ' ');
		o->column++;
	}
	o->whitespace = whitespace;
	o->indention = o->indention && indention;
	o->open_ended = false;
	str_adds(o->to, text);
	o->column += (int)strlen(text);
}

static void put(struct yaml_out *o, size_t from, size_t to)
{
	o->column += (int)(to - from);
	str_reserve(o->to, to - from);
	for (; from < to; from++) {
		if (o->cp[from] < 0x80)
			str_addc(o->to, (char)o->cp[from]);
		else
			uc_add(o->to, o->cp[from]);
	}
}

static uint32_t at(const struct yaml_out *o, size_t i)
{
	return i < o->n ? o->cp[i] : NONE;
}

/* The breaks of [from, to): the first plain one is doubled, since one alone would read back as a blank. */
static void put_breaks(struct yaml_out *o, size_t from, size_t to)
{
	if (o->cp[from] == '\n')
		yaml_out_break(o);
	for (; from < to; from++)
		break_as(o, o->cp[from]);
	yaml_out_indent(o);
}

/* False: the fold took a blank away, or cut a key in two, and the text has to be quoted. */
static bool write_plain(struct yaml_out *o, bool split)
{
	size_t start = 0;
	bool spaces = false, lossy = false;

	if (o->root)
		o->open_ended = true;
	if (!o->n)
		return true;
	if (!o->whitespace) {
		str_addc(o->to, ' ');
		o->column++;
	}
	o->whitespace = o->indention = false;
	for (size_t end = 0; end <= o->n; end++) {
		uint32_t c = at(o, end);

		if (spaces && c != ' ') {
			if (start + 1 == end && o->column >= YAML_WIDTH && split) {
				yaml_out_indent(o);
				o->whitespace = o->indention = false;
			} else {
				put(o, start, end);
			}
			start = end;
		} else if (!spaces && (c == NONE || c == ' ')) {
			if ((int)(end - start) + o->column > YAML_WIDTH && o->indent >= 0 && o->column > o->indent) {
				lossy |= o->simple_key || (start > 1 && o->cp[start - 2] == ' ');
				yaml_out_indent(o);
			}
			put(o, start, end);
			start = end;
		}
		spaces = c == ' ';
	}
	return !lossy;
}

static void write_single(struct yaml_out *o, bool split)
{
	bool spaces = false, breaks = false;
	size_t start = 0;

	yaml_out_indicator(o, "'", true, false, false);
	for (size_t end = 0; end <= o->n; end++) {
		uint32_t c = at(o, end);

		if (spaces) {
			if (c != ' ') {
				if (start + 1 == end && o->column > YAML_WIDTH && split && start && end != o->n)
					yaml_out_indent(o);
				else
					put(o, start, end);
				start = end;
			}
		} else if (breaks) {
			if (c == NONE || !is_break(c)) {
				put_breaks(o, start, end);
				start = end;
			}
		} else if ((c == NONE || c == ' ' || is_break(c) || c == '\'') && start < end) {
			put(o, start, end);
			start = end;
		}
		if (c == '\'') {
			str_adds(o->to, "''");
			o->column += 2;
			start = end + 1;
		}
		spaces = c == ' ';
		breaks = c != NONE && is_break(c);
	}
	yaml_out_indicator(o, "'", false, false, false);
}

static void put_escape(struct yaml_out *o, uint32_t c)
{
	static const struct { uint32_t c; char as; } names[] = {
		{ 0, '0' }, { 7, 'a' }, { 8, 'b' }, { 9, 't' }, { 10, 'n' }, { 11, 'v' }, { 12, 'f' }, { 13, 'r' },
		{ 0x1b, 'e' }, { '"', '"' }, { '\\', '\\' }, { 0x85, 'N' }, { 0xa0, '_' }, { 0x2028, 'L' },
		{ 0x2029, 'P' },
	};
	size_t before = o->to->len;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].c == c) {
			str_addf(o->to, "\\%c", names[i].as);
			o->column += 2;
			return;
		}
	}
	str_addf(o->to, c <= 0xff ? "\\x%02X" : c <= 0xffff ? "\\u%04X" : "\\U%08X", c);
	o->column += (int)(o->to->len - before);
}

static bool wants_escape(uint32_t c)
{
	if (c == '"' || c == '\\' || c == 0x85 || c == 0x2028 || c == 0x2029 || c == 0xfeff)
		return true;
	return !((c >= 0x20 && c <= 0x7e) || (c >= 0xa0 && c <= 0xd7ff) || (c >= 0xe000 && c <= 0xfffd) ||
		 (c >= 0x10000 && c <= 0x10ffff));
}

static size_t find(const struct yaml_out *o, uint32_t c, size_t from, size_t to)
{
	while (from < to && o->cp[from] != c)
		from++;
	return from;
}

/* Whether a fold at 'end' must be marked by a backslash; without one the reader joins the lines with a blank. */
static bool needs_backslash(const struct yaml_out *o, size_t start, size_t end)
{
	size_t space = find(o, ' ', end, o->n), line;

	if (space >= o->n)
		return true;
	line = find(o, '\n', end, space);
	if (line < space)
		space = line;
	if (space + 1 >= o->n)
		return true;
	if (o->cp[space] == '\n' && o->cp[space + 1] != ' ')
		return true;
	if (find(o, '"', end, space) < space || find(o, '\'', end, space) < space)
		return true;
	return o->cp[space + 1] == ' ' || o->cp[space + 1] == '\n' ||
	       (o->cp[end - 1] == ' ' && o->cp[end] == ' ') || start == end;
}

static size_t fold_double(struct yaml_out *o, size_t start, size_t end)
{
	/* Without a blank to give up, a fold adds one: ruamel.yaml forgets that behind an escape. */
	bool backslash = needs_backslash(o, start, end) || o->cp[start < end ? end : start] != ' ';

	if (start < end) {
		put(o, start, end);
		start = end;
	}
	if (backslash) {
		str_addc(o->to, '\\');
		o->column++;
	}
	yaml_out_indent(o);
	o->whitespace = o->indention = false;
	if (o->cp[start] == ' ') {
		if (!backslash) {
			start++;
		} else {
			str_addc(o->to, '\\');
			o->column++;
		}
	}
	return start;
}

static void write_double(struct yaml_out *o, bool split)
{
	size_t start = 0;

	yaml_out_indicator(o, "\"", true, false, false);
	for (size_t end = 0; end <= o->n; end++) {
		uint32_t c = at(o, end);

		if (c == NONE || wants_escape(c)) {
			if (start < end) {
				put(o, start, end);
				start = end;
			}
			if (c != NONE) {
				put_escape(o, c);
				start = end + 1;
			}
		}
		if (end && end + 1 < o->n && (c == ' ' || start >= end) &&
		    o->column + (int)end - (int)start > YAML_WIDTH && split)
			start = fold_double(o, start, end);
	}
	yaml_out_indicator(o, "\"", false, false, false);
}

/* A line '---' or '...' inside a text at the root would end the document. */
static bool has_marker(const struct yaml_out *o)
{
	for (size_t i = 0; i + 2 < o->n; i++) {
		uint32_t c = o->cp[i], after = at(o, i + 3);

		if ((c == '-' || c == '.') && o->cp[i + 1] == c && o->cp[i + 2] == c &&
		    (!i || o->cp[i - 1] == '\n') && (after == ' ' || after == '\r' || after == '\n'))
			return true;
	}
	return false;
}

/* Writes the line of '|' or '>'; returns the extra indentation of a text at the root. */
static int write_head(struct yaml_out *o, char style, const char *head)
{
	char line[8] = { style };
	size_t at_ = 1;
	int extra = 0;
	bool keep = false;

	if (o->n) {
		if (o->cp[0] == ' ' || is_break(o->cp[0])) {
			line[at_++] = '2';
			extra = 2;
		} else if (o->root && has_marker(o)) {
			extra = 2;
		}
		if (!is_break(o->cp[o->n - 1]))
			line[at_++] = '-';
		else if (o->n == 1 || is_break(o->cp[o->n - 2]))
			line[at_++] = '+', keep = true;
	}
	yaml_out_indicator(o, line, true, false, false);
	if (head) {
		str_adds(o->to, head);
		o->column += (int)strlen(head);
	}
	if (keep)
		o->open_ended = true;
	yaml_out_break(o);
	return extra;
}

static void write_literal(struct yaml_out *o, const char *head)
{
	int extra = write_head(o, '|', head);
	bool breaks = true;
	size_t start = 0;

	for (size_t end = 0; end <= o->n; end++) {
		uint32_t c = at(o, end);
		bool is = c != NONE && is_break(c);

		if (breaks && !is) {
			for (size_t i = start; i < end; i++)
				break_as(o, o->cp[i]);
			if (c != NONE && o->root)
				str_addn(o->to, ' ', (size_t)(extra + (o->indent > 0 ? o->indent : 0)));
			else if (c != NONE)
				yaml_out_indent(o);
			start = end;
		} else if (!breaks && (c == NONE || is)) {
			int column = o->column;

			put(o, start, end);
			o->column = column;
			if (c == NONE)
				yaml_out_break(o);
			start = end;
		}
		if (c != NONE)
			breaks = is;
	}
}

/* Bell characters mark where the text was folded when it was read. */
static void write_folded(struct yaml_out *o, const char *head)
{
	bool leading = true, spaces = false, breaks = true;
	size_t start = 0;

	write_head(o, '>', head);
	for (size_t end = 0; end <= o->n; end++) {
		uint32_t c = at(o, end);
		bool is = c != NONE && (is_break(c) || c == '\a');

		if (breaks) {
			if (!is) {
				if (!leading && c != NONE && c != ' ' && at(o, start) == '\n')
					yaml_out_break(o);
				leading = c == ' ';
				for (size_t i = start; i < end; i++)
					break_as(o, o->cp[i]);
				if (c != NONE)
					yaml_out_indent(o);
				start = end;
			}
		} else if (spaces) {
			if (c != ' ') {
				if (start + 1 == end && o->column > YAML_WIDTH)
					yaml_out_indent(o);
				else
					put(o, start, end);
				start = end;
			}
		} else if (c == NONE || c == ' ' || is) {
			put(o, start, end);
			if (c == '\a') {
				yaml_out_break(o);
				yaml_out_indent(o);
				end += 2;
			}
			if (c == NONE)
				yaml_out_break(o);
			start = end < o->n ? end : o->n;
		}
		if (c != NONE) {
			breaks = is && c != '\a';
			spaces = c == ' ';
		}
	}
}

/* Where ruamel.yaml's fold would change the value, ours quotes it. */
static void write_plain_safely(struct yaml_out *o, bool split)
{
	struct yaml_out before = *o;
	size_t len = o->to->len;

	if (write_plain(o, split))
		return;
	str_setlen(o->to, len);
	*o = before;
	write_double(o, split);
}

bool yaml_out_is_word(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
		      c == '_' || (c == '.' && i) || (c == '-' && i)))
			return false;
	}
	return len > 0;
}

void yaml_out_word(struct yaml_out *o, const char *text, size_t len)
{
	if (o->sequence && !o->flow_level)
		yaml_out_indent(o);
	if (o->root)
		o->open_ended = true;
	if (!o->whitespace) {
		str_addc(o->to, ' ');
		o->column++;
	}
	o->whitespace = o->indention = false;
	if ((int)len + o->column > YAML_WIDTH && o->indent >= 0 && o->column > o->indent)
		yaml_out_indent(o);
	str_add(o->to, text, len);
	o->column += (int)len;
}

void yaml_out_scalar(struct yaml_out *o, char style, const char *head)
{
	bool split = !o->simple_key;

	if (o->sequence && !o->flow_level)
		yaml_out_indent(o);
	if (style == '"')
		write_double(o, split);
	else if (style == '\'')
		write_single(o, split);
	else if (style == '|')
		write_literal(o, head);
	else if (style == '>')
		write_folded(o, head);
	else
		write_plain_safely(o, split);
}

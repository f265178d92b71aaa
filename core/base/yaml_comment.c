/* yaml_comment - comments and blank lines between tokens, as ruamel.yaml's round-trip scanner cuts them. */
#include "core/base/yaml_rt.h"

#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/unicode.h"

static uint32_t peek(const struct ycursor *c)
{
	const char *p = c->p;

	return p < c->end ? uc_next(&p, c->end) : 0;
}

static bool is_break(uint32_t ch)
{
	return ch == '\n' || ch == '\r' || ch == 0x85 || ch == 0x2028 || ch == 0x2029;
}

static bool is_end(const struct ycursor *c)
{
	uint32_t ch = peek(c);

	return c->p == c->end || ch == '\n' || ch == '\r' || ch == 0x85;
}

void ycursor_step(struct ycursor *c)
{
	uint32_t ch;

	if (c->p == c->end)
		return;
	ch = uc_next(&c->p, c->end);
	c->index++;
	if (is_break(ch) && !(ch == '\r' && peek(c) == '\n')) {
		c->line++;
		c->col = 0;
	} else {
		c->col++;
	}
}

void ycursor_to(struct ycursor *c, size_t index)
{
	while (c->index < index && c->p < c->end)
		ycursor_step(c);
}

/* Steps over a line break and appends what it reads as. */
static bool line_break(struct ycursor *c, struct str *out)
{
	uint32_t ch = peek(c);

	if (c->p == c->end || !is_break(ch))
		return false;
	if (ch == '\r') {
		ycursor_step(c);
		if (peek(c) == '\n')
			ycursor_step(c);
	} else {
		ycursor_step(c);
	}
	if (ch == 0x2028 || ch == 0x2029)
		uc_add(out, ch);
	else
		str_addc(out, '\n');
	return true;
}

static struct ycomment *real_comment(struct ycursor *c)
{
	autostr struct str s = STR_INIT;
	int line = c->line, col = c->col;
	const char *start = c->p;

	while (!is_end(c))
		ycursor_step(c);
	str_add(&s, start, (size_t)(c->p - start));
	if (c->p == c->end)
		str_addc(&s, '\n');
	while (line_break(c, &s))
		;
	return ycomment_new(s.buf, s.len, line, col);
}

/* The run of empty lines at the cursor; blanks in it count as part of it. */
static struct ycomment *empty_lines(struct ycursor *c)
{
	autostr struct str s = STR_INIT;
	int line = c->line, col = c->col;

	for (;;) {
		if (line_break(c, &s))
			continue;
		if (c->p == c->end || (*c->p != ' ' && *c->p != '\t'))
			break;
		str_addc(&s, *c->p);
		ycursor_step(c);
	}
	if (c->p < c->end && *c->p == '#') {
		const char *last = memrchr(s.buf, '\n', s.len);

		str_setlen(&s, (size_t)(last - s.buf) + 1);
	}
	return ycomment_new(s.buf, s.len, line, col);
}

struct ycomment *ycursor_comment(struct ycursor *c, size_t to)
{
	autostr struct str ignored = STR_INIT;

	while (c->index < to && c->p < c->end) {
		uint32_t ch = peek(c);

		if (ch == ' ' || ch == '\t' || ch == 0xfeff)
			ycursor_step(c);
		else if (ch == '#')
			return real_comment(c);
		else if (!line_break(c, &ignored))
			break;
		else if (c->index < to && (peek(c) == '\n' || peek(c) == '\r'))
			return empty_lines(c);
	}
	return NULL;
}

struct block_head {
	bool folded, keep, strip;
	int increment;
};

static void scan_head(struct ycursor *c, struct block_head *h, struct yblock *out)
{
	autostr struct str ignored = STR_INIT;
	const char *start;

	h->folded = *c->p == '>';
	ycursor_step(c);
	for (int i = 0; i < 2 && c->p < c->end; i++) {
		if (*c->p == '+' || *c->p == '-')
			*(*c->p == '+' ? &h->keep : &h->strip) = true;
		else if (*c->p >= '1' && *c->p <= '9')
			h->increment = *c->p - '0';
		else
			break;
		ycursor_step(c);
	}
	start = c->p;
	while (c->p < c->end && *c->p == ' ')
		ycursor_step(c);
	if (c->p < c->end && *c->p == '#') {
		while (!is_end(c))
			ycursor_step(c);
		out->head = xstrndup(start, (size_t)(c->p - start));
	}
	while (!is_end(c))
		ycursor_step(c);
	line_break(c, &ignored);
}

/* Empty lines before a line of the text; the cursor ends at the column 'indent' at most. */
static void scan_breaks(struct ycursor *c, int indent, struct str *breaks, int *end_line)
{
	for (;;) {
		*end_line = c->line;
		while (c->col < indent && c->p < c->end && *c->p == ' ')
			ycursor_step(c);
		if (!line_break(c, breaks))
			return;
	}
}

static int scan_indentation(struct ycursor *c, struct str *breaks, int *end_line)
{
	int max = 0;

	*end_line = c->line;
	for (;;) {
		if (c->p < c->end && *c->p == ' ') {
			ycursor_step(c);
			if (c->col > max)
				max = c->col;
		} else if (line_break(c, breaks)) {
			*end_line = c->line;
		} else {
			return max;
		}
	}
}

static bool is_marker(const struct ycursor *c)
{
	return !c->col && c->end - c->p >= 3 && (!memcmp(c->p, "---", 3) || !memcmp(c->p, "...", 3)) &&
	       (c->end - c->p == 3 || strchr(" \t\r\n", c->p[3]));
}

static bool starts_white(const struct ycursor *c)
{
	return *c->p == ' ' || *c->p == '\t';
}

static void scan_lines(struct ycursor *c, const struct block_head *h, int indent, struct str *text, struct str *breaks,
		       int *end_line)
{
	while (c->col == indent && c->p < c->end && !is_marker(c)) {
		bool leading = !starts_white(c), feed;
		autostr struct str br = STR_INIT;
		const char *start;

		str_add(text, str_cstr(breaks), breaks->len);
		str_reset(breaks);
		start = c->p;
		while (!is_end(c))
			ycursor_step(c);
		str_add(text, start, (size_t)(c->p - start));
		line_break(c, &br);
		feed = br.len == 1;
		scan_breaks(c, indent, breaks, end_line);
		if (!(c->col == indent && c->p < c->end && !is_marker(c))) {
			if (!h->strip)
				str_add(text, str_cstr(&br), br.len);
			return;
		}
		if (h->folded && feed)
			str_addc(text, '\a');
		if (h->folded && feed && leading && !starts_white(c)) {
			if (!breaks->len)
				str_addc(text, ' ');
		} else {
			str_add(text, str_cstr(&br), br.len);
		}
	}
}

/* Keeps only the folds at a single blank between words: elsewhere the writer breaks lines by itself. */
static char *folds_of(const struct str *s)
{
	autostr struct str out = STR_INIT;
	const char *p = str_cstr(s);

	for (size_t i = 0; i < s->len; i++) {
		if (p[i] != '\a') {
			str_addc(&out, p[i]);
			continue;
		}
		if (p[i + 1] == ' ' && out.len && !strchr(" \t\n\r\v\f", out.buf[out.len - 1]) && i + 2 < s->len &&
		    !strchr(" \t\n\r\v\f\a", p[i + 2]))
			str_addc(&out, '\a');
	}
	return str_take(&out);
}

void ycursor_block(struct ycursor *c, int parent_indent, struct yblock *out)
{
	struct block_head h = { false, false, false, 0 };
	autostr struct str text = STR_INIT, breaks = STR_INIT, trail = STR_INIT;
	int min = parent_indent + 1, indent, col;
	struct ycomment *more;

	scan_head(c, &h, out);
	if (h.increment) {
		indent = (min < 1 ? 1 : min) + h.increment - 1;
		scan_breaks(c, indent, &breaks, &out->end_line);
	} else {
		indent = scan_indentation(c, &breaks, &out->end_line);
		if (indent < min)
			indent = min;
	}
	scan_lines(c, &h, indent, &text, &breaks, &out->end_line);
	if (h.keep)
		str_add(&text, str_cstr(&breaks), breaks.len);
	if (h.folded)
		out->folds = folds_of(&text);
	if (h.keep || !breaks.len)
		return;
	col = 0;
	str_add(&trail, breaks.buf, breaks.len);
	while ((more = ycursor_comment(c, SIZE_MAX))) {
		str_addn(&trail, ' ', (size_t)more->col);
		str_adds(&trail, more->text);
		ycomment_drop(more);
	}
	out->trail = ycomment_new(trail.buf, trail.len, out->end_line, col);
}

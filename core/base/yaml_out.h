/*
 * yaml_out - the lower half of the emitter: columns, line breaks, and scalars in their five styles. Private to
 * yaml_emit.c and yaml_out.c.
 *
 *  YO1  The fields are ruamel.yaml's emitter state; whether a blank or a break comes next depends on all of them.
 *  YO2  Columns count code points.
 */
#ifndef BASE_YAML_OUT_H
#define BASE_YAML_OUT_H

#include "core/base/str.h"

#define YAML_WIDTH 80
#define YAML_NO_INDENT (-1)

struct yaml_out {
	struct str *to;
	int column, indent;     /* indent: YAML_NO_INDENT at the top */
	bool whitespace, indention, no_newline, open_ended;
	bool root, sequence, mapping, simple_key;       /* what is being written */
	int flow_level;
	uint32_t *cp;           /* the scalar at hand */
	size_t n, cap;
};

/* What a text allows; of out->cp. */
struct yaml_shape {
	bool empty, multiline, flow_plain, block_plain, single;
};

void yaml_out_load(struct yaml_out *o, const char *text, size_t len);
void yaml_out_shape(const struct yaml_out *o, struct yaml_shape *s);
void yaml_out_indicator(struct yaml_out *o, const char *text, bool need_whitespace, bool whitespace, bool indention);
void yaml_out_indent(struct yaml_out *o);
void yaml_out_break(struct yaml_out *o);
/* style: 0 plain, '\'', '"', '|' or '>'; 'head' follows a block scalar's indicator. */
void yaml_out_scalar(struct yaml_out *o, char style, const char *head);
/* The short way for what most scalars are: one word without any character of meaning, written plain. */
bool yaml_out_is_word(const char *text, size_t len);
void yaml_out_word(struct yaml_out *o, const char *text, size_t len);

#endif

/* What pylit.c and pylit_token.c share. Not for others. */
#ifndef STAGE_PYLIT_PRIV_H
#define STAGE_PYLIT_PRIV_H

#include "core/base/compat.h"

struct str;
struct err;

#define PYLIT_DEPTH_MAX 100

enum py_kind { PY_END, PY_NEWLINE, PY_INDENT, PY_DEDENT, PY_NAME, PY_NUMBER, PY_STRING, PY_OP };

struct py_token {
	enum py_kind kind;
	const char *p;
	size_t len;
	int line, col;
};
struct py_lexer {
	const char *p, *end, *line_start;
	const char *name;
	int line;
	int indent[PYLIT_DEPTH_MAX];
	int depth;              /* of indent */
	int dedents;            /* still to be given */
	char bracket[PYLIT_DEPTH_MAX * 2];
	int bracket_line[PYLIT_DEPTH_MAX * 2];
	int nbracket;
	bool at_line_start;     /* nothing of this logical line was read */
	bool wants_block;       /* the line before ended with a colon */
	struct py_token last, before;   /* last: given last; before: given before that */
	struct py_token first;          /* of this logical line */
	struct err *e;
};

int  py_fail(struct py_lexer *x, const char *why);      /* -1 */
void py_lexer_init(struct py_lexer *x, const char *text, size_t len, const char *name, struct err *e);
int  py_next(struct py_lexer *x, struct py_token *out);
bool py_is(const struct py_token *t, const char *text); /* an operator or name of this text */
bool py_is_keyword(const struct py_token *t);
/* The value of a string token: 0 done (appended), 1 no text literal (bytes, f-string, \N{...}), -1 error. */
int  py_string_value(struct py_lexer *x, const struct py_token *t, struct str *out);

#endif

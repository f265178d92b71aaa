/*
 * pylit - parameters out of Python source, as DVC finds them: assignments of literals at module level, in classes
 * (a map per class), and of self.x in __init__.
 *
 *  PY1  Only literals count: numbers, strings, None, True, False, and lists, tuples, sets and dicts of them, with a sign
 *       or a sum of them where Python's literal_eval takes one. Every other statement is stepped over.
 *  PY2  The text is tokenised as Python does it: indentation, brackets, strings with prefixes, line joining. What cannot
 *       be tokenised is an error; what only the grammar would refuse may pass.
 *  PY3  Depth is at most 100, as Python's own parser allows 200 brackets.
 */
#ifndef STAGE_PYLIT_H
#define STAGE_PYLIT_H

#include "core/base/compat.h"

struct node;
struct err;

int pylit_parse(struct node **out, const char *text, size_t len, const char *name, struct err *e);

#endif

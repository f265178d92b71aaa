/*
 * toml - strict TOML 1.0 in. Debian has no C library for it.
 *
 *  TO1  Everything the specification forbids is an error: redefinition, mixed newlines in names, bad escapes,
 *       leading zeros, invalid UTF-8, control characters, extension of inline tables and static arrays.
 *  TO2  Dates and times become NODE_DATE with Python's text of them; decimal integers have no bound, as in Python.
 *  TO3  Depth is at most 128; cost is linear in the text.
 *
 * Source: TOML v1.0.0; judged by the toml-test suite.
 */
#ifndef STAGE_TOML_H
#define STAGE_TOML_H

#include "core/base/compat.h"

struct node;
struct err;

int toml_parse(struct node **out, const char *text, size_t len, const char *name, struct err *e);

#endif

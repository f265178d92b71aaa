/*
 * json - JSON in (jansson, within limits) and out (our own writer, byte-equal to Python's json.dumps).
 *
 *  J1  Reading refuses texts above the given size, nesting above 256, duplicate keys are last-wins as in Python,
 *      and accepts NaN, Infinity and -Infinity and integers of any size as Python does.
 *  J2  Writing uses ", " and ": ", ASCII escapes with lower-case hex, surrogate pairs, floats as Python's repr.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "core/base/compat.h"

struct node;
struct str;
struct err;

#define JSON_MAX_DEFAULT (1ull << 30)

int  json_parse(struct node **out, const char *text, size_t len, const char *name, struct err *e);
int  json_load(struct node **out, const char *path, uint64_t max, struct err *e);
enum { JSON_SORT = 1, JSON_COMPACT = 2, JSON_INDENT2 = 4 };
void json_dump(struct str *out, const struct node *n, unsigned flags);
void json_add_quoted(struct str *out, const char *s, size_t len);       /* one string with its quotes */
void json_add_quotedz(struct str *out, const char *s);

#endif

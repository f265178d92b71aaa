/*
 * unicode - the few questions about code points that Python's rules ask. Unicode 14, as Python 3.11 has it.
 *
 *  U1  uc_next() never reads past the end and always advances; bytes that are no UTF-8 give U+FFFD, one at a time.
 */
#ifndef BASE_UNICODE_H
#define BASE_UNICODE_H

#include "core/base/compat.h"

struct str;

uint32_t uc_next(const char **p, const char *end);
void uc_add(struct str *out, uint32_t cp);              /* as UTF-8 */
bool uc_printable(uint32_t cp);                         /* str.isprintable() */
bool uc_id_start(uint32_t cp);                          /* may begin a Python identifier; '_' too */
bool uc_id_more(uint32_t cp);

#endif

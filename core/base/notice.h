/*
 * notice - what the engine wants said while it works; only cmd/ui.c prints.
 *
 *  A library function reports failure by struct err; a notice is for what does not fail: DVC's INFO and WARNING lines.
 *  NOTICE_INFO goes to stdout as it is; NOTICE_WARN to stderr behind "WARNING: "; NOTICE_ERROR to stderr behind
 *  "ERROR: " (a failure that does not end the command). NOTICE_DEBUG shows only with -v.
 *  NOTICE_NOTE goes to stderr as it is.
 *
 * Threads: any; the sink serialises.
 */
#ifndef BASE_NOTICE_H
#define BASE_NOTICE_H

#include "core/base/compat.h"

enum notice_level { NOTICE_DEBUG, NOTICE_INFO, NOTICE_WARN, NOTICE_ERROR, NOTICE_NOTE };
typedef void notice_fn(enum notice_level level, const char *text, void *data);

void notice(enum notice_level level, const char *fmt, ...) PRINTF(2, 3);
void notice_sink(notice_fn *fn, void *data);    /* NULL: silence */

#endif

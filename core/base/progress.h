/*
 * progress - counters that workers bump and the ui samples; nothing here prints.
 *
 *  P1  All fields are atomics or set before the workers start; reading them never blocks a worker.
 *  P2  One progress is current at a time; progress_begin() makes it so, progress_end() removes it.
 */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include "core/base/compat.h"

#include <stdatomic.h>

struct progress {
	const char *verb;               /* "hashing", "pushing", ... */
	_Atomic uint64_t items, items_total, bytes, bytes_total;        /* total 0: unknown */
};

void progress_begin(struct progress *p, const char *verb, uint64_t items_total, uint64_t bytes_total);
void progress_end(struct progress *p);
struct progress *progress_current(void);        /* NULL when idle */
static inline void progress_add(struct progress *p, uint64_t items, uint64_t bytes)
{
	if (p) {
		atomic_fetch_add_explicit(&p->items, items, memory_order_relaxed);
		atomic_fetch_add_explicit(&p->bytes, bytes, memory_order_relaxed);
	}
}
/* Machine-readable events for the --json stream of transfers; a no-op unless the ui set a sink. 'json' is one object. */
typedef void progress_event_fn(const char *json, void *data);
void progress_event_sink(progress_event_fn *fn, void *data);
bool progress_wants_events(void);
void progress_event(const char *json);

#endif

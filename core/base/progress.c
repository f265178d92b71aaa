#include "core/base/progress.h"

static struct progress *_Atomic current;
static progress_event_fn *_Atomic event_fn;
static void *event_data;

void progress_begin(struct progress *p, const char *verb, uint64_t items_total, uint64_t bytes_total)
{
	p->verb = verb;
	atomic_store(&p->items, 0);
	atomic_store(&p->bytes, 0);
	atomic_store(&p->items_total, items_total);
	atomic_store(&p->bytes_total, bytes_total);
	atomic_store(&current, p);
}

void progress_end(struct progress *p)
{
	struct progress *mine = p;

	atomic_compare_exchange_strong(&current, &mine, NULL);
}

struct progress *progress_current(void)
{
	return atomic_load(&current);
}

void progress_event_sink(progress_event_fn *fn, void *data)
{
	event_data = data;
	atomic_store(&event_fn, fn);
}

bool progress_wants_events(void)
{
	return atomic_load(&event_fn) != NULL;
}

void progress_event(const char *json)
{
	progress_event_fn *fn = atomic_load(&event_fn);

	if (fn)
		fn(json, event_data);
}

#include "core/base/notice.h"

#include "core/base/own.h"

#include <pthread.h>
#include <stdarg.h>

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static notice_fn *sink;
static void *sink_data;

void notice_sink(notice_fn *fn, void *data)
{
	pthread_mutex_lock(&mu);
	sink = fn;
	sink_data = data;
	pthread_mutex_unlock(&mu);
}

void notice(enum notice_level level, const char *fmt, ...)
{
	autofree char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&mu);
	if (sink)
		sink(level, text, sink_data);
	pthread_mutex_unlock(&mu);
}

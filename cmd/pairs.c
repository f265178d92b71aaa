#include "cmd/pairs.h"

#include "cmd/show.h"

#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/own.h"

#include <stdarg.h>

int pairs_map(const struct strvec *v, const char *option, struct map *out, struct err *e)
{
	for (size_t i = 0; i < v->n; i++) {
		const char *eq = strchr(v->v[i], '=');
		autofree char *name = eq ? xstrndup(v->v[i], (size_t)(eq - v->v[i])) : NULL;

		if (!eq || eq == v->v[i])
			return err_set(e, ERR_USAGE, "argument %s: Could not parse argument \"%s\" as k1=v1 k2=v2 ... format",
				       option, v->v[i]);
		map_put(out, name, (char *)eq + 1);
	}
	return 0;
}

struct node *pairs_node(const struct strvec *v)
{
	struct node *n = v->n ? node_map() : NULL;

	for (size_t i = 0; i < v->n; i++) {
		const char *eq = strchr(v->v[i], '=');
		autofree char *name = xstrndup(v->v[i], (size_t)(eq - v->v[i]));

		node_set(n, name, node_str(eq + 1));
	}
	return n;
}

int fail_with(struct err *e, const char *fmt, ...)
{
	autofree char *where = NULL, *msg = NULL;
	va_list ap;

	if (e->code == ERR_INTR)
		return -1;
	show_outage(e);
	if (!e->exit_status)
		e->exit_status = 1;
	if (e->report || e->exit_status == 255 || (e->code == ERR_AUTH && e->exit_status == 251) ||
	    (e->msg && str_starts(e->msg, "unexpected error")))
		return -1;
	va_start(ap, fmt);
	where = xvasprintf(fmt, ap);
	va_end(ap);
	msg = xasprintf("%s - %s", where, show_past_config(e->msg ? e->msg : ""));
	free(e->msg);
	e->msg = take(msg);
	return -1;
}

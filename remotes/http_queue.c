/* The lists of an engine: operations that may start an exchange, those that are asked again soon, pages of listings. */
#include "remotes/http_own.h"

#include "core/base/own.h"

void http_hop_requeue(struct http_engine *g, struct hop *o)
{
	o->next = NULL;
	*g->queue_tail = o;
	g->queue_tail = &o->next;
}

void http_hop_unqueue(struct http_engine *g, struct hop *o)
{
	for (struct hop **p = &g->queue; *p; p = &(*p)->next)
		if (*p == o) {
			*p = o->next;
			if (!*p)
				g->queue_tail = p;
			return;
		}
}

bool http_hop_is_queued(const struct http_engine *g, const struct hop *o)
{
	for (const struct hop *p = g->queue; p; p = p->next)
		if (p == o)
			return true;
	return false;
}

void http_soon_add(struct http_engine *g, struct hop *o)
{
	if (o->is_soon)
		return;
	o->is_soon = true;
	o->soon = g->soon;
	g->soon = o;
	g->nsoon++;
}

void http_soon_drop(struct http_engine *g, struct hop *o)
{
	if (!o->is_soon)
		return;
	for (struct hop **p = &g->soon; *p; p = &(*p)->soon)
		if (*p == o) {
			*p = o->soon;
			break;
		}
	o->is_soon = false;
	g->nsoon--;
}

/* A part that must be sent again does not take the others with it: they may end, then the whole is tried again. */
void http_drain_begin(struct hop *o)
{
	struct rop *op = o->op;

	o->draining = true;
	err_move(&o->why, &op->err);
	memcpy(o->why_code, op->code, sizeof(o->why_code));
	o->why_status = op->http_status;
	o->why_after = op->retry_after;
}

void http_drain_end(struct hop *o)
{
	struct rop *op = o->op;

	err_move(&op->err, &o->why);
	memcpy(op->code, o->why_code, sizeof(op->code));
	op->http_status = o->why_status;
	op->retry_after = o->why_after;
}

void http_listing_free(struct listing *l)
{
	free(l->prefix);
	free(l->marker);
	free(l);
}

int http_list_marker(struct listing *l, const char *marker, struct err *e)
{
	if (l->marker && !strcmp(l->marker, marker))
		return err_set(e, ERR_FAIL, "the listing does not go on: its next page begins where this one did");
	free(l->marker);
	l->marker = xstrdup(marker);
	return LIST_MORE;
}

void http_page_wait(struct http_engine *g, struct listing *l, unsigned attempt, int64_t at)
{
	struct page_wait *w = xcalloc(1, sizeof(*w)), **p = &g->pages;

	w->l = l;
	w->attempt = attempt;
	w->at_ms = at;
	while (*p)
		p = &(*p)->next;
	*p = w;
}

void http_pages_drop(struct http_engine *g)
{
	while (g->pages) {
		struct page_wait *w = g->pages;

		g->pages = w->next;
		http_listing_free(w->l);
		free(w);
	}
}

void http_list_add(struct http_remote *h, struct listing *like, const char *prefix, const char *marker, unsigned tag)
{
	struct listing *l = xcalloc(1, sizeof(*l));

	l->prefix = xstrdup(prefix);
	l->marker = xstrdup(marker);
	l->fn = like->fn;
	l->data = like->data;
	l->tag = tag;
	h->eng->listings++;
	http_page_wait(h->eng, l, 0, 0);
}

void http_list_fail(struct http_engine *g, struct listing *l, struct err *e)
{
	if (!g->list_failed)
		err_move(&g->list_err, e);
	g->list_failed = true;
	g->listings--;
	http_listing_free(l);
}

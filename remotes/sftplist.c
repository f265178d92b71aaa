#include "remotes/sftpint.h"

#include "core/base/own.h"
#include "core/base/proc.h"

#include <sys/stat.h>

#define DIRS_AT_ONCE 48u
#define AHEAD 2u                        /* questions for more names, per directory */
#define DEPTH_MAX 64u

struct ldir {
	struct lister *l;
	char *rel;                      /* below base, without slash at the end; "" is base itself */
	unsigned depth, pending;
	bool eof;
	struct str handle;
	struct ldir *prev, *next;
};

struct lister {
	struct sftp *s;
	const char *filter;             /* first level: names begin with this */
	struct ldir *queued, *active;
	unsigned nactive;
	remote_list_fn *fn;
	void *data;
	bool failed;
	struct err err;
};

static void push_dir(struct lister *l, const char *rel, unsigned depth)
{
	struct ldir *d = xcalloc(1, sizeof(*d));

	d->l = l;
	d->rel = xstrdup(rel);
	d->depth = depth;
	d->next = l->queued;
	l->queued = d;
}

static void free_dir(struct ldir *d)
{
	free(d->rel);
	str_release(&d->handle);
	free(d);
}

static void settle_dir(struct ldir *d)
{
	struct lister *l = d->l;

	if (d->pending)
		return;
	if (d->handle.len)
		sftp_ask_handle(l->s, SFTP_CLOSE, sftp_ignore, NULL, &d->handle);
	if (d->next)
		d->next->prev = d->prev;
	if (d->prev)
		d->prev->next = d->next;
	else
		l->active = d->next;
	l->nactive--;
	free_dir(d);
}

static void start_dir(struct lister *l, struct ldir *d, enum sftp_type type, sreq_fn *reply)
{
	autofree char *path = *d->rel ? xasprintf("%s/%s", l->s->base, d->rel) : xstrdup(*l->s->base ? l->s->base : "/");

	d->prev = NULL;
	d->next = l->active;
	if (l->active)
		l->active->prev = d;
	l->active = d;
	l->nactive++;
	d->pending++;
	sftp_ask_path(l->s, type, reply, d, path);
}

static void list_fail(struct lister *l, const struct ldir *d, uint32_t status, const char *what)
{
	if (!l->failed)
		err_set(&l->err, status == SFTP_PERMISSION_DENIED ? ERR_PERM : ERR_FAIL, "cannot list '%s/%s' on %s: %s",
			l->s->base, d->rel, l->s->who, what ? what : sftp_status_text(status));
	l->failed = true;
}

/* Where a symbolic link leads: a file is an object, a directory is listed, anything else is left out. */
static void got_target(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct ldir *d = q->owner;
	struct wire_attrs a = wire_attrs_of(type, w);

	sreq_free(s, q);
	d->pending--;
	if (a.has_mode && S_ISDIR(a.mode) && !d->l->failed)
		push_dir(d->l, d->rel, d->depth);
	else if (a.has_mode && S_ISREG(a.mode) && !d->l->failed && d->l->fn(d->rel, a.size, "", d->l->data, &d->l->err))
		d->l->failed = true;
	settle_dir(d);
}

static void take_entry(struct ldir *d, const unsigned char *name, size_t n, char kind, const struct wire_attrs *a)
{
	struct lister *l = d->l;
	autofree char *key = NULL;
	struct ldir *link;

	if (!n || n > 1024 || memchr(name, '/', n) || memchr(name, '\0', n) || (name[0] == '.' && n == 1) ||
	    (n == 2 && !memcmp(name, "..", 2)))
		return;
	if (!d->depth && (n < strlen(l->filter) || memcmp(name, l->filter, strlen(l->filter))))
		return;
	key = xasprintf("%s%s%.*s", d->rel, *d->rel ? "/" : "", (int)n, (const char *)name);
	if (kind == 'd' && d->depth >= DEPTH_MAX) {
		list_fail(l, d, 0, "directories nested too deep");
	} else if (kind == 'd') {
		push_dir(l, key, d->depth + 1);
	} else if (kind == 'l' && d->depth < DEPTH_MAX) {
		link = xcalloc(1, sizeof(*link));
		link->l = l;
		link->rel = take(key);
		link->depth = d->depth + 1;
		start_dir(l, link, SFTP_STAT, got_target);
	} else if (kind == '-' && l->fn(key, a->size, "", l->data, &l->err)) {
		l->failed = true;
	}
}

/* Names come with the text of "ls -l"; its first letter serves where the attributes have no mode. */
static void take_names(struct sftp *s, struct ldir *d, struct wire *w)
{
	uint32_t count = wire_get_u32(w);
	struct wire_attrs a;
	const unsigned char *name, *text;
	size_t n, nt;
	char kind;

	while (count-- && !w->bad && !d->l->failed) {
		name = wire_get_bytes(w, &n);
		text = wire_get_bytes(w, &nt);
		wire_get_attrs(w, &a);
		if (w->bad)
			break;
		kind = nt ? (char)text[0] : '-';
		if (a.has_mode)
			kind = S_ISDIR(a.mode) ? 'd' : S_ISLNK(a.mode) ? 'l' : S_ISREG(a.mode) ? '-' : '?';
		take_entry(d, name, n, kind, &a);
	}
	if (w->bad)
		sftp_break(s, "the server sent a list of names that is cut short");
}

static void got_names(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct ldir *d = q->owner;
	uint32_t status;

	sreq_free(s, q);
	d->pending--;
	if (type == SFTP_NAME) {
		take_names(s, d, w);
	} else {
		status = sftp_status_of(s, type, w);
		d->eof = true;
		if (status != SFTP_EOF)
			list_fail(d->l, d, status, NULL);
	}
	if (!d->eof && !d->l->failed && !s->broken) {
		d->pending++;
		sftp_ask_handle(s, SFTP_READDIR, got_names, d, &d->handle);
	}
	settle_dir(d);
}

static void got_dir(struct sftp *s, struct sreq *q, enum sftp_type type, struct wire *w)
{
	struct ldir *d = q->owner;
	uint32_t status = SFTP_OK;
	const unsigned char *p = NULL;
	size_t n = 0;
	unsigned i;

	sreq_free(s, q);
	d->pending--;
	if (type == SFTP_HANDLE) {
		p = wire_get_bytes(w, &n);
		if (w->bad || !n || n > 256)
			sftp_break(s, "the server gave a handle that is not one");
	} else {
		status = sftp_status_of(s, type, w);
	}
	if (p && !s->broken) {
		str_add(&d->handle, p, n);
		for (i = 0; i < AHEAD && !d->l->failed; i++) {
			d->pending++;
			sftp_ask_handle(s, SFTP_READDIR, got_names, d, &d->handle);
		}
	} else if (status != SFTP_NO_SUCH_FILE) {
		list_fail(d->l, d, status, NULL);
	}
	settle_dir(d);
}

static int list_loop(struct lister *l, struct err *e)
{
	struct ldir *d;

	while (l->active || (l->queued && !l->failed)) {
		while ((d = l->queued) && !l->failed && l->nactive < DIRS_AT_ONCE) {
			l->queued = d->next;
			start_dir(l, d, SFTP_OPENDIR, got_dir);
		}
		if (sftp_run(l->s, 1000, e))
			return -1;
		if (!l->failed && proc_check(&l->err))
			l->failed = true;
	}
	return 0;
}

int sftp_list(struct sftp *s, const char *prefix, remote_list_fn *fn, void *data, struct err *e)
{
	const char *slash = strrchr(prefix, '/');
	autofree char *dir = xstrndup(prefix, slash ? (size_t)(slash - prefix) : 0);
	struct lister l = { .s = s, .filter = slash ? slash + 1 : prefix, .fn = fn, .data = data, .err = ERR_INIT };
	struct ldir *d;
	int ret;

	push_dir(&l, dir, 0);
	ret = list_loop(&l, e);
	while ((d = l.active ? l.active : l.queued)) {
		if (l.active)
			l.active = d->next;
		else
			l.queued = d->next;
		free_dir(d);
	}
	if (!ret && l.failed) {
		err_move(e, &l.err);
		ret = -1;
	}
	err_release(&l.err);
	return ret;
}

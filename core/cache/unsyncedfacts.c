/* What a mark and a file of unsynced say (unsynced_own.h). */
#include "core/cache/unsynced_own.h"

#include "core/base/dirmark.h"
#include "core/base/own.h"
#include "core/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#define MAX_FILE (1u << 30)             /* some 20 million objects verified */
#define MAX_LINE 128                    /* none of ours is longer */
#define MAX_SPANS 1000                  /* beyond, the two oldest become one: more is verified, never less */
#define MAX_SPAN_LINES (16 * MAX_SPANS) /* beyond, the file is not ours */
#define SLACK_NS 3000000000ll           /* time stamps of a file may lag the clock, and be whole seconds */

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t facts_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return ns_of(t);
}

void facts_init(struct facts *f, const char boot[BOOT_ID_MAX])
{
	*f = (struct facts){ .dirty = false };
	snprintf(f->boot, sizeof(f->boot), "%s", boot);
}

void facts_release(struct facts *f)
{
	for (size_t i = 0; i < f->ngood; i++)
		binset_release(&f->good[i].ids);
	free(f->good);
	free(f->span);
	f->good = NULL;
	f->span = NULL;
	f->ngood = f->nspans = f->good_cap = f->spans_cap = 0;
}

static struct span *span_from(const struct facts *f, int64_t from)
{
	for (size_t i = 0; i < f->nspans; i++)
		if (f->span[i].from == from)
			return &f->span[i];
	return NULL;
}

static void join_oldest(struct facts *f)
{
	const struct span *a = &f->span[0];
	struct span *b = &f->span[1];

	*b = (struct span){ a->from < b->from ? a->from : b->from, a->to > b->to ? a->to : b->to, false };
	memmove(f->span, f->span + 1, --f->nspans * sizeof(*f->span));
}

/* False when it says nothing new. */
static bool add_span(struct facts *f, struct span s)
{
	struct span *same = span_from(f, s.from), was;

	if (s.from >= s.to)
		return false;
	if (same) {
		/* What is fresh ends where it was seen first: what was written after is covered by this boot's mark. */
		was = *same;
		if (was.fresh == s.fresh)
			same->to = (s.to < was.to) == s.fresh ? s.to : was.to;
		else if (was.fresh)
			*same = s;
		return same->to != was.to || same->fresh != was.fresh;
	}
	if (f->nspans == MAX_SPANS)
		join_oldest(f);
	GROW(f->span, f->nspans, f->spans_cap);
	f->span[f->nspans++] = s;
	return true;
}

void facts_suspect_all(struct facts *f)
{
	if (!span_from(f, 0))
		add_span(f, (struct span){ 0, facts_now(), true });
}

/* The first group that holds for spans up to 'upto' or later. */
static size_t good_from(const struct facts *f, int64_t upto)
{
	size_t lo = 0, hi = f->ngood;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (f->good[mid].upto < upto)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool facts_is_good(const struct facts *f, const struct oid *id, int64_t upto)
{
	for (size_t i = good_from(f, upto); i < f->ngood; i++)
		if (binset_has(&f->good[i].ids, id))
			return true;
	return false;
}

bool facts_add_good(struct facts *f, const struct oid *id, int64_t upto)
{
	size_t i = good_from(f, upto);

	if (i == f->ngood || f->good[i].upto != upto) {
		if (f->ngood == MAX_SPANS)
			return false;           /* it is verified again */
		GROW(f->good, f->ngood, f->good_cap);
		memmove(f->good + i + 1, f->good + i, (f->ngood++ - i) * sizeof(*f->good));
		f->good[i] = (struct good){ upto, BINSET_INIT(sizeof(struct oid)) };
	}
	return binset_add(&f->good[i].ids, id);
}

int64_t facts_newest(const struct facts *f)
{
	int64_t newest = 0;

	for (size_t i = 0; i < f->nspans; i++)
		newest = f->span[i].to > newest ? f->span[i].to : newest;
	return newest;
}

bool facts_any_fresh(const struct facts *f)
{
	for (size_t i = 0; i < f->nspans; i++)
		if (f->span[i].fresh)
			return true;
	return false;
}

int64_t facts_suspect(const struct facts *f, const struct stat *st)
{
	int64_t m = ns_of(st->st_mtim), c = ns_of(st->st_ctim), upto = 0;

	for (size_t i = 0; i < f->nspans; i++) {
		const struct span *s = &f->span[i];

		if (((m >= s->from && m < s->to) || (c >= s->from && c < s->to)) && s->to > upto)
			upto = s->to;
	}
	return upto;
}

static void read_mark(struct facts *f, const char *boot, int64_t since, int64_t last)
{
	int64_t now = facts_now(), to = last < INT64_MAX - SLACK_NS && last + SLACK_NS > now ? last + SLACK_NS : now;

	if (!strcmp(boot, f->boot) && strcmp(boot, "unknown") != 0) {
		f->since = f->dirty && f->since < since ? f->since : since;
		f->last = f->dirty && f->last > last ? f->last : last;
		f->dirty = true;
	} else {
		add_span(f, (struct span){ since > SLACK_NS ? since - SLACK_NS : 0, to, true });
	}
}

/* False when the line tells of a span. 'newest': the end of the latest one that the file has listed so far. */
static bool read_line(struct facts *f, const char *line, int64_t *newest)
{
	char boot[BOOT_ID_MAX], hex[OID_HEX_MAX];
	long long from, to;
	struct oid id;
	int n;

	if (sscanf(line, "dirty %39s %lld %lld", boot, &from, &to) == 3) {
		read_mark(f, boot, from, to);
		return false;
	}
	if (sscanf(line, "suspect %lld %lld", &from, &to) == 2) {
		add_span(f, (struct span){ from, to, false });
		*newest = to > *newest ? to : *newest;
		return false;
	}
	n = sscanf(line, "ok %36s %lld", hex, &to);
	if (n >= 1 && oid_parse(&id, hex))      /* without a time, as earlier versions wrote: good for what stands above */
		facts_add_good(f, &id, n == 2 ? to : *newest);
	return true;
}

struct lines { char line[MAX_LINE]; size_t n; int64_t newest; unsigned spans; };

/* False when it is no file of ours. */
static bool feed(struct facts *f, struct lines *l, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != '\n') {
			if (l->n < MAX_LINE)
				l->line[l->n++] = p[i];
			continue;
		}
		if (l->n < MAX_LINE) {
			l->line[l->n] = 0;
			if (!read_line(f, l->line, &l->newest) && ++l->spans > MAX_SPAN_LINES)
				return false;
		}
		l->n = 0;
	}
	return true;
}

static int read_lines(struct facts *f, int fd, off_t size)
{
	struct lines l = { .n = 0 };
	char buf[16384];
	ssize_t n;

	for (off_t left = size; left > 0; left -= n) {
		n = read(fd, buf, sizeof(buf));
		if (n < 0 || !feed(f, &l, buf, (size_t)n))
			return -1;
		if (!n)
			break;
	}
	return !l.n || feed(f, &l, "\n", 1) ? 0 : -1;
}

int facts_load(struct facts *f, int dirfd, const char *name)
{
	/* O_NONBLOCK: a FIFO put in its place must not hang us. */
	autoclose int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	char boot[BOOT_ID_MAX];
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 1 : -1;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size <= MAX_FILE && !read_lines(f, fd, st.st_size))
		return 0;
	memcpy(boot, f->boot, sizeof(boot));
	facts_release(f);
	facts_init(f, boot);
	return -1;
}

int facts_read(struct facts *f, const char *text, size_t n)
{
	struct lines l = { .n = 0 };

	return feed(f, &l, text, n) && (!l.n || feed(f, &l, "\n", 1)) ? 0 : -1;
}

int facts_load_mark(struct facts *f, int dirfd, const char *name)
{
	autostr struct str text = STR_INIT;
	int rc = dirmark_read(dirfd, name, &text);

	if (rc)
		return rc > 0 || errno == ENOTSUP ? 1 : -1;
	return facts_read(f, text.buf, text.len);
}

bool facts_join_spans(struct facts *f, const struct facts *more)
{
	bool news = false;

	for (size_t i = 0; i < more->nspans; i++)
		news |= add_span(f, more->span[i]);
	return news;
}

bool facts_join_good(struct facts *f, const struct facts *more)
{
	const struct oid *id;
	bool news = false;

	for (size_t g = 0; g < more->ngood; g++)
		for (size_t i = 0; (id = binset_next(&more->good[g].ids, &i));)
			news |= facts_add_good(f, id, more->good[g].upto);
	return news;
}

void facts_mark_line(struct str *out, const struct facts *f)
{
	str_addf(out, "dirty %s %020lld %020lld\n", f->boot, (long long)f->since, (long long)f->last);
}

size_t facts_last_at(const struct facts *f)
{
	return strlen("dirty ") + strlen(f->boot) + 1 + 20 + 1;
}

static void add_spans(struct str *out, const struct facts *f)
{
	if (f->dirty)
		facts_mark_line(out, f);
	for (size_t i = 0; i < f->nspans; i++)
		str_addf(out, "suspect %lld %lld\n", (long long)f->span[i].from, (long long)f->span[i].to);
}

void facts_mark_text(struct str *out, struct facts *f)
{
	for (;; join_oldest(f)) {
		str_reset(out);
		add_spans(out, f);
		if (out->len <= DIRMARK_MOST || f->nspans < 2)
			break;
	}
}

void facts_text(struct str *out, const struct facts *f)
{
	const struct oid *id;
	char hex[OID_HEX_MAX];

	add_spans(out, f);
	for (size_t g = 0; g < f->ngood; g++)
		for (size_t i = 0; (id = binset_next(&f->good[g].ids, &i));) {
			oid_hex(hex, id);
			str_addf(out, "ok %s %lld\n", hex, (long long)f->good[g].upto);
		}
}

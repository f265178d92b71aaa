#include "core/cache/unsynced.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/own.h"
#include "core/base/str.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define MAX_FILE (1u << 30)             /* some 25 million objects verified */
#define MAX_SPANS 64                    /* beyond, the two oldest become one: more is verified, never less */
#define SLACK_NS 3000000000ll           /* time stamps of a file may lag the clock, and be whole seconds */
#define SETTLED_NS 120000000000ll       /* the kernel has long begun to write such data back */

struct span { int64_t from, to; };

struct unsynced {
	char *file;
	pthread_mutex_t mu;
	char boot[40];
	bool dirty;                     /* our boot's mark stands in the file */
	bool ours;                      /* ... and this process wrote objects under it */
	int64_t since, last;
	struct span *span;
	size_t nspans, cap;
	struct binset good;
	bool good_changed;
	bool unsaved;                   /* an old boot's mark became a span, not yet written down */
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void read_boot_id(char out[40])
{
	autoclose int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, 36);

	if (n != 36)
		memcpy(out, "unknown", n = 7);
	out[n] = 0;
}

static void add_span(struct unsynced *u, int64_t from, int64_t to)
{
	if (from >= to)
		return;
	if (u->nspans == MAX_SPANS) {
		u->span[1].from = u->span[0].from < u->span[1].from ? u->span[0].from : u->span[1].from;
		u->span[1].to = u->span[0].to > u->span[1].to ? u->span[0].to : u->span[1].to;
		memmove(u->span, u->span + 1, --u->nspans * sizeof(*u->span));
	}
	GROW(u->span, u->nspans, u->cap);
	u->span[u->nspans++] = (struct span){ from, to };
}

static void read_line(struct unsynced *u, const char *line)
{
	char boot[40], hex[OID_HEX_MAX];
	long long from, to;
	struct oid id;

	if (sscanf(line, "dirty %39s %lld %lld", boot, &from, &to) == 3) {
		if (!strcmp(boot, u->boot) && strcmp(boot, "unknown")) {
			u->dirty = true;
			u->since = from;
			u->last = to;
			return;
		}
		add_span(u, from - SLACK_NS, now_ns());
		u->unsaved = true;
	} else if (sscanf(line, "suspect %lld %lld", &from, &to) == 2) {
		add_span(u, from, to);
	} else if (sscanf(line, "ok %36s", hex) == 1 && oid_parse(&id, hex)) {
		binset_add(&u->good, &id);
	}
}

struct unsynced *unsynced_open(const char *file)
{
	struct unsynced *u;
	autostr struct str text = STR_INIT;
	autostrvec struct strvec lines = STRVEC_INIT;
	autoerr struct err ignored = ERR_INIT;

	if (!file)
		return NULL;
	u = xcalloc(1, sizeof(*u));
	u->file = xstrdup(file);
	u->good = (struct binset)BINSET_INIT(sizeof(struct oid));
	pthread_mutex_init(&u->mu, NULL);
	read_boot_id(u->boot);
	if (!fs_read(&text, file, MAX_FILE, &ignored)) {
		strvec_split(&lines, str_cstr(&text), '\n');
		for (size_t i = 0; i < lines.n; i++)
			read_line(u, lines.v[i]);
	} else if (ignored.code != ERR_NOTFOUND) {      /* whatever it said of the past: all of it is looked at again */
		add_span(u, 0, now_ns());
		u->unsaved = true;
	}
	return u;
}

/* Always the first line and always as long: its times can be written over in place. */
static void dirty_line(struct str *out, const struct unsynced *u)
{
	str_addf(out, "dirty %s %020lld %020lld\n", u->boot, (long long)u->since, (long long)u->last);
}

/* Notes the time of the last write without a flush: the mark on the disk stays whole whichever bytes get there. */
static void note_last(const struct unsynced *u)
{
	autoclose int fd = open(u->file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	autostr struct str line = STR_INIT;
	char was[128];
	size_t head = strlen("dirty ") + strlen(u->boot) + 1;

	dirty_line(&line, u);
	if (fd < 0 || line.len > sizeof(was) || pread(fd, was, line.len, 0) != (ssize_t)line.len ||
	    memcmp(was, line.buf, head) || was[line.len - 1] != '\n')
		return;         /* only ever too careful: it stays as it is */
	(void)!pwrite(fd, line.buf, line.len, 0);
}

/* Called with the lock held. */
static int save(struct unsynced *u, struct err *e)
{
	autofree char *dir = path_dir(u->file);
	autostr struct str s = STR_INIT;
	const struct oid *id;
	char hex[OID_HEX_MAX];

	if (u->dirty)
		dirty_line(&s, u);
	for (size_t i = 0; i < u->nspans; i++)
		str_addf(&s, "suspect %lld %lld\n", (long long)u->span[i].from, (long long)u->span[i].to);
	for (size_t i = 0; (id = binset_next(&u->good, &i));) {
		oid_hex(hex, id);
		str_addf(&s, "ok %s\n", hex);
	}
	u->unsaved = fs_mkdirs(dir, 0777, e) || fs_replace(u->file, str_cstr(&s), s.len, 0, e);
	u->good_changed = false;
	return u->unsaved ? -1 : 0;     /* what is not on the disk is tried again by the next who writes */
}

void unsynced_close(struct unsynced *u)
{
	autoerr struct err ignored = ERR_INIT;

	if (!u)
		return;
	if (u->ours)
		u->last = now_ns();
	if (u->good_changed || u->unsaved)
		save(u, &ignored);      /* a failure only means more caution than needed next time */
	else if (u->ours)
		note_last(u);
	pthread_mutex_destroy(&u->mu);
	binset_release(&u->good);
	free(u->span);
	free(u->file);
	free(u);
}

bool unsynced_suspects(struct unsynced *u, const struct oid *id, const struct stat *st)
{
	int64_t m = ns_of(st->st_mtim), c = ns_of(st->st_ctim);
	bool hit = false;

	if (!u || !u->nspans)           /* spans are made by unsynced_open() alone */
		return false;
	for (size_t i = 0; i < u->nspans && !hit; i++)
		hit = (m >= u->span[i].from && m < u->span[i].to) || (c >= u->span[i].from && c < u->span[i].to);
	if (!hit)
		return false;
	pthread_mutex_lock(&u->mu);
	hit = !binset_has(&u->good, id);
	pthread_mutex_unlock(&u->mu);
	return hit;
}

void unsynced_good(struct unsynced *u, const struct oid *id)
{
	if (!u || !u->nspans)
		return;
	pthread_mutex_lock(&u->mu);
	if (binset_add(&u->good, id))
		u->good_changed = true;
	pthread_mutex_unlock(&u->mu);
}

/* What was written before the last SETTLED_NS is flushed in passing, so that the mark does not grow old. */
static void settle(struct unsynced *u, int basefd)
{
	int64_t now = now_ns();

	if (!u->dirty || u->last > now - SETTLED_NS || basefd < 0 || syncfs(basefd))
		return;
	u->since = now;
	u->unsaved = true;
}

int unsynced_mark(struct unsynced *u, int basefd, struct err *e)
{
	int64_t now = now_ns();
	int rc = 0;

	if (!u)
		return 0;
	pthread_mutex_lock(&u->mu);
	if (!u->ours) {
		settle(u, basefd);
		if (!u->dirty || u->since > now) {      /* the clock was set back: the mark follows it */
			u->since = now;
			u->unsaved = true;
		}
		if (!u->dirty || u->unsaved || u->last < now - SETTLED_NS) {
			u->dirty = true;
			u->last = now;
			rc = save(u, e);
		}
		u->ours = !rc;
	}
	pthread_mutex_unlock(&u->mu);
	return rc;
}

int unsynced_flushed(struct unsynced *u, struct err *e)
{
	int rc;

	if (!u)
		return 0;
	pthread_mutex_lock(&u->mu);
	u->dirty = u->ours = false;
	rc = save(u, e);
	pthread_mutex_unlock(&u->mu);
	return rc;
}

#include "core/cache/unsynced.h"

#include "core/base/dirmark.h"
#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/cache/unsynced_own.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define SETTLED_NS 120000000000ll       /* the kernel has long begun to write such data back */
#define WAIT_MARK_MS 4000u              /* for who must write; the holder flushes one small file */
#define WAIT_NOTE_MS 200u               /* for who only notes what it saw */

/* Where facts may stand (U4): as a text on a directory, or in a file of it. */
struct place {
	const char *dir, *name;
	int fd;                         /* of the directory, which is what is locked; -1 until it is needed */
};

struct unsynced {
	char *root, *own_file, *own_dir;
	struct place cache, own;
	pthread_mutex_t mu;
	struct facts known;             /* as it was at open, and what is good since */
	bool no_mark;                   /* the cache's directory cannot have one */
	bool carry;                     /* the own file has a mark or spans that the cache's lacks: */
	bool carry_dirty;
	int64_t carry_since, carry_last;
	struct stat own_st;             /* of that file */
	struct place *marked;           /* where the mark of this process's objects stands; NULL: it wrote none */
	bool shown;                     /* ... and it has the shared lock (U5) */
	bool news, verified;            /* a span, a verdict is known that stands nowhere yet */
};

static void read_boot_id(char out[BOOT_ID_MAX])
{
	autoclose int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, 36);

	if (n != 36)
		memcpy(out, "unknown", n = 7);
	out[n] = 0;
}

static int load_cache(struct unsynced *u)
{
	u->cache.fd = open(u->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (u->cache.fd < 0)
		return errno == ENOENT ? 1 : -1;
	u->no_mark = fs_is_remote(u->root);
	return facts_load_mark(&u->known, u->cache.fd, u->cache.name);
}

/* What the repository's own file says; its mark and spans are the cache's, as far as the cache does not know them. */
static int load_own(struct unsynced *u)
{
	autofacts struct facts f = FACTS_INIT;
	int rc;

	facts_init(&f, u->known.boot);
	rc = facts_load(&f, AT_FDCWD, u->own_file);
	u->carry_dirty = f.dirty;
	u->carry_since = f.since;
	u->carry_last = f.last;
	u->carry = (facts_join_spans(&u->known, &f) || f.dirty) && !lstat(u->own_file, &u->own_st);
	facts_join_good(&u->known, &f);
	return rc;
}

struct unsynced *unsynced_open(const struct unsynced_conf *c)
{
	struct unsynced *u;
	char boot[BOOT_ID_MAX];
	int own, cache;

	if (!c->own)
		return NULL;
	u = xcalloc(1, sizeof(*u));
	u->root = xstrdup(c->root);
	u->own_file = xstrdup(c->own);
	u->own_dir = path_dir(c->own);
	u->cache = (struct place){ u->root, c->name, -1 };
	u->own = (struct place){ u->own_dir, path_base(u->own_file), -1 };
	pthread_mutex_init(&u->mu, NULL);
	read_boot_id(boot);
	facts_init(&u->known, boot);
	cache = load_cache(u);
	own = load_own(u);
	if (own < 0 || cache < 0)       /* whatever it said of the past: all of it is looked at again */
		facts_suspect_all(&u->known);
	u->news = facts_any_fresh(&u->known);
	return u;
}

static bool lock_dir(int fd, unsigned wait_ms)
{
	for (unsigned waited = 0, step = 1; flock(fd, LOCK_EX | LOCK_NB); waited += step, step = step < 32 ? step * 2 : 32) {
		const struct timespec t = { 0, step * 1000000l };

		if ((errno != EWOULDBLOCK && errno != EINTR) || waited >= wait_ms)
			return false;
		nanosleep(&t, NULL);
	}
	return true;
}

/* Opens and locks a place. In the repository's own, which hardly anybody else writes, a lock that cannot be had is not missed. */
static int enter(struct unsynced *u, struct place *p, unsigned wait_ms, struct err *e)
{
	bool own = p == &u->own;

	if (p->fd < 0 && own && fs_mkdirs(p->dir, 0777, e))
		return -1;
	if (p->fd < 0)
		p->fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->fd < 0)
		return err_sys(e, "cannot open '%s'", p->dir);
	if (!lock_dir(p->fd, wait_ms) && !own)
		return err_set(e, ERR_LOCKED, "cannot lock '%s'", p->dir);
	return 0;
}

static void leave(struct place *p)
{
	flock(p->fd, LOCK_UN);
}

static bool carry_mark(const struct unsynced *u, struct facts *f)
{
	if (!u->carry_dirty || (f->dirty && f->since <= u->carry_since))
		return false;
	f->last = f->dirty && f->last > u->carry_last ? f->last : u->carry_last;
	f->since = u->carry_since;
	f->dirty = true;
	return true;
}

static int load_place(const struct unsynced *u, const struct place *p, struct facts *f)
{
	facts_init(f, u->known.boot);
	return p == &u->cache ? facts_load_mark(f, p->fd, p->name) : facts_load(f, p->fd, p->name);
}

/* What stands there now, and what we know beside it. True when that is more. */
static bool load_again(struct unsynced *u, struct place *p, struct facts *f)
{
	bool spans = p == &u->cache || u->news || u->no_mark;   /* else the cache's mark has them, and there they may be joined */
	bool news = load_place(u, p, f) < 0;

	if (news && spans)
		facts_suspect_all(f);
	news |= p == &u->cache ? carry_mark(u, f) : facts_join_good(f, &u->known);
	if (spans)
		news |= facts_join_spans(f, &u->known);
	return facts_any_fresh(f) || news;
}

static int keep_mark(struct unsynced *u, struct place *p, struct facts *f, struct err *e)
{
	autostr struct str s = STR_INIT;

	facts_mark_text(&s, f);
	if (s.len ? dirmark_write(p->fd, p->name, s.buf, s.len, true) : dirmark_remove(p->fd, p->name))
		return err_sys(e, "cannot mark '%s'", p->dir);
	u->news = false;
	return 0;
}

static int keep_file(struct unsynced *u, struct place *p, const struct facts *f, struct err *e)
{
	autostr struct str s = STR_INIT;

	facts_text(&s, f);
	if (faccessat(p->fd, ".", W_OK | X_OK, AT_EACCESS))     /* asked first: a temporary leaves notes of itself */
		return err_sys(e, "cannot write to '%s'", p->dir);
	if (fs_replace_at(p->fd, p->name, str_cstr(&s), s.len, 0, e))
		return -1;
	u->news = u->verified = false;
	return 0;
}

/* Writes the facts. The place is entered. */
static int keep(struct unsynced *u, struct place *p, struct facts *f, struct err *e)
{
	return p == &u->cache ? keep_mark(u, p, f, e) : keep_file(u, p, f, e);
}

static bool own_is_as_read(const struct unsynced *u)
{
	struct stat st;

	return !lstat(u->own_file, &st) && st.st_ino == u->own_st.st_ino && st.st_size == u->own_st.st_size &&
	       st.st_mtim.tv_sec == u->own_st.st_mtim.tv_sec && st.st_mtim.tv_nsec == u->own_st.st_mtim.tv_nsec;
}

/* The cache has all that the own file said of it, if that is still the one that was read: what it verified is left. */
static void end_carrying(struct unsynced *u, const struct place *p)
{
	if (p != &u->cache || !u->carry)
		return;
	if (u->marked != &u->own && own_is_as_read(u)) {
		unlink(u->own_file);
		u->verified |= u->known.ngood > 0;
	}
	u->carry = u->carry_dirty = false;
}

/* The line of the mark in a text gets another time of the last write. False: no mark of this boot stands there, or an old one. */
static bool renew_line(const struct unsynced *u, char *text, size_t n, int64_t recent, int64_t now, size_t *at)
{
	struct facts f = { .since = now, .last = now };
	autostr struct str line = STR_INIT;
	long long since, last;

	snprintf(f.boot, sizeof(f.boot), "%s", u->known.boot);
	*at = facts_last_at(&f);
	facts_mark_line(&line, &f);
	if (n < line.len || text[line.len - 1] != '\n' || memcmp(text, line.buf, *at - 21) != 0 || !strcmp(f.boot, "unknown"))
		return false;
	text[line.len - 1] = 0;
	if (sscanf(text + *at - 21, "%lld %lld", &since, &last) != 2 || since > now || last < recent)
		return false;
	memcpy(text + *at, line.buf + *at, 21);
	return true;
}

/* Not flushed: the mark on the disk is whole, with the one time or the other. */
static bool note_on_cache(const struct unsynced *u, const struct place *p, int64_t recent, int64_t now)
{
	autostr struct str s = STR_INIT;
	size_t at;

	return !dirmark_read(p->fd, p->name, &s) && renew_line(u, s.buf, s.len, recent, now, &at) &&
	       !dirmark_write(p->fd, p->name, s.buf, s.len, false);
}

static bool note_in_file(const struct unsynced *u, const struct place *p, int64_t recent, int64_t now)
{
	autoclose int fd = openat(p->fd, p->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	char text[128];
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text), 0);
	size_t at;

	return n > 0 && renew_line(u, text, (size_t)n, recent, now, &at) && pwrite(fd, text + at, 20, (off_t)at) == 20;
}

/* Notes the time of the last write. True when the mark of this boot stands there and was renewed since 'recent'. */
static bool note_last(const struct unsynced *u, const struct place *p, int64_t recent, int64_t now)
{
	return p == &u->cache ? note_on_cache(u, p, recent, now) : note_in_file(u, p, recent, now);
}

/* The 2.x layout has its objects in the directory that is locked to change the mark: nobody can show itself there (U5). */
static bool is_locked_dir(const struct unsynced *u, int objdir)
{
	struct stat a, b;

	return objdir >= 0 && u->cache.fd >= 0 && !fstat(objdir, &a) && !fstat(u->cache.fd, &b) && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

/* The shared lock that tells others of a writer (U5). */
static bool show(struct unsynced *u, int objdir)
{
	for (int tries = 0; !u->shown && tries < 50 && !is_locked_dir(u, objdir); tries++) {
		const struct timespec t = { 0, 2000000 };

		u->shown = objdir >= 0 && !flock(objdir, LOCK_SH | LOCK_NB);
		if (u->shown || (errno != EWOULDBLOCK && errno != EINTR))
			break;
		nanosleep(&t, NULL);    /* somebody asks whether it is alone */
	}
	return u->shown;
}

/* As note_last() says, the mark is there and fresh. Or: 1, it has to be written. -1: the place is no good. */
static int use_mark(struct unsynced *u, struct place *p, int objdir, struct err *e)
{
	int64_t now = facts_now();
	bool stands;

	if (enter(u, p, WAIT_MARK_MS, e))
		return -1;
	if (!show(u, objdir) && p == &u->cache && !is_locked_dir(u, objdir)) {
		leave(p);
		return err_set(e, ERR_LOCKED, "cannot lock the directory of the objects");
	}
	stands = !u->news && !(p == &u->cache && u->carry) && note_last(u, p, now - SETTLED_NS, now);
	leave(p);
	return !stands;
}

/*
 * A mark that has been there for long first loses its past, by one flush outside the lock: what has its name before the flush
 * begins is on the disk after it, and what gets it later has a later ctime.
 */
static int write_mark(struct unsynced *u, struct place *p, int objdir, struct err *e)
{
	autofacts struct facts f = FACTS_INIT;
	int64_t began = facts_now(), now;
	bool old, flushed;
	int rc;

	load_again(u, p, &f);           /* not locked: only a question */
	old = f.dirty && f.last <= began - SETTLED_NS;
	facts_release(&f);
	flushed = old && objdir >= 0 && !syncfs(objdir);
	if (enter(u, p, WAIT_MARK_MS, e))
		return -1;
	load_again(u, p, &f);
	now = facts_now();
	if (flushed && f.since < began)
		f.since = began;
	if (!f.dirty || f.since > now)  /* the clock was set back: the mark follows it */
		f.since = now;
	f.dirty = true;
	f.last = 0;                     /* nobody is to rely on it before all of keep() is done */
	rc = keep(u, p, &f, e);
	if (!rc) {
		note_last(u, p, 0, now);
		end_carrying(u, p);
	}
	leave(p);
	return rc;
}

static int mark_at(struct unsynced *u, struct place *p, int objdir, struct err *e)
{
	int rc = use_mark(u, p, objdir, e);

	if (rc > 0)
		rc = write_mark(u, p, objdir, e);
	if (!rc)
		u->marked = p;
	return rc;
}

int unsynced_mark(struct unsynced *u, int objdir, struct err *e)
{
	autoerr struct err why = ERR_INIT;
	int rc = 0;

	if (!u)
		return 0;
	pthread_mutex_lock(&u->mu);
	if (u->cache.fd < 0)
		u->no_mark = fs_is_remote(u->root);
	if (!u->marked && (u->no_mark || mark_at(u, &u->cache, objdir, &why)))
		rc = mark_at(u, &u->own, objdir, e);
	pthread_mutex_unlock(&u->mu);
	return rc;
}

/* Adds what this process found out to a place. A failure only means more caution than needed next time. */
static int save_at(struct unsynced *u, struct place *p)
{
	autoerr struct err ignored = ERR_INIT;
	autofacts struct facts f = FACTS_INIT;
	int rc;

	if (enter(u, p, WAIT_NOTE_MS, &ignored))
		return -1;
	rc = load_again(u, p, &f) ? keep(u, p, &f, &ignored) : 0;
	if (!rc)
		end_carrying(u, p);
	leave(p);
	return rc;
}

static void save(struct unsynced *u)
{
	if (u->cache.fd < 0)
		u->no_mark = fs_is_remote(u->root);
	if (!u->no_mark && (u->news || (u->carry && u->marked != &u->own)))
		save_at(u, &u->cache);
	if (u->news || u->verified)
		save_at(u, &u->own);
}

/* A mark on a directory is read and written as a whole: not without the lock, and not at any price. */
static void note_end(struct unsynced *u)
{
	autoerr struct err ignored = ERR_INIT;

	if (!u->marked || enter(u, u->marked, WAIT_NOTE_MS, &ignored))
		return;
	note_last(u, u->marked, 0, facts_now());
	leave(u->marked);
}

void unsynced_close(struct unsynced *u)
{
	if (!u)
		return;
	save(u);
	note_end(u);
	if (u->cache.fd >= 0)
		close(u->cache.fd);
	if (u->own.fd >= 0)
		close(u->own.fd);
	pthread_mutex_destroy(&u->mu);
	facts_release(&u->known);
	free(u->own_dir);
	free(u->own_file);
	free(u->root);
	free(u);
}

bool unsynced_suspects(struct unsynced *u, const struct oid *id, const struct stat *st)
{
	int64_t upto = u && u->known.nspans ? facts_suspect(&u->known, st) : 0;
	bool hit;

	if (!upto)                      /* not locked: spans are made by unsynced_open() alone */
		return false;
	pthread_mutex_lock(&u->mu);
	hit = !facts_is_good(&u->known, id, upto);
	pthread_mutex_unlock(&u->mu);
	return hit;
}

void unsynced_good(struct unsynced *u, const struct oid *id)
{
	if (!u || !u->known.nspans)
		return;
	pthread_mutex_lock(&u->mu);
	if (facts_add_good(&u->known, id, facts_newest(&u->known)))
		u->verified = true;
	pthread_mutex_unlock(&u->mu);
}

/* No other process writes: then the exclusive lock can be had. Our shared one is taken again. */
static bool is_alone(struct unsynced *u, int objdir)
{
	bool alone = u->shown && !flock(objdir, LOCK_EX | LOCK_NB);

	u->shown = false;
	return show(u, objdir) && alone;
}

struct moment { int64_t at; bool alone; int64_t since, last; };

static int before_flush(struct unsynced *u, int objdir, struct moment *m, struct err *e)
{
	autofacts struct facts f = FACTS_INIT;

	if (enter(u, u->marked, WAIT_MARK_MS, e))
		return -1;
	m->at = facts_now();
	m->alone = is_alone(u, objdir);
	(void)load_place(u, u->marked, &f);
	m->since = f.since;
	m->last = f.last;
	leave(u->marked);
	return 0;
}

/* Who began to write meanwhile has left its time in the mark. When the lock cannot be had, the mark stays. */
static int after_flush(struct unsynced *u, const struct moment *m, struct err *e)
{
	autoerr struct err busy = ERR_INIT;
	autofacts struct facts f = FACTS_INIT;
	int rc;

	if (enter(u, u->marked, WAIT_MARK_MS, &busy))
		return 0;
	load_again(u, u->marked, &f);
	if (m->alone && f.since == m->since && f.last == m->last)
		f.dirty = false;
	else if (f.since < m->at)
		f.since = m->at;
	rc = keep(u, u->marked, &f, e);
	leave(u->marked);
	return rc;
}

int unsynced_flush(struct unsynced *u, int objdir, struct err *e)
{
	autoerr struct err busy = ERR_INIT;
	struct moment m;
	bool ready;
	int rc = 0;

	if (!u)
		return syncfs(objdir) ? err_sys(e, "syncfs") : 0;
	pthread_mutex_lock(&u->mu);
	ready = u->marked && !before_flush(u, objdir, &m, &busy);
	if (syncfs(objdir))
		rc = err_sys(e, "syncfs");
	else if (ready)
		rc = after_flush(u, &m, e);
	if (!rc)
		u->marked = NULL;
	if (!rc && u->shown)
		u->shown = flock(objdir, LOCK_UN) != 0;
	pthread_mutex_unlock(&u->mu);
	return rc;
}

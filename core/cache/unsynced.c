#include "core/cache/unsynced.h"

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

/* A directory that may hold the file, and the file's name in it (U4). */
struct place {
	char *dir;
	const char *name;
	int fd;                         /* of the directory, which is what is locked; -1 until it is needed */
	mode_t mode;                    /* of the file; 0: the usual one */
};

struct unsynced {
	char *root, *own_file;
	struct place cache, own;
	bool shared;
	pthread_mutex_t mu;
	struct facts known;             /* as it was at open, and what is good since */
	struct facts carry;             /* what stands in the repository's own file */
	bool has_own;                   /* there is such a file: */
	struct stat own_st;
	bool own_only;                  /* the cache's file system is not for U4 */
	struct place *marked;           /* where the mark of this process's objects stands; NULL: it wrote none */
	bool shown;                     /* ... and it has the shared lock (U5) */
	bool changed;                   /* something is known that no file says */
};

static void read_boot_id(char out[BOOT_ID_MAX])
{
	autoclose int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, 36);

	if (n != 36)
		memcpy(out, "unknown", n = 7);
	out[n] = 0;
}

static int open_dir(const char *dir)
{
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static int load_cache(struct unsynced *u)
{
	u->cache.fd = open_dir(u->cache.dir);
	if (u->cache.fd < 0)
		return errno == ENOENT ? 1 : -1;
	u->own_only = fs_is_remote(u->cache.dir);
	return facts_load(&u->known, u->cache.fd, u->cache.name);
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
	u->shared = c->shared;
	u->cache = (struct place){ path_join(c->root, UNSYNCED_DIR), c->name, -1,
				   c->shared ? 0664 : (0666 & ~fs_umask()) | 0444 };
	u->own = (struct place){ path_dir(c->own), path_base(u->own_file), -1, 0 };
	pthread_mutex_init(&u->mu, NULL);
	read_boot_id(boot);
	facts_init(&u->known, boot);
	facts_init(&u->carry, boot);
	own = facts_load(&u->carry, AT_FDCWD, u->own_file);
	u->has_own = own != 1 && !lstat(u->own_file, &u->own_st);
	cache = load_cache(u);
	facts_join(&u->known, &u->carry);
	if (own < 0 || cache < 0)       /* whatever it said of the past: all of it is looked at again */
		facts_suspect_all(&u->known);
	u->changed = facts_any_fresh(&u->known);
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

/* Makes the cache's directory; its name has to be as durable as the file that will be in it. */
static int make_cache_dir(struct unsynced *u)
{
	autoclose int root = open(u->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return -1;
	if (mkdirat(root, UNSYNCED_DIR, 0777))
		return errno == EEXIST ? 0 : -1;
	if (u->shared && fchmodat(root, UNSYNCED_DIR, 02775, 0) && errno != EPERM)
		return -1;
	return fsync(root) && errno != EINVAL ? -1 : 0;
}

/* Opens and locks a place. In the repository's own, which hardly anybody else writes, a lock that cannot be had is not missed. */
static int enter(struct unsynced *u, struct place *p, unsigned wait_ms, struct err *e)
{
	bool cache = p == &u->cache;

	if (p->fd < 0 && (cache ? make_cache_dir(u) : fs_mkdirs(p->dir, 0777, e)))
		return cache ? err_sys(e, "cannot make '%s'", p->dir) : -1;
	if (p->fd < 0)
		p->fd = cache ? open_dir(p->dir) : open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->fd < 0)
		return err_sys(e, "cannot open '%s'", p->dir);
	if (!lock_dir(p->fd, wait_ms) && cache)
		return err_set(e, ERR_LOCKED, "cannot lock '%s'", p->dir);
	return 0;
}

static void leave(struct place *p)
{
	flock(p->fd, LOCK_UN);
}

static bool carry_mark(struct unsynced *u, struct facts *f)
{
	const struct facts *c = &u->carry;

	if (!u->has_own || !c->dirty || (f->dirty && f->since <= c->since))
		return false;
	f->last = f->dirty && f->last > c->last ? f->last : c->last;
	f->since = c->since;
	f->dirty = true;
	return true;
}

/* What the file says now, and what we know beside it. True when that is more. */
static bool load_again(struct unsynced *u, struct place *p, struct facts *f)
{
	bool news = false;

	facts_init(f, u->known.boot);
	if (facts_load(f, p->fd, p->name) < 0) {
		facts_suspect_all(f);
		news = true;
	}
	if (p == &u->cache)
		news |= carry_mark(u, f);
	return facts_join(f, &u->known) || facts_any_fresh(f) || news;
}

/* Writes the facts. The place is entered. */
static int keep(struct unsynced *u, struct place *p, const struct facts *f, struct err *e)
{
	autostr struct str s = STR_INIT;

	facts_text(&s, f);
	if (faccessat(p->fd, ".", W_OK | X_OK, AT_EACCESS))     /* asked first: a temporary leaves notes of itself */
		return err_sys(e, "cannot write to '%s'", p->dir);
	if (fs_replace_at(p->fd, p->name, str_cstr(&s), s.len, p->mode, e))
		return -1;
	u->changed = false;
	return 0;
}

/* The cache's file has all that the repository's own one said, if that is still the one that was read. */
static void drop_own(struct unsynced *u, const struct place *p)
{
	struct stat st;

	if (p != &u->cache || !u->has_own || u->marked == &u->own)
		return;
	if (!lstat(u->own_file, &st) && st.st_ino == u->own_st.st_ino && st.st_size == u->own_st.st_size &&
	    st.st_mtim.tv_sec == u->own_st.st_mtim.tv_sec && st.st_mtim.tv_nsec == u->own_st.st_mtim.tv_nsec)
		unlink(u->own_file);
	u->has_own = false;
}

/* Writes the time of the last write over the one in the file. True when the mark of this boot stands there. */
static bool note_last(const struct unsynced *u, struct place *p, int64_t recent, int64_t now)
{
	autoclose int fd = openat(p->fd, p->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct facts f = { .since = now, .last = now };
	autostr struct str line = STR_INIT;
	size_t at;
	char was[128];
	long long since, last;

	snprintf(f.boot, sizeof(f.boot), "%s", u->known.boot);
	at = facts_last_at(&f);
	facts_mark_line(&line, &f);
	if (fd < 0 || pread(fd, was, line.len, 0) != (ssize_t)line.len || was[line.len - 1] != '\n' ||
	    memcmp(was, line.buf, at - 21) != 0 || !strcmp(f.boot, "unknown"))
		return false;
	was[line.len] = 0;
	if (sscanf(was + at - 21, "%lld %lld", &since, &last) != 2 || since > now || last < recent)
		return false;
	/* Not flushed: whichever of its bytes get to the disk, the mark there is whole. */
	return pwrite(fd, line.buf + at, 20, (off_t)at) == 20;
}

/* The shared lock that tells others of a writer (U5). */
static bool show(struct unsynced *u, int objdir)
{
	for (int tries = 0; !u->shown && tries < 50; tries++) {
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
	if (!show(u, objdir) && p == &u->cache) {
		leave(p);
		return err_set(e, ERR_LOCKED, "cannot lock the directory of the objects");
	}
	stands = !u->changed && !(p == &u->cache && u->has_own) && note_last(u, p, now - SETTLED_NS, now);
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
		drop_own(u, p);
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
	int rc = -1;

	if (!u)
		return 0;
	pthread_mutex_lock(&u->mu);
	if (u->cache.fd < 0 && !u->own_only)
		u->own_only = fs_is_remote(u->root);
	if (u->marked || (!u->own_only && !mark_at(u, &u->cache, objdir, &why)))
		rc = 0;
	else if (why.code == ERR_NOSPACE)       /* there is no room for the objects either */
		err_move(e, &why);
	else
		rc = mark_at(u, &u->own, objdir, e);
	pthread_mutex_unlock(&u->mu);
	return rc;
}

/* Adds what this process found out to the file. A failure only means more caution than needed next time. */
static int save_at(struct unsynced *u, struct place *p)
{
	autoerr struct err ignored = ERR_INIT;
	autofacts struct facts f = FACTS_INIT;
	int rc;

	if (enter(u, p, WAIT_NOTE_MS, &ignored))
		return -1;
	rc = load_again(u, p, &f) ? keep(u, p, &f, &ignored) : 0;
	if (!rc)
		drop_own(u, p);
	leave(p);
	return rc;
}

static void save(struct unsynced *u)
{
	bool carry = u->has_own && !u->own_only && u->marked != &u->own;

	if (!u->changed && !carry)
		return;
	if (u->cache.fd < 0 && !u->own_only)
		u->own_only = fs_is_remote(u->root);
	if ((u->own_only || save_at(u, &u->cache)) && u->changed)
		save_at(u, &u->own);
}

void unsynced_close(struct unsynced *u)
{
	if (!u)
		return;
	save(u);
	if (u->marked)          /* not locked: it only makes the time later, in whatever file has the mark now */
		note_last(u, u->marked, 0, facts_now());
	if (u->cache.fd >= 0)
		close(u->cache.fd);
	if (u->own.fd >= 0)
		close(u->own.fd);
	pthread_mutex_destroy(&u->mu);
	facts_release(&u->known);
	facts_release(&u->carry);
	free(u->cache.dir);
	free(u->own.dir);
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
		u->changed = true;
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

	facts_init(&f, u->known.boot);
	if (enter(u, u->marked, WAIT_MARK_MS, e))
		return -1;
	m->at = facts_now();
	m->alone = is_alone(u, objdir);
	(void)facts_load(&f, u->marked->fd, u->marked->name);
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

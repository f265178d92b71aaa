/* repolock - the repository lock, as flock or as hard link. See repolock.h; path locks are pathlock.c. */
#include "core/repo/repolock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/str.h"
#include "core/repo/config.h"
#include "core/repo/filelock.h"
#include "core/repo/repo.h"

#define POLL_MS 50
#define PATIENCE_MS 700         /* before the holder is named */
#define LINK_LIFETIME (365 * 24 * 3600)

struct filelock {
	char *path;
	char *claim;            /* hard link mode; else NULL */
	int fd;                 /* flock mode; else -1 */
};

struct repolock {
	struct repo *repo;
	struct filelock *lock;
};

static void sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, (ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

/* --- who holds it -------------------------------------------------------------------------------------------------- */

char *filelock_command(long pid)
{
	autofree char *path = xasprintf("/proc/%ld/cmdline", pid);
	autostr struct str s = STR_INIT, shown = STR_INIT;
	autoerr struct err e = ERR_INIT;

	if (pid <= 0 || fs_read(&s, path, 65536, &e) || !s.len)
		return NULL;
	for (size_t i = 0; i + 1 < s.len; i++)
		if (!s.buf[i])
			s.buf[i] = ' ';
	str_add_safe(&shown, s.buf);
	return str_take(&shown);
}

/*
 * A mark of this machine and of its container: process numbers mean nothing in another. Those of a machine's own name space
 * keep their mark over a restart, so that a lock from before it is seen to be stale.
 */
static void host_mark(char out[9])
{
	char host[256] = "localhost", space[64] = "";
	autofree char *name = NULL;
	unsigned char digest[16];

	gethostname(host, sizeof(host) - 1);
	if (readlink("/proc/self/ns/pid", space, sizeof(space) - 1) < 0)
		space[0] = '\0';
	name = xasprintf("%s|%s", host, space);
	md5_once(name, strlen(name), digest);
	hex_encode(out, digest, 4);
}

/* The process that made a claim file, 0: not ours, or of another machine. */
static long claim_pid(const char *claim)
{
	const char *base = path_base(claim), *dot = strchr(base, '.');
	autofree char *digits = NULL, *tail = NULL;
	char host[9];
	uint64_t pid;

	host_mark(host);
	tail = xasprintf(".%s.lock", host);
	if (!dot || dot - base != 32 || !str_ends(base, tail))
		return 0;
	digits = xstrndup(dot + 1, strcspn(dot + 1, "."));
	return str_to_u64(digits, &pid) && pid < INT32_MAX ? (long)pid : 0;
}

static void name_holder(const char *path)
{
	autostr struct str s = STR_INIT;
	autoerr struct err e = ERR_INIT;
	autofree char *text = NULL, *cmd = NULL;
	uint64_t pid = 0;

	if (!fs_read(&s, path, 4096, &e))
		text = str_trim_dup(str_cstr(&s));
	if (text && !str_to_u64(text, &pid))
		pid = (uint64_t)claim_pid(text);
	if (pid)
		cmd = filelock_command((long)pid);
	if (cmd)
		notice(NOTICE_WARN, "waiting for process %llu, which holds the lock: %s", (unsigned long long)pid, cmd);
	else if (pid)
		notice(NOTICE_WARN, "waiting for process %llu, which holds the lock", (unsigned long long)pid);
	else
		notice(NOTICE_WARN, "waiting for the lock '%s'", path);
}

/* K5: nothing, a process number, or the name of a claim; else the file is somebody's. */
static bool is_lock_text(const char *text)
{
	const char *first = text + strspn(text, " ");

	return !*text || (strlen(text) < 64 && *first >= '0' && *first <= '9') || (*text == '/' && str_ends(text, ".lock"));
}

static bool may_write(int fd)
{
	char had[4096];
	ssize_t n = pread(fd, had, sizeof(had) - 1, 0);

	had[n < 0 ? 0 : n] = '\0';
	return n >= 0 && n < (ssize_t)sizeof(had) - 1 && is_lock_text(had);
}

/* --- flock --------------------------------------------------------------------------------------------------------- */

/* 1 got it, 0 held by another, -1 error. */
static int flock_try(struct filelock *l, struct err *e)
{
	autofree char *text = NULL;
	autoclose int fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);

	if (fd < 0)
		return err_sys(e, "cannot open lock file '%s'", l->path);
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno == EWOULDBLOCK || errno == EINTR)
			return 0;
		err_hint(e, "on a file system without flock set core.hardlink_lock");
		return err_sys(e, "cannot lock '%s'", l->path);
	}
	text = xasprintf(" %ld\n", (long)getpid());
	/* The number is for people: a disk that is full must not keep gc from emptying it. */
	if (may_write(fd) && (pwrite(fd, text, strlen(text), 0) != (ssize_t)strlen(text) || ftruncate(fd, (off_t)strlen(text))))
		(void)!ftruncate(fd, 0);
	l->fd = take_fd(fd);
	return 1;
}

/* --- hard link ----------------------------------------------------------------------------------------------------- */

/* "<32 digits>.<pid>.<host>.lock": DVC takes any name; ours lets a later process see whether the holder lives. */
static char *claim_path(const char *lock)
{
	char hex[33], host[9], nonce[32];
	autofree char *name = NULL, *dir = path_dir(lock);
	unsigned char digest[16];

	host_mark(host);
	fs_temp_name(nonce);
	name = xasprintf("%s|%s|%ld|%s", lock, host, (long)getpid(), nonce);
	md5_once(name, strlen(name), digest);
	hex_encode(hex, digest, sizeof(digest));
	return xasprintf("%s/%s.%ld.%s.lock", dir, hex, (long)getpid(), host);
}

/* mtime says until when the claim is good; link and unlink leave it alone. */
static void claim_touch(const char *claim)
{
	struct timespec ts[2];

	clock_gettime(CLOCK_REALTIME, &ts[0]);
	ts[0].tv_sec += LINK_LIFETIME;
	ts[0].tv_nsec = 0;
	ts[1] = ts[0];
	utimensat(AT_FDCWD, claim, ts, 0);
}

static int claim_make(struct filelock *l, struct err *e)
{
	autoclose int fd = -1;

	if (l->claim)
		return 0;
	l->claim = claim_path(l->path);
	fd = open(l->claim, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 || fs_write_all(fd, l->claim, strlen(l->claim))) {
		err_sys(e, "cannot write claim file '%s'", l->claim);
		free(take(l->claim));
		return -1;
	}
	claim_touch(l->claim);
	return 0;
}

/* Moves a stale lock out of the way. Somebody may have been faster and hold a new one by now: that goes back. */
static void link_break(const char *path, const char *stale)
{
	autofree char *aside = NULL;
	autostr struct str s = STR_INIT;
	autoerr struct err e = ERR_INIT;
	char name[32];

	fs_temp_name(name);
	aside = xasprintf("%s%s", path, name);
	if (rename(path, aside))
		return;
	if (!fs_read(&s, aside, 4096, &e) && strcmp(str_cstr(&s), stale) && link(aside, path))
		notice(NOTICE_WARN, "the lock '%s' could not be put back", path);
	else if (str_starts(stale, "/") && str_ends(stale, ".lock") && !strcmp(str_cstr(&s), stale))
		unlink(stale);
	unlink(aside);
}

/* Stale: past its time, left behind by flock mode and held by nobody, or of a process of this machine that is gone. */
static int link_break_stale(const char *path, struct err *err)
{
	struct stat st;
	autostr struct str s = STR_INIT;
	autoerr struct err e = ERR_INIT;
	autoclose int fd = -1;
	long pid;

	if (lstat(path, &st))
		return 0;
	if (S_ISLNK(st.st_mode) || (!fs_read(&s, path, 4096, &e) && !is_lock_text(str_cstr(&s))))
		return err_set(err, ERR_UNSAFE, "'%s' is no lock file", path);
	if (e.code)
		return 0;
	if (st.st_nlink == 1) {
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB))
			link_break(path, str_cstr(&s));
		return 0;
	}
	pid = claim_pid(str_cstr(&s));
	if (time(NULL) > st.st_mtime + 10 || (pid > 0 && kill((pid_t)pid, 0) && errno == ESRCH))
		link_break(path, str_cstr(&s));
	return 0;
}

static int link_try(struct filelock *l, struct err *e)
{
	struct stat st;

	if (claim_make(l, e))
		return -1;
	if (!link(l->claim, l->path) || (!stat(l->claim, &st) && st.st_nlink == 2)) {
		claim_touch(l->claim);
		return 1;
	}
	if (errno != EEXIST)
		return err_sys(e, "cannot link lock file '%s'", l->path);
	return link_break_stale(l->path, e);
}

/* --- both ---------------------------------------------------------------------------------------------------------- */

int filelock_take(struct filelock **out, const char *path, bool hardlink, struct err *e)
{
	struct filelock *l = xcalloc(1, sizeof(*l));
	long waited = 0;
	int rc;

	l->path = xstrdup(path);
	l->fd = -1;
	while (!(rc = hardlink ? link_try(l, e) : flock_try(l, e))) {
		if (proc_check(e)) {
			rc = -1;
			break;
		}
		if (waited < PATIENCE_MS && waited + POLL_MS >= PATIENCE_MS)
			name_holder(path);
		sleep_ms(POLL_MS);
		waited += POLL_MS;
	}
	if (rc < 0) {
		if (l->claim)
			unlink(l->claim);
		free(l->claim);
		free(l->path);
		free(l);
		return -1;
	}
	*out = l;
	return 0;
}

void filelock_release(struct filelock *l)
{
	if (!l)
		return;
	if (l->claim) {
		unlink(l->path);
		unlink(l->claim);
	}
	if (l->fd >= 0)
		close(l->fd);           /* K1: the file stays */
	free(l->claim);
	free(l->path);
	free(l);
}

static int take_again(struct repolock *l, struct err *e)
{
	autofree char *path = path_join(l->repo->tmp_dir, "lock");

	if (l->lock)
		return 0;
	if (filelock_take(&l->lock, path, config_bool(l->repo->config, "core", "hardlink_lock", false), e))
		return err_in(e, "cannot lock the repository");
	return 0;
}

/* DVC gives up after three seconds unless told to wait; waiting is what its users then ask for (K2). */
int repolock_take(struct repolock **out, struct repo *r, struct err *e)
{
	struct repolock *l;

	if (repo_tmp(r, e))
		return -1;
	l = xcalloc(1, sizeof(*l));
	l->repo = r;
	if (take_again(l, e)) {
		free(l);
		return -1;
	}
	*out = l;
	return 0;
}

void repolock_release(struct repolock *l)
{
	if (!l)
		return;
	filelock_release(l->lock);
	free(l);
}

void repolock_pause(struct repolock *l)
{
	if (l)
		filelock_release(take(l->lock));
}

int repolock_resume(struct repolock *l, struct err *e)
{
	return l ? take_again(l, e) : 0;
}

void repolock_host(char out[9])
{
	host_mark(out);
}

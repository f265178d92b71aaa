/* The state's file: where it may lie, whether it can be believed, and what happens to a damaged one (A2, A3). */
#include "core/cache/state_own.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAP_FIRST (16ull << 30)         /* address space, not memory */
#define MAP_LEAST (64ull << 20)

/* Identifies the database as this boot's last writer left it: boot id, size, mtime. */
static void stamp_now(const struct state *s, char out[128])
{
	char boot[40] = "unknown";
	autoclose int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	struct stat st = { 0 };

	if (fd >= 0 && read(fd, boot, 36) == 36)
		boot[36] = 0;
	if (stat(s->file, &st))
		st.st_size = 0;
	snprintf(out, 128, "%s %lld %lld.%09ld\n", boot, (long long)st.st_size, (long long)st.st_mtim.tv_sec,
		 st.st_mtim.tv_nsec);
}

void state_stamp_save(struct state *s)
{
	char now[128];
	autoclose int fd = open(s->stamp, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	stamp_now(s, now);
	/* In place and unsynced: a torn stamp is a wrong stamp, and a wrong one only costs a check. */
	if (fd >= 0 && pwrite(fd, now, strlen(now), 0) < 0)
		unlink(s->stamp);
}

static bool stamp_matches(const struct state *s)
{
	char now[128];
	autostr struct str was = STR_INIT;
	autoerr struct err ignored = ERR_INIT;

	stamp_now(s, now);
	return !fs_read(&was, s->stamp, 4096, &ignored) && str_starts(str_cstr(&was), now);
}

static int open_env(struct state *s, unsigned flags)
{
	MDB_txn *txn = NULL;
	uint64_t size = MAP_FIRST;
	int rc;

	do {
		rc = mdb_env_create(&s->env);
		if (rc)
			return rc;
		mdb_env_set_mapsize(s->env, size);
		mdb_env_set_maxreaders(s->env, 512);
		rc = mdb_env_open(s->env, s->file, MDB_NOSUBDIR | MDB_NOTLS | MDB_NOSYNC | MDB_NOMETASYNC | flags, 0600);
		if (rc) {
			mdb_env_close(s->env);
			s->env = NULL;
		}
		size /= 4;
	} while (rc == ENOMEM && size >= MAP_LEAST);
	if (rc)
		return rc;
	rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
	if (!rc)
		rc = mdb_dbi_open(txn, NULL, 0, &s->dbi);
	if (!rc)
		rc = mdb_txn_commit(txn);       /* keeps the handle */
	else if (txn)
		mdb_txn_abort(txn);
	return rc;
}

/* Reads every record. Runs in a child: a damaged file may make the library crash. */
static int check_all(struct state *s)
{
	MDB_txn *txn;
	MDB_cursor *c;
	MDB_val k, v;
	int rc = open_env(s, MDB_RDONLY | MDB_NOLOCK);

	if (rc || mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn) || mdb_cursor_open(txn, s->dbi, &c))
		return 1;
	for (rc = mdb_cursor_get(c, &k, &v, MDB_FIRST); !rc; rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
		uint64_t sum;

		if (v.mv_size < sizeof(sum))
			return 1;
		memcpy(&sum, v.mv_data, sizeof(sum));
		if (sum != state_sum((char *)v.mv_data + sizeof(sum), v.mv_size - sizeof(sum)))
			return 1;
	}
	return rc != MDB_NOTFOUND;
}

static bool is_sound(struct state *s)
{
	int status = 1;
	pid_t pid = fork();

	if (!pid) {
		struct state mine = { .file = s->file };
		int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

		if (fd >= 0)
			dup2(fd, 2);    /* an assertion of the library is our answer, not the user's */
		_exit(check_all(&mine));
	}
	if (pid < 0)
		return false;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static void set_aside(struct state *s)
{
	autofree char *bad = xasprintf("%s.damaged", s->file), *lock = xasprintf("%s-lock", s->file);

	if (rename(s->file, bad))
		unlink(s->file);
	unlink(lock);
	unlink(s->stamp);
}

static bool is_short(struct state *s)
{
	MDB_envinfo info;
	MDB_stat ms;
	struct stat st;

	return mdb_env_info(s->env, &info) || mdb_env_stat(s->env, &ms) || stat(s->file, &st) ||
	       (info.me_last_pgno > 1 &&
		(uint64_t)st.st_size < ((uint64_t)info.me_last_pgno + 1) * ms.ms_psize);
}

/* Waits a moment for a writer; a stuck one costs us the check, nothing else. */
static bool lock_briefly(int fd)
{
	const struct timespec wait = { 0, 5000000 };

	for (int i = 0; i < 60; i++) {
		if (!flock(fd, LOCK_EX | LOCK_NB))
			return true;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return false;
		nanosleep(&wait, NULL);
	}
	return false;
}

int state_env_open(struct state *s, struct err *e)
{
	struct stat st;
	bool locked = lock_briefly(s->lockfd);
	int rc;

	if (locked && !stat(s->file, &st) && st.st_size && !stamp_matches(s)) {
		if (is_sound(s))
			state_stamp_save(s);
		else
			set_aside(s);
	}
	rc = open_env(s, 0);
	if (!rc && is_short(s))
		rc = MDB_CORRUPTED;
	if (rc && locked && rc != ENOMEM && rc != EACCES && rc != ENOSPC && rc != EROFS) {
		state_env_close(s);
		set_aside(s);
		rc = open_env(s, 0);
	}
	if (locked)
		flock(s->lockfd, LOCK_UN);
	if (rc) {
		state_env_close(s);
		return err_set(e, ERR_FAIL, "cannot open the state '%s': %s", s->file, mdb_strerror(rc));
	}
	return 0;
}

void state_env_close(struct state *s)
{
	if (s->env)
		mdb_env_close(s->env);
	s->env = NULL;
	if (atomic_load(&s->broken) && lock_briefly(s->lockfd)) {
		set_aside(s);
		flock(s->lockfd, LOCK_UN);
	}
}

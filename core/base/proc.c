#include "core/base/proc.h"

#include "core/base/err.h"
#include "core/base/own.h"
#include "core/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static _Atomic int cancelled;

static void on_signal(int sig)
{
	if (atomic_exchange(&cancelled, sig) && sig == SIGINT)
		_exit(252);
}

/* What the caller had ignored (nohup, a shell's background job) stays ignored, as with every program. */
static bool watch(int sig)
{
	struct sigaction sa = { .sa_handler = on_signal }, old;

	sigemptyset(&sa.sa_mask);
	return !sigaction(sig, NULL, &old) && old.sa_handler != SIG_IGN && !sigaction(sig, &sa, NULL);
}

static bool int_ignored;        /* constant after proc_init() */
static sigset_t ignored_here;   /* likewise: what the caller had not ignored */

static void ignore(int sig)
{
	struct sigaction sa = { .sa_handler = SIG_IGN }, old;

	sigemptyset(&sa.sa_mask);
	if (!sigaction(sig, &sa, &old) && old.sa_handler != SIG_IGN)
		sigaddset(&ignored_here, sig);
}

void proc_init(void)
{
	sigemptyset(&ignored_here);
	int_ignored = !watch(SIGINT);
	watch(SIGTERM);
	watch(SIGHUP);
	ignore(SIGPIPE);
	ignore(SIGXFSZ);        /* a write past the limit is an error like a full disk */
}

void proc_ignored_here(sigset_t *set)
{
	sigorset(set, set, &ignored_here);
}

bool proc_int_ignored(void)
{
	return int_ignored;
}

bool proc_cancelled(void)
{
	return atomic_load_explicit(&cancelled, memory_order_relaxed);
}

void proc_cancel(void)
{
	atomic_store(&cancelled, SIGINT);
}

void proc_die_of_signal(void)
{
	int sig = atomic_load(&cancelled);

	if (sig != SIGTERM && sig != SIGHUP)
		return;
	signal(sig, SIG_DFL);
	raise(sig);
}

int proc_check(struct err *e)
{
	if (proc_cancelled())
		return err_set(e, ERR_INTR, "%s", atomic_load(&cancelled) == SIGINT ? "interrupted by the user" : "terminated");
	return 0;
}

uint64_t proc_started(pid_t pid)
{
	char path[32], text[1024], *at;
	autoclose int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return fd < 0 && !kill(pid, 0);         /* no /proc here */
	text[n] = '\0';
	at = strrchr(text, ')');                        /* the name may hold anything */
	if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
		return 0;
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at + 1, NULL, 10) : 1;
}

/*
 * GIT_DATA_FAULT="publish:3" dies at the third pass of that point, "any:17" at the seventeenth pass of any point. The kill
 * test walks the numbers upwards until a run survives. "place.swap:1:stop" stops there instead, for a test to meddle.
 */
static struct {
	atomic_int parsed;              /* 0 unread, 1 none, 2 armed */
	atomic_long left;
	int signal;
	char point[32];
} fault;

static int fault_parse(void)
{
	const char *env = getenv("GIT_DATA_FAULT"), *colon;
	autofree char *spec = env ? xstrdup(env) : NULL;
	bool stop = spec && str_ends(spec, ":stop");
	uint64_t n;

	if (stop)
		spec[strlen(spec) - 5] = '\0';
	colon = spec ? strrchr(spec, ':') : NULL;
	if (!colon || (size_t)(colon - spec) >= sizeof(fault.point) || !str_to_u64(colon + 1, &n))
		return 1;
	fault.signal = stop ? SIGSTOP : SIGKILL;
	memcpy(fault.point, spec, (size_t)(colon - spec));
	fault.point[colon - spec] = '\0';
	atomic_store(&fault.left, (long)n);
	return 2;
}

void proc_fault(const char *point)
{
	int st = atomic_load_explicit(&fault.parsed, memory_order_acquire);

	if (st == 1)
		return;
	if (!st) {
		st = fault_parse();
		atomic_store_explicit(&fault.parsed, st, memory_order_release);
		if (st == 1)
			return;
	}
	if (strcmp(fault.point, "any") && strcmp(fault.point, point))
		return;
	if (atomic_fetch_sub(&fault.left, 1) == 1)
		raise(fault.signal);
}

struct pipes { int in[2], out[2], err[2]; };

static void pipes_close(struct pipes *p)
{
	int *all[] = { p->in, p->out, p->err };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		for (int k = 0; k < 2; k++)
			if (all[i][k] >= 0)
				close(all[i][k]);
}

/* C3: "GIT_DIR=..." and its kin. */
static bool is_git_place(const char *var)
{
	static const char *const names[] = {
		"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX",
		"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_IMPLICIT_WORK_TREE", "GIT_NAMESPACE", "GIT_GRAFT_FILE",
		"GIT_SHALLOW_FILE", "GIT_REPLACE_REF_BASE", "GIT_CONFIG", "GIT_QUARANTINE_PATH",
	};
	size_t n = strcspn(var, "=");

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strlen(names[i]) == n && !memcmp(names[i], var, n))
			return true;
	return false;
}

/* The strings are environ's, the array is the caller's. */
static char **child_environment(const char *program)
{
	size_t n = 0, kept = 0;
	char **env;

	while (environ[n])
		n++;
	env = xreallocarray(NULL, n + 1, sizeof(*env));
	for (size_t i = 0; i < n; i++)
		if (strcmp(program, "git") || !is_git_place(environ[i]))
			env[kept++] = environ[i];
	env[kept] = NULL;
	return env;
}

/* In the child every signal has its default action again, and only 0, 1, 2 are open (the rest is O_CLOEXEC). SIGXFSZ stays
 * ignored: git and its like then say what they could not write. */
static int spawn(pid_t *pid, const char *const *argv, const char *dir, struct pipes *p, bool want_err, struct err *e)
{
	autofree char **env = child_environment(argv[0]);
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t set;
	int rc;

	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&at);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&at, &set);
	sigaddset(&set, SIGPIPE);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	posix_spawnattr_setsigdefault(&at, &set);
	posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_adddup2(&fa, p->in[0], 0);
	posix_spawn_file_actions_adddup2(&fa, p->out[1], 1);
	if (want_err)
		posix_spawn_file_actions_adddup2(&fa, p->err[1], 2);
	if (dir)
		posix_spawn_file_actions_addchdir_np(&fa, dir);
	rc = posix_spawnp(pid, argv[0], &fa, &at, (char *const *)argv, env);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&at);
	if (rc) {
		errno = rc;
		return err_sys(e, "cannot run '%s'", argv[0]);
	}
	return 0;
}

/* Reads what is there; 0 at the end of the stream. */
static ssize_t drain(int fd, struct str *to)
{
	char buf[65536];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n > 0 && to)
		str_add(to, buf, (size_t)n);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 1;
	return n;
}

static void pump(struct pipes *p, const char *in, size_t in_len, struct str *out, struct str *errout)
{
	size_t sent = 0;

	if (!in_len) {
		close(p->in[1]);
		p->in[1] = -1;
	}
	while (p->out[0] >= 0 || p->err[0] >= 0) {
		struct pollfd fds[3] = {
			{ p->out[0], POLLIN, 0 }, { p->err[0], POLLIN, 0 }, { p->in[1], POLLOUT, 0 },
		};

		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			break;
		if (fds[2].revents) {
			ssize_t n = write(p->in[1], in + sent, in_len - sent > 65536 ? 65536 : in_len - sent);

			if (n > 0)
				sent += (size_t)n;
			if ((n < 0 && errno != EINTR && errno != EAGAIN) || sent == in_len) {
				close(p->in[1]);
				p->in[1] = -1;
			}
		}
		for (int i = 0; i < 2; i++) {
			int *fd = i ? &p->err[0] : &p->out[0];

			if (fds[i].revents && drain(*fd, i ? errout : out) <= 0) {
				close(*fd);
				*fd = -1;
			}
		}
	}
}

int proc_run(const char *const *argv, const char *dir, const char *in, size_t in_len, struct str *out,
	     struct str *errout, int *status, struct err *e)
{
	struct pipes p = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	pid_t pid;
	int st;

	if (pipe2(p.in, O_CLOEXEC) || pipe2(p.out, O_CLOEXEC) || (errout && pipe2(p.err, O_CLOEXEC))) {
		err_sys(e, "cannot make a pipe for '%s'", argv[0]);
		pipes_close(&p);
		return -1;
	}
	fcntl(p.in[1], F_SETFL, O_NONBLOCK);
	if (spawn(&pid, argv, dir, &p, errout != NULL, e)) {
		pipes_close(&p);
		return -1;
	}
	close(p.in[0]);
	close(p.out[1]);
	if (p.err[1] >= 0)
		close(p.err[1]);
	p.in[0] = p.out[1] = p.err[1] = -1;
	pump(&p, in, in_len, out, errout);
	pipes_close(&p);
	while (waitpid(pid, &st, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, "cannot wait for '%s'", argv[0]);
	*status = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
	return 0;
}

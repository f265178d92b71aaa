#include "core/pipeline/executor.h"

#include "core/base/err.h"
#include "core/base/own.h"
#include "core/base/proc.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
	pid_t pid;
	int fd;                 /* of the process; -1 where the kernel has none */
	bool group;
};
struct local {
	struct executor base;
	struct child *v;
	size_t n, cap;
	struct pollfd *poll;
	size_t npoll;
};

static int set_attributes(posix_spawnattr_t *a, bool own_group)
{
	sigset_t none, all;
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;

	sigemptyset(&none);
	sigemptyset(&all);
	if (!proc_int_ignored())        /* the runner may ignore it just now; what the caller does is inherited */
		sigaddset(&all, SIGINT);
	proc_ignored_here(&all);
	sigaddset(&all, SIGCHLD);
	if (own_group)
		flags |= POSIX_SPAWN_SETPGROUP;
	return posix_spawnattr_setflags(a, flags) || posix_spawnattr_setsigmask(a, &none) ||
		posix_spawnattr_setsigdefault(a, &all) || (own_group && posix_spawnattr_setpgroup(a, 0));
}

static int spawn(const struct exec_job *j, pid_t *pid)
{
	posix_spawn_file_actions_t acts;
	posix_spawnattr_t attr;
	int rc;

	if (posix_spawn_file_actions_init(&acts))
		return ENOMEM;
	if (posix_spawnattr_init(&attr)) {
		posix_spawn_file_actions_destroy(&acts);
		return ENOMEM;
	}
	rc = posix_spawn_file_actions_addchdir_np(&acts, j->dir);
	if (!rc && j->out_fd >= 0) {
		rc = posix_spawn_file_actions_addopen(&acts, 0, "/dev/null", 0, 0);
		if (!rc)
			rc = posix_spawn_file_actions_adddup2(&acts, j->out_fd, 1);
		if (!rc)
			rc = posix_spawn_file_actions_adddup2(&acts, j->out_fd, 2);
	}
	if (!rc)
		rc = set_attributes(&attr, j->own_group) ? EINVAL : 0;
	if (!rc)
		rc = posix_spawnp(pid, j->argv[0], &acts, &attr, (char *const *)j->argv, j->env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&acts);
	return rc;
}

static int local_start(struct executor *x, const struct exec_job *j, int64_t *id, struct err *e)
{
	struct local *l = (struct local *)x;
	struct child c = { 0, -1, j->own_group };
	int rc = spawn(j, &c.pid);

	if (rc) {
		errno = rc;
		if (access(j->dir, X_OK))
			return err_sys(e, "cannot enter '%s'", j->dir);
		errno = rc;
		return err_set(e, ERR_FAIL, "[Errno %d] %s: '%s'", rc, strerror(rc), j->argv[0]);
	}
	c.fd = (int)syscall(SYS_pidfd_open, c.pid, 0);
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = c;
	*id = c.pid;
	return 0;
}

static int reap(struct local *l, size_t i, int64_t *id, int *status)
{
	int st;
	pid_t pid = waitpid(l->v[i].pid, &st, WNOHANG);

	if (pid != l->v[i].pid)
		return 0;
	*id = pid;
	*status = WIFSIGNALED(st) ? -WTERMSIG(st) : WEXITSTATUS(st);
	if (l->v[i].fd >= 0)
		close(l->v[i].fd);
	l->v[i] = l->v[--l->n];
	return 1;
}

static int local_wait(struct executor *x, int timeout_ms, int64_t *id, int *status, struct err *e)
{
	struct local *l = (struct local *)x;
	bool blind = false;
	int rc;

	for (size_t i = 0; i < l->n; i++)
		if (reap(l, i, id, status))
			return 1;
	if (l->npoll < l->n) {
		l->npoll = l->cap;
		l->poll = xreallocarray(l->poll, l->npoll, sizeof(*l->poll));
	}
	for (size_t i = 0; i < l->n; i++) {
		l->poll[i] = (struct pollfd){ l->v[i].fd, POLLIN, 0 };
		blind |= l->v[i].fd < 0;
	}
	if (blind && (timeout_ms < 0 || timeout_ms > 5))
		timeout_ms = 5;
	rc = poll(l->poll, l->n, timeout_ms);
	if (rc < 0 && errno != EINTR)
		return err_sys(e, "cannot wait for commands");
	for (size_t i = 0; i < l->n; i++)
		if ((blind || l->poll[i].revents) && reap(l, i, id, status))
			return 1;
	return 0;
}

static void local_signal(struct executor *x, int64_t id, int sig)
{
	struct local *l = (struct local *)x;

	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].pid == id)
			kill(l->v[i].group ? -l->v[i].pid : l->v[i].pid, sig);
}

static void local_close(struct executor *x)
{
	struct local *l = (struct local *)x;

	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].fd >= 0)
			close(l->v[i].fd);
	free(l->v);
	free(l->poll);
	free(l);
}

struct executor *executor_local(void)
{
	static const struct executor_ops ops = { local_start, local_wait, local_signal, local_close };
	struct local *l = xcalloc(1, sizeof(*l));

	l->base.ops = &ops;
	return &l->base;
}

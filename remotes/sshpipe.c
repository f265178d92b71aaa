#include "remotes/sshpipe.h"

#include "core/base/err.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/str.h"
#include "remotes/duplex.h"
#include "remotes/sshconf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SAID_MAX 8192u                  /* kept of what the child says on stderr */
#define SECRET_VAR "GIT_DATA_SSH_ANSWER"

struct sshpipe {
	struct duplex d;
	pid_t pid;
	int fd, errfd;
	struct str said;
	char *askdir, *askfile;         /* P1 */
};

static void hear(struct sshpipe *p)
{
	char buf[1024];
	ssize_t n;

	while (p->errfd >= 0 && (n = read(p->errfd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		if (p->said.len + (size_t)n <= SAID_MAX)
			str_add(&p->said, buf, (size_t)n);
	}
}

static ssize_t pipe_read(struct duplex *d, void *buf, size_t n)
{
	struct sshpipe *p = (struct sshpipe *)d;

	return read(p->fd, buf, n);
}

static ssize_t pipe_write(struct duplex *d, const void *buf, size_t n)
{
	struct sshpipe *p = (struct sshpipe *)d;

	return send(p->fd, buf, n, MSG_NOSIGNAL);
}

static void pipe_wait(struct duplex *d, bool want_write, int timeout_ms)
{
	struct sshpipe *p = (struct sshpipe *)d;
	struct pollfd fds[2] = {
		{ .fd = p->fd, .events = POLLIN | (want_write ? POLLOUT : 0) }, { .fd = p->errfd, .events = POLLIN },
	};

	if (poll(fds, 2, timeout_ms) > 0 && fds[1].revents)
		hear(p);
}

static bool says(const struct sshpipe *p, const char *text)
{
	return strstr(str_cstr(&p->said), text) != NULL;
}

/* An at sign that stands beside another one, a space or the end of a line belongs to the frame of a warning. */
static bool frame(const char *at, const char *from)
{
	return at == from || strchr("@ \r\n", at[-1]) || strchr("@ \r\n", at[1]);
}

/* What ssh said in one line, without the frame of at signs around its warning. */
static void tidy(struct str *out, const char *text)
{
	const char *from = text;

	for (; *text; text++) {
		if (*text == '\r' || (*text == '@' && frame(text, from)) || (isspace((unsigned char)*text) && *text != '\n' &&
						     (!out->len || out->buf[out->len - 1] == ' ')))
			continue;
		if (*text != '\n') {
			str_addc(out, *text);
		} else if (out->len && out->buf[out->len - 1] != ' ') {
			str_adds(out, text[1] ? "; " : "");
		}
	}
	while (out->len && (out->buf[out->len - 1] == ' ' || out->buf[out->len - 1] == ';'))
		str_setlen(out, out->len - 1);
}

static void pipe_why(struct duplex *d, struct err *e)
{
	struct sshpipe *p = (struct sshpipe *)d;
	struct pollfd fd = { .fd = p->errfd, .events = POLLIN };
	autostr struct str text = STR_INIT;
	enum err_code code = ERR_FAIL;

	while (p->errfd >= 0 && poll(&fd, 1, 1000) > 0) {
		size_t before = p->said.len;

		hear(p);
		if (p->said.len == before)
			break;
	}
	tidy(&text, str_cstr(&p->said));
	if (says(p, "Permission denied") || says(p, "Host key verification failed") || says(p, "Too many authentication"))
		code = ERR_AUTH;
	else if (says(p, "kex_exchange_identification") || says(p, "onnection reset") || says(p, "roken pipe") ||
		 says(p, "onnection closed") || says(p, "onnection timed out"))
		code = ERR_TEMP;
	err_set(e, code, "ssh: %s", text.len ? text.buf : "ended without a word");
}

static void wait_child(struct sshpipe *p)
{
	struct timespec nap = { 0, 10 * 1000 * 1000 };
	int i, status;

	for (i = 0; i < 100; i++) {
		if (waitpid(p->pid, &status, WNOHANG) != 0)
			return;
		if (i == 50)
			kill(p->pid, SIGTERM);
		nanosleep(&nap, NULL);
	}
	kill(p->pid, SIGKILL);
	waitpid(p->pid, &status, 0);
}

static void pipe_close(struct duplex *d)
{
	struct sshpipe *p = (struct sshpipe *)d;

	if (p->fd >= 0)
		close(p->fd);
	if (p->errfd >= 0)
		close(p->errfd);
	if (p->pid > 0)
		wait_child(p);
	if (p->askfile)
		unlink(p->askfile);
	if (p->askdir)
		rmdir(p->askdir);
	free(p->askfile);
	free(p->askdir);
	str_release(&p->said);
	free(p);
}

static const struct duplex_ops pipe_ops = { pipe_read, pipe_write, pipe_wait, pipe_why, pipe_close };

/* A program for ssh to ask: it prints the answer that it finds in its environment. */
static int make_askpass(struct sshpipe *p, struct err *e)
{
	static const char script[] = "#!/bin/sh\nprintf '%s\\n' \"$" SECRET_VAR "\"\n";
	const char *tmp = getenv("TMPDIR");
	autofree char *dir = xasprintf("%s/git-data-ask.XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
	autoclose int fd = -1;

	if (!mkdtemp(dir))
		return err_sys(e, "cannot make '%s'", dir);
	p->askdir = take(dir);
	p->askfile = xasprintf("%s/ask", p->askdir);
	fd = open(p->askfile, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	if (fd < 0 || write(fd, script, sizeof(script) - 1) != (ssize_t)sizeof(script) - 1)
		return err_sys(e, "cannot write '%s'", p->askfile);
	return 0;
}

static void make_env(const struct sshpipe *p, const char *secret, struct strvec *env)
{
	char **v;

	for (v = environ; *v; v++)
		if (!p->askfile || (strncmp(*v, "SSH_ASKPASS", 11) != 0 && strncmp(*v, "DISPLAY=", 8) != 0))
			strvec_push(env, *v);
	if (!p->askfile)
		return;
	strvec_pushf(env, "SSH_ASKPASS=%s", p->askfile);
	strvec_push(env, "SSH_ASKPASS_REQUIRE=force");
	strvec_push(env, "DISPLAY=:0");
	strvec_pushf(env, SECRET_VAR "=%s", secret);
}

static int spawn(struct sshpipe *p, const struct strvec *argv, const struct strvec *env, int in, int errw, bool batch,
		 struct err *e)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t none, def;
	int rc;

	sigemptyset(&none);
	sigemptyset(&def);
	proc_ignored_here(&def);
	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&at);
	posix_spawn_file_actions_adddup2(&fa, in, 0);
	posix_spawn_file_actions_adddup2(&fa, in, 1);
	posix_spawn_file_actions_adddup2(&fa, errw, 2);
	posix_spawnattr_setsigmask(&at, &none);
	posix_spawnattr_setsigdefault(&at, &def);
	posix_spawnattr_setflags(&at, (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
					      (batch ? POSIX_SPAWN_SETPGROUP : 0)));
	rc = posix_spawnp(&p->pid, argv->v[0], &fa, &at, argv->v, env->v);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&at);
	if (!rc)
		return 0;
	p->pid = 0;
	errno = rc;
	return err_sys(e, "cannot run '%s'", argv->v[0]);
}

bool sshpipe_may_ask(void)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return false;
	close(fd);
	return isatty(STDERR_FILENO);
}

static int start(struct sshpipe *p, const struct ssh_conf *c, const char *command, struct err *e)
{
	autostrvec struct strvec argv = STRVEC_INIT, env = STRVEC_INIT;
	const char *secret = c->passphrase ? c->passphrase : c->password;
	bool batch = c->no_questions || !sshpipe_may_ask();
	int sv[2], ev[2], rc, size = 1 << 20;

	if (secret && make_askpass(p, e))
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		return err_sys(e, "cannot make a socket pair");
	if (pipe2(ev, O_CLOEXEC)) {
		close(sv[0]);
		close(sv[1]);
		return err_sys(e, "cannot make a pipe");
	}
	p->fd = sv[0];
	p->errfd = ev[0];
	setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(sv[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	fcntl(sv[0], F_SETFL, O_NONBLOCK);
	fcntl(ev[0], F_SETFL, O_NONBLOCK);
	sshconf_child(c, command, batch, &argv);
	make_env(p, secret, &env);
	rc = spawn(p, &argv, &env, sv[1], ev[1], batch, e);
	close(sv[1]);
	close(ev[1]);
	return rc;
}

int sshpipe_open(struct duplex **out, const struct ssh_conf *c, const char *command, struct err *e)
{
	struct sshpipe *p = xcalloc(1, sizeof(*p));

	p->d.ops = &pipe_ops;
	p->fd = p->errfd = -1;
	if (start(p, c, command, e)) {
		pipe_close(&p->d);
		return -1;
	}
	if (command)
		shutdown(p->fd, SHUT_WR);
	*out = &p->d;
	return 0;
}

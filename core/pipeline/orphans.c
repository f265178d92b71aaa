#include "core/pipeline/orphans.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/str.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 5000        /* between SIGTERM and SIGKILL, and again until it is an error */
#define POLL_MS 20

char *orphans_mark(const char *root)
{
	return xasprintf(ORPHANS_MARK "=%ld:%ld:%s", (long)getpid(), (long)getsid(0), root);
}

/* The processes meant: those of a group (0: of none), and those that have in their environment the mark of a run and, unless
 * it is NULL, the name of a stage. */
struct mark { pid_t group; const char *begin, *root, *stage; };

static bool mark_matches(const struct mark *m, const char *entry, pid_t *session)
{
	char *end = NULL;
	long sid;

	if (!str_starts(entry, m->begin))
		return false;
	entry += strlen(m->begin);
	sid = strtol(entry, &end, 10);
	*session = (pid_t)sid;
	return end != entry && *end == ':' && !strcmp(end + 1, m->root);
}

/* The environment a process was started with has the mark. */
static bool is_marked(pid_t pid, const struct mark *m, pid_t *session)
{
	autofree char *path = xasprintf("/proc/%ld/environ", (long)pid);
	autostr struct str text = STR_INIT;
	autoerr struct err none = ERR_INIT;
	bool run = false, stage = !m->stage;

	if (fs_read(&text, path, 16u << 20, &none))
		return false;
	for (size_t at = 0; at < text.len && !(run && stage); at += strlen(text.buf + at) + 1) {
		const char *entry = text.buf + at;

		run = run || mark_matches(m, entry, session);
		stage = stage || (str_starts(entry, "DVC_STAGE=") && !strcmp(strchr(entry, '=') + 1, m->stage));
	}
	return run && stage;
}

/* A command of the run, or what it started, that is still in the run's session (O3). */
static bool belongs(pid_t pid, const struct mark *m)
{
	pid_t session = 0;

	if (m->group && getpgid(pid) == m->group)
		return proc_started(pid);
	return is_marked(pid, m, &session) && getsid(pid) == session && proc_started(pid);
}

/* Sends the signal (0: none) to each; the number of them, *first is one. */
static size_t each(const struct mark *mark, int sig, pid_t *first)
{
	DIR *d = opendir("/proc");
	struct dirent *de;
	size_t n = 0;

	while (d && (de = readdir(d))) {
		uint64_t pid;

		if (!str_to_u64(de->d_name, &pid) || pid > INT32_MAX || (pid_t)pid == getpid() || !belongs((pid_t)pid, mark))
			continue;
		if (!n++)
			*first = (pid_t)pid;
		if (sig)
			kill((pid_t)pid, sig);
	}
	if (d)
		closedir(d);
	return n;
}

/* 0: none is left, 1: they will not end, -1: interrupted; e NULL: that cannot be. */
static int end_all(const struct mark *mark, pid_t *first, struct err *e)
{
	const struct timespec pause = { 0, POLL_MS * 1000000l };

	for (int waited = 0; waited < 2 * PATIENCE_MS; waited += POLL_MS) {
		if (e && proc_check(e))
			return -1;
		if (!each(mark, waited >= PATIENCE_MS ? SIGKILL : waited ? 0 : SIGTERM, first))
			return 0;
		nanosleep(&pause, NULL);
	}
	return 1;
}

int orphans_end(const char *pid, const char *root, struct err *e)
{
	autofree char *begin = xasprintf(ORPHANS_MARK "=%s:", pid);
	struct mark mark = { 0, begin, root, NULL };
	pid_t first = 0;
	int rc;

	if (is_marked(getpid(), &mark, &first))          /* a run within that run: it would end itself */
		return 0;
	if (!each(&mark, 0, &first))
		return 0;
	notice(NOTICE_WARN, "a command of the interrupted run still runs (process %ld): it is ended first", (long)first);
	rc = end_all(&mark, &first, e);
	return rc > 0 ? err_set(e, ERR_LOCKED, "a command of an interrupted run does not end (process %ld)", (long)first) : rc;
}

void orphans_end_stage(pid_t group, const char *stage, const char *root)
{
	autofree char *begin = xasprintf(ORPHANS_MARK "=%ld:", (long)getpid());
	struct mark mark = { group, begin, root, stage };
	pid_t first = 0;

	if (end_all(&mark, &first, NULL))
		notice(NOTICE_WARN, "a command of stage '%s' does not end (process %ld)", stage, (long)first);
}

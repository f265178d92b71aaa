#include "core/base/temps.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/own.h"
#include "core/base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "git-data.temps."
#define JOURNAL_MAX (64u << 20)

struct where { uint64_t dev, ino; };

static struct {
	pthread_mutex_t mu;
	char *path;             /* of our journal; NULL: not opened */
	int fd;                 /* -1 until the first note */
	struct binset seen;     /* of struct where */
} journal = { .mu = PTHREAD_MUTEX_INITIALIZER, .fd = -1, .seen = BINSET_INIT(sizeof(struct where)) };

static bool is_alive(pid_t pid)
{
	return !kill(pid, 0) || errno != ESRCH;
}

/* V1: only names of that maker, only files and links. */
static void sweep(const char *dir, pid_t maker)
{
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(dup(fd));
	struct dirent *de;
	struct stat st;

	if (!d)
		return;
	while ((de = readdir(d)))
		if (fs_temp_maker(de->d_name) == maker && !fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)))
			unlinkat(fd, de->d_name, 0);
	closedir(d);
}

static void clean_after(const char *path, pid_t maker)
{
	autostr struct str text = STR_INIT;
	autoerr struct err none = ERR_INIT;

	if (fs_read(&text, path, JOURNAL_MAX, &none))
		return;
	for (char *line = text.buf, *end; line && (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		if (line[0] == '/')
			sweep(line, maker);
	}
	unlink(path);
}

static void clean(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *de;

	if (!d)
		return;
	while ((de = readdir(d))) {
		autofree char *path = NULL;
		uint64_t pid;

		if (!str_starts(de->d_name, PREFIX) || !str_to_u64(de->d_name + strlen(PREFIX), &pid) ||
		    pid > INT32_MAX || (pid_t)pid == getpid() || is_alive((pid_t)pid))
			continue;
		path = path_join(dir, de->d_name);
		clean_after(path, (pid_t)pid);
	}
	closedir(d);
}

void temps_open(const char *dir)
{
	if (journal.path)
		return;
	clean(dir);
	journal.path = xasprintf("%s/" PREFIX "%ld", dir, (long)getpid());
}

static void write_note(int dirfd)
{
	char link[64], path[4096];
	ssize_t n;

	if (journal.fd < 0)
		journal.fd = open(journal.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (journal.fd < 0)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0 || n >= (ssize_t)sizeof(path) - 1 || memchr(path, '\n', (size_t)n))
		return;
	path[n] = '\n';
	(void)!write(journal.fd, path, (size_t)n + 1);
}

void temps_note_fd(int dirfd)
{
	struct stat st;
	struct where w;

	if (!journal.path || fstat(dirfd, &st))
		return;
	w = (struct where){ st.st_dev, st.st_ino };
	pthread_mutex_lock(&journal.mu);
	if (binset_add(&journal.seen, &w))
		write_note(dirfd);
	pthread_mutex_unlock(&journal.mu);
}

void temps_note(const char *dir)
{
	autoclose int fd = journal.path ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0)
		temps_note_fd(fd);
}

void temps_close(void)
{
	if (!journal.path)
		return;
	if (journal.fd >= 0) {
		close(journal.fd);
		unlink(journal.path);
	}
	journal.fd = -1;
	free(take(journal.path));
	binset_release(&journal.seen);
}

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
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "git-data.temps."
#define JOURNAL_MAX (64u << 20)

struct where { uint64_t dev, ino; };

static struct {
	pthread_mutex_t mu;
	char *path;             /* of our journal; NULL: not opened */
	bool is_users;          /* it lies in the user's directory */
	int fd;                 /* -1 until the first note */
	atomic_bool keep;       /* a temporary could not be removed: the next process tries again */
	struct binset seen;     /* of struct where */
} journal = { .mu = PTHREAD_MUTEX_INITIALIZER, .fd = -1, .seen = BINSET_INIT(sizeof(struct where)) };

/* V1: only names of that maker. */
static void sweep(const char *dir, uint64_t maker)
{
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(dup(fd));
	struct dirent *de;
	struct stat st;

	if (!d)
		return;
	while ((de = readdir(d))) {
		autoerr struct err none = ERR_INIT;

		if (fs_temp_maker(de->d_name) == maker && !fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) || S_ISDIR(st.st_mode)))
			fs_rm_tree_at(fd, de->d_name, &none);
	}
	closedir(d);
}

static void clean_after(const char *path, uint64_t maker)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	autostr struct str text = STR_INIT;
	autoerr struct err none = ERR_INIT;

	/* V3. A process number would say nothing: the maker may have been in another container. */
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) || fs_read_fd(&text, fd, JOURNAL_MAX, path, &none))
		return;
	for (char *line = text.buf, *end; line && (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		if (line[0] == '/')
			sweep(line, maker);
	}
	unlink(path);
}

/* The maker of a journal, by its name "git-data.temps.<number>.<8 hexadecimal digits>"; 0: it is none. */
static uint64_t maker_of(const char *name)
{
	unsigned long pid;
	unsigned mark;
	int end = 0;

	if (sscanf(name, PREFIX "%lu.%8x%n", &pid, &mark, &end) != 2 || name[end] || pid > INT32_MAX)
		return 0;
	return (uint64_t)pid << 32 | mark;
}

static void clean(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *de;

	if (!d)
		return;
	while ((de = readdir(d))) {
		uint64_t maker = maker_of(de->d_name);
		autofree char *path = NULL;

		if (!maker || maker == fs_temp_self())
			continue;
		path = path_join(dir, de->d_name);
		clean_after(path, maker);
	}
	closedir(d);
}

void temps_open(const char *dir)
{
	uint64_t self = fs_temp_self();

	if (journal.path)
		return;
	clean(dir);
	journal.path = xasprintf("%s/" PREFIX "%lu.%08x", dir, (unsigned long)(self >> 32), (unsigned)(uint32_t)self);
}

/* Of this user on this machine: nobody else may write there, or what is listed could be anything. */
static void open_users(void)
{
	const char *base = getenv("TMPDIR");
	autofree char *dir = xasprintf("%s/git-data-%ld", base && *base == '/' ? base : "/tmp", (long)geteuid());
	struct stat st;

	if ((mkdir(dir, 0700) && errno != EEXIST) || lstat(dir, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 077))
		return;
	temps_open(dir);
	journal.is_users = true;
}

static void write_note(int dirfd)
{
	char link[64], path[4096];
	ssize_t n;

	if (journal.fd < 0)
		journal.fd = fs_create_locked(journal.path, 0600);
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

	if (fstat(dirfd, &st))
		return;
	w = (struct where){ st.st_dev, st.st_ino };
	pthread_mutex_lock(&journal.mu);
	if (!journal.path)
		open_users();
	if (journal.path && binset_add(&journal.seen, &w))
		write_note(dirfd);
	pthread_mutex_unlock(&journal.mu);
}

void temps_note(const char *dir)
{
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		temps_note_fd(fd);
}

char *temps_path(const char *dir)
{
	char name[32];

	temps_note(*dir ? dir : ".");
	fs_temp_scratch(name);
	return path_join(*dir ? dir : ".", name);
}

char *temps_tree(struct err *e)
{
	const char *const bases[] = { getenv("TMPDIR"), "/tmp", "/var/tmp" };

	for (size_t i = 0; i < ARRAY_LEN(bases); i++) {
		autofree char *path = bases[i] && *bases[i] == '/' ? temps_path(bases[i]) : NULL;

		if (path && !mkdir(path, 0700))
			return take(path);
	}
	err_sys(e, "cannot make a temporary directory");
	return NULL;
}

void temps_remove(int dirfd, const char *name)
{
	int saved = errno;

	if (unlinkat(dirfd, name, 0) && errno != ENOENT)
		atomic_store(&journal.keep, true);
	errno = saved;
}

void temps_close(void)
{
	if (!journal.path)
		return;
	if (journal.fd >= 0) {
		close(journal.fd);
		if (!atomic_load(&journal.keep))
			unlink(journal.path);
	}
	if (journal.is_users) {
		*strrchr(journal.path, '/') = '\0';
		rmdir(journal.path);    /* stays while others use it */
	}
	journal.is_users = false;
	journal.fd = -1;
	free(take(journal.path));
	binset_release(&journal.seen);
}

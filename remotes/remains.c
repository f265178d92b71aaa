#include "remotes/remains.h"

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
#include <time.h>
#include <unistd.h>

#define PREFIX "git-data.push."
#define JOURNAL_MAX (16u << 20)
#define DAY (24 * 60 * 60)
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

struct remains {
	pthread_mutex_t mu;
	char *dir, *path;       /* of the remote, of our journal */
	int fd;                 /* -1 until the first note, or when there can be none */
	bool tried;
	atomic_bool keep;
	struct map seen;
};

/* D2: what a journal of this kernel and file system begins with. */
static void write_host(struct str *out, int dirfd)
{
	autostr struct str boot = STR_INIT;
	autoerr struct err none = ERR_INIT;
	struct stat st;

	if (fstat(dirfd, &st) || fs_read(&boot, BOOT_ID, 256, &none))
		return;         /* like no other: time decides */
	while (boot.len && boot.buf[boot.len - 1] == '\n')
		boot.buf[--boot.len] = '\0';
	str_addf(out, "host %s %llu", str_cstr(&boot), (unsigned long long)st.st_dev);
}

/* ---- after the dead ---- */

struct grave { int rootfd; uint64_t maker; bool here, left; time_t now; };

/* "git-data.push.<number>.<8 hexadecimal digits>.<counter>"; 0: it is none. */
static uint64_t maker_of(const char *name)
{
	unsigned long pid;
	unsigned mark, n;
	int end = 0;

	if (sscanf(name, PREFIX "%lu.%8x.%u%n", &pid, &mark, &n, &end) != 3 || name[end] || pid > INT32_MAX)
		return 0;
	return (uint64_t)pid << 32 | mark;
}

static bool is_young(const struct grave *g, const struct stat *st, time_t age)
{
	return g->now - st->st_mtime < age;
}

static void sweep(struct grave *g, const char *rel)
{
	autoerr struct err none = ERR_INIT;
	autoclose int fd = fs_open_beneath(g->rootfd, rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, &none);
	autodir DIR *d = fd < 0 ? NULL : fdopendir(dup(fd));
	struct dirent *de;
	struct stat st;

	while (d && fs_next_entry(d, &de, rel, &none) > 0) {
		if (fs_temp_maker(de->d_name) != g->maker || fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
			continue;
		if ((!g->here && is_young(g, &st, DAY)) || (unlinkat(fd, de->d_name, 0) && errno != ENOENT))
			g->left = true;
	}
}

/* Who goes on with a part holds its lock, and gives it up when the name is another file's (local.c P1). */
static void sweep_part(struct grave *g, const char *rel)
{
	autoerr struct err none = ERR_INIT;
	autoclose int fd = fs_is_temp_name(path_base(rel)) ?
			   fs_open_beneath(g->rootfd, rel, O_RDWR | O_CLOEXEC | O_NONBLOCK, 0, &none) : -1;
	struct stat st, named;

	if (fd < 0) {
		g->left |= none.code == ERR_PERM;
		return;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) || fstat(fd, &st) || is_young(g, &st, 7 * DAY)) {
		g->left = true;
		return;
	}
	if (S_ISREG(st.st_mode) && st.st_nlink == 1 && !fstatat(g->rootfd, rel, &named, AT_SYMLINK_NOFOLLOW) &&
	    named.st_ino == st.st_ino && named.st_dev == st.st_dev && unlinkat(g->rootfd, rel, 0))
		g->left = true;
}

static void clean_after(struct grave *g, const char *name, const char *host)
{
	autoclose int fd = openat(g->rootfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	autostr struct str text = STR_INIT;
	autoerr struct err none = ERR_INIT;
	struct stat st;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) || fstat(fd, &st) || !S_ISREG(st.st_mode) ||
	    fs_read_fd(&text, fd, JOURNAL_MAX, name, &none))
		return;
	g->here = *host && str_starts(str_cstr(&text), host) && text.buf[strlen(host)] == '\n';
	g->left = false;
	if (!g->here && is_young(g, &st, DAY))
		return;
	for (char *line = text.buf, *end; line && (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		if (str_starts(line, "dir "))
			sweep(g, line + 4);
		else if (str_starts(line, "part "))
			sweep_part(g, line + 5);
	}
	if (!g->left)
		unlinkat(g->rootfd, name, 0);
}

static void clean(const char *dir)
{
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = fd < 0 ? NULL : fdopendir(dup(fd));
	struct grave g = { .rootfd = fd, .now = time(NULL) };
	autostr struct str host = STR_INIT;
	autoerr struct err none = ERR_INIT;
	struct dirent *de;

	if (!d)
		return;
	write_host(&host, fd);
	while (fs_next_entry(d, &de, dir, &none) > 0) {
		g.maker = maker_of(de->d_name);
		if (g.maker && g.maker != fs_temp_self())
			clean_after(&g, de->d_name, str_cstr(&host));
	}
}

struct remains *remains_open(const char *dir)
{
	static atomic_uint count;
	struct remains *r = xcalloc(1, sizeof(*r));
	uint64_t self = fs_temp_self();

	clean(dir);
	r->dir = xstrdup(dir);
	r->path = xasprintf("%s/" PREFIX "%lu.%08x.%u", dir, (unsigned long)(self >> 32), (unsigned)(uint32_t)self,
			    atomic_fetch_add(&count, 1));
	r->fd = -1;
	pthread_mutex_init(&r->mu, NULL);
	return r;
}

/* ---- our own journal ---- */

/* False: the remote's directory has to be made first. */
static bool begin(struct remains *r)
{
	autoclose int dirfd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autostr struct str host = STR_INIT;

	if (dirfd < 0 && errno == ENOENT)
		return false;
	r->tried = true;
	r->fd = dirfd < 0 ? -1 : fs_create_locked(r->path, 0666);
	if (r->fd < 0)
		return true;
	write_host(&host, dirfd);
	str_addf(&host, "\n");
	fs_write_all(r->fd, host.buf, host.len);
	return true;
}

static bool note(struct remains *r, const char *what, const char *rel)
{
	autofree char *line = strchr(rel, '\n') ? NULL : xasprintf("%s %s\n", what, rel);
	bool ready = true;

	pthread_mutex_lock(&r->mu);
	if (line && !map_has(&r->seen, line)) {
		ready = r->tried || begin(r);
		if (ready)
			map_put(&r->seen, line, r);
		if (r->fd >= 0)
			fs_write_all(r->fd, line, strlen(line));
	}
	pthread_mutex_unlock(&r->mu);
	return ready;
}

bool remains_note(struct remains *r, const char *rel)
{
	return note(r, "dir", rel);
}

void remains_note_part(struct remains *r, const char *rel)
{
	note(r, "part", rel);
}

void remains_keep(struct remains *r)
{
	atomic_store(&r->keep, true);
}

void remains_close(struct remains *r)
{
	if (!r)
		return;
	if (r->fd >= 0) {
		if (!atomic_load(&r->keep))
			unlink(r->path);
		close(r->fd);
	}
	pthread_mutex_destroy(&r->mu);
	map_release(&r->seen, NULL);
	free(r->dir);
	free(r->path);
	free(r);
}

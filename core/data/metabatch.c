#include "core/data/metabatch.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/base/proc.h"
#include "core/base/str.h"
#include "core/base/temps.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define FLUSHERS 32

void metabatch_release(struct metabatch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		if (b->v[i].tmp)
			unlink(b->v[i].tmp);
		free(b->v[i].tmp);
		free(b->v[i].path);
	}
	free(b->v);
	*b = (struct metabatch)METABATCH_INIT;
}

int metabatch_add(struct metabatch *b, const char *path, const void *p, size_t n, struct err *e)
{
	autofree char *real = fs_is_link(path) ? realpath(path, NULL) : NULL, *dir = NULL, *tmp = NULL;
	const char *to = real ? real : path;
	autoclose int fd = -1;
	char name[32];
	struct stat st;

	dir = path_dir(to);
	temps_note(*dir ? dir : ".");
	fs_temp_scratch(name);
	tmp = path_join(*dir ? dir : ".", name);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return err_sys(e, "cannot write '%s'", path);
	if ((!stat(to, &st) && fchmod(fd, st.st_mode & 07777)) || fs_write_all(fd, p, n)) {
		err_sys(e, "cannot write '%s'", path);
		unlink(tmp);
		return -1;
	}
	GROW(b->v, b->n, b->cap);
	b->v[b->n++] = (struct metabatch_entry){ xstrdup(to), take(tmp) };
	return 0;
}

static int sync_one(const char *path, int flags, struct err *e)
{
	autoclose int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0 || (fsync(fd) && errno != EINVAL))
		return err_sys(e, "cannot sync '%s'", path);
	return 0;
}

static int sync_files(void *data, size_t from, size_t to, unsigned worker, struct err *e)
{
	struct metabatch *b = data;

	(void)worker;
	for (; from < to; from++)
		if (sync_one(b->v[from].tmp, O_RDONLY, e))
			return -1;
	return 0;
}

static int sync_dirs(void *data, size_t from, size_t to, unsigned worker, struct err *e)
{
	struct strvec *dirs = data;

	(void)worker;
	for (; from < to; from++)
		if (sync_one(dirs->v[from], O_RDONLY | O_DIRECTORY, e))
			return -1;
	return 0;
}

static int rename_all(struct metabatch *b, struct strvec *dirs, struct err *e)
{
	for (size_t i = 0; i < b->n; i++) {
		autofree char *dir = path_dir(b->v[i].path);

		if (rename(b->v[i].tmp, b->v[i].path))
			return err_sys(e, "cannot write '%s'", b->v[i].path);
		free(take(b->v[i].tmp));
		strvec_push(dirs, *dir ? dir : ".");
	}
	strvec_sort(dirs);
	strvec_uniq(dirs);
	return 0;
}

int metabatch_commit(struct metabatch *b, struct err *e)
{
	autostrvec struct strvec dirs = STRVEC_INIT;
	struct pool *p;
	int rc;

	if (!b->n)
		return 0;
	p = pool_new(b->n < FLUSHERS ? (unsigned)b->n : FLUSHERS);
	rc = pool_for(p, b->n, 1, sync_files, b, e);
	proc_fault("batch.synced");
	if (!rc)
		rc = rename_all(b, &dirs, e);
	proc_fault("batch.renamed");
	if (!rc)
		rc = pool_for(p, dirs.n, 1, sync_dirs, &dirs, e);
	pool_free(p);
	metabatch_release(b);
	return rc;
}

/* Large files: hashed while they are copied, many at once. */
#include "core/cache/ingest_own.h"

#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/base/proc.h"
#include "core/cache/store.h"

#include <errno.h>
#include <unistd.h>

#define BLOCK (1u << 20)

/* Reads fd to its end, hashing, and writing to 'to' unless that is -1. */
static int copy_hash(struct run *r, const struct walk_file *f, int fd, int to, unsigned char out[16], struct err *e)
{
	autofree unsigned char *buf = xmalloc(BLOCK);
	struct md5 m;
	ssize_t n;

	md5_init(&m);
	while ((n = read(fd, buf, BLOCK))) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "cannot read '%s/%s'", r->root, f->path);
		md5_update(&m, buf, (size_t)n);
		if (to >= 0 && fs_write_all(to, buf, (size_t)n))
			return err_sys(e, "cannot write to the cache '%s'", store_dir(r->in->store));
		if (proc_check(e))
			return -1;
	}
	md5_final(&m, out);
	return 0;
}

/* The bytes stored are the raw ones; the 2.x digest is taken of the copy that was made (I1). */
static int digest(struct run *r, struct walk_file *f, int fd, int to, struct err *e)
{
	if (!r->in->legacy)
		return copy_hash(r, f, fd, to, f->id.md5, e);
	if (to < 0)
		return legacy_md5(fd, f->id.md5, e);
	if (copy_hash(r, f, fd, to, f->id.md5, e))
		return -1;
	if (lseek(to, 0, SEEK_SET) < 0)
		return err_sys(e, "cannot read back from the cache '%s'", store_dir(r->in->store));
	return legacy_md5(to, f->id.md5, e);
}

static int one(struct run *r, struct walk_file *f, struct err *e)
{
	autofree char *tmp = NULL;
	autoclose int fd = ingest_open(r, f, e), to = -1;
	int rc;

	if (fd < 0 || ingest_restat(r, f, fd, e))
		return -1;
	if (r->import && store_temp(r->in->store, NULL, &to, &tmp, e))
		return -1;
	if (digest(r, f, fd, to, e))
		goto undo;
	f->id.is_dir = 0;
	rc = ingest_settled(r, f, fd, e);
	if (rc != 1) {
		if (!rc)
			ingest_changed(r, f->path, e);
		goto undo;
	}
	if (r->import && store_publish(r->in->store, &f->id, to, tmp, e))
		goto undo;
	ingest_count(r, f, r->import);
	return 0;
undo:
	if (tmp)
		store_drop(r->in->store, tmp);
	return -1;
}

static int some(void *data, size_t from, size_t to, unsigned worker, struct err *e)
{
	struct run *r = data;

	(void)worker;
	for (size_t i = from; i < to; i++)
		if (one(r, &r->w->f[r->large[i]], e))
			return -1;
	return 0;
}

int ingest_streams(struct run *r, struct err *e)
{
	return pool_for(r->in->pool, r->nlarge, 1, some, r, e);
}

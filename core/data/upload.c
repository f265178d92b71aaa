#include "core/data/upload.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/progress.h"
#include "core/base/str.h"
#include "core/base/temps.h"
#include "core/cache/tree.h"
#include "core/data/project.h"
#include "core/data/remote.h"
#include "core/data/source.h"
#include "core/data/track_own.h"
#include "core/repo/repo.h"

#include <fcntl.h>
#include <unistd.h>

struct sending {
	struct progress pg;
	struct remote *remote;
	struct inflight ops;
};
struct put {
	struct rop op;
	struct sending *all;
	char *path, key[OID_KEY_MAX];
	struct stat st;
};

static void put_free(struct put *u)
{
	if (u->op.fd >= 0)
		close(u->op.fd);
	err_release(&u->op.err);
	free(u->path);
	free(u);
}

static void put_done(struct rop *op, enum rclass c)
{
	struct put *u = op->user;
	struct sending *all = u->all;
	struct stat now;

	all->ops.n--;
	progress_add(&all->pg, 1, op->size);
	if (c == RC_OK && (fstat(op->fd, &now) || now.st_size != u->st.st_size
			   || now.st_mtim.tv_sec != u->st.st_mtim.tv_sec || now.st_mtim.tv_nsec != u->st.st_mtim.tv_nsec)) {
		err_set(&op->err, ERR_CHANGED, "'%s' changed while it was sent", u->path);
		c = RC_FATAL;
	}
	if (c != RC_OK && c != RC_EXISTS && !all->ops.err.code) {
		if (op->err.code)
			err_copy(&all->ops.err, &op->err);
		else
			err_set(&all->ops.err, ERR_FAIL, "the remote refused '%s'", u->key);
		err_in(&all->ops.err, "cannot upload '%s'", u->path);
	}
	put_free(u);
}

static int open_same(struct put *u, const struct walk_file *f, struct err *e)
{
	u->op.fd = open(u->path, O_RDONLY | O_CLOEXEC);
	if (u->op.fd < 0 || fstat(u->op.fd, &u->st))
		return err_sys(e, "cannot open '%s'", u->path);
	if ((uint64_t)u->st.st_size != f->size || (uint64_t)u->st.st_ino != f->ino
	    || u->st.st_mtim.tv_sec * 1000000000ll + u->st.st_mtim.tv_nsec != f->mtime_ns)
		return err_set(e, ERR_CHANGED, "'%s' changed while it was read", u->path);
	return 0;
}

static int send_file(struct sending *all, const char *root, const struct walk_file *f, struct err *e)
{
	struct put *u = xcalloc(1, sizeof(*u));

	u->all = all;
	u->path = *f->path ? path_join(root, f->path) : xstrdup(root);
	oid_key(u->key, &f->id, false);
	u->op = (struct rop){ .kind = ROP_PUT, .key = u->key, .fd = -1, .size = f->size, .done = put_done, .user = u,
			      .flags = ROP_HAS_MD5 | ROP_IF_ABSENT | ROP_OBJECT };
	memcpy(u->op.md5, f->id.md5, 16);
	if (!open_same(u, f, e) && !inflight_submit(all->remote, &all->ops, &u->op, e))
		return 0;
	put_free(u);
	return -1;
}

static int send_manifest(struct remote *r, const struct content *c, struct err *e)
{
	autostr struct str text = STR_INIT;
	char key[OID_KEY_MAX];
	struct rop op = { .kind = ROP_PUT, .fd = -1, .flags = ROP_HAS_MD5 | ROP_IF_ABSENT | ROP_OBJECT };
	enum rclass rc;

	tree_dump(&text, c->tree);
	oid_key(key, &c->id, false);
	op.key = key;
	op.mem = str_cstr(&text);
	op.size = text.len;
	memcpy(op.md5, c->id.md5, 16);
	rc = remote_do(r, &op, e);
	err_release(&op.err);
	return rc == RC_OK || rc == RC_EXISTS ? 0 : err_in(e, "cannot upload the manifest of a directory");
}

static int send_all(struct remote *r, const char *root, const struct content *c, struct err *e)
{
	struct sending all = { .remote = r };
	struct binset seen = BINSET_INIT(sizeof(struct oid));
	int rc = 0;

	progress_begin(&all.pg, "pushing", c->w.n, c->w.bytes);
	for (size_t i = 0; i < c->w.n && !rc && !all.ops.err.code; i++)
		if (binset_add(&seen, &c->w.f[i].id))
			rc = send_file(&all, root, &c->w.f[i], e);
	binset_release(&seen);
	rc = inflight_finish(r, &all.ops, rc, e);
	progress_end(&all.pg);
	if (rc)
		return -1;
	return c->tree ? send_manifest(r, c, e) : 0;
}

/* What a server has comes to a temporary first: its digest is needed before its name is known. */
static int fetched(struct project *p, struct source *s, char **tmp, struct err *e)
{
	if (s->abs)
		return 0;
	if (repo_tmp(p->repo, e))
		return -1;
	*tmp = temps_path(p->repo->tmp_dir);
	return source_fetch(s, *tmp, p->repo->tmp_dir, e);
}

int upload_source(struct project *p, struct source *s, const char *remote, unsigned jobs, struct item *out,
		  struct err *e)
{
	autocall(content_release) struct content c = CONTENT_INIT;
	autoerr struct err none = ERR_INIT;
	autofree char *tmp = NULL;
	struct remote *r = NULL;
	const char *root;
	int rc;

	if (remote_open_named(&r, p->repo, remote, jobs, e))
		return -1;
	rc = fetched(p, s, &tmp, e);
	root = tmp ? tmp : s->abs;
	if (!rc)
		rc = content_read(p, root, NULL, false, false, &c, e);
	if (!rc)
		rc = send_all(r, root, &c, e);
	remote_close(r);
	if (tmp)
		fs_rm_tree(tmp, &none);
	if (rc)
		return -1;
	c.meta.isexec = false;          /* DVC's upload knows sizes only */
	track_set(out, &c, false);
	return 0;
}

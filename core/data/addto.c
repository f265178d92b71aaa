/*
 * Content from elsewhere: add -o, and what imports need.
 */
#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/base/progress.h"
#include "core/base/temps.h"
#include "core/cache/tree.h"
#include "core/data/add_own.h"
#include "core/data/checkout.h"
#include "core/data/links.h"
#include "core/data/project.h"
#include "core/data/remote.h"
#include "core/data/source.h"
#include "core/data/track_own.h"
#include "core/data/upload.h"
#include "core/data/versioned.h"
#include "core/repo/repo.h"
#include "core/stage/pointer.h"

char *place_output(const char *source, const char *out, bool force, struct err *e)
{
	const char *path = source;
	autofree char *bare = NULL, *norm = NULL, *ret = NULL;

	if (path_is_url(source)) {
		path = strstr(source, "://") + 3;
		path += strcspn(path, "/");
	}
	bare = xstrndup(path, strcspn(path, "?#"));     /* DVC takes paths for URLs here, too */
	norm = path_norm(bare);
	if (!out)
		ret = xstrdup(path_base(norm));
	else
		ret = fs_is_dir(out) ? path_join(out, path_base(norm)) : xstrdup(out);
	if (!force && fs_exists(ret)) {
		place_taken(ret, e);
		return NULL;
	}
	return take(ret);
}

int place_taken(const char *path, struct err *e)
{
	return err_set(e, ERR_EXISTS, "The %s '%s' already exists locally. \nTo override it, re-run with '--force'.",
		       fs_is_dir(path) ? "directory" : "file", path);
}

/* A missing source is told as it was typed, below the current directory. */
static int fail_missing(const char *source, struct err *e)
{
	autofree char *cwd = path_abs("."), *full = path_is_url(source) || *source == '/' ? NULL : path_join(cwd, source);

	const char *shown = full ? full : source;
	size_t n = strlen(shown);

	return err_set(e, ERR_NOTFOUND, "[Errno 2] No such file or directory: '%.*s'",
		       (int)(n > 1 && shown[n - 1] == '/' ? n - 1 : n), shown);
}

/* Files outside are never linked into the cache: they are not ours to protect. */
int transfer_to_cache(struct project *p, const char *source, struct item *out, struct err *e)
{
	static const enum link_kind copies[] = { LINK_REFLINK, LINK_COPY };
	autocall(content_release) struct content c = CONTENT_INIT;
	autofree char *abs = path_abs(source);

	if (!fs_exists(abs))
		return fail_missing(source, e);
	if (str_ends(source, "/") && !fs_is_dir(abs)) {
		err_set(e, ERR_FAIL, "unexpected error - [Errno 20] Not a directory: '%s'", source);
		e->exit_status = 255;
		return -1;
	}
	if (content_read_as(p, abs, NULL, false, true, copies, ARRAY_LEN(copies), &c, e))
		return -1;
	if (c.tree && content_store_tree(p, false, c.tree, e))
		return -1;
	track_set(out, &c, false);
	return 0;
}

static int send_to_remote(struct project *p, const char *source, struct item *out, const struct add_opts *o, struct err *e)
{
	struct remote *r = NULL;
	struct source *s;
	int rc = remote_open_named(&r, p->repo, o->remote, o->jobs, e);

	remote_close(r);
	if (rc || versioned_refuse(p, o->remote, "add", e) || source_open(&s, p->repo->config, source, NULL, NULL, o->jobs, e))
		return -1;
	rc = source_look(s, e);
	if (!rc && !s->present)
		rc = fail_missing(source, e);
	if (!rc)
		rc = upload_source(p, s, o->remote, o->jobs, out, e);
	source_close(s);
	return rc ? rc : pointer_save(p->repo, out->stage, e);
}

/* What a server has passes through a temporary of ours. */
static int url_to_cache(struct project *p, const char *url, struct item *out, unsigned jobs, struct err *e)
{
	autoerr struct err none = ERR_INIT;
	autofree char *tmp = NULL;
	struct source *s;
	int rc;

	if (source_open(&s, p->repo->config, url, NULL, NULL, jobs, e))
		return -1;
	rc = repo_tmp(p->repo, e);
	if (!rc) {
		tmp = temps_path(p->repo->tmp_dir);
		rc = source_fetch(s, tmp, p->repo->tmp_dir, e);
	}
	source_close(s);
	if (!rc)
		rc = transfer_to_cache(p, tmp, out, e);
	if (tmp)
		fs_rm_tree(tmp, &none);
	return rc;
}

int transfer_add(struct project *p, const char *source, struct item *out, const struct add_opts *o, struct err *e)
{
	struct checkout_result r = { 0 };
	struct checkout_opts co = { .force = o->force, .one_by_one = true };
	int rc;

	if (o->to_remote)
		return send_to_remote(p, source, out, o, e);
	rc = path_is_url(source) ? url_to_cache(p, source, out, o->jobs, e) : transfer_to_cache(p, source, out, e);
	out->meta.isexec = false;       /* what is transferred has no modes */
	if (rc || track_check_git(p, out, e))
		return -1;
	rc = checkout_out(p, out, NULL, &co, &r, e);
	if (!rc && r.failed.n)
		rc = checkout_error(p, &r, e);
	checkout_result_release(&r);
	if (rc || pointer_save(p->repo, out->stage, e) || track_ignore(p, out, e))
		return -1;
	links_save(p, out->path);
	return 0;
}

/*
 * Content from elsewhere: add -o, and what imports need.
 */
#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/base/progress.h"
#include "core/cache/tree.h"
#include "core/data/add_own.h"
#include "core/data/checkout.h"
#include "core/data/links.h"
#include "core/data/project.h"
#include "core/data/track_own.h"
#include "core/repo/repo.h"
#include "core/stage/pointer.h"

char *place_output(const char *source, const char *out, bool force, struct err *e)
{
	const char *path = source;
	autofree char *norm = NULL, *ret = NULL;

	if (path_is_url(source)) {
		path = strstr(source, "://") + 3;
		path += strcspn(path, "/");
	}
	norm = path_norm(path);
	if (!out)
		ret = xstrdup(path_base(norm));
	else
		ret = fs_is_dir(out) ? path_join(out, path_base(norm)) : xstrdup(out);
	if (!force && fs_exists(ret)) {
		err_set(e, ERR_EXISTS, "The %s '%s' already exists locally. \nTo override it, re-run with '--force'.",
			fs_is_dir(ret) ? "directory" : "file", ret);
		return NULL;
	}
	return take(ret);
}

/* Files outside are never linked into the cache: they are not ours to protect. */
int transfer_to_cache(struct project *p, const char *source, struct item *out, struct err *e)
{
	static const enum link_kind copies[] = { LINK_REFLINK, LINK_COPY };
	autocall(content_release) struct content c = CONTENT_INIT;
	autofree char *abs = path_abs(source);

	if (content_read_as(p, abs, NULL, false, true, copies, ARRAY_LEN(copies), &c, e))
		return -1;
	if (c.tree && content_store_tree(p, false, c.tree, e))
		return -1;
	track_set(out, &c, false);
	return 0;
}

int transfer_add(struct project *p, const char *source, struct item *out, const struct add_opts *o, struct err *e)
{
	struct checkout_result r = { 0 };
	struct checkout_opts co = { .force = o->force };
	int rc;

	if (o->to_remote || path_is_url(source))
		return err_set(e, ERR_UNSUPPORTED, "'%s': only local paths can be added so far", source);
	if (transfer_to_cache(p, source, out, e) || track_check_git(p, out, e))
		return -1;
	rc = checkout_out(p, out, NULL, &co, &r, e);
	checkout_result_release(&r);
	if (rc || pointer_save(p->repo, out->stage, e) || track_ignore(p, out, e))
		return -1;
	links_save(p, out->path);
	return 0;
}

#include "core/data/project.h"

#include "core/base/err.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/base/progress.h"
#include "core/cache/ingest.h"
#include "core/cache/state.h"
#include "core/cache/store.h"
#include "core/repo/config.h"
#include "core/repo/repo.h"
#include "core/repo/srctree.h"
#include "core/stage/index.h"

struct project *project_new(struct repo *r)
{
	struct project *p = xcalloc(1, sizeof(*p));

	p->repo = r;
	return p;
}

void project_index_drop(struct project *p)
{
	index_free(p->index_);
	p->index_ = NULL;
}

void project_free(struct project *p)
{
	if (!p)
		return;
	project_index_drop(p);
	strvec_release(&p->ignored);
	strvec_release(&p->unlinked);
	if (p->workspace_)
		srctree_close(p->workspace_);
	store_close(p->cache_);
	store_close(p->legacy_);
	state_close(p->state_);
	if (p->pool_)
		pool_free(p->pool_);
	free(p);
}

char *project_cache_dir(struct project *p)
{
	char *dir = config_path(p->repo->config, "cache", "dir");

	return dir ? dir : path_join(p->repo->dvc_dir, "cache");
}

static enum store_fsync fsync_mode(const struct repo *r)
{
	const char *v = config_own(r->config, "core.fsync");

	if (v && !strcmp(v, "batch"))
		return STORE_FSYNC_BATCH;
	return v && !strcmp(v, "object") ? STORE_FSYNC_OBJECT : STORE_FSYNC_DEFERRED;
}

int project_cache(struct project *p, bool legacy, struct store **out, struct err *e)
{
	struct store **at = legacy ? &p->legacy_ : &p->cache_;

	if (!*at) {
		autofree char *dir = project_cache_dir(p), *site = repo_site_cache_dir(p->repo), *unsynced = NULL;
		const char *shared = config_get(p->repo->config, "cache", "shared");
		struct store_conf c = { dir, legacy, shared && !strcmp(shared, "group"), fsync_mode(p->repo), NULL };

		if (site)
			unsynced = path_join(site, legacy ? "unsynced-legacy" : "unsynced");
		c.unsynced_file = unsynced;
		if (store_open(at, &c, e))
			return -1;
	}
	*out = *at;
	return 0;
}

int project_store_of(struct project *p, const struct item *out_item, struct store **out, struct err *e)
{
	return project_cache(p, item_is_legacy(out_item), out, e);
}

struct state *project_state(struct project *p)
{
	autoerr struct err why = ERR_INIT;
	autofree char *dir = NULL;

	if (p->state_ || p->state_failed)
		return p->state_;
	dir = repo_site_cache_dir(p->repo);
	if (dir && !state_open(&p->state_, dir, p->repo->root, &why))
		return p->state_;
	p->state_failed = true;
	if (why.msg)
		notice(NOTICE_WARN, "going on without the memory of known files: %s", why.msg);
	return NULL;
}

struct pool *project_pool(struct project *p)
{
	if (!p->pool_)
		p->pool_ = pool_new((unsigned)config_int(p->repo->config, "core", "checksum_jobs", 0));
	return p->pool_;
}

int project_workspace(struct project *p, struct srctree **out, struct err *e)
{
	if (!p->workspace_ && srctree_workspace(&p->workspace_, p->repo, e))
		return -1;
	*out = p->workspace_;
	return 0;
}

int project_index_some(struct project *p, struct index **out, struct err *e)
{
	struct srctree *t;

	if (!p->index_) {
		if (project_workspace(p, &t, e))
			return -1;
		p->index_ = index_new(p->repo, t);
	}
	*out = p->index_;
	return 0;
}

int project_index(struct project *p, struct index **out, struct err *e)
{
	if (project_index_some(p, out, e))
		return -1;
	return index_load_rest(*out, 0, e);
}

static void read_types(struct project *p)
{
	autostrvec struct strvec names = STRVEC_INIT;

	config_list(p->repo->config, "cache", "type", &names);
	for (size_t i = 0; i < names.n; i++)
		for (enum link_kind k = LINK_REFLINK; k <= LINK_COPY; k++)
			if (!strcmp(names.v[i], link_kind_name(k)) && p->ntypes < 4)
				p->types[p->ntypes++] = k;
	if (!p->ntypes) {
		p->types[p->ntypes++] = LINK_REFLINK;
		p->types[p->ntypes++] = LINK_COPY;
	}
	p->types_read = true;
}

void project_types(struct project *p, const enum link_kind **types, size_t *n)
{
	if (!p->types_read)
		read_types(p);
	*types = p->types;
	*n = p->ntypes;
}

int project_ingest(struct project *p, bool legacy, struct ingest *out, struct err *e)
{
	*out = (struct ingest){ .legacy = legacy };
	if (project_cache(p, legacy, &out->store, e))
		return -1;
	project_types(p, &out->types, &out->ntypes);
	out->state = project_state(p);
	out->pool = project_pool(p);
	out->progress = progress_current();
	return 0;
}

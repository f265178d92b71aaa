#include "core/data/project.h"

#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/base/progress.h"
#include "core/base/fs.h"
#include "core/base/temps.h"
#include "core/cache/ingest.h"
#include "core/cache/state.h"
#include "core/cache/store.h"
#include "core/repo/config.h"
#include "core/repo/configobj.h"
#include "core/repo/repo.h"
#include "core/repo/srctree.h"
#include "core/stage/datasets.h"
#include "core/stage/index.h"
#include "core/stage/stage.h"

#include <ctype.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECKSUM_JOBS_MAX 256

#define CONFIG_MAX (4u << 20)

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

int project_datasets(struct project *p, const struct node **out, struct err *e)
{
	struct srctree *t;

	if (!p->datasets_ && (project_workspace(p, &t, e) || datasets_collect(p->repo, t, &p->datasets_, e)))
		return -1;
	*out = p->datasets_;
	return 0;
}

void project_free(struct project *p)
{
	if (!p)
		return;
	project_index_drop(p);
	node_free(p->datasets_);
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

static int write_run(const char *path, const void *text, size_t n, mode_t mode, struct err *e)
{
	autofree char *dir = path_dir(path), *tmp = temps_path(dir);
	autoclose int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);

	if (fd < 0)
		return err_sys(e, "cannot create '%s'", tmp);
	if (!fs_write_all(fd, text, n) && (mode == 0666 || !fchmod(fd, mode)) && !rename(tmp, path))
		return 0;
	err_sys(e, "cannot write '%s'", path);
	unlink(tmp);
	return -1;
}

int project_write_run(struct project *p, const char *path, const void *text, size_t n, struct err *e)
{
	const char *shared = config_get(p->repo->config, "cache", "shared");
	bool group = shared && !strcmp(shared, "group");
	enum store_fsync how = fsync_mode(p->repo);
	autofree char *dir = path_dir(path);
	struct store *s;

	if (fs_mkdirs(dir, group ? 02775 : 0777, e))
		return -1;
	if (how == STORE_FSYNC_OBJECT)
		return fs_replace(path, text, n, group ? 0664 : 0, e);
	if (how == STORE_FSYNC_BATCH && (project_cache(p, false, &s, e) || store_writing(s, e)))
		return -1;
	return write_run(path, text, n, group ? 0664 : 0666, e);
}

int project_flush(struct project *p, struct err *e)
{
	return (p->cache_ && store_flush(p->cache_, e)) || (p->legacy_ && store_flush(p->legacy_, e)) ? -1 : 0;
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
	int64_t jobs = p->pool_ ? 0 : config_int(p->repo->config, "core", "checksum_jobs", 0);

	if (!p->pool_)
		p->pool_ = pool_new(jobs < 0 ? 0 : jobs > CHECKSUM_JOBS_MAX ? CHECKSUM_JOBS_MAX : (unsigned)jobs);
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

static bool has_remote(const struct config *c, const struct cobj *also, const char *name)
{
	autofree char *section = xasprintf("remote \"%s\"", name);

	str_lower(&section);
	return config_has_remote(c, name) || (also && cobj_section(also, section));
}

int project_remotes_known(struct project *p, const struct index *x, struct srctree *tree, enum remotes_of of, struct err *e)
{
	const struct config *c = p->repo->config;
	const char *fallback = of != REMOTES_ALL ? NULL : config_get(c, "core", "remote"), *local;
	autocall(cobj_release) struct cobj own = { 0 };
	autostr struct str text = STR_INIT;
	autoerr struct err none = ERR_INIT;

	if (tree && of == REMOTES_ALL) {
		local = config_get_at(c, CONFIG_LOCAL, "core", "remote");
		fallback = local;
		if (!srctree_read(tree, ".dvc/config", CONFIG_MAX, &text, &none)
		    && !cobj_parse(&own, str_cstr(&text), text.len, &none) && !local) {
			const struct cobj_opt *o = cobj_option(cobj_section(&own, "core"), "remote");

			fallback = o && o->v.n ? o->v.v[0] : NULL;
		}
	}
	for (size_t i = 0; i < x->n; i++)
		for (size_t k = 0; k < x->v[i]->nouts; k++) {
			const struct item *o = x->v[i]->outs[k];
			const char *name = of == REMOTES_OWN_RECORDED && !o->hash.value ? NULL :
				o->remote ? o->remote : fallback;

			if (o->cache && name && !has_remote(c, tree ? &own : NULL, name))
				return err_set(e, ERR_CONFIG, "config file error: remote '%s' doesn't exist", name);
		}
	return 0;
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

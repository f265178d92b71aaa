#include "core/data/migrate.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/pool.h"
#include "core/base/proc.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"
#include "core/data/project.h"
#include "core/data/track.h"
#include "core/repo/repo.h"
#include "core/stage/index.h"
#include "core/stage/lock.h"
#include "core/stage/pointer.h"
#include "core/stage/stage.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#define READ_SIZE (1u << 17)

struct move {
	struct store *from, *to;
	struct oid *v;
	size_t n, cap;
	_Atomic size_t made;
};

/* --- objects ------------------------------------------------------------------------------------------------------- */

static int collect(const struct oid *id, uint64_t size, int64_t mtime, void *data, struct err *e)
{
	struct move *m = data;

	(void)size;
	(void)mtime;
	(void)e;
	GROW(m->v, m->n, m->cap);
	m->v[m->n++] = *id;
	return 0;
}

static int raw_md5(int fd, struct oid *out, const char *path, struct err *e)
{
	autofree unsigned char *buf = xmalloc(READ_SIZE);
	struct md5 m;
	ssize_t n;

	md5_init(&m);
	while ((n = read(fd, buf, READ_SIZE)) > 0)
		md5_update(&m, buf, (size_t)n);
	if (n < 0)
		return err_sys(e, "cannot read '%s'", path);
	md5_final(&m, out->md5);
	return 0;
}

static int copy_object(struct store *to, const struct oid *id, int fd, struct err *e)
{
	autofree unsigned char *buf = xmalloc(READ_SIZE);
	autofree char *tmp = NULL;
	autoclose int out = -1;
	ssize_t n;

	if (lseek(fd, 0, SEEK_SET) < 0 || store_temp(to, &out, &tmp, e))
		return -1;
	while ((n = read(fd, buf, READ_SIZE)) > 0)
		if (fs_write_all(out, buf, (size_t)n)) {
			n = -1;
			break;
		}
	if (n < 0) {
		err_sys(e, "cannot copy an object of the old cache");
		store_drop(to, tmp);
		return -1;
	}
	return store_publish(to, id, out, tmp, e);
}

/* V1. 1: it got its new name, 0: it had one. */
static int name_anew(struct store *to, const struct oid *id, int fd, struct err *e)
{
	int rc = store_has(to, id, NULL, e);

	if (rc)
		return rc < 0 ? -1 : 0;
	rc = store_link_fd(to, fd, id, e);
	return rc ? rc : copy_object(to, id, fd, e) ? -1 : 1;
}

/* The new name of a legacy object; a manifest keeps its bytes and so its name. */
static int migrate_one(struct move *m, const struct oid *old, struct oid *id, bool *made, struct err *e)
{
	autofree char *path = store_path(m->from, old);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int rc;

	*made = false;
	id->is_dir = old->is_dir;
	if (fd < 0)
		return err_sys(e, "cannot open '%s'", path);
	if (raw_md5(fd, id, path, e))
		return -1;
	rc = name_anew(m->to, id, fd, e);
	*made = rc > 0;
	return rc < 0 ? -1 : 0;
}

static int migrate_range(void *data, size_t from, size_t to, unsigned worker, struct err *e)
{
	struct move *m = data;
	struct oid id;
	bool made;

	(void)worker;
	for (size_t i = from; i < to; i++) {
		if (proc_check(e) || migrate_one(m, &m->v[i], &id, &made, e))
			return -1;
		m->made += made;
	}
	return 0;
}

int migrate_cache(struct project *p, bool dry, struct migrate_result *r, struct err *e)
{
	struct move m = { 0 };
	int rc = 0;

	if (project_cache(p, true, &m.from, e) || project_cache(p, false, &m.to, e) || store_each(m.from, collect, &m, e))
		rc = -1;
	else if (!dry)
		rc = pool_for(project_pool(p), m.n, 8, migrate_range, &m, e);
	r->objects = dry ? m.n : m.made;
	free(m.v);
	return rc;
}

/* --- stage files --------------------------------------------------------------------------------------------------- */

/* Finds the 3.x object for a recorded 2.x hash. 1 done, 0 not in the cache. */
static int convert_id(struct move *m, const struct oid *old, struct oid *out, struct err *e)
{
	bool made;
	int has = store_has(m->from, old, NULL, e);

	if (has <= 0)
		return has;
	return migrate_one(m, old, out, &made, e) ? -1 : 1;
}

/* A manifest of 2.x lists 2.x hashes: its members are converted, then it is written anew. */
static int convert_dir(struct move *m, const struct oid *old, struct oid *out, struct err *e)
{
	autotree struct tree *t = NULL, *made = tree_new();
	int rc = store_has(m->from, old, NULL, e);

	if (rc <= 0)
		return rc;
	if (tree_load(&t, m->from, old, e))
		return -1;
	for (size_t i = 0; i < t->n; i++) {
		struct oid id;

		rc = convert_id(m, &t->e[i].id, &id, e);
		if (rc <= 0)
			return rc;
		tree_add(made, t->e[i].path, &id, t->e[i].size);
	}
	tree_sort(made);
	return tree_save(made, m->to, out, e) ? -1 : 1;
}

/* A dependency that no cache holds: its file, if it still is what was recorded. */
static int convert_from_work(struct project *p, const struct item *i, const struct oid *old, struct oid *out, struct err *e)
{
	autofree char *path = repo_abs(p->repo, i->path);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct oid now = { .is_dir = 0 };

	if (fd < 0 || old->is_dir || legacy_md5(fd, now.md5, e))
		return fd < 0 || old->is_dir ? 0 : -1;
	if (!oid_eq(&now, old))
		return 0;
	out->is_dir = 0;
	return lseek(fd, 0, SEEK_SET) < 0 || raw_md5(fd, out, path, e) ? -1 : 1;
}

static int convert_item(struct project *p, struct move *m, struct item *i, bool *changed, struct err *e)
{
	struct oid old, id = { .is_dir = 0 };
	int rc;

	if (!i->path || !hashinfo_is_legacy(&i->hash) || !hashinfo_oid(&i->hash, &old))
		return 0;
	rc = old.is_dir ? convert_dir(m, &old, &id, e) : convert_id(m, &old, &id, e);
	if (!rc && !i->is_out)
		rc = convert_from_work(p, i, &old, &id, e);
	if (rc < 0)
		return err_in(e, "cannot migrate '%s'", i->path);
	if (!rc) {
		notice(NOTICE_WARN, "'%s' is not in the cache: its entry stays as it is", i->path);
		return 0;
	}
	id.is_dir = old.is_dir;
	hashinfo_set_oid(&i->hash, &id);
	free(take(i->meta.md5));
	*changed = true;
	return i->is_out ? track_ignore(p, i, e) : 0;
}

static bool needs_it(const struct stage *s)
{
	for (size_t i = 0; i < s->nouts; i++)
		if (s->outs[i]->path && hashinfo_is_legacy(&s->outs[i]->hash))
			return true;
	for (size_t i = 0; i < s->ndeps && !stage_is_import(s); i++)
		if (s->deps[i]->kind == DEP_PATH && s->deps[i]->path && hashinfo_is_legacy(&s->deps[i]->hash))
			return true;
	return false;
}

static int migrate_stage(struct project *p, struct move *m, struct stage *s, const char *shown, struct err *e)
{
	bool changed = false;

	for (size_t i = 0; i < s->nouts; i++)
		if (convert_item(p, m, s->outs[i], &changed, e))
			return -1;
	for (size_t i = 0; i < s->ndeps && !stage_is_import(s); i++)
		if (s->deps[i]->kind == DEP_PATH && convert_item(p, m, s->deps[i], &changed, e))
			return -1;
	if (!changed)
		return 0;
	if (store_flush(m->to, e))      /* V2 */
		return -1;
	if (s->kind == STAGE_PIPELINE)
		return lock_save_stage(p->repo, s, e);
	notice(NOTICE_INFO, "Updating DVC file '%s'", shown);
	return pointer_save(p->repo, s, e);
}

int migrate_files(struct project *p, bool dry, struct migrate_result *r, struct err *e)
{
	struct move m = { 0 };
	struct index *x;

	if (project_cache(p, true, &m.from, e) || project_cache(p, false, &m.to, e) || project_index(p, &x, e))
		return -1;
	for (size_t i = 0; i < x->n; i++) {
		struct stage *s = x->v[i];
		autofree char *shown = repo_show(p->repo, s->file), *name = NULL, *lock = NULL, *lock_shown = NULL;

		if (!needs_it(s))
			continue;
		if (s->kind == STAGE_PIPELINE) {
			lock = lock_path_of(s->file);
			lock_shown = repo_show(p->repo, lock);
			name = xasprintf("%s (%s)", shown, lock_shown);
		} else {
			name = xstrdup(shown);
		}
		if (!strvec_has(&r->files, name))
			strvec_push(&r->files, name);
		if (!dry && migrate_stage(p, &m, s, shown, e))
			return -1;
	}
	return 0;
}

/*
 * commit: what changed is hashed and recorded, after a question; what is missing in the cache is stored again.
 */
#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/data/add_own.h"
#include "core/data/compare.h"
#include "core/data/project.h"
#include "core/data/track_own.h"
#include "core/repo/repo.h"
#include "core/repo/repolock.h"
#include "core/stage/index.h"
#include "core/stage/lock.h"
#include "core/stage/pointer.h"

#include <sys/stat.h>

/* What changed, as the question names it. */
struct changes { struct node *deps, *outs; bool stage; };

static void changes_release(struct changes *c)
{
	node_free(c->deps);
	node_free(c->outs);
}

static int changed_items(struct project *p, struct item *const *v, size_t n, struct node *names, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct stage_status st = { NULL, 0, 0 };
		int rc = compare_item(p, v[i], true, &st, e);

		if (!rc && st.n) {
			autofree char *shown = item_show(v[i], p->repo->cwd_rel);

			node_push(names, node_str(v[i]->kind == DEP_REPO && st.v[0].what ? st.v[0].what : shown));
		}
		stage_status_release(&st);
		if (rc)
			return -1;
	}
	return 0;
}

static bool stage_changed(const struct stage *s)
{
	autofree char *md5 = NULL;

	if (s->kind == STAGE_PIPELINE)
		return compare_command_changed(s) && s->in_lock;
	md5 = pointer_md5_for(s);
	return (md5 || s->md5) && (!md5 || !s->md5 || strcmp(md5, s->md5));
}

static int find_changes(struct project *p, struct stage *s, struct changes *c, struct err *e)
{
	*c = (struct changes){ node_seq(), node_seq(), stage_changed(s) };
	if (changed_items(p, s->deps, s->ndeps, c->deps, e) || changed_items(p, s->outs, s->nouts, c->outs, e))
		return -1;
	return 0;
}

static int ask(const struct commit_opts *o, const char *stage, const struct stage *s, const struct changes *c,
	       struct err *e)
{
	autostr struct str q = STR_INIT;

	if (c->deps->n) {
		str_adds(&q, "dependencies ");
		node_py_str(&q, c->deps);
	}
	if (c->outs->n) {
		str_adds(&q, c->deps->n ? " and outputs " : "outputs ");
		node_py_str(&q, c->outs);
	}
	if (c->deps->n || c->outs->n)
		str_addf(&q, " of stage: '%s' changed.", stage);
	else
		str_addf(&q, s->kind == STAGE_PIPELINE ? "'cmd' of stage: '%s' has changed." : "'md5' of stage: '%s' changed.",
			 stage);
	str_adds(&q, " Are you sure you want to commit it?");
	if (o->confirm && o->confirm(str_cstr(&q)))
		return 0;
	return err_set(e, ERR_FAIL, "unable to commit changed stage: '%s'. Use `-f|--force` to force.", stage);
}

/* What is only stored keeps what is recorded of it, the x bit too: the link from the cache follows the record. Content that
 * changed since it was compared was asked about by nobody. */
static int store_only(struct project *p, struct item *out, const char *inside, unsigned flags, struct err *e)
{
	struct meta was = META_INIT;
	autofree char *abs = item_abs(out, p->repo->root), *shown = item_show(out, p->repo->cwd_rel);
	autofree char *name = xstrdup(out->hash.name), *value = xstrdup(out->hash.value);
	struct stat st;
	int rc;

	meta_copy(&was, &out->meta);
	proc_fault("commit.store");
	rc = track_save_part(p, out, inside, flags, e);
	if (!rc && value && out->hash.value && strcmp(value, out->hash.value))
		rc = err_set(e, ERR_CHANGED, "'%s' changed while it was committed", shown);
	if (value)
		hashinfo_set(&out->hash, name, value);
	meta_copy(&out->meta, &was);
	meta_release(&was);
	if (rc || !abs || !out->cache || (flags & TRACK_NO_RELINK) || lstat(abs, &st))
		return rc;
	if (out->meta.isexec)
		return track_set_exec(abs, e);
	if (!S_ISREG(st.st_mode) || st.st_nlink > 1 || !(st.st_mode & 0111))
		return 0;
	return chmod(abs, st.st_mode & 07666) ? err_sys(e, "cannot change the mode of '%s'", abs) : 0;
}

/* A part that is not there: DVC is surprised, and says so. */
static int fail_part(struct project *p, const struct item *out, const char *part, struct err *e)
{
	autofree char *whole = item_abs(out, p->repo->root), *abs = whole ? path_join(whole, part) : NULL;

	if (e->code != ERR_NOTFOUND || !abs || !fs_exists(whole) || fs_exists(abs))
		return -1;
	notice(NOTICE_WARN, "No file hash info found for '%s'. It won't be created.", abs);
	err_release(e);
	err_set(e, ERR_NOTFOUND, "unexpected error - [Errno 2] No such file or directory: '%s'", abs);
	e->exit_status = 255;
	return -1;
}

/* A part of a directory brings its whole directory up to date, but only the part is stored, as with DVC. */
static int record(struct project *p, struct stage *s, const struct item *only, const char *inside, bool save,
		  const struct commit_opts *o, struct err *e)
{
	/* What is only stored is not judged anew: git may track it since it was added. */
	unsigned flags = (o->no_relink ? TRACK_NO_RELINK : 0) | (save ? 0 : TRACK_NO_GIT);

	if (save && o->save_deps && o->save_deps(p, s, e))
		return -1;
	for (size_t i = 0; i < s->nouts; i++) {
		const char *part = s->outs[i] == only ? inside : NULL;

		if (!save && only && s->outs[i] != only)
			continue;
		if (save ? track_save_part(p, s->outs[i], part, flags, e) : store_only(p, s->outs[i], part, flags, e))
			return part ? fail_part(p, s->outs[i], part, e) : -1;
	}
	if (!save)
		return 0;
	if (s->kind == STAGE_SINGLE)
		pointer_renew_md5(s);
	return o->saved ? o->saved(p, s, e) : 0;
}

static int commit_target(struct project *p, const struct target *t, const struct commit_opts *o, struct err *e)
{
	struct stage *s = t->stage;
	autofree char *name = stage_addressing(s, p->repo->cwd_rel);
	autocall(changes_release) struct changes c = { NULL, NULL, false };
	bool save = o->force;

	if (!save) {
		if (find_changes(p, s, &c, e))
			return -1;
		save = c.deps->n || c.outs->n || c.stage;
		if (save && ask(o, name, s, &c, e))
			return -1;
	}
	return record(p, s, t->out, t->inside, save, o, e);
}

/* The stages of one file are recorded together, once all of them are committed. */
static int write_stages(struct project *p, const struct target *t, size_t n, struct lockfile **l, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const struct stage *s = t[i].stage;

		if (s->kind == STAGE_SINGLE ? pointer_save(p->repo, s, e) : lock_save_next(l, p->repo, s, e))
			return -1;
	}
	return 0;
}

static bool same_file(const struct stage *a, const struct stage *b)
{
	return a == b || (a->kind != STAGE_SINGLE && b->kind != STAGE_SINGLE && !strcmp(a->file, b->file));
}

/* Path locks, as DVC takes them for the time of the write. */
int track_lock(struct project *p, const struct stage *s, bool deps, const char *cmd, struct pathlock **out, struct err *e)
{
	autostrvec struct strvec r = STRVEC_INIT, w = STRVEC_INIT;

	for (size_t i = 0; i < s->nouts; i++)
		strvec_take(&w, item_abs(s->outs[i], p->repo->root) ?: xstrdup(s->outs[i]->def));
	for (size_t i = 0; deps && i < s->ndeps; i++)
		if (s->deps[i]->path)
			strvec_take(&r, item_abs(s->deps[i], p->repo->root));
	return pathlock_take(out, p->repo, &r, &w, cmd, e);
}

int track_commit(struct project *p, const char *target, const struct commit_opts *o, struct err *e)
{
	unsigned flags = (o->recursive ? TARGET_RECURSIVE : 0) | (o->with_deps ? TARGET_WITH_DEPS : 0);
	autocall(targets_release) struct targets t = { NULL, 0, 0 };
	autostrvec struct strvec names = STRVEC_INIT;
	struct lockfile *lf = NULL;
	struct index *x;
	size_t first = 0;
	int rc = 0;

	if (target)
		strvec_push(&names, target);
	if (project_index_some(p, &x, e) || index_targets(x, &names, flags, &t, e))
		return -1;
	for (size_t i = 0; i < t.n && !rc; i++) {
		struct pathlock *lock = NULL;

		rc = track_lock(p, t.v[i].stage, true, "git-data commit", &lock, e);
		if (!rc)
			rc = commit_target(p, &t.v[i], o, e);
		if (!rc && (i + 1 == t.n || !same_file(t.v[i].stage, t.v[i + 1].stage))) {
			rc = write_stages(p, t.v + first, i + 1 - first, &lf, e);
			first = i + 1;
		}
		pathlock_release(lock);
	}
	if (!rc && lf)
		rc = lockfile_sync(lf, e);
	lockfile_close(lf);
	track_warn_unlinked(p);
	return rc;
}

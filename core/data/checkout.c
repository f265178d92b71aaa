#include "core/data/checkout.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/progress.h"
#include "core/cache/ingest.h"
#include "core/cache/store.h"
#include "core/data/beneath.h"
#include "core/data/dindex.h"
#include "core/data/links.h"
#include "core/data/partial.h"
#include "core/data/project.h"
#include "core/data/wtree.h"
#include "core/repo/repo.h"
#include "core/stage/index.h"
#include "core/stage/stage.h"

#define PLACE_AT_ONCE (1u << 16)

/* What has to happen, as lists of entries of the two indexes. */
struct entries { const struct dentry **v; size_t n, cap; };
struct plan {
	struct project *p;
	const struct checkout_opts *o;
	const struct dselection *sel;
	struct dindex *old, *now;
	struct dchanges changes;
	struct entries files_delete, dirs_delete, files_create, dirs_create, files_exec;
	struct entries files_kept;      /* of directories without a manifest */
	struct hidden { char *key; struct seen seen; } *hidden; /* files to create where an ignored file or a dead link lies */
	size_t nhidden, caphidden;
	struct map failed;              /* paths of outputs that could not be made whole, to why */
	struct strvec placed;           /* outputs that are now as they should be */
	struct beneath below;
};

void checkout_result_release(struct checkout_result *r)
{
	strvec_release(&r->added);
	strvec_release(&r->modified);
	strvec_release(&r->deleted);
	strvec_release(&r->failed);
}

static void push(struct entries *l, const struct dentry *d)
{
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = d;
}

static char no_manifest[] = "its manifest is not to be had", no_file[] = "a file was not made";

static bool has_failed(const struct plan *pl, const struct item *out)
{
	return map_has(&pl->failed, out->path);
}

static void fail_out(struct plan *pl, const struct item *out, char *why)
{
	if (out && !has_failed(pl, out))
		map_put(&pl->failed, out->path, why);
}

/* Every directory holds a file, directly or below: then a manifest can say all there is. */
static bool dirs_implied(const struct wtree *w)
{
	for (size_t i = 0; i < w->dirs.n; i++) {
		autofree char *prefix = xasprintf("%s/", w->dirs.v[i]);
		size_t at = SORTED_FROM(w->walk.f, 0, w->walk.n, path, prefix);

		if (at == w->walk.n || !str_starts(w->walk.f[at].path, prefix))
			return false;
	}
	return true;
}

/* True when the output is exactly what is recorded: nothing to compare, no manifest to read. */
static bool is_whole(const struct dselect *s, const struct wtree *w)
{
	struct oid id;
	bool legacy, is_dir;

	if (!s->whole || !w->present || !w->has_id || !declared_id(s->out, &id, &legacy, &is_dir))
		return false;
	if (is_dir != w->is_dir || !oid_eq(&id, &w->id))
		return false;
	if (!is_dir)
		return w->has_exec == declared_meta(s->out)->isexec;
	return !w->has_exec && !w->broken.n && dirs_implied(w);
}

static int is_cached(struct project *p, const struct oid *id, bool legacy, struct err *e)
{
	struct store *s;

	return project_cache(p, legacy, &s, e) ? -1 : store_has(s, id, NULL, e);
}

/* A name below a tracked file. DVC takes the file for a directory then, and makes it anew. */
static bool part_of_file(const struct dselect *s)
{
	struct oid id;
	bool legacy, is_dir;

	return !s->whole && declared_id(s->out, &id, &legacy, &is_dir) && !is_dir;
}

static const struct dselect *whole_of(const struct dselect *part, struct dselect *buf)
{
	*buf = (struct dselect){ part->out, part->out->path, true };
	return buf;
}

static int read_sides(struct plan *pl, struct err *e)
{
	for (size_t i = 0; i < pl->sel->n; i++) {
		const struct dselect *s = &pl->sel->v[i];
		autowtree w = WTREE_INIT;
		struct dselect whole_file;
		struct oid id;
		bool legacy, is_dir;
		int whole;

		if (part_of_file(s))
			s = whole_of(s, &whole_file);
		declared_id(s->out, &id, &legacy, &is_dir);
		if (proc_check(e) || wtree_read(pl->p, s->key, legacy, WTREE_ID, &w, e))
			return -1;
		/* A directory whose manifest is gone cannot be restored later: that is told now, as DVC does. */
		whole = !pl->o->relink && is_whole(s, &w);
		if (whole && w.is_dir && (whole = is_cached(pl->p, &w.id, legacy, e)) < 0)
			return -1;
		if (whole)
			continue;
		if (dindex_add_declared(pl->now, s, 0, e))
			return -1;
		if (dindex_add_reading(pl->old, s, &w, 0, e))
			return -1;
	}
	dindex_sort(pl->old);
	dindex_sort(pl->now);
	return 0;
}

static void plan_create(struct plan *pl, const struct dentry *d)
{
	push(d->is_dir ? &pl->dirs_create : &pl->files_create, d);
}

static void plan_delete(struct plan *pl, const struct dentry *d)
{
	push(d->is_dir ? &pl->dirs_delete : &pl->files_delete, d);
}

/* False: the change is none for DVC, and is not reported. */
static bool plan_modify(struct plan *pl, const struct dchange *c)
{
	const struct dentry *old = c->old, *now = c->now;
	bool content = old->has_id != now->has_id || old->legacy != now->legacy ||
		(old->has_id && !oid_eq(&old->id, &now->id)) || old->is_dir != now->is_dir || old->broken;

	if (content) {
		if (old->is_dir && now->is_dir)
			return false;
		plan_delete(pl, old);
		plan_create(pl, now);
		return true;
	}
	if (old->is_exec != now->is_exec && !now->is_dir) {
		if (now->is_exec)
			push(&pl->files_exec, now);
		return true;
	}
	return false;
}

/* Below a directory whose manifest is not to be had nothing is judged: the names there may be all that is left of it. */
static bool is_unjudged(const struct plan *pl, const struct dchange *c)
{
	const struct item *out = c->old ? c->old->out : c->now->out;

	return (c->now && c->now->unknown) || (out && has_failed(pl, out));
}

static void make_plan(struct plan *pl)
{
	struct dchanges all = { 0 };

	for (size_t i = 0; i < pl->now->n; i++)
		if (pl->now->v[i].unknown)
			fail_out(pl, pl->now->v[i].out, no_manifest);

	dindex_diff(pl->old, pl->now, DDIFF_EXEC | (pl->o->relink ? DDIFF_SAME : 0), &all);
	for (size_t i = 0; i < all.n; i++) {
		struct dchange *c = &all.v[i];
		bool told = true;

		if (is_unjudged(pl, c)) {
			if (c->type == DCHANGE_DELETE && !c->old->is_dir)
				push(&pl->files_kept, c->old);
			continue;
		}
		if (c->type == DCHANGE_ADD)
			plan_create(pl, c->now);
		else if (c->type == DCHANGE_DELETE)
			plan_delete(pl, c->old);
		else if (c->type == DCHANGE_MODIFY)
			told = plan_modify(pl, c);
		else if (!c->old->is_dir) {
			push(&pl->files_delete, c->old);
			push(&pl->files_create, c->now);
		}
		if (told && c->type != DCHANGE_SAME) {
			GROW(pl->changes.v, pl->changes.n, pl->changes.cap);
			pl->changes.v[pl->changes.n++] = *c;
		}
	}
	dchanges_release(&all);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct hidden *)a)->key, ((const struct hidden *)b)->key);
}

static void add_hidden(struct plan *pl, const char *key, const struct stat *st)
{
	GROW(pl->hidden, pl->nhidden, pl->caphidden);
	pl->hidden[pl->nhidden++] = (struct hidden){ xstrdup(key), {
		st->st_ino, (uint64_t)st->st_size, st->st_mtim.tv_sec * 1000000000ll + st->st_mtim.tv_nsec,
		S_ISLNK(st->st_mode) } };
}

/* What the reading did not show can lie where a file is to be made: a dead link, or a file that .dvcignore hides. Only
 * under what was there before is it looked for: a directory of our own making hides nothing. */
static int find_hidden(struct plan *pl, struct str *unsaved, struct err *e)
{
	for (size_t i = 0; i < pl->files_create.n; i++) {
		const struct dentry *d = pl->files_create.v[i];
		autofree char *abs = NULL, *dir = NULL;
		struct ingest in;
		struct stat st;
		struct oid id;
		int has = 1;

		if (!d->has_id || dindex_find(pl->old, d->key))
			continue;
		dir = path_dir(d->key);
		if (d->out && strcmp(d->key, d->out->path) && *dir && !dindex_find(pl->old, dir))
			continue;
		abs = repo_abs(pl->p->repo, d->key);
		if (lstat(abs, &st) || S_ISDIR(st.st_mode))
			continue;
		if (S_ISREG(st.st_mode)) {
			if (project_ingest(pl->p, d->legacy, &in, e) || ingest_hash_file(&in, abs, &st, &id, e))
				return -1;
			has = is_cached(pl->p, &id, d->legacy, e);
		}
		if (has < 0)
			return -1;
		for (size_t k = 0; S_ISLNK(st.st_mode) && k < pl->changes.n; k++)
			if (pl->changes.v[k].now == d)
				pl->changes.v[k].type = DCHANGE_MODIFY;
		if (!has)
			str_addf(unsaved, "\n%s", abs);
		add_hidden(pl, d->key, &st);
	}
	if (pl->nhidden)
		qsort(pl->hidden, pl->nhidden, sizeof(*pl->hidden), by_key);
	return 0;
}

/* C1: every content that would go away must be in the cache. */
static int check_unsaved(struct plan *pl, struct err *e)
{
	autostr struct str list = STR_INIT;

	if (find_hidden(pl, &list, e))
		return -1;
	if (pl->o->force)
		return 0;
	for (size_t i = 0; i < pl->files_delete.n + pl->files_kept.n; i++) {
		size_t k = i - pl->files_delete.n;
		const struct dentry *d = i < pl->files_delete.n ? pl->files_delete.v[i] : pl->files_kept.v[k];
		autofree char *abs = NULL;
		int has;

		if (!d->has_id)
			continue;
		has = is_cached(pl->p, &d->id, d->legacy, e);
		if (has < 0)
			return -1;
		if (has)
			continue;
		abs = repo_abs(pl->p->repo, d->key);
		str_addf(&list, "\n%s", abs);
	}
	if (!list.len)
		return 0;
	if (pl->o->one_by_one)
		return err_set(e, ERR_FAIL, "unable to remove '%.*s' without a confirmation. Use `-f` to force.",
			       (int)strcspn(list.buf + 1, "\n"), list.buf + 1);
	return err_set(e, ERR_FAIL, "Can't remove the following unsaved files without confirmation. "
		       "Use `--force` to force.%s", list.buf);
}

static struct seen seen_of(const struct dentry *d)
{
	if (d->file)
		return (struct seen){ d->file->ino, d->file->size, d->file->mtime_ns, d->file->is_link };
	return (struct seen){ .is_link = d->broken };
}

/* A file that stays a file is replaced by rename later (C3); it must still be the one that was read. */
static int delete_files(struct plan *pl, struct err *e)
{
	for (size_t i = 0; i < pl->files_delete.n; i++) {
		const struct dentry *d = pl->files_delete.v[i];
		const struct dentry *next = dindex_find(pl->now, d->key);
		struct seen s = seen_of(d);
		int rc;

		/* What nothing is recorded for is not exchanged for nothing. */
		if (next && !next->is_dir)
			rc = beneath_check(&pl->below, d->key, &s, e) < 0 ? -1 : 0;
		else
			rc = beneath_unlink(&pl->below, d->key, &s, e);
		if (rc)
			return -1;
	}
	for (size_t i = pl->dirs_delete.n; i-- > 0;)
		beneath_rmdir(&pl->below, pl->dirs_delete.v[i]->key);
	return 0;
}

static int make_dirs(struct plan *pl, struct err *e)
{
	for (size_t i = 0; i < pl->dirs_create.n; i++) {
		const struct dentry *d = pl->dirs_create.v[i];
		const struct dentry *next = dindex_find(pl->now, d->key);

		/* Those with members appear with their first member. */
		if ((next + 1 < pl->now->v + pl->now->n && path_is_inside(next[1].key, d->key)))
			continue;
		if (beneath_mkdir(&pl->below, d->key, e))
			return -1;
	}
	return 0;
}

/* The directories of files, of those too that cannot be had: as DVC, so that commands find them. What stands in the way is
 * told when the file is placed. */
static void make_parents(struct plan *pl)
{
	autofree char *last = xstrdup("");

	for (size_t i = 0; i < pl->files_create.n; i++) {
		const char *key = pl->files_create.v[i]->key;
		autofree char *dir = path_dir(key);
		autoerr struct err none = ERR_INIT;

		if (!*dir || !strcmp(dir, last))
			continue;
		beneath_mkdir(&pl->below, dir, &none);
		free(last);
		last = take(dir);
	}
}

/* What stands where the file is to be: may it go, and how did it look when that was decided? */
static bool may_replace(const struct plan *pl, const char *key, struct place_was *was)
{
	const struct dentry *old = dindex_find(pl->old, key);
	struct hidden want = { (char *)key, { 0 } }, *h = NULL;
	struct seen s;

	if (!old && pl->nhidden)
		h = bsearch(&want, pl->hidden, pl->nhidden, sizeof(*pl->hidden), by_key);
	if (old ? old->is_dir : !h)
		return false;
	s = old ? seen_of(old) : h->seen;
	*was = (struct place_was){ true, s.is_link, s.ino, s.size, s.mtime_ns };
	return true;
}

/* The next files to create that have a hash of this kind; *at moves on behind them. */
static size_t next_slice(struct plan *pl, bool legacy, size_t *at, struct place *v, const struct dentry **of)
{
	size_t n = 0;

	for (; *at < pl->files_create.n && n < PLACE_AT_ONCE; ++*at) {
		const struct dentry *d = pl->files_create.v[*at];

		if (!d->has_id || d->legacy != legacy)
			continue;
		of[n] = d;
		v[n] = (struct place){ .rel = d->key, .id = d->id, .isexec = d->is_exec };
		v[n].replace = may_replace(pl, d->key, &v[n].was);
		n++;
	}
	return n;
}

/* What a download leaves lies there plainly, and a plain file is as good as any kind that the settings allow. */
static void take_copies(struct plan *pl, struct ingest *in)
{
	static const enum link_kind copies[] = { LINK_REFLINK, LINK_COPY };
	bool plain_will_do = false;

	for (size_t i = 0; i < in->ntypes; i++)
		plain_will_do |= in->types[i] == LINK_COPY || in->types[i] == LINK_REFLINK;
	if (!pl->o->as_download || !plain_will_do || in->types[0] == LINK_HARDLINK || !hashinfo_is_dir(&pl->sel->v[0].out->hash))
		return;
	in->types = copies;
	in->ntypes = ARRAY_LEN(copies);
}

/* In slices: what is known of a file while it is made is not kept for all of them. */
static int place_files(struct plan *pl, bool legacy, struct err *e)
{
	size_t room = pl->files_create.n < PLACE_AT_ONCE ? pl->files_create.n : PLACE_AT_ONCE, at = 0, n, missing, total = 0;
	struct place *v = xcalloc(room + 1, sizeof(*v));
	const struct dentry **of = xcalloc(room + 1, sizeof(*of));
	struct progress pg = { 0 };
	struct ingest in;
	int rc = 0;

	for (size_t i = 0; i < pl->files_create.n; i++)
		total += pl->files_create.v[i]->has_id && pl->files_create.v[i]->legacy == legacy;
	if (!total)
		goto undo;
	rc = project_ingest(pl->p, legacy, &in, e);
	if (rc)
		goto undo;
	progress_begin(&pg, "checking out", total, 0);
	in.progress = &pg;
	in.goes_on = true;
	take_copies(pl, &in);
	while (!rc && (n = next_slice(pl, legacy, &at, v, of))) {
		rc = ingest_place(&in, pl->p->repo->root, v, n, &missing, e);
		for (size_t i = 0; !rc && missing && i < n; i++)
			if (!v[i].done)
				fail_out(pl, of[i]->out, no_file);
	}
	progress_end(&pg);
undo:
	free(v);
	free(of);
	return rc;
}

static int apply(struct plan *pl, struct err *e)
{
	if (delete_files(pl, e) || make_dirs(pl, e))
		return -1;
	make_parents(pl);
	for (size_t i = 0; i < pl->files_create.n; i++) {
		const struct dentry *d = pl->files_create.v[i];

		if (!d->has_id) {
			autofree char *abs = repo_abs(pl->p->repo, d->key);

			if (!d->out || !d->out->stage || !stage_is_import(d->out->stage))
				notice(NOTICE_WARN, "No file hash info found for '%s'. It won't be created.", abs);
			fail_out(pl, d->out, no_file);
		}
	}
	if (place_files(pl, false, e) || place_files(pl, true, e))
		return -1;
	for (size_t i = 0; i < pl->files_exec.n; i++)
		if (beneath_set_exec(&pl->below, pl->files_exec.v[i]->key, e))
			return -1;
	return 0;
}

/* DVC leaves no half output behind. Neither do we, but what is nowhere else stays and is named. */
static int drop_partial(struct plan *pl, const struct dselect *s, struct err *e)
{
	autowtree w = WTREE_INIT;
	struct oid id;
	bool legacy, is_dir;
	size_t kept = 0;

	declared_id(s->out, &id, &legacy, &is_dir);
	if (wtree_read(pl->p, s->key, legacy, WTREE_IDS, &w, e))
		return -1;
	for (size_t i = 0; w.present && i < (w.is_dir ? w.walk.n : 1); i++) {
		const struct walk_file *f = w.is_dir ? &w.walk.f[i] : &w.self;
		autofree char *key = w.is_dir ? path_join(s->key, f->path) : xstrdup(s->key);
		struct seen seen = { f->ino, f->size, f->mtime_ns, f->is_link };
		int has = is_cached(pl->p, w.is_dir ? &f->id : &w.id, legacy, e);

		if (has < 0)
			return -1;
		if (!has) {
			kept++;
			notice(NOTICE_WARN, "'%s' is kept: its content is not in the cache.", key);
		} else if (beneath_unlink(&pl->below, key, &seen, e)) {
			if (e->code != ERR_PERM)        /* why the output failed, most likely */
				return -1;
			err_release(e);
		}
	}
	for (size_t i = w.dirs.n; i-- > 0;) {
		autofree char *key = path_join(s->key, w.dirs.v[i]);

		beneath_rmdir(&pl->below, key);
	}
	if (w.present && w.is_dir && !kept)
		beneath_rmdir(&pl->below, s->key);
	return 0;
}

/* ---- what is told about it ---- */

struct told { const struct item *out; enum dchange_type type; bool any, in_any_case; uint64_t count[3]; };

static int told_slot(enum dchange_type t)
{
	return t == DCHANGE_ADD ? 0 : t == DCHANGE_DELETE ? 2 : 1;
}

static int by_out(const void *a, const void *b)
{
	const struct told *x = a, *y = b;

	return strcmp(x->out->path, y->out->path);
}

static struct told *told_for(struct told *t, size_t n, const char *key)
{
	autofree char *up = xstrdup(key);

	for (;;) {
		const struct item out = { .path = up };
		const struct told want = { .out = &out };
		struct told *hit = bsearch(&want, t, n, sizeof(*t), by_out);
		char *slash = strrchr(up, '/');

		if (hit || !slash)
			return hit;
		*slash = '\0';
	}
}

static void tell_out(struct plan *pl, const struct told *t, struct checkout_result *r)
{
	struct strvec *list = t->type == DCHANGE_ADD ? &r->added : t->type == DCHANGE_DELETE ? &r->deleted : &r->modified;
	autofree char *abs = repo_abs(pl->p->repo, t->out->path);

	strvec_push(&pl->placed, t->out->path);
	r->files_added += t->count[0];
	r->files_modified += t->count[1];
	r->files_deleted += t->count[2];
	strvec_pushf(list, "%s%s", t->out->path, fs_is_dir(abs) ? "/" : "");
}

static int tell(struct plan *pl, struct checkout_result *r, struct err *e)
{
	struct told *t = xcalloc(pl->sel->n + 1, sizeof(*t));
	struct map_entry *it;
	int rc = 0;

	for (size_t i = 0; i < pl->sel->n; i++) {
		t[i].out = pl->sel->v[i].out;
		t[i].in_any_case = part_of_file(&pl->sel->v[i]);
	}
	qsort(t, pl->sel->n, sizeof(*t), by_out);
	for (size_t i = 0; i < pl->changes.n; i++) {
		const struct dchange *c = &pl->changes.v[i];
		const char *key = dchange_key(c);
		struct told *g = told_for(t, pl->sel->n, key);

		if (!g)
			continue;
		if (!c->now || !c->now->is_dir)
			g->count[told_slot(c->type)]++;
		if (!strcmp(key, g->out->path))
			g->type = c->type;
		else if (!g->any)
			g->type = DCHANGE_MODIFY;
		g->any = true;
	}
	for (size_t i = 0; i < pl->sel->n; i++)
		if (t[i].in_any_case && !t[i].any) {
			t[i].type = DCHANGE_MODIFY;
			t[i].count[told_slot(t[i].type)]++;
		}
	for (size_t i = 0; i < pl->sel->n; i++)
		if ((t[i].any || t[i].in_any_case) && !has_failed(pl, t[i].out))
			tell_out(pl, &t[i], r);
	for (size_t i = 0; !rc && i < pl->sel->n; i++)
		if (map_get(&pl->failed, pl->sel->v[i].out->path) == no_file)
			rc = drop_partial(pl, &pl->sel->v[i], e);
	for (size_t i = 0; !pl->o->allow_missing && (it = map_next(&pl->failed, &i));)
		strvec_push(&r->failed, it->key);
	free(t);
	return rc;
}

static void plan_release(struct plan *pl)
{
	dindex_free(pl->old);
	dindex_free(pl->now);
	dchanges_release(&pl->changes);
	free(pl->files_delete.v);
	free(pl->files_kept.v);
	for (size_t i = 0; i < pl->nhidden; i++)
		free(pl->hidden[i].key);
	free(pl->hidden);
	free(pl->dirs_delete.v);
	free(pl->files_create.v);
	free(pl->dirs_create.v);
	free(pl->files_exec.v);
	map_release(&pl->failed, NULL);
	beneath_close(&pl->below);
}

static int checkout_selection(struct project *p, const struct dselection *sel, const struct checkout_opts *o,
			      struct checkout_result *r, struct err *e)
{
	struct plan pl = { .p = p, .o = o, .sel = sel, .failed = MAP_INIT, .below = { -1, -1, NULL } };
	autostrvec struct strvec placed = STRVEC_INIT;
	int rc = -1;

	pl.old = dindex_new(p);
	pl.now = dindex_new(p);
	if (read_sides(&pl, e))
		goto undo;
	make_plan(&pl);
	if (check_unsaved(&pl, e))
		goto undo;
	if (beneath_open(&pl.below, p->repo->root, e) || apply(&pl, e) || tell(&pl, r, e))
		goto undo;
	strvec_sort(&r->failed);
	rc = 0;
undo:
	placed = pl.placed;
	plan_release(&pl);
	/* They are read once more, when the plan's memory is free again. */
	for (size_t i = 0; i < placed.n; i++)
		links_save(p, placed.v[i]);
	return rc;
}

static int remove_unused(struct project *p, struct index *x, struct checkout_result *r, struct err *e)
{
	autostrvec struct strvec used = STRVEC_INIT;
	int rc;

	for (size_t i = 0; i < x->n; i++)
		for (size_t k = 0; k < x->v[i]->nouts; k++)
			if (x->v[i]->outs[k]->path)
				strvec_push(&used, x->v[i]->outs[k]->path);
	strvec_sort(&used);
	rc = links_remove_unused(p, &used, &r->deleted, e);
	r->files_deleted += r->deleted.n;
	return rc;
}

/* Nothing by that name, as against a file that cannot be read: DVC guesses that git was meant. */
static bool is_unknown_name(const struct err *e)
{
	return e->msg && !e->report && (strstr(e->msg, " does not exist") || strstr(e->msg, "bad DVC file name") ||
					strstr(e->msg, " is dvc-ignored"));
}

static int resolve(struct project *p, const struct strvec *names, const struct checkout_opts *o,
		   struct index **x, struct targets *t, struct err *e)
{
	unsigned flags = (o->recursive ? TARGET_RECURSIVE : 0) | (o->with_deps ? TARGET_WITH_DEPS : 0) |
		(o->glob ? TARGET_GLOB : 0);

	/* what is named does not depend on what the other files say */
	if (names && names->n && !o->recursive && !o->with_deps ? project_index_some(p, x, e) : project_index(p, x, e))
		return -1;
	if ((!names || !names->n) && project_remotes_known(p, *x, NULL, REMOTES_ALL, e))
		return -1;
	for (size_t i = 0; names && i < names->n; i++) {
		autostrvec struct strvec one = STRVEC_INIT;
		struct targets got = { 0 };

		strvec_push(&one, names->v[i]);
		if (index_targets(*x, &one, flags, &got, e)) {
			if (is_unknown_name(e))
				err_in(e, "Did you mean `git checkout %s`?", names->v[i]);
			return -1;
		}
		for (size_t k = 0; k < got.n; k++) {
			GROW(t->v, t->n, t->cap);
			t->v[t->n++] = got.v[k];
		}
		free(got.v);    /* the rows moved */
	}
	return names && names->n ? project_remotes_known(p, *x, NULL, REMOTES_ALL, e) : 0;
}

int checkout_targets(struct project *p, const struct strvec *names, const struct checkout_opts *o,
		     struct checkout_result *r, struct err *e)
{
	struct dselection sel = { 0 };
	struct targets t = { 0 };
	bool all = !names || !names->n;
	struct index *x = NULL;
	int rc = -1;

	if (resolve(p, names, o, &x, &t, e) || (all && remove_unused(p, x, r, e)))
		goto undo;
	dselect_targets(&sel, x, all ? NULL : &t);
	for (size_t i = 0; i < sel.n; i++)
		if (partial_is(sel.v[i].out))
			partial_recall(p, sel.v[i].out);
	rc = checkout_selection(p, &sel, o, r, e);
undo:
	dselection_release(&sel);
	targets_release(&t);
	return rc;
}

int checkout_out(struct project *p, struct item *out, const char *inside, const struct checkout_opts *o,
		 struct checkout_result *r, struct err *e)
{
	struct dselection sel = { 0 };
	int rc;

	dselect_out(&sel, out, inside);
	rc = checkout_selection(p, &sel, o, r, e);
	dselection_release(&sel);
	return rc;
}

int checkout_error(struct project *p, const struct checkout_result *r, struct err *e)
{
	autostr struct str list = STR_INIT;

	for (size_t i = 0; i < r->failed.n; i++) {
		autofree char *shown = repo_show(p->repo, r->failed.v[i]);

		str_addf(&list, "%s\n", shown);
	}
	return err_set(e, ERR_FAIL, "Checkout failed for following targets:\n%sIs your cache up to date?\n"
		       "<https://error.dvc.org/missing-files>", str_cstr(&list));
}

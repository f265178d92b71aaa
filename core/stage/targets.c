/*
 * Targets as DVC resolves them (format notes 5.4): a stage of ./dvc.yaml, then a stage file, then an output.
 */
#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/repo/repo.h"
#include "core/repo/srctree.h"
#include "core/stage/dvcyaml.h"
#include "core/stage/index.h"
#include "core/stage/template.h"

#include <fnmatch.h>

void targets_release(struct targets *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i].inside);
	free(t->v);
	*t = (struct targets){ NULL, 0, 0 };
}

static void add_target(struct targets *t, struct stage *s, struct item *out, const char *inside)
{
	GROW(t->v, t->n, t->cap);
	t->v[t->n++] = (struct target){ s, out, xstrdup(inside) };
}

bool target_is_stage_file(const char *path)
{
	return str_ends(path, ".dvc") || !strcmp(path_base(path), "dvc.yaml");
}

/* The colon before a stage's name: the last one, unless a separator follows it. */
static const char *name_colon(const char *text, size_t n)
{
	for (size_t i = n; i--;) {
		if (text[i] == '/' || text[i] == '\\')
			return NULL;
		if (text[i] == ':')
			return text + i;
	}
	return NULL;
}

int target_parse(const char *target, char **file, char **name, struct err *e)
{
	const char *at = strchr(target, '@'), *colon;
	size_t group = at ? (size_t)(at - target) : strlen(target);
	autofree char *path = NULL, *stage = NULL;

	*file = *name = NULL;
	colon = name_colon(target, group);
	path = xstrndup(target, colon ? (size_t)(colon - target) : group);
	if (colon && colon + 1 < target + group)
		stage = xasprintf("%.*s%s", (int)(target + group - colon - 1), colon + 1, at && at[1] ? at : "");
	if (*path && !strcmp(path_base(path), "dvc.lock")) {
		const char *lock = strstr(target, ".lock");

		return err_set(e, ERR_FAIL, "Did you mean: `%.*s.yaml%s`?", (int)(lock - target), target, lock + 5);
	}
	if (!*target)
		return 0;
	if (*path && !stage) {
		*(target_is_stage_file(target) ? file : name) = xstrdup(target);
		return 0;
	}
	*file = *path ? take(path) : xstrdup("dvc.yaml");
	*name = take(stage);
	return 0;
}

/* One resolution. */
struct seek {
	struct index *x;
	unsigned flags;
	struct targets *out;
	bool checked;                   /* the graph of the whole index was found sound */
};

static int need_whole(struct seek *s, struct err *e)
{
	if (index_load_rest(s->x, s->x->lenient ? INDEX_SKIP_BROKEN : 0, e))
		return -1;
	if (!s->checked && index_check_graph(s->x, e))
		return -1;
	s->checked = true;
	return 0;
}

/* A stage file the user named: DVC's complaints in DVC's order. shown is the name it would print. name: of the stage that
 * is meant, or NULL. */
static int open_named(struct seek *s, const char *rel, const char *shown, const char *name, struct err *e)
{
	struct tmpl_want w = {
		.name = name, .group = !(s->flags & TARGET_NO_GROUP),
		.glob = (s->flags & TARGET_GLOB) && (s->flags & TARGET_STAGES_ONLY),
	};
	struct srctree *t = s->x->tree;
	autofree char *within = NULL;

	/* Of a commit the root is git's. */
	if (!srctree_is_workspace(t) && *shown == '/' && s->x->repo->scm_root) {
		autofree char *abs = path_join(s->x->repo->root, rel), *below = path_rel(abs, s->x->repo->scm_root);

		shown = within = xasprintf("/%s", below);
	}
	if (srctree_is_ignored(t, rel, false))
		return err_set(e, ERR_NOTFOUND, "'%s' is dvc-ignored", shown);
	if (!srctree_is_file(t, rel) && !srctree_is_dir(t, rel))
		return err_set(e, ERR_NOTFOUND, "'%s' does not exist", shown);
	if (!target_is_stage_file(rel)) {
		autofree char *nice = repo_show(s->x->repo, rel);

		return err_set(e, ERR_FAIL, "bad DVC file name '%s'. DVC files should be named 'dvc.yaml' or have a "
			       "'.dvc' suffix (e.g. '%s.dvc').", nice, path_base(rel));
	}
	if (srctree_is_dir(t, rel))
		return err_set(e, ERR_FAIL, "'%s' is not a .dvc file", shown);
	if (srctree_is_workspace(t) && index_git_ignored(s->x, rel, false)) {
		autofree char *nice = repo_show(s->x->repo, rel);

		return err_set(e, ERR_FAIL, "bad DVC file name '%s' is git-ignored.", nice);
	}
	return index_load_file(s->x, rel, name ? &w : NULL, e);
}

/* Of a file outside of the repository that is not there, DVC says just that. */
static void say_absent(struct seek *s, const char *file, struct err *e)
{
	autofree char *full = path_join(s->x->repo->cwd, file), *abs = path_norm(full);

	if (fs_exists(abs))
		return;
	err_release(e);
	err_set(e, ERR_NOTFOUND, "'%s' does not exist", abs);
}

/* Root-relative name and DVC's way to print it: the bare "dvc.yaml" stays, all else is absolute. */
static char *locate(struct seek *s, const char *file, char **shown, struct err *e)
{
	char *rel = repo_rel(s->x->repo, file ? file : "dvc.yaml", e);

	if (!rel && file)
		say_absent(s, file, e);
	*shown = rel ? file ? repo_abs(s->x->repo, rel) : xstrdup("dvc.yaml") : NULL;
	return rel;
}

static bool matches(const struct seek *s, const struct stage *st, const char *name)
{
	if (!name)
		return true;
	if (st->kind == STAGE_SINGLE)
		return true;
	if (st->group && !(s->flags & TARGET_NO_GROUP) && !strcmp(st->group, name))
		return true;
	if ((s->flags & TARGET_GLOB) && (s->flags & TARGET_STAGES_ONLY))
		return !fnmatch(name, st->name, 0);
	return !strcmp(st->name, name);
}

/* Stages of one file that carry the name. 1 when there are none, with DVC's error. */
static int take_stages(struct seek *s, const char *file, const char *name, struct err *e)
{
	autofree char *shown = NULL, *rel = locate(s, file, &shown, e);
	size_t before = s->out->n;
	bool any = false;

	if (!rel || open_named(s, rel, shown, name, e))
		return -1;
	for (size_t i = 0; i < s->x->n; i++) {
		struct stage *st = s->x->v[i];

		if (strcmp(st->file, rel))
			continue;
		any = true;
		if (matches(s, st, name))
			add_target(s->out, st, NULL, NULL);
	}
	if (any && name && str_ends(rel, ".dvc"))
		notice(NOTICE_WARN, "Ignoring name '%s' for single stage in 'SingleStageFile: %s'.", name, rel);
	if (s->out->n == before && name && !(s->flags & TARGET_GLOB && s->flags & TARGET_STAGES_ONLY)) {
		autofree char *nice = repo_show(s->x->repo, rel);

		if (!(s->flags & TARGET_NO_GROUP) && !str_ends(rel, ".dvc") &&
		    dvcyaml_has_group(s->x->repo, s->x->tree, rel, name))
			return 0;               /* a group without stages */
		err_set(e, ERR_FAIL, "Stage '%s' not found inside '%s' file", name, nice);
		return 1;
	}
	return 0;
}

/* Puts in place of the stages from 'from' on what they depend on, dependencies first. */
static int add_deps(struct seek *s, size_t from, struct err *e)
{
	struct index_graph g;
	struct targets named = { NULL, 0, 0 };
	autofree size_t *order = NULL;
	autofree bool *done = NULL;

	if (need_whole(s, e))
		return -1;
	order = xcalloc(s->x->n + 1, sizeof(*order));
	done = xcalloc(s->x->n + 1, sizeof(*done));
	for (size_t i = from; i < s->out->n; i++)
		add_target(&named, s->out->v[i].stage, NULL, NULL);
	s->out->n = from;
	index_graph_build(&g, s->x);
	for (size_t i = 0; i < named.n; i++) {
		size_t at = 0, n;

		while (at < s->x->n && s->x->v[at] != named.v[i].stage)
			at++;
		n = at < s->x->n ? index_graph_postorder(&g, at, order) : 0;
		for (size_t k = 0; k < n; k++) {
			if (!done[order[k]])
				add_target(s->out, s->x->v[order[k]], NULL, NULL);
			done[order[k]] = true;
		}
	}
	index_graph_release(&g);
	targets_release(&named);
	return 0;
}

/* Every stage whose file lies in the directory, dependencies first. */
static int take_inside(struct seek *s, const char *dir, struct err *e)
{
	struct index_graph g;
	autofree size_t *order = NULL;
	size_t n;

	if (need_whole(s, e))
		return -1;
	order = xcalloc(s->x->n + 1, sizeof(*order));
	index_graph_build(&g, s->x);
	n = index_graph_postorder(&g, SIZE_MAX, order);
	for (size_t i = 0; i < n; i++)
		if (path_is_inside(s->x->v[order[i]]->file, dir))
			add_target(s->out, s->x->v[order[i]], NULL, NULL);
	index_graph_release(&g);
	return 0;
}

static bool is_dir(const struct seek *s, const char *target)
{
	autoerr struct err none = ERR_INIT;
	autofree char *rel = repo_rel(s->x->repo, target, &none);

	return rel && (!*rel || srctree_is_dir(s->x->tree, rel));
}

/* 0 found, 1 no such output, -1 error. */
static int take_output(struct seek *s, const char *target, struct err *e)
{
	autoerr struct err outside = ERR_INIT;
	autofree char *rel = NULL;
	struct item *out;
	size_t n;

	if (need_whole(s, e))
		return -1;
	rel = repo_rel(s->x->repo, target, &outside);
	out = rel ? index_out_of(s->x, rel) : NULL;
	if (!out)
		return 1;
	n = strlen(out->path);
	add_target(s->out, out->stage, out, !strcmp(rel, out->path) ? NULL : n ? rel + n + 1 : rel);
	return 0;
}

/* DVC's collect(): names, files, directories with -R; no output paths. */
static int seek_stages(struct seek *s, const char *target, struct err *e)
{
	autofree char *file = NULL, *name = NULL;
	size_t from = s->out->n;

	if ((s->flags & TARGET_RECURSIVE) && is_dir(s, target)) {
		autofree char *rel = repo_rel(s->x->repo, target, e);

		return rel ? take_inside(s, rel, e) : -1;
	}
	if ((s->flags & TARGET_GLOB) && (s->flags & TARGET_STAGES_ONLY)) {
		const char *colon = strrchr(target, ':');

		file = colon && colon > target ? xstrndup(target, (size_t)(colon - target)) : xstrdup("dvc.yaml");
		name = xstrdup(colon ? colon + 1 : target);
	} else if (target_parse(target, &file, &name, e)) {
		return -1;
	}
	if (take_stages(s, file, name, e))
		return -1;
	return s->flags & TARGET_WITH_DEPS ? add_deps(s, from, e) : 0;
}

/* First step of collect_granular(): a stage of ./dvc.yaml, or a file that was named. 1: go on looking. */
static int seek_specific(struct seek *s, const char *target, const char *file, const char *name, struct err *e)
{
	autoerr struct err none = ERR_INIT;
	autofree char *here = NULL;
	size_t from = s->out->n;
	int rc;

	if (file)
		return s->flags & TARGET_WITH_DEPS || !target_is_stage_file(file) ? 1 : take_stages(s, file, name, e) ? -1 : 0;
	if ((s->flags & TARGET_RECURSIVE) && is_dir(s, target))
		return 1;
	here = repo_rel(s->x->repo, "dvc.yaml", &none);
	if (!here || !srctree_is_file(s->x->tree, here))
		return 1;
	rc = take_stages(s, NULL, target, &none);
	if (rc < 0) {
		err_move(e, &none);
		return -1;
	}
	if (rc || s->out->n == from)
		return 1;
	return s->flags & TARGET_WITH_DEPS ? add_deps(s, from, e) : 0;
}

/* "'x' does not exist as an output or a stage name in 'dvc.yaml'", with what was tried last behind it. */
static int fail_unknown(struct seek *s, const char *target, const char *file, struct err *e)
{
	autofree char *abs = NULL, *rel = NULL;
	autoerr struct err none = ERR_INIT;

	if (file && target_is_stage_file(file) && e->code == ERR_NOTFOUND)
		return -1;
	if (file)
		rel = repo_rel(s->x->repo, file, &none);
	if (rel)
		abs = e->code == ERR_NOTFOUND ? repo_abs(s->x->repo, rel) : repo_show(s->x->repo, rel);
	e->code = ERR_FAIL;
	return err_in(e, "'%s' does not exist as an output or a stage name in '%s'", target, abs ? abs : "dvc.yaml");
}

static int take_all(struct seek *s, struct err *e)
{
	if (index_load_rest(s->x, 0, e))
		return -1;
	for (size_t i = 0; i < s->x->n; i++)
		add_target(s->out, s->x->v[i], NULL, NULL);
	return 0;
}

static int seek_one(struct seek *s, const char *given, struct err *e)
{
	autofree char *target = xstrdup(given), *file = NULL, *name = NULL;
	int rc;

	if (!*given && !(s->flags & TARGET_NO_GROUP))
		return take_all(s, e);
	if (s->flags & TARGET_STAGES_ONLY)
		return seek_stages(s, given, e);
	for (char *p = target; *p; p++)
		if (*p == '\\')
			*p = '/';
	if (target_parse(target, &file, &name, e))
		return -1;
	rc = seek_specific(s, target, file, name, e);
	if (rc <= 0)
		return rc;
	if (!((s->flags & TARGET_RECURSIVE) && is_dir(s, target))) {
		rc = take_output(s, target, e);
		if (rc <= 0)
			return rc;
	}
	rc = seek_stages(s, target, e);
	if (rc && !e->report && (e->code == ERR_NOTFOUND || str_starts(e->msg, "Stage '")))
		return fail_unknown(s, target, file, e);
	return rc;
}

/* Output paths and names DVC would say were not found; a broken file is not that. */
static bool is_missing(const struct err *e)
{
	return !e->report && (e->code == ERR_NOTFOUND || (e->msg && strstr(e->msg, " does not exist as an output or")));
}

int index_targets(struct index *x, const struct strvec *names, unsigned flags, struct targets *out, struct err *e)
{
	struct seek s = { x, flags, out, false };
	autostrvec struct strvec expanded = STRVEC_INIT;

	if (!names || !names->n)
		return take_all(&s, e);
	if ((flags & TARGET_GLOB) && !(flags & TARGET_STAGES_ONLY)) {
		if (target_glob(names, &expanded, e))
			return -1;
		names = &expanded;
	}
	for (size_t i = 0; i < names->n; i++) {
		autoerr struct err why = ERR_INIT;

		if (!seek_one(&s, names->v[i], &why) || ((flags & TARGET_SKIP_MISSING) && is_missing(&why)))
			continue;
		err_move(e, &why);
		return -1;
	}
	return 0;
}

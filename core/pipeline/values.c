#include "core/pipeline/values.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/json.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"
#include "core/data/project.h"
#include "core/repo/gitrepo.h"
#include "core/repo/ignore.h"
#include "core/repo/repo.h"
#include "core/repo/srctree.h"
#include "core/stage/dvcyaml.h"
#include "core/stage/index.h"
#include "core/stage/params.h"
#include "core/stage/stage.h"

#include <ctype.h>
#include <dirent.h>

/* --- which files --- */

/* path -> list of keys (params; empty: the whole file), in DVC's order */
struct collect {
	struct project *p;
	struct srctree *tree;
	struct index *x;
	const struct values_opts *o;
	struct node *files;
	struct node *used;              /* of templates */
	struct tree *dir;               /* the manifest read last, of dir_id */
	struct oid dir_id;
};

static void want(struct collect *c, const char *path, const struct strvec *keys)
{
	struct node *have = node_get(c->files, path);

	if (!have) {
		node_set(c->files, path, node_seq());
		have = node_get(c->files, path);
		for (size_t i = 0; keys && i < keys->n; i++)
			node_push(have, node_str(keys->v[i]));
		if (!keys || !keys->n)
			node_push(have, node_null());   /* marks a file wanted whole */
		return;
	}
	if (have->n && have->v[0]->kind == NODE_NULL)
		return;
	if (!keys || !keys->n) {
		while (have->n)
			node_del_at(have, have->n - 1);
		node_push(have, node_null());
		return;
	}
	for (size_t i = 0; i < keys->n; i++)
		node_push(have, node_str(keys->v[i]));
}

static void want_items(struct collect *c)
{
	for (size_t i = 0; i < c->x->n; i++) {
		const struct stage *s = c->x->v[i];

		for (size_t k = 0; c->o->kind == VALUES_METRICS && k < s->nouts; k++)
			if (s->outs[k]->is_metric && s->outs[k]->path)
				want(c, s->outs[k]->path, NULL);
		for (size_t k = 0; c->o->kind == VALUES_PARAMS && k < s->ndeps; k++)
			if (s->deps[k]->kind == DEP_PARAMS && s->deps[k]->path)
				want(c, s->deps[k]->path, &s->deps[k]->params);
	}
}

static int want_top(const char *rel, void *data, struct err *e)
{
	struct collect *c = data;
	struct dvcyaml_top top = { NULL, NULL, NULL, NULL, NULL };
	const struct node *list;
	autofree char *dir = path_dir(rel);

	if (strcmp(path_base(rel), "dvc.yaml"))
		return 0;
	if (dvcyaml_load_top(c->p->repo, c->tree, rel, &top, e))
		return -1;
	list = c->o->kind == VALUES_METRICS ? top.metrics : top.params;
	for (size_t i = 0; node_is(list, NODE_SEQ) && i < list->n; i++) {
		autofree char *joined = NULL;
		autofree char *norm = NULL;

		if (list->v[i]->kind != NODE_STR)
			continue;
		joined = *dir ? path_join(dir, list->v[i]->text) : xstrdup(list->v[i]->text);
		norm = path_norm(joined);
		want(c, norm, NULL);
	}
	dvcyaml_top_release(&top);
	return 0;
}

static bool is_output(const char *rel_dir, void *data)
{
	struct collect *c = data;

	return index_out_at(c->x, rel_dir) != NULL;
}

static int collect_files(struct collect *c, struct err *e)
{
	const struct repo *r = c->p->repo;

	for (size_t i = 0; c->o->targets && i < c->o->targets->n; i++) {
		const char *target = c->o->targets->v[i];
		bool below_root = c->o->kind == VALUES_PARAMS && *target != '/';        /* else below where the user stands */
		autofree char *abs = below_root ? xstrdup(target) : path_abs(target), *norm = path_norm(abs);
		autofree char *path = below_root ? take(norm) : path_rel(norm, r->root);

		want(c, strcmp(path, ".") ? path : "", NULL);
	}
	if (c->files->n)
		return 0;
	want_items(c);
	if (c->o->deps_only)
		return 0;
	if (srctree_find_stages(c->tree, "", want_top, is_output, c, e))
		return -1;
	if (c->o->kind == VALUES_PARAMS && srctree_is_file(c->tree, "params.yaml"))
		want(c, "params.yaml", NULL);
	return 0;
}

/* --- reading --- */

static struct node *error_node(const char *type, const char *fmt, const char *path)
{
	struct node *n = node_map(), *e = node_map();
	autofree char *msg = xasprintf(fmt, path);

	node_set(e, "type", node_str(type));
	node_set(e, "msg", node_str(msg));
	node_set(n, "error", e);
	return n;
}

/* An error as DVC's JSON names it. */
static struct node *error_value(const struct err *why, const char *what)
{
	static const struct { const char *mark, *type; } known[] = {
		{ "YAML file structure is corrupted", "YAMLFileCorruptedError" },
		{ "JSON file structure is corrupted", "JSONFileCorruptedError" },
		{ "TOML file structure is corrupted", "TOMLFileCorruptedError" },
		{ "Python file structure is corrupted", "PythonFileCorruptedError" },
		{ "is not valid utf-8", "EncodingError" },
		{ " validation failed", "YAMLValidationError" }, { "failed to parse ", "ResolveError" },
		{ "failed to resolve ", "ResolveError" },
	};
	const char *type = "DvcException";
	struct node *n = node_map();

	for (size_t i = ARRAY_LEN(known); i--;)
		if (strstr(what, known[i].mark))
			type = known[i].type;
	if (why->report && str_starts(what, "unable to read: "))
		type = "YAMLSyntaxError";
	node_set(n, "type", node_str(type));
	node_set(n, "msg", node_str(what));
	return n;
}

static struct node *absent(const char *path)
{
	return error_node("FileNotFoundError", "[Errno 2] No such file or directory: '%s'", path);
}

/* The object of a tracked file, or of a file in a tracked directory. */
static int find_object(struct collect *c, const char *rel, struct oid *out, struct store **store, struct err *e)
{
	struct item *i = index_out_of(c->x, rel);
	const struct tree_entry *te;
	struct oid dir;

	if (!i || !i->cache || !hashinfo_oid(&i->hash, &dir) || project_store_of(c->p, i, store, e))
		return -1;
	if (!dir.is_dir) {
		*out = dir;
		return strcmp(i->path, rel) ? -1 : 0;
	}
	if (!c->dir || !oid_eq(&c->dir_id, &dir)) {
		tree_free(take(c->dir));
		if (tree_load(&c->dir, *store, &dir, e))
			return -1;
		c->dir_id = dir;
	}
	te = strlen(rel) > strlen(i->path) ? tree_find(c->dir, rel + strlen(i->path) + (*i->path != 0)) : NULL;
	if (te)
		*out = te->id;
	return te ? 0 : -1;
}

static bool read_text(struct collect *c, const char *rel, struct str *out)
{
	autoerr struct err none = ERR_INIT;
	autoclose int fd = -1;
	struct store *store = NULL;
	struct oid id;

	if (srctree_is_file(c->tree, rel))
		return !srctree_read(c->tree, rel, PARAMS_MAX, out, &none);
	if (find_object(c, rel, &id, &store, &none) || store_read(store, &id, &fd, &none))
		return false;
	return !fs_read_fd(out, fd, PARAMS_MAX, rel, &none);
}

/* What counts as a metric: numbers, texts and booleans, and maps of them. NULL: nothing. */
static struct node *extract(const struct node *n)
{
	struct node *m;

	if (n->kind == NODE_INT || n->kind == NODE_FLOAT || n->kind == NODE_STR || n->kind == NODE_BOOL)
		return node_copy(n);
	if (n->kind != NODE_MAP)
		return NULL;
	m = node_map();
	for (size_t i = 0; i < n->n; i++) {
		struct node *v = extract(n->v[i]);

		if (v && (v->kind != NODE_MAP || v->n))
			node_set_node(m, node_copy(n->k[i]), v);
		else
			node_free(v);
	}
	return m;
}

static const char *corrupted_type(const char *why)
{
	switch (*why) {
	case 'i': return "EncodingError";
	case 'J': return "JSONFileCorruptedError";
	case 'T': return "TOMLFileCorruptedError";
	case 'P': return "PythonFileCorruptedError";
	default: return "YAMLFileCorruptedError";
	}
}

/* DVC's way to put the chosen parameters together fails at a Python tuple or set, wherever it is in them. */
static const struct node *unmergeable(const struct node *n)
{
	const struct node *found = n->kind == NODE_SEQ && (n->is_set || n->is_tuple) && n->n ? n : NULL;

	for (size_t i = 0; !found && n->kind >= NODE_SEQ && i < n->n; i++)
		found = unmergeable(n->v[i]);
	return found;
}

static struct node *parse_values(enum values_kind kind, const char *path, const struct str *text,
				 const struct node *keys)
{
	autoerr struct err why = ERR_INIT;
	autonode struct node *doc = NULL;
	struct node *n, *v;

	if (params_parse(&doc, path, str_cstr(text), text->len, &why)) {
		const char *how = str_is_utf8(str_cstr(text), text->len) ? params_corrupted(path) : "is not valid utf-8";
		autofree char *fmt = xasprintf("unable to read: '%%s', %s", how);
		autofree char *abs = xasprintf("/%s", path);
		autofree char *cwd = path_abs(".");
		autofree char *shown = path_rel(abs, cwd);     /* as DVC shows it: from its own root */

		return error_node(corrupted_type(how), fmt, shown);
	}
	if (kind == VALUES_METRICS) {
		v = extract(doc);
		if (!v || !node_truthy(v)) {
			node_free(v);
			v = node_map();
		}
	} else if (keys && keys->n && keys->v[0]->kind == NODE_STR) {
		autofree char **names = xcalloc(keys->n, sizeof(*names));

		for (size_t i = 0; i < keys->n; i++)
			names[i] = keys->v[i]->text;
		v = params_select(doc, names, keys->n);
		if (unmergeable(v)) {
			node_free(v);
			return error_node("TypeError", "'%s' holds a tuple or a set", path);
		}
	} else {
		v = take(doc);
	}
	n = node_map();
	node_set(n, "data", v);
	return n;
}

/* An output, or a file that the manifest of one names: it is only its content that is nowhere. */
static bool is_stored(struct collect *c, const char *rel)
{
	autoerr struct err none = ERR_INIT;
	const struct item *i = index_out_at(c->x, rel);
	struct store *store;
	struct oid id;

	return i ? i->cache : !find_object(c, rel, &id, &store, &none);
}

/* DVC's view of a repository has nothing above its root: '..' stays there. */
static const char *inside_root(const char *rel)
{
	while (str_starts(rel, "../"))
		rel += 3;
	return strcmp(rel, "..") ? rel : "";
}

/* 'shown': the name as it was asked for, which may lead out of the root. */
static void read_file(struct collect *c, struct node *data, const char *shown, const struct node *keys)
{
	const char *rel = inside_root(shown);
	autostr struct str text = STR_INIT;

	if (read_text(c, rel, &text))
		node_set(data, shown, parse_values(c->o->kind, shown, &text, keys));
	else
		node_set(data, shown, is_stored(c, rel) ?
			 error_node("FileNotFoundError", "[Errno 2] No storage files available: '%s'", shown) :
			 absent(shown));
}

/* What DVC shows of nobody's data: its own files, and what is ignored. */
static bool is_hidden(struct ignore *g, const char *base, const char *name, bool is_dir)
{
	autofree char *rel = *base && strcmp(base, ".") ? path_join(base, name) : xstrdup(name);
	const char *last = path_base(name);

	if (str_starts(rel, ".dvc/"))
		return true;
	if (!is_dir && (str_ends(last, ".dvc") || !strcmp(last, "dvc.yaml") || !strcmp(last, ".dvcignore")))
		return true;
	return g && ignore_is(g, rel, is_dir);
}

/* Names of all files below, sorted. */
static void list_files(struct ignore *g, const char *base, const char *abs, const char *rel, struct strvec *out, int depth)
{
	DIR *d = opendir(abs);
	struct dirent *de;

	while (d && depth < 64 && (de = readdir(d))) {
		autofree char *path = path_join(abs, de->d_name);
		autofree char *name = *rel ? path_join(rel, de->d_name) : xstrdup(de->d_name);

		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		if (is_hidden(g, base, name, fs_is_dir(path)))
			continue;
		if (fs_is_dir(path))
			list_files(g, base, path, name, out, depth + 1);
		else
			strvec_push(out, name);
	}
	if (d)
		closedir(d);
	strvec_sort(out);
}

/* A directory that is declared or named stands for every file in it. */
static void read_dir(struct collect *c, struct node *data, const char *shown, const struct node *keys)
{
	const char *rel = inside_root(shown);
	autofree char *abs = repo_abs(c->p->repo, rel);
	autostrvec struct strvec names = STRVEC_INIT;
	struct item *i = index_out_at(c->x, rel);
	struct oid id;

	if (srctree_is_workspace(c->tree) && fs_is_dir(abs)) {
		autoerr struct err none = ERR_INIT;
		struct ignore *g = NULL;

		if (repo_ignore(c->p->repo, &g, &none))
			g = NULL;
		list_files(g, rel, abs, "", &names, 0);
	} else if (!srctree_is_workspace(c->tree) && srctree_is_dir(c->tree, rel)) {
		autoerr struct err none = ERR_INIT;

		if (srctree_list(c->tree, rel, &names, &none))
			strvec_release(&names);
	} else if (i && hashinfo_oid(&i->hash, &id) && id.is_dir) {
		autoerr struct err none = ERR_INIT;
		struct store *store;
		struct tree *t = NULL;

		if (!project_store_of(c->p, i, &store, &none) && !tree_load(&t, store, &id, &none))
			for (size_t k = 0; k < t->n; k++)
				strvec_push(&names, t->e[k].path);
		tree_free(t);
	}
	for (size_t k = 0; k < names.n; k++) {
		autofree char *path = path_join(shown, names.v[k]);

		if (!is_hidden(NULL, rel, names.v[k], false))
			read_file(c, data, path, keys);
	}
}

static bool stands_for_dir(struct collect *c, const char *shown)
{
	const char *rel = inside_root(shown);
	struct item *i = index_out_at(c->x, rel);

	if (srctree_is_file(c->tree, rel))
		return false;
	return srctree_is_dir(c->tree, rel) || (i && i->cache && hashinfo_is_dir(&i->hash));
}

static int add_used(const char *rel, void *data, struct err *e)
{
	struct collect *c = data;

	if (strcmp(path_base(rel), "dvc.yaml"))
		return 0;
	return dvcyaml_add_used_values(c->p->repo, c->tree, rel, c->used, e);
}

/* What templates use counts as parameters too, of files that are none otherwise. */
static int add_vars(struct collect *c, struct node *data, struct err *e)
{
	autonode struct node *used = node_map();
	int rc;

	c->used = used;
	rc = srctree_find_stages(c->tree, "", add_used, is_output, c, e);
	for (size_t i = 0; !rc && i < used->n; i++) {
		struct node *file;

		if (node_get(data, used->k[i]->text))
			continue;
		file = node_map();
		node_set(file, "data", node_copy(used->v[i]));
		node_set(data, used->k[i]->text, file);
	}
	return rc;
}

/* An error in one line, without its cause or the drawing of the place: what DVC warns of. */
static char *brief(const char *msg)
{
	static const char unexpected[] = "unexpected error";
	static const char *const causes[] = { "file structure is corrupted", "is not valid utf-8" };
	static const char invalid[] = "' is invalid", failed[] = "' validation failed";
	autofree char *line = xstrndup(msg, strcspn(msg, "\n"));
	char *p;

	if (str_starts(msg, unexpected)) {
		msg += strlen(unexpected);
		return xstrdup(str_starts(msg, " - ") ? msg + 3 : msg);
	}
	for (size_t i = 0; i < ARRAY_LEN(causes); i++)
		if ((p = strstr(line, causes[i]))) {
			p[strlen(causes[i])] = 0;
			return take(line);
		}
	if ((p = strstr(line, invalid)) && line[0] == '\'') {
		*p = 0;
		return xasprintf("unable to read: '%s', YAML file structure is corrupted",
				 line + (str_starts(line, "'./") ? 3 : 1));
	}
	if (line[0] == '\'' && (p = strstr(line, failed))) {
		char *colon = strchr(p, ':');

		if (colon && !isdigit((unsigned char)colon[2]))
			*colon = 0;
		else if (str_ends(line, "."))
			line[strlen(line) - 1] = 0;
		return take(line);
	}
	return xstrdup(msg);
}

static int gather(struct project *p, struct srctree *t, const struct values_opts *o, struct node **out, struct err *e)
{
	struct collect c = { .p = p, .tree = t, .o = o, .files = node_map() };
	struct node *data = node_map();
	bool own = !srctree_is_workspace(t);
	autoerr struct err why = ERR_INIT;
	int rc = -1;

	if (srctree_is_workspace(t) ? project_index(p, &c.x, &why) : index_load(&c.x, p->repo, t, 0, &why)) {
		if (!o->targets || !o->targets->n || why.code == ERR_INTR) {
			err_move(e, &why);
			goto undo;
		}
		c.x = index_new(p->repo, t);    /* what is named may be there all the same */
		own = true;
	}
	if (collect_files(&c, e))
		goto undo;
	for (size_t i = 0; i < c.files->n; i++) {
		const char *rel = c.files->k[i]->text;

		if (why.code && !srctree_is_file(t, inside_root(rel))) {
			autofree char *what = brief(why.msg);
			struct node *failed = node_map();

			node_set(failed, "error", error_value(&why, what));
			node_set(data, rel, failed);
		} else if (stands_for_dir(&c, rel)) {
			read_dir(&c, data, rel, c.files->v[i]);
		} else {
			read_file(&c, data, rel, c.files->v[i]);
		}
	}
	if (o->kind == VALUES_PARAMS && (!o->targets || !o->targets->n) && add_vars(&c, data, e))
		goto undo;
	*out = node_map();
	node_set(*out, "data", take(data));
	rc = 0;
undo:
	node_free(data);
	node_free(c.files);
	tree_free(c.dir);
	if (own)
		index_free(c.x);
	return rc;
}

/* --- revisions --- */

static void add_result(struct project *p, struct srctree *t, const char *rev, const struct values_opts *o,
		       struct node *all)
{
	autoerr struct err why = ERR_INIT;
	struct node *one = NULL;

	if (gather(p, t, o, &one, &why)) {
		autofree char *what = brief(why.msg);

		notice(NOTICE_WARN, "failed to load %s in revision '%s', %s",
		       o->kind == VALUES_METRICS ? "metrics" : "params", rev, what);
		one = node_map();
		node_set(one, "error", error_value(&why, what));
	}
	node_set(all, rev, one);
}

static void add_ref(struct git_refs *all, const char *name, const char *sha)
{
	GROW(all->v, all->n, all->cap);
	all->v[all->n].name = xstrdup(name);
	snprintf(all->v[all->n].sha, sizeof(all->v[all->n].sha), "%s", sha);
	all->n++;
}

static int list_revs(struct gitrepo *g, const struct values_opts *o, struct git_refs *all, struct err *e)
{
	const char *named[] = { o->a_rev, o->b_rev };

	for (size_t i = 0; i < 2; i++) {
		char sha[41];

		if (!named[i] || !strcmp(named[i], "workspace"))
			continue;
		if (gitrepo_resolve(g, named[i], sha, e))
			return -1;
		add_ref(all, named[i], sha);
	}
	for (int k = 0; k < 3; k++) {
		struct git_refs some = { NULL, 0, 0 };
		int rc = 0;

		if (k == 0 && o->all_commits)
			rc = gitrepo_all_commits(g, &some, e);
		else if (k == 1 && o->all_branches && !o->all_commits)
			rc = gitrepo_branches(g, &some, e);
		else if (k == 2 && o->all_tags && !o->all_commits)
			rc = gitrepo_tags(g, &some, e);
		for (size_t i = 0; !rc && i < some.n; i++)
			add_ref(all, k == 0 || !some.v[i].name ? some.v[i].sha : some.v[i].name, some.v[i].sha);
		git_refs_release(&some);
		if (rc)
			return -1;
	}
	return 0;
}

static char *names_of(const struct git_refs *refs, size_t i)
{
	autostrvec struct strvec names = STRVEC_INIT;

	for (size_t k = i; k < refs->n; k++)
		if (!strcmp(refs->v[k].sha, refs->v[i].sha) && !strvec_has(&names, refs->v[k].name))
			strvec_push(&names, refs->v[k].name);
	return strvec_join(&names, ",");
}

static int add_commits(struct project *p, const struct values_opts *o, struct node *all, struct err *e)
{
	struct git_refs refs = { NULL, 0, 0 };
	struct gitrepo *g = NULL;
	int rc = repo_git(p->repo, &g, e);

	if (!rc && !g)
		rc = err_set(e, ERR_FAIL, "Only supported for Git repositories. If you're seeing this error in a Git "
			     "repo, try updating the DVC configuration with `dvc config core.no_scm false`.");
	if (!rc)
		rc = list_revs(g, o, &refs, e);
	for (size_t i = 0; !rc && i < refs.n; i++) {
		autofree char *name = NULL;
		struct srctree *t = NULL;
		bool seen = false;

		for (size_t k = 0; k < i; k++)
			seen |= !strcmp(refs.v[k].sha, refs.v[i].sha);
		if (seen)
			continue;
		name = names_of(&refs, i);
		rc = srctree_rev(&t, p->repo, refs.v[i].sha, e);
		if (!rc)
			add_result(p, t, name, o, all);
		srctree_close(t);
	}
	git_refs_release(&refs);
	return rc;
}

static char *active_branch(struct repo *r)
{
	autofree char *dir = r->scm_root ? git_find_dir(r->scm_root) : NULL;
	autofree char *head = dir ? path_join(dir, "HEAD") : NULL;
	autostr struct str s = STR_INIT;
	autoerr struct err none = ERR_INIT;

	if (!head || fs_read(&s, head, 65536, &none) || !str_starts(str_cstr(&s), "ref: refs/heads/"))
		return NULL;
	return str_trim_dup(s.buf + strlen("ref: refs/heads/"));
}

int values_show(struct project *p, const struct values_opts *o, struct node **out, struct err *e)
{
	bool revs = o->all_branches || o->all_tags || o->all_commits || o->a_rev || o->b_rev;
	autonode struct node *all = node_map();
	struct srctree *work;

	if (project_workspace(p, &work, e))
		return -1;
	add_result(p, work, revs ? "workspace" : "", o, all);
	if (revs && add_commits(p, o, all, e))
		return -1;
	if (o->hide_workspace) {
		autofree char *branch = active_branch(p->repo);
		const struct node *b = branch ? node_get(all, branch) : NULL, *w = node_get(all, "workspace");

		if (b && w && !values_failed(w) && node_equal(b, w))
			node_del(all, "workspace");
	}
	*out = take(all);
	return 0;
}

bool values_failed(const struct node *rev)
{
	const struct node *data = node_get(rev, "data");

	if (node_get(rev, "error"))
		return true;
	for (size_t i = 0; data && i < data->n; i++)
		if (node_get(data->v[i], "error"))
			return true;
	return false;
}

/* --- differences --- */

static void flatten_into(struct node *out, const char *prefix, const struct node *n)
{
	for (size_t i = 0; i < n->n; i++) {
		autostr struct str key = STR_INIT;

		if (*prefix)
			str_addf(&key, "%s.", prefix);
		node_py_str(&key, n->k[i]);
		if (n->v[i]->kind == NODE_MAP) {
			flatten_into(out, str_cstr(&key), n->v[i]);
		} else if (n->v[i]->kind == NODE_SEQ && !n->v[i]->is_tuple) {
			autostr struct str text = STR_INIT;

			node_py_str(&text, n->v[i]);
			node_set(out, str_cstr(&key), node_str(str_cstr(&text)));
		} else {
			node_set(out, str_cstr(&key), node_copy(n->v[i]));
		}
	}
}

struct node *values_flatten(const struct node *data)
{
	struct node *out = node_map();

	if (node_is(data, NODE_MAP))
		flatten_into(out, "", data);
	else if (data)
		node_set(out, "", node_copy(data));
	return out;
}

static bool is_number(const struct node *n)
{
	return n->kind == NODE_INT || n->kind == NODE_FLOAT || n->kind == NODE_BOOL;
}

static double as_double(const struct node *n)
{
	return n->kind == NODE_FLOAT ? n->f : n->kind == NODE_BOOL ? n->b : n->fits ? (double)n->i : strtod(n->text, NULL);
}

/* Up to 37 digits, which is beyond what any counter holds. */
static bool as_wide(const struct node *n, __int128 *out)
{
	const char *p = n->text;
	bool neg;

	*out = n->kind == NODE_BOOL ? n->b : n->i;
	if (n->kind == NODE_BOOL || n->fits)
		return true;
	neg = *p == '-';
	p += neg;
	if (strlen(p) > 37)
		return false;
	for (*out = 0; *p; p++)
		*out = *out * 10 + (*p - '0');
	*out = neg ? -*out : *out;
	return true;
}

static struct node *wide_node(__int128 v)
{
	char text[48], *p = text + sizeof(text);
	bool neg = v < 0;

	*--p = 0;
	do
		*--p = '0' + (char)(neg ? -(v % 10) : v % 10);
	while (v /= 10);
	if (neg)
		*--p = '-';
	return node_int_text(p);
}

static struct node *subtract(const struct node *a, const struct node *b)
{
	__int128 x, y;

	if (a->kind == NODE_FLOAT || b->kind == NODE_FLOAT)
		return node_float(as_double(a) - as_double(b));
	if (as_wide(a, &x) && as_wide(b, &y))
		return wide_node(x - y);
	return node_equal(a, b) ? node_int(0) : node_float(as_double(a) - as_double(b));
}

static void diff_values(struct node *out, const char *key, const struct node *old, const struct node *new, bool all)
{
	autonode struct node *none = node_null();
	struct node *d;

	old = old ? old : none;
	new = new ? new : none;
	if (!all && node_equal(old, new))
		return;
	d = node_map();
	node_set(d, "old", node_copy(old));
	node_set(d, "new", node_copy(new));
	if (is_number(old) && is_number(new))
		node_set(d, "diff", subtract(new, old));
	node_set(out, key, d);
}

static const struct node *data_of(const struct node *rev, const char *path)
{
	return node_get(node_get(node_get(rev, "data"), path), "data");
}

/* A text that is a whole file counts as what it says as JSON. */
static struct node *scalar_of(const struct node *n)
{
	autoerr struct err none = ERR_INIT;
	struct node *v = NULL;

	if (node_is(n, NODE_STR) && !json_parse(&v, n->text, n->len, "", &none))
		return v;
	return n ? node_copy(n) : node_map();
}

static struct node *diff_file(const struct node *old_raw, const struct node *new_raw, bool all)
{
	autonode struct node *old = scalar_of(old_raw), *new = scalar_of(new_raw);
	autonode struct node *unread = node_str("unable to parse");
	autonode struct node *a = values_flatten(old), *b = values_flatten(new);
	const struct node *no_a = NULL, *no_b = NULL;
	struct node *out = node_map();

	/* A file of keys in one place and of a value in the other: the value answers for every key. */
	if (old->kind == NODE_MAP && new->kind != NODE_MAP) {
		node_del(b, "");
		no_b = node_truthy(new) ? unread : NULL;
	}
	if (new->kind == NODE_MAP && old->kind != NODE_MAP) {
		node_del(a, "");
		no_a = node_truthy(old) ? unread : NULL;
	}
	for (size_t i = 0; i < a->n; i++) {
		const struct node *v = node_get(b, a->k[i]->text);

		diff_values(out, a->k[i]->text, a->v[i], v ? v : no_b, all);
	}
	for (size_t i = 0; i < b->n; i++)
		if (!node_get(a, b->k[i]->text))
			diff_values(out, b->k[i]->text, no_a, b->v[i], all);
	return out;
}

struct node *values_diff(const struct node *result, const char *a, const char *b, bool all)
{
	const struct node *revs[2] = { node_get(result, a), node_get(result, b) };
	struct node *out = node_map();

	for (int k = 0; k < 2; k++) {
		const struct node *data = node_get(revs[k], "data");

		for (size_t i = 0; data && i < data->n; i++) {
			const char *path = data->k[i]->text;
			struct node *d;

			if (node_get(out, path) || (k && node_get(node_get(revs[0], "data"), path)))
				continue;
			d = diff_file(data_of(revs[0], path), data_of(revs[1], path), all);
			if (d->n)
				node_set(out, path, d);
			else
				node_free(d);
		}
	}
	return out;
}

#include "core/data/listing.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/own.h"
#include "core/cache/store.h"
#include "core/data/clone.h"
#include "core/data/dindex.h"
#include "core/data/partial.h"
#include "core/data/project.h"
#include "core/data/remote.h"
#include "core/repo/config.h"
#include "core/repo/configobj.h"
#include "core/repo/configschema.h"
#include "core/repo/gitrepo.h"
#include "core/repo/ignore.h"
#include "core/repo/repo.h"
#include "core/repo/srctree.h"
#include "core/stage/index.h"
#include "core/stage/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_MAX (4u << 20)

struct listing {
	struct repo *repo;              /* where nobody said init: 'plain', only files and ignore rules */
	bool plain;
	struct project *p;
	struct gitrepo *git;            /* the repository's */
	struct gittree *tree;           /* a revision; NULL: the work tree */
	struct srctree *src;
	struct index *x;
	struct dindex *outs;            /* every output, no members */
	struct map members;             /* output's path: dindex of it */
	char *root, *cwd, *prefix;      /* prefix: of root inside the git tree, "" or "sub/" */
	char *within;                   /* of root inside the repository that was asked for: "" or "sub/" */
	char *typed;                    /* the path asked for */
	struct clone clone;             /* of what is not a directory here */
};

void ls_entry_release(struct ls_entry *e)
{
	free(e->name);
	free(e->hash);
	memset(e, 0, sizeof(*e));
}

void ls_entries_release(struct ls_entries *l)
{
	for (size_t i = 0; i < l->n; i++)
		ls_entry_release(&l->v[i]);
	free(l->v);
	memset(l, 0, sizeof(*l));
}

static void members_free(void *d)
{
	dindex_free(d);
}

void listing_close(struct listing *l)
{
	if (!l)
		return;
	map_release(&l->members, members_free);
	dindex_free(l->outs);
	if (l->src)
		index_free(l->x);
	srctree_close(l->src);
	gittree_close(l->tree);
	project_free(l->p);
	repo_close(l->repo);
	free(l->root);
	free(l->cwd);
	free(l->prefix);
	free(l->within);
	free(l->typed);
	clone_release(&l->clone);
	free(l);
}

/* ---- opening ---- */

static int open_tree(struct listing *l, const char *rev, struct err *e)
{
	autofree char *scm = git_find_root(l->root);
	char sha[41];

	if (!scm)
		return err_set(e, ERR_FAIL, "%s is not a git repository", l->root);
	if (repo_git(l->repo, &l->git, e))
		return -1;
	if (!l->git)
		return err_set(e, ERR_FAIL, "SCM error: '%s' is not a git repository", l->root);
	if (gitrepo_resolve(l->git, rev, sha, e) || gittree_open(&l->tree, l->git, sha, e))
		return -1;
	if (strcmp(scm, l->root)) {
		autofree char *rel = path_rel(l->root, scm);

		free(l->prefix);
		l->prefix = xasprintf("%s/", rel);
	}
	if (srctree_rev(&l->src, l->repo, rev, e))
		return -1;
	return l->plain ? 0 : index_load(&l->x, l->repo, l->src, 0, e);
}

static int fill_outs(struct listing *l, struct err *e)
{
	struct dselection sel = { 0 };
	int rc = 0;

	l->outs = dindex_new(l->p);
	dselect_targets(&sel, l->x, NULL);
	for (size_t i = 0; !rc && i < sel.n; i++)
		rc = dindex_add_declared(l->outs, &sel.v[i], DINDEX_SHALLOW, e);
	dindex_sort(l->outs);
	dselection_release(&sel);
	return rc;
}

/* "option=value" pairs for the remote in use. */
static int set_remote_options(struct config *c, const struct listing_opts *o, struct err *e)
{
	const char *name = o->remote ? o->remote : config_get(c, "core", "remote");
	autofree char *section = name ? xasprintf("remote \"%s\"", name) : NULL;

	for (size_t i = 0; section && o->remote_config && i < o->remote_config->n; i++) {
		const char *pair = o->remote_config->v[i], *eq = strchr(pair, '=');
		autofree char *key = eq ? xstrndup(pair, (size_t)(eq - pair)) : NULL;

		if (!key || !*key)
			return err_set(e, ERR_USAGE, "argument --remote-config: '%s' is not of the form "
				       "<name>=<value>", pair);
		if (config_set(c, CONFIG_LOCAL, section, key, eq + 1, e))
			return -1;
	}
	return section && o->remote_config && o->remote_config->n ? config_check_remote(c, section, e) : 0;
}

/* The file of --config over all that the repository says; c NULL: it is only read. */
static int merge_file(struct config *c, const char *path, struct err *e)
{
	autocall(cobj_release) struct cobj o = { 0 };
	autostr struct str text = STR_INIT;
	autoerr struct err why = ERR_INIT;

	if (fs_read(&text, path, CONFIG_MAX, &why))
		return why.code == ERR_NOTFOUND ? err_set(e, ERR_NOTFOUND, "[Errno 2] No such file or directory: '%s'", path)
			: (err_move(e, &why), -1);
	if (cobj_parse(&o, str_cstr(&text), text.len, e))
		return -1;
	for (size_t i = 1; c && i < o.n; i++)
		for (size_t k = 0; k < o.sec[i].n; k++) {
			const struct cobj_opt *v = &o.sec[i].v[k];

			if (!v->is_section && !v->is_list && v->v.n
			    && config_set(c, CONFIG_LOCAL, o.sec[i].name, v->name, v->v.v[0], e))
				return -1;
		}
	return 0;
}

/* Settings of this one run: in memory alone, the repository's own files stay as they are. */
static int apply_config(struct listing *l, const struct listing_opts *o, struct err *e)
{
	struct config *c = l->repo ? l->repo->config : NULL;

	if (o->config && merge_file(c, o->config, e))
		return -1;
	if (!c)
		return 0;
	if (o->remote && !config_has_remote(c, o->remote))
		return err_set(e, ERR_CONFIG, "config file error: remote '%s' doesn't exist", o->remote);
	if (o->remote && config_set(c, CONFIG_LOCAL, "core", "remote", o->remote, e))
		return -1;
	return set_remote_options(c, o, e);
}

/* The directory it lies in, of which nothing but the file is looked at. */
static char *one_file(struct listing *l, const char *abs, struct err *e)
{
	if (*l->typed) {
		err_set(e, ERR_FAIL, "unexpected error - [Errno 20] Not a directory: '%s/%s'", abs, l->typed);
		e->exit_status = 255;
		return NULL;
	}
	free(l->typed);
	l->typed = xstrdup(abs);
	l->plain = true;
	return path_dir(abs);
}

/*
 * Where the names begin: the repository that 'url' lies in, or the directory itself where nobody said init; of a
 * revision always the root of the git repository. DVC takes a file, too, for a repository: of this one entry.
 */
static char *find_top(struct listing *l, const char *url, const char **rev, struct err *e)
{
	autofree char *dir = NULL, *top = NULL;
	autoerr struct err none = ERR_INIT;

	if (!access(url, F_OK))
		dir = path_abs(url);
	if (dir && !fs_is_dir(dir) && !*rev)
		return one_file(l, dir, e);
	if (dir && !fs_is_dir(dir)) {
		top = path_dir(dir);
		free(dir);
		dir = take(top);
	}
	if (!dir || ((top = repo_find_root(dir, &none)) == NULL && git_is_bare(dir))) {
		free(take(dir));
		if (clone_get(&l->clone, url, *rev, e))
			return NULL;
		dir = xstrdup(l->clone.root);
		*rev = "HEAD";
	}
	if (*rev) {
		free(take(top));
		top = git_find_root(dir);
	}
	return top ? take(top) : take(dir);
}

/* The path as typed to one relative to 'top'. As with DVC 'top' is "/", and above it there is nothing. */
static char *from_top(const char *top, const char *cwd, const char *path)
{
	autofree char *rel = *path == '/' ? path_rel(path, top) : path_join(cwd, path), *rooted = xasprintf("/%s", rel);
	autofree char *norm = path_norm(rooted);

	return xstrdup(norm + strspn(norm, "/"));
}

static int open_repo(struct listing *l, const char *top, struct err *e)
{
	autofree char *rel = *l->typed ? from_top(top, l->cwd, l->typed) : xstrdup(""), *dvc = NULL;

	l->root = repo_innermost(top, rel);
	if (strcmp(l->root, top)) {
		autofree char *below = path_rel(l->root, top);

		l->within = xasprintf("%s/", below);
	}
	dvc = path_join(l->root, ".dvc");
	l->plain = l->plain || !fs_is_dir(dvc);
	if (l->plain ? repo_open_plain(&l->repo, l->root, e) : repo_open(&l->repo, l->root, e))
		return -1;
	l->p = project_new(l->repo);
	return 0;
}

int listing_open(struct listing **out, const char *url, const char *path, const struct listing_opts *o, struct err *e)
{
	struct listing *l = xcalloc(1, sizeof(*l));
	autofree char *cwd = path_abs("."), *top = NULL;
	const char *rev = o->rev;
	bool cloned;

	l->clone = (struct clone)CLONE_INIT;
	l->prefix = xstrdup("");
	l->cwd = xstrdup("");
	l->typed = xstrdup(path ? path : "");
	top = find_top(l, url, &rev, e);
	if (!top)
		goto undo;
	cloned = l->clone.root;
	if (!cloned && !rev && path_is_inside(cwd, top) && strcmp(cwd, top)) {
		free(l->cwd);
		l->cwd = path_rel(cwd, top);
	}
	if (open_repo(l, top, e) || (!cloned && !rev && config_need_default(l->repo->config, e)))
		goto undo;
	if (apply_config(l, o, e) || (rev && open_tree(l, rev, e)))
		goto undo;
	if (!l->plain && ((!l->x && project_index(l->p, &l->x, e)) ||
			  project_remotes_known(l->p, l->x, NULL, REMOTES_OWN, e) || fill_outs(l, e)))
		goto undo;
	*out = l;
	return 0;
undo:
	listing_close(l);
	return -1;
}

const char *listing_cwd(const struct listing *l)
{
	return l->cwd;
}

char *listing_path(const struct listing *l)
{
	autofree char *rel = NULL, *top = NULL;
	size_t n = l->within ? strlen(l->within) : 0;

	if (!*l->typed)
		return xstrdup("");
	top = xstrndup(l->root, strlen(l->root) - (n ? n : 0));
	rel = from_top(top, l->cwd, l->typed);
	if (n && !strncmp(rel, l->within, n))
		return xstrdup(rel + n);
	return n ? xstrdup("") : take(rel);
}

char *listing_show(const struct listing *l, const char *rel, const char *base)
{
	autofree char *a = path_join(l->root, rel), *b = path_join(l->root, base);
	autofree char *x = path_norm(a), *y = path_norm(b);

	return path_rel(x, y);
}

/* ---- what is tracked ---- */

/* Without its manifest nobody can tell what the directory holds. DVC's words: they name the last place that was asked. */
static int refuse_unknown(const struct dindex *m, const struct dentry *d, struct project *p, struct err *e)
{
	const struct dentry *own = dindex_find(m, d->key);
	autoerr struct err none = ERR_INIT;
	autofree char *path = NULL, *names = NULL;
	autostrvec struct strvec parts = STRVEC_INIT;
	struct remote *r = NULL;
	char key[OID_KEY_MAX];
	struct store *s;

	if (!own || !own->unknown)
		return 0;
	if (d->has_id && (d->out->remote || config_get(p->repo->config, "core", "remote"))
	    && !remote_open_named(&r, p->repo, d->out->remote, 1, &none)) {
		oid_key(key, &d->id, d->legacy);
		path = path_join(r->url, key);
	} else if (d->has_id && !project_cache(p, d->legacy, &s, &none)) {
		path = store_path(s, &d->id);
	}
	remote_close(r);
	strvec_split(&parts, d->key, '/');
	names = strvec_join(&parts, "', '");
	err_set(e, ERR_CORRUPT, "unexpected error - failed to load directory ('%s'%s): [Errno 2] No such file or "
		"directory: '%s'", names, parts.n == 1 ? "," : "", path ? path : d->key);
	e->exit_status = 255;
	return -1;
}

/* The list that knows the children of 'rel': of the output that holds it, or of all outputs. */
static int tracked_list(struct listing *l, const char *rel, const struct dindex **out, struct err *e)
{
	autofree char *up = xstrdup(rel);

	*out = l->outs;
	while (l->outs && *up) {
		const struct dentry *d = dindex_find(l->outs, up);
		char *slash;

		if (d && d->is_out && d->is_dir) {
			struct dindex *m = map_get(&l->members, d->key);
			struct dselect s = { (struct item *)d->out, (char *)d->key, true };

			if (!m) {
				m = dindex_new(l->p);
				if (dindex_add_declared(m, &s, DINDEX_SOURCES, e)) {
					dindex_free(m);
					return -1;
				}
				dindex_sort(m);
				if (refuse_unknown(m, d, l->p, e)) {
					dindex_free(m);
					return -1;
				}
				map_put(&l->members, d->key, m);
			}
			*out = m;
			return 0;
		}
		slash = strrchr(up, '/');
		*(slash ? slash : up) = '\0';
	}
	return 0;
}

static struct ls_entry tracked_entry(const struct dentry *d, const char *name)
{
	struct ls_entry t = { .name = xstrdup(name), .is_out = d->out != NULL, .is_dir = d->is_dir, .size = -1,
			      .tracked_size = -1 };
	char hex[OID_HEX_MAX];

	if (d->is_out && declared_meta(d->out)->size >= 0)
		t.size = t.tracked_size = declared_meta(d->out)->size;
	else if (d->is_out && !d->has_id && !(partial_is(d->out) && stage_is_repo_import(d->out->stage)))
		t.size = 0;
	if (d->has_id) {
		oid_hex(hex, &d->id);
		t.hash = xstrdup(hex);
	}
	return t;
}

static void push(struct ls_entries *l, struct ls_entry t)
{
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = t;
}

/* What lies deeper is stepped over in one search: '0' is the byte after '/'. */
static void tracked_children(const struct dindex *x, const char *rel, struct ls_entries *out)
{
	autofree char *prefix = *rel ? xasprintf("%s/", rel) : xstrdup("");
	size_t n = strlen(prefix), i = SORTED_FROM(x->v, 0, x->n, key, prefix);

	while (i < x->n && !strncmp(x->v[i].key, prefix, n)) {
		const char *name = x->v[i].key + n, *slash = strchr(name, '/');

		if (slash) {
			autofree char *past = xasprintf("%.*s0", (int)(slash - x->v[i].key), x->v[i].key);

			i = SORTED_FROM(x->v, i, x->n, key, past);
			continue;
		}
		if (*name)
			push(out, tracked_entry(&x->v[i], name));
		i++;
	}
}

/* ---- what is there ---- */

static bool stat_entry(int dirfd, const char *path, const char *name, struct ls_entry *t)
{
	struct stat st, l;

	*t = (struct ls_entry){ .name = xstrdup(name), .in_tree = true, .tracked_size = -1 };
	if (fstatat(dirfd, path, &st, 0)) {
		/* A link that leads nowhere is listed, as an empty file. */
		return !fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW);
	}
	t->is_dir = S_ISDIR(st.st_mode);
	t->is_link = t->is_dir && !fstatat(dirfd, path, &l, AT_SYMLINK_NOFOLLOW) && S_ISLNK(l.st_mode);
	t->is_exec = !t->is_dir && (st.st_mode & 0111);
	t->size = st.st_size;
	return true;
}

static bool is_ignored(struct listing *l, const char *rel, bool is_dir)
{
	struct ignore *g = NULL;
	autoerr struct err none = ERR_INIT;

	if (l->tree)
		return l->src && srctree_is_ignored(l->src, rel, is_dir);
	return !repo_ignore(l->repo, &g, &none) && g && ignore_is(g, rel, is_dir);
}

static int present_children(struct listing *l, const char *rel, struct ls_entries *out, struct err *e)
{
	autofree char *abs = path_join(l->root, rel);
	DIR *d = opendir(abs);
	struct dirent *de;

	if (!d)
		return 0;
	while ((de = readdir(d))) {
		autofree char *key = NULL;
		struct ls_entry t;

		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		if (!stat_entry(dirfd(d), de->d_name, de->d_name, &t)) {
			ls_entry_release(&t);
			continue;
		}
		key = *rel ? path_join(rel, de->d_name) : xstrdup(de->d_name);
		if (is_ignored(l, key, t.is_dir)) {
			ls_entry_release(&t);
			continue;
		}
		/* A link is listed as something: neither a directory nor a program. */
		t.is_dir = t.is_dir && !t.is_link;
		t.is_exec = t.is_exec && de->d_type != DT_LNK;
		push(out, t);
	}
	closedir(d);
	(void)e;
	return 0;
}

/* Bytes of the tree object itself: what git tells as a directory's size. */
static int count_entry(const char *path, int kind, void *data, struct err *e UNUSED)
{
	/* "40000 name\0" and 20 bytes; files and links have six digits. */
	*(int64_t *)data += (kind == 2 ? 5 : 6) + 1 + (int64_t)strlen(path_base(path)) + 1 + 20;
	return 1;
}

static int64_t git_tree_size(struct listing *l, const char *path)
{
	autoerr struct err none = ERR_INIT;
	int64_t n = 0;

	return gittree_walk(l->tree, path, count_entry, &n, &none) ? 0 : n;
}

static int64_t git_link_size(struct listing *l, const char *path)
{
	autoerr struct err none = ERR_INIT;
	autostr struct str text = STR_INIT;

	return gittree_read(l->tree, path, 1u << 16, &text, &none) ? 0 : (int64_t)text.len;
}

struct git_children { struct listing *l; struct ls_entries *out; const char *rel; };

static int git_child(const char *path, int kind, void *data, struct err *e UNUSED)
{
	struct git_children *c = data;
	const char *rel = path + strlen(c->l->prefix), *name = path_base(path);
	struct ls_entry t = { .in_tree = true, .tracked_size = -1, .is_dir = kind == 2 };
	autofree char *parent = NULL;
	uint64_t size = 0;

	if (strlen(path) <= strlen(c->l->prefix))
		return 0;
	parent = path_dir(rel);
	if (strcmp(parent, c->rel))
		return path_is_inside(c->rel, rel) ? 0 : 1;
	gittree_kind(c->l->tree, path, &t.is_exec, &size);
	t.size = t.is_dir ? git_tree_size(c->l, path) : kind == 3 ? git_link_size(c->l, path) : (int64_t)size;
	if (!is_ignored(c->l, rel, t.is_dir)) {
		t.name = xstrdup(name);
		push(c->out, t);
	}
	return 1;
}

static int git_children(struct listing *l, const char *rel, struct ls_entries *out, struct err *e)
{
	struct git_children c = { l, out, rel };
	autofree char *under = xasprintf("%s%s", l->prefix, rel);
	size_t n = strlen(under);

	if (n && under[n - 1] == '/')
		under[n - 1] = '\0';
	if (*under && gittree_kind(l->tree, under, NULL, NULL) != 2)
		return 0;
	return gittree_walk(l->tree, under, git_child, &c, e);
}

/* ---- both ---- */

static bool is_stage_file(const char *name)
{
	return !strcmp(name, "dvc.yaml") || !strcmp(name, ".dvcignore") || (str_ends(name, ".dvc") && name[4]);
}

static int by_name(const void *a, const void *b)
{
	const struct ls_entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* What is there tells type and size; what is tracked tells the hash. */
static void merge(struct ls_entry *have, struct ls_entry *tracked)
{
	have->is_out = tracked->is_out;
	have->tracked_size = tracked->tracked_size;
	have->hash = take(tracked->hash);
	ls_entry_release(tracked);
}

static void unite(struct ls_entries *here, struct ls_entries *tracked, struct ls_entries *out)
{
	size_t i = 0, k = 0;

	if (here->n)
		qsort(here->v, here->n, sizeof(*here->v), by_name);
	while (i < here->n || k < tracked->n) {
		int c = i == here->n ? 1 : k == tracked->n ? -1 : strcmp(here->v[i].name, tracked->v[k].name);

		if (!c)
			merge(&here->v[i], &tracked->v[k++]);
		if (c <= 0)
			push(out, here->v[i++]);
		else
			push(out, tracked->v[k++]);
	}
	free(here->v);
	free(tracked->v);
}

/* The thing itself, as what is there (*here) and what is tracked (*known) see it. */
static int look(struct listing *l, const char *rel, struct ls_entry *t, bool *here, bool *known, struct err *e)
{
	const struct dindex *x;
	const struct dentry *d;
	struct ls_entry tracked;

	*known = false;
	if (l->tree) {
		autofree char *path = xasprintf("%s%s", l->prefix, rel);
		uint64_t size = 0;
		size_t n = strlen(path);
		int kind = *rel ? gittree_kind(l->tree, path, &t->is_exec, &size) : 2;

		if (n && path[n - 1] == '/')
			path[n - 1] = '\0';
		*t = (struct ls_entry){ .name = xstrdup(path_base(rel)), .is_dir = kind == 2, .in_tree = true,
					.is_exec = t->is_exec,
					.size = kind == 2 ? git_tree_size(l, path) :
						kind == 3 ? git_link_size(l, path) : (int64_t)size,
					.tracked_size = -1 };
		*here = kind > 0 && !(*rel && is_ignored(l, rel, kind == 2));
	} else {
		autofree char *abs = path_join(l->root, rel);

		*here = stat_entry(AT_FDCWD, abs, path_base(rel), t);
		if (*here && *rel && is_ignored(l, rel, t->is_dir))
			*here = false;
	}
	if (!l->outs)
		return 0;
	if (tracked_list(l, rel, &x, e))
		return -1;
	d = *rel ? dindex_find(x, rel) : NULL;
	if (!d)
		return 0;
	*known = true;
	tracked = tracked_entry(d, path_base(rel));
	if (*here) {
		if (tracked.is_dir == t->is_dir)
			merge(t, &tracked);
		else
			ls_entry_release(&tracked);
	} else {
		ls_entry_release(t);
		*t = tracked;
	}
	return 0;
}

/* Words of the file system that DVC asks: git's tells a key too, and what is ignored is named as it was typed. */
static int not_there(const struct listing *l, const char *rel, struct err *e)
{
	autofree char *joined = NULL, *abs = NULL, *full = NULL, *key = NULL;
	autostrvec struct strvec parts = STRVEC_INIT;
	struct stat st;

	joined = path_join(l->root, rel);
	abs = path_norm(joined);
	if (!l->tree && lstat(abs, &st) && errno == ENOTDIR) {
		err_set(e, ERR_NOTFOUND, "unexpected error - [Errno 20] Not a directory: '%s'", abs);
		e->exit_status = 255;
		return -1;
	}
	if (!l->tree)
		return err_set(e, ERR_NOTFOUND, "[Errno 2] No such file or directory: '%s'",
			       fs_exists(abs) ? l->typed : abs);
	full = xasprintf("%s%s", l->within ? l->within : "", rel);
	strvec_split(&parts, full, '/');
	key = strvec_join(&parts, "', '");
	if (gittree_kind(l->tree, full, NULL, NULL))
		return err_set(e, ERR_NOTFOUND, "[Errno 2] No such file or directory: '%s'", l->typed);
	return err_set(e, ERR_NOTFOUND, "[Errno 2] No such file or directory: '/%s': ('%s'%s)", full, key,
		       parts.n == 1 ? "," : "");
}

int listing_info(struct listing *l, const char *rel, struct ls_entry *out, struct err *e)
{
	struct ls_entry t = { 0 };
	bool here, known;

	if (look(l, rel, &t, &here, &known, e)) {
		ls_entry_release(&t);
		return -1;
	}
	if (!here && !known) {
		ls_entry_release(&t);
		return not_there(l, rel, e);
	}
	*out = t;
	return 0;
}

int listing_dir(struct listing *l, const char *rel, unsigned flags, struct ls_entries *out, struct err *e)
{
	struct ls_entries here = { 0 }, tracked = { 0 }, all = { 0 };
	const struct dindex *x = NULL;
	struct ls_entry self = { 0 };
	bool is_here, known;

	if (look(l, rel, &self, &is_here, &known, e))
		return -1;
	ls_entry_release(&self);
	if (l->outs) {
		if (tracked_list(l, rel, &x, e))
			return -1;
		tracked_children(x, rel, &tracked);
	}
	if (!(flags & LISTING_TRACKED_ONLY) &&
	    (l->tree ? git_children(l, rel, &here, e) : present_children(l, rel, &here, e))) {
		ls_entries_release(&here);
		ls_entries_release(&tracked);
		return -1;
	}
	unite(&here, &tracked, &all);
	for (size_t i = 0; i < all.n; i++) {
		if (!(flags & LISTING_STAGE_FILES) && is_stage_file(all.v[i].name))
			ls_entry_release(&all.v[i]);
		else
			push(out, all.v[i]);
	}
	free(all.v);
	return 0;
}

int listing_size(struct listing *l, const char *rel, int64_t *out, struct err *e)
{
	struct ls_entries kids = { 0 };
	struct ls_entry t = { 0 };
	int rc = 0;

	*out = 0;
	if (listing_info(l, rel, &t, e))
		return -1;
	if (!t.is_dir || (!t.in_tree && t.tracked_size >= 0)) {
		*out = t.size < 0 ? 0 : t.size;
		ls_entry_release(&t);
		return 0;
	}
	if (listing_dir(l, rel, 0, &kids, e)) {
		/* what the directory holds is not known, but how much was recorded */
		if (e->code == ERR_CORRUPT && t.tracked_size >= 0) {
			err_release(e);
			*out = t.tracked_size;
		}
		ls_entry_release(&t);
		return e->code == ERR_NONE ? 0 : -1;
	}
	ls_entry_release(&t);
	for (size_t i = 0; !rc && i < kids.n; i++) {
		autofree char *key = *rel ? path_join(rel, kids.v[i].name) : xstrdup(kids.v[i].name);
		int64_t n = 0;

		if (kids.v[i].is_dir && !kids.v[i].is_link)
			rc = listing_size(l, key, &n, e);
		else
			n = kids.v[i].size < 0 ? 0 : kids.v[i].size;
		*out += n;
	}
	ls_entries_release(&kids);
	return rc;
}

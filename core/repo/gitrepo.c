/* gitrepo - the only user of libgit2. See gitrepo.h; what needs no library is gitconf.c. */
#include "core/repo/gitrepo.h"

#include <errno.h>
#include <git2.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/lazylib.h"
#include "core/base/map.h"
#include "core/base/own.h"
#include "core/repo/ignore.h"
#include "sonames.h"

#define FUNCS(X) \
	X(git_libgit2_init) X(git_libgit2_opts) X(git_error_last) X(git_repository_open_ext) X(git_repository_free) \
	X(git_repository_index) X(git_revparse_single) \
	X(git_object_peel) X(git_object_id) X(git_object_free) X(git_oid_tostr) X(git_oid_fromstr) \
	X(git_commit_lookup) X(git_commit_free) X(git_commit_tree) X(git_commit_time) \
	X(git_commit_parentcount) X(git_commit_parent_id) X(git_tree_free) X(git_tree_id) X(git_tree_entrycount) \
	X(git_tree_entry_byindex) X(git_tree_entry_bypath) X(git_tree_entry_free) \
	X(git_tree_entry_name) X(git_tree_entry_id) X(git_tree_entry_filemode) X(git_tree_lookup) X(git_blob_lookup) \
	X(git_blob_free) X(git_blob_rawcontent) X(git_blob_rawsize) X(git_repository_odb) X(git_odb_free) \
	X(git_odb_read_header) X(git_index_free) X(git_index_read) X(git_index_write) X(git_index_add_bypath) \
	X(git_index_entrycount) X(git_index_get_byindex) X(git_index_add) \
	X(git_index_remove_bypath) X(git_index_get_bypath) X(git_index_find_prefix) X(git_status_list_new) \
	X(git_status_list_free) X(git_status_list_entrycount) X(git_status_byindex) X(git_status_options_init) \
	X(git_reference_dwim) X(git_reference_iterator_glob_new) X(git_reference_next) X(git_reference_next_name) \
	X(git_reference_iterator_free) X(git_reference_name) X(git_reference_free) X(git_reference_name_to_id) \
	X(git_object_lookup) X(git_remote_list) X(git_strarray_dispose) X(git_repository_commondir)

static struct { LAZYLIB_FIELDS(FUNCS) } lg;
#define SYM(f) { #f, (void **)&lg.f },
static const struct lazysym syms[] = { FUNCS(SYM) };
static struct lazylib lib = LAZYLIB_INIT(SONAME_GIT2, "libgit2", syms);

#define PARENTS_MAX 1000000
#define TREE_DEPTH_MAX 2048
#define GIT_FILE_MAX (16u << 20)

struct gitrepo {
	git_repository *repo;
	char *root;
	git_index *index;
	struct ignore *ignore;
};
struct gittree {
	struct gitrepo *g;
	git_tree *tree;
	char id[41];
};

/* What libgit2 said, behind our words. */
static int git_fail(struct err *e, enum err_code code, const char *fmt, ...) PRINTF(3, 4);
static int git_fail(struct err *e, enum err_code code, const char *fmt, ...)
{
	const git_error *last = lg.git_error_last();
	autostr struct str s = STR_INIT;
	autofree char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = xvasprintf(fmt, ap);
	va_end(ap);
	str_add_safe(&s, last && last->message ? last->message : "unknown cause");
	return err_set(e, code, "%s: %s", what, s.buf);
}

/* --- opening ------------------------------------------------------------------------------------------------------- */

int gitrepo_open(struct gitrepo **out, const char *root, struct err *e)
{
	struct gitrepo *g;
	git_repository *repo = NULL;

	if (lazylib_open(&lib, e))
		return -1;
	if (lg.git_libgit2_init() < 0)
		return git_fail(e, ERR_FAIL, "cannot start libgit2");
	/* As DVC, which reads repositories of other users too; git itself still refuses to. */
	lg.git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
	if (lg.git_repository_open_ext(&repo, root, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL))
		return git_fail(e, ERR_FAIL, "cannot open git repository '%s'", root);
	g = xcalloc(1, sizeof(*g));
	g->repo = repo;
	g->root = xstrdup(root);
	*out = g;
	return 0;
}

void gitrepo_close(struct gitrepo *g)
{
	if (!g)
		return;
	if (g->index)
		lg.git_index_free(g->index);
	lg.git_repository_free(g->repo);
	ignore_close(g->ignore);
	free(g->root);
	free(g);
}

static int open_index(struct gitrepo *g, struct err *e)
{
	if (!g->index && lg.git_repository_index(&g->index, g->repo))
		return git_fail(e, ERR_FAIL, "cannot read git's index of '%s'", g->root);
	if (lg.git_index_read(g->index, 0))
		return git_fail(e, ERR_FAIL, "cannot read git's index of '%s'", g->root);
	return 0;
}

/* --- revisions ----------------------------------------------------------------------------------------------------- */

/*
 * The commit that a reference leads to: 1; 0 when there is none: the object is something else, or the reference, or the
 * one it names, is not there; -1 when it cannot be read: that is no absence, and gc would delete for it.
 */
static int ref_commit(struct gitrepo *g, const char *name, char out[41])
{
	git_object *o = NULL, *commit = NULL;
	git_oid id;
	int rc = lg.git_reference_name_to_id(&id, g->repo, name);

	if (rc)
		return rc == GIT_ENOTFOUND ? 0 : -1;
	if (lg.git_object_lookup(&o, g->repo, &id, GIT_OBJECT_ANY))
		return -1;
	rc = lg.git_object_peel(&commit, o, GIT_OBJECT_COMMIT);
	lg.git_object_free(o);
	if (rc)
		return rc == GIT_EPEEL || rc == GIT_EINVALIDSPEC ? 0 : -1;
	lg.git_oid_tostr(out, 41, lg.git_object_id(commit));
	lg.git_object_free(commit);
	return 1;
}

/* A whole commit id or a name: the two usual forms, which also spare libgit2's expression matcher (1.5 leaks there). */
static bool resolve_plain(struct gitrepo *g, const char *name, char out[41])
{
	git_reference *ref = NULL;
	git_commit *c = NULL;
	git_oid id;
	bool ok;

	if (strlen(name) == 40 && strspn(name, "0123456789abcdef") == 40 && !lg.git_oid_fromstr(&id, name) &&
	    !lg.git_commit_lookup(&c, g->repo, &id)) {
		lg.git_commit_free(c);
		memcpy(out, name, 41);
		return true;
	}
	if (lg.git_reference_dwim(&ref, g->repo, name))
		return false;
	ok = ref_commit(g, lg.git_reference_name(ref), out) > 0;
	lg.git_reference_free(ref);
	return ok;
}

/* "name" peeled to a commit. libgit2 1.5 knows "@" alone as HEAD, and nothing that goes on from it. */
static bool resolve_commit(struct gitrepo *g, const char *name, char out[41])
{
	autofree char *of_head = name[0] == '@' && (name[1] == '~' || name[1] == '^') ? xasprintf("HEAD%s", name + 1) : NULL;
	git_object *o = NULL, *commit = NULL;
	bool ok = false;

	if (resolve_plain(g, name, out))
		return true;
	if (lg.git_revparse_single(&o, g->repo, of_head ? of_head : name))
		return false;
	if (!lg.git_object_peel(&commit, o, GIT_OBJECT_COMMIT)) {
		lg.git_oid_tostr(out, 41, lg.git_object_id(commit));
		lg.git_object_free(commit);
		ok = true;
	}
	lg.git_object_free(o);
	return ok;
}

/* A branch that only a remote has. 1 found, 0 not, -1 several that differ. */
static int resolve_remote_branch(struct gitrepo *g, const char *rev, char out[41])
{
	git_strarray names = { NULL, 0 };
	int found = 0;

	if (lg.git_remote_list(&names, g->repo))
		return 0;
	for (size_t i = 0; i < names.count; i++) {
		autofree char *ref = xasprintf("refs/remotes/%s/%s", names.strings[i], rev);
		char sha[41];

		if (!resolve_commit(g, ref, sha))
			continue;
		if (found && strcmp(sha, out)) {
			found = -1;
			break;
		}
		memcpy(out, sha, sizeof(sha));
		found = 1;
	}
	lg.git_strarray_dispose(&names);
	return found;
}

/* The short name of an experiment: the last part of refs/exps/aa/rest/name. */
static bool resolve_experiment(struct gitrepo *g, const char *rev, char out[41])
{
	git_reference_iterator *it = NULL;
	git_reference *ref = NULL;
	bool found = false;

	if (!*rev || strchr(rev, '/') || lg.git_reference_iterator_glob_new(&it, g->repo, "refs/exps/*"))
		return false;
	while (!found && !lg.git_reference_next(&ref, it)) {
		const char *name = lg.git_reference_name(ref);

		if (!strcmp(path_base(name), rev) && strncmp(name, "refs/exps/exec/", 15))
			found = ref_commit(g, name, out) > 0;
		lg.git_reference_free(ref);
	}
	lg.git_reference_iterator_free(it);
	return found;
}

int gitrepo_resolve(struct gitrepo *g, const char *rev, char out[41], struct err *e)
{
	int remote;

	if (resolve_commit(g, rev, out))
		return 0;
	remote = resolve_remote_branch(g, rev, out);
	if (remote > 0)
		return 0;
	if (remote < 0)
		return err_set(e, ERR_NOTFOUND, "ambiguous Git revision '%s'", rev);
	if (strcmp(rev, "HEAD") && !str_starts(rev, "refs/") && resolve_experiment(g, rev, out))
		return 0;
	return err_set(e, ERR_NOTFOUND, "unknown Git revision '%s'", rev);
}

bool gitrepo_has_commits(struct gitrepo *g)
{
	git_oid id;

	/* A HEAD that cannot be read is not an empty history: whoever asks for its commits is told why. */
	return lg.git_reference_name_to_id(&id, g->repo, "HEAD") != GIT_ENOTFOUND;
}

void git_refs_release(struct git_refs *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->v[i].name);
	free(r->v);
	*r = (struct git_refs){ 0 };
}

static void refs_push(struct git_refs *r, const char *name, const char *sha)
{
	GROW(r->v, r->n, r->cap);
	r->v[r->n].name = xstrdup(name);
	memcpy(r->v[r->n].sha, sha, 41);
	r->n++;
}

static int cmp_ref(const void *a, const void *b)
{
	return strcmp(((const struct git_ref *)a)->name, ((const struct git_ref *)b)->name);
}

static bool is_ref_text(const struct str *s)
{
	size_t hex = strspn(str_cstr(s), "0123456789abcdef");

	return str_starts(str_cstr(s), "ref:") || hex == 40 || hex == 64;
}

static int check_loose(const char *dir, struct err *e);
static int check_entry(const char *path, struct err *e)
{
	autostr struct str s = STR_INIT;
	autoerr struct err why = ERR_INIT;

	if (fs_is_dir(path))
		return check_loose(path, e);
	if (fs_read(&s, path, GIT_FILE_MAX, &why)) {
		if (why.code == ERR_NOTFOUND)
			return 0;
		err_move(e, &why);
		return -1;
	}
	return is_ref_text(&s) ? 0 : err_set(e, ERR_CORRUPT, "git reference file '%s' is damaged", path);
}

/* libgit2's iterators pass over a file that holds no reference, such as an empty one after a power cut. */
static int check_loose(const char *dir, struct err *e)
{
	autodir DIR *d = opendir(dir);
	struct dirent *de;
	int more;

	if (!d)
		return errno == ENOENT ? 0 : err_sys(e, "cannot read '%s'", dir);
	while ((more = fs_next_entry(d, &de, dir, e)) > 0) {
		autofree char *path = path_join(dir, de->d_name);

		if (*de->d_name != '.' && !str_ends(de->d_name, ".lock") && check_entry(path, e))
			return -1;
	}
	return more;
}

static int list_refs(struct gitrepo *g, const char *base, struct git_refs *out, struct err *e)
{
	autofree char *glob = xasprintf("%s*", base), *dir = path_join(lg.git_repository_commondir(g->repo), base);
	git_reference_iterator *it = NULL;
	size_t from = out->n;
	const char *name;
	char sha[41];
	int rc, commit = 0;

	if (check_loose(dir, e))
		return -1;
	if (lg.git_reference_iterator_glob_new(&it, g->repo, glob))
		return git_fail(e, ERR_FAIL, "cannot list git references");
	while (!(rc = lg.git_reference_next_name(&name, it))) {
		commit = str_starts(name, base) ? ref_commit(g, name, sha) : 0;
		if (commit > 0)
			refs_push(out, name + strlen(base), sha);
		else if (commit < 0)
			break;
	}
	if (commit < 0)
		git_fail(e, ERR_FAIL, "cannot read git reference '%s'", name);
	else if (rc != GIT_ITEROVER)
		commit = git_fail(e, ERR_FAIL, "cannot list git references");
	lg.git_reference_iterator_free(it);
	if (out->n > from)
		qsort(out->v + from, out->n - from, sizeof(*out->v), cmp_ref);
	return commit < 0 ? -1 : 0;
}

int gitrepo_branches(struct gitrepo *g, struct git_refs *out, struct err *e)
{
	return list_refs(g, "refs/heads/", out, e);
}

int gitrepo_tags(struct gitrepo *g, struct git_refs *out, struct err *e)
{
	return list_refs(g, "refs/tags/", out, e);
}

/* Commits whose parents a shallow clone leaves out, as binary ids. libgit2 knows of them from 1.7 on. */
static int read_shallow(struct gitrepo *g, struct binset *out, struct err *e)
{
	autofree char *path = path_join(lg.git_repository_commondir(g->repo), "shallow");
	autostr struct str text = STR_INIT;
	autoerr struct err why = ERR_INIT;
	git_oid id;

	if (fs_read(&text, path, GIT_FILE_MAX, &why)) {
		if (why.code == ERR_NOTFOUND)
			return 0;
		err_move(e, &why);
		return -1;
	}
	for (char *p = text.buf, *end; p && (end = strchr(p, '\n')); p = end + 1) {
		*end = '\0';
		if (!lg.git_oid_fromstr(&id, p))
			binset_add(out, id.id);
	}
	return 0;
}

/* Commits that were seen and not yet listed, as a heap: the youngest first, of one second the lowest id, as DVC has them. */
struct walk {
	struct gitrepo *g;
	git_commit **v;
	size_t n, cap;
	struct binset seen, shallow;
};

static bool is_before(git_commit *a, git_commit *b)
{
	git_time_t x = lg.git_commit_time(a), y = lg.git_commit_time(b);

	return x != y ? x > y : memcmp(lg.git_object_id((git_object *)a), lg.git_object_id((git_object *)b), GIT_OID_RAWSZ) < 0;
}

static int walk_push(struct walk *w, const git_oid *id, struct err *e)
{
	git_commit *c = NULL;
	char sha[41];
	size_t i;

	if (!binset_add(&w->seen, id->id))
		return 0;
	lg.git_oid_tostr(sha, sizeof(sha), id);
	if (lg.git_commit_lookup(&c, w->g->repo, id))
		return git_fail(e, ERR_FAIL, "cannot read commit %s", sha);
	GROW(w->v, w->n, w->cap);
	for (i = w->n++; i && is_before(c, w->v[(i - 1) / 2]); i = (i - 1) / 2)
		w->v[i] = w->v[(i - 1) / 2];
	w->v[i] = c;
	return 0;
}

static git_commit *walk_pop(struct walk *w)
{
	git_commit *first = w->v[0], *last = w->v[--w->n];
	size_t i = 0;

	for (size_t k; (k = 2 * i + 1) < w->n; i = k) {
		if (k + 1 < w->n && is_before(w->v[k + 1], w->v[k]))
			k++;
		if (!is_before(w->v[k], last))
			break;
		w->v[i] = w->v[k];
	}
	w->v[i] = last;
	return first;
}

static int walk_starts(struct walk *w, struct git_refs *starts, struct err *e)
{
	static const char *const bases[] = { "refs/heads/", "refs/remotes/", "refs/tags/" };
	git_oid id;
	char sha[41];

	for (size_t i = 0; i < ARRAY_LEN(bases); i++)
		if (list_refs(w->g, bases[i], starts, e))
			return -1;
	if (gitrepo_has_commits(w->g)) {
		if (!resolve_commit(w->g, "HEAD", sha))
			return git_fail(e, ERR_FAIL, "cannot read the commit of HEAD");
		refs_push(starts, "HEAD", sha);
	}
	for (size_t i = 0; i < starts->n; i++)
		if (!lg.git_oid_fromstr(&id, starts->v[i].sha) && walk_push(w, &id, e))
			return -1;
	return 0;
}

int gitrepo_all_commits(struct gitrepo *g, struct git_refs *out, struct err *e)
{
	struct walk w = { .g = g, .seen = BINSET_INIT(GIT_OID_RAWSZ), .shallow = BINSET_INIT(GIT_OID_RAWSZ) };
	struct git_refs starts = { 0 };
	int rc = read_shallow(g, &w.shallow, e) || walk_starts(&w, &starts, e) ? -1 : 0;

	while (!rc && w.n) {
		git_commit *c = walk_pop(&w);
		const git_oid *id = lg.git_object_id((git_object *)c);
		unsigned parents = binset_has(&w.shallow, id->id) ? 0 : lg.git_commit_parentcount(c);
		char sha[41];

		lg.git_oid_tostr(sha, sizeof(sha), id);
		refs_push(out, sha, sha);
		for (unsigned i = 0; !rc && i < parents; i++)
			rc = walk_push(&w, lg.git_commit_parent_id(c, i), e);
		lg.git_commit_free(c);
	}
	while (w.n)
		lg.git_commit_free(w.v[--w.n]);
	free(w.v);
	binset_release(&w.seen);
	binset_release(&w.shallow);
	git_refs_release(&starts);
	return rc;
}

int gitrepo_history(struct gitrepo *g, const char *rev, int n, int64_t since, struct git_refs *out, struct err *e)
{
	struct binset shallow = BINSET_INIT(GIT_OID_RAWSZ);
	char sha[41];
	bool more;
	int rc = gitrepo_resolve(g, rev, sha, e) || read_shallow(g, &shallow, e) ? -1 : 0;

	more = !rc;
	for (int i = 0; more && (n < 0 || i < n) && i < PARENTS_MAX; i++) {
		git_commit *c = NULL;
		git_oid id;

		if (lg.git_oid_fromstr(&id, sha) || lg.git_commit_lookup(&c, g->repo, &id)) {
			rc = git_fail(e, i ? ERR_FAIL : ERR_NOTFOUND, "cannot read commit %s", sha);
			break;
		}
		more = !since || lg.git_commit_time(c) >= since;
		if (more)
			refs_push(out, i ? sha : rev, sha);
		more = more && !binset_has(&shallow, id.id) && lg.git_commit_parentcount(c);
		if (more)
			lg.git_oid_tostr(sha, sizeof(sha), lg.git_commit_parent_id(c, 0));
		lg.git_commit_free(c);
	}
	binset_release(&shallow);
	return rc;
}

int64_t gitrepo_commit_time(struct gitrepo *g, const char *sha)
{
	git_commit *c = NULL;
	git_oid id;
	int64_t t;

	if (lg.git_oid_fromstr(&id, sha) || lg.git_commit_lookup(&c, g->repo, &id))
		return -1;
	t = lg.git_commit_time(c);
	lg.git_commit_free(c);
	return t;
}

/* --- the index and the work tree ----------------------------------------------------------------------------------- */

int gitrepo_is_tracked(struct gitrepo *g, const char *abs, bool *out, struct err *e)
{
	autofree char *rel = NULL, *dir = NULL;
	size_t at;

	*out = false;
	if (!path_is_inside(abs, g->root))
		return 0;
	if (open_index(g, e))
		return -1;
	rel = path_rel(abs, g->root);
	dir = xasprintf("%s/", rel);
	*out = lg.git_index_get_bypath(g->index, rel, 0) || !lg.git_index_find_prefix(&at, g->index, dir);
	return 0;
}

bool gitrepo_is_ignored(struct gitrepo *g, const char *abs, bool is_dir)
{
	autofree char *rel = NULL, *git = NULL;

	if (!path_is_inside(abs, g->root))
		return false;
	if (!g->ignore) {
		git = git_find_dir(g->root);
		if (!git)
			return false;
		g->ignore = ignore_open_git(g->root, git);
	}
	rel = path_rel(abs, g->root);
	return strcmp(rel, ".") && ignore_is(g->ignore, rel, is_dir);
}

/* git compares whole seconds, and by content what is as young as its index. A younger index would end that and hide a change
 * that was made within the second: such entries lose their size, as git does it, and are compared by content again. */
static int keep_doubts(struct gitrepo *g)
{
	autofree char *dir = git_find_dir(g->root), *path = dir ? path_join(dir, "index") : NULL;
	struct stat st;
	int rc = 0;

	if (!path || stat(path, &st))
		return 0;
	for (size_t i = 0; !rc && i < lg.git_index_entrycount(g->index); i++) {
		git_index_entry x = *lg.git_index_get_byindex(g->index, i);

		if (x.mtime.seconds < st.st_mtime || !x.file_size || GIT_INDEX_ENTRY_STAGE(&x))
			continue;
		x.file_size = 0;
		rc = lg.git_index_add(g->index, &x);
	}
	return rc;
}

int gitrepo_stage(struct gitrepo *g, const struct strvec *abs, struct err *e)
{
	if (!abs->n)
		return 0;
	if (open_index(g, e))
		return -1;
	if (keep_doubts(g))
		return git_fail(e, ERR_FAIL, "cannot change git's index of '%s'", g->root);
	for (size_t i = 0; i < abs->n; i++) {
		autofree char *rel = NULL;

		if (!path_is_inside(abs->v[i], g->root))
			continue;
		rel = path_rel(abs->v[i], g->root);
		if (fs_exists(abs->v[i]) ? lg.git_index_add_bypath(g->index, rel) :
		    (lg.git_index_get_bypath(g->index, rel, 0) && lg.git_index_remove_bypath(g->index, rel)))
			return git_fail(e, ERR_FAIL, "cannot add '%s' to git", abs->v[i]);
	}
	if (lg.git_index_write(g->index))
		return git_fail(e, ERR_FAIL, "cannot write git's index of '%s'", g->root);
	return 0;
}

static git_status_list *status_list(struct gitrepo *g, unsigned flags)
{
	git_status_options o;
	git_status_list *l = NULL;

	lg.git_status_options_init(&o, GIT_STATUS_OPTIONS_VERSION);
	o.flags = flags;
	return lg.git_status_list_new(&l, g->repo, &o) ? NULL : l;
}

int gitrepo_untracked(struct gitrepo *g, bool whole_dirs, struct strvec *rel_out, struct err *e)
{
	unsigned flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED | (whole_dirs ? 0 : GIT_STATUS_OPT_RECURSE_UNTRACKED_DIRS);
	git_status_list *l = status_list(g, flags);

	if (!l)
		return git_fail(e, ERR_FAIL, "cannot list untracked files");
	for (size_t i = 0; i < lg.git_status_list_entrycount(l); i++) {
		const git_status_entry *s = lg.git_status_byindex(l, i);

		if ((s->status & GIT_STATUS_WT_NEW) && s->index_to_workdir)
			strvec_push(rel_out, s->index_to_workdir->new_file.path);
	}
	lg.git_status_list_free(l);
	return 0;
}

bool gitrepo_is_dirty(struct gitrepo *g)
{
	git_status_list *l = status_list(g, GIT_STATUS_OPT_EXCLUDE_SUBMODULES);
	bool dirty = l && lg.git_status_list_entrycount(l) > 0;

	if (l)
		lg.git_status_list_free(l);
	return dirty;
}

/* --- trees --------------------------------------------------------------------------------------------------------- */

int gittree_open(struct gittree **out, struct gitrepo *g, const char *sha, struct err *e)
{
	git_commit *c = NULL;
	git_tree *tree = NULL;
	git_oid id;
	struct gittree *t;
	int rc;

	if (lg.git_oid_fromstr(&id, sha) || lg.git_commit_lookup(&c, g->repo, &id))
		return git_fail(e, ERR_NOTFOUND, "cannot read commit %s", sha);
	rc = lg.git_commit_tree(&tree, c);
	lg.git_commit_free(c);
	if (rc)
		return git_fail(e, ERR_NOTFOUND, "cannot read the tree of commit %s", sha);
	t = xcalloc(1, sizeof(*t));
	t->g = g;
	t->tree = tree;
	lg.git_oid_tostr(t->id, sizeof(t->id), lg.git_tree_id(tree));
	*out = t;
	return 0;
}

void gittree_close(struct gittree *t)
{
	if (!t)
		return;
	lg.git_tree_free(t->tree);
	free(t);
}

const char *gittree_id(const struct gittree *t)
{
	return t->id;
}

static int kind_of(git_filemode_t mode)
{
	switch (mode) {
	case GIT_FILEMODE_BLOB:
	case GIT_FILEMODE_BLOB_EXECUTABLE:
		return 1;
	case GIT_FILEMODE_TREE:
	case GIT_FILEMODE_COMMIT:
		return 2;
	case GIT_FILEMODE_LINK:
		return 3;
	default:
		return 0;
	}
}

/* Whether a path that was not found is not there; else a directory above it is, and cannot be read. */
static bool is_absent(struct gittree *t, const char *rel)
{
	autofree char *dir = path_dir(rel);
	git_tree_entry *en = NULL;
	git_tree *sub = NULL;
	bool readable;

	if (!*dir)
		return true;
	if (lg.git_tree_entry_bypath(&en, t->tree, dir))
		return is_absent(t, dir);
	readable = lg.git_tree_entry_filemode(en) != GIT_FILEMODE_TREE ||
		!lg.git_tree_lookup(&sub, t->g->repo, lg.git_tree_entry_id(en));
	if (sub)
		lg.git_tree_free(sub);
	lg.git_tree_entry_free(en);
	return readable;
}

int gittree_kind(struct gittree *t, const char *rel, bool *isexec, uint64_t *size)
{
	git_tree_entry *en = NULL;
	git_filemode_t mode;
	git_object_t type;
	git_odb *odb = NULL;
	size_t len = 0;

	if (!*rel)
		return 2;
	if (lg.git_tree_entry_bypath(&en, t->tree, rel))
		return is_absent(t, rel) ? 0 : -1;
	mode = lg.git_tree_entry_filemode(en);
	if (isexec)
		*isexec = mode == GIT_FILEMODE_BLOB_EXECUTABLE;
	if (size) {
		if (kind_of(mode) == 1 && !lg.git_repository_odb(&odb, t->g->repo)) {
			lg.git_odb_read_header(&len, &type, odb, lg.git_tree_entry_id(en));
			lg.git_odb_free(odb);
		}
		*size = len;
	}
	lg.git_tree_entry_free(en);
	return kind_of(mode);
}

int gittree_read(struct gittree *t, const char *rel, uint64_t max, struct str *out, struct err *e)
{
	git_tree_entry *en = NULL;
	git_blob *blob = NULL;
	uint64_t size;
	int rc = 0;

	if (*rel && lg.git_tree_entry_bypath(&en, t->tree, rel) && !is_absent(t, rel))
		return git_fail(e, ERR_FAIL, "cannot read '%s' from git", rel);
	if (!en || kind_of(lg.git_tree_entry_filemode(en)) == 2) {
		if (en)
			lg.git_tree_entry_free(en);
		return err_set(e, ERR_NOTFOUND, "'%s' is not a file in this commit", rel);
	}
	if (lg.git_blob_lookup(&blob, t->g->repo, lg.git_tree_entry_id(en))) {
		rc = git_fail(e, ERR_FAIL, "cannot read '%s' from git", rel);
	} else {
		size = (uint64_t)lg.git_blob_rawsize(blob);
		if (size > max)
			rc = err_set(e, ERR_PARSE, "'%s' is larger than %llu bytes", rel, (unsigned long long)max);
		else
			str_add(out, lg.git_blob_rawcontent(blob), size);
		lg.git_blob_free(blob);
	}
	lg.git_tree_entry_free(en);
	return rc;
}

static int walk_tree_below(struct gittree *t, const git_tree *tree, const char *dir, gittree_fn *fn, void *data, int depth,
			   struct err *e)
{
	if (depth > TREE_DEPTH_MAX)
		return err_set(e, ERR_UNSAFE, "directory '%s' is nested too deeply", dir);
	for (size_t i = 0; i < lg.git_tree_entrycount(tree); i++) {
		const git_tree_entry *en = lg.git_tree_entry_byindex(tree, i);
		const char *name = lg.git_tree_entry_name(en);
		git_filemode_t mode = lg.git_tree_entry_filemode(en);
		autofree char *rel = *dir ? xasprintf("%s/%s", dir, name) : xstrdup(name);
		git_tree *sub = NULL;
		int rc = kind_of(mode) ? fn(rel, kind_of(mode), data, e) : 0;

		if (rc < 0)
			return -1;
		if (rc || mode != GIT_FILEMODE_TREE)
			continue;
		if (lg.git_tree_lookup(&sub, t->g->repo, lg.git_tree_entry_id(en)))
			return git_fail(e, ERR_FAIL, "cannot read directory '%s' from git", rel);
		rc = walk_tree_below(t, sub, rel, fn, data, depth + 1, e);
		lg.git_tree_free(sub);
		if (rc)
			return -1;
	}
	return 0;
}

int gittree_walk(struct gittree *t, const char *under, gittree_fn *fn, void *data, struct err *e)
{
	git_tree_entry *en = NULL;
	git_tree *sub = NULL;
	int rc;

	if (!*under)
		return walk_tree_below(t, t->tree, "", fn, data, 0, e);
	if (lg.git_tree_entry_bypath(&en, t->tree, under))
		return is_absent(t, under) ? 0 : git_fail(e, ERR_FAIL, "cannot read directory '%s' from git", under);
	rc = lg.git_tree_entry_filemode(en) == GIT_FILEMODE_TREE ?
		lg.git_tree_lookup(&sub, t->g->repo, lg.git_tree_entry_id(en)) : 1;
	lg.git_tree_entry_free(en);
	if (rc)
		return rc > 0 ? 0 : git_fail(e, ERR_FAIL, "cannot read directory '%s' from git", under);
	rc = walk_tree_below(t, sub, under, fn, data, 0, e);
	lg.git_tree_free(sub);
	return rc;
}

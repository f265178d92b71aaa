#include "core/data/track.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/progress.h"
#include "core/cache/ingest.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"
#include "core/data/project.h"
#include "core/data/track_own.h"
#include "core/repo/gitrepo.h"
#include "core/repo/ignore.h"
#include "core/repo/repo.h"
#include "core/stage/index.h"
#include "core/stage/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Git */

/* DVC keeps an output out of git when the cache holds it, or when another repository does. */
bool track_wants_ignore(const struct project *p, const struct item *out)
{
	return !p->repo->no_scm && p->repo->scm_root && out->path && (out->cache || stage_is_repo_import(out->stage));
}

int track_check_git(struct project *p, const struct item *out, struct err *e)
{
	autofree char *abs = NULL, *shown = NULL;
	struct gitrepo *g = NULL;
	bool tracked = false;

	if (!track_wants_ignore(p, out))
		return 0;
	abs = item_abs(out, p->repo->root);
	if (repo_git(p->repo, &g, e) || (g && gitrepo_is_tracked(g, abs, &tracked, e)))
		return -1;
	if (!tracked)
		return 0;
	shown = item_show(out, p->repo->cwd_rel);
	return err_set(e, ERR_FAIL, " output '%s' is already tracked by SCM (e.g. Git).\n"
		       "    You can remove it from Git, then add to DVC.\n"
		       "        To stop tracking from Git:\n"
		       "            git rm -r --cached '%s'\n"
		       "            git commit -m \"stop tracking %s\" ", shown, shown, shown);
}

int track_ignore(struct project *p, const struct item *out, struct err *e)
{
	autofree char *abs = NULL, *file = NULL;

	if (!track_wants_ignore(p, out))
		return 0;
	abs = item_abs(out, p->repo->root);
	if (p->index_ && index_git_ignored(p->index_, out->path, fs_is_dir(abs)))       /* rules read once, not per output */
		return 0;
	if (gitignore_add(abs, p->repo->scm_root, &file, e))
		return -1;
	if (!file)
		return 0;
	repo_wrote(p->repo, file);
	strvec_push(&p->ignored, abs);
	if (p->index_)
		index_git_ignore_changed(p->index_);
	return 0;
}

int track_unignore(struct project *p, const struct item *out, struct err *e)
{
	autofree char *abs = NULL, *file = NULL;

	if (!track_wants_ignore(p, out))
		return 0;
	abs = item_abs(out, p->repo->root);
	if (gitignore_remove(abs, p->repo->scm_root, &file, e))
		return -1;
	if (file)
		repo_wrote(p->repo, file);
	if (file && p->index_)
		index_git_ignore_changed(p->index_);
	return 0;
}

void track_rollback(struct project *p)
{
	for (size_t i = 0; i < p->ignored.n; i++) {
		autoerr struct err none = ERR_INIT;
		autofree char *file = NULL;

		gitignore_remove(p->ignored.v[i], p->repo->scm_root, &file, &none);
	}
	strvec_reset(&p->ignored);
}

int track_finish(struct project *p, int rc)
{
	if (rc)
		track_rollback(p);
	strvec_reset(&p->ignored);
	project_index_drop(p);
	return rc;
}

/* Content */

void content_release(struct content *c)
{
	walk_release(&c->w);
	tree_free(c->tree);
	*c = (struct content)CONTENT_INIT;
}

struct skipping {
	struct ignore *rules;           /* NULL outside the repository */
	const char *rel;                /* root-relative path of what is walked */
	char *ignore_file;              /* directory that holds a .dvcignore of its own, relative to 'rel' */
};

static bool skip(const char *rel, bool is_dir, void *data)
{
	struct skipping *s = data;
	autofree char *path = NULL;
	const char *base = path_base(rel);

	if (!*rel || !s->rules)
		return false;
	path = *s->rel ? path_join(s->rel, rel) : xstrdup(rel);
	if (ignore_is(s->rules, path, is_dir))
		return true;
	if (!is_dir && !strcmp(base, ".dvcignore") && !s->ignore_file)
		s->ignore_file = path_dir(rel);
	return false;
}

/* A link that leads nowhere, or a file that went away: DVC's text for the name between the quotes. */
static int say_broken(struct err *e)
{
	const char *from = strchr(e->msg, '\''), *to = from ? strrchr(e->msg, '\'') : NULL;
	autofree char *name = to > from ? xstrndup(from + 1, (size_t)(to - from - 1)) : NULL;

	return name ? err_set(e, ERR_NOTFOUND, "[Errno 2] No such file or directory: '%s'", name) : -1;
}

/* Fills the walk. A missing path is ERR_NOTFOUND with DVC's text for it. */
static int content_walk(struct project *p, const char *abs, const char *rel, struct content *c, struct err *e)
{
	struct skipping s = { NULL, rel ? rel : "", NULL };
	autofree char *nested = path_join(abs, ".dvc"), *where = NULL;
	int rc;

	if (stat(abs, &c->st)) {
		if (errno == ENOENT || errno == ENOTDIR)
			return err_set(e, ERR_NOTFOUND, "[Errno 2] No such file or directory: '%s'", abs);
		return err_sys(e, "cannot look at '%s'", abs);
	}
	c->is_dir = S_ISDIR(c->st.st_mode);
	if (c->is_dir && rel && strcmp(abs, p->repo->root) && fs_is_dir(nested))
		return 0;               /* a repository of its own: DVC sees nothing in it */
	if (c->is_dir && rel && repo_ignore(p->repo, &s.rules, e))
		return -1;
	rc = walk_tree(&c->w, abs, skip, &s, project_pool(p), e) || ignore_unread(s.rules, e) ? -1 : 0;
	if (!rc && s.ignore_file) {
		where = *s.ignore_file ? path_join(abs, s.ignore_file) : xstrdup(abs);
		rc = err_set(e, ERR_FAIL, ".dvcignore file should not be in collected dir path: '%s'", where);
		e->exit_status = 255;
	}
	free(s.ignore_file);
	return rc && e->code == ERR_NOTFOUND ? say_broken(e) : rc;
}

/* From the ids of the walk: the id of the whole. */
static void content_finish(struct content *c)
{
	const struct walk *w = &c->w;

	meta_release(&c->meta);
	if (!c->is_dir) {
		c->id = w->f[0].id;
		c->meta.size = (int64_t)w->f[0].size;
		c->meta.isexec = (w->f[0].mode & 0111) != 0;
		return;
	}
	tree_free(c->tree);
	c->tree = tree_new();
	c->meta.size = 0;
	for (size_t i = 0; i < w->n; i++) {
		tree_add(c->tree, w->f[i].path, &w->f[i].id, (int64_t)w->f[i].size);
		c->meta.size += (int64_t)w->f[i].size;
	}
	tree_sort(c->tree);
	tree_id(c->tree, &c->id);
	c->meta.nfiles = (int64_t)w->n;
}

int content_read_as(struct project *p, const char *abs, const char *rel, bool legacy, bool import,
		    const enum link_kind *types, size_t ntypes, struct content *c, struct err *e)
{
	struct ingest in;
	struct progress pg = { 0 };
	int rc;

	if (content_walk(p, abs, rel, c, e) || project_ingest(p, legacy, &in, e))
		return -1;
	if (c->w.n) {
		if (types) {
			in.types = types;
			in.ntypes = ntypes;
		}
		progress_begin(&pg, import ? "adding" : "hashing", c->w.n, c->w.bytes);
		in.progress = &pg;
		rc = import ? ingest_import(&in, abs, &c->w, e) : ingest_hash(&in, abs, &c->w, e);
		progress_end(&pg);
		if (rc)
			return -1;
	}
	content_finish(c);
	return 0;
}

int content_read(struct project *p, const char *abs, const char *rel, bool legacy, bool import, struct content *c,
		 struct err *e)
{
	return content_read_as(p, abs, rel, legacy, import, NULL, 0, c, e);
}

int content_import(struct project *p, const char *abs, const char *rel, bool legacy, bool import, bool relink,
		   struct content *c, struct err *e)
{
	static const enum link_kind copies[] = { LINK_REFLINK, LINK_COPY };

	if (!import || relink)
		return content_read(p, abs, rel, legacy, import, c, e);
	return content_read_as(p, abs, rel, legacy, import, copies, ARRAY_LEN(copies), c, e);
}

int content_store_tree(struct project *p, bool legacy, const struct tree *t, struct err *e)
{
	struct store *s;
	struct oid id;

	if (project_cache(p, legacy, &s, e))
		return -1;
	return tree_save(t, s, &id, e);
}

/* Links */

/* DVC's rule for a member: which of the configured kinds describes it already. */
static bool needs_link(struct project *p, struct store *s, const char *root, const struct walk_file *f)
{
	const enum link_kind *types;
	size_t n;

	project_types(p, &types, &n);
	for (size_t i = 0; i < n; i++) {
		if ((types[i] == LINK_COPY || types[i] == LINK_REFLINK) && !f->is_link && f->nlink == 1)
			return false;
		if (types[i] == LINK_HARDLINK && !f->is_link && f->nlink > 1) {
			autofree char *object = store_path(s, &f->id);
			struct stat st;

			return stat(object, &st) || st.st_ino != f->ino || st.st_dev != f->dev;
		}
		if (types[i] == LINK_SYMLINK && f->is_link) {
			autofree char *object = store_path(s, &f->id);
			autofree char *path = *f->path ? path_join(root, f->path) : xstrdup(root);
			char to[4096];
			ssize_t len = readlink(path, to, sizeof(to) - 1);

			return len < 0 || (size_t)len != strlen(object) || memcmp(to, object, (size_t)len);
		}
	}
	return true;
}

/* The import itself may have turned the file into a link to the object. */
static bool is_the_object(struct store *s, const char *root, const struct walk_file *f)
{
	autofree char *path = *f->path ? path_join(root, f->path) : xstrdup(root), *object = store_path(s, &f->id);
	struct stat a, b;

	return f->size && !lstat(path, &a) && !stat(object, &b) && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static int place_all(struct ingest *in, const char *root, struct place *v, size_t n, struct err *e)
{
	size_t missing = 0;

	if (ingest_place(in, root, v, n, &missing, e))
		return -1;
	if (missing)
		return err_set(e, ERR_CORRUPT, "%zu objects of '%s' vanished from the cache while they were linked", missing,
			       root);
	return 0;
}

/* The mode DVC leaves on a plain copy that it tracks on its own. */
static int set_file_mode(const char *abs, bool isexec, struct err *e)
{
	mode_t want = (0666 & ~fs_umask()) | (isexec ? 0100 : 0);
	struct stat st;

	if (stat(abs, &st))
		return err_sys(e, "cannot look at '%s'", abs);
	if ((st.st_mode & 07777) != want && chmod(abs, want))
		return err_sys(e, "cannot set the mode of '%s'", abs);
	return 0;
}

/* The first configured kind that works here, when it matters. */
static bool probe(struct project *p, struct ingest *in, const char *abs, bool is_dir, enum link_kind *kind)
{
	autofree char *dir = is_dir ? xstrdup(abs) : path_dir(abs);
	autoerr struct err none = ERR_INIT;
	bool only_copies = true;

	for (size_t i = 0; i < p->ntypes; i++)
		only_copies = only_copies && (p->types[i] == LINK_COPY || p->types[i] == LINK_REFLINK);
	*kind = LINK_COPY;
	if (only_copies && p->types[p->ntypes - 1] == LINK_COPY)
		return true;
	return !ingest_probe(in, dir, kind, &none);
}

/* What is to be placed. A single file takes the first kind that works; a plain copy already is what a copy makes. */
static size_t to_place(struct project *p, struct ingest *in, const char *abs, const struct content *c,
		       enum link_kind kind, struct place **v)
{
	bool plain = !c->is_dir && !c->w.f[0].is_link && c->w.f[0].nlink == 1;
	size_t n = 0, cap = 0;

	if (plain && (kind == LINK_COPY || kind == LINK_REFLINK))
		return 0;
	for (size_t i = 0; i < c->w.n; i++) {
		const struct walk_file *f = &c->w.f[i];

		if (p->types[0] == LINK_HARDLINK && is_the_object(in->store, abs, f))
			continue;
		if (c->is_dir && !needs_link(p, in->store, abs, f))
			continue;
		GROW(*v, n, cap);
		(*v)[n++] = (struct place){ .rel = f->path, .id = f->id, .replace = true,
					    .was = { true, f->is_link, f->ino, f->size, f->mtime_ns } };
	}
	return n;
}

int content_link(struct project *p, const char *abs, bool legacy, struct content *c, bool *unlinked, struct err *e)
{
	autofree struct place *v = NULL;
	const enum link_kind *types;
	enum link_kind kind;
	struct ingest in;
	struct stat st;
	size_t n;
	bool works;

	project_types(p, &types, &n);
	if (!c->w.n)
		return 0;
	if (project_ingest(p, legacy, &in, e))
		return -1;
	works = probe(p, &in, abs, c->is_dir, &kind);
	n = to_place(p, &in, abs, c, works ? kind : LINK_SYMLINK, &v);
	if (n && !works) {
		*unlinked = true;
		return 0;
	}
	c->moved = n > 0 || types[0] == LINK_HARDLINK;  /* which the import itself may have made */
	if (n && place_all(&in, abs, v, n, e))
		return -1;
	if (c->is_dir || lstat(abs, &st))
		return 0;
	if (!S_ISLNK(st.st_mode) && st.st_nlink == 1)
		return set_file_mode(abs, c->meta.isexec, e);
	return c->meta.isexec ? track_set_exec(abs, e) : 0;
}

int track_set_exec(const char *abs, struct err *e)
{
	struct stat st;

	if (stat(abs, &st) || !S_ISREG(st.st_mode) || (st.st_mode & S_IXUSR))
		return 0;
	if (chmod(abs, (st.st_mode & 07777) | S_IXUSR) && errno != EPERM && errno != EROFS)
		return err_sys(e, "cannot set the mode of '%s'", abs);
	return 0;
}

bool content_note(struct project *p, const char *rel, const struct content *c, struct links_note *out)
{
	if (c->moved)
		return links_look(p, rel, out);
	links_note(out, &c->st, &c->w);
	return true;
}

static void remember(struct project *p, const char *rel, const struct content *c)
{
	struct links_note n;

	if (content_note(p, rel, c, &n))
		links_save_note(p, rel, &n);
}

/* Outputs */

void track_keep_versions(struct item *out, const struct node *old_files, const struct hashinfo *old_hash,
			 const struct meta *old_meta)
{
	struct map by_path = MAP_INIT;
	struct node *seq;

	if (!hashinfo_is_dir(&out->hash)) {
		if (hashinfo_eq(&out->hash, old_hash))
			meta_copy(&out->meta, old_meta);
		return;
	}
	if (!old_files || !out->tree)
		return;
	for (size_t i = 0; i < old_files->n; i++)
		if (node_get_str(old_files->v[i], "relpath"))
			map_put(&by_path, node_get_str(old_files->v[i], "relpath"), old_files->v[i]);
	seq = node_seq();
	for (size_t i = 0; i < out->tree->n; i++) {
		const struct tree_entry *t = &out->tree->e[i];
		const struct node *old = map_get(&by_path, t->path);
		char hex[OID_HEX_MAX];
		struct node *entry;

		oid_hex(hex, &t->id);
		if (old && node_is_str(node_get(old, "md5"), hex)) {
			node_push(seq, node_copy(old));
			continue;
		}
		entry = node_map();
		node_set(entry, "relpath", node_str(t->path));
		node_set(entry, "md5", node_str(hex));
		if (t->size >= 0)
			node_set(entry, "size", node_int(t->size));
		node_push(seq, entry);
	}
	map_release(&by_path, NULL);
	node_free(out->files);
	out->files = seq;
}

void track_set(struct item *out, const struct content *c, bool legacy)
{
	bool versions = out->files || out->meta.version_id;
	autonode struct node *old_files = take(out->files);
	struct hashinfo old_hash = { NULL, NULL };
	struct meta old_meta = META_INIT;

	if (versions) {
		hashinfo_set(&old_hash, out->hash.name, out->hash.value);
		meta_copy(&old_meta, &out->meta);
	}
	hashinfo_set_oid(&out->hash, &c->id);
	if (legacy) {
		autofree char *value = xstrdup(out->hash.value);

		hashinfo_set(&out->hash, "md5-dos2unix", value);
	}
	meta_copy(&out->meta, &c->meta);
	node_free(out->cloud);
	out->cloud = NULL;
	tree_free(out->tree);
	out->tree = c->tree ? tree_copy(c->tree) : NULL;
	if (versions)
		track_keep_versions(out, old_files, &old_hash, &old_meta);
	hashinfo_set(&old_hash, NULL, NULL);
	meta_release(&old_meta);
}

int track_keep_legacy(struct project *p, struct item *out, const char *abs, struct err *e)
{
	autocall(content_release) struct content c = CONTENT_INIT;
	struct hashinfo now = { NULL, NULL };
	bool same;

	if (!item_is_legacy(out))
		return 0;
	if (content_read(p, abs, out->path, true, false, &c, e))
		return -1;
	hashinfo_set_oid(&now, &c.id);
	same = now.value && out->hash.value && !strcmp(now.value, out->hash.value);
	if (!same)
		hashinfo_set(&out->hash, "md5", out->hash.value);
	hashinfo_set(&now, NULL, NULL);
	return c.tree && content_store_tree(p, true, c.tree, e) ? -1 : same;
}

bool track_is_empty(const char *abs)
{
	struct stat st;
	DIR *d;
	bool any = false;

	if (stat(abs, &st))
		return false;
	if (!S_ISDIR(st.st_mode))
		return !st.st_size;
	d = opendir(abs);
	for (struct dirent *de; d && !any && (de = readdir(d));)
		any = strcmp(de->d_name, ".") && strcmp(de->d_name, "..");
	if (d)
		closedir(d);
	return d && !any;
}

void track_say_empty(const struct project *p, const struct item *i)
{
	autofree char *shown = item_show(i, p->repo->cwd_rel);

	notice(NOTICE_WARN, "'%s' is empty.", shown);
}

/* A file is text for DVC when its first block has no NUL and at most 30 % unusual bytes. */
static int check_metric(const char *abs, struct err *e)
{
	unsigned char block[512];
	autoclose int fd = open(abs, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, block, sizeof(block)), odd = 0;

	for (ssize_t i = 0; i < n; i++) {
		if (!block[i])
			odd = n;
		else if ((block[i] < 32 && !strchr("\n\r\t\f\b", block[i])) || block[i] > 126)
			odd++;
	}
	if (n <= 0 || odd * 10 <= n * 3)
		return 0;
	return err_set(e, ERR_FAIL, "binary file '%s' cannot be used as metrics.", abs);
}

int track_missing(struct project *p, const struct item *i, struct err *e)
{
	autofree char *shown = item_show(i, p->repo->cwd_rel), *abs = item_abs(i, p->repo->root);
	const char *what = i->is_out ? "output" : "dependency";
	struct stat st;

	/* A link that leads nowhere is there, for DVC. */
	if (abs && !lstat(abs, &st) && S_ISLNK(st.st_mode) && stat(abs, &st))
		return err_set(e, ERR_NOTFOUND, "%s '%s' is not a file or directory", what, shown);
	return err_set(e, ERR_NOTFOUND, "%s '%s' does not exist", what, shown);
}

/* What exists for DVC: ignored outputs count as absent. */
static bool exists(struct project *p, const struct item *i, const char *abs)
{
	autoerr struct err none = ERR_INIT;
	struct ignore *g;

	if (!fs_exists(abs) || access(abs, F_OK))
		return false;
	if (!i->is_out || !i->path || repo_ignore(p->repo, &g, &none))
		return true;
	return !ignore_hides_out(g, i->path, fs_is_dir(abs));
}

/* Only the part at 'inside' goes into the cache, with the manifest of the whole: what DVC's commit of a part does. */
static int store_part(struct project *p, struct item *out, const char *inside, int legacy, const struct content *whole,
		      unsigned flags, struct err *e)
{
	autocall(content_release) struct content c = CONTENT_INIT;
	autofree char *root = item_abs(out, p->repo->root), *abs = path_join(root, inside);
	autofree char *rel = path_join(out->path, inside);
	bool unlinked = false;

	if (content_import(p, abs, rel, legacy, true, !(flags & TRACK_NO_RELINK), &c, e)
	    || content_store_tree(p, legacy, whole->tree, e))
		return -1;
	if (flags & TRACK_NO_RELINK)
		return 0;
	c.meta.isexec = false;          /* of a directory's members nothing of the kind is recorded */
	if (content_link(p, abs, legacy, &c, &unlinked, e))
		return -1;
	if (!unlinked)
		remember(p, rel, &c);
	return 0;
}

static int fail_not_dir(const char *abs, const char *inside, struct err *e)
{
	err_set(e, ERR_FAIL, "unexpected error - [Errno 20] Not a directory: '%s/%s'", abs, inside);
	e->exit_status = 255;
	return -1;
}

int track_save_part(struct project *p, struct item *out, const char *inside, unsigned flags, struct err *e)
{
	autocall(content_release) struct content c = CONTENT_INIT;
	autofree char *abs = item_abs(out, p->repo->root);
	int legacy;

	if (!inside || !out->cache || !abs)
		return track_save(p, out, flags, e);
	if (!exists(p, out, abs))
		return track_missing(p, out, e);
	if (!fs_is_dir(abs))            /* a file has no parts; DVC is surprised */
		return fail_not_dir(abs, inside, e);
	if (!(flags & TRACK_NO_GIT) && track_check_git(p, out, e))
		return -1;
	legacy = track_keep_legacy(p, out, abs, e);
	if (legacy < 0 || content_read(p, abs, out->path, legacy, false, &c, e)
	    || store_part(p, out, inside, legacy, &c, flags, e))
		return -1;
	track_set(out, &c, legacy);
	return track_ignore(p, out, e);
}

int track_save(struct project *p, struct item *out, unsigned flags, struct err *e)
{
	autocall(content_release) struct content c = CONTENT_INIT;
	autofree char *abs = item_abs(out, p->repo->root), *shown = item_show(out, p->repo->cwd_rel);
	bool import = out->is_out && out->cache && !(flags & TRACK_NO_COMMIT), unlinked = false;
	int legacy;

	if (!abs || (out->is_out && out->cache && !out->path))
		return err_set(e, ERR_FAIL, "Saving cached external output %s is not supported since DVC 3.0. "
			       "See <https://dvc.org/doc/user-guide/upgrade> for more info.", shown);
	if (!exists(p, out, abs))
		return track_missing(p, out, e);
	if (out->is_out && !(flags & TRACK_NO_GIT) && track_check_git(p, out, e))
		return -1;
	if (out->is_metric && check_metric(abs, e))
		return -1;
	legacy = track_keep_legacy(p, out, abs, e);
	if (legacy < 0
	    || content_import(p, abs, out->path, legacy, import, !(flags & TRACK_NO_RELINK), &c, e))
		return -1;
	if (!(flags & TRACK_NO_GIT) && track_is_empty(abs))
		track_say_empty(p, out);
	if (import && c.tree && content_store_tree(p, legacy, c.tree, e))
		return -1;
	if (import && !(flags & TRACK_NO_RELINK) && content_link(p, abs, legacy, &c, &unlinked, e))
		return -1;
	track_set(out, &c, legacy);
	if (import && out->path && !(flags & TRACK_NO_RELINK) && !unlinked)
		remember(p, out->path, &c);
	if (unlinked)
		strvec_push(&p->unlinked, shown);
	return out->is_out && !(flags & TRACK_NO_GIT) ? track_ignore(p, out, e) : 0;
}

int track_hash(struct project *p, const struct item *i, bool *present, struct hashinfo *h, struct meta *m,
	       struct tree **t, struct err *e)
{
	autocall(content_release) struct content c = CONTENT_INIT;
	autofree char *abs = item_abs(i, p->repo->root);

	*present = abs && exists(p, i, abs);
	if (!*present)
		return 0;
	if (content_read(p, abs, i->path, item_is_legacy(i), false, &c, e))
		return -1;
	hashinfo_set_oid(h, &c.id);
	if (item_is_legacy(i)) {
		autofree char *value = xstrdup(h->value);

		hashinfo_set(h, "md5-dos2unix", value);
	}
	meta_copy(m, &c.meta);
	if (t)
		*t = take(c.tree);
	return 0;
}

int track_remove_out(struct project *p, struct item *out, struct err *e)
{
	autofree char *abs = item_abs(out, p->repo->root), *rel = xstrdup(out->path);
	autoclose int root = -1, dir = -1;
	const char *base = NULL;

	if (!abs || !fs_exists(abs))
		return 0;
	if (!out->path) {               /* a pointer may name anything: what is not in the repository is not ours to delete */
		notice(NOTICE_WARN, "'%s' lies outside of the repository and is left alone.", abs);
		return 0;
	}
	if (!*out->path)
		return err_set(e, ERR_UNSAFE, "cannot remove the repository itself");
	root = open(p->repo->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(e, "cannot open '%s'", p->repo->root);
	dir = fs_parent_beneath(root, rel, false, &base, e);
	if (dir < 0 || fs_rm_tree_at(dir, base, e))
		return err_in(e, "cannot remove '%s'", out->path);
	return 0;
}

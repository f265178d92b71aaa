#include "core/data/source.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/progress.h"
#include "core/data/copytree.h"
#include "core/data/remote.h"
#include "core/data/track_own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void source_close(struct source *s)
{
	if (!s)
		return;
	remote_close(s->remote);
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].rel);
		free(s->v[i].etag);
	}
	free(s->v);
	free(s->url);
	free(s->abs);
	free(s->key);
	free(s->etag);
	free(s->version);
	free(s);
}

/* "s3://bucket/a/b" opens "s3://bucket/a" with the key "b". */
static int open_parent(struct source *s, const struct config *c, const struct map *over, unsigned jobs, struct err *e)
{
	autofree char *base = xstrdup(s->url);
	char *host = strstr(base, "://") + 3, *slash;
	size_t n = strlen(base);

	while (n > (size_t)(host - base) && base[n - 1] == '/')
		base[--n] = 0;
	slash = strrchr(host, '/');
	s->key = xstrdup(slash ? slash + 1 : "");
	if (slash)
		*slash = 0;
	return remote_open_url(&s->remote, c, base, over, jobs, e);
}

int source_open(struct source **out, const struct config *c, const char *url, const char *abs, const struct map *over,
		unsigned jobs, struct err *e)
{
	struct source *s = xcalloc(1, sizeof(*s));

	s->url = xstrdup(url);
	if (!path_is_url(url)) {
		s->abs = abs ? xstrdup(abs) : path_abs(url);
	} else if (open_parent(s, c, over, jobs, e)) {
		source_close(s);
		return -1;
	}
	if (s->remote && s->remote->local_dir) {
		s->abs = *s->key ? path_join(s->remote->local_dir, s->key) : xstrdup(s->remote->local_dir);
		remote_close(s->remote);
		s->remote = NULL;
	}
	*out = s;
	return 0;
}

/* Looking */

static int found(const char *key, uint64_t size, const char *etag, void *data, struct err *e)
{
	struct source *s = data;
	size_t skip = strlen(s->key);

	if (skip && (strncmp(key, s->key, skip) || key[skip] != '/'))
		return 0;
	key += skip ? skip + 1 : 0;
	if (!*key || str_ends(key, "/"))        /* the mark some services keep for an empty directory */
		return 0;
	if (!path_is_safe(key))
		return err_set(e, ERR_UNSAFE, "'%s' holds a name that would leave it: '%s'", s->url, key);
	GROW(s->v, s->n, s->cap);
	s->v[s->n++] = (struct source_file){ xstrdup(key), size == UINT64_MAX ? 0 : size, xstrdup(etag) };
	s->size += size == UINT64_MAX ? 0 : size;
	return 0;
}

static int by_rel(const void *a, const void *b)
{
	const struct source_file *x = a, *y = b;

	return strcmp(x->rel, y->rel);
}

static int look_listed(struct source *s, struct err *e)
{
	autofree char *prefix = *s->key ? xasprintf("%s/", s->key) : xstrdup("");

	if (!(s->remote->caps & REMOTE_LIST))
		return 0;
	s->size = 0;
	if (s->remote->ops->list(s->remote, prefix, found, s, e))
		return e->code == ERR_NOTFOUND ? (err_release(e), 0) : -1;
	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), by_rel);
	s->present = s->is_dir = s->n > 0;
	return 0;
}

static int look_remote(struct source *s, struct err *e)
{
	struct rop op = { .kind = ROP_STAT, .key = s->key, .fd = -1 };
	enum rclass c;

	if (str_ends(s->url, "/") || !*s->key)
		return look_listed(s, e);
	c = remote_do(s->remote, &op, e);
	err_release(&op.err);
	if (c == RC_ABSENT)
		return look_listed(s, e);
	if (c != RC_OK && c != RC_EXISTS)
		return err_in(e, "cannot look at '%s'", s->remote->url);
	s->present = true;
	s->size = op.size;
	s->etag = *op.etag ? xstrdup(op.etag) : NULL;
	s->version = *op.version_id ? xstrdup(op.version_id) : NULL;
	return 0;
}

int source_look(struct source *s, struct err *e)
{
	struct stat st;

	if (s->looked)
		return 0;
	if (!s->abs) {
		if (look_remote(s, e))
			return -1;
	} else if (!stat(s->abs, &st)) {
		s->present = true;
		s->is_dir = S_ISDIR(st.st_mode);
		s->size = (uint64_t)st.st_size;
	} else if (errno != ENOENT && errno != ENOTDIR) {
		return err_sys(e, "cannot look at '%s'", s->abs);
	}
	s->looked = true;
	return 0;
}

/* Hashing */

/* As the service names it in DVC's files: HTTP keeps the quotes of the header. */
static char *shown_etag(const struct source *s, const char *etag)
{
	bool quoted = str_starts(s->url, "http") || str_starts(s->url, "azure");

	return etag && quoted && *etag != '"' && !str_starts(etag, "W/") ? xasprintf("\"%s\"", etag) : xstrdup(etag);
}

static void hash_members(const struct source *s, const char *name, struct hashinfo *h, struct meta *m)
{
	autonode struct node *list = node_seq();
	autostr struct str text = STR_INIT;
	unsigned char md5[16];
	char hex[33 + 4];

	for (size_t i = 0; i < s->n; i++) {
		struct node *entry = node_map();
		autofree char *etag = shown_etag(s, s->v[i].etag);

		if (etag)
			node_set(entry, name, node_str(etag));
		node_set(entry, "relpath", node_str(s->v[i].rel));
		node_push(list, entry);
	}
	json_dump(&text, list, JSON_SORT);
	md5_once(str_cstr(&text), text.len, md5);
	hex_encode(hex, md5, 16);
	memcpy(hex + 32, ".dir", 5);
	hashinfo_set(h, "md5", hex);
	m->nfiles = (int64_t)s->n;
	m->size = (int64_t)s->size;
}

static int hash_local(struct project *p, struct source *s, struct hashinfo *h, struct meta *m, struct err *e)
{
	autocall(content_release) struct content c = CONTENT_INIT;

	if (content_read(p, s->abs, NULL, false, false, &c, e))
		return -1;
	hashinfo_set_oid(h, &c.id);
	meta_copy(m, &c.meta);
	return 0;
}

int source_hash(struct project *p, struct source *s, struct hashinfo *h, struct meta *m, struct err *e)
{
	const char *name = hash_name_of_url(s->url);

	if (source_look(s, e))
		return -1;
	if (!s->present)
		return err_set(e, ERR_NOTFOUND, "dependency '%s' does not exist", s->abs ? s->abs : s->url);
	meta_release(m);
	if (s->abs)
		return hash_local(p, s, h, m, e);
	if (s->is_dir) {
		hash_members(s, name, h, m);
		return 0;
	}
	autofree char *etag = shown_etag(s, s->etag);

	m->size = (int64_t)s->size;
	hashinfo_set(h, name, etag);
	return 0;
}

/* Fetching */

struct get {
	struct rop op;
	char *key, *path;               /* key at the server; file to write */
	int fd;
	struct fetch *all;
};
struct fetch {
	struct progress pg;
	size_t flying;
	struct err err;                 /* the first failure */
	const char *url;
};

static int get_begin(struct rop *op)
{
	struct get *g = op->user;

	if (g->fd >= 0)
		return ftruncate(g->fd, 0) || lseek(g->fd, 0, SEEK_SET) < 0 ? err_sys(&op->err, "cannot rewind '%s'", g->path) : 0;
	g->fd = open(g->path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
	return g->fd < 0 ? err_sys(&op->err, "cannot create '%s'", g->path) : 0;
}

static int get_sink(struct rop *op, const void *p, size_t n)
{
	struct get *g = op->user;

	if (g->fd < 0 && get_begin(op))
		return -1;
	progress_add(&g->all->pg, 0, n);
	return fs_write_all(g->fd, p, n) ? err_sys(&op->err, "cannot write '%s'", g->path) : 0;
}

static void get_free(struct get *g)
{
	if (g->fd >= 0)
		close(g->fd);
	err_release(&g->op.err);
	free(g->key);
	free(g->path);
	free(g);
}

static void get_done(struct rop *op, enum rclass c)
{
	struct get *g = op->user;
	struct fetch *all = g->all;

	all->flying--;
	progress_add(&all->pg, 1, 0);
	if (c == RC_OK && g->fd < 0 && !get_begin(op))         /* nothing came: an empty file */
		c = RC_OK;
	if (c == RC_OK && g->fd >= 0 && close(g->fd)) {
		g->fd = -1;
		err_sys(&op->err, "cannot write '%s'", g->path);
		c = RC_FATAL;
	} else if (c == RC_OK) {
		g->fd = -1;
	}
	if (c != RC_OK && !all->err.code) {
		if (c == RC_ABSENT)
			err_set(&all->err, ERR_NOTFOUND, "'%s' went away", g->key);
		else
			err_copy(&all->err, &op->err);
		err_in(&all->err, "cannot download '%s'", all->url);
	}
	get_free(g);
}

static int submit(struct source *s, struct fetch *all, const char *key, const char *path, struct err *e)
{
	struct get *g = xcalloc(1, sizeof(*g));
	int rc;

	*g = (struct get){ .key = xstrdup(key), .path = xstrdup(path), .fd = -1, .all = all };
	g->op = (struct rop){ .kind = ROP_GET, .key = g->key, .fd = -1, .sink = get_sink, .sink_restart = get_begin,
			      .done = get_done, .user = g };
	while ((rc = remote_submit(s->remote, &g->op, e)) > 0)
		if (remote_run(s->remote, 1000, e) || proc_check(e))
			break;
	if (rc) {
		get_free(g);
		return -1;
	}
	all->flying++;
	return 0;
}

static int submit_all(struct source *s, struct fetch *all, const char *to, struct err *e)
{
	if (!s->is_dir)
		return submit(s, all, s->key, to, e);
	if (fs_mkdirs(to, 0777, e))
		return -1;
	for (size_t i = 0; i < s->n && !all->err.code; i++) {
		autofree char *path = path_join(to, s->v[i].rel), *dir = path_dir(path);
		autofree char *key = *s->key ? xasprintf("%s/%s", s->key, s->v[i].rel) : xstrdup(s->v[i].rel);

		if (fs_mkdirs(dir, 0777, e) || submit(s, all, key, path, e))
			return -1;
	}
	return 0;
}

static int fetch_remote(struct source *s, const char *to, struct err *e)
{
	struct fetch all = { .err = ERR_INIT, .url = s->remote->url };
	int rc;

	progress_begin(&all.pg, "downloading", s->is_dir ? s->n : 1, s->size);
	rc = submit_all(s, &all, to, e);
	while (all.flying) {
		autoerr struct err why = ERR_INIT;

		if (rc || all.err.code || proc_cancelled() || remote_run(s->remote, 200, &why))
			s->remote->ops->cancel(s->remote);
		if (why.code && !rc) {
			err_move(e, &why);
			rc = -1;
		}
	}
	progress_end(&all.pg);
	if (!rc && all.err.code) {
		err_move(e, &all.err);
		rc = -1;
	}
	err_release(&all.err);
	return rc ? rc : proc_check(e);
}

int source_fetch(struct source *s, const char *to, const char *tmp_dir, struct err *e)
{
	autofree char *up = tmp_dir ? xstrdup(tmp_dir) : path_dir(to), *tmp = NULL, *parent = path_dir(to);
	autoerr struct err none = ERR_INIT;
	char name[32];

	if (source_look(s, e))
		return -1;
	if (!s->present)
		return err_set(e, ERR_NOTFOUND, "The path '%s' does not exist", s->url);
	fs_temp_name(name);
	tmp = path_join(*up ? up : ".", name);
	if (fs_mkdirs(parent, 0777, e) || (s->abs ? copy_tree(s->abs, tmp, e) : fetch_remote(s, tmp, e)))
		goto undo;
	if (!rename(tmp, to))
		return 0;
	if (errno == EXDEV && !copy_tree(tmp, to, e)) {
		fs_rm_tree(tmp, &none);
		return 0;
	}
	err_sys(e, "cannot put '%s' in place", to);
undo:
	fs_rm_tree(tmp, &none);
	return -1;
}

static void own_closedir(DIR **d)
{
	if (*d)
		closedir(*d);
}

int merge_over(const char *from, const char *to, struct err *e)
{
	__attribute__((cleanup(own_closedir))) DIR *d = NULL;
	struct dirent *de;

	if (fs_is_dir(from) != fs_is_dir(to) || fs_is_link(to) || !fs_is_dir(from)) {
		if (fs_is_dir(to) && !fs_is_link(to) && fs_rm_tree(to, e))
			return -1;
		return rename(from, to) ? err_sys(e, "cannot put '%s' in place", to) : 0;
	}
	d = opendir(from);
	if (!d)
		return err_sys(e, "cannot read '%s'", from);
	while ((de = readdir(d))) {
		autofree char *a = NULL, *b = NULL;

		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		a = path_join(from, de->d_name);
		b = path_join(to, de->d_name);
		if (merge_over(a, b, e))
			return -1;
	}
	return rmdir(from) ? err_sys(e, "cannot remove '%s'", from) : 0;
}

int source_fetch_over(struct source *s, const char *to, struct err *e)
{
	autofree char *dir = path_dir(to), *tmp = NULL;
	autoerr struct err none = ERR_INIT;
	char name[32];

	if (!fs_exists(to))
		return source_fetch(s, to, NULL, e);
	fs_temp_name(name);
	tmp = path_join(dir, name);
	if (!source_fetch(s, tmp, NULL, e) && !merge_over(tmp, to, e))
		return 0;
	fs_rm_tree(tmp, &none);
	return -1;
}

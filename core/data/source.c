#include "core/data/source.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/progress.h"
#include "core/base/temps.h"
#include "core/data/copytree.h"
#include "core/data/project.h"
#include "core/data/remote.h"
#include "core/data/track_own.h"
#include "core/repo/repo.h"

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
		free(s->v[i].version);
	}
	free(s->v);
	free(s->url);
	free(s->abs);
	free(s->key);
	free(s->etag);
	free(s->version);
	free(s->want);
	free(s->why);
	free(s);
}

/* What decides how a file is told from another: "remote://" is no kind of its own. */
static const char *place_url(const struct source *s)
{
	return s->remote ? s->remote->url : s->url;
}

bool source_is_read(const struct source *s)
{
	return s->remote && !strcmp(hash_name_of_url(place_url(s)), "md5");
}

/* A letter that stands escaped in a URL's path, or -1. */
static int escaped(const char *s)
{
	char *end, hex[3] = { s[0] ? s[1] : 0, s[0] && s[1] ? s[2] : 0, 0 };
	long v = s[0] == '%' && hex[0] && hex[1] ? strtol(hex, &end, 16) : 0;

	return v > 0 && !*end && strspn(hex, "0123456789abcdefABCDEF") == 2 ? (int)v : -1;
}

/* Of all escaped letters those in 'which' (NULL: every one). */
static void unescape(char *s, const char *which)
{
	char *to = s;

	for (int c; *s; s++) {
		c = escaped(s);
		if (c > 0 && (!which || strchr(which, c)))
			s += 2;
		else
			c = (unsigned char)*s;
		*to++ = (char)c;
	}
	*to = '\0';
}

/* "s3://bucket/a/b" opens "s3://bucket/a" with the key "b"; a query stays with the parent, which puts it after every key. */
static int open_parent(struct source *s, const struct config *c, const struct map *over, unsigned jobs, struct err *e)
{
	size_t n = str_starts(s->url, "http") ? strcspn(s->url, "?#") : strlen(s->url);
	autofree char *base = xstrndup(s->url, n), *asked = NULL;
	autofree char *query = xstrndup(s->url + n, strcspn(s->url + n, "#"));
	char *host = strstr(base, "://") + 3, *slash;

	while (n > (size_t)(host - base) && base[n - 1] == '/')
		base[--n] = 0;
	slash = strrchr(host, '/');
	s->key = xstrdup(slash ? slash + 1 : "");
	if (str_starts(s->url, "http"))         /* the remote escapes it again */
		unescape(s->key, NULL);
	if (slash)
		*slash = 0;
	asked = xasprintf("%s%s", base, query);
	return remote_open_url(&s->remote, c, asked, over, jobs, e);
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

/* An option as a file names it: written by people as text, by the tools as a truth value, too. */
static void take_option(struct map *over, const struct node *key, const struct node *value)
{
	if (node_is(key, NODE_STR) && node_is(value, NODE_STR))
		map_put(over, key->text, value->text);
	else if (node_is(key, NODE_STR) && node_is(value, NODE_BOOL))
		map_put(over, key->text, (void *)(uintptr_t)(value->b ? "true" : "false"));
}

int source_open_item(struct project *p, const struct item *d, unsigned jobs, struct source **out, struct err *e)
{
	autofree char *abs = item_abs(d, p->repo->root);
	struct map over = MAP_INIT;
	int rc;

	if (d->meta.version_id || d->files)     /* unless the file says otherwise */
		map_put(&over, "version_aware", (void *)(uintptr_t)"true");
	for (size_t i = 0; d->fs_config && i < d->fs_config->n; i++)
		take_option(&over, d->fs_config->k[i], d->fs_config->v[i]);
	rc = source_open(out, p->repo->config, d->def, abs, &over, jobs, e);
	map_release(&over, NULL);
	if (!rc && (*out)->remote)
		(*out)->versioned = (*out)->remote->version_aware && ((*out)->remote->caps & REMOTE_VERSIONS);
	return rc;
}

static int recorded_file(struct source *s, const struct node *row, struct err *e)
{
	const char *rel = node_get_str(row, "relpath");
	const struct node *size = node_get(row, "size");

	if (!rel || !path_is_safe(rel))
		return err_set(e, ERR_UNSAFE, "'%s' holds a name that would leave it: '%s'", s->url, rel ? rel : "");
	GROW(s->v, s->n, s->cap);
	s->v[s->n] = (struct source_file){ .rel = xstrdup(rel), .version = node_dup_str(row, "version_id") };
	s->v[s->n].size = node_is(size, NODE_INT) && size->fits && size->i > 0 ? (uint64_t)size->i : 0;
	s->size += s->v[s->n++].size;
	return 0;
}

int source_open_recorded(struct project *p, const struct item *d, unsigned jobs, struct source **out, struct err *e)
{
	struct source *s;

	if (source_open_item(p, d, jobs, &s, e))
		return -1;
	s->looked = s->present = true;
	s->is_dir = d->files != NULL;
	s->version = xstrdup(d->meta.version_id);
	s->size = d->meta.size > 0 ? (uint64_t)d->meta.size : 0;
	for (size_t i = 0; d->files && i < d->files->n; i++)
		if (recorded_file(s, d->files->v[i], e)) {
			source_close(s);
			return -1;
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
	s->v[s->n++] = (struct source_file){ .rel = xstrdup(key), .size = size == UINT64_MAX ? 0 : size, .etag = xstrdup(etag) };
	s->size += size == UINT64_MAX ? 0 : size;
	return 0;
}

static char *member_key(const struct source *s, const char *rel)
{
	return *s->key ? xasprintf("%s/%s", s->key, rel) : xstrdup(rel);
}

static int by_rel(const void *a, const void *b)
{
	const struct source_file *x = a, *y = b;

	return strcmp(x->rel, y->rel);
}

struct asked {                          /* about one member */
	struct rop op;
	struct source *s;
	struct source_file *f;
	struct inflight *ops;
	char *key;
};

static void asked_free(struct asked *a)
{
	err_release(&a->op.err);
	free(a->key);
	free(a);
}

/* Of a bucket that never kept versions: S3's own word, which DVC reads in the listing and which may be asked for. */
static char *unnamed_version(const struct source *s)
{
	return str_starts(place_url(s), "s3:") ? xstrdup("null") : NULL;
}

static void version_known(struct rop *op, enum rclass c)
{
	struct asked *a = op->user;
	struct source_file *f = a->f;

	a->ops->n--;
	if (c == RC_OK || c == RC_EXISTS) {
		free(f->etag);
		f->etag = xstrdup(op->etag);
		f->version = *op->version_id ? xstrdup(op->version_id) : unnamed_version(a->s);
		a->s->size += op->size - f->size;
		f->size = op->size;
	} else if (!a->ops->err.code) {
		if (c == RC_ABSENT)
			err_set(&a->ops->err, ERR_NOTFOUND, "'%s' went away", a->key);
		else
			err_copy(&a->ops->err, &op->err);
	}
	asked_free(a);
}

/* A listing tells no versions. What each member then is may be newer than the listing: it is one truth by itself. */
static int look_versions(struct source *s, struct err *e)
{
	struct inflight ops = { 0 };
	int rc = 0;

	for (size_t i = 0; i < s->n && !rc && !ops.err.code; i++) {
		struct asked *a = xcalloc(1, sizeof(*a));

		*a = (struct asked){ .s = s, .f = &s->v[i], .ops = &ops, .key = member_key(s, s->v[i].rel) };
		a->op = (struct rop){ .kind = ROP_STAT, .key = a->key, .fd = -1, .done = version_known, .user = a };
		rc = inflight_submit(s->remote, &ops, &a->op, e);
		if (rc)
			asked_free(a);
	}
	return inflight_finish(s->remote, &ops, rc, e);
}

static int look_listed(struct source *s, struct err *e)
{
	autofree char *prefix = *s->key ? xasprintf("%s/", s->key) : xstrdup("");

	if (!(s->remote->caps & REMOTE_LIST))
		return 0;
	s->size = 0;
	if (s->remote->ops->list(s->remote, prefix, found, s, e)) {
		if (e->code != ERR_NOTFOUND)
			return -1;
		if (!source_is_read(s)) {       /* nor is what it would be in: a bucket */
			free(s->why);
			s->why = take(e->msg);
		}
		err_release(e);
	}
	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), by_rel);
	s->present = s->is_dir = s->n > 0;
	return 0;
}

static void put_text(struct node *info, const char *key, const struct map *facts, const char *name)
{
	const char *v = map_get(facts, name);

	if (v && *v)
		node_set(info, key, node_str(v));
}

/*
 * A web server that gives no ETag: DVC's number is the digest of how Python writes what fsspec knows of the file,
 * in this order.
 */
static char *made_checksum(const struct source *s, const struct map *facts)
{
	const char *length = map_get(facts, "Content-Length"), *type = map_get(facts, "Content-Type");
	const char *ranges = map_get(facts, "Accept-Ranges");
	char *url = map_get(facts, "url");
	autofree char *name = str_starts(s->url, "remote://") ? xasprintf("%s/%s", s->remote->url, s->key) : xstrdup(s->url);
	autonode struct node *info = node_map();
	autostr struct str text = STR_INIT;
	__uint128_t n = 0;
	unsigned char md5[16];
	char digits[40], *at = digits + sizeof(digits) - 1;

	node_set(info, "name", node_str(name));
	node_set(info, "size", length ? node_int((int64_t)s->size) : node_null());
	if (type)
		node_set(info, "mimetype", node_strn(type, strcspn(type, ";")));
	if (ranges && !strcmp(ranges, "none"))
		node_set(info, "partial", node_bool(false));
	if (url)                                /* what its URLs leave as it is */
		unescape(url, strstr(name, "%2B") ? "!$&'()*,;=:@" : "!$&'()*,;=:@+");
	put_text(info, "url", facts, "url");
	put_text(info, "Digest", facts, "Digest");
	put_text(info, "Last-Modified", facts, "Last-Modified");
	node_set(info, "type", node_str("file"));
	str_addc(&text, '(');
	node_py_repr(&text, info);
	str_adds(&text, ",)");
	md5_once(str_cstr(&text), text.len, md5);
	for (size_t i = 0; i < sizeof(md5); i++)
		n = n << 8 | md5[i];
	*at = '\0';
	do
		*--at = (char)('0' + (int)(n % 10));
	while ((n /= 10));
	return xstrdup(at);
}

static void take_facts(struct source *s, const struct map *facts)
{
	const char *md5 = map_get(facts, "Content-MD5");

	if (s->etag || !str_starts(place_url(s), "http"))
		return;
	s->made = true;
	s->etag = md5 ? xstrdup(md5) : made_checksum(s, facts);
}

/* To a HEAD a collection answers with a page about it, or with 403. What the look at the file will tell is no failure here. */
static int look_collection(struct source *s, struct err *e)
{
	autoerr struct err why = ERR_INIT;

	if (!look_listed(s, &why) || (why.code != ERR_TEMP && why.code != ERR_INTR && why.code != ERR_UNSAFE))
		return 0;
	err_move(e, &why);
	return -1;
}

static int look_remote(struct source *s, struct err *e)
{
	struct map facts = MAP_INIT;
	struct rop op = { .kind = ROP_STAT, .key = s->key, .fd = -1, .facts = &facts, .want_version = s->want };
	enum rclass c;

	if (str_ends(s->url, "/") || !*s->key)
		return look_listed(s, e);
	if (str_starts(place_url(s), "webdav") && look_collection(s, e))
		return -1;
	if (s->present)
		return 0;
	c = remote_do(s->remote, &op, e);
	err_release(&op.err);
	if (c == RC_OK || c == RC_EXISTS) {
		s->present = true;
		s->size = op.size;
		s->etag = *op.etag ? xstrdup(op.etag) : NULL;
		s->version = *op.version_id ? xstrdup(op.version_id) : NULL;
		take_facts(s, &facts);
	}
	map_release(&facts, free);
	if (s->present)
		return 0;
	return c == RC_ABSENT ? look_listed(s, e) : err_in(e, "cannot look at '%s'", s->remote->url);
}

static bool is_web(const char *url)
{
	return str_starts(url, "http") || str_starts(url, "webdav");
}

int source_look(struct source *s, struct err *e)
{
	struct stat st;

	if (s->looked)
		return 0;
	if (!s->abs) {
		if (look_remote(s, e)) {
			if (e->code != ERR_TEMP || !is_web(place_url(s)))
				return -1;
			s->why = take(e->msg);
			err_release(e);
		}
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

static int fetch_remote(struct source *s, const char *to, struct err *e);

/* As the service names it in DVC's files: only S3 loses the quotes of the header, and GS has none. */
static char *shown_etag(const struct source *s, const char *etag)
{
	const char *url = place_url(s);
	bool quoted = str_starts(url, "http") || str_starts(url, "azure") || str_starts(url, "webdav");

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

int source_missing(struct project *p, const struct source *s, struct err *e)
{
	autofree char *abs = s->abs ? path_norm(s->abs) : NULL, *shown = NULL;

	if (abs && p && path_is_inside(abs, p->repo->root)) {
		autofree char *rel = path_rel(abs, p->repo->root);

		shown = repo_show(p->repo, rel);
	}
	if (!shown)
		shown = xstrdup(!abs || str_starts(s->url, "remote://") ? s->url : abs);
	err_set(e, ERR_NOTFOUND, "dependency '%s' does not exist", shown);
	if (s->why)
		err_hint(e, "%s", s->why);
	return -1;
}

int source_hash(struct project *p, struct source *s, struct hashinfo *h, struct meta *m, struct err *e)
{
	const char *name = hash_name_of_url(place_url(s));

	if (source_look(s, e))
		return -1;
	if (!s->present)
		return source_missing(p, s, e);
	meta_release(m);
	if (s->abs)
		return hash_local(p, s, h, m, e);
	if (source_is_read(s) && !s->summed && fetch_remote(s, NULL, e))
		return -1;
	if (s->is_dir) {
		hash_members(s, name, h, m);
		return 0;
	}
	autofree char *etag = s->made ? xstrdup(s->etag) : shown_etag(s, s->etag);

	m->size = (int64_t)s->size;
	/* Google's names of versions always come with a file's facts, and DVC records them always. */
	m->version_id = s->versioned || str_starts(place_url(s), "gs:") ? xstrdup(s->version) : NULL;
	hashinfo_set(h, name, etag);
	return 0;
}

int source_record(struct project *p, struct source *s, struct item *d, struct err *e)
{
	const char *name = hash_name_of_url(place_url(s));

	if (source_look(s, e) || (s->versioned && look_versions(s, e)) || source_hash(p, s, &d->hash, &d->meta, e))
		return -1;
	node_free(d->files);
	d->files = s->versioned && s->is_dir ? node_seq() : NULL;
	for (size_t i = 0; d->files && i < s->n; i++) {
		autofree char *etag = shown_etag(s, s->v[i].etag);
		struct node *row = node_map();

		node_set(row, "relpath", node_str(s->v[i].rel));
		node_set(row, name, node_str(etag));
		node_set(row, "size", node_int((int64_t)s->v[i].size));
		if (s->v[i].version)
			node_set(row, "version_id", node_str(s->v[i].version));
		node_push(d->files, row);
	}
	return 0;
}

bool source_is_newer(const struct source *s, const struct item *d)
{
	return s->versioned && s->present && d->meta.version_id && (!s->version || strcmp(s->version, d->meta.version_id));
}

/* Fetching */

struct get {
	struct rop op;
	char *key, *path;               /* key at the server; file to write, or NULL */
	char **sum;                     /* where the MD5 of what came goes, or NULL */
	struct md5 md5;
	bool begun;
	int fd;
	uint64_t got;
	struct fetch *all;
};
struct fetch {
	struct progress pg;
	struct inflight ops;
	const char *url;
};

static int get_begin(struct rop *op)
{
	struct get *g = op->user;

	g->got = 0;
	g->begun = true;
	md5_init(&g->md5);
	if (!g->path)
		return 0;
	if (g->fd >= 0)
		return ftruncate(g->fd, 0) || lseek(g->fd, 0, SEEK_SET) < 0 ? err_sys(&op->err, "cannot rewind '%s'", g->path) : 0;
	g->fd = open(g->path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
	return g->fd < 0 ? err_sys(&op->err, "cannot create '%s'", g->path) : 0;
}

static int get_sink(struct rop *op, const void *p, size_t n)
{
	struct get *g = op->user;

	if (!g->begun && get_begin(op))
		return -1;
	g->got += n;
	if (g->sum)
		md5_update(&g->md5, p, n);
	progress_add(&g->all->pg, 0, n);
	return g->path && fs_write_all(g->fd, p, n) ? err_sys(&op->err, "cannot write '%s'", g->path) : 0;
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

static void keep_sum(struct get *g)
{
	unsigned char md5[16];
	char hex[33] = { 0 };

	md5_final(&g->md5, md5);
	hex_encode(hex, md5, sizeof(md5));
	free(*g->sum);
	*g->sum = xstrdup(hex);
}

static void get_done(struct rop *op, enum rclass c)
{
	struct get *g = op->user;
	struct fetch *all = g->all;

	all->ops.n--;
	progress_add(&all->pg, 1, 0);
	if (c == RC_OK && !g->begun && get_begin(op))           /* nothing came: an empty file */
		c = RC_FATAL;
	if (c == RC_OK && op->size && g->got != op->size) {
		err_set(&op->err, ERR_FAIL, "%llu of %llu bytes came", (unsigned long long)g->got, (unsigned long long)op->size);
		c = RC_FATAL;
	} else if (c == RC_OK && g->fd >= 0 && close(g->fd)) {
		g->fd = -1;
		err_sys(&op->err, "cannot write '%s'", g->path);
		c = RC_FATAL;
	} else if (c == RC_OK) {
		g->fd = -1;
		if (g->sum)
			keep_sum(g);
	}
	if (c != RC_OK && !all->ops.err.code) {
		if (c == RC_ABSENT)
			err_set(&all->ops.err, ERR_NOTFOUND, "'%s' went away", g->key);
		else
			err_copy(&all->ops.err, &op->err);
		err_in(&all->ops.err, "cannot download '%s'", all->url);
	}
	get_free(g);
}

static int submit(struct source *s, struct fetch *all, const char *key, const char *version, const char *path, char **sum,
		  struct err *e)
{
	struct get *g = xcalloc(1, sizeof(*g));

	*g = (struct get){ .key = xstrdup(key), .path = xstrdup(path), .fd = -1, .all = all,
			  .sum = source_is_read(s) ? sum : NULL };
	g->op = (struct rop){ .kind = ROP_GET, .key = g->key, .fd = -1, .sink = get_sink, .sink_restart = get_begin,
			      .done = get_done, .user = g, .want_version = s->versioned ? version : NULL };
	if (!inflight_submit(s->remote, &all->ops, &g->op, e))
		return 0;
	get_free(g);
	return -1;
}

static int submit_all(struct source *s, struct fetch *all, const char *to, struct err *e)
{
	if (!s->is_dir)
		return submit(s, all, s->key, s->version, to, &s->etag, e);
	if (to && fs_mkdirs(to, 0777, e))
		return -1;
	for (size_t i = 0; i < s->n && !all->ops.err.code; i++) {
		autofree char *path = to ? path_join(to, s->v[i].rel) : NULL, *dir = to ? path_dir(path) : NULL;
		autofree char *key = member_key(s, s->v[i].rel);

		if ((dir && fs_mkdirs(dir, 0777, e)) || submit(s, all, key, s->v[i].version, path, &s->v[i].etag, e))
			return -1;
	}
	return 0;
}

/* to: NULL only reads, for the digests. */
static int fetch_remote(struct source *s, const char *to, struct err *e)
{
	struct fetch all = { .url = s->remote->url };
	int rc;

	progress_begin(&all.pg, to ? "downloading" : "hashing", s->is_dir ? s->n : 1, s->size);
	rc = submit_all(s, &all, to, e);
	rc = inflight_finish(s->remote, &all.ops, rc, e);
	progress_end(&all.pg);
	s->summed = !rc && source_is_read(s);
	return rc;
}

int source_fetch(struct source *s, const char *to, const char *tmp_dir, struct err *e)
{
	autofree char *up = tmp_dir ? xstrdup(tmp_dir) : path_dir(to), *tmp = NULL, *parent = path_dir(to);
	autoerr struct err none = ERR_INIT;

	if (source_look(s, e))
		return -1;
	if (!s->present)
		return err_set(e, ERR_NOTFOUND, "The path '%s' does not exist", s->url);
	if (fs_mkdirs(parent, 0777, e))
		return -1;
	tmp = temps_path(up);
	if (s->abs ? copy_tree(s->abs, tmp, e) : fetch_remote(s, tmp, e))
		goto undo;
	proc_fault("source.fetched");
	if (!rename(tmp, to))
		return 0;
	if (errno != EXDEV) {
		err_sys(e, "cannot put '%s' in place", to);
	} else if (!copy_tree(tmp, to, e)) {
		fs_rm_tree(tmp, &none);
		return 0;
	} else {
		fs_rm_tree(to, &none);
	}
undo:
	fs_rm_tree(tmp, &none);
	return -1;
}

int merge_over(const char *from, const char *to, struct err *e)
{
	autodir DIR *d = NULL;
	struct dirent *de;
	int more;

	if (fs_is_dir(from) != fs_is_dir(to) || fs_is_link(to) || !fs_is_dir(from)) {
		if (fs_is_dir(to) && !fs_is_link(to) && fs_rm_tree(to, e))
			return -1;
		return rename(from, to) ? err_sys(e, "cannot put '%s' in place", to) : 0;
	}
	d = opendir(from);
	if (!d)
		return err_sys(e, "cannot read '%s'", from);
	while ((more = fs_next_entry(d, &de, from, e)) > 0) {
		autofree char *a = NULL, *b = NULL;

		a = path_join(from, de->d_name);
		b = path_join(to, de->d_name);
		if (merge_over(a, b, e))
			return -1;
	}
	if (more)
		return -1;
	return rmdir(from) ? err_sys(e, "cannot remove '%s'", from) : 0;
}

int source_fetch_over(struct source *s, const char *to, struct err *e)
{
	autofree char *dir = path_dir(to), *tmp = NULL;
	autoerr struct err none = ERR_INIT;

	if (!fs_exists(to))
		return source_fetch(s, to, NULL, e);
	tmp = temps_path(dir);
	if (!source_fetch(s, tmp, NULL, e) && !merge_over(tmp, to, e))
		return 0;
	fs_rm_tree(tmp, &none);
	return -1;
}

/* list-url - what a directory at a path or a URL holds. */
#include "cmd/cmd.h"
#include "cmd/pairs.h"
#include "cmd/rows.h"
#include "cmd/show.h"

#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/cache/ingest.h"
#include "core/data/remote.h"
#include "core/data/source.h"
#include "core/repo/config.h"
#include "core/repo/repo.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

struct list_url_args {
	const char *url;
	bool recursive, tree, size;
	const char *level;
	int64_t most;           /* levels; -1: all */
	struct strvec fs_config;
};

/* Relative names; a directory ends in '/'. Sorted before it is shown. */
struct entry { char *rel; int64_t size; bool is_dir; };
struct entries { struct entry *v; size_t n, cap; };

static void entries_release(struct entries *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].rel);
	free(l->v);
}

static void push(struct entries *l, char *rel, int64_t size, bool is_dir)
{
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = (struct entry){ rel, size, is_dir };
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->rel, ((const struct entry *)b)->rel);
}

static int add_local(struct entries *l, const char *abs, const char *rel, struct err *e)
{
	autofree char *dir = *rel ? path_join(abs, rel) : xstrdup(abs);
	DIR *d = opendir(dir);
	struct dirent *de;
	int rc = 0, more = 0;

	if (!d)
		return err_sys(e, "cannot read '%s'", dir);
	while (!rc && (more = fs_next_entry(d, &de, dir, e)) > 0) {
		struct stat st, own;
		char *name;
		bool is_dir;

		if (fstatat(dirfd(d), de->d_name, &st, 0))
			memset(&st, 0, sizeof(st));     /* a link that leads nowhere is an entry too */
		name = *rel ? path_join(rel, de->d_name) : xstrdup(de->d_name);
		/* a link to a directory is no directory: what it leads to may be the one it lies in */
		is_dir = !fstatat(dirfd(d), de->d_name, &own, AT_SYMLINK_NOFOLLOW) && S_ISDIR(own.st_mode);
		push(l, name, st.st_size, is_dir);
		if (is_dir)
			rc = add_local(l, abs, name, e);
	}
	closedir(d);
	return rc ? rc : more;
}

/* A server names files only: every directory on the way is an entry too. */
static void add_remote(struct entries *l, const struct source *s)
{
	struct map seen = MAP_INIT;

	for (size_t i = 0; i < s->n; i++) {
		const char *rel = s->v[i].rel;

		for (const char *slash = strchr(rel, '/'); slash; slash = strchr(slash + 1, '/')) {
			autofree char *dir = xstrndup(rel, (size_t)(slash - rel));

			if (map_has(&seen, dir))
				continue;
			map_put(&seen, dir, l);
			push(l, xstrdup(dir), 0, true);
		}
		push(l, xstrdup(rel), (int64_t)s->v[i].size, false);
	}
	map_release(&seen, NULL);
}

static int64_t depth_of(const char *rel)
{
	int64_t n = 1;

	for (; *rel; rel++)
		n += *rel == '/';
	return n;
}

static void show_flat(const struct list_url_args *a, const struct entries *l, struct rows *rows)
{
	int64_t most = !a->recursive ? 1 : a->most > 0 ? a->most : 0;

	for (size_t i = 0; i < l->n; i++) {
		const struct entry *t = &l->v[i];
		int64_t depth = depth_of(t->rel);

		if (most && depth > most)
			continue;
		if (a->recursive && t->is_dir && (!most || depth < most))
			continue;
		rows_add(rows, t->size, t->is_dir, NULL, xstrdup(t->rel));
	}
}

static const char *after(const char *rel, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(rel, dir, n) ? NULL : rel + n;
}

/* The next entry of the directory itself; what lies deeper is stepped over in one search: '0' is the byte after '/'. */
static size_t next_child(const struct entries *l, size_t i, const char *dir)
{
	for (;;) {
		const char *in = i < l->n ? after(l->v[i].rel, dir) : NULL, *slash = in ? strchr(in, '/') : NULL;
		autofree char *past = NULL;

		if (!slash)             /* also what is no more of this directory: shorter names among it */
			return i;
		past = xasprintf("%.*s0", (int)(slash - l->v[i].rel), l->v[i].rel);
		i = SORTED_FROM(l->v, i, l->n, rel, past);
	}
}

static void show_tree(const struct list_url_args *a, const struct entries *l, const char *dir, const char *lead,
		      int64_t depth, struct rows *rows)
{
	size_t n = strlen(dir), i = next_child(l, SORTED_FROM(l->v, 0, l->n, rel, dir), dir);

	if (a->level && depth > a->most)
		return;
	while (i < l->n && !strncmp(l->v[i].rel, dir, n)) {
		const struct entry *t = &l->v[i];
		size_t next = next_child(l, i + 1, dir);
		bool last = next >= l->n || strncmp(l->v[next].rel, dir, n) != 0;

		rows_add(rows, t->size, t->is_dir, NULL, xasprintf("%s%s%s", lead, last ? "└── " : "├── ", t->rel + n));
		if (t->is_dir) {
			autofree char *below = xasprintf("%s/", t->rel);
			autofree char *in = xasprintf("%s%s", lead, last ? "    " : "│   ");

			show_tree(a, l, below, in, depth + 1, rows);
		}
		i = next;
	}
}

/* As DVC's file systems name it: buckets without the scheme, of SSH the path, of WebDAV nothing. */
static char *bare(const struct source *s)
{
	bool named = s->remote && str_starts(s->url, "remote://");
	autofree char *url = named ? path_join(s->remote->url, s->key) : xstrdup(s->url);
	const char *host = strstr(url, "://"), *path = host ? strchr(host + 3, '/') : NULL;
	const char *slash = named && str_ends(s->url, "/") && s->url[9] ? "/" : "";

	if (str_starts(url, "s3://") || str_starts(url, "gs://") || str_starts(url, "azure://"))
		return xasprintf("%s%s", host + 3, str_ends(url, "/") ? "" : slash);
	if (str_starts(url, "ssh://"))
		return xasprintf("%s%s", path ? path : "", str_ends(url, "/") ? "" : slash);
	if (str_starts(url, "webdav"))
		return xstrdup(s->is_dir ? "" : "/");
	return xstrdup(url);
}

/* A tree asks the file system itself, and DVC is surprised by what that says. */
static int missing(const struct list_url_args *a, const struct source *s, struct err *e)
{
	autofree char *shown = s->abs ? xasprintf("[Errno 2] No such file or directory: '%s'", s->abs)
		: s->why ? xstrdup(s->why) : bare(s);

	err_set(e, ERR_NOTFOUND, "%s", shown);
	if (!a->tree)
		return err_in(e, "The path '%s' does not exist", a->url);
	show_unexpected(e);
	return -1;
}

/* What stands at the top of a tree: the URL as typed, but of a remote's name the path that it stands for. */
static char *root_name(const struct list_url_args *a, const struct source *s)
{
	size_t n = strlen(a->url);

	if (!s->abs)
		return bare(s);
	if (!str_starts(a->url, "remote://"))
		return xstrdup(a->url);
	return xasprintf("%s%s", s->abs, a->url[n - 1] == '/' || !strchr(a->url + 9, '/') ? "/" : "");
}

static void show(const struct list_url_args *a, const struct source *src, struct entries *l)
{
	struct rows rows = { 0 };
	struct stat st = { .st_size = 0 };

	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_name);
	if (a->tree) {
		if (!src->abs)
			st.st_size = src->is_dir ? 0 : (off_t)src->size;
		else if (stat(src->abs, &st))
			st.st_size = 0;
		rows_add(&rows, st.st_size, src->is_dir, NULL, root_name(a, src));
		show_tree(a, l, "", "", 1, &rows);
	} else if (src->is_dir && a->most) {
		show_flat(a, l, &rows);
	} else {
		rows_add(&rows, -1, src->is_dir, NULL, src->abs ? xstrdup(src->abs) : bare(src));
	}
	rows_print(&rows, a->size, false, a->tree);
	rows_release(&rows);
}

static int run(struct session *s, void *args, struct err *e)
{
	struct list_url_args *a = args;
	struct map over = MAP_INIT;
	struct entries l = { NULL, 0, 0 };
	struct source *src = NULL;
	const struct config *c = s->repo ? s->repo->config : NULL;
	autofree char *cwd = path_abs("."), *abs = strstr(a->url, "://") ? NULL : path_join(cwd, a->url);
	int rc;

	a->most = -1;
	if (a->level)
		opts_int(a->level, &a->most);
	rc = pairs_map(&a->fs_config, "--fs-config", &over, e);
	if (!rc)
		rc = config_check_options(c, a->url, &over, e);
	if (!rc)
		rc = source_open(&src, c, a->url, abs, &over, 0, e);
	if (!rc)
		rc = source_look(src, e);
	if (!rc && a->recursive && !a->tree && a->level && a->most < 0) {
		rc = err_set(e, ERR_FAIL, "maxdepth must be at least 1");
		show_unexpected(e);
	}
	if (!rc && !src->present)
		rc = missing(a, src, e);
	if (!rc && src->is_dir && src->abs)
		rc = add_local(&l, src->abs, "", e);
	else if (!rc && src->is_dir)
		add_remote(&l, src);
	if (!rc)
		show(a, src, &l);
	else
		show_outage(e);
	source_close(src);
	entries_release(&l);
	map_release(&over, NULL);
	return rc;
}

static const struct opt options[] = {
	OPT_FLAG('R', "recursive", list_url_args, recursive, "List files in all directories below."),
	OPT_FLAG('T', "tree", list_url_args, tree, "Draw a tree."),
	OPT_ROW('L', "level", OPT_K_NUMBER, "depth", list_url_args, level, "How deep to go.", NULL, NULL),
	OPT_FLAG(0, "size", list_url_args, size, "Show sizes."),
	OPT_PAIRS(0, "fs-config", "<name>=<value>", list_url_args, fs_config, "Options for the server."),
	OPT_END
};
static const struct pos positionals[] = {
	{ "url", '1', offsetof(struct list_url_args, url), "A path or a URL." },
	POS_END
};

const struct cmd cmd_list_url = {
	.name = "list-url", .alias = "ls-url", .run = run, .needs = WANT_REPO,
	.args_size = sizeof(struct list_url_args), .opts = options, .pos = positionals,
	.summary = "List directory contents from URL.", .help = "List directory contents from URL.",
};

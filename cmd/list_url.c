/* list-url - what a directory at a path or a URL holds. */
#include "cmd/cmd.h"
#include "cmd/pairs.h"
#include "cmd/show.h"

#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/cache/ingest.h"
#include "core/data/source.h"
#include "core/repo/repo.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

struct list_url_args {
	const char *url;
	bool recursive, tree, size;
	int64_t level;
	struct strvec fs_config;
};

/* Relative names; a directory ends in '/'. Sorted before it is shown. */
struct entry { char *rel; uint64_t size; bool is_dir; };
struct entries { struct entry *v; size_t n, cap; };

static void entries_release(struct entries *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].rel);
	free(l->v);
}

static void push(struct entries *l, char *rel, uint64_t size, bool is_dir)
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
	int rc = 0;

	if (!d)
		return err_sys(e, "cannot read '%s'", dir);
	while (!rc && (de = readdir(d))) {
		struct stat st;
		char *name;

		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, "..") || fstatat(dirfd(d), de->d_name, &st, 0))
			continue;
		name = *rel ? path_join(rel, de->d_name) : xstrdup(de->d_name);
		push(l, name, S_ISDIR(st.st_mode) ? 0 : (uint64_t)st.st_size, S_ISDIR(st.st_mode));
		/* a link to a directory is an entry: what it leads to may be the directory itself */
		if (S_ISDIR(st.st_mode) && !fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode))
			rc = add_local(l, abs, name, e);
	}
	closedir(d);
	return rc;
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
		push(l, xstrdup(rel), s->v[i].size, false);
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

static void show_entry(const struct list_url_args *a, const struct entry *t, const char *name)
{
	autostr struct str size = STR_INIT;

	if (!a->size) {
		ui_info("%s", name);
		return;
	}
	if (!t->is_dir)
		show_size(&size, (double)t->size);
	ui_info("%*s  %s", 6, str_cstr(&size), name);
}

static void show_flat(const struct list_url_args *a, const struct entries *l)
{
	int64_t most = a->recursive ? a->level : 1;

	for (size_t i = 0; i < l->n; i++) {
		const struct entry *t = &l->v[i];
		int64_t depth = depth_of(t->rel);

		if (most && depth > most)
			continue;
		if (a->recursive && t->is_dir && (!most || depth < most))
			continue;
		show_entry(a, t, t->rel);
	}
}

/* Entries of one directory stand together once sorted by whole path with '/' first. */
static void show_tree(const struct list_url_args *a, const struct entries *l, const char *dir, const char *lead,
		      int64_t depth)
{
	size_t n = strlen(dir), last = 0;
	bool any = false;

	if (a->level && depth > a->level)
		return;
	for (size_t i = 0; i < l->n; i++)
		if (!strncmp(l->v[i].rel, dir, n) && !strchr(l->v[i].rel + n, '/')) {
			last = i;
			any = true;
		}
	for (size_t i = 0; any && i <= last; i++) {
		const struct entry *t = &l->v[i];
		autofree char *line = NULL, *below = NULL, *in = NULL;

		if (strncmp(t->rel, dir, n) || strchr(t->rel + n, '/'))
			continue;
		line = xasprintf("%s%s%s", lead, i == last ? "└── " : "├── ", t->rel + n);
		show_entry(a, t, line);
		if (!t->is_dir)
			continue;
		below = xasprintf("%s/", t->rel);
		in = xasprintf("%s%s", lead, i == last ? "    " : "│   ");
		show_tree(a, l, below, in, depth + 1);
	}
}

static int missing(const struct source *s, const char *url, struct err *e)
{
	if (s->abs)
		return err_set(e, ERR_NOTFOUND, "The path '%s' does not exist: [Errno 2] No such file or directory: '%s'",
			       url, s->abs);
	return err_set(e, ERR_NOTFOUND, "The path '%s' does not exist", url);
}

static int run(struct session *s, void *args, struct err *e)
{
	struct list_url_args *a = args;
	struct map over = MAP_INIT;
	struct entries l = { NULL, 0, 0 };
	struct source *src = NULL;
	autofree char *abs = strstr(a->url, "://") ? NULL : path_abs(a->url);
	int rc = pairs_map(&a->fs_config, "--fs-config", &over, e);

	if (!rc)
		rc = source_open(&src, s->repo ? s->repo->config : NULL, a->url, abs, &over, 0, e);
	if (!rc)
		rc = source_look(src, e);
	if (!rc && !src->present)
		rc = missing(src, a->url, e);
	if (!rc && !src->is_dir)
		ui_info("%s", src->abs ? src->abs : a->url);
	else if (!rc && src->abs)
		rc = add_local(&l, src->abs, "", e);
	else if (!rc)
		add_remote(&l, src);
	if (!rc && src->is_dir) {
		qsort(l.v, l.n, sizeof(*l.v), by_name);
		if (a->tree) {
			show_entry(a, &(struct entry){ NULL, 0, true }, a->url);
			show_tree(a, &l, "", "", 1);
		} else {
			show_flat(a, &l);
		}
	}
	source_close(src);
	entries_release(&l);
	map_release(&over, NULL);
	return rc;
}

static const struct opt options[] = {
	OPT_FLAG('R', "recursive", list_url_args, recursive, "List files in all directories below."),
	OPT_FLAG('T', "tree", list_url_args, tree, "Draw a tree."),
	OPT_INT('L', "level", "depth", list_url_args, level, "How deep to go."),
	OPT_FLAG(0, "size", list_url_args, size, "Show sizes."),
	OPT_STRS(0, "fs-config", "<name>=<value>", list_url_args, fs_config, "Options for the server."),
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

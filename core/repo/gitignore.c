/* gitignore - entries of outputs in .gitignore files. See ignore.h and the format notes, 11. */
#include "core/repo/ignore.h"

#include <limits.h>
#include <sys/stat.h>

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/repo/gitrepo.h"

#define GITIGNORE_MAX (16u << 20)

static bool git_ignores(const char *abs, const char *scm_root)
{
	autofree char *dir = path_dir(abs), *root = git_find_root(dir), *git = NULL, *rel = NULL;
	struct ignore *g;
	bool ignored;

	if (root)
		git = git_find_dir(root);
	if (!git)                       /* no git: nothing to keep out of it, unless it merely cannot be read now */
		return !scm_root;
	rel = path_rel(abs, root);
	g = ignore_open_git(root, git);
	ignored = ignore_is(g, rel, false);
	ignore_close(g);
	return ignored;
}

/* What the path is without links; itself where its directory is not there yet; NULL for a link into nothing. */
static char *resolve(const char *dir, const char *path)
{
	autofree char *real = realpath(path, NULL), *real_dir = NULL;

	if (real || fs_is_link(path))
		return take(real);
	real_dir = realpath(dir, NULL);
	return path_join(real_dir ? real_dir : dir, ".gitignore");
}

char *gitignore_file(const char *abs, const char *root, struct err *e)
{
	autofree char *dir = path_dir(abs), *path = path_join(dir, ".gitignore"), *real = resolve(dir, path);
	autofree char *top = root ? realpath(root, NULL) : NULL;

	if (real && (!root || (top && path_is_inside(real, top)) || !strcmp(real, path)))
		return take(real);
	err_set(e, ERR_UNSAFE, "'%s' is outside of git repository '%s'", abs, root ? root : "");
	return NULL;
}

char *gitignore_entry(const char *name)
{
	autostr struct str s = STR_INIT;

	str_addc(&s, '/');
	for (; *name; name++) {
		if (strchr("[]!*#?\\", *name))
			str_addc(&s, '\\');
		str_addc(&s, *name);
	}
	return str_take(&s);
}

static int read_if_there(struct str *out, const char *path, bool *there, struct err *e)
{
	autoerr struct err why = ERR_INIT;

	*there = true;
	if (!fs_read(out, path, GITIGNORE_MAX, &why))
		return 0;
	*there = false;
	if (why.code == ERR_NOTFOUND)
		return 0;
	err_move(e, &why);
	return -1;
}

int gitignore_add(const char *abs, const char *root, char **file, struct err *e)
{
	autofree char *dir = path_dir(abs), *path = path_join(dir, ".gitignore"), *entry = gitignore_entry(path_base(abs));
	autofree char *real = NULL;
	autostr struct str s = STR_INIT;
	bool there;

	*file = NULL;
	if (root && !path_is_inside(abs, root))
		return err_set(e, ERR_UNSAFE, "'%s' is outside of git repository '%s'", abs, root);
	real = gitignore_file(abs, root, e);
	if (!real)
		return -1;
	if (strchr(entry, '\n') || git_ignores(abs, root))
		return 0;
	if (read_if_there(&s, real, &there, e))
		return err_in(e, "cannot read '%s'", path);
	/* The same line may stand there already, and be taken back by a later one. */
	if (s.len && s.buf[s.len - 1] != '\n')
		str_addc(&s, '\n');
	str_addf(&s, "%s\n", entry);
	if (fs_replace(real, s.buf, s.len, 0, e))
		return -1;
	*file = take(path);
	return 0;
}

int gitignore_remove(const char *abs, const char *root, char **file, struct err *e)
{
	autofree char *dir = path_dir(abs), *path = path_join(dir, ".gitignore"), *entry = NULL, *plain = NULL;
	autofree char *real = gitignore_file(abs, root, e);
	autostr struct str s = STR_INIT, kept = STR_INIT;
	bool there;

	*file = NULL;
	plain = xasprintf("/%s", path_base(abs));
	entry = str_trim_dup(plain);
	if (!real)
		return -1;
	if (read_if_there(&s, real, &there, e))
		return err_in(e, "cannot read '%s'", path);
	if (!there)
		return 0;
	for (const char *p = str_cstr(&s); *p;) {
		size_t n = strcspn(p, "\n");
		autofree char *raw = xstrndup(p, n), *line = str_trim_dup(raw);

		n += p[n] == '\n';
		if (strcmp(line, entry))
			str_add(&kept, p, n);
		p += n;
	}
	if (!kept.len) {
		if (remove(path))
			return err_sys(e, "cannot remove '%s'", path);
		return 0;
	}
	if (kept.len != s.len && fs_replace(real, kept.buf, kept.len, 0, e))
		return -1;
	*file = take(path);
	return 0;
}

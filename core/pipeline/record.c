#include "core/pipeline/record.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/temps.h"
#include "core/data/project.h"
#include "core/data/compare.h"
#include "core/data/track.h"
#include "core/repo/repo.h"
#include "core/stage/index.h"
#include "core/stage/params.h"
#include "core/stage/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int load_params(struct project *p, const struct item *d, const char *abs, struct node **out, struct err *e)
{
	autofree char *shown = item_show(d, p->repo->cwd_rel);
	autoerr struct err why = ERR_INIT;

	if (fs_is_dir(abs))
		return err_set(e, ERR_FAIL, "'%s' is a directory, expected a parameters file", shown);
	if (!params_load(out, abs, &why))
		return 0;
	return err_set(e, ERR_PARSE, "Unable to read parameters from '%s': unable to read: '%s', %s: %s", shown, shown,
		       params_corrupted(abs), why.msg);
}

static int pick_params(struct project *p, struct item *d, const struct node *doc, struct err *e)
{
	autofree char *shown = item_show(d, p->repo->cwd_rel);
	autostr struct str missing = STR_INIT;
	autonode struct node *values = node_map();

	for (size_t i = 0; i < d->params.n; i++) {
		const struct node *v = NULL;
		int hit = params_lookup(doc, d->params.v[i], &v, e);

		if (hit < 0)
			return -1;
		if (hit)
			node_set(values, d->params.v[i], node_copy(v));
		else
			str_addf(&missing, "%s%s", missing.len ? ", " : "", d->params.v[i]);
	}
	if (missing.len)
		return err_set(e, ERR_FAIL, "Parameters '%s' are missing from '%s'.", str_cstr(&missing), shown);
	if (!d->params.n && node_is(doc, NODE_MAP)) {
		node_free(values);
		values = node_copy(doc);
	}
	node_free(d->param_values);
	d->param_values = take(values);
	return 0;
}

static int record_params(struct project *p, struct item *d, bool hashing, struct err *e)
{
	autofree char *abs = item_abs(d, p->repo->root);
	autofree char *shown = item_show(d, p->repo->cwd_rel);
	autonode struct node *doc = NULL;

	if (!abs || !fs_exists(abs)) {
		if (!hashing)
			return err_set(e, ERR_NOTFOUND, "dependency '%s' does not exist", shown);
		doc = node_map();
	} else if (load_params(p, d, abs, &doc, e)) {
		return -1;
	}
	return pick_params(p, d, doc, e);
}

/* What lies elsewhere is asked for only when it changed; then the comparison has its present hash. */
static int record_remote(struct project *p, struct item *d, struct err *e)
{
	struct stage_status st = { NULL, 0, 0 };
	int rc = compare_item(p, d, true, &st, e);

	for (size_t i = 0; !rc && i < st.n; i++) {
		if (st.v[i].now.value)
			hashinfo_set(&d->hash, st.v[i].now.name, st.v[i].now.value);
		else if (st.v[i].state && !strcmp(st.v[i].state, "deleted"))
			rc = err_set(e, ERR_NOTFOUND, "dependency '%s' does not exist", d->def);
	}
	stage_status_release(&st);
	return rc;
}

static int record_dep(struct project *p, struct item *d, bool hashing, struct err *e)
{
	autofree char *abs = NULL;

	switch (d->kind) {
	case DEP_PARAMS:
		return record_params(p, d, hashing, e);
	case DEP_PATH:
		abs = item_abs(d, p->repo->root);
		if (hashing && abs && access(abs, F_OK))
			return err_set(e, ERR_NOTFOUND, "[Errno 2] No such file or directory: '%s'", abs);
		return track_save(p, d, 0, e);
	case DEP_URL:
		return record_remote(p, d, e);
	default:
		return 0;
	}
}

int record_deps(struct project *p, struct stage *s, bool hashing, struct err *e)
{
	for (size_t i = 0; i < s->ndeps; i++)
		if (record_dep(p, s->deps[i], hashing, e))
			return -1;
	return 0;
}

int record_outs(struct project *p, struct stage *s, bool no_commit, struct err *e)
{
	/* one that is missing is said before the content of the others enters the cache */
	for (size_t i = 0; i < s->nouts; i++) {
		autofree char *abs = item_abs(s->outs[i], p->repo->root);

		if (abs && access(abs, F_OK) && track_save(p, s->outs[i], TRACK_NO_COMMIT, e))
			return -1;
	}
	for (size_t i = 0; i < s->nouts; i++)
		if (track_save(p, s->outs[i], no_commit ? TRACK_NO_COMMIT : 0, e))
			return -1;
	return 0;
}

int record_check_outs(struct project *p, const struct stage *s, struct err *e)
{
	autostr struct str list = STR_INIT;
	size_t n = 0;

	for (size_t i = 0; i < s->nouts; i++) {
		autofree char *abs = item_abs(s->outs[i], p->repo->root);
		autofree char *shown = item_show(s->outs[i], p->repo->cwd_rel);

		if (!abs || !access(abs, F_OK))
			continue;
		str_addf(&list, "%s%s", n++ ? ", " : "", shown);
	}
	return n ? err_set(e, ERR_NOTFOUND, "missing data 'source%s': %s", n > 1 ? "s" : "", str_cstr(&list)) : 0;
}

/* A copy in place of a link to the cache, by rename. */
static int copy_in_place(int dir, const char *name, const struct stat *st, struct err *e)
{
	autoclose int in = openat(dir, name, O_RDONLY | O_CLOEXEC);
	autoclose int out = -1;
	char tmp[32];
	ssize_t n;

	if (in < 0)
		return errno == ENOENT ? 0 : err_sys(e, "cannot open '%s'", name);
	temps_note_fd(dir);
	fs_temp_scratch(tmp);
	out = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (out < 0)
		return err_sys(e, "cannot copy '%s'", name);
	while ((n = copy_file_range(in, NULL, out, NULL, 1u << 30, 0)) > 0)
		;
	if (n < 0) {
		char buf[65536];

		if (lseek(in, 0, SEEK_SET) < 0 || ftruncate(out, 0) || lseek(out, 0, SEEK_SET) < 0)
			goto undo;
		while ((n = read(in, buf, sizeof(buf))) > 0)
			if (fs_write_all(out, buf, (size_t)n))
				goto undo;
		if (n < 0)
			goto undo;
	}
	if ((st->st_mode & 0100) && !S_ISLNK(st->st_mode))
		fchmod(out, (0666 & ~fs_umask()) | 0100);
	if (renameat(dir, tmp, dir, name))
		goto undo;
	return 0;
undo:
	err_sys(e, "cannot copy '%s'", name);
	unlinkat(dir, tmp, 0);
	return -1;
}

static int unprotect_at(int dir, const char *name, int depth, struct err *e)
{
	struct stat st;
	struct dirent *de;
	DIR *d;
	int fd, rc = 0;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : err_sys(e, "cannot look at '%s'", name);
	if (S_ISREG(st.st_mode) && st.st_nlink < 2 && (st.st_mode & 0200))
		return 0;
	if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode))
		return copy_in_place(dir, name, &st, e);
	if (!S_ISDIR(st.st_mode) || depth > 256)
		return 0;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		return err_sys(e, "cannot open '%s'", name);
	while (!rc && (de = readdir(d)))
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, ".."))
			rc = unprotect_at(fd, de->d_name, depth + 1, e);
	closedir(d);
	return rc;
}

int record_unprotect(struct project *p, const struct stage *s, struct err *e)
{
	for (size_t i = 0; i < s->nouts; i++) {
		autofree char *abs = NULL;

		if (!s->outs[i]->persist || !s->outs[i]->cache || !s->outs[i]->path)
			continue;
		abs = item_abs(s->outs[i], p->repo->root);
		if (unprotect_at(AT_FDCWD, abs, 0, e))
			return err_in(e, "cannot unprotect '%s'", s->outs[i]->def);
	}
	return 0;
}

static int append_lines(struct project *p, const char *dir, const struct str *lines, struct err *e)
{
	autofree char *rel = *dir ? path_join(dir, ".gitignore") : xstrdup(".gitignore");
	autofree char *abs = repo_abs(p->repo, rel);
	autofree char *parent = path_dir(abs);
	autostr struct str text = STR_INIT;

	if (!lines->len || !fs_is_dir(parent))
		return 0;
	if (fs_exists(abs) && fs_read(&text, abs, 64u << 20, e))
		return -1;
	if (text.len && text.buf[text.len - 1] != '\n')
		str_addc(&text, '\n');
	str_add(&text, lines->buf, lines->len);
	if (fs_replace(abs, str_cstr(&text), text.len, 0, e))
		return -1;
	repo_wrote(p->repo, abs);
	return 0;
}

int record_ignore(struct project *p, struct strvec *paths, struct err *e)
{
	autostr struct str lines = STR_INIT;
	autofree char *dir = NULL;
	struct index *x;

	if (p->repo->no_scm || !p->repo->scm_root || project_index(p, &x, e))
		return p->repo->no_scm || !p->repo->scm_root ? 0 : -1;
	strvec_sort(paths);
	for (size_t i = 0; i < paths->n; i++) {
		autofree char *d = path_dir(paths->v[i]);
		const char *name = path_base(paths->v[i]);

		if (dir && strcmp(dir, d)) {
			if (append_lines(p, dir, &lines, e))
				return -1;
			str_reset(&lines);
		}
		free(dir);
		dir = take(d);
		if (strpbrk(name, "[]!*#?\\ \t\n\r") || index_git_ignored(x, paths->v[i], false))
			continue;
		str_addf(&lines, "/%s\n", name);
	}
	if (dir && append_lines(p, dir, &lines, e))
		return -1;
	index_git_ignore_changed(x);
	return 0;
}

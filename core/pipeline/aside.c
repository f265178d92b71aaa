#include "core/pipeline/aside.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/cache/state.h"
#include "core/data/compare.h"
#include "core/data/project.h"
#include "core/repo/repo.h"
#include "core/repo/repolock.h"
#include "core/stage/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * .dvc/tmp/aside/<pid>-<when it began>-<random>-<machine>/{list,0,1,...}; list holds one "<number><tab><root-relative path>"
 * for each output, and "<hidden path><tab><path>" for one that lies on another file system than .dvc/tmp; each ends with NUL.
 */

static void release(struct aside *a)
{
	free(a->dir);
	a->dir = NULL;
	strvec_release(&a->from);
	strvec_release(&a->to);
}

static int make_dir(struct aside *a, struct repo *r, struct err *e)
{
	autofree char *base = path_join(r->tmp_dir, "aside");
	char name[32], host[9];

	fs_temp_name(name);
	for (char *c = name; *c; c++)
		if (*c == '-')
			*c = '_';
	repolock_host(host);
	a->dir = xasprintf("%s/%ld-%llu-%.8s-%s", base, (long)getpid(), (unsigned long long)proc_started(getpid()), name + 1,
			   host);
	return fs_mkdirs(a->dir, 0777, e);
}

/* The list is on disk before anything moves: a run that ends in between, by a power cut even, can still be put right. */
static int write_list(struct aside *a, const struct stage *s, struct err *e)
{
	autostr struct str text = STR_INIT;
	autofree char *path = path_join(a->dir, "list");

	for (size_t i = 0; i < s->nouts; i++) {
		if (!s->outs[i]->path || !*s->outs[i]->path)
			continue;
		str_addf(&text, "%zu\t%s", i, s->outs[i]->path);
		str_addc(&text, '\0');
	}
	return fs_replace(path, str_cstr(&text), text.len, 0, e);
}

/* The name is listed before it is given. */
static int move_beside(struct aside *a, struct repo *r, const char *from, char **to, struct err *e)
{
	autofree char *dir = path_dir(from);
	autofree char *list = path_join(a->dir, "list");
	autofree char *hidden = NULL;
	autofree char *rel = path_rel(from, r->root);
	autofree char *line = NULL;
	autoclose int fd = open(list, O_WRONLY | O_APPEND | O_CLOEXEC);
	char name[32];

	fs_temp_name(name);
	*to = path_join(dir, name);
	hidden = path_rel(*to, r->root);
	line = xasprintf("%s\t%s", hidden, rel);
	if (fd < 0 || fs_write_all(fd, line, strlen(line) + 1) || fsync(fd))
		return err_sys(e, "cannot write '%s'", list);
	return rename(from, *to) ? err_sys(e, "cannot set '%s' aside", from) : 0;
}

static int move(struct aside *a, struct repo *r, const char *from, size_t i, struct err *e)
{
	autofree char *to = xasprintf("%s/%zu", a->dir, i);

	if (rename(from, to)) {
		if (errno == ENOENT)
			return 0;
		if (errno != EXDEV)
			return err_sys(e, "cannot set '%s' aside", from);
		free(to);
		to = NULL;
		if (move_beside(a, r, from, &to, e))
			return -1;
	}
	strvec_push(&a->from, from);
	strvec_push(&a->to, to);
	return 0;
}

/* What a failed command left: the inode and time of its output, remembered in the private state. */
struct leftover { uint64_t ino, dev; int64_t sec, nsec; };

static bool stat_leftover(const char *abs, struct leftover *l)
{
	struct stat st;

	memset(l, 0, sizeof(*l));
	if (lstat(abs, &st))
		return false;
	*l = (struct leftover){ st.st_ino, st.st_dev, st.st_mtim.tv_sec, st.st_mtim.tv_nsec };
	return true;
}

static bool is_leftover(struct project *p, const char *rel, const char *abs)
{
	struct state *st = project_state(p);
	struct leftover was, is;

	return st && state_get_fact(st, "leftover", rel, &was, sizeof(was)) && stat_leftover(abs, &is) &&
		!memcmp(&was, &is, sizeof(is));
}

static void remember_leftovers(struct project *p, const struct stage *s)
{
	struct state *st = project_state(p);

	for (size_t i = 0; st && i < s->nouts; i++) {
		const struct item *o = s->outs[i];
		autofree char *abs = o->path && *o->path && !o->persist ? repo_abs(p->repo, o->path) : NULL;
		struct leftover l;

		if (abs && stat_leftover(abs, &l))
			state_put_fact(st, "leftover", o->path, &l, sizeof(l));
	}
}

/* The output is in the cache exactly as recorded. */
static bool is_safe(struct project *p, struct item *o, const struct stage_status *status)
{
	struct stage_status own = { NULL, 0, 0 };
	autoerr struct err none = ERR_INIT;
	bool ok = true;

	if (!o->cache || !o->hash.value)
		return false;
	if (!status)
		ok = !compare_item(p, o, false, &own, &none);
	for (size_t i = 0; ok && i < (status ? status : &own)->n; i++)
		ok = (status ? status : &own)->v[i].item != o;
	stage_status_release(&own);
	return ok;
}

int aside_take(struct aside *a, struct project *p, const struct stage *s, const struct stage_status *status,
	       struct err *e)
{
	*a = (struct aside){ NULL, STRVEC_INIT, STRVEC_INIT };
	for (size_t i = 0; i < s->nouts; i++) {
		struct item *o = s->outs[i];
		autofree char *abs = NULL;

		if (o->persist || !o->path || !*o->path)
			continue;
		abs = repo_abs(p->repo, o->path);
		if (!fs_exists(abs))
			continue;
		if (is_safe(p, o, status) || is_leftover(p, o->path, abs)) {
			if (fs_rm_tree(abs, e))
				goto undo;
			continue;
		}
		if (!a->dir && (make_dir(a, p->repo, e) || write_list(a, s, e)))
			goto undo;
		if (move(a, p->repo, abs, i, e))
			goto undo;
		proc_fault("aside");
	}
	if (a->dir)
		proc_fault("aside.taken");
	return 0;
undo:
	aside_restore(a, p, s, false);
	return -1;
}

static void remove_tree(const char *path)
{
	autoerr struct err e = ERR_INIT;

	if (fs_rm_tree(path, &e))
		notice(NOTICE_WARN, "cannot remove '%s': %s", path, e.msg);
}

/* Kept for the user: no later run looks at it. */
static void forget_owner(const char *dir)
{
	autofree char *parent = path_dir(dir);
	autofree char *to = xasprintf("%s/kept-%s", parent, path_base(dir));

	if (rename(dir, to))
		notice(NOTICE_DEBUG, "cannot rename '%s'", dir);
}

void aside_drop(struct aside *a)
{
	for (size_t i = 0; i < a->to.n; i++)
		if (!a->dir || !path_is_inside(a->to.v[i], a->dir))
			remove_tree(a->to.v[i]);
	if (a->dir)
		remove_tree(a->dir);
	release(a);
}

void aside_restore(struct aside *a, struct project *p, const struct stage *s, bool ran)
{
	bool kept = false;

	if (ran)
		remember_leftovers(p, s);
	for (size_t i = 0; i < a->to.n; i++) {
		autofree char *dir = path_dir(a->from.v[i]);
		autofree char *parent = path_dir(a->dir);
		autofree char *later = xasprintf("%s/kept-%s/%s", parent, path_base(a->dir), path_base(a->to.v[i]));
		autofree char *shown = path_rel(path_is_inside(a->to.v[i], a->dir) ? later : a->to.v[i], p->repo->cwd);
		autofree char *name = path_rel(a->from.v[i], p->repo->cwd);
		autoerr struct err e = ERR_INIT;

		if (!fs_exists(a->from.v[i]) && !fs_mkdirs(dir, 0777, &e) && !rename(a->to.v[i], a->from.v[i]))
			continue;
		notice(NOTICE_WARN, "the former '%s' is kept in '%s'", name, shown);
		kept = true;
	}
	if (a->dir && !kept)
		remove_tree(a->dir);
	else if (a->dir)
		forget_owner(a->dir);
	release(a);
}

/* --- what a killed run left --- */

/* Back to its place, unless something new stands there. True: it is kept where it is. */
static bool put_back(struct repo *r, const char *dir, const char *moved, const char *rel)
{
	bool beside = strchr(moved, '/') || moved[0] == '.';
	autofree char *from = beside ? repo_abs(r, moved) : path_join(dir, moved);
	autofree char *to = repo_abs(r, rel);
	autofree char *parent = path_dir(to);
	autofree char *up = path_dir(dir);
	autofree char *kept = xasprintf("%s/kept-%s/%s", up, path_base(dir), moved);
	autofree char *shown = path_rel(beside ? from : kept, r->cwd);
	autofree char *name = path_rel(to, r->cwd);
	autoerr struct err e = ERR_INIT;

	if (!fs_exists(from))
		return false;
	if (!fs_exists(to) && !fs_mkdirs(parent, 0777, &e) && !rename(from, to))
		return false;
	notice(NOTICE_WARN, "an interrupted run left the former '%s' in '%s'", name, shown);
	return true;
}

static void recover_one(struct repo *r, const char *dir)
{
	autofree char *list = path_join(dir, "list");
	autostr struct str text = STR_INIT;
	autoerr struct err e = ERR_INIT;
	bool kept = false;

	if (!fs_exists(list)) {
		rmdir(dir);
		return;
	}
	if (fs_read(&text, list, 64u << 20, &e)) {
		forget_owner(dir);
		return;
	}
	str_cstr(&text);
	for (size_t at = 0, len; at < text.len; at += len + 1) {
		char *moved = text.buf + at, *tab = strchr(moved, '\t');

		len = strlen(moved);
		if (!tab)
			continue;
		*tab = 0;
		if (path_is_safe(tab + 1) && path_is_safe(moved))
			kept |= put_back(r, dir, moved, tab + 1);
	}
	proc_fault("aside.recovered");
	if (!kept)
		unlink(list);
	if (kept || rmdir(dir))         /* what the list does not name stays for the user */
		forget_owner(dir);
}

/* The run that made it is gone. Its number may have been given again, to us too. On another machine (.dvc on NFS) it means
 * nothing: its own runs put that right. */
static bool is_orphan(const char *name)
{
	char *end, *last, host[9];
	long pid = strtol(name, &end, 10);
	unsigned long long began;
	const char *at;

	if (end == name || *end != '-' || pid <= 0)
		return false;
	began = strtoull(end + 1, &last, 10);
	if (last == end + 1 || *last != '-')
		return true;
	repolock_host(host);
	at = strchr(last + 1, '-');
	return at && strcmp(at + 1, host) ? false : proc_started((pid_t)pid) != began;
}

void aside_recover(struct project *p)
{
	struct repo *r = p->repo;
	autofree char *base = path_join(r->tmp_dir, "aside");
	DIR *d = opendir(base);
	struct dirent *de;

	while (d && (de = readdir(d))) {
		autofree char *dir = path_join(base, de->d_name);

		if (is_orphan(de->d_name))
			recover_one(r, dir);
	}
	if (d)
		closedir(d);
}

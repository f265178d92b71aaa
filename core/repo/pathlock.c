/* pathlock - DVC's rwlock file: which process reads or writes which path. See repolock.h. */
#include "core/repo/repolock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/json.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/str.h"
#include "core/base/temps.h"
#include "core/repo/config.h"
#include "core/repo/filelock.h"
#include "core/repo/repo.h"

#define RWLOCK_MAX (256u << 20)
#define RWLOCK_PAGE 4096

struct pathlock {
	struct repo *repo;
	struct strvec read, write;      /* what we added */
	char *cmd;
	struct strvec dead;             /* numbers of the processes that had been killed while they held these */
};

/* --- the file ------------------------------------------------------------------------------------------------------ */

static char *rwlock_path(const struct repo *r)
{
	return path_join(r->tmp_dir, "rwlock");
}

static bool is_info(const struct node *n)
{
	return node_is(n, NODE_MAP) && n->n == 2 && node_is(node_get(n, "pid"), NODE_INT) &&
		node_is(node_get(n, "cmd"), NODE_STR);
}

static bool is_rwlock(const struct node *n)
{
	if (!node_is(n, NODE_MAP))
		return false;
	for (size_t i = 0; i < n->n; i++) {
		const struct node *part = n->v[i];
		bool write = node_is_str(n->k[i], "write");

		if ((!write && !node_is_str(n->k[i], "read")) || !node_is(part, NODE_MAP))
			return false;
		for (size_t k = 0; k < part->n; k++) {
			const struct node *v = part->v[k];

			if (write ? !is_info(v) : !node_is(v, NODE_SEQ))
				return false;
			for (size_t j = 0; !write && j < v->n; j++)
				if (!is_info(v->v[j]))
					return false;
		}
	}
	return true;
}

static int rwlock_read(struct repo *r, struct node **out, struct err *e)
{
	autofree char *path = rwlock_path(r), *shown = path_rel(path, r->cwd);
	autostr struct str s = STR_INIT;
	autoerr struct err why = ERR_INIT;
	autonode struct node *n = NULL;

	if (fs_read(&s, path, RWLOCK_MAX, &why)) {
		if (why.code != ERR_NOTFOUND) {
			err_move(e, &why);
			return -1;
		}
		n = node_map();
	} else if (!s.len) {            /* after a power cut: whoever held anything is gone */
		n = node_map();
	} else if (json_parse(&n, str_cstr(&s), s.len, path, &why)) {
		return err_set(e, ERR_PARSE, "Unable to read RWLock-file '%s'. JSON structure is corrupted", shown);
	}
	if (!is_rwlock(n))
		return err_set(e, ERR_PARSE, "RWLock-file '%s' format error.", shown);
	*out = take(n);
	return 0;
}

/* A write that a limit cut short is taken back; the bytes before it could be written a moment ago. */
static bool put_page(int fd, const struct str *page, const char *was, size_t len)
{
	ssize_t n = pwrite(fd, page->buf, page->len, 0);

	if (n == (ssize_t)page->len)
		return true;
	if (n > 0 && (pwrite(fd, was, (size_t)n < len ? (size_t)n : len, 0) < 0 || ftruncate(fd, (off_t)len)))
		notice(NOTICE_WARN, "the path locks are damaged: remove .dvc/tmp/rwlock when nothing runs");
	return false;
}

/*
 * Overwrites a file of one page with as much: whoever holds the guard finds the old text or the new, since a kill does not
 * stop a write inside a page and spaces stand where the old text was longer until the file is cut. A replacement by
 * rename, as below, makes ext4 create one inode, delete another and begin to write, twice for every stage of a pipeline.
 */
static bool write_in_place(const char *path, const struct str *s)
{
	autostr struct str page = STR_INIT;
	autoclose int fd = -1;
	char was[RWLOCK_PAGE];
	struct stat st;

	if (s->len > RWLOCK_PAGE || (fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)) < 0 || fstat(fd, &st) ||
	    !S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_size < 1 || st.st_size > RWLOCK_PAGE ||
	    pread(fd, was, sizeof(was), 0) != (ssize_t)st.st_size)
		return false;
	str_add(&page, s->buf, s->len);
	while (page.len < (size_t)st.st_size)
		str_addc(&page, ' ');
	return put_page(fd, &page, was, (size_t)st.st_size) && (page.len == s->len || !ftruncate(fd, (off_t)s->len));
}

/* Whole at any moment (K3); no flush: after a power cut no process of it lives. */
static int rwlock_write(struct repo *r, struct node *n, struct err *e)
{
	autofree char *path = rwlock_path(r), *tmp = NULL;
	autostr struct str s = STR_INIT;
	autoclose int fd = -1;

	for (size_t i = n->n; i-- > 0;)
		if (!n->v[i]->n)
			node_del_at(n, i);
	json_dump(&s, n, 0);
	if (write_in_place(path, &s))
		return 0;
	tmp = temps_path(r->tmp_dir);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 || fs_write_all(fd, s.buf, s.len) || rename(tmp, path)) {
		err_sys(e, "cannot write '%s'", path);
		unlink(tmp);
		return -1;
	}
	return 0;
}

static int guard_take(struct filelock **out, struct repo *r, struct err *e)
{
	autofree char *path = path_join(r->tmp_dir, "rwlock.lock");

	return filelock_take(out, path, config_bool(r->config, "core", "hardlink_lock", false), e);
}

/* --- who blocks ---------------------------------------------------------------------------------------------------- */

static bool overlaps(const char *a, const char *b)
{
	return path_is_inside(a, b) || path_is_inside(b, a);
}

static const char *first_overlap(const struct strvec *v, const char *path)
{
	for (size_t i = 0; v && i < v->n; i++)
		if (overlaps(v->v[i], path))
			return v->v[i];
	return NULL;
}

static bool pid_lives(int64_t pid)
{
	return pid > 0 && (!kill((pid_t)pid, 0) || errno == EPERM);
}

struct blockers {
	struct repo *repo;
	const char *path;               /* ours, the last that was found blocked */
	struct str who;
	bool changed;
	struct strvec *dead;            /* may be NULL */
};

static void tell_dead(const struct repo *r, const struct node *info, const char *path)
{
	autofree char *shown = path_rel(path, r->cwd);

	notice(NOTICE_WARN, "Process '%s' with (Pid %lld), in RWLock-file '%s' had been killed. Auto removed it from the lock "
	       "file.", node_get_str(info, "cmd"), (long long)node_get(info, "pid")->i, shown);
}

/* True: the entry is of a process that is gone. */
static bool judge(struct blockers *b, const struct node *info, const char *theirs)
{
	int64_t pid = node_get(info, "pid")->i;

	if (pid == getpid())
		return false;
	if (!pid_lives(pid)) {
		tell_dead(b->repo, info, theirs);
		b->changed = true;
		if (b->dead)
			strvec_take(b->dead, xasprintf("%lld", (long long)pid));
		return true;
	}
	str_addf(&b->who, "%s  (PID %lld): %s", b->who.len ? "\n" : "", (long long)pid, node_get_str(info, "cmd"));
	return false;
}

static void drop_dead(struct blockers *b, struct node *list, const char *theirs)
{
	for (size_t k = 0; k < list->n;) {
		if (judge(b, list->v[k], theirs))
			node_del_at(list, k);
		else
			k++;
	}
}

/* In the file's order. The path that DVC names is the one it compared last. */
static void check_part(struct blockers *b, struct node *part, const struct strvec *one, const struct strvec *two)
{
	const struct strvec *end = two && two->n ? two : one;

	for (size_t i = 0; part && i < part->n;) {
		const char *theirs = part->k[i]->text, *ours = first_overlap(one, theirs);
		struct node *v = part->v[i];
		bool gone = false;

		if (!ours)
			ours = first_overlap(two, theirs);
		if (ours && v->kind == NODE_MAP) {
			gone = judge(b, v, theirs);
		} else if (ours) {
			drop_dead(b, v, theirs);
			gone = !v->n;
		}
		if (ours || (end && end->n))
			b->path = ours ? ours : end->v[end->n - 1];
		if (gone)
			node_del_at(part, i);
		else
			i++;
	}
}

static void check_blockers(struct blockers *b, struct node *rw, const struct strvec *read, const struct strvec *write)
{
	check_part(b, node_get(rw, "write"), read, write);
	if (!b->who.len)
		check_part(b, node_get(rw, "read"), write, NULL);
}

static int busy(const struct blockers *b, struct err *e)
{
	return err_set(e, ERR_LOCKED, "'%s' is busy, it is being blocked by:\n%s\n\nIf there are no processes with such PIDs, "
		       "you can manually remove '%s/rwlock' and try again.", b->path, str_cstr(&b->who), b->repo->tmp_dir);
}

/* --- taking and giving back ---------------------------------------------------------------------------------------- */

static struct node *make_info(const char *cmd)
{
	struct node *n = node_map();

	node_set(n, "pid", node_int(getpid()));
	node_set(n, "cmd", node_str(cmd));
	return n;
}

static struct node *part_of(struct node *rw, const char *name)
{
	if (!node_get(rw, name))
		node_set(rw, name, node_map());
	return node_get(rw, name);
}

static void enter(struct pathlock *l, struct node *rw, const struct strvec *read, const struct strvec *write)
{
	struct node *w = part_of(rw, "write"), *r = part_of(rw, "read");
	autonode struct node *info = make_info(l->cmd);

	for (size_t i = 0; read && i < read->n; i++) {
		struct node *list = node_get(r, read->v[i]);
		bool have = false;

		if (!list) {
			list = node_seq();
			node_set(r, read->v[i], list);
		}
		for (size_t k = 0; k < list->n; k++)
			have |= node_equal(list->v[k], info);
		if (have)
			continue;
		node_push(list, node_copy(info));
		strvec_push(&l->read, read->v[i]);
	}
	for (size_t i = 0; write && i < write->n; i++) {
		if (node_get(w, write->v[i]))
			continue;
		node_set(w, write->v[i], node_copy(info));
		strvec_push(&l->write, write->v[i]);
	}
}

static void leave(const struct pathlock *l, struct node *rw)
{
	struct node *w = part_of(rw, "write"), *r = part_of(rw, "read");
	autonode struct node *info = make_info(l->cmd);

	for (size_t i = 0; i < l->write.n; i++) {
		const struct node *mine = node_get(w, l->write.v[i]);

		if (mine && node_equal(mine, info))
			node_del(w, l->write.v[i]);
	}
	for (size_t i = 0; i < l->read.n; i++) {
		struct node *list = node_get(r, l->read.v[i]);

		for (size_t k = list ? list->n : 0; k-- > 0;)
			if (node_equal(list->v[k], info))
				node_del_at(list, k);
		if (list && !list->n)
			node_del(r, l->read.v[i]);
	}
}

const struct strvec *pathlock_dead(const struct pathlock *l)
{
	return &l->dead;
}

static void pathlock_free(struct pathlock *l)
{
	strvec_release(&l->read);
	strvec_release(&l->write);
	strvec_release(&l->dead);
	free(l->cmd);
	free(l);
}

static int take_guarded(struct pathlock *l, const struct pathlock *before, const struct strvec *read,
			const struct strvec *write, struct err *e)
{
	struct repo *r = l->repo;
	struct blockers b = { .repo = r, .dead = &l->dead };
	autonode struct node *rw = NULL;
	int rc;

	if (rwlock_read(r, &rw, e))
		return -1;
	if (before)
		leave(before, rw);
	check_blockers(&b, rw, read, write);
	if (b.who.len) {
		rc = (b.changed || before) && rwlock_write(r, rw, e) ? -1 : busy(&b, e);
	} else {
		enter(l, rw, read, write);
		rc = rwlock_write(r, rw, e);
	}
	str_release(&b.who);
	return rc;
}

int pathlock_take(struct pathlock **out, struct repo *r, const struct strvec *read, const struct strvec *write,
		  const char *cmd, struct err *e)
{
	struct pathlock *none = NULL;

	return pathlock_exchange(out, &none, r, read, write, cmd, e);
}

int pathlock_exchange(struct pathlock **out, struct pathlock **before, struct repo *r, const struct strvec *read,
		      const struct strvec *write, const char *cmd, struct err *e)
{
	struct pathlock *l;
	struct filelock *guard;
	int rc;

	if (repo_tmp(r, e) || guard_take(&guard, r, e))
		return -1;
	l = xcalloc(1, sizeof(*l));
	l->repo = r;
	l->cmd = xstrdup(cmd);
	rc = take_guarded(l, *before, read, write, e);
	filelock_release(guard);
	if (*before && (!rc || e->code == ERR_LOCKED))
		pathlock_free(take(*before));
	if (rc) {
		pathlock_free(l);
		return -1;
	}
	*out = l;
	return 0;
}

void pathlock_release(struct pathlock *l)
{
	autoerr struct err e = ERR_INIT;
	autonode struct node *rw = NULL;
	struct filelock *guard;

	if (!l)
		return;
	if (!guard_take(&guard, l->repo, &e)) {
		if (!rwlock_read(l->repo, &rw, &e)) {
			leave(l, rw);
			rwlock_write(l->repo, rw, &e);
		}
		filelock_release(guard);
	}
	if (e.msg)
		notice(NOTICE_WARN, "path locks were not given back: %s", e.msg);
	pathlock_free(l);
}

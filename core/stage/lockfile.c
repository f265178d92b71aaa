#include "core/stage/lock.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml.h"
#include "core/repo/repo.h"
#include "core/stage/lock_priv.h"
#include "core/stage/schema.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/*
 * The file as text in pieces: what stands before the first stage, each stage's lines, what stands after. An update
 * replaces one piece; no other is parsed or printed again. A document that does not stand in pieces (flow style) is
 * handled whole.
 */
struct piece {
	char *name;
	char *text;             /* its lines, indented by two */
	size_t len;
	struct node *entry;     /* parsed when first asked for */
	unsigned anchors;       /* of the writer's own names, which it gives through the whole file: id001 ... */
	unsigned first;         /* number of the first; 0: not known */
	size_t rank;            /* of one that this run added; else 0 */
};

struct lockfile {
	struct repo *repo;
	char *rel, *path, *show, *shown;
	struct str head, tail;
	struct piece *v;
	size_t n, cap;
	struct map by_name;     /* name -> index + 1 */
	struct node *whole;     /* when it cannot be cut */
	bool absent;
	bool rewrite;           /* DVC would lay the file out differently: the next stage writes it so */
	struct stat st;         /* of the file as we know it */
	bool synced;
	bool once, said;        /* say "Updating" only once */
	struct timespec last_sync;
	size_t rank;
};

static void forget(struct lockfile *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].name);
		free(l->v[i].text);
		node_free(l->v[i].entry);
	}
	l->n = 0;
	map_release(&l->by_name, NULL);
	l->by_name = (struct map)MAP_INIT;
	str_reset(&l->head);
	str_reset(&l->tail);
	node_free(l->whole);
	l->whole = NULL;
}

void lockfile_close(struct lockfile *l)
{
	if (!l)
		return;
	forget(l);
	free(l->v);
	str_release(&l->head);
	str_release(&l->tail);
	free(l->rel);
	free(l->path);
	free(l->show);
	free(l->shown);
	free(l);
}

static void add_piece(struct lockfile *l, const char *name, const char *text, size_t len)
{
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = (struct piece){ .name = xstrdup(name), .text = xstrndup(text, len), .len = len };
	l->v[l->n - 1].anchors = strstr(l->v[l->n - 1].text, "&id") != NULL;
	map_put(&l->by_name, name, (void *)(uintptr_t)l->n);
}

void lockfile_rank(struct lockfile *l, size_t rank)
{
	l->rank = rank;
}

/* The last piece goes before those of this run that come after it. */
static void sort_in(struct lockfile *l)
{
	struct piece last = l->v[l->n - 1];
	size_t i = l->n - 1;

	if (!l->rank)
		return;
	last.rank = l->rank;
	for (; i && l->v[i - 1].rank > last.rank; i--) {
		l->v[i] = l->v[i - 1];
		map_put(&l->by_name, l->v[i].name, (void *)(uintptr_t)(i + 1));
	}
	l->v[i] = last;
	map_put(&l->by_name, last.name, (void *)(uintptr_t)(i + 1));
}

/* Start of every line, 1-based. */
static size_t *line_starts(const char *text, size_t len, size_t *count)
{
	size_t n = 1, cap = 0, *at = NULL;

	GROW(at, 1, cap);
	at[1] = 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '\n')
			continue;
		GROW(at, n + 1, cap);
		at[++n] = i + 1;
	}
	*count = n;
	return at;
}

/* Cuts the text at the lines where keys of 'stages' stand. False: it does not stand in block style. */
static bool cut(struct lockfile *l, const struct node *doc, const char *text, size_t len)
{
	const struct node *stages = node_get(doc, "stages");
	size_t lines, from = 0, end = len;
	autofree size_t *at = line_starts(text, len, &lines);
	bool after = false;

	if (!node_is(stages, NODE_MAP) || !stages->n)
		return false;
	for (size_t i = 0; i < doc->n; i++) {
		size_t line = doc->k[i]->line;

		if (after && (line < 1 || line > lines || doc->k[i]->col != 1))
			return false;
		if (after) {
			end = at[line];
			break;
		}
		after = doc->v[i] == stages;
	}
	for (size_t i = 0; i < stages->n; i++) {
		size_t line = stages->k[i]->line;

		if (line < 2 || line > lines || stages->k[i]->col != 3 || stages->k[i]->kind != NODE_STR ||
		    at[line] <= from || at[line] >= end)
			return false;
		from = at[line];
	}
	for (size_t i = 0; i < stages->n; i++) {
		size_t to = i + 1 < stages->n ? at[stages->k[i + 1]->line] : end;

		from = at[stages->k[i]->line];
		if (!i)
			str_add(&l->head, text, from);
		add_piece(l, stages->k[i]->text, text + from, to - from);
	}
	str_add(&l->tail, text + end, len - end);
	return true;
}

/* The text as DVC would write it back unchanged. */
static int normalise(struct str *out, const char *text, size_t len, const char *name, struct err *e)
{
	autonode struct node *doc = NULL;

	if (yaml_parse(&doc, text, len, name, YAML_KEEP, e))
		return -1;
	yaml_dump(out, doc);
	return 0;
}

static int load(struct lockfile *l, struct err *e)
{
	autostr struct str text = STR_INIT;
	autostr struct str norm = STR_INIT;
	autonode struct node *doc = NULL;
	autonode struct node *again = NULL;
	bool same;

	forget(l);
	memset(&l->st, 0, sizeof(l->st));
	l->absent = lstat(l->path, &l->st) != 0;
	if (l->absent)
		return 0;
	if (fs_read(&text, l->path, LOCK_MAX, e) ||
	    schema_parse(&doc, lock_schema(), l->shown, NULL, str_cstr(&text), text.len, 0, e) ||
	    normalise(&norm, str_cstr(&text), text.len, l->shown, e))
		return -1;
	l->rewrite = false;
	same = norm.len == text.len && !memcmp(norm.buf, text.buf, norm.len);
	l->rewrite = !same;
	if (!same && yaml_parse(&again, str_cstr(&norm), norm.len, l->shown, 0, e))
		return -1;
	if (cut(l, same ? doc : again, str_cstr(&norm), norm.len))
		return 0;
	forget(l);
	return yaml_parse(&l->whole, str_cstr(&norm), norm.len, l->shown, YAML_KEEP, e);
}

int lockfile_open(struct lockfile **out, struct repo *r, const char *rel, struct err *e)
{
	struct lockfile *l = xcalloc(1, sizeof(*l));
	autofree char *abs = repo_abs(r, rel);

	l->repo = r;
	l->rel = xstrdup(rel);
	l->path = repo_real(r, abs);
	l->show = repo_show(r, rel);
	l->shown = schema_shown(r, rel);
	l->synced = true;
	if (load(l, e)) {
		lockfile_close(l);
		return -1;
	}
	*out = l;
	return 0;
}

/* L2: somebody else replaced the file since we last read or wrote it. */
static int refresh(struct lockfile *l, struct err *e)
{
	struct stat st;
	bool absent;

	memset(&st, 0, sizeof(st));
	absent = lstat(l->path, &st) != 0;
	if (absent == l->absent && (absent || (st.st_ino == l->st.st_ino && st.st_size == l->st.st_size &&
	    st.st_mtim.tv_sec == l->st.st_mtim.tv_sec && st.st_mtim.tv_nsec == l->st.st_mtim.tv_nsec)))
		return 0;
	return load(l, e);
}

/* The stage's lines with anchors named from 'first' on. */
static void renumber(struct lockfile *l, struct piece *p, unsigned first)
{
	autostr struct str text = STR_INIT;
	autonode struct node *doc = NULL;
	autoerr struct err none = ERR_INIT;
	size_t skip = strlen("stages:\n");

	str_adds(&text, "stages:\n");
	str_add(&text, p->text, p->len);
	if (yaml_parse(&doc, str_cstr(&text), text.len, l->shown, YAML_KEEP, &none))
		return;
	p->anchors = yaml_number_anchors(doc, first);
	p->first = first;
	str_reset(&text);
	yaml_dump(&text, doc);
	free(p->text);
	p->len = text.len - skip;
	p->text = xstrndup(str_cstr(&text) + skip, p->len);
}

static void build(struct str *out, struct lockfile *l)
{
	unsigned anchors = 0;
	size_t total = l->head.len + l->tail.len;

	if (l->whole) {
		yaml_dump(out, l->whole);
		return;
	}
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].anchors && l->v[i].first != anchors + 1)
			renumber(l, &l->v[i], anchors + 1);
		anchors += l->v[i].anchors;
		total += l->v[i].len;
	}
	str_reserve(out, total + 1);
	str_add(out, str_cstr(&l->head), l->head.len);
	for (size_t i = 0; i < l->n; i++)
		str_add(out, l->v[i].text, l->v[i].len);
	str_add(out, str_cstr(&l->tail), l->tail.len);
}

static void wrote(struct lockfile *l)
{
	autofree char *abs = repo_abs(l->repo, l->rel);

	repo_wrote(l->repo, abs);
}

/* By rename, so that a killed run leaves the old or the new file; the disk is asked at most once a second. */
static int replace(struct lockfile *l, struct err *e)
{
	autostr struct str text = STR_INIT;
	struct timespec now;

	build(&text, l);
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec > l->last_sync.tv_sec) {
		if (fs_replace(l->path, str_cstr(&text), text.len, 0, e))
			return -1;
		clock_gettime(CLOCK_MONOTONIC, &l->last_sync);
		l->synced = true;
	} else {
		if (fs_replace_unsynced(l->path, str_cstr(&text), text.len, e))
			return -1;
		l->synced = false;
	}
	l->absent = false;
	if (lstat(l->path, &l->st))
		return err_sys(e, "cannot look at '%s'", l->show);
	return 0;
}

int lockfile_sync(struct lockfile *l, struct err *e)
{
	if (l->synced || l->absent)
		return 0;
	if (fs_sync(l->path, e))
		return -1;
	l->synced = true;
	return 0;
}

/* One entry's lines as the whole document has them, edited in place when there is an old one. */
static int piece_text(struct str *out, const struct lockfile *l, const struct piece *old, const char *name,
		      const struct node *entry, struct err *e)
{
	autostr struct str text = STR_INIT;
	autonode struct node *doc = NULL;
	size_t skip = strlen("stages:\n");

	if (old) {
		str_adds(&text, "stages:\n");
		str_add(&text, old->text, old->len);
		if (yaml_parse(&doc, str_cstr(&text), text.len, l->shown, YAML_KEEP, e))
			return -1;
		str_reset(&text);
		node_set(node_get(doc, "stages"), name, lock_entry_to_write(entry));
	} else {
		doc = node_map();
		node_set(doc, "stages", node_map());
		node_set(node_get(doc, "stages"), name, lock_entry_to_write(entry));
	}
	yaml_dump(&text, doc);
	str_add(out, str_cstr(&text) + skip, text.len - skip);
	return 0;
}

static const struct node *piece_entry(struct lockfile *l, struct piece *p, struct err *e)
{
	autostr struct str text = STR_INIT;
	autonode struct node *doc = NULL;

	if (p->entry)
		return p->entry;
	str_adds(&text, "stages:\n");
	str_add(&text, p->text, p->len);
	if (yaml_parse(&doc, str_cstr(&text), text.len, l->shown, 0, e))
		return NULL;
	p->entry = node_copy(node_get(node_get(doc, "stages"), p->name));
	return p->entry;
}

static int put_whole(struct lockfile *l, const char *name, const struct node *entry)
{
	struct node *stages = node_get(l->whole, "stages");

	if (!node_is(stages, NODE_MAP)) {
		node_set(l->whole, "stages", node_map());
		stages = node_get(l->whole, "stages");
	}
	node_set(stages, name, lock_entry_to_write(entry));
	return 0;
}

static int put_piece(struct lockfile *l, const char *name, const struct node *entry, struct err *e)
{
	size_t i = (uintptr_t)map_get(&l->by_name, name);
	struct piece *p = i ? &l->v[i - 1] : NULL;
	autostr struct str text = STR_INIT;

	if (piece_text(&text, l, p, name, entry, e))
		return -1;
	if (!p) {
		if (!l->head.len)
			str_adds(&l->head, "schema: '2.0'\nstages:\n");
		add_piece(l, name, str_cstr(&text), text.len);
		p = &l->v[l->n - 1];
	} else {
		free(p->text);
		p->text = xstrndup(str_cstr(&text), text.len);
		p->len = text.len;
		p->anchors = strstr(p->text, "&id") != NULL;
		p->first = 0;
	}
	node_free(p->entry);
	p->entry = node_copy(entry);
	if (!i)
		sort_in(l);
	return 0;
}

/* The recorded entry of a stage; NULL when there is none or on failure. */
static const struct node *recorded(struct lockfile *l, const char *name, struct err *e)
{
	size_t i;

	if (l->whole)
		return node_get(node_get(l->whole, "stages"), name);
	i = (uintptr_t)map_get(&l->by_name, name);
	return i ? piece_entry(l, &l->v[i - 1], e) : NULL;
}

int lockfile_put(struct lockfile *l, const struct stage *s, bool *changed, struct err *e)
{
	autonode struct node *entry = lock_entry(s);
	autoerr struct err why = ERR_INIT;
	const struct node *old;
	bool differs;

	if (refresh(l, e))
		return -1;
	if (l->absent)
		notice(NOTICE_INFO, "Generating lock file '%s'", l->show);
	old = recorded(l, s->name, &why);
	if (why.code) {
		err_move(e, &why);
		return -1;
	}
	differs = !old || !node_equal(old, entry);
	if (changed)
		*changed = differs;
	if (differs && !(l->once && l->said))
		notice(NOTICE_INFO, "Updating lock file '%s'", l->show);
	l->said |= differs;
	if (!differs && !l->rewrite)
		return 0;
	l->rewrite = false;
	if (l->whole ? put_whole(l, s->name, entry) : put_piece(l, s->name, entry, e))
		return -1;
	if (replace(l, e))
		return err_in(e, "cannot record stage '%s'", s->name);
	if (differs)
		wrote(l);
	return 0;
}

static int drop_file(struct lockfile *l, struct err *e)
{
	autofree char *abs = repo_abs(l->repo, l->rel);

	if (unlink(abs) && errno != ENOENT)
		return err_sys(e, "cannot remove '%s'", l->show);
	forget(l);
	l->absent = true;
	wrote(l);
	return 0;
}

/* No stage is left. Other sections are the user's, as in dvc.yaml. */
static int drop_stages(struct lockfile *l, struct err *e)
{
	autonode struct node *doc = take(l->whole);
	autostr struct str text = STR_INIT;

	str_add(&text, str_cstr(&l->head), l->head.len);
	str_add(&text, str_cstr(&l->tail), l->tail.len);
	if (!doc && yaml_parse(&doc, str_cstr(&text), text.len, l->shown, YAML_KEEP, e))
		return -1;
	node_del(doc, "stages");
	if (doc->n == (node_get(doc, "schema") ? 1 : 0))
		return drop_file(l, e);
	forget(l);
	l->whole = take(doc);
	return 0;
}

int lockfile_remove(struct lockfile *l, const char *name, struct err *e)
{
	struct node *stages;
	size_t i;

	if (refresh(l, e))
		return -1;
	stages = node_get(l->whole, "stages");
	if (l->whole) {
		if (!stages || !node_del(stages, name))
			return 0;
		if (!stages->n && drop_stages(l, e))
			return -1;
	} else {
		struct map again = MAP_INIT;

		i = (uintptr_t)map_get(&l->by_name, name);
		if (!i)
			return 0;
		free(l->v[i - 1].name);
		free(l->v[i - 1].text);
		node_free(l->v[i - 1].entry);
		memmove(&l->v[i - 1], &l->v[i], (l->n - i) * sizeof(*l->v));
		l->n--;
		for (size_t k = 0; k < l->n; k++)
			map_put(&again, l->v[k].name, (void *)(uintptr_t)(k + 1));
		map_release(&l->by_name, NULL);
		l->by_name = again;
		if (!l->n && drop_stages(l, e))
			return -1;
	}
	if (l->absent)
		return 0;
	if (replace(l, e))
		return -1;
	wrote(l);
	return lockfile_sync(l, e);
}

int lock_save_next(struct lockfile **l, struct repo *r, const struct stage *s, struct err *e)
{
	autofree char *rel = lock_path_of(s->file);

	if (*l && strcmp((*l)->rel, rel)) {
		struct lockfile *old = take(*l);
		int rc = lockfile_sync(old, e);

		lockfile_close(old);
		if (rc)
			return -1;
	}
	if (!*l && lockfile_open(l, r, rel, e))
		return -1;
	(*l)->once = true;
	return lockfile_put(*l, s, NULL, e);
}

int lock_save_stage(struct repo *r, const struct stage *s, struct err *e)
{
	autofree char *rel = lock_path_of(s->file);
	struct lockfile *l;
	int rc;

	if (lockfile_open(&l, r, rel, e))
		return -1;
	rc = lockfile_put(l, s, NULL, e) || lockfile_sync(l, e) ? -1 : 0;
	lockfile_close(l);
	return rc;
}

int lock_remove_stage(struct repo *r, const struct stage *s, struct err *e)
{
	autofree char *rel = lock_path_of(s->file);
	struct lockfile *l;
	int rc;

	if (lockfile_open(&l, r, rel, e))
		return -1;
	rc = l->absent ? 0 : lockfile_remove(l, s->name, e);
	lockfile_close(l);
	return rc;
}

/* ignore - .dvcignore and .gitignore rules of a tree. See ignore.h; the patterns themselves are glob.c. */
#include "core/repo/ignore.h"

#include <errno.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/repo/gitconf.h"
#include "core/repo/glob.h"

#define IGNORE_FILE_MAX (16u << 20)
#define DIRS_MAX 65536          /* directories remembered before the memory is given back */

struct rule {
	struct glob *g;
	const char *file;       /* in list->files or NULL */
	char *text;
	int line;
};
struct ignore_list {
	enum ignore_kind kind;
	bool nested;
	struct rule *v;
	size_t n, cap;
	struct strvec files;
};

/* One directory that was asked about. */
struct igdir {
	struct igdir *parent;
	size_t rel_len;         /* of its root-relative name */
	char *name;             /* last part */
	bool ignored, subrepo, loaded;
	struct ignore_list *own;        /* NULL: no rules here */
};

struct ignore {
	enum ignore_kind kind;
	char *root;
	struct ignore_source src;       /* read NULL: the work tree */
	struct ignore_list *base[2];    /* weaker than any file; [1] is weaker than [0] */
	struct map dirs;
	struct igdir top;
	struct err unread;              /* the first .dvcignore that is there and could not be read */
	struct igdir *last;             /* of the last question */
	char *last_rel;
};

/* --- lists --------------------------------------------------------------------------------------------------------- */

struct ignore_list *ignore_list_new(enum ignore_kind kind)
{
	struct ignore_list *l = xcalloc(1, sizeof(*l));

	l->kind = kind;
	return l;
}

void ignore_list_free(struct ignore_list *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++) {
		glob_free(l->v[i].g);
		free(l->v[i].text);
	}
	free(l->v);
	strvec_release(&l->files);
	free(l);
}

void ignore_list_add(struct ignore_list *l, const char *pattern, const char *file, int line)
{
	struct glob *g = glob_new(pattern, l->kind, l->nested);

	if (!g)
		return;
	if (file && (!l->files.n || strcmp(l->files.v[l->files.n - 1], file)))
		strvec_push(&l->files, file);
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = (struct rule){ g, file ? l->files.v[l->files.n - 1] : NULL, xstrdup(pattern), line };
}

int ignore_list_match(const struct ignore_list *l, const char *rel, bool is_dir)
{
	for (size_t i = l->n; i-- > 0;)
		if (glob_match(l->v[i].g, rel, is_dir))
			return !glob_negated(l->v[i].g);
	return -1;
}

/* git's: blanks at the end go unless escaped; a CR before the line's end goes. */
static void trim_git(char *line)
{
	char *last = NULL;

	for (char *p = line; *p; p++) {
		if (*p == ' ') {
			if (!last)
				last = p;
		} else {
			last = NULL;
			if (*p == '\\' && !*++p)
				return;
		}
	}
	if (last)
		*last = 0;
}

/* The segment of a pattern that ends in an escape of nothing; false: there is none. */
static bool open_escape(const char *pattern, struct str *segment)
{
	const char *p = pattern + (*pattern == '!'), *from = p;

	for (bool escape = false;; p++) {
		if (!*p || *p == '/') {
			if (escape) {
				str_add(segment, from, (size_t)(p - from));
				return true;
			}
			if (!*p)
				return false;
			from = p + 1;
		} else if (escape) {
			escape = false;
		} else if (*p == '[') {
			size_t in = 1 + (p[1] == '!' || p[1] == '^');
			const char *slash = strchrnul(p, '/'), *end;

			in += p[in] == ']';
			end = p + in < slash ? memchr(p + in, ']', (size_t)(slash - p) - in) : NULL;
			if (!end)
				return false;   /* such a pattern is passed over */
			p = end;
		} else {
			escape = *p == '\\';
		}
	}
}

static int check_pattern(const char *pattern, struct err *e)
{
	autostr struct str segment = STR_INIT, shown = STR_INIT, inner = STR_INIT;
	autonode struct node *whole = NULL, *part = NULL;

	if (!*pattern || *pattern == '#' || (strcmp(pattern, "!") && !open_escape(pattern, &segment)))
		return 0;
	whole = node_str(pattern);
	part = node_str(str_cstr(&segment));
	node_py_repr(&shown, whole);
	node_py_repr(&inner, part);
	if (segment.len)
		err_set(e, ERR_PARSE, "unexpected error - Invalid git pattern: %s: Escape character found with no next "
			"character to escape: %s", shown.buf, inner.buf);
	else
		err_set(e, ERR_PARSE, "unexpected error - Invalid git pattern: %s: Pattern normalized to nothing.", shown.buf);
	e->exit_status = 255;
	return -1;
}

static int check_text(const struct str *text, struct err *e)
{
	autostrvec struct strvec lines = STRVEC_INIT;

	if (!memchr(str_cstr(text), '\\', text->len) && !memchr(str_cstr(text), '!', text->len))
		return 0;
	strvec_split(&lines, str_cstr(text), '\n');
	for (size_t i = 0; i < lines.n; i++) {
		autofree char *line = str_trim_dup(lines.v[i]);

		if (check_pattern(line, e))
			return -1;
	}
	return 0;
}

int ignore_check(const char *root, struct err *e)
{
	autofree char *path = path_join(root, ".dvcignore");
	autoerr struct err none = ERR_INIT;
	autostr struct str text = STR_INIT;

	return fs_read(&text, path, IGNORE_FILE_MAX, &none) ? 0 : check_text(&text, e);
}

static void list_add_text(struct ignore_list *l, const char *text, size_t len, const char *file)
{
	const char *end = text + len;
	int line = 0;

	if (l->kind == IGNORE_GIT && len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		text += 3;
	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		const char *stop = nl ? nl : end;
		autofree char *raw = xstrndup(text, (size_t)(stop - text));

		line++;
		if (l->kind == IGNORE_GIT) {
			size_t n = strlen(raw);

			if (n && nl && raw[n - 1] == '\r')
				raw[n - 1] = 0;
			trim_git(raw);
			ignore_list_add(l, raw, file, line);
		} else {
			autofree char *t = str_trim_dup(raw);

			ignore_list_add(l, t, file, line);
		}
		text = nl ? nl + 1 : end;
	}
}

static struct ignore_list *list_read(enum ignore_kind kind, const char *path, const char *shown)
{
	autostr struct str s = STR_INIT;
	autoerr struct err e = ERR_INIT;
	struct ignore_list *l;

	if (fs_read(&s, path, IGNORE_FILE_MAX, &e)) {
		if (e.code != ERR_NOTFOUND)
			notice(NOTICE_WARN, "%s", e.msg);
		return NULL;
	}
	l = ignore_list_new(kind);
	list_add_text(l, str_cstr(&s), s.len, shown);
	return l;
}

/* --- directories --------------------------------------------------------------------------------------------------- */

static const char *ignore_file_name(const struct ignore *g)
{
	return g->kind == IGNORE_GIT ? ".gitignore" : ".dvcignore";
}

/* The rule that decides about rel among the files from d upwards, then the base lists. */
static const struct rule *dir_decide(const struct ignore *g, const struct igdir *d, const char *rel, bool is_dir)
{
	for (; d; d = d->parent) {
		const char *at = rel + d->rel_len + (d->rel_len != 0);

		for (size_t i = d->own ? d->own->n : 0; i-- > 0;)
			if (glob_match(d->own->v[i].g, at, is_dir))
				return &d->own->v[i];
	}
	for (size_t b = 0; b < ARRAY_LEN(g->base); b++)
		for (size_t i = g->base[b] ? g->base[b]->n : 0; i-- > 0;)
			if (glob_match(g->base[b]->v[i].g, rel, is_dir))
				return &g->base[b]->v[i];
	return NULL;
}

static bool rule_ignores(const struct rule *r)
{
	return r && !glob_negated(r->g);
}

static bool source_read(struct ignore *g, const char *rel, struct str *out)
{
	autofree char *path = NULL;
	autoerr struct err e = ERR_INIT;

	if (g->src.read)
		return g->src.read(g->src.data, rel, out);
	path = path_join(g->root, rel);
	if (!fs_read(out, path, IGNORE_FILE_MAX, &e))
		return true;
	if (e.code != ERR_NOTFOUND)
		notice(NOTICE_WARN, "%s", e.msg);
	if (e.code != ERR_NOTFOUND && g->kind == IGNORE_DVC && !g->unread.code)
		err_move(&g->unread, &e);
	return false;
}

static bool source_is_repo(const struct ignore *g, const char *rel)
{
	autofree char *dvc = xasprintf("%s/.dvc", rel);
	autofree char *path = NULL;
	struct stat st;

	if (g->src.read)
		return g->src.has_dir(g->src.data, dvc);
	path = path_join(g->root, dvc);
	return !lstat(path, &st);       /* what cannot be looked at hides nothing */
}

/* G3. A rule file that is itself ignored has no say. */
static void dir_load(struct ignore *g, struct igdir *d, const char *rel)
{
	autofree char *file = NULL;
	autostr struct str s = STR_INIT;

	if (d->loaded)
		return;
	d->loaded = true;
	file = *rel ? xasprintf("%s/%s", rel, ignore_file_name(g)) : xstrdup(ignore_file_name(g));
	if (g->kind == IGNORE_DVC && rule_ignores(dir_decide(g, d, file, false)))
		return;
	if (!source_read(g, file, &s))
		return;
	d->own = ignore_list_new(g->kind);
	d->own->nested = *rel != 0;
	list_add_text(d->own, str_cstr(&s), s.len, file);
	if (g->kind == IGNORE_DVC && !g->unread.code)
		check_text(&s, &g->unread);
}

static void igdir_free(void *p)
{
	struct igdir *d = p;

	ignore_list_free(d->own);
	free(d->name);
	free(d);
}

static void ignore_forget(struct ignore *g)
{
	map_release(&g->dirs, igdir_free);
	free(take(g->last_rel));
	g->last = NULL;
}

static struct igdir *dir_get(struct ignore *g, const char *rel);

static struct igdir *dir_make(struct ignore *g, const char *rel)
{
	autofree char *up = path_dir(rel);
	struct igdir *parent = dir_get(g, up), *d = xcalloc(1, sizeof(*d));

	d->parent = parent;
	d->rel_len = strlen(rel);
	d->name = xstrdup(path_base(rel));
	d->ignored = parent->ignored;
	if (!d->ignored) {
		dir_load(g, parent, up);
		d->subrepo = g->kind == IGNORE_DVC && source_is_repo(g, rel);
		d->ignored = d->subrepo || rule_ignores(dir_decide(g, parent, rel, true));
	}
	map_put(&g->dirs, rel, d);
	return d;
}

static struct igdir *dir_get(struct ignore *g, const char *rel)
{
	struct igdir *d;

	if (!*rel)
		return &g->top;
	d = map_get(&g->dirs, rel);
	return d ? d : dir_make(g, rel);
}

/* The directory that holds rel; the last answer is kept, since questions come in bunches. */
static struct igdir *dir_of(struct ignore *g, const char *rel)
{
	const char *slash = strrchr(rel, '/');
	size_t n = slash ? (size_t)(slash - rel) : 0;

	if (!n)
		return &g->top;
	if (g->last && strlen(g->last_rel) == n && !strncmp(g->last_rel, rel, n))
		return g->last;
	if (g->dirs.n > DIRS_MAX)
		ignore_forget(g);
	free(g->last_rel);
	g->last_rel = xstrndup(rel, n);
	g->last = dir_get(g, g->last_rel);
	return g->last;
}

/* --- questions ----------------------------------------------------------------------------------------------------- */

static struct ignore *ignore_new(enum ignore_kind kind, const char *root)
{
	struct ignore *g = xcalloc(1, sizeof(*g));

	g->kind = kind;
	g->root = xstrdup(root);
	return g;
}

static struct ignore_list *builtin_rules(void)
{
	static const char *const rules[] = { ".hg/", ".git/", ".git", ".dvc/" };
	struct ignore_list *l = ignore_list_new(IGNORE_DVC);

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		ignore_list_add(l, rules[i], NULL, 0);
	return l;
}

struct ignore *ignore_open(const char *root, bool with_builtin)
{
	struct ignore *g = ignore_new(IGNORE_DVC, root);

	if (with_builtin)
		g->base[0] = builtin_rules();
	return g;
}

struct ignore *ignore_open_source(const struct ignore_source *src)
{
	struct ignore *g = ignore_new(IGNORE_DVC, "");

	g->src = *src;
	g->base[0] = builtin_rules();
	return g;
}

struct ignore *ignore_open_git(const char *scm_root, const char *git_dir)
{
	struct ignore *g = ignore_new(IGNORE_GIT, scm_root);
	autofree char *common = git_common_dir(git_dir);
	autofree char *info = path_join(common, "info/exclude");
	autofree char *global = gitconf_excludes_file(scm_root, common);

	g->base[0] = list_read(IGNORE_GIT, info, info);
	if (global)
		g->base[1] = list_read(IGNORE_GIT, global, global);
	return g;
}

int ignore_unread(const struct ignore *g, struct err *e)
{
	if (!g || !g->unread.code)
		return 0;
	err_copy(e, &g->unread);
	e->exit_status = 255;           /* DVC does not expect it either */
	return -1;
}

void ignore_close(struct ignore *g)
{
	if (!g)
		return;
	err_release(&g->unread);
	ignore_forget(g);
	ignore_list_free(g->top.own);
	for (size_t b = 0; b < ARRAY_LEN(g->base); b++)
		ignore_list_free(g->base[b]);
	free(g->root);
	free(g);
}

bool ignore_is(struct ignore *g, const char *rel, bool is_dir)
{
	struct igdir *d;
	autofree char *up = NULL;

	if (!*rel)
		return false;
	d = dir_of(g, rel);
	if (d->ignored)
		return true;
	if (!d->loaded) {
		up = path_dir(rel);
		dir_load(g, d, up);
	}
	/* A directory is judged once, here or by the first question about what is in it. */
	return is_dir ? dir_get(g, rel)->ignored : rule_ignores(dir_decide(g, d, rel, false));
}

bool ignore_hides_out(struct ignore *g, const char *rel, bool is_dir)
{
	struct igdir *d = is_dir && *rel ? dir_get(g, rel) : NULL;

	return d && d->subrepo ? rule_ignores(dir_decide(g, d->parent, rel, true)) : ignore_is(g, rel, is_dir);
}

/* DVC joins neighbouring rules of one kind into one expression, and that names its first match: go back to it. */
static const struct rule *first_of_run(const struct ignore *g, const struct igdir *d, const struct rule *found,
				       const char *rel, bool is_dir)
{
	const struct rule *best = found;
	bool in_run = false;

	if (glob_negated(found->g))
		return found;
	for (; d; d = d->parent) {
		const char *at = rel + d->rel_len + (d->rel_len != 0);

		for (size_t i = d->own ? d->own->n : 0; i-- > 0;) {
			const struct rule *r = &d->own->v[i];

			in_run |= r == found;
			if (!in_run)
				continue;
			if (glob_negated(r->g) || glob_dir_only(r->g) != glob_dir_only(found->g))
				return best;
			if (glob_match(r->g, at, is_dir))
				best = r;
		}
	}
	for (size_t i = g->base[0] ? g->base[0]->n : 0; i-- > 0;) {
		const struct rule *r = &g->base[0]->v[i];

		in_run |= r == found;
		if (!in_run)
			continue;
		if (glob_negated(r->g) || glob_dir_only(r->g) != glob_dir_only(found->g))
			return best;
		if (glob_match(r->g, rel, is_dir))
			best = r;
	}
	return best;
}

static size_t hit_of_rule(const struct rule *r, struct ignore_hit *out)
{
	*out = (struct ignore_hit){ r->file, r->line, r->text, glob_negated(r->g) };
	return 1;
}

size_t ignore_hits(struct ignore *g, const char *rel, bool is_dir, struct ignore_hit *out)
{
	autostrvec struct strvec parts = STRVEC_INIT;
	autostr struct str at = STR_INIT;

	strvec_split(&parts, rel, '/');
	for (size_t i = 0; i < parts.n; i++) {
		bool last = i + 1 == parts.n, dir = is_dir || !last;
		autofree char *up = xstrdup(str_cstr(&at));
		struct igdir *d = dir_get(g, up);
		const struct rule *r;

		if (at.len)
			str_addc(&at, '/');
		str_adds(&at, parts.v[i]);
		dir_load(g, d, up);
		if (dir && source_is_repo(g, at.buf)) {
			struct igdir *self = dir_get(g, at.buf);

			*out = (struct ignore_hit){ NULL, -1, self->name, false };
			return 1;
		}
		r = dir_decide(g, d, at.buf, dir);
		if (r && (last || rule_ignores(r)))
			return hit_of_rule(first_of_run(g, d, r, at.buf, dir), out);
	}
	return 0;
}

#include "core/stage/template.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/stage/template_priv.h"

#include <ctype.h>

/* --- variables --- */

struct cdict;
struct cval {
	const struct node *leaf;        /* borrowed from a document the context keeps */
	struct cdict *dict;
	const char *source;             /* what people see; then, after its NUL, the root-relative file ("": none) */
};
struct cdict { struct map m; };

static void cdict_free(struct cdict *d);

static void cval_free(void *p)
{
	struct cval *v = p;

	if (!v)
		return;
	cdict_free(v->dict);
	free(v);
}

static void cdict_free(struct cdict *d)
{
	if (!d)
		return;
	map_release(&d->m, cval_free);
	free(d);
}

static struct cdict *cdict_new(const struct node *map, const char *source)
{
	struct cdict *d = xcalloc(1, sizeof(*d));

	for (size_t i = 0; map && i < map->n; i++) {
		struct cval *v;

		if (map->k[i]->kind != NODE_STR)
			continue;       /* an expression cannot name it */
		v = xcalloc(1, sizeof(*v));
		v->source = source;
		if (map->v[i]->kind == NODE_MAP)
			v->dict = cdict_new(map->v[i], source);
		else
			v->leaf = map->v[i];
		cval_free(map_put(&d->m, map->k[i]->text, v));
	}
	return d;
}

static struct cdict *cdict_copy(const struct cdict *from)
{
	struct cdict *d = xcalloc(1, sizeof(*d));
	struct map_entry *it;

	for (size_t i = 0; (it = map_next(&from->m, &i));) {
		const struct cval *o = it->value;
		struct cval *v = xmemdup(o, sizeof(*o));

		if (o->dict)
			v->dict = cdict_copy(o->dict);
		/* as in DVC, what a collection came from is forgotten by the copy */
		if (o->dict || node_is(o->leaf, NODE_SEQ))
			v->source = "None\0";
		map_put(&d->m, it->key, v);
	}
	return d;
}

static struct node *cdict_node(const struct cdict *d)
{
	struct node *n = node_map();
	struct map_entry *it;

	for (size_t i = 0; (it = map_next(&d->m, &i));) {
		const struct cval *v = it->value;

		node_set(n, it->key, v->dict ? cdict_node(v->dict) : node_copy(v->leaf));
	}
	return n;
}

static int cdict_merge(struct cdict *into, struct cdict *from, const char *path, struct err *e)
{
	struct map_entry *it;

	for (size_t i = 0; (it = map_next(&from->m, &i));) {
		struct cval *v = it->value, *old = map_get(&into->m, it->key);
		autofree char *here = *path ? xasprintf("%s.%s", path, it->key) : xstrdup(it->key);

		if (!old) {
			map_put(&into->m, it->key, v);
			it->value = NULL;
		} else if (old->dict && v->dict) {
			if (cdict_merge(old->dict, v->dict, here, e))
				return -1;
		} else {
			return err_set(e, ERR_PARSE, "cannot redefine '%s' from '%s' as it already exists in '%s'",
				       here, v->source, old->source);
		}
	}
	return 0;
}

struct import {
	char *path;
	bool whole;
	struct strvec keys;
	struct import *next;
};

struct tctx {
	struct cdict *vars;
	struct import *imports;
};

static void imports_free(struct import *i)
{
	while (i) {
		struct import *next = i->next;

		free(i->path);
		strvec_release(&i->keys);
		free(i);
		i = next;
	}
}

struct tctx *tctx_new(void)
{
	struct tctx *c = xcalloc(1, sizeof(*c));

	c->vars = cdict_new(NULL, NULL);
	return c;
}

void tctx_free(struct tctx *c)
{
	if (!c)
		return;
	cdict_free(c->vars);
	imports_free(c->imports);
	free(c);
}

struct tctx *tctx_clone(const struct tctx *from)
{
	struct tctx *c = xcalloc(1, sizeof(*c));

	c->vars = cdict_copy(from->vars);
	for (const struct import *i = from->imports; i; i = i->next) {
		struct import *n = xcalloc(1, sizeof(*n));

		n->path = xstrdup(i->path);
		n->whole = i->whole;
		for (size_t k = 0; k < i->keys.n; k++)
			strvec_push(&n->keys, i->keys.v[k]);
		n->next = c->imports;
		c->imports = n;
	}
	return c;
}

bool tctx_has(const struct tctx *c, const char *key)
{
	return map_has(&c->vars->m, key);
}

/* --- loading variables --- */

static const char *keep_source(struct tmpl *t, char *s)
{
	strvec_take(&t->sources, s);
	return s;
}

static const struct node *keep_doc(struct tmpl *t, struct node *n)
{
	GROW(t->docs, t->ndocs, t->docs_cap);
	t->docs[t->ndocs++] = n;
	return n;
}

static int check_reserved(struct tmpl *t, const struct cdict *d, const char *item, struct err *e)
{
	autostr struct str s = STR_INIT;
	size_t n = 0;

	for (size_t i = 0; i < 2; i++) {
		const char *k = t->reserved[i];

		if (!k || !map_has(&d->m, k))
			continue;
		str_addf(&s, "%s%s", n++ ? " and " : "", k);
	}
	if (!n)
		return 0;
	t->fail = TMPL_FAIL_OTHER;
	if (item)
		return err_set(e, ERR_PARSE, "attempted to modify reserved key%s %s in '%s'", n > 1 ? "s" : "",
			       str_cstr(&s), item);
	return err_set(e, ERR_PARSE, "attempted to modify reserved key%s %s", n > 1 ? "s" : "", str_cstr(&s));
}

static int merge_into(struct tmpl *t, struct tctx *c, const struct node *map, const char *source, const char *item,
		      struct err *e)
{
	struct cdict *d = cdict_new(map, source);
	int rc = check_reserved(t, d, item, e);

	if (!rc) {
		rc = cdict_merge(c->vars, d, "", e);
		if (rc)
			t->fail = TMPL_FAIL_MERGE;
	}
	cdict_free(d);
	return rc;
}

static struct import *find_import(const struct tctx *c, const char *path)
{
	struct import *i = c->imports;

	while (i && strcmp(i->path, path))
		i = i->next;
	return i;
}

static int check_loaded(struct tmpl *t, const struct import *i, const char *item, const struct strvec *keys,
			struct err *e)
{
	bool common = false;

	t->fail = TMPL_FAIL_LOADED;
	if (!keys->n && !i->whole)
		return err_set(e, ERR_PARSE, "cannot load '%s' as it's partially loaded already", item);
	if (keys->n && i->whole)
		return err_set(e, ERR_PARSE, "cannot partially load '%s' as it's already loaded.", item);
	for (size_t k = 0; k < keys->n; k++)
		common |= strvec_has(&i->keys, keys->v[k]);
	return common ? err_set(e, ERR_PARSE, "cannot load '%s' as it's partially loaded already", item) : 0;
}

/* Root-relative and shown form of a path given relative to 'dir'; some levels for a path that leaves the repository. */
static void resolve_path(const struct tmpl *t, const char *dir, const char *path, char **rel, char **show)
{
	static const char above[] = "/_/_/_/_/_/_/_/_/_/_/_/_/_/_/_/_";
	autofree char *root = path_join(above, dir);
	autofree char *joined = path_join(root, path);
	autofree char *norm = path_norm(joined);
	autofree char *cwd = path_join(above, t->env.cwd);

	if (*path == '/' || *dir == '/') {
		*rel = xstrdup(norm);
		*show = xstrdup(norm);
		return;
	}
	*rel = path_rel(norm, above);
	*show = path_rel(norm, cwd);
}

static int load_map(struct tmpl *t, const char *rel, const char *show, const struct strvec *keys,
		    struct node **out, struct err *e)
{
	autonode struct node *doc = NULL;
	autonode struct node *some = NULL;

	t->fail = TMPL_FAIL_OTHER;
	if (t->env.load(&doc, rel, t->env.data, e)) {
		if (e->code == ERR_UNSUPPORTED)         /* no file */
			return -1;
		if (e->code != ERR_NOTFOUND) {
			t->fail = TMPL_FAIL_RAW;
			return -1;
		}
		err_release(e);
		return err_set(e, ERR_NOTFOUND, "'%s' does not exist", show);
	}
	if (!doc || doc->kind == NODE_NULL) {
		node_free(doc);
		doc = node_map();
	}
	if (doc->kind != NODE_MAP)
		return err_set(e, ERR_PARSE, "expected a dictionary, got '%s' in file '%s'", node_py_type(doc), show);
	if (!keys->n) {
		*out = take(doc);
		return 0;
	}
	some = node_map();
	for (size_t i = 0; i < keys->n; i++) {
		const struct node *v = node_get(doc, keys->v[i]);

		if (!v)
			return err_set(e, ERR_PARSE, "could not find '%s' in '%s'", keys->v[i], show);
		node_set(some, keys->v[i], node_copy(v));
	}
	*out = take(some);
	return 0;
}

static int merge_from(struct tmpl *t, struct tctx *c, const char *item, const char *dir, bool optional,
		      struct err *e)
{
	const char *colon = strchr(item, ':');
	autofree char *path = colon ? xstrndup(item, colon - item) : xstrdup(item);
	autofree char *rel = NULL;
	autofree char *show = NULL;
	autostrvec struct strvec all = STRVEC_INIT;
	autostrvec struct strvec keys = STRVEC_INIT;
	struct node *doc = NULL;
	struct import *had;

	if (colon)
		strvec_split(&all, colon + 1, ',');
	for (size_t i = 0; i < all.n; i++)
		if (*all.v[i])
			strvec_push(&keys, all.v[i]);
	resolve_path(t, dir, path, &rel, &show);
	had = find_import(c, show);
	if (had && !keys.n && had->whole)
		return 0;
	if (had && check_loaded(t, had, item, &keys, e))
		return -1;
	if (load_map(t, rel, show, &keys, &doc, e)) {
		if (!optional || e->code != ERR_NOTFOUND)
			return -1;
		err_release(e);         /* params.yaml need not be there */
		return 0;
	}
	keep_doc(t, doc);
	if (merge_into(t, c, doc, keep_source(t, xasprintf("%s%c%s", show, 0, rel)), item, e))
		return -1;
	if (!had) {
		had = xcalloc(1, sizeof(*had));
		had->path = take(show);
		had->whole = !keys.n;
		had->next = c->imports;
		c->imports = had;
	}
	for (size_t i = 0; i < keys.n; i++)
		strvec_push(&had->keys, keys.v[i]);
	return 0;
}

int tctx_load(struct tmpl *t, struct tctx *c, const struct node *vars, const char *dir, const char *stage,
	      bool with_default, struct err *e)
{
	if (with_default && merge_from(t, c, "params.yaml", dir, true, e))
		return -1;
	for (size_t i = 0; vars && vars->kind == NODE_SEQ && i < vars->n; i++) {
		const struct node *v = vars->v[i];
		const char *source;

		if (v->kind == NODE_STR) {
			if (merge_from(t, c, v->text, dir, false, e))
				return -1;
			continue;
		}
		source = keep_source(t, xasprintf("%s%svars[%zu]%c", stage ? stage : "", stage ? "." : "", i, 0));
		if (merge_into(t, c, keep_doc(t, node_copy(v)), source, NULL, e))
			return -1;
	}
	return 0;
}

/* --- expressions --- */

/* The next ${...} at or after 'at': DVC's regular expression, spelled out. */
static bool next_match(const char *s, size_t n, size_t at, size_t *start, size_t *end)
{
	for (size_t i = at; i + 1 < n; i++) {
		size_t j = i + 2;

		if (s[i] != '$' || s[i + 1] != '{' || (i && s[i - 1] == '\\'))
			continue;
		while (j < n && s[j] != '}' && s[j] != '\n')
			j++;
		if (j >= n || s[j] == '\n')
			continue;
		*start = i;
		*end = j + 1;
		return true;
	}
	return false;
}

static size_t points(const char *s, size_t n)
{
	size_t w = 0;

	for (size_t i = 0; i < n; i++)
		w += ((unsigned char)s[i] & 0xC0) != 0x80;
	return w;
}

static int expr_error(struct tmpl *t, const char *expr, size_t n, size_t loc, bool word, struct err *e)
{
	autostr struct str found = STR_INIT, whole = STR_INIT;
	size_t at = loc + 2, col, end = at;
	autonode struct node *text = NULL;
	const char *all;

	str_adds(&whole, "${");
	str_add(&whole, expr, n);       /* a NUL may be among it */
	str_addc(&whole, '}');
	all = whole.buf;
	col = points(all, at) + 1;
	while (end - at < 16 && (isalnum((unsigned char)all[end]) || (unsigned char)all[end] >= 0x80))
		end++;
	if (end == at)
		end++;
	text = node_strn(all + at, end - at);
	node_py_repr(&found, text);
	t->fail = TMPL_FAIL_PARSE;
	return err_set(e, ERR_PARSE, "%s\n%*s^\nParseException: Expected %s, found %s  (at char %zu), (line:1, col:%zu)",
		       all, (int)(col - 1), "", word ? "!W:(.[])" : "end of text", str_cstr(&found), col - 1, col);
}

static size_t skip_blank(const char *s, size_t n, size_t i)
{
	while (i < n && s[i] && strchr(" \t\r\n", s[i]))
		i++;
	return i;
}

static size_t word_len(const char *s, size_t n, size_t i)
{
	size_t from = i;

	while (i < n && s[i] != '.' && s[i] != '[' && s[i] != ']')
		i++;
	return i - from;
}

/* word (.word | [word])*, to words joined by dots. */
static int parse_expr(struct tmpl *t, const char *s, size_t n, struct str *out, struct err *e)
{
	size_t i = word_len(s, n, 0);

	if (!i)
		return expr_error(t, s, n, 0, true, e);
	str_add(out, s, i);
	for (;;) {
		size_t j = skip_blank(s, n, i), w, end;

		if (j >= n)
			return 0;
		if (s[j] != '.' && s[j] != '[')
			return expr_error(t, s, n, j, false, e);
		w = word_len(s, n, j + 1);
		end = j + 1 + w;
		if (!w || (s[j] == '[' && (end >= n || s[end] != ']')))
			return expr_error(t, s, n, j, false, e);
		str_addc(out, '.');
		str_add(out, s + j + 1, w);
		i = s[j] == '[' ? end + 1 : end;
	}
}

int tmpl_check_syntax(struct tmpl *t, const struct node *n, struct err *e)
{
	if (n->kind == NODE_STR) {
		size_t at = 0, start, end;

		while (next_match(n->text, n->len, at, &start, &end)) {
			autostr struct str key = STR_INIT;

			if (parse_expr(t, n->text + start + 2, end - start - 3, &key, e))
				return -1;
			at = end;
		}
	} else if (n->kind == NODE_SEQ || n->kind == NODE_MAP) {
		for (size_t i = 0; i < n->n; i++) {
			if (n->kind == NODE_MAP && tmpl_check_syntax(t, n->k[i], e))
				return -1;
			if (tmpl_check_syntax(t, n->v[i], e))
				return -1;
		}
	}
	return 0;
}

bool tmpl_is_expression(const struct node *n)
{
	size_t start, end;

	return node_is(n, NODE_STR) && next_match(n->text, n->len, 0, &start, &end) && !start && end == n->len;
}

bool tmpl_has_expression(const struct node *n)
{
	size_t a, b;

	if (n->kind == NODE_STR)
		return next_match(n->text, n->len, 0, &a, &b);
	if (n->kind != NODE_SEQ && n->kind != NODE_MAP)
		return false;
	for (size_t i = 0; i < n->n; i++)
		if ((n->kind == NODE_MAP && tmpl_has_expression(n->k[i])) || tmpl_has_expression(n->v[i]))
			return true;
	return false;
}

/* Python's int() of an index, good enough for what can index a list. */
static bool parse_index(const char *s, size_t count, size_t *out)
{
	char *end;
	long long v;

	if (!isdigit((unsigned char)s[*s == '-' || *s == '+']))
		return false;
	v = strtoll(s, &end, 10);
	if (*end)
		return false;
	if (v < 0)
		v += count;
	if (v < 0 || (unsigned long long)v >= count)
		return false;
	*out = v;
	return true;
}

/* Either a plain value or one of our dictionaries. */
struct found { const struct node *node; const struct cdict *dict; };

static bool step_into(struct found *f, const char *word)
{
	size_t i;

	if (f->dict) {
		const struct cval *v = map_get(&f->dict->m, word);

		if (!v)
			return false;
		*f = (struct found){ v->leaf, v->dict };
		return true;
	}
	if (f->node->kind == NODE_MAP) {
		f->node = node_get(f->node, word);
		return f->node != NULL;
	}
	if (f->node->kind != NODE_SEQ || !parse_index(word, f->node->n, &i))
		return false;
	f->node = f->node->v[i];
	return true;
}

static bool lookup(const struct tmpl *t, const struct tctx *c, const char *key, struct found *f)
{
	autostrvec struct strvec words = STRVEC_INIT;

	strvec_split(&words, key, '.');
	for (size_t i = 0; i < words.n; i++) {
		autofree char *w = str_trim_dup(words.v[i]);

		if (!i && t->item && !strcmp(w, "item"))
			*f = (struct found){ t->item, NULL };
		else if (!i && t->key && !strcmp(w, "key"))
			*f = (struct found){ t->key, NULL };
		else if (!i) {
			*f = (struct found){ NULL, c->vars };
			if (!step_into(f, w))
				return false;
		} else if (!step_into(f, w)) {
			return false;
		}
	}
	return words.n > 0;
}

static void normalize_key(struct str *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '[')
			str_addc(out, '.');
		else if (*s != ']')
			str_addc(out, *s);
	}
}

/* Where a value comes from: the file (NULL: not from one) and its path in there. */
static bool locate(const struct tmpl *t, const struct tctx *c, const char *key, struct tmpl_origin *o)
{
	autostrvec struct strvec words = STRVEC_INIT;
	struct found f = { NULL, c->vars };
	size_t at;

	*o = (struct tmpl_origin){ NULL, STR_INIT, NULL };
	strvec_split(&words, key, '.');
	for (size_t i = 0; i < words.n; i++) {
		autofree char *w = str_trim_dup(words.v[i]);
		const struct cval *v;

		if (!i && t->item && !strcmp(w, "item")) {
			f = (struct found){ t->item, NULL };
			o->file = t->item_at.file;
			str_adds(&o->path, str_cstr(&t->item_at.path));
			continue;
		}
		if (!i && t->key && !strcmp(w, "key"))
			return false;
		if (o->path.len)
			str_addc(&o->path, '.');
		if (f.node && f.node->kind == NODE_SEQ && parse_index(w, f.node->n, &at))
			str_addf(&o->path, "%zu", at);
		else
			str_adds(&o->path, w);
		v = f.dict ? map_get(&f.dict->m, w) : NULL;
		if (v)
			o->file = v->source + strlen(v->source) + 1;
		if (!step_into(&f, w))
			return false;
	}
	o->value = f.node;
	return o->file && *o->file;
}

/* Notes that a value of a file was used; whole mappings do not count. */
static void track(struct tmpl *t, const struct tctx *c, const char *key)
{
	struct tmpl_origin o;

	if (t->used && locate(t, c, key, &o) && o.value && o.value->kind != NODE_MAP) {
		if (!node_get(t->used, o.file))
			node_set(t->used, o.file, node_map());
		node_set(node_get(t->used, o.file), str_cstr(&o.path), node_copy(o.value));
	}
	if (t->used)
		str_release(&o.path);
}

void tmpl_origin_of(struct tmpl *t, const struct node *src, struct tmpl_origin *o)
{
	autostr struct str norm = STR_INIT;
	autofree char *expr = NULL;

	*o = (struct tmpl_origin){ NULL, STR_INIT, NULL };
	if (!tmpl_is_expression(src))
		return;
	expr = xstrndup(src->text + 2, src->len - 3);
	normalize_key(&norm, expr);
	locate(t, t->ctx, str_cstr(&norm), o);
}

/* Keys that an expression cannot name are not seen by it anywhere. */
static struct node *nameable(const struct node *n)
{
	struct node *out;

	if (n->kind != NODE_MAP && n->kind != NODE_SEQ)
		return node_copy(n);
	out = n->kind == NODE_MAP ? node_map() : node_seq();
	for (size_t i = 0; i < n->n; i++) {
		if (n->kind == NODE_SEQ)
			node_push(out, nameable(n->v[i]));
		else if (n->k[i]->kind == NODE_STR)
			node_set(out, n->k[i]->text, nameable(n->v[i]));
	}
	return out;
}

static int evaluate(struct tmpl *t, const struct tctx *c, const char *expr, size_t n, bool checked,
		    struct node **out, struct err *e)
{
	autostr struct str key = STR_INIT;
	autostr struct str norm = STR_INIT;
	struct found f;

	if (checked)
		str_add(&key, expr, n);
	else if (parse_expr(t, expr, n, &key, e))
		return -1;
	normalize_key(&norm, str_cstr(&key));
	if (!lookup(t, c, str_cstr(&norm), &f)) {
		t->fail = TMPL_FAIL_KEY;
		return err_set(e, ERR_PARSE, "Could not find '%s'", str_cstr(&key));
	}
	track(t, c, str_cstr(&norm));
	*out = f.dict ? cdict_node(f.dict) : nameable(f.node);
	return 0;
}

/* --- interpolation --- */

static int parse_fail(struct tmpl *t, struct err *e, const char *fmt, const char *what)
{
	t->fail = TMPL_FAIL_PARSE;
	return err_set(e, ERR_PARSE, fmt, what);
}

static int validate_value(struct tmpl *t, const struct node *v, const char *key, struct err *e)
{
	if ((v->kind != NODE_SEQ && v->kind != NODE_MAP) || !key || strstr(key, "foreach"))
		return 0;
	if (v->kind == NODE_MAP && !strcmp(key, "cmd"))
		return 0;
	return parse_fail(t, e, "Cannot interpolate data of type '%s'", node_py_type(v));
}

static void add_word(struct str *out, const struct node *v)
{
	if (v->kind == NODE_STR)
		str_add_shell(out, v->text);
	else
		node_py_str(out, v);
	str_addc(out, ' ');
}

static int add_arg_list(struct tmpl *t, struct str *out, const char *name, const struct node *list, struct err *e)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct node *v = list->v[i];

		if (v->kind == NODE_SEQ || v->kind == NODE_MAP)
			return parse_fail(t, e, "Cannot interpolate nested iterable in '%s'", name);
		if (!i || t->env.list_append)
			str_addf(out, "--%s ", name);
		add_word(out, v);
	}
	return 0;
}

/* A dictionary as command line options. */
static int add_args(struct tmpl *t, struct str *out, const char *prefix, const struct node *map, struct err *e)
{
	for (size_t i = 0; i < map->n; i++) {
		autostr struct str name = STR_INIT;
		const struct node *v = map->v[i];

		str_adds(&name, prefix);
		if (*prefix)
			str_addc(&name, '.');
		node_py_str(&name, map->k[i]);
		if (v->kind == NODE_MAP) {
			if (add_args(t, out, str_cstr(&name), v, e))
				return -1;
		} else if (v->kind == NODE_SEQ) {
			if (add_arg_list(t, out, str_cstr(&name), v, e))
				return -1;
		} else if (v->kind == NODE_BOOL) {
			if (v->b || t->env.bool_optional)
				str_addf(out, v->b ? "--%s " : "--no-%s ", str_cstr(&name));
		} else {
			str_addf(out, "--%s ", str_cstr(&name));
			add_word(out, v);
		}
	}
	return 0;
}

int tmpl_add_text(struct tmpl *t, struct str *out, const struct node *v, struct err *e)
{
	size_t from = out->len;

	if (v->kind == NODE_BOOL) {
		str_adds(out, v->b ? "true" : "false");
		return 0;
	}
	if (v->kind != NODE_MAP) {
		node_py_str(out, v);
		return 0;
	}
	if (add_args(t, out, "", v, e))
		return -1;
	while (out->len > from && isspace((unsigned char)out->buf[out->len - 1]))
		str_setlen(out, out->len - 1);
	return 0;
}

static void add_unescaped(struct str *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\\' && i + 2 < n && s[i + 1] == '$' && s[i + 2] == '{')
			continue;
		str_addc(out, s[i]);
	}
}

#define TEXT_MAX (64u << 20)
#define ALL_TEXT_MAX (1ull << 30)

int tmpl_resolve_str(struct tmpl *t, const struct tctx *c, const struct node *src, const char *key, bool checked,
		     struct node **out, struct err *e)
{
	autostr struct str buf = STR_INIT;
	autostr struct str plain = STR_INIT;
	size_t at = 0, start, end;

	while (next_match(src->text, src->len, at, &start, &end)) {
		autonode struct node *v = NULL;

		if (evaluate(t, c, src->text + start + 2, end - start - 3, checked, &v, e) ||
		    validate_value(t, v, key, e))
			return -1;
		if (!start && end == src->len) {
			*out = take(v);
			return 0;
		}
		str_add(&buf, src->text + at, start - at);
		if (tmpl_add_text(t, &buf, v, e))
			return -1;
		if (buf.len > TEXT_MAX)
			return parse_fail(t, e, "the text of '%s' grows too long", key ? key : "a value");
		at = end;
	}
	str_add(&buf, src->text + at, src->len - at);
	add_unescaped(&plain, str_cstr(&buf), buf.len);
	t->made += plain.len;
	if (t->made > ALL_TEXT_MAX)
		return parse_fail(t, e, "the templates make more than %s of text", "1 GiB");
	*out = node_strn(str_cstr(&plain), plain.len);
	(*out)->line = src->line;
	(*out)->col = src->col;
	return 0;
}

int tmpl_unexpected(struct tmpl *t, struct err *e, const char *words)
{
	t->fail = TMPL_FAIL_RAW;
	err_set(e, ERR_FAIL, "unexpected error%s%s", *words ? " - " : "", words);
	e->exit_status = 255;
	return -1;
}

int tmpl_resolve(struct tmpl *t, const struct tctx *c, const struct node *src, const char *key, bool checked,
		 struct node **out, struct err *e)
{
	autonode struct node *n = NULL;

	if (src->kind == NODE_STR)
		return tmpl_resolve_str(t, c, src, key, checked, out, e);
	if (src->kind != NODE_SEQ && src->kind != NODE_MAP) {
		*out = node_copy(src);
		return 0;
	}
	n = src->kind == NODE_SEQ ? node_seq() : node_map();
	n->line = src->line;
	n->col = src->col;
	for (size_t i = 0; i < src->n; i++) {
		struct node *k = NULL, *v = NULL;

		if (src->kind == NODE_MAP && tmpl_resolve(t, c, src->k[i], key, checked, &k, e))
			return -1;
		if (tmpl_resolve(t, c, src->v[i], key, checked, &v, e)) {
			node_free(k);
			return -1;
		}
		if (k && (k->kind == NODE_SEQ || k->kind == NODE_MAP)) {
			autofree char *words = xasprintf("unhashable type: '%s'", node_py_type(k));

			node_free(k);
			node_free(v);
			return tmpl_unexpected(t, e, words);
		}
		if (k)
			node_set_node(n, k, v);
		else
			node_push(n, v);
	}
	*out = take(n);
	return 0;
}

int tmpl_resolve_text(const struct node *vars, const char *text, const char *key, struct node **out, struct err *e)
{
	struct tmpl t = { .env = { .dir = "", .cwd = "" } };
	struct tctx *c = tctx_new();
	autonode struct node *src = node_str(text);
	int rc = merge_into(&t, c, vars, "vars[0]", NULL, e);

	if (!rc)
		rc = tmpl_resolve(&t, c, src, key, false, out, e);
	tctx_free(c);
	return rc;
}

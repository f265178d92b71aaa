#include "core/stage/params.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/json.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/unicode.h"
#include "core/base/yaml.h"
#include "core/stage/pylit.h"
#include "core/stage/toml.h"

#include <strings.h>

#define KEY_DEPTH_MAX 256

enum format { FORMAT_YAML, FORMAT_JSON, FORMAT_TOML, FORMAT_PY };

static enum format format_of(const char *name)
{
	static const struct { const char *suffix; enum format format; } known[] = {
		{ ".json", FORMAT_JSON }, { ".toml", FORMAT_TOML }, { ".py", FORMAT_PY },
	};
	const char *slash = strrchr(name, '/'), *dot = strchr(slash ? slash + 1 : name, '.');

	for (size_t i = 0; dot && i < ARRAY_LEN(known); i++)
		if (!strcasecmp(dot, known[i].suffix))
			return known[i].format;
	return FORMAT_YAML;
}

const char *params_corrupted(const char *name)
{
	static const char *const text[] = {
		"YAML file structure is corrupted", "JSON file structure is corrupted",
		"TOML file structure is corrupted", "Python file structure is corrupted",
	};

	return text[format_of(name)];
}

int params_parse(struct node **out, const char *name, const char *text, size_t len, struct err *e)
{
	autonode struct node *n = NULL;
	int rc;

	switch (format_of(name)) {
	case FORMAT_JSON:
		rc = json_parse(&n, text, len, name, e);
		break;
	case FORMAT_TOML:
		rc = toml_parse(&n, text, len, name, e);
		break;
	case FORMAT_PY:
		rc = pylit_parse(&n, text, len, name, e);
		break;
	default:
		rc = yaml_parse(&n, text, len, name, 0, e);
	}
	if (rc)
		return -1;
	if (!node_truthy(n)) {
		node_free(n);
		n = node_map();
	}
	*out = take(n);
	return 0;
}

int params_whole(const struct node *doc, struct err *e)
{
	if (node_is(doc, NODE_MAP))
		return 0;
	err_set(e, ERR_PARSE, "'%s' object has no attribute 'keys'", node_py_type(doc));
	e->exit_status = 255;
	return -1;
}

/* "[a-z]" or "[!abc]" at *p; without its closing bracket '[' stands for itself. */
static bool match_set(const char **p, const char *end, uint32_t c)
{
	const char *s = *p + 1, *close;
	bool not = s < end && *s == '!', hit = false;

	s += not;
	close = s < end ? memchr(s + 1, ']', (size_t)(end - s - 1)) : NULL;
	if (!close) {
		(*p)++;
		return c == '[';
	}
	while (s < close) {
		uint32_t from = uc_next(&s, close), to = from;

		if (s + 1 < close && *s == '-') {
			s++;
			to = uc_next(&s, close);
		}
		hit |= c >= from && c <= to;
	}
	*p = close + 1;
	return hit != not;
}

/* Python's fnmatchcase; iterative, so that no pattern is slower than pattern times text. */
static bool glob_match(const char *p, const char *pend, const char *s, const char *send)
{
	const char *star = NULL, *resume = NULL;

	while (s < send || p < pend) {
		const char *p2 = p, *s2 = s;

		if (p < pend && *p == '*') {
			star = ++p;
			resume = s;
			continue;
		}
		if (p < pend && s < send) {
			uint32_t c = uc_next(&s2, send);
			bool hit;

			if (*p == '[')
				hit = match_set(&p2, pend, c);
			else if (*p == '?')
				hit = true, p2++;
			else
				hit = uc_next(&p2, pend) == c;
			if (hit) {
				p = p2;
				s = s2;
				continue;
			}
		}
		if (!star || resume >= send)
			return false;
		uc_next(&resume, send);
		s = resume;
		p = star;
	}
	return true;
}

struct part {
	const char *p, *end;
	bool is_int;
	int64_t i;              /* Python's int() of the part */
};

static bool part_as_int(struct part *t)
{
	const char *p = t->p, *end = t->end;
	char digits[24];
	size_t n = 0;
	bool neg;

	while (p < end && strchr(" \t", *p))
		p++;
	while (end > p && strchr(" \t", end[-1]))
		end--;
	neg = p < end && *p == '-';
	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (neg)
		digits[n++] = '-';
	for (const char *q = p; q < end; q++) {
		if (*q == '_' && q > p && q + 1 < end && q[-1] != '_')
			continue;
		if (*q < '0' || *q > '9' || n + 1 >= sizeof(digits))
			return false;
		digits[n++] = *q;
	}
	digits[n] = '\0';
	return n > (size_t)neg && str_to_i64(digits, &t->i);
}

struct path {
	struct part *v;
	size_t n, cap;
};

static void path_release(struct path *p)
{
	free(p->v);
}

static void path_split(struct path *p, const char *key)
{
	while (*key == '.')
		key++;
	for (;;) {
		const char *dot = strchrnul(key, '.');
		struct part t = { key, dot, false, 0 };

		t.is_int = part_as_int(&t);
		GROW(p->v, p->n, p->cap);
		p->v[p->n++] = t;
		if (!*dot)
			return;
		key = dot + 1;
	}
}

static bool is_stars(const struct part *t)
{
	return t->end - t->p == 2 && t->p[0] == '*' && t->p[1] == '*';
}

static bool part_matches_int(const struct part *t, int64_t i, const char *shown, size_t count)
{
	if (t->is_int)
		return t->i == i || (count && t->i < 0 && (int64_t)count + t->i == i);
	return glob_match(t->p, t->end, shown, shown + strlen(shown));
}

/* Does the part name the i-th child? */
static bool part_matches(const struct part *t, const struct node *n, size_t i)
{
	char shown[24];
	const struct node *k;

	if (n->kind == NODE_SEQ) {
		snprintf(shown, sizeof(shown), "%zu", i);
		return part_matches_int(t, (int64_t)i, shown, n->n);
	}
	k = n->k[i];
	if (k->kind == NODE_STR)
		return glob_match(t->p, t->end, k->text, k->text + k->len);
	if (k->kind == NODE_BOOL)
		return part_matches_int(t, k->b, k->b ? "True" : "False", 0);
	return k->kind == NODE_INT && k->fits && part_matches_int(t, k->i, k->text, 0);
}

/* A walk through the tree beside the pattern; 'steps' are the children taken so far. */
struct walk {
	const struct path *path;
	size_t step[KEY_DEPTH_MAX];
	int (*hit)(struct walk *w, const struct node *found, size_t depth);
	const struct node *root;
	void *data;
};

/* Which parts may match at this depth: the whole pattern must fit, '**' taking any number of parts. */
static bool fits(const struct walk *w, const struct node *chain[], size_t depth)
{
	const struct path *p = w->path;
	size_t stars = 0, extra;

	while (stars < p->n && !is_stars(&p->v[stars]))
		stars++;
	if (stars == p->n) {
		if (depth != p->n)
			return false;
		extra = 0;
	} else {
		if (depth + 1 < p->n)
			return false;
		extra = depth + 1 - p->n;
	}
	for (size_t d = 0, t = 0; d < depth; d++) {
		if (d >= stars && d < stars + extra)
			continue;
		t = d < stars ? d : d - extra + (stars < p->n ? 1 : 0);
		if (!part_matches(&p->v[t], chain[d], w->step[d]))
			return false;
	}
	return true;
}

static bool has_stars(const struct path *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (is_stars(&p->v[i]))
			return true;
	return false;
}

/* Children first, then into each child, as dpath walks. */
static int walk_down(struct walk *w, const struct node *n, const struct node *chain[], size_t depth)
{
	bool stars = has_stars(w->path);
	int rc;

	if (n->kind < NODE_SEQ || depth >= KEY_DEPTH_MAX || (!stars && depth >= w->path->n))
		return 0;
	chain[depth] = n;
	for (size_t i = 0; i < n->n; i++) {
		w->step[depth] = i;
		if (fits(w, chain, depth + 1) && (rc = w->hit(w, n->v[i], depth + 1)))
			return rc;
	}
	for (size_t i = 0; i < n->n; i++) {
		w->step[depth] = i;
		if (n->v[i]->kind < NODE_SEQ || (!stars && !part_matches(&w->path->v[depth], n, i)))
			continue;
		rc = walk_down(w, n->v[i], chain, depth + 1);
		if (rc)
			return rc;
	}
	return 0;
}

static int walk_key(struct walk *w, const struct node *root, const char *key)
{
	autocall(path_release) struct path p = { NULL, 0, 0 };
	const struct node *chain[KEY_DEPTH_MAX];

	path_split(&p, key);
	w->path = &p;
	w->root = root;
	return p.n > KEY_DEPTH_MAX ? 0 : walk_down(w, root, chain, 0);
}

struct found {
	const struct node *one;
	size_t n;
};

static int note_found(struct walk *w, const struct node *found, size_t depth)
{
	struct found *f = w->data;

	(void)depth;
	f->one = found;
	return ++f->n > 1;
}

int params_lookup(const struct node *root, const char *key, const struct node **out, struct err *e)
{
	struct found f = { NULL, 0 };
	struct walk w = { .hit = note_found, .data = &f };

	if (!*key) {
		*out = root;
		return 1;
	}
	walk_key(&w, root, key);
	if (f.n > 1)
		return err_set(e, ERR_FAIL, "dpath.get() globs must match only one leaf: %s", key);
	if (f.n)
		*out = f.one;
	return (int)f.n;
}

/* Puts 'value' into the result at the place it has in the original; missing items of a sequence are null. */
static void put_at(struct walk *w, struct node *into, const struct node *value, size_t depth)
{
	const struct node *from = w->root;

	for (size_t d = 0; d < depth; d++) {
		size_t i = w->step[d];
		const struct node *child = d + 1 < depth ? from->v[i] : value;
		struct node *have;

		if (from->kind == NODE_MAP) {
			have = node_get_node(into, from->k[i]);
		} else {
			while (into->n <= i)
				node_push(into, node_null());
			have = into->v[i];
		}
		if (d + 1 == depth || !have || have->kind < NODE_SEQ) {
			struct node *fresh = d + 1 == depth ? node_copy(child) :
				child->kind == NODE_MAP ? node_map() : node_seq();

			fresh->is_tuple = child->is_tuple;
			if (from->kind == NODE_MAP) {
				node_set_node(into, node_copy(from->k[i]), fresh);
			} else {
				node_free(into->v[i]);
				into->v[i] = fresh;
			}
			have = fresh;
		}
		into = have;
		from = from->v[i];
	}
}

static int note_place(struct walk *w, const struct node *found, size_t depth)
{
	put_at(w, w->data, found, depth);
	return 0;
}

/* Maps merge, sequences are appended, everything else is replaced. */
static void merge_into(struct node *dst, const struct node *src)
{
	for (size_t i = 0; i < src->n; i++) {
		struct node *have = node_get_node(dst, src->k[i]);

		if (have && have->kind == NODE_MAP && src->v[i]->kind == NODE_MAP) {
			merge_into(have, src->v[i]);
		} else if (have && have->kind == NODE_SEQ && src->v[i]->kind == NODE_SEQ) {
			for (size_t j = 0; j < src->v[i]->n; j++)
				node_push(have, node_copy(src->v[i]->v[j]));
		} else {
			node_set_node(dst, node_copy(src->k[i]), node_copy(src->v[i]));
		}
	}
}

static bool is_repeated(char *const *keys, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (!strcmp(keys[j], keys[i]))
			return true;
	return false;
}

struct node *params_select(const struct node *root, char *const *keys, size_t nkeys)
{
	struct node *all;

	if (!nkeys)
		return node_copy(root);
	all = node_map();
	if (root->kind != NODE_MAP)
		return all;
	for (size_t i = 0; i < nkeys; i++) {
		autonode struct node *one = node_map();
		struct walk w = { .hit = note_place, .data = one };

		if (is_repeated(keys, i))
			continue;
		walk_key(&w, root, keys[i]);
		merge_into(all, one);
	}
	return all;
}

/*
 * node - a value as YAML, JSON, TOML and Python literals share it; what all parsers return and all writers take.
 *
 *  N1  A map keeps the order of insertion; keys are unique under Python's equality.
 *  N2  An integer has no bound: 'text' holds its decimal form, 'i' its value when 'fits' is set.
 *  N3  Equality is Python's: 1 == 1.0 == true, tuple == list, map order does not matter, nan differs from itself.
 *  N4  'line' and 'col' are 1-based and say where the value began in its file; 0 when it came from no file.
 *
 * Ownership: a node owns everything below it. node_set/node_push take ownership of the child; node_get borrows.
 */
#ifndef BASE_NODE_H
#define BASE_NODE_H

#include "core/base/compat.h"

struct str;
struct yaml_rt;                 /* round-trip details, known to yaml.c alone */

enum node_kind { NODE_NULL, NODE_BOOL, NODE_INT, NODE_FLOAT, NODE_STR, NODE_DATE, NODE_SEQ, NODE_MAP };

struct node {
	enum node_kind kind;
	int line, col;
	bool b, fits, is_tuple;
	bool is_set;            /* a SEQ that was a Python set */
	int64_t i;
	double f;
	char *text;             /* STR: value; INT: decimal digits; DATE: ISO text as Python's str() gives it */
	size_t len;             /* of text */
	struct node **v;        /* SEQ: items; MAP: values */
	struct node **k;        /* MAP: keys */
	size_t n, cap;
	uint32_t *slot;         /* MAP: hash index, built when n grows beyond a few */
	size_t nslots;
	struct yaml_rt *rt;
};

struct node *node_null(void);
struct node *node_bool(bool b);
struct node *node_int(int64_t i);
struct node *node_int_text(const char *decimal);        /* any size */
struct node *node_float(double f);
struct node *node_str(const char *s);
struct node *node_strn(const char *s, size_t n);
struct node *node_date(const char *iso);
struct node *node_seq(void);
struct node *node_map(void);
void node_free(struct node *n);                         /* NULL is fine */
static inline void node_autofree_(struct node **n) { node_free(*n); }
#define autonode __attribute__((cleanup(node_autofree_)))
struct node *node_copy(const struct node *n);           /* without round-trip details */
bool node_equal(const struct node *a, const struct node *b);

struct node *node_get(const struct node *map, const char *key);         /* NULL: absent or not a map */
struct node *node_get_node(const struct node *map, const struct node *key);
const char *node_get_str(const struct node *map, const char *key);      /* NULL unless a string */
char *node_dup_str(const struct node *map, const char *key);            /* NULL unless a string that is not empty */
struct node *node_copy_truthy(const struct node *map, const char *key); /* NULL when absent, empty, zero or false */
bool node_get_bool(const struct node *map, const char *key, bool otherwise);
void node_set(struct node *map, const char *key, struct node *value);   /* replaces in place or appends */
void node_set_node(struct node *map, struct node *key, struct node *value);
bool node_del(struct node *map, const char *key);
void node_del_at(struct node *map_or_seq, size_t i);
void node_push(struct node *seq, struct node *item);
void node_insert(struct node *seq, size_t i, struct node *item);
static inline bool node_is(const struct node *n, enum node_kind k) { return n && n->kind == k; }
static inline bool node_is_str(const struct node *n, const char *s)
{
	return node_is(n, NODE_STR) && !strcmp(n->text, s);
}
/* Python's bool(): null, false, 0, "", [] and {} are false. */
bool node_truthy(const struct node *n);
/* Python's str() of the value ("True", "None", "1e-05", "[1, 'a']", "{'a': 1}"), as DVC prints it in text. */
void node_py_str(struct str *out, const struct node *n);
void node_py_repr(struct str *out, const struct node *n);
const char *node_py_type(const struct node *n);         /* "int", "str", "list", "dict", "NoneType", ... */
/* Python's repr of a float: shortest digits that read back. */
void node_add_float(struct str *out, double f);

#endif

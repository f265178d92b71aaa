/*
 * schema - checks a YAML document against a table and reports what is wrong with it, as DVC does.
 *
 *  V1  Messages, their order, positions and the excerpt are DVC's (voluptuous errors drawn by rich at 80 columns).
 *  V2  Only the first element of a list that is wrong below its own level is reported; at its own level all are.
 *
 * Used for .dvc files, dvc.yaml and dvc.lock. Tables are const data:
 *
 *	static const struct schema str = SCHEMA_OF_STR;
 *	static const struct schema_key keys[] = { { "path", &str, true }, SCHEMA_KEYS_END };
 *	static const struct schema map = { .kind = SCHEMA_MAP, .keys = keys };
 */
#ifndef STAGE_SCHEMA_H
#define STAGE_SCHEMA_H

#include "core/base/compat.h"

struct node;
struct err;
struct repo;
struct srctree;

enum schema_kind {
	SCHEMA_ANYTHING, SCHEMA_NULL, SCHEMA_STR, SCHEMA_INT /* booleans are integers */, SCHEMA_BOOL,
	SCHEMA_DICT /* any map */, SCHEMA_LIST /* any list */,
	SCHEMA_MAP, SCHEMA_SEQ, SCHEMA_EITHER, SCHEMA_CHECK, SCHEMA_PICK,
};
struct schema;
/* name NULL ends the table; name "*" takes every string key that has no row of its own. */
struct schema_key { const char *name; const struct schema *value; bool required; };
#define SCHEMA_KEYS_END { NULL, NULL, false }
struct schema {
	enum schema_kind kind;
	const struct schema_key *keys;                  /* MAP */
	bool extra;                                     /* MAP: unknown keys are fine */
	size_t max;                                     /* MAP: at most this many keys; 0: any */
	const struct schema *const *of;                 /* SEQ, EITHER: alternatives in order, NULL-terminated */
	const char *(*check)(const struct node *);      /* CHECK: what is wrong, or NULL */
	const struct schema *(*pick)(const struct node *);      /* PICK: the schema for this value */
};
extern const struct schema schema_anything, schema_null, schema_str, schema_int, schema_bool, schema_dict, schema_list;

/* 'shown': "./sub/x.dvc" (schema_shown). rev: short name of the revision or NULL. ERR_PARSE with the whole report. */
int  schema_check(const struct schema *s, const struct node *doc, const char *shown, const char *rev,
		  const char *text, size_t len, struct err *e);
/* Reads a document of the tree and checks it: DVC's errors for absent, ignored, broken and invalid files.
 * *out may be NODE_NULL (empty file). flags as yaml_parse. text may be NULL. */
struct str;
int  schema_parse(struct node **out, const struct schema *s, const char *shown, const char *rev,
		  const char *text, size_t len, unsigned flags, struct err *e);
/* Name for reports: relative to the working directory, with "./" in front unless it begins with "..". */
char *schema_shown(const struct repo *r, const char *rel);

#endif

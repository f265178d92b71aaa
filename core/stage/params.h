/*
 * params - parameter and metrics files in DVC's four formats, and the keys that name values in them.
 *
 *  P1  The format follows from all that stands behind the FIRST dot of the file's name, lower-cased: ".json", ".toml",
 *      ".py"; everything else is YAML. So "metrics.train.json" is read as YAML.
 *  P2  An empty YAML, JSON or TOML value gives an empty map, as DVC's "or {}" does.
 *  P3  A key is cut at dots; each part is a pattern (*, ?, [..], and ** for any number of parts); an index of a
 *      sequence is written as a number, from the end when negative. A key with a dot in it cannot be named.
 *
 * Errors: ERR_PARSE; the message names file, line and cause. params_corrupted() is what DVC says about such a file.
 */
#ifndef STAGE_PARAMS_H
#define STAGE_PARAMS_H

#include "core/base/compat.h"

struct node;
struct str;
struct err;

#define PARAMS_MAX (256ull << 20)

int  params_parse(struct node **out, const char *name, const char *text, size_t len, struct err *e);
/* What DVC says of a text that cannot be read, behind "unable to read: 'name', ". otherwise: a cause it has no words for. */
char *params_explain(const char *name, const char *text, size_t len, const char *otherwise);
int  params_load(struct node **out, const char *path, struct err *e);           /* of the file system; explained */
/* "YAML file structure is corrupted", "JSON ...", "TOML ...", "Python ...", by the name's suffix. */
const char *params_corrupted(const char *name);

/* A file that is tracked whole has to hold a mapping; DVC ends with a Python error otherwise. */
int  params_whole(const struct node *doc, struct err *e);

/* 1: *out is the one value (borrowed), 0: none, -1: the pattern matches more than one. */
int  params_lookup(const struct node *root, const char *key, const struct node **out, struct err *e);
/* What 'params diff' shows of a file for some keys: a tree holding only them, merged in the order of the keys. */
struct node *params_select(const struct node *root, char *const *keys, size_t nkeys);

#endif

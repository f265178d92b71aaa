/* What toml.c and toml_value.c share. Not for others. */
#ifndef STAGE_TOML_PRIV_H
#define STAGE_TOML_PRIV_H

#include "core/base/compat.h"

#define TOML_DEPTH_MAX 128

struct node;
struct str;
struct err;

struct strn {
	char *s;
	size_t len;
};
struct toml_key {
	struct strn *v;
	size_t n, cap;
};
struct toml {
	const char *p, *end, *line_start;
	int line;
	const char *name;
	struct node *root, *table;      /* table: where pairs go now */
	struct err *e;
};

int  toml_fail(struct toml *t, const char *fmt, ...) PRINTF(2, 3);      /* -1 */
int  toml_peek(const struct toml *t);                                   /* -1 at the end */
bool toml_accept(struct toml *t, char c);
void toml_blanks(struct toml *t);
bool toml_newline(struct toml *t);
int  toml_comment(struct toml *t);
int  toml_key(struct toml *t, struct toml_key *k);
void toml_key_release(struct toml_key *k);
int  toml_put(struct toml *t, struct node *table, const struct toml_key *k, struct node *value); /* takes value */
int  toml_pair(struct toml *t, struct node *table, int depth);          /* key = value */
void toml_close(struct node *n);
int  toml_string(struct toml *t, struct str *out);
int  toml_value(struct toml *t, struct node **out, int depth);

#endif

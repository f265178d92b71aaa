/*
 * yaml_token - the tokens of a YAML text, cut by libyaml, with the comments between them. Private to yaml_token.c and
 * yaml_read.c.
 *
 *  YT1  libyaml drops comments; when they are to be kept, the text between two tokens is looked through for them, and
 *       each comment is queued before the token that it stands before. What claims it is decided when a token is taken.
 *  YT2  Tabs are refused where ruamel.yaml refuses them, though libyaml lets them pass.
 */
#ifndef BASE_YAML_TOKEN_H
#define BASE_YAML_TOKEN_H

#include "core/base/map.h"
#include "core/base/yaml_rt.h"

struct err;
struct ytok_lib;

/* In libyaml's order. */
enum ytok_type {
	YTOK_NONE, YTOK_STREAM_START, YTOK_STREAM_END, YTOK_VERSION, YTOK_TAG_DIRECTIVE, YTOK_DOC_START, YTOK_DOC_END,
	YTOK_SEQ_START, YTOK_MAP_START, YTOK_BLOCK_END, YTOK_FLOW_SEQ_START, YTOK_FLOW_SEQ_END, YTOK_FLOW_MAP_START,
	YTOK_FLOW_MAP_END, YTOK_ENTRY, YTOK_COMMA, YTOK_KEY, YTOK_VALUE, YTOK_ALIAS, YTOK_ANCHOR, YTOK_TAG, YTOK_SCALAR,
};
struct ymark {
	size_t index;           /* code points from the start */
	int line, col;          /* 0-based */
};
/* A token, or a comment between tokens, in the order of the text. */
struct ytok {
	enum ytok_type type;
	struct ymark start, end;
	char *text, *handle;    /* of scalars, names and tags (the suffix) */
	size_t len;
	char style;             /* of a scalar: 0 plain, or its first character */
	int major, minor;       /* of %YAML */
	struct ycomment *comment;       /* set: this is a comment */
	struct ycarry c;                /* the comments that hang on the token */
	char *head, *folds;             /* of a block scalar */
	int end_line;
};

struct reader {
	struct ytok_lib *lib;
	struct ytok *q;                 /* q[from .. n) were read and not yet taken */
	size_t from, n, cap;
	bool keep, v11, tabs;           /* tabs: there are some, each has to be looked at */
	struct ycursor cur;             /* keep: behind the last token */
	struct ycursor tab;             /* tabs: likewise */
	int flow_level;
	int *indent;                    /* keep: columns of the open block collections */
	size_t nindent, cap_indent;
	const char *name;
	struct map anchors;             /* name -> struct node, a copy of our own */
	size_t expanded;
	struct err *e;
};

/* Would aliases add more than so many values? Costs the text's length; *at: where it is too much. */
bool yaml_expands_beyond(const char *text, size_t len, size_t most, struct ymark *at);

int  ytok_open(struct reader *r, const char *text, size_t len, const char *name, bool keep, struct err *e);
void ytok_close(struct reader *r);
int  ytok_fail(struct reader *r, struct ymark at, const char *fmt, ...) PRINTF(3, 4);   /* -1 */
int  ytok_ahead(struct reader *r);                      /* makes ytok_front() the next token */
int  ytok_get(struct reader *r, struct ytok *out);      /* takes it, with what it claims of the comments behind it */
int  ytok_drop(struct reader *r);                       /* takes it and its comments away */
int  ytok_drop_passing(struct reader *r);               /* takes it and hands its comments to the one behind it */
int  ytok_pass_on(struct reader *r, struct ycarry *c, bool empty);      /* hands comments to the next token */
void ytok_release(struct ytok *k);

static inline struct ytok *ytok_front(const struct reader *r) { return &r->q[r->from]; }
static inline enum ytok_type ytok_type(const struct reader *r) { return ytok_front(r)->type; }
static inline struct ymark ytok_mark(const struct reader *r) { return ytok_front(r)->start; }

#endif

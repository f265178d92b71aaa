/*
 * yaml_rt - what a value remembers of its text for a round trip, and the helpers that the reader and the emitter
 * share. Private to yaml_*.c and to node.c.
 *
 *  YR1  Comments sit where ruamel.yaml keeps them: on the collection (behind its start, before its first item, behind
 *       its end) and beside each item: a mapping's on the key, a sequence's by index.
 *  YR2  'shown' is the text an unchanged plain scalar is written back with; without it the value decides.
 *  YR3  An alias is a copy that knows the anchor's name; it is written as an alias while it still equals it.
 */
#ifndef BASE_YAML_RT_H
#define BASE_YAML_RT_H

#include "core/base/compat.h"

struct node;
struct str;

enum yaml_tag { YTAG_STR, YTAG_NULL, YTAG_BOOL, YTAG_INT, YTAG_FLOAT, YTAG_DATE, YTAG_MERGE, YTAG_VALUE };

/* What a plain scalar stands for; 'v11' under %YAML 1.1. */
enum yaml_tag yaml_resolve(const char *s, size_t n, bool v11);
/* The value of a plain scalar of that tag. NULL: it looks like one but is none ('2020-13-45'). */
struct node *yaml_value(enum yaml_tag tag, const char *s, size_t n, bool v11);

struct ycomment {
	char *text;             /* "# ...\n", line breaks included */
	int line, col;          /* 0-based, of its start */
	unsigned refs;
	bool done;              /* written before the start of a collection: not again */
};
struct ylist {
	struct ycomment **v;
	size_t n, cap;
};
/* What a token or a value carries while a text is read: ruamel.yaml's list of 2, 3 or 5 places. */
struct ycarry {
	bool set, five;         /* five: the list has five places, so that nothing finds a third */
	struct ycomment *post, *fifth;
	struct ylist *pre, *end;
};
/* The four places of ruamel.yaml's lists: behind, before, behind the value, before the value. */
struct ynote {
	bool set;
	struct ycomment *post, *vpost;
	struct ylist *pre, *vpre;
};
struct yaml_rt {
	char *anchor, *alias, *tag, *shown;
	char style;             /* '|' or '>' */
	signed char flow;       /* 1 flow, 0 block, -1 as the emitter likes */
	bool merged;            /* came in by '<<' */
	char *head;             /* what follows '|' or '>' on its line: a comment */
	bool own_set;           /* ruamel's comment list exists, even if empty */
	struct ycomment *post;
	struct ylist *pre, *end;
	struct ynote note;      /* of a mapping's key */
	struct ynote *item;     /* of a sequence's items */
	size_t nitem;
	bool item_lost;         /* one of them stood behind '|': ruamel.yaml then writes none */
	struct node *merge;     /* the value of '<<' */
	size_t merge_pos;
};

struct yaml_rt *yaml_rt_of(struct node *n);             /* made when missing */
void yaml_rt_free(struct yaml_rt *rt);
void yaml_rt_item_gone(struct yaml_rt *rt, size_t i);

struct ycomment *ycomment_new(const char *text, size_t n, int line, int col);
struct ycomment *ycomment_ref(struct ycomment *c);
void ycomment_drop(struct ycomment *c);
struct ylist *ylist_new(void);
void ylist_add(struct ylist *l, struct ycomment *c);    /* takes the reference */
void ylist_drop(struct ylist *l);
struct ylist *ylist_copy(const struct ylist *l);        /* the same comments; NULL gives NULL */
void ynote_release(struct ynote *n);
void ycarry_release(struct ycarry *c);

/* Where in the text the reader stands. Columns count code points. */
struct ycursor {
	const char *p, *end;
	size_t index;           /* code points from the start */
	int line, col;
};
void ycursor_step(struct ycursor *c);
void ycursor_to(struct ycursor *c, size_t index);
/* The next comment before code point 'to', or NULL when only white space is left. */
struct ycomment *ycursor_comment(struct ycursor *c, size_t to);
/* From '|' or '>' to behind the scalar. */
struct yblock {
	char *head;             /* the comment on the first line, with the blanks before it */
	char *folds;            /* '>': the text with \a where it was folded */
	struct ycomment *trail; /* blank lines and comments behind it */
	int end_line;
};
void ycursor_block(struct ycursor *c, int parent_indent, struct yblock *out);
/* The text an unchanged number or timestamp is written back with; NULL: the value's own. */
char *yaml_number_shown(const char *s, size_t n, const struct node *value, bool v11);

#endif

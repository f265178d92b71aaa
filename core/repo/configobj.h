/*
 * configobj - ConfigObj's INI dialect: reading with its errors, editing line by line.
 *
 *  I1  The lines of the file are kept as they are; an edit replaces, inserts or drops whole lines (config.h F2).
 *      cobj_write() gives the text DVC would write: it has no place for what cobj_is_plain() looks for.
 *  I2  Section names of the form 'remote "x"' are brought to that spelling; names fold to lower case; of names that
 *      become equal the last one counts, as in DVC.
 *  I3  Values are stored interpolated ("%(name)s"), lists as lists.
 *
 * Source: ConfigObj 5 as DVC calls it; format notes 3.2.
 */
#ifndef REPO_CONFIGOBJ_H
#define REPO_CONFIGOBJ_H

#include "core/base/str.h"

struct err;

struct cobj_opt {
	char *name;
	bool is_list, is_section;
	struct strvec v;                /* one item unless is_list */
	size_t line, nlines;
	size_t value_at;                /* offset of the value in its first line */
	char *comment;                  /* behind the value, from '#', or NULL */
};
struct cobj_sec {
	char *name;                     /* "" for what stands before the first header */
	char *raw;
	int depth;
	size_t parent, line;
	struct cobj_opt *v;
	size_t n, cap;
};
struct cobj {
	struct strvec lines;            /* with their line ends */
	struct cobj_sec *sec;           /* sec[0] is the top */
	size_t n, cap;
	char *renamed;                  /* a new name keeps its case until it is read again */
};

/* name is the file's, for messages about what is not the dialect's. */
int  cobj_parse(struct cobj *c, const char *text, size_t len, struct err *e);
void cobj_release(struct cobj *c);
const struct cobj_sec *cobj_section(const struct cobj *c, const char *name);
const struct cobj_opt *cobj_option(const struct cobj_sec *s, const char *name);
void cobj_text(const struct cobj *c, struct str *out);
/* Edits re-read the text they made. */
int  cobj_set(struct cobj *c, const char *section, const char *option, const char *value, struct err *e);
int  cobj_unset(struct cobj *c, const char *section, const char *option, struct err *e);
int  cobj_drop(struct cobj *c, const char *section, struct err *e);
int  cobj_rename(struct cobj *c, const char *section, const char *to, struct err *e);
/* No comment, no interpolation, no section in a section: the lines say nothing that the settings do not. */
bool cobj_is_plain(const struct cobj *c);
/* stored() gives the form in which a value is kept. */
typedef char *cobj_value_fn(const void *ctx, const char *section, const char *option, const char *value);
int  cobj_write(const struct cobj *c, cobj_value_fn *stored, const void *ctx, struct str *out, struct err *e);

#endif

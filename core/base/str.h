/*
 * str - growing byte string, list of strings, and small text helpers.
 *
 *  T1  buf[len] is always NUL once anything was added; an untouched str reads as "" through str_cstr().
 *  T2  Nothing here truncates silently: a str grows or the process ends.
 *
 * Ownership: str_take() gives the buffer to the caller and leaves an empty str. strvec owns its strings.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "core/base/compat.h"

struct str {
	char *buf;
	size_t len, cap;
};
#define STR_INIT { NULL, 0, 0 }
#define autostr __attribute__((cleanup(str_release)))

void str_release(struct str *s);
void str_reset(struct str *s);                          /* len 0, memory kept */
void str_reserve(struct str *s, size_t more);
void str_add(struct str *s, const void *p, size_t n);
void str_adds(struct str *s, const char *text);
void str_addc(struct str *s, char c);
void str_addn(struct str *s, char c, size_t n);
void str_addf(struct str *s, const char *fmt, ...) PRINTF(2, 3);
void str_setlen(struct str *s, size_t len);             /* only to shorten */
char *str_take(struct str *s);                          /* never NULL */
static inline const char *str_cstr(const struct str *s) { return s->buf ? s->buf : ""; }

struct strvec {
	char **v;                                       /* v[n] is NULL once n > 0 */
	size_t n, cap;
};
#define STRVEC_INIT { NULL, 0, 0 }
#define autostrvec __attribute__((cleanup(strvec_release)))

void strvec_release(struct strvec *v);
void strvec_reset(struct strvec *v);
void strvec_push(struct strvec *v, const char *s);
void strvec_pushf(struct strvec *v, const char *fmt, ...) PRINTF(2, 3);
void strvec_take(struct strvec *v, char *s);            /* takes ownership of s */
void strvec_sort(struct strvec *v);                     /* by bytes */
void strvec_uniq(struct strvec *v);                     /* of a sorted list */
bool strvec_has(const struct strvec *v, const char *s);
bool strvec_has_sorted(const struct strvec *v, const char *s);
void strvec_remove(struct strvec *v, size_t i);
void strvec_split(struct strvec *v, const char *s, char sep);
int  strvec_add_words(struct strvec *v, const char *s); /* as Python's shlex.split does; -1: a quote or '\\' does not end */
char *strvec_join(const struct strvec *v, const char *sep);

/* In an array sorted by a string member: the first element from 'lo' on that is not below 'key', else n. */
#define SORTED_FROM(v, lo, n, member, key) \
	sorted_from((v), (lo), (n), sizeof(*(v)), offsetof(__typeof__(*(v)), member), (key))
size_t sorted_from(const void *v, size_t lo, size_t n, size_t width, size_t offset, const char *key);

bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
char *str_trim_dup(const char *s);                      /* without blanks and line ends at both ends */
void str_lower(char **s);                               /* as Python's lower(), letter by letter; *s may move */
bool str_to_u64(const char *s, uint64_t *out);          /* decimal digits only, whole string */
bool str_to_i64(const char *s, int64_t *out);
bool str_is_utf8(const char *s, size_t n);
char *str_utf8_fault(const char *s, size_t n);          /* Python's words for the first bad byte, or NULL */
void str_add_shell(struct str *s, const char *word);    /* quoted as Python's shlex.quote does */
void str_add_human(struct str *s, uint64_t bytes);      /* 1.50 GiB; for people */
void str_add_safe(struct str *s, const char *text);     /* control bytes replaced; for terminals */
#define STR_LINE_MAX 8192       /* more than the longest path */
char *str_cut_lines(char *s);   /* for messages: longer lines lose their middle; takes s and gives it or another */

#endif

/*
 * show - outcomes several commands print alike.
 */
#ifndef CMD_SHOW_H
#define CMD_SHOW_H

#include "core/base/compat.h"

struct session;
struct strvec;
struct node;
struct checkout_result;
struct stage_status;
struct stage;
struct str;
struct err;

/* Root-relative paths, made relative to the user's directory, directories first, as checkout and pull list them. */
void show_sorted(struct session *s, const struct strvec *rel, struct strvec *out);
struct node *show_paths(struct session *s, const struct strvec *rel);
/* "M       path" and so on: the terminal library DVC prints these lines with expands its tab, on a pipe too. */
void show_changes(struct session *s, const struct checkout_result *r);
/* "1 file modified, 2 files added and 3 files deleted", or "No changes." */
void show_summary(const struct checkout_result *r);
/* Appends "2 files added" and the like, joined as DVC joins them; 'parts' counts what went before. */
void show_count(struct strvec *parts, uint64_t n, const char *what);
char *show_joined(const struct strvec *parts);          /* "a, b and c" */
/* DVC's shape of one stage's status: a list of maps and texts. */
struct node *show_status(const struct stage_status *st);
/* "what - cause": how DVC's commands report a failure they handle. */
void show_failed(struct err *e, const char *what);
/* The same of 'fetch' and 'pull', which handle a refused login, too. */
void show_download_failed(struct err *e, const char *what);
/* DVC's words in front of a settings error that its main() reports. */
void show_config_error(struct err *e);
/* What DVC says of a failure its code did not foresee. Exit 255. */
const char *show_past_config(const char *msg);  /* behind other words a configuration error is not called so */
void show_unexpected(struct err *e);
void show_outage(struct err *e);        /* the same for a server that does not answer, or refuses the login */
/* Hooks of a run: what its commands print comes in order with what we print. */
void show_run_flush(void *data);
void show_run_output(const void *p, size_t n, void *data);
/* 1.00k as DVC prints sizes */
void show_size(struct str *out, double bytes);

#endif

/*
 * ui - the only writer to stdout and stderr.
 *
 *  U1  stdout carries results, stderr talk; both are checked at exit (a full disk or closed pipe is an error).
 *  U2  Control bytes in names are replaced on a terminal, and in talk always: logs are read on terminals. Progress
 *      shows on a foreground terminal only, a heartbeat line every few seconds on a pipe (stderr) once work lasts.
 */
#ifndef CMD_UI_H
#define CMD_UI_H

#include "core/base/compat.h"

struct err;
struct node;

void ui_init(bool quiet, int verbose);
bool ui_is_quiet(void);
void ui_out(const char *fmt, ...) PRINTF(1, 2);         /* a result, no newline added; silenced by -q as in DVC */
void ui_force(const char *fmt, ...) PRINTF(1, 2);       /* the same, also with -q (version, rows of a table) */
void ui_note(const char *fmt, ...) PRINTF(1, 2);        /* a plain line on stderr, also with -q (DVC's ui.error_write) */
void ui_out_bytes(const void *p, size_t n);
void ui_flush(void);             /* of stdout; ui_finish() tells a failure */
void ui_info(const char *fmt, ...) PRINTF(1, 2);        /* a line on stdout; silenced by -q */
void ui_warn(const char *fmt, ...) PRINTF(1, 2);        /* "WARNING: ..." on stderr */
void ui_error(const char *fmt, ...) PRINTF(1, 2);       /* "ERROR: ..." on stderr */
void ui_err(const struct err *e);                       /* the same with its hint */
void ui_json(const struct node *n);                     /* one line as DVC prints it; indented on a terminal */
bool ui_confirm(const char *question);                  /* asks on stdout; false at the end of stdin */
bool ui_confirm_tty(const char *question);              /* asks on a terminal only; elsewhere the answer is no */
bool ui_is_tty(void);                                   /* stdout */
size_t ui_columns(void);                                /* $COLUMNS, the terminal's, or 80 */
/* Rows of cells, columns padded by two blanks as DVC's plain tables, which -q does not silence; cells == NULL ends a row
 * list. */
void ui_table(const char *const *head, size_t cols, char ***rows, size_t n, bool markdown);
void ui_progress_start(void);
void ui_progress_stop(void);
int  ui_finish(struct err *e);                          /* flushes and checks stdout */

#endif

/*
 * err - an error as a value: code, message with its context, and what to type next.
 *
 *  E1  A function that can fail returns 0 or -1 and takes 'struct err *e' last; on success *e is untouched.
 *  E2  The message is complete: outermost act first, cause last, joined with ": ". Lower case, no full stop.
 *  E3  The code is set where the error is noticed and survives every err_in().
 *  E4  No secret enters a message.
 *  E5  A report (of a YAML file that is wrong) stands alone: no context is put in front, and it shows without "ERROR: ".
 *  E6  No line of a message is longer than 8 KiB: what is repeated from outside is cut in its middle. Whoever shows a
 *      message escapes control characters (cmd/ui).
 *
 * Ownership: a struct err owns its texts; err_release() frees them and leaves ERR_INIT. It may be set again after.
 * Threads: one struct err belongs to one thread at a time.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "core/base/compat.h"

enum err_code {
	ERR_NONE = 0,
	ERR_FAIL,               /* anything without a class of its own */
	ERR_USAGE,              /* bad command line: exit 254 */
	ERR_CONFIG,             /* bad configuration: exit 251 */
	ERR_NOREPO,             /* not inside a repository: exit 253 */
	ERR_INTR,               /* interrupted: exit 252 */
	ERR_NOTFOUND,           /* a file, object or key is absent */
	ERR_EXISTS,
	ERR_PERM,               /* the system says no */
	ERR_NOSPACE,            /* disk or quota full */
	ERR_TEMP,               /* may pass: a retry is sensible */
	ERR_AUTH,               /* credentials missing or refused: never retried */
	ERR_CORRUPT,            /* bytes do not match their name */
	ERR_CHANGED,            /* an input changed while it was read */
	ERR_UNSAFE,             /* a path or name from outside was refused */
	ERR_LOCKED,
	ERR_PARSE,              /* a file's text cannot be read: message names file, line, cause */
	ERR_UNSUPPORTED,
};

struct err {
	enum err_code code;
	char *msg;
	char *hint;             /* what to type next, or NULL */
	int exit_status;        /* 0: from the code's table; else wins */
	bool report;            /* E5 */
	char *plain;            /* what a report says behind other words (err_wrap), or the message without its cause, or NULL */
};
#define ERR_INIT { ERR_NONE, NULL, NULL, 0, false, NULL }

int  err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF(3, 4);  /* -1 */
int  err_report(struct err *e, const char *text, const char *plain);     /* ERR_PARSE, E5; -1 */
int  err_wrap(struct err *e, const char *fmt, ...) PRINTF(2, 3); /* err_in(); of a report only the plain words stay */
int  err_sys(struct err *e, const char *fmt, ...) PRINTF(2, 3);  /* code and cause from errno; -1 */
int  err_in(struct err *e, const char *fmt, ...) PRINTF(2, 3);   /* puts context in front; -1 */
void err_hint(struct err *e, const char *fmt, ...) PRINTF(2, 3);
void err_move(struct err *to, struct err *from);                 /* 'to' is released first */
void err_copy(struct err *to, const struct err *from);
void err_release(struct err *e);
enum err_code err_code_of_errno(int errnum);
int  err_exit_status(const struct err *e);                       /* the one table of exit statuses */
const char *err_code_name(enum err_code code);

#define autoerr __attribute__((cleanup(err_release)))

#endif

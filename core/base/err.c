#include "core/base/err.h"

#include "core/base/own.h"
#include "core/base/str.h"

#include <errno.h>
#include <stdarg.h>

static const struct { const char *name; int status; } codes[] = {
	[ERR_NONE]        = { "none", 0 },
	[ERR_FAIL]        = { "failed", 255 },
	[ERR_USAGE]       = { "usage", 254 },
	[ERR_CONFIG]      = { "config", 251 },
	[ERR_NOREPO]      = { "no-repo", 253 },
	[ERR_INTR]        = { "interrupted", 252 },
	[ERR_NOTFOUND]    = { "not-found", 255 },
	[ERR_EXISTS]      = { "exists", 255 },
	[ERR_PERM]        = { "permission", 255 },
	[ERR_NOSPACE]     = { "no-space", 255 },
	[ERR_TEMP]        = { "temporary", 255 },
	[ERR_AUTH]        = { "auth", 255 },
	[ERR_CORRUPT]     = { "corrupt", 255 },
	[ERR_CHANGED]     = { "changed", 255 },
	[ERR_UNSAFE]      = { "unsafe", 255 },
	[ERR_LOCKED]      = { "locked", 255 },
	[ERR_PARSE]       = { "parse", 255 },
	[ERR_UNSUPPORTED] = { "unsupported", 255 },
};

static char *vformat(const char *fmt, va_list ap)
{
	return str_cut_lines(xvasprintf(fmt, ap));
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;
	char *msg;

	va_start(ap, fmt);
	msg = vformat(fmt, ap);
	va_end(ap);
	err_release(e);
	e->code = code;
	e->msg = msg;
	return -1;
}

int err_report(struct err *e, const char *text, const char *plain)
{
	err_set(e, ERR_PARSE, "%s", text);
	e->report = true;
	e->plain = xstrdup(plain);
	return -1;
}

enum err_code err_code_of_errno(int errnum)
{
	switch (errnum) {
	case ENOENT: case ENOTDIR: return ERR_NOTFOUND;
	case EEXIST: return ERR_EXISTS;
	case EACCES: case EPERM: case EROFS: return ERR_PERM;
	case ENOSPC: case EDQUOT: return ERR_NOSPACE;
	case EINTR: return ERR_INTR;
	case ELOOP: return ERR_UNSAFE;
	case ETIMEDOUT: case ECONNRESET: case EAGAIN: case EPIPE: return ERR_TEMP;
	default: return ERR_FAIL;
	}
}

int err_sys(struct err *e, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	char *what;

	va_start(ap, fmt);
	what = vformat(fmt, ap);
	va_end(ap);
	err_set(e, err_code_of_errno(saved), "%s: %s", what, strerror(saved));
	free(what);
	errno = saved;
	return -1;
}

int err_in(struct err *e, const char *fmt, ...)
{
	va_list ap;
	char *where, *joined;

	if (e->report)
		return -1;
	va_start(ap, fmt);
	where = vformat(fmt, ap);
	va_end(ap);
	joined = e->msg ? xasprintf("%s: %s", where, e->msg) : xstrdup(where);
	free(where);
	free(e->msg);
	e->msg = joined;
	if (e->code == ERR_NONE)
		e->code = ERR_FAIL;
	return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	va_list ap;
	char *where;

	va_start(ap, fmt);
	where = vformat(fmt, ap);
	va_end(ap);
	if (e->report && e->plain) {
		free(e->msg);
		e->msg = e->plain;
		e->plain = NULL;
	}
	e->report = false;
	err_in(e, "%s", where);
	free(where);
	return -1;
}

void err_hint(struct err *e, const char *fmt, ...)
{
	va_list ap;

	free(e->hint);
	va_start(ap, fmt);
	e->hint = vformat(fmt, ap);
	va_end(ap);
}

void err_move(struct err *to, struct err *from)
{
	if (to == from)
		return;
	err_release(to);
	*to = *from;
	*from = (struct err)ERR_INIT;
}

void err_copy(struct err *to, const struct err *from)
{
	err_release(to);
	to->code = from->code;
	to->msg = xstrdup(from->msg);
	to->hint = xstrdup(from->hint);
	to->exit_status = from->exit_status;
	to->report = from->report;
	to->plain = xstrdup(from->plain);
}

void err_release(struct err *e)
{
	free(e->msg);
	free(e->hint);
	free(e->plain);
	*e = (struct err)ERR_INIT;
}

int err_exit_status(const struct err *e)
{
	return e->exit_status ? e->exit_status : codes[e->code].status;
}

const char *err_code_name(enum err_code code)
{
	return codes[code].name;
}

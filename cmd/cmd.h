/*
 * cmd - the table of commands and what each is given.
 *
 *  A command is: one file cmd/<name>.c, one 'const struct cmd cmd_<name>', one line in cmd/commands.def. Its argument
 *  struct is described by const option tables (cmd/opts.h); parsing, -h, completion and the synopsis test come from them.
 *
 *  D1  main opens what 'needs' says, parses, runs, releases, writes the git reminder, checks stdout, and maps the error to
 *      the exit status. A command returns its exit status, or -1 with *e set.
 *  D2  With FAIL_IS_1 an error without a class of its own exits 1 (DVC's handled failure) instead of 255.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "cmd/opts.h"
#include "cmd/ui.h"
#include "core/base/err.h"
#include "core/base/own.h"
#include "core/base/str.h"

struct repo;
struct project;
struct repolock;

enum {
	NEED_REPO = 1,          /* fails with ERR_NOREPO outside */
	NEED_LOCK = 2,          /* holds the repository lock for the whole run */
	WANT_REPO = 4,          /* s->repo when there is one */
	FAIL_IS_1 = 8,
	NO_SCM_NOTE = 16,       /* never prints the git reminder */
	NO_SCM_STAGE = 32,      /* nor stages anything with core.autostage */
	BARE_REPO = 64,         /* with WANT_REPO: outside, the git work tree or the current directory stands for one */
};

struct session {
	const struct cmd *cmd;
	struct repo *repo;              /* NULL without NEED_REPO */
	struct project *project;        /* NULL without repo */
	struct repolock *lock;
	bool quiet;
	int verbose;
	const char *argv0;
};

/* The git reminder, or staging, now; main does it when the command has returned. */
/* Opens what s->cmd needs, runs it, tells git. */
int session_run(struct session *s, void *args, struct err *e);
void session_close(struct session *s);
int session_tell_git(struct session *s, struct err *e);

struct cmd {
	const char *name, *alias;       /* alias or NULL */
	int (*run)(struct session *s, void *args, struct err *e);
	unsigned needs;
	size_t args_size;
	const struct opt *opts;         /* ends with OPT_END; NULL: none */
	const struct pos *pos;          /* ends with POS_END; NULL: none */
	const char *(*check)(const char *value);        /* what is wrong with the first positional, NULL when nothing is */
	const char *summary;            /* one line for lists */
	const char *help;               /* paragraph for -h */
	const struct cmd *const *subs;  /* NULL-terminated; then run may be NULL */
	bool hidden;
};

extern const struct cmd *const all_commands[];  /* NULL-terminated, from commands.def */

#endif

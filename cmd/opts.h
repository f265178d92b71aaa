/*
 * opts - options and positionals from const tables; behaves like Python's argparse, which DVC uses.
 *
 *  O1  Long options may be abbreviated when unambiguous; '--opt=value' and '-j4' work; '--' ends options.
 *  O2  -h/--help, -q/--quiet, -v/--verbose exist for every command and need no row.
 *  O3  A bad command line is ERR_USAGE with argparse's words; main prints help on stdout and exits 254.
 *
 * Values are borrowed from argv; lists are struct strvec inside the args struct and released by main.
 */
#ifndef CMD_OPTS_H
#define CMD_OPTS_H

#include "core/base/str.h"

struct err;
struct cmd;

enum opt_kind {
	OPT_K_END, OPT_K_FLAG /* bool true */, OPT_K_UNFLAG /* bool false; the args struct is zeroed: use an inverted name */,
	OPT_K_STR /* const char * */, OPT_K_INT /* int64_t */, OPT_K_LIST /* strvec, repeatable, one value each */,
	OPT_K_STRS /* strvec, nargs '*' or '+' after one option */, OPT_K_OPTSTR /* const char *, value optional: 'fallback' */,
	OPT_K_CHOICE /* const char *, must be one of 'choices' (comma separated) */, OPT_K_COUNT /* int */,
};
struct opt {
	char c;                         /* 0: none */
	const char *name;               /* "dry-run" */
	enum opt_kind kind;
	const char *metavar;
	size_t offset;
	const char *help;               /* NULL: hidden */
	const char *choices;            /* OPT_K_CHOICE, and OPTSTR when limited */
	const char *fallback;           /* OPT_K_OPTSTR without a value */
	const char *group;              /* mutually exclusive with other options of the same group name */
	const char *name2;              /* second long spelling or NULL */
	bool required;
};
#define OPT_ROW(c, name, kind, mv, type, field, help, choices, group) \
	{ c, name, kind, mv, offsetof(struct type, field), help, choices, NULL, group, NULL, false }
#define OPT_FLAG(c, name, type, field, help) OPT_ROW(c, name, OPT_K_FLAG, NULL, type, field, help, NULL, NULL)
#define OPT_FLAG_X(c, name, type, field, group, help) OPT_ROW(c, name, OPT_K_FLAG, NULL, type, field, help, NULL, group)
#define OPT_STR(c, name, mv, type, field, help) OPT_ROW(c, name, OPT_K_STR, mv, type, field, help, NULL, NULL)
#define OPT_INT(c, name, mv, type, field, help) OPT_ROW(c, name, OPT_K_INT, mv, type, field, help, NULL, NULL)
#define OPT_LIST(c, name, mv, type, field, help) OPT_ROW(c, name, OPT_K_LIST, mv, type, field, help, NULL, NULL)
#define OPT_STRS(c, name, mv, type, field, help) OPT_ROW(c, name, OPT_K_STRS, mv, type, field, help, NULL, NULL)
#define OPT_CHOICE(c, name, choices, type, field, help) \
	OPT_ROW(c, name, OPT_K_CHOICE, NULL, type, field, help, choices, NULL)
#define OPT_END { 0, NULL, OPT_K_END, NULL, 0, NULL, NULL, NULL, NULL, NULL, false }

/* nargs: '1' one, '?' optional, '*' any, '+' at least one, 'R' all the rest verbatim (argparse.REMAINDER). */
struct pos { const char *name; char nargs; size_t offset; const char *help; };
#define POS_END { NULL, 0, 0, NULL }

struct parsed {
	const struct cmd *cmd;
	void *args, *globals;           /* of the command; of the root table */
	const char *prog;               /* "git data" unless set after opts_parse */
	bool help, quiet;
	int verbose;
	struct strvec path;             /* names of the commands entered */
};
/* argv without the program's name. On ERR_USAGE out->cmd is the nearest command (for its help). */
int  opts_parse(struct parsed *out, const struct cmd *root, int argc, char **argv, struct err *e);
void opts_release(struct parsed *p);
void opts_usage(struct str *out, const struct parsed *p);       /* "usage: git data push [-h] ..." */
void opts_help(struct str *out, const struct parsed *p);        /* whole -h text */

#endif

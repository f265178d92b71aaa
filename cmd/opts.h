/*
 * opts - options and positionals from const tables; behaves like Python's argparse, which DVC uses.
 *
 *  O1  Long options may be abbreviated when unambiguous; '--opt=value' and '-j4' work; '--' ends options. A positional
 *      takes what stands together: argparse assigns each run of words as it meets it, and so do we.
 *  O2  -h/--help, -q/--quiet, -v/--verbose exist for every command and need no row, unless a table places them.
 *  O3  A bad command line is ERR_USAGE with argparse's words; main prints help on stdout and exits 254.
 *  O4  An option that DVC does not have ('own') is taken by its full name only: abbreviations mean what they mean to DVC.
 *  O5  DVC's hidden switches for debugging DVC itself are taken everywhere and do nothing.
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
	OPT_K_STR /* const char *; an empty text is none, as to Python */, OPT_K_TEXT /* const char * as typed */,
	OPT_K_INT /* int64_t */, OPT_K_LIST /* strvec, repeatable, one value each */,
	OPT_K_STRS /* strvec, nargs '*' or '+' after one option */, OPT_K_OPTSTR /* const char *, value optional: 'fallback' */,
	OPT_K_NUMBER /* const char *, for opts_int() */,
	OPT_K_CHOICE /* const char *, must be one of 'choices' (comma separated) */,
	OPT_K_ONOFF /* bool: 'name' sets it, 'name2' clears it */,
	OPT_K_PAIRS /* strvec of "name=value", nargs '*', adds up */,
	/* From here on without a field in the args struct. */
	OPT_K_IGNORED, OPT_K_IGNORED_VALUE, OPT_K_IGNORED_INT, OPT_K_HELP, OPT_K_VERSION, OPT_K_QUIET, OPT_K_VERBOSE,
	OPT_K_COMMON /* stands for [-q | -v] and what goes with them */,
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
	bool own;                       /* O4 */
};
#define OPT_ROW(c, name, kind, mv, type, field, help, choices, group) \
	{ c, name, kind, mv, offsetof(struct type, field), help, choices, NULL, group, NULL, false, false }
#define OPT_OWN(c, name, kind, mv, type, field, help) \
	{ c, name, kind, mv, offsetof(struct type, field), help, NULL, NULL, NULL, NULL, false, true }
#define OPT_OWN_FLAG(c, name, type, field, help) OPT_OWN(c, name, OPT_K_FLAG, NULL, type, field, help)
#define OPT_FLAG(c, name, type, field, help) OPT_ROW(c, name, OPT_K_FLAG, NULL, type, field, help, NULL, NULL)
#define OPT_FLAG_X(c, name, type, field, group, help) OPT_ROW(c, name, OPT_K_FLAG, NULL, type, field, help, NULL, group)
#define OPT_STR(c, name, mv, type, field, help) OPT_ROW(c, name, OPT_K_STR, mv, type, field, help, NULL, NULL)
#define OPT_OPTSTR(c, name, mv, type, field, help) OPT_ROW(c, name, OPT_K_OPTSTR, mv, type, field, help, NULL, NULL)
#define OPT_INT(c, name, mv, type, field, help) OPT_ROW(c, name, OPT_K_INT, mv, type, field, help, NULL, NULL)
#define OPT_LIST(c, name, mv, type, field, help) OPT_ROW(c, name, OPT_K_LIST, mv, type, field, help, NULL, NULL)
#define OPT_STRS(c, name, mv, type, field, help) OPT_ROW(c, name, OPT_K_STRS, mv, type, field, help, NULL, NULL)
#define OPT_PAIRS(c, name, mv, type, field, help) OPT_ROW(c, name, OPT_K_PAIRS, mv, type, field, help, NULL, NULL)
#define OPT_CHOICE(c, name, choices, type, field, help) \
	OPT_ROW(c, name, OPT_K_CHOICE, NULL, type, field, help, choices, NULL)
#define OPT_PLAIN(c, name, kind, help) { c, name, kind, NULL, 0, help, NULL, NULL, NULL, NULL, false, false }
#define OPT_COMMON OPT_PLAIN(0, NULL, OPT_K_COMMON, NULL)
#define OPT_END OPT_PLAIN(0, NULL, OPT_K_END, NULL)

/* nargs: '1' one, '?' optional, '*' any, '+' at least one, 'R' all the rest verbatim (argparse.REMAINDER). */
struct pos { const char *name; char nargs; size_t offset; const char *help; };
#define POS_END { NULL, 0, 0, NULL }

struct parsed {
	const struct cmd *cmd;
	void *args, *globals;           /* of the command; of the root table */
	const char *prog;               /* "git data" unless set after opts_parse */
	bool help, version, quiet;
	int verbose;
	struct strvec path;             /* names of the commands entered */
};
/* argv without the program's name. On ERR_USAGE out->cmd is the nearest command (for its help). */
int  opts_parse(struct parsed *out, const struct cmd *root, int argc, char **argv, struct err *e);
void opts_release(struct parsed *p);
/* argparse's layout for a terminal of so many columns. */
void opts_usage(struct str *out, const struct parsed *p, size_t columns);       /* "usage: git data push [-h] ..." */
void opts_help(struct str *out, const struct parsed *p, size_t columns);        /* whole -h text */

/* The rows of a command in argparse's order, those that need no row in the table among them. */
struct opt_rows { const struct opt *v[96]; size_t n; };
void opts_rows(struct opt_rows *out, const struct cmd *c);
size_t opts_names(const struct opt *o, char names[3][64]);      /* "-j", "--jobs": how many */
bool opts_takes_value(const struct opt *o);
/* int() of Python: blanks around, a sign, single underscores between digits; what no counter can hold is the largest. */
bool opts_int(const char *text, int64_t *out);

#endif

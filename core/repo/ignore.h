/*
 * ignore - .dvcignore and .gitignore rules.
 *
 *  G1  The matcher is gitignore's; the last matching pattern wins; nothing below an ignored directory comes back.
 *  G2  .dvcignore lines are stripped of blanks at both ends (DVC's rule); .gitignore lines follow git's own.
 *  G3  Files are read when their directory is first asked about.
 *  G4  Matching costs at most path length times pattern length: no pattern can make it explode.
 *  G5  Where pathspec and git differ, .dvcignore follows pathspec: "!foo" also brings back what lies below foo.
 *
 * Threads: a struct ignore remembers directories it was asked about; one thread at a time.
 */
#ifndef REPO_IGNORE_H
#define REPO_IGNORE_H

#include "core/base/str.h"

struct err;
struct ignore;

/* A compiled list of patterns, on its own (also for tests). */
enum ignore_kind { IGNORE_DVC, IGNORE_GIT };     /* pathspec's rules as DVC applies them, or git's own */
struct ignore_list;
struct ignore_list *ignore_list_new(enum ignore_kind kind);
void ignore_list_free(struct ignore_list *l);
void ignore_list_add(struct ignore_list *l, const char *pattern, const char *file, int line);
/* 1 ignored, 0 re-included by '!', -1 no pattern matched. rel is relative to the list's directory. */
int  ignore_list_match(const struct ignore_list *l, const char *rel, bool is_dir);

/* DVC stops at a pattern that pathspec cannot read: its words, exit status 255. This looks at the root's .dvcignore. */
int  ignore_check(const char *root, struct err *e);
struct ignore *ignore_open(const char *root, bool with_builtin);       /* .dvcignore of a repository */
void ignore_close(struct ignore *g);
/* rel is root-relative. Looks at every parent too. */
bool ignore_is(struct ignore *g, const char *rel, bool is_dir);
/* The same of an output: one that is a repository itself is there for DVC, though nothing in it is. */
bool ignore_hides_out(struct ignore *g, const char *rel, bool is_dir);
/* After questions whose answers are recorded or reported: -1 when a .dvcignore that had a say could not be read, or holds
 * such a pattern. */
int  ignore_unread(const struct ignore *g, struct err *e);
/* For check-ignore: the pattern that decides, as DVC reports it. Built-in rules have no file; a nested repository has
 * line -1. Returns 0 or 1; texts are borrowed until the next question. */
struct ignore_hit { const char *file; int line; const char *pattern; bool negated; };
size_t ignore_hits(struct ignore *g, const char *rel, bool is_dir, struct ignore_hit *out);
/* The same rules over files that are not in the work tree. read gives false when 'rel' is absent. */
struct ignore_source {
	bool (*read)(void *data, const char *rel, struct str *out);
	bool (*has_dir)(void *data, const char *rel);
	void *data;
};
struct ignore *ignore_open_source(const struct ignore_source *src);
/* A child directory that is a repository of its own (holds .dvc) counts as ignored. */

/* git's: .gitignore files of the work tree, .git/info/exclude, core.excludesFile. */
struct ignore *ignore_open_git(const char *scm_root, const char *git_dir);

char *gitignore_entry(const char *name);        /* "/name" with what git would take for a pattern escaped */
/* Output entries in .gitignore (format notes, 11). abs is the output; *file gets the .gitignore's absolute path when it has
 * the entry, respectively still exists. */
int  gitignore_add(const char *abs, const char *root, char **file, struct err *e);
int  gitignore_remove(const char *abs, const char *root, char **file, struct err *e);
/* The file that holds the entry: a link inside the git repository is followed, one that leads out of it refused. */
char *gitignore_file(const char *abs, const char *root, struct err *e);

#endif

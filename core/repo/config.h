/*
 * config - DVC's settings in four levels, and our own beside them.
 *
 *  F1  The files are ConfigObj's dialect, read by a small strict parser; unknown sections and options are refused with
 *      DVC's words (ERR_CONFIG), values are checked by DVC's schema.
 *  F2  A file with comments or interpolation keeps them and its layout: a write changes only the lines it must. Any
 *      other file is written as DVC writes it.
 *  F3  Settings only we have live in git-data.conf files read with iniparser; config_own() serves them.
 *  F4  Section and option names fold to lower case; remote names too.
 *  F5  Between config_lock() and config_close() no other git-data writes these levels: of two writers at once both
 *      settings stay.
 *
 * Source: format notes, section 3.
 */
#ifndef REPO_CONFIG_H
#define REPO_CONFIG_H

#include "core/base/str.h"

struct err;
struct map;
struct config;

enum config_level { CONFIG_SYSTEM, CONFIG_GLOBAL, CONFIG_REPO, CONFIG_LOCAL, CONFIG_LEVELS, CONFIG_MERGED = CONFIG_LEVELS };

int  config_open(struct config **out, const char *dvc_dir, struct err *e);      /* dvc_dir NULL: system and global only */
void config_close(struct config *c);
/* section "core", "cache", or 'remote "name"'. NULL when unset. Borrowed until the next change. */
const char *config_get(const struct config *c, const char *section, const char *option);
const char *config_get_at(const struct config *c, enum config_level l, const char *section, const char *option);
bool config_bool(const struct config *c, const char *section, const char *option, bool otherwise);
int64_t config_int(const struct config *c, const char *section, const char *option, int64_t otherwise);
void config_list(const struct config *c, const char *section, const char *option, struct strvec *out);  /* comma lists */
/* A path option resolved as DVC does: relative to the file's directory it came from, ~ expanded; URLs unchanged. */
char *config_path(const struct config *c, const char *section, const char *option);
void config_sections(const struct config *c, enum config_level l, struct strvec *out);  /* in file order */
void config_options(const struct config *c, enum config_level l, const char *section, struct strvec *out);
const char *config_file(const struct config *c, enum config_level l);   /* NULL: there is none outside a repository */
/* A value as it was written: lists stay lists. NULL when unset. Levels below 'upto' only. */
const struct strvec *config_value_at(const struct config *c, enum config_level l, const char *section, const char *option,
				     bool *is_list);
const struct strvec *config_value_below(const struct config *c, int upto, const char *section, const char *option,
					bool *is_list);
void config_sections_below(const struct config *c, int upto, struct strvec *out);
void config_options_below(const struct config *c, int upto, const char *section, struct strvec *out);
bool config_has_section_at(const struct config *c, enum config_level l, const char *section);
/* Resolves a value of a path option as config_path() does. */
char *config_resolve(const struct config *c, enum config_level l, const char *value);
/* Before a change: waits for other writers of this level and those above it, and reads everything anew. */
int  config_lock(struct config *c, enum config_level l, struct err *e);
/* Edits one level in memory, checks, writes by replace. option NULL with config_unset: the whole section. */
int  config_set(struct config *c, enum config_level l, const char *section, const char *option, const char *value, struct err *e);
int  config_unset(struct config *c, enum config_level l, const char *section, const char *option, struct err *e);
int  config_rename(struct config *c, enum config_level l, const char *section, const char *new_section, struct err *e);
int  config_save(struct config *c, enum config_level l, struct err *e);
/* One remote's options, with DVC's words for those that were given on a command line. */
int  config_check_remote(struct config *c, const char *section, struct err *e);
/* The same for options that come with a URL; 'c' knows what "remote://name" stands for, and may be NULL. */
int  config_check_options(const struct config *c, const char *url, const struct map *options, struct err *e);
/* Where a directory is opened as a source DVC looks its default remote up by its plain name. */
int  config_need_default(const struct config *c, struct err *e);
int  config_validate(struct config *c, struct err *e);
/* Remotes of the merged view. */
void config_remotes(const struct config *c, struct strvec *names);
bool config_has_remote(const struct config *c, const char *name);
/* Ours: "core.fsync" and the like; see git-data-config(5). */
const char *config_own(const struct config *c, const char *key);
const char *config_own_at(const struct config *c, enum config_level l, const char *key);
/* personal: what a repository sets does not count, since cloning it would be enough to run a program. */
struct own_key { const char *key, *values, *fallback, *help; bool personal; };
const struct own_key *config_own_key(const char *key);  /* NULL: not one of ours */
const struct own_key *config_own_keys(void);            /* all, ends with key NULL */
const char *config_own_file(const struct config *c, enum config_level l);       /* NULL: none at that level */
/* value NULL: unset. Checked against the table; writes by replace, comments survive. */
int  config_own_set(struct config *c, enum config_level l, const char *key, const char *value, struct err *e);

#endif

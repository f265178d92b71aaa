/*
 * command - a stage's cmd as lines, and a line as the arguments of the user's shell, with DVC's environment.
 */
#ifndef PIPELINE_COMMAND_H
#define PIPELINE_COMMAND_H

#include "core/base/str.h"

struct node;
struct err;

/* A template may have made something of it that is no text: refused in DVC's words. */
int command_check(const struct node *cmd, struct err *e);
/* A list gives its items, a text its lines (blank ones too); script: the whole text. */
void command_lines(struct strvec *out, const struct node *cmd, bool script);
struct command_env {
	char **v;
	size_t n;
	char *stage;
	bool asked, fish_old;   /* the shell is a fish without --no-config */
};
void command_env_open(struct command_env *env, const char *root);
void command_env_stage(struct command_env *env, const char *addressing);
void command_env_close(struct command_env *env);

/* Before the commands of a stage: warns of a shell that cannot be kept from its start-up files. */
void command_check_shell(struct command_env *env);
/* $SHELL or /bin/sh, told to read no start-up files. script: stops at the first error. */
void command_argv(struct strvec *out, const struct command_env *env, const char *line, bool script);

#endif

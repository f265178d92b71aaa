#include "cmd/cmd.h"

struct completion_args { bool list; const char *shell; };

/* --- bash ---------------------------------------------------------------------------------------------------------- */

static void add_options(struct str *s, const struct opt *o)
{
	str_adds(s, "-h --help -q --quiet -v --verbose");
	for (; o && o->kind != OPT_K_END; o++) {
		if (!o->help || o->kind >= OPT_K_HELP)
			continue;
		if (o->c)
			str_addf(s, " -%c", o->c);
		if (o->name)
			str_addf(s, " --%s", o->name);
		if (o->name2)
			str_addf(s, " --%s", o->name2);
	}
}

static void add_names(struct str *s, const struct cmd *const *subs)
{
	for (; subs && *subs; subs++) {
		if ((*subs)->hidden)
			continue;
		str_addf(s, " %s", (*subs)->name);
		if ((*subs)->alias)
			str_addf(s, " %s", (*subs)->alias);
	}
}

/* Options that want a value: the word after them is a file name unless choices are known. */
static void bash_values(struct str *s, const char *path, const struct cmd *c)
{
	for (const struct opt *o = c->opts; o && o->kind != OPT_K_END; o++) {
		autostr struct str words = STR_INIT;

		if (!o->help || !o->choices || !o->name)
			continue;
		str_adds(&words, o->choices);
		for (char *p = words.buf; *p; p++)
			if (*p == ',')
				*p = ' ';
		str_addf(s, "\t\t'%s --%s') words='%s' ;;\n", path, o->name, words.buf);
		if (o->c)
			str_addf(s, "\t\t'%s -%c') words='%s' ;;\n", path, o->c, words.buf);
	}
}

static void bash_command(struct str *opts, struct str *values, struct str *subs, const char *path, const struct cmd *c)
{
	autostr struct str line = STR_INIT, names = STR_INIT;

	add_options(&line, c->opts);
	str_addf(opts, "\t\t'%s') opts='%s' ;;\n", path, line.buf);
	bash_values(values, path, c);
	if (!c->subs)
		return;
	add_names(&names, c->subs);
	str_addf(subs, "\t\t'%s') subs='%s' ;;\n", path, names.len ? names.buf + 1 : "");
	for (const struct cmd *const *s = c->subs; *s; s++) {
		autofree char *below = xasprintf("%s %s", path, (*s)->name);

		if (!(*s)->hidden)
			bash_command(opts, values, subs, below, *s);
	}
}

static void out_bash(void)
{
	autostr struct str opts = STR_INIT, values = STR_INIT, subs = STR_INIT, top = STR_INIT;

	add_names(&top, all_commands);
	for (const struct cmd *const *c = all_commands; *c; c++) {
		if ((*c)->hidden)
			continue;
		bash_command(&opts, &values, &subs, (*c)->name, *c);
		if ((*c)->alias)
			bash_command(&opts, &values, &subs, (*c)->alias, *c);
	}
	ui_force("# bash completion for git-data; 'git data' completes through git's own completion\n"
		 "_git_data_words ()\n{\n"
		 "\tlocal cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
		 "\tlocal i first=$1 path='' opts='' subs='%s' words=''\n"
		 "\tfor ((i = first; i < COMP_CWORD; i++)); do\n"
		 "\t\tcase \" $subs \" in\n"
		 "\t\t*\" ${COMP_WORDS[i]} \"*) path=\"${path:+$path }${COMP_WORDS[i]}\"; subs='' ;;\n"
		 "\t\t*) continue ;;\n"
		 "\t\tesac\n"
		 "\t\tcase \"$path\" in\n%s\t\tesac\n"
		 "\tdone\n"
		 "\tcase \"$path\" in\n\t\t'') opts='-h --help -V --version --cd --wait-for-lock' ;;\n%s\tesac\n"
		 "\tcase \"$path $prev\" in\n%s\tesac\n"
		 "\tif [ -n \"$words\" ]; then\n\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
		 "\telif [ \"${cur#-}\" != \"$cur\" ]; then\n\t\tCOMPREPLY=($(compgen -W \"$opts\" -- \"$cur\"))\n"
		 "\telif [ -n \"$subs\" ]; then\n\t\tCOMPREPLY=($(compgen -W \"$subs\" -- \"$cur\"))\n"
		 "\telse\n\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n\t\tcompopt -o filenames 2>/dev/null\n\tfi\n}\n"
		 "_git_data_alone () { _git_data_words 1; }\n"
		 "_git_data () { _git_data_words 2; }\n"
		 "complete -F _git_data_alone git-data dvc\n", top.buf + 1, subs.len ? subs.buf : "", opts.buf,
		 values.len ? values.buf : "");
}

/* --- zsh ----------------------------------------------------------------------------------------------------------- */

/* Text inside '...[...]': quotes and brackets must not end it. */
static void add_zsh_text(struct str *s, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			str_adds(s, "'\\''");
		else if (strchr("[]:\\", *text))
			str_addf(s, "\\%c", *text);
		else
			str_addc(s, *text == '\n' ? ' ' : *text);
	}
}

static void zsh_option(struct str *s, const char *dash, const char *name, const struct opt *o)
{
	bool value = opts_takes_value(o) && o->kind != OPT_K_OPTSTR;

	str_addf(s, " \\\n\t\t'%s%s[", dash, name);
	add_zsh_text(s, o->help);
	str_addc(s, ']');
	if (value && o->choices) {
		str_addf(s, ":%s:(", o->name);
		for (const char *p = o->choices; *p; p++)
			str_addc(s, *p == ',' ? ' ' : *p);
		str_addc(s, ')');
	} else if (value) {
		str_addf(s, ":%s:_files", o->name ? o->name : "value");
	}
	str_addc(s, '\'');
}

static void zsh_options(struct str *s, const struct opt *o)
{
	str_adds(s, "\t_arguments \\\n\t\t'(-h --help)'{-h,--help}'[show this help message and exit]' \\\n"
		 "\t\t'(-q --quiet)'{-q,--quiet}'[Be quiet.]' \\\n\t\t'*'{-v,--verbose}'[Be verbose.]'");
	for (; o && o->kind != OPT_K_END; o++) {
		char c[2] = { o->c, 0 };

		if (!o->help || o->kind >= OPT_K_HELP)
			continue;
		if (o->c)
			zsh_option(s, "-", c, o);
		if (o->name)
			zsh_option(s, "--", o->name, o);
		if (o->name2)
			zsh_option(s, "--", o->name2, o);
	}
}

static void zsh_command(struct str *s, const char *fn, const struct cmd *c)
{
	autostr struct str body = STR_INIT;

	zsh_options(&body, c->opts);
	str_addf(s, "_%s () {\n%s", fn, body.buf);
	if (!c->subs) {
		str_adds(s, " \\\n\t\t'*:file:_files'\n}\n");
		return;
	}
	str_adds(s, " \\\n\t\t'1:command:((");
	for (const struct cmd *const *sub = c->subs; *sub; sub++) {
		if ((*sub)->hidden)
			continue;
		str_addf(s, "%s\\:\"", (*sub)->name);
		for (const char *p = (*sub)->summary ? (*sub)->summary : ""; *p; p++)
			str_adds(s, *p == '\'' ? "'\\''" : *p == '"' || *p == '`' || *p == '$' || *p == '\\' ? "" :
				 (char[]){ *p, 0 });
		str_adds(s, "\" ");
	}
	str_adds(s, "))' \\\n\t\t'*::arg:->arg'\n\tcase \"$state\" in arg)\n\t\tcase \"$words[1]\" in\n");
	for (const struct cmd *const *sub = c->subs; *sub; sub++)
		if (!(*sub)->hidden)
			str_addf(s, "\t\t%s%s%s) _%s_%s ;;\n", (*sub)->name, (*sub)->alias ? "|" : "",
				 (*sub)->alias ? (*sub)->alias : "", fn, (*sub)->name);
	str_adds(s, "\t\tesac ;;\n\tesac\n}\n");
	for (const struct cmd *const *sub = c->subs; *sub; sub++) {
		autofree char *below = xasprintf("%s_%s", fn, (*sub)->name);

		if (!(*sub)->hidden)
			zsh_command(s, below, *sub);
	}
}

static void out_zsh(void)
{
	const struct cmd top = { .name = "git-data", .subs = all_commands };
	autostr struct str s = STR_INIT;

	zsh_command(&s, "git-data", &top);
	ui_force("#compdef git-data dvc\n%s_git-data \"$@\"\n", s.buf);
}

/* Every command with its sub-commands, a line each: what the test of the manual walks. */
static void list_commands(const struct cmd *const *c, const char *before)
{
	for (; *c; c++) {
		autofree char *name = xasprintf("%s%s%s", before, *before ? " " : "", (*c)->name);

		if ((*c)->hidden)
			continue;
		ui_force("%s\n", name);
		if ((*c)->subs)
			list_commands((*c)->subs, name);
	}
}

static int completion_run(struct session *s, void *args, struct err *e)
{
	const struct completion_args *a = args;

	(void)s;
	(void)e;
	if (a->list)
		list_commands(all_commands, "");
	else if (a->shell && !strcmp(a->shell, "zsh"))
		out_zsh();
	else
		out_bash();
	return 0;
}

static const struct opt completion_opts[] = {
	OPT_OWN_FLAG(0, "list-commands", completion_args, list, NULL),
	OPT_CHOICE('s', "shell", "bash,zsh", completion_args, shell, "Shell syntax for completions."),
	OPT_END
};

const struct cmd cmd_completion = {
	.name = "completion", .run = completion_run, .args_size = sizeof(struct completion_args), .opts = completion_opts,
	.summary = "Generate shell tab completion.", .help = "Prints out shell tab completion scripts.",
};

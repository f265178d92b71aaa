#include "core/pipeline/command.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/pipeline/orphans.h"

#include <ctype.h>
#include <strings.h>
#include <unistd.h>

extern char **environ;

/* Length of the line end at s, as Python's splitlines sees it; 0: none. */
static size_t line_end(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;

	if (u[0] == '\r')
		return u[1] == '\n' ? 2 : 1;
	if (u[0] == '\n' || u[0] == '\v' || u[0] == '\f' || (u[0] >= 0x1c && u[0] <= 0x1e))
		return 1;
	if (u[0] == 0xC2 && u[1] == 0x85)
		return 2;
	return u[0] == 0xE2 && u[1] == 0x80 && (u[2] == 0xA8 || u[2] == 0xA9) ? 3 : 0;
}

static void split_lines(struct strvec *out, const char *s)
{
	while (*s) {
		const char *p = s;
		size_t n = 0;

		while (*p && !(n = line_end(p)))
			p++;
		strvec_take(out, xstrndup(s, (size_t)(p - s)));
		s = p + n;
	}
}

int command_check(const struct node *cmd, struct err *e)
{
	if (cmd->kind != NODE_STR && cmd->kind != NODE_SEQ)
		return err_set(e, ERR_FAIL, "'%s' object has no attribute 'splitlines'", node_py_type(cmd));
	return 0;
}

void command_lines(struct strvec *out, const struct node *cmd, bool script)
{
	if (node_is(cmd, NODE_SEQ)) {
		for (size_t i = 0; i < cmd->n; i++) {
			autostr struct str s = STR_INIT;

			node_py_str(&s, cmd->v[i]);
			strvec_push(out, str_cstr(&s));
		}
	} else if (node_is(cmd, NODE_STR) && script) {
		strvec_push(out, cmd->text);
	} else if (node_is(cmd, NODE_STR)) {
		split_lines(out, cmd->text);
	}
}

static const char *shell_path(void)
{
	const char *shell = getenv("SHELL");

	return shell && *shell ? shell : "/bin/sh";
}

/* fish older than 3.3 has no --no-config; what does not tell its version counts as older. */
static bool fish_is_old(const char *shell)
{
	const char *argv[] = { shell, "--version", NULL };
	autostr struct str out = STR_INIT;
	autoerr struct err none = ERR_INIT;
	const char *version;
	unsigned major = 0, minor = 0;
	int status = -1;

	if (proc_run(argv, NULL, NULL, 0, &out, NULL, &status, &none) || status)
		return true;
	version = strrchr(str_cstr(&out), ' ');
	sscanf(version ? version + 1 : out.buf, "%u.%u", &major, &minor);
	return major < 3 || (major == 3 && minor < 3);
}

void command_check_shell(struct command_env *env)
{
	const char *name = path_base(shell_path());

	if (strcasecmp(name, "fish") != 0)
		return;
	if (!env->asked)
		env->fish_old = fish_is_old(shell_path());
	env->asked = true;
	if (env->fish_old && !strcmp(name, "fish"))
		notice(NOTICE_WARN, "DVC detected that you are using a version of fish shell below 3.3.0 Be aware that it might "
		       "cause problems by overwriting your current environment variables with values defined in "
		       "'config.fish', which might affect your command. See https://github.com/treeverse/dvc/issues/1307. ");
}

void command_argv(struct strvec *out, const struct command_env *env, const char *line, bool script)
{
	const char *shell = shell_path();
	autofree char *name = xstrdup(path_base(shell));

	for (char *c = name; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	strvec_push(out, shell);
	if (!strcmp(name, "zsh")) {
		strvec_push(out, "--no-rcs");
	} else if (!strcmp(name, "bash")) {
		strvec_push(out, "--noprofile");
		strvec_push(out, "--norc");
	} else if (!strcmp(name, "fish") && !env->fish_old) {
		strvec_push(out, "--no-config");
	}
	if (script && strcmp(name, "fish")) {
		strvec_push(out, "-eu");
		if (!strcmp(name, "zsh") || !strcmp(name, "bash")) {
			strvec_push(out, "-o");
			strvec_push(out, "pipefail");
		}
	}
	strvec_push(out, "-c");
	strvec_push(out, line);
}

void command_env_open(struct command_env *env, const char *root)
{
	size_t n = 0;

	while (environ[n])
		n++;
	env->v = xcalloc(n + 4, sizeof(*env->v));
	env->n = 0;
	env->stage = NULL;
	env->asked = env->fish_old = false;
	for (size_t i = 0; i < n; i++)
		if (!str_starts(environ[i], "DVC_STAGE=") && !str_starts(environ[i], ORPHANS_MARK "="))
			env->v[env->n++] = xstrdup(environ[i]);
	env->v[env->n++] = orphans_mark(root);
	if (!getenv("DVC_ROOT"))
		env->v[env->n++] = xasprintf("DVC_ROOT=%s", root);
}

void command_env_stage(struct command_env *env, const char *addressing)
{
	free(env->stage);
	env->stage = xasprintf("DVC_STAGE=%s", addressing);
	env->v[env->n] = env->stage;
	env->v[env->n + 1] = NULL;
}

void command_env_close(struct command_env *env)
{
	for (size_t i = 0; i < env->n; i++)
		free(env->v[i]);
	free(env->stage);
	free(env->v);
	*env = (struct command_env){ .n = 0 };
}

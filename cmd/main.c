/*
 * main - finds the command, opens what its table row asks for, runs it, and turns the outcome into an exit status.
 */
#include "cmd/cmd.h"
#include "cmd/wire.h"
#include "core/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define DVC_COMPATIBLE "3.67.1"

struct global_args { const char *cd; bool wait_for_lock; };

static const struct opt global_opts[] = {
	OPT_COMMON,
	OPT_PLAIN('h', "help", OPT_K_HELP, "Show this help message and exit."),
	OPT_PLAIN('V', "version", OPT_K_VERSION, "Show program's version."),
	OPT_ROW(0, "cd", OPT_K_TEXT, "<path>", global_args, cd, "Change to directory before executing.", NULL, NULL),
	OPT_FLAG(0, "wait-for-lock", global_args, wait_for_lock,
		 "Wait for the lock as long as it takes."),     /* as is always done (repolock.h, K2) */
	OPT_END
};

static const struct cmd root_cmd = {
	.args_size = sizeof(struct global_args),
	.opts = global_opts,
	.help = "Version control for data, beside git.",
	.subs = all_commands,
};

/* Else a lock, or somebody's file, becomes descriptor 1 or 2, and what is printed is written into it. */
static void open_streams(void)
{
	int fd;

	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= 2)
		;
	if (fd > 2)
		close(fd);
}

/* As Python words an error that nobody foresaw; scripts and editors look for it. */
static int enter_directory(const struct global_args *g, struct err *e)
{
	if (!g || !g->cd || !chdir(g->cd))
		return 0;
	err_set(e, ERR_FAIL, "unexpected error - [Errno %d] %s: '%s'", errno, strerror(errno), g->cd);
	ui_err(e);
	return -1;
}

/* D2: a handled failure of these commands exits 1, whatever its class, unless the class has a status of its own. */
static int exit_status(const struct session *s, const struct err *e)
{
	int st = err_exit_status(e);

	return st == 255 && !e->exit_status && (s->cmd->needs & FAIL_IS_1) ? 1 : st;
}

static void print_help(const struct parsed *p)
{
	autostr struct str help = STR_INIT;

	opts_help(&help, p, ui_columns());
	ui_out_bytes(help.buf, help.len);
}

static int finish(struct session *s, const struct parsed *p, int rc, struct err *e)
{
	autoerr struct err out = ERR_INIT;

	if (rc < 0) {
		if (e->code == ERR_NONE)
			err_set(e, ERR_FAIL, "the command failed without saying why");
		proc_check(e);
		ui_err(e);
		if (e->code == ERR_USAGE)       /* seen only when the command looked at its words */
			print_help(p);
		rc = exit_status(s, e);
	}
	session_close(s);
	if (ui_finish(&out)) {
		ui_err(&out);
		rc = out.code == ERR_TEMP ? 141 : 255;
	}
	return rc;
}

/* What the parser itself ends with: help, version, a bad command line. */
static int finish_early(const struct parsed *p, const struct err *e)
{
	autoerr struct err out = ERR_INIT;
	int rc = 0;

	if (e->code != ERR_NONE) {
		ui_err(e);
		rc = err_exit_status(e);
	}
	if (p->version)
		ui_force("%s\n", DVC_COMPATIBLE);
	else if (e->code == ERR_NONE || e->code == ERR_USAGE)
		print_help(p);
	if (!ui_finish(&out) || rc)
		return rc;
	ui_err(&out);
	return out.code == ERR_TEMP ? 141 : 255;
}

int main(int argc, char **argv)
{
	struct parsed p;
	struct session s = { .argv0 = argc ? argv[0] : "git-data" };
	autoerr struct err e = ERR_INIT;
	const struct global_args *g;
	int rc;

	open_streams();
	ui_init(false, 0);
	rc = opts_parse(&p, &root_cmd, argc ? argc - 1 : 0, argv + 1, &e);
	p.prog = str_ends(s.argv0, "dvc") ? "dvc" : "git data";
	if (rc || p.help || p.version) {
		rc = finish_early(&p, &e);
		opts_release(&p);
		return rc;
	}
	proc_init();
	ui_init(p.quiet, p.verbose);
	g = p.globals;
	s.cmd = p.cmd;
	s.quiet = p.quiet;
	s.verbose = p.verbose;
	if (enter_directory(g, &e)) {
		opts_release(&p);
		return 255;
	}
	wire_remotes();
	ui_progress_start();
	rc = finish(&s, &p, session_run(&s, p.args, &e), &e);
	opts_release(&p);
	if (rc && e.code == ERR_INTR)
		proc_die_of_signal();
	return rc;
}

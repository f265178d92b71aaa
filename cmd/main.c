/*
 * main - finds the command, opens what its table row asks for, runs it, and turns the outcome into an exit status.
 */
#include "cmd/cmd.h"
#include "cmd/wire.h"
#include "core/base/notice.h"
#include "core/base/proc.h"
#include "core/data/project.h"
#include "core/repo/config.h"
#include "core/repo/gitrepo.h"
#include "core/repo/repo.h"
#include "core/repo/repolock.h"

#include <unistd.h>

#define DVC_COMPATIBLE "3.67.1"

#define CMD(name) extern const struct cmd cmd_##name;
#include "cmd/commands.def"
#undef CMD

const struct cmd *const all_commands[] = {
#define CMD(name) &cmd_##name,
#include "cmd/commands.def"
#undef CMD
	NULL
};

struct global_args { const char *cd; bool wait_for_lock, version; };

static const struct opt global_opts[] = {
	OPT_FLAG('V', "version", global_args, version, "Show program's version."),
	OPT_STR(0, "cd", "<path>", global_args, cd, "Change to directory before executing."),
	OPT_FLAG(0, "wait-for-lock", global_args, wait_for_lock,
		 "Wait for the lock as long as it takes."),
	OPT_END
};

static const struct cmd root_cmd = {
	.args_size = sizeof(struct global_args),
	.opts = global_opts,
	.help = "Version control for data, beside git.",
	.subs = all_commands,
};

/* DVC's answer to what its own code did not foresee; scripts and editors look for these words. */
static void report_unexpected(struct err *e)
{
	err_in(e, "unexpected error - [Errno 2] No such file or directory");
	ui_err(e);
}

static int enter_directory(const struct global_args *g, struct err *e)
{
	if (g && g->cd && chdir(g->cd)) {
		err_set(e, ERR_FAIL, "'%s'", g->cd);
		report_unexpected(e);
		return -1;
	}
	return 0;
}

/* What git should know of: staged with core.autostage, else DVC's reminder. */
int session_tell_git(struct session *s, struct err *e)
{
	struct repo *r = s->repo;
	autostr struct str cmd = STR_INIT;
	struct gitrepo *g = NULL;

	if (!r || r->no_scm || !r->scm_root || !r->scm_files.n)
		return 0;
	if (config_bool(r->config, "core", "autostage", false)) {
		if (repo_git(r, &g, e))
			return -1;
		return g ? gitrepo_stage(g, &r->scm_files, e) : 0;
	}
	if (s->quiet || (s->cmd->needs & NO_SCM_NOTE))
		return 0;
	for (size_t i = 0; i < r->scm_files.n; i++) {
		autofree char *shown = path_rel(r->scm_files.v[i], r->cwd);

		str_addc(&cmd, ' ');
		str_add_shell(&cmd, shown);
	}
	ui_info("\nTo track the changes with git, run:\n\n\tgit add%s", cmd.buf);
	ui_info("\nTo enable auto staging, run:\n\n\tdvc config core.autostage true");
	strvec_reset(&r->scm_files);
	return 0;
}

static int open_needs(struct session *s, struct err *e)
{
	autoerr struct err none = ERR_INIT;
	unsigned needs = s->cmd->needs;

	if (!(needs & (NEED_REPO | NEED_LOCK | WANT_REPO)))
		return 0;
	if (repo_open(&s->repo, ".", &none)) {
		if (none.code == ERR_NOREPO && !(needs & (NEED_REPO | NEED_LOCK)))
			return 0;
		err_move(e, &none);
		return -1;
	}
	s->project = project_new(s->repo);
	if (needs & NEED_LOCK)
		return repolock_take(&s->lock, s->repo, s->wait_for_lock, e);
	return 0;
}

static int run_command(struct session *s, void *args, struct err *e)
{
	int rc;

	if (open_needs(s, e)) {
		if (e->code != ERR_CONFIG && e->code != ERR_NOREPO && e->code != ERR_INTR && !e->exit_status)
			e->exit_status = 255;
		return -1;
	}
	rc = s->cmd->run(s, args, e);
	if (rc >= 0 && session_tell_git(s, e))
		rc = -1;
	return rc;
}

static void close_session(struct session *s)
{
	project_free(s->project);
	repolock_release(s->lock);
	repo_close(s->repo);
}

/* D2: a handled failure of these commands exits 1, whatever its class, unless the class has a status of its own. */
static int exit_status(const struct session *s, const struct err *e)
{
	int st = err_exit_status(e);

	return st == 255 && !e->exit_status && (s->cmd->needs & FAIL_IS_1) ? 1 : st;
}

static int finish(struct session *s, int rc, struct err *e)
{
	autoerr struct err out = ERR_INIT;

	if (rc < 0) {
		if (e->code == ERR_NONE)
			err_set(e, ERR_FAIL, "the command failed without saying why");
		if (proc_cancelled())
			err_set(e, ERR_INTR, "interrupted by the user");
		ui_err(e);
		rc = exit_status(s, e);
	}
	close_session(s);
	if (ui_finish(&out)) {
		ui_err(&out);
		rc = out.code == ERR_TEMP ? 141 : 255;
	}
	return rc;
}

static int bad_usage(struct parsed *p, const struct err *e)
{
	autostr struct str help = STR_INIT;
	autoerr struct err out = ERR_INIT;

	ui_err(e);
	opts_help(&help, p);
	ui_out_bytes(help.buf, help.len);
	ui_finish(&out);
	return 254;
}

static int show_help(struct parsed *p)
{
	autostr struct str help = STR_INIT;
	autoerr struct err e = ERR_INIT;

	opts_help(&help, p);
	ui_out_bytes(help.buf, help.len);
	return ui_finish(&e) ? 255 : 0;
}

/* "git-data -V" anywhere before the command ends everything, as argparse's version action does. */
static bool wants_version(int argc, char **argv)
{
	for (int i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--version") || !strcmp(argv[i], "-V"))
			return true;
		if (!strcmp(argv[i], "--cd"))
			i++;
	}
	return false;
}

int main(int argc, char **argv)
{
	struct parsed p;
	struct session s = { .argv0 = argc ? argv[0] : "git-data" };
	autoerr struct err e = ERR_INIT;
	const struct global_args *g;
	int rc;

	if (wants_version(argc, argv)) {
		puts(DVC_COMPATIBLE);
		return fflush(stdout) ? 255 : 0;
	}
	proc_init();
	ui_init(false, 0);
	rc = opts_parse(&p, &root_cmd, argc - 1, argv + 1, &e);
	p.prog = str_ends(s.argv0, "dvc") ? "dvc" : "git data";
	if (rc || p.help) {
		rc = rc ? bad_usage(&p, &e) : show_help(&p);
		opts_release(&p);
		return rc;
	}
	ui_init(p.quiet, p.verbose);
	g = p.globals;
	s.cmd = p.cmd;
	s.quiet = p.quiet;
	s.verbose = p.verbose;
	s.wait_for_lock = g && g->wait_for_lock;
	if (enter_directory(g, &e)) {
		opts_release(&p);
		return 255;
	}
	wire_remotes();
	ui_progress_start();
	rc = finish(&s, run_command(&s, p.args, &e), &e);
	opts_release(&p);
	return rc;
}

/*
 * session - what a command is given: its repository, opened as its table row says, and what is said to git after it.
 */
#include "cmd/cmd.h"
#include "core/base/temps.h"
#include "core/data/movelog.h"
#include "core/data/project.h"
#include "core/repo/config.h"
#include "core/repo/gitrepo.h"
#include "core/repo/repo.h"
#include "core/repo/repolock.h"

/* What git should know of: staged with core.autostage, else DVC's reminder. */
int session_tell_git(struct session *s, struct err *e)
{
	struct repo *r = s->repo;
	autostr struct str cmd = STR_INIT;
	struct gitrepo *g = NULL;

	if (!r || r->no_scm || !r->scm_root || !r->scm_files.n || (s->cmd->needs & NO_SCM_STAGE))
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
	repo_wrote_none(r);
	return 0;
}

static int open_needs(struct session *s, struct err *e)
{
	autoerr struct err none = ERR_INIT;
	unsigned needs = s->cmd->needs;

	if (!(needs & (NEED_REPO | NEED_LOCK | WANT_REPO)))
		return 0;
	if (repo_open(&s->repo, ".", &none)) {
		if (none.code != ERR_NOREPO || (needs & (NEED_REPO | NEED_LOCK))) {
			err_move(e, &none);
			return -1;
		}
		if (!(needs & BARE_REPO))
			return 0;
		if (repo_open_bare(&s->repo, e))
			return -1;
	}
	s->project = project_new(s->repo);
	if (!(needs & NEED_LOCK))
		return 0;
	if (repolock_take(&s->lock, s->repo, e))
		return -1;
	temps_open(s->repo->tmp_dir);
	movelog_recover(s->repo);
	return 0;
}

/*
 * DVC's settings errors: a command that handles failures itself ends with 1; elsewhere main puts its words in front and ends
 * with 251. A file that cannot be read is 251 everywhere, and says so already.
 */
static void judge_config_error(const struct session *s, struct err *e)
{
	autofree char *text = NULL;

	if (e->code != ERR_CONFIG || e->exit_status || !e->msg || str_starts(e->msg, "configuration error"))
		return;
	if (s->cmd->needs & FAIL_IS_1) {
		e->exit_status = 1;
	} else if (str_starts(e->msg, "config file error")) {
		text = e->msg;
		e->msg = xasprintf("configuration error - %s", text);
	}
}

int session_run(struct session *s, void *args, struct err *e)
{
	int rc;

	if (open_needs(s, e)) {
		if (e->code != ERR_CONFIG && e->code != ERR_NOREPO && e->code != ERR_INTR && !e->exit_status)
			e->exit_status = 255;
		return -1;
	}
	rc = s->cmd->run(s, args, e);
	if (rc >= 0 && s->project && project_flush(s->project, e))
		rc = -1;
	if (rc >= 0 && session_tell_git(s, e))
		rc = -1;
	if (rc < 0)
		judge_config_error(s, e);
	return rc;
}

void session_close(struct session *s)
{
	project_free(s->project);
	temps_close();
	repolock_release(s->lock);
	repo_close(s->repo);
}

#include "core/pipeline/runner.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/progress.h"
#include "core/data/checkout.h"
#include "core/data/compare.h"
#include "core/data/import.h"
#include "core/data/project.h"
#include "core/data/track.h"
#include "core/pipeline/aside.h"
#include "core/pipeline/command.h"
#include "core/pipeline/executor.h"
#include "core/pipeline/explain.h"
#include "core/pipeline/orphans.h"
#include "core/pipeline/plan.h"
#include "core/pipeline/record.h"
#include "core/pipeline/runcache.h"
#include "core/pipeline/settings.h"
#include "core/repo/repo.h"
#include "core/repo/repolock.h"
#include "core/stage/index.h"
#include "core/stage/lock.h"
#include "core/stage/pointer.h"
#include "core/stage/stage.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

enum step_state { STEP_WAITS, STEP_RUNS, STEP_DONE, STEP_FAILED, STEP_LEFT_OUT };

/* A stage whose command runs. */
struct job {
	size_t step;
	int64_t id;
	char *addressing;
	struct stage_settings set;
	struct strvec lines;
	size_t next;            /* line to run after the present one */
	unsigned attempt;
	double deadline;        /* of the attempt; 0: none */
	bool timed_out, killed;
	pid_t group;            /* of the command last started; 0: it is in ours */
	bool compared;          /* all of it: what no reason is given for is as recorded, and in the cache */
	struct pathlock *paths;
	struct aside aside;
	bool quiet;             /* the log has the commands' output only */
	int log;                /* -1: output goes straight to ours */
	char *log_path;
};

struct runner {
	struct project *p;
	struct plan *plan;
	struct repolock *lock;
	const struct run_opts *o;
	const struct run_hooks *h;
	struct executor *exec;
	struct command_env env;
	enum step_state *state;
	size_t *pending;        /* steps a step still waits for */
	bool *forced;
	size_t first;           /* no step before this one waits */
	bool ignored;           /* outputs of a long plan were put into .gitignore together */
	struct pathlock *idle;  /* of a finished stage: given back together with taking the next one's */
	struct job **jobs;
	size_t njobs;
	struct map limits;      /* name -> running count */
	struct map locks;       /* dvc.lock -> struct lockfile * */
	bool last_ran;          /* the step before did something: a blank line follows */
	bool stop;              /* no step begins any more */
	bool signalled;         /* commands were told of the signal we got */
	struct strvec failed;
	struct run_result *result;
	struct progress progress;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool parallel(const struct runner *r)
{
	return r->o->jobs > 1;
}

static char *address(const struct runner *r, const struct stage *s)
{
	return stage_addressing(s, r->p->repo->cwd_rel);
}

/* A line of the stage's own talk: to its log when it has one. */
static void say(const struct job *j, const char *fmt, ...) PRINTF(2, 3);
static void say(const struct job *j, const char *fmt, ...)
{
	autofree char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	if (!j || j->log < 0) {
		notice(NOTICE_INFO, "%s", text);
	} else if (!j->quiet) {
		struct str line = STR_INIT;

		str_adds(&line, text);
		str_addc(&line, '\n');
		if (fs_write_all(j->log, str_cstr(&line), line.len))
			notice(NOTICE_WARN, "cannot write '%s'", j->log_path);
		str_release(&line);
	}
}

/* --- limits --- */

static bool limits_free(const struct runner *r, const struct stage_settings *s)
{
	for (size_t i = 0; i < s->nlimits; i++)
		if ((uintptr_t)map_get(&r->limits, s->limits[i].name) >= s->limits[i].max)
			return false;
	return true;
}

static void limits_count(struct runner *r, const struct stage_settings *s, int by)
{
	for (size_t i = 0; i < s->nlimits; i++) {
		uintptr_t n = (uintptr_t)map_get(&r->limits, s->limits[i].name);

		map_put(&r->limits, s->limits[i].name, (void *)(n + (uintptr_t)(intptr_t)by));
	}
}

/* --- what a stage needs before it runs --- */

static int take_paths(struct runner *r, struct job *j, const struct stage *s, struct err *e)
{
	autostrvec struct strvec rd = STRVEC_INIT;
	autostrvec struct strvec wr = STRVEC_INIT;
	const struct strvec *dead;

	for (size_t i = 0; i < s->ndeps; i++) {
		char *abs = s->deps[i]->kind == DEP_PATH || s->deps[i]->kind == DEP_PARAMS ?
			item_abs(s->deps[i], r->p->repo->root) : NULL;

		if (abs)
			strvec_take(&rd, abs);
	}
	for (size_t i = 0; i < s->nouts; i++) {
		char *abs = item_abs(s->outs[i], r->p->repo->root);

		if (abs)
			strvec_take(&wr, abs);
	}
	if (pathlock_exchange(&j->paths, &r->idle, r->p->repo, &rd, &wr, r->o->cmdline ? r->o->cmdline : "repro",
			      e))
		return -1;
	dead = pathlock_dead(j->paths);
	for (size_t i = 0; i < dead->n; i++)
		if (orphans_end(dead->v[i], r->p->repo->root, e))
			return -1;
	return 0;
}

static int open_log(struct runner *r, struct job *j, struct err *e)
{
	autofree char *dir = NULL;
	autofree char *name = NULL;

	if (!parallel(r))
		return 0;
	dir = path_join(r->p->repo->tmp_dir, "logs");
	if (fs_mkdirs(dir, 0777, e))
		return -1;
	name = xasprintf("%s.log", j->addressing);
	for (char *c = name; *c; c++)
		if (*c == '/' || iscntrl((unsigned char)*c))
			*c = '_';
	if (strlen(name) > 200)
		memmove(name, name + strlen(name) - 200, 201);
	j->log_path = path_join(dir, name);
	unlink(j->log_path);
	j->log = open(j->log_path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0666);
	return j->log < 0 ? err_sys(e, "cannot create '%s'", j->log_path) : 0;
}

static struct job *job_new(struct runner *r, size_t step, struct stage_settings *set)
{
	struct job *j = xcalloc(1, sizeof(*j));

	j->step = step;
	j->log = -1;
	j->id = -1;
	j->addressing = address(r, r->plan->v[step].stage);
	j->set = *set;
	j->quiet = r->o->quiet;
	*set = (struct stage_settings){ .timeout = 0 };
	return j;
}

/* Before anybody else may run. */
static void release_idle(struct runner *r)
{
	pathlock_release(take(r->idle));
}

static void job_free(struct runner *r, struct job *j)
{
	if (j->paths) {
		release_idle(r);
		r->idle = j->paths;
	}
	settings_release(&j->set);
	strvec_release(&j->lines);
	if (j->log >= 0)
		close(j->log);
	free(j->log_path);
	free(j->addressing);
	free(j);
}

static void show_log(struct runner *r, struct job *j)
{
	autostr struct str text = STR_INIT;
	autoerr struct err e = ERR_INIT;

	if (j->log < 0)
		return;
	if (lseek(j->log, 0, SEEK_SET) < 0 || fs_read_fd(&text, j->log, 1ull << 30, j->log_path, &e)) {
		notice(NOTICE_WARN, "cannot show '%s'", j->log_path);
		return;
	}
	if (r->last_ran)
		notice(NOTICE_INFO, "%s", "");
	r->h->flush(r->h->data);
	r->h->output(str_cstr(&text), text.len, r->h->data);
}

/* A stage that did not succeed: nothing of it runs on, what was there before is put back. */
static void undo(struct runner *r, struct job *j, bool ran)
{
	if (ran)
		orphans_end_stage(j->group, j->addressing, r->p->repo->root);
	aside_restore(&j->aside, r->p, r->plan->v[j->step].stage, ran);
}

/* --- commands --- */

static int start_line(struct runner *r, struct job *j, struct err *e)
{
	const struct stage *s = r->plan->v[j->step].stage;
	autofree char *joined = repo_abs(r->p->repo, s->wdir), *dir = path_norm(joined);
	autostrvec struct strvec argv = STRVEC_INIT;
	const char *line = j->lines.v[j->next];
	struct exec_job x = { .dir = dir, .out_fd = j->log };

	say(j, "> %s", line);
	if (s->cmd->kind == NODE_SEQ && s->cmd->v[j->next]->kind != NODE_STR)
		return err_set(e, ERR_FAIL, "expected str, bytes or os.PathLike object, not %s",
			       node_py_type(s->cmd->v[j->next]));
	command_argv(&argv, &r->env, line, j->set.script);
	command_env_stage(&r->env, j->addressing);
	x.argv = (const char *const *)argv.v;
	x.env = r->env.v;
	x.own_group = parallel(r) || (j->set.timeout > 0 && !isatty(0));
	j->next++;
	if (!fs_is_dir(dir))
		return err_set(e, ERR_NOTFOUND, fs_exists(dir) ? "[Errno 20] Not a directory: '%s'" :
			       "[Errno 2] No such file or directory: '%s'", dir);
	if (j->log < 0)
		r->h->flush(r->h->data);
	proc_fault("stage.start");
	if (r->exec->ops->start(r->exec, &x, &j->id, e))
		return -1;
	j->group = x.own_group ? (pid_t)j->id : 0;
	proc_fault("stage.started");
	return 0;
}

static int start_commands(struct runner *r, struct job *j, struct err *e)
{
	const struct stage *s = r->plan->v[j->step].stage;

	say(j, "Running stage '%s':", j->addressing);
	if (command_check(s->cmd, e))
		return -1;
	command_lines(&j->lines, s->cmd, j->set.script);
	command_check_shell(&r->env);
	j->deadline = j->set.timeout > 0 ? now() + j->set.timeout : 0;
	if (!j->lines.n)
		return 0;
	return start_line(r, j, e);
}

/* --- recording --- */

static int lockfile_of(struct runner *r, const struct stage *s, struct lockfile **out, struct err *e)
{
	autofree char *rel = lock_path_of(s->file);

	*out = map_get(&r->locks, rel);
	if (*out)
		return 0;
	if (lockfile_open(out, r->p->repo, rel, e))
		return -1;
	map_put(&r->locks, rel, *out);
	return 0;
}

static int write_down(struct runner *r, size_t i, struct err *e)
{
	struct stage *s = r->plan->v[i].stage;
	struct lockfile *l;

	if (s->kind == STAGE_SINGLE) {
		pointer_renew_md5(s);
		return pointer_save(r->p->repo, s, e);
	}
	if (lockfile_of(r, s, &l, e))
		return -1;
	lockfile_rank(l, i + 1);
	if (lockfile_put(l, s, NULL, e))
		return -1;
	s->in_lock = true;
	node_free(s->locked_cmd);
	s->locked_cmd = node_copy(s->cmd);
	return 0;
}

static bool saves_run(const struct runner *r, const struct stage *s)
{
	if (r->o->no_commit || s->kind != STAGE_PIPELINE)
		return false;
	for (size_t i = 0; i < s->nouts; i++)
		if (!s->outs[i]->cache && !s->outs[i]->is_metric && !s->outs[i]->is_plot)
			return false;
	return true;
}

static int record(struct runner *r, size_t i, struct err *e)
{
	struct stage *s = r->plan->v[i].stage;

	unsigned flags = (r->o->allow_missing ? RECORD_LENIENT : 0) | (r->o->no_commit ? RECORD_NO_COMMIT : 0);

	proc_fault("stage.ended");
	if (record_deps(r->p, s, flags, e))
		return -1;
	/* a run is remembered by what it read: one that is gone ends that, before anything is stored */
	if (r->o->allow_missing && saves_run(r, s) && runcache_asks(s) && record_deps_there(r->p, s, e))
		return -1;
	if (record_outs(r->p, s, flags, e))
		return -1;
	proc_fault("stage.cached");
	if (saves_run(r, s) && runcache_save(r->p, s, e))
		return -1;
	proc_fault("stage.saved");
	if (write_down(r, i, e))
		return -1;
	proc_fault("stage.recorded");
	return 0;
}

/* --- one step --- */

enum begin { BEGIN_UNCHANGED, BEGIN_FINISHED, BEGIN_STARTED, BEGIN_FAILED };

static bool source_differs(const struct step *st, const struct item *dep)
{
	for (size_t i = 0; i < st->nsources; i++)
		for (size_t k = 0; k < st->sources[i]->nouts; k++) {
			const struct item *o = st->sources[i]->outs[k];

			if (o->path && dep->path && !strcmp(o->path, dep->path) && !hashinfo_eq(&o->hash, &dep->hash))
				return true;
		}
	return false;
}

/* --allow-missing: all that differs is data that is not there. */
static bool only_missing(const struct step *st, const struct stage_status *status)
{
	for (size_t i = 0; i < status->n; i++) {
		const struct reason *x = &status->v[i];
		bool gone = x->state && !strcmp(x->state, "deleted") && !x->param;
		bool missing = gone || (x->state && !strcmp(x->state, "not in cache"));

		if (!(x->kind == REASON_DEP && gone && !source_differs(st, x->item)) && !(x->kind == REASON_OUT && missing))
			return false;
	}
	return true;
}

static int unchanged(struct runner *r, size_t i, struct job *j, struct stage_status *st, bool *same, struct err *e)
{
	struct stage *s = r->plan->v[i].stage;

	j->compared = !compare_stage(r->p, s, st, e);
	if (!j->compared) {
		if (e->code == ERR_INTR || (!st->n && !compare_command_changed(s)))
			return -1;
		err_release(e);         /* the first change is enough; it would not have been looked further */
	}
	/* what is frozen does not run for having no inputs, though 'status' tells of it */
	for (size_t k = s->frozen ? st->n : 0; k--;)
		if (st->v[k].kind == REASON_ALWAYS)
			st->v[k] = st->v[--st->n];
	*same = j->compared && !r->forced[i] &&
		(r->o->allow_missing ? only_missing(&r->plan->v[i], st) : !st->n);
	return 0;
}

/* What lies there as recorded, while neither the cache nor a remote has it: DVC would have to remove it. */
static int refuse_uncached(struct runner *r, const struct stage *s, struct err *e)
{
	for (size_t i = 0; i < s->nouts; i++) {
		autofree char *abs = item_abs(s->outs[i], r->p->repo->root);
		bool cached = true;

		if (s->outs[i]->cache && abs && compare_cached(r->p, s->outs[i], &cached, e))
			return -1;
		if (!cached)
			return err_set(e, ERR_FAIL, "unable to remove '%s' without a confirmation. Use `-f` to force.", abs);
	}
	return 0;
}

/* --pull of a stage that lacks nothing but its data. */
static int pull_data(struct runner *r, size_t i, const char *addressing, bool *done, struct err *e)
{
	struct stage *s = r->plan->v[i].stage;
	struct stage_status st = { NULL, 0, 0 };
	struct checkout_opts o = { .force = false };
	struct checkout_result res;
	int rc = compare_stage(r->p, s, &st, e);
	bool may = only_missing(&r->plan->v[i], &st);

	*done = false;
	stage_status_release(&st);
	if (rc && !may && e->code != ERR_INTR) {
		err_release(e);         /* it runs anyway */
		return 0;
	}
	if (rc || !may || !r->h->pull)
		return rc;
	notice(NOTICE_INFO, "Pulling data for stage: '%s'", addressing);
	if (r->h->pull(r->p, s, NULL, e))
		return -1;
	memset(&res, 0, sizeof(res));
	*done = true;
	for (size_t k = 0; !rc && k < s->nouts; k++) {
		rc = checkout_out(r->p, s->outs[k], NULL, &o, &res, e);
		*done &= !res.failed.n;
	}
	checkout_result_release(&res);
	if (!rc && !*done)
		notice(NOTICE_INFO, "Unable to pull data for stage: '%s'", addressing);
	return rc || !*done ? rc : refuse_uncached(r, s, e);
}

static bool outs_recorded(const struct stage *s)
{
	for (size_t i = 0; i < s->nouts; i++)
		if (!s->outs[i]->hash.value)
			return false;
	return true;
}

static bool has_dep_reason(const struct stage_status *st)
{
	for (size_t i = 0; i < st->n; i++)
		if (st->v[i].kind == REASON_DEP)
			return true;
	return false;
}

/* Asked anew when they may have been pulled since. */
static int deps_changed(struct runner *r, struct stage *s, const struct stage_status *st, bool *changed, struct err *e)
{
	const struct compare_opts o = { .deps_only = true };
	struct stage_status now = { NULL, 0, 0 };
	int rc = 0;

	*changed = has_dep_reason(st);
	if (!*changed || !r->o->pull)
		return 0;
	rc = compare_stage_with(r->p, s, &o, &now, e);
	*changed = now.n > 0;
	stage_status_release(&now);
	if (rc && *changed && e->code != ERR_INTR) {
		err_release(e);
		return 0;
	}
	return rc;
}

/* An input may be the output of a stage that only would run. */
static bool deps_there(const struct runner *r, const struct stage *s)
{
	for (size_t i = 0; i < s->ndeps; i++) {
		autofree char *abs = s->deps[i]->kind == DEP_PATH ? item_abs(s->deps[i], r->p->repo->root) : NULL;

		if (abs && access(abs, F_OK))
			return false;
	}
	return true;
}

/* Outputs of an equal run before: those that dvc.lock names, else those of the run cache. */
static int try_cached(struct runner *r, struct stage *s, const struct stage_status *st, bool *done, struct err *e)
{
	autonode struct node *entry = NULL;
	bool changed;

	*done = false;
	if (!runcache_can(s)) {
		/* DVC hashes the inputs before it looks at what the outputs allow */
		return r->o->dry || !runcache_asks(s) ? 0 : record_deps_there(r->p, s, e);
	}
	if (deps_changed(r, s, st, &changed, e))
		return -1;
	if (!compare_command_changed(s) && !changed && outs_recorded(s)) {
		entry = lock_entry(s);
	} else {
		/* dry, as DVC: the inputs that dvc.lock has are asked for, not the present ones */
		if (r->o->dry ? !deps_there(r, s) : record_deps(r->p, s, RECORD_HASHING, e))
			return r->o->dry ? 0 : -1;
		if (r->o->no_run_cache)
			return 0;
		if (runcache_find(r->p, s, &entry, e))
			return -1;
	}
	return entry ? runcache_restore(r->p, s, entry, r->o->dry, r->o->pull ? r->h->bring : NULL, done, e) : 0;
}

static bool syncs_import(const struct stage *s)
{
	return (stage_is_import(s) && !s->frozen) || stage_is_partial_import(s);
}

static int run_dry(struct runner *r, size_t i, struct job *j, const struct stage_status *st, struct err *e)
{
	struct stage *s = r->plan->v[i].stage;
	bool cached;

	if (syncs_import(s))
		import_announce(r->p, s);
	if (!s->cmd || !node_truthy(s->cmd) || s->frozen || syncs_import(s))
		return 0;
	if (!r->forced[i] && try_cached(r, s, st, &cached, e))
		return -1;
	say(j, "Running stage '%s':", j->addressing);
	if (command_check(s->cmd, e))
		return -1;
	command_lines(&j->lines, s->cmd, j->set.script);
	for (size_t k = 0; k < j->lines.n; k++)
		say(j, "> %s", j->lines.v[k]);
	return 0;
}

static int run_verify(struct runner *r, struct job *j, struct stage *s, struct err *e)
{
	if (syncs_import(s)) {
		if (!r->h->import)
			return err_set(e, ERR_UNSUPPORTED, "imports are updated by 'update'");
		return r->h->import(r->p, s, e);        /* writes the pointer itself */
	} else {
		say(j, "Verifying %s in %sstage: '%s'", s->frozen ? "outputs" : "data sources",
		    s->frozen ? "frozen " : "", j->addressing);
		if (record_check_outs(r->p, s, e))
			return -1;
	}
	return record(r, j->step, e);
}

static int pull_deps(struct runner *r, struct stage *s, struct err *e)
{
	for (size_t i = 0; i < s->ndeps; i++) {
		autofree char *abs = NULL;

		if ((s->deps[i]->kind != DEP_PATH && s->deps[i]->kind != DEP_PARAMS) || !s->deps[i]->path || !r->h->pull)
			continue;
		abs = item_abs(s->deps[i], r->p->repo->root);
		if (access(abs, F_OK) && r->h->pull(r->p, s, s->deps[i]->path, e))
			return -1;
	}
	return 0;
}

/* In a long plan the .gitignore of a directory is written once, not once for each output; with several jobs the order of
 * its lines is that of the plan and not that of who was first. */
static int ignore_outputs(struct runner *r, struct err *e)
{
	autostrvec struct strvec paths = STRVEC_INIT;

	if (r->ignored || (r->plan->n < 32 && !parallel(r)))
		return 0;
	r->ignored = true;
	for (size_t i = 0; i < r->plan->n; i++) {
		const struct stage *s = r->plan->v[i].stage;

		for (size_t k = 0; s->cmd && k < s->nouts; k++)
			if (s->outs[k]->cache && s->outs[k]->path && *s->outs[k]->path)
				strvec_push(&paths, s->outs[k]->path);
	}
	return record_ignore(r->p, &paths, e);
}

/* Up to the start of the commands, or to the end when none need to run. */
static enum begin run_stage(struct runner *r, size_t i, struct job *j, const struct stage_status *st, struct err *e)
{
	struct stage *s = r->plan->v[i].stage;
	bool cached = false;

	if (r->o->dry)
		return run_dry(r, i, j, st, e) ? BEGIN_FAILED : BEGIN_FINISHED;
	if (take_paths(r, j, s, e))
		return BEGIN_FAILED;
	if (!s->cmd || !node_truthy(s->cmd) || s->frozen)
		return run_verify(r, j, s, e) ? BEGIN_FAILED : BEGIN_FINISHED;
	if (ignore_outputs(r, e))
		return BEGIN_FAILED;
	if (aside_take(&j->aside, r->p, s, j->compared ? st : NULL, e) || record_unprotect(r->p, s, e))
		return BEGIN_FAILED;
	if (!r->forced[i]) {
		if (r->o->pull && pull_deps(r, s, e))
			return BEGIN_FAILED;
		if (try_cached(r, s, st, &cached, e))
			return BEGIN_FAILED;
		if (cached) {
			if (record(r, i, e))
				return BEGIN_FAILED;
			aside_drop(&j->aside);
			return BEGIN_FINISHED;
		}
		if (record_deps(r->p, s, 0, e))
			return BEGIN_FAILED;
	}
	if (open_log(r, j, e) || start_commands(r, j, e))
		return BEGIN_FAILED;
	if (j->id >= 0)
		return BEGIN_STARTED;
	if (record(r, i, e))
		return BEGIN_FAILED;
	aside_drop(&j->aside);
	return BEGIN_FINISHED;
}

static enum begin decide(struct runner *r, size_t i, struct job *j, struct stage_status *st, struct err *e)
{
	struct stage *s = r->plan->v[i].stage;
	bool same = false, done = false;

	if (s->frozen && !stage_is_import(s))
		notice(NOTICE_WARN, "stage: '%s' is frozen. Its dependencies are not going to be reproduced.",
		       j->addressing);
	if ((!r->forced[i] || r->o->explain) && unchanged(r, i, j, st, &same, e))
		return BEGIN_FAILED;
	if (same) {
		notice(NOTICE_INFO, s->kind == STAGE_SINGLE && !s->cmd ? "'%s' didn't change, skipping" :
		       "Stage '%s' didn't change, skipping", j->addressing);
		return BEGIN_UNCHANGED;
	}
	if (r->o->pull && !r->forced[i] && pull_data(r, i, j->addressing, &done, e))
		return BEGIN_FAILED;
	if (done)
		return BEGIN_UNCHANGED;
	if (r->o->explain) {
		autostr struct str why = STR_INIT;

		explain_stage(&why, s, j->addressing, st, r->forced[i]);
		notice(NOTICE_INFO, "%s", str_cstr(&why));
	}
	if (r->o->interactive) {
		autofree char *q = xasprintf("Going to reproduce stage: '%s'. Are you sure you want to continue?",
					     j->addressing);

		if (!r->h->confirm(q, r->h->data)) {
			err_set(e, ERR_FAIL, "reproduction aborted by the user");
			return BEGIN_FAILED;
		}
	}
	return run_stage(r, i, j, st, e);
}

/* --- the end of a step --- */

static void release_waiting(struct runner *r, size_t i)
{
	const struct step *s = &r->plan->v[i];

	for (size_t k = 0; k < s->ndown; k++)
		r->pending[s->down[k]]--;
}

static void step_done(struct runner *r, size_t i, bool ran)
{
	const struct step *s = &r->plan->v[i];

	r->state[i] = STEP_DONE;
	r->last_ran = ran;
	r->result->ran += ran;
	progress_add(progress_current(), 1, 0);
	if (r->o->force_downstream && (ran || r->forced[i]))
		for (size_t k = 0; k < s->ndown; k++)
			r->forced[s->down[k]] = true;
	release_waiting(r, i);
}

/* 'a', 'b' and 'c' */
static void add_quoted(struct str *out, const struct strvec *names)
{
	for (size_t i = 0; i < names->n; i++)
		str_addf(out, "%s'%s'", !i ? "" : i + 1 == names->n ? " and " : ", ", names->v[i]);
}

/* Everything that needs the failed step, planned or not: first what is planned, in its order. */
static void leave_out(struct runner *r, size_t i)
{
	autofree bool *hit = plan_dependents(r->plan, i);
	autostrvec struct strvec names = STRVEC_INIT;
	autostr struct str text = STR_INIT;

	for (size_t k = 0; hit && k < r->plan->n; k++) {
		const struct step *s = &r->plan->v[k];

		if (!hit[s->number])
			continue;
		hit[s->number] = false;
		strvec_take(&names, address(r, s->stage));
		if (r->state[k] == STEP_WAITS)
			r->state[k] = STEP_LEFT_OUT;
	}
	for (size_t k = 0; hit && k < r->plan->index->n; k++)
		if (hit[k])
			strvec_take(&names, address(r, r->plan->index->v[k]));
	if (!names.n)
		return;
	add_quoted(&text, &names);
	notice(NOTICE_WARN, "Stage%s %s will be skipped due to this failure", names.n > 1 ? "s" : "", str_cstr(&text));
}

static void step_failed(struct runner *r, size_t i, const char *addressing, struct err *why, struct err *e)
{
	r->state[i] = STEP_FAILED;
	strvec_push(&r->failed, addressing);
	progress_add(progress_current(), 1, 0);
	if (r->o->on_error == RUN_FAIL || why->code == ERR_INTR) {
		r->stop = true;
		if (!e->code) {
			err_move(e, why);
			if (!e->report)
				err_in(e, "failed to reproduce '%s'", addressing);
			if (e->code != ERR_INTR)
				e->exit_status = 255;
		} else {
			notice(NOTICE_ERROR, "failed to reproduce '%s': %s", addressing, why->msg);
		}
		return;
	}
	notice(NOTICE_WARN, "%s%s", why->plain && !why->report ? why->plain : why->msg,
	       r->o->on_error == RUN_IGNORE ? " (ignored)" : "");
	if (r->o->on_error == RUN_KEEP_GOING)
		leave_out(r, i);
	else
		release_waiting(r, i);
}

static void step_begin(struct runner *r, size_t i, struct err *e)
{
	struct stage_status st = { NULL, 0, 0 };
	struct stage_settings set;
	autoerr struct err why = ERR_INIT;
	struct job *j;
	enum begin b;

	if (r->last_ran && !parallel(r))
		notice(NOTICE_INFO, "%s", "");
	if (settings_read(&set, r->plan->v[i].stage, &why)) {
		autofree char *name = address(r, r->plan->v[i].stage);

		step_failed(r, i, name, &why, e);
		return;
	}
	j = job_new(r, i, &set);
	b = decide(r, i, j, &st, &why);
	stage_status_release(&st);
	if (b == BEGIN_STARTED) {
		r->state[i] = STEP_RUNS;
		limits_count(r, &j->set, 1);
		r->jobs[r->njobs++] = j;
		return;
	}
	if (b == BEGIN_FAILED) {
		show_log(r, j);
		undo(r, j, j->lines.n > 0 && !r->o->dry);
		step_failed(r, i, j->addressing, &why, e);
	} else {
		step_done(r, i, b == BEGIN_FINISHED);
	}
	job_free(r, j);
}

static int command_failed(const struct job *j, int status, struct err *e)
{
	const char *line = j->lines.v[j->next - 1];

	if (j->timed_out)
		return err_set(e, ERR_FAIL, "failed to run: %s, timed out after %gs", line, j->set.timeout);
	return err_set(e, ERR_FAIL, "failed to run: %s, exited with %d", line, status);
}

/* The command came to its end. 1: the job goes on, 0: it is over and was good, -1: it failed. */
static int job_continue(struct runner *r, struct job *j, int status, struct err *e)
{
	const struct stage *s = r->plan->v[j->step].stage;

	j->id = -1;
	if (!status && !j->timed_out) {
		if (j->next == j->lines.n)
			return 0;
		return start_line(r, j, e) ? -1 : 1;
	}
	command_failed(j, status, e);
	if (j->attempt >= j->set.retries || proc_cancelled())
		return -1;
	j->attempt++;
	say(j, "%s\nRetrying stage '%s' (%u of %u)", e->msg, j->addressing, j->attempt, j->set.retries);
	err_release(e);
	orphans_end_stage(j->group, j->addressing, r->p->repo->root);
	for (size_t i = 0; i < s->nouts; i++) {
		struct item *o = s->outs[i];

		/* What lies outside of the repository was not set aside either: it may be all that there is. */
		if (!o->persist && o->path && *o->path && track_remove_out(r->p, o, e))
			return -1;
	}
	j->next = 0;
	j->timed_out = j->killed = false;
	j->deadline = j->set.timeout > 0 ? now() + j->set.timeout : 0;
	return start_line(r, j, e) ? -1 : 1;
}

static void job_finished(struct runner *r, size_t k, int outcome, struct err *why, struct err *e)
{
	struct job *j = r->jobs[k];
	size_t i = j->step;

	r->jobs[k] = r->jobs[--r->njobs];
	limits_count(r, &j->set, -1);
	show_log(r, j);
	if (!outcome && record(r, i, why))
		outcome = -1;
	if (outcome) {
		undo(r, j, true);
		step_failed(r, i, j->addressing, why, e);
	} else {
		aside_drop(&j->aside);
		step_done(r, i, true);
	}
	job_free(r, j);
}

/* --- the loop --- */

static bool step_ready(struct runner *r, size_t i)
{
	struct stage_settings set;
	autoerr struct err none = ERR_INIT;
	bool ok;

	if (r->state[i] != STEP_WAITS || r->pending[i])
		return false;
	if (!parallel(r) || settings_read(&set, r->plan->v[i].stage, &none))
		return true;
	ok = limits_free(r, &set);
	settings_release(&set);
	return ok;
}

static bool next_ready(struct runner *r, size_t *out)
{
	while (r->first < r->plan->n && r->state[r->first] != STEP_WAITS)
		r->first++;
	for (size_t i = r->first; i < r->plan->n; i++) {
		if (step_ready(r, i)) {
			*out = i;
			return true;
		}
	}
	return false;
}

static void enforce_deadlines(struct runner *r)
{
	double t = now();

	for (size_t k = 0; k < r->njobs; k++) {
		struct job *j = r->jobs[k];

		if (j->deadline <= 0 || t < j->deadline || j->id < 0 || j->killed)
			continue;
		r->exec->ops->signal(r->exec, j->id, j->timed_out ? SIGKILL : SIGTERM);
		j->killed = j->timed_out;
		j->timed_out = true;
		j->deadline = t + 5;
	}
}

static int wait_time(const struct runner *r)
{
	double first = 0, t = now();

	for (size_t k = 0; k < r->njobs; k++)
		if (r->jobs[k]->deadline > 0 && (first <= 0 || r->jobs[k]->deadline < first))
			first = r->jobs[k]->deadline;
	if (first <= 0)
		return parallel(r) ? 1000 : -1;
	return first <= t ? 0 : (int)((first - t) * 1000) + 1;
}

static void pass_signal(struct runner *r)
{
	if (!proc_cancelled() || r->signalled)
		return;
	r->stop = r->signalled = true;
	for (size_t k = 0; k < r->njobs; k++)
		r->exec->ops->signal(r->exec, r->jobs[k]->id, parallel(r) ? SIGINT : SIGTERM);
}

static size_t job_of(const struct runner *r, int64_t id)
{
	for (size_t k = 0; k < r->njobs; k++)
		if (r->jobs[k]->id == id)
			return k;
	BUG("no job has the id of a finished command");
}

/* Until one job is over, good or not. -1: it cannot be waited for. */
static int await_job(struct runner *r, size_t *k, int *outcome, struct err *why, struct err *e)
{
	int64_t id = 0;
	int status = 0, got;

	do {
		got = r->exec->ops->wait(r->exec, wait_time(r), &id, &status, e);
		if (got < 0)
			return -1;
		pass_signal(r);
		enforce_deadlines(r);
		if (!got)
			continue;
		*k = job_of(r, id);
		*outcome = job_continue(r, r->jobs[*k], status, why);
	} while (!got || *outcome > 0);
	if (*outcome)
		orphans_end_stage(r->jobs[*k]->group, r->jobs[*k]->addressing, r->p->repo->root);
	return 0;
}

/* One job to its end, with the repository lock given back meanwhile. -1: the run cannot go on; a step's failure is none. */
static int wait_one(struct runner *r, struct err *e)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
	autoerr struct err why = ERR_INIT;
	int outcome = 1, rc;
	size_t k = r->njobs;

	release_idle(r);
	repolock_pause(r->lock);
	if (!parallel(r))
		sigaction(SIGINT, &ignore, &old);       /* the terminal's Ctrl-C is the command's, as with DVC */
	rc = await_job(r, &k, &outcome, &why, e);
	if (!parallel(r))
		sigaction(SIGINT, &old, NULL);
	if (r->lock && repolock_resume(r->lock, rc ? &why : e)) {
		if (!rc)
			err_set(&why, e->code, "%s", e->msg);
		outcome = rc = -1;
	}
	if (k < r->njobs)
		job_finished(r, k, outcome, &why, e);
	return rc;
}

static void kill_all(struct runner *r)
{
	int64_t id;
	int status;
	autoerr struct err e = ERR_INIT;

	for (size_t k = 0; k < r->njobs; k++)
		r->exec->ops->signal(r->exec, r->jobs[k]->id, SIGKILL);
	while (r->njobs && r->exec->ops->wait(r->exec, 1000, &id, &status, &e) > 0) {
		size_t k = job_of(r, id);

		undo(r, r->jobs[k], true);
		job_free(r, r->jobs[k]);
		r->jobs[k] = r->jobs[--r->njobs];
	}
}

static int loop(struct runner *r, struct err *e)
{
	for (;;) {
		size_t i;

		while (!r->stop && r->njobs < r->o->jobs && next_ready(r, &i)) {
			if (proc_check(e)) {
				r->stop = true;
				break;
			}
			step_begin(r, i, e);
		}
		if (!r->njobs)
			break;
		if (wait_one(r, e)) {
			kill_all(r);
			return -1;
		}
	}
	if (proc_cancelled() && !e->code)
		return proc_check(e);
	return e->code ? -1 : 0;
}

static int raise_failed(struct runner *r, struct err *e)
{
	autostr struct str names = STR_INIT;
	size_t n = r->failed.n;

	if (!n || r->o->on_error == RUN_IGNORE)
		return 0;
	add_quoted(&names, &r->failed);
	err_set(e, ERR_FAIL, "failed to reproduce%s %s", n > 1 ? " stages:" : "", str_cstr(&names));
	e->exit_status = 255;
	return -1;
}

static void close_lock(void *l)
{
	lockfile_close(l);
}

/* A failure to sync is that of the run, unless it has another. */
static int close_locks(struct runner *r, struct err *e)
{
	struct map_entry *it;
	int rc = 0;

	for (size_t i = 0; (it = map_next(&r->locks, &i));) {
		autoerr struct err why = ERR_INIT;

		if (!lockfile_sync(it->value, &why))
			continue;
		if (e->code)
			notice(NOTICE_WARN, "%s", why.msg);
		else
			err_move(e, &why);
		rc = -1;
	}
	map_release(&r->locks, close_lock);
	return rc;
}

int runner_run(struct project *p, struct plan *plan, struct repolock *lock, const struct run_opts *o,
	       const struct run_hooks *h, struct run_result *result, struct err *e)
{
	struct runner r = { .p = p, .plan = plan, .lock = lock, .o = o, .h = h, .result = result };
	int rc;

	result->ran = 0;
	r.exec = executor_local();
	r.state = xcalloc(plan->n + 1, sizeof(*r.state));
	r.pending = xcalloc(plan->n + 1, sizeof(*r.pending));
	r.forced = xcalloc(plan->n + 1, sizeof(*r.forced));
	r.jobs = xcalloc(o->jobs + 1, sizeof(*r.jobs));
	command_env_open(&r.env, p->repo->root);
	for (size_t i = 0; i < plan->n; i++) {
		r.pending[i] = plan->v[i].nup;
		r.forced[i] = o->force;
	}
	if (!o->dry)
		aside_recover(p);
	if (parallel(&r))
		progress_begin(&r.progress, "running stages", plan->n, 0);
	rc = loop(&r, e);
	release_idle(&r);
	if (parallel(&r))
		progress_end(&r.progress);
	if (!rc)
		rc = raise_failed(&r, e);
	if (close_locks(&r, e))
		rc = -1;
	map_release(&r.limits, NULL);
	command_env_close(&r.env);
	executor_close(r.exec);
	strvec_release(&r.failed);
	free(r.jobs);
	free(r.forced);
	free(r.pending);
	free(r.state);
	return rc;
}

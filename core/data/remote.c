#include "core/data/remote.h"

#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/str.h"
#include "core/repo/config.h"
#include "core/repo/repo.h"

static const struct remote_openers *openers;    /* set once by main, before any thread */

void remote_set_openers(const struct remote_openers *o)
{
	openers = o;
}

enum rclass rclass_of_err(const struct err *e)
{
	switch (e->code) {
	case ERR_TEMP:
		return RC_RETRY;
	case ERR_AUTH:
		return RC_AUTH;
	case ERR_CORRUPT:
		return RC_CORRUPT;
	case ERR_NOTFOUND:
		return RC_ABSENT;
	default:
		return RC_FATAL;
	}
}

int inflight_submit(struct remote *r, struct inflight *f, struct rop *op, struct err *e)
{
	int rc;

	while ((rc = remote_submit(r, op, e)) > 0)
		if (proc_check(e) || remote_run(r, 1000, e))
			return -1;
	if (!rc)
		f->n++;
	return rc;
}

int inflight_finish(struct remote *r, struct inflight *f, int rc, struct err *e)
{
	while (f->n) {
		autoerr struct err why = ERR_INIT;

		if (rc || f->err.code || proc_cancelled() || remote_run(r, 200, &why))
			r->ops->cancel(r);
		if (why.code && !rc) {
			err_move(e, &why);
			rc = -1;
		}
	}
	if (!rc && f->err.code) {
		err_move(e, &f->err);
		rc = -1;
	}
	err_release(&f->err);
	return rc ? rc : proc_check(e);
}

struct one { enum rclass c; bool over; void *user; };

static void one_done(struct rop *op, enum rclass c)
{
	struct one *o = op->user;

	o->c = c;
	o->over = true;
	op->user = o->user;
}

static enum rclass one_failed(struct rop *op, struct err *e)
{
	err_copy(&op->err, e);
	return rclass_of_err(e) == RC_ABSENT ? RC_FATAL : rclass_of_err(e);
}

enum rclass remote_do(struct remote *r, struct rop *op, struct err *e)
{
	void (*done)(struct rop *, enum rclass) = op->done;
	struct one o = { RC_FATAL, false, op->user };
	autoerr struct err why = ERR_INIT;
	int rc;

	op->done = one_done;
	op->user = &o;
	while ((rc = remote_submit(r, op, e)) > 0)
		if (remote_run(r, 1000, e)) {
			rc = -1;
			break;
		}
	if (rc < 0) {
		op->user = o.user;
		op->done = done;
		return one_failed(op, e);
	}
	while (!o.over)
		if (proc_cancelled() || remote_run(r, 200, &why))
			r->ops->cancel(r);
	op->done = done;
	if (o.c != RC_OK && o.c != RC_EXISTS && o.c != RC_ABSENT) {
		if (why.code)
			err_copy(&op->err, &why);
		if (!op->err.code)
			err_set(&op->err, ERR_FAIL, "the remote gave no reason");
		err_copy(e, &op->err);
	}
	return o.c;
}

struct gather { struct str *out; uint64_t max; };

static int gather_sink(struct rop *op, const void *p, size_t n)
{
	struct gather *g = ((struct one *)op->user)->user;

	if (g->out->len + n > g->max)
		return err_set(&op->err, ERR_PARSE, "'%s' is larger than %llu bytes", op->key, (unsigned long long)g->max);
	str_add(g->out, p, n);
	return 0;
}

static int gather_restart(struct rop *op)
{
	struct gather *g = ((struct one *)op->user)->user;

	str_reset(g->out);
	return 0;
}

int remote_read_all(struct remote *r, const char *key, uint64_t max, struct str *out, struct err *e)
{
	struct gather g = { out, max };
	struct rop op = { .kind = ROP_GET, .key = key, .fd = -1, .sink = gather_sink, .sink_restart = gather_restart, .user = &g };
	enum rclass c;
	int rc = 0;

	str_reset(out);
	c = remote_do(r, &op, e);
	if (c == RC_ABSENT)
		rc = err_set(e, ERR_NOTFOUND, "'%s' is not on the remote", key);
	else if (c != RC_OK)
		rc = err_in(e, "cannot read '%s' from '%s'", key, r->url);
	err_release(&op.err);
	return rc;
}

int remote_write_all(struct remote *r, const char *key, const void *p, size_t n, struct err *e)
{
	struct rop op = { .kind = ROP_PUT, .key = key, .fd = -1, .mem = p, .size = n };
	enum rclass c = remote_do(r, &op, e);

	err_release(&op.err);
	return c == RC_OK || c == RC_EXISTS ? 0 : err_in(e, "cannot write '%s' to '%s'", key, r->url);
}

static int no_remote(struct repo *r, struct err *e)
{
	autostrvec struct strvec names = STRVEC_INIT;

	config_remotes(r->config, &names);
	if (names.n)
		return err_set(e, ERR_CONFIG, "config file error: no remote specified in %s. Setup default remote with\n"
			       "    dvc remote default <remote name>\nor use:\n    dvc <command> -r <remote name>", r->root);
	return err_set(e, ERR_CONFIG, "config file error: no remote specified in %s. Create a default remote with\n"
		       "    dvc remote add -d <remote name> <remote url>", r->root);
}

int remote_open_named(struct remote **out, struct repo *r, const char *name, unsigned jobs, struct err *e)
{
	if (!openers)
		BUG("no opener of remotes was set");
	if (!name || !*name)
		name = config_get(r->config, "core", "remote");
	if (!name || !*name)
		return no_remote(r, e);
	return openers->named(out, r->config, name, jobs, e);
}

int remote_open_url(struct remote **out, const struct config *c, const char *url, const struct map *over, unsigned jobs,
		    struct err *e)
{
	if (!openers)
		BUG("no opener of remotes was set");
	return openers->url(out, c, url, over, jobs, e);
}

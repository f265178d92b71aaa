#include "remotes/registry.h"

#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/repo/config.h"
#include "remotes/duplex.h"
#include "remotes/http.h"
#include "remotes/sftp.h"
#include "remotes/sshconf.h"
#include "remotes/sshlib.h"
#include "remotes/sshpipe.h"

#define CONNECT_SECS 30
#define BULK (8u << 20)                 /* a file of this length makes a connection one for large files */
#define QUIET_SECS 60
#define QUIET_MAX 86400
#define ASK_SECS 600                    /* a person may be typing a passphrase for ssh */

/* One connection, made by the first run() or list(); a refusal is remembered, so that retries do not knock again. */
struct ssh_remote {
	struct remote r;
	struct ssh_conf conf;
	struct sftp *s;
	unsigned window;
	bool loaded, refused;
	bool bulk, no_bulk;             /* large files are waiting; the ssh program was tried for them in vain */
	struct err why;
};

static struct ssh_remote *mine(struct remote *r)
{
	return (struct ssh_remote *)r;
}

static int open_stream(struct ssh_remote *m, struct duplex **d, struct err *e)
{
	autoerr struct err why = ERR_INIT;
	bool try_ssh = false;

	if (!m->loaded) {
		if (sshconf_load(&m->conf, e))
			return -1;
		m->loaded = true;
	}
	if (!m->conf.needs_ssh) {
		if (!sshlib_open(d, &m->conf, &try_ssh, &why))
			return 0;
		if (!try_ssh) {
			err_move(e, &why);
			return -1;
		}
		m->conf.needs_ssh = true;
		m->conf.why_ssh = xstrdup(why.msg);
	}
	notice(NOTICE_DEBUG, "using the ssh program for '%s': %s", m->r.url, m->conf.why_ssh);
	return sshpipe_open(d, &m->conf, NULL, e);
}

/* For large files the ssh program is worth its longer start: it encrypts on another core, with quicker ciphers than libssh2
 * has. What it cannot do without asking somebody is left to libssh2. */
static bool connect_bulk(struct ssh_remote *m)
{
	autoerr struct err why = ERR_INIT;
	struct duplex *d = NULL;
	int rc;

	if (!m->bulk || m->no_bulk || m->conf.needs_ssh)
		return false;
	if (!m->loaded && sshconf_load(&m->conf, &why))
		return false;
	m->loaded = true;
	if (m->conf.needs_ssh)
		return false;
	m->conf.no_questions = true;
	rc = sshpipe_open(&d, &m->conf, NULL, &why) || sftp_attach(m->s, d, m->conf.quiet_secs, &why) ? -1 : 0;
	m->conf.no_questions = false;
	if (rc)
		notice(NOTICE_DEBUG, "the ssh program is left aside for '%s': %s", m->r.url, why.msg);
	m->no_bulk = rc != 0;
	return !rc;
}

/* Only of names that no shell takes for anything else. Nobody is asked: who cannot log in so gets NULL. */
static struct duplex *ask_md5sum(void *data, const char *path, uint64_t n)
{
	struct ssh_remote *m = data;
	autoerr struct err why = ERR_INIT;
	autofree char *command = xasprintf("head -c %llu '%s' | md5sum", (unsigned long long)n, path);
	struct duplex *d = NULL;
	bool questions = m->conf.no_questions;

	if (path[strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+@%=:, -")])
		return NULL;
	m->conf.no_questions = true;
	if (sshpipe_open(&d, &m->conf, command, &why))
		notice(NOTICE_DEBUG, "no md5sum from '%s': %s", m->r.url, why.msg);
	m->conf.no_questions = questions;
	return d;
}

static int connect_now(struct ssh_remote *m, struct err *e)
{
	struct duplex *d = NULL;
	int secs = m->conf.quiet_secs;

	if (connect_bulk(m))
		return 0;
	if (open_stream(m, &d, e))
		return err_in(e, "cannot connect to '%s'", m->r.url);
	if (m->conf.needs_ssh && sshpipe_may_ask() && secs < ASK_SECS)
		secs = ASK_SECS;
	return sftp_attach(m->s, d, secs, e);
}

static int need_connection(struct ssh_remote *m, struct err *e)
{
	if (sftp_attached(m->s))
		return 0;
	if (m->refused) {
		err_copy(e, &m->why);
		return -1;
	}
	if (!connect_now(m, e))
		return 0;
	if (e->code != ERR_TEMP && e->code != ERR_INTR) {
		m->refused = true;
		err_copy(&m->why, e);
	}
	return -1;
}

static int ssh_submit(struct remote *r, struct rop *op, struct err *e UNUSED)
{
	struct ssh_remote *m = mine(r);

	if (sftp_full(m->s))
		return 1;
	op->size = op->kind == ROP_PUT ? op->size : 0;
	if (op->expect >= BULK && !m->bulk && !m->no_bulk) {
		autoerr struct err why = ERR_INIT;

		m->bulk = true;
		/* What listed and looked so far has done its work. */
		if (sftp_attached(m->s) && sftp_idle(m->s) && !m->conf.needs_ssh)
			sftp_fail_all(m->s, RC_RETRY, &why);
	}
	sftp_submit(m->s, op);
	return 0;
}

static int ssh_run(struct remote *r, int timeout_ms, struct err *e UNUSED)
{
	struct ssh_remote *m = mine(r);
	autoerr struct err why = ERR_INIT;

	if (sftp_idle(m->s) && !sftp_attached(m->s))
		return 0;
	if (need_connection(m, &why)) {
		enum rclass c = why.code == ERR_TEMP ? RC_RETRY : why.code == ERR_AUTH ? RC_AUTH : RC_FATAL;

		/* Nobody is there: that code makes a transfer say so once instead of once for every object. */
		if (why.code == ERR_FAIL)
			why.code = ERR_TEMP;
		sftp_fail_all(m->s, c, &why);
		return 0;
	}
	sftp_run(m->s, timeout_ms, &why);       /* a lost connection was told to every operation */
	return 0;
}

static int ssh_list(struct remote *r, const char *prefix, remote_list_fn *fn, void *data, struct err *e)
{
	struct ssh_remote *m = mine(r);

	if (need_connection(m, e))
		return -1;
	return sftp_list(m->s, prefix, fn, data, e);
}

static unsigned ssh_window(struct remote *r, unsigned set)
{
	struct ssh_remote *m = mine(r);

	if (set) {
		m->window = set;
		sftp_window(m->s, set);
	}
	return m->window;
}

static void ssh_cancel(struct remote *r)
{
	autoerr struct err why = ERR_INIT;

	err_set(&why, ERR_INTR, "interrupted");
	sftp_cancel(mine(r)->s, &why);
}

static void ssh_close(struct remote *r)
{
	struct ssh_remote *m = mine(r);

	sftp_free(m->s);
	sshconf_release(&m->conf);
	err_release(&m->why);
	free(r->name);
	free(r->url);
	free(m);
}

static const struct remote_ops ssh_ops = {
	.scheme = "ssh", .close = ssh_close, .submit = ssh_submit, .run = ssh_run, .list = ssh_list, .window = ssh_window,
	.cancel = ssh_cancel,
};

static int read_options(struct ssh_conf *s, const struct remote_conf *c, const struct url *u, struct err *e)
{
	const char *user = rconf_get(c, "user"), *command = NULL;
	int64_t port = rconf_int(c, "port", u->port && *u->port ? atoi(u->port) : 0);
	int64_t secs = rconf_int(c, "timeout", 0);
	autofree char *keyfile = rconf_path(c, "keyfile"), *prompt = NULL, *prompt2 = NULL;

	if (!u->host || !*u->host)
		return err_set(e, ERR_CONFIG, "the URL of an SSH remote needs a host: '%s'", c->url);
	if (port < 0 || port > 65535)
		return err_set(e, ERR_CONFIG, "port %lld of the SSH remote is out of range", (long long)port);
	s->alias = *u->host == '[' ? xstrndup(u->host + 1, strcspn(u->host + 1, "]")) : xstrdup(u->host);
	s->user = xstrdup(user ? user : u->user);
	if (s->user && !*s->user) {
		free(s->user);
		s->user = NULL;
	}
	s->port = (int)port;
	s->keyfile = take(keyfile);
	s->no_agent = !rconf_bool(c, "allow_agent", true);
	s->gss = rconf_bool(c, "gss_auth", false);
	s->connect_secs = secs > 0 && secs < CONNECT_SECS ? (int)secs : CONNECT_SECS;
	s->quiet_secs = secs <= 0 ? QUIET_SECS : secs < QUIET_MAX ? (int)secs : QUIET_MAX;
	if (c->config)
		command = config_own(c->config, "ssh.command");
	s->command = command && *command ? xstrdup(command) : NULL;
	prompt = xasprintf("Enter a password for %s%s%s", s->user ? s->user : "", s->user ? "@" : "", s->alias);
	prompt2 = xasprintf("Enter a passphrase for %s%s%s", s->user ? s->user : "", s->user ? "@" : "", s->alias);
	if (rconf_secret(c, "password", "ask_password", prompt, &s->password, e) ||
	    rconf_secret(c, "passphrase", "ask_passphrase", prompt2, &s->passphrase, e))
		return -1;
	if (!s->password && u->password && *u->password)
		s->password = xstrdup(u->password);
	return 0;
}

static int ssh_open(struct remote **out, const struct remote_conf *c, struct err *e)
{
	struct ssh_remote *m;
	struct url u __attribute__((cleanup(url_release))) = { 0 };

	if (url_parse(&u, c->url, e))
		return -1;
	m = xcalloc(1, sizeof(*m));
	m->r.ops = &ssh_ops;
	m->r.caps = REMOTE_LIST | REMOTE_RANGE | REMOTE_DELETE | REMOTE_PIECES;
	m->r.url = registry_redact(c->url);
	m->s = sftp_new(u.path && *u.path ? u.path : "/", m->r.url);
	if (read_options(&m->conf, c, &u, e)) {
		ssh_close(&m->r);
		return -1;
	}
	sftp_quiet(m->s, m->conf.quiet_secs);
	if (rconf_int(c, "max_sessions", 0) != 1)
		sftp_digests(m->s, ask_md5sum, m);
	m->window = c->jobs ? c->jobs : 16;
	sftp_window(m->s, m->window);
	*out = &m->r;
	return 0;
}

const struct remote_driver ssh_driver = { "ssh", ssh_open };

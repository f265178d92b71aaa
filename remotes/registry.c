#include "remotes/registry.h"

#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/repo/config.h"
#include "remotes/http.h"
#include "remotes/wrap.h"

#include <ctype.h>
#include <fcntl.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

#define REF_DEPTH 16

static const struct remote_driver *const drivers[] = {
	&local_driver, &ssh_driver, &s3_driver, &http_driver, &webdav_driver, &azure_driver, &gs_driver,
};

/* What only Python's DVC can do; a clear word instead of a wrong guess. */
static const char *const foreign[] = { "gdrive", "oss", "hdfs", "webhdfs" };

const char *rconf_get(const struct remote_conf *c, const char *option)
{
	const char *v = c->over ? map_get(c->over, option) : NULL;

	for (size_t i = 0; !v && c->config && i < c->sections.n; i++)
		v = config_get(c->config, c->sections.v[i], option);
	return v;
}

static int bool_of(const char *v)
{
	static const char *const yes[] = { "1", "true", "yes", "on", "enable" };
	static const char *const no[] = { "0", "false", "no", "off", "disable" };

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (!strcasecmp(v, yes[i]))
			return 1;
		if (!strcasecmp(v, no[i]))
			return 0;
	}
	return -1;
}

bool rconf_bool(const struct remote_conf *c, const char *option, bool otherwise)
{
	const char *v = rconf_get(c, option);
	int b = v ? bool_of(v) : -1;

	return b < 0 ? otherwise : b;
}

int64_t rconf_int(const struct remote_conf *c, const char *option, int64_t otherwise)
{
	const char *v = rconf_get(c, option);
	int64_t i;

	return v && str_to_i64(v, &i) ? i : otherwise;
}

unsigned rconf_secs(const struct remote_conf *c, const char *option)
{
	const char *v = rconf_get(c, option);
	double secs = v ? strtod(v, NULL) : 0;

	return secs > 0 && secs < 86400 ? (unsigned)secs + (secs > (unsigned)secs) : 0;
}

char *rconf_path(const struct remote_conf *c, const char *option)
{
	const char *v = c->over ? map_get(c->over, option) : NULL;

	if (v)
		return path_abs(v);
	for (size_t i = 0; c->config && i < c->sections.n; i++)
		if (config_get(c->config, c->sections.v[i], option))
			return config_path(c->config, c->sections.v[i], option);
	return NULL;
}

/* On the terminal itself, whatever stdin and stdout are: a secret is neither echoed nor kept. */
static int ask(const char *prompt, char **out, struct err *e)
{
	autoclose int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	autofree char *question = xasprintf("%s: ", prompt);
	struct termios old, quiet;
	char line[1024];
	ssize_t n;

	if (tty < 0 || tcgetattr(tty, &old))
		return err_set(e, ERR_AUTH, "a password is asked for and there is no terminal");
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(tty, TCSAFLUSH, &quiet);
	n = fs_write_all(tty, question, strlen(question)) ? -1 : read(tty, line, sizeof(line) - 1);
	tcsetattr(tty, TCSAFLUSH, &old);
	if (n <= 0 || fs_write_all(tty, "\n", 1))
		return err_set(e, ERR_AUTH, "no password was given");
	line[n] = 0;
	line[strcspn(line, "\r\n")] = 0;
	*out = xstrdup(line);
	explicit_bzero(line, sizeof(line));
	return 0;
}

int rconf_secret(const struct remote_conf *c, const char *option, const char *ask_option, const char *prompt,
		 char **out, struct err *e)
{
	const char *v = rconf_get(c, option);

	*out = NULL;
	if (v) {
		*out = xstrdup(v);
		return 0;
	}
	if (!ask_option || !rconf_bool(c, ask_option, false))
		return 0;
	return ask(prompt, out, e);
}

/* ---- URLs ---- */

/* "scheme" of "scheme://...", lower case; "" for a path. A drive letter is no scheme. */
static char *scheme_of(const char *url)
{
	const char *p = strstr(url, "://");
	char *s;

	if (!p || p - url < 2)
		return xstrdup("");
	for (const char *c = url; c < p; c++)
		if (!isalnum((unsigned char)*c) && !strchr("+-.", *c))
			return xstrdup("");
	s = xstrndup(url, (size_t)(p - url));
	for (char *c = s; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return s;
}

char *registry_redact(const char *url)
{
	autofree char *scheme = scheme_of(url);
	const char *host, *end, *at = NULL;
	autostr struct str out = STR_INIT;

	if (!*scheme)
		return xstrdup(url);
	host = strstr(url, "://") + 3;
	end = host + strcspn(host, "/?#");
	for (const char *c = host; c < end; c++)
		if (*c == '@')
			at = c;
	str_add(&out, url, (size_t)(host - url));
	if (at) {
		const char *colon = memchr(host, ':', (size_t)(at - host));

		if (colon || !strcmp(scheme, "ssh"))
			str_add(&out, host, (size_t)((colon ? colon : at) - host));
		str_adds(&out, colon ? ":***@" : strcmp(scheme, "ssh") ? "***@" : "@");
		host = at + 1;
	}
	str_add(&out, host, strcspn(host, "?#"));
	return str_take(&out);
}

static const struct remote_driver *driver_of(const char *scheme)
{
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
		autostrvec struct strvec names = STRVEC_INIT;

		if (!*drivers[i]->schemes && !*scheme)
			return drivers[i];
		strvec_split(&names, drivers[i]->schemes, ' ');
		if (*scheme && strvec_has(&names, scheme))
			return drivers[i];
	}
	return NULL;
}

static int no_driver(const char *scheme, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
		if (!strcmp(scheme, foreign[i])) {
			err_set(e, ERR_CONFIG, "remotes of type '%s' are served by Python's DVC only", scheme);
			err_hint(e, "install it with 'pip install dvc-%s' and use 'dvc' for this remote",
				 strstr(scheme, "hdfs") ? "hdfs" : scheme);
			return -1;
		}
	return err_set(e, ERR_CONFIG, "config file error: Unsupported URL type %s://", scheme);
}

/* R2: follows remote:// through the configuration, adding the sections on the way. *out malloc'd. */
static int resolve(struct remote_conf *c, const char *url, char **out, struct err *e)
{
	autofree char *now = xstrdup(url);

	for (int depth = 0; str_starts(now, "remote://"); depth++) {
		autofree char *name = xstrndup(now + 9, strcspn(now + 9, "/"));
		const char *rest = now + 9 + strlen(name), *base;
		autofree char *section = NULL, *base_path = NULL, *next = NULL;

		for (char *p = name; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		if (!c->config || !config_has_remote(c->config, name))
			return err_set(e, ERR_CONFIG, "config file error: remote '%s' doesn't exist", name);
		if (depth >= REF_DEPTH)
			return err_set(e, ERR_CONFIG, "config file error: 'remote://%s' refers to itself", name);
		section = xasprintf("remote \"%s\"", name);
		strvec_push(&c->sections, section);
		base = config_get(c->config, section, "url");
		if (!base)
			return err_set(e, ERR_CONFIG, "config file error: remote '%s' has no url", name);
		if (!strstr(base, "://"))
			base = base_path = config_path(c->config, section, "url");
		while (*rest == '/')
			rest++;
		next = xasprintf("%s%s%s", base, str_ends(base, "/") || !*rest ? "" : "/", rest);
		free(now);
		now = take(next);
	}
	*out = take(now);
	return 0;
}

static int open_conf(struct remote **out, struct remote_conf *c, const char *url, struct err *e)
{
	autofree char *whole = NULL, *scheme = NULL, *abs = NULL;
	const struct remote_driver *d;
	struct remote *r = NULL;

	if (resolve(c, url, &whole, e))
		return -1;
	scheme = scheme_of(whole);
	if (!strcmp(scheme, "file") || !strcmp(scheme, "local")) {
		char *path = xstrdup(strstr(whole, "://") + 3);

		free(whole);
		whole = path;
		*scheme = 0;
	}
	d = driver_of(scheme);
	if (!d)
		return no_driver(scheme, e);
	if (!*scheme) {
		abs = path_abs(whole);
		c->url = abs;
	} else {
		c->url = whole;
	}
	if (c->jobs >= 4096)    /* a negative number, too: the remote chooses */
		c->jobs = 0;
	if (!c->jobs) {
		int64_t jobs = rconf_int(c, "jobs", 0);

		c->jobs = jobs > 0 && jobs < 4096 ? (unsigned)jobs : 0;
	}
	if (d->open(&r, c, e))
		return -1;
	if (!r->name)
		r->name = xstrdup(c->name);
	if (!r->url)
		r->url = registry_redact(c->url);
	r->verify = rconf_bool(c, "verify", false);
	*out = r->caps & REMOTE_LOCAL ? r : wrap_retry(r);
	(*out)->version_aware = rconf_bool(c, "version_aware", false);
	return 0;
}

int registry_open(struct remote **out, const struct config *cfg, const char *name, unsigned jobs, struct err *e)
{
	autofree char *low = xstrdup(name), *section = NULL, *path = NULL;
	struct remote_conf c = { .config = cfg, .jobs = jobs };
	const char *url;
	int rc;

	for (char *p = low; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	section = xasprintf("remote \"%s\"", low);
	if (!config_has_remote(cfg, low))
		return err_set(e, ERR_CONFIG, "config file error: remote '%s' doesn't exist", name);
	url = config_get(cfg, section, "url");
	if (!url)
		return err_set(e, ERR_CONFIG, "config file error: remote '%s' has no url", name);
	if (!strstr(url, "://"))
		url = path = config_path(cfg, section, "url");
	c.name = low;
	strvec_push(&c.sections, section);
	rc = open_conf(out, &c, url, e);
	strvec_release(&c.sections);
	return rc;
}

int registry_open_url(struct remote **out, const struct config *cfg, const char *url, const struct map *over, unsigned jobs,
		      struct err *e)
{
	struct remote_conf c = { .config = cfg, .over = over, .jobs = jobs };
	int rc = open_conf(out, &c, url, e);

	strvec_release(&c.sections);
	return rc;
}

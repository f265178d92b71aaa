/* configschema - DVC's options and their check. See configschema.h. */
#include "core/repo/configschema.h"

#include <ctype.h>
#include <errno.h>

#include "core/base/err.h"
#include "core/base/map.h"
#include "core/base/node.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/repo/config.h"

#define STR(n) { NULL, n, CT_STR, 0, 0, NULL, false }
#define LOWER(n) { NULL, n, CT_LOWER, 0, 0, NULL, false }
#define BOOL(n) { NULL, n, CT_BOOL, 0, 0, NULL, false }
#define BSTR(n) { NULL, n, CT_BOOL_OR_STR, 0, 0, NULL, false }
#define INT(n) { NULL, n, CT_INT, INT64_MIN, 0, NULL, false }
#define INT1(n) { NULL, n, CT_INT, 1, 0, NULL, false }
#define FLOAT(n) { NULL, n, CT_FLOAT, 0, 0, NULL, false }
#define CHOICE(n, c) { NULL, n, CT_CHOICE, 0, 0, c, false }
#define LINKS(n) { NULL, n, CT_LINKS, 0, 0, NULL, false }
#define OLD(n, t, lo, hi) { NULL, n, t, lo, hi, NULL, true }
#define END { NULL, NULL, CT_STR, 0, 0, NULL, false }

#define REMOTE_COMMON \
	STR("url"), INT1("checksum_jobs"), INT1("jobs"), BOOL("worktree"), OLD("no_traverse", CT_BOOL, 0, 0), \
	BOOL("version_aware")
#define LOCAL_COMMON \
	LINKS("type"), OLD("protected", CT_BOOL, 0, 0), CHOICE("shared", "group"), BOOL("slow_link_warning"), BOOL("verify")

static const struct confopt core_opts[] = {
	LOWER("remote"), INT1("checksum_jobs"), BOOL("interactive"), BOOL("analytics"), BOOL("hardlink_lock"),
	BOOL("no_scm"), BOOL("autostage"), OLD("experiments", CT_BOOL, 0, 0), BOOL("check_update"),
	STR("site_cache_dir"), LOWER("machine"), END
};
static const struct confopt cache_opts[] = {
	OLD("local", CT_STR, 0, 0), OLD("s3", CT_STR, 0, 0), OLD("gs", CT_STR, 0, 0), OLD("hdfs", CT_STR, 0, 0),
	OLD("webhdfs", CT_STR, 0, 0), OLD("ssh", CT_STR, 0, 0), OLD("azure", CT_STR, 0, 0), STR("dir"), LOCAL_COMMON, END
};
static const struct confopt state_opts[] = {
	OLD("dir", CT_STR, 0, 0), OLD("row_limit", CT_INT, 1, 0), OLD("row_cleanup_quota", CT_INT, 0, 100), END
};
static const struct confopt index_opts[] = { OLD("dir", CT_STR, 0, 0), END };
static const struct confopt machine_opts[] = {
	CHOICE("cloud", "aws, azure"), CHOICE("region", "us-west, us-east, eu-west, eu-north"), STR("image"), BOOL("spot"),
	{ NULL, "spot_price", CT_FLOAT, INT64_MIN, 0, NULL, false }, INT("instance_hdd_size"), LOWER("instance_type"),
	LOWER("instance_gpu"), STR("ssh_private"), STR("startup_script"), STR("setup_script"), END
};
static const struct confopt feature_opts[] = { BOOL("machine"), END };
static const struct confopt plots_opts[] = { STR("html_template"), BOOL("auto_open"), STR("out_dir"), END };
static const struct confopt exp_opts[] = {
	OLD("code", CT_STR, 0, 0), OLD("data", CT_STR, 0, 0), OLD("models", CT_STR, 0, 0), OLD("metrics", CT_STR, 0, 0),
	OLD("params", CT_STR, 0, 0), OLD("plots", CT_STR, 0, 0), OLD("live", CT_STR, 0, 0), BOOL("auto_push"),
	STR("git_remote"), END
};
static const struct confopt parsing_opts[] = {
	CHOICE("bool", "store_true, boolean_optional"), CHOICE("list", "nargs, append"), END
};
static const struct confopt hydra_opts[] = {
	BOOL("enabled"), STR("config_dir"), STR("config_module"), STR("config_name"), STR("plugins_path"), END
};
static const struct confopt studio_opts[] = { STR("token"), STR("url"), STR("repo_url"), BOOL("offline"), END };
static const struct confopt db_opts[] = { STR("url"), STR("username"), STR("password"), END };

static const struct confopt local_opts[] = { LOCAL_COMMON, REMOTE_COMMON, END };
static const struct confopt s3_opts[] = {
	STR("region"), STR("profile"), STR("credentialpath"), STR("configpath"), STR("endpointurl"), STR("access_key_id"),
	STR("secret_access_key"), STR("session_token"), OLD("listobjects", CT_BOOL, 0, 0), BOOL("use_ssl"),
	BOOL("allow_anonymous_login"), BSTR("ssl_verify"), STR("sse"), STR("sse_kms_key_id"),
	STR("sse_customer_algorithm"), STR("sse_customer_key"), STR("acl"), STR("grant_read"), STR("grant_read_acp"),
	STR("grant_write_acp"), STR("grant_full_control"), { NULL, "cache_regions", CT_REAL_BOOL, 0, 0, NULL, false },
	INT("read_timeout"), INT("connect_timeout"), BOOL("verify"), REMOTE_COMMON, END
};
static const struct confopt gs_opts[] = {
	STR("projectname"), STR("credentialpath"), STR("endpointurl"), BOOL("verify"), BOOL("allow_anonymous_login"),
	REMOTE_COMMON, END
};
static const struct confopt ssh_opts[] = {
	LINKS("type"), INT("port"), STR("user"), STR("password"), BOOL("ask_password"), STR("passphrase"),
	BOOL("ask_passphrase"), STR("keyfile"), INT("timeout"), BOOL("gss_auth"), BOOL("allow_agent"), INT("max_sessions"),
	BOOL("verify"), REMOTE_COMMON, END
};
static const struct confopt hdfs_opts[] = {
	STR("user"), STR("kerb_ticket"), { NULL, "replication", CT_REAL_INT, 0, 0, NULL, false }, REMOTE_COMMON, END
};
static const struct confopt webhdfs_opts[] = {
	BOOL("kerberos"), STR("kerberos_principal"), STR("proxy_to"), BSTR("ssl_verify"), STR("token"), BOOL("use_https"),
	STR("user"), STR("password"), STR("data_proxy_target"), BOOL("verify"), REMOTE_COMMON, END
};
static const struct confopt azure_opts[] = {
	STR("connection_string"), STR("sas_token"), STR("account_name"), STR("account_key"), STR("tenant_id"),
	STR("client_id"), STR("client_secret"), BOOL("allow_anonymous_login"), BOOL("exclude_environment_credential"),
	BOOL("exclude_visual_studio_code_credential"), BOOL("exclude_shared_token_cache_credential"),
	BOOL("exclude_managed_identity_credential"), BOOL("verify"), INT("timeout"), INT("read_timeout"),
	INT("connection_timeout"), REMOTE_COMMON, END
};
static const struct confopt oss_opts[] = {
	STR("oss_key_id"), STR("oss_key_secret"), STR("oss_endpoint"), BOOL("verify"), REMOTE_COMMON, END
};
static const struct confopt gdrive_opts[] = {
	STR("profile"), BOOL("gdrive_use_service_account"), STR("gdrive_client_id"), STR("gdrive_client_secret"),
	STR("gdrive_user_credentials_file"), STR("gdrive_service_account_user_email"),
	STR("gdrive_service_account_json_file_path"), BOOL("gdrive_trash_only"), BOOL("gdrive_acknowledge_abuse"),
	BOOL("verify"), REMOTE_COMMON, END
};
static const struct confopt http_opts[] = {
	CHOICE("auth", "basic, digest, custom"), STR("custom_auth_header"), STR("user"), STR("password"),
	BOOL("ask_password"), BSTR("ssl_verify"), STR("method"), FLOAT("connect_timeout"), FLOAT("read_timeout"),
	BOOL("verify"), REMOTE_COMMON, END
};
static const struct confopt webdav_opts[] = {
	STR("user"), STR("password"), BOOL("ask_password"), STR("token"), STR("bearer_token_command"),
	STR("custom_auth_header"), STR("cert_path"), STR("key_path"), INT("timeout"), BSTR("ssl_verify"), BOOL("verify"),
	REMOTE_COMMON, END
};
static const struct confopt any_opts[] = { END };

const char *const configschema_sections[] = {
	"core", "cache", "remote", "state", "index", "machine", "feature", "plots", "exp", "parsing", "hydra", "studio", "db",
	NULL
};

struct named { const char *name; const struct confopt *opts; };
static const struct named sections[] = {
	{ "core", core_opts }, { "cache", cache_opts }, { "state", state_opts }, { "index", index_opts },
	{ "feature", feature_opts }, { "plots", plots_opts }, { "exp", exp_opts }, { "parsing", parsing_opts },
	{ "hydra", hydra_opts }, { "studio", studio_opts },
};
static const struct named schemes[] = {
	{ "", local_opts }, { "s3", s3_opts }, { "gs", gs_opts }, { "ssh", ssh_opts }, { "hdfs", hdfs_opts },
	{ "webhdfs", webhdfs_opts }, { "azure", azure_opts }, { "oss", oss_opts }, { "gdrive", gdrive_opts },
	{ "http", http_opts }, { "https", http_opts }, { "webdav", webdav_opts }, { "webdavs", webdav_opts },
	{ "remote", any_opts },
};

const struct confopt *configschema_section(const char *section)
{
	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		if (!strcmp(sections[i].name, section))
			return sections[i].opts;
	return NULL;
}

const struct confopt *configschema_remote(const char *scheme)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (!strcmp(schemes[i].name, scheme))
			return schemes[i].opts;
	return NULL;
}

char *configschema_scheme(const char *url)
{
	size_t n = 0;
	char *s;

	while (isalnum((unsigned char)url[n]) || (n && url[n] && strchr("+-.", url[n])))
		n++;
	if (!n || !isalpha((unsigned char)url[0]) || strncmp(url + n, "://", 3) || strchr("/?#", url[n + 3]))
		return xstrdup("");
	s = xstrndup(url, n);
	str_lower(&s);
	return s;
}

bool configschema_is_path(const char *section, const char *option)
{
	static const char *const remote[] = {
		"url", "gdrive_user_credentials_file", "gdrive_service_account_json_file_path", "credentialpath", "configpath",
		"keyfile", "cert_path", "key_path",
	};

	if (!strcmp(section, "cache"))
		return !strcmp(option, "dir");
	if (str_starts(section, "machine \""))
		return !strcmp(option, "startup_script") || !strcmp(option, "setup_script");
	for (size_t i = 0; str_starts(section, "remote \"") && i < ARRAY_LEN(remote); i++)
		if (!strcmp(remote[i], option))
			return true;
	return false;
}

bool configschema_is_secret(const char *option)
{
	static const char *const names[] = {
		"password", "passphrase", "secret_access_key", "session_token", "sse_customer_key", "account_key", "sas_token",
		"connection_string", "client_secret", "oss_key_secret", "gdrive_client_secret", "token",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(names[i], option))
			return true;
	return false;
}

/* --- values -------------------------------------------------------------------------------------------------------- */

static bool is_choice(const char *value, const char *choices)
{
	autostrvec struct strvec all = STRVEC_INIT;

	strvec_split(&all, choices, ',');
	for (size_t i = 0; i < all.n; i++)
		if (!strcasecmp(all.v[i] + strspn(all.v[i], " "), value))
			return true;
	return false;
}

/* Python's int() of a text: blanks around, a sign, single underscores between digits. */
static bool python_int(const char *text, int64_t *out)
{
	autofree char *t = str_trim_dup(text);
	autostr struct str s = STR_INIT;
	char *end;

	for (char *p = t; *p; p++) {
		bool digit = isdigit((unsigned char)*p);

		if (*p == '_' && p > t && isdigit((unsigned char)p[-1]) && isdigit((unsigned char)p[1]))
			continue;
		if (!digit && !(p == t && (*p == '-' || *p == '+')))
			return false;
		str_addc(&s, *p);
	}
	if (!s.len || !isdigit((unsigned char)s.buf[s.len - 1]))
		return false;
	*out = strtoll(s.buf, &end, 10);        /* beyond its range: the end of it, as no bound lies so far out */
	return true;
}

static bool python_float(const char *text, double *out)
{
	autofree char *t = str_trim_dup(text);
	char *end;

	if (!*t || strpbrk(t, "xXpP"))
		return false;
	*out = strtod(t, &end);
	return !*end;
}

static int bad(struct err *e, const char *where, const char *what)
{
	return err_set(e, ERR_CONFIG, "configuration error - config file error: %s for dictionary value @ data%s", what, where);
}

static int check_links(const struct strvec *v, bool is_list, const char *where, struct err *e)
{
	autostrvec struct strvec types = STRVEC_INIT, wrong = STRVEC_INIT;
	autofree char *names = NULL, *msg = NULL;

	if (is_list)
		for (size_t i = 0; i < v->n; i++)
			strvec_push(&types, v->v[i]);
	else
		strvec_split(&types, v->v[0], ',');
	for (size_t i = 0; i < types.n; i++) {
		autofree char *t = is_list ? xstrdup(types.v[i]) : str_trim_dup(types.v[i]);

		if (strcmp(t, "reflink") && strcmp(t, "hardlink") && strcmp(t, "symlink") && strcmp(t, "copy") &&
		    !strvec_has(&wrong, t))
			strvec_push(&wrong, t);
	}
	if (!wrong.n)
		return 0;
	names = strvec_join(&wrong, ", ");
	msg = xasprintf("Unsupported cache type(s): %s", names);
	return bad(e, where, msg);
}

static int check_number(const struct confopt *o, const char *text, const char *where, struct err *e)
{
	autofree char *msg = NULL;
	int64_t i = 0;
	double f = 0;

	if (o->type == CT_INT && (!text || !python_int(text, &i)))
		return bad(e, where, "expected int");
	if (o->type == CT_FLOAT && (!text || !python_float(text, &f)))
		return bad(e, where, "expected float");
	if (o->min != INT64_MIN && (o->type == CT_INT ? i < o->min : f < (double)o->min)) {
		msg = xasprintf("value must be at least %lld", (long long)o->min);
		return bad(e, where, msg);
	}
	if (o->max && i > o->max) {
		msg = xasprintf("value must be at most %lld", (long long)o->max);
		return bad(e, where, msg);
	}
	return 0;
}

static int check_value(const struct confopt *o, const struct strvec *v, bool is_list, const char *where, struct err *e)
{
	const char *one = is_list ? NULL : v->v[0];
	autofree char *msg = NULL;

	switch (o->type) {
	case CT_ANY:
	case CT_LOWER:
		return 0;
	case CT_STR:
		return one ? 0 : bad(e, where, "expected str");
	case CT_BOOL:
		return one && is_choice(one, "true, false") ? 0 : bad(e, where, "expected true or false");
	case CT_BOOL_OR_STR:
		return one ? 0 : bad(e, where, "expected true or false");
	case CT_REAL_INT:
		return bad(e, where, "expected int");
	case CT_REAL_BOOL:
		return bad(e, where, "expected bool");
	case CT_CHOICE:
		if (one && is_choice(one, o->choices))
			return 0;
		msg = xasprintf("expected one of %s", o->choices);
		return bad(e, where, msg);
	case CT_LINKS:
		return check_links(v, is_list, where, e);
	case CT_INT:
	case CT_FLOAT:
		return check_number(o, one, where, e);
	}
	return 0;
}

/* --- sections ------------------------------------------------------------------------------------------------------ */

static void add_repr(struct str *s, const char *text)
{
	autonode struct node *n = node_str(text);

	str_addc(s, '[');
	node_py_repr(s, n);
	str_addc(s, ']');
}

static int extra_keys(const char *where, struct err *e)
{
	return err_set(e, ERR_CONFIG, "configuration error - config file error: extra keys not allowed @ data%s", where);
}

/* where: "['core']". */
static int check_section(const struct config *c, int upto, const char *section, const char *where,
			 const struct confopt *opts, struct err *e)
{
	autostrvec struct strvec names = STRVEC_INIT;

	config_options_below(c, upto, section, &names);
	for (size_t i = 0; i < names.n; i++) {
		autostr struct str at = STR_INIT;
		const struct confopt *o = opts;
		const struct strvec *v;
		bool is_list;

		str_adds(&at, where);
		add_repr(&at, names.v[i]);
		while (o->name && strcmp(o->name, names.v[i]))
			o++;
		v = config_value_below(c, upto, section, names.v[i], &is_list);
		if (!o->name && opts == any_opts)
			continue;
		if (!o->name && opts == feature_opts)
			continue;
		if (!o->name)
			return extra_keys(at.buf, e);
		if (!v) {       /* a section where a value belongs: harmless for options DVC turns into text */
			if (o->type != CT_LOWER)
				return bad(e, at.buf, "expected str");
			continue;
		}
		if (check_value(o, v, is_list, at.buf, e))
			return -1;
	}
	return 0;
}

static int check_remote(const struct config *c, int upto, const char *section, const char *where, struct err *e)
{
	bool is_list;
	const struct strvec *v = config_value_below(c, upto, section, "url", &is_list);
	autofree char *scheme = NULL, *msg = NULL;
	const struct confopt *opts;

	if (!v)
		return bad(e, where, "expected 'url'");
	if (is_list)
		return err_set(e, ERR_FAIL, "unexpected error - expected string or bytes-like object, got 'list'");
	scheme = configschema_scheme(v->v[0]);
	opts = configschema_remote(scheme);
	if (!opts) {
		msg = xasprintf("Unsupported URL type %s://", scheme);
		return bad(e, where, msg);
	}
	return check_section(c, upto, section, where, opts, e);
}

int configschema_check_options(const char *scheme, const struct map *options, struct err *e)
{
	struct map_entry *it;

	for (size_t i = 0; (it = map_next(options, &i));) {
		const struct confopt *o = configschema_remote(scheme);
		autostrvec struct strvec v = STRVEC_INIT;
		autostr struct str at = STR_INIT;

		add_repr(&at, it->key);
		strvec_push(&v, it->value);
		while (o && o->name && strcmp(o->name, it->key))
			o++;
		if (o && !o->name)
			return extra_keys(at.buf, e);
		if (o && check_value(o, &v, false, at.buf, e))
			return -1;
	}
	return 0;
}

/* All sections of a kind: 'remote "a"', 'remote "b"', ... */
static int check_named(const struct config *c, int upto, const char *kind, const struct strvec *all, struct err *e)
{
	autofree char *prefix = xasprintf("%s \"", kind);
	autostrvec struct strvec values = STRVEC_INIT;
	bool is_list;

	config_options_below(c, upto, kind, &values);
	for (size_t i = 0; i < values.n; i++) {
		autofree char *where = xasprintf("['%s']['%s']", kind, values.v[i]);

		if (config_value_below(c, upto, kind, values.v[i], &is_list))
			return bad(e, where, "expected a dictionary");
	}
	for (size_t i = 0; i < all->n; i++) {
		autofree char *name = NULL;
		autostr struct str where = STR_INIT;
		int rc;

		if (!str_starts(all->v[i], prefix))
			continue;
		name = xstrndup(all->v[i] + strlen(prefix), strlen(all->v[i]) - strlen(prefix) - 1);
		str_addf(&where, "['%s']", kind);
		add_repr(&where, name);
		if (!strcmp(kind, "remote"))
			rc = check_remote(c, upto, all->v[i], where.buf, e);
		else
			rc = check_section(c, upto, all->v[i], where.buf, *kind == 'm' ? machine_opts : db_opts, e);
		if (rc)
			return -1;
	}
	return 0;
}

static int check_hydra(const struct config *c, int upto, struct err *e)
{
	bool l;

	if (!config_value_below(c, upto, "hydra", "config_dir", &l) ||
	    !config_value_below(c, upto, "hydra", "config_module", &l))
		return 0;
	return err_set(e, ERR_CONFIG, "configuration error - config file error: two or more values in the same group of "
		       "exclusion 'config_source' @ data['hydra'][<config_source>]");
}

static void warn_features(const struct config *c, int upto)
{
	autostrvec struct strvec names = STRVEC_INIT, odd = STRVEC_INIT;
	autofree char *list = NULL;

	config_options_below(c, upto, "feature", &names);
	for (size_t i = 0; i < names.n; i++)
		if (strcmp(names.v[i], "machine"))
			strvec_pushf(&odd, "'feature.%s'", names.v[i]);
	if (!odd.n)
		return;
	strvec_sort(&odd);
	list = strvec_join(&odd, ", ");
	notice(NOTICE_WARN, "%s config option%s unsupported", list, odd.n == 1 ? " is" : "s are");
}

int configschema_check(const struct config *c, int upto, bool warn, struct err *e)
{
	autostrvec struct strvec all = STRVEC_INIT;
	const char *const *s;

	if (warn)
		warn_features(c, upto);

	config_sections_below(c, upto, &all);
	for (s = configschema_sections; *s; s++) {
		autofree char *where = xasprintf("['%s']", *s);
		const struct confopt *opts = configschema_section(*s);

		if (!strcmp(*s, "hydra") && check_hydra(c, upto, e))
			return -1;
		if (opts ? check_section(c, upto, *s, where, opts, e) : check_named(c, upto, *s, &all, e))
			return -1;
	}
	for (size_t i = 0; i < all.n; i++) {
		autostr struct str where = STR_INIT;
		bool known = str_starts(all.v[i], "remote \"") || str_starts(all.v[i], "machine \"") ||
			str_starts(all.v[i], "db \"");

		for (s = configschema_sections; *s && !known; s++)
			known = !strcmp(*s, all.v[i]);
		if (known)
			continue;
		add_repr(&where, all.v[i]);
		return extra_keys(where.buf, e);
	}
	return 0;
}

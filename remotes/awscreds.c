#include "remotes/awscreds.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/json.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/proc.h"

#include <strings.h>
#include <time.h>
#include <unistd.h>

#define ROLE_DEPTH 8
#define RENEW_BEFORE 300
#define RENEW_PAUSE 60

void aws_keys_release(struct aws_keys *k)
{
	if (k->secret_key)
		explicit_bzero(k->secret_key, strlen(k->secret_key));
	free(k->access_key);
	free(k->secret_key);
	free(k->token);
	memset(k, 0, sizeof(*k));
}

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

static char *aws_file(const char *option, const char *variable, const char *fallback)
{
	const char *v = env(variable), *home = env("HOME");

	/* DVC sets the variable from the option only if it is not set. */
	if (!v)
		v = option;
	if (v)
		return v[0] == '~' && v[1] == '/' && home ? path_join(home, v + 2) : xstrdup(v);
	return home ? path_join(home, fallback) : xstrdup("");
}

int aws_setup_init(struct aws_setup *a, const char *profile, const char *credentialpath, const char *configpath,
		   const char *region, struct err *e)
{
	autofree char *config = aws_file(configpath, "AWS_CONFIG_FILE", ".aws/config");
	autofree char *creds = aws_file(credentialpath, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
	const char *p = profile ? profile : env("AWS_PROFILE") ? env("AWS_PROFILE") : env("AWS_DEFAULT_PROFILE");
	const char *r;

	memset(a, 0, sizeof(*a));
	/* Later wins: the credentials file is stronger. */
	if ((*config && awsini_load(&a->ini, config, true, e)) || (*creds && awsini_load(&a->ini, creds, false, e)))
		return err_in(e, "cannot read the AWS configuration");
	if (p && !awsini_has(&a->ini, p)) {
		err_set(e, ERR_AUTH, "The config profile (%s) could not be found", p);
		e->exit_status = 255;   /* DVC does not expect it */
		return -1;
	}
	a->profile = xstrdup(p ? p : "default");
	a->profile_explicit = profile != NULL;
	r = region ? region : env("AWS_REGION") ? env("AWS_REGION") : env("AWS_DEFAULT_REGION");
	if (!r)
		r = aws_option(a, "region");
	a->region_known = r != NULL;
	a->region = xstrdup(r ? r : "us-east-1");
	return 0;
}

void aws_setup_release(struct aws_setup *a)
{
	awsini_release(&a->ini);
	free(a->profile);
	free(a->access_key);
	free(a->secret_key);
	free(a->token);
	free(a->region);
	memset(a, 0, sizeof(*a));
}

const char *aws_option(const struct aws_setup *a, const char *key)
{
	return awsini_get(&a->ini, a->profile, key);
}

static bool is_true(const char *v)
{
	return v && !strcasecmp(v, "true");
}

const char *aws_endpoint(const struct aws_setup *a, const char *service)
{
	autofree char *variable = xasprintf("AWS_ENDPOINT_URL_%s", !strcmp(service, "s3") ? "S3" : "STS");
	autofree char *option = xasprintf("%s.endpoint_url", service);
	const char *v = env(variable);

	if (is_true(env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")) || is_true(aws_option(a, "ignore_configured_endpoint_urls")))
		return NULL;
	if (!v)
		v = env("AWS_ENDPOINT_URL");
	if (!v)
		v = awsini_service(&a->ini, a->profile, option);
	return v ? v : aws_option(a, "endpoint_url");
}

int64_t aws_time(const char *iso)
{
	struct tm tm = { 0 };
	const char *rest = iso ? strptime(iso, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	int hours, minutes, sign;

	if (!rest)
		return 0;
	rest += *rest == '.' ? 1 + strspn(rest + 1, "0123456789") : 0;
	sign = *rest == '+' ? 1 : *rest == '-' ? -1 : 0;
	if (!sign || sscanf(rest + 1, "%2d:%2d", &hours, &minutes) != 2)
		hours = minutes = 0;
	return (int64_t)timegm(&tm) - sign * (hours * 3600 + minutes * 60);
}

int aws_keys_renew(struct aws_keys *k, struct aws_setup *a, bool now, struct err *e)
{
	int64_t t = (int64_t)time(NULL);
	struct aws_keys new = { 0 };

	if (!now && (!k->expires || t + RENEW_BEFORE < k->expires || (t < k->asked + RENEW_PAUSE && t < k->expires)))
		return 0;
	k->asked = t;
	if (aws_keys_get(&new, a, e)) {
		if (now || t >= k->expires)
			return err_in(e, "cannot renew the keys");
		err_release(e);
		return 0;
	}
	aws_keys_release(k);
	*k = new;
	k->asked = t;
	return 0;
}

static void set_keys(struct aws_keys *out, const char *access, const char *secret, const char *token, const char *source)
{
	aws_keys_release(out);
	out->access_key = xstrdup(access);
	out->secret_key = xstrdup(secret);
	out->token = token && *token ? xstrdup(token) : NULL;
	out->source = source;
}

int aws_keys_from_json(struct aws_keys *out, const char *text, size_t len, const char *what, struct err *e)
{
	autonode struct node *n = NULL;
	autoerr struct err why = ERR_INIT;
	const char *access, *secret, *token;

	if (json_parse(&n, text, len, what, &why))
		return err_set(e, ERR_AUTH, "%s gave no JSON", what);
	access = node_get_str(n, "AccessKeyId");
	secret = node_get_str(n, "SecretAccessKey");
	token = node_get_str(n, "SessionToken");
	if (!token)
		token = node_get_str(n, "Token");
	if (!access || !secret)
		return err_set(e, ERR_AUTH, "%s gave no keys", what);
	set_keys(out, access, secret, token, what);
	out->expires = aws_time(node_get_str(n, "Expiration"));
	return 0;
}

/* ---- steps: 1 got keys, 0 not configured, -1 error ---- */

static int from_remote(struct aws_keys *out, const struct aws_setup *a, struct err *e)
{
	if (!a->access_key && !a->secret_key)
		return 0;
	if (!a->access_key || !a->secret_key)
		return err_set(e, ERR_AUTH, "the remote sets only one of 'access_key_id' and 'secret_access_key'");
	set_keys(out, a->access_key, a->secret_key, a->token, "the remote's configuration");
	return 1;
}

static int from_env(struct aws_keys *out, const struct aws_setup *a, struct err *e)
{
	const char *access = env("AWS_ACCESS_KEY_ID"), *secret = env("AWS_SECRET_ACCESS_KEY");
	const char *token = env("AWS_SESSION_TOKEN") ? env("AWS_SESSION_TOKEN") : env("AWS_SECURITY_TOKEN");

	if (a->profile_explicit || !access)
		return 0;
	if (!secret)
		return err_set(e, ERR_AUTH, "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not");
	set_keys(out, access, secret, token, "the environment");
	out->expires = aws_time(env("AWS_CREDENTIAL_EXPIRATION"));
	return 1;
}

static int from_profile_keys(struct aws_keys *out, const struct aws_setup *a, const char *profile)
{
	const char *access = awsini_get(&a->ini, profile, "aws_access_key_id");
	const char *secret = awsini_get(&a->ini, profile, "aws_secret_access_key");

	if (!access || !secret)
		return 0;
	set_keys(out, access, secret, awsini_get(&a->ini, profile, "aws_session_token"), "the AWS profile");
	return 1;
}

static int from_program(struct aws_keys *out, const struct strvec *argv, const char *what, struct err *e)
{
	autostr struct str text = STR_INIT;
	int status = 0;

	if (proc_run((const char *const *)argv->v, NULL, NULL, 0, &text, NULL, &status, e))
		return err_in(e, "%s", what);
	if (status)
		return err_set(e, ERR_AUTH, "%s: '%s' failed with status %d", what, argv->v[0], status);
	return aws_keys_from_json(out, str_cstr(&text), text.len, what, e) ? -1 : 1;
}

static int from_process(struct aws_keys *out, const struct aws_setup *a, const char *profile, struct err *e)
{
	const char *line = awsini_get(&a->ini, profile, "credential_process");
	autostrvec struct strvec argv = STRVEC_INIT;

	if (!line)
		return 0;
	if (strvec_add_words(&argv, line) || !argv.n)
		return err_set(e, ERR_CONFIG, "credential_process of the AWS profile '%s' cannot be read", profile);
	return from_program(out, &argv, "credential_process", e);
}

/* Single sign-on needs a browser and a cache of tokens: the aws program has both. */
static int from_sso(struct aws_keys *out, const struct aws_setup *a, const char *profile, struct err *e)
{
	static const char *const words[] = { "aws", "configure", "export-credentials", "--format", "process", "--profile" };
	autostrvec struct strvec argv = STRVEC_INIT;

	if (!awsini_get(&a->ini, profile, "sso_start_url") && !awsini_get(&a->ini, profile, "sso_session"))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		strvec_push(&argv, words[i]);
	strvec_push(&argv, profile);
	if (from_program(out, &argv, "single sign-on", e) < 0) {
		err_hint(e, "install the AWS command line and run 'aws sso login --profile %s'", profile);
		return -1;
	}
	return 1;
}

static int from_profile(struct aws_keys *out, struct aws_setup *a, const char *profile, int depth, struct err *e);

static int by_source(struct aws_keys *by, struct aws_setup *a, const char *profile, int depth, struct err *e)
{
	const char *source = awsini_get(&a->ini, profile, "source_profile");
	const char *kind = awsini_get(&a->ini, profile, "credential_source");
	struct aws_setup no_profile = { .profile_explicit = false };
	int rc = 0;

	if (source && strcmp(source, profile)) {
		if (!awsini_has(&a->ini, source))
			return err_set(e, ERR_CONFIG, "the AWS profile '%s' names a source_profile '%s' that is not there",
				       profile, source);
		rc = from_profile(by, a, source, depth + 1, e);
	} else if (source) {
		rc = from_profile_keys(by, a, source);
	} else if (kind && !strcmp(kind, "Environment")) {
		rc = from_env(by, &no_profile, e);
	} else if (kind && !strcmp(kind, "EcsContainer")) {
		rc = aws_container(by, e);
	} else if (kind && !strcmp(kind, "Ec2InstanceMetadata")) {
		rc = aws_instance(by, e);
	}
	return rc ? rc : err_set(e, ERR_AUTH, "the AWS profile '%s' has a role and no keys to take it with", profile);
}

static int from_role(struct aws_keys *out, struct aws_setup *a, const char *profile, int depth, struct err *e)
{
	const char *role = awsini_get(&a->ini, profile, "role_arn");
	const char *token_file = awsini_get(&a->ini, profile, "web_identity_token_file");
	struct aws_keys by = { 0 };
	int rc;

	if (!role)
		return 0;
	if (depth > ROLE_DEPTH)
		return err_set(e, ERR_CONFIG, "the AWS profile '%s' refers to itself", profile);
	if (token_file)
		return aws_sts_web_identity(out, a, role, token_file,
					    awsini_get(&a->ini, profile, "role_session_name"), e) ? -1 : 1;
	rc = by_source(&by, a, profile, depth, e);
	if (rc > 0)
		rc = aws_sts_assume(out, a, &by, profile, e) ? -1 : 1;
	aws_keys_release(&by);
	return rc;
}

static int from_profile(struct aws_keys *out, struct aws_setup *a, const char *profile, int depth, struct err *e)
{
	int rc = from_role(out, a, profile, depth, e);

	if (!rc)
		rc = from_sso(out, a, profile, e);
	if (!rc)
		rc = from_profile_keys(out, a, profile);
	return rc ? rc : from_process(out, a, profile, e);
}

static int from_web_identity(struct aws_keys *out, struct aws_setup *a, struct err *e)
{
	const char *file = env("AWS_WEB_IDENTITY_TOKEN_FILE"), *role = env("AWS_ROLE_ARN");

	if (a->profile_explicit || !file)
		return 0;
	if (!role)
		role = aws_option(a, "role_arn");
	if (!role)
		return err_set(e, ERR_AUTH, "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not");
	return aws_sts_web_identity(out, a, role, file, env("AWS_ROLE_SESSION_NAME"), e) ? -1 : 1;
}

int aws_keys_get(struct aws_keys *out, struct aws_setup *a, struct err *e)
{
	int rc = from_remote(out, a, e);

	if (!rc)
		rc = from_env(out, a, e);
	if (!rc)
		rc = from_role(out, a, a->profile, 0, e);
	if (!rc)
		rc = from_web_identity(out, a, e);
	if (!rc)
		rc = from_profile(out, a, a->profile, 0, e);
	if (!rc)
		rc = aws_container(out, e);
	if (!rc)
		rc = aws_instance(out, e);
	if (rc > 0)
		return 0;
	if (!rc) {
		err_set(e, ERR_AUTH, "unable to locate AWS credentials");
		err_hint(e, "run 'aws configure', set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the remote "
			 "'access_key_id' and 'secret_access_key' with 'git data remote modify --local'");
	}
	return -1;
}

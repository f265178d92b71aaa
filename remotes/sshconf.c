#include "remotes/sshconf.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/base/proc.h"

#include <ctype.h>
#include <pwd.h>
#include <unistd.h>
#ifdef __aarch64__
#include <sys/auxv.h>
#endif

void sshconf_release(struct ssh_conf *c)
{
	free(c->alias);
	free(c->user);
	free(c->keyfile);
	if (c->password)
		explicit_bzero(c->password, strlen(c->password));
	free(c->password);
	if (c->passphrase)
		explicit_bzero(c->passphrase, strlen(c->passphrase));
	free(c->passphrase);
	free(c->command);
	free(c->host);
	free(c->key_alias);
	free(c->login);
	strvec_release(&c->identities);
	strvec_release(&c->known_hosts);
	free(c->agent);
	free(c->why_ssh);
	free(c->ciphers);
	strvec_release(&c->opts);
	memset(c, 0, sizeof(*c));
}

static const char *home_dir(void)
{
	const char *home = getenv("HOME");
	const struct passwd *pw;

	if (home && *home == '/')
		return home;
	pw = getpwuid(getuid());
	return pw && pw->pw_dir ? pw->pw_dir : "/";
}

static bool home_differs(void)
{
	const struct passwd *pw = getpwuid(getuid());

	return pw && pw->pw_dir && strcmp(pw->pw_dir, home_dir()) != 0;
}

/* ~ in what ssh -G prints is $HOME here (C2); the other tokens ssh has replaced already. */
static char *expand(const char *path)
{
	if (path[0] == '~' && path[1] == '/')
		return xasprintf("%s%s", home_dir(), path + 1);
	return xstrdup(path);
}

/* A path below the home of the password file is one below $HOME (C2). */
static char *rehome(const char *path)
{
	const struct passwd *pw = getpwuid(getuid());
	autofree char *p = expand(path);
	size_t n = pw && pw->pw_dir ? strlen(pw->pw_dir) : 0;

	if (n && home_differs() && !strncmp(p, pw->pw_dir, n) && !strncmp(p + n, "/.ssh/", 6))
		return xasprintf("%s%s", home_dir(), p + n);
	return take(p);
}

static void use_ssh(struct ssh_conf *c, const char *why)
{
	if (c->needs_ssh)
		return;
	c->needs_ssh = true;
	c->why_ssh = xstrdup(why);
}

static void add_files(struct strvec *v, const char *list)
{
	autostrvec struct strvec words = STRVEC_INIT;
	size_t i;

	strvec_split(&words, list, ' ');
	for (i = 0; i < words.n; i++)
		if (*words.v[i] && strcmp(words.v[i], "none") != 0)
			strvec_take(v, rehome(words.v[i]));
}

static void put(char **slot, const char *value)
{
	free(*slot);
	*slot = xstrdup(value);
}

/* C4: as OpenSSH 6.9 to 9.9, and 10.0 and later, were built. What a person or a distribution chose is another list. */
static const char *const built_in[] = {
	"chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com",
	"chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr",
};

static bool has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
	return (getauxval(AT_HWCAP) & (HWCAP_AES | HWCAP_PMULL)) == (HWCAP_AES | HWCAP_PMULL);
#else
	return false;
#endif
}

static void take_ciphers(struct ssh_conf *c, const char *list)
{
	static const char gcm[] = "aes128-gcm@openssh.com,aes256-gcm@openssh.com";
	size_t i;

	for (i = 0; i < ARRAY_LEN(built_in) && strcmp(list, built_in[i]) != 0; i++)
		;
	if (i == ARRAY_LEN(built_in) || !has_aes())
		return;
	free(c->ciphers);
	c->ciphers = xasprintf("%s,chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr", gcm);
}

static void take_option(struct ssh_conf *c, const char *key, const char *value, struct strvec *system_hosts)
{
	bool none = !strcmp(value, "none");

	if (!strcmp(key, "hostname")) {
		put(&c->host, value);
	} else if (!strcmp(key, "user")) {
		put(&c->login, value);
	} else if (!strcmp(key, "port")) {
		c->real_port = atoi(value);
	} else if (!strcmp(key, "hostkeyalias")) {
		put(&c->key_alias, value);
	} else if (!strcmp(key, "identityfile") && !none) {
		autofree char *file = rehome(value);

		if (fs_exists(file))
			strvec_push(&c->identities, file);
	} else if (!strcmp(key, "ciphers")) {
		take_ciphers(c, value);
	} else if (!strcmp(key, "identitiesonly")) {
		c->identities_only = !strcmp(value, "yes");
	} else if (!strcmp(key, "identityagent")) {
		put(&c->agent, none ? "" : value);
	} else if (!strcmp(key, "userknownhostsfile")) {
		add_files(&c->known_hosts, value);
	} else if (!strcmp(key, "globalknownhostsfile")) {
		add_files(system_hosts, value);
	} else if ((!strcmp(key, "proxycommand") || !strcmp(key, "proxyjump")) && !none) {
		use_ssh(c, "the configuration has a proxy");
	} else if (!strcmp(key, "certificatefile") && !none) {
		use_ssh(c, "the configuration has a certificate");
	} else if ((!strcmp(key, "knownhostscommand") || !strcmp(key, "pkcs11provider")) && !none) {
		use_ssh(c, "the configuration names a helper program");
	} else if (!strcmp(key, "controlpath") && !none) {
		use_ssh(c, "the configuration shares connections");
	} else if (!strcmp(key, "stricthostkeychecking") && (!strcmp(value, "false") || !strcmp(value, "no") ||
		   !strcmp(value, "off") || !strcmp(value, "accept-new"))) {
		use_ssh(c, "the configuration accepts new host keys");
	}
}

void sshconf_parse(struct ssh_conf *c, const char *text)
{
	autostrvec struct strvec lines = STRVEC_INIT, system_hosts = STRVEC_INIT;
	size_t i;

	strvec_split(&lines, text, '\n');
	for (i = 0; i < lines.n; i++) {
		char *blank = strchr(lines.v[i], ' ');

		if (!blank)
			continue;
		*blank = '\0';
		take_option(c, lines.v[i], blank + 1, &system_hosts);
	}
	for (i = 0; i < system_hosts.n; i++)
		strvec_push(&c->known_hosts, system_hosts.v[i]);
}

/* Arguments that every call of the ssh program gets. */
static void common_args(const struct ssh_conf *c, struct strvec *argv)
{
	size_t i;

	for (i = 0; i < c->opts.n; i++)
		strvec_push(argv, c->opts.v[i]);
	if (c->user) {
		strvec_push(argv, "-l");
		strvec_push(argv, c->user);
	}
	if (c->port)
		strvec_pushf(argv, "-p%d", c->port);
}

/* C2: another home means another configuration, other keys and other known hosts. */
static void home_options(struct ssh_conf *c)
{
	const char *home = home_dir();
	autofree char *config = xasprintf("%s/.ssh/config", home);

	if (!home_differs())
		return;
	strvec_push(&c->opts, "-F");
	strvec_push(&c->opts, fs_exists(config) ? config : "none");
}

static const char *const default_keys[] = {
	"id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_dsa",
};

static void defaults(struct ssh_conf *c)
{
	const struct passwd *pw = getpwuid(getuid());
	size_t i;

	put(&c->host, c->alias);
	put(&c->login, pw ? pw->pw_name : "root");
	c->real_port = 22;
	for (i = 0; i < ARRAY_LEN(default_keys); i++) {
		autofree char *file = xasprintf("%s/.ssh/%s", home_dir(), default_keys[i]);

		if (fs_exists(file))
			strvec_push(&c->identities, file);
	}
	add_files(&c->known_hosts, "~/.ssh/known_hosts ~/.ssh/known_hosts2");
	add_files(&c->known_hosts, "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2");
}

static void ask_ssh(struct ssh_conf *c)
{
	autostrvec struct strvec argv = STRVEC_INIT;
	autostr struct str out = STR_INIT, errout = STR_INIT;
	autoerr struct err e = ERR_INIT;
	int status;

	strvec_push(&argv, "ssh");
	strvec_push(&argv, "-G");
	common_args(c, &argv);
	strvec_push(&argv, "--");
	strvec_push(&argv, c->alias);
	if (proc_run((const char *const *)argv.v, NULL, NULL, 0, &out, &errout, &status, &e) || status) {
		defaults(c);
		return;
	}
	c->real_port = 22;
	sshconf_parse(c, str_cstr(&out));
	if (!c->host || !c->login)
		defaults(c);
}

static int check_words(const struct ssh_conf *c, struct err *e)
{
	const char *p;

	if (!*c->alias || *c->alias == '-' || (c->user && *c->user == '-'))
		return err_set(e, ERR_CONFIG, "'%s' cannot be the host or user of an SSH remote",
			       c->user && *c->user == '-' ? c->user : c->alias);
	for (p = c->alias; *p; p++)
		if (iscntrl((unsigned char)*p) || isspace((unsigned char)*p))
			return err_set(e, ERR_CONFIG, "the host of an SSH remote has a blank or control character");
	return 0;
}

int sshconf_load(struct ssh_conf *c, struct err *e)
{
	const char *sock = getenv("SSH_AUTH_SOCK");

	if (check_words(c, e))
		return -1;
	home_options(c);
	ask_ssh(c);
	if (c->user)
		put(&c->login, c->user);
	if (c->port)
		c->real_port = c->port;
	if (!c->key_alias)
		c->key_alias = xstrdup(c->host);
	if (!c->agent || !strcmp(c->agent, "SSH_AUTH_SOCK"))
		put(&c->agent, sock ? sock : "");
	if (c->no_agent || c->keyfile || !*c->agent) {
		free(c->agent);
		c->agent = NULL;
	}
	if (c->keyfile) {
		strvec_reset(&c->identities);
		strvec_push(&c->identities, c->keyfile);
	}
	if (c->command)
		use_ssh(c, "a command for ssh is configured");
	if (c->gss)
		use_ssh(c, "gss_auth is set");
	return 0;
}

static void child_known_hosts(const struct ssh_conf *c, struct strvec *argv)
{
	autofree char *joined = NULL;

	if (!home_differs() || !c->known_hosts.n)
		return;
	joined = strvec_join(&c->known_hosts, " ");
	strvec_pushf(argv, "-oUserKnownHostsFile=%s", joined);
}

void sshconf_child(const struct ssh_conf *c, const char *command, bool batch, struct strvec *argv)
{
	size_t i;

	if (c->command) {
		strvec_push(argv, "sh");
		strvec_push(argv, "-c");
		strvec_pushf(argv, "%s \"$@\"", c->command);
		strvec_push(argv, c->command);
	} else {
		strvec_push(argv, "ssh");
	}
	common_args(c, argv);
	strvec_push(argv, "-oForwardX11=no");
	strvec_push(argv, "-oForwardAgent=no");
	strvec_push(argv, "-oPermitLocalCommand=no");
	strvec_push(argv, "-oClearAllForwardings=yes");
	strvec_push(argv, "-oCompression=no");
	if (c->ciphers && !c->command)
		strvec_pushf(argv, "-oCiphers=%s", c->ciphers);
	strvec_pushf(argv, "-oConnectTimeout=%d", c->connect_secs);
	if (c->gss)
		strvec_push(argv, "-oGSSAPIAuthentication=yes");
	if (c->no_agent)
		strvec_push(argv, "-oIdentityAgent=none");
	if (c->keyfile) {
		strvec_push(argv, "-oIdentitiesOnly=yes");
		strvec_push(argv, "-i");
		strvec_push(argv, c->keyfile);
	} else if (home_differs()) {
		for (i = 0; i < c->identities.n; i++) {
			strvec_push(argv, "-i");
			strvec_push(argv, c->identities.v[i]);
		}
	}
	child_known_hosts(c, argv);
	if (c->password && !c->keyfile && !c->passphrase)
		strvec_push(argv, "-oPreferredAuthentications=keyboard-interactive,password");
	if (c->password || c->passphrase)       /* every question is answered with the secret: none may be about a host key */
		strvec_push(argv, "-oStrictHostKeyChecking=yes");
	else if (batch)
		strvec_push(argv, "-oBatchMode=yes");
	strvec_push(argv, "-oNumberOfPasswordPrompts=1");
	if (!command)
		strvec_push(argv, "-s");
	strvec_push(argv, "--");
	strvec_push(argv, c->alias);
	strvec_push(argv, command ? command : "sftp");
}

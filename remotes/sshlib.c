#include "remotes/sshlib.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/lazylib.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/str.h"
#include "remotes/duplex.h"
#include "remotes/knownhosts.h"
#include "remotes/sshconf.h"
#include "sonames.h"

#include <errno.h>
#include <fcntl.h>
#include <libssh2.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WINDOW (16u << 20)
#define PACKET 32768u
#define STAGE 32000u                    /* below what libssh2 puts into one packet */
#define KEY_MAX 65536u
#define AGENT_SECS 10
#define SLICE_MS 200                    /* how soon a cancel is seen */

#define FUNCS(X) \
	X(libssh2_init) X(libssh2_session_init_ex) X(libssh2_session_handshake) X(libssh2_session_disconnect_ex) \
	X(libssh2_session_free) X(libssh2_session_hostkey) X(libssh2_session_method_pref) X(libssh2_session_last_error) \
	X(libssh2_session_last_errno) X(libssh2_session_block_directions) X(libssh2_session_set_blocking) \
	X(libssh2_session_set_timeout) X(libssh2_userauth_list) \
	X(libssh2_userauth_authenticated) X(libssh2_userauth_password_ex) X(libssh2_userauth_publickey_fromfile_ex) \
	X(libssh2_userauth_keyboard_interactive_ex) X(libssh2_agent_init) X(libssh2_agent_connect) \
	X(libssh2_agent_list_identities) X(libssh2_agent_get_identity) X(libssh2_agent_userauth) \
	X(libssh2_agent_disconnect) X(libssh2_agent_free) X(libssh2_agent_set_identity_path) X(libssh2_channel_open_ex) \
	X(libssh2_channel_process_startup) X(libssh2_channel_read_ex) X(libssh2_channel_write_ex) X(libssh2_channel_eof) \
	X(libssh2_channel_handle_extended_data2) X(libssh2_channel_free)

static struct { LAZYLIB_FIELDS(FUNCS) } ssh2;
#define SYM(f) { #f, (void **)&ssh2.f },
static const struct lazysym syms[] = { FUNCS(SYM) };
static struct lazylib lib = LAZYLIB_INIT(SONAME_SSH2, "libssh2-1", syms);
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_once(void)
{
	ssh2.libssh2_init(0);
}

struct sshlib {
	struct duplex d;
	int fd;
	LIBSSH2_SESSION *session;
	LIBSSH2_CHANNEL *channel;
	const struct ssh_conf *c;       /* while connecting */
	bool hopeless_key;              /* a key there was that libssh2 cannot use, the ssh program can */
	bool cut;                       /* the socket failed during the login */
	bool locked_key;                /* a key there was whose passphrase is missing or wrong */
	int64_t heard;                  /* since when the server has been silent */
	enum err_code gave_up;          /* L3: ERR_FAIL after silence, ERR_INTR after a cancel; nothing is asked after it */
	/* libssh2 wants the very same bytes again after EAGAIN: they are kept here (D2). */
	unsigned char stage[STAGE];
	size_t staged, sent;
};

static const char *last_error(struct sshlib *l)
{
	char *text = NULL;

	ssh2.libssh2_session_last_error(l->session, &text, NULL, 0);
	return text && *text ? text : "unknown error";
}

/* The stream. */

static int flush_stage(struct sshlib *l)
{
	while (l->sent < l->staged) {
		ssize_t n = ssh2.libssh2_channel_write_ex(l->channel, 0, (char *)l->stage + l->sent, l->staged - l->sent);

		if (n == LIBSSH2_ERROR_EAGAIN || !n) {
			errno = EAGAIN;
			return -1;
		}
		if (n < 0) {
			errno = EIO;
			return -1;
		}
		l->sent += (size_t)n;
	}
	l->sent = l->staged = 0;
	return 0;
}

static ssize_t lib_write(struct duplex *d, const void *p, size_t n)
{
	struct sshlib *l = (struct sshlib *)d;

	if (l->staged && flush_stage(l))
		return -1;
	if (n > STAGE)
		n = STAGE;
	memcpy(l->stage, p, n);
	l->staged = n;
	if (flush_stage(l) && errno != EAGAIN)
		return -1;
	return (ssize_t)n;
}

static ssize_t lib_read(struct duplex *d, void *p, size_t n)
{
	struct sshlib *l = (struct sshlib *)d;
	ssize_t got;

	if (l->staged && flush_stage(l) && errno != EAGAIN)
		return -1;
	got = ssh2.libssh2_channel_read_ex(l->channel, 0, p, n);
	if (got > 0)
		return got;
	if (!got && ssh2.libssh2_channel_eof(l->channel))
		return 0;
	errno = !got || got == LIBSSH2_ERROR_EAGAIN ? EAGAIN : EIO;
	return -1;
}

static void lib_wait(struct duplex *d, bool want_write, int timeout_ms)
{
	struct sshlib *l = (struct sshlib *)d;
	int dir = ssh2.libssh2_session_block_directions(l->session);
	struct pollfd fd = { .fd = l->fd, .events = POLLIN };

	if ((want_write || l->staged) && (dir & LIBSSH2_SESSION_BLOCK_OUTBOUND))
		fd.events |= POLLOUT;
	poll(&fd, 1, timeout_ms);
}

static void lib_why(struct duplex *d, struct err *e)
{
	struct sshlib *l = (struct sshlib *)d;

	if (ssh2.libssh2_channel_eof(l->channel))
		err_set(e, ERR_FAIL, "the server ended the SFTP session (is its sftp subsystem enabled?)");
	else
		err_set(e, ERR_TEMP, "%s", last_error(l));
}

static void lib_close(struct duplex *d)
{
	struct sshlib *l = (struct sshlib *)d;

	if (l->session) {
		ssh2.libssh2_session_set_blocking(l->session, 1);
		ssh2.libssh2_session_set_timeout(l->session, 1000);
		ssh2.libssh2_session_disconnect_ex(l->session, SSH_DISCONNECT_BY_APPLICATION, "done", "");
		ssh2.libssh2_session_free(l->session);
	}
	if (l->fd >= 0)
		close(l->fd);
	explicit_bzero(l->stage, sizeof(l->stage));
	free(l);
}

static const struct duplex_ops lib_ops = { lib_read, lib_write, lib_wait, lib_why, lib_close };

/* Connecting. */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One wait for the server within a call that libssh2 wants repeated. True: no more of it (L3). */
static bool give_up(struct sshlib *l)
{
	int dir = ssh2.libssh2_session_block_directions(l->session);
	struct pollfd p = { .fd = l->fd, .events = POLLIN };

	if (dir & LIBSSH2_SESSION_BLOCK_OUTBOUND)
		p.events = dir & LIBSSH2_SESSION_BLOCK_INBOUND ? POLLIN | POLLOUT : POLLOUT;
	if (poll(&p, 1, SLICE_MS) > 0)
		l->heard = now_ms();
	else if (now_ms() - l->heard > l->c->quiet_secs * 1000LL)
		l->gave_up = ERR_FAIL;
	if (proc_cancelled())
		l->gave_up = ERR_INTR;
	return l->gave_up != ERR_NONE;
}

static int silence(const struct sshlib *l, const char *awaited, struct err *e)
{
	if (l->gave_up == ERR_INTR)
		return err_set(e, ERR_INTR, "interrupted");
	err_set(e, ERR_FAIL, "no answer from %s port %d for %d seconds while waiting for %s", l->c->host, l->c->real_port,
		l->c->quiet_secs, awaited);
	err_hint(e, "is it an SSH server? a slow one gets more time by the remote's option 'timeout' (seconds)");
	return -1;
}

/* Repeats a call that returns a code until it has one; what follows a silence is not even begun. */
#define AWAIT(l, rc, call) do { \
	(l)->heard = now_ms(); \
	(rc) = LIBSSH2_ERROR_TIMEOUT; \
	while (!(l)->gave_up && ((rc) = (call)) == LIBSSH2_ERROR_EAGAIN && !give_up(l)) \
		; \
} while (0)

/* The same for calls that return a pointer, and NULL to be called again. */
#define AWAIT_PTR(l, p, call) do { \
	(l)->heard = now_ms(); \
	(p) = NULL; \
	while (!(l)->gave_up && !((p) = (call)) && \
	       ssh2.libssh2_session_last_errno((l)->session) == LIBSSH2_ERROR_EAGAIN && !give_up(l)) \
		; \
} while (0)

/* 0 or an errno. */
static int connect_one(int fd, const struct addrinfo *a, int64_t until)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int code = 0;
	socklen_t n = sizeof(code);

	if (!connect(fd, a->ai_addr, a->ai_addrlen))
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	while (poll(&p, 1, SLICE_MS) <= 0) {
		if (proc_cancelled())
			return EINTR;
		if (now_ms() > until)
			return ETIMEDOUT;
	}
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &n);
	return code;
}

static int connect_host(struct sshlib *l, struct err *e)
{
	const struct ssh_conf *c = l->c;
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *list, *a;
	int64_t until = now_ms() + (int64_t)c->connect_secs * 1000;
	char port[16];
	int rc, code = 0, one = 1;

	snprintf(port, sizeof(port), "%d", c->real_port);
	rc = getaddrinfo(c->host, port, &hints, &list);
	if (rc)
		return err_set(e, ERR_FAIL, "cannot resolve host '%s': %s", c->host, gai_strerror(rc));
	for (a = list; a && l->fd < 0; a = a->ai_next) {
		int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);

		code = fd < 0 ? errno : connect_one(fd, a, until);
		if (!code)
			l->fd = fd;
		else if (fd >= 0)
			close(fd);
	}
	freeaddrinfo(list);
	if (l->fd >= 0) {
		setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(l->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
		return 0;
	}
	return err_set(e, code == EINTR ? ERR_INTR : ERR_FAIL, "cannot connect to host '%s' port %s: %s", c->host, port,
		       strerror(code));
}

/* The other side, or what lies between, has hung up. */
static bool hung_up(const struct sshlib *l)
{
	char c;
	ssize_t n = recv(l->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

	return !n || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* Host keys (L1). */

static const struct { const char *type, *word; int id; } key_types[] = {
	{ "ssh-ed25519", "ED25519", LIBSSH2_HOSTKEY_TYPE_ED25519 },
	{ "ecdsa-sha2-nistp256", "ECDSA", LIBSSH2_HOSTKEY_TYPE_ECDSA_256 },
	{ "ecdsa-sha2-nistp384", "ECDSA", LIBSSH2_HOSTKEY_TYPE_ECDSA_384 },
	{ "ecdsa-sha2-nistp521", "ECDSA", LIBSSH2_HOSTKEY_TYPE_ECDSA_521 },
};

/* Asks the server for a key of a type that is known for it, as ssh does. False: libssh2 has none of these types. */
static bool prefer_known(struct sshlib *l, const struct knownhosts *k)
{
	autostr struct str prefs = STR_INIT;
	size_t i;

	for (i = 0; i < ARRAY_LEN(key_types); i++)
		if (!k->n || knownhosts_has_type(k, key_types[i].type))
			str_addf(&prefs, "%s%s", prefs.len ? "," : "", key_types[i].type);
	return prefs.len && !ssh2.libssh2_session_method_pref(l->session, LIBSSH2_METHOD_HOSTKEY, prefs.buf);
}

static char *fingerprint(const char *key, size_t len)
{
	autoerr struct err ignored = ERR_INIT;
	unsigned char digest[32];
	char *b64;

	if (sha256_once(key, len, digest, &ignored))
		return xstrdup("unknown");
	b64 = base64_encode(digest, 32);
	b64[strcspn(b64, "=")] = '\0';
	return b64;
}

static int refuse_changed(const struct ssh_conf *c, const char *word, const char *print, const struct kh_line *at,
			  struct err *e)
{
	const char *file = c->known_hosts.v[at->file];
	autofree char *name = c->real_port == 22 ? xstrdup(c->key_alias) :
		xasprintf("[%s]:%d", c->key_alias, c->real_port);

	if (at->revoked)
		return err_set(e, ERR_AUTH, "REVOKED HOST KEY DETECTED: the %s host key for %s is marked as revoked in %s:%u; "
			       "Host key verification failed.", word, name, file, at->line);
	err_set(e, ERR_AUTH, "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING "
		"NASTY! The fingerprint for the %s key sent by the remote host is SHA256:%s; offending key in %s:%u; "
		"Host key for %s has changed and you have requested strict checking. Host key verification failed.",
		word, print, file, at->line, name);
	err_hint(e, "if the change is expected: ssh-keygen -f '%s' -R '%s'", file, name);
	return -1;
}

static bool somebody_there(void)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (fd >= 0)
		close(fd);
	return fd >= 0 && isatty(STDERR_FILENO);
}

static int check_host_key(struct sshlib *l, const struct knownhosts *k, bool *try_ssh, struct err *e)
{
	const struct ssh_conf *c = l->c;
	const struct kh_line *at;
	const char *word = "unknown", *key;
	size_t len = 0, i;
	int type = 0;
	autofree char *print = NULL, *name = NULL;
	enum kh_answer a;

	key = ssh2.libssh2_session_hostkey(l->session, &len, &type);
	if (!key || !len)
		return err_set(e, ERR_AUTH, "the server showed no host key");
	a = knownhosts_check(k, key, len, &at);
	if (a == KH_MATCH)
		return 0;
	for (i = 0; i < ARRAY_LEN(key_types); i++)
		if (key_types[i].id == type)
			word = key_types[i].word;
	print = fingerprint(key, len);
	if (a != KH_UNKNOWN)
		return refuse_changed(c, word, print, at, e);
	*try_ssh = somebody_there() && !c->password && !c->passphrase;          /* ssh asks, and writes the file */
	name = c->real_port == 22 ? xstrdup(c->key_alias) : xasprintf("[%s]:%d", c->key_alias, c->real_port);
	err_set(e, ERR_AUTH, "No %s host key is known for %s and you have requested strict checking (SHA256:%s). "
		"Host key verification failed.", word, name, print);
	err_hint(e, "compare the fingerprint, then: ssh-keyscan -p %d %s >>%s", c->real_port, c->host,
		 c->known_hosts.n ? c->known_hosts.v[0] : "~/.ssh/known_hosts");
	return -1;
}

/* Login. */

static bool tried(struct sshlib *l, int rc)
{
	l->cut |= rc == LIBSSH2_ERROR_SOCKET_DISCONNECT || rc == LIBSSH2_ERROR_SOCKET_SEND || rc == LIBSSH2_ERROR_SOCKET_RECV;
	return !rc && ssh2.libssh2_userauth_authenticated(l->session);
}

/* The type of a private key file, as far as its first bytes tell: RSA in any form is beyond this libssh2. */
static bool is_rsa(const char *file)
{
	autostr struct str text = STR_INIT;
	autoerr struct err e = ERR_INIT;
	autofree unsigned char *raw = NULL;
	autofree char *b64 = NULL;
	const char *p;
	size_t n;

	if (fs_read(&text, file, KEY_MAX, &e) || !text.len)
		return false;
	if (strstr(text.buf, "BEGIN RSA PRIVATE KEY"))
		return true;
	p = strstr(text.buf, "BEGIN OPENSSH PRIVATE KEY-----");
	if (!p)
		return false;
	for (b64 = xcalloc(1, text.len + 1), p += 30, n = 0; *p && *p != '-'; p++)
		if (*p != '\n' && *p != '\r')
			b64[n++] = *p;
	/* The public half stands unencrypted near the front. */
	return !base64_decode(b64, &raw, &n) && n > 64 && memmem(raw, n < 256 ? n : 256, "\0\0\0\7ssh-rsa", 11);
}

static bool login_file(struct sshlib *l, const char *file)
{
	const struct ssh_conf *c = l->c;
	int rc;

	if (is_rsa(file)) {
		l->hopeless_key = true;
		return false;
	}
	AWAIT(l, rc, ssh2.libssh2_userauth_publickey_fromfile_ex(l->session, c->login, (unsigned)strlen(c->login), NULL,
								 file, c->passphrase));
	if (rc == LIBSSH2_ERROR_FILE)
		l->locked_key = true;
	else if (rc)
		l->hopeless_key = true;
	return tried(l, rc);
}

/* libssh2 waits for an agent without end: one that does not even list its keys is found out before (L3). */
static bool agent_answers(const struct sshlib *l)
{
	static const unsigned char list_keys[] = { 0, 0, 0, 1, 11 };
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t until = now_ms() + (l->c->quiet_secs < AGENT_SECS ? l->c->quiet_secs : AGENT_SECS) * 1000LL;

	if (fd < 0 || strlen(l->c->agent) >= sizeof(a.sun_path))
		return false;
	memcpy(a.sun_path, l->c->agent, strlen(l->c->agent));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    send(fd, list_keys, sizeof(list_keys), MSG_NOSIGNAL) != (ssize_t)sizeof(list_keys))
		return false;
	while (poll(&p, 1, SLICE_MS) <= 0) {
		if (proc_cancelled())
			return false;
		if (now_ms() > until) {
			notice(NOTICE_WARN, "the SSH agent at '%s' does not answer and is left aside", l->c->agent);
			return false;
		}
	}
	return true;
}

static bool login_agent(struct sshlib *l)
{
	LIBSSH2_AGENT *agent = ssh2.libssh2_agent_init(l->session);
	struct libssh2_agent_publickey *id = NULL, *prev = NULL;
	bool in = false;
	int rc;

	if (!agent)
		return false;
	ssh2.libssh2_agent_set_identity_path(agent, l->c->agent);
	if (!ssh2.libssh2_agent_connect(agent)) {
		if (!ssh2.libssh2_agent_list_identities(agent)) {
			while (!in && !ssh2.libssh2_agent_get_identity(agent, &id, prev)) {
				if (id->blob_len <= 11 || memcmp(id->blob, "\0\0\0\7ssh-rsa", 11) != 0) {
					AWAIT(l, rc, ssh2.libssh2_agent_userauth(agent, l->c->login, id));
					in = tried(l, rc);
				}
				l->hopeless_key |= !in;
				prev = id;
			}
		}
		ssh2.libssh2_agent_disconnect(agent);
	}
	ssh2.libssh2_agent_free(agent);
	return in;
}

static void answer_prompts(const char *name UNUSED, int name_len UNUSED, const char *inst UNUSED, int inst_len UNUSED,
			   int n, const LIBSSH2_USERAUTH_KBDINT_PROMPT *prompts UNUSED,
			   LIBSSH2_USERAUTH_KBDINT_RESPONSE *answers, void **abstract)
{
	struct sshlib *l = *abstract;
	int i;

	for (i = 0; i < n; i++) {
		answers[i].text = strdup(l->c->password);       /* libssh2 frees it */
		answers[i].length = answers[i].text ? (unsigned)strlen(answers[i].text) : 0;
	}
}

static bool login_password(struct sshlib *l, const char *methods)
{
	const struct ssh_conf *c = l->c;
	unsigned n = (unsigned)strlen(c->login), len = (unsigned)strlen(c->password);
	int rc;

	if (strstr(methods, "password")) {
		AWAIT(l, rc, ssh2.libssh2_userauth_password_ex(l->session, c->login, n, c->password, len, NULL));
		if (tried(l, rc))
			return true;
	}
	if (!strstr(methods, "keyboard-interactive"))
		return false;
	AWAIT(l, rc, ssh2.libssh2_userauth_keyboard_interactive_ex(l->session, c->login, n, answer_prompts));
	return tried(l, rc);
}

static int login_failed(struct sshlib *l, const char *methods, bool *try_ssh, struct err *e)
{
	const struct ssh_conf *c = l->c;

	/* Another program cannot make a wrong password right; it may know what to do with a key. */
	*try_ssh = l->hopeless_key || (l->locked_key && !c->passphrase && somebody_there()) || c->identities_only;
	if (l->locked_key && !l->hopeless_key)
		err_set(e, ERR_AUTH, "%s@%s: Permission denied (%s): the private key%s%s is encrypted or unreadable, and %s",
			c->login, c->host, methods, c->keyfile ? " " : "", c->keyfile ? c->keyfile : "",
			c->passphrase ? "the passphrase does not open it" : "no passphrase is set");
	else
		err_set(e, ERR_AUTH, "%s@%s: Permission denied (%s).", c->login, c->host, methods);
	if (c->password && !l->locked_key)
		err_hint(e, "the password was refused; another one: git-data remote modify --local <remote> password <password>");
	else if (l->locked_key)
		err_hint(e, "load the key into ssh-agent, or set 'passphrase' (config --local) or 'ask_passphrase'");
	else
		err_hint(e, "try 'ssh -p %d %s@%s'; options of the remote: user, keyfile, password, ask_password",
			 c->real_port, c->login, c->host);
	return -1;
}

/* DVC's order: a key that is named alone; else the agent, the default keys; a password last. */
static int login(struct sshlib *l, bool *try_ssh, struct err *e)
{
	const struct ssh_conf *c = l->c;
	const char *methods;
	autofree char *known = NULL;
	bool keys, in = false;
	size_t i;

	AWAIT_PTR(l, methods, ssh2.libssh2_userauth_list(l->session, c->login, (unsigned)strlen(c->login)));
	if (l->gave_up)
		return silence(l, "the methods of login", e);
	if (!methods) {
		if (ssh2.libssh2_userauth_authenticated(l->session))
			return 0;
		return err_set(e, ERR_TEMP, "cannot log in to %s: %s", c->host, last_error(l));
	}
	known = xstrdup(methods);
	keys = strstr(known, "publickey") && (!c->password || c->keyfile || c->passphrase);
	if (keys && c->agent && !c->identities_only && agent_answers(l))
		in = login_agent(l);
	for (i = 0; keys && !in && i < c->identities.n; i++)
		in = login_file(l, c->identities.v[i]);
	if (!in && c->password)
		in = login_password(l, known);
	if (l->gave_up)
		return silence(l, "the answer to the login", e);
	if (!in && l->cut && hung_up(l))        /* a server that has had enough of wrong keys says so before */
		return err_set(e, ERR_TEMP, "lost the connection to %s while logging in", c->host);
	return in ? 0 : login_failed(l, known, try_ssh, e);
}

static int start_session(struct sshlib *l, const struct knownhosts *k, bool *try_ssh, struct err *e)
{
	int rc;

	l->session = ssh2.libssh2_session_init_ex(NULL, NULL, NULL, l);
	if (!l->session)
		return err_set(e, ERR_FAIL, "libssh2 gives no session");
	if (!prefer_known(l, k)) {
		*try_ssh = true;
		return err_set(e, ERR_UNSUPPORTED, "libssh2 knows none of the host's key types");
	}
	ssh2.libssh2_session_method_pref(l->session, LIBSSH2_METHOD_CRYPT_CS, "aes128-ctr,aes192-ctr,aes256-ctr");
	ssh2.libssh2_session_method_pref(l->session, LIBSSH2_METHOD_CRYPT_SC, "aes128-ctr,aes192-ctr,aes256-ctr");
	ssh2.libssh2_session_set_blocking(l->session, 0);
	AWAIT(l, rc, ssh2.libssh2_session_handshake(l->session, l->fd));
	if (!rc)
		return 0;
	if (l->gave_up)
		return silence(l, "the SSH handshake", e);
	*try_ssh = rc == LIBSSH2_ERROR_KEX_FAILURE || (rc == LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE && !hung_up(l)) ||
		   rc == LIBSSH2_ERROR_HOSTKEY_INIT || rc == LIBSSH2_ERROR_METHOD_NOT_SUPPORTED;
	return err_set(e, ERR_TEMP, "no SSH handshake with %s port %d: %s", l->c->host, l->c->real_port, last_error(l));
}

static int start_sftp(struct sshlib *l, struct err *e)
{
	int rc;

	AWAIT_PTR(l, l->channel, ssh2.libssh2_channel_open_ex(l->session, "session", 7, WINDOW, PACKET, NULL, 0));
	if (l->gave_up)
		return silence(l, "a channel", e);
	if (!l->channel)
		return err_set(e, ERR_TEMP, "the server opens no channel: %s", last_error(l));
	ssh2.libssh2_channel_handle_extended_data2(l->channel, LIBSSH2_CHANNEL_EXTENDED_DATA_IGNORE);
	AWAIT(l, rc, ssh2.libssh2_channel_process_startup(l->channel, "subsystem", 9, "sftp", 4));
	if (l->gave_up)
		return silence(l, "the SFTP subsystem", e);
	return rc ? err_set(e, ERR_FAIL, "the server has no SFTP: %s", last_error(l)) : 0;
}

static int open_all(struct sshlib *l, bool *try_ssh, struct err *e)
{
	struct knownhosts k __attribute__((cleanup(knownhosts_release))) = KNOWNHOSTS_INIT;

	if (knownhosts_load(&k, &l->c->known_hosts, l->c->key_alias, l->c->real_port, e))
		return -1;
	if (knownhosts_has_marks(&k)) {
		*try_ssh = true;
		return err_set(e, ERR_UNSUPPORTED, "known_hosts has marked lines for the host");
	}
	if (connect_host(l, e) || start_session(l, &k, try_ssh, e) || check_host_key(l, &k, try_ssh, e) ||
	    login(l, try_ssh, e))
		return -1;
	return start_sftp(l, e);
}

int sshlib_open(struct duplex **out, const struct ssh_conf *c, bool *try_ssh, struct err *e)
{
	struct sshlib *l;

	*try_ssh = false;
	if (lazylib_open(&lib, e)) {
		*try_ssh = true;
		return -1;
	}
	pthread_once(&once, init_once);
	l = xcalloc(1, sizeof(*l));
	l->d.ops = &lib_ops;
	l->fd = -1;
	l->c = c;
	if (open_all(l, try_ssh, e)) {
		lib_close(&l->d);
		return -1;
	}
	l->c = NULL;
	*out = &l->d;
	return 0;
}

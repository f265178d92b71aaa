/* sftpwire: packets as bytes; knownhosts: what a file says of a host; sshconf: the answers of ssh -G. */
#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "remotes/knownhosts.h"
#include "remotes/sftpwire.h"
#include "remotes/sshconf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void packets_carry_their_length(void **state UNUSED)
{
	autostr struct str s = STR_INIT;
	size_t mark = wire_begin(&s, SFTP_OPEN, 7), used = 0;
	struct wire w;

	wire_text(&s, "ab");
	wire_u64(&s, 0x0102030405060708ull);
	wire_end(&s, mark);
	assert_int_equal(s.len, 4 + 1 + 4 + 6 + 8);
	assert_memory_equal(s.buf, "\0\0\0\x13\3\0\0\0\7\0\0\0\2ab\1\2\3\4\5\6\7\x8", s.len);
	assert_int_equal(wire_next((unsigned char *)s.buf, s.len, &w, &used), 1);
	assert_int_equal(used, s.len);
	for (size_t n = 0; n < s.len; n++)
		assert_int_equal(wire_next((unsigned char *)s.buf, n, &w, &used), 0);
}

static void lengths_beyond_the_cap_end_it(void **state UNUSED)
{
	struct wire w;
	size_t used;

	assert_int_equal(wire_next((const unsigned char *)"\0\x10\0\1x", 5, &w, &used), -1);
	assert_int_equal(wire_next((const unsigned char *)"\0\0\0\0x", 5, &w, &used), -1);
	assert_int_equal(wire_next((const unsigned char *)"Last login: yesterday", 21, &w, &used), -1);
}

static void a_reader_stays_inside_and_remembers(void **state UNUSED)
{
	static const unsigned char p[] = { 0, 0, 0, 9, 'a', 'b' };
	struct wire w = { p, p + sizeof(p), false };
	size_t n = 5;

	assert_null(wire_get_bytes(&w, &n));
	assert_int_equal(n, 0);
	assert_true(w.bad);
	assert_int_equal(wire_get_u32(&w), 0);
}

static void attributes_in_any_combination(void **state UNUSED)
{
	for (uint32_t flags = 0; flags < 16; flags++) {
		autostr struct str s = STR_INIT;
		struct wire w;
		struct wire_attrs a;

		wire_u32(&s, flags);
		if (flags & 1)
			wire_u64(&s, 1ull << 40);
		if (flags & 2)
			wire_u64(&s, 5);
		if (flags & 4)
			wire_u32(&s, 0100644);
		if (flags & 8)
			wire_u64(&s, 9);
		w = (struct wire){ (unsigned char *)s.buf, (unsigned char *)s.buf + s.len, false };
		wire_get_attrs(&w, &a);
		assert_false(w.bad);
		assert_ptr_equal(w.p, w.end);
		assert_int_equal(a.has_size, flags & 1);
		assert_true(!a.has_size || a.size == 1ull << 40);
		assert_int_equal(a.has_mode, !!(flags & 4));
	}
}

static enum kh_answer answer(const char *text, const char *name, const char *key)
{
	struct knownhosts k = KNOWNHOSTS_INIT;
	autoerr struct err e = ERR_INIT;
	const struct kh_line *at;
	enum kh_answer a;

	assert_int_equal(knownhosts_read(&k, text, strlen(text), 0, name, &e), 0);
	a = knownhosts_check(&k, key, strlen(key), &at);
	knownhosts_release(&k);
	return a;
}

static void known_hosts_lines(void **state UNUSED)
{
	/* a2V5 is "key", b3RoZXI= is "other" */
	assert_int_equal(answer("h ssh-ed25519 a2V5 comment\n", "h", "key"), KH_MATCH);
	assert_int_equal(answer("h ssh-ed25519 a2V5", "h", "other"), KH_CHANGED);
	assert_int_equal(answer("h ssh-ed25519 a2V5", "g", "key"), KH_UNKNOWN);
	assert_int_equal(answer("# h ssh-ed25519 a2V5\n\n  h,g ssh-rsa a2V5\r\n", "g", "key"), KH_MATCH);
	assert_int_equal(answer("*.example.org,!bad.example.org ssh-rsa a2V5\n", "a.example.org", "key"), KH_MATCH);
	assert_int_equal(answer("*.example.org,!bad.example.org ssh-rsa a2V5\n", "bad.example.org", "key"), KH_UNKNOWN);
	assert_int_equal(answer("[h]:22?? ssh-rsa a2V5\n", "[h]:2222", "key"), KH_MATCH);
	assert_int_equal(answer("H ssh-rsa a2V5\n", "h", "key"), KH_MATCH);
	assert_int_equal(answer("@revoked * ssh-rsa a2V5\nh ssh-rsa a2V5\n", "h", "key"), KH_REVOKED);
	assert_int_equal(answer("h ssh-rsa b3RoZXI=\nh ssh-rsa a2V5\n", "h", "key"), KH_MATCH);
	assert_int_equal(answer("h ssh-rsa not*base64\nh\nh ssh-rsa\n", "h", "key"), KH_UNKNOWN);
	assert_int_equal(answer("@cert-authority h ssh-rsa a2V5\n", "h", "key"), KH_UNKNOWN);
}

static void hashed_names_match_their_own_host(void **state UNUSED)
{
	/* as ssh-keygen -H writes it: HMAC-SHA1 of the name */
	autofree char *salt = base64_encode("01234567890123456789", 20), *mac = NULL, *line = NULL;
	autoerr struct err e = ERR_INIT;
	unsigned char digest[20];

	assert_int_equal(hmac_sha1("01234567890123456789", 20, "[h]:2222", 8, digest, &e), 0);
	mac = base64_encode(digest, 20);
	line = xasprintf("|1|%s|%s ssh-rsa a2V5\n", salt, mac);
	assert_int_equal(answer(line, "[h]:2222", "key"), KH_MATCH);
	assert_int_equal(answer(line, "[H]:2222", "key"), KH_MATCH);
	assert_int_equal(answer(line, "h", "key"), KH_UNKNOWN);
}

static void patterns_take_linear_time(void **state UNUSED)
{
	char name[2000], pattern[2001];

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	for (size_t i = 0; i < 2000; i++)
		pattern[i] = i % 2 ? '*' : 'a';
	pattern[1999] = 'b';
	assert_false(knownhosts_glob(pattern, 2000, name));
	assert_true(knownhosts_glob("*", 1, name));
	assert_false(knownhosts_glob("a?", 2, "a"));
	assert_true(knownhosts_glob("**a**", 5, "a"));
}

static void answers_of_ssh_are_understood(void **state UNUSED)
{
	struct ssh_conf c = { .alias = xstrdup("box") };

	sshconf_parse(&c, "user me\nhostname 10.0.0.1\nport 2200\nidentitiesonly yes\nidentityfile /nonexistent/key\n"
		      "userknownhostsfile /a/known /b/known\nglobalknownhostsfile /etc/g\nproxycommand none\n");
	assert_string_equal(c.host, "10.0.0.1");
	assert_string_equal(c.login, "me");
	assert_int_equal(c.real_port, 2200);
	assert_true(c.identities_only);
	assert_int_equal(c.identities.n, 0);
	assert_int_equal(c.known_hosts.n, 3);
	assert_string_equal(c.known_hosts.v[2], "/etc/g");
	assert_false(c.needs_ssh);
	sshconf_parse(&c, "proxyjump gate\n");
	assert_true(c.needs_ssh);
	sshconf_release(&c);
}

static bool given(const char *list, const char *command, const char *want)
{
	struct ssh_conf c = { .alias = xstrdup("box"), .command = command ? xstrdup(command) : NULL };
	autostrvec struct strvec argv = STRVEC_INIT;
	autofree char *all = NULL, *text = xasprintf("hostname h\nciphers %s\n", list);
	bool found;

	sshconf_parse(&c, text);
	sshconf_child(&c, NULL, true, &argv);
	all = strvec_join(&argv, " ");
	found = strstr(all, want) != NULL;
	sshconf_release(&c);
	return found;
}

/* C4: the order that somebody chose stays. */
static void only_the_built_in_ciphers_are_reordered(void **state UNUSED)
{
	const char *built = "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,"
			    "aes256-gcm@openssh.com";

	if (given(built, NULL, "-oCiphers"))
		assert_true(given(built, NULL, "-oCiphers=aes128-gcm@openssh.com,aes256-gcm@openssh.com,"
				  "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr "));
	assert_false(given(built, "my-ssh", "-oCiphers"));
	assert_false(given("chacha20-poly1305@openssh.com,aes128-gcm@openssh.com", NULL, "-oCiphers"));
	assert_false(given("aes256-ctr", NULL, "-oCiphers"));
}

static void a_command_takes_the_place_of_sftp(void **state UNUSED)
{
	struct ssh_conf c = { .alias = xstrdup("box") };
	autostrvec struct strvec argv = STRVEC_INIT;

	sshconf_child(&c, "md5sum", true, &argv);
	assert_string_equal(argv.v[argv.n - 1], "md5sum");
	assert_string_equal(argv.v[argv.n - 2], "box");
	assert_string_equal(argv.v[argv.n - 3], "--");
	for (size_t i = 0; i < argv.n; i++)
		assert_string_not_equal(argv.v[i], "-s");
	sshconf_release(&c);
}

static void secrets_never_stand_in_arguments(void **state UNUSED)
{
	struct ssh_conf c = { .alias = xstrdup("box"), .password = xstrdup("s3cret"), .passphrase = xstrdup("phr4se"),
			      .keyfile = xstrdup("/k"), .connect_secs = 5 };
	autostrvec struct strvec argv = STRVEC_INIT;
	autofree char *all = NULL;

	sshconf_child(&c, NULL, true, &argv);
	all = strvec_join(&argv, " ");
	assert_null(strstr(all, "s3cret"));
	assert_null(strstr(all, "phr4se"));
	assert_non_null(strstr(all, "StrictHostKeyChecking=yes"));
	assert_non_null(strstr(all, "-s -- box sftp"));
	sshconf_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_carry_their_length),
		cmocka_unit_test(lengths_beyond_the_cap_end_it),
		cmocka_unit_test(a_reader_stays_inside_and_remembers),
		cmocka_unit_test(attributes_in_any_combination),
		cmocka_unit_test(known_hosts_lines),
		cmocka_unit_test(hashed_names_match_their_own_host),
		cmocka_unit_test(patterns_take_linear_time),
		cmocka_unit_test(answers_of_ssh_are_understood),
		cmocka_unit_test(only_the_built_in_ciphers_are_reordered),
		cmocka_unit_test(a_command_takes_the_place_of_sftp),
		cmocka_unit_test(secrets_never_stand_in_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* hash: RFC 1321 and FIPS vectors; H1, lanes against one stream; base64 and hex. */
#include "core/base/hash.h"

#include "core/base/md5x.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/scratch.h"

static void md5_hex(char out[33], const char *text)
{
	unsigned char d[16];

	md5_once(text, strlen(text), d);
	hex_encode(out, d, 16);
}

static void rfc_1321_vectors(void **state UNUSED)
{
	static const char *const v[][2] = {
		{ "", "d41d8cd98f00b204e9800998ecf8427e" },
		{ "a", "0cc175b9c0f1b6a831c399e269772661" },
		{ "abc", "900150983cd24fb0d6963f7d28e17f72" },
		{ "message digest", "f96b697d7cb7938d525a2f31aaf161d0" },
		{ "abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b" },
		{ "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
		  "d174ab98d277d9f5a5611c2c9f419d9f" },
		{ "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
		  "57edf4a22be3c955ac49da2e2107b67a" },
		{ "hello\n", "b1946ac92492d2347c6235b4d2611184" },
	};
	char hex[33];

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		md5_hex(hex, v[i][0]);
		assert_string_equal(hex, v[i][1]);
	}
}

/* A slow MD5 of its own, straight from the RFC's text, that shares nothing with the one under test. */
static void md5_by_the_book(const unsigned char *p, size_t n, unsigned char out[16])
{
	static const unsigned char shift[4][4] = {
		{ 7, 12, 17, 22 }, { 5, 9, 14, 20 }, { 4, 11, 16, 23 }, { 6, 10, 15, 21 } };
	size_t total = (n + 8) / 64 * 64 + 64;
	unsigned char *m = xcalloc(total, 1);
	uint32_t s[4] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476 };
	uint64_t bits = (uint64_t)n * 8;

	memcpy(m, p, n);
	m[n] = 0x80;
	memcpy(m + total - 8, &bits, 8);
	for (size_t at = 0; at < total; at += 64) {
		uint32_t a = s[0], b = s[1], c = s[2], d = s[3];

		for (unsigned i = 0; i < 64; i++) {
			unsigned round = i / 16, g = round == 0 ? i : round == 1 ? (5 * i + 1) % 16 :
					 round == 2 ? (3 * i + 5) % 16 : 7 * i % 16;
			uint32_t f = round == 0 ? (b & c) | (~b & d) : round == 1 ? (d & b) | (~d & c) :
				     round == 2 ? b ^ c ^ d : c ^ (b | ~d), w, t = d;
			double k = __builtin_fabs(__builtin_sin(i + 1)) * 4294967296.0;

			memcpy(&w, m + at + 4 * g, 4);
			f += a + (uint32_t)k + w;
			d = c;
			c = b;
			b += f << shift[round][i % 4] | f >> (32 - shift[round][i % 4]);
			a = t;
		}
		s[0] += a, s[1] += b, s[2] += c, s[3] += d;
	}
	memcpy(out, s, 16);
	free(m);
}

static unsigned char *noise(size_t n)
{
	unsigned char *p = xmalloc(n);
	uint32_t x = 2463534242u;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13, x ^= x >> 17, x ^= x << 5;
		p[i] = (unsigned char)x;
	}
	return p;
}

static void every_length_equals_the_book(void **state UNUSED)
{
	autofree unsigned char *p = noise(1024);
	unsigned char a[16], b[16];

	for (size_t n = 0; n <= 1024; n++) {
		md5_by_the_book(p, n, a);
		md5_once(p, n, b);
		assert_memory_equal(a, b, 16);
	}
}

static void pieces_give_the_whole(void **state UNUSED)
{
	autofree unsigned char *p = noise(100000);
	unsigned char want[16], got[16];

	md5_by_the_book(p, 100000, want);
	srand(1);
	for (int t = 0; t < 50; t++) {
		struct md5 m;

		md5_init(&m);
		for (size_t at = 0, n; at < 100000; at += n) {
			n = (size_t)rand() % (t % 2 ? 100 : 9000);
			n = n < 100000 - at ? n : 100000 - at;
			md5_update(&m, p + at, n);
		}
		md5_final(&m, got);
		assert_memory_equal(want, got, 16);
	}
}

static void lanes_equal_one_stream(void **state UNUSED)
{
	autofree unsigned char *p = noise(1 << 18);
	struct md5_buf b[100];
	unsigned char want[16];

	srand(2);
	for (int t = 0; t < 400; t++) {
		size_t n = (size_t)rand() % ARRAY_LEN(b), most = t % 3 ? 400 : 20000;

		for (size_t i = 0; i < n; i++) {
			b[i].p = p + rand() % 1000;     /* any alignment */
			b[i].len = (size_t)rand() % most;
		}
		md5_many(b, n);
		for (size_t i = 0; i < n; i++) {
			md5_once(b[i].p, b[i].len, want);
			assert_memory_equal(b[i].digest, want, 16);
		}
	}
	assert_true(md5_lanes() >= 4);
}

static void check_kernel(md5x_fn *fn, unsigned width, const unsigned char *p)
{
	for (unsigned lanes = 1; lanes <= width; lanes++) {
		uint32_t s[16][4], want[4], *at[16];
		const unsigned char *in[16];

		for (unsigned i = 0; i < lanes; i++) {
			memcpy(s[i], p + 16 * i + lanes, 16);
			at[i] = s[i];
			in[i] = p + 1000 * i + i;
		}
		fn(at, in, 7, lanes);
		for (unsigned i = 0; i < lanes; i++) {
			memcpy(want, p + 16 * i + lanes, 16);
			md5_blocks(want, in[i], 7);
			assert_memory_equal(s[i], want, 16);
		}
	}
}

/* Also those that the run-time choice would pass over on this CPU. */
static void each_kernel_equals_the_scalar_one(void **state UNUSED)
{
	autofree unsigned char *p = noise(1 << 16);

	check_kernel(md5x_portable4, 4, p);
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		check_kernel(md5x_avx2_8, 8, p);
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) {
		check_kernel(md5x_vl_4, 4, p);
		check_kernel(md5x_vl_8, 8, p);
		check_kernel(md5x_avx512_16, 16, p);
	}
#endif
}

static void running_streams_advance_together(void **state UNUSED)
{
	autofree unsigned char *p = noise(1 << 17);
	unsigned char a[16], b[16];

	for (size_t lanes = 1; lanes <= 20; lanes++) {
		struct md5 m[20], *at[20];
		const unsigned char *in[20];

		for (size_t i = 0; i < lanes; i++) {
			md5_init(&m[i]);
			at[i] = &m[i];
		}
		for (size_t turn = 0; turn < 3; turn++) {
			for (size_t i = 0; i < lanes; i++)
				in[i] = p + 4096 * i + turn * 640;
			md5_blocks_many(at, in, 10, lanes);
		}
		for (size_t i = 0; i < lanes; i++) {
			md5_update(&m[i], "tail", 4);
			md5_final(&m[i], a);
			md5_init(&m[i]);
			md5_update(&m[i], p + 4096 * i, 1920);
			md5_update(&m[i], "tail", 4);
			md5_final(&m[i], b);
			assert_memory_equal(a, b, 16);
		}
	}
}

static void sha_and_hmac_vectors(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	unsigned char d[32], s[32];
	struct sha256 *x;
	char hex[65];

	assert_int_equal(sha256_once("abc", 3, d, &e), 0);
	hex_encode(hex, d, 32);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(sha256_open(&x, &e), 0);
	sha256_update(x, "a", 1);
	sha256_update(x, "bc", 2);
	sha256_close(x, s);
	assert_memory_equal(d, s, 32);
	assert_int_equal(sha1_once("abc", 3, d, &e), 0);
	hex_encode(hex, d, 20);
	assert_string_equal(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
	assert_int_equal(hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, d, &e), 0);
	hex_encode(hex, d, 32);
	assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	assert_int_equal(hmac_sha1("Jefe", 4, "what do ya want for nothing?", 28, d, &e), 0);
	hex_encode(hex, d, 20);
	assert_string_equal(hex, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
}

static void a_key_that_is_none_is_refused(void **state UNUSED)
{
	autoerr struct err e = ERR_INIT;
	unsigned char *sig = NULL;
	size_t n = 0;

	assert_int_equal(rsa_sha256_sign("no key", 6, "x", 1, &sig, &n, &e), -1);
	assert_int_equal(e.code, ERR_AUTH);
	assert_null(sig);
}

static void base64_both_ways(void **state UNUSED)
{
	static const char *const v[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
					    { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
	static const char *const bad[] = { "Z", "Zg=", "Zg", "Z===", "====", "Zg==Zg==", "Zm9v\n", "Zm 9" };
	unsigned char *p;
	size_t n;

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		autofree char *enc = base64_encode(v[i][0], strlen(v[i][0]));

		assert_string_equal(enc, v[i][1]);
		assert_int_equal(base64_decode(enc, &p, &n), 0);
		assert_int_equal(n, strlen(v[i][0]));
		assert_memory_equal(p, v[i][0], n);
		free(p);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(base64_decode(bad[i], &p, &n), -1);
}

static void hex_takes_lower_case_only(void **state UNUSED)
{
	unsigned char d[2];

	assert_true(hex_decode(d, "0aff", 2));
	assert_int_equal(d[0], 0x0a);
	assert_int_equal(d[1], 0xff);
	assert_false(hex_decode(d, "0AFF", 2));
	assert_false(hex_decode(d, "0a", 2));
	assert_false(hex_decode(d, "0ag0", 2));
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(rfc_1321_vectors),
		cmocka_unit_test(every_length_equals_the_book),
		cmocka_unit_test(pieces_give_the_whole),
		cmocka_unit_test(lanes_equal_one_stream),
		cmocka_unit_test(each_kernel_equals_the_scalar_one),
		cmocka_unit_test(running_streams_advance_together),
		cmocka_unit_test(sha_and_hmac_vectors),
		cmocka_unit_test(a_key_that_is_none_is_refused),
		cmocka_unit_test(base64_both_ways),
		cmocka_unit_test(hex_takes_lower_case_only),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}

#define OPENSSL_SUPPRESS_DEPRECATED     /* SHA256_Init() and its kin: what EVP does around them costs more than they do */
#include "core/base/hash.h"

#include "core/base/err.h"
#include "core/base/lazylib.h"
#include "core/base/own.h"
#include "sonames.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#define FUNCS(X) \
	X(EVP_MD_CTX_new) X(EVP_MD_CTX_free) X(EVP_DigestInit_ex) X(EVP_DigestUpdate) X(EVP_DigestFinal_ex) \
	X(EVP_sha256) X(SHA1_Init) X(SHA1_Update) X(SHA1_Final) X(SHA256_Init) X(SHA256_Update) X(SHA256_Final) \
	X(BIO_new_mem_buf) X(BIO_free) \
	X(PEM_read_bio_PrivateKey) X(EVP_PKEY_free) X(EVP_DigestSignInit) X(EVP_DigestSign)
static struct { LAZYLIB_FIELDS(FUNCS) } ssl;
#define SYM(f) { #f, (void **)&ssl.f },
static const struct lazysym syms[] = { FUNCS(SYM) };
static struct lazylib lib = LAZYLIB_INIT(SONAME_CRYPTO, "libssl3", syms);

struct bytes { const void *p; size_t n; };

/* Of two texts one after the other. */
static int digest_two(bool wide, struct bytes a, struct bytes b, unsigned char *out, struct err *e)
{
	if (lazylib_open(&lib, e))
		return -1;
	if (wide) {
		SHA256_CTX c;

		ssl.SHA256_Init(&c);
		ssl.SHA256_Update(&c, a.p, a.n);
		ssl.SHA256_Update(&c, b.p, b.n);
		ssl.SHA256_Final(out, &c);
	} else {
		SHA_CTX c;

		ssl.SHA1_Init(&c);
		ssl.SHA1_Update(&c, a.p, a.n);
		ssl.SHA1_Update(&c, b.p, b.n);
		ssl.SHA1_Final(out, &c);
	}
	return 0;
}

static int digest_once(bool wide, const void *p, size_t n, unsigned char *out, struct err *e)
{
	return digest_two(wide, (struct bytes){ n ? p : "", n }, (struct bytes){ "", 0 }, out, e);
}

int sha256_once(const void *p, size_t n, unsigned char out[32], struct err *e)
{
	return digest_once(true, p, n, out, e);
}

int sha1_once(const void *p, size_t n, unsigned char out[20], struct err *e)
{
	return digest_once(false, p, n, out, e);
}

/* RFC 2104; both digests take blocks of 64 bytes. */
static int hmac_once(bool wide, const void *key, size_t klen, const void *p, size_t n, unsigned char *out,
		     struct err *e)
{
	unsigned char in[64] = { 0 }, around[64], sum[32];
	int rc = 0;

	if (klen > sizeof(in))
		rc = digest_once(wide, key, klen, in, e);
	else if (klen)
		memcpy(in, key, klen);
	for (size_t i = 0; i < sizeof(in); i++) {
		around[i] = in[i] ^ 0x5c;
		in[i] ^= 0x36;
	}
	if (rc || digest_two(wide, (struct bytes){ in, 64 }, (struct bytes){ n ? p : "", n }, sum, e) ||
	    digest_two(wide, (struct bytes){ around, 64 }, (struct bytes){ sum, wide ? 32 : 20 }, out, e))
		rc = -1;
	explicit_bzero(in, sizeof(in));
	explicit_bzero(around, sizeof(around));
	return rc;
}

int hmac_sha256(const void *key, size_t klen, const void *p, size_t n, unsigned char out[32], struct err *e)
{
	return hmac_once(true, key, klen, p, n, out, e);
}

int hmac_sha1(const void *key, size_t klen, const void *p, size_t n, unsigned char out[20], struct err *e)
{
	return hmac_once(false, key, klen, p, n, out, e);
}

/* A struct sha256 is OpenSSL's context; the type hides it. */
int sha256_open(struct sha256 **out, struct err *e)
{
	EVP_MD_CTX *c;

	if (lazylib_open(&lib, e))
		return -1;
	c = ssl.EVP_MD_CTX_new();
	if (!c || ssl.EVP_DigestInit_ex(c, ssl.EVP_sha256(), NULL) != 1) {
		ssl.EVP_MD_CTX_free(c);
		return err_set(e, ERR_FAIL, "cannot start a SHA-256 digest");
	}
	*out = (struct sha256 *)c;
	return 0;
}

void sha256_update(struct sha256 *s, const void *p, size_t n)
{
	if (n && ssl.EVP_DigestUpdate((EVP_MD_CTX *)s, p, n) != 1)
		BUG("SHA-256 update refused");
}

void sha256_close(struct sha256 *s, unsigned char out[32])
{
	if (!s)
		return;
	if (out && ssl.EVP_DigestFinal_ex((EVP_MD_CTX *)s, out, NULL) != 1)
		BUG("SHA-256 final refused");
	ssl.EVP_MD_CTX_free((EVP_MD_CTX *)s);
}

/* A protected key is refused rather than asked for on the terminal. */
static int no_passphrase(char *buf, int size, int rw, void *data)
{
	(void)buf, (void)size, (void)rw, (void)data;
	return -1;
}

static EVP_PKEY *read_key(const char *pem, size_t n)
{
	BIO *bio = n > INT32_MAX ? NULL : ssl.BIO_new_mem_buf(pem, (int)n);
	EVP_PKEY *key = bio ? ssl.PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	ssl.BIO_free(bio);
	return key;
}

static int sign_with(EVP_PKEY *key, const void *p, size_t n, unsigned char **out, size_t *out_len)
{
	EVP_MD_CTX *c = ssl.EVP_MD_CTX_new();
	autofree unsigned char *sig = NULL;
	size_t len = 0;
	int rc = -1;

	if (c && ssl.EVP_DigestSignInit(c, NULL, ssl.EVP_sha256(), NULL, key) == 1 &&
	    ssl.EVP_DigestSign(c, NULL, &len, p, n) == 1) {
		sig = xmalloc(len);
		rc = ssl.EVP_DigestSign(c, sig, &len, p, n) == 1 ? 0 : -1;
	}
	ssl.EVP_MD_CTX_free(c);
	if (!rc) {
		*out = take(sig);
		*out_len = len;
	}
	return rc;
}

int rsa_sha256_sign(const char *pem, size_t pem_len, const void *p, size_t n,
		    unsigned char **out, size_t *out_len, struct err *e)
{
	EVP_PKEY *key;
	int rc;

	if (lazylib_open(&lib, e))
		return -1;
	key = read_key(pem, pem_len);
	if (!key)
		return err_set(e, ERR_AUTH, "cannot read the private key: not an unprotected key in PEM");
	rc = sign_with(key, p, n, out, out_len);
	ssl.EVP_PKEY_free(key);
	return rc ? err_set(e, ERR_AUTH, "cannot sign with the private key") : 0;
}

void hex_encode(char *out, const unsigned char *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = 0;
}

/* One more than the digit's value; 0: not a digit. */
static const unsigned char hex_value[256] = {
	['0'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
	['a'] = 11, 12, 13, 14, 15, 16,
};

bool hex_decode(unsigned char *out, const char *hex, size_t n)
{
	const unsigned char *s = (const unsigned char *)hex;

	for (size_t i = 0; i < n; i++, s += 2) {
		unsigned hi = hex_value[s[0]], lo = hi ? hex_value[s[1]] : 0;

		if (!lo)
			return false;
		out[i] = (unsigned char)((hi - 1) << 4 | (lo - 1));
	}
	return true;
}

static const char b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *p, size_t n)
{
	const unsigned char *s = p;
	char *out = xmalloc((n + 2) / 3 * 4 + 1), *o = out;

	for (size_t i = 0; i < n; i += 3, o += 4) {
		size_t left = n - i;
		uint32_t w = (uint32_t)s[i] << 16 | (left > 1 ? (uint32_t)s[i + 1] << 8 : 0) |
			     (left > 2 ? s[i + 2] : 0);

		o[0] = b64[w >> 18];
		o[1] = b64[w >> 12 & 63];
		o[2] = left > 1 ? b64[w >> 6 & 63] : '=';
		o[3] = left > 2 ? b64[w & 63] : '=';
	}
	*o = 0;
	return out;
}

int base64_decode(const char *s, unsigned char **out, size_t *n)
{
	size_t len = strlen(s), pad = 0, o = 0;
	autofree unsigned char *buf = NULL;
	uint32_t w = 0;

	if (len % 4)
		return -1;
	while (pad < 2 && len > pad && s[len - 1 - pad] == '=')
		pad++;
	buf = xmalloc(len / 4 * 3 + 1);
	for (size_t i = 0; i < len; i++) {
		const char *at = i < len - pad ? memchr(b64, s[i], 64) : b64;

		if (!at)
			return -1;
		w = w << 6 | (uint32_t)(at - b64);
		if (i % 4 == 3) {
			buf[o++] = (unsigned char)(w >> 16);
			buf[o++] = (unsigned char)(w >> 8);
			buf[o++] = (unsigned char)w;
		}
	}
	*n = o - pad;
	*out = take(buf);
	return 0;
}

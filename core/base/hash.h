/*
 * hash - digests. MD5 is our own (one stream, and many streams at once in SIMD lanes); the rest is OpenSSL's, loaded
 * at first use.
 *
 *  H1  md5_many() gives for every lane the digest md5_*() gives; the widest unit the CPU has is chosen at run time.
 *
 * Source: RFC 1321, RFC 2104, FIPS 180-4.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "core/base/compat.h"

struct err;

struct md5 { uint32_t s[4]; uint64_t len; unsigned char buf[64]; };
void md5_init(struct md5 *m);
void md5_update(struct md5 *m, const void *p, size_t n);
void md5_final(struct md5 *m, unsigned char out[16]);
void md5_once(const void *p, size_t n, unsigned char out[16]);
/* Digests n whole buffers; any n. */
struct md5_buf { const void *p; size_t len; unsigned char digest[16]; };
void md5_many(struct md5_buf *b, size_t n);
unsigned md5_lanes(void);               /* 1, 4, 8 or 16 */
/* Advances several running streams by the same number of whole 64-byte blocks each. */
void md5_blocks_many(struct md5 **m, const unsigned char **p, size_t nblocks, size_t lanes);

int  sha256_once(const void *p, size_t n, unsigned char out[32], struct err *e);
int  sha1_once(const void *p, size_t n, unsigned char out[20], struct err *e);
int  hmac_sha256(const void *key, size_t klen, const void *p, size_t n, unsigned char out[32], struct err *e);
int  hmac_sha1(const void *key, size_t klen, const void *p, size_t n, unsigned char out[20], struct err *e);
struct sha256;                          /* streaming */
int  sha256_open(struct sha256 **out, struct err *e);
void sha256_update(struct sha256 *s, const void *p, size_t n);
void sha256_close(struct sha256 *s, unsigned char out[32]);     /* out NULL: just free */
/* Signs with an RSA private key in PEM (service accounts); out is malloc'd. */
int  rsa_sha256_sign(const char *pem, size_t pem_len, const void *p, size_t n,
		     unsigned char **out, size_t *out_len, struct err *e);

void hex_encode(char *out, const unsigned char *p, size_t n);   /* 2n characters and a NUL */
bool hex_decode(unsigned char *out, const char *hex, size_t n); /* n bytes from 2n lower-case digits */
char *base64_encode(const void *p, size_t n);
int  base64_decode(const char *s, unsigned char **out, size_t *n);      /* -1: malformed */

#endif

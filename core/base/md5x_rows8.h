/*
 * Eight rows of eight words become eight columns: what the kernels of eight lanes load with. Included by those that are
 * compiled for AVX2 or more, into which the compiler puts it whole.
 */
#ifndef BASE_MD5X_ROWS8_H
#define BASE_MD5X_ROWS8_H

#include "core/base/md5x.h"

#if defined(__x86_64__)
#include <immintrin.h>

typedef uint32_t vec8 __attribute__((vector_size(32)));

__attribute__((target("avx2"))) static inline void md5x_rows8(vec8 *w, const unsigned char *const *p, size_t off)
{
	__m256i r[8], t[8];

	MD5X_UNROLL
	for (int i = 0; i < 8; i++)
		r[i] = _mm256_loadu_si256((const __m256i *)(const void *)(p[i] + off));
	MD5X_UNROLL
	for (int i = 0; i < 8; i += 2) {
		t[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
		t[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
	}
	MD5X_UNROLL
	for (int i = 0; i < 8; i += 4) {
		r[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
		r[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
		r[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
		r[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
	}
	MD5X_UNROLL
	for (int i = 0; i < 4; i++) {
		w[i] = (vec8)_mm256_permute2x128_si256(r[i], r[i + 4], 0x20);
		w[i + 4] = (vec8)_mm256_permute2x128_si256(r[i], r[i + 4], 0x31);
	}
}

/* The sixteen words of a block: two halves. */
#define MD5X_LOAD8(w, p, off) (md5x_rows8(w, p, off), md5x_rows8((w) + 8, p, (off) + 32))
#endif

#endif

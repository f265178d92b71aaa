/* Eight lanes with AVX2. Compiled for every x86-64, run where the CPU has it. */
#include "core/base/md5x.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
typedef uint32_t vec8 __attribute__((vector_size(32)));

/* Half of the words: 8 rows of 8 become 8 columns. */
AVX2 static inline void half(vec8 *w, const unsigned char *const *p, size_t off)
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

#define vec vec8
#define LANES 8
#define TARGET AVX2
#define KERNEL md5x_avx2_8
#define HOLD(x) __asm__("" : "+x"(x))
#define LOAD(w, p, off) (half(w, p, off), half((w) + 8, p, (off) + 32))
#define ROL(x, n) ((x) << (n) | (x) >> (32 - (n)))
#define FF(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define GG(b, c, d) ((c) ^ ((d) & ((b) ^ (c))))
#define HH(b, c, d) ((b) ^ ((c) ^ (d)))
#define II(b, c, d) ((c) ^ ((b) | ~(d)))
#include "core/base/md5x_steps.h"
#else
typedef int md5x_avx2_is_not_for_this_machine;
#endif

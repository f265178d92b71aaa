/*
 * Four, eight and sixteen lanes with AVX-512 (F and VL): any function of three words is one instruction there, and so
 * is a rotation. The narrow ones are for a few large files: the chain of steps takes as long, the ports are freer.
 */
#include "core/base/md5x_rows8.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512vl")))
typedef uint32_t vec4 __attribute__((vector_size(16)));
typedef uint32_t vec16 __attribute__((vector_size(64)));

TARGET static inline void quarter4(vec4 *w, const unsigned char *const *p, size_t off)
{
	__m128i r[4], t[4];

	MD5X_UNROLL
	for (int i = 0; i < 4; i++)
		r[i] = _mm_loadu_si128((const __m128i *)(const void *)(p[i] + off));
	t[0] = _mm_unpacklo_epi32(r[0], r[1]);
	t[1] = _mm_unpackhi_epi32(r[0], r[1]);
	t[2] = _mm_unpacklo_epi32(r[2], r[3]);
	t[3] = _mm_unpackhi_epi32(r[2], r[3]);
	w[0] = (vec4)_mm_unpacklo_epi64(t[0], t[2]);
	w[1] = (vec4)_mm_unpackhi_epi64(t[0], t[2]);
	w[2] = (vec4)_mm_unpacklo_epi64(t[1], t[3]);
	w[3] = (vec4)_mm_unpackhi_epi64(t[1], t[3]);
}

TARGET static inline void load4(vec4 w[16], const unsigned char *const *p, size_t off)
{
	MD5X_UNROLL
	for (size_t i = 0; i < 4; i++)
		quarter4(w + 4 * i, p, off + 16 * i);
}

/* 16 rows of 16 words become 16 columns: pairs, fours, then 128-bit parts. */
TARGET static inline void load16(vec16 w[16], const unsigned char *const *p, size_t off)
{
	__m512i r[16], t[16];

	MD5X_UNROLL
	for (int i = 0; i < 16; i++)
		r[i] = _mm512_loadu_si512(p[i] + off);
	MD5X_UNROLL
	for (int i = 0; i < 16; i += 2) {
		t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
		t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
	}
	MD5X_UNROLL
	for (int i = 0; i < 16; i += 4) {
		r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
		r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
		r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
		r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
	}
	MD5X_UNROLL
	for (int i = 0; i < 4; i++) {
		t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
		t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
		t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
		t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
	}
	MD5X_UNROLL
	for (int i = 0; i < 4; i++) {
		w[i] = (vec16)_mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
		w[i + 8] = (vec16)_mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
		w[i + 4] = (vec16)_mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
		w[i + 12] = (vec16)_mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
	}
}

/*
 * Truth tables of the four functions, d being the highest bit of the index and b the lowest. The instruction overwrites
 * its first operand, so d comes first: the copy it needs is then of a word that has long been ready.
 */
#define TT_F 0xd8
#define TT_G 0xac
#define TT_H 0x96
#define TT_I 0x63
#define FF(b, c, d) TERN(d, c, b, TT_F)
#define GG(b, c, d) TERN(d, c, b, TT_G)
#define HH(b, c, d) TERN(d, c, b, TT_H)
#define II(b, c, d) TERN(d, c, b, TT_I)
#define HOLD(x) __asm__("" : "+v"(x))

#define vec vec4
#define LANES 4
#define KERNEL md5x_vl_4
#define LOAD load4
#define TERN(x, y, z, t) ((vec4)_mm_ternarylogic_epi32((__m128i)(x), (__m128i)(y), (__m128i)(z), t))
#define ROL(x, n) ((vec4)_mm_rol_epi32((__m128i)(x), n))
#include "core/base/md5x_steps.h"

#define vec vec8
#define LANES 8
#define KERNEL md5x_vl_8
#define LOAD MD5X_LOAD8
#define TERN(x, y, z, t) ((vec8)_mm256_ternarylogic_epi32((__m256i)(x), (__m256i)(y), (__m256i)(z), t))
#define ROL(x, n) ((vec8)_mm256_rol_epi32((__m256i)(x), n))
#include "core/base/md5x_steps.h"

#define vec vec16
#define LANES 16
#define KERNEL md5x_avx512_16
#define LOAD load16
#define TERN(x, y, z, t) ((vec16)_mm512_ternarylogic_epi32((__m512i)(x), (__m512i)(y), (__m512i)(z), t))
#define ROL(x, n) ((vec16)_mm512_rol_epi32((__m512i)(x), n))
#include "core/base/md5x_steps.h"
#else
typedef int md5x_avx512_is_not_for_this_machine;
#endif

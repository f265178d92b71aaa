/*
 * md5x - MD5 of several streams in the lanes of one vector register; internal to hash.h's md5_* functions.
 *
 *  The digest is sequential within a stream, so a CPU that could do sixteen steps at once idles on one stream. Here
 *  lane i of every register belongs to stream i; the words of the blocks are brought into that order by transposing.
 *
 * A kernel advances 'lanes' streams (at most its width) by n blocks each; s[i] is the running state of stream i.
 */
#ifndef BASE_MD5X_H
#define BASE_MD5X_H

#include "core/base/compat.h"

/* Before a loop whose every round must stand on its own in registers. */
#if defined(__clang__)
#define MD5X_UNROLL _Pragma("clang loop unroll(full)")
#else
#define MD5X_UNROLL _Pragma("GCC unroll 16")
#endif

typedef void md5x_fn(uint32_t *const *s, const unsigned char *const *p, size_t n, unsigned lanes);

md5x_fn md5x_portable4;
#if defined(__x86_64__)
md5x_fn md5x_avx2_8, md5x_vl_4, md5x_vl_8, md5x_avx512_16;
#endif
/* One stream, scalar (md5.c). */
void md5_blocks(uint32_t s[4], const unsigned char *p, size_t n);

#endif

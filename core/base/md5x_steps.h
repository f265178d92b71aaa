/*
 * The sixty-four steps, for any width. Included by the kernels; before it they define:
 *   LANES; vec (a vector of LANES uint32_t);
 *   LOAD(w, p, off): the sixteen words of the blocks at p[0..LANES-1] + off, transposed into vec w[16];
 *   HOLD(x): keeps the compiler from adding in another order;
 *   KERNEL: the function's name; TARGET: its attribute, or nothing;
 *   ROL(x, n) and FF, GG, HH, II of (b, c, d), where the machine has instructions of its own for them (by TERN).
 *
 * The chain from step to step is function, add, rotate, add; all else is ready before b is.
 */
#ifndef ROL
#define ROL(x, n) ((x) << (n) | (x) >> (32 - (n)))
#define FF(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define GG(b, c, d) ((c) ^ ((d) & ((b) ^ (c))))
#define HH(b, c, d) ((b) ^ ((c) ^ (d)))
#define II(b, c, d) ((c) ^ ((b) | ~(d)))
#endif
#define STEP(f, a, b, c, d, i, k, s) do { \
	a = a + (w[i] + (uint32_t)(k)); \
	HOLD(a); \
	a = a + f(b, c, d); \
	a = ROL(a, s) + b; \
} while (0)
#define FOUR(f, i0, i1, i2, i3, k0, k1, k2, k3, s0, s1, s2, s3) \
	STEP(f, a, b, c, d, i0, k0, s0); STEP(f, d, a, b, c, i1, k1, s1); \
	STEP(f, c, d, a, b, i2, k2, s2); STEP(f, b, c, d, a, i3, k3, s3)

TARGET void KERNEL(uint32_t *const *s, const unsigned char *const *in, size_t n, unsigned lanes)
{
	union { vec v; uint32_t u[LANES]; } st[4];
	const unsigned char *p[LANES];
	vec a, b, c, d, w[16];

	for (unsigned i = 0; i < LANES; i++) {  /* lanes not in use repeat the first: their memory is there */
		unsigned from = i < lanes ? i : 0;

		p[i] = in[from];
		for (int j = 0; j < 4; j++)
			st[j].u[i] = s[from][j];
	}
	a = st[0].v, b = st[1].v, c = st[2].v, d = st[3].v;
	for (size_t off = 0; n--; off += 64) {
		vec a0 = a, b0 = b, c0 = c, d0 = d;

		LOAD(w, p, off);
		FOUR(FF, 0, 1, 2, 3, 0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 7, 12, 17, 22);
		FOUR(FF, 4, 5, 6, 7, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 7, 12, 17, 22);
		FOUR(FF, 8, 9, 10, 11, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 7, 12, 17, 22);
		FOUR(FF, 12, 13, 14, 15, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 7, 12, 17, 22);
		FOUR(GG, 1, 6, 11, 0, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 5, 9, 14, 20);
		FOUR(GG, 5, 10, 15, 4, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8, 5, 9, 14, 20);
		FOUR(GG, 9, 14, 3, 8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 5, 9, 14, 20);
		FOUR(GG, 13, 2, 7, 12, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 5, 9, 14, 20);
		FOUR(HH, 5, 8, 11, 14, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 4, 11, 16, 23);
		FOUR(HH, 1, 4, 7, 10, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 4, 11, 16, 23);
		FOUR(HH, 13, 0, 3, 6, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 4, 11, 16, 23);
		FOUR(HH, 9, 12, 15, 2, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 4, 11, 16, 23);
		FOUR(II, 0, 7, 14, 5, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 6, 10, 15, 21);
		FOUR(II, 12, 3, 10, 1, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1, 6, 10, 15, 21);
		FOUR(II, 8, 15, 6, 13, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 6, 10, 15, 21);
		FOUR(II, 4, 11, 2, 9, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391, 6, 10, 15, 21);
		a = a + a0, b = b + b0, c = c + c0, d = d + d0;
	}
	st[0].v = a, st[1].v = b, st[2].v = c, st[3].v = d;
	for (unsigned i = 0; i < lanes; i++)
		for (int j = 0; j < 4; j++)
			s[i][j] = st[j].u[i];
}
/* What differs from width to width; the rest serves the next inclusion. */
#undef STEP
#undef FOUR
#undef KERNEL
#undef LANES
#undef LOAD
#undef ROL
#undef TERN
#undef vec

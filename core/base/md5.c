/* MD5 of one stream, and the scheduler that feeds many buffers through SIMD lanes (md5x.h). */
#include "core/base/hash.h"

#include "core/base/md5x.h"

#include <pthread.h>

#define ROL(x, n) ((x) << (n) | (x) >> (32 - (n)))
/* Keeps the compiler from adding in another order: what is ready early must be added first. */
#define HOLD(x) __asm__("" : "+r"(x))
/* G as a sum: the term without b is ready early, which shortens the chain from step to step. */
#define F(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define H(b, c, d) ((b) ^ ((c) ^ (d)))
#define I(b, c, d) ((c) ^ ((b) | ~(d)))
#define STEP(f, a, b, c, d, i, k, s) do { \
	a += w[i] + (k); \
	HOLD(a); \
	a += f(b, c, d); \
	a = ROL(a, s) + b; \
} while (0)
#define STEP_G(a, b, c, d, i, k, s) do { \
	a += w[i] + (k) + (~(d) & (c)); \
	HOLD(a); \
	a += (d) & (b); \
	a = ROL(a, s) + b; \
} while (0)
#define FOUR(f, i0, i1, i2, i3, k0, k1, k2, k3, s0, s1, s2, s3) \
	STEP(f, a, b, c, d, i0, k0, s0); STEP(f, d, a, b, c, i1, k1, s1); \
	STEP(f, c, d, a, b, i2, k2, s2); STEP(f, b, c, d, a, i3, k3, s3)
#define FOUR_G(i0, i1, i2, i3, k0, k1, k2, k3) \
	STEP_G(a, b, c, d, i0, k0, 5); STEP_G(d, a, b, c, i1, k1, 9); \
	STEP_G(c, d, a, b, i2, k2, 14); STEP_G(b, c, d, a, i3, k3, 20)

void md5_blocks(uint32_t s[4], const unsigned char *p, size_t n)
{
	uint32_t a = s[0], b = s[1], c = s[2], d = s[3], w[16];

	for (; n--; p += 64) {
		uint32_t a0 = a, b0 = b, c0 = c, d0 = d;

		memcpy(w, p, 64);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		for (int i = 0; i < 16; i++)
			w[i] = __builtin_bswap32(w[i]);
#endif
		FOUR(F, 0, 1, 2, 3, 0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 7, 12, 17, 22);
		FOUR(F, 4, 5, 6, 7, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 7, 12, 17, 22);
		FOUR(F, 8, 9, 10, 11, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 7, 12, 17, 22);
		FOUR(F, 12, 13, 14, 15, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 7, 12, 17, 22);
		FOUR_G(1, 6, 11, 0, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa);
		FOUR_G(5, 10, 15, 4, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8);
		FOUR_G(9, 14, 3, 8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed);
		FOUR_G(13, 2, 7, 12, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a);
		FOUR(H, 5, 8, 11, 14, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 4, 11, 16, 23);
		FOUR(H, 1, 4, 7, 10, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 4, 11, 16, 23);
		FOUR(H, 13, 0, 3, 6, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 4, 11, 16, 23);
		FOUR(H, 9, 12, 15, 2, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 4, 11, 16, 23);
		FOUR(I, 0, 7, 14, 5, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 6, 10, 15, 21);
		FOUR(I, 12, 3, 10, 1, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1, 6, 10, 15, 21);
		FOUR(I, 8, 15, 6, 13, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 6, 10, 15, 21);
		FOUR(I, 4, 11, 2, 9, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391, 6, 10, 15, 21);
		a += a0;
		b += b0;
		c += c0;
		d += d0;
	}
	s[0] = a;
	s[1] = b;
	s[2] = c;
	s[3] = d;
}

/* The kernels of this CPU, narrowest first; widths[] says how many streams each takes. */
static struct { md5x_fn *fn; unsigned width; } kernels[3];
static unsigned nkernels;
static bool lone_in_lanes;      /* three-operand logic makes even one stream faster in a vector register */

static void add_kernel(md5x_fn *fn, unsigned width)
{
	kernels[nkernels].fn = fn;
	kernels[nkernels++].width = width;
}

static void choose(void)
{
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) {
		add_kernel(md5x_vl_4, 4);
		add_kernel(md5x_vl_8, 8);
		add_kernel(md5x_avx512_16, 16);
		lone_in_lanes = true;
		return;
	}
	add_kernel(md5x_portable4, 4);
	if (__builtin_cpu_supports("avx2"))
		add_kernel(md5x_avx2_8, 8);
#else
	add_kernel(md5x_portable4, 4);
#endif
}

static void ready(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, choose);
}

unsigned md5_lanes(void)
{
	ready();
	return kernels[nkernels - 1].width;
}

/* Advances any number of streams up to the widest kernel's width. */
static void advance(uint32_t *const *s, const unsigned char *const *p, size_t n, unsigned lanes)
{
	unsigned k = 0;

	ready();
	if (lanes == 1 && !lone_in_lanes) {
		md5_blocks(s[0], p[0], n);
		return;
	}
	while (kernels[k].width < lanes)
		k++;
	kernels[k].fn(s, p, n, lanes);
}

void md5_init(struct md5 *m)
{
	m->s[0] = 0x67452301;
	m->s[1] = 0xefcdab89;
	m->s[2] = 0x98badcfe;
	m->s[3] = 0x10325476;
	m->len = 0;
}

#define LONE_MIN 4               /* blocks that pay for filling the lanes */

void md5_update(struct md5 *m, const void *p, size_t n)
{
	const unsigned char *s = p;
	size_t have = m->len & 63;

	if (!n)
		return;
	m->len += n;
	if (have) {
		size_t part = 64 - have < n ? 64 - have : n;

		memcpy(m->buf + have, s, part);
		s += part;
		n -= part;
		if (have + part < 64)
			return;
		md5_blocks(m->s, m->buf, 1);
	}
	if (n >= 64 * LONE_MIN)
		advance((uint32_t *[]){ m->s }, &s, n / 64, 1);
	else if (n >= 64)
		md5_blocks(m->s, s, n / 64);
	memcpy(m->buf, s + (n & ~(size_t)63), n & 63);
}

static void put32(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)v;
	p[1] = (unsigned char)(v >> 8);
	p[2] = (unsigned char)(v >> 16);
	p[3] = (unsigned char)(v >> 24);
}

/* The last one or two blocks of a message of 'len' bytes whose rest stands at p. Returns their number. */
static size_t pad(unsigned char out[128], const unsigned char *p, uint64_t len)
{
	size_t rest = len & 63, n = rest < 56 ? 1 : 2;

	if (rest)
		memcpy(out, p, rest);
	out[rest] = 0x80;
	memset(out + rest + 1, 0, n * 64 - rest - 9);
	put32(out + n * 64 - 8, (uint32_t)(len << 3));
	put32(out + n * 64 - 4, (uint32_t)(len >> 29));
	return n;
}

static void digest_of(unsigned char out[16], const uint32_t s[4])
{
	for (int i = 0; i < 4; i++)
		put32(out + 4 * i, s[i]);
}

void md5_final(struct md5 *m, unsigned char out[16])
{
	unsigned char last[128];

	md5_blocks(m->s, last, pad(last, m->buf, m->len));
	digest_of(out, m->s);
}

void md5_once(const void *p, size_t n, unsigned char out[16])
{
	struct md5 m;

	md5_init(&m);
	md5_update(&m, p, n);
	md5_final(&m, out);
}

#define MAX_LANES 16

/* A lane at work on one buffer: its whole blocks, then the one or two that padding makes of the rest. */
struct lane {
	struct md5_buf *b;
	uint32_t s[4];
	const unsigned char *p;
	size_t left;                    /* blocks still to do at p */
	bool padded;
	unsigned char last[128];
};

static void lane_pad(struct lane *l)
{
	const unsigned char *rest = (const unsigned char *)l->b->p + (l->b->len & ~(size_t)63);

	l->left = pad(l->last, rest, l->b->len);
	l->p = l->last;
	l->padded = true;
}

static void lane_start(struct lane *l, struct md5_buf *b)
{
	struct md5 m;

	md5_init(&m);
	memcpy(l->s, m.s, sizeof(l->s));
	l->b = b;
	l->p = b->p;
	l->left = b->len / 64;
	l->padded = false;
	if (!l->left)
		lane_pad(l);
}

/* True when the lane is free again. */
static bool lane_moved(struct lane *l, size_t n)
{
	l->p += n * 64;
	l->left -= n;
	if (l->left)
		return false;
	if (!l->padded) {
		lane_pad(l);
		return false;
	}
	digest_of(l->b->digest, l->s);
	return true;
}

void md5_many(struct md5_buf *b, size_t n)
{
	unsigned width = md5_lanes(), busy = 0;
	struct lane lane[MAX_LANES], *at[MAX_LANES];
	uint32_t *s[MAX_LANES];
	const unsigned char *p[MAX_LANES];
	size_t next = 0;

	for (unsigned i = 0; i < width; i++)
		at[i] = &lane[i];
	while (next < n || busy) {
		size_t step = SIZE_MAX;

		while (busy < width && next < n)
			lane_start(at[busy++], &b[next++]);
		for (unsigned i = 0; i < busy; i++) {
			s[i] = at[i]->s;
			p[i] = at[i]->p;
			step = at[i]->left < step ? at[i]->left : step;
		}
		advance(s, p, step, busy);
		for (unsigned i = busy; i-- > 0;) {
			struct lane *l = at[i];

			if (!lane_moved(l, step))
				continue;
			at[i] = at[--busy];     /* the free one goes behind the busy ones */
			at[busy] = l;
		}
	}
}

void md5_blocks_many(struct md5 **m, const unsigned char **p, size_t nblocks, size_t lanes)
{
	unsigned width = md5_lanes();
	uint32_t *s[MAX_LANES];

	for (size_t from = 0; from < lanes; from += width) {
		unsigned n = lanes - from < width ? (unsigned)(lanes - from) : width;

		for (unsigned i = 0; i < n; i++) {
			s[i] = m[from + i]->s;
			m[from + i]->len += nblocks * 64;
		}
		advance(s, p + from, nblocks, n);
	}
}

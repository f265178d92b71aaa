/* Four lanes in whatever vectors the compiler makes of them (SSE2 and NEON at least). */
#include "core/base/md5x.h"

typedef uint32_t vec4 __attribute__((vector_size(16)));

static inline uint32_t word(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap32(v);
#endif
	return v;
}

static inline void load4(vec4 w[16], const unsigned char *const *p, size_t off)
{
	for (size_t i = 0; i < 16; i++)
		w[i] = (vec4){ word(p[0] + off + 4 * i), word(p[1] + off + 4 * i), word(p[2] + off + 4 * i),
			       word(p[3] + off + 4 * i) };
}

#define vec vec4
#define LANES 4
#define TARGET
#define KERNEL md5x_portable4
#if defined(__x86_64__)
#define HOLD(x) __asm__("" : "+x"(x))
#else
#define HOLD(x) ((void)0)
#endif
#define LOAD load4
#include "core/base/md5x_steps.h"

/* Eight lanes with AVX2. Compiled for every x86-64, run where the CPU has it. */
#include "core/base/md5x_rows8.h"

#if defined(__x86_64__)
#define vec vec8
#define LANES 8
#define TARGET __attribute__((target("avx2")))
#define KERNEL md5x_avx2_8
#define HOLD(x) __asm__("" : "+x"(x))
#define LOAD MD5X_LOAD8
#include "core/base/md5x_steps.h"
#else
typedef int md5x_avx2_is_not_for_this_machine;
#endif

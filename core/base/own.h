/*
 * own - allocation that cannot fail, and cleanup of plain pointers and descriptors. A type with a release of its own brings
 *       its own auto* macro beside it (autostr, autoerr, autonode, ...); there are no others.
 *
 *  O1  A variable marked auto* is initialised where it is declared.
 *  O2  take() is the only way to hand an auto* variable on: it leaves the empty value behind.
 *  O3  x* allocators never return NULL; running out of memory ends the process.
 */
#ifndef BASE_OWN_H
#define BASE_OWN_H

#include "core/base/compat.h"

#include <stdarg.h>

void own_free(void *p);         /* *(void **)p; for the attribute only */
void own_close(int *fd);
void own_fclose(FILE **f);

#define autofree  __attribute__((cleanup(own_free)))
#define autoclose __attribute__((cleanup(own_close)))
#define autofclose __attribute__((cleanup(own_fclose)))
#define autocall(fn) __attribute__((cleanup(fn)))

/* take(p) moves a pointer out, take_fd(fd) a descriptor. */
#define take(p) ({ __typeof__(p) took_ = (p); (p) = NULL; took_; })
#define take_fd(fd) ({ int took_ = (fd); (fd) = -1; took_; })

void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
void *xreallocarray(void *p, size_t n, size_t size);
char *xstrdup(const char *s);           /* NULL gives NULL */
char *xstrndup(const char *s, size_t n);
void *xmemdup(const void *p, size_t n);
char *xasprintf(const char *fmt, ...) PRINTF(1, 2);
char *xvasprintf(const char *fmt, va_list ap) PRINTF(1, 0);

/* Makes room for one more element of a plain growing array. */
#define GROW(a, n, cap) do { \
	if ((n) >= (cap)) { \
		(cap) = (cap) ? (cap) * 2 : 8; \
		(a) = xreallocarray((a), (cap), sizeof(*(a))); \
	} \
} while (0)

#endif

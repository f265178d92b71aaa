/*
 * lazylib - opens a shared library at its first use, so that start-up pays only for what runs.
 *
 *  L1  Every third-party library is used by one .c file, which lists its functions once in an X-macro.
 *  L2  Types come from the library's own header by typeof: a changed signature does not compile.
 *  L3  The name to open is the soname found at build time (build/sonames.h, made by the Makefile).
 *
 *	#define FUNCS(X) X(curl_easy_init) X(curl_easy_cleanup)
 *	static struct { LAZYLIB_FIELDS(FUNCS) } curl;
 *	#define SYM(f) { #f, (void **)&curl.f },
 *	static const struct lazysym syms[] = { FUNCS(SYM) };
 *	static struct lazylib lib = LAZYLIB_INIT(SONAME_CURL, "libcurl4", syms);
 *	if (lazylib_open(&lib, e)) return -1;
 *	h = curl.curl_easy_init();
 *
 * Threads: lazylib_open may be called from any thread; after it returned 0 the table is constant.
 */
#ifndef BASE_LAZYLIB_H
#define BASE_LAZYLIB_H

#include "core/base/compat.h"

#include <pthread.h>

struct err;
struct lazysym { const char *name; void **slot; };
struct lazylib {
	const char *soname, *package;
	const struct lazysym *syms;
	size_t nsyms;
	void *handle;
	int ready;              /* atomic */
	pthread_mutex_t mu;
};
#define LAZYLIB_FIELD(f) __typeof__(f) *f;
#define LAZYLIB_FIELDS(list) list(LAZYLIB_FIELD)
#define LAZYLIB_INIT(soname, package, syms) \
	{ (soname), (package), (syms), sizeof(syms) / sizeof((syms)[0]), NULL, 0, PTHREAD_MUTEX_INITIALIZER }

/* ERR_UNSUPPORTED with the package's name when the library is not installed. */
int lazylib_open(struct lazylib *l, struct err *e);

#endif

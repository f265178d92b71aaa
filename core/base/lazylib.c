#include "core/base/lazylib.h"

#include "core/base/err.h"

#include <dlfcn.h>

static int resolve(struct lazylib *l, struct err *e)
{
	void *h = dlopen(l->soname, RTLD_NOW | RTLD_LOCAL);

	if (!h) {
		err_set(e, ERR_UNSUPPORTED, "cannot load '%s': %s", l->soname, dlerror());
		err_hint(e, "install the package '%s'", l->package);
		return -1;
	}
	for (size_t i = 0; i < l->nsyms; i++) {
		void *p = dlsym(h, l->syms[i].name);

		if (!p) {
			dlclose(h);
			return err_set(e, ERR_UNSUPPORTED, "'%s' has no function '%s': the version differs from "
				       "the one git-data was built with", l->soname, l->syms[i].name);
		}
		*l->syms[i].slot = p;
	}
	l->handle = h;
	return 0;
}

int lazylib_open(struct lazylib *l, struct err *e)
{
	int rc = 0;

	if (__atomic_load_n(&l->ready, __ATOMIC_ACQUIRE))
		return 0;
	pthread_mutex_lock(&l->mu);
	if (!l->ready) {
		rc = resolve(l, e);
		if (!rc)
			__atomic_store_n(&l->ready, 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&l->mu);
	return rc;
}

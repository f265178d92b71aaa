/*
 * store_own - what the store's own files share. Outside core/cache nobody includes it.
 */
#ifndef CACHE_STORE_OWN_H
#define CACHE_STORE_OWN_H

#include "core/cache/oid.h"
#include "core/cache/store.h"
#include "core/cache/unsynced.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

struct store {
	char *root;                     /* cache root */
	char *base;                     /* where the 256 directories lie: root, or root/files/md5 */
	struct store_conf conf;
	pthread_mutex_t mu;             /* guards opening and making base */
	atomic_int basefd;              /* -1 until base exists */
	atomic_int tempfd;              /* -1 until something was written */
	struct unsynced *unsynced;
	atomic_bool wrote;
};

#define STORE_NAME_MAX OID_KEY_MAX      /* "aa/", 30 digits, ".dir", NUL */
void store_name(char out[STORE_NAME_MAX], const struct oid *id);
/* The directory of all objects, or -1 with ERR_NOTFOUND (errno ENOENT) while it does not exist. */
int  store_base(struct store *s, bool make, struct err *e);
/* What S7 and S6 say of a stat: true when the object is believed without reading it. */
bool store_trusts(struct store *s, const struct oid *id, const struct stat *st);
/* Says that objects are about to be written (S6); cheap after the first call. */
int  store_writing(struct store *s, struct err *e);
/* Makes the directory "aa" of a name. */
int  store_make_dir(struct store *s, const char *name, struct err *e);
void store_sweep_temps(int tempfd);
int  store_rename_in(struct store *s, int fromfd, const char *from, const struct oid *id, struct err *e);

#endif

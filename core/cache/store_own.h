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
	atomic_int has_temps;           /* store_has_temps(): -1 not asked yet */
	struct unsynced *unsynced;
	atomic_bool wrote;
	atomic_bool no_anon;            /* the file system has no O_TMPFILE */
	atomic_int can_clone;           /* store_can_clone(): -1 not asked yet */
	atomic_bool by_proc;            /* a descriptor is linked through /proc: no privilege for the direct way */
};

#define STORE_OBJECT_MODE 0444
#define STORE_TEMP_DIR "git-data.tmp"
#define STORE_NAME_MAX OID_KEY_MAX      /* "aa/", 30 digits, ".dir", NUL */
void store_name(char out[STORE_NAME_MAX], const struct oid *id);
/* The directory of all objects, or -1 with ERR_NOTFOUND (errno ENOENT) while it does not exist. */
int  store_base(struct store *s, bool make, struct err *e);
/* What S7 and S6 say of a stat: true when the object is believed without reading it. */
bool store_trusts(struct store *s, const struct oid *id, const struct stat *st);
/* Makes the directory "aa" of a name. */
int  store_make_dir(struct store *s, const char *name, struct err *e);
void store_sweep_temps(int tempfd);
int  store_share_dir(int dirfd, const char *name);
/*
 * A file for content whose name is not known yet. Where the file system can, it has no name at all, so that whatever
 * ends the process leaves nothing behind; else it is a temporary and tmp holds its name. tmp is "" otherwise.
 */
int  store_anon(struct store *s, int *out_fd, char tmp[32], struct err *e);
/* As store_put_bytes(), for a caller that has reason to think the object is not there: no question is asked first. */
int  store_put_new(struct store *s, const void *p, size_t n, const struct oid *id, bool *was_there, struct err *e);
/* True when files of the same file system as 'path' below dirfd can be cloned into the store. The kernel is asked once. */
bool store_can_clone(struct store *s, int dirfd, const char *path);

#endif

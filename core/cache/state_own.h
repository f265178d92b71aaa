/*
 * state_own - what the state's own files share. Outside core/cache nobody includes it.
 *
 * A record: struct rec_head, n struct rec_item sorted by name, then the names, each with its NUL.
 */
#ifndef CACHE_STATE_OWN_H
#define CACHE_STATE_OWN_H

#include "core/base/map.h"
#include "core/cache/state.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#define REC_VERSION 1u
#define STATE_KEY_MAX 511

struct rec_head {
	uint64_t sum;                   /* of all that follows */
	uint32_t version, n;
};
struct rec_item {
	struct state_stat st;
	unsigned char md5[16];
	uint32_t name;                  /* offset from the record's start */
	uint32_t is_dir;
};

/* Single files put since the last flush, of one directory. */
struct state_pitem { char *name; struct state_stat st; struct oid id; };
struct state_pending { struct state_pitem *v; size_t n, cap; struct map at; };  /* at: name -> index + 1 of the last */
struct state {
	MDB_env *env;
	MDB_dbi dbi;
	char *root, *file, *stamp;      /* database; what it looked like when we last wrote it */
	int lockfd;
	pthread_mutex_t mu;             /* guards what follows */
	struct map files;               /* directory -> struct state_pending: single files put */
	struct map dirs;                /* directory -> struct state_blob: whole records */
	struct map facts;               /* key -> struct state_blob; NULL bytes: delete */
	size_t pending_bytes;
	struct state_reader *shared;    /* for state_get() */
	atomic_size_t waiting;          /* single files put and not committed */
	atomic_uint readers;
	atomic_bool broken;             /* the database gave nonsense: it is set aside at close */
};
struct str;
struct state_blob { size_t n; unsigned char bytes[]; };

uint64_t state_sum(const void *p, size_t n);
/* A record read from the database is well formed; cheap. */
bool state_rec_ok(const MDB_val *v);
void state_rec_item(struct rec_item *out, const MDB_val *v, size_t i);
size_t state_dir_key(char out[STATE_KEY_MAX], const char *dir, size_t n);
size_t state_fact_key(char out[STATE_KEY_MAX], const char *kind, const char *key);
/* The part of path that keys are made of. */
const char *state_rel(const struct state *s, const char *path);
void state_fact_name(struct str *out, const char *kind, const char *key);       /* of the map of facts put */
int  state_check(struct state *s, int rc);      /* notes damage; gives rc back */

/* statefile.c: opening, checking and setting aside */
int  state_env_open(struct state *s, struct err *e);
void state_env_close(struct state *s);
void state_stamp_save(struct state *s);

#endif

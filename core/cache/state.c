#include "core/cache/state_own.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

struct state_reader {
	struct state *s;
	MDB_txn *txn;
	char *dir;                      /* whose record 'rec' is; NULL: none read yet */
	size_t dirlen;
	MDB_val rec;                    /* mv_size 0: the directory has none */
	uint32_t n, at;
};

/* Not keyed: it must mean the same to every process. Chance damage is what it is for. */
uint64_t state_sum(const void *p, size_t n)
{
	const unsigned char *s = p;
	uint64_t h = 0x9ae16a3b2f90404full ^ n, w;

	for (; n >= 8; s += 8, n -= 8) {
		memcpy(&w, s, 8);
		h = (h ^ w) * 0x9fb21c651e98df25ull;
		h ^= h >> 29;
	}
	for (w = 0; n; n--)
		w = w << 8 | *s++;
	h = (h ^ w) * 0x9fb21c651e98df25ull;
	return h ^ h >> 32;
}

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void state_stat_of(struct state_stat *out, const struct stat *st)
{
	out->size = (uint64_t)st->st_size;
	out->ino = st->st_ino;
	out->dev = st->st_dev;
	out->mtime_ns = ns_of(st->st_mtim);
	out->ctime_ns = ns_of(st->st_ctim);
}

/* The clock that file systems stamp with. */
int64_t state_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	return ns_of(t);
}

bool state_is_racy(const struct state_stat *st, int64_t now)
{
	int64_t young = st->mtime_ns > st->ctime_ns ? st->mtime_ns : st->ctime_ns;

	if (st->mtime_ns % 1000000000 == 0 && st->ctime_ns % 1000000000 == 0)
		now -= 2000000000;      /* a file system that keeps whole seconds, or two */
	return young >= now;
}

static void state_free(struct state *s)
{
	state_env_close(s);
	if (s->lockfd >= 0)
		close(s->lockfd);
	pthread_mutex_destroy(&s->mu);
	map_release(&s->files, NULL);
	map_release(&s->dirs, free);
	map_release(&s->facts, free);
	free(s->root);
	free(s->file);
	free(s->stamp);
	free(s);
}

int state_open(struct state **out, const char *dir, const char *root, struct err *e)
{
	autofree char *mine = NULL, *lock = NULL;
	unsigned char digest[16];
	char hex[33];
	struct state *s;

	md5_once(root, strlen(root), digest);
	hex_encode(hex, digest, 16);
	mine = path_join(dir, hex);
	if (fs_mkdirs(mine, 0700, e))
		return err_in(e, "cannot keep the state");
	*out = NULL;
	if (fs_is_remote(mine))
		return 0;
	lock = path_join(mine, "lock");
	s = xcalloc(1, sizeof(*s));
	s->root = path_norm(root);
	s->file = path_join(mine, "state.mdb");
	s->stamp = path_join(mine, "stamp");
	pthread_mutex_init(&s->mu, NULL);
	s->lockfd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lockfd < 0)
		err_sys(e, "cannot open '%s'", lock);
	if (s->lockfd < 0 || state_env_open(s, e)) {
		state_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

void state_close(struct state *s)
{
	autoerr struct err ignored = ERR_INIT;

	if (!s)
		return;
	state_flush(s, &ignored);
	state_reader_close(s->shared);
	state_free(s);
}

int state_check(struct state *s, int rc)
{
	if (rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_PANIC || rc == MDB_INVALID ||
	    rc == MDB_BAD_TXN)
		atomic_store(&s->broken, true);
	return rc;
}

const char *state_rel(const struct state *s, const char *path)
{
	size_t n = strlen(s->root);

	if (strncmp(path, s->root, n) || (path[n] && path[n] != '/'))
		return path;
	return path[n] ? path + n + 1 : path + n;
}

size_t state_dir_key(char out[STATE_KEY_MAX], const char *dir, size_t n)
{
	out[0] = 'd';
	if (n < STATE_KEY_MAX) {
		memcpy(out + 1, dir, n);
		return n + 1;
	}
	out[0] = 'D';                   /* longer than a key may be */
	md5_once(dir, n, (unsigned char *)out + 1);
	return 17;
}

size_t state_fact_key(char out[STATE_KEY_MAX], const char *kind, const char *key)
{
	size_t nk = strlen(kind), n = strlen(key);

	if (nk > 64)
		BUG("fact kind '%s' is too long", kind);
	out[0] = 'f';
	memcpy(out + 1, kind, nk + 1);
	if (nk + 2 + n < STATE_KEY_MAX) {
		memcpy(out + nk + 2, key, n);
		return nk + 2 + n;
	}
	out[0] = 'F';
	md5_once(key, n, (unsigned char *)out + nk + 2);
	return nk + 2 + 16;
}

bool state_rec_ok(const MDB_val *v)
{
	struct rec_head h;

	if (v->mv_size < sizeof(h) + 1)
		return false;
	memcpy(&h, v->mv_data, sizeof(h));
	return h.version == REC_VERSION && h.n <= (v->mv_size - sizeof(h)) / sizeof(struct rec_item) &&
	       !((const char *)v->mv_data)[v->mv_size - 1];
}

void state_rec_item(struct rec_item *out, const MDB_val *v, size_t i)
{
	memcpy(out, (const char *)v->mv_data + sizeof(struct rec_head) + i * sizeof(*out), sizeof(*out));
	if (out->name >= v->mv_size)
		out->name = (uint32_t)v->mv_size - 1;   /* the last NUL: an empty name matches nothing */
}

struct state_reader *state_reader_open(struct state *s)
{
	struct state_reader *r;
	MDB_txn *txn = NULL;

	if (!s || !s->env || state_check(s, mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn)))
		return NULL;
	r = xcalloc(1, sizeof(*r));
	r->s = s;
	r->txn = txn;
	atomic_fetch_add(&s->readers, 1);
	return r;
}

void state_reader_close(struct state_reader *r)
{
	if (!r)
		return;
	mdb_txn_abort(r->txn);
	atomic_fetch_sub(&r->s->readers, 1);
	free(r->dir);
	free(r);
}

static void load_dir(struct state_reader *r, const char *dir, size_t n)
{
	char key[STATE_KEY_MAX];
	MDB_val k = { state_dir_key(key, dir, n), key };
	struct rec_head h;

	free(r->dir);
	r->dir = xstrndup(dir, n);
	r->dirlen = n;
	r->n = r->at = 0;
	if (state_check(r->s, mdb_get(r->txn, r->s->dbi, &k, &r->rec)) || !state_rec_ok(&r->rec))
		return;
	memcpy(&h, r->rec.mv_data, sizeof(h));
	r->n = h.n;
}

static int compare_at(const struct state_reader *r, uint32_t i, const char *name, struct rec_item *x)
{
	state_rec_item(x, &r->rec, i);
	return strcmp((const char *)r->rec.mv_data + x->name, name);
}

/* Callers come in order of name nearly always: the next record first, then by halves. */
static bool find_name(struct state_reader *r, const char *name, struct rec_item *x)
{
	uint32_t lo = 0, hi = r->n;

	if (r->at < r->n) {
		int c = compare_at(r, r->at, name, x);

		if (!c)
			return r->at++, true;
		if (c < 0)
			lo = r->at + 1;
		else
			hi = r->at;
	}
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = compare_at(r, mid, name, x);

		if (!c) {
			r->at = mid + 1;
			return true;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static bool committed(struct state_reader *r, const char *rel, const struct state_stat *st, struct oid *out)
{
	const char *base;
	size_t n;
	struct rec_item x;

	base = path_base(rel);
	n = base > rel ? (size_t)(base - rel) - 1 : 0;
	if (!r->dir || n != r->dirlen || memcmp(r->dir, rel, n))
		load_dir(r, rel, n);
	if (!r->n || !find_name(r, base, &x) || memcmp(&x.st, st, sizeof(*st)))
		return false;
	memcpy(out->md5, x.md5, 16);
	out->is_dir = x.is_dir != 0;
	return true;
}

/* What this process put and has not committed yet. Called with the lock held. */
static bool waiting(struct state *s, const char *rel, const struct state_stat *st, struct oid *out)
{
	autofree char *dir = path_dir(rel);
	const struct state_pending *p = map_get(&s->files, dir);
	uintptr_t i = p ? (uintptr_t)map_get(&p->at, path_base(rel)) : 0;

	if (!i || memcmp(&p->v[i - 1].st, st, sizeof(*st)))
		return false;
	*out = p->v[i - 1].id;
	return true;
}

bool state_reader_get(struct state_reader *r, const char *path, const struct state_stat *st, struct oid *out)
{
	const char *rel = r ? state_rel(r->s, path) : NULL;
	bool found;

	if (!r)
		return false;
	if (committed(r, rel, st, out))
		return true;
	if (!atomic_load_explicit(&r->s->waiting, memory_order_relaxed))
		return false;
	pthread_mutex_lock(&r->s->mu);
	found = waiting(r->s, rel, st, out);
	pthread_mutex_unlock(&r->s->mu);
	return found;
}

bool state_get(struct state *s, const char *path, const struct stat *st, struct oid *out)
{
	struct state_stat want = { 0 };
	bool found = false;

	if (!s)
		return false;
	state_stat_of(&want, st);
	pthread_mutex_lock(&s->mu);
	if (!s->shared)
		s->shared = state_reader_open(s);
	else if (state_check(s, mdb_txn_renew(s->shared->txn)))
		goto undo;
	if (s->shared) {
		free(s->shared->dir);
		s->shared->dir = NULL;
		found = committed(s->shared, state_rel(s, path), &want, out) ||
			waiting(s, state_rel(s, path), &want, out);
		mdb_txn_reset(s->shared->txn);  /* holds no old pages between questions */
	}
undo:
	pthread_mutex_unlock(&s->mu);
	return found;
}

void state_fact_name(struct str *out, const char *kind, const char *key)
{
	str_addf(out, "%s\x1f%s", kind, key);
}

static bool split_fact(const unsigned char *p, size_t n, const char **key, uint32_t *nk, const void **value, size_t *size)
{
	if (n < 12)
		return false;
	memcpy(nk, p + 8, 4);
	if (*nk > n - 12)
		return false;
	*key = (const char *)p + 12;
	*value = p + 12 + *nk;
	*size = n - 12 - *nk;
	return true;
}

static bool copy_fact(const unsigned char *p, size_t n, const char *key, void *out, size_t size)
{
	const char *k;
	const void *v;
	uint32_t nk;
	size_t nv;

	if (!split_fact(p, n, &k, &nk, &v, &nv) || nk != strlen(key) || memcmp(k, key, nk) || nv != size)
		return false;
	memcpy(out, v, size);
	return true;
}

bool state_get_fact(struct state *s, const char *kind, const char *key, void *out, size_t size)
{
	autostr struct str name = STR_INIT;
	char lkey[STATE_KEY_MAX];
	struct state_blob *b;
	MDB_txn *txn;
	MDB_val k, v;
	bool ok;

	if (!s)
		return false;
	state_fact_name(&name, kind, key);
	pthread_mutex_lock(&s->mu);
	b = map_get(&s->facts, name.buf);
	ok = b && copy_fact(b->bytes, b->n, key, out, size);
	pthread_mutex_unlock(&s->mu);
	if (b || !s->env || state_check(s, mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn)))
		return ok;
	k = (MDB_val){ state_fact_key(lkey, kind, key), lkey };
	if (!state_check(s, mdb_get(txn, s->dbi, &k, &v)))
		ok = copy_fact(v.mv_data, v.mv_size, key, out, size);
	mdb_txn_abort(txn);
	return ok;
}

static void each_from(struct state *s, MDB_cursor *c, char prefix, const char *kind, state_fact_fn *fn, void *data)
{
	char want[STATE_KEY_MAX];
	size_t n = strlen(kind) + 2;
	MDB_val k = { n, want }, v;
	int rc;

	want[0] = prefix;
	memcpy(want + 1, kind, n - 1);
	for (rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE); !rc; rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
		autofree char *key = NULL;
		const char *text;
		const void *value;
		uint32_t nk;
		size_t size;

		if (k.mv_size < n || memcmp(k.mv_data, want, n))
			break;
		if (!split_fact(v.mv_data, v.mv_size, &text, &nk, &value, &size))
			continue;
		key = xstrndup(text, nk);
		if (fn(key, value, size, data))
			return;
	}
	state_check(s, rc);
}

void state_each_fact(struct state *s, const char *kind, state_fact_fn *fn, void *data)
{
	autoerr struct err ignored = ERR_INIT;
	MDB_txn *txn;
	MDB_cursor *c;

	if (!s || state_flush(s, &ignored) || state_check(s, mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn)))
		return;
	if (!state_check(s, mdb_cursor_open(txn, s->dbi, &c))) {
		each_from(s, c, 'f', kind, fn, data);
		each_from(s, c, 'F', kind, fn, data);
		mdb_cursor_close(c);
	}
	mdb_txn_abort(txn);
}

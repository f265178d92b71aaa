/* The writing half of the state: what was put is merged into the records in one transaction. */
#include "core/cache/state_own.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/str.h"

#include <errno.h>
#include <sys/file.h>

#define FLUSH_AT (16u << 20)            /* bytes of records waiting that are committed without being asked */
#define WAITING_MOST (256u << 10)       /* the same, in single files */
#define MAX_RECORD (1u << 31)

static char *dir_of(const struct state *s, const char *path)
{
	return path_dir(state_rel(s, path));
}

void state_put_stat(struct state *s, const char *path, const struct state_stat *st, const struct oid *id)
{
	autofree char *dir = s ? dir_of(s, path) : NULL;
	autoerr struct err ignored = ERR_INIT;
	struct state_pending *p;
	bool full;

	if (!s)
		return;
	pthread_mutex_lock(&s->mu);
	p = map_get(&s->files, dir);
	if (!p) {
		p = xcalloc(1, sizeof(*p));
		map_put(&s->files, dir, p);
	}
	GROW(p->v, p->n, p->cap);
	p->v[p->n++] = (struct state_pitem){ xstrdup(path_base(path)), *st, *id };
	map_put(&p->at, p->v[p->n - 1].name, (void *)(uintptr_t)p->n);
	full = atomic_fetch_add(&s->waiting, 1) >= WAITING_MOST;
	pthread_mutex_unlock(&s->mu);
	if (full)
		state_flush(s, &ignored);
}

void state_put(struct state *s, const char *path, const struct stat *st, const struct oid *id)
{
	struct state_stat ss;

	state_stat_of(&ss, st);
	if (!state_is_racy(&ss, state_now()))
		state_put_stat(s, path, &ss, id);
}

static struct state_blob *make_record(const struct state_item *items, size_t n, int64_t now)
{
	size_t size = sizeof(struct rec_head), kept = 0, text;
	struct state_blob *b;
	struct rec_head h = { .version = REC_VERSION };

	for (size_t i = 0; i < n; i++)
		size += sizeof(struct rec_item) + strlen(items[i].name) + 1;
	if (++size > MAX_RECORD)
		return NULL;
	b = xmalloc(sizeof(*b) + size);
	text = sizeof(h) + n * sizeof(struct rec_item);
	for (size_t i = 0; i < n; i++) {
		struct rec_item x = { .st = items[i].st, .name = (uint32_t)text, .is_dir = items[i].id.is_dir };
		size_t len = strlen(items[i].name) + 1;

		if (now && state_is_racy(&x.st, now))
			continue;
		memcpy(x.md5, items[i].id.md5, 16);
		memcpy(b->bytes + sizeof(h) + kept++ * sizeof(x), &x, sizeof(x));
		memcpy(b->bytes + text, items[i].name, len);
		text += len;
	}
	/* What was left out leaves a hole between items and names; it is zeroed so that no old memory is written. */
	memset(b->bytes + sizeof(h) + kept * sizeof(struct rec_item), 0, (n - kept) * sizeof(struct rec_item));
	b->bytes[text++] = 0;
	h.n = (uint32_t)kept;
	b->n = text;
	memcpy(b->bytes, &h, sizeof(h));
	h.sum = state_sum(b->bytes + sizeof(h.sum), text - sizeof(h.sum));
	memcpy(b->bytes, &h, sizeof(h));
	return b;
}

void state_put_dir(struct state *s, const char *dir, const struct state_item *items, size_t n, int64_t now)
{
	autoerr struct err ignored = ERR_INIT;
	struct state_blob *b = s ? make_record(items, n, now) : NULL;
	bool full;

	if (!b)
		return;
	pthread_mutex_lock(&s->mu);
	s->pending_bytes += b->n;
	free(map_put(&s->dirs, state_rel(s, dir), b));
	full = s->pending_bytes > FLUSH_AT;
	pthread_mutex_unlock(&s->mu);
	if (full)
		state_flush(s, &ignored);
}

/* As stored: checksum, length of the key, key, value. */
static struct state_blob *make_fact(const char *key, const void *value, size_t size)
{
	uint32_t nk = (uint32_t)strlen(key);
	size_t n = 12 + nk + size;
	struct state_blob *b = xmalloc(sizeof(*b) + n);
	uint64_t sum;

	memcpy(b->bytes + 8, &nk, 4);
	memcpy(b->bytes + 12, key, nk);
	memcpy(b->bytes + 12 + nk, value, size);
	sum = state_sum(b->bytes + 8, n - 8);
	memcpy(b->bytes, &sum, 8);
	b->n = n;
	return b;
}

void state_put_fact(struct state *s, const char *kind, const char *key, const void *value, size_t size)
{
	autostr struct str name = STR_INIT;
	struct state_blob *b;

	if (!s)
		return;
	state_fact_name(&name, kind, key);
	b = value ? make_fact(key, value, size) : xcalloc(1, sizeof(*b));
	pthread_mutex_lock(&s->mu);
	free(map_put(&s->facts, name.buf, b));
	pthread_mutex_unlock(&s->mu);
}


static int by_item_name(const void *a, const void *b)
{
	const struct state_item *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Later puts of one name win; the old record's other items stay. */
static struct state_blob *merge(const struct state_pending *p, const MDB_val *old)
{
	autofree struct state_item *v = NULL;
	struct rec_head h = { .n = 0 };
	size_t n = 0;

	if (old)
		memcpy(&h, old->mv_data, sizeof(h));
	v = xreallocarray(NULL, p->n + h.n + 1, sizeof(*v));
	for (size_t i = p->n; i-- > 0;) {
		if ((uintptr_t)map_get(&p->at, p->v[i].name) != i + 1)
			continue;
		v[n++] = (struct state_item){ p->v[i].name, p->v[i].st, p->v[i].id };
	}
	for (uint32_t i = 0; i < h.n; i++) {
		struct rec_item x;
		const char *name;

		state_rec_item(&x, old, i);
		name = (const char *)old->mv_data + x.name;
		if (map_has(&p->at, name))
			continue;
		v[n] = (struct state_item){ .name = name, .st = x.st, .id.is_dir = x.is_dir != 0 };
		memcpy(v[n++].id.md5, x.md5, 16);
	}
	qsort(v, n, sizeof(*v), by_item_name);
	return make_record(v, n, 0);
}

static int put_blob(MDB_txn *txn, MDB_dbi dbi, MDB_val *k, const struct state_blob *b)
{
	MDB_val v = { b->n, (void *)(uintptr_t)b->bytes };
	int rc;

	if (b->n)
		return mdb_put(txn, dbi, k, &v, 0);
	rc = mdb_del(txn, dbi, k, NULL);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int put_files(struct state *s, MDB_txn *txn)
{
	struct map_entry *it;
	char key[STATE_KEY_MAX];

	for (size_t i = 0; (it = map_next(&s->files, &i));) {
		autofree struct state_blob *b = NULL;
		MDB_val k = { state_dir_key(key, it->key, strlen(it->key)), key }, old;
		int rc = mdb_get(txn, s->dbi, &k, &old);

		if (rc && rc != MDB_NOTFOUND)
			return rc;
		b = merge(it->value, !rc && state_rec_ok(&old) ? &old : NULL);
		rc = b ? put_blob(txn, s->dbi, &k, b) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

static int put_dirs(struct state *s, MDB_txn *txn)
{
	struct map_entry *it;
	char key[STATE_KEY_MAX];
	int rc = 0;

	for (size_t i = 0; !rc && (it = map_next(&s->dirs, &i));) {
		MDB_val k = { state_dir_key(key, it->key, strlen(it->key)), key };

		rc = put_blob(txn, s->dbi, &k, it->value);
	}
	return rc;
}

static int put_facts(struct state *s, MDB_txn *txn)
{
	struct map_entry *it;
	char key[STATE_KEY_MAX];
	int rc = 0;

	for (size_t i = 0; !rc && (it = map_next(&s->facts, &i));) {
		autofree char *kind = xstrndup(it->key, strcspn(it->key, "\x1f"));
		MDB_val k = { state_fact_key(key, kind, it->key + strlen(kind) + 1), key };

		rc = put_blob(txn, s->dbi, &k, it->value);
	}
	return rc;
}

static int commit(struct state *s)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = put_dirs(s, txn);
	if (!rc)
		rc = put_files(s, txn);
	if (!rc)
		rc = put_facts(s, txn);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	proc_fault("state.commit");
	return mdb_txn_commit(txn);
}

/* The map can only be changed while nobody of this process reads through it. */
static int grow(struct state *s, bool by_other)
{
	MDB_envinfo info;

	if (atomic_load(&s->readers) > (s->shared ? 1u : 0u) || mdb_env_info(s->env, &info))
		return -1;
	return mdb_env_set_mapsize(s->env, by_other ? 0 : info.me_mapsize * 2);
}

static void drop_pending(struct state *s)
{
	struct map_entry *it;

	for (size_t i = 0; (it = map_next(&s->files, &i));) {
		struct state_pending *p = it->value;

		for (size_t j = 0; j < p->n; j++)
			free(p->v[j].name);
		map_release(&p->at, NULL);
		free(p->v);
		free(p);
	}
	map_release(&s->files, NULL);
	map_release(&s->dirs, free);
	map_release(&s->facts, free);
	s->files = s->dirs = s->facts = (struct map)MAP_INIT;
	s->pending_bytes = 0;
	atomic_store(&s->waiting, 0);
}

int state_flush(struct state *s, struct err *e)
{
	bool locked;
	int rc;

	if (!s)
		return 0;
	pthread_mutex_lock(&s->mu);
	if (!s->files.n && !s->dirs.n && !s->facts.n) {
		pthread_mutex_unlock(&s->mu);
		return 0;
	}
	locked = !flock(s->lockfd, LOCK_EX);    /* with the stamp, so that no other process sees one without the other */
	rc = commit(s);
	for (int i = 0; i < 8 && (rc == MDB_MAP_FULL || rc == MDB_MAP_RESIZED); i++)
		rc = grow(s, rc == MDB_MAP_RESIZED) ? MDB_MAP_FULL : commit(s);
	state_check(s, rc);
	if (!rc)
		state_stamp_save(s);
	if (locked)
		flock(s->lockfd, LOCK_UN);
	drop_pending(s);                /* A2: a failure costs time, later */
	pthread_mutex_unlock(&s->mu);
	return rc ? err_set(e, ERR_FAIL, "cannot write the state '%s': %s", s->file, mdb_strerror(rc)) : 0;
}

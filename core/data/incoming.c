#include "core/data/incoming.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/trail.h"
#include "core/cache/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PART_MIN (4u << 20)     /* what is worth going on with after a crash, and not worth the mover's time to hash */
#define SPREAD_MIN (32u << 20)  /* what is worth several exchanges */
#define CHUNK_MIN (1u << 20)    /* what a killed process may lose, for each exchange */
#define CHUNKS_MAX 65536u
#define SPARSE_MIN 4096u
#define REHASH_BUF (1u << 20)
#define SMALL_MOST (64u << 10)  /* what waits in memory for its digest */

struct trailer { char magic[16]; uint64_t size; uint32_t chunk, n; };
static const char magic[16] = "git-data pieces";

void incoming_init(struct incoming *in, struct store *s, const struct oid *id, bool legacy, struct trail *trail,
		   struct bunch *bunch)
{
	*in = (struct incoming){ .store = s, .id = *id, .legacy = legacy, .trail = id->is_dir ? NULL : trail,
				 .bunch = id->is_dir ? NULL : bunch, .fd = -1 };
	md5_init(&in->md5);
}

/* ---- the name that another process finds ---- */

/* A large download gets the name that another process can find. */
static void part_keep(struct incoming *in, uint64_t size)
{
	char name[32];

	fs_temp_known(name, in->id.md5);
	if (in->is_part || in->id.is_dir || size < PART_MIN || flock(in->fd, LOCK_EX | LOCK_NB) ||
	    !store_temp_keep(in->store, in->fd, in->tmp, name))
		return;
	free(in->tmp);
	in->tmp = xstrdup(name);
	in->is_part = true;
}

/* ---- the map ---- */

static uint64_t chunk_end(const struct rop_map *m, uint32_t i)
{
	uint64_t end = (uint64_t)(i + 1) * m->chunk;

	return end < m->size ? end : m->size;
}

static void map_forget(struct incoming *in)
{
	free(in->map.state);
	memset(&in->map, 0, sizeof(in->map));
	in->first = 0;
}

/* What stands in order at the beginning can be hashed. */
static void map_advance(struct incoming *in)
{
	struct rop_map *m = &in->map;

	while (in->first < m->n && m->state[in->first] == CHUNK_DONE)
		in->first++;
	if (in->track && in->first)
		track_reach(in->track, chunk_end(m, in->first - 1));
}

static int map_read(struct incoming *in, uint64_t length, struct err *e)
{
	struct rop_map *m = &in->map;
	struct trailer t;

	if (length < sizeof(t) || pread(in->fd, &t, sizeof(t), (off_t)(length - sizeof(t))) != (ssize_t)sizeof(t) ||
	    memcmp(t.magic, magic, sizeof(magic)) || !t.chunk || !t.n || t.n > CHUNKS_MAX ||
	    t.size > length || t.size + t.n + sizeof(t) != length || (t.size + t.chunk - 1) / t.chunk != t.n)
		return 0;
	*m = (struct rop_map){ .size = t.size, .chunk = t.chunk, .n = t.n, .left = t.n, .state = xcalloc(t.n, 1) };
	if (pread(in->fd, m->state, m->n, (off_t)m->size) != (ssize_t)m->n)
		return err_sys(e, "cannot read the part of an earlier download");
	for (uint32_t i = 0; i < m->n; i++) {
		m->state[i] = m->state[i] == 1 ? CHUNK_DONE : CHUNK_TODO;
		if (m->state[i] != CHUNK_DONE)
			continue;
		m->left--;
		in->got += chunk_end(m, i) - (uint64_t)i * m->chunk;
	}
	return 0;
}

static int map_write(struct incoming *in, struct err *e)
{
	const struct rop_map *m = &in->map;
	struct trailer t = { .size = m->size, .chunk = m->chunk, .n = m->n };
	autofree uint8_t *there = xcalloc(m->n, 1);

	memcpy(t.magic, magic, sizeof(magic));
	for (uint32_t i = 0; i < m->n; i++)
		there[i] = m->state[i] == CHUNK_DONE;
	if (pwrite(in->fd, there, m->n, (off_t)m->size) != (ssize_t)m->n ||
	    pwrite(in->fd, &t, sizeof(t), (off_t)(m->size + m->n)) != (ssize_t)sizeof(t))
		return err_sys(e, "cannot write to the cache");
	return 0;
}

int incoming_spread(struct incoming *in, uint64_t size, uint64_t from, struct rop_map **map, struct err *e)
{
	struct rop_map *m = &in->map;
	uint32_t chunk = CHUNK_MIN;

	if (!in->trail || size < SPREAD_MIN || size - from < SPREAD_MIN || from > size)
		return 0;
	part_keep(in, size);
	while ((size + chunk - 1) / chunk > CHUNKS_MAX)
		chunk *= 2;
	*m = (struct rop_map){ .size = size, .chunk = chunk, .n = (uint32_t)((size + chunk - 1) / chunk) };
	m->state = xcalloc(m->n, 1);
	m->left = m->n;
	for (; (uint64_t)(in->first + 1) * chunk <= from; in->first++, m->left--)
		m->state[in->first] = CHUNK_DONE;
	if (map_write(in, e))
		return -1;
	if (!in->track)
		in->track = track_open(in->trail, in->fd, 0);
	map_advance(in);
	*map = m;
	return 0;
}

static int chunk_done(struct incoming *in, uint32_t i, struct err *e)
{
	struct rop_map *m = &in->map;

	if (m->state[i] == CHUNK_DONE)
		return 0;
	/* The bytes are in the file: now the map may say so. */
	if (pwrite(in->fd, "\1", 1, (off_t)(m->size + i)) != 1)
		return err_sys(e, "cannot write to the cache");
	m->state[i] = CHUNK_DONE;
	m->left--;
	return 0;
}

/* The map stands behind: what nobody wrote is zeros. */
static bool is_zeros(const char *p, size_t n)
{
	return n >= SPARSE_MIN && !*p && !memcmp(p, p + 1, n - 1);
}

static int write_at(int fd, uint64_t off, const char *p, size_t n, struct err *e)
{
	while (n) {
		ssize_t done = pwrite(fd, p, n, (off_t)off);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return err_sys(e, "cannot write to the cache");
		off += (uint64_t)done;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

int incoming_piece(struct incoming *in, uint64_t off, const void *p, size_t n, struct err *e)
{
	struct rop_map *m = &in->map;

	if (!m->n || off > m->size || n > m->size - off)
		return err_set(e, ERR_TEMP, "the remote sent bytes that the object does not have");
	if (!is_zeros(p, n) && write_at(in->fd, off, p, n, e))
		return -1;
	in->got += n;
	for (uint32_t i = (uint32_t)(off / m->chunk); i < m->n && chunk_end(m, i) <= off + n; i++)
		if (chunk_done(in, i, e))
			return -1;
	map_advance(in);
	return 0;
}

/* ---- small ones ---- */

static void small_forget(struct incoming *in)
{
	if (in->bunch)
		bunch_leave(in->bunch, &in->sum);
	free(in->small);
	in->small = NULL;
}

/* Of a length that is known from the first byte on; one that turns out longer is hashed as it comes. */
static void hash_add(struct incoming *in, uint64_t size, const void *p, size_t n)
{
	if (!in->got && in->bunch && size && size <= SMALL_MOST) {
		small_forget(in);
		in->small = xmalloc(size);
		in->room = size;
	}
	if (in->small && n <= in->room - in->got) {
		memcpy(in->small + in->got, p, n);
		return;
	}
	if (in->small)
		md5_update(&in->md5, in->small, in->got);
	small_forget(in);
	md5_update(&in->md5, p, n);
}

/* ---- in order ---- */

static int rehash(struct incoming *in, uint64_t length, struct err *e)
{
	autofree unsigned char *buf = NULL;
	ssize_t n;

	if (in->trail) {
		in->track = track_open(in->trail, in->fd, 0);
		in->got = length;
		track_reach(in->track, length);
		return 0;
	}
	buf = xmalloc(REHASH_BUF);
	while ((n = pread(in->fd, buf, REHASH_BUF, (off_t)in->got)) > 0) {
		md5_update(&in->md5, buf, (size_t)n);
		in->got += (uint64_t)n;
		if (proc_check(e))
			return -1;
	}
	return n < 0 ? err_sys(e, "cannot read the part of an earlier download") : 0;
}

int incoming_restart(struct incoming *in, struct err *e)
{
	track_close(in->track);
	in->track = NULL;
	small_forget(in);
	in->ended = false;
	in->got = 0;
	in->hole = 0;
	map_forget(in);
	md5_init(&in->md5);
	if (in->fd >= 0 && (ftruncate(in->fd, 0) || lseek(in->fd, 0, SEEK_SET)))
		return err_sys(e, "cannot start the download again");
	return 0;
}

/* Takes over what an earlier process left. 1 taken, 0 there is none, or somebody else is at it. */
static int part_take(struct incoming *in, struct err *e)
{
	char name[32];
	autofree char *path = NULL;
	autoclose int fd = -1, spare = -1;
	struct stat mine, named;

	fs_temp_known(name, in->id.md5);
	path = store_temp_path(in->store, name);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return 0;
	/* The name may have become an object between open and lock: never write to that. */
	if (flock(fd, LOCK_EX | LOCK_NB) || fstat(fd, &mine) || lstat(path, &named) || mine.st_ino != named.st_ino ||
	    !S_ISREG(mine.st_mode) || mine.st_nlink != 1)
		return 0;
	/* The store makes itself ready for writing when it is asked for a temporary. */
	if (store_temp_named(in->store, &spare, &in->tmp, e))
		return -1;
	store_drop(in->store, in->tmp);
	free(in->tmp);
	in->fd = take_fd(fd);
	in->tmp = xstrdup(name);
	in->is_part = true;
	if (map_read(in, (uint64_t)mine.st_size, e))
		return -1;
	if (in->map.n && !in->trail) {          /* it came in pieces, and this remote has none */
		mine.st_size = 0;
		if (incoming_restart(in, e))
			return -1;
	}
	if (!in->map.n && rehash(in, (uint64_t)mine.st_size, e))
		return -1;
	if (!in->map.n && lseek(in->fd, (off_t)in->got, SEEK_SET) < 0)
		return err_sys(e, "cannot go on with an earlier download");
	if (in->map.n) {
		in->track = track_open(in->trail, in->fd, 0);
		map_advance(in);
	}
	return 1;
}

int incoming_open(struct incoming *in, uint64_t *from, struct rop_map **map, struct err *e)
{
	int rc;

	if (in->fd >= 0)
		return 0;
	/* Asked before there are temporaries of our own, so that each small object is not looked for among them. */
	rc = store_has_temps(in->store) && !in->id.is_dir ? part_take(in, e) : 0;
	if (rc < 0)
		return -1;
	if (rc) {
		*from = in->map.n ? 0 : in->got;
		*map = in->map.n ? &in->map : NULL;
		return 0;
	}
	/* A manifest waits for its children under its temporary's name. */
	return (in->id.is_dir ? store_temp_named : store_temp)(in->store, &in->fd, &in->tmp, e);
}

int incoming_add(struct incoming *in, uint64_t size, const void *p, size_t n, struct err *e)
{
	if (!in->got) {
		part_keep(in, size);
		if (in->trail && size >= PART_MIN && !in->track)
			in->track = track_open(in->trail, in->fd, 0);
	}
	in->hole = fs_write_sparse(in->fd, p, n);
	if (in->hole < 0)
		return err_sys(e, "cannot write to the cache");
	if (!in->track)
		hash_add(in, size, p, n);
	in->got += n;
	if (in->track && !in->hole)
		track_reach(in->track, in->got);
	return 0;
}

int incoming_check(struct incoming *in, bool *equal, unsigned char got_md5[16], struct err *e)
{
	struct md5 m = in->md5;
	int rc;

	if (in->hole && ftruncate(in->fd, (off_t)in->got))
		return err_sys(e, "cannot write to the cache");
	in->hole = 0;
	if (in->track && !in->ended)
		track_end(in->track, in->map.n ? in->map.size : in->got);
	in->ended = true;
	if (in->track) {
		rc = track_digest(in->track, got_md5, e);
		if (rc)
			return rc;
	} else if (in->small) {
		in->sum.sum.p = in->small;
		in->sum.sum.len = in->got;
		if (bunch_digest(in->bunch, &in->sum, got_md5))
			return 1;
	} else {
		md5_final(&m, got_md5);
	}
	if (in->map.n && ftruncate(in->fd, (off_t)in->map.size))
		return err_sys(e, "cannot write to the cache");
	*equal = !memcmp(got_md5, in->id.md5, 16);
	/* Old ids: what DVC 2.x would have computed of these bytes. */
	if (!*equal && in->legacy && !in->id.is_dir && lseek(in->fd, 0, SEEK_SET) == 0) {
		if (legacy_md5(in->fd, got_md5, e))
			return -1;
		*equal = !memcmp(got_md5, in->id.md5, 16);
	}
	return 0;
}

void incoming_close(struct incoming *in, bool keep)
{
	track_close(in->track);
	in->track = NULL;
	small_forget(in);
	if (in->tmp && !keep && !(in->is_part && in->got))
		store_drop(in->store, in->tmp);
	if (in->fd >= 0)
		close(in->fd);
	in->fd = -1;
	free(in->tmp);
	in->tmp = NULL;
	map_forget(in);
}

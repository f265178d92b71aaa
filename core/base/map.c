#include "core/base/map.h"

#include "core/base/own.h"

#include <sys/auxv.h>

/* M2: 16 random bytes from the kernel, the same for the whole process. */
static uint64_t seed(void)
{
	const unsigned char *r = (const unsigned char *)getauxval(AT_RANDOM);
	uint64_t v = 0x9e3779b97f4a7c15ull;

	if (r)
		memcpy(&v, r, sizeof(v));
	return v;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	__uint128_t r = (__uint128_t)a * b;

	return (uint64_t)r ^ (uint64_t)(r >> 64);
}

uint64_t map_hash(const void *p, size_t n)
{
	const unsigned char *s = p;
	uint64_t h = seed() ^ n;

	while (n >= 8) {
		uint64_t w;

		memcpy(&w, s, 8);
		h = mix(h ^ w, 0xa0761d6478bd642full);
		s += 8;
		n -= 8;
	}
	if (n) {
		uint64_t w = 0;

		memcpy(&w, s, n);
		h = mix(h ^ w, 0xe7037ed1a0b428dbull);
	}
	return mix(h, 0x8ebc6af09c88c6e3ull);
}

void map_release(struct map *m, void (*free_value)(void *))
{
	for (size_t i = 0; i < m->used; i++) {
		if (m->e[i].key && free_value)
			free_value(m->e[i].value);
		free(m->e[i].key);
	}
	free(m->e);
	free(m->slot);
	*m = (struct map)MAP_INIT;
}

/* The slot that holds 'key', or the free one where it would go. */
static size_t find(const struct map *m, const char *key, uint64_t hash)
{
	size_t mask = m->nslots - 1, i = hash & mask;

	for (;; i = (i + 1) & mask) {
		const struct map_entry *e;

		if (!m->slot[i])
			return i;
		e = &m->e[m->slot[i] - 1];
		if (e->key && e->hash == hash && !strcmp(e->key, key))
			return i;
	}
}

static void rebuild(struct map *m)
{
	size_t to = 0;

	for (size_t i = 0; i < m->used; i++)
		if (m->e[i].key)
			m->e[to++] = m->e[i];
	m->used = to;
	if (to + 1 > m->cap) {
		m->cap = m->cap ? m->cap * 2 : 8;
		m->e = xreallocarray(m->e, m->cap, sizeof(*m->e));
	}
	while (m->nslots < m->cap * 2)
		m->nslots = m->nslots ? m->nslots * 2 : 16;
	free(m->slot);
	m->slot = xcalloc(m->nslots, sizeof(*m->slot));
	for (size_t i = 0; i < m->used; i++)
		m->slot[find(m, m->e[i].key, m->e[i].hash)] = (uint32_t)i + 1;
}

static struct map_entry *lookup(const struct map *m, const char *key)
{
	size_t i;

	if (!m->n)
		return NULL;
	i = find(m, key, map_hash(key, strlen(key)));
	return m->slot[i] ? &m->e[m->slot[i] - 1] : NULL;
}

void *map_get(const struct map *m, const char *key)
{
	struct map_entry *e = lookup(m, key);

	return e ? e->value : NULL;
}

bool map_has(const struct map *m, const char *key)
{
	return lookup(m, key) != NULL;
}

void *map_put(struct map *m, const char *key, void *value)
{
	struct map_entry *e = lookup(m, key);
	uint64_t hash;

	if (e) {
		void *old = e->value;

		e->value = value;
		return old;
	}
	if (m->used >= m->cap)
		rebuild(m);
	hash = map_hash(key, strlen(key));
	m->e[m->used] = (struct map_entry){ xstrdup(key), value, hash };
	m->slot[find(m, key, hash)] = (uint32_t)++m->used;
	m->n++;
	return NULL;
}

void *map_del(struct map *m, const char *key)
{
	struct map_entry *e = lookup(m, key);
	void *old;

	if (!e)
		return NULL;
	old = e->value;
	free(e->key);
	e->key = NULL;
	m->n--;
	return old;
}

struct map_entry *map_next(const struct map *m, size_t *i)
{
	while (*i < m->used) {
		struct map_entry *e = &m->e[(*i)++];

		if (e->key)
			return e;
	}
	return NULL;
}

void binset_release(struct binset *b)
{
	free(b->k);
	free(b->full);
	*b = (struct binset)BINSET_INIT(b->width);
}

static size_t bin_find(const struct binset *b, const void *key)
{
	size_t mask = b->nslots - 1, i = map_hash(key, b->width) & mask;

	while (b->full[i] && memcmp(b->k + i * b->width, key, b->width))
		i = (i + 1) & mask;
	return i;
}

static void bin_grow(struct binset *b)
{
	struct binset old = *b;

	b->nslots = old.nslots ? old.nslots * 2 : 64;
	b->k = xcalloc(b->nslots, b->width);
	b->full = xcalloc(b->nslots, 1);
	for (size_t i = 0; i < old.nslots; i++) {
		size_t to;

		if (!old.full[i])
			continue;
		to = bin_find(b, old.k + i * b->width);
		memcpy(b->k + to * b->width, old.k + i * b->width, b->width);
		b->full[to] = 1;
	}
	free(old.k);
	free(old.full);
}

bool binset_add(struct binset *b, const void *key)
{
	size_t i;

	if (b->n * 4 >= b->nslots * 3)
		bin_grow(b);
	i = bin_find(b, key);
	if (b->full[i])
		return false;
	memcpy(b->k + i * b->width, key, b->width);
	b->full[i] = 1;
	b->n++;
	return true;
}

bool binset_has(const struct binset *b, const void *key)
{
	return b->n && b->full[bin_find(b, key)];
}

const void *binset_next(const struct binset *b, size_t *i)
{
	while (*i < b->nslots) {
		size_t at = (*i)++;

		if (b->full[at])
			return b->k + at * b->width;
	}
	return NULL;
}

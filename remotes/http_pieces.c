/* Which bytes of a large download are asked for next (remote.h N5, http.h H8). */
#include "remotes/http.h"

#define RUN_BYTES (16u << 20)   /* of one exchange */

static bool take_run(struct rop *op, struct hreq *q, uint32_t first)
{
	struct rop_map *m = op->map;
	uint32_t most = RUN_BYTES / m->chunk ? RUN_BYTES / m->chunk : 1, n = 0;
	uint64_t end;

	while (n < most && first + n < m->n && m->state[first + n] == CHUNK_TODO)
		m->state[first + n++] = CHUNK_BUSY;
	if (!n)
		return false;
	end = (uint64_t)(first + n) * m->chunk;
	q->upto = end < m->size ? end : m->size;
	return true;
}

bool pieces_claim(struct rop *op, struct hreq *q)
{
	struct rop_map *m = op->map;

	for (uint32_t i = 0; i < m->n; i++)
		if (m->state[i] == CHUNK_TODO) {
			q->from = (uint64_t)i * m->chunk;
			return take_run(op, q, i);
		}
	return false;
}

bool pieces_go_on(struct rop *op, struct hreq *q, uint64_t from)
{
	return from < op->map->size && take_run(op, q, (uint32_t)(from / op->map->chunk));
}

void pieces_give_back(struct rop *op, const struct hreq *q)
{
	struct rop_map *m = op->map;

	if (!m || !q->upto)
		return;
	for (uint64_t i = q->from / m->chunk; i < m->n && i * m->chunk < q->upto; i++)
		if (m->state[i] == CHUNK_BUSY)
			m->state[i] = CHUNK_TODO;
}

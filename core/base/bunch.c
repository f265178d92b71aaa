#include "core/base/bunch.h"

static void compute(struct bunch *b)
{
	struct md5_buf sum[BUNCH_MOST];

	for (unsigned i = 0; i < b->n; i++)
		sum[i] = b->wait[i]->sum;
	md5_many(sum, b->n);
	for (unsigned i = 0; i < b->n; i++) {
		b->wait[i]->sum = sum[i];
		b->wait[i]->state = BUNCH_DONE;
	}
	b->n = 0;
}

int bunch_digest(struct bunch *b, struct bunched *i, unsigned char md5[16])
{
	if (i->state == BUNCH_APART) {
		i->state = BUNCH_WAITS;
		b->wait[b->n++] = i;
		if (b->n < md5_lanes())
			return 1;
	}
	if (i->state == BUNCH_WAITS)
		compute(b);
	memcpy(md5, i->sum.digest, 16);
	return 0;
}

void bunch_leave(struct bunch *b, struct bunched *i)
{
	unsigned at = 0;

	if (i->state == BUNCH_WAITS) {
		while (b->wait[at] != i)
			at++;
		b->wait[at] = b->wait[--b->n];
	}
	i->state = BUNCH_APART;
}

#include "core/pipeline/dagascii.h"

#include "core/base/err.h"
#include "core/base/own.h"
#include "core/base/str.h"

#include <math.h>

#define BOX_HEIGHT 3
#define NODES_MAX 20000
#define CELLS_MAX (256u << 20)
#define DUMMIES_MAX (1u << 20)

/* A box, or one point of an edge that passes a layer. */
struct vtx {
	bool dummy;
	long w, h;
	size_t edge;            /* dummies: whose point */
	long rank, pos;
	double bar, x[4], px, py;
	size_t root, align, sink;
	double shift, X;
	bool placed;            /* X is set */
	size_t *in, nin, *out, nout;    /* real ones: edges in, out, in order */
	size_t *nb[2], nnb[2];          /* neighbours in the layers above [0] and below [1] */
	bool nb_known;
};
struct pt { double x, y; };
struct edge {
	size_t v0, v1;
	size_t *via;            /* points on the ranks between, by rank - rank(v0) - 1 */
	size_t nvia;
	struct pt *pts;
	size_t npts;
};
struct layer {
	size_t *v, n, cap;
	double step;
};
struct sug {
	struct vtx *v;
	size_t n, cap;
	struct edge *e;
	size_t ne;
	struct layer *l;
	size_t nl, lcap;
	int dirh, dirv;
	double xspace, yspace;
	struct dag_edge *conflict;
	size_t nconflict, conflict_cap;
};

/* --- ranks --- */

static void layer_add(struct layer *l, size_t v)
{
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = v;
}

static void layer_remove(struct layer *l, size_t v)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i] != v)
			continue;
		memmove(&l->v[i], &l->v[i + 1], (l->n - i - 1) * sizeof(*l->v));
		l->n--;
		return;
	}
}

static void set_rank(struct sug *s, size_t i)
{
	struct vtx *v = &s->v[i];
	long r = -1;

	for (size_t k = 0; k < v->nin; k++)
		if (s->v[s->e[v->in[k]].v0].rank > r)
			r = s->v[s->e[v->in[k]].v0].rank;
	v->rank = ++r;
	while (s->nl <= (size_t)r) {
		GROW(s->l, s->nl, s->lcap);
		s->l[s->nl++] = (struct layer){ NULL, 0, 0, 1.0 };
	}
	layer_add(&s->l[r], i);
}

static bool all_scanned(const struct sug *s, size_t i, const bool *scanned)
{
	for (size_t k = 0; k < s->v[i].nin; k++)
		if (!scanned[s->v[i].in[k]])
			return false;
	return true;
}

static void rank_init(struct sug *s, size_t *now, size_t n)
{
	autofree bool *scanned = xcalloc(s->ne + 1, sizeof(*scanned));
	autofree bool *listed = xcalloc(s->n + 1, sizeof(*listed));
	autofree size_t *next = xcalloc(s->n + 1, sizeof(*next));

	while (n) {
		size_t m = 0;

		for (size_t i = 0; i < n; i++) {
			const struct vtx *v = &s->v[now[i]];

			set_rank(s, now[i]);
			for (size_t k = 0; k < v->nout; k++)
				scanned[v->out[k]] = true;
			for (size_t k = 0; k < v->nout; k++) {
				size_t x = s->e[v->out[k]].v1;

				if (!listed[x] && all_scanned(s, x, scanned)) {
					listed[x] = true;
					next[m++] = x;
				}
			}
		}
		memcpy(now, next, m * sizeof(*now));
		n = m;
	}
}

static bool can_sink(const struct sug *s, size_t x, long rank)
{
	for (size_t k = 0; k < s->v[x].nout; k++)
		if (s->v[s->e[s->v[x].out[k]].v1].rank < rank)
			return false;
	return true;
}

/* Pulls a box down to just above what needs it. */
static void rank_optimize(struct sug *s)
{
	for (size_t li = s->nl; li--;)
		for (size_t i = 0; i < s->l[li].n; i++) {
			const struct vtx *v = &s->v[s->l[li].v[i]];

			for (size_t k = 0; k < v->nin; k++) {
				size_t x = s->e[v->in[k]].v0;

				if (!can_sink(s, x, v->rank))
					continue;
				layer_remove(&s->l[s->v[x].rank], x);
				s->v[x].rank = v->rank - 1;
				layer_add(&s->l[v->rank - 1], x);
			}
		}
}

static int too_large(struct err *e)
{
	return err_set(e, ERR_FAIL, "the graph is too large to draw: use --dot or --mermaid");
}

/* Points of edges where they pass a layer: edges times layers at worst. */
static size_t count_dummies(const struct sug *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->ne; i++) {
		long passed = s->v[s->e[i].v1].rank - s->v[s->e[i].v0].rank - 1;

		n += passed > 0 ? (size_t)passed : 0;
	}
	return n;
}

static void add_dummies(struct sug *s, long dw, long dh)
{
	for (size_t i = 0; i < s->ne; i++) {
		struct edge *e = &s->e[i];
		long r0 = s->v[e->v0].rank, r1 = s->v[e->v1].rank;

		if (r1 - r0 <= 1)
			continue;
		e->via = xcalloc((size_t)(r1 - r0), sizeof(*e->via));
		for (long r = r0 + 1; r < r1; r++) {
			GROW(s->v, s->n, s->cap);
			s->v[s->n] = (struct vtx){ .dummy = true, .w = dw, .h = dh, .edge = i, .rank = r };
			e->via[e->nvia++] = s->n;
			layer_add(&s->l[r], s->n++);
		}
	}
}

static void setup_layers(struct sug *s)
{
	for (size_t r = 0; r < s->nl; r++) {
		struct layer *l = &s->l[r];

		l->step = l->n > 1 ? 1.0 / (double)(l->n - 1) : 1.0;
		for (size_t i = 0; i < l->n; i++) {
			s->v[l->v[i]].pos = (long)i;
			s->v[l->v[i]].bar = (double)i * l->step;
		}
	}
}

/* --- neighbours --- */

static size_t vertex_on(const struct sug *s, const struct edge *e, long rank)
{
	if (rank == s->v[e->v0].rank)
		return e->v0;
	if (rank == s->v[e->v1].rank)
		return e->v1;
	return e->via[rank - s->v[e->v0].rank - 1];
}

static void find_neighbours(struct sug *s, size_t i)
{
	struct vtx *v = &s->v[i];

	v->nb_known = true;
	for (int d = 0; d < 2; d++) {
		size_t n = v->dummy ? 1 : d ? v->nout : v->nin;
		long rank = v->rank + (d ? 1 : -1);

		v->nb[d] = xcalloc(n + 1, sizeof(*v->nb[d]));
		for (size_t k = 0; k < n; k++) {
			const struct edge *e = &s->e[v->dummy ? v->edge : d ? v->out[k] : v->in[k]];

			v->nb[d][v->nnb[d]++] = vertex_on(s, e, rank);
		}
	}
}

static const size_t *neighbours(struct sug *s, size_t i, int dirv, size_t *n)
{
	int d = dirv > 0;

	if (!s->v[i].nb_known)
		find_neighbours(s, i);
	*n = s->v[i].nnb[d];
	return s->v[i].nb[d];
}

/* The layer that is fixed while this one is ordered; SIZE_MAX: none. */
static size_t prev_layer(const struct sug *s, size_t r)
{
	if (s->dirv > 0)
		return r + 1 < s->nl ? r + 1 : SIZE_MAX;
	return r ? r - 1 : SIZE_MAX;
}

/* --- order within layers --- */

static int by_long(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return x < y ? -1 : x > y;
}

static size_t count_crossings(struct sug *s, const struct layer *l)
{
	size_t total = 0, count = 0, n = 0;
	autofree long *p = NULL;
	autofree size_t *tree = NULL;
	long max = 0;

	for (size_t i = 0; i < l->n; i++) {
		size_t k;

		neighbours(s, l->v[i], s->dirv, &k);
		total += k;
	}
	p = xcalloc(total + 1, sizeof(*p));
	for (size_t i = 0; i < l->n; i++) {
		size_t k, from = n;
		const size_t *nb = neighbours(s, l->v[i], s->dirv, &k);

		for (size_t j = 0; j < k; j++)
			p[n++] = s->v[nb[j]].pos;
		qsort(p + from, n - from, sizeof(*p), by_long);
	}
	for (size_t i = 0; i < n; i++)
		max = p[i] > max ? p[i] : max;
	tree = xcalloc((size_t)max + 2, sizeof(*tree));
	for (size_t i = 0; i < n; i++) {
		size_t below = 0;       /* earlier ones that are not greater */

		for (size_t k = (size_t)p[i] + 1; k; k -= k & -k)
			below += tree[k];
		count += i - below;
		for (size_t k = (size_t)p[i] + 1; k <= (size_t)max + 1; k += k & -k)
			tree[k]++;
	}
	return count;
}

static double mean_bar(struct sug *s, size_t r, size_t i)
{
	size_t n;
	const size_t *nb;
	double sum = 0;

	if (prev_layer(s, r) == SIZE_MAX)
		return s->v[i].bar;
	nb = neighbours(s, i, s->dirv, &n);
	for (size_t k = 0; k < n; k++)
		sum += s->v[nb[k]].bar;
	return n ? sum / (double)n : s->v[i].bar;
}

static void sort_by_bar(const struct sug *s, struct layer *l)
{
	for (size_t i = 1; i < l->n; i++) {
		size_t v = l->v[i], k = i;

		for (; k && s->v[l->v[k - 1]].bar > s->v[v].bar; k--)
			l->v[k] = l->v[k - 1];
		l->v[k] = v;
	}
}

static size_t reduce_crossings(struct sug *s, struct layer *l)
{
	size_t total = 0;

	for (size_t i = 0; i + 1 < l->n; i++) {
		size_t a = l->v[i], b = l->v[i + 1], na, nb, ij = 0, ji = 0;
		const size_t *va = neighbours(s, a, s->dirv, &na), *vb = neighbours(s, b, s->dirv, &nb);

		for (size_t y = 0; y < nb; y++) {
			size_t x = 0;

			for (size_t k = 0; k < na; k++)
				x += s->v[va[k]].bar > s->v[vb[y]].bar;
			ij += x;
			ji += na - x;
		}
		if (ji < ij) {
			l->v[i] = b;
			l->v[i + 1] = a;
			total += ji;
		} else {
			total += ij;
		}
	}
	return total;
}

static size_t order_layer(struct sug *s, size_t r)
{
	struct layer *l = &s->l[r];
	size_t c = count_crossings(s, l);

	if (!c)
		return 0;
	for (size_t i = 0; i < l->n; i++)
		s->v[l->v[i]].bar = mean_bar(s, r, l->v[i]);
	sort_by_bar(s, l);
	c = reduce_crossings(s, l);
	for (size_t i = 0; i < l->n; i++) {
		s->v[l->v[i]].pos = (long)i;
		s->v[l->v[i]].bar = (double)i * l->step;
	}
	return c;
}

static void order_pass(struct sug *s, bool oneway)
{
	size_t crossings = 0;

	s->dirv = -1;
	for (size_t r = 0; r < s->nl; r++)
		crossings += order_layer(s, r);
	if (oneway || !crossings)
		return;
	s->dirv = 1;
	for (size_t r = s->nl; r--;)
		order_layer(s, r);
}

/* --- coordinates --- */

static void add_conflict(struct sug *s, size_t up, size_t down)
{
	GROW(s->conflict, s->nconflict, s->conflict_cap);
	s->conflict[s->nconflict++] = (struct dag_edge){ up, down };
}

static bool in_conflict(const struct sug *s, size_t up, size_t down)
{
	for (size_t i = 0; i < s->nconflict; i++)
		if (s->conflict[i].from == up && s->conflict[i].to == down)
			return true;
	return false;
}

static void conflicts_of(struct sug *s, const struct layer *l, size_t from, size_t to, long k0, long k1)
{
	for (size_t i = from; i <= to; i++) {
		size_t n;
		const size_t *nb = neighbours(s, l->v[i], -1, &n);

		for (size_t k = 0; k < n; k++)
			if (s->v[nb[k]].pos < k0 || s->v[nb[k]].pos > k1)
				add_conflict(s, nb[k], l->v[i]);
	}
}

static void detect_conflicts(struct sug *s)
{
	for (size_t r = 1; r < s->nl; r++) {
		const struct layer *l = &s->l[r];
		long k0 = 0, k1_init = (long)s->l[r - 1].n - 1;
		size_t from = 0;

		for (size_t i = 0; i < l->n; i++) {
			long k1 = k1_init;
			size_t n, up;
			bool inner;

			if (!s->v[l->v[i]].dummy)
				continue;
			up = neighbours(s, l->v[i], -1, &n)[0];
			inner = s->v[up].dummy;
			if (i + 1 != l->n && !inner)
				continue;
			if (inner)
				k1 = s->v[up].pos;
			conflicts_of(s, l, from, i, k0, k1);
			from = i + 1;
			k0 = k1;
		}
	}
}

/* The middle neighbours' positions: one or two. */
static size_t medians(struct sug *s, size_t v, long out[2])
{
	size_t n;
	const size_t *nb = neighbours(s, v, s->dirv, &n);
	autofree long *pos = xcalloc(n + 1, sizeof(*pos));
	size_t i, j;

	if (!n)
		return 0;
	for (size_t k = 0; k < n; k++)
		pos[k] = s->v[nb[k]].pos;
	qsort(pos, n, sizeof(*pos), by_long);
	i = (n - 1) / 2;
	j = (n - 1) % 2;
	out[0] = s->dirh > 0 ? pos[i] : pos[n - 1 - i];
	if (!j)
		return 1;
	out[1] = s->dirh > 0 ? pos[i + 1] : pos[n - 2 - i];
	return 2;
}

static void align_layer(struct sug *s, size_t r)
{
	const struct layer *l = &s->l[r];
	size_t p = prev_layer(s, r);
	bool have = false;
	long last = 0;

	if (p == SIZE_MAX)
		return;
	for (size_t k = 0; k < l->n; k++) {
		size_t v = l->v[s->dirh > 0 ? k : l->n - 1 - k];
		long m[2];
		size_t n = medians(s, v, m);

		for (size_t i = 0; i < n; i++) {
			size_t um = s->l[p].v[m[i]];
			bool bad;

			if (s->v[v].align != v)
				continue;
			bad = s->dirv == 1 ? in_conflict(s, v, um) : in_conflict(s, um, v);
			if (bad || (have && !(s->dirh * last < s->dirh * m[i])))
				continue;
			s->v[um].align = v;
			s->v[v].root = s->v[um].root;
			s->v[v].align = s->v[v].root;
			have = true;
			last = m[i];
		}
	}
}

static void place_block(struct sug *s, size_t v)
{
	size_t w = v;

	if (s->v[v].placed)
		return;
	s->v[v].placed = true;
	s->v[v].X = 0;
	do {
		long j = s->v[w].pos - s->dirh;
		const struct layer *l = &s->l[s->v[w].rank];

		if (j >= 0 && j < (long)l->n) {
			size_t prec = l->v[j], u = s->v[prec].root;
			double delta = s->xspace + (double)(s->v[prec].w + s->v[w].w) / 2.0;

			place_block(s, u);
			if (s->v[v].sink == v)
				s->v[v].sink = s->v[u].sink;
			if (s->v[v].sink != s->v[u].sink) {
				size_t k = s->v[u].sink;
				double shift = s->v[v].X - (s->v[u].X + delta);

				if (shift < s->v[k].shift)
					s->v[k].shift = shift;
			} else if (s->v[u].X + delta > s->v[v].X) {
				s->v[v].X = s->v[u].X + delta;
			}
		}
		w = s->v[w].align;
	} while (w != v);
}

static void reset_vertex(struct vtx *v, size_t i)
{
	v->root = v->align = v->sink = i;
	v->shift = INFINITY;
	v->X = 0;
	v->placed = false;
}

static void compact(struct sug *s, int dirvh)
{
	for (size_t q = 0; q < s->nl; q++) {
		const struct layer *l = &s->l[s->dirv < 0 ? q : s->nl - 1 - q];

		for (size_t k = 0; k < l->n; k++) {
			size_t v = l->v[s->dirh > 0 ? k : l->n - 1 - k];

			if (s->v[v].root == v)
				place_block(s, v);
		}
	}
	for (size_t i = 0; s->dirh < 0 && i < s->n; i++)
		s->v[i].X = -s->v[i].X;
	for (size_t i = 0; i < s->n; i++) {
		const struct vtx *root = &s->v[s->v[i].root];
		double shift = s->v[root->sink].shift;

		s->v[i].x[dirvh] = root->X;
		if (shift < INFINITY)
			s->v[i].x[dirvh] += s->dirh * shift;
	}
	for (size_t i = 0; i < s->n; i++)
		reset_vertex(&s->v[i], i);
}

static int by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void set_xy(struct sug *s)
{
	static const int dirs[4][2] = { { 1, -1 }, { -1, -1 }, { 1, 1 }, { -1, 1 } };
	double y = 0;

	detect_conflicts(s);
	for (size_t i = 0; i < s->n; i++)
		reset_vertex(&s->v[i], i);
	for (int d = 0; d < 4; d++) {
		s->dirh = dirs[d][0];
		s->dirv = dirs[d][1];
		for (size_t q = 0; q < s->nl; q++)
			align_layer(s, s->dirv < 0 ? q : s->nl - 1 - q);
		compact(s, d);
	}
	for (size_t r = 0; r < s->nl; r++) {
		double dy = 0;

		for (size_t i = 0; i < s->l[r].n; i++)
			dy = fmax(dy, (double)s->v[s->l[r].v[i]].h / 2.0);
		for (size_t i = 0; i < s->l[r].n; i++) {
			struct vtx *v = &s->v[s->l[r].v[i]];

			qsort(v->x, 4, sizeof(v->x[0]), by_double);
			v->px = (v->x[1] + v->x[2]) / 2.0;
			v->py = y + dy;
		}
		y += 2 * dy + s->yspace;
	}
}

/* --- edges --- */

static bool intersect(double bx, double by, double x3, double y3, double x4, double y4, struct pt *out)
{
	double dx = x4 - x3, dy = y4 - y3, det = bx * dy - by * dx, t;

	if (det == 0)
		return false;
	t = (x3 * by - y3 * bx) / det;
	if (t < 0.0 || t > 1.0)
		return false;
	t = (x3 * dy - y3 * dx) / det;
	if (t < 0.0 || t > 1.0)
		return false;
	*out = (struct pt){ t * bx, t * by };
	return true;
}

/* Where the line from the middle of the box to 'to' leaves it. */
static struct pt leave_box(const struct vtx *v, struct pt to)
{
	double x = to.x - v->px, y = to.y - v->py;
	double w = (double)(v->w / 2), h = (double)(v->h / 2);
	struct pt p;

	if (intersect(x, y, -w, -h, w, -h, &p) || intersect(x, y, w, -h, w, h, &p) ||
	    intersect(x, y, -w, h, w, h, &p) || intersect(x, y, -w, h, -w, -h, &p))
		return (struct pt){ p.x + v->px, p.y + v->py };
	return (struct pt){ v->px, v->py };
}

static void route_edges(struct sug *s)
{
	for (size_t i = 0; i < s->ne; i++) {
		struct edge *e = &s->e[i];
		struct pt tail, head;

		e->npts = e->nvia + 2;
		e->pts = xcalloc(e->npts, sizeof(*e->pts));
		e->pts[0] = (struct pt){ s->v[e->v0].px, s->v[e->v0].py };
		for (size_t k = 0; k < e->nvia; k++)
			e->pts[k + 1] = (struct pt){ s->v[e->via[k]].px, s->v[e->via[k]].py };
		e->pts[e->npts - 1] = (struct pt){ s->v[e->v1].px, s->v[e->v1].py };
		tail = leave_box(&s->v[e->v0], e->pts[1]);
		head = leave_box(&s->v[e->v1], e->pts[e->npts - 2]);
		e->pts[0] = tail;
		e->pts[e->npts - 1] = head;
	}
}

/* --- canvas: a cell is a code point --- */

struct canvas { uint32_t *c; long cols, lines; };

static void put(struct canvas *c, long x, long y, uint32_t ch)
{
	if (x >= 0 && x < c->cols && y >= 0 && y < c->lines)
		c->c[y * c->cols + x] = ch;
}

static void line(struct canvas *c, long x0, long y0, long x1, long y1)
{
	long dx, dy;

	if (x0 > x1) {
		long t = x0;

		x0 = x1;
		x1 = t;
		t = y0;
		y0 = y1;
		y1 = t;
	}
	dx = x1 - x0;
	dy = y1 - y0;
	if (!dx && !dy) {
		put(c, x0, y0, '*');
	} else if (labs(dx) >= labs(dy)) {
		for (long x = x0; x <= x1; x++)
			put(c, x, y0 + (long)rint((double)((x - x0) * dy) / (double)dx), '*');
	} else if (y0 < y1) {
		for (long y = y0; y <= y1; y++)
			put(c, x0 + (long)rint((double)((y - y0) * dx) / (double)dy), y, '*');
	} else {
		for (long y = y1; y <= y0; y++)
			put(c, x1 + (long)rint((double)((y - y1) * dx) / (double)dy), y, '*');
	}
}

static uint32_t next_point(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	int extra = *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : *p >= 0xC0 ? 1 : 0;
	uint32_t c = extra == 3 ? *p & 7 : extra == 2 ? *p & 15 : extra ? *p & 31 : *p;

	for (p++; extra && (*p & 0xC0) == 0x80; extra--, p++)
		c = c << 6 | (*p & 63);
	*s = (const char *)p;
	return c;
}

static void add_point(struct str *out, uint32_t c)
{
	if (c < 0x80) {
		str_addc(out, (char)c);
	} else if (c < 0x800) {
		str_addc(out, (char)(0xC0 | c >> 6));
		str_addc(out, (char)(0x80 | (c & 63)));
	} else if (c < 0x10000) {
		str_addc(out, (char)(0xE0 | c >> 12));
		str_addc(out, (char)(0x80 | (c >> 6 & 63)));
		str_addc(out, (char)(0x80 | (c & 63)));
	} else {
		str_addc(out, (char)(0xF0 | c >> 18));
		str_addc(out, (char)(0x80 | (c >> 12 & 63)));
		str_addc(out, (char)(0x80 | (c >> 6 & 63)));
		str_addc(out, (char)(0x80 | (c & 63)));
	}
}

static void box(struct canvas *c, long x0, long y0, long w, long h, const char *name)
{
	const char *p = name;

	w--;
	h--;
	for (long x = x0; x < x0 + w; x++) {
		put(c, x, y0, '-');
		put(c, x, y0 + h, '-');
	}
	for (long y = y0; y < y0 + h; y++) {
		put(c, x0, y, '|');
		put(c, x0 + w, y, '|');
	}
	put(c, x0, y0, '+');
	put(c, x0 + w, y0, '+');
	put(c, x0, y0 + h, '+');
	put(c, x0 + w, y0 + h, '+');
	put(c, x0 + 1, y0 + 1, ' ');
	for (long x = x0 + 2; *p; x++)
		put(c, x, y0 + 1, next_point(&p));
	put(c, x0 + w - 1, y0 + 1, ' ');
}

static void extent(const struct sug *s, size_t nreal, struct pt *min, struct pt *max)
{
	*min = (struct pt){ INFINITY, INFINITY };
	*max = (struct pt){ -INFINITY, -INFINITY };
	for (size_t i = 0; i < nreal; i++) {
		const struct vtx *v = &s->v[i];

		min->x = fmin(min->x, v->px - (double)v->w / 2.0);
		max->x = fmax(max->x, v->px + (double)v->w / 2.0);
		min->y = fmin(min->y, v->py);
		max->y = fmax(max->y, v->py + (double)v->h);
	}
	for (size_t i = 0; i < s->ne; i++)
		for (size_t k = 0; k < s->e[i].npts; k++) {
			const struct pt *p = &s->e[i].pts[k];

			min->x = fmin(min->x, p->x);
			max->x = fmax(max->x, p->x);
			min->y = fmin(min->y, p->y);
			max->y = fmax(max->y, p->y);
		}
}

static int paint(struct str *out, const struct sug *s, const char *const *names, size_t nreal, struct err *e)
{
	struct pt min, max;
	struct canvas c;

	extent(s, nreal, &min, &max);
	c.cols = (long)(ceil(max.x) - floor(min.x)) + 1;
	c.lines = (long)rint(max.y - min.y);
	if (c.cols < 1 || c.lines < 1 || (double)c.cols * (double)c.lines > CELLS_MAX)
		return too_large(e);
	c.c = xcalloc((size_t)(c.cols * c.lines), sizeof(*c.c));
	for (long i = 0; i < c.cols * c.lines; i++)
		c.c[i] = ' ';
	for (size_t i = 0; i < s->ne; i++)
		for (size_t k = 1; k < s->e[i].npts; k++) {
			const struct pt *a = &s->e[i].pts[k - 1], *b = &s->e[i].pts[k];

			line(&c, (long)rint(a->x - min.x), (long)rint(a->y - min.y), (long)rint(b->x - min.x),
			     (long)rint(b->y - min.y));
		}
	for (size_t i = 0; i < nreal; i++) {
		const struct vtx *v = &s->v[i];

		box(&c, (long)rint(v->px - (double)v->w / 2.0 - min.x), (long)rint(v->py - min.y), v->w, v->h, names[i]);
	}
	for (long y = 0; y < c.lines; y++) {
		if (y)
			str_addc(out, '\n');
		for (long x = 0; x < c.cols; x++)
			add_point(out, c.c[y * c.cols + x]);
	}
	free(c.c);
	return 0;
}

/* --- all together --- */

static long width_of(const char *name)
{
	long n = 0;

	for (; *name; name++)
		n += ((unsigned char)*name & 0xC0) != 0x80;
	return n + 4;
}

static void add_edge(size_t **list, size_t *n, size_t edge)
{
	*list = xreallocarray(*list, *n + 1, sizeof(**list));
	(*list)[(*n)++] = edge;
}

/* The order in which the layout meets the boxes: sets joined edge by edge. */
static void component_order(const struct sug *s, size_t *order)
{
	autofree size_t *set = xcalloc(s->n + 1, sizeof(*set));
	autofree size_t *next = xcalloc(s->n + 1, sizeof(*next));
	autofree size_t *last = xcalloc(s->n + 1, sizeof(*last));
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		set[i] = last[i] = i;
		next[i] = SIZE_MAX;
	}
	for (size_t i = 0; i < s->ne; i++) {
		size_t a = set[s->e[i].v0], b = set[s->e[i].v1];

		if (a == b)
			continue;
		next[last[a]] = b;
		last[a] = last[b];
		for (size_t k = b; k != SIZE_MAX; k = next[k])
			set[k] = a;
	}
	for (size_t i = s->n ? set[0] : SIZE_MAX; i != SIZE_MAX; i = next[i])
		order[n++] = i;
}

static void build(struct sug *s, const char *const *names, size_t n, const struct dag_edge *edges, size_t ne)
{
	s->v = xcalloc(n + 1, sizeof(*s->v));
	s->n = n;
	s->cap = n + 1;
	s->e = xcalloc(ne + 1, sizeof(*s->e));
	s->ne = ne;
	for (size_t i = 0; i < n; i++) {
		s->v[i].w = width_of(names[i]);
		s->v[i].h = BOX_HEIGHT;
	}
	for (size_t i = 0; i < ne; i++) {
		s->e[i].v0 = edges[i].from;
		s->e[i].v1 = edges[i].to;
		add_edge(&s->v[edges[i].from].out, &s->v[edges[i].from].nout, i);
		add_edge(&s->v[edges[i].to].in, &s->v[edges[i].to].nin, i);
	}
}

static void release(struct sug *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].in);
		free(s->v[i].out);
		free(s->v[i].nb[0]);
		free(s->v[i].nb[1]);
	}
	for (size_t i = 0; i < s->ne; i++) {
		free(s->e[i].via);
		free(s->e[i].pts);
	}
	for (size_t i = 0; i < s->nl; i++)
		free(s->l[i].v);
	free(s->v);
	free(s->e);
	free(s->l);
	free(s->conflict);
}

static int lay_out(struct sug *s, size_t n, struct err *e)
{
	autofree size_t *order = xcalloc(n + 1, sizeof(*order));
	autofree size_t *roots = xcalloc(n + 1, sizeof(*roots));
	autofree long *w = xcalloc(n + 1, sizeof(*w));
	size_t nroots = 0;

	component_order(s, order);
	for (size_t i = 0; i < n; i++) {
		w[i] = s->v[i].w;
		if (!s->v[order[i]].nin)
			roots[nroots++] = order[i];
	}
	qsort(w, n, sizeof(*w), by_long);
	s->xspace = (double)w[0];
	s->yspace = BOX_HEIGHT;
	rank_init(s, roots, nroots);
	rank_optimize(s);
	if (count_dummies(s) > DUMMIES_MAX)
		return too_large(e);
	add_dummies(s, w[n / 2], BOX_HEIGHT);
	setup_layers(s);
	order_pass(s, false);
	order_pass(s, true);
	set_xy(s);
	route_edges(s);
	return 0;
}

int dag_draw(struct str *out, const char *const *names, size_t n, const struct dag_edge *edges, size_t nedges,
	     struct err *e)
{
	struct sug s = { .dirh = 1, .dirv = -1 };
	int rc;

	if (!n)
		return 0;
	if (n > NODES_MAX || nedges > 10 * NODES_MAX)
		return too_large(e);
	build(&s, names, n, edges, nedges);
	rc = lay_out(&s, n, e) || paint(out, &s, names, n, e) ? -1 : 0;
	release(&s);
	return rc;
}

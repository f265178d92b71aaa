#include "cmd/rows.h"

#include "cmd/cmd.h"
#include "cmd/show.h"

void rows_release(struct rows *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->v[i].size);
		free(r->v[i].hash);
		free(r->v[i].name);
	}
	free(r->v);
}

void rows_add(struct rows *r, int64_t size, bool is_dir, const char *hash, char *name)
{
	autostr struct str text = STR_INIT;

	if (size > 0 || (!size && !is_dir))
		show_size(&text, (double)size);
	GROW(r->v, r->n, r->cap);
	r->v[r->n++] = (struct row){ str_take(&text), xstrdup(hash ? hash : "-"), name };
}

static size_t columns(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void pad(struct str *s, size_t have, size_t want)
{
	if (want > have)
		str_addn(s, ' ', want - have);
}

void rows_print(const struct rows *r, bool size, bool hash, bool tree)
{
	bool aligned = size || hash || tree;
	size_t ws = 0, wh = 0;

	for (size_t i = 0; i < r->n; i++) {
		size_t s = columns(r->v[i].size), h = strlen(r->v[i].hash);

		ws = s > ws ? s : ws;
		wh = h > wh ? h : wh;
	}
	for (size_t i = 0; i < r->n; i++) {
		autostr struct str line = STR_INIT;

		if (size) {
			pad(&line, columns(r->v[i].size), ws);
			str_addf(&line, "%s  ", r->v[i].size);
		}
		if (hash) {
			str_adds(&line, r->v[i].hash);
			pad(&line, strlen(r->v[i].hash), wh);
			str_adds(&line, "  ");
		}
		str_adds(&line, r->v[i].name);
		/* DVC's tables end where the text does. */
		while (aligned && line.len && line.buf[line.len - 1] == ' ')
			line.buf[--line.len] = '\0';
		/* A table is shown even with -q, as in DVC. */
		(aligned ? ui_force : ui_out)("%s\n", str_cstr(&line));
	}
}

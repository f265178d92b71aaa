/* What the remote has: one listing or many questions, whichever is cheaper; and what we remember of remotes that cannot list. */
#include "core/data/transfer_own.h"

#include "core/base/map.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/cache/state.h"
#include "core/cache/store.h"
#include "core/cache/tree.h"
#include "core/data/project.h"
#include "core/repo/repo.h"

#include <time.h>

#define ASK_FEW 64              /* so few questions are always cheaper than a listing */
#define ASK_FEW_LOCAL 2000
#define PAGE 1000               /* entries of a listing that cost about as much as ... */
#define PAGE_COST 8             /* ... so many single questions */
#define CONFIRMED "confirmed"

struct mark { struct run *x; bool legacy; size_t listed; };

static bool key_to_oid(const char *key, bool legacy, struct oid *id)
{
	char aa[3];

	if (!legacy) {
		if (!str_starts(key, "files/md5/"))
			return false;
		key += 10;
	}
	if (strlen(key) < 4 || key[2] != '/')
		return false;
	memcpy(aa, key, 2);
	aa[2] = 0;
	return oid_from_key(id, aa, key + 3);
}

static int mark_listed(const char *key, uint64_t size, const char *etag, void *data, struct err *e)
{
	struct mark *m = data;
	struct want *w;
	struct oid id;

	(void)etag;
	(void)e;
	m->listed++;
	if (!key_to_oid(key, m->legacy, &id))
		return 0;
	w = want_find(m->x->w, &id, m->legacy);
	if (w && w->state == WANT_OPEN && (size == UINT64_MAX || !w->size || size == w->size))
		w->state = WANT_HAVE;
	return 0;
}

static size_t count_open(const struct want_set *w, bool legacy)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->v[i].state == WANT_OPEN && w->v[i].legacy == legacy;
	return n;
}

/* Ids are uniform: one of 256 directories tells the size of all. */
static int is_listing_cheaper(struct run *x, size_t open, bool *yes, struct err *e)
{
	struct mark m = { x, false, 0 };

	if (x->r->caps & REMOTE_LOCAL) {
		*yes = open > ASK_FEW_LOCAL;
		return 0;
	}
	*yes = false;
	if (open <= ASK_FEW)
		return 0;
	if (x->r->ops->list(x->r, "files/md5/00/", mark_listed, &m, e))
		return -1;
	*yes = m.listed * 256 / PAGE * PAGE_COST + 256 / PAGE_COST < open;
	return 0;
}

static int list_all(struct run *x, struct err *e)
{
	struct mark m = { x, false, 0 };

	x->r->names_only = true;
	return x->r->ops->list(x->r, "files/md5/", mark_listed, &m, e);
}

static int list_legacy(struct run *x, struct err *e)
{
	struct mark m = { x, true, 0 };
	bool need[256] = { false };

	for (size_t i = 0; i < x->w->n; i++)
		if (x->w->v[i].state == WANT_OPEN && x->w->v[i].legacy)
			need[x->w->v[i].id.md5[0]] = true;
	x->r->names_only = true;
	for (unsigned i = 0; i < 256; i++) {
		char prefix[8];

		snprintf(prefix, sizeof(prefix), "%02x/", i);
		if (need[i] && x->r->ops->list(x->r, prefix, mark_listed, &m, e))
			return -1;
	}
	return 0;
}

/* A remote that lets us read and write but not list is asked one by one. */
static int list_or_ask(struct run *x, bool *listed, struct err *e)
{
	autoerr struct err why = ERR_INIT;
	size_t open = count_open(x->w, false), legacy = count_open(x->w, true);
	bool cheaper = false;
	int rc = 0;

	*listed = false;
	if (!(x->r->caps & REMOTE_LIST))
		return 0;
	rc = is_listing_cheaper(x, open, &cheaper, &why);
	if (!rc && cheaper)
		rc = list_all(x, &why);
	if (!rc && legacy > 256 * (x->r->caps & REMOTE_LOCAL ? 8u : 2u))
		rc = list_legacy(x, &why);
	else if (legacy)
		cheaper = false;
	if (rc && why.code != ERR_AUTH && why.code != ERR_PERM && why.code != ERR_UNSUPPORTED) {
		err_move(e, &why);
		return -1;
	}
	*listed = !rc && cheaper;
	return 0;
}

/* ---- the ledger ---- */

static char *ledger_key(const struct run *x, const struct want *m)
{
	char hex[OID_HEX_MAX];

	oid_hex(hex, &m->id);
	return xasprintf("%s %s%s", x->r->url, m->legacy ? "legacy " : "", hex);
}

bool plan_is_confirmed(struct run *x, const struct want *manifest)
{
	struct state *s = project_state(x->p);
	autofree char *key = ledger_key(x, manifest);
	uint64_t when;

	return s && state_get_fact(s, CONFIRMED, key, &when, sizeof(when));
}

void plan_confirm(struct run *x, const struct want *manifest, bool yes)
{
	struct state *s = project_state(x->p);
	autofree char *key = ledger_key(x, manifest);
	uint64_t when = (uint64_t)time(NULL);

	if (s)
		state_put_fact(s, CONFIRMED, key, yes ? &when : NULL, sizeof(when));
}

static bool pick_confirmed(const struct run *x, const struct want *w)
{
	const struct want_group *g = &x->w->g[w->group];

	return w->id.is_dir && g->tree && !g->inside && plan_is_confirmed((struct run *)(uintptr_t)x, w);
}

/* T2: children of a manifest that we saw complete there, and that is still there. */
static int trust_ledger(struct run *x, struct err *e)
{
	if (run_all(x, RUN_STAT, 0, pick_confirmed, e))
		return -1;
	for (size_t i = 0; i < x->w->ng; i++) {
		const struct want_group *g = &x->w->g[i];
		const struct want *m = g->manifest ? &x->w->v[g->manifest - 1] : NULL;

		if (!m || !g->tree || m->state != WANT_HAVE || !plan_is_confirmed(x, m))
			continue;
		for (size_t k = 0; k < g->tree->n; k++) {
			struct want *w = want_find(x->w, &g->tree->e[k].id, m->legacy);

			if (w && w->state == WANT_OPEN)
				w->state = WANT_HAVE;
		}
	}
	return 0;
}

int plan_have(struct run *x, bool check, struct err *e)
{
	bool listed = false;

	if (!check && list_or_ask(x, &listed, e))
		return -1;
	if (listed)
		return 0;
	if (!check && !(x->r->caps & REMOTE_LIST) && trust_ledger(x, e))
		return -1;
	return run_all(x, RUN_STAT, 0, NULL, e);
}

static void warn_missing_of(struct run *x, bool legacy)
{
	autostr struct str s = STR_INIT;
	char hex[OID_HEX_MAX];

	for (size_t i = 0; i < x->w->n; i++) {
		const struct want *w = &x->w->v[i];
		autofree char *path = NULL;
		autofree char *shown = NULL;

		if (w->state != WANT_MISSING || w->legacy != legacy)
			continue;
		oid_hex(hex, &w->id);
		str_addc(&s, '\n');
		if (x->o->names_missing) {
			path = want_path(x->w, w);
			shown = repo_show(x->p->repo, path);
			str_addf(&s, "name: %s, ", shown);
		}
		str_addf(&s, "%s: %s", w->legacy ? "md5-dos2unix" : "md5", hex);
		x->res->nmissing++;
	}
	if (s.len && !x->o->tells_missing)
		notice(NOTICE_WARN, "Some of the cache files do not exist neither locally nor on remote. "
		       "Missing cache files:%s", str_cstr(&s));
}

/* DVC transfers each kind of hash on its own. */
void warn_missing(struct run *x)
{
	warn_missing_of(x, true);
	warn_missing_of(x, false);
}

int transfer_have(struct project *p, struct remote *r, struct want_set *w, bool check, struct binset *have, struct err *e)
{
	struct transfer_opts o = { .check = check };
	struct transfer_result res = { 0 };
	struct run x;
	int rc;

	if (run_open(&x, p, r, w, &o, &res, e))
		return -1;
	rc = plan_have(&x, check, e);
	for (size_t i = 0; !rc && i < w->n; i++) {
		unsigned char key[WANT_KEY];

		want_key(key, &w->v[i]);
		if (w->v[i].state == WANT_HAVE)
			binset_add(have, key);
	}
	if (!rc && res.nfail)
		rc = err_set(e, ERR_FAIL, "cannot ask the remote for '%s': %s", res.fail[0].path, res.fail[0].msg);
	run_close(&x);
	transfer_result_release(&res);
	return rc;
}

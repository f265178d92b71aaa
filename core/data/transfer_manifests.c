/*
 * transfer_manifests: directory manifests that the cache lacks, for questions about what a remote holds.
 */
#include "core/data/transfer.h"

#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/cache/store.h"
#include "core/data/project.h"
#include "core/data/remote.h"

#define MANIFEST_MAX (1ull << 30)

/* S5: named only after its digest matched; a legacy manifest's bytes have no CRLF, so its digest is the same. */
static int bring(struct store *s, struct remote *r, const struct want *w, size_t *got, struct err *e)
{
	autostr struct str text = STR_INIT;
	autoerr struct err none = ERR_INIT;
	unsigned char digest[16];
	char key[OID_KEY_MAX];

	oid_key(key, &w->id, w->legacy);
	if (remote_read_all(r, key, MANIFEST_MAX, &text, &none))
		return 0;
	md5_once(str_cstr(&text), text.len, digest);
	if (memcmp(digest, w->id.md5, sizeof(digest)))
		return 0;
	if (store_put_bytes(s, str_cstr(&text), text.len, &w->id, e))
		return -1;
	++*got;
	return 0;
}

int transfer_manifests(struct project *p, struct remote *r, const struct want_set *w, size_t *got, struct err *e)
{
	struct store *s;
	int here;

	*got = 0;
	for (size_t i = 0; i < w->n; i++) {
		if (!w->v[i].id.is_dir)
			continue;
		if (proc_check(e) || project_cache(p, w->v[i].legacy, &s, e) ||
		    (here = store_has(s, &w->v[i].id, NULL, e)) < 0)
			return -1;
		if (!here && bring(s, r, &w->v[i], got, e))
			return -1;
	}
	return 0;
}

/*
 * transfer_manifests: directory manifests that the cache lacks, for questions about what a remote holds.
 */
#include "core/data/transfer.h"

#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/cache/store.h"
#include "core/data/project.h"
#include "core/data/remote.h"

#define MANIFEST_MAX (1ull << 30)

/* S5: named only after its digest matched; a legacy manifest's bytes have no CRLF, so its digest is the same. *nowhere: the
 * remote answered that it has none. */
static int bring(struct store *s, struct remote *r, const struct oid *id, bool legacy, size_t *got, bool *nowhere,
		 struct err *e)
{
	autostr struct str text = STR_INIT;
	autoerr struct err none = ERR_INIT;
	unsigned char digest[16];
	char key[OID_KEY_MAX];

	oid_key(key, id, legacy);
	if (remote_read_all(r, key, MANIFEST_MAX, &text, &none)) {
		*nowhere = none.code == ERR_NOTFOUND;
		return 0;
	}
	md5_once(str_cstr(&text), text.len, digest);
	if (memcmp(digest, id->md5, sizeof(digest)))
		return 0;
	if (store_put_bytes(s, str_cstr(&text), text.len, id, e))
		return -1;
	++*got;
	return 0;
}

void transfer_warn_nowhere(const struct oid *id, bool legacy)
{
	char hex[OID_HEX_MAX];

	oid_hex(hex, id);
	notice(NOTICE_WARN, "Some of the cache files do not exist neither locally nor on remote. Missing cache files:\n"
	       "name: None, %s: %s", legacy ? "md5-dos2unix" : "md5", hex);
}

bool transfer_manifest(struct project *p, const char *remote, const struct oid *id, bool legacy)
{
	autoerr struct err none = ERR_INIT;
	struct remote *r = NULL;
	struct store *s;
	size_t got = 0;
	bool nowhere = false;

	if (project_cache(p, legacy, &s, &none) || remote_open_named(&r, p->repo, remote, 1, &none))
		return false;
	if (!bring(s, r, id, legacy, &got, &nowhere, &none) && nowhere)
		transfer_warn_nowhere(id, legacy);
	remote_close(r);
	return got;
}

int transfer_manifests(struct project *p, struct remote *r, const struct want_set *w, size_t *got, struct err *e)
{
	struct store *s;
	bool nowhere;
	int here;

	*got = 0;
	for (size_t i = 0; i < w->n; i++) {
		if (!w->v[i].id.is_dir)
			continue;
		if (proc_check(e) || project_cache(p, w->v[i].legacy, &s, e) ||
		    (here = store_has(s, &w->v[i].id, NULL, e)) < 0)
			return -1;
		if (!here && bring(s, r, &w->v[i].id, w->v[i].legacy, got, &nowhere, e))
			return -1;
	}
	return 0;
}

#include "core/data/partial.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/data/project.h"
#include "core/repo/repo.h"
#include "core/stage/stage.h"

#define MEMO_MAX 64

bool partial_is(const struct item *out)
{
	return out->stage && stage_is_import(out->stage) && out->stage->deps[0]->kind != DEP_DB && !out->hash.value &&
		!out->files;
}

static char *memo_path(const struct project *p, const struct item *out)
{
	const struct item *dep = out->stage->deps[0];
	const char *url = dep->repo ? node_get_str(dep->repo, "url") : NULL;
	const char *rev = dep->repo ? node_get_str(dep->repo, "rev_lock") : dep->hash.value;
	autofree char *key = xasprintf("%s\n%s\n%s", url ? url : "", rev ? rev : "", dep->def);
	unsigned char md5[16];
	char hex[33];

	md5_once(key, strlen(key), md5);
	hex_encode(hex, md5, 16);
	return xasprintf("%s/git-data.imported/%s", p->repo->tmp_dir, hex);
}

int partial_remember(struct project *p, const struct item *out, struct err *e)
{
	autofree char *path = memo_path(p, out), *dir = path_dir(path);

	if (repo_tmp(p->repo, e) || fs_mkdirs(dir, 0777, e))
		return -1;
	return fs_replace(path, out->hash.value, strlen(out->hash.value), 0, e);
}

void partial_recall(struct project *p, struct item *out)
{
	autofree char *path = memo_path(p, out);
	autostr struct str text = STR_INIT;
	autoerr struct err none = ERR_INIT;
	struct oid id;

	if (!fs_read(&text, path, MEMO_MAX, &none) && oid_parse(&id, str_cstr(&text)))
		hashinfo_set(&out->hash, "md5", str_cstr(&text));
}

#include "core/data/importlog.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/base/str.h"
#include "core/repo/repo.h"

#include <unistd.h>

static char *note_path(const struct repo *r, const char *out, const char *url, const struct node *other)
{
	const char *from = other ? node_get_str(other, "url") : NULL;
	autofree char *text = xasprintf("%s\n%s\n%s", out, url, from ? from : "");
	unsigned char digest[16];
	char hex[33];

	md5_once(text, strlen(text), digest);
	hex_encode(hex, digest, sizeof(digest));
	return xasprintf("%s/git-data.import.%s", r->tmp_dir, hex);
}

void importlog_begin(struct repo *r, const char *out, const char *url, const struct node *other)
{
	autofree char *path = out ? note_path(r, out, url, other) : NULL;
	autofree char *text = out ? xasprintf("%s\n", out) : NULL;
	autoerr struct err none = ERR_INIT;

	if (path && !repo_tmp(r, &none))
		fs_replace_unsynced(path, text, strlen(text), &none);
}

void importlog_end(struct repo *r, const char *out, const char *url, const struct node *other)
{
	autofree char *path = out ? note_path(r, out, url, other) : NULL;

	proc_fault("import.noted");
	if (path)
		unlink(path);
}

bool importlog_has(struct repo *r, const char *place, const char *url, const struct node *other)
{
	autofree char *abs = path_abs(place), *rel = path_is_inside(abs, r->root) ? path_rel(abs, r->root) : NULL;
	autofree char *path = rel ? note_path(r, rel, url, other) : NULL;

	return path && fs_exists(path);
}

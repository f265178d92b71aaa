/* Manifests from outside: whatever parses is safe and survives being written and read again. */
#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/str.h"
#include "core/cache/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autotree struct tree *t = NULL, *again = NULL;
	autoerr struct err e = ERR_INIT;
	autostr struct str s = STR_INIT;

	if (tree_parse(&t, (const char *)data, size, "fuzz", &e)) {
		if (e.code != ERR_UNSAFE && e.code != ERR_CORRUPT)
			BUG("refused with %s", err_code_name(e.code));
		return 0;
	}
	for (size_t i = 0; i < t->n; i++)
		if (!path_is_safe(t->e[i].path) || (i && strcmp(t->e[i - 1].path, t->e[i].path) >= 0))
			BUG("an unsafe or unsorted path came through");
	tree_dump(&s, t);
	if (tree_parse(&again, s.buf, s.len, "again", &e))
		BUG("what was written is not read: %s", e.msg);
	if (again->n != t->n)
		BUG("entries were lost");
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(again->e[i].path, t->e[i].path) || !oid_eq(&again->e[i].id, &t->e[i].id))
			BUG("an entry changed");
	return 0;
}

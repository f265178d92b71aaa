/* JSON in and out: what is written must read back as the same bytes. */
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/node.h"
#include "core/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autoerr struct err e = ERR_INIT;
	autonode struct node *n = NULL, *again = NULL;
	autostr struct str one = STR_INIT, two = STR_INIT, text = STR_INIT;

	if (json_parse(&n, (const char *)data, size, "in", &e))
		return 0;
	json_dump(&one, n, JSON_SORT);
	if (json_parse(&again, one.buf, one.len, "again", &e)) {
		fprintf(stderr, "%s\n%s\n", e.msg, one.buf);
		abort();
	}
	json_dump(&two, again, JSON_SORT);
	if (strcmp(one.buf, two.buf))
		abort();
	json_dump(&text, n, JSON_INDENT2);
	node_py_str(&text, n);
	return 0;
}

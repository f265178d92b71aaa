/* Python source in: any text is either read or refused. */
#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/str.h"
#include "core/base/yaml.h"
#include "core/stage/pylit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autoerr struct err e = ERR_INIT;
	autonode struct node *n = NULL;
	autostr struct str out = STR_INIT;

	if (pylit_parse(&n, (const char *)data, size, "in", &e))
		return 0;
	node_py_str(&out, n);
	yaml_dump(&out, n);
	return 0;
}

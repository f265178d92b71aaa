/* Expressions: any text against a few variables; what resolves does so again to the same value. */
#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/yaml.h"
#include "core/stage/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char vars[] = "a: 1\nb: [x, {c: 2.5}, [1]]\nd: {e: true, f: null, g: \"it's\", h: [1, b c]}\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = xstrndup((const char *)data, size);
	autonode struct node *v = NULL, *one = NULL, *two = NULL;
	autoerr struct err e = ERR_INIT;

	if (yaml_parse(&v, vars, sizeof(vars) - 1, "vars", 0, &e))
		BUG("%s", e.msg);
	for (int k = 0; k < 3; k++) {
		const char *key = k == 0 ? "cmd" : k == 1 ? "deps" : NULL;

		err_release(&e);
		node_free(one);
		node_free(two);
		one = two = NULL;
		if (tmpl_resolve_text(v, text, key, &one, &e))
			continue;
		if (tmpl_resolve_text(v, text, key, &two, &e) || !node_equal(one, two))
			BUG("resolves differently");
	}
	return 0;
}

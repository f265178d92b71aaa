/* Answers of services: nothing crashes, paths stay within their caps, what was found was in the document. */
#include "core/base/err.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "remotes/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_open(const char *path, void *data, struct err *e)
{
	(void)e;
	if (strlen(path) > 8192 || !*path)
		BUG("a path of %zu bytes", strlen(path));
	++*(int *)data;
	return 0;
}

static int on_close(const char *path, const char *text, void *data, struct err *e)
{
	(void)e;
	if (!path || !text)
		BUG("no path or text");
	if (--*(int *)data < 0)
		BUG("closed more often than opened");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct xml_reader reader = { on_open, on_close };
	autoerr struct err e = ERR_INIT;
	autofree char *code = NULL;
	int depth = 0;

	if (!xml_read((const char *)data, size, "fuzz", &reader, &depth, &e) && depth)
		BUG("read to the end with %d open elements", depth);
	code = xml_find((const char *)data, size, "Code");
	if (code && strlen(code) > size)
		BUG("more was found than there is");
	return 0;
}

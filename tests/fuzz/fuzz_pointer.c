/* .dvc files from outside: whatever parses is written and read again to the same document. */
#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml.h"
#include "core/stage/pointer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *written(const struct stage *s)
{
	autonode struct node *doc = pointer_to_node(s);
	autostr struct str out = STR_INIT;

	yaml_dump(&out, doc);
	return str_take(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stage *s = NULL, *again = NULL;
	autofree char *one = NULL, *two = NULL;
	autoerr struct err e = ERR_INIT;
	char md5[33];

	if (pointer_parse(&s, "d/x.dvc", "./d/x.dvc", NULL, (const char *)data, size, &e)) {
		if (e.code != ERR_PARSE)
			BUG("refused with %s: %s", err_code_name(e.code), e.msg);
		return 0;
	}
	pointer_document_md5(s, md5);
	stage_localise(s, "/r");
	one = written(s);
	if (pointer_parse(&again, "d/x.dvc", "./d/x.dvc", NULL, one, strlen(one), &e))
		BUG("what was written is not read: %s\n%s", e.msg, one);
	stage_localise(again, "/r");
	two = written(again);
	if (strcmp(one, two))
		BUG("what was written changes:\n%s\n%s", one, two);
	stage_free(s);
	stage_free(again);
	return 0;
}

/* .dvc files from outside: whatever parses is written and read again to the same document. */
#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml.h"
#include "core/stage/pointer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *written(const struct node *doc)
{
	autostr struct str out = STR_INIT;

	yaml_dump(&out, doc);
	return str_take(&out);
}

/* Long text folds as ruamel folds it, which may lose or add a blank: pointer_save() refuses to write that. */
static bool folds(const char *text)
{
	for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
		if (strcspn(p, "\n") > 36)
			return true;
	return strchr(text, '"') != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stage *s = NULL, *again = NULL;
	autonode struct node *one = NULL, *two = NULL;
	autofree char *text = NULL;
	autoerr struct err e = ERR_INIT;
	char md5[33];

	if (pointer_parse(&s, "d/x.dvc", "./d/x.dvc", NULL, (const char *)data, size, &e)) {
		if (e.code != ERR_PARSE)
			BUG("refused with %s: %s", err_code_name(e.code), e.msg);
		return 0;
	}
	pointer_document_md5(s, md5);
	stage_localise(s, "/r");
	one = pointer_to_node(s);
	text = written(one);
	if (pointer_parse(&again, "d/x.dvc", "./d/x.dvc", NULL, text, strlen(text), &e)) {
		if (folds(text)) {
			stage_free(s);
			return 0;
		}
		BUG("what was written is not read: %s\n%s", e.msg, text);
	}
	stage_localise(again, "/r");
	two = pointer_to_node(again);
	if (!node_equal(one, two) && !folds(text)) {
		autofree char *other = written(two);

		BUG("what was written changes:\n%s\n%s", text, other);
	}
	stage_free(s);
	stage_free(again);
	return 0;
}

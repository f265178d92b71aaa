#include "core/base/yaml.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/str.h"
#include "core/base/yaml_rt.h"

int yaml_load(struct node **out, const char *path, uint64_t max, unsigned flags, struct err *e)
{
	autostr struct str text = STR_INIT;

	if (fs_read(&text, path, max, e))
		return -1;
	return yaml_parse(out, str_cstr(&text), text.len, path, flags, e);
}

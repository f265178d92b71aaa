/* ~/.aws files: nothing crashes, every value that is kept stood in the text. */
#include "core/base/err.h"
#include "remotes/awsini.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int config = 0; config < 2; config++) {
		struct awsini a = AWSINI_INIT;
		autoerr struct err e = ERR_INIT;
		struct map_entry *it;

		awsini_parse(&a, (const char *)data, size, config, "fuzz", &e);
		for (size_t i = 0; (it = map_next(&a.v, &i));)
			if (strlen(it->value) > size || strlen(it->key) > 2 * size + 2)
				BUG("more was kept than there is");
		awsini_release(&a);
	}
	return 0;
}

/* known_hosts: any text and any name; the answer may be anything, the reader must stay inside. */
#include "core/base/err.h"
#include "core/base/own.h"
#include "remotes/knownhosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct knownhosts k = KNOWNHOSTS_INIT;
	autoerr struct err e = ERR_INIT;
	const struct kh_line *at;
	autofree char *text = xmemdup(p, n ? n : 1);

	if (n > 1 << 16)
		return 0;
	if (!knownhosts_read(&k, text, n, 0, "[127.0.0.1]:2222", &e))
		knownhosts_check(&k, "key", 3, &at);
	knownhosts_release(&k);
	return 0;
}

/*
 * The mark and the file of unsynced: whatever is read, written and read again, says the same; what is joined has no news;
 * and the text for the directory fits there.
 */
#include "core/base/dirmark.h"
#include "core/base/err.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/cache/unsynced_own.h"

#define BOOT "0a1b2c3d-0000-4000-8000-0123456789ab"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	autofacts struct facts f = FACTS_INIT, again = FACTS_INIT;
	autostr struct str one = STR_INIT, two = STR_INIT, mark = STR_INIT;

	facts_init(&f, BOOT);
	facts_init(&again, BOOT);
	if (n > 1 << 16 || facts_read(&f, (const char *)p, n))
		return 0;
	facts_text(&one, &f);
	if (facts_read(&again, str_cstr(&one), one.len))
		BUG("what was written cannot be read");
	facts_text(&two, &again);
	if (one.len != two.len || f.nspans != again.nspans || f.ngood != again.ngood || f.dirty != again.dirty ||
	    f.since != again.since || f.last != again.last || facts_newest(&f) != facts_newest(&again))
		BUG("read again it says something else");
	if (facts_join_spans(&again, &f) || facts_join_good(&again, &f))
		BUG("joining the same has news");
	facts_mark_text(&mark, &f);
	if (mark.len > DIRMARK_MOST)
		BUG("a mark of %zu bytes", mark.len);
	return 0;
}

/* Patterns and paths from outside: any pattern ends soon, and a list answers as its rules do one by one. */
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/repo/glob.h"
#include "core/repo/ignore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Input: lines; the first is the path, the others patterns. */
static void check(enum ignore_kind kind, const struct strvec *lines, bool is_dir)
{
	struct ignore_list *l = ignore_list_new(kind);
	const char *path = lines->v[0];
	int want = -1;

	for (size_t i = 1; i < lines->n; i++) {
		struct glob *g = glob_new(lines->v[i], kind, false);
		struct glob *nested = glob_new(lines->v[i], kind, true);

		ignore_list_add(l, lines->v[i], "f", (int)i);
		if (g && glob_match(g, path, is_dir))
			want = !glob_negated(g);
		if (nested)
			glob_match(nested, path, is_dir);
		glob_free(g);
		glob_free(nested);
	}
	if (ignore_list_match(l, path, is_dir) != want)
		BUG("a list and its rules disagree");
	ignore_list_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = xstrndup((const char *)data, size);
	autostrvec struct strvec lines = STRVEC_INIT;

	if (size > 4096)
		return 0;
	strvec_split(&lines, text, '\n');
	for (int i = 0; i < 4; i++)
		check(i & 1 ? IGNORE_GIT : IGNORE_DVC, &lines, i & 2);
	return 0;
}

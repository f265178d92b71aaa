/* Settings from outside: what parses keeps its bytes, and an edit leaves everything else readable and as it was. */
#include "core/base/err.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/repo/configobj.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every option but the edited one has the value it had. */
static void compare(const struct cobj *a, const struct cobj *b)
{
	for (size_t i = 1; i < a->n; i++) {
		const struct cobj_sec *s = cobj_section(b, a->sec[i].name);

		for (size_t k = 0; k < a->sec[i].n; k++) {
			const struct cobj_opt *o = cobj_option(cobj_section(a, a->sec[i].name), a->sec[i].v[k].name);
			const struct cobj_opt *p = cobj_option(s, a->sec[i].v[k].name);

			if (!o || (!strcmp(a->sec[i].name, "core") && !strcmp(o->name, "remote")))
				continue;
			if (!p || p->v.n != o->v.n)
				BUG("an edit lost an option");
			for (size_t j = 0; j < o->v.n; j++)
				if (strcmp(o->v.v[j], p->v.v[j]))
					BUG("an edit changed another value");
		}
	}
}

static char *same(const void *ctx UNUSED, const char *section UNUSED, const char *option UNUSED, const char *value)
{
	return xstrdup(value);
}

/* The text that DVC would write says the same. */
static void check_written(const struct cobj *c)
{
	autoerr struct err e = ERR_INIT;
	autostr struct str text = STR_INIT;
	struct cobj again;

	if (!cobj_is_plain(c) || cobj_write(c, same, NULL, &text, &e))
		return;
	if (cobj_parse(&again, str_cstr(&text), text.len, &e))
		BUG("what was written is not read back: %s", e.msg);
	compare(c, &again);
	compare(&again, c);
	cobj_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autoerr struct err e = ERR_INIT;
	autostr struct str text = STR_INIT;
	struct cobj c, before;
	const struct cobj_opt *o;

	if (size > 4096)
		return 0;
	if (cobj_parse(&c, (const char *)data, size, &e)) {
		if (e.code != ERR_CONFIG && e.code != ERR_FAIL)
			BUG("refused with %s", err_code_name(e.code));
		return 0;
	}
	cobj_text(&c, &text);
	if (text.len != size || (size && memcmp(text.buf, data, size)))
		BUG("lines were not kept");
	if (cobj_parse(&before, (const char *)data, size, &e))
		BUG("the same bytes are refused now");
	if (!memmem(data, size, "%(", 2) && !cobj_set(&c, "core", "remote", "a,\"b# '", &e)) {
		o = cobj_option(cobj_section(&c, "core"), "remote");
		if (!o || o->is_list || !o->v.n || strcmp(o->v.v[0], "a,\"b# '"))
			BUG("what was set is not read back");
		compare(&before, &c);
		check_written(&c);
	}
	cobj_release(&before);
	cobj_release(&c);
	return 0;
}

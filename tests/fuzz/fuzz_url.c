/* URLs from configurations and Location headers: what parses has sane parts; encoding goes there and back. */
#include "core/base/err.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "remotes/http.h"
#include "remotes/registry.h"

#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void there_and_back(const char *text)
{
	autostr struct str enc = STR_INIT, dec = STR_INIT;

	url_encode(&enc, text, true);
	if (!url_decode(&dec, str_cstr(&enc), enc.len) || strcmp(str_cstr(&dec), text))
		BUG("encoding is not undone");
}

static void redirected(const char *text)
{
	struct hresp a = { .status = 302 };
	autostr struct str next = STR_INIT;
	struct hreq q;
	bool same;

	hresp_add(&a, "Location", 8, text, strlen(text));
	hreq_init(&q);
	str_adds(&q.url, "https://host/a/b?c");
	if (http_redirect(&q, &a, &next, &same) && !str_starts(str_cstr(&next), "https://") &&
	    strncasecmp(str_cstr(&next), "https://", 8))
		BUG("led from https to '%s'", str_cstr(&next));
	hreq_release(&q);
	hresp_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = xstrndup((const char *)data, size), *shown = NULL;
	autoerr struct err e = ERR_INIT;
	struct url u = { 0 };

	there_and_back(text);
	redirected(text);
	shown = registry_redact(text);
	if (!url_parse(&u, text, &e)) {
		if (!u.scheme || !*u.scheme || !u.host || strpbrk(u.host, "/?#@ "))
			BUG("a host that is none: '%s'", u.host ? u.host : "");
		if (strlen(u.scheme) > 1 && u.password && *u.password && !strstr(shown, ":***@"))
			BUG("a password is shown");
	}
	url_release(&u);
	return 0;
}

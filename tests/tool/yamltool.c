/* yamltool - drives the YAML, JSON and params readers from the tests: text on stdin, result on stdout.
 *   dump-json   YAML -> JSON          from-json  JSON -> YAML
 *   roundtrip   YAML -> YAML (kept)   apply      two documents, NUL between: the second laid over the first
 *   json        JSON -> JSON          str        YAML -> Python's str()
 *   toml, py    -> Python's str()     toml-json  TOML -> JSON
 *   lookup      YAML, NUL, key -> JSON of the value, or "none"
 *   select      YAML, NUL, keys with NUL between -> JSON of what they select
 * With 'many', each mode reads documents that end with \x01 and answers each with \x01. */
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml.h"
#include "core/stage/params.h"
#include "core/stage/pylit.h"
#include "core/stage/toml.h"

static int read_all(struct str *in)
{
	char buf[65536];
	size_t n;

	while ((n = fread(buf, 1, sizeof(buf), stdin)))
		str_add(in, buf, n);
	return ferror(stdin) ? -1 : 0;
}

static int apply(struct str *out, const char *text, size_t len, struct err *e)
{
	autonode struct node *dest = NULL, *src = NULL;
	size_t first = strlen(text);

	if (first >= len)
		return err_set(e, ERR_USAGE, "apply wants two documents");
	if (yaml_parse(&dest, text, first, "dest", YAML_KEEP, e) ||
	    json_parse(&src, text + first + 1, len - first - 1, "src", e))
		return -1;
	yaml_apply(dest, src);
	yaml_dump(out, dest);
	return 0;
}

static int lookup(struct str *out, const char *text, size_t len, bool all, struct err *e)
{
	autonode struct node *root = NULL, *some = NULL;
	const struct node *found = NULL;
	autostrvec struct strvec keys = STRVEC_INIT;
	int rc;

	if (yaml_parse(&root, text, strlen(text), "in.yaml", 0, e))
		return -1;
	for (const char *p = text + strlen(text) + 1; p <= text + len; p += strlen(p) + 1)
		strvec_push(&keys, p);
	if (all) {
		some = params_select(root, keys.v, keys.n);
		json_dump(out, some, 0);
		return 0;
	}
	rc = params_lookup(root, keys.v[0], &found, e);
	if (rc < 0)
		return -1;
	if (rc)
		json_dump(out, found, 0);
	else
		str_adds(out, "none");
	return 0;
}

static int one(struct str *out, const char *mode, const char *text, size_t len, struct err *e)
{
	autonode struct node *n = NULL;

	if (!strcmp(mode, "apply"))
		return apply(out, text, len, e);
	if (!strcmp(mode, "lookup") || !strcmp(mode, "select"))
		return lookup(out, text, len, *mode == 's', e);
	if (!strncmp(mode, "toml", 4) || !strcmp(mode, "py")) {
		if (*mode == 't' ? toml_parse(&n, text, len, "in.toml", e) : pylit_parse(&n, text, len, "in.py", e))
			return -1;
		if (strchr(mode, '-'))
			json_dump(out, n, 0);
		else
			node_py_str(out, n);
		return 0;
	}
	if (!strcmp(mode, "from-json") || !strcmp(mode, "json")) {
		if (json_parse(&n, text, len, "in.json", e))
			return -1;
		if (!strcmp(mode, "json"))
			json_dump(out, n, 0);
		else
			yaml_dump(out, n);
		return 0;
	}
	if (yaml_parse(&n, text, len, "in.yaml", !strcmp(mode, "roundtrip") ? YAML_KEEP : 0, e))
		return -1;
	if (!strcmp(mode, "dump-json"))
		json_dump(out, n, 0);
	else if (!strcmp(mode, "str"))
		node_py_str(out, n);
	else
		yaml_dump(out, n);
	return 0;
}

int main(int argc, char **argv)
{
	autostr struct str in = STR_INIT;
	bool many = argc > 2 && !strcmp(argv[2], "many");

	if (argc < 2 || read_all(&in))
		return 2;
	for (size_t at = 0; at < in.len || !many; ) {
		const char *text = str_cstr(&in) + at, *stop = many ? memchr(text, 1, in.len - at) : NULL;
		size_t len = stop ? (size_t)(stop - text) : in.len - at;
		char *copy = xmalloc(len + 1);
		autostr struct str out = STR_INIT;
		autoerr struct err e = ERR_INIT;
		int rc;

		memcpy(copy, text, len);
		copy[len] = '\0';
		rc = one(&out, argv[1], copy, len, &e);
		free(copy);
		if (rc)
			printf("ERROR %s", e.msg);
		else
			fwrite(str_cstr(&out), 1, out.len, stdout);
		if (!many)
			return rc ? 1 : 0;
		putchar(1);
		at += len + 1;
	}
	return 0;
}

/* YAML in, kept and plain, and out again: what is written must read back as the same value. */
#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_nan(const struct node *n)
{
	if (n->kind == NODE_FLOAT && n->f != n->f)
		return true;
	for (size_t i = 0; i < n->n; i++)
		if (has_nan(n->v[i]) || (n->k && has_nan(n->k[i])))
			return true;
	return false;
}

/* A fresh dump is exact; a kept one may follow ruamel.yaml into its own mistakes, so it has only to be free of ours. */
static void check_fresh(const struct node *n)
{
	autostr struct str text = STR_INIT;
	autoerr struct err e = ERR_INIT;
	autonode struct node *again = NULL, *bare = node_copy(n);

	yaml_dump(&text, bare);
	if (yaml_parse(&again, str_cstr(&text), text.len, "again", 0, &e)) {
		if (strstr(e.msg, "expand") || strstr(e.msg, "deeper"))
			return;
		fprintf(stderr, "%s\n%s\n", e.msg, str_cstr(&text));
		abort();
	}
	if (!has_nan(n) && !node_equal(n, again)) {
		fprintf(stderr, "differs:\n%s\n", str_cstr(&text));
		abort();
	}
}

static bool has_odd(const struct node *n)
{
	if (n->is_set || n->kind == NODE_DATE)
		return true;
	for (size_t i = 0; i < n->n; i++)
		if (has_odd(n->v[i]) || (n->k && (n->k[i]->kind >= NODE_SEQ || has_odd(n->k[i]))))
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autoerr struct err e = ERR_INIT, e2 = ERR_INIT;
	autonode struct node *plain = NULL, *kept = NULL;
	autostr struct str out = STR_INIT;
	char *text = xmalloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	if (!yaml_parse(&plain, text, size, "in", 0, &e) && !has_odd(plain))
		check_fresh(plain);
	if (!yaml_parse(&kept, text, size, "in", YAML_KEEP, &e2)) {
		yaml_dump(&out, kept);
		if (plain && ((plain->kind == NODE_MAP && kept->kind == NODE_MAP) ||
			      (plain->kind == NODE_SEQ && kept->kind == NODE_SEQ))) {
			yaml_apply(kept, plain);
			yaml_dump(&out, kept);
		}
	}
	free(text);
	return 0;
}

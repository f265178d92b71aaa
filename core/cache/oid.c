#include "core/cache/oid.h"

#include "core/base/hash.h"

bool oid_parse(struct oid *out, const char *text)
{
	struct oid id = { .is_dir = 0 };

	if (strnlen(text, 32) < 32 || !hex_decode(id.md5, text, 16))
		return false;
	if (!strcmp(text + 32, ".dir"))
		id.is_dir = 1;
	else if (text[32])
		return false;
	*out = id;
	return true;
}

void oid_hex(char out[OID_HEX_MAX], const struct oid *id)
{
	hex_encode(out, id->md5, 16);
	if (id->is_dir)
		memcpy(out + 32, ".dir", 5);
}

void oid_key(char out[OID_KEY_MAX], const struct oid *id, bool legacy)
{
	char hex[OID_HEX_MAX];
	char *p = out;

	oid_hex(hex, id);
	if (!legacy) {
		memcpy(p, "files/md5/", 10);
		p += 10;
	}
	memcpy(p, hex, 2);
	p[2] = '/';
	memcpy(p + 3, hex + 2, strlen(hex + 2) + 1);
}

bool oid_from_key(struct oid *out, const char *aa, const char *rest)
{
	char hex[OID_HEX_MAX];
	size_t n = strlen(rest);

	if (strlen(aa) != 2 || (n != 30 && n != 34))
		return false;
	memcpy(hex, aa, 2);
	memcpy(hex + 2, rest, n + 1);
	return oid_parse(out, hex);
}

int oid_cmp(const struct oid *a, const struct oid *b)
{
	int c = memcmp(a->md5, b->md5, 16);

	return c ? c : (int)a->is_dir - (int)b->is_dir;
}

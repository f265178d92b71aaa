#include "remotes/azxml.h"

#include "core/base/err.h"
#include "core/base/str.h"
#include "remotes/xml.h"

struct reading {
	int (*blob)(void *data, const char *name, uint64_t size, const char *etag);
	void (*block)(void *data, const char *name, uint64_t size);
	void *data;
	struct str name, etag, *marker;
	uint64_t size;
	bool sized;
};

static void keep(struct str *s, const char *text)
{
	str_reset(s);
	str_adds(s, text);
}

static int list_close(const char *path, const char *text, void *data, struct err *e)
{
	struct reading *r = data;
	int rc = 0;

	if (!strcmp(path, "EnumerationResults/Blobs/Blob/Name")) {
		keep(&r->name, text);
	} else if (!strcmp(path, "EnumerationResults/Blobs/Blob/Properties/Content-Length")) {
		r->sized = str_to_u64(text, &r->size);
	} else if (!strcmp(path, "EnumerationResults/Blobs/Blob/Properties/Etag")) {
		keep(&r->etag, *text == '"' ? text + 1 : text);
		if (r->etag.len && r->etag.buf[r->etag.len - 1] == '"')
			str_setlen(&r->etag, r->etag.len - 1);
	} else if (!strcmp(path, "EnumerationResults/NextMarker")) {
		keep(r->marker, text);
	} else if (!strcmp(path, "EnumerationResults/Blobs/Blob")) {
		if (!r->name.len || !r->sized)
			return err_set(e, ERR_PARSE, "the listing has a blob without name or length");
		rc = r->blob(r->data, r->name.buf, r->size, str_cstr(&r->etag));
		str_reset(&r->name);
		str_reset(&r->etag);
		r->sized = false;
	}
	return rc;
}

int azxml_list(const char *text, size_t len, int (*fn)(void *data, const char *name, uint64_t size, const char *etag),
	       void *data, struct str *marker, struct err *e)
{
	static const struct xml_reader reader = { NULL, list_close };
	struct reading r = { .blob = fn, .data = data, .marker = marker };
	int rc = xml_read(text, len, "listing", &reader, &r, e);

	str_release(&r.name);
	str_release(&r.etag);
	return rc;
}

static int blocks_close(const char *path, const char *text, void *data, struct err *e UNUSED)
{
	struct reading *r = data;

	if (!strcmp(path, "BlockList/UncommittedBlocks/Block/Name"))
		keep(&r->name, text);
	else if (!strcmp(path, "BlockList/UncommittedBlocks/Block/Size") && str_to_u64(text, &r->size) && r->name.len)
		r->block(r->data, r->name.buf, r->size);
	return 0;
}

int azxml_blocks(const char *text, size_t len, void (*fn)(void *data, const char *name, uint64_t size), void *data,
		 struct err *e)
{
	static const struct xml_reader reader = { NULL, blocks_close };
	struct reading r = { .block = fn, .data = data };
	int rc = xml_read(text, len, "block list", &reader, &r, e);

	str_release(&r.name);
	return rc;
}

#include "remotes/xml.h"

#include "core/base/err.h"
#include "core/base/lazylib.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "sonames.h"

#include <expat.h>

#define FUNCS(X) X(XML_ParserCreate) X(XML_ParserFree) X(XML_SetUserData) X(XML_SetElementHandler) \
	X(XML_SetCharacterDataHandler) X(XML_SetStartDoctypeDeclHandler) X(XML_Parse) X(XML_StopParser) \
	X(XML_GetErrorCode) X(XML_ErrorString) X(XML_GetCurrentLineNumber)

static struct { LAZYLIB_FIELDS(FUNCS) } expat;
#define SYM(f) { #f, (void **)&expat.f },
static const struct lazysym syms[] = { FUNCS(SYM) };
static struct lazylib lib = LAZYLIB_INIT(SONAME_EXPAT, "libexpat1", syms);

#define DEPTH_MAX 32
#define PATH_MAX_LEN 4096

struct reading {
	XML_Parser p;
	const struct xml_reader *r;
	void *data;
	struct str path;
	struct str text[DEPTH_MAX];
	size_t mark[DEPTH_MAX];         /* length of path before the element */
	int depth;
	struct err err;
};

static void stop(struct reading *x)
{
	expat.XML_StopParser(x->p, XML_FALSE);
}

static void on_open(void *data, const char *name, const char **atts)
{
	struct reading *x = data;
	const char *colon = strrchr(name, ':');

	(void)atts;
	if (x->err.code)
		return;
	if (x->depth >= DEPTH_MAX || x->path.len + strlen(name) > PATH_MAX_LEN) {
		err_set(&x->err, ERR_PARSE, "elements nest too deep");
		stop(x);
		return;
	}
	x->mark[x->depth] = x->path.len;
	str_reset(&x->text[x->depth++]);
	if (x->path.len)
		str_addc(&x->path, '/');
	str_adds(&x->path, colon && colon[1] ? colon + 1 : name);
	if (x->r->open && x->r->open(str_cstr(&x->path), x->data, &x->err))
		stop(x);
}

static void on_close(void *data, const char *name)
{
	struct reading *x = data;

	(void)name;
	if (x->err.code || !x->depth)
		return;
	x->depth--;
	if (x->r->close(str_cstr(&x->path), str_cstr(&x->text[x->depth]), x->data, &x->err))
		stop(x);
	str_setlen(&x->path, x->mark[x->depth]);
}

static void on_text(void *data, const char *s, int len)
{
	struct reading *x = data;

	if (x->depth)
		str_add(&x->text[x->depth - 1], s, (size_t)len);
}

static void on_doctype(void *data, const char *name, const char *sysid, const char *pubid, int internal)
{
	struct reading *x = data;

	(void)name;
	(void)sysid;
	(void)pubid;
	(void)internal;
	err_set(&x->err, ERR_PARSE, "a document type is not accepted");
	stop(x);
}

static int parse(struct reading *x, const char *text, size_t len, const char *name, struct err *e)
{
	size_t at = 0;

	expat.XML_SetUserData(x->p, x);
	expat.XML_SetElementHandler(x->p, on_open, on_close);
	expat.XML_SetCharacterDataHandler(x->p, on_text);
	expat.XML_SetStartDoctypeDeclHandler(x->p, on_doctype);
	do {
		size_t n = len - at < (1u << 24) ? len - at : 1u << 24;

		if (expat.XML_Parse(x->p, text + at, (int)n, at + n == len) == XML_STATUS_ERROR) {
			if (!x->err.code)
				err_set(&x->err, ERR_PARSE, "%s", expat.XML_ErrorString(expat.XML_GetErrorCode(x->p)));
			err_move(e, &x->err);
			return err_in(e, "%s, line %lu", name, (unsigned long)expat.XML_GetCurrentLineNumber(x->p));
		}
		at += n;
	} while (at < len);
	return 0;
}

int xml_read(const char *text, size_t len, const char *name, const struct xml_reader *r, void *data, struct err *e)
{
	struct reading x = { .r = r, .data = data };
	int rc;

	if (lazylib_open(&lib, e))
		return -1;
	x.p = expat.XML_ParserCreate(NULL);
	if (!x.p)
		BUG("out of memory");
	rc = parse(&x, text, len, name, e);
	expat.XML_ParserFree(x.p);
	str_release(&x.path);
	for (int i = 0; i < DEPTH_MAX; i++)
		str_release(&x.text[i]);
	err_release(&x.err);
	return rc;
}

struct seek { const char *element; char *found; };

static int seek_close(const char *path, const char *text, void *data, struct err *e)
{
	struct seek *s = data;
	const char *slash = strrchr(path, '/');

	if (strcmp(slash ? slash + 1 : path, s->element))
		return 0;
	s->found = xstrdup(text);
	return err_set(e, ERR_FAIL, "found");
}

char *xml_find(const char *text, size_t len, const char *element)
{
	static const struct xml_reader reader = { NULL, seek_close };
	struct seek s = { element, NULL };
	autoerr struct err e = ERR_INIT;

	if (len)
		xml_read(text, len, "", &reader, &s, &e);
	return s.found;
}

void xml_escape(struct str *out, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '&':
			str_adds(out, "&amp;");
			break;
		case '<':
			str_adds(out, "&lt;");
			break;
		case '>':
			str_adds(out, "&gt;");
			break;
		case '"':
			str_adds(out, "&quot;");
			break;
		default:
			str_addc(out, *s);
		}
	}
}

/* azure: what SharedKey signs, connection strings, the XML it reads; gs: the claim of a service account. */
#include "core/base/err.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "remotes/azure.h"
#include "remotes/azxml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Worked by hand from Microsoft's rules: eleven headers, x-ms-* sorted, resource, query decoded and sorted. */
static void string_to_sign(void **state UNUSED)
{
	autostrvec struct strvec h = STRVEC_INIT;
	autostr struct str out = STR_INIT;
	autoerr struct err e = ERR_INIT;

	strvec_push(&h, "x-ms-version: 2021-12-02");
	strvec_push(&h, "X-MS-Date: Fri, 26 Jun 2015 23:39:12 GMT");
	strvec_push(&h, "Content-MD5: abc==");
	strvec_push(&h, "If-None-Match: *");
	assert_int_equal(azure_string_to_sign(&out, "PUT", "acct",
		"https://acct.blob.core.windows.net/c/a%20b?comp=block&blockid=MD%2B%3D&Timeout=20", &h, 11, &e), 0);
	assert_string_equal(out.buf,
		"PUT\n\n\n11\nabc==\n\n\n\n\n*\n\n\n"
		"x-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2021-12-02\n"
		"/acct/c/a%20b\nblockid:MD+=\ncomp:block\ntimeout:20");
	str_reset(&out);
	strvec_reset(&h);
	strvec_push(&h, "Range: bytes=5-");
	assert_int_equal(azure_string_to_sign(&out, "GET", "dev", "http://127.0.0.1:1/dev/c/k", &h, 0, &e), 0);
	assert_string_equal(out.buf, "GET\n\n\n\n\n\n\n\n\n\n\nbytes=5-\n/dev/dev/c/k");
	assert_int_equal(azure_string_to_sign(&out, "GET", "dev", "http://h", &h, 0, &e), -1);
}

static void dates_are_english(void **state UNUSED)
{
	autostr struct str s = STR_INIT;

	azure_http_date(&s, 784111777);
	assert_string_equal(s.buf, "Sun, 06 Nov 1994 08:49:37 GMT");
}

static void connection_strings(void **state UNUSED)
{
	struct azure_creds a = { 0 };
	autoerr struct err e = ERR_INIT;

	assert_int_equal(azure_creds_parse(&a, "DefaultEndpointsProtocol=https;AccountName=n;AccountKey=a2V5;"
		"EndpointSuffix=core.chinacloudapi.cn", &e), 0);
	assert_string_equal(a.endpoint, "https://n.blob.core.chinacloudapi.cn");
	assert_int_equal(a.kind, AZURE_KEY);
	assert_memory_equal(a.key, "key", 3);
	azure_creds_release(&a);
	assert_int_equal(azure_creds_parse(&a, "BlobEndpoint=https://m.blob.core.windows.net/;SharedAccessSignature=?sv=1&sig=x%3D",
		&e), 0);
	assert_string_equal(a.account, "m");
	assert_string_equal(a.endpoint, "https://m.blob.core.windows.net");
	assert_string_equal(a.sas, "sv=1&sig=x%3D");
	assert_int_equal(a.kind, AZURE_SAS);
	azure_creds_release(&a);
	assert_int_equal(azure_creds_parse(&a, "UseDevelopmentStorage=true", &e), 0);
	assert_int_equal(a.kind, AZURE_KEY);
	assert_int_equal(a.key_len, 64);
	azure_creds_release(&a);
	assert_int_equal(azure_creds_parse(&a, "BlobEndpoint=https://m.blob.core.windows.net?sig=y", &e), 0);
	assert_string_equal(a.sas, "sig=y");
	assert_string_equal(a.endpoint, "https://m.blob.core.windows.net");
	azure_creds_release(&a);
	assert_int_equal(azure_creds_parse(&a, "AccountKey=a2V5", &e), -1);
	assert_int_equal(e.code, ERR_AUTH);
	assert_int_equal(e.exit_status, 251);
	azure_creds_release(&a);
	assert_int_equal(azure_creds_parse(&a, "AccountName=n;AccountKey=***", &e), -1);
	assert_null(strstr(e.msg, "***"));
	assert_int_equal(e.exit_status, 255);
	azure_creds_release(&a);
}

static int one_blob(void *data, const char *name, uint64_t size, const char *etag)
{
	str_addf(data, "%s %llu %s;", name, (unsigned long long)size, etag);
	return 0;
}

static void one_block(void *data, const char *name, uint64_t size)
{
	str_addf(data, "%s %llu;", name, (unsigned long long)size);
}

static void listings(void **state UNUSED)
{
	static const char text[] = "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>"
		"<Blob><Name>a &amp; b</Name><Properties><Content-Length>3</Content-Length><Etag>0x1</Etag></Properties></Blob>"
		"<BlobPrefix><Name>p/</Name></BlobPrefix>"
		"<Blob><Name>c</Name><Properties><Etag>\"0x2\"</Etag><Content-Length>4</Content-Length></Properties></Blob>"
		"</Blobs><NextMarker>m1</NextMarker></EnumerationResults>";
	static const char no_size[] = "<EnumerationResults><Blobs><Blob><Name>a</Name></Blob></Blobs></EnumerationResults>";
	static const char blocks[] = "<BlockList><CommittedBlocks><Block><Name>no</Name><Size>1</Size></Block></CommittedBlocks>"
		"<UncommittedBlocks><Block><Name>eA==</Name><Size>16</Size></Block></UncommittedBlocks></BlockList>";
	autostr struct str got = STR_INIT, marker = STR_INIT;
	autoerr struct err e = ERR_INIT;

	assert_int_equal(azxml_list(text, sizeof(text) - 1, one_blob, &got, &marker, &e), 0);
	assert_string_equal(got.buf, "a & b 3 0x1;c 4 0x2;");
	assert_string_equal(marker.buf, "m1");
	assert_int_equal(azxml_list(no_size, sizeof(no_size) - 1, one_blob, &got, &marker, &e), -1);
	assert_int_equal(e.code, ERR_PARSE);
	str_reset(&got);
	assert_int_equal(azxml_blocks(blocks, sizeof(blocks) - 1, one_block, &got, &e), 0);
	assert_string_equal(got.buf, "eA== 16;");
	assert_int_equal(azxml_list(text, sizeof(text) / 2, one_blob, &got, &marker, &e), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(string_to_sign), cmocka_unit_test(dates_are_english), cmocka_unit_test(connection_strings),
		cmocka_unit_test(listings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * sftpwire - packets of SFTP version 3 as bytes: building requests, reading replies.
 *
 *  S1  A reader never looks past the packet it was given; after the first field that does not fit every later read
 *      gives zero and 'bad' is set.
 *  S2  A packet is at most SFTP_PACKET_MAX bytes; what a server announces above that ends the connection.
 *
 * Source: draft-ietf-secsh-filexfer-02, OpenSSH's PROTOCOL file.
 */
#ifndef REMOTES_SFTPWIRE_H
#define REMOTES_SFTPWIRE_H

#include "core/base/str.h"

#define SFTP_PACKET_MAX (1u << 20)

enum sftp_type {
	SFTP_INIT = 1, SFTP_VERSION = 2, SFTP_OPEN = 3, SFTP_CLOSE = 4, SFTP_READ = 5, SFTP_WRITE = 6, SFTP_FSTAT = 8,
	SFTP_OPENDIR = 11, SFTP_READDIR = 12, SFTP_REMOVE = 13, SFTP_MKDIR = 14, SFTP_STAT = 17, SFTP_RENAME = 18,
	SFTP_STATUS = 101, SFTP_HANDLE = 102, SFTP_DATA = 103, SFTP_NAME = 104, SFTP_ATTRS = 105,
	SFTP_EXTENDED = 200, SFTP_EXTENDED_REPLY = 201,
};
enum sftp_status {
	SFTP_OK, SFTP_EOF, SFTP_NO_SUCH_FILE, SFTP_PERMISSION_DENIED, SFTP_FAILURE, SFTP_BAD_MESSAGE, SFTP_NO_CONNECTION,
	SFTP_CONNECTION_LOST, SFTP_OP_UNSUPPORTED,
};
enum { SFTP_FLAG_READ = 1, SFTP_FLAG_WRITE = 2, SFTP_FLAG_CREAT = 8, SFTP_FLAG_TRUNC = 16, SFTP_FLAG_EXCL = 32 };

/* Building: begin reserves the length, end fills it in. */
size_t wire_begin(struct str *out, enum sftp_type type, uint32_t id);
void wire_u32(struct str *out, uint32_t v);
void wire_u64(struct str *out, uint64_t v);
void wire_bytes(struct str *out, const void *p, size_t n);      /* with its length in front */
void wire_text(struct str *out, const char *s);
void wire_end(struct str *out, size_t mark);

/* Reading. */
struct wire { const unsigned char *p, *end; bool bad; };
struct wire_attrs { bool has_size, has_mode; uint64_t size; uint32_t mode, mtime; };
uint32_t wire_get_u32(struct wire *w);
uint64_t wire_get_u64(struct wire *w);
const unsigned char *wire_get_bytes(struct wire *w, size_t *n);         /* NULL and *n 0 when bad */
void wire_get_attrs(struct wire *w, struct wire_attrs *a);
struct wire_attrs wire_attrs_of(enum sftp_type type, struct wire *w);  /* of an answer: nothing unless it is SFTP_ATTRS, whole */
/* The first packet of a buffer: 1 and *w (from the type on) with its size in *used; 0 incomplete; -1 too long or empty. */
int  wire_next(const unsigned char *p, size_t n, struct wire *w, size_t *used);
const char *sftp_status_name(uint32_t status);          /* "SSH_FX_FAILURE" */
const char *sftp_status_text(uint32_t status);          /* "permission denied" */

#endif

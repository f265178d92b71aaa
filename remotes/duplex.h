/*
 * duplex - a byte stream in both directions that never blocks; what the SFTP codec runs on.
 *
 *  D1  read() and write() return -1 with errno EAGAIN instead of waiting; read() returns 0 at the end of the stream.
 *  D2  write() may take less than it was given; what it took it keeps itself: the caller's buffer may move afterwards.
 *  D3  wait() returns when something can go on, the time is over, or a signal came; it never fails.
 *
 * Threads: one at a time.
 */
#ifndef REMOTES_DUPLEX_H
#define REMOTES_DUPLEX_H

#include "core/base/compat.h"

struct err;
struct duplex;

struct duplex_ops {
	ssize_t (*read)(struct duplex *d, void *p, size_t n);
	ssize_t (*write)(struct duplex *d, const void *p, size_t n);
	void (*wait)(struct duplex *d, bool want_write, int timeout_ms);
	/* After the end of the stream or a failure: sets e to what the far side or the transport said about it. */
	void (*why)(struct duplex *d, struct err *e);
	void (*close)(struct duplex *d);
};
struct duplex { const struct duplex_ops *ops; };        /* first member of every implementation */

#endif

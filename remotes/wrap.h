/*
 * wrap - remotes around a remote: retry with back-off, and the window that adapts.
 *
 *  W1  Only RC_RETRY is tried again: at most 10 times and 15 minutes in all, after 0.2 s doubling to 20 s with full
 *      jitter; the server's Retry-After wins. Other operations go on meanwhile.
 *  W2  A retry halves the window; a run of successes lets it grow again, while growth pays.
 *  W3  A get that is tried again goes on where it stopped when the remote can (REMOTE_RANGE) and the content cannot change
 *      (ROP_OBJECT) or had a strong tag, which the remote compares; else it restarts its sink.
 */
#ifndef REMOTES_WRAP_H
#define REMOTES_WRAP_H

#include "core/data/remote.h"

#define RETRY_TRIES 10u
/* Milliseconds to wait before attempt n (1 for the first retry); retry_after in seconds or 0. */
unsigned retry_delay_ms(unsigned attempt, int retry_after);
struct remote *wrap_retry(struct remote *inner);        /* takes it over; caps, name, url are the inner one's */

#endif

/*
 * wrap - remotes around a remote: retry with back-off, and the window that adapts.
 *
 *  W1  Only RC_RETRY is tried again: at most 10 times (three times that once bytes moved) and 15 minutes of trying and of
 *      pauses, after 0.2 s doubling to 20 s with full jitter; the server's Retry-After wins, but one that would go beyond
 *      the 15 minutes ends it. Other operations go on meanwhile, as long as nobody is due and not too many wait: each holds
 *      a descriptor.
 *  W2  A retry halves the window; a run of successes lets it grow again, while growth pays.
 *  W3  A get that is tried again goes on where it stopped when the remote can (REMOTE_RANGE) and the content cannot change
 *      (ROP_OBJECT) or had a strong tag, which the remote compares; else it restarts its sink.
 */
#ifndef REMOTES_WRAP_H
#define REMOTES_WRAP_H

#include "core/data/remote.h"

#define RETRY_TRIES 10u
#define RETRY_ALL_MS (15 * 60 * 1000)
/* Milliseconds to wait before attempt n (1 for the first retry); retry_after in seconds or 0. */
unsigned retry_delay_ms(unsigned attempt, int retry_after);
struct remote *wrap_retry(struct remote *inner);        /* takes it over; caps, name, url are the inner one's */

#endif

/*
 * pool - worker threads with a bounded queue.
 *
 *  W1  pool_submit() blocks while the queue is full: memory stays bounded whatever the number of jobs.
 *  W2  pool_wait() returns when every submitted job has run or was dropped; then the pool is idle and may be used again.
 *  W3  A job that returns -1 sets the pool's error (the first wins) and the rest of the queue is dropped.
 *  W4  Jobs stop early when proc_cancelled() says so.
 *  W5  pool_for() may be called inside a job: it waits for no job that has not begun.
 *
 * Threads are started when there is work for them: an unused pool costs nothing.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "core/base/compat.h"

struct pool;
struct err;
typedef int pool_fn(void *job, unsigned worker, struct err *e);        /* worker: 0 .. pool_size()-1 */

struct pool *pool_new(unsigned threads);                /* 0: one per core, at least 2 */
unsigned pool_size(const struct pool *p);                /* numbers of workers in use: threads, and pool_for's caller */
void pool_submit(struct pool *p, pool_fn *fn, void *job);
int  pool_wait(struct pool *p, struct err *e);
void pool_free(struct pool *p);
unsigned pool_cores(void);
/* fn(data, i, worker) for all i < n, in batches, on the pool and the calling thread. */
int  pool_for(struct pool *p, size_t n, size_t batch,
	      int (*fn)(void *data, size_t from, size_t to, unsigned worker, struct err *e), void *data, struct err *e);

#endif

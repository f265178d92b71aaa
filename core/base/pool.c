#include "core/base/pool.h"

#include "core/base/err.h"
#include "core/base/own.h"
#include "core/base/proc.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct job {
	pool_fn *fn;
	void *arg;
};

struct worker {
	struct pool *pool;
	unsigned index;
	pthread_t thread;
};

struct pool {
	pthread_mutex_t mu;
	pthread_cond_t work, room, idle;
	struct job *q;
	size_t cap, head, n;            /* ring of waiting jobs */
	size_t busy;                    /* workers inside a job */
	unsigned max, started;          /* threads are started when there is something for them to do */
	bool stop, failed;
	struct err err;
	struct worker *w;
};

unsigned pool_cores(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);

	return n > 0 ? (unsigned)n : 1;
}

struct pool *pool_new(unsigned threads)
{
	struct pool *p = xcalloc(1, sizeof(*p));

	if (!threads)
		threads = pool_cores() < 2 ? 2 : pool_cores();
	p->max = threads;
	p->cap = (size_t)threads * 4 < 64 ? 64 : (size_t)threads * 4;
	p->q = xcalloc(p->cap, sizeof(*p->q));
	p->w = xcalloc(threads, sizeof(*p->w));
	pthread_mutex_init(&p->mu, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->room, NULL);
	pthread_cond_init(&p->idle, NULL);
	return p;
}

/* One slot more than threads: the caller of pool_for() works too. */
unsigned pool_size(const struct pool *p)
{
	return p->max + 1;
}

static int loop_help(void *arg, unsigned worker, struct err *e);

/* Called and returns with the lock held. A helper of pool_for() is never dropped: it holds a reference. */
static void run_one(struct pool *p, struct job j, unsigned index)
{
	autoerr struct err e = ERR_INIT;
	int rc = 0;

	if (p->failed && j.fn != loop_help)     /* W3 */
		return;
	pthread_mutex_unlock(&p->mu);
	if (j.fn != loop_help)
		rc = proc_check(&e);
	if (!rc)
		rc = j.fn(j.arg, index, &e);
	pthread_mutex_lock(&p->mu);
	if (rc && !p->failed) {
		p->failed = true;
		err_move(&p->err, &e);
	}
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;

	pthread_mutex_lock(&p->mu);
	for (;;) {
		while (!p->n && !p->stop)
			pthread_cond_wait(&p->work, &p->mu);
		if (!p->n)
			break;
		struct job j = p->q[p->head];

		p->head = (p->head + 1) % p->cap;
		p->n--;
		p->busy++;
		pthread_cond_signal(&p->room);
		run_one(p, j, w->index);
		p->busy--;
		if (!p->n && !p->busy)
			pthread_cond_broadcast(&p->idle);
	}
	pthread_mutex_unlock(&p->mu);
	return NULL;
}

static void start_worker(struct pool *p)
{
	struct worker *w = &p->w[p->started];

	w->pool = p;
	w->index = p->started;
	if (!pthread_create(&w->thread, NULL, worker_main, w))
		p->started++;
}

/* False: not one thread could be started (or the queue is full and 'block' is not set): the caller runs it itself. */
static bool enqueue(struct pool *p, pool_fn *fn, void *arg, bool block)
{
	bool ok;

	pthread_mutex_lock(&p->mu);
	while (block && p->n == p->cap)
		pthread_cond_wait(&p->room, &p->mu);
	if (p->busy + p->n >= p->started && p->started < p->max)
		start_worker(p);
	ok = p->started && p->n < p->cap;
	if (ok) {
		p->q[(p->head + p->n++) % p->cap] = (struct job){ fn, arg };
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->mu);
	return ok;
}

void pool_submit(struct pool *p, pool_fn *fn, void *arg)
{
	if (enqueue(p, fn, arg, true))
		return;
	pthread_mutex_lock(&p->mu);
	run_one(p, (struct job){ fn, arg }, 0);
	pthread_mutex_unlock(&p->mu);
}

int pool_wait(struct pool *p, struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&p->mu);
	while (p->n || p->busy)
		pthread_cond_wait(&p->idle, &p->mu);
	if (p->failed) {
		rc = -1;
		err_move(e, &p->err);
		p->failed = false;
	}
	pthread_mutex_unlock(&p->mu);
	return rc;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->mu);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->mu);
	for (unsigned i = 0; i < p->started; i++)
		pthread_join(p->w[i].thread, NULL);
	pthread_mutex_destroy(&p->mu);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->room);
	pthread_cond_destroy(&p->idle);
	err_release(&p->err);
	free(p->q);
	free(p->w);
	free(p);
}

/*
 * pool_for: shared by the caller and its helpers. A helper that is still waiting in the queue when the caller has
 * finished finds 'closed' and does nothing, so a loop inside a job cannot wait for a worker that never comes.
 */
struct loop {
	pthread_mutex_t mu;
	pthread_cond_t done;
	atomic_size_t next;
	size_t n, batch;
	int (*fn)(void *data, size_t from, size_t to, unsigned worker, struct err *e);
	void *data;
	unsigned refs, active;
	bool closed;
	atomic_bool failed;
	struct err err;
};

static void loop_fail(struct loop *l, struct err *e)
{
	pthread_mutex_lock(&l->mu);
	if (!atomic_exchange(&l->failed, true))
		err_move(&l->err, e);
	pthread_mutex_unlock(&l->mu);
}

static void loop_run(struct loop *l, unsigned worker)
{
	autoerr struct err e = ERR_INIT;

	while (!atomic_load_explicit(&l->failed, memory_order_relaxed)) {
		size_t from = atomic_fetch_add(&l->next, l->batch), to = from + l->batch;

		if (from >= l->n)
			return;
		if (proc_check(&e) || l->fn(l->data, from, to < l->n ? to : l->n, worker, &e)) {
			loop_fail(l, &e);
			return;
		}
	}
}

static void loop_unref(struct loop *l)
{
	bool last = !--l->refs;

	pthread_mutex_unlock(&l->mu);
	if (!last)
		return;
	pthread_mutex_destroy(&l->mu);
	pthread_cond_destroy(&l->done);
	err_release(&l->err);
	free(l);
}

static int loop_help(void *arg, unsigned worker, struct err *e)
{
	struct loop *l = arg;

	(void)e;
	pthread_mutex_lock(&l->mu);
	if (!l->closed) {
		l->active++;
		pthread_mutex_unlock(&l->mu);
		loop_run(l, worker);
		pthread_mutex_lock(&l->mu);
		if (!--l->active)
			pthread_cond_signal(&l->done);
	}
	loop_unref(l);
	return 0;
}

int pool_for(struct pool *p, size_t n, size_t batch,
	     int (*fn)(void *data, size_t from, size_t to, unsigned worker, struct err *e), void *data, struct err *e)
{
	struct loop *l;
	size_t batches, helpers;
	int rc = 0;

	if (!n)
		return 0;
	batch = batch ? batch : 1;
	batches = (n + batch - 1) / batch;
	helpers = batches - 1 < p->max - 1 ? batches - 1 : p->max - 1;
	l = xcalloc(1, sizeof(*l));
	pthread_mutex_init(&l->mu, NULL);
	pthread_cond_init(&l->done, NULL);
	l->n = n;
	l->batch = batch;
	l->fn = fn;
	l->data = data;
	l->refs = (unsigned)helpers + 1;
	for (size_t i = 0; i < helpers; i++) {
		if (enqueue(p, loop_help, l, false))
			continue;
		pthread_mutex_lock(&l->mu);
		l->refs--;
		pthread_mutex_unlock(&l->mu);
	}
	loop_run(l, p->max);
	pthread_mutex_lock(&l->mu);
	l->closed = true;
	while (l->active)
		pthread_cond_wait(&l->done, &l->mu);
	if (atomic_load(&l->failed)) {
		err_move(e, &l->err);
		rc = -1;
	}
	loop_unref(l);
	return rc;
}

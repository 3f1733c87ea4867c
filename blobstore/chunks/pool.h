/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_POOL_H
#define BLOBSTORE_CHUNKS_POOL_H

/*
 * Threads that do jobs in the order in which they were submitted, each at the priority of who submitted it, and on its leash: who
 * waits for a request's pieces must not wait for a thread that an import has slowed down. They are started by the first job, so
 * that a process may still fork after it has opened a store. The queue has no bound of its own: each submitter bounds
 * what it has outstanding.
 */

#include <stddef.h>
#include <sys/queue.h>

struct child_leash;
struct pool;

/* Embedded in what the job is about. RUN owns it from the call on: the job may be gone when it returns. */
struct pool_job {
        STAILQ_ENTRY(pool_job) link;
        int nice; /* the pool's to set, as the next */
        struct child_leash *leash;
        void (*run)(struct pool_job *job);
};

int pool_new(unsigned threads, struct pool **ret);
void pool_free(struct pool *p); /* accepts NULL; every job must be done */
unsigned pool_threads(const struct pool *p);

/* -EAGAIN: not one thread could be started. */
int pool_submit(struct pool *p, struct pool_job *job);

/*
 * Calls FN for 0 to N - 1, in any order, here and in threads that have nothing else to do, and returns when all calls
 * have returned: with the first error, or 0. Small pieces of one request: nothing waits behind jobs that are queued.
 */
typedef int pool_piece_fn(void *ctx, size_t i);
int pool_share(struct pool *p, size_t n, pool_piece_fn *fn, void *ctx);

#endif

/* SPDX-License-Identifier: MIT */

#include "blobstore/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "blobstore/base/lock.h"

struct pool {
        unsigned threads; /* wanted */

        pthread_mutex_t lock; /* everything below */
        pthread_cond_t wake; /* a job, or the end */
        STAILQ_HEAD(, pool_job) jobs;
        bool ending;
        unsigned started;
        pthread_t ids[];
};

int pool_new(unsigned threads, struct pool **ret)
{
        struct pool *p = calloc(1, sizeof(*p) + threads * sizeof(p->ids[0]));

        if (!p)
                return -ENOMEM;
        p->threads = threads;
        pthread_mutex_init(&p->lock, NULL);
        pthread_cond_init(&p->wake, NULL);
        STAILQ_INIT(&p->jobs);
        *ret = p;
        return 0;
}

void pool_free(struct pool *p)
{
        if (!p)
                return;
        lock(&p->lock);
        p->ending = true;
        pthread_cond_broadcast(&p->wake);
        unlock(&p->lock);
        for (unsigned i = 0; i < p->started; i++)
                (void)pthread_join(p->ids[i], NULL);
        pthread_cond_destroy(&p->wake);
        pthread_mutex_destroy(&p->lock);
        free(p);
}

unsigned pool_threads(const struct pool *p)
{
        return p->threads;
}

static void *pool_main(void *ctx)
{
        struct pool *p = ctx;
        struct pool_job *job;

        lock(&p->lock);
        for (;;) {
                while (STAILQ_EMPTY(&p->jobs) && !p->ending)
                        pthread_cond_wait(&p->wake, &p->lock);
                job = STAILQ_FIRST(&p->jobs);
                if (!job)
                        break;
                STAILQ_REMOVE_HEAD(&p->jobs, link);
                unlock(&p->lock);
                job->run(job);
                lock(&p->lock);
        }
        unlock(&p->lock);
        return NULL;
}

/* Call with the lock held. Fewer threads than wanted will do; signals are for the threads of the layers above. */
static int pool_start(struct pool *p)
{
        sigset_t all, old;
        int r = 0;

        sigfillset(&all);
        (void)pthread_sigmask(SIG_BLOCK, &all, &old);
        while (r == 0 && p->started < p->threads) {
                r = -pthread_create(&p->ids[p->started], NULL, pool_main, p);
                if (r == 0)
                        p->started++;
        }
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        return p->started ? 0 : r;
}

int pool_submit(struct pool *p, struct pool_job *job)
{
        int r;

        LOCK_SCOPE(&p->lock);
        if (p->started == 0) {
                r = pool_start(p);
                if (r < 0)
                        return r;
        }
        STAILQ_INSERT_TAIL(&p->jobs, job, link);
        pthread_cond_signal(&p->wake);
        return 0;
}

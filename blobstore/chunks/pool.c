/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "blobstore/base/child_leash.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"

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

/* Of the calling thread. */
static int pool_nice(void)
{
        return getpriority(PRIO_PROCESS, (id_t)gettid()); /* cannot fail; -1 is one of them */
}

static void *pool_main(void *ctx)
{
        struct pool *p = ctx;
        struct pool_job *job;
        int nice = pool_nice(), wanted;

        lock(&p->lock);
        for (;;) {
                while (STAILQ_EMPTY(&p->jobs) && !p->ending)
                        pthread_cond_wait(&p->wake, &p->lock);
                job = STAILQ_FIRST(&p->jobs);
                if (!job)
                        break;
                STAILQ_REMOVE_HEAD(&p->jobs, link);
                unlock(&p->lock);
                wanted = job->nice;
                if (wanted != nice && setpriority(PRIO_PROCESS, (id_t)gettid(), wanted) == 0)
                        nice = wanted;
                child_leash_take(job->leash);
                job->run(job);
                child_leash_take(NULL);
                lock(&p->lock);
        }
        unlock(&p->lock);
        return NULL;
}

/* Call with the lock held. Fewer threads than wanted will do. */
static int pool_start(struct pool *p)
{
        int r = 0;

        while (r == 0 && p->started < p->threads) {
                r = thread_start(&p->ids[p->started], pool_main, p);
                if (r == 0)
                        p->started++;
        }
        return p->started ? 0 : r;
}

int pool_submit(struct pool *p, struct pool_job *job)
{
        int r;

        job->nice = pool_nice();
        job->leash = child_leash_held();
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

/* ---- one request's pieces ---- */

/* A thread that is woken for fewer pieces costs more than it brings. */
#define POOL_SHARE_PIECES 4

/*
 * Whoever comes takes the next piece. A helper that comes when all are taken only lets go: the request may be answered
 * by then, and its buffers gone.
 */
struct share {
        pool_piece_fn *fn;
        void *ctx;
        size_t n;
        atomic_size_t next;

        pthread_mutex_t lock; /* everything below */
        pthread_cond_t done; /* all pieces */
        size_t finished;
        unsigned users;
        int error; /* the first one */

        struct share_helper {
                struct pool_job job; /* first */
                struct share *share;
        } helpers[];
};

static void share_work(struct share *s)
{
        size_t i;
        int r;

        while ((i = atomic_fetch_add(&s->next, 1)) < s->n) {
                r = s->fn(s->ctx, i);
                LOCK_SCOPE(&s->lock);
                if (s->error == 0)
                        s->error = r;
                if (++s->finished == s->n)
                        pthread_cond_signal(&s->done);
        }
}

static void share_leave(struct share *s)
{
        bool last;

        lock(&s->lock);
        last = --s->users == 0;
        unlock(&s->lock);
        if (!last)
                return;
        pthread_cond_destroy(&s->done);
        pthread_mutex_destroy(&s->lock);
        free(s);
}

static void share_run(struct pool_job *job)
{
        struct share *s = ((struct share_helper *)job)->share;

        share_work(s);
        share_leave(s);
}

/* Asks threads for help, unless there are jobs for them. */
static void share_call(struct pool *p, struct share *s, unsigned helpers)
{
        const int nice = pool_nice();

        LOCK_SCOPE(&p->lock);
        if (!STAILQ_EMPTY(&p->jobs) || (p->started == 0 && pool_start(p) < 0))
                return;
        s->users += helpers; /* nobody else knows it yet */
        for (unsigned i = 0; i < helpers; i++) {
                s->helpers[i] = (struct share_helper){ .job = { .run = share_run, .nice = nice, .leash = child_leash_held() },
                                                          .share = s };
                STAILQ_INSERT_TAIL(&p->jobs, &s->helpers[i].job, link);
                pthread_cond_signal(&p->wake);
        }
}

int pool_share(struct pool *p, size_t n, pool_piece_fn *fn, void *ctx)
{
        size_t helpers = n / POOL_SHARE_PIECES;
        struct share *s = NULL;
        int error = 0, r;

        if (helpers >= p->threads)
                helpers = p->threads - 1; /* the caller works too */
        if (helpers > 0)
                s = malloc(sizeof(*s) + helpers * sizeof(s->helpers[0]));
        if (!s) {
                for (size_t i = 0; i < n; i++) {
                        r = fn(ctx, i);
                        error = error ? error : r;
                }
                return error;
        }

        *s = (struct share){ .fn = fn, .ctx = ctx, .n = n, .users = 1 };
        pthread_mutex_init(&s->lock, NULL);
        pthread_cond_init(&s->done, NULL);
        share_call(p, s, (unsigned)helpers);
        share_work(s);

        lock(&s->lock);
        while (s->finished < n)
                pthread_cond_wait(&s->done, &s->lock);
        error = s->error;
        unlock(&s->lock);
        share_leave(s);
        return error;
}

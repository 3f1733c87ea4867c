/* SPDX-License-Identifier: MIT */

#include "blobstore/objects/fetch_ahead.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"

#define WANTS_MAX 1024 /* that wait: some hundred readers' */

struct want {
        TAILQ_ENTRY(want) link;
        fetch_ahead_fn *fn;
        void *ctx;
        uint32_t id, number;
        unsigned n;
};
TAILQ_HEAD(wants, want);

struct fetch_ahead {
        pthread_mutex_t lock; /* everything below; a leaf */
        pthread_cond_t more; /* something is wanted, or may be fetched by now, or the end */
        pthread_cond_t done; /* something was fetched */
        struct wants waiting, busy;
        unsigned n_waiting, n_idle, n_threads;
        unsigned pieces; /* of those that are busy */
        bool stop;
        pthread_t threads[FETCH_AHEAD_PIECES];
};

int fetch_ahead_new(struct fetch_ahead **ret)
{
        struct fetch_ahead *a = calloc(1, sizeof(*a));

        if (!a)
                return -ENOMEM;
        (void)pthread_mutex_init(&a->lock, NULL); /* none of these can fail so */
        (void)pthread_cond_init(&a->more, NULL);
        (void)pthread_cond_init(&a->done, NULL);
        TAILQ_INIT(&a->waiting);
        TAILQ_INIT(&a->busy);
        *ret = a;
        return 0;
}

void fetch_ahead_free(struct fetch_ahead *a)
{
        if (!a)
                return;
        lock(&a->lock);
        a->stop = true;
        (void)pthread_cond_broadcast(&a->more);
        unlock(&a->lock);
        for (unsigned i = 0; i < a->n_threads; i++)
                (void)pthread_join(a->threads[i], NULL);
        (void)pthread_cond_destroy(&a->done);
        (void)pthread_cond_destroy(&a->more);
        (void)pthread_mutex_destroy(&a->lock);
        free(a);
}

static void *work(void *arg)
{
        struct fetch_ahead *a = arg;
        struct want *w;

        thread_set_name("fetch-ahead");
        thread_set_nice(THREAD_NICE_REQUESTS); /* one may have come to wait for it meanwhile; whoever started this may have been slow */
        LOCK_SCOPE(&a->lock);
        while (!a->stop) {
                w = TAILQ_FIRST(&a->waiting);
                if (!w || a->pieces + w->n > FETCH_AHEAD_PIECES) {
                        a->n_idle++;
                        (void)pthread_cond_wait(&a->more, &a->lock);
                        a->n_idle--;
                        continue;
                }
                TAILQ_REMOVE(&a->waiting, w, link);
                a->n_waiting--;
                a->pieces += w->n;
                TAILQ_INSERT_TAIL(&a->busy, w, link);
                if (!TAILQ_EMPTY(&a->waiting)) /* where there was room for two there may be for two that are alone */
                        (void)pthread_cond_signal(&a->more);
                unlock(&a->lock);
                w->fn(w->ctx, w->id, w->number, w->n);
                lock(&a->lock);
                TAILQ_REMOVE(&a->busy, w, link);
                a->pieces -= w->n;
                free(w);
                (void)pthread_cond_broadcast(&a->done);
        }
        return NULL;
}

/* Call with the lock held. */
static bool ask(struct fetch_ahead *a, const struct want *what)
{
        struct want *w;

        if (a->n_waiting == WANTS_MAX)
                return false;
        if (a->n_idle <= a->n_waiting && a->n_threads < FETCH_AHEAD_PIECES &&
            thread_start(&a->threads[a->n_threads], work, a) == 0)
                a->n_threads++;
        w = a->n_threads > 0 ? calloc(1, sizeof(*w)) : NULL;
        if (!w)
                return false;
        *w = *what;
        TAILQ_INSERT_TAIL(&a->waiting, w, link);
        a->n_waiting++;
        (void)pthread_cond_signal(&a->more);
        return true;
}

uint32_t fetch_ahead_ask(struct fetch_ahead *a, fetch_ahead_fn *fn, void *ctx, uint32_t id, uint32_t number, uint32_t n)
{
        struct want w = { .fn = fn, .ctx = ctx, .id = id };
        uint32_t asked = 0;

        LOCK_SCOPE(&a->lock);
        for (; asked < n; asked += w.n) {
                w.number = number + asked;
                w.n = FETCH_AHEAD_RUN - w.number % FETCH_AHEAD_RUN;
                w.n = w.n < n - asked ? w.n : n - asked;
                if (!ask(a, &w))
                        break;
        }
        return asked;
}

/* Call with the lock held. */
static struct want *find(const struct wants *wants, const void *ctx)
{
        struct want *w;

        TAILQ_FOREACH(w, wants, link) {
                if (w->ctx == ctx)
                        return w;
        }
        return NULL;
}

void fetch_ahead_leave(struct fetch_ahead *a, const void *ctx)
{
        struct want *w;

        LOCK_SCOPE(&a->lock);
        while ((w = find(&a->waiting, ctx))) {
                TAILQ_REMOVE(&a->waiting, w, link);
                a->n_waiting--;
                free(w);
        }
        while (find(&a->busy, ctx))
                (void)pthread_cond_wait(&a->done, &a->lock);
}

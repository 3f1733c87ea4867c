/* SPDX-License-Identifier: MIT */
#include "blobstore/base/every.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"

struct every {
        unsigned ms;
        every_fn *look;
        void *ctx;
        pthread_t thread;
        pthread_mutex_t mutex;
        pthread_cond_t stop;
        bool stopped; /* under the mutex */
};

static struct timespec next(const struct every *e)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with it */
        t.tv_sec += e->ms / 1000;
        t.tv_nsec += (long)(e->ms % 1000) * 1000000;
        t.tv_sec += t.tv_nsec / 1000000000;
        t.tv_nsec %= 1000000000;
        return t;
}

static void *look_on(void *arg)
{
        struct every *e = arg;
        struct timespec due = next(e);
        LOCK_SCOPE(&e->mutex);

        while (!e->stopped) {
                if (pthread_cond_timedwait(&e->stop, &e->mutex, &due) != ETIMEDOUT)
                        continue;
                unlock(&e->mutex);
                e->look(e->ctx);
                lock(&e->mutex);
                due = next(e);
        }
        return NULL;
}

static void every_free(struct every *e)
{
        (void)pthread_cond_destroy(&e->stop);
        (void)pthread_mutex_destroy(&e->mutex);
        free(e);
}

int every_start(unsigned ms, every_fn *look, void *ctx, struct every **ret)
{
        struct every *e = calloc(1, sizeof(*e));
        int r;

        if (!e)
                return -ENOMEM;
        e->ms = ms;
        e->look = look;
        e->ctx = ctx;
        (void)pthread_mutex_init(&e->mutex, NULL); /* cannot fail so */
        cond_init(&e->stop);
        r = thread_start(&e->thread, look_on, e);
        if (r < 0) {
                every_free(e);
                return r;
        }
        *ret = e;
        return 0;
}

void every_stop(struct every *e)
{
        if (!e)
                return;
        {
                LOCK_SCOPE(&e->mutex);
                e->stopped = true;
                (void)pthread_cond_signal(&e->stop);
        }
        (void)pthread_join(e->thread, NULL);
        every_free(e);
}

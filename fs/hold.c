/* SPDX-License-Identifier: MIT */
/*
 * A host that did not answer its cluster for too long (it was stopped, or cut off) loses its locks there, and does not hear
 * of it. Ceph also sees to it that nothing of what it still writes arrives; that is what keeps the bytes safe, not
 * this. But what is in memory here is the past from then on, and clients would be told of it for as long as they ask for
 * nothing else.
 *
 * So the lock is taken once more, now and then: of a local file system that costs a system call, and cannot fail. When it
 * is lost the process ends as if it had been killed, since each orderly step would write: the mount is left as after a
 * crash, and what machines do there fails.
 */

#include "fs/hold.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/log.h"
#include "blobstore/base/thread.h"
#include "fs/options.h"
#include "model/model.h"

/* How long the past may be told. */
#define HOLD_SECONDS 5

struct hold {
        const struct model *model;
        const char *store;
        pthread_t thread;
        pthread_mutex_t mutex;
        pthread_cond_t stop; /* by the clock that only goes forwards */
        bool stopped; /* under the mutex */
};

static void ask(const struct hold *h)
{
        int r = model_hold(h->model);

        if (r == 0)
                return;
        log_error("%s is no longer served: its lock is lost, and another host may have it: %s: nothing more is written, and the "
                  "mount is as after a crash; see whether this host still has its file system", h->store, strerror(-r));
        _exit(EXIT_MOUNT_FAILED);
}

static void *hold(void *arg)
{
        struct hold *h = arg;
        struct timespec due;
        LOCK_SCOPE(&h->mutex);

        (void)clock_gettime(CLOCK_MONOTONIC, &due); /* cannot fail with it */
        due.tv_sec += HOLD_SECONDS;
        while (!h->stopped) {
                if (pthread_cond_timedwait(&h->stop, &h->mutex, &due) != ETIMEDOUT)
                        continue;
                unlock(&h->mutex);
                ask(h);
                lock(&h->mutex);
                (void)clock_gettime(CLOCK_MONOTONIC, &due);
                due.tv_sec += HOLD_SECONDS;
        }
        return NULL;
}

static void hold_free(struct hold *h)
{
        (void)pthread_cond_destroy(&h->stop);
        (void)pthread_mutex_destroy(&h->mutex);
        free(h);
}

int hold_start(const struct model *model, const char *store, struct hold **ret)
{
        struct hold *h = calloc(1, sizeof(*h));
        pthread_condattr_t attr;
        int r;

        if (!h)
                return -ENOMEM;
        h->model = model;
        h->store = store;
        (void)pthread_mutex_init(&h->mutex, NULL); /* none of these can fail so */
        (void)pthread_condattr_init(&attr);
        (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        (void)pthread_cond_init(&h->stop, &attr);
        (void)pthread_condattr_destroy(&attr);
        r = thread_start(&h->thread, hold, h);
        if (r < 0) {
                hold_free(h);
                return r;
        }
        *ret = h;
        return 0;
}

void hold_stop(struct hold *h)
{
        if (!h)
                return;
        {
                LOCK_SCOPE(&h->mutex);
                h->stopped = true;
                (void)pthread_cond_signal(&h->stop);
        }
        (void)pthread_join(h->thread, NULL);
        hold_free(h);
}

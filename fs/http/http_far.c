/* SPDX-License-Identifier: MIT */

#include "fs/http/http_far.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"

/* One is at a piece while the other closes, or opens. */
#define THREADS_OF_A_STORE 2

struct lane {
        SLIST_ENTRY(lane) link;
        struct http_far *far;
        uint64_t store;
        STAILQ_HEAD(, http_far_job) jobs;
        pthread_cond_t more;
        pthread_t threads[THREADS_OF_A_STORE];
        unsigned n_threads;
};

struct http_far {
        pthread_mutex_t mutex; /* of all below; a leaf */
        SLIST_HEAD(, lane) lanes; /* which only grow */
        bool stopped;
};

int http_far_new(struct http_far **ret)
{
        struct http_far *far = calloc(1, sizeof(*far));

        if (!far)
                return -ENOMEM;
        (void)pthread_mutex_init(&far->mutex, NULL); /* cannot fail without attributes, as below */
        SLIST_INIT(&far->lanes);
        *ret = far;
        return 0;
}

static void *work(void *arg)
{
        struct lane *lane = arg;
        struct http_far *far = lane->far;
        struct http_far_job *job;
        LOCK_SCOPE(&far->mutex);

        thread_set_name("http");
        while ((job = STAILQ_FIRST(&lane->jobs)) || !far->stopped) {
                if (!job) {
                        (void)pthread_cond_wait(&lane->more, &far->mutex);
                        continue;
                }
                STAILQ_REMOVE_HEAD(&lane->jobs, link);
                unlock(&far->mutex);
                job->run(job);
                lock(&far->mutex);
        }
        return NULL;
}

/* With the mutex held, as below. */
static struct lane *get_lane(struct http_far *far, uint64_t store)
{
        struct lane *lane;

        SLIST_FOREACH(lane, &far->lanes, link) {
                if (lane->store == store)
                        return lane;
        }
        lane = calloc(1, sizeof(*lane));
        if (!lane)
                return NULL;
        lane->far = far;
        lane->store = store;
        STAILQ_INIT(&lane->jobs);
        (void)pthread_cond_init(&lane->more, NULL);
        SLIST_INSERT_HEAD(&far->lanes, lane, link);
        return lane;
}

int http_far_add(struct http_far *far, struct http_far_job *job)
{
        struct lane *lane;
        LOCK_SCOPE(&far->mutex);

        lane = get_lane(far, job->store);
        if (!lane)
                return -ENOMEM;
        while (lane->n_threads < THREADS_OF_A_STORE &&
               thread_start(&lane->threads[lane->n_threads], work, lane) == 0)
                lane->n_threads++;
        if (lane->n_threads == 0)
                return -EAGAIN;
        STAILQ_INSERT_TAIL(&lane->jobs, job, link);
        (void)pthread_cond_signal(&lane->more);
        return 0;
}

void http_far_free(struct http_far *far)
{
        struct lane *lane;

        if (!far)
                return;
        {
                LOCK_SCOPE(&far->mutex);
                far->stopped = true;
                SLIST_FOREACH(lane, &far->lanes, link)
                        (void)pthread_cond_broadcast(&lane->more);
        }
        while ((lane = SLIST_FIRST(&far->lanes))) {
                SLIST_REMOVE_HEAD(&far->lanes, link);
                for (unsigned i = 0; i < lane->n_threads; i++)
                        (void)pthread_join(lane->threads[i], NULL);
                (void)pthread_cond_destroy(&lane->more);
                free(lane);
        }
        (void)pthread_mutex_destroy(&far->mutex);
        free(far);
}

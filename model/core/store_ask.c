/* SPDX-License-Identifier: MIT */

#include "model/core/store_ask.h"

#include <errno.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "blobstore/blobstore.h"

static _Thread_local bool never;

void store_ask_never(void)
{
        never = true;
}

void store_ask_init(struct store_ask *a)
{
        *a = (struct store_ask){ 0 };
        (void)pthread_mutex_init(&a->mutex, NULL); /* cannot fail without attributes, as below */
        (void)pthread_cond_init(&a->asked_more, NULL);
        (void)pthread_cond_init(&a->answered_more, NULL);
}

void store_ask_done(struct store_ask *a)
{
        bool started;

        {
                LOCK_SCOPE(&a->mutex);
                a->stop = true;
                started = a->started;
                (void)pthread_cond_signal(&a->asked_more);
        }
        if (started)
                (void)pthread_join(a->thread, NULL);
        (void)pthread_cond_destroy(&a->answered_more);
        (void)pthread_cond_destroy(&a->asked_more);
        (void)pthread_mutex_destroy(&a->mutex);
}

static void *answer(void *arg)
{
        struct store_ask *a = arg;
        uint64_t number, ignored;
        LOCK_SCOPE(&a->mutex);

        thread_set_name("store-answers");
        while (!a->stop) {
                if (a->answered == a->asked) {
                        (void)pthread_cond_wait(&a->asked_more, &a->mutex);
                        continue;
                }
                number = a->asked;
                unlock(&a->mutex);
                /* what no kernel answers from what it knows; an error is an answer, too */
                (void)blobstore_free_bytes(a->bs, &ignored);
                lock(&a->mutex);
                a->answered = number;
                (void)pthread_cond_broadcast(&a->answered_more);
        }
        return NULL;
}

/* With the first question: a daemon that goes to the background has no thread before that. */
static int start(struct store_ask *a, struct blobstore *bs)
{
        int r;

        if (a->started)
                return 0;
        a->bs = bs;
        r = thread_start(&a->thread, answer, a);
        a->started = r == 0;
        return r;
}

int store_ask(struct store_ask *a, struct blobstore *bs)
{
        uint64_t number;
        LOCK_SCOPE(&a->mutex);

        if (never || start(a, bs) < 0)
                return 0;
        number = ++a->asked;
        (void)pthread_cond_signal(&a->asked_more);
        while (a->answered < number && !a->hangs)
                (void)pthread_cond_wait(&a->answered_more, &a->mutex);
        return a->answered < number ? -EIO : 0;
}

bool store_ask_set_hangs(struct store_ask *a, bool hangs)
{
        bool before;
        LOCK_SCOPE(&a->mutex);

        before = a->hangs;
        a->hangs = hangs;
        (void)pthread_cond_broadcast(&a->answered_more);
        return before;
}

/* SPDX-License-Identifier: MIT */

#include "blobstore/base/thread_share.h"

#include <time.h>

#include "blobstore/base/thread.h"

/* Of their share, how much they may not have used and still have. */
#define KEPT_NS INT64_C(250000000)

/* Of the calling thread. */
static _Thread_local struct {
        struct thread_share *share;
        int64_t used_ns; /* of the processor, as of the last step */
} mine;

static int64_t now_ns(clockid_t clock)
{
        struct timespec t;

        (void)clock_gettime(clock, &t); /* cannot fail with those of below */
        return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void thread_share_join(struct thread_share *s)
{
        mine.share = s;
        mine.used_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
}

bool thread_share_use(struct thread_share *s, int64_t used_ns, int64_t now)
{
        int64_t until = atomic_load(&s->paid_until_ns), next;

        if (s->percent == 0)
                return false;
        do {
                next = (until > now - KEPT_NS ? until : now - KEPT_NS) + used_ns * 100 / s->percent;
        } while (!atomic_compare_exchange_weak(&s->paid_until_ns, &until, next));
        return next <= now;
}

void thread_share_step(void)
{
        int64_t used;

        if (!mine.share)
                return;
        used = now_ns(CLOCK_THREAD_CPUTIME_ID);
        thread_set_nice(thread_share_use(mine.share, used - mine.used_ns, now_ns(CLOCK_MONOTONIC))
                                ? THREAD_NICE_REQUESTS
                                : THREAD_NICE_LONG);
        mine.used_ns = used;
}

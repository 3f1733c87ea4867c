/* SPDX-License-Identifier: MIT */

/*
 * What imports stored in haste is made smaller when there has been no work for a while (blobstore/blobs/tidy.h), one
 * step at a time, in a thread that every other comes before. Any work that turns up ends the step, with what it has
 * moved.
 */

#include "model/work/tidy.h"

#include <errno.h>

#include "blobstore/base/thread.h"
#include "blobstore/blobstore.h"
#include "model/core/clock.h"
#include "model/core/jobs.h"
#include "model/core/state.h"
#include "model/core/stores.h"

struct step {
        struct model *m;
        bool moved;
};

static bool is_wanted_elsewhere(void *ctx)
{
        struct model *m = ctx;

        return jobs_has_upkeep(m) || jobs_is_busy(m);
}

static int tidy_store(void *ctx, uint64_t id, struct blobstore *bs)
{
        struct blobstore_tidy_stats stats = { 0 };
        struct step *step = ctx;
        int r;

        if (!stores_are_ours(step->m, id))
                return 0;
        r = blobstore_tidy(bs, is_wanted_elsewhere, step->m, &stats);
        step->moved |= r > 0;
        /* What one store cannot do now (its disk is full) keeps no other from it. */
        return is_wanted_elsewhere(step->m) ? -ECANCELED : 0;
}

static void *tidy_main(void *arg)
{
        struct step *step = arg;

        thread_set_idle();
        (void)stores_each(step->m, tidy_store, step);
        return NULL;
}

int64_t tidy_run(struct tidier *t, bool woken, bool *garbage)
{
        struct step step = { .m = t->m };
        pthread_t thread;

        if (t->quiet_us == 0)
                return 0;
        if (woken)
                t->due_us = clock_now_us() + (int64_t)t->quiet_us;
        if (t->due_us == 0 || clock_now_us() < t->due_us || is_wanted_elsewhere(t->m))
                return t->due_us;

        t->due_us = 0;
        if (thread_start(&thread, tidy_main, &step) != 0)
                return 0;
        (void)pthread_join(thread, NULL);
        *garbage |= step.moved;
        if (step.moved)
                t->due_us = clock_now_us();
        return t->due_us;
}

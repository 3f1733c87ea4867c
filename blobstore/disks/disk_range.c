/* SPDX-License-Identifier: MIT */

/*
 * The list holds no more than one entry per thread, so looking through it is cheaper than anything cleverer.
 */

#include "blobstore/disks/disk_range_priv.h"

#include <stdbool.h>

#include "blobstore/base/lock.h"

void disk_ranges_init(struct disk_ranges *l)
{
        pthread_mutex_init(&l->lock, NULL);
        pthread_cond_init(&l->left, NULL);
        l->waiting = 0;
        TAILQ_INIT(&l->list);
}

void disk_ranges_done(struct disk_ranges *l)
{
        pthread_cond_destroy(&l->left);
        pthread_mutex_destroy(&l->lock);
}

/* Does an earlier one overlap? Call with the lock held. */
static bool range_must_wait(const struct disk_range *range)
{
        const struct disk_range *other;

        TAILQ_FOREACH(other, &range->owner->list, link) {
                if (other == range)
                        return false;
                if (other->first < range->end && range->first < other->end)
                        return true;
        }
        return false;
}

void disk_range_lock(struct disk_ranges *l, uint64_t first, uint64_t end, struct disk_range *ret)
{
        ret->owner = l;
        ret->first = first;
        ret->end = end;

        LOCK_SCOPE(&l->lock);
        TAILQ_INSERT_TAIL(&l->list, ret, link);
        while (range_must_wait(ret)) {
                l->waiting++;
                pthread_cond_wait(&l->left, &l->lock);
                l->waiting--;
        }
}

void disk_range_unlock(struct disk_range *range)
{
        struct disk_ranges *l = range->owner;

        LOCK_SCOPE(&l->lock);
        TAILQ_REMOVE(&l->list, range, link);
        if (l->waiting > 0)
                pthread_cond_broadcast(&l->left);
}

/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_DISKS_DISK_RANGE_PRIV_H
#define BLOBSTORE_DISKS_DISK_RANGE_PRIV_H

/* Locks on ranges of blocks: who comes first goes first, and who does not overlap does not wait. */

#include <pthread.h>
#include <stdint.h>
#include <sys/queue.h>

struct disk_ranges {
        pthread_mutex_t lock; /* everything here and in the list */
        pthread_cond_t left; /* a range was unlocked that somebody waits for */
        unsigned waiting;
        TAILQ_HEAD(, disk_range) list; /* locked ones and waiting ones, in the order in which they came */
};

/* One that is locked, or waited for. On the stack of whoever locks it. */
struct disk_range {
        TAILQ_ENTRY(disk_range) link;
        struct disk_ranges *owner;
        uint64_t first, end;
};

void disk_ranges_init(struct disk_ranges *l);
void disk_ranges_done(struct disk_ranges *l); /* none may be locked */

/* Waits until no other lock overlaps blocks FIRST … END - 1. */
void disk_range_lock(struct disk_ranges *l, uint64_t first, uint64_t end, struct disk_range *ret);
void disk_range_unlock(struct disk_range *range);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_REAP_H
#define MODEL_WORK_REAP_H

/* Upkeep. Private to model/. */

#include <stdbool.h>
#include <stdint.h>

struct model;

struct reaper {
        struct model *m;
        uint64_t inherited; /* tasks up to this one are from an earlier run */
        bool collected; /* what an earlier run, or a task that failed, left behind is gone */
        int64_t forget_us; /* when the next ended task is to be forgotten, at the earliest */
};

/*
 * One round: recycled images whose time is up, old tasks, blobs without a name, and, where *GARBAGE, the space of
 * chunks that nothing uses; *GARBAGE then says whether some may be left. Gives the time of the next round that is known
 * to be needed, 0: none.
 */
int64_t reap_run(struct reaper *reaper, bool *garbage);

#endif

/* SPDX-License-Identifier: MIT */

#include "fs/parts.h"

#include "fs/ops/alias.h"
#include "fs/ops/follow.h"
#include "fs/ops/frozen.h"
#include "fs/ops/gate.h"
#include "fs/ops/grant.h"
#include "fs/ops/guest_slots.h"
#include "fs/ops/guest_walks.h"
#include "fs/ops/handles.h"
#include "fs/ops/later.h"
#include "fs/ops/parting.h"
#include "fs/ops/removal.h"
#include "fs/ops/repeats.h"
#include "fs/ops/split.h"
#include "fs/ops/spread.h"
#include "fs/ops/wait.h"
#include "fs/tree/ocis.h"
#include "fs/tree/req.h"
#include "fs/tree/scratch.h"
#include "fs/tree/selection.h"
#include "fs/tree/watch.h"

int parts_new(struct fs *fs, int handles_fd, struct split_slots *slots)
{
        int r;

        r = selections_new(&fs->selections);
        if (r == 0)
                r = ocis_new(&fs->ocis);
        if (r == 0)
                r = aliases_new(&fs->aliases);
        if (r == 0)
                r = partings_new(&fs->partings);
        if (r == 0)
                r = splits_new(slots, &fs->splits);
        if (r == 0)
                r = walks_new(&fs->walks);
        if (r == 0)
                r = scratches_new(SCRATCH_IDLE_SECONDS, &fs->scratches);
        if (r == 0)
                r = frozens_new(&fs->frozens);
        if (r == 0)
                r = grants_new(&fs->grants);
        if (r == 0)
                r = handles_new(handles_fd, &fs->handles);
        if (r == 0 && handles_last(fs->handles))
                scratches_last(fs->scratches);
        if (r == 0)
                r = guest_walks_new(&fs->guest_walks);
        if (r == 0)
                r = waiters_new(&fs->waiters);
        if (r == 0)
                r = followers_new(fs, &fs->followers);
        if (r == 0)
                r = spread_new(&fs->spread);
        if (r == 0)
                r = gates_new(&fs->gates);
        if (r == 0)
                r = later_new(&fs->later);
        if (r == 0)
                r = repeats_new(&fs->repeats);
        if (r == 0)
                r = watch_new(&fs->watch);
        return r;
}

void parts_free(struct fs *fs)
{
        repeats_free(fs->repeats);
        later_free(fs->later);
        gates_free(fs->gates);
        watch_free(fs->watch);
        spread_free(fs->spread);
        waiters_free(fs->waiters);
        followers_free(fs->followers);
        guest_slots_free(fs->guest_slots);
        guest_walks_free(fs->guest_walks);
        handles_free(fs->handles);
        frozens_free(fs->frozens);
        walks_free(fs->walks);
        splits_free(fs->splits);
        partings_free(fs->partings);
        aliases_free(fs->aliases);
        grants_free(fs->grants);
        ocis_free(fs->ocis);
        selections_free(fs->selections);
}

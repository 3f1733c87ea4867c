/* SPDX-License-Identifier: MIT */

/*
 * Handing an object over to another user. It takes along what would be of no use to the old owner, and of none to the
 * new one without it:
 *
 *    an image       its snapshots, of the same owner, to which no other image refers: they are its disks, and could
 *                   not be removed as long as it is there;
 *    an instance    the disks that were made with it, which are never anybody else's (the schema sees to that).
 *
 * What counts for a quota counts for the new owner from then on, and must fit. Nothing is handed over while it is at
 * work, or in the middle of something of the old owner's: a disk stays with its machine, and a machine that has disks
 * attached that were not made with it has to give them back first. Tasks that have ended stay with who started them.
 */

#include "model/machine/handover.h"

#include "model/core/quota_row.h"
#include "model/image/image_row.h"
#include "model/image/snapshot_life.h"
#include "model/image/snapshot_row.h"
#include "model/machine/instance_life.h"
#include "model/machine/volume_life.h"
#include "model/machine/volume_row.h"

static int hand_snapshot(struct db_txn *t, uint64_t id, uid_t uid, struct diag *diag)
{
        struct snapshot snapshot;
        int r;

        r = snapshot_load(t, id, &snapshot);
        if (r < 0)
                return r;
        r = snapshot_life_ask(t, NULL, &snapshot, SNAPSHOT_HAND_OVER, diag);
        if (r < 0)
                return r;
        return quota_check(t, snapshot.region, uid, LIMIT_SNAPSHOTS, 1, diag);
}

static int hand_volume(struct model *m, struct db_txn *t, uint64_t id, struct diag *diag)
{
        struct volume v;
        int r;

        r = volume_load(t, id, &v);
        if (r < 0)
                return r;
        return volume_life_ask(m, t, &v, NULL, VOLUME_HAND_OVER, diag);
}

int handover(struct model *m, struct db_txn *t, enum object_kind kind, uint64_t id, uid_t uid, const gid_t *gid,
             struct diag *diag)
{
        struct instance instance;

        switch (kind) {
        case OBJECT_IMAGE:
                return image_handover(t, id, uid, gid, diag);
        case OBJECT_SNAPSHOT:
                return hand_snapshot(t, id, uid, diag);
        case OBJECT_INSTANCE:
                return instance_load_for(m, t, id, INSTANCE_HAND_OVER, diag, &instance);
        case OBJECT_VOLUME:
                return hand_volume(m, t, id, diag);
        case OBJECT_TASK:
        case OBJECT_REGION:
        case OBJECT_NONE:
                break;
        }
        return 0;
}

/* SPDX-License-Identifier: MIT */

/*
 * Handing an object over to another user. It takes along what would be of no use to the old owner, and of none to the
 * new one without it:
 *
 *    an image       its snapshots, of the same owner, to which no other image refers: they are its disks, and could
 *                   not be removed as long as it is there;
 *    an instance    the disks that were made with it, which are never anybody else's (the schema sees to that);
 *    an upstream    nothing: what it brought stays whose it is.
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

enum { DISKS_OF_INSTANCE };

static const char *const handover_sql[] = {
        [DISKS_OF_INSTANCE] = "SELECT count(handle), ifnull(sum(size), 0) FROM volume "
                              "WHERE instance = ?1 AND made_with = 1",
};
const struct db_statements handover_statements = DB_STATEMENTS(handover_sql);

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

struct disks {
        uint64_t listed, bytes;
};

static int take_disks(void *ctx, const struct db_row *row)
{
        struct disks *disks = ctx;

        disks->listed = (uint64_t)db_row_int(row, 0);
        disks->bytes = (uint64_t)db_row_int(row, 1);
        return 0;
}

static int hand_instance(struct model *m, struct db_txn *t, uint64_t id, uid_t uid, struct diag *diag)
{
        struct instance instance;
        struct disks disks;
        int r;

        r = instance_load_for(m, t, id, INSTANCE_HAND_OVER, diag, &instance);
        if (r == 0)
                r = quota_check(t, instance.region, uid, LIMIT_INSTANCES, 1, diag);
        if (r == 0)
                r = db_one(t, handover_sql[DISKS_OF_INSTANCE], take_disks, &disks, DB_INT(id));
        return r < 0 ? r : volume_check_quota(t, instance.region, uid, disks.listed, disks.bytes, diag);
}

static int hand_volume(struct model *m, struct db_txn *t, uint64_t id, uid_t uid, struct diag *diag)
{
        struct volume v;
        int r;

        r = volume_load(t, id, &v);
        if (r < 0)
                return r;
        r = volume_life_ask(m, t, &v, NULL, VOLUME_HAND_OVER, diag);
        return r < 0 ? r : volume_check_quota(t, v.region, uid, 1, v.size_bytes, diag);
}

int handover(struct model *m, struct db_txn *t, enum object_kind kind, uint64_t id, uid_t uid, const gid_t *gid,
             struct diag *diag)
{
        switch (kind) {
        case OBJECT_IMAGE:
                return image_handover(t, id, uid, gid, diag);
        case OBJECT_SNAPSHOT:
                return hand_snapshot(t, id, uid, diag);
        case OBJECT_INSTANCE:
                return hand_instance(m, t, id, uid, diag);
        case OBJECT_VOLUME:
                return hand_volume(m, t, id, uid, diag);
        case OBJECT_FOLLOW:
                return m->hand_follow(t, id, uid, diag);
        case OBJECT_TASK:
        case OBJECT_REGION:
        case OBJECT_NONE:
                break;
        }
        return 0;
}

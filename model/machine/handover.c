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

#include <errno.h>

#include "model/core/quota_row.h"
#include "model/image/image_row.h"
#include "model/image/snapshot_row.h"
#include "model/machine/instance_row.h"
#include "model/machine/volume_gate.h"
#include "model/machine/volume_row.h"

enum { GUEST_DISK };

static const char *const handover_sql[] = {
        [GUEST_DISK] = "SELECT id FROM volume WHERE instance = ?1 AND made_with = 0 ORDER BY device LIMIT 1",
};
const struct db_statements handover_statements = DB_STATEMENTS(handover_sql);

static int hand_snapshot(struct db_txn *t, uint64_t id, uid_t uid, struct diag *diag)
{
        struct snapshot snapshot;
        int r;

        r = snapshot_load(t, id, &snapshot);
        if (r < 0)
                return r;
        if (!snapshot.available)
                return diag_set(diag, -EBUSY, "%s is being created: hand it over when it is there", snapshot.o.handle);
        return quota_check(t, snapshot.region, uid, LIMIT_SNAPSHOTS, 1, diag);
}

static int hand_instance(struct model *m, struct db_txn *t, uint64_t id, struct diag *diag)
{
        struct instance instance;
        struct volume guest;
        int64_t disk;
        int r;

        r = instance_load_idle(m, t, id, diag, &instance);
        if (r < 0)
                return r;
        r = db_int(t, handover_sql[GUEST_DISK], &disk, DB_INT(id));
        if (r == -ENOENT)
                return 0;
        if (r == 0)
                r = volume_load(t, (uint64_t)disk, &guest);
        if (r < 0)
                return r;
        return diag_set(diag, -EBUSY, "%s has a disk attached that was not made with it, %s as %s: detach that first "
                        "(echo %s > detach)", instance.o.handle, guest.o.handle, guest.device, guest.device);
}

static int hand_volume(struct model *m, struct db_txn *t, uint64_t id, struct diag *diag)
{
        struct volume v;
        int r;

        r = volume_load(t, id, &v);
        if (r < 0)
                return r;
        if (v.instance)
                return diag_set(diag, -EBUSY, "%s is %s of %s: hand that over, or detach it first", v.o.handle,
                                v.device, v.instance_handle);
        if (volume_is_written(m, id, NULL))
                return diag_set(diag, -EBUSY, "%s is open for writing: close it first", v.o.handle);
        return volume_refuse_busy(t, &v, diag);
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
                return hand_instance(m, t, id, diag);
        case OBJECT_VOLUME:
                return hand_volume(m, t, id, diag);
        case OBJECT_TASK:
        case OBJECT_REGION:
        case OBJECT_NONE:
                break;
        }
        return 0;
}

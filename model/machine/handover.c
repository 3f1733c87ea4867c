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

#include <errno.h>
#include <string.h>

#include "model/image/lifecycle.h"
#include "model/machine/handover.h"
#include "model/machine/instance_priv.h"
#include "model/machine/volume_priv.h"

enum { COUNT_SNAPSHOTS, TAKE_SNAPSHOTS, GUEST_DISK };

#define SNAPSHOTS_OF_IMAGE                                                                                             \
        "id IN (SELECT snapshot FROM image_disk WHERE image = ?1) AND uid = (SELECT uid FROM image WHERE id = ?1) " \
        "AND NOT EXISTS (SELECT 1 FROM image_disk WHERE snapshot = snapshot.id AND image <> ?1)"

static const char *const handover_sql[] = {
        [COUNT_SNAPSHOTS] = "SELECT count(*) FROM snapshot WHERE " SNAPSHOTS_OF_IMAGE,
        [TAKE_SNAPSHOTS] = "UPDATE snapshot SET uid = ?2, gid = ifnull(?3, gid), updated = max(?4, updated + 1) "
                           "WHERE " SNAPSHOTS_OF_IMAGE,
        [GUEST_DISK] = "SELECT id FROM volume WHERE instance = ?1 AND made_with = 0 ORDER BY device LIMIT 1",
};
const struct db_statements handover_statements = DB_STATEMENTS(handover_sql);

int handover_snapshots(struct db_txn *t, uint64_t image, uid_t uid, const gid_t *gid)
{
        int r = db_run(t, handover_sql[TAKE_SNAPSHOTS], DB_INT(image), DB_INT(uid), gid ? DB_INT(*gid) : DB_NULL,
                       DB_INT(model_now_us()));

        return r < 0 ? r : 0;
}

static int hand_image(struct db_txn *t, uint64_t id, uid_t uid, const gid_t *gid, struct diag *diag)
{
        struct image image;
        int64_t snapshots;
        int r;

        r = image_load(t, id, &image);
        if (r == 0)
                r = lifecycle_apply(t, &image, VERB_HAND_OVER, diag);
        if (r == 0 && image.class == CLASS_PRIVATE)
                r = quota_check(t, image.region, uid, LIMIT_PRIVATE_IMAGES, 1, diag);
        if (r == 0)
                r = db_int(t, handover_sql[COUNT_SNAPSHOTS], &snapshots, DB_INT(id));
        if (r == 0)
                r = quota_check(t, image.region, uid, LIMIT_SNAPSHOTS, (uint64_t)snapshots, diag);
        return r < 0 ? r : handover_snapshots(t, id, uid, gid);
}

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
                return hand_image(t, id, uid, gid, diag);
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

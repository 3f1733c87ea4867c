/* SPDX-License-Identifier: MIT */

/* Images that get another owner, and the snapshots that go along: machine/handover.c tells which, and why. */

#include "model/core/clock.h"
#include "model/core/quota_row.h"
#include "model/image/image_life.h"
#include "model/image/image_row.h"

enum { COUNT_SNAPSHOTS, TAKE_SNAPSHOTS };

#define SNAPSHOTS_OF_IMAGE                                                                                             \
        "id IN (SELECT snapshot FROM image_disk WHERE image = ?1) AND uid = (SELECT uid FROM image WHERE id = ?1) " \
        "AND NOT EXISTS (SELECT 1 FROM image_disk WHERE snapshot = snapshot.id AND image <> ?1)"

static const char *const image_handover_sql[] = {
        [COUNT_SNAPSHOTS] = "SELECT count(*) FROM snapshot WHERE " SNAPSHOTS_OF_IMAGE,
        [TAKE_SNAPSHOTS] = "UPDATE snapshot SET uid = ?2, gid = ifnull(?3, gid), updated = max(?4, updated + 1) "
                           "WHERE " SNAPSHOTS_OF_IMAGE,
};
const struct db_statements image_handover_statements = DB_STATEMENTS(image_handover_sql);

int image_handover_snapshots(struct db_txn *t, uint64_t image, uid_t uid, const gid_t *gid)
{
        int r = db_run(t, image_handover_sql[TAKE_SNAPSHOTS], DB_INT(image), DB_INT(uid), gid ? DB_INT(*gid) : DB_NULL,
                       DB_INT(clock_now_us()));

        return r < 0 ? r : 0;
}

int image_handover(struct db_txn *t, uint64_t id, uid_t uid, const gid_t *gid, struct diag *diag)
{
        struct image image;
        int64_t snapshots;
        int r;

        r = image_load(t, id, &image);
        if (r == 0)
                r = image_life_apply(t, &image, VERB_HAND_OVER, diag);
        if (r == 0 && image_counts(image.class, uid))
                r = quota_check(t, image.region, uid, LIMIT_PRIVATE_IMAGES, 1, diag);
        if (r == 0)
                r = db_int(t, image_handover_sql[COUNT_SNAPSHOTS], &snapshots, DB_INT(id));
        if (r == 0)
                r = quota_check(t, image.region, uid, LIMIT_SNAPSHOTS, (uint64_t)snapshots, diag);
        return r < 0 ? r : image_handover_snapshots(t, id, uid, gid);
}

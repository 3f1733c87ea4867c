/* SPDX-License-Identifier: MIT */

#include "model/core/whose.h"

enum { BLOB };

#define IMAGES_WITH                                                                                                    \
        "SELECT 'image ' || region.handle || '/' || class || '/' || image.handle || ', ' || device FROM image_disk"    \
        " JOIN image ON image.id = image_disk.image JOIN region ON region.id = image.region WHERE "

static const char *const whose_sql[] = {
        [BLOB] = IMAGES_WITH "image_disk.blob = ?1 UNION " IMAGES_WITH
                 "image_disk.snapshot IN (SELECT id FROM snapshot WHERE blob = ?1)"
                 " UNION ALL SELECT 'snapshot ' || region.handle || '/snapshots/' || snapshot.handle"
                 " FROM snapshot JOIN region ON region.id = snapshot.region WHERE snapshot.blob = ?1"
                 " AND NOT EXISTS (SELECT 1 FROM image_disk WHERE image_disk.snapshot = snapshot.id)"
                 " UNION ALL SELECT " DISK_IS " || ', which is a clone'" FROM_DISKS
                 " WHERE volume.base = ?1",
};
const struct db_statements whose_statements = DB_STATEMENTS(whose_sql);

int whose_blob(struct db_txn *t, uint64_t blob, db_row_fn *fn, void *ctx)
{
        return db_each(t, whose_sql[BLOB], fn, ctx, DB_INT(blob));
}

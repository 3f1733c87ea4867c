/* SPDX-License-Identifier: MIT */

#include "model/usage_rows.h"

#include "model/statements.h"

const char *const usage_rows_sql[] = {
        [USAGE_REGIONS] = "SELECT id, handle FROM region ORDER BY handle",
        [USAGE_DISKS] = "SELECT image.region, image.id, image.class, image.handle, blob.id, blob.store, blob.size, blob.data"
                        " FROM image JOIN region ON region.id = image.region"
                        " LEFT JOIN image_disk ON image_disk.image = image.id"
                        " LEFT JOIN snapshot ON snapshot.id = image_disk.snapshot"
                        " LEFT JOIN blob ON blob.id = ifnull(image_disk.blob, snapshot.blob)"
                        " ORDER BY region.handle, image.class, image.handle, image.id",
        [USAGE_OTHERS] = "SELECT id, store FROM blob"
                         " WHERE NOT EXISTS (SELECT 1 FROM image_disk WHERE image_disk.blob = blob.id)"
                         " AND NOT EXISTS (SELECT 1 FROM snapshot JOIN image_disk ON image_disk.snapshot = snapshot.id"
                         " WHERE snapshot.blob = blob.id)",
};

const struct db_statements usage_rows_statements = DB_STATEMENTS(usage_rows_sql);

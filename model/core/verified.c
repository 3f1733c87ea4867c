/* SPDX-License-Identifier: MIT */

/* A pass has read the blobs that there were when it began: so its rows (scrub_row.c) say of each whether it did. */

#include "model/core/verified.h"

#include <errno.h>

#include "model/core/state.h"

enum { IMAGE, SNAPSHOT };

#define VERIFIED                                                                                                       \
        "(SELECT verified FROM scrub WHERE scrub.store = blob.store AND blob.id <= scrub.covers"                       \
        " AND NOT EXISTS (SELECT 1 FROM damage WHERE damage.blob = blob.id))"

static const char *const verified_sql[] = {
        [IMAGE] = "SELECT iif(count(*) = count(since), ifnull(min(since), 0), 0) FROM (SELECT " VERIFIED " AS since"
                  " FROM image_disk LEFT JOIN snapshot ON snapshot.id = image_disk.snapshot"
                  " JOIN blob ON blob.id = ifnull(image_disk.blob, snapshot.blob) WHERE image_disk.image = ?1)",
        [SNAPSHOT] = "SELECT ifnull(" VERIFIED ", 0) FROM snapshot JOIN blob ON blob.id = snapshot.blob"
                     " WHERE snapshot.id = ?1",
};
const struct db_statements verified_statements = DB_STATEMENTS(verified_sql);

static int verified_get(struct model *m, const char *sql, uint64_t id, int64_t *ret_us)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_int(&t, sql, ret_us, DB_INT(id));
        if (r == -ENOENT) { /* a snapshot that is being made */
                *ret_us = 0;
                return 0;
        }
        return r;
}

int verified_image(struct model *m, uint64_t image, int64_t *ret_us)
{
        return verified_get(m, verified_sql[IMAGE], image, ret_us);
}

int verified_snapshot(struct model *m, uint64_t snapshot, int64_t *ret_us)
{
        return verified_get(m, verified_sql[SNAPSHOT], snapshot, ret_us);
}

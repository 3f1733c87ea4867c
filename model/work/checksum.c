/* SPDX-License-Identifier: MIT */

/*
 * Checksums of blobs that were made of parts of others, such as snapshots of disks: nobody has read them as a whole.
 * They are worked out one by one in a thread that gives way to everything else, and begin again after a restart. A blob
 * that cannot be read is left alone until then, or until a store has come back. So are disks with very large holes
 * (blob_writer_hole()): 60 TiB of zeros take minutes. Those that take long lay their work aside for those that do not,
 * and give it up when the blob has gone.
 */

#include "model/work/checksum.h"

#include <errno.h>
#include <unistd.h>

#include "model/core/blob_row.h"
#include "model/core/changes.h"
#include "model/core/clock.h"
#include "model/core/jobs.h"

/* Does a blob take long? Half a minute of reading, or of zeros, which are summed up some 256 times as fast. */
#define IS_LONG "(data + size / 256 > 17179869184)" /* 16 GiB */

enum { NEXT, IS_THERE, SET, TOUCH_IMAGE, TOUCH_SNAPSHOT, IMAGES, SNAPSHOTS };

static const char *const checksum_sql[] = {
        [NEXT] = "SELECT id FROM blob WHERE checksum IS NULL AND id > ?1 AND " IS_LONG " = ?2"
                 " ORDER BY id LIMIT 1",
        [IS_THERE] = "SELECT EXISTS (SELECT 1 FROM blob WHERE id = ?1)",
        [SET] = "UPDATE blob SET checksum = ?2 WHERE id = ?1",
        [TOUCH_IMAGE] = "UPDATE image SET updated = max(?2, updated + 1) WHERE id = ?1",
        [TOUCH_SNAPSHOT] = "UPDATE snapshot SET updated = max(?2, updated + 1) WHERE id = ?1",
        /* Those that show it. */
        [IMAGES] = "SELECT image FROM image_disk WHERE blob = ?1 UNION "
                   "SELECT image FROM image_disk WHERE snapshot IN (SELECT id FROM snapshot WHERE blob = ?1)",
        [SNAPSHOTS] = "SELECT id FROM snapshot WHERE blob = ?1",
};
const struct db_statements checksum_statements = DB_STATEMENTS(checksum_sql);

DEFINE_CLEANUP(struct blob *, blob_closep, blob_close)

struct working {
        struct model *m;
        uint64_t blob;
        struct checksum_turns *turns; /* NULL: of a blob that does not take long */
};

static int next_of(struct model *m, enum checksum_size size, struct checksum_turns *turns);

static int is_there(struct model *m, uint64_t blob)
{
        int64_t there;
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_int(&t, checksum_sql[IS_THERE], &there, DB_INT(blob));
        return r < 0 ? r : there ? 0 : -ESTALE;
}

static int may_go_on(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
        const struct working *w = ctx;
        int r = 0;

        (void)done_bytes;
        (void)total_bytes;
        if (jobs_is_stopping(w->m))
                return -ECANCELED;
        if (!w->turns || !jobs_has_news(w->m, JOBS_LANE_CHECKSUM))
                return 0;

        while (r == 0)
                r = next_of(w->m, CHECKSUM_QUICK, w->turns);
        return r == -ECANCELED ? r : is_there(w->m, w->blob);
}

static int work_out(struct working *w, struct blob_checksum *ret)
{
        CLEANUP(blob_closep) struct blob *b = NULL;
        int r;

        r = blob_row_open(w->m, w->blob, NULL, &b);
        return r < 0 ? r : blob_work_out_checksum(b, may_go_on, w, ret);
}

#define SHOWN_MAX 64

struct shown {
        uint64_t id[SHOWN_MAX]; /* what does not fit shows it all the same, but is not told */
        size_t n;
};

static int collect(void *ctx, const struct db_row *row)
{
        struct shown *shown = ctx;

        if (shown->n < SHOWN_MAX)
                shown->id[shown->n++] = (uint64_t)db_row_int(row, 0);
        return 0;
}

static int touch(struct db_txn *t, const char *sql, const struct shown *shown)
{
        for (size_t i = 0; i < shown->n; i++) {
                int r = db_run(t, sql, DB_INT(shown->id[i]), DB_INT(clock_now_us()));

                if (r < 0)
                        return r;
        }
        return 0;
}

static int set(struct model *m, uint64_t id, const struct blob_checksum *checksum)
{
        struct shown images = { 0 }, snapshots = { 0 };
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_WRITE, &t);
                if (r == 0)
                        r = db_run(&t, checksum_sql[SET], DB_INT(id),
                                   DB_BLOB(checksum->bytes, sizeof(checksum->bytes)));
                if (r >= 0)
                        r = db_each(&t, checksum_sql[IMAGES], collect, &images, DB_INT(id));
                if (r == 0)
                        r = db_each(&t, checksum_sql[SNAPSHOTS], collect, &snapshots, DB_INT(id));
                if (r == 0)
                        r = touch(&t, checksum_sql[TOUCH_IMAGE], &images);
                if (r == 0)
                        r = touch(&t, checksum_sql[TOUCH_SNAPSHOT], &snapshots);
                if (r == 0)
                        r = db_commit(&t);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < images.n; i++)
                changes_send(m, OBJECT_IMAGE, images.id[i]);
        for (size_t i = 0; i < snapshots.n; i++)
                changes_send(m, OBJECT_SNAPSHOT, snapshots.id[i]);
        return 0;
}

static int next_of(struct model *m, enum checksum_size size, struct checksum_turns *turns)
{
        struct working w = { .m = m, .turns = size == CHECKSUM_LONG ? turns : NULL };
        struct blob_checksum checksum;
        int64_t id;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r == 0)
                        r = db_int(&t, checksum_sql[NEXT], &id, DB_INT(turns->after[size]), DB_INT(size));
                if (r < 0)
                        return r;
        }
        w.blob = (uint64_t)id;
        r = work_out(&w, &checksum);
        if (r == 0)
                r = set(m, w.blob, &checksum);
        if (r == -ECANCELED)
                return r;
        turns->after[size] = w.blob;
        return 0;
}

int checksum_next(struct model *m, struct checksum_turns *turns)
{
        int r = next_of(m, CHECKSUM_QUICK, turns);

        return r == -ENOENT ? next_of(m, CHECKSUM_LONG, turns) : r;
}

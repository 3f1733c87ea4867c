/* SPDX-License-Identifier: MIT */
/*
 * Upkeep: images whose time in the recycle bin is up, or to which nothing came (brief.h), addresses of downloads whose
 * time is up, tasks that ended days ago or are too many, disks whose volume is gone, those that are still to be made,
 * blobs that nothing names any more, and the space of chunks that nothing uses.
 *
 * A blob loses its row first and its bytes after that; the triggers of the schema put what may have lost its last name
 * into the table reap, and disks into trash. Of a store that is offline they wait there until it is back.
 *
 * A blob that never got a row (a crash between the two, or a task that was cancelled or failed when it had made some of
 * its blobs) is found by comparing all blobs of the stores with the table, once after the start and after each such
 * task. That, and giving back space, waits until the tasks of the earlier run have ended: they find the chunks that
 * they had stored in place only as long as nobody collects them.
 */

#include "model/work/reap.h"

#include <errno.h>

#include "blobstore/disks/disk.h"
#include "model/core/blob_row.h"
#include "model/core/clock.h"
#include "model/core/jobs.h"
#include "model/core/limits_row.h"
#include "model/core/stores.h"
#include "model/core/unnamed.h"
#include "model/image/download_row.h"
#include "model/image/image_life.h"
#include "model/image/making.h"
#include "model/intake/brief.h"
#include "model/intake/uploads.h"
#include "model/machine/volume_row.h"
#include "model/work/dismiss.h"

#define DAY_US (INT64_C(86400) * 1000000)

/*
 * Nobody says when the last reader of a removed blob closes it, and an upload may go on for long; so what they keep is
 * looked at again after this time.
 */
#define KEPT_RETRY_US (INT64_C(60) * 1000000)

enum {
        REAP_EXPIRED,
        REAP_NEXT_EXPIRY,
        REAP_NEXT,
        REAP_NAMED,
        REAP_DONE,
        REAP_FORGET_BLOB,
        REAP_IS_LIVE,
        REAP_NEXT_DISK,
        REAP_DISK_DONE,
};

static const char *const reap_sql[] = {
        [REAP_EXPIRED] = "SELECT id FROM image WHERE deleted IS NOT NULL AND deleted <= ?1 ORDER BY deleted LIMIT 1",
        [REAP_NEXT_EXPIRY] = "SELECT ifnull(min(deleted), 0) FROM image WHERE deleted IS NOT NULL",
        [REAP_NEXT] = "SELECT reap.blob, blob.store FROM reap LEFT JOIN blob ON blob.id = reap.blob"
                      " WHERE reap.blob > ?1 ORDER BY reap.blob",
        [REAP_NAMED] = "SELECT EXISTS (SELECT 1 FROM snapshot WHERE blob = ?1)"
                       " OR EXISTS (SELECT 1 FROM image_disk WHERE blob = ?1)"
                       " OR EXISTS (SELECT 1 FROM volume WHERE base = ?1)",
        [REAP_DONE] = "DELETE FROM reap WHERE blob = ?1",
        [REAP_FORGET_BLOB] = "DELETE FROM blob WHERE id = ?1",
        [REAP_IS_LIVE] = "SELECT EXISTS (SELECT 1 FROM blob WHERE store = ?1 AND key = ?2)",
        [REAP_NEXT_DISK] = "SELECT id, store, key FROM trash WHERE id > ?1 AND (place IS NULL OR place = ?2) ORDER BY id",
        [REAP_DISK_DONE] = "DELETE FROM trash WHERE id = ?1",
};

const struct db_statements reap_statements = DB_STATEMENTS(reap_sql);

/* ---- the recycle bin ---- */

/* Destroys one image whose time is up; -ENOENT: there is none. */
static int expire_one(struct model *m, int64_t days)
{
        struct changes changes = { 0 };
        struct image image;
        int64_t id;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_WRITE, &t);
                if (r < 0)
                        return r;

                r = db_int(&t, reap_sql[REAP_EXPIRED], &id, DB_INT(clock_now_us() - days * DAY_US));
                if (r < 0)
                        return r;

                r = image_load(&t, (uint64_t)id, &image);
                if (r < 0)
                        return r;

                r = image_life_apply(&t, &image, VERB_DESTROY, NULL);
                if (r < 0)
                        return r;

                r = making_destroy(&t, image.o.id, &changes);
                if (r < 0)
                        return r;

                r = db_commit(&t);
                if (r < 0)
                        return r;
        }

        image_tell_gone(m, image.o.id, image.region, image.ident);
        changes_tell(m, &changes);
        return 0;
}

static int expire(struct model *m, int64_t *ret_due_us)
{
        uint64_t days;
        int64_t next;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r < 0)
                        return r;

                r = limit_read(&t, LIMIT_RECYCLE_DAYS, &days);
                if (r < 0)
                        return r;
        }

        do
                r = expire_one(m, (int64_t)days);
        while (r == 0 && !jobs_is_stopping(m));
        if (r != -ENOENT)
                return r;

        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        if (r < 0)
                return r;

        r = db_int(&t, reap_sql[REAP_NEXT_EXPIRY], &next);
        if (r < 0)
                return r;

        *ret_due_us = next ? next + (int64_t)days * DAY_US : 0;
        return 0;
}

/* ---- disks ---- */

struct trash {
        struct model *m;
        uint64_t id, store;
        struct disk_id key;
};

static int trash_row(void *ctx, const struct db_row *row)
{
        struct trash *trash = ctx;

        trash->store = (uint64_t)db_row_int(row, 1);
        if (stores_is_offline(trash->m, trash->store))
                return 0;
        trash->id = (uint64_t)db_row_int(row, 0);
        db_row_blob(row, 2, trash->key.bytes, sizeof(trash->key.bytes));
        return 1;
}

static int next_trash(struct model *m, struct trash *trash)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_each(&t, reap_sql[REAP_NEXT_DISK], trash_row, trash, DB_INT(trash->id), DB_INT(m->place));
        db_end(&t);
        return r < 0 ? r : r == 0 ? -ENOENT : db_settle(m->db); /* or its volume might come back */
}

/* Not waited for: what a power cut brings back is looked for once more, and not there. */
static int forget_trash(struct model *m, uint64_t id)
{
        DB_TXN(t);
        int r;

        r = db_begin_lazy(m->db, &t);
        if (r == 0)
                r = db_run(&t, reap_sql[REAP_DISK_DONE], DB_INT(id));
        return r < 0 ? r : db_commit(&t);
}

/* The row goes last, so that it is tried again; what cannot be removed does not keep the others. */
static int reap_disks(struct model *m)
{
        struct trash trash = { .m = m };
        int r;

        while (!jobs_is_stopping(m)) {
                struct blobstore *bs;

                r = next_trash(m, &trash);
                if (r < 0)
                        return r == -ENOENT ? 0 : r;
                r = stores_get(m, trash.store, NULL, &bs);
                if (r == 0)
                        r = disk_remove(bs, &trash.key);
                if (r == 0 || r == -ENOENT)
                        (void)forget_trash(m, trash.id);
        }
        return 0;
}

/* ---- blobs ---- */

struct candidate {
        struct model *m;
        int64_t id;
};

static int candidate_row(void *ctx, const struct db_row *row)
{
        struct candidate *candidate = ctx;

        if (stores_is_offline(candidate->m, (uint64_t)db_row_int(row, 1)))
                return 0;
        candidate->id = db_row_int(row, 0);
        return 1;
}

/*
 * Looks at the next candidate after *ID. 1: nothing names it, and *ret has lost its row; 0: it stays; -ENOENT: no more.
 */
static int reap_row(struct model *m, int64_t *id, struct blob_row *ret)
{
        struct candidate candidate = { .m = m };
        struct blob_row blob;
        int64_t named;
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_WRITE, &t);
        if (r < 0)
                return r;

        r = db_each(&t, reap_sql[REAP_NEXT], candidate_row, &candidate, DB_INT(*id));
        if (r < 0)
                return r;
        if (r == 0)
                return -ENOENT;
        *id = candidate.id;

        r = db_int(&t, reap_sql[REAP_NAMED], &named, DB_INT(*id));
        if (r < 0)
                return r;

        r = blob_row_load(&t, (uint64_t)*id, &blob);
        if (r < 0 && r != -ENOENT)
                return r;
        if (r == -ENOENT)
                named = 1; /* gone before */

        r = db_run(&t, reap_sql[REAP_DONE], DB_INT(*id));
        if (r < 0)
                return r;

        if (!named) {
                r = db_run(&t, reap_sql[REAP_FORGET_BLOB], DB_INT(*id));
                if (r < 0)
                        return r;
        }

        r = db_commit(&t);
        if (r < 0)
                return r;

        if (named)
                return 0;

        *ret = blob;
        return 1;
}

/* Gives how many blobs went. */
static int reap_blobs(struct model *m)
{
        struct blobstore *bs;
        struct blob_row blob;
        int64_t id = 0;
        int n = 0;
        int r;

        while (!jobs_is_stopping(m)) {
                r = reap_row(m, &id, &blob);
                if (r == -ENOENT)
                        break;
                if (r < 0)
                        return r;
                if (r == 0)
                        continue;

                n++;
                r = stores_get(m, blob.store, NULL, &bs);
                if (r == 0)
                        r = blob_remove(bs, &blob.key);
                if (r < 0 && r != -ENOENT)
                        return r; /* the next start finds it again */
        }

        return n;
}

struct live {
        struct model *m;
        uint64_t store;
};

/*
 * Whatever cannot be asked about stays; and so does everything when a commit could not be synced: what it named may
 * have its name after all when the library is opened again.
 */
static bool blob_is_live(void *ctx, const struct blob_id *id)
{
        const struct live *live = ctx;
        int64_t found;
        DB_TXN(t);

        if (jobs_is_stopping(live->m) || db_is_degraded(live->m->db) || db_begin(live->m->db, DB_READ, &t) < 0)
                return true;

        if (db_int(&t, reap_sql[REAP_IS_LIVE], &found, DB_INT(live->store), DB_BLOB(id->bytes, sizeof(id->bytes))) < 0)
                return true;

        return found;
}

/* Of one that nothing names and that was there at the start; what cannot be noted stays. */
static bool blob_stays(void *ctx, const struct blob_id *id)
{
        const struct live *live = ctx;
        int r;
        DB_TXN(t);

        if (db_begin_lazy(live->m->db, &t) < 0)
                return true;
        r = unnamed_stays(&t, live->store, id->bytes);
        return db_commit(&t) < 0 || r != 0;
}

struct sweep {
        struct reaper *reaper;
        uint64_t kept; /* removed blobs that somebody has open */
        int error; /* of any store: the others are swept all the same */
};

static int unnamed_wait(struct model *m, uint64_t *ret)
{
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : unnamed_get_wait_us(&t, ret);
}

static int sweep_store(void *ctx, uint64_t id, struct blobstore *bs)
{
        struct sweep *sweep = ctx;
        struct live live = { .m = sweep->reaper->m, .store = id };
        struct blobstore_gc_stats stats;
        uint64_t wait_us;
        bool ask;
        int r;

        if (jobs_is_stopping(live.m))
                return -ECANCELED;

        /* What a store of another library holds has its names in that one's catalogue. */
        ask = !sweep->reaper->collected && stores_are_ours(live.m, id);
        r = unnamed_wait(live.m, &wait_us);
        if (r == 0)
                r = blobstore_gc(bs, ask ? blob_is_live : NULL, blob_stays, &live, wait_us, &stats);
        if (r < 0)
                sweep->error = r;
        else
                sweep->kept += stats.blobs_kept;

        return 0;
}

/* Gives back space. *ret_due_us: when to do it again, though nothing happens meanwhile; 0: there is no need. */
static int sweep_stores(struct reaper *reaper, int64_t *ret_due_us)
{
        struct sweep sweep = { .reaper = reaper };
        int r;

        if (!reaper->collected) {
                r = task_any_active(reaper->m, reaper->inherited);
                if (r != 0)
                        return r < 0 ? r : -EBUSY;
        }

        r = stores_each(reaper->m, sweep_store, &sweep);
        if (r == 0)
                r = sweep.error;
        if (r < 0)
                return r;

        reaper->collected = true;
        *ret_due_us = sweep.kept ? clock_now_us() + KEPT_RETRY_US : 0;
        return 0;
}

/*
 * Takes tasks that ended long ago from /tasks. They are looked for when one may be due and not in each round, since
 * that passes by all that images still show. None that ends meanwhile is due earlier, unless the clock was set back.
 */
static void forget_tasks(struct reaper *reaper, int64_t *ret_due_us)
{
        const int64_t shown_us = TASK_SHOWN_DAYS * DAY_US, now = clock_now_us();
        int64_t due_us;

        if (reaper->forget_us <= now || reaper->forget_us > now + shown_us) {
                if (task_forget_old(reaper->m, &due_us) < 0)
                        return;
                reaper->forget_us = due_us ? due_us : now + shown_us;
        }
        *ret_due_us = reaper->forget_us;
}

static int64_t earlier(int64_t a, int64_t b)
{
        if (a == 0 || b == 0)
                return a + b;

        return a < b ? a : b;
}

int64_t reap_run(struct reaper *reaper, bool *garbage)
{
        int64_t expiry_us = 0, download_us = 0, forget_us = 0, kept_us = 0, brief_us;
        int r;

        /* Each by itself: what one cannot do now, the next round tries again. */
        (void)expire(reaper->m, &expiry_us);
        (void)download_expire(reaper->m, &download_us);
        (void)task_forget_many(reaper->m);
        forget_tasks(reaper, &forget_us);
        brief_us = earlier(briefs_expire(reaper->m), uploads_end_due(reaper->m));
        (void)reap_disks(reaper->m);

        r = reap_blobs(reaper->m);
        if (r != 0 || *garbage) {
                bool streaming = uploads_renew(reaper->m);

                r = sweep_stores(reaper, &kept_us);
                /* A writer at work keeps what it may have found; there is another round when its work has ended. */
                *garbage = r < 0 || kept_us != 0 || streaming || jobs_is_busy(reaper->m);
                if (streaming)
                        kept_us = earlier(kept_us, clock_now_us() + KEPT_RETRY_US);
        }

        /* With what space there is now. */
        db_fill_reserve(reaper->m->db);
        uploads_settle(reaper->m);

        return earlier(earlier(earlier(expiry_us, download_us), earlier(forget_us, kept_us)), brief_us);
}

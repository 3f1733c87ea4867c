/* SPDX-License-Identifier: MIT */

/*
 * The length of the WAL. A thread of its own copies it into the database, again and again, while others write: to make
 * both durable takes two syncs, and nobody's answer waits for those. Only where it grows faster than it is copied do those
 * who write wait for that.
 *
 * It begins anew when nobody reads what is old. Of those who make lists there may always be one, each for a tenth of a
 * second and more: once the WAL is long no more of them begin, after the last that there is it begins anew, and they go
 * on. So it is as long as what is written while one of them reads, however many there are. Who has the names of a directory
 * read does not wait for lists, which have less of the processor: a user has one such at a time.
 *
 * sqlite before 3.51.3 can take what is in a WAL that has just begun anew for copied, if who copies has found nothing left to
 * copy in the one before (its "WAL-reset bug"): commits would be lost. So nobody copies beside who writes unless there is
 * something to copy, since until that is copied the WAL stays. And no two copy at once.
 *
 * Where the copy leaves nothing it begins anew by itself. Where there is always more, all who write wait for three syncs:
 * of what is left, of the database, and of the head of the new one. With that at each 4 MiB three users who did their
 * worst had a fourth wait three times a second.
 */

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "model/db/db_sqlite_priv.h"

#define CHECKPOINT_PAGES 1000 /* after which they are copied: 4 MiB */

#define ANEW_PAGES 12000 /* of 4 KiB, and some */
#define LONG_PAGES 14000 /* from which on there are no new scans: less than sqlite leaves the file (WAL_BYTES_KEPT) */

#define ANEW_MS 5 /* more than it takes to read a few rows: everybody who writes waits */

void db_take_writer(struct db_sqlite *db)
{
        lock(&db->writing);
        db->nice = thread_hurry(THREAD_NICE_WRITER);
}

void db_give_writer(struct db_sqlite *db)
{
        const int nice = db->nice;

        unlock(&db->writing);
        thread_calm(nice);
}

int db_sqlite_settle(struct db *base)
{
        struct db_sqlite *db = db_sqlite_of(base);
        int r;

        if (!db->sync)
                return 0;
        r = db_sync_wait(db->sync, db_sync_newest(db->sync));
        if (r < 0)
                atomic_store(&db->degraded, true);
        return r;
}

/* In place of sqlite's own, which does a checkpoint in the commit and ignores what it answers. */
static int committed(void *ctx, sqlite3 *conn, const char *name, int pages)
{
        struct db_sqlite *db = ctx;

        (void)conn;
        (void)name;
        if ((unsigned)pages < atomic_load(&db->wal_pages)) /* it has begun anew */
                atomic_store(&db->checkpoint_at, CHECKPOINT_PAGES);
        atomic_store(&db->wal_pages, (unsigned)pages);
        return SQLITE_OK;
}

/*
 * Copies what the WAL has into the database, by C, which has no transaction: with the copier what is written meanwhile stays,
 * with the writer nothing does. ANEW: waits for who reads what is old, but not for long, so that the next that is written
 * begins at the beginning; without it that is so where nobody reads. While somebody does the WAL cannot begin anew, and the
 * next copy is due when it has grown by as much.
 */
static void checkpoint(struct db_sqlite *db, struct connection *c, bool anew)
{
        const int mode = anew ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE;
        unsigned due = atomic_load(&db->checkpoint_at);
        sqlite3 *conn = c->conn;
        int copied = -1;

        /* Not where it has begun anew just then. */
        (void)atomic_compare_exchange_strong(&db->checkpoint_at, &due, atomic_load(&db->wal_pages) + CHECKPOINT_PAGES);
        (void)sqlite3_busy_timeout(conn, anew ? ANEW_MS : 0);
        if (sqlite3_wal_checkpoint_v2(conn, NULL, mode, NULL, &copied) != SQLITE_OK && db_errno(conn) == -EIO)
                atomic_store(&db->degraded, true);
        (void)sqlite3_busy_timeout(conn, 0);
        if (copied >= 0)
                db->keeper.copied = (unsigned)copied;
}

/*
 * Without the writer. A WAL that has begun anew is all to copy, whatever its length is; where that is the one's before, by chance,
 * the next commit changes it.
 */
static bool may_copy(struct db_sqlite *db)
{
        return atomic_load(&db->wal_pages) != db->keeper.copied;
}

/* Copies what is left, with what is in it being durable: the writer is held for less. */
static void copy_rest(struct db_sqlite *db, bool anew)
{
        if (db_sqlite_settle(&db->db) < 0)
                return;
        db_take_writer(db);
        if (anew || atomic_load(&db->wal_pages) >= ANEW_PAGES) /* else the last commit has begun it anew */
                checkpoint(db, &db->writer, anew);
        db_give_writer(db);
}

static void begin_anew(struct db_sqlite *db)
{
        copy_rest(db, true);

        LOCK_SCOPE(&db->reading);
        db->no_scans = false;
        (void)pthread_cond_broadcast(&db->scans_again);
}

static void keep_short(struct db_sqlite *db)
{
        bool alone;

        if (may_copy(db))
                checkpoint(db, &db->copier, false);
        if (atomic_load(&db->wal_pages) < ANEW_PAGES)
                return;
        copy_rest(db, false);
        if (atomic_load(&db->wal_pages) < LONG_PAGES)
                return;
        {
                LOCK_SCOPE(&db->reading);
                alone = !db->no_scans && db->n_scans == 0;
                db->no_scans = true;
        }
        if (alone)
                begin_anew(db);
}

static void *keep(void *arg)
{
        struct db_sqlite *db = arg;
        struct wal_keeper *k = &db->keeper;
        LOCK_SCOPE(&k->mutex);

        thread_set_name("wal");
        thread_set_nice(THREAD_NICE_LONG);
        while (!k->stop) {
                const bool anew = k->anew;

                if (!k->due && !anew) {
                        (void)pthread_cond_wait(&k->wanted, &k->mutex);
                        continue;
                }
                k->due = k->anew = false;
                unlock(&k->mutex);
                if (anew)
                        begin_anew(db);
                else
                        keep_short(db);
                lock(&k->mutex);
                k->ended++;
                (void)pthread_cond_broadcast(&k->done);
        }
        return NULL;
}

int db_wal_start(struct db_sqlite *db)
{
        int r;

        (void)sqlite3_wal_hook(db->writer.conn, committed, db);
        atomic_store(&db->checkpoint_at, CHECKPOINT_PAGES);
        r = thread_start(&db->keeper.thread, keep, db);
        db->keeper.started = r == 0;
        return r;
}

void db_wal_stop(struct db_sqlite *db)
{
        struct wal_keeper *k = &db->keeper;

        if (!k->started)
                return;
        lock(&k->mutex);
        k->stop = true;
        (void)pthread_cond_signal(&k->wanted);
        unlock(&k->mutex);
        (void)pthread_join(k->thread, NULL); /* cannot fail: it was started, and is joined once */
        k->started = false;
}

void db_wal_keep_short(struct db_sqlite *db)
{
        struct wal_keeper *k = &db->keeper;
        uint64_t until;

        if (atomic_load(&db->wal_pages) < atomic_load(&db->checkpoint_at))
                return;
        LOCK_SCOPE(&k->mutex);
        k->due = true;
        (void)pthread_cond_signal(&k->wanted);
        until = k->ended + 1;
        while (atomic_load(&db->wal_pages) >= LONG_PAGES && k->ended < until)
                (void)pthread_cond_wait(&k->done, &k->mutex);
}

void db_wal_begin_scan(struct db_sqlite *db)
{
        LOCK_SCOPE(&db->reading);

        while (db->no_scans)
                (void)pthread_cond_wait(&db->scans_again, &db->reading);
        db->n_scans++;
}

void db_wal_end_scan(struct db_sqlite *db)
{
        bool last;

        {
                LOCK_SCOPE(&db->reading);
                last = --db->n_scans == 0 && db->no_scans;
        }
        if (!last)
                return;
        LOCK_SCOPE(&db->keeper.mutex);
        db->keeper.anew = true;
        (void)pthread_cond_signal(&db->keeper.wanted);
}

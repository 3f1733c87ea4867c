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
 * Where the copy leaves nothing it begins anew by itself. Where there is always more, all who write wait for three syncs:
 * of what is left, of the database, and of the head of the new one. With that at each 4 MiB three users who did their
 * worst had a fourth wait three times a second.
 */

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "model/db/db_sqlite_priv.h"

#define ANEW_PAGES 12000 /* of 4 KiB, and some */
#define LONG_PAGES 14000 /* from which on there are no new scans: less than sqlite leaves the file (WAL_BYTES_KEPT) */

/* Copies what is left, with what is in it being durable: the writer is held for less. */
static void copy_rest(struct db_sqlite *db, bool anew)
{
        if (db_settle(&db->db) < 0)
                return;
        db_take_writer(db);
        if (anew || atomic_load(&db->wal_pages) >= ANEW_PAGES) /* else the last commit has begun it anew */
                db_checkpoint(db, &db->writer, anew);
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

        db_checkpoint(db, &db->copier, false);
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
        int r = thread_start(&db->keeper.thread, keep, db);

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

/* SPDX-License-Identifier: MIT */

/*
 * One of those who wait syncs, for all whose commits were there before it began. One of those who came meanwhile does
 * not wait for its end, but syncs for all who came until then: what that writes is on its way while the disk is still at
 * the one before. Others wait for the end of one of the two. So nobody waits for more than two syncs, however many commit.
 *
 * The WAL is opened twice more for this: what sqlite has it open with is for the thread that writes, and the kernel tells
 * each descriptor once that something could not be written, so that of two who share one the other would not hear.
 *
 * It has its length beforehand. To make an append durable a file system with a journal commits that, and with it waits
 * for what everybody else has written; bytes in the place of others are written, and that is all. What lies there is
 * zeros, which sqlite takes for no WAL, or for the end of one that a crash left.
 */

#include "model/db/db_sync.h"

#include <errno.h>
#include <stdlib.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "model/db/db_sqlite_priv.h"
#include "model/db/db_vfs.h"
#include "model/db/reserve.h"

/* What it grows to while nobody reads what is old, and some more. */
#define WAL_BYTES (UINT64_C(5) << 20)
#define WAL_PIECE (UINT64_C(64) << 10) /* sqlite takes 128 KiB at a time, and less */

#define SYNCS 2 /* at once */

struct db_sync {
        pthread_mutex_t mutex; /* of all below but the files, which are used by who has made them busy */
        pthread_cond_t ended;
        uint64_t noted, begun, synced; /* numbers of commits */
        bool failed;
        struct {
                sqlite3_file *file;
                bool busy;
        } wal[SYNCS];
};

static int open_wal(sqlite3 *conn, sqlite3_file **ret)
{
        sqlite3_vfs *vfs = sqlite3_vfs_find(DB_VFS);
        CLEANUP_FREE sqlite3_file *file = calloc(1, (size_t)vfs->szOsFile);
        int code;

        if (!file)
                return -ENOMEM;
        code = db_exec(conn, "SELECT 1 FROM sqlite_schema"); /* sqlite makes the WAL when it is first needed */
        if (code < 0)
                return code;
        code = vfs->xOpen(vfs, sqlite3_filename_wal(sqlite3_db_filename(conn, "main")), file,
                          SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL, NULL);
        if (code != SQLITE_OK) {
                if (file->pMethods)
                        (void)file->pMethods->xClose(file);
                return code == SQLITE_NOMEM ? -ENOMEM : -EIO;
        }
        *ret = TAKE_PTR(file);
        return 0;
}

static void close_all(struct db_sync *s)
{
        for (size_t i = 0; i < SYNCS; i++) {
                if (!s->wal[i].file)
                        continue;
                (void)s->wal[i].file->pMethods->xClose(s->wal[i].file);
                free(s->wal[i].file);
        }
}

/* Where it cannot be made as long it is as it would be otherwise, and only slower. */
static void lengthen(sqlite3_file *wal, int dir_fd)
{
        CLEANUP_FREE void *zeros = NULL;
        sqlite3_int64 size;

        if (wal->pMethods->xFileSize(wal, &size) != SQLITE_OK || size >= (sqlite3_int64)WAL_BYTES)
                return;
        if (!reserve_leaves(dir_fd, WAL_BYTES))
                return;
        zeros = calloc(1, WAL_PIECE);
        for (uint64_t at = (uint64_t)size; zeros && at < WAL_BYTES;) {
                const uint64_t n = WAL_BYTES - at < WAL_PIECE ? WAL_BYTES - at : WAL_PIECE;

                if (wal->pMethods->xWrite(wal, zeros, (int)n, (sqlite3_int64)at) != SQLITE_OK)
                        return;
                at += n;
        }
}

int db_sync_new(struct connection *writer, int dir_fd, struct db_sync **ret)
{
        CLEANUP_FREE struct db_sync *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        for (size_t i = 0; i < SYNCS; i++) {
                r = open_wal(writer->conn, &s->wal[i].file);
                if (r < 0) {
                        close_all(s);
                        return r;
                }
        }
        lengthen(s->wal[0].file, dir_fd);
        s->noted = 1; /* what is in the log: of a process that ended, or died, before it was synced */
        (void)pthread_mutex_init(&s->mutex, NULL); /* cannot fail without attributes, as the next */
        (void)pthread_cond_init(&s->ended, NULL);
        *ret = TAKE_PTR(s);
        return 0;
}

void db_sync_free(struct db_sync *s)
{
        if (!s)
                return;
        close_all(s);
        (void)pthread_cond_destroy(&s->ended);
        (void)pthread_mutex_destroy(&s->mutex);
        free(s);
}

uint64_t db_sync_note(struct db_sync *s)
{
        LOCK_SCOPE(&s->mutex);
        return ++s->noted;
}

uint64_t db_sync_newest(struct db_sync *s)
{
        LOCK_SCOPE(&s->mutex);
        return s->noted;
}

/* Syncs all that was noted until now. With the mutex, which is given up meanwhile. */
static void sync_all(struct db_sync *s, size_t i)
{
        sqlite3_file *file = s->wal[i].file;
        const uint64_t upto = s->noted;
        int code;

        s->begun = upto;
        s->wal[i].busy = true;
        unlock(&s->mutex);
        code = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
        lock(&s->mutex);
        s->wal[i].busy = false;
        if (code != SQLITE_OK)
                s->failed = true;
        else if (!s->failed && s->synced < upto) /* else the other began later, and was faster */
                s->synced = upto;
        (void)pthread_cond_broadcast(&s->ended);
}

static int wait_for(struct db_sync *s, uint64_t number)
{
        LOCK_SCOPE(&s->mutex);

        while (s->synced < number && !s->failed) {
                size_t i = 0;

                while (i < SYNCS && s->wal[i].busy)
                        i++;
                if (i < SYNCS && s->begun < number)
                        sync_all(s, i);
                else
                        (void)pthread_cond_wait(&s->ended, &s->mutex);
        }
        return s->synced < number ? -EIO : 0;
}

/* Hurried, since others wait for the one that syncs. */
int db_sync_wait(struct db_sync *s, uint64_t number)
{
        const int nice = thread_hurry(THREAD_NICE_WRITER);
        int r;

        r = wait_for(s, number);
        thread_calm(nice);
        return r;
}

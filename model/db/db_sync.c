/* SPDX-License-Identifier: MIT */

/*
 * One of those who wait syncs, for all whose commits were there before it began; the others wait for its end, and then
 * one of those who came meanwhile syncs for them. So nobody waits for more than two syncs, however many commit.
 *
 * The WAL is opened once more for this: what sqlite has it open with is for the thread that writes.
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
#include "model/db/db_priv.h"
#include "model/db/db_vfs.h"
#include "model/db/reserve.h"

/* What it grows to while nobody reads what is old, and some more. */
#define WAL_BYTES (UINT64_C(5) << 20)
#define WAL_PIECE (UINT64_C(64) << 10) /* sqlite takes 128 KiB at a time, and less */

struct db_sync {
        pthread_mutex_t mutex; /* of all below but the file, which is used by who has set syncing */
        pthread_cond_t ended;
        uint64_t noted, synced; /* numbers of commits */
        bool syncing, failed;
        sqlite3_file *wal;
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
        r = open_wal(writer->conn, &s->wal);
        if (r < 0)
                return r;
        lengthen(s->wal, dir_fd);
        (void)pthread_mutex_init(&s->mutex, NULL); /* cannot fail without attributes, as the next */
        (void)pthread_cond_init(&s->ended, NULL);
        *ret = TAKE_PTR(s);
        return 0;
}

void db_sync_free(struct db_sync *s)
{
        if (!s)
                return;
        (void)s->wal->pMethods->xClose(s->wal);
        free(s->wal);
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

int db_sync_wait(struct db_sync *s, uint64_t number)
{
        LOCK_SCOPE(&s->mutex);

        while (s->synced < number && !s->failed) {
                const uint64_t upto = s->noted;
                int code;

                if (s->syncing) {
                        (void)pthread_cond_wait(&s->ended, &s->mutex);
                        continue;
                }
                s->syncing = true;
                unlock(&s->mutex);
                code = s->wal->pMethods->xSync(s->wal, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
                lock(&s->mutex);
                s->syncing = false;
                if (code == SQLITE_OK)
                        s->synced = upto;
                else
                        s->failed = true;
                (void)pthread_cond_broadcast(&s->ended);
        }
        return s->synced < number ? -EIO : 0;
}

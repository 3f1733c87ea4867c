/* SPDX-License-Identifier: MIT */

/*
 * The index's tables, opening it, and what writers find and add.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/chunks/batch_priv.h"
#include "blobstore/chunks/index_priv.h"

#define INDEX_NAME     "index.db"
#define INDEX_NAME_NEW "index.db.new"
#define INDEX_VERSION  1

static const char index_schema[] =
        /* place: segment << 32 | offset. hash: the key, 64 bits of the name; never taken for an identity. */
        "CREATE TABLE chunk (place INTEGER PRIMARY KEY, hash INTEGER NOT NULL, raw_len INTEGER NOT NULL,"
        " stored_len INTEGER NOT NULL, refs INTEGER NOT NULL CHECK (refs >= 0), epoch INTEGER NOT NULL) STRICT;"
        "CREATE INDEX chunk_hash ON chunk (hash);"
        "CREATE INDEX chunk_unused ON chunk (epoch) WHERE refs = 0;"
        /* gaps: a chunk in it was swept, its space not given back yet. */
        "CREATE TABLE segment (id INTEGER PRIMARY KEY, end INTEGER NOT NULL, sealed INTEGER NOT NULL,"
        " gaps INTEGER NOT NULL DEFAULT 0) STRICT;"
        "CREATE INDEX segment_open ON segment (id) WHERE sealed = 0;"
        "CREATE INDEX segment_gaps ON segment (id) WHERE gaps = 1;"
        "CREATE TABLE blob (id BLOB PRIMARY KEY, state INTEGER NOT NULL,"
        " retained INTEGER NOT NULL CHECK (retained >= 0),"
        " size INTEGER NOT NULL, data_bytes INTEGER NOT NULL, data_clusters INTEGER NOT NULL,"
        " data_spans INTEGER NOT NULL, checksum BLOB NOT NULL) STRICT, WITHOUT ROWID;"
        "CREATE INDEX blob_unfinished ON blob (id) WHERE state <> 1;"
        /* One row. What can be counted is over chunks with references, and live blobs. */
        "CREATE TABLE total (one INTEGER PRIMARY KEY CHECK (one = 1), logical_bytes INTEGER NOT NULL,"
        " unique_bytes INTEGER NOT NULL, stored_bytes INTEGER NOT NULL, blobs INTEGER NOT NULL,"
        " chunks INTEGER NOT NULL, epoch INTEGER NOT NULL, next_segment INTEGER NOT NULL) STRICT;"
        "INSERT INTO total VALUES (1, 0, 0, 0, 0, 0, 1, 1);";

_Static_assert(BLOB_LIVE == 1, "the schema and the statements say so");

#define BLOB_COLUMNS "id, state, retained, size, data_bytes, data_clusters, data_spans, checksum"

static const char *const index_statements[INDEX_SQL_COUNT] = {
        [TOTAL_GET] = "SELECT logical_bytes, unique_bytes, stored_bytes, blobs, chunks, epoch, next_segment FROM total",
        [TOTAL_SET] = "UPDATE total SET logical_bytes = ?1, unique_bytes = ?2, stored_bytes = ?3, blobs = ?4,"
                      " chunks = ?5, epoch = ?6, next_segment = ?7",
        [SEGMENT_OPEN_LIST] = "SELECT id, end FROM segment WHERE sealed = 0",
        [SEGMENT_PUT] = "INSERT INTO segment (id, end, sealed, gaps) VALUES (?1, ?2, ?3, ?4)"
                        " ON CONFLICT (id) DO UPDATE SET end = ?2, sealed = ?3, gaps = gaps | ?4",
        [SEGMENT_GET] = "SELECT end, sealed FROM segment WHERE id = ?1",
        [SEGMENT_LIST] = "SELECT id, end, sealed FROM segment ORDER BY id",
        [SEGMENT_MARK] = "UPDATE segment SET gaps = 1 WHERE id = ?1",
        [SEGMENT_UNMARK] = "UPDATE segment SET gaps = 0 WHERE id = ?1",
        [SEGMENT_DELETE] = "DELETE FROM segment WHERE id = ?1",
        [SEGMENT_NEXT_MARKED] = "SELECT id FROM segment WHERE gaps = 1 AND id > ?1 ORDER BY id LIMIT 1",
        [SEGMENT_IMPORT] = "INSERT INTO segment (id, end, sealed, gaps) VALUES (?1, ?2, 1, 1)",
        [CHUNK_FIND] = "SELECT place, stored_len FROM chunk WHERE hash = ?1 AND raw_len = ?2 LIMIT ?3",
        [CHUNK_USE] = "SELECT refs, epoch FROM chunk WHERE place = ?1",
        [CHUNK_TOUCH] = "UPDATE chunk SET epoch = ?2 WHERE place = ?1",
        [CHUNK_ADD] = "INSERT INTO chunk (place, hash, raw_len, stored_len, refs, epoch)"
                      " VALUES (?1, ?2, ?3, ?4, 0, ?5)",
        [CHUNK_RETAIN] = "UPDATE chunk SET refs = refs + 1 WHERE place = ?1 RETURNING refs, raw_len, stored_len",
        [CHUNK_RELEASE] = "UPDATE chunk SET refs = refs - 1, epoch = ?2 WHERE place = ?1 AND refs > 0"
                          " RETURNING refs, raw_len, stored_len",
        [CHUNK_UNUSED] = "SELECT place FROM chunk WHERE refs = 0 AND epoch < ?1 LIMIT ?2",
        [CHUNK_DELETE] = "DELETE FROM chunk WHERE place = ?1",
        [CHUNK_PLACES] = "SELECT place, stored_len FROM chunk WHERE place BETWEEN ?1 AND ?2 ORDER BY place",
        [CHUNK_LIST] = "SELECT place, hash, raw_len, stored_len, refs FROM chunk WHERE place >= ?1 AND refs > 0"
                       " ORDER BY place LIMIT ?2",
        [CHUNK_IMPORT] = "INSERT INTO chunk (place, hash, raw_len, stored_len, refs, epoch)"
                         " VALUES (?1, ?2, ?3, ?4, 1, 0)"
                         " ON CONFLICT (place) DO UPDATE SET refs = refs + 1 RETURNING refs",
        [BLOB_ADD] = "INSERT INTO blob (" BLOB_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        [BLOB_COUNT] = "UPDATE blob SET retained = retained + ?2, state = ?3 WHERE id = ?1",
        [BLOB_KILL] = "UPDATE blob SET state = 2 WHERE id = ?1",
        [BLOB_UNCOUNT] = "UPDATE blob SET retained = ?2 WHERE id = ?1",
        [BLOB_FORGET] = "DELETE FROM blob WHERE id = ?1",
        [BLOB_GET] = "SELECT " BLOB_COLUMNS " FROM blob WHERE id = ?1",
        [BLOB_LIST_LIVE] = "SELECT " BLOB_COLUMNS " FROM blob WHERE id > ?1 AND state = 1 ORDER BY id LIMIT ?2",
        [BLOB_LIST_OTHERS] = "SELECT " BLOB_COLUMNS " FROM blob WHERE id > ?1 AND state <> 1 ORDER BY id LIMIT ?2",
};

/* ---- opening ---- */

static int index_load(struct index *ix)
{
        int64_t v[7];
        int r;

        r = index_db_get(ix->db, TOTAL_GET, v, 7, DB_NONE);
        if (r < 0)
                return r;
        if (r == 0)
                return -EUCLEAN;
        ix->total = (struct index_total){
                .stats = { .logical_bytes = (uint64_t)v[0],
                           .unique_bytes = (uint64_t)v[1],
                           .stored_bytes = (uint64_t)v[2],
                           .blobs = (uint64_t)v[3],
                           .chunks = (uint64_t)v[4] },
                .epoch = (uint64_t)v[5],
                .next_segment = (uint64_t)v[6],
        };
        ix->committed = ix->total;
        return 0;
}

static int index_open_mode(int dir_fd, const char *name, enum index_db_mode mode, struct segments *segments,
                           atomic_bool *degraded, struct index **ret)
{
        struct index *ix;
        int r;

        ix = calloc(1, sizeof(*ix)); /* struct index_total is compared whole, so it has no holes that matter */
        if (!ix)
                return -ENOMEM;
        ix->dir_fd = mode == INDEX_DB_OPEN ? dir_fd : -1;
        ix->degraded = degraded;
        LIST_INIT(&ix->writers);
        pthread_mutex_init(&ix->lock, NULL);
        batch_init(ix, segments);
        r = index_db_open(dir_fd, name, mode, index_schema, INDEX_VERSION, index_statements, INDEX_SQL_COUNT, degraded,
                          &ix->db);
        if (r == 0 && (mode == INDEX_DB_OPEN || mode == INDEX_DB_READ_ONLY))
                r = index_load(ix);
        if (r == 0 && (mode == INDEX_DB_OPEN || mode == INDEX_DB_READ_ONLY))
                r = batch_tell_segments(ix, mode == INDEX_DB_READ_ONLY);
        if (r < 0) {
                index_close(ix);
                return r;
        }
        *ret = ix;
        return 0;
}

int index_open(int dir_fd, struct segments *segments, atomic_bool *degraded, struct index **ret)
{
        if (index_is_stale(dir_fd))
                return -EUCLEAN;
        return index_open_mode(dir_fd, INDEX_NAME, INDEX_DB_OPEN, segments, degraded, ret);
}

int index_open_read_only(int dir_fd, struct segments *segments, atomic_bool *degraded, struct index **ret)
{
        if (index_is_stale(dir_fd))
                return -EUCLEAN;
        return index_open_mode(dir_fd, INDEX_NAME, INDEX_DB_READ_ONLY, segments, degraded, ret);
}

int index_new(int dir_fd, struct segments *segments, atomic_bool *degraded, struct index **ret)
{
        if (unlinkat(dir_fd, INDEX_NAME_NEW, 0) < 0 && errno != ENOENT)
                return -errno;
        return index_open_mode(dir_fd, INDEX_NAME_NEW, INDEX_DB_CREATE, segments, degraded, ret);
}

int index_new_temporary(struct segments *segments, atomic_bool *degraded, struct index **ret)
{
        return index_open_mode(-1, "", INDEX_DB_TEMPORARY, segments, degraded, ret);
}

/*
 * The old database's WAL goes first: beside the new file it would be replayed into it. From then on
 * the old one may be missing its last changes, and the stale mark makes a crash in between harmless.
 */
int index_publish(struct index *ix, int dir_fd)
{
        static const char *const old[] = { INDEX_NAME "-wal", INDEX_NAME "-shm", INDEX_NAME "-journal" };
        CLEANUP_CLOSE int fd = -1;
        int r;

        lock(&ix->lock);
        r = batch_begin_change(ix);
        if (r == 0)
                r = batch_end_change(ix, 0);
        unlock(&ix->lock);
        if (r < 0)
                return r;

        fd = openat(dir_fd, INDEX_NAME_NEW, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fchmod(fd, 0600) < 0 || fsync(fd) < 0)
                return -errno;
        r = index_mark_stale(dir_fd);
        if (r < 0)
                return r;
        for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
                if (unlinkat(dir_fd, old[i], 0) < 0 && errno != ENOENT)
                        return -errno;
        if (renameat(dir_fd, INDEX_NAME_NEW, dir_fd, INDEX_NAME) < 0)
                return -errno;
        r = fsync_dir(dir_fd);
        if (r < 0)
                return r;
        return index_unmark_stale(dir_fd);
}

void index_close(struct index *ix)
{
        if (!ix)
                return;
        batch_done(ix);
        index_db_close(ix->db);
        pthread_mutex_destroy(&ix->lock);
        free(ix);
}

/* ---- writers ---- */

void index_writer_begin(struct index *ix, struct index_writer *w)
{
        LOCK_SCOPE(&ix->lock);
        *w = (struct index_writer){ .epoch = ix->swept ? ix->total.epoch : 0 };
        LIST_INSERT_HEAD(&ix->writers, w, link);
}

void index_writer_end(struct index *ix, struct index_writer *w)
{
        LOCK_SCOPE(&ix->lock);
        LIST_REMOVE(w, link);
}

int index_find(struct index *ix, uint64_t key, uint32_t raw_len, struct index_twin ret[INDEX_TWINS_MAX])
{
        int n = 0, r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_start(ix->db, CHUNK_FIND, DB_ARGS(DB_INT(key), DB_INT(raw_len), DB_INT(INDEX_TWINS_MAX)));
        while (r == 0 && n < INDEX_TWINS_MAX && (r = index_db_next(ix->db, CHUNK_FIND)) > 0) {
                ret[n].place = (uint64_t)index_db_column(ix->db, CHUNK_FIND, 0);
                ret[n].stored_len = (uint32_t)index_db_column(ix->db, CHUNK_FIND, 1);
                n++;
                r = 0;
        }
        index_db_end(ix->db, CHUNK_FIND);
        return r < 0 ? index_error(ix, r) : n;
}

int index_hold(struct index *ix, struct index_writer *w, uint64_t place)
{
        int64_t v[2];
        int r;

        LOCK_SCOPE(&ix->lock);
        if (w->error)
                return w->error;
        r = index_db_get(ix->db, CHUNK_USE, v, 2, DB_ARGS(DB_INT(place)));
        if (r <= 0)
                return index_error(ix, r);
        /* One with references gets the epoch in which the last of them goes, which cannot be before this. */
        if (v[0] > 0)
                return 1;
        if ((uint64_t)v[1] == ix->total.epoch) {
                w->in_batch |= ix->batch.chunks > 0; /* it may be in there, and is lost with it */
                return 1;
        }

        r = batch_begin(ix);
        if (r == 0)
                r = index_db_run(ix->db, CHUNK_TOUCH, DB_ARGS(DB_INT(place), DB_INT(ix->total.epoch)));
        if (r < 0)
                return index_error(ix, batch_lose(ix, r));
        batch_grow(ix, w, 1);
        return 1;
}

int index_add(struct index *ix, struct index_writer *w, const struct index_chunk *chunk)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        r = w->error;
        if (r == 0)
                r = batch_begin(ix);
        if (r < 0)
                return r;
        r = index_db_run(ix->db, CHUNK_ADD,
                         DB_ARGS(DB_INT(chunk->place), DB_INT(chunk->key), DB_INT(chunk->raw_len),
                                 DB_INT(chunk->stored_len), DB_INT(ix->total.epoch)));
        if (r < 0)
                return index_error(ix, batch_lose(ix, r));
        batch_grow(ix, w, 1);
        return 0;
}

/* SPDX-License-Identifier: MIT */

/*
 * The index's tables, opening it, and what writers find and add.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/chunks/batch_priv.h"
#include "blobstore/chunks/index_priv.h"
#include "blobstore/chunks/index_state.h"

#define INDEX_NAME "index.db"
#define INDEX_NAME_NEW "index.db.new"
#define INDEX_VERSION 3

/* The proof of a chunk's row with so many references and that name; of a blob's. */
#define PROOF_WITH(refs, hash, rest, base, at)                                                                         \
        "row_proof(place, " refs ", " hash ", " rest ", raw_len, stored_len, " base ", " at ")"
#define PROOF_REFS(refs) PROOF_WITH(refs, "hash", "rest", "base", "at")
#define PROOF PROOF_REFS("refs")
#define PROOF_NAMELESS(refs) PROOF_WITH(refs, "NULL", "NULL", "base", "at")
#define DEBRIS_PROOF(dead) "row_proof(place, len, epoch, " dead ")"
#define BLOB_PROOF(state, retained) "row_proof(id, " state ", " retained ")"
#define LOAN_PROOF(count) "row_proof(borrower, map_row, lender, page, " count ")"

/* What maps borrow: COUNT of the lender's pages from PAGE on are at MAP_ROW and after it in the borrower's. */
#define LOAN_SCHEMA                                                                                                    \
        "CREATE TABLE loan (borrower BLOB NOT NULL, map_row INTEGER NOT NULL, lender BLOB NOT NULL,"                   \
        " page INTEGER NOT NULL, count INTEGER NOT NULL CHECK (count > 0), proof INTEGER NOT NULL,"                    \
        " PRIMARY KEY (borrower, map_row)) STRICT, WITHOUT ROWID;"                                                     \
        "CREATE INDEX loan_lender ON loan (lender, page);"

static const char index_schema[] =
        /* place: segment << 32 | offset, as is at. hash, rest: the name, its first 64 bits and the others; NULL: nobody
         * is to find it. proof: a hash of all that but for the epoch. */
        "CREATE TABLE chunk (place INTEGER PRIMARY KEY, hash INTEGER, rest BLOB, raw_len INTEGER NOT NULL,"
        " stored_len INTEGER NOT NULL, refs INTEGER NOT NULL CHECK (refs >= -1), epoch INTEGER NOT NULL,"
        " base INTEGER NOT NULL, at INTEGER NOT NULL, proof INTEGER NOT NULL) STRICT;"
        "CREATE INDEX chunk_hash ON chunk (hash) WHERE hash IS NOT NULL;"
        "CREATE INDEX chunk_unused ON chunk (epoch) WHERE refs = 0;"
        "CREATE INDEX chunk_at ON chunk (at) WHERE at <> 0;"
        /* Some place with that feature, perhaps not any more. */
        "CREATE TABLE feature (hash INTEGER PRIMARY KEY, place INTEGER NOT NULL) STRICT;"
        /* Bytes in segments that are no chunk's: of a lost batch, or what a crash left. */
        "CREATE TABLE debris (place INTEGER PRIMARY KEY, len INTEGER NOT NULL, epoch INTEGER NOT NULL,"
        " dead INTEGER NOT NULL, proof INTEGER NOT NULL) STRICT;"
        /* live: bytes of chunks that are not dead. gaps: something in it died, and its space is not given back yet.
         * tidy: 0 what it holds was written in haste, 1 it was not, 2 it is being filled with what is moved, 3 what is
         * left in it cannot be moved. */
        "CREATE TABLE segment (id INTEGER PRIMARY KEY, end INTEGER NOT NULL, sealed INTEGER NOT NULL,"
        " live INTEGER NOT NULL, gaps INTEGER NOT NULL DEFAULT 0, tidy INTEGER NOT NULL DEFAULT 0) STRICT;"
        "CREATE INDEX segment_open ON segment (id) WHERE sealed = 0;"
        "CREATE INDEX segment_gaps ON segment (id) WHERE gaps = 1;"
        "CREATE TABLE blob (id BLOB PRIMARY KEY, state INTEGER NOT NULL,"
        " retained INTEGER NOT NULL CHECK (retained >= 0),"
        " size INTEGER NOT NULL, data_bytes INTEGER NOT NULL, data_clusters INTEGER NOT NULL,"
        " data_spans INTEGER NOT NULL, checksum BLOB NOT NULL, proof INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
        "CREATE INDEX blob_unfinished ON blob (id) WHERE state <> 1;"
        LOAN_SCHEMA
        /* One row. What can be counted is over chunks with references, and live blobs. */
        "CREATE TABLE total (one INTEGER PRIMARY KEY CHECK (one = 1), logical_bytes INTEGER NOT NULL,"
        " unique_bytes INTEGER NOT NULL, stored_bytes INTEGER NOT NULL, blobs INTEGER NOT NULL,"
        " chunks INTEGER NOT NULL, epoch INTEGER NOT NULL, next_segment INTEGER NOT NULL,"
        " generation INTEGER NOT NULL, token INTEGER NOT NULL, orphans_us INTEGER NOT NULL) STRICT;"
        "INSERT INTO total VALUES (1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0);";

/* From version 2, in which no page was borrowed. */
static const char index_step[] = LOAN_SCHEMA;

_Static_assert(INDEX_LOAN_PAGES % 64 == 0, "index_lent_pages() gives whole words");
_Static_assert(BLOB_LIVE == 1, "the schema and the statements say so");
_Static_assert(SEGMENT_HEADER_SIZE == 16, "SEGMENT_FILL says so");

#define BLOB_COLUMNS "id, state, retained, size, data_bytes, data_clusters, data_spans, checksum"

/* The payloads that lie in a segment, whose places are from ?1 to ?2. */
#define CHUNKS_IN(columns)                                                                                             \
        "SELECT place AS lies, " columns                                                                               \
        " FROM chunk WHERE place BETWEEN ?1 AND ?2 AND at = 0 UNION ALL SELECT at, " columns                           \
        " FROM chunk WHERE at BETWEEN ?1 AND ?2 AND at <> 0"

static const char *const index_statements[INDEX_SQL_COUNT] = {
        [TOTAL_GET] = "SELECT logical_bytes, unique_bytes, stored_bytes, blobs, chunks, epoch, next_segment,"
                      " generation, token, orphans_us FROM total",
        [TOTAL_SET] = "UPDATE total SET logical_bytes = ?1, unique_bytes = ?2, stored_bytes = ?3, blobs = ?4,"
                      " chunks = ?5, epoch = ?6, next_segment = ?7, generation = ?8, token = ?9, orphans_us = ?10",
        [SEGMENT_OPEN_LIST] = "SELECT id, end, tidy FROM segment WHERE sealed = 0",
        [SEGMENT_PUT] = "INSERT INTO segment (id, end, sealed, live) VALUES (?1, ?2, ?3, ?4)"
                        " ON CONFLICT (id) DO UPDATE SET end = ?2, sealed = ?3, live = live + ?4",
        [SEGMENT_SEAL] = "UPDATE segment SET end = ?2, sealed = 1 WHERE id = ?1",
        [SEGMENT_GET] = "SELECT end, sealed FROM segment WHERE id = ?1",
        [SEGMENT_LIST] = "SELECT id, end, sealed FROM segment ORDER BY id",
        [SEGMENT_DIED] = "UPDATE segment SET gaps = 1, live = live - ?2 WHERE id = ?1 RETURNING 1",
        [SEGMENT_UNMARK] = "UPDATE segment SET gaps = 0 WHERE id = ?1",
        [SEGMENT_DELETE] = "DELETE FROM segment WHERE id = ?1",
        [SEGMENT_NEXT_MARKED] = "SELECT id FROM segment WHERE gaps = 1 AND id > ?1 ORDER BY id LIMIT 1",
        [SEGMENT_IMPORT] = "INSERT INTO segment (id, end, sealed, live, gaps) VALUES (?1, ?2, 1, 0, 1)",
        [SEGMENT_UNTIDY] = "SELECT id FROM segment WHERE sealed = 1 AND gaps = 0 AND live > 0"
                           " AND (tidy = 0 OR (tidy = 1 AND live * 2 < end)) AND id > ?1 ORDER BY id LIMIT 1",
        [SEGMENT_FILL] = "INSERT INTO segment (id, end, sealed, live, tidy) VALUES (?1, 16, 0, 0, 2)"
                         " ON CONFLICT (id) DO UPDATE SET tidy = 2",
        [SEGMENT_FILLED] = "UPDATE segment SET tidy = 1, gaps = gaps | ?2 WHERE id = ?1",
        [SEGMENT_FILLING] = "SELECT id FROM segment WHERE tidy = 2 LIMIT 1",
        [SEGMENT_TIDIED] = "UPDATE segment SET tidy = 3 WHERE id = ?1",
        [SEGMENT_COUNT] = "UPDATE segment SET live = (SELECT ifnull(sum(stored_len), 0) FROM chunk"
                          " WHERE refs >= 0 AND (at = 0 AND place BETWEEN id << 32 AND id << 32 | 4294967295))"
                          " + (SELECT ifnull(sum(stored_len), 0) FROM chunk"
                          " WHERE refs >= 0 AND at <> 0 AND at BETWEEN id << 32 AND id << 32 | 4294967295)",
        [CHUNK_FIND] = "SELECT place, stored_len, refs, epoch FROM chunk WHERE hash = ?1 AND rest = ?2 AND raw_len = ?3"
                       " AND refs >= 0 AND proof = " PROOF,
        [CHUNK_BASE] = "SELECT raw_len, stored_len, refs, epoch, hash, rest FROM chunk WHERE place = ?1 AND base = 0"
                       " AND refs >= 0 AND hash IS NOT NULL AND proof = " PROOF,
        [CHUNK_TOUCH] = "UPDATE chunk SET epoch = ?2 WHERE place = ?1",
        [CHUNK_ADD] = "INSERT INTO chunk (place, hash, rest, raw_len, stored_len, refs, epoch, base, at, proof)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, 0, row_proof(?1, 0, ?2, ?3, ?4, ?5, ?7, 0))",
        [CHUNK_RETAIN] = "UPDATE chunk SET refs = refs + 1, proof = " PROOF_REFS(
                "refs + 1") " WHERE place = ?1 AND refs >= 0 AND proof = " PROOF " RETURNING refs, raw_len, stored_len",
        [CHUNK_RELEASE] = "UPDATE chunk SET refs = refs - 1, epoch = ?2, proof = " PROOF_REFS(
                "refs - 1") " WHERE place = ?1 AND refs > 0 AND proof = " PROOF " RETURNING refs, raw_len, stored_len",
        [CHUNK_DISTRUST] = "UPDATE chunk SET hash = NULL, rest = NULL, proof = " PROOF_NAMELESS(
                "refs") " WHERE place = ?1 AND refs >= 0 AND proof = " PROOF,
        [CHUNK_UNUSED] = "SELECT place, at, base, stored_len, proof = " PROOF " FROM chunk WHERE refs = 0"
                         " AND epoch >= ?1 AND epoch < ?2 LIMIT ?3",
        [CHUNK_KILL] = "UPDATE chunk SET refs = -1, hash = NULL, rest = NULL, proof = " PROOF_NAMELESS(
                "-1") " WHERE place = ?1",
        [CHUNK_FORGET] = "DELETE FROM chunk WHERE refs = -1 AND at = 0 AND place BETWEEN ?1 AND ?2",
        [CHUNK_FORGET_MOVED] = "DELETE FROM chunk WHERE refs = -1 AND at <> 0 AND at BETWEEN ?1 AND ?2",
        [CHUNK_PLACES] = CHUNKS_IN("stored_len, refs, proof = " PROOF) " ORDER BY lies",
        [CHUNK_WHERE] = "SELECT at, refs, stored_len FROM chunk WHERE place = ?1 AND proof = " PROOF,
        [CHUNK_OF_SEGMENT] = "SELECT place, raw_len, stored_len, base, hash, rest FROM chunk"
                             " WHERE place BETWEEN ?1 AND ?2 AND at = 0 AND raw_len > 0 ORDER BY place",
        [CHUNK_IN] = "SELECT * FROM (" CHUNKS_IN("place, raw_len, stored_len, base, refs, proof = " PROOF
                                                 ", hash, rest") ") WHERE refs >= 0 ORDER BY lies LIMIT ?3",
        [CHUNK_MOVE] = "UPDATE chunk SET at = ?2, stored_len = ?3,"
                       " proof = row_proof(place, refs, hash, rest, raw_len, ?3, base, ?2)"
                       " WHERE place = ?1 AND proof = " PROOF " RETURNING refs, place",
        [CHUNK_LIST] = "SELECT place, at, hash, rest, raw_len, stored_len, base, refs, proof = " PROOF
                       " FROM chunk WHERE place >= ?1 AND refs >= 0 ORDER BY place LIMIT ?2",
        /* Proofs and bases follow at the end. */
        [CHUNK_IMPORT_RECORD] =
                "INSERT INTO chunk (place, hash, rest, raw_len, stored_len, refs, epoch, base, at, proof)"
                " VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6, ?7, 0) ON CONFLICT (place) DO UPDATE SET"
                " hash = ?2, rest = ?3, raw_len = ?4, stored_len = ?5, base = ?6, at = ?7 WHERE ?7 > at",
        [CHUNK_IMPORT_ENTRY] = "INSERT INTO chunk (place, raw_len, stored_len, refs, epoch, base, at, proof)"
                               " VALUES (?1, ?2, ?3, 1, 0, 0, ?4, 0)"
                               " ON CONFLICT (place) DO UPDATE SET refs = refs + 1 RETURNING refs",
        [CHUNK_IMPORT_NAME] = "UPDATE chunk SET hash = ?2, rest = ?3, base = ?4 WHERE place = ?1",
        [CHUNK_IMPORT_BASE] = "INSERT INTO chunk (place, raw_len, stored_len, refs, epoch, base, at, proof)"
                              " VALUES (?1, 0, 0, 1, 0, 0, 0, 0) ON CONFLICT (place) DO UPDATE SET refs = refs + 1",
        [CHUNK_IMPORT_BASES] = "INSERT OR IGNORE INTO chunk (place, raw_len, stored_len, refs, epoch, base, at, proof)"
                               " SELECT DISTINCT base, 0, 0, 0, 0, 0, 0, 0 FROM chunk WHERE base <> 0 AND refs > 0",
        [CHUNK_COUNT_BASES] = "UPDATE chunk SET refs = refs + n FROM (SELECT base AS b, count(*) AS n FROM chunk"
                              " WHERE base <> 0 AND refs > 0 GROUP BY base) WHERE place = b",
        [CHUNK_FORGET_NAMES] = "UPDATE chunk SET hash = NULL, rest = NULL, base = 0 WHERE refs = 0",
        [CHUNK_PROVE] = "UPDATE chunk SET proof = " PROOF,
        [CHUNK_TOTALS] = "SELECT ifnull(sum(raw_len), 0), ifnull(sum(stored_len), 0), count(*),"
                         " (SELECT count(*) FROM chunk WHERE refs = 0) FROM chunk WHERE refs > 0",
        [FEATURE_PUT] = "INSERT OR REPLACE INTO feature (hash, place) VALUES (?1, ?2)",
        [FEATURE_GET] = "SELECT place FROM feature WHERE hash = ?1",
        [DEBRIS_ADD] = "INSERT INTO debris (place, len, epoch, dead, proof)"
                       " VALUES (?1, ?2, ?3, 0, row_proof(?1, ?2, ?3, 0))",
        [DEBRIS_UNUSED] = "SELECT place, proof = " DEBRIS_PROOF("dead") " FROM debris WHERE dead = 0"
                                                                        " AND epoch >= ?1 AND epoch < ?2 LIMIT ?3",
        [DEBRIS_KILL] = "UPDATE debris SET dead = 1, proof = " DEBRIS_PROOF("1") " WHERE place = ?1",
        [DEBRIS_COVER] = "SELECT place, len, dead FROM debris WHERE place BETWEEN ?1 AND ?2 AND proof = " DEBRIS_PROOF(
                "dead") " ORDER BY place DESC LIMIT 1",
        [DEBRIS_PLACES] = "SELECT place, len, dead, proof = " DEBRIS_PROOF(
                "dead") " FROM debris"
                        " WHERE place BETWEEN ?1 AND ?2 ORDER BY place",
        [DEBRIS_FORGET] = "DELETE FROM debris WHERE place BETWEEN ?1 AND ?2",
        [BLOB_ADD] = "INSERT INTO blob (" BLOB_COLUMNS ", proof) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
                     " row_proof(?1, ?2, ?3))",
        [BLOB_COUNT] = "UPDATE blob SET retained = retained + ?2, state = ?3, proof = " BLOB_PROOF(
                "?3", "retained + ?2") " WHERE id = ?1 AND proof = " BLOB_PROOF("state", "retained") " RETURNING 1",
        [BLOB_KILL] = "UPDATE blob SET state = 2, proof = " BLOB_PROOF(
                "2", "retained") " WHERE id = ?1 AND proof = " BLOB_PROOF("state", "retained") " RETURNING 1",
        [BLOB_UNCOUNT] = "UPDATE blob SET retained = ?2, proof = " BLOB_PROOF(
                "state", "?2") " WHERE id = ?1 AND proof = " BLOB_PROOF("state", "retained") " RETURNING 1",
        [BLOB_FORGET] = "DELETE FROM blob WHERE id = ?1",
        [BLOB_GET] = "SELECT " BLOB_COLUMNS " FROM blob WHERE id = ?1",
        [BLOB_LIST_LIVE] = "SELECT " BLOB_COLUMNS " FROM blob WHERE id > ?1 AND state = 1 ORDER BY id LIMIT ?2",
        [BLOB_LIST_OTHERS] = "SELECT " BLOB_COLUMNS " FROM blob WHERE id > ?1 AND state <> 1 ORDER BY id LIMIT ?2",
        [LOAN_ADD] = "INSERT INTO loan (borrower, map_row, lender, page, count, proof)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, row_proof(?1, ?2, ?3, ?4, ?5))",
        [LOAN_LIST] = "SELECT map_row, lender, page, count, proof = " LOAN_PROOF(
                "count") " FROM loan WHERE borrower = ?1 AND map_row >= ?2 ORDER BY map_row LIMIT ?3",
        [LOAN_SHRINK] = "UPDATE loan SET count = ?3, proof = " LOAN_PROOF(
                "?3") " WHERE borrower = ?1 AND map_row = ?2 AND proof = " LOAN_PROOF("count") " RETURNING 1",
        [LOAN_END] = "DELETE FROM loan WHERE borrower = ?1 AND map_row = ?2 AND proof = " LOAN_PROOF(
                "count") " RETURNING 1",
        [LOAN_OF] = "SELECT page, count, borrower, map_row, proof = " LOAN_PROOF(
                "count") " FROM loan WHERE lender = ?1 AND page BETWEEN ?2 AND ?3",
        [LOAN_ANY] = "SELECT 1 FROM loan WHERE lender = ?1 LIMIT 1",
        [LOAN_LOST] = "SELECT 1 FROM loan WHERE NOT EXISTS (SELECT 1 FROM blob WHERE id = lender) LIMIT 1",
};

/* ---- opening ---- */

static int index_load(struct index *ix)
{
        int64_t v[10];
        int r;

        r = index_db_get(ix->db, TOTAL_GET, v, 10, DB_NONE);
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
                .generation = (uint64_t)v[7],
                .token = (uint64_t)v[8],
                .orphans_us = (uint64_t)v[9],
        };
        ix->committed = ix->total;
        return 0;
}

/* Does the index go with the store? See index_state.h. */
static int index_judge(struct index *ix, int dir_fd)
{
        struct index_state state;
        int r;

        r = index_state_read(dir_fd, &state);
        if (r < 0)
                return r == -ENOENT ? -EUCLEAN : r;
        if (ix->total.generation != state.generation && ix->total.generation != state.generation + 1)
                return -EUCLEAN;
        ix->certain = state.token != 0 && state.token == ix->total.token;
        ix->total.token = 0; /* with the first change */
        if (ix->total.next_segment < state.next_segment)
                ix->total.next_segment = state.next_segment;
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
        r = index_db_open(dir_fd, name, mode, index_schema, index_step, INDEX_VERSION, index_statements,
                          INDEX_SQL_COUNT, degraded, &ix->db);
        if (r == 0)
                r = index_load(ix);
        if (r == 0 && (mode == INDEX_DB_OPEN || mode == INDEX_DB_READ_ONLY))
                r = index_judge(ix, dir_fd);
        if (r == 0 && (mode == INDEX_DB_OPEN || mode == INDEX_DB_READ_ONLY))
                segments_set_next(segments, (uint32_t)ix->total.next_segment);
        if (r < 0) {
                index_close(ix);
                return r;
        }
        *ret = ix;
        return 0;
}

bool index_is_certain(struct index *ix)
{
        return ix->certain;
}

int index_begin_generation(struct index *ix)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        r = batch_begin_change(ix);
        if (r < 0)
                return r;
        ix->total.generation++;
        r = batch_end_change(ix, 0);
        return r < 0 ? r : index_write_state(ix, 0);
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
 * A new one knows what is there, whatever was given back. It is numbered as if it had been there all along; where the
 * state is lost, it begins anew.
 */
static int index_join_generation(struct index *ix, int dir_fd)
{
        struct index_state state;
        int r;

        r = index_state_read(dir_fd, &state);
        if (r < 0 && r != -ENOENT && r != -EUCLEAN)
                return r;
        if (r < 0)
                state = (struct index_state){ .generation = 1 };
        LOCK_SCOPE(&ix->lock);
        ix->total.generation = state.generation;
        if (ix->total.next_segment < state.next_segment)
                ix->total.next_segment = state.next_segment;
        r = batch_begin_change(ix);
        if (r == 0)
                r = batch_end_change(ix, 0);
        if (r < 0)
                return r;
        state.token = 0;
        state.next_segment = ix->total.next_segment;
        return index_state_write(dir_fd, &state);
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

        r = index_join_generation(ix, dir_fd);
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

/* 63 bits, since an SQL integer has a sign, and not zero. */
static uint64_t index_make_token(void)
{
        uint64_t token = 0;

        return getrandom(&token, sizeof(token), 0) == sizeof(token) ? (token >> 1) | 1 : 0;
}

/* So that the next opening need not look. Where that fails, it looks. */
static void index_close_certain(struct index *ix)
{
        uint64_t token = index_make_token();

        if (ix->dir_fd < 0 || !ix->db || !ix->recovered || atomic_load(ix->degraded) || batch_seal(ix, token) < 0)
                return;
        index_db_close(TAKE_PTR(ix->db));
        if (!index_is_stale(ix->dir_fd))
                (void)index_write_state(ix, token);
}

void index_close(struct index *ix)
{
        if (!ix)
                return;
        batch_done(ix);
        index_close_certain(ix);
        index_db_close(ix->db);
        batch_free(ix);
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
        if (LIST_EMPTY(&ix->writers))
                index_db_rest(ix->db);
}

int index_column_name(struct index *ix, enum index_sql stmt, int column, struct chunk_name *ret)
{
        *ret = (struct chunk_name){ 0 };
        if (index_db_column_is_null(ix->db, stmt, column))
                return 0;
        put_le64(ret->bytes, (uint64_t)index_db_column(ix->db, stmt, column));
        return index_db_column_blob(ix->db, stmt, column + 1, ret->bytes + 8, CHUNK_NAME_REST_SIZE);
}

/*
 * Has what was found with REFS and EPOCH stay until W ends. One with references gets the epoch in which the last of
 * them goes, which cannot be before this.
 */
static int index_hold(struct index *ix, struct index_writer *w, uint64_t place, int64_t refs, int64_t epoch)
{
        int r;

        if (refs > 0)
                return 1;
        if ((uint64_t)epoch == ix->total.epoch) {
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

int index_share(struct index *ix, struct index_writer *w, const struct chunk_name *name, uint32_t raw_len,
                struct index_twin *ret)
{
        int64_t v[4];
        int r;

        LOCK_SCOPE(&ix->lock);
        if (w->error)
                return w->error;
        r = index_db_get(ix->db, CHUNK_FIND, v, 4,
                         DB_ARGS(DB_INT(chunk_name_key(name)), DB_BLOB(chunk_name_rest(name), CHUNK_NAME_REST_SIZE),
                                 DB_INT(raw_len)));
        if (r > 0)
                r = index_hold(ix, w, (uint64_t)v[0], v[2], v[3]);
        if (r > 0)
                *ret = (struct index_twin){
                        .place = (uint64_t)v[0],
                        .raw_len = raw_len,
                        .stored_len = (uint32_t)v[1],
                        .name = *name,
                };
        return index_error(ix, r);
}

/* The row of a place that a feature led to. 1, or 0 where it cannot be a base. */
static int index_read_base(struct index *ix, uint64_t place, struct index_twin *ret, int64_t *ret_refs,
                           int64_t *ret_epoch)
{
        int r;

        r = index_db_start(ix->db, CHUNK_BASE, DB_ARGS(DB_INT(place)));
        if (r == 0)
                r = index_db_next(ix->db, CHUNK_BASE);
        if (r > 0) {
                ret->place = place;
                ret->raw_len = (uint32_t)index_db_column(ix->db, CHUNK_BASE, 0);
                ret->stored_len = (uint32_t)index_db_column(ix->db, CHUNK_BASE, 1);
                *ret_refs = index_db_column(ix->db, CHUNK_BASE, 2);
                *ret_epoch = index_db_column(ix->db, CHUNK_BASE, 3);
                r = index_column_name(ix, CHUNK_BASE, 4, &ret->name) < 0 ? -EUCLEAN : 1;
        }
        index_db_end(ix->db, CHUNK_BASE);
        return r;
}

int index_find_base(struct index *ix, struct index_writer *w, const struct chunk_features *features,
                    struct index_twin *ret)
{
        int64_t place[CHUNK_FEATURES_MAX], refs, epoch;
        unsigned votes[CHUNK_FEATURES_MAX], n = 0, best = 0, j;
        struct index_twin twin;
        int r;

        LOCK_SCOPE(&ix->lock);
        if (w->error)
                return w->error;
        for (unsigned i = 0; i < features->n; i++) {
                r = index_db_get(ix->db, FEATURE_GET, &place[n], 1, DB_ARGS(DB_INT(features->block[i])));
                if (r < 0)
                        return index_error(ix, r);
                if (r == 0)
                        continue;
                for (j = 0; place[j] != place[n]; j++)
                        ;
                votes[j] = j == n ? 1 : votes[j] + 1;
                n += j == n;
                if (votes[j] > votes[best])
                        best = j;
        }
        if (n == 0)
                return 0;
        r = index_read_base(ix, (uint64_t)place[best], &twin, &refs, &epoch);
        if (r > 0)
                r = index_hold(ix, w, twin.place, refs, epoch);
        if (r > 0)
                *ret = twin;
        return index_error(ix, r);
}

static int index_put_features(struct index *ix, uint64_t place, const struct chunk_features *features)
{
        int r = 0;

        for (unsigned i = 0; features && i < features->n && r == 0; i++)
                r = index_db_run(ix->db, FEATURE_PUT, DB_ARGS(DB_INT(features->block[i]), DB_INT(place)));
        return r;
}

int index_tx_retain(struct index *ix, uint64_t place)
{
        int64_t v[3];
        int r;

        r = index_tx_one(index_db_get(ix->db, CHUNK_RETAIN, v, 3, DB_ARGS(DB_INT(place))));
        if (r == 0 && v[0] == 1)
                index_count_chunk(ix, v[1], v[2], 1);
        return r;
}

int index_tx_release(struct index *ix, uint64_t place)
{
        int64_t v[3];
        int r;

        r = index_tx_one(index_db_get(ix->db, CHUNK_RELEASE, v, 3, DB_ARGS(DB_INT(place), DB_INT(ix->total.epoch))));
        if (r == 0 && v[0] == 0)
                index_count_chunk(ix, v[1], v[2], -1);
        return r;
}

int index_add(struct index *ix, struct index_writer *w, const struct index_chunk *chunk,
              const struct chunk_features *features)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        r = w->error;
        if (r == 0)
                r = batch_begin(ix);
        if (r < 0)
                return r;
        r = index_db_run(ix->db, CHUNK_ADD,
                         DB_ARGS(DB_INT(chunk->place), DB_NAME(&chunk->name), DB_INT(chunk->raw_len),
                                 DB_INT(chunk->stored_len), DB_INT(ix->total.epoch), DB_INT(chunk->base)));
        if (r == 0)
                r = chunk->base ? index_tx_retain(ix, chunk->base) : index_put_features(ix, chunk->place, features);
        if (r < 0)
                return index_error(ix, batch_lose(ix, r));
        batch_grow(ix, w, 1);
        return 0;
}

void index_distrust(struct index *ix, uint64_t place)
{
        LOCK_SCOPE(&ix->lock);
        /* What goes wrong with it is for the next change to meet. */
        if (batch_begin(ix) == 0 && index_db_run(ix->db, CHUNK_DISTRUST, DB_ARGS(DB_INT(place))) == 0)
                ix->batch.chunks++;
}

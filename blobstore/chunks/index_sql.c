/* SPDX-License-Identifier: MIT */

/*
 * The index's tables, and each statement that is run on them.
 */

#include "blobstore/chunks/index_priv.h"

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

const char index_schema[] =
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
const char index_step[] = LOAN_SCHEMA;

_Static_assert(INDEX_LOAN_PAGES % 64 == 0, "index_lent_pages() gives whole words");
_Static_assert(BLOB_LIVE == 1, "the schema and the statements say so");
_Static_assert(SEGMENT_HEADER_SIZE == 16, "SEGMENT_FILL says so");

#define BLOB_COLUMNS "id, state, retained, size, data_bytes, data_clusters, data_spans, checksum"

/* The payloads that lie in a segment, whose places are from ?1 to ?2. */
#define CHUNKS_IN(columns)                                                                                             \
        "SELECT place AS lies, " columns                                                                               \
        " FROM chunk WHERE place BETWEEN ?1 AND ?2 AND at = 0 UNION ALL SELECT at, " columns                           \
        " FROM chunk WHERE at BETWEEN ?1 AND ?2 AND at <> 0"

const char *const index_statements[INDEX_SQL_COUNT] = {
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
        [SEGMENT_NEXT] = "SELECT id, end, sealed FROM segment WHERE id > ?1 ORDER BY id LIMIT 1",
        [SEGMENT_DIED] = "UPDATE segment SET gaps = 1, live = live - ?2 WHERE id = ?1 RETURNING 1",
        [SEGMENT_UNMARK] = "UPDATE segment SET gaps = 0 WHERE id = ?1",
        [SEGMENT_DELETE] = "DELETE FROM segment WHERE id = ?1",
        [SEGMENT_NEXT_MARKED] = "SELECT id FROM segment WHERE gaps = 1 AND id > ?1 ORDER BY id LIMIT 1",
        [SEGMENT_IMPORT] = "INSERT INTO segment (id, end, sealed, live, gaps) VALUES (?1, ?2, 1, 0, 1)",
        [SEGMENT_UNTIDY] = "SELECT id FROM segment WHERE sealed = 1 AND gaps = 0 AND live > 0"
                           " AND ((tidy = 0 AND ?2) OR (tidy < 2 AND live * 2 < end)) AND id > ?1 ORDER BY id LIMIT 1",
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

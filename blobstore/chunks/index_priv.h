/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_INDEX_PRIV_H
#define BLOBSTORE_CHUNKS_INDEX_PRIV_H

/*
 * What the files of the index share: index_sql.c (tables and statements), index_open.c, index.c (writers), index_blob.c
 * (a blob's life), index_lend.c (pages that maps share), index_space.c (giving space back), index_import.c (making it
 * again) and index_audit.c (counting and checking). They change it by way of batch.c, which commits, and that by way of
 * index_tx.c.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "blobstore/chunks/index.h"
#include "blobstore/chunks/index_db_priv.h"

enum index_sql {
        TOTAL_GET,
        TOTAL_SET,
        SEGMENT_OPEN_LIST,
        SEGMENT_PUT,
        SEGMENT_SEAL,
        SEGMENT_GET,
        SEGMENT_LIST,
        SEGMENT_NEXT,
        SEGMENT_DIED,
        SEGMENT_UNMARK,
        SEGMENT_DELETE,
        SEGMENT_NEXT_MARKED,
        SEGMENT_IMPORT,
        SEGMENT_UNTIDY,
        SEGMENT_FILL,
        SEGMENT_FILLED,
        SEGMENT_FILLING,
        SEGMENT_TIDIED,
        SEGMENT_COUNT,
        CHUNK_FIND,
        CHUNK_BASE,
        CHUNK_TOUCH,
        CHUNK_ADD,
        CHUNK_RETAIN,
        CHUNK_RELEASE,
        CHUNK_DISTRUST,
        CHUNK_UNUSED,
        CHUNK_KILL,
        CHUNK_FORGET,
        CHUNK_FORGET_MOVED,
        CHUNK_PLACES,
        CHUNK_WHERE,
        CHUNK_OF_SEGMENT,
        CHUNK_IN,
        CHUNK_MOVE,
        CHUNK_LIST,
        CHUNK_IMPORT_RECORD,
        CHUNK_IMPORT_ENTRY,
        CHUNK_IMPORT_NAME,
        CHUNK_IMPORT_BASE,
        CHUNK_IMPORT_BASES,
        CHUNK_COUNT_BASES,
        CHUNK_FORGET_NAMES,
        CHUNK_PROVE,
        CHUNK_TOTALS,
        FEATURE_PUT,
        FEATURE_GET,
        DEBRIS_ADD,
        DEBRIS_UNUSED,
        DEBRIS_KILL,
        DEBRIS_COVER,
        DEBRIS_PLACES,
        DEBRIS_FORGET,
        BLOB_ADD,
        BLOB_COUNT,
        BLOB_KILL,
        BLOB_UNCOUNT,
        BLOB_FORGET,
        BLOB_GET,
        BLOB_LIST_LIVE,
        BLOB_LIST_OTHERS,
        LOAN_ADD,
        LOAN_LIST,
        LOAN_SHRINK,
        LOAN_END,
        LOAN_OF,
        LOAN_ANY,
        LOAN_LOST,
        INDEX_SQL_COUNT,
};

/* ---- index_sql.c ---- */

#define INDEX_VERSION 3

extern const char index_schema[];
extern const char index_step[]; /* from the version before */
extern const char *const index_statements[INDEX_SQL_COUNT];

struct index_total {
        struct blobstore_stats stats;
        uint64_t epoch;
        uint64_t next_segment;
        uint64_t generation, token; /* see index_state.h */
        uint64_t orphans_us;        /* since when there are some; 0: none */
};

/* batch.c's alone; all of it under the index's lock, but for the conditions and the segments. */
struct batch {
        struct segments *segments;  /* borrowed */
        unsigned chunks;            /* added or counted in the open transaction */
        struct segment_range *lost; /* bytes of lost batches, to be recorded with the next one that is not */
        size_t n_lost;

        /* A thread that commits large batches, started by the first of them. */
        pthread_t flusher;
        bool has_flusher;
        bool flushing; /* it is asked to, or at it */
        bool closing;
        pthread_cond_t flush;   /* flushing or closing was set */
        pthread_cond_t flushed; /* flushing was cleared */
};

struct index {
        int dir_fd;
        atomic_bool *degraded;

        pthread_mutex_t shown_lock; /* a leaf */
        struct blobstore_stats shown; /* as they were when somebody asked last; under that */

        pthread_mutex_t lock; /* everything below; taken before the segments' */
        struct index_db *db;
        struct index_total total; /* as it is with the open transaction */
        struct index_total committed;
        bool certain;   /* constant after the opening */
        bool recovered; /* it may be written to, and closed as one that is certain */
        bool changed;   /* the store's state says that it may have been */
        bool swept;     /* since the opening */
        LIST_HEAD(, index_writer) writers;
        struct batch batch;
};

#define DB_ID(id) DB_BLOB((id)->bytes, BLOB_ID_SIZE)

/* A chunk's name, as two arguments: its key, and the rest. */
#define DB_NAME(name) DB_INT(chunk_name_key(name)), DB_BLOB(chunk_name_rest(name), CHUNK_NAME_REST_SIZE)

/* ---- index_tx.c ---- */

bool index_is_stale(int dir_fd);
int index_unmark_stale(int dir_fd);

/* All of these with the lock held. */

/* Gives R; after a contradiction nothing is changed any more, and all is counted again at the next opening. */
int index_error(struct index *ix, int r);

/* What the store says of its index, with that token; see index_state.h. */
int index_write_state(struct index *ix, uint64_t token);

/* Begins a transaction, unless one is open. From the first one on the index is not certain. -EROFS. */
int index_tx_begin(struct index *ix, bool durable);

/* Takes what a step gave for one that changes a single row: 0, or -EUCLEAN where there was none to change. */
int index_tx_one(int r);

/* Calls FN for each segment that is not sealed. */
int index_tx_open_segments(struct index *ix, index_segment_fn *fn, void *ctx);

int index_tx_put_segments(struct index *ix, const struct segment_state *states, size_t n);

/* Bytes of a segment that no chunk's row names. EPOCH 0: nobody knows whether somebody needs them. */
int index_tx_add_debris(struct index *ix, uint64_t place, uint64_t len, uint64_t epoch);

/* There are orphans from now on. */
void index_tx_note_orphans(struct index *ix);
int index_tx_commit(struct index *ix, uint32_t next_segment);
void index_tx_rollback(struct index *ix);

/* One more reference to a chunk. -EUCLEAN: it is not there, or what is there cannot be believed. */
int index_tx_retain(struct index *ix, uint64_t place);
/* One less. -EUCLEAN likewise. */
int index_tx_release(struct index *ix, uint64_t place);

/* A chunk's name from the columns COLUMN and the next of a row; zeros where they are NULL. */
int index_column_name(struct index *ix, enum index_sql stmt, int column, struct chunk_name *ret);

/* A chunk's first reference, or its last one gone: SIGN is 1 or -1. */
void index_count_chunk(struct index *ix, int64_t raw_len, int64_t stored_len, int sign);
void index_count_blob(struct index *ix, const struct blob_info *info, int sign);

#endif

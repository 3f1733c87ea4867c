/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_INDEX_PRIV_H
#define BLOBSTORE_CHUNKS_INDEX_PRIV_H

/*
 * What the files of the index share: index.c (opening, writers), index_blob.c (a blob's life), index_space.c (giving
 * space back) and index_audit.c (counting, rebuilding, checking). They change it by way of batch.c, which commits, and
 * that by way of index_tx.c.
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
        SEGMENT_GET,
        SEGMENT_LIST,
        SEGMENT_MARK,
        SEGMENT_UNMARK,
        SEGMENT_DELETE,
        SEGMENT_NEXT_MARKED,
        SEGMENT_IMPORT,
        CHUNK_FIND,
        CHUNK_USE,
        CHUNK_TOUCH,
        CHUNK_ADD,
        CHUNK_RETAIN,
        CHUNK_RELEASE,
        CHUNK_UNUSED,
        CHUNK_DELETE,
        CHUNK_PLACES,
        CHUNK_LIST,
        CHUNK_IMPORT,
        BLOB_ADD,
        BLOB_COUNT,
        BLOB_KILL,
        BLOB_UNCOUNT,
        BLOB_FORGET,
        BLOB_GET,
        BLOB_LIST_LIVE,
        BLOB_LIST_OTHERS,
        INDEX_SQL_COUNT,
};

struct index_total {
        struct blobstore_stats stats;
        uint64_t epoch;
        uint64_t next_segment;
};

/* batch.c's alone; all of it under the index's lock, but for the conditions and the segments. */
struct batch {
        struct segments *segments; /* borrowed */
        unsigned chunks; /* added or counted in the open transaction */
        bool lost; /* one, whose bytes lie in segments without a row */
        bool strangers; /* there were bytes at the opening of which it does not know; constant after it */

        /* A thread that commits large batches, started by the first of them. */
        pthread_t flusher;
        bool has_flusher;
        bool flushing; /* it is asked to, or at it */
        bool closing;
        pthread_cond_t flush; /* flushing or closing was set */
        pthread_cond_t flushed; /* flushing was cleared */
};

struct index {
        int dir_fd;
        atomic_bool *degraded;

        pthread_mutex_t lock; /* everything below; taken before the segments' */
        struct index_db *db;
        struct index_total total; /* as it is with the open transaction */
        struct index_total committed;
        bool swept; /* since the opening */
        LIST_HEAD(, index_writer) writers;
        struct batch batch;
};

#define DB_ID(id) DB_BLOB((id)->bytes, BLOB_ID_SIZE)

/* ---- index_tx.c ---- */

bool index_is_stale(int dir_fd);
int index_unmark_stale(int dir_fd);

/* All of these with the lock held. */

/* Gives R; after a contradiction nothing is changed any more, and all is counted again at the next opening. */
int index_error(struct index *ix, int r);

/* Begins a transaction, unless one is open. -EROFS. */
int index_tx_begin(struct index *ix, bool durable);

/* Calls FN for each segment that is not sealed. */
int index_tx_open_segments(struct index *ix, index_segment_fn *fn, void *ctx);

/* With GAPS, bytes without a row may lie in them. */
int index_tx_put_segments(struct index *ix, const struct segment_state *states, size_t n, bool gaps);
int index_tx_commit(struct index *ix, uint32_t next_segment);
void index_tx_rollback(struct index *ix);

/* A chunk's first reference, or its last one gone: SIGN is 1 or -1. */
void index_count_chunk(struct index *ix, int64_t raw_len, int64_t stored_len, int sign);
void index_count_blob(struct index *ix, const struct blob_info *info, int sign);

#endif

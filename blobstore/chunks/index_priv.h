/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_INDEX_PRIV_H
#define BLOBSTORE_CHUNKS_INDEX_PRIV_H

/*
 * What the files of the index share: index.c (opening, batches, writers), index_blob.c (a blob's life), index_space.c
 * (giving space back) and index_audit.c (counting, rebuilding, checking).
 */

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "blobstore/chunks/index.h"
#include "blobstore/chunks/index_db.h"

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

struct index {
        int dir_fd;
        struct segments *segments;
        atomic_bool *degraded;

        pthread_mutex_t lock; /* everything below; taken before the segments' */
        struct index_db *db;
        struct index_total total; /* as it is with the open transaction */
        struct index_total committed;
        unsigned batch; /* chunks, added or counted, in the open transaction */
        bool swept; /* since the opening */
        bool lost; /* a batch, whose bytes lie in segments without a row */
        LIST_HEAD(, index_writer) writers;

        /* A thread that commits large batches, started by the first of them. */
        pthread_t flusher;
        bool has_flusher;
        bool flushing; /* it is asked to, or at it */
        bool closing;
        pthread_cond_t flush; /* flushing or closing was set */
        pthread_cond_t flushed; /* flushing was cleared */
};

/* Ends the flusher; the lock is not held. */
void index_flush_end(struct index *ix);

#define DB_ID(id) DB_BLOB((id)->bytes, BLOB_ID_SIZE)

/* All of these with the lock held. */

/* Gives R; after a contradiction nothing is changed any more, and all is counted again at the next opening. */
int index_error(struct index *ix, int r);
/* Begins a batch, or goes on with it. */
int index_begin(struct index *ix);
/* Rolls the batch back; gives R, which its writers will be told. */
int index_lose(struct index *ix, int r);
/* Commits what there is, after the bytes that it names; all or nothing. */
int index_commit(struct index *ix);
/*
 * N more chunks of W are in the batch, which is committed when it has grown large. Waits only where it grows faster than
 * the disk takes it.
 */
void index_grow_batch(struct index *ix, struct index_writer *w, unsigned n);
/* Begins a change of its own, so that its failure takes nobody's batch along. End it with index_end_change(). */
int index_begin_change(struct index *ix);
/* R is how the change went: commits it, or rolls it back. */
int index_end_change(struct index *ix, int r);

/* A chunk's first reference, or its last one gone: SIGN is 1 or -1. */
void index_count_chunk(struct index *ix, int64_t raw_len, int64_t stored_len, int sign);
void index_count_blob(struct index *ix, const struct blob_info *info, int sign);

#endif

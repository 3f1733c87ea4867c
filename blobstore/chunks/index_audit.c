/* SPDX-License-Identifier: MIT */

/*
 * Statistics, rebuilding the index from maps, and holding it against itself.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/chunks/index_priv.h"

int index_stats(struct index *ix, struct blobstore_stats *ret)
{
        LOCK_SCOPE(&ix->lock);
        *ret = ix->total.stats;
        return 0;
}

/* An id that was ever named is not given to another segment, whether its file is there or not. */
static void index_saw_segment(struct index *ix, uint32_t id)
{
        if (id >= ix->total.next_segment)
                ix->total.next_segment = (uint64_t)id + 1;
}

int index_import_chunk(struct index *ix, const struct index_chunk *chunk)
{
        int64_t refs = 0;
        int r;

        LOCK_SCOPE(&ix->lock);
        index_saw_segment(ix, place_segment(chunk->place));
        r = index_db_begin(ix->db, true);
        if (r < 0)
                return r;
        r = index_db_get(ix->db, CHUNK_IMPORT, &refs, 1,
                         DB_ARGS(DB_INT(chunk->place), DB_INT(chunk->key), DB_INT(chunk->raw_len),
                                 DB_INT(chunk->stored_len)));
        if (r < 0)
                return r;
        if (refs != 1)
                return 0;
        index_count_chunk(ix, chunk->raw_len, chunk->stored_len, 1);
        return 1;
}

int index_import_blob(struct index *ix, const struct index_blob *blob)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_begin(ix->db, true);
        if (r < 0)
                return r;
        r = index_db_run(ix->db, BLOB_ADD,
                         DB_ARGS(DB_ID(&blob->id), DB_INT(blob->state), DB_INT(blob->retained),
                                 DB_INT(blob->info.size_bytes), DB_INT(blob->info.data_bytes),
                                 DB_INT(blob->info.data_clusters), DB_INT(blob->info.data_spans),
                                 DB_BLOB(blob->info.checksum.bytes, BLOB_CHECKSUM_SIZE)));
        if (r == 0 && blob->state == BLOB_LIVE)
                index_count_blob(ix, &blob->info, 1);
        return r;
}

int index_import_segment(struct index *ix, uint32_t id, uint64_t size)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        index_saw_segment(ix, id);
        r = index_db_begin(ix->db, true);
        if (r < 0)
                return r;
        return index_db_run(ix->db, SEGMENT_IMPORT, DB_ARGS(DB_INT(id), DB_INT(size)));
}

int index_chunk_list(struct index *ix, uint64_t place, struct index_chunk *ret, size_t max)
{
        int n = 0, r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_start(ix->db, CHUNK_LIST, DB_ARGS(DB_INT(place), DB_INT(max)));
        while (r == 0 && (size_t)n < max && (r = index_db_next(ix->db, CHUNK_LIST)) > 0) {
                ret[n].place = (uint64_t)index_db_column(ix->db, CHUNK_LIST, 0);
                ret[n].key = (uint64_t)index_db_column(ix->db, CHUNK_LIST, 1);
                ret[n].raw_len = (uint32_t)index_db_column(ix->db, CHUNK_LIST, 2);
                ret[n].stored_len = (uint32_t)index_db_column(ix->db, CHUNK_LIST, 3);
                ret[n].refs = (uint64_t)index_db_column(ix->db, CHUNK_LIST, 4);
                n++;
                r = 0;
        }
        index_db_end(ix->db, CHUNK_LIST);
        return r < 0 ? r : n;
}

int index_segment_each(struct index *ix, index_segment_fn *fn, void *ctx)
{
        struct segment_state s;
        int r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_start(ix->db, SEGMENT_LIST, DB_NONE);
        while (r == 0 && (r = index_db_next(ix->db, SEGMENT_LIST)) > 0) {
                s.id = (uint32_t)index_db_column(ix->db, SEGMENT_LIST, 0);
                s.end = (uint64_t)index_db_column(ix->db, SEGMENT_LIST, 1);
                s.sealed = index_db_column(ix->db, SEGMENT_LIST, 2) != 0;
                r = fn(ctx, &s);
        }
        index_db_end(ix->db, SEGMENT_LIST);
        return r;
}

int index_verify(struct index *ix)
{
        LOCK_SCOPE(&ix->lock);
        return index_db_verify(ix->db);
}

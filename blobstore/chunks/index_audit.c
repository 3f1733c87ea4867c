/* SPDX-License-Identifier: MIT */

/*
 * Statistics, and holding the index against itself.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/chunks/index_priv.h"

/*
 * A disk that does not answer leaves the lock with who waits for it. These are for people, who are to have them of other
 * stores, and get what was known.
 */
#define STATS_SECONDS 5

int index_stats(struct index *ix, struct blobstore_stats *ret)
{
        const bool locked = lock_within(&ix->lock, STATS_SECONDS);

        {
                LOCK_SCOPE(&ix->shown_lock);
                if (locked)
                        ix->shown = ix->total.stats;
                *ret = ix->shown;
        }
        if (locked)
                unlock(&ix->lock);
        return 0;
}

int index_chunk_list(struct index *ix, uint64_t place, struct index_chunk *ret, size_t max)
{
        int n = 0, r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_start(ix->db, CHUNK_LIST, DB_ARGS(DB_INT(place), DB_INT(max)));
        while (r == 0 && (size_t)n < max && (r = index_db_next(ix->db, CHUNK_LIST)) > 0) {
                ret[n].place = (uint64_t)index_db_column(ix->db, CHUNK_LIST, 0);
                ret[n].at = (uint64_t)index_db_column(ix->db, CHUNK_LIST, 1);
                ret[n].raw_len = (uint32_t)index_db_column(ix->db, CHUNK_LIST, 4);
                ret[n].stored_len = (uint32_t)index_db_column(ix->db, CHUNK_LIST, 5);
                ret[n].base = (uint64_t)index_db_column(ix->db, CHUNK_LIST, 6);
                ret[n].refs = index_db_column(ix->db, CHUNK_LIST, 7);
                ret[n].proven = index_db_column(ix->db, CHUNK_LIST, 8) != 0;
                r = index_column_name(ix, CHUNK_LIST, 2, &ret[n++].name);
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

int index_segment_next(struct index *ix, uint32_t after, struct segment_state *ret)
{
        int64_t v[3];
        int r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_get(ix->db, SEGMENT_NEXT, v, 3, DB_ARGS(DB_INT(after)));
        if (r > 0)
                *ret = (struct segment_state){ .id = (uint32_t)v[0], .end = (uint64_t)v[1], .sealed = v[2] != 0 };
        return r;
}

int index_verify(struct index *ix)
{
        LOCK_SCOPE(&ix->lock);
        return index_db_verify(ix->db);
}

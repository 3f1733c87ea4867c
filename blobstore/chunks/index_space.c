/* SPDX-License-Identifier: MIT */

/*
 * Giving space back: sweeping chunks that nobody refers to, and finding the gaps that they leave in segments.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/block.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/chunks/batch_priv.h"
#include "blobstore/chunks/index_priv.h"

int index_sweep_begin(struct index *ix, uint64_t *ret_limit)
{
        struct index_writer *w;
        uint64_t limit;
        int r;

        LOCK_SCOPE(&ix->lock);
        r = batch_begin_change(ix);
        if (r < 0)
                return r;
        ix->total.epoch++;
        r = batch_end_change(ix, 0);
        if (r < 0)
                return r;

        ix->swept = true;
        limit = ix->total.epoch;
        LIST_FOREACH(w, &ix->writers, link)
                if (w->epoch < limit)
                        limit = w->epoch;
        *ret_limit = limit;
        return 0;
}

int index_sweep(struct index *ix, uint64_t limit, unsigned max)
{
        CLEANUP_FREE int64_t *places = NULL;
        uint32_t segment = 0;
        int n = 0, r;

        places = calloc(max, sizeof(*places));
        if (!places)
                return -ENOMEM;

        LOCK_SCOPE(&ix->lock);
        r = index_db_start(ix->db, CHUNK_UNUSED, DB_ARGS(DB_INT(limit), DB_INT(max)));
        while (r == 0 && n < (int)max && (r = index_db_next(ix->db, CHUNK_UNUSED)) > 0) {
                places[n++] = index_db_column(ix->db, CHUNK_UNUSED, 0);
                r = 0;
        }
        index_db_end(ix->db, CHUNK_UNUSED);
        if (r < 0)
                return index_error(ix, r);
        if (n == 0)
                return 0;

        r = batch_begin_change(ix);
        if (r < 0)
                return r;
        for (int i = 0; r == 0 && i < n; i++) {
                if (place_segment((uint64_t)places[i]) != segment) {
                        segment = place_segment((uint64_t)places[i]);
                        r = index_db_run(ix->db, SEGMENT_MARK, DB_ARGS(DB_INT(segment)));
                }
                if (r == 0)
                        r = index_db_run(ix->db, CHUNK_DELETE, DB_ARGS(DB_INT(places[i])));
        }
        r = batch_end_change(ix, r);
        return r < 0 ? r : n;
}

int index_marked_segment(struct index *ix, uint32_t after, uint32_t *ret)
{
        int64_t id;
        int r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_get(ix->db, SEGMENT_NEXT_MARKED, &id, 1, DB_ARGS(DB_INT(after)));
        if (r > 0)
                *ret = (uint32_t)id;
        return index_error(ix, r);
}

/* Notes [FROM, TO) in a growing array, where it holds a whole block. */
static int index_gap_add(struct index_gap **gaps, size_t *n, uint64_t from, uint64_t to)
{
        struct index_gap *grown;

        from = (from + BLOB_BLOCK_SIZE - 1) / BLOB_BLOCK_SIZE * BLOB_BLOCK_SIZE;
        to = to / BLOB_BLOCK_SIZE * BLOB_BLOCK_SIZE;
        if (from >= to)
                return 0;
        if ((*n & (*n - 1)) == 0) { /* full at every power of two */
                grown = reallocarray(*gaps, *n ? 2 * *n : 1, sizeof(**gaps));
                if (!grown)
                        return -ENOMEM;
                *gaps = grown;
        }
        (*gaps)[(*n)++] = (struct index_gap){ from, to };
        return 0;
}

int index_gaps(struct index *ix, uint32_t segment, struct index_gap **ret, size_t *ret_n, bool *ret_empty)
{
        CLEANUP_FREE struct index_gap *gaps = NULL;
        uint64_t place, pos = SEGMENT_HEADER_SIZE;
        bool any = false;
        int64_t state[2]; /* end, sealed */
        size_t n = 0;
        int r;

        LOCK_SCOPE(&ix->lock);
        /* Behind its last row there may be bytes on their way to one. */
        if (batch_appends_to(ix, segment))
                return -EBUSY;
        r = index_db_get(ix->db, SEGMENT_GET, state, 2, DB_ARGS(DB_INT(segment)));
        if (r == 0)
                r = -EUCLEAN;
        if (r < 0)
                return index_error(ix, r);

        r = index_db_start(ix->db, CHUNK_PLACES,
                           DB_ARGS(DB_INT(place_make(segment, 0)), DB_INT(place_make(segment, UINT32_MAX))));
        while (r == 0 && (r = index_db_next(ix->db, CHUNK_PLACES)) > 0) {
                place = (uint64_t)index_db_column(ix->db, CHUNK_PLACES, 0);
                r = index_gap_add(&gaps, &n, pos, place_offset(place));
                pos = place_offset(place) + (uint64_t)index_db_column(ix->db, CHUNK_PLACES, 1);
                any = true;
        }
        index_db_end(ix->db, CHUNK_PLACES);
        if (r == 0)
                r = index_gap_add(&gaps, &n, pos, (uint64_t)state[0]);
        if (r < 0)
                return index_error(ix, r);

        *ret = TAKE_PTR(gaps);
        *ret_n = n;
        *ret_empty = state[1] && !any;
        return 0;
}

int index_unmark_segment(struct index *ix, uint32_t segment, bool removed)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        r = batch_begin_change(ix);
        if (r < 0)
                return r;
        return batch_end_change(ix, index_db_run(ix->db, removed ? SEGMENT_DELETE : SEGMENT_UNMARK,
                                                 DB_ARGS(DB_INT(segment))));
}

void index_set_thrifty(struct index *ix, bool thrifty)
{
        LOCK_SCOPE(&ix->lock);
        index_db_set_thrifty(ix->db, thrifty);
}

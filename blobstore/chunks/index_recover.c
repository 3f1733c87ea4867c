/* SPDX-License-Identifier: MIT */

/*
 * After a crash: segments without a footer are described by what the index knows of them, and sealed; nothing is
 * appended to them any more. What lies behind their known ends, and in segments that the index does not know at all, is
 * debris that nobody is known to need, and nobody is known not to.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/chunks/batch_priv.h"
#include "blobstore/chunks/index_move.h"
#include "blobstore/chunks/index_priv.h"

struct open_segments {
        struct segment_state *states;
        size_t n;
};

static int recover_list(void *ctx, const struct segment_state *s)
{
        struct open_segments *open = ctx;
        struct segment_state *grown = reallocarray(open->states, open->n + 1, sizeof(*grown));

        if (!grown)
                return -ENOMEM;
        open->states = grown;
        open->states[open->n++] = *s;
        return 0;
}

/* Call with the lock held: what the rows say of a segment, to be released with footer_done(). */
static int recover_describe(struct index *ix, uint32_t id, struct footer *ret)
{
        struct footer_record record;
        int r;

        r = index_db_start(ix->db, CHUNK_OF_SEGMENT,
                           DB_ARGS(DB_INT(place_make(id, 0)), DB_INT(place_make(id, UINT32_MAX))));
        while (r == 0 && (r = index_db_next(ix->db, CHUNK_OF_SEGMENT)) > 0) {
                record = (struct footer_record){
                        .place = (uint64_t)index_db_column(ix->db, CHUNK_OF_SEGMENT, 0),
                        .raw_len = (uint32_t)index_db_column(ix->db, CHUNK_OF_SEGMENT, 1),
                        .stored_len = (uint32_t)index_db_column(ix->db, CHUNK_OF_SEGMENT, 2),
                        .base = (uint64_t)index_db_column(ix->db, CHUNK_OF_SEGMENT, 3),
                };
                record.offset = place_offset(record.place);
                r = index_column_name(ix, CHUNK_OF_SEGMENT, 4, &record.name);
                if (r == 0)
                        r = footer_add(ret, &record, NULL);
        }
        index_db_end(ix->db, CHUNK_OF_SEGMENT);
        return r;
}

/* Call with the lock held, in a transaction. One that has lost bytes, or is missing, is for the check to tell. */
static int recover_segment(struct index *ix, const struct segment_state *s)
{
        struct footer footer = { 0 };
        uint64_t size, allocated, end;
        int r;

        r = segments_stat(ix->batch.segments, s->id, &size, &allocated);
        if (r == -ENOENT)
                return index_db_run(ix->db, SEGMENT_SEAL, DB_ARGS(DB_INT(s->id), DB_INT(s->end)));
        end = size;
        if (r == 0)
                r = segments_describe(ix->batch.segments, s->id, &footer);
        if (r == 0) {
                end = footer.start; /* only its row came too late */
        } else if (r == -ENOENT || r == -EBADMSG) {
                r = recover_describe(ix, s->id, &footer);
                if (r == 0)
                        r = segments_add_footer(ix->batch.segments, s->id, &footer, &size);
        }
        footer_done(&footer);
        /* What is moved has its row elsewhere. */
        if (r == 0 && end > s->end && !s->filling)
                r = index_tx_add_debris(ix, place_make(s->id, (uint32_t)s->end), end - s->end, 0);
        return r < 0 ? r : index_db_run(ix->db, SEGMENT_SEAL, DB_ARGS(DB_INT(s->id), DB_INT(size)));
}

/* A file whose row was lost, or that was made after the last batch that the index knows of. */
static int recover_stranger(void *ctx, uint32_t id, uint64_t size)
{
        struct index *ix = ctx;
        struct footer footer = { 0 };
        uint64_t end = size;
        int64_t state[2];
        int r;

        r = index_db_get(ix->db, SEGMENT_GET, state, 2, DB_ARGS(DB_INT(id)));
        if (r != 0)
                return r < 0 ? r : 0;
        r = segments_describe(ix->batch.segments, id, &footer);
        if (r == 0)
                end = footer.start;
        footer_done(&footer);
        if (r == -ENOENT || r == -EBADMSG)
                r = segments_add_footer(ix->batch.segments, id, &footer, &size);
        if (r < 0)
                return r;
        r = index_db_run(ix->db, SEGMENT_IMPORT, DB_ARGS(DB_INT(id), DB_INT(size)));
        if (r == 0 && end > SEGMENT_HEADER_SIZE)
                r = index_tx_add_debris(ix, place_make(id, SEGMENT_HEADER_SIZE), end - SEGMENT_HEADER_SIZE, 0);
        if (id >= ix->total.next_segment)
                ix->total.next_segment = (uint64_t)id + 1;
        return r;
}

/* Call with the lock held, in a transaction. */
static int recover_moves(struct index *ix, struct moves *moves)
{
        int64_t id;
        int r;

        while ((r = index_db_get(ix->db, SEGMENT_FILLING, &id, 1, DB_NONE)) > 0) {
                r = index_move_finish(ix, moves, (uint32_t)id);
                if (r < 0)
                        return r;
        }
        return r;
}

static int recover_note(void *ctx, uint32_t id, uint64_t size)
{
        bool *strangers = ctx;

        (void)id, (void)size;
        *strangers = true;
        return 0;
}

int index_recover(struct index *ix, struct moves *moves)
{
        struct open_segments open = { 0 };
        bool strangers = false;
        int r, filling = 0;
        int64_t id;

        LOCK_SCOPE(&ix->lock);
        r = index_tx_open_segments(ix, recover_list, &open);
        if (r == 0)
                r = filling = index_db_get(ix->db, SEGMENT_FILLING, &id, 1, DB_NONE);
        /* Also one that was killed before its first change may have begun a segment. */
        if (r == 0 && ix->certain && open.n == 0)
                r = segments_each_file(ix->batch.segments, (uint32_t)ix->total.next_segment, recover_note, &strangers);
        if (r == 0 && ix->certain && open.n == 0 && !strangers) {
                ix->recovered = true;
                return 0;
        }
        r = r < 0 ? r : 0;
        if (r == 0)
                r = batch_begin_change(ix);
        for (size_t i = 0; r == 0 && i < open.n; i++)
                r = recover_segment(ix, &open.states[i]);
        free(open.states);
        if (r == 0)
                r = segments_each(ix->batch.segments, recover_stranger, ix);
        if (r == 0 && filling > 0)
                r = recover_moves(ix, moves);
        if (r == 0)
                segments_set_next(ix->batch.segments, (uint32_t)ix->total.next_segment);
        r = batch_end_change(ix, r);
        ix->recovered = r == 0;
        return r;
}

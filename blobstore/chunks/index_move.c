/* SPDX-License-Identifier: MIT */

/*
 * Chunks that are moved to another segment, known by the same place as before. The order, each step durable before the
 * next:
 *
 *      1   the new segment has a row that says that it is being filled
 *      2   the payloads lie in it, it has its footer, and is synced
 *      3   the tables of moves say where readers find them
 *      4   the chunks' rows say so, too, and the new segment's row is like any other; the old one is marked
 *
 * After that a collection removes the old segment once nothing lives in it any more. A crash between 3 and 4 is
 * finished by index_recover(), from the footer and the tables; one before 3 leaves a segment in which nothing lives.
 */

#include <errno.h>

#include "blobstore/base/lock.h"
#include "blobstore/chunks/batch_priv.h"
#include "blobstore/chunks/index_move.h"
#include "blobstore/chunks/index_priv.h"

int index_untidy_segment(struct index *ix, bool hasty, uint32_t after, uint32_t *ret)
{
        int64_t id;
        int r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_get(ix->db, SEGMENT_UNTIDY, &id, 1, DB_ARGS(DB_INT(after), DB_INT(hasty)));
        if (r > 0)
                *ret = (uint32_t)id;
        return index_error(ix, r);
}

int index_chunks_in(struct index *ix, uint32_t segment, uint64_t after, struct index_chunk *ret, size_t max)
{
        int n = 0, r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_start(ix->db, CHUNK_IN,
                           DB_ARGS(DB_INT(after > place_make(segment, 0) ? after + 1 : place_make(segment, 0)),
                                   DB_INT(place_make(segment, UINT32_MAX)), DB_INT(max)));
        while (r == 0 && (size_t)n < max && (r = index_db_next(ix->db, CHUNK_IN)) > 0) {
                struct index_chunk *c = &ret[n++];

                c->place = (uint64_t)index_db_column(ix->db, CHUNK_IN, 1);
                c->at = (uint64_t)index_db_column(ix->db, CHUNK_IN, 0);
                c->raw_len = (uint32_t)index_db_column(ix->db, CHUNK_IN, 2);
                c->stored_len = (uint32_t)index_db_column(ix->db, CHUNK_IN, 3);
                c->base = (uint64_t)index_db_column(ix->db, CHUNK_IN, 4);
                c->refs = index_db_column(ix->db, CHUNK_IN, 5);
                c->proven = index_db_column(ix->db, CHUNK_IN, 6) != 0;
                r = index_column_name(ix, CHUNK_IN, 7, &c->name);
        }
        index_db_end(ix->db, CHUNK_IN);
        return r < 0 ? index_error(ix, r) : n;
}

int index_move_begin(struct index *ix, uint32_t to)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        r = batch_begin_change(ix);
        if (r < 0)
                return r;
        return batch_end_change(ix, index_db_run(ix->db, SEGMENT_FILL, DB_ARGS(DB_INT(to))));
}

/* One that has died since is moved all the same: it is dead there. */
static int index_move_chunk(struct index *ix, const struct index_moved *m)
{
        int64_t v[2];
        int r;

        r = index_db_get(ix->db, CHUNK_MOVE, v, 2,
                         DB_ARGS(DB_INT(m->chunk.place), DB_INT(m->chunk.at), DB_INT(m->chunk.stored_len)));
        if (r <= 0)
                return index_tx_one(r);
        if (v[0] > 0)
                ix->total.stats.stored_bytes += m->chunk.stored_len - (uint64_t)m->old_len;
        return index_tx_one(index_db_get(ix->db, SEGMENT_DIED, v, 1,
                                         DB_ARGS(DB_INT(place_segment(m->old_at)), DB_INT(m->old_len))));
}

int index_move_end(struct index *ix, uint32_t to, const struct index_moved *moved, size_t n)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        r = batch_begin_change(ix);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = index_move_chunk(ix, &moved[i]);
        if (r == 0)
                r = index_db_run(ix->db, SEGMENT_FILLED, DB_ARGS(DB_INT(to), DB_INT(n == 0)));
        return batch_end_change(ix, r);
}

int index_where(struct index *ix, uint64_t place, struct moved_chunk *ret)
{
        int64_t v[3];
        int r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_get(ix->db, CHUNK_WHERE, v, 3, DB_ARGS(DB_INT(place)));
        if (r <= 0 || v[0] == 0)
                return index_error(ix, r < 0 ? r : 0);
        *ret = (struct moved_chunk){ .place = place, .at = (uint64_t)v[0], .stored_len = (uint32_t)v[2] };
        return 1;
}

int index_tidied(struct index *ix, uint32_t segment)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        r = batch_begin_change(ix);
        return r < 0 ? r : batch_end_change(ix, index_db_run(ix->db, SEGMENT_TIDIED, DB_ARGS(DB_INT(segment))));
}

/* ---- after a crash ---- */

/* Call with the lock held, in a transaction. What the tables say lies there does. */
static int index_finish_record(struct index *ix, struct moves *moves, uint32_t segment,
                               const struct footer_record *record)
{
        struct moved_chunk found;
        int64_t v[3];
        int r;

        r = moves_find(moves, record->place, &found);
        if (r <= 0 || found.at != place_make(segment, record->offset))
                return r == -EBADMSG ? 0 : r < 0 ? r : 0;
        r = index_db_get(ix->db, CHUNK_WHERE, v, 3, DB_ARGS(DB_INT(record->place)));
        if (r <= 0 || (uint64_t)v[0] == found.at)
                return r < 0 ? r : 0;
        return index_move_chunk(ix, &(struct index_moved){
                                            .chunk = found,
                                            .old_at = v[0] ? (uint64_t)v[0] : record->place,
                                            .old_len = (uint32_t)v[2],
                                    });
}

int index_move_finish(struct index *ix, struct moves *moves, uint32_t to)
{
        struct footer footer = { 0 };
        int r;

        r = segments_describe(ix->batch.segments, to, &footer);
        if (r == -EBADMSG) /* readers may be sent there */
                return index_db_run(ix->db, SEGMENT_TIDIED, DB_ARGS(DB_INT(to)));
        if (r == -ENOENT)
                r = 0;
        for (size_t i = 0; r == 0 && i < footer.n; i++)
                r = index_finish_record(ix, moves, to, &footer.records[i]);
        footer_done(&footer);
        return r < 0 ? r : index_db_run(ix->db, SEGMENT_FILLED, DB_ARGS(DB_INT(to), DB_INT(1)));
}

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
#include "blobstore/chunks/moves.h"

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

struct dying {
        uint64_t place, lies, base;
        int64_t stored_len; /* of a chunk */
        bool debris;
};

/* What is unused, of one of the two tables, behind the N that are known; gives the new count. */
static int index_list_unused(struct index *ix, bool debris, int64_t from, uint64_t limit, struct dying *dying,
                             unsigned n, unsigned max)
{
        enum index_sql stmt = debris ? DEBRIS_UNUSED : CHUNK_UNUSED;
        int r;

        r = index_db_start(ix->db, stmt, DB_ARGS(DB_INT(from), DB_INT(limit), DB_INT(max - n)));
        while (r == 0 && n < max && (r = index_db_next(ix->db, stmt)) > 0) {
                struct dying *d = &dying[n++];

                *d = (struct dying){ .place = (uint64_t)index_db_column(ix->db, stmt, 0), .debris = debris };
                d->lies = d->place;
                if (!debris && index_db_column(ix->db, stmt, 1) != 0)
                        d->lies = (uint64_t)index_db_column(ix->db, stmt, 1);
                d->base = debris ? 0 : (uint64_t)index_db_column(ix->db, stmt, 2);
                d->stored_len = debris ? 0 : index_db_column(ix->db, stmt, 3);
                r = index_db_column(ix->db, stmt, debris ? 1 : 4) ? 0 : -EUCLEAN; /* its proof */
        }
        index_db_end(ix->db, stmt);
        return r < 0 ? r : (int)n;
}

/* 1: its base has lost its last reference. */
static int index_kill(struct index *ix, const struct dying *d)
{
        int64_t v[3];
        int r;

        r = index_tx_one(index_db_get(ix->db, SEGMENT_DIED, v, 1,
                                      DB_ARGS(DB_INT(place_segment(d->lies)), DB_INT(d->stored_len))));
        if (r == 0)
                r = index_db_run(ix->db, d->debris ? DEBRIS_KILL : CHUNK_KILL, DB_ARGS(DB_INT(d->place)));
        if (r < 0 || !d->base)
                return r;
        r = index_tx_one(index_db_get(ix->db, CHUNK_RELEASE, v, 3, DB_ARGS(DB_INT(d->base), DB_INT(ix->total.epoch))));
        if (r < 0 || v[0] > 0)
                return r;
        index_count_chunk(ix, v[1], v[2], -1);
        return 1;
}

int index_sweep(struct index *ix, uint64_t limit, bool orphans, unsigned max, unsigned *ret_bases)
{
        CLEANUP_FREE struct dying *dying = calloc(max, sizeof(*dying));
        const int64_t from = orphans ? 0 : 1;
        unsigned bases = 0;
        int n, r;

        if (!dying)
                return -ENOMEM;

        LOCK_SCOPE(&ix->lock);
        n = index_list_unused(ix, false, from, limit, dying, 0, max);
        if (n >= 0)
                n = index_list_unused(ix, true, from, limit, dying, (unsigned)n, max);
        if (n < 0)
                return index_error(ix, n);
        /* Orphans are of epoch 0: a writer from before the first sweep keeps them, and they are due still. */
        if (n == 0 && (!orphans || ix->total.orphans_us == 0 || limit == 0))
                return 0;

        r = batch_begin_change(ix);
        if (r < 0)
                return r;
        for (int i = 0; r >= 0 && i < n; i++) {
                r = index_kill(ix, &dying[i]);
                bases += r > 0;
        }
        if (orphans && n == 0)
                ix->total.orphans_us = 0;
        r = batch_end_change(ix, r < 0 ? r : 0);
        if (r < 0)
                return r;
        *ret_bases += bases;
        return n;
}

uint64_t index_orphans_since(struct index *ix)
{
        LOCK_SCOPE(&ix->lock);
        return ix->total.orphans_us;
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

/* ---- what may be given back of a segment ---- */

struct gaps {
        struct index_gap *gaps;
        size_t n;
        uint64_t from, to; /* dead bytes that are not noted yet; chunks touch, and holes are made of whole blocks */
};

/* Notes what was gathered, where it holds a whole block. */
static int gaps_note(struct gaps *g)
{
        uint64_t from = (g->from + BLOB_BLOCK_SIZE - 1) / BLOB_BLOCK_SIZE * BLOB_BLOCK_SIZE;
        uint64_t to = g->to / BLOB_BLOCK_SIZE * BLOB_BLOCK_SIZE;
        struct index_gap *grown;

        g->from = g->to = 0;
        if (from >= to)
                return 0;
        if ((g->n & (g->n - 1)) == 0) { /* full at every power of two */
                grown = reallocarray(g->gaps, g->n ? 2 * g->n : 1, sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                g->gaps = grown;
        }
        g->gaps[g->n++] = (struct index_gap){ from, to };
        return 0;
}

static int gaps_add(struct gaps *g, uint64_t from, uint64_t to)
{
        int r = 0;

        if (from >= to)
                return 0;
        if (from > g->to || g->to == 0)
                r = gaps_note(g);
        if (g->to == 0)
                g->from = from;
        if (g->to < to)
                g->to = to;
        return r;
}

struct debris {
        uint64_t from, to;
        bool dead;
};

/* The debris in a segment, of which there is little; owned by the caller. */
static int index_list_debris(struct index *ix, uint32_t segment, struct debris **ret, size_t *ret_n)
{
        CLEANUP_FREE struct debris *all = NULL;
        struct debris *grown;
        size_t n = 0;
        int r;

        r = index_db_start(ix->db, DEBRIS_PLACES,
                           DB_ARGS(DB_INT(place_make(segment, 0)), DB_INT(place_make(segment, UINT32_MAX))));
        while (r == 0 && (r = index_db_next(ix->db, DEBRIS_PLACES)) > 0) {
                grown = reallocarray(all, n + 1, sizeof(*all));
                if (!grown) {
                        r = -ENOMEM;
                        break;
                }
                all = grown;
                all[n].from = place_offset((uint64_t)index_db_column(ix->db, DEBRIS_PLACES, 0));
                all[n].to = all[n].from + (uint64_t)index_db_column(ix->db, DEBRIS_PLACES, 1);
                all[n++].dead = index_db_column(ix->db, DEBRIS_PLACES, 2) == 1;
                r = index_db_column(ix->db, DEBRIS_PLACES, 3) ? 0 : -EUCLEAN;
        }
        index_db_end(ix->db, DEBRIS_PLACES);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(all);
        *ret_n = n;
        return 0;
}

/* Dead chunks among those in [FROM, TO) of a segment, or, where DEBRIS, what lies between chunks there. */
static int gaps_of(struct index *ix, uint32_t segment, uint64_t from, uint64_t to, bool debris, struct gaps *g,
                   bool *ret_alive)
{
        uint64_t pos = from, lies;
        int r;

        r = index_db_start(
                ix->db, CHUNK_PLACES,
                DB_ARGS(DB_INT(place_make(segment, (uint32_t)from)), DB_INT(place_make(segment, (uint32_t)to))));
        while (r == 0 && (r = index_db_next(ix->db, CHUNK_PLACES)) > 0) {
                bool dead = index_db_column(ix->db, CHUNK_PLACES, 2) == -1;

                if (!index_db_column(ix->db, CHUNK_PLACES, 3)) {
                        r = -EUCLEAN;
                        break;
                }
                lies = place_offset((uint64_t)index_db_column(ix->db, CHUNK_PLACES, 0));
                *ret_alive |= !dead;
                r = debris ? gaps_add(g, pos, lies) : 0;
                pos = lies + (uint64_t)index_db_column(ix->db, CHUNK_PLACES, 1);
                if (r == 0 && dead && !debris)
                        r = gaps_add(g, lies, pos);
        }
        index_db_end(ix->db, CHUNK_PLACES);
        if (r == 0 && debris)
                r = gaps_add(g, pos, to);
        return r < 0 ? r : gaps_note(g);
}

/* A chunk that got its row late may lie in the midst of what a lost batch left. */
static int index_find_gaps(struct index *ix, uint32_t segment, struct gaps *g, bool *ret_alive)
{
        CLEANUP_FREE struct debris *debris = NULL;
        size_t n = 0;
        int r;

        r = gaps_of(ix, segment, 0, UINT32_MAX, false, g, ret_alive);
        if (r == 0)
                r = index_list_debris(ix, segment, &debris, &n);
        for (size_t i = 0; r == 0 && i < n; i++) {
                *ret_alive |= !debris[i].dead;
                if (debris[i].dead)
                        r = gaps_of(ix, segment, debris[i].from, debris[i].to, true, g, ret_alive);
        }
        return r;
}

int index_gaps(struct index *ix, uint32_t segment, struct index_gap **ret, size_t *ret_n, bool *ret_empty,
               bool *ret_sealed)
{
        struct gaps g = { 0 };
        bool alive = false;
        int64_t state[2]; /* end, sealed */
        int r;

        LOCK_SCOPE(&ix->lock);
        /* Its last bytes may be on their way to a row. */
        if (batch_appends_to(ix, segment))
                return -EBUSY;
        r = index_tx_one(index_db_get(ix->db, SEGMENT_GET, state, 2, DB_ARGS(DB_INT(segment))));
        if (r == 0)
                r = index_find_gaps(ix, segment, &g, &alive);
        if (r < 0) {
                free(g.gaps);
                return index_error(ix, r);
        }
        *ret = g.gaps;
        *ret_n = g.n;
        *ret_empty = !alive;
        *ret_sealed = state[1] != 0;
        return 0;
}

/* Are readers of PLACE sent to where it LIES? A table that does not tell may say so. */
static bool moves_lead_to(struct moves *moves, uint64_t place, uint64_t lies)
{
        struct moved_chunk moved;
        int r = moves_find(moves, place, &moved);

        return r < 0 || (r > 0 && moved.at == lies);
}

/* Is what a record says known to be dead, or to lie elsewhere? 1, 0. */
static int index_accounts_for_record(struct index *ix, struct moves *moves, uint32_t segment,
                                     const struct footer_record *record)
{
        uint64_t lies = place_make(segment, record->offset);
        struct moved_chunk moved;
        int64_t v[3];
        int r;

        r = index_db_get(ix->db, CHUNK_WHERE, v, 3, DB_ARGS(DB_INT(record->place)));
        if (r < 0)
                return r;
        if (r > 0 && v[1] == -1)
                return 1;
        /* Readers must be sent to the same place. */
        if (r > 0)
                return (v[0] ? (uint64_t)v[0] : record->place) != lies &&
                       !(moves_find(moves, record->place, &moved) > 0 && moved.at == lies);
        /*
         * A copy of one that was dead when the segment went that it is known by, and its row with it. Nobody was ever sent to
         * such a copy: else there was a row that lay here, and it is missing.
         */
        if (place_segment(record->place) != segment) {
                r = index_db_get(ix->db, SEGMENT_GET, v, 2, DB_ARGS(DB_INT(place_segment(record->place))));
                if (r <= 0)
                        return r < 0 ? r : !moves_lead_to(moves, record->place, lies);
        }
        r = index_db_get(ix->db, DEBRIS_COVER, v, 3, DB_ARGS(DB_INT(place_make(segment, 0)), DB_INT(lies)));
        return r > 0 ? v[2] == 1 && (uint64_t)v[0] + (uint64_t)v[1] >= lies + record->stored_len : r;
}

int index_accounts_for(struct index *ix, struct moves *moves, uint32_t segment, const struct footer *footer)
{
        int r = 1;

        LOCK_SCOPE(&ix->lock);
        for (size_t i = 0; r > 0 && i < footer->n; i++)
                r = index_accounts_for_record(ix, moves, segment, &footer->records[i]);
        return index_error(ix, r);
}

/* The segment is gone, and with it the rows of what lay in it. */
static int index_delete_segment(struct index *ix, uint32_t segment)
{
        static const enum index_sql rows[] = { CHUNK_FORGET, CHUNK_FORGET_MOVED, DEBRIS_FORGET };
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof(rows) / sizeof(rows[0]); i++)
                r = index_db_run(ix->db, rows[i],
                                 DB_ARGS(DB_INT(place_make(segment, 0)), DB_INT(place_make(segment, UINT32_MAX))));
        return r < 0 ? r : index_db_run(ix->db, SEGMENT_DELETE, DB_ARGS(DB_INT(segment)));
}

int index_unmark_segment(struct index *ix, uint32_t segment, bool removed)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        r = batch_begin_change(ix);
        if (r < 0)
                return r;
        r = removed ? index_delete_segment(ix, segment)
                    : index_db_run(ix->db, SEGMENT_UNMARK, DB_ARGS(DB_INT(segment)));
        return batch_end_change(ix, r);
}

void index_set_thrifty(struct index *ix, bool thrifty)
{
        LOCK_SCOPE(&ix->lock);
        index_db_set_thrifty(ix->db, thrifty);
}

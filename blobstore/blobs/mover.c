/* SPDX-License-Identifier: MIT */

#include "blobstore/blobs/mover_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "blobstore/base/cleanup.h"

/* Chunks of one segment, at the most: some hundreds of bytes each are needed until it is full. */
#define MOVER_CHUNKS_MAX 65536

bool mover_is_full(const struct mover *m)
{
        return m->n >= MOVER_CHUNKS_MAX || (m->segment && segment_is_full(m->segment));
}

static int mover_begin_segment(struct mover *m)
{
        int r;

        if (m->segment)
                return 0;
        r = segments_begin(m->chunks->segments, &m->segment);
        return r < 0 ? r : index_move_begin(m->chunks->index, segment_id(m->segment));
}

static int mover_note(struct mover *m, const struct index_chunk *c, uint64_t at, size_t stored_len)
{
        struct index_moved *grown;

        if (m->n == m->room) {
                grown = reallocarray(m->moved, m->room * 2 + 64, sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                m->moved = grown;
                m->room = m->room * 2 + 64;
        }
        m->moved[m->n++] = (struct index_moved){
                .chunk = { .place = c->place, .at = at, .stored_len = (uint32_t)stored_len },
                .old_at = c->at,
                .old_len = c->stored_len,
        };
        return 0;
}

int mover_put(struct mover *m, const struct index_chunk *c, const struct chunk_name *name, const void *payload,
              size_t len, const void *raw)
{
        const struct footer_record record = { .name = *name, .place = c->place, .base = c->base, .raw_len = c->raw_len };
        struct chunk_features features;
        uint64_t at;
        int r;

        r = mover_begin_segment(m);
        if (r < 0)
                return r;
        chunk_features_of(raw, c->raw_len, &features);
        r = segment_append(m->segment, payload, len, &record, c->base ? NULL : &features, &at);
        return r < 0 ? r : mover_note(m, c, at, len);
}

static int compare_places(const void *a, const void *b)
{
        const struct moved_chunk *x = a, *y = b;

        return x->place < y->place ? -1 : x->place > y->place;
}

/* Tells readers where the chunks lie now. */
static int mover_record(struct mover *m)
{
        CLEANUP_FREE struct moved_chunk *all = calloc(m->n, sizeof(*all));
        size_t from = 0;
        int r = 0;

        if (!all)
                return -ENOMEM;
        for (size_t i = 0; i < m->n; i++)
                all[i] = m->moved[i].chunk;
        qsort(all, m->n, sizeof(*all), compare_places);
        for (size_t i = 1; r == 0 && i <= m->n; i++) {
                if (i < m->n && place_segment(all[i].place) == place_segment(all[from].place))
                        continue;
                r = moves_record(m->chunks->moves, all + from, i - from);
                from = i;
        }
        return r;
}

int mover_end(struct mover *m, int r)
{
        uint32_t id;

        if (!m->segment)
                return r;
        id = segment_id(m->segment);
        if (r == 0)
                r = segment_seal(m->segment);
        segments_give(m->chunks->segments, TAKE_PTR(m->segment));
        if (r == 0)
                r = segments_sync(m->chunks->segments);
        if (r == 0)
                r = segments_settle(m->chunks->segments);
        if (r < 0 || m->n == 0) { /* nothing was moved, and what was written can go; else the next opening sees to it */
                (void)index_move_end(m->chunks->index, id, NULL, 0);
                return r;
        }
        /* From here on readers may look for chunks there: what cannot be ended now is for the next opening. */
        r = mover_record(m);
        return r < 0 ? r : index_move_end(m->chunks->index, id, m->moved, m->n);
}

void mover_done(struct mover *m)
{
        free(m->moved);
}

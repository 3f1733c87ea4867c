/* SPDX-License-Identifier: MIT */

/*
 * A table of moves (chunks/moves.h) that is missing or damaged, made again from the rows of the index, by which readers go meanwhile.
 * Nothing is given back for it, and who reads a chunk verifies it; so it is enough that each row proves itself.
 */

#include <errno.h>
#include <stdlib.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/blobs/heal_priv.h"

#define TABLE_PAGE 64

struct table_rows {
        struct moved_chunk *chunks;
        size_t n, room;
};

static void table_rows_done(struct table_rows *t)
{
        free(t->chunks);
}

static int table_add(struct table_rows *t, const struct index_chunk *c)
{
        struct moved_chunk *grown;

        if (!c->proven)
                return -EBADMSG;
        if (!c->at)
                return 0;
        if (t->n == t->room) {
                grown = reallocarray(t->chunks, 2 * t->room + TABLE_PAGE, sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                t->chunks = grown;
                t->room = 2 * t->room + TABLE_PAGE;
        }
        t->chunks[t->n++] = (struct moved_chunk){ .place = c->place, .at = c->at, .stored_len = c->stored_len };
        return 0;
}

static int table_gather(struct index *ix, uint32_t segment, struct table_rows *ret)
{
        struct index_chunk page[TABLE_PAGE];
        uint64_t next = place_make(segment, 0);
        int n, r = 0;

        while ((n = index_chunk_list(ix, next, page, TABLE_PAGE)) > 0) {
                for (int i = 0; r == 0 && i < n; i++) {
                        if (place_segment(page[i].place) != segment)
                                return 0;
                        r = table_add(ret, &page[i]);
                }
                if (r < 0)
                        return r;
                next = page[n - 1].place + 1;
        }
        return n;
}

int heal_table(struct blobstore *bs, uint32_t segment)
{
        CLEANUP(table_rows_done) struct table_rows rows = { 0 };
        int r;

        if (store_writable(bs) < 0)
                return 0;
        LOCK_SCOPE(&bs->move_lock); /* what is moved just now is in its table before the index has it */
        r = table_gather(bs->chunks->index, segment, &rows);
        if (r == 0)
                r = moves_replace(bs->chunks->moves, segment, rows.chunks, rows.n);
        return r == 0 ? 1 : r == -ENOMEM ? r : 0;
}

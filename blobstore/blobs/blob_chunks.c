/* SPDX-License-Identifier: MIT */

#include "blobstore/blobs/blob_priv.h"

int blob_each_chunk(struct blob *b, blob_chunk_fn *fn, void *ctx)
{
        struct map_cursor cursor;
        struct map_entry e;
        int r;

        r = map_seek(b->map, 0, &cursor);
        if (r < 0)
                return r;
        while ((r = map_next(&cursor, &e)) > 0) {
                r = fn(ctx, &(struct blob_chunk){ .place = e.place, .raw_len = e.raw_len, .stored_len = e.stored_len });
                if (r != 0)
                        return r;
        }
        return r;
}

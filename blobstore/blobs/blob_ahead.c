/* SPDX-License-Identifier: MIT */

/*
 * What the reader of a blob in a bucket will want next. Its map says where that lies, so it is fetched before, whatever segment it
 * is in: the cache of ranges, which looks ahead within an object (objects/scans.h), begins anew in each, and 10 ms away that
 * was a fifth of the time of a cold read. Segments are 64 MiB, some 150 of a system disk.
 */

#include "blobstore/blobs/blob_priv.h"

#include "blobstore/base/lock.h"

#define PIECE  (UINT64_C(1) << 20) /* the kernel's requests are no larger */
#define WINDOW 64
#define STEP   8 /* half of that when it is compressed: some requests' */

/* Bytes of a segment that the reader will want; those of one chunk, and of others that lie near by behind it. */
struct stretch_ahead {
        uint32_t id;
        uint64_t from, to; /* the same: none yet */
};

void blob_ahead_init(struct scans *scans)
{
        *scans = (struct scans){ .window = WINDOW, .step = STEP };
}

static void want(struct blob *b, const struct stretch_ahead *s)
{
        if (s->to > s->from)
                segments_want(b->store->chunks->segments, s->id, s->from, s->to);
}

/* Whoever reads what cannot be found here will hear of that. */
static void want_all(struct blob *b, uint64_t from, uint64_t to)
{
        struct stretch_ahead s = { 0 };
        struct map_cursor cursor;
        struct map_entry e;

        if (map_seek(b->map, from, &cursor) < 0)
                return;
        while (map_next(&cursor, &e) > 0 && e.offset < to) {
                uint64_t place = e.place, at;
                size_t len = e.stored_len;

                if (chunk_store_resolve(b->store->chunks, &place, &len) < 0)
                        continue;
                at = place_offset(place);
                if (place_segment(place) != s.id || at < s.from || at > s.to + PIECE) {
                        want(b, &s);
                        s = (struct stretch_ahead){ place_segment(place), at, at };
                }
                if (at + len > s.to)
                        s.to = at + len;
        }
        want(b, &s);
}

void blob_look_ahead(struct blob *b, uint64_t off, size_t n)
{
        struct blobstore *bs = b->store;
        uint32_t from, to;

        if (!bs->far.bucket || n <= BLOCK_READ_MAX)
                return;
        {
                LOCK_SCOPE(&bs->scans_lock);
                scans_note(&bs->scans, b->scan, (uint32_t)((off + n - 1) / PIECE), WINDOW, &from, &to);
                scans_set_end(&bs->scans, b->scan, (uint32_t)((b->info.size_bytes - 1) / PIECE + 1));
        }
        if (from < to)
                want_all(b, from * PIECE, to * PIECE);
}

/* SPDX-License-Identifier: MIT */

/*
 * Where two blobs differ. Both maps are walked side by side: what lies in the same chunk, or in holes, is equal without
 * a look at it; the rest is read and compared block by block. Two chunks with one name are compared as well: an equal
 * hash is a hint.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/blobs/blob_priv.h"

/* Read and compared at once; a multiple of the block size. */
#define DIFF_PIECE (16 * BLOB_BLOCK_SIZE)

/* What a blob has from an offset on: a chunk's bytes, or a hole. */
struct diff_side {
        struct blob *blob;
        struct map_cursor cursor;
        struct map_entry entry; /* the next one that ends after the present offset */
        bool has_entry;
};

struct diff {
        struct diff_side a, b;
        uint8_t buf_a[DIFF_PIECE], buf_b[DIFF_PIECE];
        blob_range_fn *fn;
        blob_progress_fn *progress;
        void *ctx;
        uint64_t off, len; /* a difference that may still grow */
};

static int diff_side_advance(struct diff_side *s, uint64_t off)
{
        int r;

        while (s->has_entry && s->entry.offset + s->entry.len <= off) {
                r = map_next(&s->cursor, &s->entry);
                if (r < 0)
                        return r;
                s->has_entry = r > 0;
        }
        return 0;
}

/* B may be NULL: holes throughout. */
static int diff_side_start(struct diff_side *s, struct blob *b, uint64_t off)
{
        int r;

        s->blob = b;
        s->has_entry = false;
        if (!b || off >= b->info.size_bytes)
                return 0;
        r = map_seek(b->map, off, &s->cursor);
        if (r < 0)
                return r;
        r = map_next(&s->cursor, &s->entry);
        if (r < 0)
                return r;
        s->has_entry = r > 0;
        return 0;
}

static bool diff_side_is_hole(const struct diff_side *s, uint64_t off)
{
        return !s->has_entry || off < s->entry.offset;
}

/* How far the same chunk or hole reaches, END at the most. */
static uint64_t diff_side_end(const struct diff_side *s, uint64_t off, uint64_t end)
{
        uint64_t own = end;

        if (s->has_entry)
                own = off < s->entry.offset ? s->entry.offset : s->entry.offset + s->entry.len;
        return own < end ? own : end;
}

static bool diff_is_shared(const struct diff_side *a, const struct diff_side *b, uint64_t off)
{
        bool hole_a = diff_side_is_hole(a, off), hole_b = diff_side_is_hole(b, off);

        if (hole_a || hole_b)
                return hole_a && hole_b;
        return a->blob->store == b->blob->store && a->entry.place == b->entry.place &&
               a->entry.offset - a->entry.skip == b->entry.offset - b->entry.skip; /* both may be less than 0 */
}

/* Comes to OFF on both sides. *ret_end: as far as what they have there reaches, END at the most. */
static int diff_step(struct diff_side *a, struct diff_side *b, uint64_t off, uint64_t end, uint64_t *ret_end)
{
        int r;

        r = diff_side_advance(a, off);
        if (r == 0)
                r = diff_side_advance(b, off);
        if (r < 0)
                return r;
        *ret_end = diff_side_end(b, off, diff_side_end(a, off, end));
        return 0;
}

static int diff_flush(struct diff *d)
{
        int r = d->len ? d->fn(d->ctx, d->off, d->len) : 0;

        d->len = 0;
        return r;
}

static int diff_found(struct diff *d, uint64_t off, uint64_t len)
{
        int r;

        if (d->len && d->off + d->len == off) {
                d->len += len;
                return 0;
        }
        r = diff_flush(d);
        d->off = off;
        d->len = len;
        return r;
}

static int diff_compare(struct diff *d, uint64_t off, uint64_t end)
{
        while (off < end) {
                size_t n = end - off < DIFF_PIECE ? (size_t)(end - off) : DIFF_PIECE;
                ssize_t got;
                int r;

                got = blob_pread(d->a.blob, d->buf_a, n, off);
                if (got >= 0)
                        got = blob_pread(d->b.blob, d->buf_b, n, off);
                if (got < 0)
                        return (int)got;
                for (size_t i = 0; i < n; i += BLOB_BLOCK_SIZE) {
                        size_t block = n - i < BLOB_BLOCK_SIZE ? n - i : BLOB_BLOCK_SIZE;

                        if (memcmp(d->buf_a + i, d->buf_b + i, block) == 0)
                                continue;
                        r = diff_found(d, off + i, block);
                        if (r < 0)
                                return r;
                }
                off += n;
        }
        return 0;
}

static int diff_walk(struct diff *d, uint64_t end)
{
        uint64_t next;
        int r;

        for (uint64_t off = 0; off < end; off = next) {
                r = diff_step(&d->a, &d->b, off, end, &next);
                if (r < 0)
                        return r;
                r = diff_is_shared(&d->a, &d->b, off) ? 0 : diff_compare(d, off, next);
                if (r == 0 && d->progress)
                        r = d->progress(d->ctx, next, end);
                if (r < 0)
                        return r;
        }
        return 0;
}

int blob_diff(struct blob *a, struct blob *b, blob_range_fn *fn, blob_progress_fn *progress, void *ctx)
{
        uint64_t short_end = a->info.size_bytes < b->info.size_bytes ? a->info.size_bytes : b->info.size_bytes;
        uint64_t long_end = a->info.size_bytes < b->info.size_bytes ? b->info.size_bytes : a->info.size_bytes;
        CLEANUP_FREE struct diff *d = calloc(1, sizeof(*d));
        int r;

        if (!d)
                return -ENOMEM;
        d->fn = fn;
        d->progress = progress;
        d->ctx = ctx;
        r = diff_side_start(&d->a, a, 0);
        if (r == 0)
                r = diff_side_start(&d->b, b, 0);
        if (r == 0)
                r = diff_walk(d, short_end);
        if (r == 0 && long_end > short_end)
                r = diff_found(d, short_end, long_end - short_end);
        return r < 0 ? r : diff_flush(d);
}

int blob_find_shared(struct blob *a, struct blob *b, uint64_t off, uint64_t end, bool *ret_shared, uint64_t *ret_end)
{
        struct diff_side side_a, side_b;
        bool shared = false;
        uint64_t pos, next;
        int r;

        r = diff_side_start(&side_a, a, off);
        if (r == 0)
                r = diff_side_start(&side_b, b, off);
        for (pos = off; r == 0 && pos < end; pos = next) {
                r = diff_step(&side_a, &side_b, pos, end, &next);
                if (r < 0)
                        break;
                if (pos == off)
                        shared = diff_is_shared(&side_a, &side_b, pos);
                else if (diff_is_shared(&side_a, &side_b, pos) != shared)
                        break;
        }
        if (r < 0)
                return r;
        *ret_shared = shared;
        *ret_end = pos;
        return 0;
}

/* SPDX-License-Identifier: MIT */

/*
 * A blob made of parts of another one: their chunks are named again, whole or in part, and not read; where it has them
 * at the same offsets, by whole pages of the other's map. A small part of a large chunk is read all the same and goes
 * the way of all new data: it would keep the whole chunk from being removed.
 *
 * The checksum over the bytes of such a blob is not known, as nobody saw them all; it can be worked out later.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/blobs/blob_write_priv.h"

/* A few chunks, so that most are decoded whole. */
#define CHECKSUM_BUFFER (4 * CHUNK_SIZE_MAX)

/* Zeros summed up between two looks at whether to go on: a fraction of a second. */
#define CHECKSUM_HOLE (UINT64_C(16) << 30)

/*
 * A part that is shared has at least this much of its chunk, so that an image never holds on to more than so many times
 * what it uses. Blocks changed at random are read and stored 1.07 times with it, after four generations.
 */
#define SHARE_PART_MIN(chunk_bytes) ((chunk_bytes) / 32)

/* Pages with fewer entries are written again: what is borrowed costs a row of the table, and keeps the lender's map. */
#define SHARE_PAGE_ENTRIES 16

/* Adds the bytes FROM … TO of a chunk as data that was read. */
static int read_part(struct blob_writer *w, struct blob *b, uint64_t from, uint64_t to)
{
        CLEANUP_FREE uint8_t *buffer = malloc((size_t)(to - from)); /* no more than a chunk */
        ssize_t n;

        if (!buffer)
                return -ENOMEM;
        n = blob_pread(b, buffer, (size_t)(to - from), from);
        return n < 0 ? (int)n : blob_writer_append(w, buffer, (size_t)n);
}

/* Shares the entries from POS up to END, one by one. */
static int share_entries(struct blob_writer *w, struct blob *b, uint64_t pos, uint64_t end,
                         struct blob_share_stats *stats)
{
        struct map_cursor cursor;
        struct map_entry e;
        int r;

        if (pos == end)
                return 0;
        r = map_seek(b->map, pos, &cursor);
        while (r == 0 && pos < end) {
                struct map_entry part;
                uint64_t from, to;

                r = map_next(&cursor, &e);
                if (r < 0)
                        return r;
                if (r == 0 || e.offset >= end) {
                        r = blob_writer_hole(w, end - pos);
                        break;
                }
                from = e.offset > pos ? e.offset : pos;
                to = e.offset + e.len < end ? e.offset + e.len : end;
                if (from > pos) {
                        r = blob_writer_hole(w, from - pos);
                        if (r < 0)
                                return r;
                }
                part = e;
                part.skip += (uint32_t)(from - e.offset);
                part.len = (uint32_t)(to - from);
                /* What is no multiple of a block ends its blob, and must not lie within another. */
                if (part.len % BLOB_BLOCK_SIZE == 0 && part.len >= SHARE_PART_MIN(e.raw_len)) {
                        r = blob_writer_add_chunk(w, b, &part);
                        stats->bytes_shared += to - from;
                } else {
                        r = read_part(w, b, from, to);
                        stats->bytes_read += to - from;
                }
                pos = to;
        }
        return r < 0 ? r : 0;
}

/* Where row ROW is worth borrowing: it may be of another map's few entries between changes. */
static bool share_is_page(const struct map *m, uint64_t row)
{
        struct map_page page;

        (void)map_row_get(m, row, &page);
        return page.entries >= SHARE_PAGE_ENTRIES;
}

/*
 * Borrows the pages of rows ROW up to END_ROW, at the offsets that they have, and shares the entries of those that are
 * not worth it. What lies between two pages goes with the one before.
 */
static int share_rows(struct blob_writer *w, struct blob *b, uint64_t row, uint64_t end_row,
                      struct blob_share_stats *stats)
{
        struct map_page page;
        int r = 0;

        for (; r == 0 && row < end_row; row++) {
                uint64_t limit = map_row_limit(b->map, row);

                if (!share_is_page(b->map, row)) {
                        r = share_entries(w, b, map_row_start(b->map, row), limit, stats);
                        continue;
                }
                r = map_row_describe(b->map, row, &page);
                if (r == 0)
                        r = blob_writer_add_page(w, b, &page, limit);
                if (r == 0)
                        stats->bytes_shared += page.bytes;
        }
        return r;
}

/* The rows whose pages lie wholly in [OFF, END) and can be borrowed: those before *ret_end, from *ret_row on. */
static void share_find_rows(const struct blob *b, uint64_t off, uint64_t end, uint64_t *ret_row, uint64_t *ret_end)
{
        uint64_t row = map_rows_before(b->map, off), end_row = map_rows_before(b->map, end), size = b->info.size_bytes;

        /* The last one goes up to the next, which may lie behind; and what is no whole block ends its blob. */
        if (end_row > row && (map_row_limit(b->map, end_row - 1) > end ||
                              (end_row == map_rows(b->map) && size % BLOB_BLOCK_SIZE)))
                end_row--;
        *ret_row = row;
        *ret_end = end_row > row ? end_row : row;
}

static int share_check(const struct blob_writer *w, const struct blob *b, uint64_t off, uint64_t n)
{
        return w->store != b->store || w->partial_len > 0 || off % BLOB_BLOCK_SIZE || off > b->info.size_bytes ||
                               n > b->info.size_bytes - off
                       ? -EINVAL
                       : 0;
}

int blob_writer_copy(struct blob_writer *w, struct blob *b, uint64_t off, uint64_t n, struct blob_share_stats *ret)
{
        struct blob_share_stats stats = { 0 };
        int r;

        r = share_check(w, b, off, n);
        if (r == 0)
                r = share_entries(w, b, off, off + n, &stats);
        if (r == 0)
                *ret = stats;
        return r;
}

int blob_writer_share(struct blob_writer *w, struct blob *b, uint64_t off, uint64_t n, struct blob_share_stats *ret)
{
        struct blob_share_stats stats = { 0 };
        uint64_t row, end_row;
        int r;

        share_find_rows(b, off, off + n, &row, &end_row);
        if (w->size != off || row == end_row)
                return blob_writer_copy(w, b, off, n, ret);
        r = share_check(w, b, off, n);
        if (r == 0)
                r = share_entries(w, b, off, map_row_start(b->map, row), &stats);
        if (r == 0)
                r = share_rows(w, b, row, end_row, &stats);
        if (r == 0)
                r = share_entries(w, b, map_row_limit(b->map, end_row - 1), off + n, &stats);
        if (r == 0)
                *ret = stats;
        return r;
}

/*
 * What was added so far, up to the last whole block, becomes a blob that nothing names. The new writer's chunks are
 * that blob's, which is kept for it and gone after it.
 */
int blob_writer_renew(struct blob_writer **w)
{
        CLEANUP(checksum_freep) struct checksum *checksum = TAKE_PTR((*w)->checksum);
        CLEANUP(blob_writer_freep) struct blob_writer *new = NULL;
        CLEANUP(blob_closep) struct blob *part = NULL;
        size_t partial_len = (*w)->partial_len;
        struct blob_share_stats ignored;
        int r;

        (*w)->partial_len = 0;
        r = blob_writer_commit(*w, &part);
        if (r == 0)
                r = blob_writer_new((*w)->store, &new);
        if (r == 0) {
                blob_writer_forgo_checksum(new); /* the other has seen these bytes, holes among them */
                r = blob_writer_copy(new, part, 0, part->info.size_bytes, &ignored);
        }
        if (r == 0)
                r = blob_remove(new->store, &part->id);
        if (r < 0)
                return blob_writer_fail(*w, r);

        memcpy(new->partial, (*w)->partial, partial_len);
        new->partial_len = partial_len;
        new->checksum = TAKE_PTR(checksum);
        new->summed_holes = (*w)->summed_holes;
        blob_writer_free(*w);
        *w = TAKE_PTR(new);
        return 0;
}

/* In pieces, between which it may be given up. */
static int sum_hole(struct checksum *sum, uint64_t n, uint64_t done, uint64_t total, blob_progress_fn *progress,
                    void *ctx)
{
        for (uint64_t part; n > 0; n -= part) {
                int r = progress ? progress(ctx, done, total) : 0;

                if (r < 0)
                        return r;
                part = n < CHECKSUM_HOLE ? n : CHECKSUM_HOLE;
                checksum_add_zeros(sum, part);
        }
        return 0;
}

int blob_work_out_checksum(struct blob *b, blob_progress_fn *progress, void *ctx, struct blob_checksum *ret)
{
        CLEANUP(checksum_freep) struct checksum *sum = NULL;
        CLEANUP_FREE uint8_t *buffer = NULL;
        uint64_t size = b->info.size_bytes, pos = 0, done = 0, data, hole;
        ssize_t n;
        int r;

        sum = checksum_new();
        buffer = malloc(CHECKSUM_BUFFER);
        if (!sum || !buffer)
                return -ENOMEM;
        while (pos < size) {
                r = blob_seek(b, pos, SEEK_DATA, &data);
                if (r == -ENXIO)
                        data = size;
                else if (r < 0)
                        return r;
                r = sum_hole(sum, data - pos, done, b->info.data_bytes, progress, ctx);
                if (r < 0)
                        return r;
                pos = data;
                if (data == size)
                        break;
                r = blob_seek(b, data, SEEK_HOLE, &hole);
                if (r < 0)
                        return r;
                for (; pos < hole; pos += (uint64_t)n) {
                        n = blob_pread(b, buffer, hole - pos < CHECKSUM_BUFFER ? (size_t)(hole - pos) : CHECKSUM_BUFFER,
                                       pos);
                        if (n < 0)
                                return (int)n;
                        checksum_add(sum, buffer, (size_t)n);
                        done += (uint64_t)n;
                        r = progress ? progress(ctx, done, b->info.data_bytes) : 0;
                        if (r < 0)
                                return r;
                }
        }
        checksum_get(sum, ret->bytes);
        return 0;
}

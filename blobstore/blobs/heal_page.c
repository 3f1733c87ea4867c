/* SPDX-License-Identifier: MIT */

/*
 * A page of a map that the disk has damaged, made again. What decides is the hash that the map's own table has of the
 * page: whatever is tried, only the very page that was there passes. It is written to where it was, so that those who have the
 * map open, as a machine does that runs, can read again what the page stands for; a crash leaves what was damaged damaged.
 *
 * It is looked for in the order of what it takes: as somebody keeps it in memory; in the bucket; and from the bytes
 * that it stands for, of which another blob of the same content, the disk that the blob was made of, or the cache on a
 * disk may have a copy. Those are cut as they were before, since cuts follow from the content, and the index knows where each chunk
 * lies by its name. How long a chunk was stored, which is in the page, too, the index knows only of those that have not
 * been tidied since; of others it is read in what is left of the page, or follows from where the next one lay.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/block.h"
#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/blobs/heal_priv.h"
#include "blobstore/blobs/map_file_priv.h"
#include "blobstore/blobs/map_priv.h"
#include "blobstore/chunks/chunker.h"
#include "blobstore/chunks/moves.h"
#include "blobstore/chunks/segment.h"

struct heal_page {
        struct blobstore *store;
        const struct map *map;
        const struct blob_id *blob; /* whose map it is */
        uint64_t row;
        struct map_page at; /* as the row tells of it */
        const struct scrub_ops *ops;
        struct index_writer hold; /* what the page names stays while it is put together */
        uint8_t *buf;             /* CHUNK_SIZE_MAX bytes */
        struct map_entry entries[MAP_PAGE_ENTRIES];
        uint8_t left[MAP_PAGE_SIZE]; /* what can still be read; zeros: nothing */
        int stopped;                  /* what pace said, that ends the pass */
};

/* ---- from bytes ---- */

/* How many bytes at the beginning of BUF are a chunk, which may begin with a hole: *ret_hole bytes of that. */
static size_t first_chunk(const uint8_t *buf, size_t n, size_t *ret_hole)
{
        struct chunker c = { 0 };
        size_t from = 0, at, block;

        for (; from < n && block_is_zero(buf + from, n - from < BLOB_BLOCK_SIZE ? n - from : BLOB_BLOCK_SIZE); from += BLOB_BLOCK_SIZE)
                ;
        *ret_hole = from < n ? from : n;
        for (at = from; at < n; at += block) {
                block = n - at < BLOB_BLOCK_SIZE ? n - at : BLOB_BLOCK_SIZE;
                if (block_is_zero(buf + at, block))
                        break;
                if (chunker_add(&c, buf + at, block))
                        return at + block - from;
        }
        return at > from ? at - from : 0;
}

/* 1: the index has that chunk. */
static int find_place(struct heal_page *h, struct map_entry *e)
{
        struct chunk_name name;
        struct index_twin twin;
        int r;

        r = chunk_name_of(h->buf, e->raw_len, &name);
        if (r == 0)
                r = index_share(h->store->chunks->index, &h->hold, &name, e->raw_len, &twin);
        if (r <= 0)
                return r;
        chunk_id_of(h->buf, e->raw_len, &e->name);
        e->place = twin.place;
        e->stored_len = twin.stored_len;
        return 1;
}

typedef int source_fn(struct heal_page *h, unsigned nth, uint64_t off, size_t n);

static int from_same(struct heal_page *h, unsigned nth, uint64_t off, size_t n)
{
        return h->ops->find_same ? h->ops->find_same(h->ops->ctx, h->blob, off, nth, h->buf, n) : -ENOENT;
}

static int from_made_of(struct heal_page *h, unsigned nth, uint64_t off, size_t n)
{
        return h->ops->find_in ? h->ops->find_in(h->ops->ctx, h->blob, off, nth, h->buf, n) : -ENOENT;
}

static int from_cache(struct heal_page *h, unsigned nth, uint64_t off, size_t n)
{
        if (nth > 0)
                return -ENOENT;
        return heal_find_cached(h->store->chunks, h->blob, map_info(h->map)->size_bytes, off, h->buf, n);
}

/* 1: the entries are all there, as far as these bytes are the right ones. */
static int cut(struct heal_page *h, source_fn *source, unsigned nth)
{
        const uint64_t size = map_info(h->map)->size_bytes, limit = map_row_limit(h->map, h->row);
        uint64_t off = h->at.offset;
        unsigned n = 0;
        int r;

        while (off < limit && n < h->at.entries) {
                const size_t want = size - off < CHUNK_SIZE_MAX ? (size_t)(size - off) : CHUNK_SIZE_MAX;
                struct map_entry *e = &h->entries[n];
                size_t hole, len;

                r = source(h, nth, off, want);
                if (r <= 0)
                        return r;
                h->stopped = h->ops->pace(h->ops->ctx, want);
                if (h->stopped < 0)
                        return h->stopped;
                len = first_chunk(h->buf, want, &hole);
                off += hole;
                if (hole > 0)
                        continue; /* read from there, it is whole */
                *e = (struct map_entry){ .offset = off, .len = (uint32_t)len, .raw_len = (uint32_t)len };
                r = find_place(h, e);
                if (r <= 0)
                        return r;
                off += len;
                n++;
        }
        return n == h->at.entries;
}

/* ---- is it the page? ---- */

/* Does the one that is left say the same of its Nth chunk, but for how long it was stored? */
static bool agrees(const struct heal_page *h, unsigned n, struct map_entry *ret)
{
        const struct map_entry *e = &h->entries[n];

        map_entry_get(h->left, n, ret);
        return ret->offset == e->offset && ret->len == e->len && ret->skip == e->skip && ret->raw_len == e->raw_len &&
               ret->place == e->place && chunk_id_equal(&ret->name, &e->name);
}

static bool passes(const struct heal_page *h, uint8_t page[MAP_PAGE_SIZE])
{
        map_page_seal(page, h->at.page, h->at.entries, get_le64(h->at.lender.bytes));
        return map_row_passes(h->map, h->row, page, h->left);
}

/*
 * How long was a chunk that was moved where it lay first? Chunks were appended one after the other, and each is still known by
 * where it began: as far as to the next one that is known. 0: there is none, or it is too far away.
 */
static uint32_t reaches_to_next(const struct heal_page *h, const struct map_entry *e)
{
        struct moved_chunk moved;
        struct index_chunk next;

        if (moves_find(h->store->chunks->moves, e->place, &moved) <= 0 ||
            index_chunk_list(h->store->chunks->index, e->place + 1, &next, 1) <= 0 ||
            place_segment(next.place) != place_segment(e->place) || next.place - e->place > e->raw_len)
                return 0;
        return (uint32_t)(next.place - e->place);
}

/* Whatever the Nth was stored as, if it is that alone. */
static bool passes_with_any(struct heal_page *h, uint8_t page[MAP_PAGE_SIZE], unsigned n)
{
        struct map_entry e = h->entries[n];

        for (e.stored_len = 1; e.stored_len <= e.raw_len; e.stored_len++) {
                map_entry_put(page, n, &e);
                if (passes(h, page))
                        return true;
        }
        return false;
}

/*
 * As the index has it; then, of each chunk, what is left of the page if it is of the same, or how far it reached; and at last
 * any length of the one of which neither is known, or else of the only one that is lost.
 */
static bool put_together(struct heal_page *h, uint8_t page[MAP_PAGE_SIZE])
{
        unsigned lost = 0, n_lost = 0, unknown = 0, n_unknown = 0;

        memset(page, 0, MAP_PAGE_SIZE);
        for (unsigned i = 0; i < h->at.entries; i++)
                map_entry_put(page, i, &h->entries[i]);
        if (passes(h, page))
                return true;
        for (unsigned i = 0; i < h->at.entries; i++) {
                struct map_entry e, left;

                if (agrees(h, i, &left)) {
                        map_entry_put(page, i, &left);
                        continue;
                }
                lost = i;
                n_lost++;
                e = h->entries[i];
                e.stored_len = reaches_to_next(h, &e);
                if (e.stored_len > 0) {
                        map_entry_put(page, i, &e);
                } else {
                        unknown = i;
                        n_unknown++;
                }
        }
        if (passes(h, page))
                return true;
        return n_unknown == 1 ? passes_with_any(h, page, unknown) : n_lost == 1 && passes_with_any(h, page, lost);
}

/* ---- where it may be ---- */

static int from_bytes(struct heal_page *h, uint8_t page[MAP_PAGE_SIZE])
{
        static source_fn *const sources[] = { from_cache, from_same, from_made_of };
        int r = 0;

        for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
                for (unsigned nth = 0; (r = cut(h, sources[i], nth)) >= 0; nth++)
                        if (r > 0 && put_together(h, page))
                                return 1;
                if (r == -ENOMEM || h->stopped < 0)
                        return r;
        }
        return 0;
}

static int find_page(struct heal_page *h, uint8_t page[MAP_PAGE_SIZE])
{
        if (map_row_kept(h->map, h->row, h->store->map_pages, page))
                return 1;
        if (map_file_fetch_page(h->store, &h->at.lender, h->at.page, page) == 0 &&
            map_row_passes(h->map, h->row, page, page))
                return 1;
        return from_bytes(h, page);
}

int heal_page(struct blobstore *bs, const struct map *map, uint64_t row, const struct blob_id *blob,
              const struct scrub_ops *ops, void *buf)
{
        CLEANUP_FREE struct heal_page *h = calloc(1, sizeof(*h)); /* with its pages too much for a stack */
        uint8_t page[MAP_PAGE_SIZE];
        int r;

        if (!h)
                return -ENOMEM;
        if (store_writable(bs) < 0)
                return 0;
        h->store = bs;
        h->map = map;
        h->blob = blob;
        h->row = row;
        h->ops = ops;
        h->buf = buf;
        (void)map_row_get(map, row, &h->at);
        r = map_file_read_page(bs, &h->at.lender, h->at.page, h->left);
        if (r < 0)
                memset(h->left, 0, sizeof(h->left));
        index_writer_begin(bs->chunks->index, &h->hold);
        r = find_page(h, page);
        index_writer_end(bs->chunks->index, &h->hold);
        if (r > 0)
                r = map_file_write_page(bs, &h->at.lender, h->at.page, page) == 0;
        return r > 0 || r == -ENOMEM || h->stopped < 0 ? r : 0;
}

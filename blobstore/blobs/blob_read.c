/* SPDX-License-Identifier: MIT */

/*
 * Reading open blobs, which needs the map and the segments only. A chunk that is wanted whole is decoded into the
 * caller's buffer; of one that is wanted in part the decoded bytes are kept in the cache, since the rest will be wanted
 * next. The chunks of a large read are decoded by all idle threads: decoding is two thirds of what reading through the
 * mount costs.
 *
 * Small reads are looked for in the cache on disk first, which needs no map, and what is decoded for them again goes
 * there. Not so for one that goes on where the last one ended: who reads a blob from one end to the other would fill
 * the cache with what nobody wants again. Readers of one blob that scan it at the same time, in small pieces, are not
 * told apart.
 */

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/blobs/blob_priv.h"

/* Chunks that are collected before they are read; a read of 1 MiB wants some 17. */
#define READ_PIECES_MAX 32

struct chunk_load {
        struct chunk_store *chunks;
        const struct map_entry *entry;
        bool loaded; /* it was asked for */
};

static int chunk_load(void *ctx, uint64_t place, void *buf, size_t len)
{
        struct chunk_load *l = ctx;

        l->loaded = true;
        return chunk_store_read(l->chunks, place, l->entry->stored_len, &l->entry->name, buf, len);
}

/* Part of a chunk, and where it goes. */
struct piece {
        struct map_entry entry;
        uint32_t from;
        size_t n;
        uint8_t *to;
};

struct pieces {
        struct chunk_store *chunks;
        struct block_file *fill; /* with what is decoded; NULL: none */
        size_t n;
        struct piece piece[READ_PIECES_MAX];
};

/* BYTES: what the blob has of the chunk. */
static void pieces_fill(const struct pieces *p, const struct map_entry *e, const uint8_t *bytes)
{
        if (p->fill && block_file_admits(p->fill, e->offset))
                block_file_fill(p->fill, bytes, e->len, e->offset);
}

static int piece_read(void *ctx, size_t i)
{
        const struct pieces *p = ctx;
        const struct piece *piece = &p->piece[i];
        const struct map_entry *e = &piece->entry;
        struct chunk_store *cs = p->chunks;
        struct chunk_load load = { .chunks = cs, .entry = e };
        struct cache_entry *cached;
        const uint8_t *bytes;
        int r;

        if (piece->n == e->raw_len && !cache_peek(cs->cache, e->place, e->raw_len, &cached, &bytes)) {
                atomic_fetch_add_explicit(&cs->cache_misses, 1, memory_order_relaxed);
                r = chunk_store_read(cs, e->place, e->stored_len, &e->name, piece->to, e->raw_len);
                if (r == 0)
                        pieces_fill(p, e, piece->to);
                return r;
        }
        if (piece->n < e->raw_len) {
                r = cache_get(cs->cache, e->place, e->raw_len, chunk_load, &load, &cached, &bytes);
                if (r < 0)
                        return r;
        }
        atomic_fetch_add_explicit(load.loaded ? &cs->cache_misses : &cs->cache_hits, 1, memory_order_relaxed);
        memcpy(piece->to, bytes + piece->from, piece->n);
        if (load.loaded)
                pieces_fill(p, e, bytes + e->skip);
        cache_put(cs->cache, cached);
        return 0;
}

/* Collects the pieces of [pos, end) until there are enough, and clears holes on the way; gives where it came to. */
static int blob_collect(struct map_cursor *cursor, uint64_t pos, uint64_t end, uint8_t *to, struct pieces *ret,
                        uint64_t *ret_pos)
{
        const uint64_t start = pos;
        int r;

        ret->n = 0;
        while (pos < end && ret->n < READ_PIECES_MAX) {
                struct piece *piece = &ret->piece[ret->n];
                const struct map_entry *e = &piece->entry;

                r = map_next(cursor, &piece->entry);
                if (r < 0)
                        return r;
                if (r == 0 || e->offset >= end) {
                        memset(to + (pos - start), 0, (size_t)(end - pos));
                        pos = end;
                        break;
                }
                if (e->offset > pos) {
                        memset(to + (pos - start), 0, (size_t)(e->offset - pos));
                        pos = e->offset;
                }
                piece->from = e->skip + (uint32_t)(pos - e->offset);
                piece->n = e->len - (size_t)(pos - e->offset);
                if (piece->n > end - pos)
                        piece->n = (size_t)(end - pos);
                piece->to = to + (pos - start);
                pos += piece->n;
                ret->n++;
        }
        *ret_pos = pos;
        return 0;
}

/* A small read from the cache on disk: true, or false, and *ret_fill is what it is to fill, or NULL. */
static bool blob_read_blocks(struct blob *b, void *buf, size_t n, uint64_t off, struct block_file **ret_fill)
{
        uint64_t end;

        *ret_fill = NULL;
        if (!b->blocks || n > BLOCK_READ_MAX)
                return false;
        end = atomic_load_explicit(&b->read_end, memory_order_relaxed);
        atomic_store_explicit(&b->read_end, off + n, memory_order_relaxed);
        if (block_file_read(b->blocks, buf, n, off))
                return true;
        *ret_fill = off == end && off > 0 ? NULL : b->blocks;
        return false;
}

ssize_t blob_pread(struct blob *b, void *buf, size_t n, uint64_t off)
{
        struct pieces pieces;
        struct map_cursor cursor;
        uint64_t end, pos, next;
        uint8_t *out = buf;
        int r;

        if (n == 0 || off >= b->info.size_bytes)
                return 0;
        if (n > SSIZE_MAX)
                n = SSIZE_MAX;
        if (n > b->info.size_bytes - off)
                n = (size_t)(b->info.size_bytes - off);
        end = off + n;
        if (blob_read_blocks(b, buf, n, off, &pieces.fill))
                return (ssize_t)n;
        blob_look_ahead(b, off, n);

        pieces.chunks = b->store->chunks;
        r = map_seek(b->map, off, &cursor);
        for (pos = off; r == 0 && pos < end; pos = next) {
                r = blob_collect(&cursor, pos, end, out + (pos - off), &pieces, &next);
                if (r == 0)
                        r = pool_share(pieces.chunks->pool, pieces.n, piece_read, &pieces);
        }
        return r < 0 ? r : (ssize_t)n;
}

int blob_stretch(struct blob *b, uint64_t off, uint64_t *ret_off, size_t *ret_n)
{
        struct map_cursor cursor;
        struct map_entry e;
        int r;

        r = map_seek(b->map, off, &cursor);
        if (r == 0)
                r = map_next(&cursor, &e);
        if (r <= 0 || e.offset > off)
                return r < 0 ? r : 0;
        *ret_off = e.offset;
        *ret_n = e.len;
        return 1;
}

int blob_seek(struct blob *b, uint64_t off, int whence, uint64_t *ret)
{
        struct map_cursor cursor;
        struct map_entry e;
        int r;

        if (whence != SEEK_DATA && whence != SEEK_HOLE)
                return -EINVAL;
        if (off >= b->info.size_bytes)
                return -ENXIO;
        if (whence == SEEK_HOLE)
                return map_find_hole(b->map, off, ret);
        r = map_seek(b->map, off, &cursor);
        if (r == 0)
                r = map_next(&cursor, &e);
        if (r <= 0)
                return r < 0 ? r : -ENXIO;
        *ret = e.offset > off ? e.offset : off;
        return 0;
}

int blob_find_data(struct blob *b, uint64_t off, uint64_t end, uint64_t *ret_start, uint64_t *ret_end)
{
        struct map_cursor cursor;
        struct map_entry e;
        uint64_t stop;
        int r;

        if (off >= b->info.size_bytes)
                return 0;
        r = map_seek(b->map, off, &cursor);
        if (r == 0)
                r = map_next(&cursor, &e);
        if (r <= 0 || e.offset >= end)
                return r < 0 ? r : 0;
        *ret_start = e.offset > off ? e.offset : off;
        do
                stop = e.offset + e.len;
        while (stop < end && (r = map_next(&cursor, &e)) > 0 && e.offset == stop);
        if (r < 0)
                return r;
        *ret_end = stop < end ? stop : end;
        return 1;
}

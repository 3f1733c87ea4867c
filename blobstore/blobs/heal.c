/* SPDX-License-Identifier: MIT */

/*
 * Nothing is written over: the copy goes into a new segment, and a table of moves sends readers there, as where a chunk
 * is tidied. It is stored by itself, without the base that the chunk may have: that may be what is damaged. The chunk
 * counts for the base all the same, so that nothing else changes.
 *
 * What nobody has by its name may be known by where it is in a blob: that is tried when all maps are gone through anyway.
 *
 * Only bytes whose SHA-256 is the chunk's name are taken. A name says nothing of where the bytes come from.
 */

#include "blobstore/blobs/heal_priv.h"

#include <errno.h>
#include <string.h>

#include "blobstore/base/lock.h"
#include "blobstore/blobs/mover_priv.h"
#include "blobstore/chunks/block_cache.h"
#include "blobstore/chunks/cache.h"

struct heal {
        struct chunk_store *chunks;
        const struct scrub_ops *ops;
        struct codec *codec;
        struct mover mover;
};

/* Are these the bytes of that name? */
static int heal_check(const void *bytes, size_t n, const struct chunk_name *name)
{
        struct chunk_name is;
        int r = chunk_name_of(bytes, n, &is);

        return r < 0 ? r : chunk_name_equal(&is, name);
}

/* As it was decoded when it was whole? */
static bool heal_find_in_memory(struct chunk_store *cs, uint64_t place, void *buf, size_t n)
{
        struct cache_entry *entry;
        const uint8_t *bytes;

        if (cache_peek(cs->cache, place, n, &entry, &bytes) <= 0)
                return false;
        memcpy(buf, bytes, n);
        cache_put(cs->cache, entry);
        return true;
}

/* 1: whole bytes are in the codec, to be stored; 0: there are none; *ret_whole: there is no need, either. */
static int heal_find(struct heal *h, const struct index_chunk *row, const struct heal_chunk *c, bool *ret_whole)
{
        int r;

        r = chunk_store_read(h->chunks, row->place, row->stored_len, NULL, h->codec->raw, row->raw_len);
        if (r == 0)
                *ret_whole = heal_check(h->codec->raw, row->raw_len, &c->name) > 0;
        if (*ret_whole)
                return 0;
        if (heal_find_in_memory(h->chunks, row->place, h->codec->raw, row->raw_len) &&
            heal_check(h->codec->raw, row->raw_len, &c->name) > 0)
                return 1;
        r = h->ops->find(h->ops->ctx, &c->name, h->codec->raw, row->raw_len);
        return r > 0 ? heal_check(h->codec->raw, row->raw_len, &c->name) : r;
}

static int heal_chunk(struct heal *h, struct heal_chunk *c)
{
        struct index_chunk row;
        size_t len;
        int r;

        r = index_chunk_list(h->chunks->index, c->place, &row, 1);
        if (r <= 0 || row.place != c->place || row.raw_len == 0 || row.raw_len > CHUNK_SIZE_MAX)
                return r < 0 ? r : 0; /* it is gone */
        if (row.at == 0)
                row.at = row.place;
        r = heal_find(h, &row, c, &c->healed);
        if (r <= 0)
                return r;
        r = codec_encode(h->codec, CODEC_BEST, h->codec->raw, row.raw_len, NULL, h->codec->stored, &len);
        if (r == 0)
                r = mover_put(&h->mover, &row, &c->name, len == row.raw_len ? h->codec->raw : h->codec->stored, len,
                              h->codec->raw);
        c->healed = r == 0;
        return r;
}

/* With the move_lock held. */
static int heal_all(struct heal *h, struct heal_chunk *chunks, size_t n)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < n && !mover_is_full(&h->mover); i++)
                r = heal_chunk(h, &chunks[i]);
        return mover_end(&h->mover, r);
}

int heal_chunks(struct blobstore *bs, struct heal_chunk *chunks, size_t n, const struct scrub_ops *ops, size_t *ret)
{
        struct heal h = { .chunks = bs->chunks, .ops = ops, .mover = { .chunks = bs->chunks } };
        struct index_writer hold;
        int r;

        *ret = 0;
        r = store_writable(bs);
        if (r == 0)
                r = codec_pool_get(bs->chunks->codecs, &h.codec);
        if (r < 0)
                return r;
        index_writer_begin(bs->chunks->index, &hold); /* what dies meanwhile is dead only after it */
        lock(&bs->move_lock);
        r = heal_all(&h, chunks, n);
        unlock(&bs->move_lock);
        index_writer_end(bs->chunks->index, &hold);
        codec_pool_put(bs->chunks->codecs, h.codec);
        mover_done(&h.mover);
        for (size_t i = 0; i < n; i++) {
                chunks[i].healed &= r == 0;
                *ret += chunks[i].healed;
        }
        return r;
}

/* ---- in a blob ---- */

struct have {
        const void *bytes;
        size_t n;
};

/* A find function of scrub_ops. */
static int give(void *ctx, const struct chunk_name *name, void *buf, size_t n)
{
        const struct have *have = ctx;

        (void)name;
        if (n != have->n)
                return 0;
        memcpy(buf, have->bytes, n);
        return 1;
}

static int put_back(struct blobstore *bs, const struct heal_chunk *chunk, const void *bytes, size_t n)
{
        struct have have = { .bytes = bytes, .n = n };
        const struct scrub_ops ops = { .find = give, .ctx = &have };
        struct heal_chunk c = *chunk;
        size_t healed;
        int r;

        r = heal_chunks(bs, &c, 1, &ops, &healed);
        return r == -ENOMEM ? r : r == 0 && healed > 0;
}

bool heal_find_cached(struct chunk_store *cs, const struct blob_id *blob, uint64_t size, uint64_t off, void *buf, size_t n)
{
        struct block_file *f;
        bool found = true;

        if (!cs->blocks || off + n > size || block_file_open(cs->blocks, blob, size, &f) < 0)
                return false;
        for (size_t at = 0; found && at < n; at += BLOCK_READ_MAX)
                found = block_file_read(f, (char *)buf + at, n - at < BLOCK_READ_MAX ? n - at : BLOCK_READ_MAX, off + at);
        block_file_close(f);
        return found;
}

/* In the order of what it takes; -ENOENT: that were all. */
static int find_nth(struct blobstore *bs, const struct blob_id *blob, uint64_t size, uint64_t off, unsigned nth,
                    const struct scrub_ops *ops, void *buf, size_t n)
{
        if (nth == 0)
                return heal_find_cached(bs->chunks, blob, size, off, buf, n);
        return ops->find_in ? ops->find_in(ops->ctx, blob, off, nth - 1, buf, n) : -ENOENT;
}

int heal_in_blob(struct blobstore *bs, const struct heal_chunk *chunk, const struct blob_id *blob, uint64_t blob_size,
                 uint64_t off, size_t n, const struct scrub_ops *ops, void *buf)
{
        int r = 0;

        for (unsigned nth = 0; r >= 0; nth++) {
                r = find_nth(bs, blob, blob_size, off, nth, ops, buf, n);
                if (r > 0)
                        r = heal_check(buf, n, &chunk->name);
                if (r > 0)
                        return put_back(bs, chunk, buf, n);
        }
        return r == -ENOMEM ? r : 0;
}

/* ---- the other side: who has the bytes ---- */

int blob_find_chunk(struct blobstore *bs, const struct chunk_name *name, void *buf, size_t n)
{
        struct index_writer hold;
        struct index_twin twin;
        int r;

        if (!bs->chunks->index || store_writable(bs) < 0)
                return 0;
        index_writer_begin(bs->chunks->index, &hold);
        r = index_share(bs->chunks->index, &hold, name, (uint32_t)n, &twin);
        if (r > 0) {
                r = chunk_store_read(bs->chunks, twin.place, twin.stored_len, NULL, buf, n);
                r = r == 0 ? heal_check(buf, n, name) : r == -ENOMEM ? r : 0;
        }
        index_writer_end(bs->chunks->index, &hold);
        return r;
}

/* SPDX-License-Identifier: MIT */

/*
 * Nothing is written over: the copy goes into a new segment, and a table of moves sends readers there, as where a chunk
 * is tidied. It is stored by itself, without the base that the chunk may have: that may be what is damaged. The chunk
 * counts for the base all the same, so that nothing else changes.
 *
 * Only bytes whose SHA-256 is the chunk's name are taken. A name says nothing of where the bytes come from.
 */

#include "blobstore/blobs/heal_priv.h"

#include <errno.h>

#include "blobstore/base/lock.h"
#include "blobstore/blobs/mover_priv.h"

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

/* 1: whole bytes are in the codec, to be stored; 0: there are none; *ret_whole: there is no need, either. */
static int heal_find(struct heal *h, const struct index_chunk *row, const struct heal_chunk *c, bool *ret_whole)
{
        int r;

        r = chunk_store_read(h->chunks, row->place, row->stored_len, NULL, h->codec->raw, row->raw_len);
        if (r == 0)
                *ret_whole = heal_check(h->codec->raw, row->raw_len, &c->name) > 0;
        if (*ret_whole)
                return 0;
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

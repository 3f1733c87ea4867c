/* SPDX-License-Identifier: MIT */

/*
 * Tidying: what an import stored in haste is encoded anew, a hundred times as slowly, and what lives in a half-empty
 * segment joins it (mover_priv.h).
 *
 * In a bucket the first is not worth it: all that is there would come here and go back again, for a twentieth less of it.
 *
 * A chunk that cannot be read stays where it is, and its segment with it.
 */

#include "blobstore/blobs/tidy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/lock.h"
#include "blobstore/blobs/mover_priv.h"

#define TIDY_PAGE 64

struct tidy {
        struct chunk_store *chunks;
        blobstore_tidy_stop_fn *stop;
        void *ctx;
        struct codec *codec, *base_codec;
        struct mover mover;
        struct blobstore_tidy_stats stats;
};

/* The chunk's bytes, in the codec, and its base's, where it has one. 0: they cannot be had; 1. */
static int tidy_load(struct tidy *t, const struct index_chunk *c, struct codec_base *base, bool *ret_has_base)
{
        struct chunk_name name;
        int r;

        *ret_has_base = c->base != 0;
        r = chunk_store_read(t->chunks, c->place, c->stored_len, NULL, t->codec->raw, c->raw_len);
        if (r == 0)
                r = chunk_name_of(t->codec->raw, c->raw_len, &name);
        /* Damaged bytes would be given a hash of their own, and look whole to everybody. */
        if (r == 0 && (!chunk_name_is_known(&c->name) || !chunk_name_equal(&name, &c->name)))
                r = -EBADMSG;
        if (r == 0 && c->base)
                r = chunk_store_load_base(t->chunks, c->place, c->stored_len, c->raw_len, t->base_codec, base);
        return r == -ENOMEM ? r : r == 0;
}

/* 1: moved; 0: it stays. */
static int tidy_chunk(struct tidy *t, const struct index_chunk *c)
{
        struct codec_base base;
        bool has_base;
        size_t len;
        int r;

        r = tidy_load(t, c, &base, &has_base);
        if (r <= 0)
                return r;
        r = codec_encode(t->codec, CODEC_BEST, t->codec->raw, c->raw_len, has_base ? &base : NULL, t->codec->stored,
                         &len);
        if (r == 0)
                r = mover_put(&t->mover, c, &c->name, len == c->raw_len ? t->codec->raw : t->codec->stored, len,
                              t->codec->raw);
        if (r < 0)
                return r;
        t->stats.chunks_moved++;
        t->stats.bytes_before += c->stored_len;
        t->stats.bytes_after += len;
        return 1;
}

static int tidy_segment(struct tidy *t, uint32_t id)
{
        struct index_chunk page[TIDY_PAGE];
        uint64_t after = 0;
        bool all = true;
        int n, r;

        while ((n = index_chunks_in(t->chunks->index, id, after, page, TIDY_PAGE)) > 0) {
                for (int i = 0; i < n; i++) {
                        if (mover_is_full(&t->mover) || t->stop(t->ctx))
                                return 0; /* the rest another time */
                        r = tidy_chunk(t, &page[i]);
                        if (r < 0)
                                return r;
                        all &= r > 0;
                }
                after = page[n - 1].at;
        }
        if (n == 0 && !all)
                n = index_tidied(t->chunks->index, id);
        return n < 0 ? n : 0;
}

static int tidy_run(struct tidy *t)
{
        uint32_t id = 0;
        int r;

        while ((r = index_untidy_segment(t->chunks->index, !t->chunks->far, id, &id)) > 0) {
                r = tidy_segment(t, id);
                if (r < 0 || mover_is_full(&t->mover) || t->stop(t->ctx))
                        break;
        }
        return r < 0 ? r : 0;
}

int blobstore_tidy(struct blobstore *bs, blobstore_tidy_stop_fn *stop, void *ctx, struct blobstore_tidy_stats *ret)
{
        struct tidy t = { .chunks = bs->chunks, .stop = stop, .ctx = ctx, .mover = { .chunks = bs->chunks } };
        struct index_writer hold;
        int r;

        r = store_writable(bs);
        if (r == 0)
                r = codec_pool_get(bs->chunks->codecs, &t.codec);
        if (r < 0)
                return r;
        r = codec_pool_get(bs->chunks->codecs, &t.base_codec);
        if (r == 0) {
                index_writer_begin(bs->chunks->index, &hold); /* what dies meanwhile is dead only after it */
                lock(&bs->move_lock);
                r = mover_end(&t.mover, tidy_run(&t));
                unlock(&bs->move_lock);
                index_writer_end(bs->chunks->index, &hold);
        }
        codec_pool_put(bs->chunks->codecs, t.base_codec);
        codec_pool_put(bs->chunks->codecs, t.codec);
        mover_done(&t.mover);
        if (r < 0)
                return r;
        ret->chunks_moved += t.stats.chunks_moved;
        ret->bytes_before += t.stats.bytes_before;
        ret->bytes_after += t.stats.bytes_after;
        return t.mover.n > 0;
}

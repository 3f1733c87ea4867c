/* SPDX-License-Identifier: MIT */

/*
 * Tidying: what an import stored in haste is encoded anew, a hundred times as slowly, and what lives in a half-empty
 * segment joins it. chunks/index_move.c tells in which order that becomes durable. A chunk keeps the base that it has,
 * and one without stays without: it may be others' base, and bases have none.
 *
 * A chunk that cannot be read stays where it is, and its segment with it.
 */

#include "blobstore/blobs/tidy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/blobs/blob_priv.h"
#include "blobstore/chunks/index_move.h"

#define TIDY_PAGE 64

/* Chunks of one segment, at the most: some hundreds of bytes each are needed until it is full. */
#define TIDY_CHUNKS_MAX 65536

struct tidy {
        struct chunk_store *chunks;
        blobstore_tidy_stop_fn *stop;
        void *ctx;
        struct codec *codec, *base_codec;
        struct segment *segment; /* that is filled; NULL: not begun */
        struct index_moved *moved;
        size_t n, room;
        struct blobstore_tidy_stats stats;
};

static bool tidy_is_full(const struct tidy *t)
{
        return t->n >= TIDY_CHUNKS_MAX || (t->segment && segment_is_full(t->segment));
}

static int tidy_begin_segment(struct tidy *t)
{
        int r;

        if (t->segment)
                return 0;
        r = segments_begin(t->chunks->segments, &t->segment);
        return r < 0 ? r : index_move_begin(t->chunks->index, segment_id(t->segment));
}

static int tidy_note(struct tidy *t, const struct index_chunk *c, uint64_t at, size_t stored_len)
{
        struct index_moved *grown;

        if (t->n == t->room) {
                grown = reallocarray(t->moved, t->room * 2 + 64, sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                t->moved = grown;
                t->room = t->room * 2 + 64;
        }
        t->moved[t->n++] = (struct index_moved){
                .chunk = { .place = c->place, .at = at, .stored_len = (uint32_t)stored_len },
                .old_at = c->at,
                .old_len = c->stored_len,
        };
        t->stats.chunks_moved++;
        t->stats.bytes_before += c->stored_len;
        t->stats.bytes_after += stored_len;
        return 0;
}

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
        struct footer_record record = { .name = c->name, .place = c->place, .base = c->base, .raw_len = c->raw_len };
        struct chunk_features features;
        struct codec_base base;
        const void *payload;
        bool has_base;
        uint64_t at;
        size_t len;
        int r;

        r = tidy_load(t, c, &base, &has_base);
        if (r <= 0)
                return r;
        r = codec_encode(t->codec, CODEC_BEST, t->codec->raw, c->raw_len, has_base ? &base : NULL, t->codec->stored,
                         &len);
        if (r == 0)
                r = tidy_begin_segment(t);
        if (r < 0)
                return r;
        payload = len == c->raw_len ? t->codec->raw : t->codec->stored;
        chunk_features_of(t->codec->raw, c->raw_len, &features);
        r = segment_append(t->segment, payload, len, &record, has_base ? NULL : &features, &at);
        if (r == 0)
                r = tidy_note(t, c, at, len);
        return r < 0 ? r : 1;
}

static int tidy_segment(struct tidy *t, uint32_t id)
{
        struct index_chunk page[TIDY_PAGE];
        uint64_t after = 0;
        bool all = true;
        int n, r;

        while ((n = index_chunks_in(t->chunks->index, id, after, page, TIDY_PAGE)) > 0) {
                for (int i = 0; i < n; i++) {
                        if (tidy_is_full(t) || t->stop(t->ctx))
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

static int compare_places(const void *a, const void *b)
{
        const struct moved_chunk *x = a, *y = b;

        return x->place < y->place ? -1 : x->place > y->place;
}

/* Tells readers where the chunks lie now. */
static int tidy_record(struct tidy *t)
{
        CLEANUP_FREE struct moved_chunk *all = calloc(t->n, sizeof(*all));
        size_t from = 0;
        int r = 0;

        if (!all)
                return -ENOMEM;
        for (size_t i = 0; i < t->n; i++)
                all[i] = t->moved[i].chunk;
        qsort(all, t->n, sizeof(*all), compare_places);
        for (size_t i = 1; r == 0 && i <= t->n; i++) {
                if (i < t->n && place_segment(all[i].place) == place_segment(all[from].place))
                        continue;
                r = moves_record(t->chunks->moves, all + from, i - from);
                from = i;
        }
        return r;
}

static int tidy_end(struct tidy *t, int r)
{
        uint32_t id;

        if (!t->segment)
                return r;
        id = segment_id(t->segment);
        if (r == 0)
                r = segment_seal(t->segment);
        segments_give(t->chunks->segments, TAKE_PTR(t->segment));
        if (r == 0)
                r = segments_sync(t->chunks->segments);
        if (r < 0 || t->n == 0) { /* nothing was moved, and what was written can go; else the next opening sees to it */
                (void)index_move_end(t->chunks->index, id, NULL, 0);
                return r;
        }
        /* From here on readers may look for chunks there: what cannot be ended now is for the next opening. */
        r = tidy_record(t);
        return r < 0 ? r : index_move_end(t->chunks->index, id, t->moved, t->n);
}

static int tidy_run(struct tidy *t)
{
        uint32_t id = 0;
        int r;

        while ((r = index_untidy_segment(t->chunks->index, id, &id)) > 0) {
                r = tidy_segment(t, id);
                if (r < 0 || tidy_is_full(t) || t->stop(t->ctx))
                        break;
        }
        return r < 0 ? r : 0;
}

int blobstore_tidy(struct blobstore *bs, blobstore_tidy_stop_fn *stop, void *ctx, struct blobstore_tidy_stats *ret)
{
        struct tidy t = { .chunks = bs->chunks, .stop = stop, .ctx = ctx };
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
                r = tidy_end(&t, tidy_run(&t));
                index_writer_end(bs->chunks->index, &hold);
        }
        codec_pool_put(bs->chunks->codecs, t.base_codec);
        codec_pool_put(bs->chunks->codecs, t.codec);
        free(t.moved);
        if (r < 0)
                return r;
        ret->chunks_moved += t.stats.chunks_moved;
        ret->bytes_before += t.stats.bytes_before;
        ret->bytes_after += t.stats.bytes_after;
        return t.n > 0;
}

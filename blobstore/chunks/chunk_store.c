/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/chunk_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/chunks/index_move.h"

int chunk_store_new(int dir_fd, int segments_fd, int moved_fd, const uint8_t id[STORE_ID_SIZE], bool read_only,
                    const struct chunk_store_far *far, size_t cache_bytes, unsigned threads, struct chunk_store **ret)
{
        struct chunk_store *cs = calloc(1, sizeof(*cs));
        int r;

        if (!cs)
                return -ENOMEM;
        cs->dir_fd = dir_fd;
        cs->segments_fd = segments_fd;
        cs->read_only = read_only;
        cs->far = far;
        memcpy(cs->id, id, STORE_ID_SIZE);
        r = moves_new(moved_fd, &cs->degraded, &cs->moves);
        if (r == 0)
                r = chunk_store_forget_index(cs);
        if (r == 0)
                r = cache_new(cache_bytes, &cs->cache);
        if (r == 0)
                r = codec_pool_new(&cs->codecs);
        if (r == 0)
                r = pool_new(threads, &cs->pool);
        if (r < 0) {
                chunk_store_free(cs);
                return r;
        }
        *ret = cs;
        return 0;
}

void chunk_store_free(struct chunk_store *cs)
{
        if (!cs)
                return;
        pool_free(cs->pool);
        index_close(cs->index);
        segments_free(cs->segments);
        moves_free(cs->moves);
        cache_free(cs->cache);
        block_cache_free(cs->blocks);
        codec_pool_free(cs->codecs);
        free(cs);
}

int chunk_store_open_index(struct chunk_store *cs)
{
        int r, failed;

        if (cs->read_only)
                return index_open_read_only(cs->dir_fd, cs->segments, &cs->degraded, &cs->index);
        r = index_open(cs->dir_fd, cs->segments, &cs->degraded, &cs->index);
        if (r != -ENOENT && r != -EUCLEAN)
                return r;
        failed = chunk_store_forget_index(cs);
        return failed < 0 ? failed : r;
}

int chunk_store_forget_index(struct chunk_store *cs)
{
        int r;

        index_close(TAKE_PTR(cs->index));
        segments_free(TAKE_PTR(cs->segments));
        r = segments_new(cs->segments_fd, &cs->degraded, &cs->segments);
        if (r < 0)
                return r;
        segments_set_store(cs->segments, cs->id);
        return cs->far ? segments_set_bucket(cs->segments, cs->far->bucket, &cs->far->cache) : 0;
}

/* ---- reading ---- */

int chunk_store_resolve(struct chunk_store *cs, uint64_t *place, size_t *stored_len)
{
        struct moved_chunk moved;
        int r;

        r = moves_find(cs->moves, *place, &moved);
        if (r == -EBADMSG && cs->index)
                r = index_where(cs->index, *place, &moved);
        if (r <= 0)
                return r;
        *place = moved.at;
        *stored_len = moved.stored_len;
        return 0;
}

/*
 * Reads a payload of up to MAX bytes. It may be moved again, and its segment be gone, while this looks for it: then it
 * is found at the second try. Where a table of moves is missing, the index knows.
 */
static int chunk_store_read_payload(struct chunk_store *cs, uint64_t place, size_t *stored_len, void *buf, size_t max)
{
        uint64_t at, tried = 0;
        struct moved_chunk moved;
        size_t len;
        int r;

        for (;;) {
                at = place;
                len = *stored_len;
                r = chunk_store_resolve(cs, &at, &len);
                if (r < 0)
                        return r;
                if (at == tried && cs->index && index_where(cs->index, place, &moved) > 0 && moved.at != at) {
                        at = moved.at;
                        len = moved.stored_len;
                }
                if (len > max || at == tried)
                        return -EBADMSG;
                r = segments_read(cs->segments, at, buf, len);
                if (r != -EBADMSG)
                        break;
                tried = at;
        }
        *stored_len = len;
        return r;
}

bool chunk_store_find_lost(struct chunk_store *cs, uint64_t place, struct moved_chunk *ret)
{
        struct moved_chunk known;

        return cs->index && moves_find(cs->moves, place, &known) == 0 && index_where(cs->index, place, ret) > 0;
}

static int chunk_store_read_base_at(struct chunk_store *cs, struct codec *codec, struct codec_base *base, uint64_t place, size_t len)
{
        struct codec_base none;
        int r;

        r = chunk_store_read_payload(cs, place, &len, codec->stored, base->raw_len);
        if (r == 0 && codec_get_base(codec->stored, len, base->raw_len, &none))
                r = -EBADMSG;
        if (r == 0)
                r = codec_decode(codec, codec->stored, len, NULL, codec->raw, base->raw_len);
        if (r == 0 && codec_base_hash(codec->raw, base->raw_len) != base->hash)
                r = -EBADMSG;
        return r;
}

/* What a payload is encoded with; without a base of its own, which would be somebody's lie. */
static int chunk_store_read_base(struct chunk_store *cs, struct codec *codec, struct codec_base *base)
{
        struct moved_chunk moved;
        int r;

        if (base->raw_len > CHUNK_SIZE_MAX)
                return -EBADMSG;
        r = chunk_store_read_base_at(cs, codec, base, base->place, base->stored_len);
        if (r == -EBADMSG && chunk_store_find_lost(cs, base->place, &moved))
                r = chunk_store_read_base_at(cs, codec, base, moved.at, moved.stored_len);
        base->bytes = codec->raw;
        return r;
}

int chunk_store_load_base(struct chunk_store *cs, uint64_t place, size_t stored_len, size_t raw_len,
                          struct codec *codec, struct codec_base *ret)
{
        uint8_t head[CODEC_BASE_HEAD];
        int r;

        r = chunk_store_resolve(cs, &place, &stored_len);
        if (r == 0 && stored_len < sizeof(head))
                r = -EBADMSG;
        if (r == 0)
                r = segments_read(cs->segments, place, head, sizeof(head));
        if (r == 0 && !codec_get_base(head, stored_len, raw_len, ret))
                r = -EBADMSG;
        return r < 0 ? r : chunk_store_read_base(cs, codec, ret);
}

/* CODEC has the payload in its buffer. */
static int chunk_store_decode(struct chunk_store *cs, struct codec *codec, size_t stored_len, void *buf, size_t raw_len)
{
        struct codec *other;
        struct codec_base base;
        int r;

        if (!codec_get_base(codec->stored, stored_len, raw_len, &base))
                return codec_decode(codec, codec->stored, stored_len, NULL, buf, raw_len);
        r = codec_pool_get(cs->codecs, &other);
        if (r < 0)
                return r;
        r = chunk_store_read_base(cs, other, &base);
        if (r == 0)
                r = codec_decode(codec, codec->stored, stored_len, &base, buf, raw_len);
        codec_pool_put(cs->codecs, other);
        return r;
}

static int chunk_store_load(struct chunk_store *cs, uint64_t place, size_t stored_len, void *buf, size_t raw_len)
{
        struct moved_chunk moved;
        struct codec *codec;
        int r;

        /* Straight to where it is wanted; what does not work out so is looked at more closely. */
        if (stored_len == raw_len && moves_find(cs->moves, place, &moved) == 0 &&
            segments_read(cs->segments, place, buf, raw_len) == 0)
                return 0;
        r = codec_pool_get(cs->codecs, &codec);
        if (r < 0)
                return r;
        r = chunk_store_read_payload(cs, place, &stored_len, codec->stored, raw_len);
        if (r == 0)
                r = chunk_store_decode(cs, codec, stored_len, buf, raw_len);
        codec_pool_put(cs->codecs, codec);
        return r;
}

static int chunk_store_load_checked(struct chunk_store *cs, uint64_t place, size_t stored_len, const struct chunk_id *id,
                                    void *buf, size_t raw_len)
{
        struct chunk_id found;
        int r;

        r = chunk_store_load(cs, place, stored_len, buf, raw_len);
        if (r < 0 || !id)
                return r;
        chunk_id_of(buf, raw_len, &found);
        return chunk_id_equal(&found, id) ? 0 : -EBADMSG;
}

int chunk_store_read(struct chunk_store *cs, uint64_t place, size_t stored_len, const struct chunk_id *id, void *buf,
                     size_t raw_len)
{
        struct moved_chunk moved;
        int r;

        if (stored_len > raw_len || raw_len > CHUNK_SIZE_MAX)
                return -EBADMSG;
        r = chunk_store_load_checked(cs, place, stored_len, id, buf, raw_len);
        if (r == -EBADMSG && chunk_store_find_lost(cs, place, &moved) && moved.stored_len <= raw_len)
                r = chunk_store_load_checked(cs, moved.at, moved.stored_len, id, buf, raw_len);
        if (r == -EBADMSG && segments_doubt(cs->segments))
                r = chunk_store_load_checked(cs, place, stored_len, id, buf, raw_len);
        if (r == -EBADMSG && cs->index && !cs->read_only)
                index_distrust(cs->index, place);
        return r;
}

int chunk_store_peek_base(struct chunk_store *cs, uint64_t place, size_t stored_len, size_t raw_len, uint64_t *ret)
{
        struct codec_base base = { 0 };
        uint8_t head[CODEC_BASE_HEAD];
        int r;

        *ret = 0;
        r = chunk_store_resolve(cs, &place, &stored_len);
        if (r < 0)
                return r;
        if (stored_len == raw_len || stored_len < sizeof(head))
                return 0;
        r = segments_read(cs->segments, place, head, sizeof(head));
        if (r == 0 && codec_get_base(head, stored_len, raw_len, &base))
                *ret = base.place;
        return r;
}

/* ---- encoding ---- */

/* 1: a base was found, and BASE and the bytes in CODEC are it; 0: none. One that cannot be read is none. */
static int chunk_store_find_base(struct chunk_store *cs, struct index_writer *w, const struct chunk_features *features,
                                 struct codec *codec, struct codec_base *ret)
{
        struct index_twin twin;
        struct chunk_name name;
        int r;

        r = index_find_base(cs->index, w, features, &twin);
        if (r <= 0)
                return r;
        r = chunk_store_load(cs, twin.place, twin.stored_len, codec->raw, twin.raw_len);
        if (r == 0)
                r = chunk_name_of(codec->raw, twin.raw_len, &name);
        if (r == 0 && !chunk_name_equal(&name, &twin.name))
                r = -EBADMSG;
        if (r == -EBADMSG)
                index_distrust(cs->index, twin.place);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        *ret = (struct codec_base){
                .place = twin.place,
                .raw_len = twin.raw_len,
                .stored_len = twin.stored_len,
                .hash = codec_base_hash(codec->raw, twin.raw_len),
                .bytes = codec->raw,
        };
        return 1;
}

int chunk_store_pack(struct chunk_store *cs, struct index_writer *w, enum codec_effort effort, const void *raw,
                     size_t n, void *stored, struct packed_chunk *ret)
{
        struct codec_base base;
        struct codec *codec;
        size_t len;
        int r, found;

        chunk_features_of(raw, n, &ret->features);
        r = codec_pool_get(cs->codecs, &codec);
        if (r < 0)
                return r;
        r = found = chunk_store_find_base(cs, w, &ret->features, codec, &base);
        if (r >= 0)
                r = codec_encode(codec, effort, raw, n, found > 0 ? &base : NULL, stored, &len);
        codec_pool_put(cs->codecs, codec);
        if (r < 0)
                return r;
        ret->stored_len = (uint32_t)len;
        ret->base = found > 0 && len < n ? base.place : 0;
        return 0;
}

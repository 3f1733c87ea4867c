/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/chunk_store.h"

#include <errno.h>
#include <stdlib.h>

#include "blobstore/base/cleanup.h"

int chunk_store_new(int dir_fd, int segments_fd, bool read_only, size_t cache_bytes, unsigned threads,
                    struct chunk_store **ret)
{
        struct chunk_store *cs = calloc(1, sizeof(*cs));
        int r;

        if (!cs)
                return -ENOMEM;
        cs->dir_fd = dir_fd;
        cs->segments_fd = segments_fd;
        cs->read_only = read_only;
        r = segments_new(segments_fd, &cs->degraded, &cs->segments);
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
        cache_free(cs->cache);
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
        index_close(TAKE_PTR(cs->index));
        segments_free(TAKE_PTR(cs->segments));
        return segments_new(cs->segments_fd, &cs->degraded, &cs->segments);
}

int chunk_store_read(struct chunk_store *cs, uint64_t place, size_t stored_len, const struct chunk_id *name, void *buf,
                     size_t raw_len)
{
        struct codec *codec;
        struct chunk_id found;
        int r;

        if (stored_len == raw_len) {
                r = segments_read(cs->segments, place, buf, raw_len);
        } else {
                r = codec_pool_get(cs->codecs, &codec);
                if (r < 0)
                        return r;
                r = segments_read(cs->segments, place, codec->stored, stored_len);
                if (r == 0)
                        r = codec_decode(codec, codec->stored, stored_len, buf, raw_len);
                codec_pool_put(cs->codecs, codec);
        }
        if (r < 0 || !name)
                return r;
        chunk_id_of(buf, raw_len, &found);
        return chunk_id_equal(&found, name) ? 0 : -EBADMSG;
}

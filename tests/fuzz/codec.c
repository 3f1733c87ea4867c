/* SPDX-License-Identifier: MIT */

/* A chunk's payload that is not what was encoded: with a base, or without. */

#include <errno.h>
#include <stdlib.h>

#include "blobstore/chunks/codec.h"
#include "tests/fuzz/lib/fuzz.h"

static const uint8_t base_bytes[8192] = "what another chunk begins with, and this one too";

static void decode(struct codec *c, const uint8_t *stored, size_t n, size_t raw_len)
{
        struct codec_base base = { 0 };
        uint8_t *raw = malloc(raw_len); /* no longer: what writes behind it is seen */
        bool has_base = codec_get_base(stored, n, raw_len, &base);
        int r;

        MUST(raw);
        if (has_base) {
                if (base.raw_len > sizeof(base_bytes))
                        base.raw_len = sizeof(base_bytes);
                base.bytes = base_bytes;
        }
        r = codec_decode(c, stored, n, has_base ? &base : NULL, raw, raw_len);
        MUST(r == 0 || r == -EBADMSG || r == -ENOMEM);
        free(raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct codec_pool *pool;
        struct input in = { data, size };
        size_t raw_len = (size_t)input_number(&in, 3) % CHUNK_SIZE_MAX + 1;
        struct codec *c;

        if (!pool)
                MUST(codec_pool_new(&pool) == 0);
        MUST(codec_pool_get(pool, &c) == 0);
        if (in.left > 0 && in.left <= raw_len)
                decode(c, in.at, in.left, raw_len);
        codec_pool_put(pool, c);
        return 0;
}
